"""Text on pictures, in the small font that comes with Pillow."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INK = (38, 38, 42)
"""Of titles."""

GREY = (118, 118, 124)
"""Of everything that is said in a low voice."""

_TWINS = str.maketrans({"\N{MULTIPLICATION SIGN}": "x", "\N{MINUS SIGN}": "-"})


def plain(text: str) -> str:
    """Return text in letters that the font has: others lose their accents or become ``?``."""
    if text.isascii() and text.isprintable():
        return text
    letters = unicodedata.normalize("NFKD", text.translate(_TWINS))
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in letters)


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size)
    except (ImportError, OSError):  # a Pillow without FreeType: one size for everything
        return ImageFont.load_default()


@cache
def line_height(size: int) -> int:
    """Return the pixels from one line to the next."""
    return int(_font(size).getbbox("Ag")[3]) + size // 4


@lru_cache(maxsize=256)
def width(text: str, size: int) -> int:
    """Return the width of a line of text, in pixels."""
    return int(np.ceil(_font(size).getlength(plain(text))))


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


@lru_cache(maxsize=256)
def mask(text: str, size: int) -> NDArray[np.uint8]:
    """Draw a line of text.

    Parameters
    ----------
    text : str
        Letters that the font lacks are replaced, see `plain`.
    size : int
        Of the font, in pixels.

    Returns
    -------
    ndarray of uint8, shape (line height, width)
        How much ink lies on each pixel, 0 to 255.
    """
    from PIL import Image, ImageDraw

    sheet = Image.new("L", (max(1, width(text, size)), line_height(size)))
    ImageDraw.Draw(sheet).text((0, 0), plain(text), font=_font(size), fill=255)
    return np.asarray(sheet)


def stamp(
    canvas: NDArray[np.uint8],
    ink: NDArray[np.uint8],
    row: int,
    column: int,
    colour: tuple[int, int, int] = INK,
) -> None:
    """Put a mask on a picture, in place; what lies outside is cut off.

    Parameters
    ----------
    canvas : ndarray of uint8, shape (H, W, 1 or 3)
        A picture of one channel gets the red of the colour.
    ink : ndarray of uint8, shape (h, w)
        See `mask`.
    row, column : int
        Where the mask's upper left corner goes.
    colour : (int, int, int)
        Red, green, blue.
    """
    place = canvas[row : row + ink.shape[0], column : column + ink.shape[1]]
    share = ink[: place.shape[0], : place.shape[1], None].astype(np.int32)
    place[:] = place + (np.array(colour[: canvas.shape[2]]) - place) * share // 255


@cache
def _digits(size: int) -> NDArray[np.uint8]:
    """Return the ten digits and a space, all of one width, shape (11, height, width)."""
    drawn = [mask(digit, size) for digit in "0123456789"]
    wide = max(digit.shape[1] for digit in drawn)
    glyphs = np.zeros((11, line_height(size), wide), np.uint8)
    for glyph, digit in zip(glyphs, drawn, strict=False):
        glyph[:, : digit.shape[1]] = digit
    return glyphs


def number_masks(numbers: Sequence[int], size: int) -> NDArray[np.uint8]:
    """Draw many whole numbers at once, each at the left of its mask.

    Returns
    -------
    ndarray of uint8, shape (n, line height, width)
        How much ink lies on each pixel, 0 to 255.
    """
    longest = len(str(max(numbers)))
    text = f"%-{longest}d" * len(numbers) % tuple(numbers)
    text = text.replace(" ", chr(ord("9") + 1))
    which = np.frombuffer(text.encode(), np.uint8).reshape(len(numbers), longest) - ord("0")
    strips = _digits(size)[which].swapaxes(1, 2)
    return strips.reshape(*strips.shape[:2], -1)
