"""A confusion matrix as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.views import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PALE, DEEP = (247, 250, 253), (8, 69, 128)
WRONG = (178, 62, 45)
SIDE = 960
"""Pixels that the matrix itself takes at most; a matrix of more classes has cells of one pixel."""

NAMED = 60
"""Classes up to which each row and column has its name."""


def draw(counts: NDArray[np.int64], labels: Sequence[str]) -> bytes:
    """Draw what was taken for what.

    Parameters
    ----------
    counts : ndarray of shape (n, n)
        True class by row, answer by column.
    labels : sequence of str
        Of the n classes.

    Returns
    -------
    bytes
        A PNG: each row shaded by its shares, blue on the diagonal, red beside it, with the
        counts where they can be read.
    """
    import io

    from PIL import Image, ImageDraw

    number = len(labels)
    cell = max(1, min(56, SIDE // number))
    named = number <= NAMED
    size = min(16, max(9, cell // 3)) if named else 13
    names = [label.split(",")[0] for label in labels]
    margin = int(max(text.width_of(name, size) for name in names)) + 16 if named else 8
    title = 40
    side = cell * number
    page = Image.new("RGB", (margin + side + 12, title + side + margin), text.WHITE)
    pen = ImageDraw.Draw(page)
    heading = "true class by row, answer by column"
    text.write(pen, (margin, 26), heading, 15, text.FAINT, anchor="ls")
    page.paste(_cells(counts, cell), (margin, title))
    if named:
        _names(page, names, (margin, title), cell, size)
        _numbers(pen, counts, (margin, title), cell)
    data = io.BytesIO()
    page.save(data, "PNG")
    return data.getvalue()


def _cells(counts: NDArray[np.int64], cell: int) -> Any:
    from PIL import Image

    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = text.ramp(np.sqrt(shares), (PALE, WRONG))
    diagonal = np.arange(len(counts))
    colours[diagonal, diagonal] = text.ramp(shares.diagonal(), (PALE, DEEP))
    large = colours.repeat(cell, axis=0).repeat(cell, axis=1)
    if cell > 8:
        large[::cell] = large[:, ::cell] = text.WHITE
    return Image.fromarray(large)


def _names(page: Any, names: Sequence[str], place: tuple[int, int], cell: int, size: int) -> None:
    """Write the labels: of the rows on the left, of the columns below, turned."""
    from PIL import Image, ImageDraw

    left, top = place
    pen = ImageDraw.Draw(page)
    bottom = top + cell * len(names)
    for number, name in enumerate(names):
        middle = cell * number + cell / 2
        text.write(pen, (left - 8, top + middle), name, size, anchor="rm")
        length = int(text.width_of(name, size)) + 4
        strip = Image.new("RGB", (length, size + 6), text.WHITE)
        text.write(ImageDraw.Draw(strip), (length - 2, size / 2 + 3), name, size, anchor="rm")
        turned = strip.rotate(90, expand=True)
        page.paste(turned, (int(left + middle - turned.width / 2), bottom + 8))


def _numbers(pen: Any, counts: NDArray[np.int64], place: tuple[int, int], cell: int) -> None:
    size = text.fitting_size((str(counts.max()),), cell - 6, 15)
    if not size:
        return
    left, top = place
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            dark = shares[row, column] > (0.5 if row == column else 0.25)
            at = left + column * cell + cell / 2, top + row * cell + cell / 2
            text.write(pen, at, str(count), size, text.WHITE if dark else text.INK)
