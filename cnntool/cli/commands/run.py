"""``cnntool run``: networks that make pictures of pictures."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import batch_log, console, options
from cnntool.cli.inputs import Naming, inputs_or_stdin, reading
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
    white,
)
from cnntool.cli.output import Column, emit, emit_record, form_of
from cnntool.image.atomic import STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.cli.batch_log import BatchLog
    from cnntool.cli.inputs import Loaded
    from cnntool.image.files import Item
    from cnntool.nets.inference.image_output import Painting
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.network import Network


@click.command("run")
@options.inputs
@model_option
@options.output
@options.figure
@options.width
@options.figure_format
@click.option("--native", is_flag=True, help="Keep the size at which the network works.")
@preprocessing(white, output_name, labels)
@reading
@options.json_lines
@running
@batch_log.logging
@options.talk
@network_job
def command(
    *, job: NetworkJob, format_name: str | None, native: bool, figure: bool, width: int | None
) -> int:
    """Make pictures of pictures, by a network.

    The network may transfer a style, enlarge, remove noise or tell the parts of a scene apart:
    a map of classes is painted in their colours. INPUT is a file, a folder, or '-' for stdin. A
    result without --output is called INPUT.run.png and lies in the working directory.
    """
    job = job._replace(inputs=inputs_or_stdin(job.inputs))
    options.check_figure(figure, width, format_name)
    naming = Naming(job.output, "run", several=job.several)
    from cnntool.nets.inference.image_output import fit_for_picture
    from cnntool.nets.models.manifest import PICTURES

    ready: Callable[..., Any] = fit_for_picture
    if figure:
        from cnntool.api.figures import fit_with_photo

        ready = fit_with_photo
    with job.opened(PICTURES) as (network, plan):
        begin(network, plan)
        with job.logged(network) as log:
            writing = _Writing(network, plan, job, naming, log, format_name, native, figure, width)
            prepare = partial(ready, spec=plan.input)
            pictures = job.pictures(prepare, log, writing.again, naming.items)
            with console.Progress("running") as progress:
                return pictures.each(writing.one, progress.track)


class _Writing(NamedTuple):
    """Runs the network on one picture after another and writes what comes."""

    network: Network
    plan: InferredSpec
    job: NetworkJob
    naming: Naming
    log: BatchLog | None
    format_name: str | None
    native: bool
    figure: bool
    width: int | None

    def one(self, loaded: Loaded) -> dict[str, Any] | None:
        from cnntool.api.rendering import choose_format
        from cnntool.image.files import write_image
        from cnntool.image.source import ImageInfo

        start = time.perf_counter()
        made, photo = loaded.made if self.figure else (loaded.made, None)
        painting = self.network.paint(self.plan, made, native=self.native)
        say_where(self.network)
        height, width, channels = painting.pixels.shape
        info = ImageInfo(height, width, channels)
        source = info._replace(format=loaded.info.format)
        if photo is not None:
            target = self._draw(loaded.item, photo, painting)
        else:
            name = choose_format(source, self.format_name, self.naming.named)
            target = self.naming.of_format(loaded.item, name, as_json=self.job.as_json)
            write_image(
                target or sys.stdout.buffer,
                painting.pixels,
                info,
                name=str(target or STDOUT),
                format=name,
                overwrite=batch_log.begin(self.log, target) or self.job.overwrite,
            )
        if painting.clipped:
            console.detail(f"{loaded.item.name}: {painting.clipped:.2%} of the values were clipped")
        record = None
        if self.job.as_json or self.log:
            output = self.plan.output
            record = {
                "input": loaded.item.name,
                **facts_of(self.network, self.plan),
                "output": str(target),
                "height": height,
                "width": width,
                "black": output.black if painting.classes is None else None,
                "white": output.white if painting.classes is None else None,
                "clipped": painting.clipped,
                "classes": _classes(painting, self.plan),
                "milliseconds": (time.perf_counter() - start) * 1e3,
            }
        self._tell(record, target)
        if target is not None and not self.job.as_json and form_of() == "table":
            rows = [[one["label"] or str(one["index"]), f"{one['share']:.1%}"]
                    for one in _classes(painting, self.plan) or []]  # fmt: skip
            if rows:
                emit([Column("class", gives="cut"), Column("share", right=True)], rows, "table")
        return record

    def _draw(self, item: Item, photo: NDArray[Any], painting: Painting) -> Path | None:
        """Draw the figure instead of writing the picture; return where."""
        from cnntool.api.figures import painting_figure

        name, target = self.naming.of_figure(item, self.format_name, as_json=self.job.as_json)
        painting_figure(photo, PurePath(item.name).name, painting, self.plan).save(
            target or sys.stdout.buffer,
            format=name,
            width=self.width,
            overwrite=batch_log.begin(self.log, target) or self.job.overwrite,
        )
        return target

    def again(self, item: Item, line: dict[str, Any]) -> None:
        """Tell of a picture with which an earlier run is done."""
        self._tell(line["result"], self.naming.keep(item, line["output"]))

    def _tell(self, record: dict[str, Any] | None, target: Path | None) -> None:
        if self.job.as_json and record is not None:
            emit_record(record)
        elif target is not None and self.naming.chosen:
            console.result(str(target))


def _classes(painting: Painting, plan: InferredSpec) -> list[dict[str, Any]] | None:
    """Return the classes of a map with their shares of the picture, the largest first."""
    from cnntool.nets.inference.image_output import shares

    if painting.classes is None:
        return None
    return [one._asdict() for one in shares(painting.classes, plan)]
