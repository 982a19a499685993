"""Frequency response of a kernel: what it does to waves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.filters.kernels.kernel import Kernel


def response(kernel: Kernel, count: int) -> NDArray[np.float64]:
    """Sample the size of a kernel's discrete-time Fourier transform.

    Parameters
    ----------
    kernel : Kernel
    count : int
        Samples along each axis, odd, so that frequency 0 is the middle one.

    Returns
    -------
    (count, count) float64
        Row frequencies down, column frequencies across, each evenly from -1/2 to 1/2 cycles a
        pixel. What a wave's amplitude is multiplied by; flipping the kernel changes nothing.
    """
    rows, columns = kernel.shape
    frequencies = np.linspace(-0.5, 0.5, count)
    down = np.exp(-2j * np.pi * np.outer(frequencies, np.arange(rows)))
    across = np.exp(-2j * np.pi * np.outer(np.arange(columns), frequencies))
    size: NDArray[np.float64] = np.abs(down @ kernel.weights @ across)
    return size


def gains(kernel: Kernel) -> dict[str, float]:
    """Return what four plain patterns are multiplied by, without their sign.

    Returns
    -------
    dict
        ``constant`` (frequency 0), ``rows`` and ``columns`` (every other row, or column, of
        opposite sign), ``checkerboard`` (both).
    """
    weights = kernel.weights
    row_signs, column_signs = (1 - 2.0 * (np.arange(size) % 2) for size in kernel.shape)
    alternating = weights @ column_signs
    found = {
        "constant": 0.0 if kernel.is_zero_sum else kernel.sum,
        "rows": float(row_signs @ weights.sum(axis=1)),
        "columns": float(alternating.sum()),
        "checkerboard": float(row_signs @ alternating),
    }
    nought = 1e-12 * float(np.abs(weights).sum())
    return {name: 0.0 if abs(gain) <= nought else abs(gain) for name, gain in found.items()}


def rank_errors(kernel: Kernel) -> list[float]:
    """Return what is lost when a kernel is taken for the nearest one of rank 1, 2, ...

    Returns
    -------
    list of float
        For each rank up to the kernel's own: the root of the sum of squares of what is left,
        relative to that of the weights. From the singular values (Eckart and Young, 1936).
    """
    sizes = np.linalg.svd(kernel.weights, compute_uv=False)
    whole = float(np.square(sizes).sum())
    left = np.cumsum(np.square(sizes)[::-1])[::-1]
    errors = [float(np.sqrt(left[rank] / whole)) for rank in range(1, kernel.rank)]
    return [*errors, 0.0] if kernel.rank else []
