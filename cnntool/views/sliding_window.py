"""Sliding windows drawn: grids of cells, a frame for each step, and the animation of all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.shapes.windows import NO_PADS
from cnntool.views.display_list import DisplayList
from cnntool.views.number_format import alike
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
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from PIL.Image import Image

    from cnntool.shapes.windows import Pads, Pair

Values = NDArray[np.float64]


class Paint(NamedTuple):
    """The colours of one grid: cells, the cell that counts now, lines, title."""

    light: Colour
    strong: Colour
    line: Colour
    title: Colour


INPUT = Paint((223, 234, 247), (166, 195, 230), (139, 167, 201), (51, 94, 145))
KERNEL = Paint((253, 236, 200), (250, 214, 137), (214, 168, 79), (158, 105, 16))
RESULT = Paint((214, 239, 228), (136, 209, 178), (117, 179, 152), (29, 115, 84))

LARGEST_CELL, SMALLEST_CELL = 56, 12
LARGEST_WIDTH, LARGEST_HEIGHT = 1160, 520
"""Pixels that all grids should not exceed while cells can still shrink."""

MARGIN, GAP, TITLE, FOOT = 28, 52, 34, 78

DARK = 3 * 150
"""Red, green and blue together, up to which ink is white."""


class Grid(NamedTuple):
    """Numbers in cells.

    Parameters
    ----------
    title : str
    values : (rows, columns)
        What is not a number stays empty.
    paint : Paint
    pads : (top, bottom, left, right)
        How much of it is border.
    sign : str
        What stands before it.
    filled : bool
        Whether the values are there from the start; else steps write them.
    photo : bool
        Whether cells are as bright as their values, of 0 to 1.
    """

    title: str
    values: Values
    paint: Paint
    pads: Pads = NO_PADS
    sign: str = ""
    filled: bool = True
    photo: bool = False


class Mark(NamedTuple):
    """Cells of a grid that count in a step.

    Parameters
    ----------
    grid : int
        Which one.
    cells : sequence of (row, column)
    paint : Paint
    box : (row, column, rows, columns), optional
        What a line goes around.
    small : sequence of str
        What stands in the corner of each cell, if anything does.
    """

    grid: int
    cells: Sequence[Pair]
    paint: Paint
    box: tuple[int, int, int, int] | None = None
    small: Sequence[str] = ()


class Step(NamedTuple):
    """One step: what counts, what is written and stays, and the line below.

    Parameters
    ----------
    marks : sequence of Mark
    writes : sequence of (grid, (row, column), value)
    texts : sequence of str
        The first that fits is shown, else the last.
    """

    marks: Sequence[Mark]
    writes: Sequence[tuple[int, Pair, float]]
    texts: Sequence[str]


class Scene(NamedTuple):
    """What is shown: grids side by side, steps, and a line about the settings."""

    grids: Sequence[Grid]
    steps: Sequence[Step]
    note: str


class Panel:
    """A grid on its place: where it is, what stands in it, and how large (0: too small to read)."""

    def __init__(
        self, grid: Grid, left: int, top: int, cell: int, written: Sequence[float]
    ) -> None:
        self.left, self.top, self.cell, self.paint = left, top, cell, grid.paint
        self.grid = grid
        self.shape: Pair = (grid.values.shape[0], grid.values.shape[1])
        values = [*grid.values.ravel().tolist(), *written]
        finite = [value for value in values if value == value]  # noqa: PLR0124  no NaN
        self._labels = dict(zip(finite, alike(finite), strict=True))
        self.text = fitting_size(self._labels.values(), 0.84 * cell, round(0.4 * cell))
        self._ends = min(finite, default=0.0), max(finite, default=0.0)
        self.values = grid.values.copy() if grid.filled else np.full(self.shape, np.nan)

    def box(self, row: int, column: int, rows: int = 1, columns: int = 1) -> Box:
        """Return the pixels of a cell, or of several from there on."""
        left, top = self.left + column * self.cell, self.top + row * self.cell
        return left, top, left + columns * self.cell, top + rows * self.cell

    def whole(self) -> Box:
        """Return the pixels of the grid without its border."""
        top, bottom, left, right = self.grid.pads
        return self.box(
            top, left, max(self.shape[0] - top - bottom, 0), max(self.shape[1] - left - right, 0)
        )

    def inside(self, at: Pair) -> bool:
        """Whether a cell is no border."""
        top, bottom, left, right = self.grid.pads
        rows, columns = self.shape
        return top <= at[0] < rows - bottom and left <= at[1] < columns - right

    def cell_of(
        self, draw: DisplayList, at: Pair, paint: Paint, *, strong: bool, small: str = "",
        size: int = 0,
    ) -> None:  # fmt: skip
        """Draw a cell with its number, if numbers fit, perhaps with another in its corner."""
        left, top, right, bottom = self.box(*at)
        value = float(self.values[at])
        fill = paint.strong if strong else paint.light
        if self.grid.photo and self.inside(at):
            grey = round(255 * min(max(value, 0.0), 1.0))
            fill = mixed((grey, grey, grey), fill, 0.6 if strong else 0)
        elif not self.text and value == value:  # noqa: PLR0124
            fill = self._shade(value, paint)
        draw.rectangle((left, top, right, bottom), fill, paint.line)
        lift = 0.1 if size >= SMALLEST_TEXT else 0
        ink = INK if sum(fill) > DARK else WHITE
        self.number(draw, at, ink, lift=lift)
        if lift:
            ink = ink if self.grid.photo else KERNEL.title
            draw.text((right - 4, bottom - 4), small, size, ink, anchor="rs")

    def number(self, draw: DisplayList, at: Pair, ink: Colour = INK, *, lift: float = 0) -> None:
        """Write a cell's number, if there is one and numbers fit."""
        text = self._labels.get(float(self.values[at]), "")
        if self.text and text:
            left, top, right, bottom = self.box(*at)
            middle = (left + right) / 2, (top + bottom) / 2 - lift * self.cell
            draw.text(middle, text, self.text, ink)

    def _shade(self, value: float, paint: Paint) -> Colour:
        """Return the shade that tells how large a value is, where no number fits."""
        low, high = self._ends
        unit = (value - low) / (high - low) if high > low else 1.0
        dark = mixed(paint.title, INK, 0.5)
        red, green, blue = ramp(unit, (dark, paint.title, paint.strong, paint.light))
        return int(red), int(green), int(blue)


