"""A matrix as a picture: which entries are filled, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.views.colormaps import TOP, palette
from cnntool.views.display_list import DisplayList
from cnntool.views.number_format import alike
from cnntool.views.text import FAINT, INK, RULE, WHITE, Colour, fitting_size, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.shapes.windows import Pair

Values = NDArray[np.float64]

MOST_SIDE = 2048
"""Rows or columns that are drawn, with at least a pixel for each."""

ROOM = (1080, 660)
"""Width and height in pixels that a small matrix is enlarged to."""

LEGEND_ROOM = 200
LARGEST_CELL, LINED_CELL = 44, 6
MARGIN, TITLE, FOOT, GAP = 28, 32, 44, 40
WIDE, READABLE, SMALL = 1600, 18, 12
"""Pixels of an equation across, of its smallest cell, and of what stands beside it."""
NOUGHT: Colour = (176, 184, 194)
FRAME: Colour = (120, 132, 147)


class Drawn(NamedTuple):
    """What is drawn beside the numbers.

    Parameters
    ----------
    title, note : str
        The line above, and the one below.
    blocks : (rows, columns)
        Lines are drawn after so many, to show what belongs together.
    legend : (h, w), optional
        A small matrix shown beside in the same colours: the kernel.
    """

    title: str
    note: str
    blocks: Pair
    legend: Values | None = None


def picture(matrix: Values, drawn: Drawn) -> DisplayList:
    """Draw a matrix: zeros white, negative numbers blue, positive ones red.

    Parameters
    ----------
    matrix : (rows, columns)
        At most `MOST_SIDE` each.
    drawn : Drawn

    Returns
    -------
    DisplayList
        Numbers stand in the cells if they fit.

    Raises
    ------
    UsageError
        A matrix that is too large to draw.
    """
    rows, columns = matrix.shape
    check_size(rows, columns)
    cell = max(1, min(LARGEST_CELL, ROOM[0] // columns, ROOM[1] // rows))
    legend = drawn.legend if drawn.legend is not None else np.zeros((0, 0))
    small = max(1, min(LARGEST_CELL, LEGEND_ROOM // max(*legend.shape, 1)))
    body = max(rows * cell, legend.shape[0] * small)
    across = columns * cell + (GAP + legend.shape[1] * small if legend.size else 0)
    words = max(width_of(drawn.title, 17), width_of(drawn.note, 14))
    width = round(max(across, words)) + 2 * MARGIN
    top = MARGIN + TITLE
    drawing = DisplayList(width, top + body + FOOT + MARGIN // 2)
    drawing.text((width / 2, MARGIN + 8), drawn.title, 17)
    drawing.text((width / 2, top + body + FOOT / 2 + 4), drawn.note, 14, FAINT)
    largest = float(np.abs(matrix).max()) or 1.0
    left = (width - across) // 2
    place = left, top + (body - rows * cell) // 2
    _paint(drawing, place, matrix, cell, blocks=drawn.blocks, largest=largest)
    if legend.size:
        place = left + columns * cell + GAP, top + (body - legend.shape[0] * small) // 2
        whole = legend.shape[0], legend.shape[1]
        _paint(drawing, place, legend, small, blocks=whole, largest=largest)
    return drawing


class Factor(NamedTuple):
    """A matrix of an equation.

    Parameters
    ----------
    values : (rows, columns)
    title : str
        What stands above it.
    blocks : (rows, columns)
        See `Drawn`.
    heads : sequence of str
        What stands above each column, if there is room.
    sides : sequence of str
        What stands at the left of each row.
    """

    values: Values
    title: str
    blocks: Pair
    heads: Sequence[str] = ()
    sides: Sequence[str] = ()


def equation(factors: Sequence[Factor], title: str, note: str) -> DisplayList | None:
    """Draw an equation, the first matrix times the second is the third, or one matrix alone.

    Parameters
    ----------
    factors : sequence of Factor
        Three, or one; each has colours of its own scale.
    title, note : str
        The line above, and the one below.

    Returns
    -------
    DisplayList or None
        None where cells would be too small to read.
    """
    sides = [
        round(max((width_of(side, SMALL) for side in one.sides), default=-8)) + 8 for one in factors
    ]
    across = sum(one.values.shape[1] for one in factors)
    high = max(one.values.shape[0] for one in factors)
    gaps = GAP * (len(factors) - 1)
    room = WIDE - 2 * MARGIN - gaps - sum(sides)
    cell = min(LARGEST_CELL, room // across, ROOM[1] // high)
    if cell < READABLE:
        return None
    heads = 2 * TITLE
    inner = cell * across + gaps + sum(sides)
    words = max(width_of(title, 17), width_of(note, 14))
    width = round(max(inner, words)) + 2 * MARGIN
    top = MARGIN + TITLE + heads
    drawing = DisplayList(width, top + high * cell + FOOT + MARGIN // 2)
    drawing.text((width / 2, MARGIN + 8), title, 17)
    drawing.text((width / 2, top + high * cell + FOOT / 2 + 4), note, 14, FAINT)
    left = (width - inner) // 2
    for number, (one, side) in enumerate(zip(factors, sides, strict=True)):
        rows, columns = one.values.shape
        if number:
            sign = left - GAP / 2, top + high * cell / 2
            drawing.text(sign, "x="[number - 1], 26, FAINT)
        left += side
        above = top + (high - rows) * cell // 2
        middle = left + columns * cell / 2
        drawing.text((middle, above - (heads - 14 if one.heads else 16)), one.title, 15)
        size = fitting_size(one.heads, cell - 4, SMALL)
        for place, head in enumerate(one.heads if size else ()):
            drawing.text((left + (place + 0.5) * cell, above - 12), head, size, FAINT)
        for place, name in enumerate(one.sides):
            at = left - 8, above + (place + 0.5) * cell
            drawing.text(at, name, min(SMALL, cell), FAINT, anchor="rm")
        largest = float(np.abs(one.values).max()) or 1.0
        _paint(drawing, (left, above), one.values, cell, blocks=one.blocks, largest=largest)
        left += columns * cell + GAP
    return drawing


def check_size(rows: int, columns: int) -> None:
    """Refuse a matrix that is too large to draw.

    Raises
    ------
    UsageError
        More than `MOST_SIDE` rows or columns.
    """
    if max(rows, columns) > MOST_SIDE:
        raise UsageError(
            f"a matrix of {rows} x {columns} is too large to draw: {MOST_SIDE} a side is the most",
            hint="take a smaller input",
        )


def _paint(
    drawing: DisplayList, place: Pair, matrix: Values, cell: int, *, blocks: Pair, largest: float
) -> None:
    """Draw one grid of cells with its left upper corner at a place (x, y)."""
    left, top = place
    rows, columns = matrix.shape
    right, bottom = left + columns * cell, top + rows * cell
    drawing.picture(place, _colours(matrix, largest), (columns * cell, rows * cell))
    drawing.rectangle((left - 1, top - 1, right, bottom), outline=FRAME)
    for (down, across), colour in (((1, 1), RULE), (blocks, FRAME)) if cell >= LINED_CELL else ():
        for row in range(0, rows + 1, down):
            drawing.line((left, top + row * cell, right, top + row * cell), colour)
        for column in range(0, columns + 1, across):
            drawing.line((left + column * cell, top, left + column * cell, bottom), colour)
    if cell < LINED_CELL:
        return
    labels = alike(matrix.ravel().tolist())
    size = fitting_size(labels, 0.84 * cell, round(0.42 * cell))
    for (row, column), label in zip(np.ndindex(rows, columns), labels, strict=True) if size else ():
        middle = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        drawing.text(middle, label, size, INK if matrix[row, column] else NOUGHT)


def _colours(matrix: Values, largest: float) -> NDArray[np.uint8]:
    """Colour numbers by sign and size; the palest is still told from zero."""
    size = np.abs(matrix) / largest
    level = TOP / 2 * (1 + np.sign(matrix) * (0.12 + 0.48 * size))
    coloured: NDArray[np.uint8] = palette("diverging")[np.rint(level).astype(np.intp)]
    coloured[matrix == 0] = WHITE
    return coloured
