"""``cnntool run``: networks that make pictures of pictures."""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.api.sources import expand
from cnntool.cli import console, options
from cnntool.cli.choosing import model as model_option
from cnntool.cli.paths import Naming, inputs_or_stdin, is_several
from cnntool.cli.preprocessing import labels as labels_option
from cnntool.cli.preprocessing import output_name, preprocessing, white, wishes
from cnntool.cli.running import running, session_settings
from cnntool.errors import CnntoolError, ModelError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.cli.network import Network
    from cnntool.cli.pictures import Loaded
    from cnntool.image.types import ImageInfo
    from cnntool.nets.assume import Plan
    from cnntool.nets.paint import Painting
    from cnntool.nets.spec import InputSpec


@click.command("run")
@options.inputs
@model_option
@options.output
@options.format_name
@click.option("--native", is_flag=True, help="Keep the size at which the network works.")
@white
@output_name
@labels_option
@preprocessing
@options.fail_fast
@options.reading
@options.json_lines
@running
@options.talk
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    model: str,
    output: str | None,
    overwrite: bool,
    format_name: str | None,
    native: bool,
    fail_fast: bool,
    max_pixels: int,
    strict: bool,
    as_json: bool,
    **settings: Any,
) -> int:
    """Make pictures of pictures, by a network.

    The network may transfer a style, enlarge, remove noise or tell the parts of a scene apart:
    a map of classes is painted in their colours. INPUT is a file, a folder, or '-' for stdin. A
    result without --output is called INPUT.run.png and lies in the working directory.
    """
    paths = inputs_or_stdin(inputs)
    naming = Naming(output, "run", several=is_several(paths))
    from cnntool.cli.network import Network
    from cnntool.cli.pictures import Pictures
    from cnntool.nets.spec import PICTURES

    with Network(model, wishes(settings), session_settings(settings), suits=PICTURES) as network:
        network.open()
        pictures = Pictures(
            expand(paths, recursive=recursive, results=naming.folder, matrices=False),
            partial(_made, spec=network.plan.input),
            threads=usable_cpus(),
            max_pixels=max_pixels,
            strict=strict,
            fail_fast=fail_fast,
        )
        writing = _Writing(network, naming, format_name, overwrite, native, as_json)
        with console.Progress("running") as progress:
            for loaded in progress.track(pictures):
                try:
                    writing.one(loaded)
                except ModelError as error:
                    pictures.fail(error, of=loaded.item.name)
                except CnntoolError as error:
                    pictures.fail(error)
        return pictures.code


class _Made(NamedTuple):
    """What goes in, and for a network that enlarges luma the colours that are to come back."""

    tensor: NDArray[Any]
    colours: NDArray[Any] | None


def _made(pixels: NDArray[Any], info: ImageInfo, *, spec: InputSpec) -> _Made:
    from cnntool.nets.preprocess import fitted, prepare

    keeps = spec.channel_order == "Y" and info.channels == 3
    colours = fitted(pixels, info, spec) if keeps else None
    return _Made(prepare(pixels, info, spec), colours)


class _Writing(NamedTuple):
    """Runs the network on one picture after another and writes what comes."""

    network: Network
    naming: Naming
    format_name: str | None
    overwrite: bool
    native: bool
    as_json: bool

    def one(self, loaded: Loaded) -> None:
        from cnntool.cli.outcome import choose_format
        from cnntool.image.files import FORMATS, write_image
        from cnntool.image.types import ImageInfo

        start = time.perf_counter()
        painting = self._painting(loaded)
        self.network.placement  # noqa: B018 - says once where it runs
        height, width, channels = painting.pixels.shape
        info = ImageInfo(height, width, channels)
        source = info._replace(format=loaded.info.format)
        name = choose_format(source, self.format_name, self.naming.named)
        row = FORMATS[name]
        target = self.naming.place(
            loaded.item, row.suffixes[0], text=not row.binary, as_json=self.as_json
        )
        write_image(
            target or sys.stdout.buffer,
            painting.pixels,
            info,
            name=str(target or "<stdout>"),
            format=name,
            overwrite=self.overwrite,
        )
        if painting.clipped:
            console.detail(f"{loaded.item.name}: {painting.clipped:.2%} of the values were clipped")
        if self.as_json:
            output = self.network.plan.output
            record = {
                "input": loaded.item.name,
                **self.network.facts,
                "output": str(target),
                "height": height,
                "width": width,
                "black": output.black if painting.classes is None else None,
                "white": output.white if painting.classes is None else None,
                "clipped": painting.clipped,
                "classes": _classes(painting, self.network.plan),
                "milliseconds": (time.perf_counter() - start) * 1e3,
            }
            console.result(json.dumps(record))
        elif target is not None and self.naming.chosen:
            console.result(str(target))

    def _painting(self, loaded: Loaded) -> Painting:
        from cnntool.nets.paint import back, paint, with_chroma

        plan, made = self.network.plan, loaded.made
        feeds = {plan.input.name: made.tensor[None]}
        (answer,) = self.network.session.run(feeds, [plan.output.name or ""])
        painting = paint(answer, plan)
        if made.colours is not None and painting.pixels.shape[2] == 1:
            painting = with_chroma(painting, made.colours)
        if plan.input.fit == "stretch" and not self.native:
            painting = back(painting, (loaded.info.height, loaded.info.width))
        return painting


def _classes(painting: Painting, plan: Plan) -> list[dict[str, Any]] | None:
    """Return the classes of a map with their shares of the picture, the largest first."""
    if painting.classes is None:
        return None
    import numpy as np

    from cnntool.nets.classify import name_of

    numbers, counts = np.unique(painting.classes, return_counts=True)
    shares = sorted(zip(counts.tolist(), numbers.tolist(), strict=True), key=lambda pair: -pair[0])
    return [
        {"index": index, "label": name_of(plan, index)[0], "share": count / painting.classes.size}
        for count, index in shares
    ]
