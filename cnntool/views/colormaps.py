"""Colour maps: from a level to red, green and blue.

A table has 256 rows. Rows 0 to 254 are the shades, so that row 127 is the exact middle; row 255 is
the mark of what is not a number.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP = 254
"""The level of the largest value; 0 is the level of the smallest."""

MARK = 255
"""The level of what is not a number."""

MARK_COLOUR = (255, 0, 255)
"""Magenta: in no palette."""

CONTROL_POINTS: dict[str, str] = {
    "gray": "000000 ffffff",
    # 33 evenly spaced rows of matplotlib's tables, which are CC0. What lies between is off by two
    # 255ths at most. https://bids.github.io/colormap
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d "
        "2f6a8e 2c728e 297a8e 26818e 23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b "
        "3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 d5e21a eae51a fde725"
    ),
    "magma": (
        "000004 030311 0a0822 130d33 1d1146 28115a 36106a 430f76 50127c 5d177f 691c81 "
        "762181 822681 8f2a81 9c2e7f a9327d b63779 c33b75 cf4170 db486a e65163 ee5c5e "
        "f5695c f9785d fb8761 fd9668 fea571 feb47b fec387 fed194 fde0a2 fceeb0 fcfdbf"
    ),
    # Our own. In CIELAB the lightness falls evenly from 96 in the middle to 32 at both ends, the
    # hues are 272 and 28 degrees, and the chroma stays inside of sRGB.
    "diverging": (
        "0a4e82 105790 17619f 1f6bad 2975bb 347fc8 418ad4 5194de 639ee5 77a8ea 8ab3ee "
        "9cbdf0 aec8f2 c0d3f4 d1ddf5 e2e8f4 f3f3f3 f8e4e2 f9d4d1 f9c5c0 f8b6b1 f6a7a1 "
        "f49892 f08983 ea7a75 e46c68 db5e5c d15251 c54748 b83c3f ab3236 9e282e 911e27"
    ),
}
"""Evenly spaced colours of each palette; the shades between them are on straight lines."""


def shades(name: str, unit: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Colour numbers finer than in levels.

    Parameters
    ----------
    name : {"gray", "viridis", "magma", "diverging"}
        A key of `CONTROL_POINTS`.
    unit : ndarray of float, shape (H, W)
        0 to 1; what lies outside gets the colour of the nearer end.

    Returns
    -------
    ndarray of the same type, shape (H, W, 3)
        0 to 1. What is not a number is marked.
    """
    table = palette(name) / 255
    places = np.linspace(0, 1, TOP + 1)
    coloured = np.empty((*unit.shape, 3), unit.dtype)
    for channel in range(3):
        coloured[..., channel] = np.interp(unit, places, table[: TOP + 1, channel])
    coloured[np.isnan(unit)] = table[MARK]
    return coloured


@cache
def palette(name: str) -> NDArray[np.uint8]:
    """Return a colour table.

    Parameters
    ----------
    name : {"gray", "viridis", "magma", "diverging"}
        A key of `CONTROL_POINTS`.

    Returns
    -------
    ndarray of uint8, shape (256, 3)
        Not writable.
    """
    points = np.frombuffer(bytes.fromhex(CONTROL_POINTS[name]), np.uint8).reshape(-1, 3)
    where = np.linspace(0, len(points) - 1, TOP + 1)
    table = np.empty((256, 3), np.uint8)
    for channel in range(3):
        shades = np.interp(where, np.arange(len(points)), points[:, channel])
        table[: TOP + 1, channel] = np.rint(shades)
    table[MARK] = MARK_COLOUR
    table.flags.writeable = False
    return table
