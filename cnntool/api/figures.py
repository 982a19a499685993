"""Figures for slides: what went in, captioned results beside it, and what their colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.api.pictures import Figure, photo_of, to_array
from cnntool.shapes.text import size_text
from cnntool.views import captioned, colour_bar, legend
from cnntool.views.contact_sheet import grid_shape
from cnntool.views.feature_maps import sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.api.filtering import Filtering
    from cnntool.api.pictures import Picture
    from cnntool.nets.inference.image_output import ClassShare, Painting
    from cnntool.views.captioned import Cell
    from cnntool.views.display_list import DisplayList

ACROSS = 4
"""Results up to which all stand in one row."""


def filter_figure(
    planned: Filtering, picture: Picture, kernels: Sequence[str], *, threads: int
) -> Figure:
    """Draw an input and what kernels make of it.

    Parameters
    ----------
    planned : Filtering
        The kernels over a picture of this shape, for a result of 8 bits.
    picture : Picture
        The input.
    kernels : sequence of str
        What they are called.
    threads : int
        How many strips are computed at once.
    """
    names, shape = planned.names(kernels), (picture.info.height, picture.info.width)
    columns = len(names) if len(names) <= ACROSS else grid_shape(len(names))[1]
    size = captioned.tile_size(shape, columns + 1)
    tiles = planned.tiles(lambda lo, hi: picture.values[lo:hi], threads=threads)
    unit = "value" if picture.info.matrix else "brightness"
    cells = []
    for name, tile in zip(names, tiles, strict=True):
        bar = None
        if tile.single:
            bar = colour_bar.of_range(tile.policy, tile.limits, unit, symmetric=tile.symmetric)
        grown = (max(1, round(n * size[0] / shape[0])) for n in tile.pixels.shape[:2])
        rows, across = grown
        cells.append(
            captioned.cell(tile.pixels, name, f"range {tile.policy}", bar=bar, size=(rows, across))
        )
    return Figure(captioned.beside(_input(picture, size), cells, columns))


def _input(picture: Picture, size: tuple[int, int]) -> Cell:
    """Caption what went in: a photo at a size, or numbers in shades of grey."""
    name, info = picture.name.replace("\\", "/").rpartition("/")[2], picture.info
    shape = size_text(info.height, info.width)
    if not info.matrix:
        return captioned.cell(photo_of(to_array(info, picture.values)), name, shape, size=size)
    factor = max(1, size[0] // info.height)
    maps = sheet(picture.maps(), upscale=factor, numbered=info.channels > 1)
    return captioned.cell(maps, name, shape)


def layer_figure(
    photo: NDArray[np.uint8], name: str, maps: DisplayList, title: str, facts: str
) -> DisplayList:
    """Draw the maps of a layer beside what the network saw.

    Parameters
    ----------
    photo : ndarray of uint8, shape (h, w, 3)
        As the network gets it.
    name : str
        What that is called.
    maps : DisplayList
        The layer, drawn.
    title, facts : str
        What stands above the maps.
    """
    size = captioned.tile_size(photo.shape, 3)
    first = captioned.cell(photo, name, size_text(*photo.shape[:2]), size=size)
    return captioned.beside(first, [captioned.cell(maps, title, facts)], 1)


def painting_figure(
    photo: NDArray[np.uint8],
    name: str,
    painting: Painting,
    title: str,
    classes: Sequence[ClassShare],
) -> Figure:
    """Draw what a network makes of a photo beside it; of a map of classes also its legend.

    Parameters
    ----------
    photo : ndarray of uint8, shape (h, w, 3)
        What went in.
    name : str
        What that is called.
    painting : Painting
        What came out.
    title : str
        What the network is called.
    classes : sequence of ClassShare
        Those of the map, the largest first; none of a picture.
    """
    made = painting.pixels
    size = captioned.tile_size(photo.shape, 3 if classes else 2)
    first = captioned.cell(photo, name, size_text(*photo.shape[:2]), size=size)
    if painting.classes is None:
        result = captioned.cell(made, title, size_text(*made.shape[:2]), size=size)
        return Figure(captioned.beside(first, [result], 1))
    places = [np.argmax(painting.classes == one.index) for one in classes]
    colours = [tuple(made.reshape(-1, 3)[place].tolist()) for place in places]
    on_photo = captioned.cell(
        legend.on_photo(made, photo), title, "classes on the photo", size=size
    )
    entries = [
        (colour, one.label or str(one.index), f"{one.share:.1%}")
        for colour, one in zip(colours, classes, strict=True)
    ]
    key = captioned.cell(legend.draw(entries, size[0]), "classes", "share of the picture")
    return Figure(captioned.beside(first, [on_photo, key], 2))
