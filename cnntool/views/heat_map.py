"""Heat maps of photos as a figure: photo and maps side by side, each with its caption and colours.

Maps are scaled one by one, since the numbers of two methods are of different kinds: the bar below
each says what its colours mean.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.shapes.text import size_text
from cnntool.views.captioned import (
    LEAST,
    MARGIN,
    Cell,
    letters,
    table,
    tile_size,
)
from cnntool.views.colormaps import TOP, palette
from cnntool.views.colour_bar import PHOTO, ColourBar
from cnntool.views.display_list import MAX_PIXELS, DisplayList
from cnntool.views.number_format import short
from cnntool.views.scale import ScaleLimits, to_levels
from cnntool.views.styles import blend
from cnntool.views.text import GREY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Resampling

HeatMapStyle = Literal["overlay", "heat", "side-by-side"]

STYLES: dict[HeatMapStyle, str] = {
    "overlay": "the photo, and the maps on it",
    "heat": "the maps alone",
    "side-by-side": "the photo, and the maps beside it",
}

ACROSS = 6
"""Maps of one method in a row."""

PANORAMA = 4
"""Proportion from which photos are so wide that maps stand below them."""

COVER = 0.72
"""How much of the photo a map hides where it is largest."""

OUTLIERS = 98
"""Percentile of the magnitudes that gets the last colour: gradients have a few huge values."""

STRIPES = 10
"""Pixels from one stripe of the hatching to the next."""


class Tile(NamedTuple):
    """A heat map and what stands above it.

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
        What people see.
    map : ndarray of float32, shape (h, w)
        It covers the photo, evenly; NaN where the network did not see that.
    method, label : str
        What made the map, and the class it is about.
    probability : float
        Of the class, 0..1.
    signed : bool
        Whether values below 0 speak against the class.
    from_zero : bool
        Whether the colours of one that is not signed begin at 0: else at its smallest value.
    notes : sequence of str
        What stands below the class.
    """

    photo: NDArray[np.uint8]
    map: NDArray[np.float32]
    method: str
    label: str
    probability: float
    signed: bool = False
    from_zero: bool = True
    notes: Sequence[str] = ()


def sheet(
    tiles: Sequence[Tile],
    style: HeatMapStyle = "overlay",
    *,
    title: str = "photo",
    detail: str = "",
) -> DisplayList:
    """Draw heat maps of one photo.

    Parameters
    ----------
    tiles : sequence of Tile
        All of one photo. Of several methods each has a column: tiles come class by class. Those of
        a single method stand in reading order, those of a very wide photo below each other.
    style : {"overlay", "heat", "side-by-side"}
        A key of ``STYLES``.
    title, detail : str
        What stands above the photo.

    Returns
    -------
    DisplayList
        What the network did not see is hatched. The colours reach from 0, or equally far to both
        sides of it, to the largest magnitude that is drawn; where some few are much larger, these
        have the last colour too, and the bar says so.

    Raises
    ------
    UsageError
        There is nothing to show, or so much that the sheet would be too large.
    """
    if not tiles:
        raise UsageError("there is no heat map to show")
    columns, beside = _columns(tiles), style != "heat"
    if tiles[0].photo.shape[1] > PANORAMA * tiles[0].photo.shape[0]:
        columns, beside = 1, False
    size = tile_size(tiles[0].photo.shape, columns + beside)
    wide = max(size[1], LEAST)
    high, across = ceil(len(tiles) / columns) * size[0], (columns + beside) * wide
    if high * across > MAX_PIXELS:
        raise UsageError(
            f"the picture would have more than {high} x {across} pixels",
            hint="ask for fewer classes",
        )
    photo = resized(tiles[0].photo, size)
    drawn = [paint(tile, photo, style) for tile in tiles]
    rows: list[list[Cell | None]] = [
        list(drawn[first : first + columns]) for first in range(0, len(drawn), columns)
    ]
    if style != "heat":
        about = detail or size_text(*tiles[0].photo.shape[:2])
        cell = Cell(photo, title, (about,))
        rows = [[None, *row] for row in rows] if beside else [[None], *rows]
        rows[0][0] = cell
    page = table(rows)
    if any(cell.hatched for cell in drawn):
        _legend(page, page.height - MARGIN + 10, letters(wide)[1])
        page.height += 26
    return page


def _columns(tiles: Sequence[Tile]) -> int:
    """Return how many maps stand in a row."""
    methods = len({tile.method for tile in tiles})
    return methods if methods > 1 else ceil(len(tiles) / ceil(len(tiles) / ACROSS))


def resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a photo to a size; enlarged pixels keep their edges."""
    from PIL import Image

    method = _method(picture.shape[:2], size, Image.Resampling.LANCZOS)
    image = Image.fromarray(picture)
    return np.asarray(image.resize(size[::-1], method, reducing_gap=3.0))


