"""How numbers become brightness: the range policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Range = Literal["clip", "abs", "center", "minmax", "raw"]

RANGES: dict[Range, str] = {
    "clip": "values below 0 become 0, above 1 become 1",
    "abs": "absolute values",
    "center": "0 becomes mid-grey, -1 black, 1 white",
    "minmax": "the smallest value becomes black, the largest white",
    "raw": "the numbers as they are",
}

AUTOMATIC: dict[str, Range] = {"smooth": "clip", "magnitude": "clip", "signed": "center"}
"""The policy that each kind of result takes by itself: a fact of the kernel, not of the data."""


def extremes(maps: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the smallest and the largest finite value, (0, 1) where there is none."""
    finite = maps[np.isfinite(maps)] if not np.isfinite(maps).all() else maps
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def to_unit(
    maps: NDArray[np.floating[Any]], policy: Range, limits: tuple[float, float] = (0.0, 1.0)
) -> NDArray[np.floating[Any]]:
    """Move numbers to where 0 is black and 1 is white, in place; nothing is clipped yet.

    Parameters
    ----------
    maps : ndarray of float, any shape
        Changed in place.
    policy : {"clip", "abs", "center", "minmax", "raw"}
        See ``RANGES``.
    limits : (float, float)
        For "minmax": the values that become 0 and 1. Equal limits give 0.

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
    elif policy == "minmax":
        low, high = limits
        maps -= maps.dtype.type(low)
        maps *= maps.dtype.type(1 / (high - low) if high > low else 0)
    return maps
