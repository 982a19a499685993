"""Convolutions carried out: a method on each tile, tile after tile, arrays in and out."""

from __future__ import annotations

import threading
from functools import cached_property, lru_cache, partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.conv.banded import Banded, BandedSeparable
from cnntool.filters.conv.direct import Recording, group, make_line, record_groups, record_line
from cnntool.filters.conv.fft import Fourier
from cnntool.filters.conv.gemm import Gemm
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import (
    ConvPlan,
    fill,
    inner_span,
    make_plan,
    make_span,
    source_index,
)
from cnntool.filters.kernels.kernel import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cnntool.filters.conv.direct import Last
    from cnntool.filters.conv.method import PreparedKernel
    from cnntool.filters.conv.plan import Span
    from cnntool.filters.kernels.kernel import ConvLayer
    from cnntool.shapes.windows import Pair

    Shape = tuple[int, int, int]
    Steps = Callable[[Recording, NDArray[Any], NDArray[Any], int], None]
    Recorder = Callable[[Recording, NDArray[Any], Shape], NDArray[Any] | Last]
    Total = NDArray[Any] | Last
    """Where a result will be, at least as large as wanted, or what writes it."""

    Finish = Callable[[NDArray[Any], NDArray[Any]], None]


def make_recorder(plan: ConvPlan, method: Method, scale: float) -> Recorder:
    """Prepare what all tiles share: grouped taps, bands, transforms.

    Parameters
    ----------
    plan : ConvPlan
    method : Method
        The plan's own method or another one.
    scale : float
        The weights are multiplied by it.

    Returns
    -------
    callable
        Given a recording, a padded tile (n, m, C) in contiguous memory and the shape (n', m', C) of
        the result, it records the correlation with every kernel of the filter. It returns the
        array (kernels, n', at least m', C) where the results will be, rubbish after column m';
        for a single kernel it may be a function that writes the result into (n', m', C).
    """
    taps = [part.taps * scale for part in plan.work.parts]
    if method is Method.FFT:
        down, across = (
            (tile - 1) * stride + extent
            for tile, stride, extent in zip(plan.tile, plan.stride, plan.extent, strict=True)
        )
        return Fourier(taps, (down, across), plan.stride, plan.dilation, plan.work.dtype).record
    if method is Method.GEMM:
        (matrix,) = taps
        return Gemm(matrix, plan.filter.shape, plan.stride, plan.dilation, plan.work.dtype).record
    if method is Method.DIRECT:
        return _by_element(plan, [[_direct(plan, values)] for values in taps])
    if method is Method.SEPARABLE:
        return _by_element(plan, [_separable(plan, part, scale) for part in plan.work.parts])
    if method is Method.BANDED:
        return _banded(
            [[Banded(values, plan.stride, plan.dilation, plan.work.dtype)] for values in taps]
        )
    return _banded([_banded_separable(plan, part, scale) for part in plan.work.parts])


def _by_element(plan: ConvPlan, kernels: list[list[Steps]]) -> Recorder:
    """Record methods that add shifted views.

    Where the stride allows, the results keep the tile's width: then every view is one piece of
    memory, and the last columns of a row are rubbish that nobody reads.
    """

    def record(recording: Recording, tile: NDArray[Any], shape: Shape) -> NDArray[Any]:
        rows, columns, channels = shape
        width = tile.shape[1] if plan.stride[1] == 1 else columns
        results = recording.take((len(kernels), rows, width, channels), tile.dtype)
        for result, factors in zip(results, kernels, strict=True):
            mark = recording.mark()
            term = recording.take(result.shape, tile.dtype) if len(factors) > 1 else result
            for number, steps in enumerate(factors):
                steps(recording, tile, term if number else result, columns)
                if number:
                    recording(np.add, result, term, result)
            recording.release(mark)
        return results

    return record


def _direct(plan: ConvPlan, taps: NDArray[np.float64]) -> Steps:
    groups = group(taps)
    (down, across), (step_down, step_across) = plan.stride, plan.dilation

    def record(
        recording: Recording, tile: NDArray[Any], target: NDArray[Any], columns: int
    ) -> None:
        rows, pitch, channels = target.shape
        if plan.stride == (1, 1):
            flat = tile.reshape(-1)
            line = target.reshape(-1)[: ((rows - 1) * pitch + columns) * channels]

            def along(tap: Pair) -> NDArray[Any]:
                begin = (tap[0] * step_down * pitch + tap[1] * step_across) * channels
                return flat[begin : begin + line.size]

            record_groups(recording, groups, along, line)
            return

        def under(tap: Pair) -> NDArray[Any]:
            i, j = tap[0] * step_down, tap[1] * step_across
            return tile[
                i : i + (rows - 1) * down + 1 : down,
                j : j + (columns - 1) * across + 1 : across,
            ]

        record_groups(recording, groups, under, target[:, :columns])

    return record


