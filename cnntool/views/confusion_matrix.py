"""A confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.views import text
from cnntool.views.display_list import DisplayList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PALE, DEEP = (247, 250, 253), (8, 69, 128)
WRONG = (178, 62, 45)
SIDE = 960
"""Pixels that the matrix itself takes at most; a matrix of more classes has cells of one pixel."""

NAMED = 60
"""Classes up to which each row and column has its name."""


HEADING = "true class by row, answer by column"


def draw(counts: NDArray[np.int64], labels: Sequence[str]) -> DisplayList:
    """Draw what was taken for what.

    Parameters
    ----------
    counts : ndarray of shape (n, n)
        True class by row, answer by column.
    labels : sequence of str
        Of the n classes.

    Returns
    -------
    DisplayList
        Each row is shaded by its shares, blue on the diagonal, red beside it, with the counts where
        they can be read.
    """
    number = len(labels)
    cell = max(1, min(56, SIDE // number))
    named = number <= NAMED
    size = min(16, max(9, cell // 3)) if named else 13
    names = [label.split(",")[0] for label in labels]
    left = int(max(text.width_of(name, size) for name in names)) + 16 if named else 8
    top = 40
    side = cell * number
    heading = text.width(HEADING, 15)
    width = max(left + side, heading + 8) + 12
    drawing = DisplayList(width, top + side + left)
    drawing.text((min(left, width - 12 - heading), 26), HEADING, 15, text.FAINT, anchor="ls")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawing.picture((left, top), _colours(shares), (side, side))
    if cell > 8:
        for start in range(0, side, cell):
            drawing.line((left, top + start, left + side - 1, top + start), text.WHITE)
            drawing.line((left + start, top, left + start, top + side - 1), text.WHITE)
    if not named:
        return drawing
    for place, name in enumerate(names):
        middle = cell * place + cell / 2
        drawing.text((left - 8, top + middle), name, size, anchor="rm")
        drawing.text((left + middle, top + side + 10), name, size, anchor="rm", turned=True)
    size = text.fitting_size((str(counts.max()),), cell - 6, 15)
    for (row, column), count in np.ndenumerate(counts) if size else ():
        if count:
            dark = shares[row, column] > (0.5 if row == column else 0.25)
            at = left + column * cell + cell / 2, top + row * cell + cell / 2
            drawing.text(at, str(count), size, text.WHITE if dark else text.INK)
    return drawing


def _colours(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    colours = text.ramp(np.sqrt(shares), (PALE, WRONG))
    diagonal = np.arange(len(shares))
    colours[diagonal, diagonal] = text.ramp(shares.diagonal(), (PALE, DEEP))
    return colours
