"""Top patches: the pieces of photos that excite a map most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import contact_sheet
from cnntool.views.contact_sheet import BLANK, PAPER, Caption, ContactSheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.display_list import DisplayList

OUTSIDE = 224
"""The brightness of what lies outside of a photo."""

GAP = 10
"""Pixels between the blocks of two maps."""

Box = tuple[int, int, int, int]
"""First row, first column, and the row and the column behind the last."""


def cut(photo: NDArray[np.uint8], box: Box, side: int = 64) -> NDArray[np.uint8]:
    """Cut a receptive field out of a photo.

    Parameters
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
        What the network saw.
    box : (int, int, int, int)
        Top, left, bottom, right; it may reach beyond the photo, where the network saw padding:
        that part becomes light grey.
    side : int
        The longer side of the result, to which the field is enlarged or shrunk.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)
        The piece in the middle of white.
    """
    from PIL import Image

    top, left, bottom, right = box
    piece = np.full((max(1, bottom - top), max(1, right - left), 3), OUTSIDE, np.uint8)
    rows = slice(max(0, top), max(0, min(bottom, photo.shape[0])))
    columns = slice(max(0, left), max(0, min(right, photo.shape[1])))
    inside = photo[rows, columns]
    if inside.size:
        below, beside = rows.start - top, columns.start - left
        piece[below : below + inside.shape[0], beside : beside + inside.shape[1]] = inside
    # Few pixels keep their edges.
    factor = side / max(piece.shape[:2])
    method = Image.Resampling.NEAREST if factor >= 4 else Image.Resampling.BICUBIC
    height, width = (max(1, round(length * factor)) for length in piece.shape[:2])
    piece = np.asarray(Image.fromarray(piece).resize((width, height), method))
    result = np.full((side, side, 3), PAPER, np.uint8)
    row, column = (side - piece.shape[0]) // 2, (side - piece.shape[1]) // 2
    result[row : row + piece.shape[0], column : column + piece.shape[1]] = piece
    return result


def patch_sheet(
    patches: Sequence[Sequence[NDArray[np.uint8]]],
    numbers: Sequence[int],
    *,
    columns: int | None = None,
    caption: Caption = BLANK,
) -> DisplayList:
    """Draw, for each map, a nearly square block of the patches that excite it most.

    Parameters
    ----------
    patches : sequence of sequences of ndarray of uint8, shape (h, w, 3)
        For each map its patches, the most exciting one first; all of one size. A map that nothing
        excites may have none.
    numbers : sequence of int
        Which maps these are.
    columns : int, optional
        Blocks in a row; by default the sheet is nearly square.
    caption : Caption
        What stands above.

    Raises
    ------
    UsageError
        When there is no patch at all, or the picture would be too large.
    """
    most = max((len(of_map) for of_map in patches), default=0)
    if most == 0:
        raise UsageError("nothing excites these maps: there are no patches to show")
    shape = next(patch.shape for of_map in patches for patch in of_map)
    blank = np.full(shape, PAPER, np.uint8)
    blocks = [
        contact_sheet.tile([*of_map, *[blank] * (most - len(of_map))], gap=1, fill=PAPER)
        for of_map in patches
    ]
    board = ContactSheet(
        len(blocks), blocks[0].shape, columns=columns, gap=GAP, numbers=numbers, caption=caption
    )
    board.place(0, np.stack(blocks), smooth=True)
    return board.drawing
