"""Contact sheets: tiles in rows on white, a number at each and a caption above all."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import text as words
from cnntool.views.colour_bar import WIDEST
from cnntool.views.display_list import MAX_PIXELS, DisplayList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.colour_bar import ColourBar

TILE_GAP = 2
"""Pixels between tiles."""


def grid_shape(count: int) -> tuple[int, int]:
    """Return rows and columns of the most nearly square grid that is at least as wide as high."""
    columns = ceil(sqrt(count))
    return ceil(count / columns), columns


def arrange(
    count: int, height: int = 1, width: int = 1, columns: int | None = None
) -> tuple[int, int]:
    """Return rows and columns of a grid that looks well on a screen.

    Parameters
    ----------
    count : int
        Of tiles, at least 1.
    height, width : int
        Of a tile.
    columns : int, optional
        Tiles in a row, where that has been decided.

    Returns
    -------
    (int, int)
        Without ``columns``: of the grids from square to 16:10 the one with the fewest empty places
        (24 tiles: 4 x 6), and the most nearly square one of these.
    """
    if columns is not None:
        if columns < 1:
            raise UsageError("a grid has at least one column", source="`columns`")
        columns = min(columns, count)
        return ceil(count / columns), columns
    first = min(count, ceil(sqrt(count * height / width)))
    best = first
    for across in range(first + 1, count + 1):
        rows = ceil(count / across)
        if across * width > 1.6 * rows * height:
            break
        if rows * across < ceil(count / best) * best:
            best = across
    return ceil(count / best), best


def tile(tiles: list[NDArray[Any]], *, gap: int = TILE_GAP, fill: float = 1.0) -> NDArray[Any]:
    """Lay equally large pictures out in a grid, in reading order.

    Parameters
    ----------
    tiles : list of ndarray (H, W, C)
        With the same H and W, and one channel or as many as the others.
    gap : int
        Pixels between tiles.
    fill : float
        The value of gaps and of empty places.

    Returns
    -------
    ndarray (rows * (H + gap) - gap, columns * (W + gap) - gap, C)
    """
    rows, columns = grid_shape(len(tiles))
    height, width, _ = tiles[0].shape
    channels = max(picture.shape[2] for picture in tiles)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, fill, tiles[0].dtype)
    for index, picture in enumerate(tiles):
        row, column = divmod(index, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


PAPER = 255
"""The brightness of everything that is no tile."""

GAP = 3
"""Pixels between tiles, and between a tile and the number of the next row."""

MARGIN = 10
"""Pixels around everything."""

_TITLE, _DETAIL, _NUMBER = 17, 12, 10
_PLAIN = 1360  # pixels of a grid up to which letters have these sizes: with larger ones they grow
_SMALLEST = 240  # what a caption may widen the sheet to


class Caption(NamedTuple):
    """What stands above the tiles: a name, and facts in a smaller hand."""

    title: str = ""
    detail: str = ""

    def with_scale(self, shared: str) -> Caption:
        """Say what shares a scale, unless nothing is said at all."""
        return self._replace(detail=f"{self.detail}, {shared}") if self.detail else self


BLANK = Caption()
"""Nothing above."""


class ContactSheet:
    """A sheet to lay tiles on.

    Parameters
    ----------
    count : int
        How many tiles there will be.
    shape : (int, int, int)
        Rows, columns and channels (1 or 3) of a tile.
    columns : int, optional
        Tiles in a row; by default nearly a square.
    gap : int
        Pixels between tiles.
    numbers : sequence of int, optional
        One for each tile. They are left out where tiles are too narrow for them.
    caption : Caption
        What stands above. It is shortened where there is no room.
    margin : int
        Pixels around everything.
    bar : ColourBar, optional
        What stands below, where all tiles have one scale.

    Attributes
    ----------
    drawing : DisplayList
        The figure.
    columns, rows : int
        Of the grid.
    corner : (int, int)
        The first row and column of the grid's pixels.

    Raises
    ------
    UsageError
        For a negative gap, and when the sheet would be larger than ``MAX_PIXELS``.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        *,
        columns: int | None = None,
        gap: int = GAP,
        numbers: Sequence[int] | None = None,
        caption: Caption = BLANK,
        margin: int = MARGIN,
        bar: ColourBar | None = None,
    ) -> None:
        if gap < 0:
            raise UsageError("a gap has no pixels or some", source="`gap`")
        self._tile = height, wide, channels = shape
        self.rows, self.columns = arrange(count, height, wide, columns)
        wider, higher = self.columns * (wide + gap), self.rows * (height + gap)
        self._letters = letters = max(1.0, max(wider, higher) / _PLAIN)
        title, detail, number = (round(size * letters) for size in (_TITLE, _DETAIL, _NUMBER))
        self._labels = [str(number) for number in numbers] if numbers is not None else []
        if self._labels and words.width(max(self._labels, key=len), number) > wide:
            self._labels = []
        self._above = words.line_height(number) if self._labels else 0
        self._cell = height + self._above + gap, wide + gap
        margin = max(gap, margin) if margin else 0
        inner = self.columns * self._cell[1] - gap
        lines = _lay_out(caption, (title, detail), max(inner, _SMALLEST))
        inner = max([inner, *(line.left + words.width(line.text, line.size) for line in lines)])
        top = margin + (lines[-1].top + words.line_height(lines[-1].size) + 4 if lines else 0)
        bottom = top + self.rows * self._cell[0] - gap
        below = round(8 * letters) + bar.height(detail) if bar else 0
        size = bottom + below + margin, inner + 2 * margin
        if size[0] * size[1] > MAX_PIXELS:
            raise UsageError(
                f"the picture would have {size[0]} x {size[1]} pixels",
                hint="show fewer maps (`maps`), or enlarge them less (`upscale`)",
            )
        self.drawing = DisplayList(size[1], size[0], grey=channels == 1)
        self.corner = top, margin
        for line in lines:
            place = margin + line.left, margin + line.top
            self.drawing.text(place, line.text, line.size, line.colour, anchor="la")
        if bar:
            across = min(inner, round(WIDEST * letters))
            bar.draw(self.drawing, margin, bottom + round(8 * letters), across, detail)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture, shape (H, W, channels)."""
        return self.drawing.pixels()

    def place(self, first: int, tiles: NDArray[np.uint8], *, smooth: bool = False) -> None:
        """Lay tiles in reading order, beginning a row.

        Parameters
        ----------
        first : int
            The row of the grid that they begin, from 0.
        tiles : ndarray of uint8, shape (n, h, w, channels)
            Of the board's tile size, or smaller: those are enlarged, each pixel to a square.
        smooth : bool
            Whether they are photos.
        """
        height, wide, _ = self._tile
        size = round(_NUMBER * self._letters)
        places = []
        for index in range(first * self.columns, first * self.columns + len(tiles)):
            row, column = divmod(index, self.columns)
            top = self.corner[0] + row * self._cell[0]
            left = self.corner[1] + column * self._cell[1]
            places.append((left, top + self._above))
            if self._labels:
                label = self._labels[index]
                self.drawing.text((left, top), label, size, words.GREY, anchor="la")
        self.drawing.pictures(places, tiles, (wide, height), smooth=smooth)


class _Line(NamedTuple):
    """A piece of the caption, and where it goes, counted from the margin."""

    text: str
    size: int
    colour: tuple[int, int, int]
    top: int
    left: int


def _lay_out(caption: Caption, sizes: tuple[int, int], room: int) -> list[_Line]:
    """Put title and detail on one line where they fit, else on two."""
    large, small = sizes
    lines: list[_Line] = []
    if caption.title:
        text = words.fitted(caption.title, large, room)
        lines.append(_Line(text, large, words.CAPTION_INK, 0, 0))
    if caption.detail:
        text, left, top = words.fitted(caption.detail, small, room), 0, 0
        if lines:
            left, top = words.width(lines[0].text, large) + 10, large - small
            if left + words.width(text, small) > room:
                left, top = 0, words.line_height(large)
        lines.append(_Line(text, small, words.GREY, top, left))
    return lines


def enlargement(
    count: int, height: int, wide: int, columns: int | None = None, *, largest: int = 240
) -> int:
    """Return the factor that makes small tiles easy to see on a screen or a slide.

    A tile of side n grows to at most n and what is left of the room for one: that of half of its
    side, such as a pooled map, never becomes larger than it. The grid grows to 800 to 1600 pixels,
    a tile to about ``largest``; large tiles stay as they are.
    """
    rows, across = arrange(count, height, wide, columns)
    rooms = (800 // across, wide), (800 // rows, height), (largest, max(height, wide))
    return 1 + min(room // side for room, side in rooms)


def reduction(count: int, height: int, wide: int, columns: int | None = None) -> int:
    """Return by which whole number large tiles are divided: the grid's sides get about 4096."""
    rows, across = arrange(count, height, wide, columns)
    return max(1, ceil(across * wide / 4096), ceil(rows * height / 4096))