class Frames:
    """What stays from frame to frame: the grids, and the results so far.

    Attributes
    ----------
    ground : DisplayList
        Before the first step.
    panels : list of Panel
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        shapes = [grid.values.shape for grid in scene.grids]
        cell = _cell_size(shapes)
        body = max(shape[0] for shape in shapes) * cell
        across = sum(shape[1] for shape in shapes) * cell + (len(shapes) - 1) * GAP
        width = max(2 * MARGIN + across, 540)
        self.ground = DisplayList(width, MARGIN + TITLE + body + FOOT)
        self.panels: list[Panel] = []
        left = (width - across) // 2
        for number, grid in enumerate(scene.grids):
            top = MARGIN + TITLE + (body - grid.values.shape[0] * cell) // 2
            written = [w[2] for step in scene.steps for w in step.writes if w[0] == number]
            self.panels.append(Panel(grid, left, top, cell, written))
            left += grid.values.shape[1] * cell + GAP
        for panel in self.panels:
            self._draw_grid(panel)
        for panel in self.panels:
            sign = panel.grid.sign
            place = panel.left - GAP / 2, MARGIN + TITLE + body / 2 - (3 if sign == "*" else 0)
            self.ground.text(place, sign, 30 if len(sign) == 1 else 15, FAINT)

    def _draw_grid(self, panel: Panel) -> None:
        draw, grid = self.ground, panel.grid
        for at in np.ndindex(panel.shape):
            if not panel.inside(at):
                panel.number(draw, at, FAINT)
                dashed_box(draw, panel.box(*at), RULE)
            elif grid.filled:
                panel.cell_of(draw, at, panel.paint, strong=False)
            else:
                draw.rectangle(panel.box(*at), WHITE, mixed(panel.paint.line, WHITE, 0.4))
        if grid.filled:
            draw.rectangle(panel.whole(), outline=panel.paint.title)
        middle = panel.left + panel.shape[1] * panel.cell / 2
        draw.text((middle, panel.top - 18), grid.title, 16, panel.paint.title)

    def write(self, draw: DisplayList, steps: Sequence[Step]) -> None:
        """Enter what steps write, each cell once."""
        cells: dict[tuple[int, Pair], None] = {}
        for step in steps:
            for grid, at, value in step.writes:
                self.panels[grid].values[at] = value
                cells[grid, at] = None
        for grid, at in cells:
            panel = self.panels[grid]
            panel.cell_of(draw, at, panel.paint, strong=False)

    def mark(self, draw: DisplayList, step: Step) -> None:
        """Draw what counts in a step, and the line below."""
        for mark in step.marks:
            panel = self.panels[mark.grid]
            size = 0
            if mark.small:
                fits = fitting_size(mark.small, 0.84 * panel.cell, round(0.4 * panel.cell))
                size = min(round(0.25 * panel.cell), fits, panel.text - 2)
            for number, at in enumerate(mark.cells):
                small = mark.small[number] if mark.small else ""
                panel.cell_of(draw, at, mark.paint, strong=True, small=small, size=size)
            if panel.grid.filled:
                draw.rectangle(panel.whole(), outline=panel.paint.title)
            if mark.box:
                draw.rectangle(grown(panel.box(*mark.box)), outline=mark.paint.title, width=3)
        room = draw.width - 2 * MARGIN
        fitting = [text for text in step.texts if width_of(text, 13) <= room]
        text = [*fitting, step.texts[-1]][0]
        size = fitting_size([text], room, 17)
        draw.text((draw.width / 2, draw.height - FOOT + 28), text, size)
        draw.text((draw.width / 2, draw.height - FOOT + 54), self.scene.note, 14, FAINT)


def _cell_size(shapes: Sequence[tuple[int, ...]]) -> int:
    """Choose cells as large as the width and the height allow."""
    rows = max(shape[0] for shape in shapes)
    columns = sum(shape[1] for shape in shapes)
    side = min(LARGEST_CELL, LARGEST_WIDTH // columns, LARGEST_HEIGHT // rows)
    return max(SMALLEST_CELL, side)


__all__ = ["Grid", "Mark", "Scene", "Step", "animation", "check_size", "frame", "frames"]


COLOURS = 128
"""Of an animation's palette, at most."""

