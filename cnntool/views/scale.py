"""Scaling: how numbers become brightness, for filters' results and feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.shapes.text import shape_text
from cnntool.views.colormaps import MARK, TOP

if TYPE_CHECKING:
    from numpy.typing import NDArray

Range = Literal["clip", "abs", "center", "minmax", "percentile", "signed", "raw"]

RANGES: dict[Range, str] = {
    "clip": "values below 0 become 0, above 1 become 1",
    "abs": "absolute values",
    "center": "0 becomes mid-grey, -1 black, 1 white",
    "minmax": "the smallest value becomes black, the largest white",
    "percentile": "the 1st percentile becomes black, the 99th white; derivatives as with signed, up"
    " to the 99th percentile of their magnitude",
    "signed": "0 in the middle, the largest magnitude at both ends; one channel in colours: blue"
    " below 0, red above",
    "raw": "the numbers as they are",
}

AUTOMATIC: dict[str, Range] = {"smooth": "clip", "magnitude": "clip", "signed": "center"}
"""The policy that each kind of result takes by itself: a fact of the kernel, not of the data."""

MEASURED: tuple[Range, ...] = ("minmax", "percentile", "signed")
"""The policies that need limits, which are those of the data."""

Scale = Literal["channel", "layer", "percentile", "signed"]

SCALES: dict[Scale, str] = {
    "channel": "each map from its own smallest to its own largest value",
    "layer": "all maps from the smallest to the largest value of the layer",
    "percentile": "all maps from the layer's 1st to its 99th percentile",
    "signed": "each map from -m to m, its own largest magnitude, with 0 in the middle",
}

SHARED: dict[Scale, str] = {
    "channel": "scale per map",
    "layer": "scale per layer",
    "percentile": "scale per layer, without 2 %",
    "signed": "scale per map, 0 in the middle",
}
"""What has a scale of its own, in the words of captions."""

_TINY = 1e-30
"""A gain that turns every finite value into level 0, and infinity still into the top level."""


def extremes(maps: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the smallest and the largest finite value, (0, 1) where there is none."""
    finite = maps[np.isfinite(maps)] if not np.isfinite(maps).all() else maps
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def is_symmetric(policy: Range, sign: str) -> bool:
    """Whether limits lie equally far from 0, which is worth two hues.

    Parameters
    ----------
    policy : Range
    sign : {"smooth", "magnitude", "signed"}
        What the values mean, see ``AUTOMATIC``.
    """
    return policy == "signed" or (policy == "percentile" and sign == "signed")


def range_limits(
    maps: NDArray[np.floating[Any]], policy: Range, *, symmetric: bool = False
) -> tuple[float, float]:
    """Return the values that become 0 and 1.

    Parameters
    ----------
    maps : ndarray of float, any shape
        NaN and infinities do not count.
    policy : {"minmax", "percentile", "signed"}
        Where percentiles are equal, as of a map that is nearly all zeros, the ends count.
    symmetric : bool
        Whether 0 is the middle, see `is_symmetric`.
    """
    low, high = extremes(maps)
    if policy == "percentile":
        finite = maps[np.isfinite(maps)]
        if finite.size and symmetric:
            most = float(np.percentile(np.abs(finite), 99))
            low, high = (-most, most) if most > 0 else (low, high)
        elif finite.size:
            inner = np.percentile(finite, [1, 99])
            low, high = map(float, inner) if inner[0] < inner[1] else (low, high)
    if symmetric:
        most = max(-low, high) or 1.0
        return -most, most
    return low, high


def to_unit(
    maps: NDArray[np.floating[Any]], policy: Range, limits: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.floating[Any]]:
    """Move numbers to where 0 is black and 1 is white, in place; nothing is clipped yet.

    Parameters
    ----------
    maps : ndarray of float, any shape
        Changed in place.
    policy : {"clip", "abs", "center", "minmax", "percentile", "signed", "raw"}
        See ``RANGES``.
    limits : (float, float)
        For those of ``MEASURED``: the values that become 0 and 1. Equal limits give 0.

    Returns
    -------
    ndarray
        ``maps`` itself.
    """
    if policy == "abs":
        np.abs(maps, out=maps)
    elif policy == "center":
        maps *= 0.5
        maps += 0.5
    elif policy in MEASURED:
        low, high = limits
        maps -= maps.dtype.type(low)
        maps *= maps.dtype.type(1 / (high - low) if high > low else 0)
    return maps


