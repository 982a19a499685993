"""Pools, their undoing, transposed convolutions and im2col taken apart, window by window."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api.kernels import laid_on
from cnntool.api.resampling import pooling, transposing
from cnntool.api.trace_steps import (
    TERMS,
    Tracing,
    WindowTracing,
    added,
    bracketed,
    paces,
    seen_by,
    side_by_side,
    sized,
    span,
    taps,
    terms,
)
from cnntool.api.unrolling import unrolled
from cnntool.errors import UsageError
from cnntool.filters.lessons.trace import trace as take_apart
from cnntool.filters.sliding import Sliding
from cnntool.filters.transpose import linear_kernel
from cnntool.shapes.text import times
from cnntool.shapes.windows import Window
from cnntool.views import number_format
from cnntool.views.number_format import short

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.api.arguments import WindowOptions
    from cnntool.api.pictures import Picture
    from cnntool.api.resampling import Pooling, Transposing
    from cnntool.filters.kernels.kernel import Filter
    from cnntool.filters.kernels.library import Operation
    from cnntool.filters.lessons.trace import Trace
    from cnntool.shapes.windows import Pair
    from cnntool.views.sliding_window import Grid, Step


class PoolTracing(WindowTracing):
    """A pool: the window, and what is taken of it.

    Attributes
    ----------
    taken : {'max', 'avg'}
    """

    of = "pool"

    def __init__(self, picture: Picture, how: Pooling) -> None:
        maps = picture.maps()
        shape = maps.shape[1:]
        self.taken = "max" if how.avg is None else "avg"
        self.count_padding = how.count_padding
        self._pooled = pooling(how)(_of_maps(picture, maps)).values
        side: Any = how.avg if how.max is None else how.max
        kernel: Pair = shape if side == "all" else side
        window = Window(kernel, how.stride or kernel, how.dilation, ceil=how.ceil)
        window = window.padded(how.padding)
        out = window.out_shape(shape)
        top, bottom, left, right = window.pads
        ends = [
            (count - 1) * step + extent - before - size  # where ceil hangs over
            for count, step, extent, before, size in zip(
                out, window.stride, window.extent, (top, left), shape, strict=True
            )
        ]
        pads = (top, max(bottom, ends[0]), left, max(right, ends[1]))
        self.sliding = Sliding(shape, kernel, window.stride, window.dilation, pads)
        words = {"max": "the largest value", "avg": "the average"}[self.taken]
        around = ["padding holds no value"] if any(pads) and not how.count_padding else []
        facts = [*around, *paces(window.stride, window.dilation)]
        note = ", ".join([f"{words} of each {times(kernel)} window", *facts])
        super().__init__(maps, out, note, photo=not picture.info.matrix)

    def _values(self, channel: int, place: Pair) -> tuple[Trace, list[float], float]:
        """Return the window, NaN where no value is, its numbers, and what is taken of them."""
        one = _under(self.sliding, self.maps[channel], place)
        numbers = one.window
        if not self.count_padding:
            numbers = numbers[:, one.inside]
            one = one._replace(window=np.where(one.inside, one.window, np.nan))
        return one, numbers.ravel().tolist(), float(self._pooled[(*place, channel)])

    def _winner(self, one: Trace, value: float) -> Pair:
        """Return where the largest value stood, the first in reading order."""
        same = (one.window[0] == value) | np.isnan(one.window[0])
        row, column = np.argwhere(same & one.inside)[0].tolist()
        return int(one.rows[row]), int(one.columns[column])

    def _said(self, numbers: list[float], value: float) -> str:
        if self.taken == "max":
            few = len(numbers) <= TERMS
            listed = ", ".join(map(short, numbers)) if few else f"{len(numbers)} values"
            return f"max({listed}) = {short(value, 6)}"
        total = added(numbers) if len(numbers) <= TERMS else f"sum of {len(numbers)} values"
        return f"({total}) / {len(numbers)} = {short(value, 6)}"

    def lines(self, place: Pair, width: int) -> list[str]:  # noqa: ARG002
        """Describe a step in lines of text."""
        lines: list[str] = []
        for channel in range(len(self.maps)):
            one, numbers, value = self._values(channel, place)
            lines += [
                *[""] * bool(channel),
                f"{self.which(channel)}{seen_by(one, self.sliding, self.shape)}",
                "",
                "window",
                *bracketed(one.window[0], one.inside),
                "",
                self._said(numbers, value) + self._stood(one, value),
            ]
        return lines

    def _stood(self, one: Trace, value: float) -> str:
        if self.taken != "max":
            return ""
        row, column = self._winner(one, value)
        return f", at ({row}, {column})"

    def records(self, place: Pair) -> list[dict[str, Any]]:
        """Return a record for each channel."""
        found = []
        for channel in range(len(self.maps)):
            one, _, value = self._values(channel, place)
            found.append(
                {
                    "at": list(place),
                    "channel": channel,
                    "result": list(self.shape),
                    "rows": one.rows.tolist(),
                    "columns": one.columns.tolist(),
                    "window": one.window[0].tolist(),
                    "pool": self.taken,
                    "value": value,
                    "place": list(self._winner(one, value)) if self.taken == "max" else None,
                }
            )
        return found

    def grids(self) -> list[Grid]:
        """Return the input and the result."""
        from cnntool.views.sliding_window import RESULT, Grid

        (top, left), (height, width) = self.first, self.size
        pooled = self._pooled[top : top + height, left : left + width, 0].astype(np.float64)
        title = self.title("pooled", self.size, self.first)
        return [
            self.input_grid(empty=not self.count_padding),
            Grid(title, pooled, RESULT, sign=self.taken, filled=False),
        ]

    def step(self, place: Pair) -> Step:
        """Return what one window shows."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Mark, Step

        one, numbers, value = self._values(0, place)
        cells, box = taps(self.sliding, place, self.start)
        inside = [cell for cell, within in zip(cells, one.inside.ravel(), strict=True) if within]
        marks = [Mark(0, cells if self.count_padding else inside, KERNEL, box)]
        if self.taken == "max":
            row, column = self._winner(one, value)
            marks.append(Mark(0, [(row - self.start[0], column - self.start[1])], RESULT))
        cell = self.cell(place)
        head = f"result ({place[0]}, {place[1]}) = "
        return Step(
            [*marks, Mark(1, [cell], RESULT, (*cell, 1, 1))],
            [(1, cell, value)],
            [head + self._said(numbers, value), f"{head}{self.taken} = {short(value, 6)}"],
        )


