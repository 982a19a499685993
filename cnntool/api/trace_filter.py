"""A filtered picture taken apart: window, kernel, products and sum of each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api.filtering import arithmetic
from cnntool.api.kernels import laid_on
from cnntool.api.trace_steps import (
    WIDE,
    TracedStep,
    WindowTracing,
    blocks,
    paces,
    seen_by,
    sized,
    taps,
    terms,
)
from cnntool.errors import UsageError
from cnntool.filters.lessons.im2col import im2col
from cnntool.filters.lessons.trace import combine
from cnntool.filters.lessons.trace import trace as take_apart
from cnntool.filters.pipeline import make_pipeline
from cnntool.filters.sliding import of_plan
from cnntool.image.convert import luma
from cnntool.views import number_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnntool.api.arguments import FilterOptions
    from cnntool.api.pictures import Picture
    from cnntool.filters.kernels.kernel import Filter
    from cnntool.filters.lessons.trace import Trace
    from cnntool.shapes.windows import Pair
    from cnntool.views.sliding_window import Grid, Step


class FilterTracing(WindowTracing):
    """An input and a filter, ready to be taken apart at any place of the result.

    Attributes
    ----------
    filter : Filter
    weights : tuple of (kH, kW)
        Of each kernel, as it is laid on.
    flipped : bool
        Whether the kernels were turned.
    """

    of = "filter"

    def __init__(self, picture: Picture, item: Filter, how: FilterOptions) -> None:
        chosen = arithmetic(how)
        pipeline = make_pipeline(picture.info, [item], chosen)
        plan = pipeline.branches[0][0].plan
        assert plan is not None  # noqa: S101 - a convolution has one
        if pipeline.luma:
            colours = picture.values[:, :, : picture.info.channels]
            maps = np.moveaxis(luma(colours), 2, 0).astype(np.float64) / picture.info.peak
        else:
            maps = picture.maps()
        slide = of_plan(plan)
        self.filter, self.sliding = item, slide
        self.flipped = chosen.op == "convolve"
        self.weights = tuple(laid_on(kernel, chosen.op) for kernel in item.kernels)
        kind = "convolution, kernel flipped" if self.flipped else "correlation"
        around = [f"{slide.border.value} border"] if any(slide.pads) else []
        note = ", ".join([kind, chosen.mode, *around, *paces(slide.stride, slide.dilation)])
        super().__init__(maps, slide.out_shape, note, photo=not picture.info.matrix)

    def at(self, place: Pair) -> TracedValue:
        """Take a value apart.

        Raises
        ------
        UsageError
            A place outside of the result.
        """
        return TracedValue(self, place)

    def texts(self, width: int = WIDE) -> Iterator[str]:
        """Describe one value after the other, each with the results so far if they are few."""
        rows, columns = self.size
        small = len(self.maps) == 1 and max(rows, columns) <= number_format.SHOWN
        values = {}
        for text, place in zip(super().texts(width), self.places(), strict=True):
            values[place] = number_format.short(self.at(place).values[0]) if small else ""
            so_far = number_format.aligned(
                [
                    [
                        values.get((r + self.first[0], c + self.first[1]), ".")
                        for c in range(columns)
                    ]
                    for r in range(rows)
                ]
            )
            yield "\n".join([text, "", "result so far", *so_far]) if small else text

    def check_drawing(self, *, alone: bool) -> None:
        """Refuse what is too large to draw, or of several channels or kernels."""
        if len(self.maps) > 1 or len(self.weights) > 1:
            raise UsageError(
                "a drawing shows one channel and one kernel",
                hint="take `channels=luma`, one map of an array, or a kernel such as sobel-x",
            )
        super().check_drawing(alone=alone)

    def grids(self) -> list[Grid]:
        """Return the input, the kernel and the result."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Grid

        given, weights = self.input_grid(), np.asarray(self.weights[0])
        slide = self.sliding._replace(input_shape=given.values.shape, pads=(0, 0, 0, 0))
        columns = im2col(given.values[None, None], slide)
        self._result = (weights.reshape(1, -1) @ columns).reshape(self.size)
        title = self.title("result", self.size, self.first)
        return [
            given,
            Grid(sized("kernel", self.sliding.kernel_shape), weights, KERNEL, sign="*"),
            Grid(title, self._result, RESULT, sign="=", filled=False),
        ]

    def step(self, place: Pair) -> Step:
        """Return what one value shows."""
        from cnntool.views.sliding_window import KERNEL, RESULT, Mark, Step

        weights = self.weights[0].ravel().tolist()
        window = take_apart(self.maps[:1], self.weights[0][None], self.sliding, place).window
        cells, box = taps(self.sliding, place, self.start)
        cell = self.cell(place)
        value = float(self._result[cell])
        written = [
            f"{_factor(weight)}·{_factor(number)}"
            for weight, number in zip(weights, window.ravel().tolist(), strict=True)
        ]
        head, tail = f"result ({place[0]}, {place[1]}) = ", f" = {number_format.short(value)}"
        return Step(
            [
                Mark(0, cells, KERNEL, box, number_format.alike(weights)),
                Mark(2, [cell], RESULT, (*cell, 1, 1)),
            ],
            [(2, cell, value)],
            [
                f"{head}{' + '.join(written)}{tail}",
                f"{head}sum of {len(written)} products{tail}",
            ],
        )


