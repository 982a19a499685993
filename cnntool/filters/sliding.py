"""Sliding windows: where one lies for each output value, by stride, dilation and padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.filters.conv.plan import Border, source_index
from cnntool.shapes.text import times
from cnntool.shapes.windows import NO_PADS, Pads, Pair, Window

if TYPE_CHECKING:
    from cnntool.filters.conv.plan import ConvPlan

Index = NDArray[np.intp]


class Sliding(NamedTuple):
    """A window of kernel size that slides over a padded input.

    Parameters
    ----------
    input_shape, kernel_shape : (rows, columns)
        1 or more.
    stride, dilation : (rows, columns)
        1 or more.
    pads : (top, bottom, left, right)
        Rows and columns added around the input, 0 or more.
    border : Border
        What the added ones hold.
    """

    input_shape: Pair
    kernel_shape: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = NO_PADS
    border: Border = Border.ZERO

    @property
    def window(self) -> Window:
        """The window without what it slides over."""
        return Window(self.kernel_shape, self.stride, self.dilation, self.pads)

    @property
    def padded_shape(self) -> Pair:
        """Rows and columns of the padded input."""
        return self.window.padded_shape(self.input_shape)

    @property
    def out_shape(self) -> Pair:
        """Rows and columns of the result, below 1 where the window does not fit."""
        return self.window.outputs(self.input_shape)

    def positions(self, axis: int) -> Index:
        """Return where each tap lies on the input, in rows (axis 0) or columns (axis 1).

        Returns
        -------
        (outputs, taps) intp
            Counted from the input's first row or column; below 0, or beyond the last, in the
            border.
        """
        outputs = np.arange(self.out_shape[axis], dtype=np.intp) * self.stride[axis]
        taps = np.arange(self.kernel_shape[axis], dtype=np.intp) * self.dilation[axis]
        index: Index = outputs[:, None] + taps - self.pads[2 * axis]
        return index

    def padding(self, axis: int) -> Index:
        """Return the input's row or column that each one of the padded input repeats.

        Returns
        -------
        (padded,) intp
            -1 where the padded input is zero.
        """
        size, padded = self.input_shape[axis], self.padded_shape[axis]
        return source_index(0, padded, self.pads[2 * axis], size, self.border)

    def sources(self, axis: int) -> Index:
        """Return the input's row or column under each tap, borders resolved.

        Returns
        -------
        (outputs, taps) intp
            -1 where the padded input is zero.
        """
        return self.padding(axis)[self.positions(axis) + self.pads[2 * axis]]

    def pad(self, maps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the padded input.

        Parameters
        ----------
        maps : (..., H, W)

        Returns
        -------
        (..., *padded_shape)
        """
        return take(maps, self.padding(0), self.padding(1))


def take(maps: NDArray[np.float64], rows: Index, columns: Index) -> NDArray[np.float64]:
    """Gather rows and columns of maps; index -1 gives zeros.

    Parameters
    ----------
    maps : (..., H, W)
    rows : (m,) intp
    columns : (n,) intp

    Returns
    -------
    (..., m, n) float64
    """
    found: NDArray[np.float64] = maps[..., rows[:, None], columns].astype(np.float64)
    found[..., rows < 0, :] = 0
    found[..., :, columns < 0] = 0
    return found


def of_plan(plan: ConvPlan) -> Sliding:
    """Return how the window of a planned convolution slides."""
    return Sliding(
        plan.input_shape, plan.filter.shape, plan.stride, plan.dilation, plan.pads, plan.border
    )


def check_fits(sliding: Sliding) -> None:
    """Refuse a window that fits nowhere.

    Raises
    ------
    UsageError
        The dilated kernel is larger than the padded input.
    """
    if min(sliding.out_shape) < 1:
        extent, room = times(sliding.window.extent), times(sliding.padded_shape)
        raise UsageError(f"a kernel of {extent} does not fit into {room}")
