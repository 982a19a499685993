"""Window arithmetic: output sizes and padding of what slides, without numpy.

Along one axis, with ``extent = (kernel - 1) * dilation + 1``:

- a convolution or a pool makes ``(size + padding - extent) // stride + 1`` outputs,
- a transpose convolution ``(size - 1) * stride + extent - padding + output_padding``
  (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cnntool.errors import UsageError
from cnntool.shapes.text import times

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Word = Literal["valid", "same", "full"]
Padding = Word | Pads
"""A word, or the rows and columns added (top, bottom, left, right)."""

PADDINGS: tuple[Word, ...] = ("valid", "same", "full")
NO_PADS: Pads = (0, 0, 0, 0)


def parse_padding(text: str, separator: str = ",") -> Padding:
    """Read what a user writes for padding.

    Parameters
    ----------
    text : str
        A word of `PADDINGS`, or 1, 2 (rows, columns) or 4 (top, bottom, left, right) whole numbers.
    separator : str
        What stands between numbers.

    Raises
    ------
    UsageError
        Anything else.
    """
    for word in PADDINGS:
        if text == word:
            return word
    parts = text.split(separator)
    if not all(part.strip().isdecimal() and len(part) < 12 for part in parts) or len(parts) not in {
        1,
        2,
        4,
    }:
        form = separator.join(("ROWS", "COLUMNS"))
        four = separator.join(("TOP", "BOTTOM", "LEFT", "RIGHT"))
        raise UsageError(f"{text!r} is no padding: N, {form}, {four} or {'|'.join(PADDINGS)}")
    numbers = [int(part) for part in parts]
    if len(numbers) == 4:
        top, bottom, left, right = numbers
        return top, bottom, left, right
    rows, columns = numbers[0], numbers[-1]
    return rows, rows, columns, columns


class AxisWindow(NamedTuple):
    """A window along one axis, and how it slides.

    Parameters
    ----------
    kernel : int
        Taps, 1 or more.
    stride, dilation : int
        Steps from window to window and from tap to tap, 1 or more.
    before, after : int
        Padding at both ends; below 0 it is cut off.
    ceil : bool
        Whether a last window may hang over the end. It must begin on the input or on the padding
        before it.

    Examples
    --------
    >>> AxisWindow(3, stride=2).same(224)
    AxisWindow(kernel=3, stride=2, dilation=1, before=0, after=1, ceil=False)
    >>> AxisWindow(3, stride=2).same(224).outputs(224)
    112
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Places that the dilated window spans."""
        return (self.kernel - 1) * self.dilation + 1

    def padded(self, padding: Word) -> AxisWindow:
        """Return this window with the padding that a word stands for, whatever the input's size.

        ``same`` centres the window on every place that the stride keeps, with the extra zero of an
        even extent after; ``full`` lets it lie wherever it touches the input.
        """
        reach = self.extent - 1
        before, after = {
            "valid": (0, 0),
            "same": (reach // 2, reach - reach // 2),
            "full": (reach, reach),
        }[padding]
        return self._replace(before=before, after=after)

    def same(self, size: int, *, lower: bool = False) -> AxisWindow:
        """Return this window with the padding that makes ``ceil(size / stride)`` outputs.

        Parameters
        ----------
        size : int
            Of the input.
        lower : bool
            Put the extra zero of an odd sum before (``SAME_LOWER`` of ONNX), not after.
        """
        total = max((-(-size // self.stride) - 1) * self.stride + self.extent - size, 0)
        before = (total + lower) // 2
        return self._replace(before=before, after=total - before)

    def room(self, size: int) -> int:
        """Return how far the window can be moved on an input; below 0 it does not fit."""
        return size + self.before + self.after - self.extent

    def outputs(self, size: int) -> int:
        """Return how many outputs an input of a size gives, below 1 if the window does not fit."""
        room = self.room(size)
        count = room // self.stride + 1
        hangs_over = self.ceil and room % self.stride and count * self.stride < size + self.before
        return count + bool(hangs_over)

    def transposed(self, size: int, output_padding: int = 0) -> int:
        """Return how many values the transpose convolution makes of so many."""
        return (size - 1) * self.stride + self.extent - self.before - self.after + output_padding


class Window(NamedTuple):
    """A window of kernel size, and how it slides over rows and columns.

    Parameters
    ----------
    kernel : (rows, columns)
        1 or more.
    stride, dilation : (rows, columns)
        1 or more.
    pads : (top, bottom, left, right)
        Rows and columns added around the input, 0 or more.
    ceil : bool
        See `AxisWindow`.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = NO_PADS
    ceil: bool = False

    def along(self, axis: int) -> AxisWindow:
        """Return the window along rows (axis 0) or columns (axis 1)."""
        before, after = self.pads[2 * axis : 2 * axis + 2]
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        return AxisWindow(kernel, stride, dilation, before, after, self.ceil)

    @property
    def extent(self) -> Pair:
        """Rows and columns that the dilated window spans."""
        return self.along(0).extent, self.along(1).extent

    def padded(self, padding: Padding) -> Window:
        """Return this window with a padding, words resolved as `AxisWindow.padded` does."""
        if isinstance(padding, tuple):
            return self._replace(pads=padding)
        rows, columns = self.along(0).padded(padding), self.along(1).padded(padding)
        return self._replace(pads=(rows.before, rows.after, columns.before, columns.after))

    def padded_shape(self, shape: Pair) -> Pair:
        """Return rows and columns of an input with its padding."""
        top, bottom, left, right = self.pads
        return shape[0] + top + bottom, shape[1] + left + right

    def outputs(self, shape: Pair) -> Pair:
        """Return rows and columns of the result, below 1 where the window does not fit."""
        return self.along(0).outputs(shape[0]), self.along(1).outputs(shape[1])

    def out_shape(self, shape: Pair) -> Pair:
        """Return rows and columns of the result for an input of rows and columns.

        Raises
        ------
        UsageError
            The window is larger than the padded input: the result would be empty.
        """
        found = self.outputs(shape)
        if min(found) < 1:
            raise UsageError(
                f"a window of {times(self.extent)} does not fit into"
                f" {times(self.padded_shape(shape))}",
                hint="pad the input, or take a smaller one",
            )
        return found

    def transposed_shape(self, shape: Pair, output_padding: Pair = (0, 0)) -> Pair:
        """Return rows and columns of the transpose convolution's result.

        Parameters
        ----------
        shape : (rows, columns)
            Of its input.
        output_padding : (rows, columns)
            Rows and columns added at the bottom and at the right.

        Raises
        ------
        UsageError
            Output padding that is no smaller than the stride, or a result that would be empty.
        """
        if output_padding[0] >= self.stride[0] or output_padding[1] >= self.stride[1]:
            raise UsageError(
                f"an output padding of {times(output_padding)} must be smaller than"
                f" the stride of {times(self.stride)}"
            )
        rows, columns = (
            self.along(axis).transposed(shape[axis], output_padding[axis]) for axis in (0, 1)
        )
        if min(rows, columns) < 1:
            raise UsageError("the padding leaves nothing of the result")
        return rows, columns
