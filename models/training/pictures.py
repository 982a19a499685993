"""The two pictures of the model card."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INK, PAPER = (30, 30, 30), (255, 255, 255)


def confusion_matrix(counts: NDArray[np.int64], labels: tuple[str, ...], path: Path) -> None:
    """Draw `counts` (true class by answer); a cell is as dark as its share of the row."""
    cell, margin = 44, 150
    side = margin + cell * len(labels)
    picture = Image.new("RGB", (side + 10, side + 10), PAPER)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(15), ImageFont.load_default(13)
    shares = counts / counts.sum(axis=1, keepdims=True)
    for row, label in enumerate(labels):
        middle = margin + cell * row + cell // 2
        draw.text((margin - 8, middle), label, INK, font, anchor="rm")
        upright = Image.new("RGB", (margin - 8, cell), PAPER)
        ImageDraw.Draw(upright).text((0, cell // 2), label, INK, font, anchor="lm")
        picture.paste(upright.rotate(90, expand=True), (margin + cell * row, 0))
        for column, share in enumerate(shares[row]):
            shade = 1 - share**0.5
            colour = tuple(round(255 * (low + (1 - low) * shade)) for low in (0.03, 0.19, 0.42))
            left, top = margin + cell * column, margin + cell * row
            draw.rectangle((left, top, left + cell - 2, top + cell - 2), colour)
            if counts[row, column]:
                ink = PAPER if share > 0.25 else INK
                centre = (left + cell // 2 - 1, middle - 1)
                draw.text(centre, str(counts[row, column]), ink, small, anchor="mm")
    draw.text((8, margin - 40), "true class", INK, small)
    draw.text((8, margin - 22), "down, answer across", INK, small)
    picture.save(path, optimize=True)


def first_filters(weights: NDArray[np.float32], path: Path) -> None:
    """Draw filters (N, 3, 3, 3) as RGB: grey is zero, each filter scaled to its largest weight."""
    zoom, gap, across = 24, 8, 8
    down = -(-len(weights) // across)
    tile = 3 * zoom + gap
    picture = Image.new("RGB", (across * tile + gap, down * tile + gap), PAPER)
    for index, one in enumerate(weights):
        values = 0.5 + 0.5 * one / np.abs(one).max()
        pixels = np.round(255 * values.transpose(1, 2, 0)).astype(np.uint8)
        big = Image.fromarray(pixels.repeat(zoom, 0).repeat(zoom, 1))
        picture.paste(big, (gap + index % across * tile, gap + index // across * tile))
    picture.save(path, optimize=True)
