"""One unit of a network on one slide: what it sees, its strongest channels, and the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.views.caption import fitted
from cnntool.views.drawing import FAINT, RULE, WHITE, Box, write
from cnntool.views.numerals import short
from cnntool.views.patches import cut
from cnntool.views.stage import KERNEL, RESULT
from cnntool.views.unit_channels import Channel, draw_channels

__all__ = ["Channel", "UnitScene", "draw_unit"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 1280, 720
"""Pixels of the slide."""

MARGIN, TOP = 40, 104
"""Around everything, and above photo and windows."""

PHOTO, ZOOM = 330, 116
"""Pixels of the photo's longer side, and of the piece that the unit sees."""

CHANNELS = (420, TOP, WIDTH - MARGIN, 584)
"""Where the channels stand."""

MOST, MOST_LINES = 3, 6
"""Channels that are shown, of kernels with several rows and with one."""


class UnitScene(NamedTuple):
    """What is shown.

    Parameters
    ----------
    title, detail : str
        The unit, and facts about its layer.
    photo : ndarray of uint8, shape (H, W, 3)
        What the network sees.
    box : (int, int, int, int) or None
        What the unit sees of it: first row and column, and those behind the last. It may reach
        beyond the photo.
    sees : sequence of str
        The same in words, in short lines.
    channels : sequence of Channel
        Those that count most, the first one most of all.
    maps : int
        How many there are.
    inside : (kH, kW) bool
        Which taps lie on the input; the others are zero.
    total, bias : float
        The sum of all products, and what is added.
    after : (str, float) or None
        What follows in the network, and the value that it makes.
    note : str
        A line about the network's own value.
    """

    title: str
    detail: str
    photo: NDArray[np.uint8]
    box: tuple[int, int, int, int] | None
    sees: Sequence[str]
    channels: Sequence[Channel]
    maps: int
    inside: NDArray[np.bool_]
    total: float
    bias: float
    after: tuple[str, float] | None
    note: str


def draw_unit(scene: UnitScene) -> Image:
    """Draw the slide.

    Parameters
    ----------
    scene : UnitScene

    Returns
    -------
    PIL.Image.Image
        RGB, `WIDTH` x `HEIGHT`.

    Raises
    ------
    UsageError
        A kernel too large to be seen.
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    draw = ImageDraw.Draw(picture)
    room = WIDTH - 2 * MARGIN
    write(draw, (MARGIN, 48), fitted(scene.title, 27, room), 27, anchor="ls")
    write(draw, (MARGIN, 74), fitted(scene.detail, 15, room), 15, ink=FAINT, anchor="ls")
    _draw_sight(picture, draw, scene)
    height = scene.inside.shape[0]
    shown = scene.channels[: MOST_LINES if height == 1 else MOST]
    others = scene.maps - len(shown)
    terms = [("bias", scene.bias)]
    if others:
        rest = scene.total - sum(float(channel.products.sum()) for channel in shown)
        terms.insert(0, (f"{others} other channel{'s' * (others > 1)}", rest))
    draw_channels(draw, CHANNELS, shown, scene.inside, terms)
    _draw_foot(draw, scene)
    return picture


def _draw_sight(picture: Image, draw: ImageDraw, scene: UnitScene) -> None:
    """Draw the photo, light where the unit does not look, and the piece where it does."""
    from PIL import Image

    rows, columns = scene.photo.shape[:2]
    scale = PHOTO / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    photo = scene.photo.astype(np.float32)
    if scene.box is not None:
        top, left, bottom, right = scene.box
        seen = np.zeros((rows, columns, 1), np.bool_)
        seen[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
        photo = np.where(seen, photo, 0.5 * photo + 112)
    method = Image.Resampling.NEAREST if scale >= 4 else Image.Resampling.BICUBIC
    shown = Image.fromarray(photo.astype(np.uint8)).resize(size, method)
    picture.paste(shown, (MARGIN, TOP))
    below, beside = TOP + size[1] + 14, MARGIN
    if scene.box is not None:
        top, left, bottom, right = (
            round(min(max(edge, 0), limit) * scale)
            for edge, limit in zip(scene.box, (rows, columns) * 2, strict=True)
        )
        frame = (MARGIN + left - 2, TOP + top - 2, MARGIN + right + 1, TOP + bottom + 1)
        draw.rectangle(_grown(frame, 2), outline=WHITE, width=2)
        draw.rectangle(frame, outline=KERNEL.title, width=3)
        beside = _draw_piece(picture, draw, scene, below)
    for line in scene.sees:
        write(draw, (beside, below + 14), line, 15, ink=KERNEL.title, anchor="ls")
        below += 22


def _draw_piece(picture: Image, draw: ImageDraw, scene: UnitScene, below: int) -> int:
    """Enlarge what a unit sees if that is little; return where there is room beside it."""
    from PIL import Image

    assert scene.box is not None  # noqa: S101 - the caller looked
    top, left, bottom, right = scene.box
    share = max((bottom - top) / scene.photo.shape[0], (right - left) / scene.photo.shape[1])
    if share > 0.6:
        return MARGIN
    picture.paste(Image.fromarray(cut(scene.photo, scene.box, ZOOM)), (MARGIN, below))
    frame = (MARGIN - 2, below - 2, MARGIN + ZOOM + 1, below + ZOOM + 1)
    draw.rectangle(frame, outline=KERNEL.title, width=3)
    return MARGIN + ZOOM + 18


def _draw_foot(draw: ImageDraw, scene: UnitScene) -> None:
    """Write the whole sum."""
    products = scene.maps * scene.inside.size
    value = scene.total + scene.bias
    terms = [
        ("", f"sum of {products} products" if products > 1 else "product", scene.total, RULE),
        ("+", "bias", scene.bias, RULE),
        ("=", "result", value, RESULT.line),
    ]
    if scene.after is not None:
        terms.append((">", f"after {scene.after[0]}", scene.after[1], RESULT.title))
    wide, apart = 176, 46
    left = (WIDTH - len(terms) * wide - (len(terms) - 1) * apart) / 2
    top = HEIGHT - 98
    for sign, name, number, line in terms:
        box = (left, top, left + wide, top + 46)
        fill = RESULT.light if line != RULE else (246, 248, 250)
        draw.rounded_rectangle(box, 8, fill, line, 2 if line == RESULT.title else 1)
        middle = left + wide / 2
        write(draw, (middle, top + 22), short(number, 5), 22)
        write(draw, (middle, top - 13), fitted(name, 14, wide + apart - 8), 14, ink=FAINT)
        if sign == ">":
            _draw_arrow(draw, left - apart + 8, left - 8, top + 23)
        elif sign:
            write(draw, (left - apart / 2, top + 22), sign, 26, ink=FAINT)
        left += wide + apart
    write(draw, (WIDTH / 2, HEIGHT - 26), scene.note, 15, ink=FAINT)


def _draw_arrow(draw: ImageDraw, left: float, right: float, line: float) -> None:
    draw.line((left, line, right - 6, line), FAINT, 2)
    draw.polygon(((right, line), (right - 9, line - 6), (right - 9, line + 6)), FAINT)


def _grown(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by
