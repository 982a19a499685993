"""Arrays in, arrays out: carrying out a plan."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.border import fill, inner_span, make_span, source_index
from cnntool.filters.kernel import Filter
from cnntool.filters.plan import Border, ConvPlan, Method, Mode, Op, make_plan
from cnntool.filters.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from cnntool.filters.border import Span
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.shapes.windows import Pair

    Finish = Callable[[NDArray[Any], NDArray[Any]], None]


_tiles = lru_cache(maxsize=16)(Tiles)


def convolve(
    image: ArrayLike,
    filter: Filter | ConvLayer,  # noqa: A002
    *,
    mode: Mode | str = Mode.SAME,
    border: Border | str = Border.ZERO,
    op: Op | str = Op.CORRELATE,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    method: Method | str = Method.AUTO,
) -> NDArray[Any]:
    """Filter a whole array.

    Parameters
    ----------
    image : array_like, (H, W) or (H, W, C)
        Numbers; each channel is filtered on its own.
    filter : Filter or ConvLayer
        A layer makes maps of all channels together.
    mode, border, op, stride, dilation, method
        As in `cnntool.filters.plan.make_plan`.

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
    plan = make_plan(
        array.shape[:2],
        filter,
        mode=mode,
        border=border,
        op=op,
        stride=stride,
        dilation=dilation,
        dtype=array.dtype,
        channels=stack.shape[2],
        method=method,
    )
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
                columns = _column_span(plan, 1, left, right)
                tile = tiles.of(bottom - top, right - left)
                fill(tile.pixels, window, lo, rows, columns)
                first, last = max(start, top), min(stop, bottom)
                place = out[first - start : last - start, left:right]
                if finish is None and last - first == bottom - top:
                    tile(place)
                else:
                    (finish or _copy)(tile.result()[first - top : last - top], place)
    return out


def _copy(tile: NDArray[Any], place: NDArray[Any]) -> None:
    """Finish without changing anything."""
    np.copyto(place, tile[:, : place.shape[1]])


def _cuts(start: int, stop: int, step: int) -> Iterator[Pair]:
    for begin in range(start, stop, step):
        yield begin, min(begin + step, stop)


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


_column_span = lru_cache(maxsize=256)(_span)
