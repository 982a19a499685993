"""Feature maps of a layer as one picture: which of them, scale, style and grid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnntool.errors import UsageError
from cnntool.views.colour_bar import of_style
from cnntool.views.contact_sheet import (
    BLANK,
    GAP,
    MARGIN,
    Caption,
    ContactSheet,
    arrange,
    enlargement,
    reduction,
)
from cnntool.views.scale import SHARED, limits, showable, to_levels
from cnntool.views.styles import Backdrop, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.display_list import DisplayList
    from cnntool.views.scale import Scale

Sort = Literal["mean", "max", "sparsity"]

SORTS: dict[Sort, str] = {
    "mean": "largest mean first",
    "max": "largest maximum first",
    "sparsity": "largest share of zeros first",
}

_HINT = "say 0-15, 3,7,20-, or top:16"


def choose(maps: NDArray[Any], selection: str = "", sort: Sort | None = None) -> NDArray[np.intp]:
    """Choose maps of a layer and put them in order.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        The layer. NaN and infinities do not count.
    selection : str
        Numbers from 0 and ranges, ``3,7``, ``0-15``, ``8-``; a range may reach past the end, but
        not begin there. ``top:16`` takes the first sixteen after sorting (by mean, if nothing else
        is said). Nothing means all maps. A map that is named twice is shown once.
    sort : {"mean", "max", "sparsity"}, optional
        See ``SORTS``; equal maps keep their order, maps without a finite value come last. By
        default the maps stay as they were named.

    Returns
    -------
    ndarray of intp, shape (n,)
        Indices of maps, at least one if the layer has one.

    Raises
    ------
    UsageError
        When the selection cannot be read, or names a map that the layer does not have.
    """
    top = re.fullmatch(r"\s*top:\s*(\d{1,9})\s*", selection, re.ASCII)
    if top:
        count = int(top[1])
        if count == 0:
            raise UsageError("top:0 leaves nothing to show", source="`maps`", hint=_HINT)
        return rank(maps, sort or "mean")[:count]
    indices = numbered(selection, len(maps))
    return indices if sort is None else indices[rank(maps[indices], sort)]


def numbered(
    selection: str, count: int, *, source: str = "`maps`", hint: str = _HINT
) -> NDArray[np.intp]:
    """Read numbers and ranges of maps, see `choose`.

    Parameters
    ----------
    selection : str
        ``3,7``, ``0-15``, ``8-``; nothing means all maps.
    count : int
        How many maps there are.
    source, hint : str
        What errors name, and what they advise.

    Raises
    ------
    UsageError
        It cannot be read, or names a map that is not there.
    """
    if not selection.strip():
        return np.arange(count)
    found: dict[int, None] = {}
    for part in selection.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:(-)\s*(\d{0,9})\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"no choice of maps: {part!r}", source=source, hint=hint)
        first = int(match[1])
        last = first if not match[2] else int(match[3]) if match[3] else max(first, count - 1)
        if last < first:
            raise UsageError(f"the range {part.strip()} is empty", source=source, hint=hint)
        if first >= count:
            reason = f"there is no map {first}: the layer has {count} (0 to {count - 1})"
            raise UsageError(reason, source=source)
        found.update(dict.fromkeys(range(first, min(last + 1, count))))
    return np.array(list(found), np.intp)


def rank(maps: NDArray[Any], sort: Sort) -> NDArray[np.intp]:
    """Return all indices of maps (C, H, W), ordered as ``SORTS`` says."""
    values = maps.astype(np.float32, copy=False)
    usable = np.isfinite(values)
    every = bool(usable.all())
    where: Any = True if every else usable
    axes = (1, 2)
    if sort == "max":
        figure = values.max(axis=axes, where=where, initial=-np.inf).astype(np.float64)
    else:
        chosen = values if sort == "mean" else values == 0
        total = chosen.sum(axis=axes, where=where, dtype=np.float64)
        size = np.full(len(values), values[0].size) if every else usable.sum(axis=axes)
        figure = np.divide(total, size, out=np.full(len(values), -np.inf), where=size > 0)
    return np.argsort(-figure, kind="stable")


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
    bar: bool | None = None,
    unit: str = "",
    margin: int = MARGIN,
    photo: NDArray[np.uint8] | None = None,
) -> DisplayList:
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
        What stands above; the scale is told behind it.
    bar : bool, optional
        Whether a colour bar stands below where all tiles have one scale; by default where there is
        a caption.
    unit : str
        What is counted, beside the bar.
    margin : int
        Pixels around everything.
    photo : ndarray of uint8, shape (H', W', 3), optional
        What the network saw; needed by the style "overlay".

    Returns
    -------
    DisplayList
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
    scale = scale or row.scale
    scene = Backdrop(scale == "signed", ends.finite, photo)
    shown = ends.of(which)
    legend = None
    known = ends.finite or bool(np.isfinite(maps).any())
    if known and shown.common and (bar if bar is not None else caption != BLANK):
        legend = of_style(row, scene, shown.low[0], shown.high[0], unit)
    board = ContactSheet(
        count,
        (shape[0] * factor, shape[1] * factor, row.channels(scene)),
        columns=columns,
        gap=gap,
        numbers=which.tolist() if numbered else None,
        caption=caption.with_scale(SHARED[scale]),
        margin=margin,
        bar=legend,
    )
    # Some rows at a time: few enough for the cache, many enough that each call is worth its price.
    step = board.columns * max(1, _BLOCK // (board.columns * height * width))
    for first in range(0, count, step):
        part = slice(first, first + step)
        values = maps[part] if chosen is None else maps[which[part]]
        levels = to_levels(averaged(values, less), ends.of(which[part]))
        board.place(first // board.columns, row.paint(levels, scene), smooth=row.on_photo)
    return board.drawing


def averaged(maps: NDArray[Any], by: int) -> NDArray[Any]:
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
