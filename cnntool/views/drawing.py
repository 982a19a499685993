"""What drawn figures share: colours, text that fits, cells with numbers in them.

Pillow is imported by the functions that draw. Boxes are (left, top, right, bottom) in pixels, as
Pillow wants them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (38, 50, 66)
FAINT: Colour = (120, 132, 147)
RULE: Colour = (203, 211, 220)

SMALLEST_TEXT = 9
"""Pixels below which a number is not drawn: nobody could read it."""


@cache
def font(size: int) -> FreeTypeFont:
    """Return the font that Pillow carries (Aileron, public domain) at a size in pixels."""
    from PIL import ImageFont

    found: Any = ImageFont.load_default(size)
    return found  # type: ignore[no-any-return]


def width_of(text: str, size: int) -> float:
    """Return how many pixels a text is wide."""
    return font(size).getlength(text)


def fitting_size(texts: Iterable[str], width: float, largest: int) -> int:
    """Return the size at which the widest text fits a width; 0 if none can be read.

    Parameters
    ----------
    texts : iterable of str
    width : float
        Pixels that there are.
    largest : int
        The size to take if there is room.
    """
    widest = max((width_of(text, 100) for text in set(texts)), default=0.0)
    size = min(largest, int(100 * width / widest)) if widest else largest
    return size if size >= SMALLEST_TEXT else 0


def write(
    draw: ImageDraw, place: tuple[float, float], text: str, size: int, ink: Colour = INK,
    *, anchor: str = "mm",
) -> None:  # fmt: skip
    """Write a text; `anchor` is Pillow's: ``mm`` centres it on the place, ``ls`` begins there."""
    draw.text(place, text, font=font(size), fill=ink, anchor=anchor)


def dashed_box(draw: ImageDraw, box: Box, colour: Colour, dash: int = 4) -> None:
    """Draw the outline of a box in dashes."""
    left, top, right, bottom = (round(side) for side in box)
    for start in range(left, right, 2 * dash):
        for y in (top, bottom):
            draw.line((start, y, min(start + dash, right), y), fill=colour)
    for start in range(top, bottom, 2 * dash):
        for x in (left, right):
            draw.line((x, start, x, min(start + dash, bottom)), fill=colour)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; share 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ramp(values: ArrayLike, stops: Iterable[Colour]) -> NDArray[np.uint8]:
    """Colour numbers along evenly spaced stops.

    Parameters
    ----------
    values : array_like, any shape
        0 is the first stop, 1 the last; what lies outside is clipped.
    stops : iterable of (red, green, blue)

    Returns
    -------
    ndarray (..., 3) of uint8
    """
    table = np.array(list(stops), np.float64)
    at = np.clip(np.asarray(values, np.float64), 0, 1)
    places = np.linspace(0, 1, len(table))
    channels = [np.interp(at, places, table[:, channel]) for channel in range(3)]
    coloured: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return coloured
