"""Text and cells in drawn figures, in the small font that comes with Pillow.

Pillow is imported by the functions that draw. Boxes are (left, top, right, bottom) in pixels, as
Pillow wants them.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

CAPTION_INK = (38, 38, 42)
"""Of titles."""

GREY = (118, 118, 124)
"""Of everything that is said in a low voice."""

_TWINS = str.maketrans({"\N{MULTIPLICATION SIGN}": "x", "\N{MINUS SIGN}": "-"})

COVERED = "©«°±´·»‘’“”…‹›⁄™"  # noqa: RUF001
"""What the font has beside the letters, digits and signs of ASCII."""


def plain(text: str) -> str:
    r"""Return text in letters that the font has.

    Others lose their accents, or are escaped: a control character as ``\x1b``, other scripts as
    ``\u4e2d``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_covered(letter) for letter in text)


def _covered(letter: str) -> str:
    if letter in COVERED:
        return letter
    base = unicodedata.normalize("NFKD", letter.translate(_TWINS))
    base = "".join(c for c in base if not unicodedata.combining(c))
    if base.isascii() and base.isprintable():
        return base
    return letter.encode("unicode_escape").decode("ascii")


@cache
def font(size: float) -> Any:
    """Return the font that Pillow carries (Aileron, public domain) at a size in pixels."""
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):  # a Pillow without FreeType: one size for everything
        return ImageFont.load_default()


@cache
def metrics(size: float) -> tuple[float, float]:
    """Return how far the font reaches above and below the line that letters stand on."""
    above, below = getattr(font(size), "getmetrics", lambda: (0.8 * size, 0.2 * size))()
    return float(above), float(below)


@cache
def line_height(size: float) -> int:
    """Return the pixels from one line to the next."""
    return int(font(size).getbbox("Ag")[3]) + int(size) // 4


@lru_cache(maxsize=256)
def width(text: str, size: float) -> int:
    """Return the width of a line of text, in pixels."""
    return int(np.ceil(font(size).getlength(plain(text))))


def fitted(text: str, size: int, room: int) -> str:
    """Shorten text in its middle until it is at most ``room`` pixels wide."""
    text = plain(text)
    if width(text, size) <= room:
        return text
    keep = len(text) - 1
    while keep > 0:
        short = text[: (keep + 1) // 2] + "..." + text[len(text) - keep // 2 :]
        if width(short, size) <= room:
            return short
        keep -= 1
    return ""


def wrapped(text: str, size: int, room: int) -> list[str]:
    """Break text into lines of at most ``room`` pixels: at spaces, and inside of longer words."""
    lines = [""]
    for word in plain(text).split():
        joined = f"{lines[-1]} {word}".lstrip()
        if width(joined, size) <= room:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and width(lines[-1] + letter, size) > room:
                lines.append("")
            lines[-1] += letter
    return lines


@lru_cache(maxsize=256)
def mask(text: str, size: float) -> NDArray[np.uint8]:
    """Draw a line of text.

    Parameters
    ----------
    text : str
        Letters that the font lacks are replaced, see `plain`.
    size : float
        Of the font, in pixels.

    Returns
    -------
    ndarray of uint8, shape (line height, width)
        How much ink lies on each pixel, 0 to 255.
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("L", (max(1, width(text, size)), line_height(size)))
    ImageDraw.Draw(sheet).text((0, 0), plain(text), font=font(size), fill=255)
    return np.asarray(sheet)


Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (38, 50, 66)
FAINT: Colour = (120, 132, 147)
RULE: Colour = (203, 211, 220)

SMALLEST_TEXT = 9
"""Pixels below which a number is not drawn: nobody could read it."""


def width_of(text: str, size: float) -> float:
    """Return how many pixels a text is wide."""
    return float(font(size).getlength(plain(text)))


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


def grown(box: Box, by: float = 1) -> Box:
    """Return a box that is larger by some pixels on every side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def dashed_box(draw: Any, box: Box, colour: Colour, dash: int = 4) -> None:
    """Add the outline of a box in dashes to a display list."""
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
