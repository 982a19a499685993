"""``cnntool filter``: classic kernels on pictures and matrices."""

from __future__ import annotations

import sys
import time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import click

from cnntool.api.arguments import FilterOptions
from cnntool.cli import batch_log, console, options, param_types
from cnntool.cli.inputs import Batch, Done, Naming, Place, inputs_or_stdin, is_several
from cnntool.errors import UsageError
from cnntool.image.files import expand
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cnntool.api.batches import Opened
    from cnntool.api.filtering import Filtering
    from cnntool.cli.batch_log import BatchLog
    from cnntool.cli.inputs import Input
    from cnntool.image.source import ImageInfo


@click.command("filter")
@options.inputs
@options.kernel(
    "kernels",
    multiple=True,
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
@click.option(
    "--bank",
    is_flag=True,
    help="Apply every kernel to the input; stack the maps (with --figure: under their names).",
)
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
@options.channels
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
@options.figure
@options.width
@partial(options.encoding, form=options.figure_format)
@options.limits
@click.option("--explain", is_flag=True, help="Print the plan and do nothing.")
@options.json_lines
@options.threads
@options.jobs
@batch_log.logging
@options.talk
@options.gathered("arithmetic", FilterOptions)
@options.gathered("reading", options.ReadingOptions)
@options.gathered("saving", options.Saving)
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    kernels: tuple[str, ...],
    arithmetic: FilterOptions,
    policy: str,
    figure: bool,
    width: int | None,
    reading: options.ReadingOptions,
    saving: options.Saving,
    explain: bool,
    threads: int | None,
    jobs: int | None,
    logging: batch_log.Logging,
) -> int:
    """Apply classic kernels to pictures and matrices.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.KERNEL.png and lies in the working directory; a
    matrix is printed.
    """
    if not kernels:
        raise UsageError("no kernel", hint=_missing(inputs))
    paths = inputs_or_stdin(inputs)
    _check(saving, figure=figure, width=width, explain=explain)
    banked = arithmetic.bank or arithmetic.mix
    label = "bank" if banked else ".".join(map(_name, kernels))
    naming = Naming(saving.output, label, several=is_several(paths))
    # The first picture is being decoded while numpy is being imported.
    items = (
        expand(paths, recursive=recursive, results=naming.folder)
        if explain
        else naming.items(
            paths, recursive=recursive, format_name=None if figure else saving.format_name
        )
    )
    with (
        logging.opened(paths, saving.output, overwrite=saving.overwrite) as log,
        Batch(items, reading, log) as batch,
    ):
        from cnntool.api import filtering, rendering
        from cnntool.api.kernels import read_kernel

        filters = [read_kernel(kernel) for kernel in kernels]
        how = filtering.arithmetic(arithmetic)
        style = rendering.Style(policy, saving.depth)

        @lru_cache(maxsize=64)  # pictures of one shape share a plan
        def planned(info: ImageInfo, name: str) -> Filtering:
            limit = reading.max_pixels
            if figure:
                from cnntool.api.filter_figure import plan_figure

                return plan_figure(info, filters, how, policy, max_pixels=limit)
            return filtering.plan_filtering(
                info, filters, how, style, format_name=name, max_pixels=limit
            )

        job = _FilterJob(planned, kernels, saving, naming, log, figure, width, explain)
        lanes = usable_cpus()
        return batch.each(
            job.begin,
            job.work,
            naming,
            "filtering",
            threads=threads or lanes,
            jobs=jobs or lanes,
            as_json=saving.as_json,
        )


class _FilterJob(NamedTuple):
    """Filters one input after another, and writes the results, draws them, or tells the plan."""

    planned: Callable[[ImageInfo, str], Filtering]
    kernels: Sequence[str]
    saving: options.Saving
    naming: Naming
    log: BatchLog | None
    figure: bool
    width: int | None
    explain: bool

    def begin(self, given: Input) -> Place:
        """Choose where a result goes."""
        from cnntool.api.rendering import LOSSLESS, choose_format

        info, wanted, name = given.reader().info, self.saving.format_name, LOSSLESS
        if not self.figure:
            name = choose_format(info, wanted, self.naming.named)
        # Whatever is wrong with the options is said before names are taken.
        self.planned(info, "" if self.figure else name)
        if self.explain:
            return Place(name, None, left=False)
        item, as_json = given.item, self.saving.as_json
        if self.figure:
            name, target = self.naming.of_figure(item, wanted, as_json=as_json)
        else:
            target = self.naming.of_format(item, name, as_json=as_json)
        return Place(name, target, batch_log.begin(self.log, target))

    def work(self, opened: Opened, place: Place, lanes: int) -> Done:
        """Make it."""
        start = time.perf_counter()
        reader = opened.reader()
        plan = self.planned(reader.info, "" if self.figure else place.format_name)
        if self.explain:
            text = "\n".join(plan.lines(opened.name))
            return Done(None, [f"{opened.name}: {note}" for note in opened.notes], text)
        clipped, written = None, None
        notes: list[str] = []
        if self.figure:
            from cnntool.api.filter_figure import draw_filtering
            from cnntool.api.pictures import Picture

            picture = Picture(opened.name, reader.info, reader.read())
            draw_filtering(plan, picture, self.kernels, threads=lanes).save(
                place.target or sys.stdout.buffer,
                format=place.format_name,
                width=self.width,
                overwrite=self.saving.overwrite or place.left,
            )
        else:
            clipped, notes = plan.write(
                reader,
                threads=lanes,
                count=self.saving.as_json or console.TALK.verbose,
                **self.saving.writing(place.target, left=place.left),
            )
            written = plan.rendering.info.record()
        record = {
            "input": opened.name,
            **plan.record(self.kernels),
            "clipped": clipped,
            "output": str(place.target),
            "written": written,
            "milliseconds": (time.perf_counter() - start) * 1e3,
        }
        # Damage is known by now.
        found = [f"{opened.name}: {note}" for note in reader.info.notes]
        return Done(record, [*plan.rendering.notes, *notes, *found])


def _check(saving: options.Saving, *, figure: bool, width: int | None, explain: bool) -> None:
    """Refuse what cannot be had together."""
    if saving.as_json and (saving.output == "-" or explain):
        raise UsageError(f"--json and {'--explain' if explain else '-o -'} both want stdout")
    options.check_figure(figure, width, saving.format_name)
    if figure and saving.depth not in {None, "8"}:
        raise UsageError(f"a figure has 8 bits, and --depth {saving.depth} was asked for")


def _name(spec: str) -> str:
    """Return what a kernel is called in the name of a result."""
    if spec.rstrip().endswith("]"):
        from cnntool.api.kernels import learned_name

        return learned_name(spec)
    name = spec.partition(":")[0].strip().lower()
    return name if name.replace("-", "").isalpha() else "custom"


def _missing(inputs: tuple[Path, ...]) -> str:
    """Say how a kernel is named: perhaps it stands among the inputs."""
    from cnntool.api.kernels import is_word

    names = [str(path) for path in inputs if is_word(str(path).partition(":")[0])]
    return f"-k {names[0]}" if names else "-k sobel; 'cnntool kernels' lists the names"
