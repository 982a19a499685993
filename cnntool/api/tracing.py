"""Tracing: where a value of a filtered picture comes from, window, kernel, products and sum."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.arguments import FilterOptions
from cnntool.api.filtering import arithmetic
from cnntool.api.kernels import laid_on, read_convolution
from cnntool.api.pictures import Figure, check_drawable, load
from cnntool.errors import UsageError
from cnntool.filters.lessons.trace import combine
from cnntool.filters.lessons.trace import trace as take_apart
from cnntool.filters.pipeline import make_pipeline
from cnntool.filters.sliding import Sliding, of_plan
from cnntool.image.convert import luma
from cnntool.views import number_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.filters.kernels.kernel import Filter
    from cnntool.filters.lessons.trace import Trace
    from cnntool.shapes.windows import Pair
    from cnntool.views.sliding_window import WindowScene

MOST_VALUES = 4096
"""Values that are all taken apart."""

TERMS = 25
"""Products that are written out as a sum."""

WIDE = 100
"""Columns of text, unless a terminal says how many there are."""


class Tracer(NamedTuple):
    """An input and a filter, ready to be taken apart at any place.

    Attributes
    ----------
    maps : (C, H, W) float64
        The input, on the scale that `filter` computes with; each map is filtered on its own.
    filter : Filter
    weights : tuple of (kH, kW)
        Of each kernel, as it is laid on.
    sliding : Sliding
    note : str
        How the window slides.
    flipped : bool
        Whether the kernels were turned.
    """

    maps: NDArray[Any]
    filter: Filter
    weights: tuple[NDArray[Any], ...]
    sliding: Sliding
    note: str
    flipped: bool

    def places(self) -> list[Pair]:
        """Return all places of the result in reading order.

        Raises
        ------
        UsageError
            There are more than `MOST_VALUES`.
        """
        rows, columns = self.sliding.out_shape
        if rows * columns > MOST_VALUES:
            raise UsageError(
                f"the result has {rows}x{columns} values, `all` shows at most {MOST_VALUES}",
                hint="`at` shows one; a larger `stride` gives fewer",
            )
        return [(row, column) for row in range(rows) for column in range(columns)]

    def at(self, place: Pair) -> TracedValue:
        """Take a value apart.

        Raises
        ------
        UsageError
            A place outside of the result.
        """
        return TracedValue(
            self,
            place,
            tuple(
                tuple(
                    take_apart(plane[None], weights[None], self.sliding, place)
                    for weights in self.weights
                )
                for plane in self.maps
            ),
        )

    def steps(self, places: Sequence[Pair], width: int = WIDE) -> Iterator[str]:
        """Describe one value after the other, each with the results so far if they are few."""
        rows, columns = self.sliding.out_shape
        small = len(self.maps) == 1 and max(rows, columns) <= number_format.SHOWN
        values = {}
        for number, place in enumerate(places, 1):
            found = self.at(place)
            lines = [f"step {number} of {len(places)}", "", *found.lines(width)]
            if small:
                values[place] = number_format.short(found.values[0])
                so_far = [[values.get((r, c), ".") for c in range(columns)] for r in range(rows)]
                lines += ["", "result so far", *number_format.aligned(so_far)]
            yield "\n".join(lines)

    def drawing(self, at: Pair | None, seconds: float) -> bytes:
        """Return the animation of all values as a GIF, or the frame of one as a PNG."""
        from cnntool.views.sliding_window import gif

        return gif(self.scene(alone=False), seconds) if at is None else self.at(at).figure().png()

    def scene(self, *, alone: bool) -> WindowScene:
        """Return what is drawn: of one value, or of all.

        Raises
        ------
        UsageError
            What is too large to draw, or of several channels or kernels.
        """
        from cnntool.filters.lessons.im2col import im2col
        from cnntool.views import sliding_window

        if len(self.maps) > 1 or len(self.weights) > 1:
            raise UsageError(
                "a drawing shows one channel and one kernel",
                hint="take `channels=luma`, one map of an array, or a kernel such as sobel-x",
            )
        slide = self.sliding
        check_drawable(self.maps)
        frames = 1 if alone else prod(slide.out_shape)
        sliding_window.check_size(slide.padded_shape, slide.out_shape, frames)
        product = self.weights[0].reshape(1, -1) @ im2col(self.maps[None], slide)
        return sliding_window.WindowScene(
            padded=slide.pad(self.maps[0]),
            pads=slide.pads,
            weights=np.asarray(self.weights[0]),
            result=product.reshape(slide.out_shape),
            stride=slide.stride,
            dilation=slide.dilation,
            note=self.note,
        )


class TracedValue(NamedTuple):
    """One value of a filtered picture, taken apart; in a notebook it shows itself.

    Attributes
    ----------
    tracer : Tracer
        The input and the filter.
    place : (row, column)
        Of the value in the result.
    channels : tuple of tuple of Trace
        For each channel, for each kernel: window, weights, products, total.
    """

    tracer: Tracer
    place: Pair
    channels: tuple[tuple[Trace, ...], ...]

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
        rows, columns = sliding.out_shape
        row, column = self.place
        for channel, (traces, value) in enumerate(zip(self.channels, self.values, strict=True)):
            if channel:
                lines.append("")
            which = f"channel {channel}, " if len(self.channels) > 1 else ""
            first, (down, across) = traces[0], sliding.dilation
            lines.append(
                f"{which}result ({row}, {column}) of {rows}x{columns}: input rows "
                f"{span(first.rows, down)}, columns {span(first.columns, across)}"
            )
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

    def figure(self) -> Figure:
        """Draw it: the window on the input, the kernel, the result so far.

        Raises
        ------
        UsageError
            What is too large to draw, or of several channels or kernels.
        """
        from cnntool.views.sliding_window import frame

        return Figure(frame(self.tracer.scene(alone=True), self.place))

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def tracer(picture: Picture, item: Filter, how: FilterOptions) -> Tracer:
    """Plan as `filter` does, and bring the input to the numbers that it computes with.

    Raises
    ------
    UsageError
        What `filter` refuses.
    """
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
    steps = [
        f"{name} {'x'.join(map(str, pair)) if pair[0] != pair[1] else pair[0]}"
        for name, pair in (("stride", slide.stride), ("dilation", slide.dilation))
        if pair != (1, 1)
    ]
    flipped = chosen.op == "convolve"
    kind = "convolution, kernel flipped" if flipped else "correlation"
    around = [f"{slide.border.value} border"] if any(slide.pads) else []
    return Tracer(
        maps,
        item,
        tuple(laid_on(kernel, chosen.op) for kernel in item.kernels),
        slide,
        ", ".join([kind, chosen.mode, *around, *steps]),
        flipped,
    )


def trace(
    image: ImageLike,
    kernel: KernelLike,
    at: Pair,
    *,
    mode: str = "same",
    op: str = "correlate",
    border: str = "zero",
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    channels: str | None = None,
    layout: str = "auto",
) -> TracedValue:
    """Take one value of a filtered picture apart.

    Parameters
    ----------
    image, kernel, mode, op, border, stride, dilation, channels
        As for `filter`; the kernel must be a convolution.
    at : (row, column)
        Of the value in the result, from 0.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    TracedValue
        Its text is the sum written out; ``values`` are those of `filter` with ``range="raw"``.

    Raises
    ------
    UsageError
        A place outside of the result, or a kernel that is no convolution.

    Examples
    --------
    >>> print(cnntool.trace(np.arange(9).reshape(3, 3), [[1, 0], [0, -1]], (0, 0), mode="valid"))
    result (0, 0) of 2x2: input rows 0 to 1, columns 0 to 1
    <BLANKLINE>
    window     kernel     products
    0  1    *   1   0  =   0   0
    3  4        0  -1      0  -4
    <BLANKLINE>
    sum  0 + 0 + 0 - 4 = -4
    """
    item = read_convolution(kernel, "there is nothing to trace")
    place = arguments.pair("at", at, 0)
    how = FilterOptions(mode, op, border, stride, dilation, channels).checked()
    return tracer(load(image, layout=layout), item, how).at(place)


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
        ("window", _bracketed(one, channel)),
        (kernel, number_format.matrix(one.weights[channel].tolist())),
        ("products", number_format.matrix(one.products[channel].tolist())),
    ]
    lines = number_format.beside(parts, ["*", "="])
    if max(map(len, lines)) > width:
        lines = [line for title, block in parts for line in ("", title, *block)][1:]
    return lines


def span(positions: Sequence[int] | NDArray[Any], step: int) -> str:
    """Write rows or columns that lie ``step`` apart: ``3 to 7 by 2``."""
    first, last = int(positions[0]), int(positions[-1])
    if first == last:
        return str(first)
    return f"{first} to {last}" + (f" by {step}" if step > 1 else "")


def _bracketed(one: Trace, channel: int) -> list[str]:
    """Write the window; what lies in the border is in brackets."""
    rows = [
        [
            number_format.short(value) if inside else f"({number_format.short(value)})"
            for value, inside in zip(values, flags, strict=True)
        ]
        for values, flags in zip(one.window[channel].tolist(), one.inside.tolist(), strict=True)
    ]
    if not one.inside.all():
        rows = [[text if text[-1] == ")" else f"{text} " for text in row] for row in rows]
    return number_format.aligned(rows)


def terms(products: NDArray[Any]) -> str:
    """Write a sum of products, or how many there are."""
    values = products.ravel().tolist()
    if len(values) > TERMS:
        return f"of {len(values)} products"
    first, *others = map(number_format.short, values)
    return first + "".join(f" - {t[1:]}" if t[0] == "-" else f" + {t}" for t in others)