APART = 6
"""Levels of red, green or blue by which they differ; Pillow confuses closer ones."""

MOST_SIDE, MOST_FRAMES = 32, 256
"""Cells a side, and steps, that are drawn."""

FORMATS = ("gif", "webp")
"""Of animations."""


def check_size(shapes: Mapping[str, Pair], steps: Pair | None = None) -> None:
    """Refuse what nobody could look at.

    Parameters
    ----------
    shapes : mapping of str to (rows, columns)
        Of each grid, by what it is: ``"an input"``.
    steps : (rows, columns), optional
        Of the steps of an animation.

    Raises
    ------
    UsageError
        More than `MOST_SIDE` cells a side, or more than `MOST_FRAMES` frames.
    """
    for what, (rows, columns) in shapes.items():
        if max(rows, columns) > MOST_SIDE:
            raise UsageError(
                f"{what} of {rows}x{columns} is too large to draw: {MOST_SIDE} a side is the most",
                hint="`at` without `output` prints a value of an input of any size; `at` with"
                " `size` draws a window",
            )
    if steps and steps[0] * steps[1] > MOST_FRAMES:
        raise UsageError(
            f"the result has {steps[0]}x{steps[1]} values, an animation at most {MOST_FRAMES}",
            hint="a larger `stride` gives fewer, `at` with `size` a window;"
            " `at` with `path=FILE.png` draws one",
        )


