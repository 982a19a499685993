"""Figures of filters for slides: the input, captioned results beside it, what colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api import arguments
from cnntool.api.arguments import FilterOptions
from cnntool.api.filtering import arithmetic, lanes_of, plan_filtering, read_kernels
from cnntool.api.pictures import Figure, load, photo_of, to_array
from cnntool.api.rendering import LOSSLESS, Style, style
from cnntool.shapes.text import size_text
from cnntool.views import captioned, colour_bar
from cnntool.views.colormaps import TOP, palette
from cnntool.views.contact_sheet import ContactSheet, arrange, grid_shape
from cnntool.views.scale import limits, showable, to_levels
from cnntool.views.styles import Backdrop, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.api.filtering import Filtering
    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.filters.kernels.kernel import ConvLayer, Filter
    from cnntool.filters.kernels.library import Operation
    from cnntool.filters.pipeline import Options
    from cnntool.image.source import ImageInfo
    from cnntool.shapes.windows import Pair
    from cnntool.views.captioned import Cell
    from cnntool.views.display_list import DisplayList
    from cnntool.views.scale import Range

ACROSS = 4
"""Results up to which all stand in one row."""


def filter_figure(
    image: ImageLike,
    *kernels: KernelLike,
    bank: bool = False,
    mode: str = "same",
    op: str = "correlate",
    border: str | None = None,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    channels: str | None = None,
    mix: Any = None,
    bias: Any = None,
    relu: bool = False,
    linear: bool = False,
    method: str = "auto",
    range: str = "auto",
    layout: str = "auto",
    threads: int | None = None,
) -> Figure:
    """Draw a picture and what kernels make of it beside it, as for a slide.

    Parameters
    ----------
    image, bank, mode, op, border, stride, dilation, channels, mix, bias, relu, linear, method
        See `filter`.
    *kernels : str or array_like
        See `filter`; each result of a bank is captioned with its kernel, as given.
    range : {'auto', 'clip', 'abs', 'center', 'minmax', 'percentile', 'signed'}
        See `filter`. Of plain numbers, which have neither black nor white, "auto" takes "minmax",
        and "signed" for derivatives.
    layout, threads
        See `filter`.

    Returns
    -------
    Figure
        The input, each result with its name and its range, and a colour bar below what has one
        number a pixel.

    Raises
    ------
    UsageError
        A kernel or a combination that makes no sense.
    InputError
        A picture or a kernel file that cannot be read.

    Examples
    --------
    >>> cnntool.filter_figure("samples/cat.png", "sobel-x", "gaussian:sigma=3", bank=True)
    <Figure of 435 rows x 1429 columns>
    """
    asked = FilterOptions(
        mode, op, border, stride, dilation, channels, mix, bias, relu, linear, bank, method
    )
    options, chosen = arithmetic(asked.checked()), style(range)
    lanes, filters = lanes_of(threads), read_kernels(kernels)
    picture = load(image, layout=layout)
    planned = plan_figure(picture.info, filters, options, chosen.range)
    names = [
        kernel if isinstance(kernel, str) else one.name
        for kernel, one in zip(kernels, filters, strict=True)
    ]
    return draw_filtering(planned, picture, names, threads=lanes)


def plan_figure(
    source: ImageInfo,
    kernels: Sequence[Filter | ConvLayer | Operation],
    options: Options,
    range: str,
    *,
    max_pixels: int = arguments.MOST_PIXELS,
) -> Filtering:
    """Plan kernels over a picture whose results will be drawn, so in 8 bits.

    Raises
    ------
    UsageError
        What `cnntool.api.filtering.plan_filtering` refuses.
    """
    planned = plan_filtering(
        source, kernels, options, Style(range, "8"), format_name=LOSSLESS, max_pixels=max_pixels
    )
    rendering = planned.rendering
    if not (source.matrix and rendering.automatic):
        return planned
    symmetric = tuple(policy == "center" for policy in rendering.ranges)
    ranges: list[Range] = ["signed" if one else "minmax" for one in symmetric]
    return planned._replace(rendering=rendering._replace(ranges=tuple(ranges), symmetric=symmetric))


def draw_filtering(
    planned: Filtering, picture: Picture, kernels: Sequence[str], *, threads: int
) -> Figure:
    """Draw an input and what kernels make of it.

    Parameters
    ----------
    planned : Filtering
        The kernels over a picture of this shape, see `plan_figure`.
    picture : Picture
        The input.
    kernels : sequence of str
        What they are called.
    threads : int
        How many strips are computed at once.
    """
    names, info = planned.names(kernels), picture.info
    shape, stacked = (info.height, info.width), info.matrix and info.channels > 1
    columns = len(names) if len(names) <= ACROSS else grid_shape(len(names))[1]
    across = arrange(info.channels, *shape)[1] if stacked else 1
    size = captioned.tile_size(shape, across * (columns + 1))
    tiles = planned.tiles(lambda lo, hi: picture.values[lo:hi], threads=threads)
    cells = []
    for name, tile in zip(names, tiles, strict=True):
        pixels: NDArray[np.uint8] | DisplayList = tile.pixels
        own = (tile.pixels.shape[0] / shape[0], tile.pixels.shape[1] / shape[1])
        own_size = max(1, round(size[0] * own[0])), max(1, round(size[1] * own[1]))
        maps = stacked and not tile.single
        if maps:
            stack = np.moveaxis(tile.pixels, 2, 0)
            if tile.symmetric:
                stack = palette("diverging")[np.minimum(stack, TOP)]
            pixels = _tiles(stack, own_size)
        bar = None
        if tile.single or maps:
            unit = "value" if info.matrix else "brightness"
            bar = colour_bar.of_range(tile.policy, tile.limits, unit, symmetric=tile.symmetric)
        cells.append(captioned.cell(pixels, name, f"range {tile.policy}", bar=bar, size=own_size))
    return Figure(captioned.beside(_input(picture, size), cells, columns))


def _tiles(maps: NDArray[np.uint8], size: tuple[int, int]) -> DisplayList:
    """Lay maps (n, h, w) or (n, h, w, 1 or 3) out, each at a size, with their numbers."""
    maps = maps[..., None] if maps.ndim == 3 else maps
    numbers = list(range(len(maps))) if len(maps) > 1 else None
    board = ContactSheet(len(maps), (*size, maps.shape[3]), numbers=numbers, margin=0)
    board.place(0, maps)
    return board.drawing


def _input(picture: Picture, size: tuple[int, int]) -> Cell:
    """Caption what went in: a photo, or numbers in shades of grey."""
    name, info = picture.name.replace("\\", "/").rpartition("/")[2], picture.info
    shape = size_text(info.height, info.width)
    if not info.matrix:
        return captioned.cell(photo_of(to_array(info, picture.values)), name, shape, size=size)
    maps, style = showable(picture.maps(), 3), find("gray")
    ends = limits(maps, style.scale)
    levels = style.paint(to_levels(maps, ends), Backdrop(signed=False, finite=ends.finite))
    return captioned.cell(_tiles(levels, size), name, shape)
