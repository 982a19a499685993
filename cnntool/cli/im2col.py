"""``cnntool im2col``: every window as a column, so that a convolution is one matrix product."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import arrays, options, param_types, sliding
from cnntool.cli.paths import inputs_or_stdin
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.filters.sliding import Sliding


@click.command("im2col")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=param_types.FILE_OR_STDIN)
@click.option(
    "-k",
    "--kernel",
    "specs",
    multiple=True,
    metavar="SPEC",
    help="As for 'cnntool filter', the same for all channels; or @FILE.npy, an array (channels,"
    " rows, columns) or (filters, channels, rows, columns). Repeat for several filters.",
)
@click.option(
    "--kernel-size",
    type=param_types.SIZE,
    help="Instead of a kernel: 3, or 3x5 (rows x columns).",
)
@click.option(
    "--part",
    type=click.Choice(["columns", "kernel", "product"]),
    default="columns",
    show_default=True,
    help="The unrolled input, the kernels as rows, or their product.",
)
@sliding.window
@click.option("--picture", metavar="FILE.png", help="Draw it; print it only with --output.")
@options.layout
@sliding.matrix_output
@options.limits
@options.json_lines
@options.talk
def command(
    *,
    inputs: tuple[Path, ...],
    specs: tuple[str, ...],
    kernel_size: tuple[int, int] | None,
    part: str,
    picture: str | None,
    output: str | None,
    format_name: str | None,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Lay every window of the input out as a column.

    Down a column: channel, kernel row, kernel column. From column to column: input, result row,
    result column. The kernels, one in each row and in the same order, times this matrix are the
    convolution summed over channels, as networks compute it. Several INPUTs of one size are a
    batch.
    """
    if bool(specs) == (kernel_size is not None):
        raise UsageError("one of --kernel and --kernel-size is needed")
    if part != "columns" and not specs:
        raise UsageError(f"--part {part} needs --kernel")
    sliding.check_results(picture, output, as_json=as_json)
    weights = _weights(specs, kernel_size, settings["op"])
    names, batch = _batch(inputs, settings)
    work = _unroll(batch, weights, settings)
    chosen = getattr(work, part)
    with ExitStack() as stack:
        if picture is not None:
            drawn = _draw(work, chosen, part)
            stack.enter_context(sliding.writing(drawn, picture, overwrite=overwrite))
        if output is not None or not (picture or as_json):
            sliding.write_matrix(chosen, output, format_name, overwrite=overwrite)
    if as_json:
        record = {
            "inputs": names,
            "kernels": list(specs),
            "input": list(batch.shape),
            "result": [len(batch), len(work.kernel), *work.sliding.out_shape],
            "shape": list(work.columns.shape),
            "columns": work.columns.tolist(),
            "kernel": work.kernel.tolist() if specs else None,
            "product": work.product.tolist() if specs else None,
            "picture": picture,
            "output": output,
        }
        sliding.print_record(record)


class Work(NamedTuple):
    """The unrolled batch, and the kernels as rows."""

    sliding: Sliding
    columns: NDArray[Any]
    kernel: NDArray[Any]
    channels: int

    @property
    def product(self) -> NDArray[Any]:
        """A row for each filter, a column for each place of each input."""
        from cnntool.filters.unroll import check_size

        check_size(len(self.kernel), self.columns.shape[1])
        product: NDArray[Any] = self.kernel @ self.columns
        return product


