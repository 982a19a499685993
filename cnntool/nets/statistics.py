"""What the numbers of a layer are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Statistics(NamedTuple):
    """Figures of a layer's values. NaN and infinities are counted and left out of the others.

    Parameters
    ----------
    shape : tuple of int
        Without the batch.
    minimum, maximum, mean, deviation : float
        NaN where no value is finite; the deviation is that of all values (divided by n).
    sparsity : float
        Share of zeros, 0..1.
    dead : int
        Maps that are zero everywhere; of a vector its zeros.
    maps : int
        How many maps there are; of a vector its length.
    nan, infinite : int
        Values that are none, or no finite ones.
    """

    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    deviation: float
    sparsity: float
    dead: int
    maps: int
    nan: int
    infinite: int


def statistics(values: NDArray[Any]) -> Statistics:
    """Describe the values of a layer.

    Parameters
    ----------
    values : ndarray of shape (C, H, W) or (n,), or any other
        The first axis counts maps.
    """
    maps = len(values) if values.ndim else 1
    flat = values.reshape(maps, values.size // max(maps, 1))
    zeros = flat.shape[1] - np.count_nonzero(flat, axis=1)
    nan = infinite = 0
    finite = flat
    # A sum is finite only if every value is.
    if flat.dtype.kind == "f" and not np.isfinite(flat.sum(dtype=np.float64)):
        nan = int(np.isnan(flat).sum())
        infinite = int(np.isinf(flat).sum())
        finite = flat[np.isfinite(flat)]
    nothing = float("nan")
    return Statistics(
        shape=values.shape,
        minimum=float(finite.min()) if finite.size else nothing,
        maximum=float(finite.max()) if finite.size else nothing,
        mean=float(finite.mean(dtype=np.float64)) if finite.size else nothing,
        deviation=float(finite.std(dtype=np.float64)) if finite.size else nothing,
        sparsity=float(zeros.sum() / values.size) if values.size else nothing,
        dead=int((zeros == flat.shape[1]).sum()) if flat.shape[1] else 0,
        maps=len(flat),
        nan=nan,
        infinite=infinite,
    )
