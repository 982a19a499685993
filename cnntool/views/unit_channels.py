"""The maps that go into a unit, row by row: window, kernel, products, and what each adds."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.views.drawing import (
    FAINT,
    INK,
    RULE,
    WHITE,
    Colour,
    dashed_box,
    fitting_size,
    mixed,
    write,
)
from cnntool.views.numerals import alike, short
from cnntool.views.stage import INPUT, KERNEL, RESULT, Paint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.ImageDraw import ImageDraw

Values = NDArray[np.float64]
Area = tuple[int, int, int, int]

GAP, NARROW = 38, 76
"""Pixels between grids, and the least that one takes, for its title."""

TITLES, HEAD, LINE = 24, 24, 28
"""Pixels of the titles, of the line above each channel, and of a sum that has no grid."""

REACH, NUMBER = 58, 84
"""Pixels of the longest bar, and of the number beside it."""

LARGEST_CELL = 50

BELOW: Colour = (192, 202, 217)
"""Of weights below 0."""

AGAINST: Colour = (243, 172, 160)
"""Of products, and sums, below 0."""


class Channel(NamedTuple):
    """One map that goes into the unit.

    Parameters
    ----------
    name : str
    window, weights, products : (kH, kW)
    """

    name: str
    window: Values
    weights: Values
    products: Values


def draw_channels(
    draw: ImageDraw,
    area: Area,
    channels: Sequence[Channel],
    inside: NDArray[np.bool_],
    terms: Sequence[tuple[str, float]],
) -> None:
    """Draw channels and what they add.

    Parameters
    ----------
    draw : ImageDraw
    area : (left, top, right, bottom)
        Where there is room; what is drawn stands in its middle.
    channels : sequence of Channel
        Those to show, one or more.
    inside : (kH, kW) bool
        Which taps lie on the input; the others are zero.
    terms : sequence of (str, float)
        What else is added, with its name.

    Raises
    ------
    UsageError
        A kernel too large to be seen.
    """
    height, width = inside.shape
    left, top, right, bottom = area
    body = bottom - top - TITLES - LINE * len(terms)
    room = right - left - 3 * GAP - 2 * REACH - NUMBER
    wide = room // (3 * width)
    tall = min(LARGEST_CELL, wide, (body // len(channels) - HEAD - 6) // height)
    wide = min(wide, tall * 3 // 2)
    if tall < 1:
        raise UsageError(f"a kernel of {height}x{width} is too large to draw")
    top += (body - len(channels) * (height * tall + HEAD + 6)) // 2
    pitch = max(width * wide, NARROW) + GAP
    left += (room + 3 * GAP - 3 * pitch) // 2
    cell = tall, wide
    grids = [
        _Grid([channel.window for channel in channels], cell, INPUT, None, inside),
        _Grid([channel.weights for channel in channels], cell, KERNEL, BELOW, inside),
        _Grid([channel.products for channel in channels], cell, RESULT, AGAINST, inside),
    ]
    sums = [float(channel.products.sum()) for channel in channels]
    bars = _Bars(draw, left + 3 * pitch, [*sums, *(value for _, value in terms)])
    middles = [left + number * pitch + (pitch - GAP) / 2 for number in range(3)]
    titles = ("window", INPUT), ("kernel", KERNEL), ("products", RESULT), ("sum", RESULT)
    for middle, (title, paint) in zip((*middles, bars.middle), titles, strict=True):
        write(draw, (middle, top + 8), title, 16, ink=paint.title)
    top += TITLES
    for number, (channel, value) in enumerate(zip(channels, sums, strict=True)):
        start = middles[0] - width * wide / 2, top + 16
        write(draw, start, f"channel {channel.name}", 14, ink=INPUT.title, anchor="ls")
        top += HEAD
        for middle, grid in zip(middles, grids, strict=True):
            grid.draw(draw, number, round(middle - width * wide / 2), top)
        line = top + height * tall / 2
        for after, sign in enumerate("*==", 1):
            place = left + after * pitch - GAP / 2, line - 3 * (sign == "*")
            write(draw, place, sign, 24, ink=FAINT)
        bars.draw(line, value)
        top += height * tall + 6
    for name, value in terms:
        write(draw, (bars.left - 14, top + LINE / 2 + 4), name, 15, ink=FAINT, anchor="rm")
        bars.draw(top + LINE / 2 + 4, value)
        top += LINE


class _Grid:
    """Numbers of one kind, in cells of one size and on one scale, for all channels shown."""

    def __init__(
        self,
        values: Sequence[Values],
        cell: tuple[int, int],
        paint: Paint,
        negative: Colour | None,
        inside: NDArray[np.bool_],
    ) -> None:
        self._values = np.stack(values)
        self._cell = cell
        self._paint = paint
        self._negative = negative
        self._inside = inside if paint is INPUT else np.ones_like(inside)
        finite = self._values[np.isfinite(self._values)]
        self._low = float(finite.min(initial=np.inf)) if negative is None else 0.0
        self._reach = float(np.abs(finite - self._low).max(initial=0)) or 1.0
        self._labels = np.reshape(alike(self._values.ravel().tolist()), self._values.shape)
        largest = min(round(0.4 * cell[0]), 17)
        self._size = fitting_size(self._labels.ravel().tolist(), 0.84 * cell[1], largest)
        if self._size > 0.8 * cell[0]:
            self._size = 0

    def draw(self, draw: ImageDraw, number: int, left: int, top: int) -> None:
        """Draw those of one channel."""
        tall, wide = self._cell
        rows, columns = self._inside.shape
        line = self._paint.line if self._size else None
        for row, column in np.ndindex(rows, columns):
            corner = left + column * wide, top + row * tall
            box = (*corner, corner[0] + wide, corner[1] + tall)
            inside = bool(self._inside[row, column])
            if inside:
                draw.rectangle(box, self._fill(float(self._values[number, row, column])), line)
            else:
                dashed_box(draw, box, RULE)
            if self._size:
                middle = corner[0] + wide / 2, corner[1] + tall / 2
                ink = INK if inside else FAINT
                write(draw, middle, str(self._labels[number, row, column]), self._size, ink)
        outline = (left, top, left + columns * wide, top + rows * tall)
        draw.rectangle(outline, outline=self._paint.title)

    def _fill(self, value: float) -> Colour:
        """Choose a colour: the stronger, the farther a number is from the least one, or from 0."""
        if not isfinite(value):
            return RULE
        share = (value - self._low) / self._reach
        strong = self._paint.strong
        return mixed(WHITE, strong if share >= 0 else self._negative or strong, abs(share))


class _Bars:
    """Numbers with bars to both sides of zero, all on one scale."""

    def __init__(self, draw: ImageDraw, left: int, values: Sequence[float]) -> None:
        self._draw = draw
        self.left = left
        self.middle = left + REACH
        self._most = max((abs(value) for value in values if isfinite(value)), default=0) or 1

    def draw(self, line: float, value: float) -> None:
        """Draw one at a height."""
        length = REACH * value / self._most if isfinite(value) else 0
        ends = sorted((self.middle, self.middle + length))
        colour = RESULT.strong if value > 0 else AGAINST
        if abs(length) >= 1:
            self._draw.rectangle((ends[0], line - 9, ends[1], line + 9), colour)
        self._draw.line((self.middle, line - 13, self.middle, line + 13), RESULT.line)
        place = self.middle + REACH + 14, line
        write(self._draw, place, short(value, 4), 17, anchor="lm")
