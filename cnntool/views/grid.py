"""Several maps as one tiled picture."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


GAP = 2
"""Pixels between tiles."""


def grid_shape(count: int) -> tuple[int, int]:
    """Return rows and columns of the most nearly square grid that is at least as wide as high."""
    columns = ceil(sqrt(count))
    return ceil(count / columns), columns


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
