"""One output value of a convolution taken apart: the window, the weights, the products, the sum.

Shapes have a channel axis, so that the same words serve a classic kernel on one map and a filter
of a network's layer, which sums over all maps and adds a bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.filters.sliding import Index, Sliding, take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.filters.kernels.kernel import Combine
    from cnntool.shapes.windows import Pair

Values = NDArray[np.float64]


class Trace(NamedTuple):
    """What one output value is made of.

    Attributes
    ----------
    at : (row, column)
        Of the output value.
    rows, columns : (kH,), (kW,) intp
        The input's row and column under each tap; below 0 or beyond the last in the border.
    inside : (kH, kW) bool
        Which taps lie on the input itself rather than in its border.
    window, weights : (C, kH, kW)
        The values under the taps, and what each is multiplied by: the kernel as it is laid on.
    bias : float
        What is added to the sum of the products.
    """

    at: Pair
    rows: Index
    columns: Index
    inside: NDArray[np.bool_]
    window: Values
    weights: Values
    bias: float = 0.0

    @property
    def products(self) -> Values:
        """Window times weights, (C, kH, kW).

        A weight of 0 makes 0 of everything, even of NaN, as in `convolve`.
        """
        return np.multiply(
            self.window, self.weights, out=np.zeros_like(self.window), where=self.weights != 0
        )

    @property
    def total(self) -> float:
        """The output value: the sum of the products, and the bias."""
        return float(self.products.sum()) + self.bias


def trace(
    maps: NDArray[np.generic], weights: Values, sliding: Sliding, at: Pair, *, bias: float = 0.0
) -> Trace:
    """Take one output value apart.

    Parameters
    ----------
    maps : (C, H, W)
        The input.
    weights : (C, kH, kW)
        As they are laid on: turn the kernel first for a true convolution.
    sliding : Sliding
        How the window slides.
    at : (row, column)
        Of the output value, from 0.
    bias : float
        Added to the sum.

    Raises
    ------
    UsageError
        A place outside of the result.
    """
    check_place(at, sliding.out_shape)
    lines = [sliding.positions(axis)[at[axis]] for axis in (0, 1)]
    inside = [(line >= 0) & (line < size) for line, size in zip(lines, maps.shape[1:], strict=True)]
    return Trace(
        at,
        lines[0],
        lines[1],
        np.logical_and.outer(inside[0], inside[1]),
        take(maps.astype(np.float64), *(sliding.sources(axis)[at[axis]] for axis in (0, 1))),
        weights,
        bias,
    )


def check_place(at: Pair, shape: Pair, of: str = "result") -> None:
    """Refuse a place outside of a result, or of an input.

    Raises
    ------
    UsageError
    """
    height, width = shape
    if not (0 <= at[0] < height and 0 <= at[1] < width):
        raise UsageError(
            f"{at[0]},{at[1]} lies outside of the {of}, which is {height}x{width}",
            hint=f"rows are 0 to {height - 1}, columns 0 to {width - 1}",
        )


def combine(totals: Sequence[float], how: Combine) -> float:
    """Make one value of those of a filter's kernels.

    Parameters
    ----------
    totals : sequence of float
        One for each kernel.
    how : {'single', 'magnitude', 'max'}
        The only one, the root of the sum of squares, or the largest.
    """
    if how == "magnitude":
        return float(np.sqrt(np.square(totals).sum()))
    return max(totals)
