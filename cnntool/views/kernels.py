"""The kernels of a layer as tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import contact_sheet
from cnntool.views.colormaps import MARK, MARK_COLOUR, palette
from cnntool.views.colour_bar import of_style
from cnntool.views.contact_sheet import BLANK, GAP, PAPER, Caption, ContactSheet, enlargement
from cnntool.views.scale import SHARED, limits, showable, to_levels
from cnntool.views.styles import Backdrop, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.display_list import DisplayList
    from cnntool.views.scale import Scale

_LARGEST = 128  # pixels of a tile that was enlarged

SLICES = 16
"""How many input channels of a kernel are shown, unless more are asked for."""


def kernel_sheet(
    weights: NDArray[Any],
    *,
    chosen: Sequence[int] | NDArray[np.intp] | None = None,
    style: str | None = None,
    scale: Scale = "signed",
    slices: int = SLICES,
    columns: int | None = None,
    upscale: int | None = None,
    gap: int | None = None,
    numbered: bool = True,
    caption: Caption = BLANK,
    unit: str = "",
) -> DisplayList:
    """Draw the kernels of a convolution, one tile for each output channel.

    A kernel with three input channels is a small colour picture: mid-grey means zero, and each
    kernel is scaled to its own largest weight ("signed"). Other kernels are a mosaic of slices,
    one for each of their first input channels; all slices of a kernel share its scale.

    Parameters
    ----------
    weights : ndarray of shape (O, I, kH, kW)
        Output channels, input channels, rows, columns. For red, green and blue in the right
        places the input channels have that order; flip the axis of a network that takes BGR.
    chosen : sequence of int, optional
        Which output channels to show, in this order; by default all.
    style : str, optional
        A key of ``STYLES`` that needs no photo. By default three input channels are a colour
        picture, and others are "diverging". Where it is given, three channels are a mosaic too.
    scale : {"channel", "layer", "percentile", "signed"}
        A key of ``SCALES``; "channel" means each kernel by itself.
    slices : int
        The most input channels that a mosaic shows.
    columns, upscale, gap, numbered, caption, unit
        As in `sheet`; the gap is wider around mosaics, unless it is given.

    Raises
    ------
    UsageError
        When the weights are none of a two-dimensional convolution, or the picture would be too
        large.
    """
    weights = showable(weights, 4)
    outputs, inputs, height, width = weights.shape
    which = np.arange(outputs) if chosen is None else np.asarray(chosen, np.intp)
    ends = limits(weights.reshape(outputs, inputs * height, width), scale).of(which)
    coloured = inputs == 3 and style is None
    kept = weights[which] if coloured else weights[which, : max(1, slices)]
    bar = None
    levels = to_levels(kept.reshape(len(which), -1, width), ends).reshape(kept.shape)
    if coloured:
        tiles = _coloured(levels)
        factor = upscale or enlargement(len(which), height, width, columns, largest=_LARGEST)
    else:
        row = find(style or "diverging")
        if row.on_photo:
            raise UsageError(f"a kernel has no photo: no style {style}", source="`style`")
        rows, across = contact_sheet.grid_shape(kept.shape[1])
        block = rows * height, across * width
        factor = upscale or enlargement(len(which), *block, columns, largest=_LARGEST)
        scene = Backdrop(scale == "signed", ends.finite)
        if ends.common and caption != BLANK:
            bar = of_style(row, scene, ends.low[0], ends.high[0], unit)
        tiles = np.stack([_mosaic(row.paint(level, scene), factor) for level in levels])
        factor = 1
    board = ContactSheet(
        len(which),
        (tiles.shape[1] * factor, tiles.shape[2] * factor, tiles.shape[3]),
        columns=columns,
        gap=gap if gap is not None else GAP if coloured or kept.shape[1] == 1 else 4 * GAP,
        numbers=which.tolist() if numbered else None,
        caption=caption.with_scale(SHARED[scale].replace("map", "kernel")),
        bar=bar,
    )
    board.place(0, tiles)
    return board.drawing


def _coloured(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return levels (n, 3, h, w) as red, green and blue (n, h, w, 3), marks in their colour."""
    tiles = np.take(palette("gray")[:, 0], levels.transpose(0, 2, 3, 1))
    tiles[(levels == MARK).any(axis=1)] = MARK_COLOUR
    return tiles


def _mosaic(slices: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Lay the slices (n, h, w, c) of one kernel side by side, paper between them."""
    large = slices.repeat(factor, axis=1).repeat(factor, axis=2)
    return large[0] if len(large) == 1 else contact_sheet.tile(list(large), gap=GAP, fill=PAPER)