def frames(scene: Scene, width: int | None = None) -> Iterator[Image]:
    """Draw a frame for each step.

    What stays is drawn once, as pixels.

    Parameters
    ----------
    scene : Scene
    width : int, optional
        Pixels across; text is drawn in its new size.

    Yields
    ------
    PIL.Image.Image
        RGB, all of one size.
    """
    from PIL import Image

    stage = Frames(scene)
    size = stage.ground.width, stage.ground.height
    scale = 1 if width is None else width / size[0]
    ground = stage.ground.pixels(scale)

    def over() -> DisplayList:
        drawing = DisplayList(*size)
        drawing.picture((0, 0), ground, size)
        return drawing

    for step in scene.steps:
        below = over()
        stage.write(below, [step])
        ground = below.pixels(scale)
        above = over()
        stage.mark(above, step)
        yield Image.fromarray(above.pixels(scale))


def frame(scene: Scene, number: int) -> DisplayList:
    """Draw one frame: what the steps up to this one wrote, and what counts in it."""
    stage = Frames(scene)
    drawing = stage.ground.copy()
    stage.write(drawing, scene.steps[: number + 1])
    stage.mark(drawing, scene.steps[number])
    return drawing


def animation(scene: Scene, seconds: float, form: str = "gif", width: int | None = None) -> bytes:
    """Make the animation; it repeats for ever and rests a while at its end.

    One frame after the other is drawn and packed, so that a long one needs no more memory.

    Parameters
    ----------
    scene : Scene
    seconds : float
        That each frame stays; GIF counts in hundredths.
    form : {'gif', 'webp'}
        A GIF has one palette, WebP all colours.
    width : int, optional
        Pixels across.
    """
    pause = round(seconds * 1000)
    times = [pause] * (len(scene.steps) - 1) + [max(pause, min(3 * pause, 3000))]
    return (_gif if form == "gif" else _webp)(scene, times, width)


class _Late:
    """What Pillow takes for an image, and asks for its pixels only when it packs them."""

    mode, has_transparency_data = "late", False

    def __init__(self, images: Iterator[Image]) -> None:
        self._images = images

    def seek(self, number: int) -> None:
        """There is one frame."""

    def convert(self, _mode: str) -> Image:
        return next(self._images)


def _webp(scene: Scene, times: list[int], width: int | None) -> bytes:
    from io import BytesIO

    images = frames(scene, width)
    body = BytesIO()
    next(images).save(
        body, "WEBP", save_all=True, append_images=[_Late(images) for _ in times[1:]],
        duration=times, loop=0, lossless=True, method=4, kmin=0, kmax=0,
    )  # fmt: skip
    return body.getvalue()


def _gif(scene: Scene, times: list[int], width: int | None) -> bytes:
    """Pack each frame as what differs from the one before; the rest is transparent."""
    from io import BytesIO

    from PIL import Image, ImageChops
    from PIL.GifImagePlugin import getdata, getheader

    drawn = [frame(scene, at) for at in (0, len(scene.steps) - 1)]
    scales = [1 if width is None else width / one.width for one in drawn]
    ends = [Image.fromarray(one.pixels(scale)) for one, scale in zip(drawn, scales, strict=True)]
    palette, clear = _palette(ends)
    body = BytesIO()
    before: Image.Image | None = None
    for image, pause in zip(frames(scene, width), times, strict=True):
        shown = image.quantize(palette=palette, dither=Image.Dither.NONE)
        if before is None:
            header, _ = getheader(shown.copy(), info={"loop": 0, "duration": pause})
            pieces = [*header, *getdata(shown.copy(), duration=pause)]
        else:
            delta = ImageChops.difference(before, shown)
            box = delta.getbbox() or (0, 0, 1, 1)
            part = shown.crop(box)
            part.paste(clear, mask=delta.crop(box).point([255, *(0,) * 255], "1"))
            pieces = getdata(part, box[:2], duration=pause, transparency=clear)
        body.writelines(pieces)
        before = shown
    return body.getvalue() + b";"


def _palette(images: list[Image]) -> tuple[Image, int]:
    """Make a palette of the commonest colours that can well be told apart, each as it is.

    Returns
    -------
    holder : PIL.Image.Image
    clear : int
        The number of no colour.
    """
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
    holder.putpalette(np.vstack([chosen, chosen[:1]]).ravel().tolist())
    return holder, len(chosen)
