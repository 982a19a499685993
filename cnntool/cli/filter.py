"""``cnntool filter``: classic kernels on pictures and matrices."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click

from cnntool.api.sources import expand
from cnntool.cli import console, options, param_types, report
from cnntool.cli.paths import Naming, inputs_or_stdin, is_several
from cnntool.cli.reading import Ahead
from cnntool.errors import UsageError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.api.rendering import Style
    from cnntool.cli.reading import Opened
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation
    from cnntool.filters.pipeline import Options


class Arithmetic(NamedTuple):
    """What `cnntool.api.filtering.arithmetic` takes."""

    bank: bool
    mode: str
    op: str
    border: str | None
    stride: tuple[int, int]
    dilation: tuple[int, int]
    channels: str | None
    mix: str | None
    bias: str | None
    relu: bool
    linear: bool
    method: str


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
@options.mode
@options.op
@click.option(
    "--border",
    type=param_types.BORDER,
    help="What lies outside, in numpy's words.  [default: zero; symmetric for non-linear filters]",
)
@options.stride
@options.dilation
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
@options.gathered("arithmetic", Arithmetic)
@options.gathered("reading", options.Reading)
@options.gathered("saving", options.Saving)
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    kernels: tuple[str, ...],
    arithmetic: Arithmetic,
    policy: str,
    reading: options.Reading,
    saving: options.Saving,
    explain: bool,
    threads: int | None,
) -> int:
    """Apply classic kernels to pictures and matrices.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.KERNEL.png and lies in the working directory; a
    matrix is printed.
    """
    if not kernels:
        raise UsageError("no kernel", hint=_missing(inputs))
    paths = inputs_or_stdin(inputs)
    if saving.as_json and (saving.output == "-" or explain):
        raise UsageError(f"--json and {'--explain' if explain else '-o -'} both want stdout")
    banked = arithmetic.bank or arithmetic.mix
    label = "bank" if banked else ".".join(map(_name, kernels))
    naming = Naming(saving.output, label, several=is_several(paths))
    # The first picture is being decoded while numpy is being imported.
    items = expand(paths, recursive=recursive, results=naming.folder)
    with Ahead(items, reading) as readers:
        from cnntool.api import filtering, rendering
        from cnntool.api.kernels import read_kernel

        work = Work(
            kernels,
            tuple(map(read_kernel, kernels)),
            filtering.arithmetic(**arithmetic._asdict()),
            rendering.style(policy, saving.depth),
            naming,
            reading.max_pixels,
            saving,
            explain,
            threads or usable_cpus(),
        )
        return readers.each(work.one, "filtering")


def _name(spec: str) -> str:
    """Return what a kernel is called in the name of a result."""
    if spec.rstrip().endswith("]"):
        from cnntool.api.learned_kernel import short_name

        return short_name(spec.strip())
    name = spec.partition(":")[0].strip().lower()
    return name if name.replace("-", "").isalpha() else "custom"


def _missing(inputs: tuple[Path, ...]) -> str:
    """Say how a kernel is named: perhaps it stands among the inputs."""
    from cnntool.filters.spec import is_word

    names = [str(path) for path in inputs if is_word(str(path).partition(":")[0])]
    return f"-k {names[0]}" if names else "-k sobel; 'cnntool kernels' lists the names"


LIGHT = 64
"""Multiplications a value up to which decoding a picture takes longer than filtering it."""


class Work(NamedTuple):
    """One command line, ready to be applied to any number of inputs."""

    kernels: tuple[str, ...]
    filters: tuple[Filter | ConvLayer | Operation, ...]
    arithmetic: Options
    style: Style
    naming: Naming
    max_pixels: int
    saving: options.Saving
    explain: bool
    threads: int

    def one(self, opened: Opened) -> None:
        """Apply the kernels to one input, write the result and say so."""
        from cnntool.api import arguments, filtering, rendering
        from cnntool.image.files import FORMATS

        start = time.perf_counter()
        item, saving = opened.item, self.saving
        with opened.reader() as reader:
            info = reader.info
            name = rendering.choose_format(info, saving.format_name, self.naming.named)
            pipeline = filtering.plan_filter(info, self.filters, self.arithmetic)
            plan = filtering.plan_filtering(pipeline, info, name, self.style)
            for note in plan.notes:
                console.note(note)
            if pipeline.stacked:
                height, width, maps = pipeline.out_shape
                arguments.check_size((height, width), maps, self.max_pixels)
            if self.explain:
                console.result("\n".join(report.explain(item.name, info, pipeline, plan)))
                console.notes(item.name, opened.notes)
                return
            row = FORMATS[name]
            target = self.naming.place(
                item, row.suffixes[0], text=not row.binary, as_json=saving.as_json
            )
            # Where computing is the smaller part of the work, one thread is left to the decoder.
            light = reader.window is None and pipeline.multiplies <= LIGHT
            clipped = filtering.write(
                pipeline,
                plan,
                reader.rows(),
                target or sys.stdout.buffer,
                name=str(target or "<stdout>"),
                threads=max(1, self.threads - light),
                count=saving.as_json or console.TALK.verbose,
                compression=saving.compression,
                quality=saving.quality,
                overwrite=saving.overwrite,
            )
            console.notes(item.name, reader.info.notes)  # damage is known by now
        record = report.record(
            item.name,
            info,
            pipeline,
            plan,
            kernels=self.kernels,
            target=str(target),
            clipped=clipped,
            milliseconds=(time.perf_counter() - start) * 1e3,
        )
        report.say(record, target if self.naming.chosen else None, as_json=saving.as_json)
