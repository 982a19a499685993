"""Captioned pictures in rows and columns: what stands above each, and what its colours mean."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.views.colour_bar import ColourBar
from cnntool.views.display_list import DisplayList
from cnntool.views.text import CAPTION_INK, GREY, line_height, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

WIDTH, SIDE, TALLEST = 1600, 400, 1000
"""Pixels that a figure is wide at most, that a photo's sides have in the mean, and its height."""

LEAST, THIN = 140, 8
"""Pixels that there are for a caption, and that the side of a very long photo keeps."""

MARGIN, GAP = 20, 18
"""Pixels around everything, and between pictures."""

ROOMY = 280
"""Pixels of a picture from which letters are larger: wide figures are shown smaller."""


class Cell(NamedTuple):
    """A picture with its caption, and what its colours mean.

    Parameters
    ----------
    picture : ndarray of uint8, shape (h, w, 3), or DisplayList
    title : str
        What stands above.
    details : tuple of str
        What stands below the title, in smaller letters; empty texts are left out.
    bar : ColourBar, optional
        What stands below the picture.
    hatched : bool
        Whether some of it was not seen.
    """

    picture: Any
    title: str
    details: tuple[str, ...] = ()
    bar: ColourBar | None = None
    hatched: bool = False

    @property
    def across(self) -> int:
        """The pixels that it is wide."""
        return max(int(self.picture.shape[1]), LEAST)

    def lines(self, growth: float = 1) -> list[tuple[str, int]]:
        """Break the caption into lines, each with the size of its letters."""
        large, small = letters(self.across, growth)
        texts = [(self.title, large), *((text, small) for text in self.details if text)]
        return [(line, size) for text, size in texts for line in wrapped(text, size, self.across)]

    def head(self, growth: float) -> int:
        """Return the pixels that the caption takes."""
        return sum(line_height(size) for _, size in self.lines(growth)) + 6

    def below(self, growth: float) -> int:
        """Return the pixels that its colour bar takes."""
        return ColourBar.height(letters(self.across, growth)[1]) + 5 if self.bar else 0

    def draw(self, page: DisplayList, corner: tuple[int, int], top: int, growth: float) -> None:
        """Draw it: the caption's upper left corner is given, and where the picture begins."""
        left, line = corner
        title, small = letters(self.across, growth)
        for text, size in self.lines(growth):
            ink = CAPTION_INK if size == title else GREY
            page.text((left, line), text, size, ink, anchor="la")
            line += line_height(size)
        if isinstance(self.picture, DisplayList):
            page.place(self.picture, left, top)
        else:
            page.picture((left, top), self.picture, smooth=True)
        if self.bar is not None:
            self.bar.draw(page, left, top + self.picture.shape[0] + 6, self.across, small)


def letters(wide: int, growth: float = 1) -> tuple[int, int]:
    """Return the sizes of titles and of what is smaller, at a picture of so many pixels."""
    large, small = (20, 15) if wide >= ROOMY else (16, 12)
    return round(large * growth), round(small * growth)


def cell(
    picture: NDArray[np.uint8] | DisplayList, title: str, *details: str,
    bar: ColourBar | None = None, size: tuple[int, int] | None = None,
) -> Cell:  # fmt: skip
    """Caption a picture.

    Parameters
    ----------
    picture : ndarray of uint8, shape (h, w, 1 or 3), or DisplayList
    title, *details : str
        What stands above.
    bar : ColourBar, optional
        What stands below.
    size : (rows, columns), optional
        At which an array is drawn; enlarged pixels keep their edges.
    """
    if not isinstance(picture, DisplayList):
        high, wide = size or picture.shape[:2]
        drawn = DisplayList(wide, high)
        drawn.picture((0, 0), picture, (wide, high), smooth=wide < picture.shape[1])
        picture = drawn
    return Cell(picture, title, details, bar)


def tile_size(shape: Sequence[int], across: int) -> tuple[int, int]:
    """Return the rows and columns that each of so many photos in a row gets."""
    high, wide = shape[:2]
    room = (WIDTH - 2 * MARGIN + GAP) / across - GAP
    factor = min(SIDE / sqrt(high * wide), room / wide, TALLEST / high)
    if factor > 1:
        factor = max(1, int(factor))  # each pixel becomes a square
    return max(THIN, round(high * factor)), max(THIN, round(wide * factor))


def beside(first: Cell, others: Sequence[Cell], columns: int) -> DisplayList:
    """Lay a picture out with others at its right, so many in a row."""
    starts = range(0, len(others), columns)
    rows = [[None, *others[start : start + columns]] for start in starts]
    return table([[first, *rows[0][1:]], *rows[1:]])


def table(rows: Sequence[Sequence[Cell | None]]) -> DisplayList:
    """Lay captioned pictures out in rows and columns, on white.

    Parameters
    ----------
    rows : sequence of sequences of Cell or None
        From above, each from the left. Pictures of a row begin at one height. On pages that are
        wider than `WIDTH` letters are larger.
    """
    wide = [0] * max(map(len, rows))
    for row in rows:
        for at, one in enumerate(row):
            wide[at] = max(wide[at], one.across if one else 0)
    width = 2 * MARGIN + sum(wide) + GAP * (len(wide) - 1)
    growth = max(1.0, width / WIDTH)
    heads = [max(one.head(growth) for one in row if one) for row in rows]
    highs = [max(one.picture.shape[0] + one.below(growth) for one in row if one) for row in rows]
    page = DisplayList(width, 2 * MARGIN + sum(heads) + sum(highs) + GAP * (len(rows) - 1))
    top = MARGIN
    for row, head, high in zip(rows, heads, highs, strict=True):
        left = MARGIN
        for one, across in zip(row, wide, strict=False):
            if one is not None:
                one.draw(page, (left, top), top + head, growth)
            left += across + GAP
        top += head + high + GAP
    return page
