"""``cnntool classify``: what is in a picture, says a network."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import batch_log, console, options
from cnntool.cli.inputs import Pictures, inputs_or_stdin, reading
from cnntool.cli.network_job import NetworkJob, network_job
from cnntool.cli.network_options import (
    begin,
    facts_of,
    labels,
    model_option,
    output_name,
    preprocessing,
    running,
    say_where,
)
from cnntool.cli.output import csv_text, emit, flat, form_of, json_text, width
from cnntool.errors import ModelError, UsageError
from cnntool.nets.models import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.cli.inputs import Loaded
    from cnntool.image.files import Item
    from cnntool.nets.inference.classify import Prediction, Scores
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.network import Network

FORMATS = ("table", "tsv", "csv", "json", "jsonl")
_BAR = 20  # characters of certainty, where there is room
SURE = 0.5
"""Probability up to which an answer of the built-in network is followed by advice."""


@click.command("classify")
@options.inputs
@model_option
@click.option(
    "--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to name."
)
@preprocessing(output_name, labels)
@options.batch
@reading
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="[default: table on a terminal, tsv in a pipe]",
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format jsonl.")
@running
@batch_log.logging
@options.overwrite
@options.talk
@network_job
def command(*, job: NetworkJob, top: int, batch: int, format_name: str | None) -> int:
    """Say what is in pictures.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in.
    The built-in network knows 52 everyday things and says 'something else' of the rest; 'cnntool
    models' lists others.

    Tab-separated lines hold the input, the rank, the probability, the label, the class's index and
    its WordNet id.
    """
    if job.as_json and format_name not in {None, "jsonl"}:
        raise UsageError(f"--json and --format {format_name} contradict each other")
    job = job._replace(inputs=inputs_or_stdin(job.inputs))
    form = format_name or form_of(as_json=job.as_json)
    from cnntool.nets.models.manifest import CLASSES

    with job.opened(CLASSES) as (network, plan):
        begin(network, plan)
        from cnntool.nets.inference.classify import top as best_of
        from cnntool.nets.inference.preprocess import prepare

        with job.logged(network) as log:
            telling = _Telling(network, form)
            pictures = job.pictures(partial(prepare, spec=plan.input), log, telling.again)
            telling.begin()
            for loaded, scores in answers(network, plan, pictures, batch=batch, many=job.several):
                best = best_of(scores, plan, top)
                record = None
                if log or form in {"json", "jsonl"}:
                    record = _record(loaded, facts_of(network, plan), scores, best)
                telling.one(loaded.item.name, best, record)
                pictures.done(loaded, record)
            telling.end()
            return pictures.finish()


def _advise(network: Network, best: Prediction) -> None:
    """Say on a terminal what else there is, where the built-in network does not know a picture."""
    if network.found.name != BUILT_IN or not sys.stderr.isatty():
        return
    from cnntool.nets.models.labels import REST

    if best.label == REST or not best.probability > SURE:
        console.note(
            f"'cnntool models info {BUILT_IN}' lists the classes that it knows,"
            " 'cnntool models pull mobilenetv2' (14 MB) gets a network of 1,000"
        )


def answers(
    network: Network, plan: InferredSpec, pictures: Pictures, *, batch: int, many: bool
) -> Iterator[tuple[Loaded, Scores]]:
    """Ask the network about every picture, and show how many are done.

    A picture whose scores cannot be ranked is reported as one that cannot be read is.
    """
    tensors = ((loaded, loaded.made) for loaded in pictures)
    scores = network.scores(plan, tensors, batch=batch, many=many)
    with console.Progress("classifying") as progress:
        for loaded, one in progress.track(scores, of=pictures):
            say_where(network)
            try:
                network.check(one, plan, loaded.made)
            except ModelError as error:
                pictures.fail(loaded.item, error, of=loaded.item.name)
            else:
                yield loaded, one


class _Telling:
    """Prints the answers in one of the forms."""

    def __init__(self, network: Network, form: str) -> None:
        self._network = network
        self._form = form
        self._first = True

    def begin(self) -> None:
        if self._form == "csv":
            console.result("input,rank,probability,label,index,wordnet")

    def one(self, name: str, best: list[Prediction], record: dict[str, Any] | None) -> None:
        form, first, self._first = self._form, self._first, False
        if form in {"json", "jsonl"}:
            text = json_text(record)
            console.result(text if form == "jsonl" else ("[" if first else ",") + text)
        elif form == "table":
            console.result(_table(name, best, first=first))
        elif form == "csv":
            console.result(csv_text(_lines(name, best)))
        else:
            emit((), _lines(name, best), "tsv")
        _advise(self._network, best[0])

    def again(self, item: Item, line: dict[str, Any]) -> None:
        """Tell of a picture with which an earlier run is done."""
        from cnntool.nets.inference.classify import Prediction

        best = [
            Prediction(
                **{key: value for key, value in one.items() if key not in {"rank", "wordnet"}},
                wordnet=one["wordnet"] or "",
            )
            for one in line["result"]["predictions"]
        ]
        self.one(item.name, best, line["result"])

    def end(self) -> None:
        if self._form == "json":
            console.result("[]" if self._first else "]")


def _record(
    loaded: Loaded, facts: dict[str, Any], scores: Scores, best: list[Prediction]
) -> dict[str, Any]:
    info = loaded.info
    return {
        "input": loaded.item.name,
        "read": {"format": info.format, "height": info.height, "width": info.width},
        **facts,
        "predictions": ranked(best),
        "milliseconds": scores.seconds * 1e3,
    }


def ranked(best: list[Prediction]) -> list[dict[str, Any]]:
    """Make records of the classes that a network named."""
    return [
        {
            "rank": rank,
            "index": one.index,
            "wordnet": one.wordnet or None,
            "label": one.label,
            "probability": one.probability,
            "logit": one.logit,
        }
        for rank, one in enumerate(best, 1)
    ]


def _table(name: str, best: list[Prediction], *, first: bool) -> str:
    """Lay out one picture's classes for people, with bars."""
    lines = [] if first else [""]
    lines.append(flat(name))
    length = _BAR
    if sys.stdout.isatty():
        length = max(1, min(_BAR, width() - 13 - max(len(one.label) for one in best)))
    for one in best:
        bar = "█" * round(one.probability * length) if one.probability == one.probability else ""
        lines.append(f"  {one.probability:7.2%}  {bar:<{length}}  {flat(one.label)}")
    return "\n".join(lines)


def _lines(name: str, best: list[Prediction]) -> list[list[str]]:
    return [
        [name, str(rank), f"{one.probability:.6g}", one.label, str(one.index), one.wordnet]
        for rank, one in enumerate(best, 1)
    ]
