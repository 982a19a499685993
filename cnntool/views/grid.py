"""Several maps as one tiled picture."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


GAP = 2
"""Pixels between tiles."""


def grid_shape(count: int) -> tuple[int, int]:
    """Return rows and columns of the most nearly square grid that is at least as wide as high."""
    columns = ceil(sqrt(count))
    return ceil(count / columns), columns


def arrange(
    count: int, height: int = 1, width: int = 1, columns: int | None = None
) -> tuple[int, int]:
    """Return rows and columns of a grid that looks well on a screen.

    Parameters
    ----------
    count : int
        Of tiles, at least 1.
    height, width : int
        Of a tile.
    columns : int, optional
        Tiles in a row, where that has been decided.

    Returns
    -------
    (int, int)
        Without ``columns``: of the grids from square to 16:10 the one with the fewest empty places
        (24 tiles: 4 x 6), and the most nearly square one of these.
    """
    if columns is not None:
        if columns < 1:
            raise UsageError("a grid has at least one column", source="`columns`")
        columns = min(columns, count)
        return ceil(count / columns), columns
    first = min(count, ceil(sqrt(count * height / width)))
    best = first
    for across in range(first + 1, count + 1):
        rows = ceil(count / across)
        if across * width > 1.6 * rows * height:
            break
        if rows * across < ceil(count / best) * best:
            best = across
    return ceil(count / best), best


def tile(tiles: list[NDArray[Any]], *, gap: int = GAP, fill: float = 1.0) -> NDArray[Any]:
    """Lay equally large pictures out in a grid, in reading order.

    Parameters
    ----------
    tiles : list of ndarray (H, W, C)
        With the same H, W and C.
    gap : int
        Pixels between tiles.
    fill : float
        The value of gaps and of empty places.

    Returns
    -------
    ndarray (rows * (H + gap) - gap, columns * (W + gap) - gap, C)
    """
    rows, columns = grid_shape(len(tiles))
    height, width, channels = tiles[0].shape
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, fill, tiles[0].dtype)
    for index, picture in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet
