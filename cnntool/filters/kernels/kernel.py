"""Kernels, filters and a layer's kernels: the weights, and the facts that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnntool.errors import UsageError
from cnntool.shapes.text import times

# Weights are the user's decimals or quotients: this many roundings away from exact is exact.
_ROUNDING = 8 * np.finfo(np.float64).eps
_LARGEST_DENOMINATOR = 64
_LARGEST_TAP = 2**20


def integer_form(weights: Weights) -> tuple[NDArray[np.int64], float] | None:
    """Find whole numbers and one factor that make up the weights.

    Parameters
    ----------
    weights : (kH, kW) float64

    Returns
    -------
    (taps, scale) or None
        ``weights == taps * scale`` up to a few roundings. Whole numbers are kept with scale 1;
        else the smallest weight is taken for 1, 2, ... 64 units.
    """
    sizes = np.abs(weights[weights != 0])
    if not sizes.size:
        return np.zeros(weights.shape, dtype=np.int64), 1.0
    smallest, largest = float(sizes.min()), float(sizes.max())
    if largest > smallest * _LARGEST_TAP:
        return None
    if largest <= _LARGEST_TAP and (weights == np.rint(weights)).all():
        return weights.astype(np.int64), 1.0
    for units in range(1, _LARGEST_DENOMINATOR + 1):
        scale = smallest / units
        taps = np.rint(weights / scale)
        if (np.abs(taps * scale - weights) <= _ROUNDING * np.abs(weights)).all():
            return taps.astype(np.int64), scale
    return None


def integer_factors(weights: Weights) -> tuple[Weights, Weights] | None:
    """Split a matrix of whole numbers into a whole column times a whole row, if rank 1.

    Parameters
    ----------
    weights : (kH, kW) float64
        Whole numbers below 2**53.

    Returns
    -------
    (column, row) or None
        Exact. The row holds no common divisor and starts with a positive number; the column
        carries the rest.
    """
    filled = np.flatnonzero(weights.any(axis=1))
    if not filled.size:
        return None
    row = weights[filled[0]]
    lead = row[np.flatnonzero(row)[0]]
    row = row / (np.gcd.reduce(np.abs(row).astype(np.int64)) * np.sign(lead))
    at = np.flatnonzero(row)[0]
    column = weights[:, at] / row[at]
    if not np.array_equal(np.outer(column, row), weights):
        return None
    return (column, row) if (column == np.rint(column)).all() else None


def low_rank(weights: Weights, tol: float) -> list[tuple[Weights, Weights]]:
    """Split a matrix into as few columns times rows as give it back within `tol`.

    Parameters
    ----------
    weights : (kH, kW) float64
    tol : float
        Largest error of any weight, relative to the sum of all ``|weights|``.

    Returns
    -------
    list of (column, row)
        Rank 1 is read off the largest weight's column and row, which keeps equal weights
        equal; higher ranks come from the singular value decomposition.
    """
    bound = tol * float(np.abs(weights).sum())
    if not bound:
        return []
    at = np.unravel_index(np.abs(weights).argmax(), weights.shape)
    column, row = weights[:, at[1]].copy(), weights[at[0]] / weights[at]
    if np.abs(np.outer(column, row) - weights).max() <= bound:
        return [(column, row)]
    left, sizes, right = np.linalg.svd(weights, full_matrices=False)
    rank = max(1, int(np.count_nonzero(sizes > bound)))
    return [(left[:, i] * sizes[i], right[i]) for i in range(rank)]


def balanced(column: Weights, row: Weights) -> tuple[Weights, Weights]:
    """Scale a column and a row so that both have the same sum of ``|weights|``.

    Parameters
    ----------
    column, row : 1-D float64

    Returns
    -------
    (column, row)
        The same outer product.
    """
    share = float(np.sqrt(np.abs(column).sum() / np.abs(row).sum()))
    return column / share, row * share


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
        form = self.integer
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
    def integer(self) -> tuple[NDArray[np.int64], float] | None:
        """Whole-number taps and the factor that makes the weights of them, if there are any.

        Returns
        -------
        (taps, scale) or None
            ``weights == taps * scale`` up to rounding: a 9x9 box is ones and 1/81.
        """
        return integer_form(self.weights)

    def separate(self) -> list[tuple[Weights, Weights]]:
        """Split the kernel into as few (column, row) pairs as give it back to 1e-12.

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
        return [balanced(column, row) for column, row in low_rank(self.weights, 1e-12)]

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


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """Kernels with weights of their own for every channel, as networks convolve.

    Parameters
    ----------
    weights : array_like, (maps, channels, kH, kW)
        Finite numbers, 1 to 1023 per side. Kept as a read-only float64 copy.
    name : str
        As it is shown.

    Raises
    ------
    UsageError
        Other axes, an empty or too large array, or one with NaN or infinity in it.
    """

    weights: NDArray[np.float64] = field()
    name: str = "custom"
    combine: ClassVar[str] = "sum"

    def __init__(self, weights: ArrayLike, name: str = "custom") -> None:
        array = np.array(weights, dtype=np.float64)
        shape = times(array.shape)
        if array.ndim != 4 or not array.size:
            raise UsageError(f"a layer has maps, channels, rows and columns, not {shape}")
        if max(array.shape[2:]) > LARGEST_SIDE:
            raise UsageError(f"kernels of {shape} are larger than {LARGEST_SIDE} a side")
        if not np.isfinite(array).all():
            raise UsageError("a kernel's weights must be finite")
        array.flags.writeable = False
        object.__setattr__(self, "weights", array)
        object.__setattr__(self, "name", name)

    @property
    def maps(self) -> int:
        """Kernels, and maps of the result."""
        return len(self.weights)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return int(self.weights.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of each kernel."""
        rows, columns = self.weights.shape[2:]
        return rows, columns

    def check_channels(self, channels: int) -> None:
        """Refuse an input with another number of channels.

        Raises
        ------
        UsageError
        """
        if channels != self.channels:
            shape = times(self.weights.shape[1:])
            raise UsageError(
                f"the kernel is {shape} (channels x rows x columns),"
                f" channels of the input: {channels}",
                hint="`layout` says which axis of an array holds the channels",
            )
