"""Shapes in words: one spelling for errors, captions and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def shape_text(shape: Sequence[object] | None, times: str = " x ", scalar: str = "1") -> str:
    """Write a shape: ``64 x 28 x 28`` in words and captions; a length not known is ``?``.

    Tables, lines of a pipe and what can be typed again have it without spaces, as `times` does.
    """
    if shape is None:
        return "-"
    return times.join(str(n) if isinstance(n, int) else "?" for n in shape) or scalar


def times(numbers: Iterable[object]) -> str:
    """Write a known shape or a size without spaces: ``64x28x28``."""
    return "x".join(map(str, numbers))


def size_text(rows: int, columns: int, times: str = " x ") -> str:
    """Write the size of a picture so that nobody takes one side for the other."""
    return f"{counted(rows, 'row')}{times}{counted(columns, 'column')}"


def counted(number: int, what: str, form: str = "") -> str:
    """Write a number, perhaps with commas (``,``), and what there are so many of."""
    several = f"{what.removesuffix('is')}es" if what.endswith("s") else f"{what}s"  # axes, classes
    return f"{number:{form}} {what if number == 1 else several}"
