"""The maps of a layer as one picture: scale, style and grid together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.views.board import BLANK, GAP, Board, Caption, enlargement, reduction
from cnntool.views.grid import arrange
from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import Scene, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.scale import Scale

_BLOCK = 1 << 16
"""Values that are drawn at a time."""


def sheet(
    maps: NDArray[Any],
    *,
    chosen: Sequence[int] | NDArray[np.intp] | None = None,
    style: str = "gray",
    scale: Scale | None = None,
    columns: int | None = None,
    upscale: int | None = None,
    gap: int = GAP,
    numbered: bool = True,
    caption: Caption = BLANK,
    photo: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Draw the maps of a layer, each as a tile.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        All maps of the layer: floats, whole numbers or bool.
    chosen : sequence of int, optional
        Which maps to show, in this order; by default all.
    style : str
        A key of ``STYLES``.
    scale : {"channel", "layer", "percentile", "signed"}, optional
        A key of ``SCALES``; by default the one that suits the style.
    columns : int, optional
        Tiles in a row; by default the grid is nearly square.
    upscale : int, optional
        Pixels that each value gets in both directions. By default small maps grow until they are
        easy to see, and large ones are averaged until the sheet has about 4096 pixels.
    gap : int
        Pixels between tiles.
    numbered : bool
        Whether each tile shows which map it is.
    caption : Caption
        What stands above.
    photo : ndarray of uint8, shape (H', W', 3), optional
        What the network saw; needed by the style "overlay".

    Returns
    -------
    ndarray of uint8, shape (height, width, 1 or 3)
        One channel in shades of grey, unless a value is not finite. NaN is magenta, an infinity
        has the colour of the nearest limit, a dead map that of zero: black, or the middle of
        "signed".

    Raises
    ------
    UsageError
        When there is nothing to show, when a photo is missing, or when the picture would be
        larger than a hundred million pixels.
    """
    maps, row = showable(maps, 3), find(style)
    if upscale is not None and upscale < 1:
        raise UsageError("a value gets at least one pixel", source="`upscale`")
    ends = limits(maps, scale or row.scale)
    which = np.arange(len(maps)) if chosen is None else np.asarray(chosen, np.intp)
    if not len(which):
        raise UsageError("no map was chosen")
    count, height, width = len(which), *maps.shape[1:]
    shape = height, width
    if row.on_photo:
        if photo is None:
            raise UsageError(f"the style {style} needs the photo", source="`style`")
        shape = _on_photo(count, shape, photo.shape[:2], columns, upscale)
        photo = _resized(photo, shape)
        less = factor = 1
    else:
        less = reduction(count, height, width, columns) if upscale is None else 1
        shape = -(-height // less), -(-width // less)
        factor = upscale or enlargement(count, *shape, columns)
    scene = Scene((scale or row.scale) == "signed", ends.finite, photo)
    board = Board(
        count,
        (shape[0] * factor, shape[1] * factor, row.channels(scene)),
        columns=columns,
        gap=gap,
        numbers=which.tolist() if numbered else None,
        caption=caption,
    )
    # Some rows at a time: few enough for the cache, many enough that each call is worth its price.
    step = board.columns * max(1, _BLOCK // (board.columns * height * width))
    for first in range(0, count, step):
        part = slice(first, first + step)
        values = maps[part] if chosen is None else maps[which[part]]
        levels = to_levels(_averaged(values, less), ends.of(which[part]))
        board.place(first // board.columns, row.paint(levels, scene))
    return board.pixels


def _averaged(maps: NDArray[Any], by: int) -> NDArray[Any]:
    """Shrink maps (n, H, W) by a whole number; NaN and infinities taint what they fall into."""
    if by == 1:
        return maps
    from PIL import Image

    floats = maps.astype(np.float32)
    return np.stack([np.asarray(Image.fromarray(values).reduce(by)) for values in floats])


def _on_photo(
    count: int,
    map_shape: tuple[int, int],
    photo_shape: tuple[int, int],
    columns: int | None,
    upscale: int | None,
) -> tuple[int, int]:
    """Return the tile's shape where a map lies on a photo: the photo's, at a size that fits."""
    if upscale is not None:
        return map_shape[0] * upscale, map_shape[1] * upscale
    height, width = photo_shape
    rows, across = arrange(count, height, width, columns)
    factor = min(2, 512 / max(height, width), 1400 / (across * width), 1400 / (rows * height))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _resized(photo: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    from PIL import Image

    if photo.shape[:2] == shape:
        return photo
    small = Image.fromarray(photo).resize((shape[1], shape[0]), Image.Resampling.LANCZOS)
    return np.asarray(small)
