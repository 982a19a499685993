"""Vectors: a strip of cells, and a bar chart of the largest values."""

from __future__ import annotations

from itertools import count, takewhile
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import text as words
from cnntool.views.colour_bar import WIDEST, ColourBar, of_style
from cnntool.views.contact_sheet import BLANK, MARGIN, PAPER, Caption, ContactSheet
from cnntool.views.display_list import DisplayList
from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import Backdrop, find

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
    unit: str = "",
    bar: bool | None = None,
    margin: int = MARGIN,
) -> DisplayList:
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
    unit : str
        What is counted, beside the colour bar.
    bar : bool, optional
        Whether there is one below the strip; by default where there is a caption.
    margin : int
        Pixels around everything.
    """
    cells = strip(vector, style=style, scale=scale)
    chart = bar_chart(vector, top=top, labels=labels, width=max(560, cells.width))
    below = cells.height + 18
    barred = bar if bar is not None else caption != BLANK
    known = bool(np.isfinite(showable(vector, 1)).any())
    legend = _bar(vector, style, scale, unit) if barred and known else None
    if legend:
        below += legend.height(_TEXT) + 6
    height, width = below + chart.height, max(cells.width, chart.width)
    board = ContactSheet(1, (height, width, 3), caption=caption, margin=margin)
    row, column = board.corner
    board.drawing.place(cells, column, row)
    if legend:
        legend.draw(board.drawing, column, row + cells.height + 8, min(width, WIDEST), _TEXT)
    board.drawing.place(chart, column, row + below)
    return board.drawing


def _bar(vector: NDArray[Any], style: str, scale: Scale | None, unit: str) -> ColourBar:
    row = find(style)
    scale = scale or row.scale
    ends = limits(showable(vector, 1)[None, None], scale)
    scene = Backdrop(scale == "signed", ends.finite)
    return of_style(row, scene, ends.low[0], ends.high[0], unit)


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
) -> DisplayList:
    """Draw a vector as cells in rows, with the index of the first cell at the left of a row.

    Parameters
    ----------
    vector : ndarray of shape (n,)
        Floats, whole numbers or bool.
    style : str
        A key of ``STYLES`` that needs no photo.
    scale : {"channel", "layer", "percentile", "signed"}, optional
        A key of ``SCALES``; the vector is one map, so "channel" and "layer" are the same.

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
    scene = Backdrop((scale or row.scale) == "signed", finite=False)
    shades = row.paint(to_levels(values, ends), scene)[0, 0]
    columns = strip_columns(len(shades))
    rows, side = ceil(len(shades) / columns), max(1, min(32, _WIDTH // columns))
    cells = np.full((rows * columns, 3), PAPER, np.uint8)
    cells[: len(shades)] = shades
    left, above, ticks = _ticks(rows, columns, side)
    width, height = columns * side, rows * side
    drawing = DisplayList(left + width, height + 2 * above)
    drawing.picture((left, above), cells.reshape(rows, columns, 3), (width, height))
    for start in range(side - 1, max(width, height), side) if side >= 8 else ():
        if start < width:  # a line of paper between the cells
            drawing.line((left + start, above, left + start, above + height - 1), words.WHITE)
        if start < height:
            drawing.line((left, above + start, left + width - 1, above + start), words.WHITE)
    for top, tick in ticks:
        drawing.text((0, top), tick, _TICK, words.GREY, anchor="la")
    return drawing


def _ticks(rows: int, columns: int, side: int) -> tuple[int, int, list[tuple[int, str]]]:
    """Choose the indices at the left of rows, as many as there is room for.

    Returns
    -------
    left, above : int
        Pixels that they take at the left, above and below the cells.
    ticks : list of (int, str)
        Where they stand, and what.
    """
    if rows == 1:
        return 0, 0, []
    line = words.line_height(_TICK)
    every = next(n for n in _steps((1, 2, 5), 10) if n * side >= line)
    rise = (line - side) // 2  # from the top of a text to the top of its cell
    above = max(0, rise)
    ticks = [(above + row * side - rise, str(row * columns)) for row in range(0, rows, every)]
    return max(words.width(tick, _TICK) for _, tick in ticks) + 6, above, ticks


def _steps(digits: tuple[int, ...], base: int) -> Iterator[int]:
    """Yield the digits, then their multiples by the base, its square, and so on."""
    return (digit * base**power for power in count() for digit in digits)


def bar_chart(
    vector: NDArray[Any],
    *,
    top: int = 16,
    labels: Sequence[str] | None = None,
    width: int = 640,
) -> DisplayList:
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
    drawing = DisplayList(left + room + _VALUE, max(1, len(order)) * _ROW)
    pad = (_ROW - _BAR) // 2
    for line, (name, value, length) in enumerate(zip(names, chosen, inside, strict=True)):
        top, middle = line * _ROW + pad, line * _ROW + _ROW / 2
        first, behind = sorted((zero, zero + round(float(length) * gain)))
        if behind > first:
            colour = _ABOVE if length > 0 else _BELOW
            drawing.rectangle((first, top, behind - 1, top + _BAR - 1), colour)
        drawing.text((left - 8, middle), name, _TEXT, words.CAPTION_INK, anchor="rm")
        text = f"{value:#.4g}".rstrip(".")
        drawing.text((max(behind, zero) + 6, middle), text, _TEXT, words.GREY, anchor="lm")
    drawing.line((zero - 1, 0, zero - 1, drawing.height - 1), _AXIS)
    return drawing
