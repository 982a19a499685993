"""The methods of a convolution, and the choice of one by what each is expected to cost.

Costs are nanoseconds per output value. The figures were measured with numpy's own OpenBLAS on one
core of a server processor with AVX-512; what matters for the choice is their ratio.
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.conv import banded, direct
from cnntool.filters.kernels.kernel import balanced, integer_factors, low_rank

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.filters.kernels.kernel import Kernel
    from cnntool.shapes.windows import Pair


class Method(StrEnum):
    """The methods; all lead to the same numbers.

    ``direct``: one multiply-add per weight; ``separable``: the same along columns, then rows,
    for each of the kernel's factors; ``banded`` and ``banded-separable``: these two as products
    with banded (Toeplitz) matrices; ``fft``: products in the frequency domain, tile by tile;
    ``gemm``: the windows of all channels as a matrix, times all kernels of a layer.
    """

    AUTO = "auto"
    DIRECT = "direct"
    SEPARABLE = "separable"
    BANDED = "banded"
    BANDED_SEPARABLE = "banded-separable"
    FFT = "fft"
    GEMM = "gemm"

    @property
    def by_element(self) -> bool:
        """Whether each output is computed alike, wherever in a tile it lies."""
        return self in {Method.DIRECT, Method.SEPARABLE}

    @property
    def by_factors(self) -> bool:
        """Whether columns and rows are done one after the other."""
        return self in {Method.SEPARABLE, Method.BANDED_SEPARABLE}


class PreparedKernel(NamedTuple):
    """One kernel, ready for correlation: its taps, and its factors where a method uses them."""

    taps: NDArray[np.float64]
    factors: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...] = ()

    @property
    def multiplies(self) -> int:
        """Multiplications per output, zeros included, as a textbook counts them."""
        if self.factors:
            return sum(column.size + row.size for column, row in self.factors)
        return self.taps.size


class Arithmetic(NamedTuple):
    """The arithmetic of a plan.

    Attributes
    ----------
    dtype : np.dtype
        Of the numbers: float32, float64, or int16 and uint16 where no sum can overflow.
    parts : tuple of PreparedKernel
        One for each kernel of the filter.
    scale : float
        What sums are multiplied by at the end; 1 unless the taps are whole numbers.
    exact : bool
        Whether sums have no rounding: whole-number taps and data, every sum representable.
    whole : bool
        Whether the taps are whole numbers, multiplied by the scale at the end.
    """

    dtype: np.dtype[Any]
    parts: tuple[PreparedKernel, ...]
    scale: float = 1.0
    exact: bool = False
    whole: bool = False


def whole_parts(kernels: Sequence[Kernel]) -> tuple[tuple[PreparedKernel, ...], float] | None:
    """Return the kernels as whole numbers with one scale, or None where there is none."""
    forms = [kernel.integer for kernel in kernels]
    found = [form for form in forms if form is not None]
    if len(found) < len(forms) or len({scale for _, scale in found}) > 1:
        return None
    return tuple(PreparedKernel(taps.astype(np.float64)) for taps, _ in found), found[0][1]


def factored(parts: Sequence[PreparedKernel], tol: float) -> tuple[PreparedKernel, ...]:
    """Return the parts with factors, whose products are off by `tol` of the sum of ``|taps|``."""
    return tuple(
        PreparedKernel(
            part.taps,
            tuple(balanced(*pair) for pair in low_rank(part.taps, tol))
            or ((part.taps[:, 0], part.taps[0]),),
        )
        for part in parts
    )


def scaled(parts: Sequence[PreparedKernel], scale: float) -> tuple[PreparedKernel, ...]:
    """Return the parts with all taps multiplied, and the columns of their factors."""
    return tuple(
        PreparedKernel(
            part.taps * scale, tuple((column * scale, row) for column, row in part.factors)
        )
        for part in parts
    )


def whole_factored(parts: Sequence[PreparedKernel]) -> tuple[PreparedKernel, ...] | None:
    """Return the parts with whole-number factors, or None if one of them is not of rank 1."""
    factors = [integer_factors(part.taps) for part in parts]
    found = [pair for pair in factors if pair is not None]
    if len(found) < len(parts):
        return None
    return tuple(
        PreparedKernel(part.taps, (pair,)) for part, pair in zip(parts, found, strict=True)
    )


def reach(parts: Sequence[PreparedKernel]) -> float:
    """Return the largest sum of ``|taps|``: what the data's largest value can grow by."""
    return max(float(np.abs(part.taps).sum()) for part in parts)


