"""Differences of two layers as one picture: maps of either on one scale, and what lies between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.errors import UsageError
from cnntool.views.captioned import Cell, table
from cnntool.views.colormaps import TOP, palette
from cnntool.views.colour_bar import ColourBar
from cnntool.views.contact_sheet import ContactSheet, enlargement, reduction
from cnntool.views.number_format import short
from cnntool.views.scale import ScaleLimits, extremes, to_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.display_list import DisplayList

MOST = 36
"""Maps that are drawn, unless others are chosen."""


def difference_sheet(
    a: NDArray[np.generic],
    b: NDArray[np.generic],
    chosen: Sequence[int],
    *,
    titles: tuple[str, str, str] = ("A", "B", "B - A"),
    details: tuple[str, str, str] = ("", "", ""),
) -> DisplayList:
    """Draw maps of a layer and of its partner, and their differences, as three grids.

    Parameters
    ----------
    a, b : ndarray of shape (C, H, W) or (n,)
        Maps, or vectors, whose values are maps of one place then.
    chosen : sequence of int
        Which maps to show, in this order.
    titles, details : tuple of str
        What stands above the grids.

    Returns
    -------
    DisplayList
        Both layers have one scale, from the smallest to the largest value that is drawn; the
        difference has 0 in the middle. NaN is magenta.

    Raises
    ------
    UsageError
        There is nothing to show.
    """
    which = np.asarray(chosen, np.intp)
    if not which.size:
        raise UsageError("no map was chosen")
    with np.errstate(invalid="ignore", over="ignore"):
        ours, theirs = (
            values.reshape(len(values), *(values.shape[1:] or (1, 1)))[which].astype(np.float32)
            for values in (a, b)
        )
        between = theirs - ours
    low, high = extremes(np.stack([ours, theirs]))
    most = max(map(abs, extremes(between))) if np.isfinite(between).any() else 1.0
    cells = [
        _cell(maps, ends, which, title, detail)
        for maps, ends, title, detail in zip(
            (ours, theirs, between),
            ((low, high), (low, high), (-(most or 1.0), most or 1.0)),
            titles,
            details,
            strict=True,
        )
    ]
    return table([cells])


def _cell(
    maps: NDArray[np.float32],
    ends: tuple[float, float],
    numbers: NDArray[np.intp],
    title: str,
    detail: str,
) -> Cell:
    """Draw one grid, with its caption and its colour bar; what has 0 in the middle has two hues."""
    signed = ends[0] == -ends[1]
    count, height, width = maps.shape
    less = reduction(count, height, width)
    factor = enlargement(count, -(-height // less), -(-width // less), largest=128)
    limits = ScaleLimits(np.full(count, ends[0]), np.full(count, ends[1]), finite=False)
    levels = to_levels(maps[:, ::less, ::less], limits)
    shades = palette("diverging" if signed else "viridis")
    grid = ContactSheet(
        count,
        (levels.shape[1] * factor, levels.shape[2] * factor, 3),
        numbers=numbers.tolist(),
        margin=0,
    )
    grid.place(0, shades[levels])
    middle = ("0",) if signed else ()
    told = short(ends[0], 3), *middle, short(ends[1], 3)
    return Cell(grid.drawing, title, (detail,), ColourBar(shades[: TOP + 1], told))
