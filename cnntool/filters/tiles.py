"""One tile from pixels to results: the road, how the kernels combine, the scale."""

from __future__ import annotations

import threading
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.filters.roads import make_recorder
from cnntool.filters.tape import Tape
from cnntool.filters.work import Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cnntool.filters.plan import ConvPlan
    from cnntool.filters.roads import Recorder
    from cnntool.filters.tape import Last
    from cnntool.shapes.windows import Pair

    Total = NDArray[Any] | Last
    """Where a result will be, at least as large as wanted, or what writes it."""

_MOST_TAPES = 32


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
            if len(known) >= _MOST_TAPES:
                known.clear()
            found = known[rows, columns] = self._make(rows, columns)
        return found

    def _make(self, rows: int, columns: int) -> Tile:
        plan = self._plan
        tape = Tape()
        size = rows, columns
        whole = [-(-n // block) * block for n, block in zip(size, plan.block, strict=True)]
        height, width = (
            (n - 1) * stride + extent
            for n, stride, extent in zip(whole, plan.stride, plan.extent, strict=True)
        )
        pixels = tape.take((height, width, plan.channels), plan.work.dtype)
        mark = tape.mark()
        results = self._record(tape, pixels, (whole[0], whole[1], plan.maps))
        total = _combined(plan, tape, results, size, self._factor)

        def careful() -> tuple[Tape, Total]:
            tape = Tape()
            tape.release(mark)
            results = self._record_direct(tape, pixels, (rows, columns, plan.channels))
            return tape, _combined(plan, tape, results, size, self._factor)

        return Tile(
            pixels,
            tape,
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
        tape: Tape,
        total: Total,
        shape: tuple[int, int, int],
        careful: Callable[[], tuple[Tape, Total]] | None,
    ) -> None:
        self.pixels = pixels
        self._tape, self._total = tape, total
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
        tape, total = self._tape, self._total
        if self._careful is not None and not _all_finite(self.pixels):
            tape, total = self._careful()
        tape.play()
        return total


def _all_finite(pixels: NDArray[Any]) -> bool:
    """Tell whether there is neither NaN nor infinity; the sum of squares is the fastest look."""
    flat = pixels.reshape(-1)
    return bool(np.isfinite(np.dot(flat, flat)) or np.isfinite([flat.min(), flat.max()]).all())


def _combined(
    plan: ConvPlan, tape: Tape, results: NDArray[Any] | Last, size: Pair, factor: float
) -> Total:
    """Record making one of the kernels' results and multiplying it."""
    if not isinstance(results, np.ndarray):
        shape = [-(-n // block) * block for n, block in zip(size, plan.block, strict=True)]
        if shape == list(size) and plan.filter.combine != "magnitude":
            return _multiplied(results, _multiplication(plan, factor))
        array = tape.take((*shape, plan.maps), plan.work.dtype)
        tape(results, array)
        results = array[None]
    if plan.filter.combine == "magnitude":
        total = _record_magnitude(plan, tape, results)
    else:
        total = results[0]
        for result in results[1:]:
            tape(partial(np.maximum, out=total), total, result)
    if total.dtype != plan.dtype:
        floating = tape.take(total.shape, plan.dtype)
        tape(np.copyto, floating, total)
        total = floating
    multiplication = _multiplication(plan, factor)
    if multiplication:
        operation, operand = multiplication
        tape(operation, total, operand, total)
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


def _record_magnitude(plan: ConvPlan, tape: Tape, results: NDArray[Any]) -> NDArray[Any]:
    """Record the root of the sum of squares, also where a square overflows."""
    # The fewer arrays a tile has, the more of it stays in the processor's cache.
    squares = results if results.dtype == plan.dtype else tape.take(results.shape, plan.dtype)
    total: NDArray[Any] = squares[0]
    if plan.dtype == np.float64:
        tape(np.abs, results, squares)
        for square in squares[1:]:
            tape(np.hypot, total, square, total)
        return total
    again = partial(tape.play, len(tape))
    tape(partial(np.square, dtype=plan.dtype), results, squares)
    for square in squares[1:]:
        tape(np.add, total, square, total)
    tape(np.sqrt, total, total)
    if not plan.whole_data:
        tape(_mend, again, results, total)
    return total


def _mend(again: Callable[[], None], results: NDArray[Any], total: NDArray[Any]) -> None:
    """Compute magnitudes anew where a square has overflowed, from results to be had again."""
    if not np.isfinite(total.max()):
        found = total.copy()
        over = np.isinf(found)
        again()
        found[over] = np.hypot.reduce(results[:, over])
        total[...] = found
