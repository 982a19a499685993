"""Legends of maps of classes: a colour, a name and a share for each; and such maps on a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.image.convert import luma
from cnntool.views.display_list import DisplayList
from cnntool.views.text import CAPTION_INK, FAINT, GREY, Colour, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LINE, SWATCH, TEXT = 24, 16, 14
"""Pixels of a line, of its colour, and of letters."""

COVER = 0.5
"""How much of the photo the colours of classes hide."""


def draw(entries: Sequence[tuple[Colour, str, str]], height: int) -> DisplayList:
    """Draw a legend.

    Parameters
    ----------
    entries : sequence of (colour, name, share)
        From above.
    height : int
        Rows that there are; what has no room is counted in the last line.
    """
    room = max(3, height // LINE)
    shown, rest = list(entries), 0
    if len(shown) > room:
        rest = len(shown) - room + 1
        shown = shown[: room - 1]
    names = max((width(name, TEXT) for _, name, _ in shown), default=0)
    shares = max((width(share, TEXT) for _, _, share in shown), default=0)
    across = SWATCH + 10 + names + 16 + shares
    drawing = DisplayList(across, LINE * (len(shown) + bool(rest)))
    for line, (colour, name, share) in enumerate(shown):
        middle = LINE * line + LINE / 2
        top = round(middle - SWATCH / 2)
        drawing.rectangle((0, top, SWATCH - 1, top + SWATCH - 1), colour, FAINT)
        drawing.text((SWATCH + 10, middle), name, TEXT, CAPTION_INK, anchor="lm")
        drawing.text((across, middle), share, TEXT, GREY, anchor="rm")
    if rest:
        place = SWATCH + 10, LINE * len(shown) + LINE / 2
        drawing.text(place, f"and {rest} more", TEXT, GREY, anchor="lm")
    return drawing


def on_photo(colours: NDArray[np.uint8], photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay the colours of classes, (h, w, 3), on a photo in shades of grey; black hides nothing."""
    from PIL import Image

    size = colours.shape[1], colours.shape[0]
    ground = luma(np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)))
    cover = COVER * colours.any(axis=2, keepdims=True)  # black is the background's
    mixed: NDArray[np.uint8] = np.rint(cover * colours + (1 - cover) * ground).astype(np.uint8)
    return mixed
