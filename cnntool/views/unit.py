"""A unit of a network on one slide: what it sees, its channels, and the sum."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.shapes.text import counted
from cnntool.views.display_list import DisplayList
from cnntool.views.number_format import alike, short
from cnntool.views.sliding_window import INPUT, KERNEL, RESULT, Paint
from cnntool.views.text import (
    FAINT,
    INK,
    RULE,
    WHITE,
    Colour,
    dashed_box,
    fitted,
    fitting_size,
    grown,
    mixed,
)
from cnntool.views.top_patches import cut

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    draw: DisplayList,
    area: Area,
    channels: Sequence[Channel],
    inside: NDArray[np.bool_],
    terms: Sequence[tuple[str, float]],
) -> None:
    """Draw channels and what they add.

    Parameters
    ----------
    draw : DisplayList
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
        draw.text((middle, top + 8), title, 16, paint.title)
    top += TITLES
    for number, (channel, value) in enumerate(zip(channels, sums, strict=True)):
        start = middles[0] - width * wide / 2, top + 16
        draw.text(start, f"channel {channel.name}", 14, INPUT.title, anchor="ls")
        top += HEAD
        for middle, grid in zip(middles, grids, strict=True):
            grid.draw(draw, number, round(middle - width * wide / 2), top)
        line = top + height * tall / 2
        for after, sign in enumerate("*==", 1):
            place = left + after * pitch - GAP / 2, line - 3 * (sign == "*")
            draw.text(place, sign, 24, FAINT)
        bars.draw(line, value)
        top += height * tall + 6
    for name, value in terms:
        draw.text((bars.left - 14, top + LINE / 2 + 4), name, 15, FAINT, anchor="rm")
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

    def draw(self, draw: DisplayList, number: int, left: int, top: int) -> None:
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
                draw.text(middle, str(self._labels[number, row, column]), self._size, ink)
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

    def __init__(self, draw: DisplayList, left: int, values: Sequence[float]) -> None:
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
        self._draw.text(place, short(value, 4), 17, anchor="lm")


__all__ = ["Channel", "UnitScene", "draw_unit"]


WIDTH, HEIGHT = 1280, 720
"""Pixels of the slide."""

MARGIN, TOP = 40, 104
"""Around everything, and above photo and windows."""

PHOTO, ZOOM = 330, 116
"""Pixels of the photo's longer side, and of the piece that the unit sees."""

CHANNELS = (420, TOP, WIDTH - MARGIN, 584)
"""Where the channels stand."""

MOST, MOST_LINES = 3, 6
"""Channels that are shown, of kernels with several rows and with one."""


class UnitScene(NamedTuple):
    """What is shown.

    Parameters
    ----------
    title, detail : str
        The unit, and facts about its layer.
    photo : ndarray of uint8, shape (H, W, 3)
        What the network sees.
    box : (int, int, int, int) or None
        What the unit sees of it: first row and column, and those behind the last. It may reach
        beyond the photo.
    sees : sequence of str
        The same in words, in short lines.
    channels : sequence of Channel
        Those that count most, the first one most of all.
    maps : int
        How many there are.
    inside : (kH, kW) bool
        Which taps lie on the input; the others are zero.
    total, bias : float
        The sum of all products, and what is added.
    after : (str, float) or None
        What follows in the network, and the value that it makes.
    note : str
        A line about the network's own value.
    """

    title: str
    detail: str
    photo: NDArray[np.uint8]
    box: tuple[int, int, int, int] | None
    sees: Sequence[str]
    channels: Sequence[Channel]
    maps: int
    inside: NDArray[np.bool_]
    total: float
    bias: float
    after: tuple[str, float] | None
    note: str


def draw_unit(scene: UnitScene) -> DisplayList:
    """Draw the slide.

    Parameters
    ----------
    scene : UnitScene

    Returns
    -------
    DisplayList
        `WIDTH` x `HEIGHT`.

    Raises
    ------
    UsageError
        A kernel too large to be seen.
    """
    draw = DisplayList(WIDTH, HEIGHT)
    room = WIDTH - 2 * MARGIN
    draw.text((MARGIN, 48), fitted(scene.title, 27, room), 27, anchor="ls")
    draw.text((MARGIN, 74), fitted(scene.detail, 15, room), 15, FAINT, anchor="ls")
    _draw_sight(draw, scene)
    height = scene.inside.shape[0]
    shown = scene.channels[: MOST_LINES if height == 1 else MOST]
    others = scene.maps - len(shown)
    terms = [("bias", scene.bias)]
    if others:
        rest = scene.total - sum(float(channel.products.sum()) for channel in shown)
        terms.insert(0, (counted(others, "other channel"), rest))
    draw_channels(draw, CHANNELS, shown, scene.inside, terms)
    _draw_foot(draw, scene)
    return draw


