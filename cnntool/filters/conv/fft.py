"""FFT convolution, one tile at a time (overlap-save)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from cnntool.filters.conv.direct import Recording

# With a factor in both directions numpy stays in single precision; a factor of 1 is a whole
# number to it, which it multiplies in double precision, at half the speed.
EVENLY: Literal["ortho"] = "ortho"


class Fourier:
    """The kernels' transforms, and what is done with them.

    Parameters
    ----------
    kernels : sequence of (kH, kW) float64
        Taps.
    size : (rows, columns)
        Of the tiles.
    stride, dilation : (rows, columns)
    dtype : dtype
        float32 or float64.
    """

    def __init__(
        self,
        kernels: Sequence[NDArray[np.float64]],
        size: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        dtype: DTypeLike,
    ) -> None:
        self._stride = stride
        self._responses = []
        for taps in kernels:
            spread = np.zeros(size)
            extent = [(k - 1) * d + 1 for k, d in zip(taps.shape, dilation, strict=True)]
            spread[: extent[0] : dilation[0], : extent[1] : dilation[1]] = taps
            response = np.conj(np.fft.rfft2(spread))
            self._responses.append(response.astype(np.result_type(dtype, np.complex64)))

    def record(
        self, recording: Recording, tile: NDArray[Any], shape: tuple[int, int, int]
    ) -> NDArray[Any]:
        """Record correlating a tile with all kernels.

        Parameters
        ----------
        recording : Recording
        tile : (n, m, C)
            Of the size promised.
        shape : (n', m', C)
            Of a result.

        Returns
        -------
        (kernels, n', m', C)
            Where the results will be.
        """
        rows, columns, channels = shape
        down, across = self._stride
        height, width = tile.shape[:2]
        half = (height, width // 2 + 1)
        like = self._responses[0].dtype
        spectra = [recording.take(half, like) for _ in range(2)]
        results = recording.take((len(self._responses), channels, rows, width), tile.dtype)
        wanted = slice(0, (rows - 1) * down + 1, down)
        for channel in range(channels):
            recording(_rows_forward, tile[:, :, channel], spectra[0])
            recording(_columns_forward, spectra[0], spectra[1])
            for response, result in zip(self._responses, results, strict=True):
                recording(np.multiply, spectra[1], response, spectra[0])
                recording(_columns_back, spectra[0])
                recording(_rows_back, spectra[0][wanted], result[channel])
        inside = slice(0, (columns - 1) * across + 1, across)
        return results[..., inside].transpose(0, 2, 3, 1)


def _rows_forward(values: NDArray[Any], spectrum: NDArray[Any]) -> None:
    np.fft.rfft(values, axis=1, norm=EVENLY, out=spectrum)


def _columns_forward(rows: NDArray[Any], spectrum: NDArray[Any]) -> None:
    np.fft.fft(rows, axis=0, norm=EVENLY, out=spectrum)


def _columns_back(spectrum: NDArray[Any]) -> None:
    np.fft.ifft(spectrum, axis=0, norm=EVENLY, out=spectrum)


def _rows_back(spectrum: NDArray[Any], values: NDArray[Any]) -> None:
    np.fft.irfft(spectrum, values.shape[1], axis=1, norm=EVENLY, out=values)
