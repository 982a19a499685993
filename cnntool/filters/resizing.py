"""Other sizes: nearest, bilinear and bicubic, with half-pixel centres.

Pixel i covers [i, i + 1), its centre is at i + 0.5, and both ends of the result lie where the ends
of the input do: what PyTorch calls ``align_corners=False`` and ONNX ``half_pixel``. Each output is
a weighted mean of the inputs near its centre; at the ends the weights of those that are missing
are shared out among the others.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from cnntool.shapes.windows import Pair

Method = Literal["nearest", "bilinear", "bicubic"]

_CUBIC = -0.5
"""Keys' parameter (1981), which reproduces parabolas: that of Pillow and Keras. PyTorch without
antialiasing and OpenCV have -0.75."""


def _triangle(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0, 1 - distance)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * _CUBIC
    found: NDArray[np.float64] = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return found


_CURVES: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
}
"""Weight by distance, and the distance from which on it is 0."""

_BLOCK = 1024
"""Rows, and columns, that are made at once: for all of them, the weights and what is resized along
one axis may take more memory than the result."""

_PIECE = 1 << 20
"""Values that are added up at once where an output is made of more inputs than that many."""


def scaled_shape(shape: Pair, factors: tuple[float, float]) -> Pair:
    """Return rows and columns times the factors, rounded, at least 1.

    Raises
    ------
    UsageError
        A factor that is not positive.
    """
    if min(factors) <= 0:
        raise UsageError("a scale must be more than 0")
    rows, columns = (
        max(1, round(size * factor)) for size, factor in zip(shape, factors, strict=True)
    )
    return rows, columns


def resize(
    maps: NDArray[Any], shape: Pair, *, method: Method = "bilinear", antialias: bool = True
) -> NDArray[Any]:
    """Bring maps to another size.

    Parameters
    ----------
    maps : (H, W, C)
    shape : (rows, columns)
        Of the result, 1 or more.
    method : {'nearest', 'bilinear', 'bicubic'}
        ``nearest`` takes the input under each output's centre; between two, the later one.
    antialias : bool
        When shrinking, widen the curve by the same factor, so that every input counts. ``nearest``
        has none.

    Returns
    -------
    (rows, columns, C)
        Of the type of `maps` for ``nearest``; else float32 for uint8, uint16, float16 and
        float32, and float64 for all others.

    Raises
    ------
    UsageError
        An empty shape.
    """
    if min(shape) < 1:
        raise UsageError("a size must be 1 or more")
    if method == "nearest":
        rows, columns = (
            (2 * np.arange(out) + 1) * size // (2 * out)
            for size, out in zip(maps.shape, shape, strict=False)
        )
        nearest: NDArray[Any] = maps[rows[:, None], columns]
        return nearest
    small = maps.dtype.name in {"uint8", "uint16", "float16", "float32"}
    dtype = np.dtype(np.float32 if small else np.float64)
    found = np.empty((*shape, maps.shape[2]), dtype)
    for rows in _blocks(shape[0]):
        down = _some(maps, rows, shape[0], method, dtype, antialias=antialias).swapaxes(0, 1)
        for columns in _blocks(shape[1]):
            part = _some(down, columns, shape[1], method, dtype, antialias=antialias)
            found[rows, columns] = part.swapaxes(0, 1)
    return found


def _blocks(out: int) -> Iterator[slice]:
    """Cut outputs into those that are made at once."""
    for start in range(0, out, _BLOCK):
        yield slice(start, min(start + _BLOCK, out))


def _some(
    values: NDArray[Any],
    outputs: slice,
    out: int,
    method: str,
    dtype: np.dtype[Any],
    *,
    antialias: bool,
) -> NDArray[Any]:
    """Make some of the outputs along the first axis."""
    size = len(values)
    spread = max(1.0, size / out) if antialias else 1.0
    centres = (np.arange(outputs.start, outputs.stop) + 0.5) * size / out
    if spread > _BLOCK:
        means = [_mean(values, centre, method, spread) for centre in centres]
        return np.stack(means).astype(dtype)
    found = np.zeros((len(centres), *values.shape[1:]), dtype)
    places, weights = _weights(centres, size, method, spread)
    for place, weight in zip(places.T, weights.T.astype(dtype), strict=True):
        found += weight[:, None, None] * values[place]
    return found


def _weights(
    centres: NDArray[np.float64], size: int, method: str, spread: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the inputs that make each output, and their weights: two arrays (outputs, taps)."""
    curve, support = _CURVES[method]
    reach = support * spread
    first = np.floor(centres - reach).astype(np.intp)
    places = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 1)
    weights = curve(np.abs(places + 0.5 - centres[:, None]) / spread)
    weights[(places < 0) | (places >= size)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return places.clip(0, size - 1), weights


def _mean(values: NDArray[Any], centre: float, method: str, spread: float) -> NDArray[np.float64]:
    """Make one output of very many inputs, a piece of them after the other."""
    curve, support = _CURVES[method]
    begin, end = (int(np.floor(centre + sign * support * spread)) for sign in (-1, 1))
    piece = max(1, _PIECE // prod(values.shape[1:]))
    found = np.zeros(values.shape[1:])
    total = 0.0
    for place in range(max(0, begin), min(len(values), end + 1), piece):
        part = values[place : min(place + piece, end + 1)]
        weights = curve(np.abs(place + np.arange(len(part)) + 0.5 - centre) / spread)
        found += np.tensordot(weights, part, 1)
        total += weights.sum()
    return found / total