class UnpoolTracing(PoolTracing):
    """A pool and its undoing: each largest value goes back to where it stood, zeros elsewhere."""

    of = "unpool"

    def __init__(self, picture: Picture, how: Pooling) -> None:
        if how.max is None:
            raise UsageError("an average stood nowhere", hint="`max=2` remembers its places")
        super().__init__(picture, how)
        self.note = f"{self.note}; each goes back to where it stood"

    def lines(self, place: Pair, width: int) -> list[str]:
        """Describe a step in lines of text."""
        lines = super().lines(place, width)
        back = [
            f"{short(value, 6)} goes back to ({row}, {column}) of"
            f" {self.maps.shape[1]}x{self.maps.shape[2]}"
            for value, (row, column) in self._back(place)
        ]
        return [*lines, "", *back]

    def _back(self, place: Pair) -> list[tuple[float, Pair]]:
        found = []
        for channel in range(len(self.maps)):
            one, _, value = self._values(channel, place)
            found.append((value, self._winner(one, value)))
        return found

    def grids(self) -> list[Grid]:
        """Return the input, what is pooled, and what is put back."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Grid

        given, pooled = super().grids()
        top, bottom, left, right = given.pads
        zeros = np.where(np.isfinite(given.values), 0.0, np.nan)
        seen = zeros.shape[0] - top - bottom, zeros.shape[1] - left - right
        back = Grid(sized("unpooled", seen), zeros, RESULT, given.pads, sign="back")
        return [given, pooled._replace(paint=KERNEL), back]

    def step(self, place: Pair) -> Step:
        """Return what one value shows."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Mark, Step

        pooled = super().step(place)
        window, winner, cell = pooled.marks
        ((_, at, value),) = pooled.writes
        (where,) = winner.cells
        ((_, (row, column)),) = self._back(place)[:1]
        return Step(
            [window, winner, cell._replace(paint=KERNEL), Mark(2, [where], RESULT, (*where, 1, 1))],
            [(1, at, value), (2, where, value)],
            [f"{short(value, 6)} stood at ({row}, {column}): there it goes back, zeros elsewhere"],
        )