class TracedValue(TracedStep):
    """One value of a filtered picture, taken apart; in a notebook it shows itself.

    Attributes
    ----------
    tracer : FilterTracing
        The input and the filter.
    place : (row, column)
        Of the value in the result.
    channels : tuple of tuple of Trace
        For each channel, for each kernel: window, weights, products, total.
    """

    tracer: FilterTracing

    def __init__(self, tracer: FilterTracing, place: Pair) -> None:
        super().__init__(tracer, place)
        self.channels: tuple[tuple[Trace, ...], ...] = tuple(
            tuple(
                take_apart(plane[None], weights[None], tracer.sliding, place)
                for weights in tracer.weights
            )
            for plane in tracer.maps
        )

    @property
    def values(self) -> list[float]:
        """The filter's value of each channel, before range and depth."""
        how = self.tracer.filter.combine
        return [combine([one.total for one in traces], how) for traces in self.channels]

    def records(self) -> list[dict[str, Any]]:
        """Return what there is to say of each channel, ready for JSON."""
        return [
            {
                "at": list(self.place),
                "channel": channel,
                "result": list(self.tracer.sliding.out_shape),
                "rows": traces[0].rows.tolist(),
                "columns": traces[0].columns.tolist(),
                "window": traces[0].window[0].tolist(),
                "kernels": [
                    {
                        "weights": one.weights[0].tolist(),
                        "products": one.products[0].tolist(),
                        "sum": one.total,
                    }
                    for one in traces
                ],
                "combine": self.tracer.filter.combine,
                "value": value,
            }
            for channel, (traces, value) in enumerate(zip(self.channels, self.values, strict=True))
        ]

    def lines(self, width: int = WIDE) -> list[str]:
        """Describe the value in lines of text."""
        lines = []
        sliding = self.tracer.sliding
        for channel, (traces, value) in enumerate(zip(self.channels, self.values, strict=True)):
            seen = seen_by(traces[0], sliding, sliding.out_shape)
            lines += [*[""] * bool(channel), f"{self.tracer.which(channel)}{seen}"]
            for number, one in enumerate(traces, 1):
                several = f" {number}" if len(traces) > 1 else ""
                lines += self._sum(one, several, width)
            if len(traces) > 1:
                lines += ["", f"{self.tracer.filter.combine}  {self._combined(traces, value)}"]
        return lines

    def _sum(self, one: Trace, which: str, width: int) -> list[str]:
        flipped = " (flipped)" if self.tracer.flipped else ""
        lines = blocks(one, kernel=f"kernel{which}{flipped}", width=width)
        if not one.inside.all():
            lines.append(f"( ) lies outside: {self.tracer.sliding.border.value} border")
        value = number_format.short(one.total, 6)
        return ["", *lines, "", f"sum{which}  {terms(one.products[0])} = {value}"]

    def _combined(self, traces: Sequence[Trace], total: float) -> str:
        sums = [number_format.short(one.total, 6) for one in traces]
        value = number_format.short(total, 6)
        if self.tracer.filter.combine == "max":
            return f"max({', '.join(sums)}) = {value}"
        squares = " + ".join(f"({text})^2" if text[0] == "-" else f"{text}^2" for text in sums)
        return f"sqrt({squares}) = {value}"


def _factor(value: float) -> str:
    text = number_format.short(value, 3)
    return f"({text})" if value < 0 else text
