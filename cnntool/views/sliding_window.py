"""Sliding windows drawn: one frame, and the animation of all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.views.number_format import alike, short
from cnntool.views.text import (
    FAINT,
    INK,
    RULE,
    SMALLEST_TEXT,
    WHITE,
    Box,
    Colour,
    dashed_box,
    fitting_size,
    grown,
    mixed,
    ramp,
    width_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from cnntool.shapes.windows import Pair

Values = NDArray[np.float64]


class Paint(NamedTuple):
    """The colours of one panel: cells, the cell that counts now, lines, title."""

    light: Colour
    strong: Colour
    line: Colour
    title: Colour


INPUT = Paint((223, 234, 247), (166, 195, 230), (139, 167, 201), (51, 94, 145))
KERNEL = Paint((253, 236, 200), (250, 214, 137), (214, 168, 79), (158, 105, 16))
RESULT = Paint((214, 239, 228), (136, 209, 178), (117, 179, 152), (29, 115, 84))

LARGEST_CELL, SMALLEST_CELL = 56, 12
LARGEST_WIDTH, LARGEST_HEIGHT = 1160, 520
"""Pixels that the three panels should not exceed while cells can still shrink."""

MARGIN, GAP, TITLE, FOOT = 28, 52, 34, 78


class WindowScene(NamedTuple):
    """What is shown.

    Parameters
    ----------
    padded : (H', W')
        The input with its border.
    pads : (top, bottom, left, right)
        How much of it is border.
    weights : (kH, kW)
        As they are laid on.
    result : (H_out, W_out)
    stride, dilation : (rows, columns)
    note : str
        A line about the settings.
    """

    padded: Values
    pads: tuple[int, int, int, int]
    weights: Values
    result: Values
    stride: Pair
    dilation: Pair
    note: str


class Panel(NamedTuple):
    """One grid of cells: where it is, what stands in it, and how large (0: too small to read)."""

    left: int
    top: int
    cell: int
    shape: Pair
    paint: Paint
    labels: list[str]
    text: int
    unit: Values

    def box(self, row: int, column: int, rows: int = 1, columns: int = 1) -> Box:
        """Return the pixels of a cell, or of several from there on."""
        left, top = self.left + column * self.cell, self.top + row * self.cell
        return left, top, left + columns * self.cell, top + rows * self.cell

    def label(self, at: Pair) -> str:
        """Return a cell's number."""
        return self.labels[at[0] * self.shape[1] + at[1]]

    def fill(self, at: Pair, paint: Paint, *, strong: bool = False) -> Colour:
        """Choose a cell's colour; where no number fits, its shade tells how large it is."""
        if self.text:
            return paint.strong if strong else paint.light
        dark = mixed(paint.title, INK, 0.5)
        red, green, blue = ramp(self.unit[at], (dark, paint.title, paint.strong, paint.light))
        return int(red), int(green), int(blue)

    def number(self, draw: ImageDraw, at: Pair, ink: Colour = INK, *, lift: float = 0) -> None:
        """Write a cell's number, if numbers fit."""
        if self.text:
            left, top, right, bottom = self.box(*at)
            middle = (left + right) / 2, (top + bottom) / 2 - lift * self.cell
            write(draw, middle, self.label(at), self.text, ink=ink)