def _draw_sight(draw: DisplayList, scene: UnitScene) -> None:
    """Draw the photo, light where the unit does not look, and the piece where it does."""
    rows, columns = scene.photo.shape[:2]
    scale = PHOTO / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    photo = scene.photo.astype(np.float32)
    if scene.box is not None:
        top, left, bottom, right = scene.box
        seen = np.zeros((rows, columns, 1), np.bool_)
        seen[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        photo = np.where(seen, photo, 0.5 * photo + 112)
    draw.picture((MARGIN, TOP), photo.astype(np.uint8), size, smooth=scale < 4)
    below, beside = TOP + size[1] + 14, MARGIN
    if scene.box is not None:
        top, left, bottom, right = (
            round(min(max(edge, 0), limit) * scale)
            for edge, limit in zip(scene.box, (rows, columns) * 2, strict=True)
        )
        frame = (MARGIN + left - 2, TOP + top - 2, MARGIN + right + 1, TOP + bottom + 1)
        draw.rectangle(grown(frame, 2), outline=WHITE, width=2)
        draw.rectangle(frame, outline=KERNEL.title, width=3)
        beside = _draw_piece(draw, scene, below)
    for line in scene.sees:
        draw.text((beside, below + 14), line, 15, KERNEL.title, anchor="ls")
        below += 22


def _draw_piece(draw: DisplayList, scene: UnitScene, below: int) -> int:
    """Enlarge what a unit sees if that is little; return where there is room beside it."""
    assert scene.box is not None  # noqa: S101 - the caller looked
    top, left, bottom, right = scene.box
    share = max((bottom - top) / scene.photo.shape[0], (right - left) / scene.photo.shape[1])
    if share > 0.6:
        return MARGIN
    draw.picture((MARGIN, below), cut(scene.photo, scene.box, ZOOM), smooth=True)
    frame = (MARGIN - 2, below - 2, MARGIN + ZOOM + 1, below + ZOOM + 1)
    draw.rectangle(frame, outline=KERNEL.title, width=3)
    return MARGIN + ZOOM + 18


def _draw_foot(draw: DisplayList, scene: UnitScene) -> None:
    """Write the whole sum."""
    products = scene.maps * scene.inside.size
    value = scene.total + scene.bias
    terms = [
        ("", f"sum of {products} products" if products > 1 else "product", scene.total, RULE),
        ("+", "bias", scene.bias, RULE),
        ("=", "result", value, RESULT.line),
    ]
    if scene.after is not None:
        terms.append((">", f"after {scene.after[0]}", scene.after[1], RESULT.title))
    wide, apart = 176, 46
    left = (WIDTH - len(terms) * wide - (len(terms) - 1) * apart) / 2
    top = HEIGHT - 98
    for sign, name, number, line in terms:
        box = (left, top, left + wide, top + 46)
        fill = RESULT.light if line != RULE else (246, 248, 250)
        draw.rectangle(box, fill, line, 2 if line == RESULT.title else 1, radius=8)
        middle = left + wide / 2
        draw.text((middle, top + 22), short(number, 5), 22)
        draw.text((middle, top - 13), fitted(name, 14, wide + apart - 8), 14, FAINT)
        if sign == ">":
            _draw_arrow(draw, left - apart + 8, left - 8, top + 23)
        elif sign:
            draw.text((left - apart / 2, top + 22), sign, 26, FAINT)
        left += wide + apart
    draw.text((WIDTH / 2, HEIGHT - 26), scene.note, 15, FAINT)


def _draw_arrow(draw: DisplayList, left: float, right: float, line: float) -> None:
    draw.line((left, line, right - 6, line), FAINT, 2)
    draw.polygon(((right, line), (right - 9, line - 6), (right - 9, line + 6)), FAINT)