# ns for one element-wise operation on one value, and for starting one on a tile
PASS = {"int16": 0.06, "uint16": 0.06, "float32": 0.17, "float64": 0.5}
CALL = 1000.0
STRIDED = 3
# ns for converting a value on the way in and out
CONVERT = {"int16": 0.2, "uint16": 0.2, "float32": 0.1, "float64": 0.2}
# ns for one multiply-add of a banded product
MULTIPLY = {"float32": 0.022, "float64": 0.045}
# ns for the forward and backward transform of one value
TRANSFORM = {"float32": 6.2, "float64": 10.0}
# values of a tile and of a stacked one: two threads hinder each other when operations are shorter
TILE_VALUES = 2**18
STACK_VALUES = 2**19
# tiles in a row of tiles, which a strip holds at least
TILES_ACROSS = 4
# results of so many values have tiles twice as large: less of the whole is spent between operations
LARGE = 2**25
# values of a band's matrix, at most
LARGEST_BAND = 2**22
# side of a tile that is transformed, unless the kernel asks for more
SIDE = 256
# Lengths whose transforms are fast: 2, 3, 4, 5 or 6 times a power of two.
SIZES = sorted({factor * 2**power for factor in (4, 5, 6) for power in range(2, 13)})


def fast_size(least: int) -> int:
    """Return the first length with a fast transform that is not shorter."""
    return next((size for size in SIZES if size >= least), -(-least // 1024) * 1024)


class ConvProblem(NamedTuple):
    """What the choice depends on besides the kernels: shapes as in the plan, (rows, columns)."""

    out_shape: Pair
    extent: Pair
    stride: Pair
    dilation: Pair
    channels: int

    @property
    def values(self) -> int:
        """Output values in all."""
        return self.out_shape[0] * self.out_shape[1] * self.channels

    @property
    def sides(self) -> Pair:
        """Rows and columns of the tiles to transform."""
        return self._side(0), self._side(1)

    @property
    def transformed(self) -> Pair:
        """Output rows and columns of one of these tiles."""
        down, across = (
            (side - extent) // stride + 1
            for side, extent, stride in zip(self.sides, self.extent, self.stride, strict=True)
        )
        return down, across

    def _side(self, axis: int) -> int:
        extent = self.extent[axis]
        least = fast_size((self.out_shape[axis] - 1) * self.stride[axis] + extent)
        best = fast_size(max(SIDE, 2 * extent, min(4 * extent, 2 * SIDE)))
        return min(least, best)


def choose(
    method: Method, kernels: Sequence[Kernel], dtype: np.dtype[Any], question: ConvProblem
) -> tuple[Method, Arithmetic]:
    """Choose the method with the lowest expected cost.

    Parameters
    ----------
    method : Method
        A method that must be taken, or ``auto``.
    kernels : sequence of Kernel
        As they will be correlated.
    dtype : np.dtype
        Of the picture.
    question : ConvProblem

    Returns
    -------
    (method, work)

    Raises
    ------
    UsageError
        A dtype that no method computes with, or a band too large for memory.
    """
    if dtype.name not in {"uint8", "uint16", "float32", "float64"}:
        raise UsageError(f"cannot filter numbers of type {dtype.name}")
    best = min(
        (
            (_cost(candidate, work, question), candidate, work)
            for candidate, work in _candidates(kernels, dtype, method)
            if method in {Method.AUTO, candidate} and _fits(candidate, work, question)
        ),
        key=lambda candidate: candidate[0],
        default=None,
    )
    if best is None:
        raise UsageError(f"the kernel is too large for method {method.value}")
    return best[1], best[2]


def _candidates(
    kernels: Sequence[Kernel], dtype: np.dtype[Any], method: Method
) -> Iterator[tuple[Method, Arithmetic]]:
    """Yield the methods that can be taken; where some are exact, only those, or the wanted one.

    Whole-number taps on whole-number data are exact as long as no sum passes 2**24 (2**53).
    """
    floating = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    whole = whole_parts(kernels)
    if whole is not None:
        parts, scale = whole
        peak = {"uint8": 255, "uint16": 65535}.get(dtype.name)
        exact = dtype == np.float64 or (peak is not None and peak * reach(parts) < 2**24)
        pairs = whole_factored(parts)
        for number in (floating, *_small_integers(parts, peak)):
            yield Method.DIRECT, Arithmetic(number, parts, scale, exact=exact, whole=True)
            if pairs:
                yield Method.SEPARABLE, Arithmetic(number, pairs, scale, exact=exact, whole=True)
        if exact:
            yield Method.BANDED, Arithmetic(floating, parts, scale, exact=True, whole=True)
            if pairs:
                yield (
                    Method.BANDED_SEPARABLE,
                    Arithmetic(floating, pairs, scale, exact=True, whole=True),
                )
            if method is Method.AUTO:
                return
    plain = tuple(PreparedKernel(kernel.weights) for kernel in kernels)
    yield Method.DIRECT, Arithmetic(floating, plain)
    yield Method.BANDED, Arithmetic(floating, plain)
    yield Method.FFT, Arithmetic(floating, plain)
    if method is Method.AUTO or method.by_factors:
        tol = 1e-14 if floating == np.float64 else 1e-7
        pairs = whole_factored(whole[0]) if whole else None
        split = scaled(pairs, whole[1]) if pairs and whole else factored(plain, tol)
        yield Method.SEPARABLE, Arithmetic(floating, split)
        yield Method.BANDED_SEPARABLE, Arithmetic(floating, split)


def _small_integers(parts: Sequence[PreparedKernel], peak: int | None) -> list[np.dtype[Any]]:
    """Return the 16-bit type in which no sum overflows, if there is one."""
    if peak is None:
        return []
    largest = peak * reach(parts)
    if largest <= np.iinfo(np.int16).max:
        return [np.dtype(np.int16)]
    positive = all((part.taps >= 0).all() for part in parts)
    return [np.dtype(np.uint16)] if positive and largest <= np.iinfo(np.uint16).max else []


def _fits(method: Method, work: Arithmetic, question: ConvProblem) -> bool:
    """Tell whether a method's matrices are of reasonable size."""
    (down, across), (high, wide) = question.stride, question.extent
    if method is Method.BANDED:
        used, rows = work.parts[0].taps.shape[1], banded.DENSE_ROWS
        return bool(rows * ((rows - 1) * down + high) * used <= LARGEST_BAND)
    if method is Method.BANDED_SEPARABLE:
        columns = banded.COLUMNS
        length = (columns - 1) * across + wide
        return columns * length * question.channels**2 <= LARGEST_BAND
    return True


def _cost(method: Method, work: Arithmetic, question: ConvProblem) -> float:
    """Return the expected nanoseconds per output value."""
    name = work.dtype.name
    down, across = question.stride
    total = CONVERT[name] * down * across
    if method.by_element:
        passes = sum(_passes(method, part, question) for part in work.parts)
        each = PASS[name] * (1 if across == 1 else STRIDED)
        return total + passes * (each + CALL / min(question.values, TILE_VALUES))
    if method is Method.FFT:
        (height, width), (rows, columns) = question.sides, question.transformed
        share = height * width / (rows * columns)
        return total + TRANSFORM[name] * share * (1 + len(work.parts)) / 2
    multiplies = sum(_multiplies(method, part, question) for part in work.parts)
    return total + MULTIPLY[name] * multiplies + 0.2 * len(work.parts)


def _passes(method: Method, part: PreparedKernel, question: ConvProblem) -> float:
    """Return how many operations on all values the element-wise methods take."""
    if method is Method.DIRECT:
        sizes = set(np.abs(part.taps).ravel().tolist()) - {0.0, 1.0}
        return max(1.0, float(np.count_nonzero(part.taps) + len(sizes)))
    down, across = question.stride
    columns = sum(direct.make_line(column, stride=down).passes for column, _ in part.factors)
    rows = sum(direct.make_line(row, stride=across).passes for _, row in part.factors)
    return columns * across + rows + len(part.factors) - 1


def _multiplies(method: Method, part: PreparedKernel, question: ConvProblem) -> int:
    """Return a banded method's multiply-adds per output, the band's zeros and copies included."""
    (down, across), (high, wide) = question.stride, question.extent
    if method is Method.BANDED:
        used = int(part.taps.any(axis=0).sum())
        return used * ((banded.DENSE_ROWS - 1) * down + high + 5 * down)
    columns = ((banded.ROWS - 1) * down + high) * across
    rows = ((banded.COLUMNS - 1) * across + wide) * question.channels
    return (columns + rows) * len(part.factors)


def tile_shape(method: Method, work: Arithmetic, question: ConvProblem) -> tuple[Pair, Pair]:
    """Choose how many outputs are computed at once.

    Parameters
    ----------
    method, work
        The method.
    question : ConvProblem

    Returns
    -------
    tile, block : (rows, columns)
        The tile is a whole number of blocks; the method computes whole blocks only.
    """
    if method is Method.FFT:
        return question.transformed, question.transformed
    if method is Method.GEMM:
        side = max(1, isqrt(STACK_VALUES // max(work.parts[0].taps.shape)))
        tall, wide = question.out_shape
        return (_even(tall, side, 1), _even(wide, side, 1)), (1, 1)
    block = {
        Method.BANDED: (banded.DENSE_ROWS, 1),
        Method.BANDED_SEPARABLE: (banded.BAND, banded.COLUMNS),
    }.get(method, (1, 1))
    down, high = question.stride[0], question.extent[0]
    if method is Method.BANDED:
        used = max(int(part.taps.any(axis=0).sum()) for part in work.parts)
        rows = 128
        columns = STACK_VALUES // (rows * down + high) // max(used, 1)
    else:
        values = TILE_VALUES * (2 if question.values >= LARGE else 1)
        across = question.out_shape[1] * question.channels
        rows = min(256, max(64, TILES_ACROSS * values // across))
        rows = max(rows, min(512, ceil(2 * high / down)))
        columns = values // rows
    columns = max(columns // question.channels, 16)
    tall, wide = question.out_shape
    return (_even(tall, rows, block[0]), _even(wide, columns, block[1])), block


def _even(total: int, most: int, block: int) -> int:
    """Return the size, a whole number of blocks, that cuts a length into even pieces."""
    pieces = ceil(total / most)
    return ceil(ceil(total / pieces) / block) * block
