"""Layers as a matrix product: windows as rows (im2col) times kernels as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from cnntool.filters.conv.direct import Recording
    from cnntool.filters.kernels.kernel import ConvLayer
    from cnntool.shapes.windows import Pair


def as_matrix(layer: ConvLayer, *, flipped: bool) -> NDArray[np.float64]:
    """Lay the kernels out as columns.

    Returns
    -------
    (kH * kW * channels, maps)
        Down a column as the values of a window lie in memory: row, column, channel.
    """
    weights = layer.weights[:, :, ::-1, ::-1] if flipped else layer.weights
    return np.ascontiguousarray(weights.transpose(2, 3, 1, 0)).reshape(-1, layer.maps)


class Gemm:
    """All kernels of a layer on a tile, as one matrix product.

    Parameters
    ----------
    matrix : (kH * kW * C, maps) float64
        See `as_matrix`.
    shape : (kH, kW)
    stride, dilation : (rows, columns)
    dtype : dtype
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        shape: Pair,
        stride: Pair,
        dilation: Pair,
        dtype: DTypeLike,
    ) -> None:
        self._matrix = matrix.astype(dtype)
        self._shape, self._stride, self._dilation = shape, stride, dilation

    def record(
        self, recording: Recording, tile: NDArray[Any], shape: tuple[int, int, int]
    ) -> NDArray[Any]:
        """Record correlating a tile with all kernels.

        Parameters
        ----------
        recording : Recording
        tile : (n, m, C)
            Contiguous.
        shape : (n', m', maps)
            Of the result.

        Returns
        -------
        (1, n', m', maps)
            Where the result will be.
        """
        rows, columns, maps = shape
        row, column, item = tile.strides
        (down, across), (step_down, step_across) = self._stride, self._dilation
        windows = as_strided(
            tile,
            (rows, columns, *self._shape, tile.shape[2]),
            (down * row, across * column, step_down * row, step_across * column, item),
        )
        stack = recording.take(windows.shape, tile.dtype)
        result = recording.take((1, *shape), tile.dtype)
        recording(np.copyto, stack, windows)
        recording(
            np.matmul, stack.reshape(rows * columns, -1), self._matrix, result.reshape(-1, maps)
        )
        return result
