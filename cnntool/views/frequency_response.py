"""The size of a frequency response as a picture with axes and a scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.views.colormaps import TOP, palette
from cnntool.views.number_format import short
from cnntool.views.text import FAINT, WHITE, plain, width_of, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

SIDE = 321
"""Pixels of a response, a sample each."""

LEFT, RIGHT, HEAD, FOOT = 84, 96, 56, 64
BAR_GAP, BAR_WIDTH = 22, 16
MOST_ACROSS = 4
TICKS = (-0.5, -0.25, 0.0, 0.25, 0.5)
COLOURS = "viridis"


def picture(responses: Sequence[tuple[str, NDArray[np.float64]]]) -> Image:
    """Draw responses side by side, on one scale from 0 to the largest.

    Parameters
    ----------
    responses : sequence of (title, ndarray (SIDE, SIDE))
        Row frequencies down, column frequencies across, from -1/2 to 1/2 cycles a pixel.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    from PIL import Image, ImageDraw

    largest = max(float(size.max()) for _, size in responses) or 1.0
    width, height = LEFT + SIDE + RIGHT, HEAD + SIDE + FOOT
    across = min(len(responses), MOST_ACROSS)
    image = Image.new("RGB", (width * across, height * -(-len(responses) // across)), WHITE)
    draw = ImageDraw.Draw(image)
    for number, (title, size) in enumerate(responses):
        row, column = divmod(number, across)
        left, top = column * width + LEFT, row * height + HEAD
        write(draw, (left + SIDE / 2, top - 28), plain(title), 17)
        image.paste(Image.fromarray(_coloured(size / largest)), (left, top))
        _axes(draw, left, top)
        sideways = _sideways("down rows, cycles a pixel")
        image.paste(sideways, (left - 62, top + (SIDE - sideways.height) // 2))
        scale = np.linspace(1, 0, SIDE)[:, None].repeat(BAR_WIDTH, axis=1)
        bar = left + SIDE + BAR_GAP
        image.paste(Image.fromarray(_coloured(scale)), (bar, top))
        for share in (0, 0.25, 0.5, 0.75, 1):
            y = top + (SIDE - 1) * (1 - share)
            draw.line((bar + BAR_WIDTH, y, bar + BAR_WIDTH + 4, y), FAINT)
            write(draw, (bar + BAR_WIDTH + 8, y), short(share * largest, 3), 13, anchor="lm")
    return image


def _coloured(unit: NDArray[np.float64]) -> NDArray[np.uint8]:
    coloured: NDArray[np.uint8] = palette(COLOURS)[np.rint(unit * TOP).astype(np.intp)]
    return coloured


def _axes(draw: ImageDraw, left: int, top: int) -> None:
    """Draw ticks and names of the axes."""
    bottom = top + SIDE
    for tick in TICKS:
        along = (tick + 0.5) * (SIDE - 1)
        draw.line((left + along, bottom, left + along, bottom + 4), FAINT)
        write(draw, (left + along, bottom + 14), short(tick), 13)
        draw.line((left - 5, top + along, left - 1, top + along), FAINT)
        write(draw, (left - 9, top + along), short(tick), 13, anchor="rm")
    write(draw, (left + SIDE / 2, bottom + 38), "across columns, cycles a pixel", 14, ink=FAINT)


def _sideways(text: str) -> Image:
    """Write a text from bottom to top."""
    from PIL import Image, ImageDraw

    level = Image.new("RGB", (round(width_of(text, 14)) + 4, 20), WHITE)
    write(ImageDraw.Draw(level), (level.width / 2, 10), text, 14, ink=FAINT)
    return level.transpose(Image.Transpose.ROTATE_90)
