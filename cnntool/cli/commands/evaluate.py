"""``cnntool evaluate``: how often a network is right."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from math import isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import batch_log, console, options, param_types
from cnntool.cli.ablation import Silenced, Silencing, print_effects, silencing
from cnntool.cli.inputs import Pictures, Reading, reading
from cnntool.cli.network_job import NetworkJob, network_job
from cnntool.cli.network_options import (
    begin,
    facts_of,
    labels,
    model_option,
    output_name,
    preprocessing,
    running,
)
from cnntool.cli.output import Column, csv_text, emit, emit_record, form_of, prose
from cnntool.errors import FigureError, InputError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnntool.api.ablation import Ablation
    from cnntool.api.evaluation import Evaluation, Share
    from cnntool.cli.batch_log import BatchLog
    from cnntool.cli.output import Form
    from cnntool.image.files import Item
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.network import Network

FIRST = 5
"""Classes of a photo that stand in the log."""

COLUMNS = (
    Column("class", gives="wrap"),
    *(
        Column(name, right=True)
        for name in ("pictures", "top-1", "top-5", "top-1 error", "top-5 error")
    ),
)


@click.command("evaluate")
@click.argument("photos", metavar="DIR|CSV", type=param_types.FILE)
@model_option
@click.option(
    "--min-top1", type=param_types.SHARE, help="Exit with 7 if the top-1 accuracy is lower."
)
@click.option(
    "--confusion",
    type=param_types.FILE,
    metavar="FILE",
    help="Write what was taken for what: a table (.csv) or a picture (.png, .svg).",
)
@silencing
@click.option(
    "--within",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take so many photos at most, drawn evenly over the classes, always the same.",
)
@options.width
@options.overwrite
@preprocessing(output_name, labels)
@options.batch
@reading
@options.json_lines
@running
@batch_log.logging
@options.talk
@network_job
def command(
    *,
    job: NetworkJob,
    photos: Path,
    min_top1: float | None,
    confusion: Path | None,
    silencing: Silencing,
    within: int | None,
    width: int | None,
    batch: int,
) -> int:
    """Measure how often a network is right.

    DIR has a folder for each class, named by its label, its index or its WordNet id; the folder
    'other' is the class 'something else', where a network has it. CSV has a picture and its class
    in each line; paths are relative to the file.

    With --without the figures are those of the network without some of its maps, and the last line
    is that of the network as it is. With --each, lines hold the layer, the map, the top-1 accuracy
    without it, how much that is less, by how much the probability of the true class changes on the
    mean, and the photo in which it falls most.

    With --log, the network's first five classes of each photo stand there, and the rank of the true
    one.
    """
    from cnntool.api.evaluation import drawn, read_truths
    from cnntool.image.atomic import Output
    from cnntool.nets.models.manifest import CLASSES

    _check(confusion, silencing, job.logging)
    target = confusion or silencing.output
    with ExitStack() as stack:
        # What cannot be written is known before a network is read; a log knows whose file it is.
        file = (
            stack.enter_context(Output(target, overwrite=job.overwrite))
            if target and not job.logging.log
            else None
        )
        network, plan = stack.enter_context(job.opened(CLASSES))
        log = stack.enter_context(
            job.logged(network, lambda item, result: result["truth"] == truths[item])
        )
        if target and log:
            left = batch_log.begin(log, target)
            file = stack.enter_context(Output(target, overwrite=left or job.overwrite))
        begin(network, plan)
        silenced = Silenced(network, silencing, job.reading) if silencing.without else None
        truths = read_truths(photos, plan)
        if within is not None and within < len(truths):
            console.note(f"{within:,} of {len(truths):,} photos, drawn evenly over the classes")
            truths = drawn(truths, within)
        ablation = None
        if silenced:
            pictures, ablation = silenced.run(truths, str(photos), batch)
            found = ablation and (ablation.silenced or ablation.plain)
        else:
            pictures, found = _evaluate(
                network, plan, truths, source=str(photos), batch=batch, reading=job.reading, log=log
            )
        if found is None:
            return _without_answers(pictures, job.model, photos)
        form = form_of(as_json=job.as_json)
        if form == "jsonl":
            emit_record(facts_of(network, plan) | (ablation or found).record())
        elif ablation and silencing.each:
            print_effects(ablation, form)
        else:
            _print(found, form, ablation and ablation.plain.total)
        if target and file:
            if ablation and not confusion:
                file.write(ablation.figure(PurePath(job.model).name).encoded(target.name, width))
            else:
                file.write(_confusion(found, target.name, width))
            file.commit()
        if log and target:
            log.wrote(target)
    _demand(min_top1, found, ablation)
    return pictures.finish()


def _check(confusion: Path | None, silencing: Silencing, logging: batch_log.Logging) -> None:
    """Refuse what cannot be had together, before a network runs for it."""
    if confusion and confusion.suffix.lower() not in {".csv", ".png", ".svg"}:
        raise UsageError("a confusion matrix is a .csv or a .png or .svg", source="--confusion")
    silencing.check(confusion=confusion is not None)
    if logging.log and silencing.without:
        raise UsageError("a log is of the network as it is, not of one --without maps")


def _evaluate(
    network: Network,
    plan: InferredSpec,
    truths: Mapping[Item, int],
    *,
    source: str,
    batch: int,
    reading: Reading,
    log: BatchLog | None,
) -> tuple[Pictures, Evaluation | None]:
    """Evaluate the network as it is."""
    from cnntool.api.evaluation import Answer, Judge
    from cnntool.cli.commands.classify import answers, ranked
    from cnntool.nets.inference.classify import top
    from cnntool.nets.inference.preprocess import prepare

    judge, background = Judge(plan, truths, source), plan.output.background

    def count(record: dict[str, Any]) -> None:
        truth, best = record["truth"], record["predictions"][0]["index"]
        counted = record["rank"] - 1, record["rest"], record["classes"]
        judge.count(Answer(truth + background, best + background, *counted))

    pictures = Pictures(
        truths,
        partial(prepare, spec=plan.input),
        reading,
        log,
        lambda _, line: count(line["result"]),
    )
    for loaded, scores in answers(network, plan, pictures, batch=batch, many=True):
        answer, record = judge.add(loaded.item, scores), None
        if log:
            record = {
                "input": loaded.item.name,
                "truth": answer.truth - background,
                "rank": answer.rank + 1,
                "rest": answer.rest,
                "classes": answer.classes,
                "predictions": ranked(top(scores, plan, FIRST)),
            }
        pictures.done(loaded, record)
    return pictures, judge.evaluation()


def _without_answers(pictures: Pictures, model: str, photos: Path) -> int:
    """Say why there are no figures."""
    if pictures.code > 1:  # there was but one, and what is wrong with it was said
        return pictures.code
    if pictures.last == ModelError.exit_code:
        raise ModelError(f"it has no scores for any picture of {photos}", source=model)
    raise InputError("no picture could be read", source=str(photos))


def _demand(least: float | None, found: Evaluation, ablation: Ablation | None) -> None:
    """See that the accuracy is high enough; where each map was silenced, that of the worst."""
    if least is None:
        return
    top1, what = found.total.accuracy1, ""
    if ablation and ablation.each:
        worst = min(ablation.each, key=lambda one: one.top1)
        top1, what = worst.top1, f" without {worst.layer}[{worst.map}]"
    if top1 < least:
        raise FigureError(f"top-1 accuracy{what} is {top1:.2%}, and {least:.2%} was demanded")


def _print(evaluation: Evaluation, form: Form, plain: Share | None) -> None:
    """Print a line for each class, for their mean and all pictures; last with nothing silenced."""
    from cnntool.nets.models.labels import REST

    counted = sum(label != REST for label, _ in evaluation.classes)
    shares = [
        (label, one.pictures, one.accuracy1, one.accuracy5)
        for label, one in (*evaluation.classes, ("all", evaluation.total))
    ]
    shares.insert(-1, ("mean over classes", counted, *evaluation.class_mean))
    if plain:
        shares.append(("all, nothing silenced", plain.pictures, plain.accuracy1, plain.accuracy5))
    written = "{:.2%}".format if form == "table" else "{:.6g}".format
    rows = [
        [label, str(count), *map(written, (top1, top5, 1 - top1, 1 - top5))]
        for label, count, top1, top5 in shares
    ]
    if evaluation.rest and form != "table":
        names = ("found", "mistaken", "ROC area")
        rest = zip(names, map(written, evaluation.rest), strict=True)
        rows = [*([f"{REST}, {name}", "", share, "", "", ""] for name, share in rest), *rows]
    emit(COLUMNS, rows, form, totals=3 if plain else 2)
    if evaluation.rest and form == "table":
        found, mistaken, area = evaluation.rest
        facts = [
            (found, f"{found:.2%} of its pictures found"),
            (mistaken, f"{mistaken:.2%} of the others called so"),
            (area, f"area under the ROC curve {area:.3f}"),
        ]
        known = ", ".join(text for share, text in facts if not isnan(share))  # of no pictures
        prose(f"{REST}: {known}")


def _confusion(found: Evaluation, name: str, width: int | None) -> bytes:
    """Make the file of the confusion matrix: a table, or a picture."""
    from cnntool.api.pictures import Figure
    from cnntool.views.confusion_matrix import draw

    labels = list(found.labels)
    if not name.lower().endswith(".csv"):
        return Figure(draw(found.confusion, labels)).encoded(name, width)
    counts = zip(labels, found.confusion.tolist(), strict=True)
    rows = [["true \\ answered", *labels], *([label, *row] for label, row in counts)]
    return f"{csv_text(rows)}\n".encode(errors="backslashreplace")
