"""What ``trace`` says of a value: records and text."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import UsageError
from cnntool.views import numerals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.filters.kernel import Filter
    from cnntool.filters.sliding import Sliding
    from cnntool.filters.tracing import Trace

Pair = tuple[int, int]

MOST_VALUES = 4096
"""Values that --all takes apart."""

TERMS = 25
"""Products that are written out as a sum."""

WIDE = 100
"""Columns of text where no terminal says how many there are."""


class Work(NamedTuple):
    """An input and a filter, ready to be taken apart at any place.

    Attributes
    ----------
    maps : (C, H, W) float64
        The input, on the scale that `filter` computes with; each map is filtered on its own.
    filter : Filter
    weights : tuple of (kH, kW)
        Of each kernel, as it is laid on.
    sliding : Sliding
    flipped : bool
        Whether the kernels were turned.
    """

    maps: NDArray[Any]
    filter: Filter
    weights: tuple[NDArray[Any], ...]
    sliding: Sliding
    flipped: bool

    def places(self, at: Pair | None) -> list[Pair]:
        """Return the place asked for, or all of the result in reading order."""
        if at is not None:
            return [at]
        rows, columns = self.sliding.out_shape
        if rows * columns > MOST_VALUES:
            raise UsageError(
                f"the result has {rows}x{columns} values, --all shows at most {MOST_VALUES}",
                hint="--at shows one; a larger --stride gives fewer",
            )
        return [(row, column) for row in range(rows) for column in range(columns)]

    def traces(self, at: Pair) -> list[list[Trace]]:
        """Take a value apart: for each channel, for each kernel."""
        from cnntool.filters.tracing import trace

        return [
            [trace(plane[None], weights[None], self.sliding, at) for weights in self.weights]
            for plane in self.maps
        ]

    def value(self, traces: list[Trace]) -> float:
        """Return the value that the filter gives, of its kernels' sums."""
        from cnntool.filters.tracing import combine

        return combine([one.total for one in traces], self.filter.combine)

    def records(self, at: Pair | None) -> Iterator[dict[str, Any]]:
        """Yield what there is to say: for each place, for each channel, ready for JSON."""
        for place in self.places(at):
            for channel, traces in enumerate(self.traces(place)):
                yield self._record(place, channel, traces)

    def _record(self, place: Pair, channel: int, traces: list[Trace]) -> dict[str, Any]:
        return {
            "at": list(place),
            "channel": channel,
            "result": list(self.sliding.out_shape),
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
            "combine": self.filter.combine,
            "value": self.value(traces),
        }

    def text(self, at: Pair) -> list[str]:
        """Describe a place in lines."""
        lines = []
        for channel, traces in enumerate(self.traces(at)):
            if channel:
                lines.append("")
            rows, columns = self.sliding.out_shape
            which = f"channel {channel}, " if len(self.maps) > 1 else ""
            first, (down, across) = traces[0], self.sliding.dilation
            lines.append(
                f"{which}result ({at[0]}, {at[1]}) of {rows}x{columns}: input rows "
                f"{span(first.rows, down)}, columns {span(first.columns, across)}"
            )
            for number, one in enumerate(traces, 1):
                several = f" {number}" if len(traces) > 1 else ""
                lines += self._sum(one, several)
            if len(traces) > 1:
                lines += ["", f"{self.filter.combine}  {self._combined(traces)}"]
        return lines

    def _sum(self, one: Trace, which: str) -> list[str]:
        flipped = " (flipped)" if self.flipped else ""
        lines = blocks(one, kernel=f"kernel{which}{flipped}")
        if not one.inside.all():
            lines.append(f"( ) lies outside: {self.sliding.border.value} border")
        value = numerals.short(one.total, 6)
        return ["", *lines, "", f"sum{which}  {terms(one.products[0])} = {value}"]

    def _combined(self, traces: list[Trace]) -> str:
        sums = [numerals.short(one.total, 6) for one in traces]
        value = numerals.short(self.value(traces), 6)
        if self.filter.combine == "max":
            return f"max({', '.join(sums)}) = {value}"
        squares = " + ".join(f"({text})^2" if text[0] == "-" else f"{text}^2" for text in sums)
        return f"sqrt({squares}) = {value}"


def blocks(one: Trace, channel: int = 0, *, kernel: str = "kernel") -> list[str]:
    """Lay window, kernel and products out: side by side, or below each other if too wide.

    Parameters
    ----------
    one : Trace
    channel : int
        Which of its maps.
    kernel : str
        The kernel's title.
    """
    parts = [
        ("window", _bracketed(one, channel)),
        (kernel, numerals.matrix(one.weights[channel].tolist())),
        ("products", numerals.matrix(one.products[channel].tolist())),
    ]
    lines = numerals.beside(parts, ["*", "="])
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
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
            numerals.short(value) if inside else f"({numerals.short(value)})"
            for value, inside in zip(values, flags, strict=True)
        ]
        for values, flags in zip(one.window[channel].tolist(), one.inside.tolist(), strict=True)
    ]
    if not one.inside.all():
        rows = [[text if text[-1] == ")" else f"{text} " for text in row] for row in rows]
    return numerals.aligned(rows)


def terms(products: NDArray[Any]) -> str:
    """Write a sum of products, or how many there are."""
    values = products.ravel().tolist()
    if len(values) > TERMS:
        return f"of {len(values)} products"
    first, *others = map(numerals.short, values)
    return first + "".join(f" - {t[1:]}" if t[0] == "-" else f" + {t}" for t in others)
