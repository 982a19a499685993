"""The plan of a convolution: everything about it that can be known without touching a pixel.

There is only one convolution, *valid*: ``same`` and ``full`` are valid after padding, a stride
takes every s-th of its rows and columns, a dilation spreads the taps, and ``convolve`` is
``correlate`` with the kernel turned by 180 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.filters.conv.gemm import as_matrix
from cnntool.filters.conv.method import (
    Arithmetic,
    ConvProblem,
    Method,
    PreparedKernel,
    choose,
    tile_shape,
)
from cnntool.filters.kernels.kernel import ConvLayer
from cnntool.shapes.text import counted, times
from cnntool.shapes.windows import Pads, Pair, Window

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cnntool.filters.kernels.kernel import Filter

Index = NDArray[np.intp]


class Border(StrEnum):
    """Values beyond the edge, in numpy's words.

    ``zero``: 0; ``reflect``: mirrored without repeating the edge pixel (scipy's ``mirror``);
    ``symmetric``: mirrored with it (scipy's ``reflect``); ``replicate``: the edge pixel;
    ``wrap``: the opposite side.
    """

    ZERO = "zero"
    REFLECT = "reflect"
    SYMMETRIC = "symmetric"
    REPLICATE = "replicate"
    WRAP = "wrap"


def source_index(first: int, count: int, pad: int, size: int, border: Border) -> Index:
    """Map successive rows (or columns) of the padded picture to those of the real one.

    Parameters
    ----------
    first, count : int
        The padded rows [first, first + count).
    pad : int
        Padded rows before row 0.
    size : int
        Real rows, 1 or more.
    border : Border

    Returns
    -------
    (count,) intp
        Row numbers in [0, size), -1 where the value is zero. As ``np.pad`` fills, pads larger
        than the picture included.
    """
    index = np.arange(first - pad, first - pad + count, dtype=np.intp)
    if count and (index[0] < 0 or index[-1] >= size):
        if border is Border.ZERO:
            index[(index < 0) | (index >= size)] = -1
        elif border is Border.REPLICATE or (border is Border.REFLECT and size == 1):
            np.clip(index, 0, size - 1, out=index)
        elif border is Border.WRAP:
            index %= size
        elif border is Border.SYMMETRIC:
            index %= 2 * size
            np.minimum(index, 2 * size - 1 - index, out=index)
        else:
            index %= 2 * size - 2
            np.minimum(index, 2 * size - 2 - index, out=index)
    return index


class Span(NamedTuple):
    """Successive rows (or columns) of a padded tile, and where their values come from.

    Attributes
    ----------
    size : int
        Of the tile.
    start, stop, source : int
        The tile's [start, stop) are the picture's from `source` on.
    zeros : (z,) intp
        Those of the tile that are zero.
    places, sources : (m,) intp
        The others of the tile, and those of the picture that they repeat.
    """

    size: int
    start: int
    stop: int
    source: int
    zeros: Index
    places: Index
    sources: Index


_NONE: Index = np.zeros(0, dtype=np.intp)


def inner_span(size: int, source: int) -> Span:
    """Return the span of `size` rows that all lie in the picture, from `source` on."""
    return Span(size, 0, size, source, _NONE, _NONE, _NONE)


def make_span(index: Index, size: int, inside: int) -> Span:
    """Sort a map to the picture's rows by how they are copied.

    Parameters
    ----------
    index : (count,) intp
        As `source_index` gives it.
    size : int
        Of the tile, at least `count`; the rest is zero.
    inside : int
        Where a run without a border begins.
    """
    rest = index[inside:]
    breaks = np.flatnonzero(rest[1:] != rest[:-1] + 1)
    run = 0 if not rest.size or rest[0] < 0 else int(breaks[0]) + 1 if breaks.size else rest.size
    source = int(rest[0]) if run else 0
    outside = np.delete(np.arange(index.size), slice(inside, inside + run))
    zero = index[outside] < 0
    zeros = np.concatenate([outside[zero], np.arange(index.size, size)])
    places = outside[~zero]
    return Span(size, inside, inside + run, source, zeros, places, index[places])


def fill(tile: NDArray[Any], window: NDArray[Any], lo: int, rows: Span, columns: Span) -> None:
    """Copy a tile of the padded picture, converting its numbers.

    Parameters
    ----------
    tile : (rows.size, columns.size, C)
        Filled.
    window, lo : (N, W, C), int
        Rows of the picture from row `lo` on.
    rows, columns : Span
    """
    inside = tile[rows.start : rows.stop]
    source = window[rows.source - lo : rows.source - lo + rows.stop - rows.start]
    width = columns.stop - columns.start
    np.copyto(
        inside[:, columns.start : columns.stop],
        source[:, columns.source : columns.source + width],
        "unsafe",
    )
    if columns.places.size:
        inside[:, columns.places] = source[:, columns.sources]
    if columns.zeros.size:
        inside[:, columns.zeros] = 0
    if rows.zeros.size:
        tile[rows.zeros] = 0
    for place, row in zip(rows.places.tolist(), rows.sources.tolist(), strict=True):
        tile[place, columns.start : columns.stop] = window[
            row - lo, columns.source : columns.source + width
        ]
        tile[place, columns.places] = window[row - lo, columns.sources]
        tile[place, columns.zeros] = 0


__all__ = ["Border", "ConvPlan", "Method", "Mode", "Op", "make_plan"]

LARGEST_EXTENT = 2047
STRIP_VALUES = 2**19


class Mode(StrEnum):
    """Which outputs are wanted.

    ``valid``: those whose window lies inside the picture; ``same``: one for each pixel, the extra
    zero of even kernels after (bottom, right); ``full``: all whose window touches the picture.
    """

    VALID = "valid"
    SAME = "same"
    FULL = "full"


class Op(StrEnum):
    """Whether the kernel is laid on as it is (``correlate``) or turned first (``convolve``)."""

    CORRELATE = "correlate"
    CONVOLVE = "convolve"


@dataclass(frozen=True, eq=False)
class ConvPlan:
    """What will be computed, and how.

    Attributes
    ----------
    filter : Filter or ConvLayer
        As it was given.
    input_shape, channels : (H, W), C
        The picture.
    maps : int
        Channels of the result: those of the picture, or one for each kernel of a layer.
    mode, border, op, stride, dilation
        The question; strides and dilations are (rows, columns).
    extent : (eH, eW)
        Rows and columns that the dilated kernel spans.
    pads : (top, bottom, left, right)
        Rows and columns added around the picture.
    out_shape : (H_out, W_out)
        Rows and columns of the result.
    whole_data : bool
        Whether the input is of whole numbers, so that it can hold neither NaN nor infinity.
    dtype : np.dtype
        Of the result: float64 for float64 input, else float32.
    method : Method
        The method taken, never ``auto``.
    work : Arithmetic
        The numbers computed with, and the kernels as the method wants them.
    tile : (rows, columns)
        Outputs computed at once, a piece that fits in the processor's cache.
    block : (rows, columns)
        A tile at the right or the bottom is computed up to a whole number of these.
    strip_rows : int
        Output rows worth asking for at once: a whole number of tiles.
    """

    filter: Filter | ConvLayer
    input_shape: Pair
    channels: int
    maps: int
    mode: Mode
    border: Border
    op: Op
    stride: Pair
    dilation: Pair
    extent: Pair
    pads: Pads
    out_shape: Pair
    whole_data: bool
    dtype: np.dtype[Any]
    method: Method
    work: Arithmetic
    tile: Pair
    block: Pair
    strip_rows: int

    @property
    def rank(self) -> int | None:
        """Number of column-times-row pairs of the filter's kernels, the largest; of no layer."""
        if isinstance(self.filter, ConvLayer):
            return None
        return max(kernel.rank for kernel in self.filter.kernels)

    @property
    def multiplies(self) -> float:
        """Multiplications per output value and channel, as a textbook counts them."""
        total = sum(part.multiplies for part in self.work.parts)
        return total / self.maps if self.method is Method.GEMM else total

    @lru_cache(maxsize=512)  # noqa: B019 - pictures of one shape share a plan
    def needs(self, start: int, stop: int) -> Pair:
        """Return the input rows [lo, hi) on which output rows [start, stop) depend.

        Methods whose rounding depends on a value's place in its tile compute whole tiles, so that
        every partition into strips gives the same bytes: for them the rows are those of all
        tiles touched.
        """
        if stop <= start:
            return 0, 0
        start, stop = self.whole_tiles(start, stop)
        first = start * self.stride[0]
        last = (stop - 1) * self.stride[0] + self.extent[0]
        rows = source_index(first, last - first, self.pads[0], self.input_shape[0], self.border)
        inside = rows[rows >= 0]
        return (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 0)

    @property
    def elementwise(self) -> bool:
        """Whether each output is computed alike, from the values under non-zero taps alone."""
        lone = all(len(part.factors) <= 1 for part in self.work.parts)
        return self.method.by_element and lone

    @property
    def apart(self) -> bool:
        """Whether no output depends on values outside of its window, be they NaN or infinite."""
        return self.elementwise or self.method is Method.GEMM

    def whole_tiles(self, start: int, stop: int) -> Pair:
        """Widen output rows [start, stop) to whole tiles, if the method computes only those."""
        if self.elementwise:
            return start, stop
        rows = self.tile[0]
        return start // rows * rows, min(-(-stop // rows) * rows, self.out_shape[0])

    def anchors(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the input row and column under the middle of the kernel for output ones.

        Outside of the picture (``full``) it is the nearest row or column inside.
        """
        top, _, left, _ = self.pads
        middles = (self.extent[0] - 1) // 2 - top, (self.extent[1] - 1) // 2 - left
        found = (
            np.clip(index * step + middle, 0, size - 1)
            for index, step, middle, size in zip(
                (rows, columns), self.stride, middles, self.input_shape, strict=True
            )
        )
        under_rows, under_columns = found
        return under_rows, under_columns

    def lines(self) -> list[str]:
        """Describe the plan in lines of text, without the filter's name."""
        layer = isinstance(self.filter, ConvLayer)
        kernels = self.maps if isinstance(self.filter, ConvLayer) else len(self.filter.kernels)
        rank = "separable" if self.rank == 1 else f"rank {self.rank}"
        facts = [
            (f"{kernels} kernels " if kernels > 1 else "kernel ") + times(self.filter.shape),
            f"of {counted(self.channels, 'channel')} each" if layer else rank,
            self.filter.combine,
        ]
        steps = [
            str(down) if down == across else f"{down},{across}"
            for down, across in (self.stride, self.dilation)
        ]
        rows = counted(self.strip_rows, "row")
        return [
            ", ".join(facts),
            (
                f"{self.op}, {self.mode}, stride {steps[0]}, dilation {steps[1]}:"
                f" {times(self.input_shape)} -> {times(self.out_shape)}"
            ),
            (f"padding {','.join(map(str, self.pads))} (top, bottom, left, right), {self.border}"),
            (
                f"method {self.method} in {self.work.dtype.name},"
                f" {self.multiplies:g} multiplies a value, {rows} a strip"
            ),
        ]


def make_plan(
    shape: tuple[int, ...],
    filter: Filter | ConvLayer,  # noqa: A002
    *,
    mode: Mode | str = Mode.SAME,
    border: Border | str = Border.ZERO,
    op: Op | str = Op.CORRELATE,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    dtype: DTypeLike = np.float32,
    channels: int = 1,
    method: Method | str = Method.AUTO,
) -> ConvPlan:
    """Plan a convolution.

    Parameters
    ----------
    shape : (H, W)
        Of the picture.
    filter : Filter or ConvLayer
        What to apply.
    mode, border, op
        See `Mode`, `Border`, `Op`.
    stride, dilation : int or (rows, columns)
        1 or more.
    dtype : dtype
        Of the picture: uint8, uint16, float32 or float64. The result is float64 for float64
        and float32 otherwise.
    channels : int
        Values per pixel, each filtered on its own; a layer's kernels add up over all of them.
    method : Method
        A method, or ``auto`` for the one with the lowest expected cost.

    Returns
    -------
    ConvPlan
        Ready for `cnntool.filters.conv.executor.convolve_rows`.

    Raises
    ------
    UsageError
        A kernel larger than the picture in ``valid``, a stride or dilation below 1, a kernel
        that a dilation spreads over more than 2047 rows or columns, an empty picture; a layer for
        another number of channels, or a method for one.
    """
    mode, border, op, method = Mode(mode), Border(border), Op(op), Method(method)
    stride, dilation = _pair(stride, "stride"), _pair(dilation, "dilation")
    height, width = shape[:2]
    if height < 1 or width < 1 or channels < 1:
        raise UsageError(f"there is nothing to filter in a picture of {height}x{width}")
    window = Window(filter.shape, stride, dilation).padded(mode.value)
    extent = window.extent
    if max(extent) > LARGEST_EXTENT:
        raise UsageError(
            f"the dilated kernel spans {times(extent)}, more than {LARGEST_EXTENT} a side"
        )
    out_shape = window.outputs((height, width))
    if min(out_shape) < 1:
        raise UsageError(
            f"a kernel of {times(extent)} does not fit into {height}x{width} pixels",
            hint="mode same or full pads the picture",
        )
    question = ConvProblem(out_shape, extent, stride, dilation, channels)
    flips = op is Op.CONVOLVE
    maps = channels
    if isinstance(filter, ConvLayer):
        filter.check_channels(channels)
        if method not in {Method.AUTO, Method.GEMM}:
            raise UsageError("kernels of several channels have no `method` to choose")
        floating = np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32)
        work = Arithmetic(floating, (PreparedKernel(as_matrix(filter, flipped=flips)),))
        method, maps = Method.GEMM, filter.maps
    else:
        kernels = [kernel.flipped() if flips else kernel for kernel in filter.kernels]
        method, work = choose(method, kernels, np.dtype(dtype), question)
    tile, block = tile_shape(method, work, question)
    widest = max(channels, maps)
    strip = tile[0] * max(1, round(STRIP_VALUES / (tile[0] * out_shape[1] * widest)))
    return ConvPlan(
        filter=filter,
        input_shape=(height, width),
        channels=channels,
        maps=maps,
        mode=mode,
        border=border,
        op=op,
        stride=stride,
        dilation=dilation,
        extent=extent,
        pads=window.pads,
        out_shape=out_shape,
        whole_data=np.dtype(dtype).kind == "u",
        dtype=np.dtype(np.float64 if np.dtype(dtype) == np.float64 else np.float32),
        method=method,
        work=work,
        tile=tile,
        block=block,
        strip_rows=strip,
    )


def _pair(value: int | Pair, name: str) -> Pair:
    """Read one number as two."""
    down, across = (value, value) if isinstance(value, int) else value
    if min(down, across) < 1:
        raise UsageError(f"a {name} must be 1 or more, got {down}x{across}")
    return down, across
