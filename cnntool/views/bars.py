"""Bars: how much each of some maps counts, by several measures, beside the map on a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import text
from cnntool.views.display_list import DisplayList
from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import blend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TILE = 80
"""Pixels of the longer side of a tile."""

COLOURS: tuple[text.Colour, ...] = ((8, 69, 128), (233, 150, 58))
"""Of the measures, in their order."""

_ROOM = 560
"""Pixels between the ends of the longest bars to the left and to the right."""

_MARGIN, _GAP, _THICK = 20, 10, 15


class Bar(NamedTuple):
    """What counts so much.

    Parameters
    ----------
    label : str
        Its name or number.
    values : tuple of float
        How much, by each measure: shares, which are written in percent.
    tile : ndarray of uint8, shape (h, w, 3), or None
        A picture of it, see `on_photo`.
    note : str
        What stands above the bars, in a small hand.
    """

    label: str
    values: tuple[float, ...]
    tile: NDArray[np.uint8] | None = None
    note: str = ""


def on_photo(values: NDArray[Any], photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a map on a photo: a tile.

    Parameters
    ----------
    values : ndarray of shape (h, w)
        Zero leaves the photo dark; where some are below it, both signs have a colour.
    photo : ndarray of uint8, shape (H, W, 3)
        What the network saw.

    Returns
    -------
    ndarray of uint8, shape (TILE, w, 3) or (h, TILE, 3)
    """
    from PIL import Image

    maps = showable(values, 2)[None]
    signed = bool((maps < 0).any())
    levels = to_levels(maps, limits(maps, "signed" if signed else "channel"))
    factor = TILE / max(photo.shape[:2])
    size = [max(1, round(length * factor)) for length in (photo.shape[1], photo.shape[0])]
    small = np.asarray(Image.fromarray(photo).resize((size[0], size[1]), Image.Resampling.LANCZOS))
    tile: NDArray[np.uint8] = blend(levels, small, signed=signed)[0]
    return tile


def chart(
    bars: Sequence[Bar], measures: Sequence[str], *, title: str, detail: str = ""
) -> DisplayList:
    """Draw bars below each other, all on one scale.

    Parameters
    ----------
    bars : sequence of Bar
        From above.
    measures : sequence of str
        What their values measure, at most as many as there are ``COLOURS``.
    title, detail : str
        What stands above. It is shortened where there is no room.

    Raises
    ------
    UsageError
        There is nothing to draw.
    """
    if not bars:
        raise UsageError("there are no bars to draw")
    tiled = any(bar.tile is not None for bar in bars)
    labels = max(text.width(bar.label, 17) for bar in bars)
    left = _MARGIN + labels + _GAP + (TILE + _GAP if tiled else 0)
    numbers = text.width("-100.00 %", 12) + 6
    low = min(0.0, *(value for bar in bars for value in bar.values))
    high = max(0.0, *(value for bar in bars for value in bar.values))
    scale = _ROOM / ((high - low) or 1)
    zero = left + (numbers if low else 0) - low * scale
    width = round(zero + high * scale + numbers + _MARGIN)
    noted = 18 if any(bar.note for bar in bars) else 0
    row = max(TILE if tiled else 0, noted + len(measures) * (_THICK + 3)) + _GAP
    page = DisplayList(width, 84 + row * len(bars) + _MARGIN)
    room = width - 2 * _MARGIN
    page.text((_MARGIN, 28), text.fitted(title, 17, room), 17, anchor="ls")
    page.text((_MARGIN, 46), text.fitted(detail, 12, room), 12, text.FAINT, anchor="ls")
    at: float = left
    for measure, colour in zip(measures, COLOURS, strict=False):
        page.rectangle((at, 58, at + 11, 69), fill=colour)
        page.text((at + 17, 69), measure, 12, anchor="ls")
        at += 17 + text.width(measure, 12) + 2 * _GAP
    page.line((round(zero), 80, round(zero), 84 + row * len(bars)), fill=text.RULE)
    for number, bar in enumerate(bars):
        top = 84 + number * row
        middle = top + (row - _GAP) / 2
        page.text((_MARGIN + labels, middle), bar.label, 17, anchor="rm")
        if bar.tile is not None:
            page.picture((left - _GAP - TILE, top), bar.tile, smooth=True)
        page.text(
            (left, top + 11), text.fitted(bar.note, 11, width - left - _MARGIN), 11,
            text.FAINT, anchor="ls",
        )  # fmt: skip
        for place, (value, colour) in enumerate(zip(bar.values, COLOURS, strict=False)):
            above = top + noted + place * (_THICK + 3)
            end = zero + value * scale
            sides = sorted((round(zero), round(end)))
            page.rectangle((sides[0], above, sides[1], above + _THICK), fill=colour)
            before = value < 0
            page.text(
                (end + (-5 if before else 6), above + _THICK / 2), f"{value:z.2%}", 12,
                anchor="rm" if before else "lm",
            )  # fmt: skip
    return page
