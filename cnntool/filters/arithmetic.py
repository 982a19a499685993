"""Sizes of what a sliding window reads and makes: no numbers but shapes, and no numpy.

Along one axis, with ``extent = (kernel - 1) * dilation + 1``:

- a convolution or a pool makes ``(size + padding - extent) // stride + 1`` outputs,
- a transpose convolution ``(size - 1) * stride + extent - padding + output_padding``
  (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from cnntool.errors import UsageError

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Padding = Literal["valid", "same", "full"] | Pads
"""A word, or the rows and columns added (top, bottom, left, right)."""

PADDINGS: tuple[Literal["valid", "same", "full"], ...] = ("valid", "same", "full")
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


class Window(NamedTuple):
    """A window of kernel size, and how it slides.

    Parameters
    ----------
    kernel : (rows, columns)
        1 or more.
    stride, dilation : (rows, columns)
        1 or more.
    pads : (top, bottom, left, right)
        Rows and columns added around the input, 0 or more.
    ceil : bool
        Whether a last window may hang over the end. It must begin on the input or on the padding
        before it.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = NO_PADS
    ceil: bool = False

    @property
    def extent(self) -> Pair:
        """Rows and columns that the dilated window spans."""
        return self._extent(0), self._extent(1)

    def _extent(self, axis: int) -> int:
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def padded(self, padding: Padding) -> Window:
        """Return this window with a padding, words resolved.

        ``same`` centres the window on every pixel that the stride keeps, with the extra zero of an
        even extent after (bottom, right); ``full`` lets it lie wherever it touches the input.
        """
        if isinstance(padding, tuple):
            return self._replace(pads=padding)
        rows, columns = self.extent
        return self._replace(
            pads={
                "valid": NO_PADS,
                "same": ((rows - 1) // 2, rows // 2, (columns - 1) // 2, columns // 2),
                "full": (rows - 1, rows - 1, columns - 1, columns - 1),
            }[padding]
        )

    def room(self, axis: int, size: int) -> int:
        """Return how far the window can be moved on an input of a size, below 0 if it is too large.

        Parameters
        ----------
        axis : int
            0 for rows, 1 for columns.
        size : int
            Of the input along it.
        """
        return size + sum(self.pads[2 * axis : 2 * axis + 2]) - self._extent(axis)

    def outputs(self, axis: int, size: int) -> int:
        """Return the outputs along an axis, below 1 if the window does not fit. See `room`."""
        room, stride = self.room(axis, size), self.stride[axis]
        count = room // stride + 1
        hangs_over = self.ceil and room % stride and count * stride < size + self.pads[2 * axis]
        return count + 1 if hangs_over else count

    def out_shape(self, shape: Pair) -> Pair:
        """Return rows and columns of the result for an input of rows and columns.

        Raises
        ------
        UsageError
            The window is larger than the padded input: the result would be empty.
        """
        found = self.outputs(0, shape[0]), self.outputs(1, shape[1])
        if min(found) < 1:
            raise UsageError(
                f"a window of {times(self.extent)} does not fit into {times(self._whole(shape))}",
                hint="pad the input, or take a smaller one",
            )
        return found

    def _whole(self, shape: Pair) -> Pair:
        top, bottom, left, right = self.pads
        return shape[0] + top + bottom, shape[1] + left + right

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
        for axis in (0, 1):
            if output_padding[axis] >= self.stride[axis]:
                raise UsageError(
                    f"an output padding of {times(output_padding)} must be smaller than"
                    f" the stride of {times(self.stride)}"
                )
        rows, columns = (
            (shape[axis] - 1) * self.stride[axis]
            + self._extent(axis)
            - sum(self.pads[2 * axis : 2 * axis + 2])
            + output_padding[axis]
            for axis in (0, 1)
        )
        if min(rows, columns) < 1:
            raise UsageError("the padding leaves nothing of the result")
        return rows, columns


def times(numbers: tuple[int, ...]) -> str:
    """Write a shape or a size: ``224x224x3``."""
    return "x".join(map(str, numbers))
