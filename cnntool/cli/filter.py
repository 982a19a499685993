"""``cnntool filter``: classic kernels on pictures and matrices."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.api.sources import expand
from cnntool.cli import console, options, param_types, report
from cnntool.cli.paths import Naming, inputs_or_stdin, is_several
from cnntool.cli.reading import Ahead
from cnntool.cli.settings import arithmetic, label, parse_kernels, style
from cnntool.errors import UsageError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.cli.outcome import Rendering, Style
    from cnntool.cli.reading import Opened
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation
    from cnntool.filters.pipeline import Options, Pipeline
    from cnntool.image.types import ImageInfo


@click.command("filter")
@options.inputs
@click.option(
    "-k",
    "--kernel",
    "kernels",
    multiple=True,
    metavar="SPEC",
    help="A name, perhaps with parameters (gaussian:sigma=2, box:9), a matrix"
    ' ("1,0,-1;2,0,-2;1,0,-1"), @FILE, or what a network has learned'
    " (vgg16-mini:block1_conv1[12]); repeat to apply several in order. @FILE.npy may hold a"
    " whole layer: (maps, channels, rows, columns)."
    "  'cnntool kernels' lists the names.  [required]",
)
@click.option(
    "--bias",
    metavar="N[,N]...|@FILE",
    help="Add a number to the result, one for each kernel of a layer or a bank.",
)
@click.option("--relu", is_flag=True, help="Make 0 of what is negative then.")
@click.option("--bank", is_flag=True, help="Apply every kernel to the input; stack the maps.")
@click.option(
    "--mix",
    metavar="MATRIX",
    help="Mix the colour channels into maps first, a row of weights for each map.",
)
@click.option(
    "--mode",
    type=click.Choice(["valid", "same", "full"]),
    default="same",
    show_default=True,
    help="Where the kernel may lie: inside, centred on every pixel, or anywhere it touches.",
)
@options.op
@click.option(
    "--border",
    type=param_types.BORDER,
    help="What lies outside, in numpy's words.  [default: zero; symmetric for non-linear filters]",
)
@click.option("--stride", type=param_types.PAIR, default=(1, 1), help="Keep every Nth result.")
@click.option("--dilation", type=param_types.PAIR, default=(1, 1), help="Spread the taps N apart.")
@click.option(
    "--channels",
    type=click.Choice(["each", "luma"]),
    help="Filter each colour or the luma.  [default: luma for derivatives, else each]",
)
@options.layout
@click.option("--linear", is_flag=True, help="Filter in linear light instead of sRGB values.")
@options.policy
@click.option(
    "--method",
    type=click.Choice(["auto", "direct", "separable", "banded", "banded-separable", "fft"]),
    default="auto",
    show_default=True,
    help="How to compute it; all agree, 'auto' takes the fastest.",
)
@options.output
@options.encoding
@options.limits
@click.option("--explain", is_flag=True, help="Print the plan and do nothing.")
@options.json_lines
@options.threads
@options.talk
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    output: str | None,
    threads: int | None,
    **settings: Any,
) -> int:
    """Apply classic kernels to pictures and matrices.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.KERNEL.png and lies in the working directory; a
    matrix is printed.
    """
    if not settings["kernels"]:
        raise UsageError("no kernel", hint=_missing(inputs))
    paths = inputs_or_stdin(inputs)
    if settings["as_json"] and (output == "-" or settings["explain"]):
        raise UsageError(
            f"--json and {'--explain' if settings['explain'] else '-o -'} both want stdout"
        )
    naming = Naming(output, label(settings), several=is_several(paths))
    # The first picture is being decoded while numpy is being imported.
    with Ahead(
        expand(paths, recursive=recursive, results=naming.folder),
        max_pixels=settings["max_pixels"],
        allow_nan=settings["allow_nan"],
        layout=settings["layout"],
        strict=settings["strict"],
    ) as readers:
        work = Work(
            settings=settings,
            filters=parse_kernels(settings["kernels"]),
            options=arithmetic(settings),
            naming=naming,
            style=style(settings, threads or usable_cpus()),
        )
        return work.run(readers)


def _missing(inputs: tuple[Path, ...]) -> str:
    """Say how a kernel is named: perhaps it stands among the inputs."""
    from cnntool.filters.spec import is_word

    names = [str(path) for path in inputs if is_word(str(path).partition(":")[0])]
    return f"-k {names[0]}" if names else "-k sobel; 'cnntool kernels' lists the names"


LIGHT = 64
"""Multiplications a value up to which decoding a picture takes longer than filtering it."""


class Work(NamedTuple):
    """One command line, ready to be applied to any number of inputs."""

    settings: dict[str, Any]
    filters: tuple[Filter | ConvLayer | Operation, ...]
    options: Options
    naming: Naming
    style: Style

    def run(self, readers: Ahead) -> int:
        """Filter every input; a bad one is reported and the others go on.

        Returns
        -------
        int
            0, the exit code of the error of an only input, or 1 if some of several failed.
        """
        return readers.each(self._one, "filtering")

    def _one(self, opened: Opened) -> None:
        """Apply the kernels to one input, write the result and say so."""
        from cnntool.cli.outcome import choose_format, plan_rendering
        from cnntool.cli.render import render
        from cnntool.image.files import FORMATS

        start = time.perf_counter()
        item = opened.item
        with opened.reader() as reader:
            info = reader.info
            format_name = choose_format(info, self.settings["format_name"], self.naming.named)
            rendering = plan_rendering(self._plan(info), info, format_name, self.style)
            if rendering.sheet:
                from cnntool.cli.arrays import check_size

                height, width, maps = rendering.pipeline.out_shape
                check_size((height, width), maps, self.settings["max_pixels"])
            if self.settings["explain"]:
                console.result("\n".join(report.explain(item.name, info, rendering)))
                console.notes(item.name, opened.notes)
                return
            row = FORMATS[format_name]
            target = self.naming.place(
                item, row.suffixes[0], text=not row.binary, as_json=self.settings["as_json"]
            )
            clipped = render(
                rendering,
                opened.rows(),
                target or sys.stdout.buffer,
                name=str(target or "<stdout>"),
                threads=self._workers(opened, rendering),
                count=self.settings["as_json"] or console.TALK.verbose,
            )
            console.notes(item.name, reader.info.notes)  # damage is known by now
        if clipped:
            console.detail(f"{item.name}: {clipped:.2%} of the values were clipped")
        if self.settings["as_json"]:
            import json

            record = report.record(
                item.name,
                info,
                rendering,
                kernels=self.settings["kernels"],
                target=str(target),
                clipped=clipped,
                milliseconds=(time.perf_counter() - start) * 1e3,
            )
            console.result(json.dumps(record))
        elif target is not None and self.naming.chosen:
            console.result(str(target))

    def _workers(self, opened: Opened, rendering: Rendering) -> int:
        """Leave one thread to the decoder where computing is the smaller part of the work."""
        light = opened.decodes and rendering.pipeline.multiplies <= LIGHT
        return max(1, self.style.threads - light)

    def _plan(self, info: ImageInfo) -> Pipeline:
        import numpy as np

        from cnntool.filters.assemble import make_pipeline
        from cnntool.filters.pipeline import Source

        source = Source(
            info.height,
            info.width,
            info.channels,
            np.dtype(info.dtype),
            alpha=info.alpha,
            peak=info.peak,
            raw=info.matrix,
        )
        return make_pipeline(source, self.filters, self.options)
