"""Banded convolution: a Toeplitz matrix of shifted taps times a block of pixels.

A column of taps over a block of R output rows is a banded (Toeplitz) matrix of R rows times the
block's input rows. Most of that matrix is zero, and still a product with it is faster than
adding shifted views: it stays in the processor's registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from cnntool.filters.conv.direct import Last, Recording

# Up to this many multiply-adds OpenBLAS takes a small product without packing its operands.
SMALL = 950_000
ROWS = 16
# So many rows of blocks of columns are written at a time: more miss the processor's cache.
BAND = 32
DENSE_ROWS = 8
COLUMNS = 16


def band(taps: NDArray[np.float64], blocks: int, stride: int, dilation: int) -> NDArray[np.float64]:
    """Lay taps out once for each output of a block.

    Parameters
    ----------
    taps : (k, m) float64
        Taps along the band; each is a group of m values that lie side by side.
    blocks : int
        Outputs of the block.
    stride, dilation : int

    Returns
    -------
    (blocks, ((blocks - 1) * stride + (k - 1) * dilation + 1) * m) float64
    """
    size, width = taps.shape
    length = (blocks - 1) * stride + (size - 1) * dilation + 1
    matrix = np.zeros((blocks, length, width))
    for block in range(blocks):
        begin = block * stride
        matrix[block, begin : begin + (size - 1) * dilation + 1 : dilation] = taps
    return matrix.reshape(blocks, length * width)


class Product:
    """A band times successive, overlapping blocks of rows.

    Parameters
    ----------
    matrix : (R, K)
    values : (rows, m)
        Contiguous.
    step, count : int
        The blocks, of K rows each, start `step` rows after each other.
    """

    def __init__(self, matrix: NDArray[Any], values: NDArray[Any], step: int, count: int) -> None:
        rows, length = matrix.shape
        width = values.shape[1]
        pitch, item = values.strides
        blocks = np.ndarray(
            (count, length, width), values.dtype, values, 0, (step * pitch, pitch, item)
        )
        piece = max(64, SMALL // (rows * length) // 64 * 64)
        parts = [slice(begin, begin + piece) for begin in range(0, width, piece)]
        self._pieces = [(part, blocks[:, :, part]) for part in parts]
        self._matrix = matrix
        self._shape = (count, rows, width)

    def record(self, recording: Recording, target: NDArray[Any]) -> None:
        """Record the product, into an array of count * R rows."""
        results = target.reshape(self._shape)
        for part, blocks in self._pieces:
            recording(np.matmul, self._matrix, blocks, results[:, :, part])

    def __call__(self, target: NDArray[Any]) -> None:
        """Write the product into an array of count * R rows, m values each."""
        results = target.reshape(self._shape)
        for part, blocks in self._pieces:
            np.matmul(self._matrix, blocks, results[:, :, part])


class BandedSeparable:
    """One column-times-row pair: bands along the columns, then along the rows.

    Parameters
    ----------
    factors : (column, row)
        1-D float64.
    stride, dilation : (rows, columns)
    channels : int
    dtype : dtype
    """

    def __init__(
        self,
        factors: tuple[NDArray[np.float64], NDArray[np.float64]],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        *,
        channels: int,
        dtype: DTypeLike,
    ) -> None:
        column, row = factors
        self._column = band(column[:, None], ROWS, stride[0], dilation[0]).astype(dtype)
        across = band(row[:, None], COLUMNS, stride[1], dilation[1]).T
        self._row = np.kron(across, np.eye(channels)).astype(dtype, order="C")
        self._stride = stride

    def record(self, recording: Recording, tile: NDArray[Any], shape: tuple[int, int, int]) -> Last:
        """Record all but the last product.

        Parameters
        ----------
        recording : Recording
        tile : (n, m, C)
            Contiguous.
        shape : (n', m', C)
            Of the result; whole blocks.

        Returns
        -------
        callable
            Writes the result into an array whose columns and channels are contiguous.
        """
        rows, columns, channels = shape
        flat = tile.reshape(tile.shape[0], -1)
        middle = recording.take((rows, flat.shape[1]), flat.dtype)
        Product(self._column, flat, ROWS * self._stride[0], rows // ROWS).record(recording, middle)
        length, width = self._row.shape
        count = columns // COLUMNS
        pitch, item = middle.strides
        bands = rows // BAND
        steps = (BAND * pitch, COLUMNS * self._stride[1] * channels * item, pitch, item)
        blocks = np.ndarray((bands, count, BAND, length), middle.dtype, middle, 0, steps)

        def last(target: NDArray[Any]) -> None:
            results = target.reshape(bands, BAND, count, width).swapaxes(1, 2)
            np.matmul(blocks, self._row, results)

        return last


class Banded:
    """Any matrix of taps: the tile is stacked once for each column of taps, then one band.

    Parameters
    ----------
    taps : (kH, kW) float64
    stride, dilation : (rows, columns)
    dtype : dtype
    """

    def __init__(
        self,
        taps: NDArray[np.float64],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        dtype: DTypeLike,
    ) -> None:
        used = np.flatnonzero(taps.any(axis=0))
        used = used if used.size else np.zeros(1, dtype=np.intp)
        self._matrix = band(taps[:, used], DENSE_ROWS, stride[0], dilation[0]).astype(dtype)
        self._offsets = (used * dilation[1]).tolist()
        self._stride = stride

    def record(self, recording: Recording, tile: NDArray[Any], shape: tuple[int, int, int]) -> Last:
        """Record all but the product; see `BandedSeparable.record`."""
        rows, columns, channels = shape
        step, many = self._stride[1], len(self._offsets)
        stack = recording.take((tile.shape[0], many, columns, channels), tile.dtype)
        gap = self._offsets[1] - self._offsets[0] if many > 1 else 0
        if self._offsets == [self._offsets[0] + gap * number for number in range(many)]:
            first = tile[:, self._offsets[0] :]
            across, item = channels * tile.itemsize, tile.itemsize
            steps = (tile.strides[0], gap * across, step * across, item)
            recording(np.copyto, stack, as_strided(first, stack.shape, steps))
        else:
            for number, offset in enumerate(self._offsets):
                shifted = tile[:, offset : offset + (columns - 1) * step + 1 : step]
                recording(np.copyto, stack[:, number], shifted)
        values = stack.reshape(tile.shape[0] * many, columns * channels)
        step = DENSE_ROWS * self._stride[0] * many
        return Product(self._matrix, values, step, rows // DENSE_ROWS)