def averaged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bring a map to a size by the means of what is known; NaN stays where most of it was."""
    from PIL import Image

    method = _method(values.shape, size, Image.Resampling.BOX)
    known = np.isfinite(values)

    def resize(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(Image.fromarray(plane).resize(size[::-1], method))

    if known.all():
        return resize(values)
    share = resize(known.astype(np.float32))
    total = resize(np.where(known, values, np.float32(0)))
    return np.divide(total, share, out=np.full(size, np.nan, np.float32), where=share > 0.5)


def _method(shape: Sequence[int], size: tuple[int, int], smaller: Resampling) -> Resampling:
    from PIL import Image

    return Image.Resampling.NEAREST if size[0] > shape[0] or size[1] > shape[1] else smaller


def paint(tile: Tile, photo: NDArray[np.uint8], style: HeatMapStyle) -> Cell:
    """Colour one map, and write what stands around it.

    Parameters
    ----------
    tile : Tile
    photo : ndarray of uint8, shape (h, w, 3)
        At the size to draw.
    style : {"overlay", "heat", "side-by-side"}
    """
    size = photo.shape[0], photo.shape[1]
    values = averaged(tile.map, size)
    unseen = np.isnan(values)
    values = np.where(unseen, np.float32(0), values)
    most, more = _largest(values[~unseen], signed=tile.signed)
    low = -most if tile.signed else 0.0
    if not (tile.signed or tile.from_zero or unseen.all()):
        low = float(values[~unseen].min())
    limits = ScaleLimits(np.array([low]), np.array([most]), finite=True)
    levels = to_levels(values[None], limits)
    colours = palette("diverging" if tile.signed else "magma")[: TOP + 1]
    if style == "overlay":
        picture = blend(levels, photo, signed=tile.signed, cover=COVER)[0]
        scale = np.arange(TOP + 1, dtype=np.uint8)[None, None]
        grey = np.full((1, TOP + 1, 3), PHOTO, np.uint8)
        colours = blend(scale, grey, signed=tile.signed, cover=COVER)[0, 0]
    else:
        picture = colours[levels[0]]
    if unseen.any():
        picture[unseen] = hatching(photo if style == "overlay" else None, size)[unseen]
    ends = "< " * (more and tile.signed) + short(low, 3), "> " * more + short(most, 3)
    numbers = (ends[0], "0", ends[1]) if tile.signed else ends
    if not values.any():
        numbers = ("" if unseen.all() else "0 everywhere", "")
    chance = f"{tile.probability:.1%}" if tile.probability >= 0.001 else "<0.1%"
    details = (f"{tile.label}, {chance}", *tile.notes)
    return Cell(picture, tile.method, details, ColourBar(colours, numbers), bool(unseen.any()))


def _largest(values: NDArray[np.float32], *, signed: bool) -> tuple[float, bool]:
    """Return the magnitude that gets the last colour, and whether some are larger."""
    magnitudes = np.abs(values) if signed else values
    most = float(magnitudes.max(initial=0))
    if not most > 0:
        return 1.0, False
    place = magnitudes.size * OUTLIERS // 100
    usual = float(np.partition(magnitudes.ravel(), place)[place])  # np.percentile imports a lot
    return (usual, True) if 0 < usual < 0.6 * most else (most, False)


def hatching(photo: NDArray[np.uint8] | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw diagonal stripes, on a photo made light or on nearly white."""
    ground = np.full((*size, 3), 226.0) if photo is None else photo * 0.35 + 255 * 0.65
    rows, columns = np.ogrid[: size[0], : size[1]]
    stripe = (rows + columns) % STRIPES < 2
    ground[stripe] = ground[stripe] * 0.3 + 118 * 0.7
    return ground.astype(np.uint8)


def _legend(page: DisplayList, top: int, size: int) -> None:
    """Say what the hatching means."""
    page.picture((MARGIN, top), hatching(None, (14, 28)))
    text = "not seen by the network"
    page.text((MARGIN + 36, top + 7), text, size, GREY, anchor="lm")
