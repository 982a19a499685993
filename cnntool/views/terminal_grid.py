"""Layers in a terminal: maps side by side on its own ground, a vector as bars."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import Backdrop, find
from cnntool.views.terminal import CELL, dots, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.scale import Scale
    from cnntool.views.terminal import Protocol

LEAST = 4
"""Characters that a map is wide at least, twice as many if it is drawn with them."""

MANY = 100
"""Values of a vector that all get a bar; of more, those that have room."""

_NAME, _BAR = 24, 8  # characters of a name at most, of a bar at least
_NUMBER = 10


class Window(NamedTuple):
    """What there is to draw on.

    Attributes
    ----------
    columns, rows : int
        Characters that have room.
    protocol : {"kitty", "sixel", "truecolor", "256", "text"}
        See `cnntool.views.terminal`.
    cell : (int, int)
        Rows and columns of pixels of a character.
    light : bool
        Whether its ground is light.
    """

    columns: int
    rows: int
    protocol: Protocol
    cell: tuple[int, int] = CELL
    light: bool = False

    @property
    def dots(self) -> tuple[int, int]:
        """Rows and columns of pixels that a character shows."""
        return dots(self.protocol, self.cell)

    def write(self, picture: NDArray[np.uint8]) -> str:
        """Write a picture of one pixel a dot."""
        return write(picture, self.protocol, light=self.light)


class _Grid(NamedTuple):
    """How maps are arranged: maps in a row, a map's dots, the characters that it lies on."""

    across: int
    tile: tuple[int, int]
    cells: tuple[int, int]


def map_grid(
    maps: NDArray[Any],
    chosen: Sequence[int] | NDArray[np.intp],
    window: Window,
    *,
    style: str = "gray",
    scale: Scale | None = None,
    columns: int | None = None,
    photo: NDArray[np.uint8] | None = None,
) -> str:
    """Draw maps of a layer, each with its number above it.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        All maps of the layer.
    chosen : sequence of int
        Which maps to show, in this order.
    window : Window
        The grid fills it; of so many maps that they would be too small to see, it is as wide as
        the window and longer.
    style, scale
        As in `cnntool.views.feature_maps.sheet`.
    columns : int, optional
        Maps in a row.
    photo : ndarray of uint8, shape (H', W', 3), optional
        What the network saw; needed by the style "overlay".

    Returns
    -------
    str
        Lines for the terminal. Between maps its own ground is seen.
    """
    maps, row = showable(maps, 3), find(style)
    ends = limits(maps, scale or row.scale)
    which = np.asarray(chosen, np.intp)
    over = photo if row.on_photo else None
    shape = maps.shape[1:] if over is None else over.shape[:2]
    grid = _arranged(which.tolist(), (shape[0], shape[1]), window, columns)
    small = None if over is None else _resized(over, grid.tile)
    scene = Backdrop((scale or row.scale) == "signed", ends.finite, small)
    tiles = row.paint(to_levels(maps[which], ends.of(which)), scene)
    (down, side), (high, wide) = window.dots, grid.cells
    lines = []
    for first in range(0, len(which), grid.across):
        part = which[first : first + grid.across].tolist()
        names = " ".join(f"{number:<{wide}}" for number in part)
        strip = np.zeros((high * down, (len(part) * (wide + 1) - 1) * side, 4), np.uint8)
        for place, tile in enumerate(tiles[first : first + grid.across]):
            left = place * (wide + 1) * side
            room = strip[: grid.tile[0], left : left + grid.tile[1]]
            room[:] = 255
            room[:, :, :3] = _resized(tile, grid.tile)
        lines += [names.rstrip(), "\n", window.write(strip)]
    return "".join(lines)


