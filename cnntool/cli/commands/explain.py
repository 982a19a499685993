"""``cnntool explain``: what in a picture speaks for a class."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import batch_log, console, options
from cnntool.cli.inputs import (
    Naming,
    figure_suffix,
    inputs_or_stdin,
    reading,
)
from cnntool.cli.network_job import NetworkJob, network_job
from cnntool.cli.network_options import (
    begin,
    facts_of,
    labels,
    layer_option,
    model_option,
    output_name,
    preprocessing,
    running,
    say_where,
)
from cnntool.cli.output import Column, emit, emit_record, form_of
from cnntool.errors import OutputError, UsageError
from cnntool.nets.attribution.methods import DEFAULT, METHODS

if TYPE_CHECKING:
    from cnntool.api.explain import Explainer, Explanations
    from cnntool.cli.batch_log import BatchLog
    from cnntool.cli.inputs import Loaded
    from cnntool.image.files import Item

STYLES = ("overlay", "heat", "side-by-side")
"""The keys of `cnntool.views.heat_map.STYLES`, which would load numpy."""


@click.command("explain")
@options.inputs
@model_option
@click.option(
    "--method",
    "methods",
    type=click.Choice(list(METHODS)),
    multiple=True,
    default=[DEFAULT],
    show_default=True,
    help="How to explain; may be repeated. occlusion and rise take seconds to minutes.",
)
@click.option(
    "--class",
    "targets",
    multiple=True,
    metavar="NAME|INDEX|rank:N",
    help="What to explain; may be repeated.  [default: rank:1, the likeliest class]",
)
@layer_option(
    help="The layer that gradcam and layercam look at; 'cnntool layers' lists the names."
    "  [default: the last one whose maps have more than one place]",
)
@click.option(
    "--style",
    type=click.Choice(STYLES),
    default=STYLES[0],
    show_default=True,
    help="The maps on the photo, alone, or beside it.",
)
@click.option(
    "--score",
    is_flag=True,
    help="Measure insertion and deletion, beside those of random patches and of the centre.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of what smoothgrad, rise and --score draw at random.",
)
@options.raw(
    "Write the maps instead of a picture: float32 of the photo's size, NaN where the network"
    " saw nothing.",
)
@options.output
@options.figure_format
@options.width
@preprocessing(output_name, labels)
@reading
@options.json_lines
@running
@batch_log.logging
@options.talk
@network_job
def command(
    *,
    job: NetworkJob,
    methods: tuple[str, ...],
    targets: tuple[str, ...],
    layer: str | None,
    style: str,
    score: bool,
    seed: int,
    raw: str | None,
    format_name: str | None,
    width: int | None,
) -> int:
    """Show what in a picture speaks for a class, as heat maps.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. The
    photo and its maps, of all methods and classes that are asked for, make one picture, called
    INPUT.explain.png, in the working directory; --output names another file or folder. What the
    network did not see of the photo is hatched.

    Lines in a pipe hold the input, the method, the class, its index, its probability, its score
    before the softmax, the layer and the file; with --score also insertion, that of random patches,
    that of the centre, and the same three of deletion.
    """
    job = job._replace(inputs=inputs_or_stdin(job.inputs))
    several = job.several
    naming = Naming(job.output, "explain", several=several)
    suffix = _suffix(naming, raw, job.output, format_name)
    with job.opened() as (network, _):
        from cnntool.api.explain import Explainer

        progress = console.Progress("explaining")
        with job.hold_time():
            explainer = Explainer(
                network,
                methods,
                targets,
                layer,
                seed=seed,
                score=score,
                progress=None
                if several
                else lambda what, done, total: progress.reach(done, total, what),
            )
        begin(network, explainer.plan)
        with job.logged(network) as log, progress:
            work = _Work(explainer, job, naming, log, suffix, width, style, seed)
            pictures = job.pictures(explainer.prepare, log, work.again, naming.items)
            return pictures.each(work.one, progress.track if several else iter)


def _suffix(naming: Naming, raw: str | None, output: str | None, format_name: str | None) -> str:
    """Settle what is written, before a network runs for it: the suffix of its format."""
    from cnntool.cli.layer_files import check_picture, raw_format
    from cnntool.image.files import format_of

    if raw := raw_format(raw, output):
        if format_name is not None:
            raise UsageError(f"--raw {raw} and --format {format_name} contradict each other")
        return f".{raw}"
    suffix = figure_suffix(format_name) if format_name else ".png"
    if naming.named and not format_name:
        check_picture(naming.named, naming.named)
        suffix = Path(naming.named).suffix.lower()
    if suffix == ".svg":
        return suffix
    row = format_of(f"figure{suffix}")
    if row.matrix or "uint8" not in row.dtypes or (row.channels and 3 not in row.channels):
        hint = "--raw npy writes the numbers of a map"
        raise OutputError(f"{row.name.upper()} holds no figure in colours", hint=hint)
    return suffix


class _Work(NamedTuple):
    """Explains one picture after another, and writes and prints what is found."""

    explainer: Explainer
    job: NetworkJob
    naming: Naming
    log: BatchLog | None
    suffix: str
    width: int | None
    style: str
    seed: int

    def one(self, loaded: Loaded) -> dict[str, Any] | None:
        from cnntool.api.activations import Archive
        from cnntool.image.atomic import Sink

        start = time.perf_counter()
        network, name = self.explainer.model, loaded.item.name
        target = self.naming.place(loaded.item, self.suffix, text=False, as_json=self.job.as_json)
        # What cannot be written is known before minutes of work.
        sink = Sink(target, overwrite=batch_log.begin(self.log, target) or self.job.overwrite)
        with Archive(sink) if self.suffix == ".npz" else sink as file:
            found = self.explainer.explain(loaded.made)
            self._write(file, found, Path(name).name)
        say_where(network)
        for one in found:
            if "error" in one.facts:
                console.note(
                    f"{name}: {one.method} of {one.label} leave {one.facts['error']:.2%} of the"
                    f" difference of scores, after {one.facts['steps']} steps"
                )
        if target is None:
            for one in found:
                console.note(f"{name}: {one.method} of {one.label}, {one.probability:.1%}")
            return None
        facts = facts_of(network, self.explainer.plan) if self.job.as_json or self.log else {}
        record = {
            "input": name,
            **facts,
            "explanations": [one.record() for one in found],
            "seed": self.seed,
            "output": str(target),
            "milliseconds": (time.perf_counter() - start) * 1e3,
        }
        self._tell(record)
        return record

    def again(self, item: Item, line: dict[str, Any]) -> None:
        """Tell of a picture with which an earlier run is done."""
        self.naming.keep(item, line["output"])
        self._tell(line["result"])

    def _tell(self, record: dict[str, Any]) -> None:
        if self.job.as_json:
            emit_record(record)
        else:
            _tell(record)

    def _write(self, file: Any, found: Explanations, title: str) -> None:
        """Write the maps, or their figure, as the suffix says."""
        if self.suffix == ".npz":
            for one in found:
                file.add([one.key], one.map)
        elif self.suffix == ".npy":
            import numpy as np

            from cnntool.api.activations import save_array

            maps = [one.map for one in found]
            save_array(file, maps[0] if len(maps) == 1 else np.stack(maps))
        else:
            from cnntool.api.pictures import figure_format

            network = Path(self.explainer.model.name).name
            figure = found.figure(self.style, title=title, detail=network)
            figure.save(file, format=figure_format(f"figure{self.suffix}"), width=self.width)


def _tell(record: dict[str, Any]) -> None:
    """Print a table for people, lines for programs."""
    name, found, form = record["input"], record["explanations"], form_of()
    digits = ".1%" if form == "table" else ".6g"
    columns = [
        Column("input", people=False),
        Column("method", key=True),
        Column("class", gives="cut", key=True),
        Column("index", people=False),
        Column("probability", right=True),
        Column("score", people=False),
        Column("layer", gives="cut", people=any(one["layer"] for one in found)),
        Column("file", people=False),
    ]
    scored = ("insertion", "deletion") if found[0]["insertion"] is not None else ()
    for part, title in enumerate(scored, 1):
        words = (title, "of random", "of centre")
        columns += [Column(word, right=True, part=part) for word in words]
    rows = []
    for one in found:
        row = [name, one["method"], one["label"], str(one["index"])]
        row += [format(one["probability"], digits), f"{one['score']:.6g}", one["layer"] or ""]
        row.append(record["output"])
        for curve in filter(None, (one["insertion"], one["deletion"])):
            row += [f"{curve[key]:.3f}" for key in ("area", "random", "centre")]
        rows.append(row)
    if form == "table":
        console.result(name)
    emit(columns, rows, form, look="tight")
    if form == "table":
        console.result(f"written to {record['output']}")
