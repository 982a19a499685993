"""Conversions of samples: luma, linear light, and back to whole numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.types import PEAKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LUMA = (0.299, 0.587, 0.114)
"""Weights of encoded red, green and blue in luma (ITU-R BT.601)."""

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear red, green and blue in luminance (ITU-R BT.709)."""

_BLOCK = 1 << 16
"""Pixels that are converted at a time."""


def luma(pixels: NDArray[Any], *, linear: bool = False) -> NDArray[Any]:
    """Weigh red, green and blue into one channel.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3)
        Encoded samples, or samples in linear light.
    linear : bool
        Take the weights of linear light.

    Returns
    -------
    ndarray of shape (height, width, 1)
        On the scale of `pixels`; float64 for float64, float32 for all other types.
    """
    dtype = np.float64 if pixels.dtype == np.float64 else np.float32
    weights: NDArray[Any] = np.array(LUMINANCE if linear else LUMA, dtype)
    height, width = pixels.shape[:2]
    result = np.empty((height, width, 1), dtype)
    # A few rows at a time: as floats they take four to twelve times the room.
    step = max(1, _BLOCK // width)
    for top in range(0, height, step):
        block = pixels[top : top + step].astype(dtype, copy=False)
        np.matmul(block, weights, out=result[top : top + step, :, 0])
    return result


def to_linear(values: NDArray[Any]) -> NDArray[Any]:
    """Turn encoded sRGB into linear light (IEC 61966-2-1).

    Parameters
    ----------
    values : ndarray
        uint8 or uint16 samples, or floats where 0 is black and 1 is white. Negative values are
        mirrored, values above 1 follow the formula.

    Returns
    -------
    ndarray of the same shape
        0 is black, 1 is white; float32 for whole samples, else of the type of `values`.
    """
    result: NDArray[Any]
    if values.dtype.kind == "u":
        result = _linear_table(values.dtype.name)[values]
        return result
    size = np.abs(values)
    linear = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    result = np.copysign(linear, values, dtype=values.dtype)
    return result


def from_linear(values: NDArray[Any]) -> NDArray[Any]:
    """Turn linear light into encoded sRGB (IEC 61966-2-1); the inverse of `to_linear`.

    Parameters
    ----------
    values : ndarray of float
        0 is black, 1 is white. Negative values are mirrored, values above 1 follow the formula.

    Returns
    -------
    ndarray of the same shape and type
    """
    size = np.abs(values)
    encoded = np.where(size <= 0.0031308, size * 12.92, 1.055 * size ** (1 / 2.4) - 0.055)
    result: NDArray[Any] = np.copysign(encoded, values, dtype=values.dtype)
    return result


@cache
def _linear_table(dtype: str) -> NDArray[np.float32]:
    """Return the linear light of every value of a sample type."""
    peak = int(PEAKS[dtype])
    table: NDArray[np.float32] = to_linear(np.arange(peak + 1) / peak).astype(np.float32)
    return table


def stretch(samples: NDArray[Any], maximum: int, dtype: str) -> NDArray[Any]:
    """Stretch whole numbers of 0..`maximum` to the whole range of a type, rounded.

    Parameters
    ----------
    samples : ndarray of uint8 or uint16
    maximum : int
        The value of white; no sample is above it.
    dtype : str
        ``"uint8"`` or ``"uint16"``.

    Returns
    -------
    ndarray of `dtype`
    """
    peak = int(PEAKS[dtype])
    if maximum == peak:
        return samples.astype(dtype, copy=False)
    wide = samples.astype(np.uint32) * np.uint32(peak) + np.uint32(maximum // 2)  # they just fit
    return (wide // np.uint32(maximum)).astype(dtype)


def quantize(
    values: NDArray[np.floating[Any]],
    dtype: str,
    out: NDArray[Any] | None = None,
    *,
    white: float = 1.0,
    scratch: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Round to whole samples, halves to even. Nothing wraps: what lies outside is clipped.

    Parameters
    ----------
    values : ndarray of float
        0 is black. NaN becomes black.
    dtype : str
        ``"uint8"`` or ``"uint16"``.
    out : ndarray, optional
        Where to put the result, of the shape of `values`. Where it is smaller, it gets what fits.
    white : float
        The value that becomes the largest sample.
    scratch : ndarray, optional
        Room for what lies between; it may be `values` itself, whose numbers are then lost.

    Returns
    -------
    ndarray of `dtype`
    """
    peak = PEAKS[dtype]
    scaled = np.clip(values, 0, white, out=scratch)
    if white != peak:
        scaled *= values.dtype.type(peak / white)
    np.rint(scaled, out=scaled)
    result = np.empty(values.shape, dtype) if out is None else out
    with np.errstate(invalid="ignore"):
        np.copyto(result, scaled[tuple(map(slice, result.shape))], casting="unsafe")
    return result


def count_clipped(values: NDArray[np.floating[Any]], dtype: str, *, white: float = 1.0) -> int:
    """Count the values that `quantize` changes by more than rounding does.

    Parameters
    ----------
    values : ndarray of float
        0 is black.
    dtype : str
        ``"uint8"`` or ``"uint16"``.
    white : float
        The value that becomes the largest sample.
    """
    half = values.dtype.type(0.5 * white / PEAKS[dtype])
    return int(np.count_nonzero(values < -half) + np.count_nonzero(values > white + half))