def _arranged(
    which: Sequence[int], shape: tuple[int, int], window: Window, columns: int | None
) -> _Grid:
    """Find the grid whose maps are largest."""
    down, side = window.dots
    flat = window.cell[1] * down / (window.cell[0] * side)  # a dot's width by its height
    height, width = shape[0] * flat, shape[1]
    number = len(str(max(which)))
    least = max(number, LEAST if side > 1 else min(2 * LEAST, width))
    most = max(1, (window.columns + 1) // ((number if columns else least) + 1))
    chosen = most = min(len(which), columns or most, most)

    def factor(across: int, rows: float = inf) -> float:
        """Return by how much maps may grow if so many lie in a row, with a gap between them."""
        room = max(1, (window.columns + 1) // across - 1) * side
        found = min(room / width, rows * down / height)
        return float(int(found)) if side == 1 and found > 1 else found  # values equally large

    best = 0.0
    for across in range(most if columns else 1, most + 1):
        found = factor(across, window.rows // ceil(len(which) / across) - 1)
        if found > best and ceil(found * width / side) >= (1 if columns else least):
            best, chosen = found, across
    best = best or factor(chosen)
    tile = max(1, round(height * best)), max(1, round(width * best))
    cells = ceil(tile[0] / down), max(number, ceil(tile[1] / side))
    return _Grid(chosen, tile, cells)


def _resized(tile: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a picture to a number of rows and columns; one channel becomes three."""
    from PIL import Image

    if tile.shape[2] == 1:
        tile = tile.repeat(3, axis=2)
    smaller = size[0] < tile.shape[0] or size[1] < tile.shape[1]
    how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(tile).resize(size[::-1], how))


def vector_bars(
    vector: NDArray[Any],
    window: Window,
    *,
    labels: Sequence[str] | None = None,
    style: str = "viridis",
    scale: Scale | None = None,
) -> str:
    """Draw the values of a vector as bars, the largest first, in as many columns as have room.

    Parameters
    ----------
    vector : ndarray of shape (n,)
    window : Window
        Of more than `MANY` values those get a bar that have room in it; all of them follow as a
        strip of cells.
    labels : sequence of str, optional
        What the places of the vector mean, printable.
    style, scale
        Of the strip.

    Returns
    -------
    str
        Lines for the terminal.
    """
    usable = np.nan_to_num(vector.astype(np.float64), nan=-inf, posinf=inf, neginf=-inf)
    room = max(1, window.rows - 2)
    best = np.argsort(-usable, kind="stable")[: None if len(vector) <= MANY else room].tolist()
    largest = float(np.abs(usable[best][np.isfinite(usable[best])]).max(initial=0)) or 1.0
    names = [labels[place] if labels else str(place) for place in best]
    name = min(_NAME, max(map(len, names)))
    least = name + _NUMBER + 4 + _BAR
    parts = max(1, min(ceil(len(best) / room), (window.columns + 2) // (least + 2)))
    length = max(_BAR, (window.columns + 2) // parts - 2 - (least - _BAR))
    sign = "#" if window.protocol == "text" else "█"
    cells = []
    for place, title in zip(best, names, strict=True):
        share = min(1.0, max(0.0, float(usable[place]) / largest))
        bar = sign * round(share * length)
        cells.append(f"{title[:name]:>{name}}  {vector[place]:<{_NUMBER}.4g}  {bar:<{length}}")
    rows = ceil(len(cells) / parts)
    lines = ["  ".join(cells[line::rows]).rstrip() + "\n" for line in range(rows)]
    if len(best) < len(vector):
        lines += [f"all {len(vector)}:\n", _strip(vector, window, style, scale)]
    return "".join(lines)


def _strip(vector: NDArray[Any], window: Window, style: str, scale: Scale | None) -> str:
    """Draw all values as cells, from left to right and from top to bottom."""
    values = showable(vector, 1)[None, None]
    row = find(style)
    ends = limits(values, scale or row.scale)
    scene = Backdrop((scale or row.scale) == "signed", ends.finite)
    cells = row.paint(to_levels(values, ends), scene)[0, 0]
    rows = ceil(len(cells) / window.columns)
    picture = np.zeros((rows * window.columns, 4), np.uint8)
    picture[: len(cells)] = 255
    picture[: len(cells), :3] = cells
    across, down = window.dots[1], max(1, window.dots[0] // 2)
    large = picture.reshape(rows, window.columns, 4).repeat(down, axis=0).repeat(across, axis=1)
    return window.write(large)
