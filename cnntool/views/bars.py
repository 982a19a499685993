"""A layer that is a vector: a strip of cells, and a chart of its largest values."""

from __future__ import annotations

from itertools import count, takewhile
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import caption as words
from cnntool.views.board import BLANK, PAPER, Board, Caption
from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import Scene, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.views.scale import Scale

_WIDTH = 768  # pixels of cells
_TEXT = 12
_TICK = 10
_ROW = 22  # pixels from one bar to the next
_BAR = 14
_ABOVE, _BELOW = (38, 130, 142), (176, 176, 182)  # bars of values above and below zero
_VALUE = 80  # pixels beside a bar for its value
_AXIS = (208, 208, 212)


def vector_sheet(
    vector: NDArray[Any],
    *,
    style: str = "viridis",
    scale: Scale | None = None,
    top: int = 16,
    labels: Sequence[str] | None = None,
    caption: Caption = BLANK,
) -> NDArray[np.uint8]:
    """Draw a vector as a strip with a bar chart below it.

    Parameters
    ----------
    vector : ndarray of shape (n,)
        Floats, whole numbers or bool.
    style, scale
        Of the strip, see `strip`.
    top, labels
        Of the chart, see `bar_chart`.
    caption : Caption
        What stands above.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    cells = strip(vector, style=style, scale=scale)
    chart = bar_chart(vector, top=top, labels=labels, width=max(560, cells.shape[1]))
    width = max(cells.shape[1], chart.shape[1])
    body = np.full((cells.shape[0] + 18 + chart.shape[0], width, 3), PAPER, np.uint8)
    body[: cells.shape[0], : cells.shape[1]] = cells
    body[-chart.shape[0] :, : chart.shape[1]] = chart
    board = Board(1, body.shape, caption=caption)
    board.place(0, body[None])
    return board.pixels


def strip_columns(number: int) -> int:
    """Return how many cells stand in a row: all of a few, else a round number that divides well."""
    if number <= 32:
        return number
    side = isqrt(number - 1) + 1
    widest = max(32, int(2.2 * side))
    fitting = [n for n in takewhile(widest.__ge__, _steps((32, 50), 2)) if n >= side]
    return max((n for n in fitting if number % n == 0), default=fitting[0])


def strip(
    vector: NDArray[Any], *, style: str = "viridis", scale: Scale | None = None
) -> NDArray[np.uint8]:
    """Draw a vector as cells in rows, with the index of the first cell at the left of a row.

    Parameters
    ----------
    vector : ndarray of shape (n,)
        Floats, whole numbers or bool.
    style : str
        A key of ``STYLES`` that needs no photo.
    scale : {"channel", "layer", "percentile", "signed"}, optional
        A key of ``SCALES``; the vector is one map, so "channel" and "layer" are the same.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    UsageError
        When the style needs a photo, or the vector is empty.
    """
    row = find(style)
    if row.on_photo:
        raise UsageError(f"a vector has no place on a photo: no style {style}", source="`style`")
    values = showable(vector, 1)[None, None]
    ends = limits(values, scale or row.scale)
    scene = Scene((scale or row.scale) == "signed", finite=False)
    shades = row.paint(to_levels(values, ends), scene)[0, 0]
    columns = strip_columns(len(shades))
    rows, side = ceil(len(shades) / columns), max(1, min(32, _WIDTH // columns))
    cells = np.full((rows * columns, 3), PAPER, np.uint8)
    cells[: len(shades)] = shades
    picture = cells.reshape(rows, columns, 3).repeat(side, axis=0).repeat(side, axis=1)
    if side >= 8:  # a line of paper between the cells
        picture[side - 1 :: side] = picture[:, side - 1 :: side] = PAPER
    return _with_ticks(picture, columns, side) if rows > 1 else picture


def _with_ticks(picture: NDArray[np.uint8], columns: int, side: int) -> NDArray[np.uint8]:
    """Write indices at the left of the rows, as many as there is room for."""
    rows, line = len(picture) // side, words.line_height(_TICK)
    every = next(n for n in _steps((1, 2, 5), 10) if n * side >= line)
    ticks = words.number_masks(range(0, rows * columns, every * columns), _TICK)
    rise = (line - side) // 2  # from the top of a text to the top of its cell
    above, left = max(0, rise), ticks.shape[2] + 6
    sheet = np.full((len(picture) + 2 * above, left + picture.shape[1], 3), PAPER, np.uint8)
    sheet[above : above + len(picture), left:] = picture
    for number, tick in enumerate(ticks):
        words.stamp(sheet, tick, above + number * every * side - rise, 0, words.GREY)
    return sheet


def _steps(digits: tuple[int, ...], base: int) -> Iterator[int]:
    """Yield the digits, then their multiples by the base, its square, and so on."""
    return (digit * base**power for power in count() for digit in digits)


def bar_chart(
    vector: NDArray[Any],
    *,
    top: int = 16,
    labels: Sequence[str] | None = None,
    width: int = 640,
) -> NDArray[np.uint8]:
    """Draw the largest values of a vector as bars, the largest first.

    Parameters
    ----------
    vector : ndarray of shape (n,)
        What is NaN gets no bar; an infinity gets one of full length.
    top : int
        How many values.
    labels : sequence of str, optional
        What stands beside a bar, one for each value; by default its index.
    width : int
        Of the picture, in pixels, at least 400.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    values = showable(vector, 1).astype(np.float32)
    order = np.argsort(-values, kind="stable")  # NaN is sorted to the end
    order = order[: min(top, int((~np.isnan(values)).sum()))]
    chosen = values[order]
    finite = chosen[np.isfinite(chosen)]
    low, high = min(0.0, float(finite.min(initial=0))), max(0.0, float(finite.max(initial=0)))
    inside = np.clip(chosen, low, high, dtype=np.float64)
    names = [str(index) if labels is None else labels[index] for index in order.tolist()]
    names = [words.fitted(name, _TEXT, 200) for name in names]
    left = max([24, *(words.width(name, _TEXT) for name in names)]) + 8
    room = max(400, width) - left - _VALUE
    gain = room / (high - low) if high > low else 0.0
    zero = left + round(-low * gain)
    sheet = np.full((max(1, len(order)) * _ROW, left + room + _VALUE, 3), PAPER, np.uint8)
    pad = (_ROW - _BAR) // 2
    for line, (name, value, length) in enumerate(zip(names, chosen, inside, strict=True)):
        middle = line * _ROW + (_ROW - words.line_height(_TEXT)) // 2 + 1
        ends = sorted((zero, zero + round(float(length) * gain)))
        bar = sheet[line * _ROW + pad : line * _ROW + pad + _BAR, ends[0] : ends[1]]
        bar[:] = _ABOVE if length > 0 else _BELOW
        name_ink = words.mask(name, _TEXT)
        words.stamp(sheet, name_ink, middle, left - 8 - name_ink.shape[1])
        text = words.mask(f"{value:#.4g}".rstrip("."), _TEXT)
        words.stamp(sheet, text, middle, max(ends[1], zero) + 6, words.GREY)
    sheet[:, zero - 1 : zero] = _AXIS
    return sheet
