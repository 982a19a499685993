"""Colour bars: which numbers the colours of a figure stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.views.colormaps import TOP, palette
from cnntool.views.number_format import short
from cnntool.views.scale import MEASURED
from cnntool.views.text import GREY, line_height, width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.views.display_list import DisplayList
    from cnntool.views.scale import Range
    from cnntool.views.styles import Backdrop, Style

THICK, WIDEST = 10, 480
"""Pixels of a bar's height, and of its length at most."""

FRAME = (170, 170, 176)
PHOTO = 150
"""Brightness of the photo on which the colours of an overlay are shown."""


class ColourBar(NamedTuple):
    """The colours of a scale from one end to the other.

    Parameters
    ----------
    colours : ndarray of uint8, shape (n, 1 or 3)
    numbers : tuple of str
        What they stand for, from left to right: two, or three with the middle.
    unit : str
        What is counted; it stands beside the bar.
    """

    colours: NDArray[np.uint8]
    numbers: tuple[str, ...]
    unit: str = ""

    @staticmethod
    def height(size: int) -> int:
        """Return the rows that it takes with numbers of a size."""
        return _thick(size) + 3 + line_height(size)

    def draw(self, drawing: DisplayList, left: int, top: int, across: int, size: int) -> None:
        """Draw it, numbers below, with its unit in a room of so many pixels."""
        thick = _thick(size)
        if self.unit:
            across -= width(self.unit, size) + 8
            place = left + across + 8, top + thick / 2
            drawing.text(place, self.unit, size, GREY, anchor="lm")
        drawing.picture((left, top), self.colours[None], (across, thick))
        drawing.rectangle((left, top, left + across - 1, top + thick - 1), outline=FRAME)
        top += thick + 3
        first, *middle, last = self.numbers
        drawing.text((left, top), first, size, GREY, anchor="la")
        drawing.text((left + across, top), last, size, GREY, anchor="ra")
        if 2 * max(width(first, size), width(last, size)) + 30 < across:
            drawing.text((left + across / 2, top), "".join(middle), size, GREY, anchor="ma")


def of_range(
    policy: Range, limits: tuple[float, float], unit: str, *, symmetric: bool
) -> ColourBar:
    """Return the bar of a filter's result.

    Parameters
    ----------
    policy : str
        A key of ``RANGES``, whose numbers became brightness.
    limits : (float, float)
        The numbers that became black and white, where they depend on the data.
    unit : str
        What the numbers are.
    symmetric : bool
        Whether it has colours, 0 in the middle.
    """
    low, high = {"center": (-1.0, 1.0)}.get(policy, (0.0, 1.0))
    if policy in MEASURED:
        low, high = limits
    colours = palette("diverging" if symmetric else "gray")[: TOP + 1]
    ends = ("< ", "> ") if policy == "percentile" else ("", "")
    middle = ("0",) if low == -high else ()
    return ColourBar(colours, (ends[0] + short(low, 3), *middle, ends[1] + short(high, 3)), unit)


def _thick(size: int) -> int:
    return max(THICK, THICK * size // 15)


def of_style(style: Style, scene: Backdrop, low: float, high: float, unit: str) -> ColourBar:
    """Return the bar of a style whose colours reach from a low to a high number."""
    if style.on_photo:
        scene = scene._replace(photo=np.full((1, TOP + 1, 3), PHOTO, np.uint8))
    levels = np.arange(TOP + 1, dtype=np.uint8)[None, None]
    middle = ("0",) if scene.signed else ()
    numbers = (short(low, 3), *middle, short(high, 3)) if low < high else (short(low, 3), "")
    return ColourBar(style.paint(levels, scene)[0, 0], numbers, unit)
