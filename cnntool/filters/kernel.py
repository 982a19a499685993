"""Kernels and filters: the weights, and the facts that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnntool.errors import UsageError
from cnntool.filters.separate import balanced, integer_factors, integer_form, low_rank

Weights = NDArray[np.float64]

LARGEST_SIDE = 1023


Combine = Literal["single", "magnitude", "max"]
"""How the results of a filter's kernels become one."""

Sign = Literal["smooth", "signed", "magnitude"]
"""What a filter's results mean: as bright as the picture, around zero, or never negative."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A matrix of weights, as it is laid over the picture (correlation, not flipped).

    Parameters
    ----------
    weights : array_like, (kH, kW)
        Finite numbers, neither vast nor tiny, 1 to 1023 per side. Kept as a read-only float64 copy.

    Raises
    ------
    UsageError
        Not a matrix, empty, too large, with NaN or infinity in it, or beyond what arithmetic holds.
    """

    weights: Weights = field()

    def __init__(self, weights: ArrayLike) -> None:
        try:
            array = np.array(weights, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(f"a kernel must be a matrix of numbers: {error}") from None
        if array.ndim != 2 or not array.size:
            raise UsageError(f"a kernel must be a matrix, not an array of shape {array.shape}")
        if max(array.shape) > LARGEST_SIDE:
            rows, columns = array.shape
            raise UsageError(f"a kernel of {rows}x{columns} is larger than {LARGEST_SIDE} a side")
        if not np.isfinite(array).all():
            raise UsageError("a kernel's weights must be finite")
        with np.errstate(over="ignore"):
            total = float(np.abs(array).sum())
        if total and not 1e-200 < total < 1e200:
            raise UsageError("a kernel's weights must add up, by size, to 1e-200 to 1e200, or be 0")
        array.flags.writeable = False
        object.__setattr__(self, "weights", array)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.weights.shape
        return rows, columns

    @cached_property
    def sum(self) -> float:
        """Sum of the weights: what a constant picture is multiplied by."""
        form = self.integer()
        if form is None:
            return float(self.weights.sum())
        taps, scale = form
        return float(taps.sum() * scale)

    @property
    def is_zero_sum(self) -> bool:
        """Whether a constant picture gives zero, up to rounding of the weights."""
        return abs(self.sum) <= 1e-9 * float(np.abs(self.weights).sum())

    @cached_property
    def rank(self) -> int:
        """Number of (column, row) pairs whose products add up to the kernel; 0 if all zero."""
        return len(self.separate())

    @cached_property
    def _integer(self) -> tuple[NDArray[np.int64], float] | None:
        return integer_form(self.weights)

    def integer(self) -> tuple[NDArray[np.int64], float] | None:
        """Whole-number taps and the factor that makes the weights of them, if there are any.

        Returns
        -------
        (taps, scale) or None
            ``weights == taps * scale`` up to rounding: a 9x9 box is ones and 1/81.
        """
        return self._integer

    def separate(self, tol: float = 1e-12) -> list[tuple[Weights, Weights]]:
        """Split the kernel into as few (column, row) pairs as give it back.

        Parameters
        ----------
        tol : float
            How far the sum of the pairs may be off, relative to the sum of all ``|weights|``.

        Returns
        -------
        list of (column, row)
            The kernel is the sum of ``outer(column, row)``. A kernel of whole numbers and rank 1
            keeps them (Sobel is 1, 2, 1 times 1, 0, -1); the scale of others is shared evenly.
            Higher ranks come from the singular value decomposition, largest first.
        """
        whole = (self.weights == np.rint(self.weights)).all()
        if whole and np.abs(self.weights).max() < 2**53:
            factors = integer_factors(self.weights)
            if factors is not None:
                return [factors]
        return [balanced(column, row) for column, row in low_rank(self.weights, tol)]

    def flipped(self) -> Kernel:
        """Turn the kernel by 180 degrees: convolution is correlation with it."""
        return Kernel(self.weights[::-1, ::-1])


@dataclass(frozen=True)
class Filter:
    """Kernels and how their results combine: Sobel is a pair, its magnitude the result.

    Parameters
    ----------
    kernels : tuple of Kernel
        At least one, all of one shape.
    combine : {'single', 'magnitude', 'max'}
        ``single`` takes the only kernel's result, ``magnitude`` the root of the sum of squares,
        ``max`` the largest (with its sign).
    name : str
        As it is shown.
    signed : bool
        Whether its results count as signed even where the weights do not sum to 0, as those of
        learned kernels do.

    Raises
    ------
    UsageError
        Kernels of different shapes, none, or several with ``single``.
    """

    kernels: tuple[Kernel, ...]
    combine: Combine = "single"
    name: str = "custom"
    signed: bool = False

    def __post_init__(self) -> None:
        if not self.kernels:
            raise UsageError("a filter needs a kernel", source=self.name)
        if len({kernel.shape for kernel in self.kernels}) > 1:
            raise UsageError("all kernels of a filter must have one shape", source=self.name)
        if self.combine == "single" and len(self.kernels) > 1:
            raise UsageError("several kernels need a way to combine them", source=self.name)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of each kernel."""
        return self.kernels[0].shape

    @property
    def sign(self) -> Sign:
        """What the results mean: a fact of the kernels, never of the data."""
        if self.combine != "single":
            return "magnitude"
        return "signed" if self.signed or self.kernels[0].is_zero_sum else "smooth"

    @property
    def luma(self) -> bool:
        """Whether colour pictures are reduced to luma first: derivatives are, smoothing is not."""
        return self.sign != "smooth"
