"""Receptive fields: what of the input an output of a layer sees.

Without transpose convolutions the rule is short: a layer widens the field by ``extent - 1`` steps
of its input's jump, and its stride multiplies the jump (Araujo, Norris and Sim, "Computing
Receptive Fields of Convolutional Neural Networks", 2019). Behind a transpose convolution outputs
differ: they repeat in a pattern as long as its stride, so a field is kept for each of them.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, gcd, lcm
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cnntool.shapes.windows import AxisWindow, Pair

LONGEST = 1024
"""Outputs of a pattern that are told apart."""

Span = tuple[int, int]


class AxisField(NamedTuple):
    """Receptive fields along one axis, in pixels of the input, padding included.

    Parameters
    ----------
    spans : tuple of (first, last), or of None where an output sees nothing
        For the first outputs; a first below 0 is on padding.
    step : int
        By how much the spans of the next ``len(spans)`` outputs lie further.
    """

    spans: tuple[Span | None, ...] = ((0, 0),)
    step: int = 1

    @property
    def size(self) -> int:
        """Pixels that one output sees at most."""
        return max((last - first + 1 for first, last in filter(None, self.spans)), default=0)

    @property
    def jump(self) -> Fraction:
        """Pixels from one output's field to the next one's, on average."""
        return Fraction(self.step, len(self.spans))

    def at(self, output: int) -> Span | None:
        """Return what an output sees; one below 0 lies on padding."""
        periods, place = divmod(output, len(self.spans))
        span, shift = self.spans[place], periods * self.step
        return (span[0] + shift, span[1] + shift) if span else None

    def through(self, window: AxisWindow) -> AxisField:
        """Return the fields behind a window that slides over these outputs."""
        stride, before = window.stride, window.before
        taps = range(0, window.extent, window.dilation)
        period = len(self.spans) // gcd(len(self.spans), stride)
        ends = {*taps[: len(self.spans)], *taps[-len(self.spans) :]}  # those between add nothing
        spans = tuple(
            _hull(self.at(output * stride - before + tap) for tap in ends)
            for output in range(period)
        )
        return AxisField(spans, self.step * period * stride // len(self.spans))

    def through_transpose(self, window: AxisWindow) -> AxisField | None:
        """Return the fields behind the transpose of a window, None where they are too many."""
        stride, before = window.stride, window.before
        period = len(self.spans) * stride
        if period > LONGEST:
            return None
        places = (
            range(output + before, output + before - window.extent, -window.dilation)
            for output in range(period)
        )
        spans = (
            _hull(
                self.at(place // stride)
                for place in (*row[:period], *row[-period:])
                if place % stride == 0
            )
            for row in places
        )
        return AxisField(tuple(spans), self.step)

    def everywhere(self, outputs: int) -> AxisField:
        """Return the field of something that sees so many outputs."""
        period = len(self.spans)
        seen = {*range(min(period, outputs)), *range(max(0, outputs - period), outputs)}
        return AxisField((_hull(map(self.at, seen)),), ceil(self.jump))

    def joined(self, other: AxisField) -> AxisField | None:
        """Return the fields of something that sees both, None where they are too many.

        The larger jump counts.
        """
        period = lcm(len(self.spans), len(other.spans))
        if period > LONGEST:
            return None
        spans = tuple(_hull((self.at(output), other.at(output))) for output in range(period))
        return AxisField(spans, int(max(self.jump, other.jump) * period))


def _hull(spans: Iterable[Span | None]) -> Span | None:
    """Return the smallest span that holds all others."""
    known = [span for span in spans if span]
    if not known:
        return None
    return min(first for first, _ in known), max(last for _, last in known)


class Fields(NamedTuple):
    """Receptive fields along rows and columns.

    Parameters
    ----------
    rows, columns : AxisField
    places : (rows, columns)
        Of the map that a vector was made of.
    """

    rows: AxisField = AxisField()
    columns: AxisField = AxisField()
    places: Pair = (1, 1)

    def each(self, change: Callable[[AxisField, int], AxisField | None]) -> Fields | None:
        """Apply a change that is given each field and its axis; None if it gives None."""
        rows, columns = change(self.rows, 0), change(self.columns, 1)
        return Fields(rows, columns) if rows and columns else None

    def joined(self, other: Fields) -> Fields | None:
        """Return the fields of something that sees both, None where they are too many."""
        rows, columns = self.rows.joined(other.rows), self.columns.joined(other.columns)
        places = max(self.places[0], other.places[0]), max(self.places[1], other.places[1])
        return Fields(rows, columns, places) if rows and columns else None

    @property
    def size(self) -> Pair:
        """Rows and columns of the input that an output sees at most."""
        return self.rows.size, self.columns.size
