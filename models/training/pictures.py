"""The two pictures of the model card."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INK, PAPER = (30, 30, 30), (255, 255, 255)
RIGHT, WRONG = (8, 69, 128), (178, 62, 45)


def confusion_matrix(counts: NDArray[np.int64], labels: tuple[str, ...], path: Path) -> None:
    """Draw `counts` (true class by answer) as percent of each row, alike classes side by side."""
    cell, margin = 25, 128
    order = alike(counts)
    names = [labels[one] for one in order]
    counts = counts[np.ix_(order, order)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = margin + cell * len(names)
    picture = Image.new("RGB", (side + 10, side + 10), PAPER)
    draw = ImageDraw.Draw(picture)
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)
    for row, name in enumerate(names):
        middle = margin + cell * row + cell // 2
        draw.text((margin - 6, middle), name, INK, font, anchor="rm")
        upright = Image.new("RGB", (margin - 6, cell), PAPER)
        ImageDraw.Draw(upright).text((0, cell // 2), name, INK, font, anchor="lm")
        picture.paste(upright.rotate(90, expand=True), (margin + cell * row, 0))
        for column, share in enumerate(shares[row]):
            deep = RIGHT if row == column else WRONG
            depth = share if row == column else min(1, 1.6 * share**0.5)
            colour = tuple(round(255 - (255 - one) * (0.03 + 0.97 * depth)) for one in deep)
            left, top = margin + cell * column, margin + cell * row
            draw.rectangle((left, top, left + cell - 2, top + cell - 2), colour)
            if round(100 * share):
                ink = PAPER if depth > 0.55 else INK
                centre = (left + cell // 2 - 1, middle - 1)
                draw.text(centre, f"{100 * share:.0f}", ink, small, anchor="mm")
    draw.text((6, margin - 58), "true class down,", INK, small)
    draw.text((6, margin - 44), "answer across,", INK, small)
    draw.text((6, margin - 30), "percent of the row", INK, small)
    picture.quantize(64).save(path, optimize=True)


def alike(counts: NDArray[np.int64]) -> list[int]:
    """Return the classes in an order in which those taken for each other are neighbours."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    near = shares + shares.T
    np.fill_diagonal(near, -1)
    near[-1] = near[:, -1] = -1  # "something else" is near to all and stays last
    left = set(range(1, len(counts) - 1))
    order = [0]
    while left:
        order.append(max(sorted(left), key=lambda one: near[order[-1], one]))
        left.remove(order[-1])
    return [*order, len(counts) - 1]


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
