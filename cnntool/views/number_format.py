"""Number formats: short, in columns, and several matrices side by side, without numpy."""

from __future__ import annotations

from itertools import zip_longest
from math import floor, log10
from typing import TYPE_CHECKING

from cnntool.shapes.text import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

Lines = list[str]

SHOWN = 15
"""Rows and columns of a large matrix that are shown."""


def short(value: float, digits: int = 4) -> str:
    """Write a number with a few digits; a whole one below ten million with all of its own.

    Parameters
    ----------
    value : float
    digits : int
        Significant ones.
    """
    if abs(value) < 1e7 and value == int(value):
        return str(int(value))
    return f"{value:.{digits}g}"


def decibels(value: float | None) -> str:
    """Write decibels; what there is none of is a dash."""
    return "-" if value is None else f"{value:z.1f}"


def alike(values: Sequence[float]) -> list[str]:
    """Write the numbers of one figure with the same decimals: three digits of the largest.

    Parameters
    ----------
    values : sequence of float

    Returns
    -------
    list of str
        Whole numbers without decimals if all are whole; 0 is always ``0``. Beyond a million, and
        below a thousandth, each for itself.
    """
    largest = max(map(abs, values), default=0.0)
    if not 1e-3 <= largest < 1e6 or all(value == int(value) for value in values):
        return [short(value, 3) for value in values]
    decimals = max(0, 2 - floor(log10(largest)))
    return [f"{value:z.{decimals}f}" if value else "0" for value in values]


def aligned(rows: Sequence[Sequence[str]]) -> Lines:
    """Lay texts out in columns of one width, to the right; a large matrix shows its corner.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length.

    Returns
    -------
    list of str
        At most `SHOWN` lines, and one that says what was left out.
    """
    shown = [row[:SHOWN] for row in rows[:SHOWN]]
    width = max(len(text) for row in shown for text in row)
    lines = ["  ".join(text.rjust(width) for text in row) for row in shown]
    if len(rows) > SHOWN or len(rows[0]) > SHOWN:
        lines.append(f"(the first {size_text(len(shown), len(shown[0]), ' and ')})")
    return lines


def matrix(rows: Sequence[Sequence[float]]) -> Lines:
    """Write a matrix in columns. See `aligned`."""
    return aligned([[short(value) for value in row] for row in rows[: SHOWN + 1]])


def lined_up(rows: Sequence[Sequence[float]], digits: int = 6) -> list[list[str]]:
    """Write a matrix so that all decimal points stand below each other.

    Parameters
    ----------
    rows : sequence of sequence of float
    digits : int
        Significant ones, see `short`.

    Returns
    -------
    list of list of str
        All of one width.
    """
    parts = [[_at_point(short(value, digits)) for value in row] for row in rows]
    before, after = (max(len(cell[side]) for row in parts for cell in row) for side in (0, 1))
    return [[f"{left:>{before}}{right:<{after}}" for left, right in row] for row in parts]


def _at_point(text: str) -> tuple[str, str]:
    whole, point, rest = text.partition(".")
    return whole, point + rest


def blocks(rows: Sequence[Sequence[str]], width: int) -> Lines:
    """Lay columns of texts side by side, and those that have no room below.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length and one width.
    width : int
        Characters of a line.

    Returns
    -------
    list of str
        Each block has a heading that says which columns it holds, if there are several.
    """
    total = len(rows[0])
    step = max(1, (width + 2) // (len(rows[0][0]) + 2))
    lines: Lines = []
    for start in range(0, total, step):
        stop = min(total, start + step)
        if step < total:
            lines.append(
                f"columns {start} to {stop - 1}:" if stop - start > 1 else f"column {start}:"
            )
        lines += ["  ".join(row[start:stop]).rstrip() for row in rows]
    return lines


def beside(parts: Sequence[tuple[str, Lines]], signs: Sequence[str] = ()) -> Lines:
    """Put titled blocks of lines side by side.

    Parameters
    ----------
    parts : sequence of (title, lines)
    signs : sequence of str
        What stands between them, at half their height: ``"*"``, ``"="``; spaces where missing.

    Returns
    -------
    list of str
        Without spaces at their ends.
    """
    blocks = [[title, *lines] for title, lines in parts]
    height = max(map(len, blocks))
    middle = 1 + (height - 2) // 2
    columns: list[Lines] = []
    for block, sign in zip_longest(blocks, ["", *signs], fillvalue=""):
        if columns:
            columns.append([f"  {sign if row == middle else '':1}  " for row in range(height)])
        width = max(map(len, block))
        columns.append(
            [line.ljust(width) for line in block] + [" " * width] * (height - len(block))
        )
    return ["".join(pieces).rstrip() for pieces in zip(*columns, strict=True)]
