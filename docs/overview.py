"""Draw README's picture, what the tool does with a photo: ``python docs/overview.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cnntool
from cnntool.views.display_list import DisplayList
from cnntool.views.scale import limits, to_levels
from cnntool.views.styles import Backdrop, find

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
SIDE, GAP, MARGIN = 276, 18, 20
TITLE, DETAIL, CAPTION = 17, 12, 46
FAINT, BAR, TRACK = (110, 118, 128), (51, 94, 145), (226, 231, 238)


def coloured(maps: NDArray[Any], style: str, photo: NDArray[np.uint8] | None = None) -> Any:
    """Colour maps (n, H, W) as the tool does; the overlay takes the size of the photo."""
    ends = limits(maps, "channel")
    return find(style).paint(to_levels(maps, ends), Backdrop(photo=photo))


def four(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay four tiles (4, H, W, 3) out in a square, with a white line between them."""
    rows = [np.concatenate([tiles[at], _line(tiles[at], 1), tiles[at + 1]], 1) for at in (0, 2)]
    return np.concatenate([rows[0], _line(rows[0], 0), rows[1]])


def _line(tile: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    shape = list(tile.shape)
    shape[axis] = 3
    return np.full(shape, 255, np.uint8)


def draw() -> DisplayList:
    """Draw the picture."""
    photo = cnntool.read_image(ROOT / "samples/cat.png")[:, 60:360]
    with cnntool.load_model("vgg16-mini") as net:
        layers = net.activations(photo, "block1_conv1", "block4_conv2")
        answers = net.classify(photo, top=5)
        why = net.explain(photo, target="cat")[0]
    early = four(coloured(layers["block1_conv1"][[0, 3, 7, 8]], "viridis"))
    deep = layers["block4_conv2"]
    best = np.argsort(-deep.max(axis=(1, 2)))[:4]
    late = four(coloured(deep[best], "overlay", photo))
    tiles: list[tuple[str, str, Any]] = [
        ("a photo", "samples/cat.png", photo),
        ("blurred", "filter -k gaussian:sigma=4", _filtered(photo, "gaussian:sigma=4")),
        ("edges", "filter -k sobel", _filtered(photo, "sobel")),
        ("embossed", "filter -k emboss", _filtered(photo, "emboss")),
        ("what a first layer sees", "activations --layer block1_conv1 --style viridis", early),
        ("what a deep one looks for", "activations --layer block4_conv2 --style overlay", late),
        ("what speaks for a cat", "explain", coloured(why.map[None], "overlay", photo)[0]),
        (f"{answers[0].label}, {answers[0].probability:.0%} sure", "classify", answers),
    ]
    width = 4 * SIDE + 3 * GAP + 2 * MARGIN
    drawing = DisplayList(width, 2 * (SIDE + CAPTION) + GAP + 2 * MARGIN)
    for number, (title, command, content) in enumerate(tiles):
        left = MARGIN + number % 4 * (SIDE + GAP)
        top = MARGIN + number // 4 * (SIDE + CAPTION + GAP)
        drawing.text((left, top + 17), title, TITLE, anchor="ls")
        drawing.text((left, top + 36), command, DETAIL, FAINT, anchor="ls")
        if isinstance(content, np.ndarray):
            drawing.picture((left, top + CAPTION), content, size=(SIDE, SIDE), smooth=True)
            continue
        for row, one in enumerate(content):
            y = top + CAPTION + 14 + row * 56
            drawing.text((left, y), f"{one.label}  {one.probability:.1%}", 14, anchor="ls")
            drawing.rectangle((left, y + 8, left + SIDE - 1, y + 21), TRACK)
            if filled := round(one.probability * (SIDE - 1)):
                drawing.rectangle((left, y + 8, left + filled, y + 21), BAR)
    return drawing


def _filtered(photo: NDArray[Any], kernel: str) -> NDArray[Any]:
    return cnntool.filter(photo, kernel, border="replicate")


if __name__ == "__main__":
    cnntool.write_image(ROOT / "docs/overview.jpg", draw().pixels(), quality=82, overwrite=True)
