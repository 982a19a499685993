"""``cnntool im2col``: every window as a column, so that a convolution is one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import arrays, options, sliding
from cnntool.cli.inputs import inputs_or_stdin
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.api.arguments import WindowOptions


@click.command("im2col")
@options.sources
@options.kernel(
    "specs",
    multiple=True,
    help="As for 'cnntool filter', the same for all channels; or @FILE.npy, an array (channels,"
    " rows, columns) or (filters, channels, rows, columns). Repeat for several filters.",
)
@sliding.kernel_size
@click.option(
    "--part",
    type=click.Choice(["columns", "kernel", "product"]),
    default="columns",
    show_default=True,
    help="The unrolled input, the kernels as rows, or their product.",
)
@sliding.window
@sliding.picture
@options.layout
@sliding.matrix_output
@options.limits
@options.json_lines
@options.talk
@options.gathered("reading", options.ReadingOptions)
@options.gathered("result", sliding.MatrixResult)
def command(
    *,
    inputs: tuple[Path, ...],
    specs: tuple[str, ...],
    kernel_size: tuple[int, int] | None,
    part: str,
    window: WindowOptions,
    reading: options.ReadingOptions,
    result: sliding.MatrixResult,
) -> None:
    """Lay every window of the input out as a column.

    Down a column: channel, kernel row, kernel column. From column to column: input, result row,
    result column. The kernels, one in each row and in the same order, times this matrix are the
    convolution summed over channels, as networks compute it. Several INPUTs of one size are a
    batch.
    """
    from cnntool.api.unrolling import batch, read_weights, unrolled

    if part != "columns" and kernel_size is not None:
        raise UsageError(f"--part {part} needs --kernel")
    result.check()
    weights = read_weights(specs, kernel_size, window.op)
    names, images = batch(arrays.read(path, reading) for path in inputs_or_stdin(inputs))
    found = unrolled(images, weights, window)._replace(laid_on=kernel_size is None)
    chosen = getattr(found, part)

    def facts() -> dict[str, Any]:
        return {
            "inputs": names,
            "kernels": list(specs),
            "input": list(found.shape),
            "result": [len(images), len(found.kernel), *found.sliding.out_shape],
            "shape": list(found.columns.shape),
            "columns": found.columns.tolist(),
            "kernel": found.kernel.tolist() if specs else None,
            "product": found.product.tolist() if specs else None,
        }

    result.write(chosen, lambda: found.figure(part), facts)
