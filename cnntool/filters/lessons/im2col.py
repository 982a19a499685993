"""A convolution as a matrix product: the input unrolled (im2col), or the kernel (Toeplitz)."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import UsageError
from cnntool.filters.sliding import Sliding, check_fits, take

Values = NDArray[np.float64]

MOST_NUMBERS = 2**26
"""Numbers of a matrix that is built: half a gigabyte."""


def im2col(images: Values, sliding: Sliding) -> Values:
    """Lay every window out as a column, so that a convolution becomes one matrix product.

    Parameters
    ----------
    images : (N, C, H, W)
    sliding : Sliding

    Returns
    -------
    (C * kH * kW, N * H_out * W_out)
        Down a column: channel, kernel row, kernel column, the last fastest, as the weights
        (F, C, kH, kW) lie in memory: ``weights.reshape(F, -1) @ im2col`` holds the results.
        From column to column: image, output row, output column, the last fastest.

    Raises
    ------
    UsageError
        A kernel that does not fit, or a matrix of more than ``MOST_NUMBERS``.
    """
    check_fits(sliding)
    count, channels = images.shape[:2]
    (height, width), (rows, columns) = sliding.out_shape, sliding.kernel_shape
    shape = channels * rows * columns, count * height * width
    check_size(*shape)
    taken = take(images, sliding.sources(0).ravel(), sliding.sources(1).ravel())
    windows = taken.reshape(count, channels, height, rows, width, columns)
    return windows.transpose(1, 3, 5, 0, 2, 4).reshape(shape)


def toeplitz(weights: Values, sliding: Sliding) -> Values:
    """Write a convolution of one map as a matrix.

    With zeros outside, it is a Toeplitz matrix of Toeplitz blocks, one block for each pair of an
    output row and an input row. Its transpose is the transpose convolution.

    Parameters
    ----------
    weights : (kH, kW)
        As they are laid on.
    sliding : Sliding

    Returns
    -------
    (H_out * W_out, H * W)
        Times the input, row after row in one vector, it gives the result.

    Raises
    ------
    UsageError
        A kernel that does not fit, or a matrix of more than ``MOST_NUMBERS``.
    """
    check_fits(sliding)
    outputs, inputs = sliding.out_shape, sliding.input_shape
    check_size(prod(outputs), prod(inputs))
    matrix = np.zeros((*outputs, *inputs))
    down, across = sliding.sources(0), sliding.sources(1)
    for row, column in np.ndindex(*weights.shape):
        # Outputs whose tap lies on the input: each has an entry of its own.
        tops = np.flatnonzero(down[:, row] >= 0)[:, None]
        lefts = np.flatnonzero(across[:, column] >= 0)
        matrix[tops, lefts, down[tops, row], across[lefts, column]] += weights[row, column]
    return matrix.reshape(prod(outputs), prod(inputs))


def check_size(rows: int, columns: int) -> None:
    """Refuse a matrix that is too large to build.

    Raises
    ------
    UsageError
        More than ``MOST_NUMBERS``.
    """
    if rows * columns > MOST_NUMBERS:
        raise UsageError(
            f"the matrix would be {rows} x {columns}, more than {MOST_NUMBERS:,} numbers",
            hint="take a smaller input, or a larger stride",
        )
