"""The roads on one tile: each records how the result of one or all kernels comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.filters.banded import Banded, BandedSeparable
from cnntool.filters.fourier import Fourier
from cnntool.filters.gemm import Gemm
from cnntool.filters.taps import group, make_line, record_groups, record_line
from cnntool.filters.work import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cnntool.filters.plan import ConvPlan
    from cnntool.filters.tape import Last, Tape
    from cnntool.filters.work import Part
    from cnntool.shapes.windows import Pair

    Shape = tuple[int, int, int]
    Steps = Callable[[Tape, NDArray[Any], NDArray[Any], int], None]
    Recorder = Callable[[Tape, NDArray[Any], Shape], NDArray[Any] | Last]


def make_recorder(plan: ConvPlan, method: Method, scale: float) -> Recorder:
    """Prepare what all tiles share: grouped taps, bands, transforms.

    Parameters
    ----------
    plan : ConvPlan
    method : Method
        The plan's own road or another one.
    scale : float
        The weights are multiplied by it.

    Returns
    -------
    callable
        Given a tape, a padded tile (n, m, C) in contiguous memory and the shape (n', m', C) of
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
    """Record roads that add shifted views.

    Where the stride allows, the results keep the tile's width: then every view is one piece of
    memory, and the last columns of a row are rubbish that nobody reads.
    """

    def record(tape: Tape, tile: NDArray[Any], shape: Shape) -> NDArray[Any]:
        rows, columns, channels = shape
        width = tile.shape[1] if plan.stride[1] == 1 else columns
        results = tape.take((len(kernels), rows, width, channels), tile.dtype)
        for result, factors in zip(results, kernels, strict=True):
            mark = tape.mark()
            term = tape.take(result.shape, tile.dtype) if len(factors) > 1 else result
            for number, steps in enumerate(factors):
                steps(tape, tile, term if number else result, columns)
                if number:
                    tape(np.add, result, term, result)
            tape.release(mark)
        return results

    return record


def _direct(plan: ConvPlan, taps: NDArray[np.float64]) -> Steps:
    groups = group(taps)
    (down, across), (step_down, step_across) = plan.stride, plan.dilation

    def record(tape: Tape, tile: NDArray[Any], target: NDArray[Any], columns: int) -> None:
        rows, pitch, channels = target.shape
        if plan.stride == (1, 1):
            flat = tile.reshape(-1)
            line = target.reshape(-1)[: ((rows - 1) * pitch + columns) * channels]

            def along(tap: Pair) -> NDArray[Any]:
                begin = (tap[0] * step_down * pitch + tap[1] * step_across) * channels
                return flat[begin : begin + line.size]

            record_groups(tape, groups, along, line)
            return

        def under(tap: Pair) -> NDArray[Any]:
            i, j = tap[0] * step_down, tap[1] * step_across
            return tile[
                i : i + (rows - 1) * down + 1 : down,
                j : j + (columns - 1) * across + 1 : across,
            ]

        record_groups(tape, groups, under, target[:, :columns])

    return record


def _separable(plan: ConvPlan, part: Part, scale: float) -> list[Steps]:
    (down, across), (step_down, step_across) = plan.stride, plan.dilation

    def make(column: NDArray[np.float64], row: NDArray[np.float64]) -> Steps:
        first, second = make_line(column * scale, stride=down), make_line(row, stride=across)

        def record(tape: Tape, tile: NDArray[Any], target: NDArray[Any], columns: int) -> None:
            rows, pitch, channels = target.shape
            middle = tape.take((rows, *tile.shape[1:]), tile.dtype)
            record_line(tape, first, tile, middle, stride=down, dilation=step_down)
            if across == 1:
                values = middle.reshape(-1)
                line = target.reshape(-1)[: ((rows - 1) * pitch + columns) * channels]
                record_line(tape, second, values, line, stride=1, dilation=step_across * channels)
            else:
                values, line = middle.swapaxes(0, 1), target.swapaxes(0, 1)
                record_line(tape, second, values, line, stride=across, dilation=step_across)

        return record

    return [make(column, row) for column, row in part.factors]


def _banded(kernels: Sequence[Sequence[Banded | BandedSeparable]]) -> Recorder:
    """Record roads of matrix products; a lone one leaves its last product for later."""

    def record(tape: Tape, tile: NDArray[Any], shape: Shape) -> NDArray[Any] | Last:
        if len(kernels) == len(kernels[0]) == 1:
            return kernels[0][0].record(tape, tile, shape)
        results = tape.take((len(kernels), *shape), tile.dtype)
        mark = tape.mark()
        term = tape.take(shape, tile.dtype)
        inner = tape.mark()
        for result, factors in zip(results, kernels, strict=True):
            for number, factor in enumerate(factors):
                tape(factor.record(tape, tile, shape), term if number else result)
                tape.release(inner)
                if number:
                    tape(np.add, result, term, result)
        tape.release(mark)
        return results

    return record


def _banded_separable(plan: ConvPlan, part: Part, scale: float) -> list[BandedSeparable]:
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
