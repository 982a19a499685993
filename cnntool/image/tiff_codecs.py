"""Decompress one strip or tile of a TIFF to bytes, and undo its prediction (TIFF 6.0)."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.deflate import InflateError, inflater
from cnntool.system import is_own

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.image.deflate import Inflater

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

_UNPACKED = 1 << 16
"""Samples that are unpacked at a time."""


class CodecError(ValueError):
    """Data that cannot be decompressed."""


def decompress(
    data: bytes, compression: int, rows: int, row_bytes: int, *, spare_rows: int = 0
) -> tuple[bytes, bool]:
    """Return ``rows * row_bytes`` bytes, and whether they are sound as far as can be told.

    Deflate carries a checksum. Where a stream goes on after the last row, or ends before its
    checksum, that says nothing of the rows.

    Parameters
    ----------
    data : bytes
        A strip or tile as it stands in the file.
    compression : int
        One of `BYTE_CODECS`.
    rows, row_bytes : int
        Its size when decompressed.
    spare_rows : int
        Rows that may follow: the last strip of some files is as high as the others.

    Raises
    ------
    CodecError
        When the data are damaged or too short.
    """
    size = rows * row_bytes
    sound = True
    if compression == NO_COMPRESSION:
        body = data[:size]
    elif compression in _DEFLATE:
        engine = inflater()
        try:
            body = engine.decompress(data, size)
        except InflateError as error:
            raise CodecError from error
        sound = engine.eof or _ends(engine, spare_rows * row_bytes)
    else:
        body = _by_libtiff(data, compression, rows, row_bytes)
    if len(body) < size:
        raise CodecError
    return body, sound


def _ends(engine: Inflater, spare: int) -> bool:
    """Whether a stream ends, its checksum being right, after `spare` more bytes at most."""
    try:
        rest = engine.decompress(engine.unconsumed_tail, spare + 1)
    except InflateError:
        return False
    return engine.eof and len(rest) <= spare


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


def silence_libtiff() -> None:
    """Keep the C library from printing to stderr, which Pillow offers no way to do.

    In another's process it is not ours to silence, and its messages stay.
    """
    if is_own():
        _silence()


@cache
def _silence() -> None:
    """Reach it through Pillow's extension module; one that is linked statically goes on talking."""
    import ctypes

    from PIL import _imaging

    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def unpack(body: bytes, bits: int, shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    """Turn samples of 9 to 15 bits, packed without gaps in every row, into whole numbers.

    Parameters
    ----------
    body : bytes
    bits : int
    shape : tuple
        Rows, columns and samples per pixel.
    """
    rows, width = shape[0], shape[1] * shape[2]
    packed = np.frombuffer(body, np.uint8).reshape(rows, -1)
    groups = -(-width // 8)  # eight samples fill as many bytes as one has bits
    samples = np.empty((rows, width), np.uint16)
    step = max(1, _UNPACKED // width)
    for top in range(0, rows, step):
        some = packed[top : top + step]
        padded = np.zeros((len(some), groups * bits + 2), np.uint8)
        padded[:, : some.shape[1]] = some
        for place in range(8):
            byte, bit = divmod(place * bits, 8)
            stop = byte + (groups - 1) * bits + 1
            three: NDArray[Any] = np.zeros((len(some), groups), np.uint32)
            for offset in range(3):
                three = three << 8 | padded[:, byte + offset : stop + offset : bits]
            out = samples[top : top + step, place::8]
            out[:] = three[:, : out.shape[1]] >> (24 - bits - bit) & (1 << bits) - 1
    return samples.reshape(shape)


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
    if predictor == HORIZONTAL:
        # Differences of whole numbers as wide as the samples, also where these are floats.
        whole = np.frombuffer(body, dtype.str.replace(dtype.kind, "u")).reshape(shape)
        bits = np.cumsum(whole, axis=1, dtype=f"u{dtype.itemsize}")
        return bits.view(native)
    return np.frombuffer(body, dtype).reshape(shape).astype(native, copy=False)
