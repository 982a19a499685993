"""Taking apart step by step: what every traced operation shares, in text and as an animation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api import arguments
from cnntool.api.pictures import Figure, check_drawable
from cnntool.errors import OutputError, UsageError
from cnntool.filters.lessons.trace import check_place
from cnntool.shapes.text import shape_text, times
from cnntool.views import number_format

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.filters.lessons.trace import Trace
    from cnntool.filters.sliding import Sliding
    from cnntool.shapes.windows import Pads, Pair
    from cnntool.views.sliding_window import Grid, Scene, Step

MOST_VALUES = 4096
"""Values that are all taken apart."""

TERMS = 25
"""Products that are written out as a sum."""

WIDE = 100
"""Columns of text, unless a terminal says how many there are."""


class Tracing:
    """An input and what is done to it, ready to be taken apart, one step after the other.

    Iterating gives the steps in reading order.

    Parameters
    ----------
    maps : ndarray (C, H, W) of float64
        The input, on the scale that `filter` computes with; each map is worked on by itself.
    shape : (rows, columns)
        Of the places that there is a step for.
    note : str
        How the window slides.
    photo : bool
        Whether the numbers are brightness.

    Attributes
    ----------
    first, size : (row, column), (rows, columns)
        Which steps are taken, see `window`.
    start : (row, column)
        Of the input, in the first cell that is drawn.
    """

    of = ""
    """What is done, by the name of its command."""

    places_of = "result"
    """What the places are counted in."""

    def __init__(self, maps: NDArray[Any], shape: Pair, note: str, *, photo: bool = False) -> None:
        self.maps, self.shape, self.note, self.photo = maps, shape, note, photo
        self.first: Pair = (0, 0)
        self.start: Pair = (0, 0)
        self.size = shape

    def window(self, at: Pair, size: Pair) -> None:
        """Take the steps from one place on, so many rows and columns, for all of them.

        Raises
        ------
        UsageError
            A window that is not within the result.
        """
        self.check(at)
        rows, columns = (first + length for first, length in zip(at, size, strict=True))
        if rows > self.shape[0] or columns > self.shape[1]:
            raise UsageError(
                f"a window of {size[0]}x{size[1]} from {at[0]},{at[1]} on reaches beyond the"
                f" result, which is {self.shape[0]}x{self.shape[1]}",
                hint="a smaller `size`",
            )
        self.first, self.size = at, size

    def check(self, place: Pair) -> None:
        """Refuse a place that there is no step for.

        Raises
        ------
        UsageError
        """
        check_place(place, self.shape, self.places_of)

    def places(self) -> list[Pair]:
        """Return the places of all steps in reading order.

        Raises
        ------
        UsageError
            There are more than `MOST_VALUES`.
        """
        rows, columns = self.size
        if rows * columns > MOST_VALUES:
            raise UsageError(
                f"the result has {rows}x{columns} values, `all` shows at most {MOST_VALUES}",
                hint="`at` shows one, with `size` a window; a larger `stride` gives fewer",
            )
        top, left = self.first
        return [(top + row, left + column) for row in range(rows) for column in range(columns)]

    def at(self, place: Pair) -> TracedStep:
        """Take one step apart.

        Raises
        ------
        UsageError
            A place outside of the result.
        """
        self.check(place)
        return TracedStep(self, place)

    def __iter__(self) -> Iterator[TracedStep]:
        return map(self.at, self.places())

    def __len__(self) -> int:
        return self.size[0] * self.size[1]

    def texts(self, width: int = WIDE) -> Iterator[str]:
        """Describe one step after the other."""
        for number, step in enumerate(self, 1):
            yield "\n".join([f"step {number} of {len(self)}", "", *step.lines(width)])

    def lines(self, place: Pair, width: int) -> list[str]:
        """Describe a step in lines of text."""
        raise NotImplementedError

    def records(self, place: Pair) -> list[dict[str, Any]]:
        """Return what there is to say of a step, ready for JSON: a record for each channel."""
        raise NotImplementedError

    def check_drawing(self, *, alone: bool) -> None:
        """Refuse what is too large to draw, and several channels.

        Raises
        ------
        UsageError
        """
        if len(self.maps) > 1:
            raise UsageError("a drawing shows one channel", hint="take one map of an array")
        check_drawable(self.maps)
        from cnntool.views.sliding_window import check_size

        check_size(self.drawn_shapes(), None if alone else self.size)

    def drawn_shapes(self) -> dict[str, Pair]:
        """Return the rows and columns of each grid that is drawn, by what it is."""
        raise NotImplementedError

    def grids(self) -> list[Grid]:
        """Return the grids that are drawn, side by side."""
        raise NotImplementedError

    def step(self, place: Pair) -> Step:
        """Return what a step shows in them."""
        raise NotImplementedError

    def title(self, name: str, shape: Pair, start: Pair) -> str:
        """Say what a grid shows: its size, or where the steps that are taken begin in it."""
        whole = self.size == self.shape
        return sized(name, shape) if whole else f"{name} from {start[0]}, {start[1]}"

    def cell(self, place: Pair) -> Pair:
        """Return where a place is among those that are taken."""
        return place[0] - self.first[0], place[1] - self.first[1]

    def which(self, channel: int) -> str:
        """Name a channel, where there are several, in front of what is said of it."""
        return f"channel {channel}, " if len(self.maps) > 1 else ""

    def scene(self, *, alone: bool = False) -> Scene:
        """Return what is drawn.

        Parameters
        ----------
        alone : bool
            Whether one frame is wanted, so that there may be many steps.

        Raises
        ------
        UsageError
            What is too large to draw, or of several channels or kernels.
        """
        from cnntool.views.sliding_window import Scene

        self.check_drawing(alone=alone)
        return Scene(self.grids(), [self.step(place) for place in self.places()], self.note)

    def frame(self, place: Pair) -> Figure:
        """Draw one step: what counts in it, and the result so far."""
        from cnntool.views.sliding_window import frame

        self.check(place)
        scene = self.scene(alone=True)
        return Figure(frame(scene, self.places().index(place)))

    def animation(
        self, seconds: float = 0.6, format: str = "gif", width: int | None = None
    ) -> bytes:
        """Draw all steps, one after the other.

        Parameters
        ----------
        seconds : float
            That each step stays.
        format : {'gif', 'webp'}
        width : int, optional
            To which the whole is enlarged or shrunk, in pixels.

        Raises
        ------
        UsageError
            What is too large to draw, or of several channels or kernels.
        """
        from cnntool.views.sliding_window import FORMATS, animation

        seconds = arguments.number("seconds", seconds)
        if not 0.02 <= seconds <= 60:
            raise UsageError("0.02 to 60 are expected", source="`seconds`")
        word = arguments.one_of("format", format, FORMATS)
        width = None if width is None else arguments.whole("width", width)
        return animation(self.scene(), seconds, word, width)

    def save(
        self, target: str | os.PathLike[str], *, seconds: float = 0.6, overwrite: bool = False
    ) -> None:
        """Write the animation, a `.gif` or a `.webp`.

        Raises
        ------
        OutputError
            Another suffix, or a file that exists or cannot be written.
        """
        from pathlib import Path

        from cnntool.image.atomic import Output

        path = Path(target)
        form = path.suffix.lower().removeprefix(".")
        if form not in {"gif", "webp"}:
            raise OutputError("an animation is .gif or .webp", source=str(path))
        with Output(path, overwrite=arguments.flag("overwrite", overwrite)) as output:
            output.write(self.animation(seconds, form))
            output.commit()

    def __repr__(self) -> str:
        rows, columns = self.size
        return f"<{self.of} in {rows} x {columns} steps>"


class WindowTracing(Tracing):
    """What slides a window over a padded input.

    Attributes
    ----------
    sliding : Sliding
        How the window slides.
    """

    sliding: Sliding

    def drawn_shapes(self) -> dict[str, Pair]:
        """Return the sizes of the padded input and of the result."""
        return {
            "an input with its border": crop_shape(self.sliding, self.first, self.size),
            "a result": self.size,
        }

    def input_grid(self, *, empty: bool = False) -> Grid:
        """Return the padded input under the windows that are drawn; see `cropped`."""
        from cnntool.views.sliding_window import INPUT, Grid

        values, pads, self.start = cropped(
            self.maps[0], self.sliding, self.first, self.size, empty=empty
        )
        seen = values.shape[0] - pads[0] - pads[1], values.shape[1] - pads[2] - pads[3]
        start = max(self.start[0], 0), max(self.start[1], 0)
        return Grid(self.title("input", seen, start), values, INPUT, pads, photo=self.photo)


class TracedStep:
    """One step taken apart; in a notebook it shows itself.

    Attributes
    ----------
    tracer : Tracing
        The input, and what is done to it.
    place : (row, column)
    """

    def __init__(self, tracer: Tracing, place: Pair) -> None:
        self.tracer, self.place = tracer, place

    def lines(self, width: int = WIDE) -> list[str]:
        """Describe the step in lines of text."""
        return self.tracer.lines(self.place, width)

    def records(self) -> list[dict[str, Any]]:
        """Return what there is to say of each channel, ready for JSON."""
        return self.tracer.records(self.place)

    def figure(self) -> Figure:
        """Draw it: what counts in it, and the result so far.

        Raises
        ------
        UsageError
            What is too large to draw, or of several channels or kernels.
        """
        return self.tracer.frame(self.place)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def cropped(
    plane: NDArray[Any], sliding: Sliding, first: Pair, size: Pair, *, empty: bool = False
) -> tuple[NDArray[np.float64], Pads, Pair]:
    """Return the padded input under some windows.

    Parameters
    ----------
    plane : (H, W)
    sliding : Sliding
    first, size : (row, column), (rows, columns)
        Which windows; of all of them it is the whole padded input.
    empty : bool
        Whether the border holds nothing, rather than what the sliding says.

    Returns
    -------
    values : (h, w)
        NaN where there is nothing.
    pads : (top, bottom, left, right)
        How much of it is border.
    start : (row, column)
        Of the input, at the upper left corner.
    """
    from cnntool.filters.sliding import take

    spans = crop_spans(sliding, first, size)
    index = [
        sliding.padding(axis)[start + sliding.pads[2 * axis] : stop + sliding.pads[2 * axis]]
        for axis, (start, stop) in enumerate(spans)
    ]
    values = take(plane, index[0], index[1])
    pads: list[int] = []
    for (start, stop), whole in zip(spans, sliding.input_shape, strict=True):
        pads += [min(max(-start, 0), stop - start), min(max(stop - whole, 0), stop - start)]
    if empty:
        inside = np.zeros(values.shape, bool)
        inside[pads[0] : len(values) - pads[1], pads[2] : values.shape[1] - pads[3]] = True
        values[~inside] = np.nan
    return values, (pads[0], pads[1], pads[2], pads[3]), (spans[0][0], spans[1][0])


def crop_spans(sliding: Sliding, first: Pair, size: Pair) -> list[Pair]:
    """Return the rows, and the columns, [start, stop) of the input under some windows."""
    spans = []
    for axis in (0, 1):
        before = sliding.pads[2 * axis]
        if size == sliding.out_shape:
            spans.append((-before, sliding.padded_shape[axis] - before))
            continue
        start = first[axis] * sliding.stride[axis] - before
        last = (first[axis] + size[axis] - 1) * sliding.stride[axis] - before
        spans.append((start, last + sliding.window.extent[axis]))
    return spans


def crop_shape(sliding: Sliding, first: Pair, size: Pair) -> Pair:
    """Return the rows and columns of what `cropped` returns."""
    rows, columns = (stop - start for start, stop in crop_spans(sliding, first, size))
    return rows, columns


def taps(
    sliding: Sliding, place: Pair, start: Pair
) -> tuple[list[Pair], tuple[int, int, int, int]]:
    """Return the cells under a window in reading order, and the box around them.

    Parameters
    ----------
    sliding : Sliding
    place : (row, column)
        Of the window.
    start : (row, column)
        Of the input, in the first cell.
    """
    lines = [sliding.positions(axis)[place[axis]] - start[axis] for axis in (0, 1)]
    cells = [(int(row), int(column)) for row in lines[0] for column in lines[1]]
    rows, columns = sliding.window.extent
    return cells, (*cells[0], rows, columns)


def sized(name: str, shape: Pair) -> str:
    """Say what a grid shows, and its size."""
    return f"{name} {shape_text(shape)}"


def paces(stride: Pair, dilation: Pair) -> list[str]:
    """Say how a window moves and how far its taps are apart, where that is not 1."""
    return [
        f"{name} {pair[0] if pair[0] == pair[1] else times(pair)}"
        for name, pair in (("stride", stride), ("dilation", dilation))
        if pair != (1, 1)
    ]


def seen_by(one: Trace, sliding: Sliding, shape: Pair) -> str:
    """Say which value of a result it is, and which rows and columns it is made of."""
    (row, column), (down, across) = one.at, sliding.dilation
    return (
        f"result ({row}, {column}) of {times(shape)}: input rows {span(one.rows, down)},"
        f" columns {span(one.columns, across)}"
    )


def blocks(one: Trace, channel: int = 0, *, kernel: str = "kernel", width: int = WIDE) -> list[str]:
    """Lay window, kernel and products out: side by side, or below each other if too wide.

    Parameters
    ----------
    one : Trace
    channel : int
        Which of its maps.
    kernel : str
        The kernel's title.
    width : int
        Columns of text.
    """
    parts = [
        ("window", bracketed(one.window[channel], one.inside)),
        (kernel, number_format.matrix(one.weights[channel].tolist())),
        ("products", number_format.matrix(one.products[channel].tolist())),
    ]
    return side_by_side(parts, ["*", "="], width)


def side_by_side(
    parts: Sequence[tuple[str, list[str]]], signs: Sequence[str], width: int
) -> list[str]:
    """Lay titled blocks out side by side, or below each other if they are too wide."""
    lines = number_format.beside(parts, signs)
    if max(map(len, lines)) > width:
        lines = [line for title, block in parts for line in ("", title, *block)][1:]
    return lines


def span(positions: Sequence[int] | NDArray[Any], step: int) -> str:
    """Write rows or columns that lie ``step`` apart: ``3 to 7 by 2``."""
    first, last = int(positions[0]), int(positions[-1])
    if first == last:
        return str(first)
    return f"{first} to {last}" + (f" by {step}" if step > 1 else "")


def bracketed(window: NDArray[Any], inside: NDArray[np.bool_]) -> list[str]:
    """Write a window; what lies in the border is in brackets, what is not there is a dot."""
    rows = [
        [
            number_format.short(value)
            if within
            else f"({'.' if value != value else number_format.short(value)})"  # noqa: PLR0124
            for value, within in zip(values, flags, strict=True)
        ]
        for values, flags in zip(window.tolist(), inside.tolist(), strict=True)
    ]
    if not inside.all():
        rows = [[text if text[-1] == ")" else f"{text} " for text in row] for row in rows]
    return [line.rstrip() for line in number_format.aligned(rows)]


def terms(products: NDArray[Any]) -> str:
    """Write a sum of products, or how many there are."""
    values = products.ravel().tolist()
    if len(values) > TERMS:
        return f"of {len(values)} products"
    return added(values)


def added(values: Sequence[float]) -> str:
    """Write a sum: ``3 + 4 - 2``."""
    first, *others = map(number_format.short, values)
    return first + "".join(f" - {t[1:]}" if t[0] == "-" else f" + {t}" for t in others)
