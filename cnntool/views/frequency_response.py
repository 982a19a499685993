"""The size of a frequency response as a picture with axes and a scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.views.colormaps import TOP, palette
from cnntool.views.display_list import DisplayList
from cnntool.views.number_format import short
from cnntool.views.text import FAINT, SMALLEST_TEXT, fitted, fitting_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE = 321
"""Pixels of a response, a sample each."""

LEFT, RIGHT, HEAD, FOOT = 84, 96, 56, 64
BAR_GAP, BAR_WIDTH = 22, 16
MOST_ACROSS = 4
TICKS = (-0.5, -0.25, 0.0, 0.25, 0.5)
COLOURS = "viridis"


def picture(responses: Sequence[tuple[str, NDArray[np.float64]]]) -> DisplayList:
    """Draw responses side by side, on one scale from 0 to the largest.

    Parameters
    ----------
    responses : sequence of (title, ndarray (SIDE, SIDE))
        A second line of a title stands below it, in small letters.
        Row frequencies down, column frequencies across, from -1/2 to 1/2 cycles a pixel.
    """
    largest = max(float(size.max()) for _, size in responses) or 1.0
    width, height = LEFT + SIDE + RIGHT, HEAD + SIDE + FOOT
    across = min(len(responses), MOST_ACROSS)
    drawing = DisplayList(width * across, height * -(-len(responses) // across))
    for number, (title, size) in enumerate(responses):
        row, column = divmod(number, across)
        left, top = column * width + LEFT, row * height + HEAD
        name, _, facts = title.partition("\n")
        middle = left + SIDE / 2
        drawing.text((middle, top - (36 if facts else 28)), fitted(name, 17, width - 20), 17)
        room = width - 20
        small = fitting_size([facts], room, 13) or SMALLEST_TEXT
        drawing.text((middle, top - 15), fitted(facts, small, room), small, FAINT)
        drawing.picture((left, top), _coloured(size / largest), smooth=True)
        _axes(drawing, left, top)
        scale = np.linspace(1, 0, SIDE)[:, None]
        bar = left + SIDE + BAR_GAP
        drawing.picture((bar, top), _coloured(scale), (BAR_WIDTH, SIDE))
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = top + (SIDE - 1) * (1 - share)
            drawing.line((bar + BAR_WIDTH, y, bar + BAR_WIDTH + 4, y), FAINT)
            drawing.text((bar + BAR_WIDTH + 8, y), short(share * largest, 3), 13, anchor="lm")
    return drawing


def _coloured(unit: NDArray[np.float64]) -> NDArray[np.uint8]:
    coloured: NDArray[np.uint8] = palette(COLOURS)[np.rint(unit * TOP).astype(np.intp)]
    return coloured


def _axes(drawing: DisplayList, left: int, top: int) -> None:
    """Draw ticks and names of the axes."""
    bottom = top + SIDE
    for tick in TICKS:
        along = (tick + 0.5) * (SIDE - 1)
        drawing.line((left + along, bottom, left + along, bottom + 4), FAINT)
        drawing.text((left + along, bottom + 14), short(tick), 13)
        drawing.line((left - 5, top + along, left - 1, top + along), FAINT)
        drawing.text((left - 9, top + along), short(tick), 13, anchor="rm")
    drawing.text((left + SIDE / 2, bottom + 38), "across columns, cycles a pixel", 14, FAINT)
    place = left - 52, top + SIDE / 2
    drawing.text(place, "down rows, cycles a pixel", 14, FAINT, turned=True)