def _separable(plan: ConvPlan, part: PreparedKernel, scale: float) -> list[Steps]:
    (down, across), (step_down, step_across) = plan.stride, plan.dilation

    def make(column: NDArray[np.float64], row: NDArray[np.float64]) -> Steps:
        first, second = make_line(column * scale, stride=down), make_line(row, stride=across)

        def record(
            recording: Recording, tile: NDArray[Any], target: NDArray[Any], columns: int
        ) -> None:
            rows, pitch, channels = target.shape
            middle = recording.take((rows, *tile.shape[1:]), tile.dtype)
            record_line(recording, first, tile, middle, stride=down, dilation=step_down)
            if across == 1:
                values = middle.reshape(-1)
                line = target.reshape(-1)[: ((rows - 1) * pitch + columns) * channels]
                record_line(
                    recording, second, values, line, stride=1, dilation=step_across * channels
                )
            else:
                values, line = middle.swapaxes(0, 1), target.swapaxes(0, 1)
                record_line(recording, second, values, line, stride=across, dilation=step_across)

        return record

    return [make(column, row) for column, row in part.factors]


def _banded(kernels: Sequence[Sequence[Banded | BandedSeparable]]) -> Recorder:
    """Record methods of matrix products; a lone one leaves its last product for later."""

    def record(recording: Recording, tile: NDArray[Any], shape: Shape) -> NDArray[Any] | Last:
        if len(kernels) == len(kernels[0]) == 1:
            return kernels[0][0].record(recording, tile, shape)
        results = recording.take((len(kernels), *shape), tile.dtype)
        mark = recording.mark()
        term = recording.take(shape, tile.dtype)
        inner = recording.mark()
        for result, factors in zip(results, kernels, strict=True):
            for number, factor in enumerate(factors):
                recording(factor.record(recording, tile, shape), term if number else result)
                recording.release(inner)
                if number:
                    recording(np.add, result, term, result)
        recording.release(mark)
        return results

    return record


def _banded_separable(plan: ConvPlan, part: PreparedKernel, scale: float) -> list[BandedSeparable]:
    return [
        BandedSeparable(
            (column * scale, row),
            plan.stride,
            plan.dilation,
            channels=plan.channels,
            dtype=plan.work.dtype,
        )
        for column, row in part.factors
    ]


_MOST_RECORDINGS = 32


