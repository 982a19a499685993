"""Taking kernels apart: whole numbers, and sums of columns times rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]

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
