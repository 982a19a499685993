"""Decompress one strip or tile of a TIFF to bytes, and undo its prediction (TIFF 6.0)."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .deflate import InflateError, inflater

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_COMPRESSION = 1
_PACKBITS = 32773
_DEFLATE = {8, 32946}
_BY_LIBTIFF = {5, _PACKBITS, 34925, 50000}

BYTE_CODECS = {NO_COMPRESSION, *_DEFLATE, *_BY_LIBTIFF}
"""Compressions that know bytes and nothing of pixels: deflate, LZW, PackBits, LZMA, Zstandard."""

UNPREDICTED = {NO_COMPRESSION, _PACKBITS}
"""Compressions without prediction: where a predictor is named all the same, libtiff ignores it."""

HORIZONTAL, FLOATING = 2, 3
"""Predictors."""


class CodecError(ValueError):
    """Data that cannot be decompressed."""


def decompress(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Return ``rows * row_bytes`` bytes.

    Parameters
    ----------
    data : bytes
        A strip or tile as it stands in the file.
    compression : int
        One of `BYTE_CODECS`.
    rows, row_bytes : int
        Its size when decompressed.

    Raises
    ------
    CodecError
        When the data are damaged or too short.
    """
    size = rows * row_bytes
    if compression == NO_COMPRESSION:
        body = data[:size]
    elif compression in _DEFLATE:
        try:
            body = inflater().decompress(data, size)
        except InflateError as error:
            raise CodecError from error
    else:
        body = _by_libtiff(data, compression, rows, row_bytes)
    if len(body) < size:
        raise CodecError
    return body


def _by_libtiff(data: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Let Pillow's libtiff decode the data as if they were a grey picture of bytes."""
    from PIL.TiffImagePlugin import TiffImageFile

    silence_libtiff()
    entries = (
        (256, 4, row_bytes),
        (257, 4, rows),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, rows),
        (279, 4, len(data)),
    )
    start = 8 + len(data) + len(data) % 2
    file = io.BytesIO()
    file.write(struct.pack("<2sHI", b"II", 42, start))
    file.write(data)
    file.write(bytes(len(data) % 2))
    file.write(struct.pack("<H", len(entries)))
    for tag, kind, value in entries:
        file.write(struct.pack("<HHII", tag, kind, 1, value))
    file.write(bytes(4))
    file.seek(0)
    try:
        return TiffImageFile(file).tobytes()
    except Exception as error:
        raise CodecError from error


@cache
def silence_libtiff() -> None:
    """Keep the C library from printing to stderr, which Pillow offers no way to do.

    It is reached through Pillow's own extension module. Where that does not lead to it, because it
    is linked statically, its messages stay.
    """
    import ctypes

    from PIL import _imaging

    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def undo_prediction(
    body: bytes, predictor: int, dtype: np.dtype[Any], shape: tuple[int, int, int]
) -> NDArray[Any]:
    """Turn decompressed bytes into samples of native byte order.

    Parameters
    ----------
    body : bytes
    predictor : int
        1, `HORIZONTAL` or `FLOATING`.
    dtype : dtype
        As stored, with its byte order.
    shape : tuple
        Rows, columns and samples per pixel.
    """
    native = dtype.newbyteorder("=")
    if predictor == FLOATING:
        # Differences of bytes, the most significant bytes of a row first (Adobe, Technical Note 3).
        rows, _, samples = shape
        steps = np.frombuffer(body, np.uint8).reshape(rows, -1, samples)
        planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(rows, dtype.itemsize, -1)
        big = np.ascontiguousarray(planes.swapaxes(1, 2)).view(dtype.newbyteorder(">"))
        return big.astype(native).reshape(shape)
    pixels: NDArray[Any] = np.frombuffer(body, dtype).reshape(shape).astype(native, copy=False)
    if predictor == HORIZONTAL:
        pixels = np.cumsum(pixels, axis=1, dtype=native)
    return pixels