class WindowFrame:
    """What stays from frame to frame: the grids, the kernel, the results so far."""

    def __init__(self, scene: WindowScene) -> None:
        from PIL import Image, ImageDraw

        self.scene = scene
        arrays = scene.padded, scene.weights, scene.result
        cell = _cell_size([array.shape for array in arrays])
        rows = max(array.shape[0] for array in arrays)
        columns = sum(array.shape[1] for array in arrays)
        body = rows * cell
        width = max(2 * MARGIN + columns * cell + 2 * GAP, 540)
        size = width, MARGIN + TITLE + body + FOOT
        self.image = Image.new("RGB", size, WHITE)
        draw = ImageDraw.Draw(self.image)
        left = (width - columns * cell - 2 * GAP) // 2
        panels = []
        for array, paint in zip(arrays, (INPUT, KERNEL, RESULT), strict=True):
            top = MARGIN + TITLE + (body - array.shape[0] * cell) // 2
            labels = alike(array.ravel().tolist())
            text = fitting_size(labels, 0.84 * cell, round(0.4 * cell))
            shape = (array.shape[0], array.shape[1])
            panels.append(Panel(left, top, cell, shape, paint, labels, text, _unit(array)))
            left += array.shape[1] * cell + GAP
        self.input, self.kernel, self.result = panels
        self._draw_input(draw)
        self._draw_kernel(draw)
        self._draw_empty(draw)
        for panel, sign in ((self.kernel, "*"), (self.result, "=")):
            middle = MARGIN + TITLE + body / 2
            lift = -3 if sign == "*" else 0
            write(draw, (panel.left - GAP / 2, middle + lift), sign, 30, ink=FAINT)

    def fill(self, at: Pair) -> None:
        """Enter a value of the result."""
        from PIL import ImageDraw

        self._result_cell(ImageDraw.Draw(self.image), at, strong=False)

    def frame(self, at: Pair) -> Image:
        """Draw the window, the place it belongs to, and the sum."""
        from PIL import ImageDraw

        picture = self.image.copy()
        draw = ImageDraw.Draw(picture)
        scene = self.scene
        first = [place * step for place, step in zip(at, scene.stride, strict=True)]
        terms = []
        for tap in np.ndindex(*scene.weights.shape):
            row, column = (f + t * d for f, t, d in zip(first, tap, scene.dilation, strict=True))
            self._window_cell(draw, (row, column), tap)
            value, weight = scene.padded[row, column], scene.weights[tap]
            terms.append(f"{_factor(float(weight))}·{_factor(float(value))}")
        draw.rectangle(self._whole(), outline=INPUT.title)
        extent = [
            (size - 1) * step + 1
            for size, step in zip(scene.weights.shape, scene.dilation, strict=True)
        ]
        box = self.input.box(first[0], first[1], extent[0], extent[1])
        draw.rectangle(grown(box), outline=KERNEL.title, width=3)
        self._result_cell(draw, at, strong=True)
        draw.rectangle(grown(self.result.box(*at)), outline=RESULT.title, width=3)
        self._foot(draw, at, terms)
        return picture

    def _title(self, draw: ImageDraw, panel: Panel, text: str) -> None:
        middle = panel.left + panel.shape[1] * panel.cell / 2
        write(draw, (middle, panel.top - 18), text, 16, ink=panel.paint.title)

    def _draw_input(self, draw: ImageDraw) -> None:
        panel = self.input
        top, bottom, left, right = self.scene.pads
        height, width = panel.shape[0] - top - bottom, panel.shape[1] - left - right
        for at in np.ndindex(panel.shape):
            box = panel.box(*at)
            if 0 <= at[0] - top < height and 0 <= at[1] - left < width:
                draw.rectangle(box, panel.fill(at, panel.paint), panel.paint.line)
                panel.number(draw, at)
            else:
                panel.number(draw, at, FAINT)
                dashed_box(draw, box, RULE)
        draw.rectangle(self._whole(), outline=panel.paint.title)
        self._title(draw, panel, f"input {height} x {width}")

    def _whole(self) -> Box:
        """Return the pixels of the input without its border."""
        top, bottom, left, right = self.scene.pads
        height, width = self.input.shape
        return self.input.box(top, left, height - top - bottom, width - left - right)

    def _draw_kernel(self, draw: ImageDraw) -> None:
        panel = self.kernel
        for at in np.ndindex(panel.shape):
            draw.rectangle(panel.box(*at), panel.fill(at, panel.paint), panel.paint.line)
            panel.number(draw, at)
        draw.rectangle(panel.box(0, 0, *panel.shape), outline=panel.paint.title)
        self._title(draw, panel, f"kernel {panel.shape[0]} x {panel.shape[1]}")

    def _draw_empty(self, draw: ImageDraw) -> None:
        panel = self.result
        for at in np.ndindex(panel.shape):
            draw.rectangle(panel.box(*at), WHITE, mixed(panel.paint.line, WHITE, 0.4))
        self._title(draw, panel, f"result {panel.shape[0]} x {panel.shape[1]}")

    def _result_cell(self, draw: ImageDraw, at: Pair, *, strong: bool) -> None:
        panel = self.result
        fill = panel.fill(at, panel.paint, strong=strong)
        draw.rectangle(panel.box(*at), fill, panel.paint.line)
        panel.number(draw, at)

    def _window_cell(self, draw: ImageDraw, at: Pair, tap: Pair) -> None:
        panel = self.input
        left, top, right, bottom = panel.box(*at)
        draw.rectangle((left, top, right, bottom), panel.fill(at, KERNEL, strong=True), KERNEL.line)
        small = min(round(0.25 * panel.cell), self.kernel.text, panel.text - 2)
        if small < SMALLEST_TEXT:
            panel.number(draw, at)
            return
        panel.number(draw, at, lift=0.1)
        write(
            draw,
            (right - 4, bottom - 4),
            self.kernel.label(tap),
            small,
            ink=KERNEL.title,
            anchor="rs",
        )

    def _foot(self, draw: ImageDraw, at: Pair, terms: list[str]) -> None:
        width, height = self.image.size
        room = width - 2 * MARGIN
        place = f"result ({at[0]}, {at[1]}) = "
        value = short(float(self.scene.result[at]))
        text = f"{place}{' + '.join(terms)} = {value}"
        if width_of(text, 13) > room:
            text = f"{place}sum of {len(terms)} products = {value}"
        size = fitting_size([text], room, 17)
        write(draw, (width / 2, height - FOOT + 28), text, size)
        write(draw, (width / 2, height - FOOT + 54), self.scene.note, 14, ink=FAINT)