def showable(values: NDArray[Any], dimensions: int) -> NDArray[Any]:
    """Refuse what is no picture, and turn float64 into float32: what is too large is infinite.

    Parameters
    ----------
    values : ndarray
        What somebody wants to see.
    dimensions : int
        How many it must have.

    Returns
    -------
    ndarray of the same shape
        Of real numbers or bool.

    Raises
    ------
    UsageError
        For another number of dimensions, for no values at all, and for what is no real number.
    """
    if values.ndim != dimensions or not values.size:
        shape = shape_text(values.shape, scalar="()")
        reason = f"there are {dimensions} dimensions to show, and some values in each"
        raise UsageError(f"{reason}: not {shape}")
    if values.dtype.kind not in "fiub":
        raise UsageError(f"values of type {values.dtype} cannot be shown")
    if values.dtype.itemsize <= 4 or values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


class ScaleLimits(NamedTuple):
    """What becomes the darkest and the brightest level.

    Attributes
    ----------
    low, high : ndarray of float64, shape (C,)
        Of each map. Equal where a map has nothing to show: it gets level 0.
    finite : bool
        Whether all values of the layer are finite.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    finite: bool

    @property
    def common(self) -> bool:
        """Whether all maps have the same."""
        return bool((self.low == self.low[0]).all() and (self.high == self.high[0]).all())

    def of(self, which: slice | NDArray[np.intp]) -> ScaleLimits:
        """Return the limits of some of the maps."""
        return ScaleLimits(self.low[which], self.high[which], self.finite)


def limits(maps: NDArray[Any], scale: Scale) -> ScaleLimits:
    """Find the limits of the maps of a layer.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        float16, float32, whole numbers or bool. NaN and infinities do not count.
    scale : {"channel", "layer", "percentile", "signed"}
        See ``SCALES``. Where the percentiles are equal, as in a layer that is nearly all zeros,
        "percentile" means "layer".

    Returns
    -------
    ScaleLimits
        Differences of a few rounding errors are no structure: such a map counts as constant.
    """
    low, high, finite = _ends(maps)
    if scale == "signed":
        high = np.maximum(np.abs(low), np.abs(high))
        high[~(high > 0)] = 1  # all zeros, or nothing finite
        return ScaleLimits(-high, high, finite)
    if scale != "channel":
        ends = (np.fmin.reduce(low), np.fmax.reduce(high))
        if scale == "percentile":
            values = maps if finite else maps[np.isfinite(maps)]
            inner = np.percentile(values, [1, 99]) if values.size else ends
            ends = (inner[0], inner[1]) if inner[0] < inner[1] else ends
        low[:], high[:] = ends
    low, high = np.nan_to_num(low), np.nan_to_num(high)
    noise = 4 * np.finfo(maps.dtype).eps if maps.dtype.kind == "f" else 0
    flat = high - low <= noise * np.maximum(np.abs(low), np.abs(high))
    high[flat] = low[flat]
    return ScaleLimits(low, high, finite)


def _ends(maps: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Return the smallest and the largest finite value of each map, NaN where there is none."""
    low = maps.min(axis=(1, 2)).astype(np.float64)
    high = maps.max(axis=(1, 2)).astype(np.float64)
    finite = bool(np.isfinite(low).all() and np.isfinite(high).all())
    if not finite:
        usable = np.isfinite(maps)
        low = np.where(usable, maps, np.inf).min(axis=(1, 2)).astype(np.float64)
        high = np.where(usable, maps, -np.inf).max(axis=(1, 2)).astype(np.float64)
        low[np.isinf(low)] = high[np.isinf(high)] = np.nan
    return low, high, finite


def to_levels(maps: NDArray[Any], limits: ScaleLimits) -> NDArray[np.uint8]:
    """Turn numbers into levels of a palette: 255 equal steps from the low to the high limit.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        float16, float32, whole numbers or bool.
    limits : ScaleLimits
        Of these maps. What lies outside, infinities too, gets the level of the nearer limit.

    Returns
    -------
    ndarray of uint8, shape (C, H, W)
        0 to 254, and 255 where a value is not a number.
    """
    low, span = limits.low, limits.high - limits.low
    some = span[span > 0]
    extreme = some.size and (some.max() > 1e38 or np.abs(low).max() > 1e38 or some.min() < 1e-35)
    dtype = np.float64 if extreme else np.float32
    # A hair less than 255, so that the largest value falls into the last step.
    gain = np.divide(TOP + 0.999, span, out=np.full_like(span, _TINY), where=span > 0)
    values: NDArray[Any] = np.subtract(maps, low.astype(dtype)[:, None, None], dtype=dtype)
    values *= gain.astype(dtype)[:, None, None]
    np.clip(values, 0, TOP, out=values)
    if not limits.finite:
        values[np.isnan(values)] = MARK
    levels: NDArray[np.uint8] = values.astype(np.uint8)
    return levels