class DeconvTracing(Tracing):
    """A transposed convolution: each value of the input lays the kernel down, times itself.

    Places are those of the input.
    """

    of = "deconv"
    places_of = "input"

    def __init__(self, picture: Picture, item: Filter | Operation, how: Transposing) -> None:
        maps = picture.maps()
        work, window = transposing(item, how)
        self._work = work
        self._picture = picture
        self.weights = np.asarray(laid_on(linear_kernel(item), how.op))
        self.stride, self.dilation, self.pads = how.stride, how.dilation, window.pads
        self.out: Pair = work(_of_maps(picture, maps)).values.shape[:2]
        kind = "transposed convolution" + (", kernel flipped" if how.op == "convolve" else "")
        cut = [f"cut off {', '.join(map(str, self.pads))}"] if any(self.pads) else []
        note = ", ".join([kind, *paces(self.stride, self.dilation), *cut])
        super().__init__(maps, maps.shape[1:], note, photo=not picture.info.matrix)

    def _lines_of(self, place: Pair) -> list[NDArray[np.intp]]:
        """Return the rows and the columns of the result that a value reaches, cut ones too."""
        return [
            place[axis] * self.stride[axis]
            + np.arange(self.weights.shape[axis]) * self.dilation[axis]
            - self.pads[2 * axis]
            for axis in (0, 1)
        ]

    def _reach(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> str:
        return f"rows {span(rows, self.dilation[0])}, columns {span(columns, self.dilation[1])}"

    def lines(self, place: Pair, width: int) -> list[str]:
        """Describe a step in lines of text."""
        lines: list[str] = []
        rows, columns = self._lines_of(place)
        for channel, plane in enumerate(self.maps):
            value = float(plane[place])
            parts = [
                ("value", [short(value)]),
                ("kernel", number_format.matrix(self.weights.tolist())),
                ("is added", number_format.matrix((value * self.weights).tolist())),
            ]
            head = f"{self.which(channel)}value ({place[0]}, {place[1]}) of {times(self.shape)}"
            lines += [
                *[""] * bool(channel),
                f"{head}: result {self._reach(rows, columns)} of {times(self.out)}",
                "",
                *side_by_side(parts, ["*", "="], width),
            ]
        return lines

    def records(self, place: Pair) -> list[dict[str, Any]]:
        """Return a record for each channel."""
        rows, columns = self._lines_of(place)
        return [
            {
                "at": list(place),
                "channel": channel,
                "result": list(self.out),
                "rows": rows.tolist(),
                "columns": columns.tolist(),
                "value": float(plane[place]),
                "weights": self.weights.tolist(),
                "products": (float(plane[place]) * self.weights).tolist(),
            }
            for channel, plane in enumerate(self.maps)
        ]

    def _span(self, axis: int) -> Pair:
        """Return the rows (or columns) of the result that are drawn, [start, stop)."""
        if self.size == self.shape:
            return 0, self.out[axis]
        first = self.first[axis], self.first[axis] + self.size[axis] - 1
        start, stop = (self._lines_of((at, at))[axis] for at in first)
        return max(int(start[0]), 0), min(int(stop[-1]) + 1, self.out[axis])

    def drawn_shapes(self) -> dict[str, Pair]:
        """Return the sizes of the input and of the result."""
        rows, columns = (stop - start for start, stop in (self._span(0), self._span(1)))
        return {"an input": self.size, "a result": (rows, columns)}

    def grids(self) -> list[Grid]:
        """Return the input, the kernel, and the result, zero before the first step."""
        from cnntool.views.sliding_window import INPUT, KERNEL, RESULT, Grid

        (top, left), (height, width) = self.first, self.size
        part = self.maps[0, top : top + height, left : left + width]
        (first, last), (start, stop) = self._span(0), self._span(1)
        self._sums = np.zeros((last - first, stop - start))
        result = self.title("result", self._sums.shape, (first, start))
        return [
            Grid(self.title("input", self.size, self.first), part, INPUT, photo=self.photo),
            Grid(sized("kernel", self.weights.shape), self.weights, KERNEL, sign="*"),
            Grid(result, self._sums.copy(), RESULT, sign="="),
        ]

    def step(self, place: Pair) -> Step:
        """Return what one value adds; steps are asked for in reading order."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Mark, Step

        value = float(self.maps[(0, *place)])
        rows, columns = self._lines_of(place)
        first, start = self._span(0)[0], self._span(1)[0]
        cells: list[Pair] = []
        small: list[str] = []
        signs = number_format.alike((value * self.weights).ravel().tolist())
        for (tap_row, tap_column), text in zip(np.ndindex(*self.weights.shape), signs, strict=True):
            cell = int(rows[tap_row]) - first, int(columns[tap_column]) - start
            if 0 <= cell[0] < self._sums.shape[0] and 0 <= cell[1] < self._sums.shape[1]:
                self._sums[cell] += value * self.weights[tap_row, tap_column]
                cells.append(cell)
                small.append(text if text[0] == "-" else f"+{text}")
        at = self.cell(place)
        box = (
            (*cells[0], cells[-1][0] - cells[0][0] + 1, cells[-1][1] - cells[0][1] + 1)
            if cells
            else None
        )
        where = self._reach(rows, columns)
        head = f"value ({place[0]}, {place[1]}) = {short(value)}"
        return Step(
            [Mark(0, [at], KERNEL, (*at, 1, 1)), Mark(2, cells, RESULT, box, small)],
            [(2, cell, float(self._sums[cell])) for cell in cells],
            [f"{head}, times the kernel, is added to {where}", f"{head} lays the kernel down"],
        )


class Im2colTracing(WindowTracing):
    """Windows that become columns; with a kernel, its row times each column.

    Attributes
    ----------
    columns : (C * kH * kW, H_out * W_out)
    kernel : (1, C * kH * kW), or None
    """

    of = "im2col"

    def __init__(
        self, picture: Picture, weights: NDArray[np.float64], how: WindowOptions, *, sized: bool
    ) -> None:
        maps = picture.maps()
        found = unrolled(maps[None], [weights], how)
        self.sliding = found.sliding
        self.columns = found.columns
        self.kernel = None if sized else found.kernel
        window = times(self.sliding.kernel_shape)
        note = f"every {window} window is a column, read row by row"
        super().__init__(maps, self.sliding.out_shape, note, photo=not picture.info.matrix)

    def _column(self, place: Pair) -> int:
        return place[0] * self.shape[1] + place[1]

    def _product(self, number: int) -> NDArray[np.float64] | None:
        return None if self.kernel is None else self.kernel[0] * self.columns[:, number]

    def lines(self, place: Pair, width: int) -> list[str]:
        """Describe a step in lines of text."""
        number = self._column(place)
        parts = []
        for channel, plane in enumerate(self.maps):
            one = _under(self.sliding, plane, place)
            name = f"window {channel}" if len(self.maps) > 1 else "window"
            parts.append((name, bracketed(one.window[0], one.inside)))
        parts.append(
            ("column", number_format.matrix(self.columns[:, number : number + 1].tolist()))
        )
        signs = [""] * (len(self.maps) - 1) + ["is"]
        products = self._product(number)
        tail: list[str] = []
        if products is not None and self.kernel is not None:
            row = ", ".join(map(short, self.kernel[0].tolist()))
            if self.kernel.size <= TERMS:
                tail.append(f"kernel as a row  {row}")
            tail.append(f"row times column  {terms(products)} = {short(float(products.sum()), 6)}")
        rows, columns = (self.sliding.positions(axis)[place[axis]] for axis in (0, 1))
        down, across = self.sliding.dilation
        head = f"column {number} of {prod(self.shape)}, result ({place[0]}, {place[1]})"
        return [
            f"{head}: input rows {span(rows, down)}, columns {span(columns, across)}",
            "",
            *side_by_side(parts, signs, width),
            *[""] * bool(tail),
            *tail,
        ]

    def records(self, place: Pair) -> list[dict[str, Any]]:
        """Return one record: a column has all channels."""
        number = self._column(place)
        products = self._product(number)
        return [
            {
                "at": list(place),
                "result": list(self.shape),
                "rows": self.sliding.positions(0)[place[0]].tolist(),
                "columns": self.sliding.positions(1)[place[1]].tolist(),
                "number": number,
                "column": self.columns[:, number].tolist(),
                "kernel": None if self.kernel is None else self.kernel[0].tolist(),
                "value": None if products is None else float(products.sum()),
            }
        ]

    def drawn_shapes(self) -> dict[str, Pair]:
        """Return the sizes of the padded input and of the columns."""
        shapes = super().drawn_shapes()
        del shapes["a result"]
        return {**shapes, "a matrix of columns": (len(self.columns), prod(self.size))}

    def grids(self) -> list[Grid]:
        """Return the input and the columns, with a kernel its row and the product, too."""
        from cnntool.views.sliding_window import INPUT, KERNEL, RESULT, Grid

        given = self.input_grid()
        columns = self.columns[:, [self._column(place) for place in self.places()]]
        windows = Grid(sized("columns", columns.shape), columns, KERNEL, filled=False)
        if self.kernel is None:
            return [given, windows]
        product = self.kernel @ columns
        return [
            given,
            Grid(sized("kernel", self.kernel.shape), self.kernel, INPUT),
            windows._replace(sign="*"),
            Grid(sized("result", product.shape), product, RESULT, sign="=", filled=False),
        ]

    def step(self, place: Pair) -> Step:
        """Return what one window shows."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Mark, Step

        number = self._column(place)
        cells, box = taps(self.sliding, place, self.start)
        row, across = self.cell(place)
        column = row * self.size[1] + across
        height = len(self.columns)
        which = 1 if self.kernel is None else 2
        marks = [
            Mark(0, cells, KERNEL, box),
            Mark(which, [(row, column) for row in range(height)], KERNEL, (0, column, height, 1)),
        ]
        values = self.columns[:, number].tolist()
        writes = [(which, (row, column), value) for row, value in enumerate(values)]
        head = f"column {number}: the window of result ({place[0]}, {place[1]})"
        products = self._product(number)
        if products is None:
            return Step(marks, writes, [f"{head}, row by row"])
        value = float(products.sum())
        marks.append(Mark(3, [(0, column)], RESULT, (0, column, 1, 1)))
        return Step(
            marks,
            [*writes, (3, (0, column), value)],
            [
                f"{head}; kernel times column = {terms(products)} = {short(value)}",
                f"{head}; kernel times column = {short(value)}",
            ],
        )


def _under(sliding: Sliding, plane: NDArray[np.float64], place: Pair) -> Trace:
    """Return the window of a map at a place."""
    return take_apart(plane[None], np.ones((1, *sliding.kernel_shape)), sliding, place)


def _of_maps(picture: Picture, maps: NDArray[np.float64]) -> Picture:
    """Return a picture of just these maps, as plain numbers."""
    values = np.moveaxis(maps, 0, 2)
    height, width, channels = values.shape
    info = picture.info._replace(
        height=height, width=width, channels=channels, dtype="float64", alpha=False, matrix=True
    )
    return picture._replace(info=info, values=values)