class Tiles:
    """What computes the tiles of one plan; threads can share it.

    Parameters
    ----------
    plan : ConvPlan
    scale : float
        The result is multiplied by it: through the weights, or at the end where sums of whole
        numbers stay whole until then.
    """

    def __init__(self, plan: ConvPlan, scale: float) -> None:
        work = plan.work
        self._plan = plan
        self._folded = 1.0 if work.whole else scale
        self._factor = work.scale * scale if work.whole else 1.0
        self._record = make_recorder(plan, plan.method, self._folded)
        self._local = threading.local()

    @cached_property
    def _record_direct(self) -> Recorder:
        return make_recorder(self._plan, Method.DIRECT, self._folded)

    def of(self, rows: int, columns: int) -> Tile:
        """Return what computes tiles of so many outputs on the current thread."""
        try:
            known: dict[tuple[int, int], Tile] = self._local.known
        except AttributeError:
            known = self._local.known = {}
        found = known.get((rows, columns))
        if found is None:
            if len(known) >= _MOST_RECORDINGS:
                known.clear()
            found = known[rows, columns] = self._make(rows, columns)
        return found

    def _make(self, rows: int, columns: int) -> Tile:
        plan = self._plan
        recording = Recording()
        size = rows, columns
        whole = [-(-n // block) * block for n, block in zip(size, plan.block, strict=True)]
        height, width = (
            (n - 1) * stride + extent
            for n, stride, extent in zip(whole, plan.stride, plan.extent, strict=True)
        )
        pixels = recording.take((height, width, plan.channels), plan.work.dtype)
        mark = recording.mark()
        results = self._record(recording, pixels, (whole[0], whole[1], plan.maps))
        total = _combined(plan, recording, results, size, self._factor)

        def careful() -> tuple[Recording, Total]:
            recording = Recording()
            recording.release(mark)
            results = self._record_direct(recording, pixels, (rows, columns, plan.channels))
            return recording, _combined(plan, recording, results, size, self._factor)

        return Tile(
            pixels,
            recording,
            total,
            (rows, columns, plan.maps),
            None if plan.apart or plan.whole_data else careful,
        )


class Tile:
    """Computes tiles of one size on one thread.

    Attributes
    ----------
    pixels : (n, m, C)
        To be filled with padded pixels, as numbers of the plan's working type.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        recording: Recording,
        total: Total,
        shape: tuple[int, int, int],
        careful: Callable[[], tuple[Recording, Total]] | None,
    ) -> None:
        self.pixels = pixels
        self._recording, self._total = recording, total
        self._shape = shape
        self._careful = careful

    def __call__(self, out: NDArray[Any]) -> None:
        """Compute the results of the pixels.

        Parameters
        ----------
        out : (n', m', C)
            Overwritten; columns and channels are contiguous.
        """
        total = self._played()
        if isinstance(total, np.ndarray):
            np.copyto(out, total[: self._shape[0], : self._shape[1]])
        else:
            total(out)

    def result(self) -> NDArray[Any]:
        """Compute the results of the pixels where it costs least.

        Returns
        -------
        (at least n', at least m', C)
            It may be changed, and lasts until the next tile of the thread. What lies beyond row n'
            and column m' is rubbish.
        """
        total = self._played()
        if isinstance(total, np.ndarray):
            return total
        # The pixels have been used up: the result takes their place, which is in the cache.
        out = self.pixels.reshape(-1)[: prod(self._shape)].reshape(self._shape)
        total(out)
        return out

    def _played(self) -> Total:
        recording, total = self._recording, self._total
        if self._careful is not None and not _all_finite(self.pixels):
            recording, total = self._careful()
        recording.play()
        return total


def _all_finite(pixels: NDArray[Any]) -> bool:
    """Tell whether there is neither NaN nor infinity; the sum of squares is the fastest look."""
    flat = pixels.reshape(-1)
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite([flat.min(), flat.max()]).all())


def _combined(
    plan: ConvPlan, recording: Recording, results: NDArray[Any] | Last, size: Pair, factor: float
) -> Total:
    """Record making one of the kernels' results and multiplying it."""
    if not isinstance(results, np.ndarray):
        shape = [-(-n // block) * block for n, block in zip(size, plan.block, strict=True)]
        if shape == list(size) and plan.filter.combine != "magnitude":
            return _multiplied(results, _multiplication(plan, factor))
        array = recording.take((*shape, plan.maps), plan.work.dtype)
        recording(results, array)
        results = array[None]
    if plan.filter.combine == "magnitude":
        total = _record_magnitude(plan, recording, results)
    else:
        total = results[0]
        for result in results[1:]:
            recording(partial(np.maximum, out=total), total, result)
    if total.dtype != plan.dtype:
        floating = recording.take(total.shape, plan.dtype)
        recording(np.copyto, floating, total)
        total = floating
    multiplication = _multiplication(plan, factor)
    if multiplication:
        operation, operand = multiplication
        recording(operation, total, operand, total)
    return total


def _multiplication(plan: ConvPlan, factor: float) -> tuple[np.ufunc, np.floating[Any]] | None:
    """Return how to multiply by the factor, if it is not 1.

    A quotient of whole numbers is rounded once if it is divided, twice if it is multiplied.
    """
    divisor = round(1 / factor) if plan.dtype == np.float64 else 0
    if factor == 1:
        return None
    if abs(divisor * factor - 1) < 1e-14:
        return np.divide, plan.dtype.type(divisor)
    return np.multiply, plan.dtype.type(factor)


def _multiplied(write: Last, multiplication: tuple[np.ufunc, np.floating[Any]] | None) -> Last:
    if multiplication is None:
        return write
    operation, operand = multiplication

    def finish(out: NDArray[Any]) -> None:
        write(out)
        operation(out, operand, out)

    return finish


def _record_magnitude(plan: ConvPlan, recording: Recording, results: NDArray[Any]) -> NDArray[Any]:
    """Record the root of the sum of squares, also where a square overflows."""
    # The fewer arrays a tile has, the more of it stays in the processor's cache.
    squares = results if results.dtype == plan.dtype else recording.take(results.shape, plan.dtype)
    total: NDArray[Any] = squares[0]
    if plan.dtype == np.float64:
        recording(np.abs, results, squares)
        for square in squares[1:]:
            recording(np.hypot, total, square, total)
        return total
    again = partial(recording.play, len(recording))
    recording(partial(np.square, dtype=plan.dtype), results, squares)
    for square in squares[1:]:
        recording(np.add, total, square, total)
    recording(np.sqrt, total, total)
    if not plan.whole_data:
        recording(_mend, again, results, total)
    return total


def _mend(again: Callable[[], None], results: NDArray[Any], total: NDArray[Any]) -> None:
    """Compute magnitudes anew where a square has overflowed, from results to be had again."""
    if not np.isfinite(total.max()):
        found = total.copy()
        over = np.isinf(found)
        again()
        found[over] = np.hypot.reduce(results[:, over])
        total[...] = found


_tiles = lru_cache(maxsize=64)(Tiles)


def convolve(image: ArrayLike, filter: Filter | ConvLayer, **how: Any) -> NDArray[Any]:  # noqa: A002
    """Filter a whole array.

    Parameters
    ----------
    image : array_like, (H, W) or (H, W, C)
        Numbers; each channel is filtered on its own.
    filter : Filter or ConvLayer
        A layer makes maps of all channels together.
    **how
        ``mode``, ``border``, ``op``, ``stride``, ``dilation`` and ``method``, as in
        `cnntool.filters.conv.plan.make_plan`.

    Returns
    -------
    ndarray, (H_out, W_out) or (H_out, W_out, C), of a layer (H_out, W_out, maps)
        float32 for uint8, uint16, float16 and float32, else float64.

    Raises
    ------
    UsageError
        An array of other shapes or without numbers, and what `make_plan` refuses.
    """
    array = np.asarray(image)
    if array.ndim not in {2, 3} or array.dtype.kind not in "biuf":
        raise UsageError(f"cannot filter {array.dtype.name} numbers of shape {array.shape}")
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype.name not in {"uint8", "uint16", "float32"}:
        array = array.astype(np.float64, copy=False)
    stack = array[:, :, None] if array.ndim == 2 else array
    plan = make_plan(array.shape[:2], filter, dtype=array.dtype, channels=stack.shape[2], **how)
    result = np.empty((*plan.out_shape, plan.maps), dtype=plan.dtype)
    for start in range(0, plan.out_shape[0], plan.strip_rows):
        stop = min(start + plan.strip_rows, plan.out_shape[0])
        convolve_rows(plan, stack, 0, start, stop, out=result[start:stop])
    return result[:, :, 0] if array.ndim == 2 and isinstance(filter, Filter) else result


def convolve_rows(
    plan: ConvPlan,
    window: NDArray[Any],
    lo: int,
    start: int,
    stop: int,
    *,
    scale: float = 1.0,
    out: NDArray[Any] | None = None,
    finish: Finish | None = None,
) -> NDArray[Any]:
    """Compute rows [start, stop) of a plan's result.

    The rows do not depend on how the result is cut into strips, nor on threads: several may
    work on strips of one plan at a time.

    Parameters
    ----------
    plan : ConvPlan
    window : (n, W, C)
        Rows [lo, lo + n) of the picture, at least those that ``plan.needs(start, stop)`` names,
        of the dtype that the plan was made for.
    lo, start, stop : int
    scale : float
        More than 0; the result is multiplied by it.
    out : (stop - start, W_out, maps), optional
        Contiguous, of the plan's dtype: where to put the result. With `finish`, of any kind.
    finish : callable, optional
        Given each tile of the result, while it is in the processor's cache, and the part of `out`
        to fill from it. The tile may be changed. It may have more columns than the part: these
        are rubbish.

    Returns
    -------
    (stop - start, W_out, maps)
        float64 if the plan's input is float64, else float32; `out` if it was given.
    """
    tiles = _tiles(plan, scale)
    if out is None:
        out = np.empty((stop - start, plan.out_shape[1], plan.maps), dtype=plan.dtype)
    with np.errstate(all="ignore"):
        for top, bottom in _cuts(*plan.whole_tiles(start, stop), plan.tile[0]):
            rows = _span(plan, 0, top, bottom)
            for left, right in _cuts(0, plan.out_shape[1], plan.tile[1]):
                columns = _span(plan, 1, left, right)
                tile = tiles.of(bottom - top, right - left)
                fill(tile.pixels, window, lo, rows, columns)
                first, last = max(start, top), min(stop, bottom)
                place = out[first - start : last - start, left:right]
                if finish is None and last - first == bottom - top:
                    tile(place)
                else:
                    (finish or keep)(tile.result()[first - top : last - top], place)
    return out


def keep(tile: NDArray[Any], place: NDArray[Any]) -> None:
    """Finish without changing anything."""
    np.copyto(place, tile[:, : place.shape[1]])


def _cuts(start: int, stop: int, step: int) -> Iterator[Pair]:
    for begin in range(start, stop, step):
        yield begin, min(begin + step, stop)


@lru_cache(maxsize=512)
def _span(plan: ConvPlan, axis: int, begin: int, end: int) -> Span:
    """Find what outputs [begin, end) along an axis need, up to a whole block."""
    stride, extent, block = plan.stride[axis], plan.extent[axis], plan.block[axis]
    pad, first = plan.pads[2 * axis], begin * stride
    count = (end - begin - 1) * stride + extent
    size = (-(-(end - begin) // block) * block - 1) * stride + extent
    if pad <= first and first + size <= pad + plan.input_shape[axis] and count == size:
        return inner_span(size, first - pad)
    index = source_index(first, count, pad, plan.input_shape[axis], plan.border)
    return make_span(index, size, min(max(pad - first, 0), count))