def _cell_size(shapes: list[tuple[int, ...]]) -> int:
    """Choose cells as large as the width and the height allow."""
    rows = max(shape[0] for shape in shapes)
    columns = sum(shape[1] for shape in shapes)
    side = min(LARGEST_CELL, LARGEST_WIDTH // columns, LARGEST_HEIGHT // rows)
    return max(SMALLEST_CELL, side)


def _factor(value: float) -> str:
    text = short(value, 3)
    return f"({text})" if value < 0 else text


def _unit(values: Values) -> Values:
    """Move the smallest value to 0, the largest to 1."""
    low, high = values.min(), values.max()
    unit: Values = (values - low) / (high - low) if high > low else np.ones_like(values)
    return unit


__all__ = ["WindowScene", "check_size", "frame", "frames", "gif"]


COLOURS = 128
"""Of an animation's palette, at most."""

APART = 6
"""Levels of red, green or blue by which they differ; Pillow confuses closer ones."""

MOST_SIDE, MOST_FRAMES = 32, 256
"""Cells a side, and values of the result, that are drawn."""


def check_size(padded: Pair, result: Pair, frames: int) -> None:
    """Refuse what nobody could look at.

    Parameters
    ----------
    padded, result : (rows, columns)
        Of the padded input and of the result.
    frames : int
        How many are to be drawn.

    Raises
    ------
    UsageError
        More than `MOST_SIDE` cells a side, or more than `MOST_FRAMES` frames.
    """
    if max(*padded, *result) > MOST_SIDE:
        raise UsageError(
            f"an input of {padded[0]}x{padded[1]} with its border is too large to draw:"
            f" {MOST_SIDE} a side is the most",
            hint="`at` without `output` prints a value of an input of any size",
        )
    if frames > MOST_FRAMES:
        raise UsageError(
            f"the result has {result[0]}x{result[1]} values, an animation at most {MOST_FRAMES}",
            hint="a larger `stride` gives fewer; `at` with `path=FILE.png` draws one",
        )


def frames(scene: WindowScene) -> Iterator[Image]:
    """Draw a frame for each value of the result, in reading order.

    Parameters
    ----------
    scene : WindowScene

    Yields
    ------
    PIL.Image.Image
        RGB, all of one size.
    """
    stage = WindowFrame(scene)
    for at in np.ndindex(*scene.result.shape):
        stage.fill(at)
        yield stage.frame(at)


def frame(scene: WindowScene, at: Pair) -> Image:
    """Draw one frame: the result is filled up to a place."""
    stage = WindowFrame(scene)
    for place in np.ndindex(*scene.result.shape):
        stage.fill(place)
        if place == at:
            break
    return stage.frame(at)


def gif(scene: WindowScene, seconds: float) -> bytes:
    """Make the animation; it repeats for ever and rests a while at its end.

    Parameters
    ----------
    scene : WindowScene
    seconds : float
        That each frame stays; GIF counts in hundredths.

    Returns
    -------
    bytes
        A GIF with one palette.
    """
    from io import BytesIO

    from PIL.Image import Dither

    count = scene.result.size
    rows, columns = scene.result.shape
    palette = _palette([frame(scene, (0, 0)), frame(scene, (rows - 1, columns - 1))])
    images = (image.quantize(palette=palette, dither=Dither.NONE) for image in frames(scene))
    first = next(images)
    pause = round(seconds * 1000)
    body = BytesIO()
    first.save(
        body, "GIF", save_all=True, append_images=images, loop=0, optimize=True,
        duration=[pause] * (count - 1) + [max(pause, min(3 * pause, 3000))],
    )  # fmt: skip
    return body.getvalue()


def _palette(images: list[Image]) -> Image:
    """Make a palette of the commonest colours that can well be told apart, each as it is."""
    from PIL import Image

    counts: Counter[tuple[int, ...]] = Counter()
    for image in images:
        found: Any = image.getcolors(image.width * image.height)
        for count, colour in found:
            counts[colour] += count
    chosen = np.array([max(counts, key=lambda colour: counts[colour])])
    for colour, _ in counts.most_common():
        if len(chosen) < COLOURS and np.abs(chosen - colour).max(axis=1).min() > APART:
            chosen = np.vstack([chosen, colour])
    holder = Image.new("P", (1, 1))
    holder.putpalette(chosen.ravel().tolist())
    return holder