def _weights(specs: tuple[str, ...], size: tuple[int, int] | None, op: str) -> list[NDArray[Any]]:
    """Return the kernels as they are laid on.

    Returns
    -------
    list of ndarray
        (kH, kW), which is the same for all channels, or (F, C, kH, kW).
    """
    import numpy as np

    from cnntool.filters.conv_layer import read_layer
    from cnntool.filters.kernel import LARGEST_SIDE

    if size is not None:
        if max(size) > LARGEST_SIDE:
            raise UsageError(
                f"a kernel of {size[0]}x{size[1]} is larger than {LARGEST_SIDE} a side"
            )
        return [np.ones(size)]
    filters = []
    for spec in specs:
        layer = read_layer(spec)
        if layer is None:
            filters.append(sliding.laid_on(sliding.only_kernel(spec, "unroll"), op))
        else:
            filters.append(layer.weights[:, :, ::-1, ::-1] if op == "convolve" else layer.weights)
    sizes = {weights.shape[-2:] for weights in filters}
    if len(sizes) > 1:
        raise UsageError(
            "the kernels differ in size: " + ", ".join(f"{h}x{w}" for h, w in sorted(sizes))
        )
    return filters


def _batch(inputs: tuple[Path, ...], settings: dict[str, Any]) -> tuple[list[str], NDArray[Any]]:
    """Read inputs of one shape as (N, C, H, W), on the scale that `filter` computes with."""
    import numpy as np

    names: list[str] = []
    maps: list[NDArray[Any]] = []
    for path in inputs_or_stdin(inputs):
        stack = arrays.read(
            path,
            options.Reading(**{key: settings[key] for key in options.Reading._fields}),
        )
        values = stack.values[:, :, : stack.info.channels].astype(np.float64)
        names.append(stack.name)
        maps.append(np.moveaxis(values if stack.info.matrix else values / stack.info.peak, 2, 0))
        if maps[-1].shape != maps[0].shape:
            shapes = ["x".join(map(str, found.shape)) for found in (maps[-1], maps[0])]
            raise UsageError(
                f"{shapes[0]} (channels x rows x columns), but {names[0]} is {shapes[1]}",
                source=names[-1],
                hint="a batch has inputs of one size",
            )
    return names, np.stack(maps)


def _unroll(batch: NDArray[Any], weights: list[NDArray[Any]], settings: dict[str, Any]) -> Work:
    import numpy as np

    from cnntool.filters.kernel import Filter, Kernel
    from cnntool.filters.plan import make_plan
    from cnntool.filters.sliding import of_plan
    from cnntool.filters.unroll import im2col

    channels = batch.shape[1]
    chosen = {name: settings[name] for name in ("mode", "border", "stride", "dilation")}
    item = Filter((Kernel(np.ones(weights[0].shape[-2:])),))  # its size alone counts
    slide = of_plan(make_plan(batch.shape[2:], item, dtype=np.float64, **chosen))
    columns = im2col(batch, slide)
    rows = [_rows(each, channels) for each in weights]
    return Work(slide, columns, np.concatenate(rows), channels)


def _rows(weights: NDArray[Any], channels: int) -> NDArray[Any]:
    """Lay kernels out as rows, (F, C * kH * kW)."""
    import numpy as np

    if weights.ndim == 2:
        return np.tile(weights.ravel(), (1, channels))
    if weights.shape[1] != channels:
        shape = "x".join(map(str, weights.shape[1:]))
        raise UsageError(
            f"the kernel is {shape} (channels x rows x columns), channels of the input: {channels}"
        )
    return weights.reshape(len(weights), -1)


def _draw(work: Work, matrix: NDArray[Any], part: str) -> bytes:
    from math import prod

    from cnntool.views.matrix_picture import Drawn
    from cnntool.views.matrix_picture import picture as draw

    sliding.check_drawable(matrix)
    taps, places = prod(work.sliding.kernel_shape), prod(work.sliding.out_shape)
    rows, columns = matrix.shape
    titles = {
        "columns": "im2col: every window is a column",
        "kernel": "every kernel is a row",
        "product": "kernels times columns: every result is a row",
    }
    sizes = ["x".join(map(str, pair)) for pair in work.sliding[:2]]
    note = (
        f"{rows} x {columns}: input {sizes[0]}, {work.channels} channel"
        f"{'' if work.channels == 1 else 's'}, kernel {sizes[1]}"
    )
    blocks = {"columns": (taps, places), "kernel": (1, taps), "product": (1, places)}[part]
    return sliding.png(draw(matrix, Drawn(titles[part], note, blocks)))
