"""Write TIFF in strips, uncompressed or deflated (TIFF 6.0; BigTIFF beyond 4 GiB)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.codecs.codec import Encoded, Writer, WriterSettings
from cnntool.image.codecs.deflate import END, adler32, deflater
from cnntool.image.codecs.tiff.compression import HORIZONTAL, NO_COMPRESSION
from cnntool.image.source import ITEM_SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.source import ImageInfo

_SHORT, _LONG, _UNDEFINED, _LONG8 = 3, 4, 7, 16
_SIZES = {_SHORT: 2, _LONG: 4, _UNDEFINED: 1, _LONG8: 8}
_DEFLATE = 8
_RAW_STRIP_BYTES = 1 << 18
_CLASSIC_LIMIT = (1 << 32) - (1 << 24)


def open_writer(output: Output, info: ImageInfo, settings: WriterSettings) -> Writer:
    """Begin a TIFF file, deflated if any compression is asked for."""
    return (_DeflateWriter if settings.compression else _RawWriter)(output, info, settings)


def _directory(
    info: ImageInfo,
    start: int,
    rows_per_strip: int,
    strips: tuple[Sequence[int], Sequence[int]],
    compression: int,
    *,
    big: bool,
) -> bytes:
    """Return the directory that will stand at byte `start`, with the values it points at.

    Parameters
    ----------
    strips : pair of sequences
        Offsets and byte counts.
    """
    samples = info.samples
    floating = info.dtype.startswith("float")
    where = _LONG8 if big else _LONG
    entries: list[tuple[int, int, Sequence[int] | bytes]] = [
        (256, _LONG, [info.width]),
        (257, _LONG, [info.height]),
        (258, _SHORT, [8 * ITEM_SIZES[info.dtype]] * samples),
        (259, _SHORT, [compression]),
        (262, _SHORT, [2 if info.channels == 3 else 1]),
        (273, where, strips[0]),
        (277, _SHORT, [samples]),
        (278, _LONG, [rows_per_strip]),
        (279, where, strips[1]),
        (284, _SHORT, [1]),
    ]
    if compression != NO_COMPRESSION and not floating:
        entries.append((317, _SHORT, [HORIZONTAL]))
    if info.alpha:
        entries.append((338, _SHORT, [2]))
    entries.append((339, _SHORT, [3 if floating else 1] * samples))
    if info.icc:
        entries.append((34675, _UNDEFINED, info.icc))
    pointer, inline = ("Q", 8) if big else ("I", 4)
    head = struct.pack("<Q" if big else "<H", len(entries))
    table = b""
    values = b""
    values_start = start + len(head) + len(entries) * (4 + 2 * inline) + inline
    for tag, kind, value in entries:
        body = value if isinstance(value, bytes) else _packed(kind, value)
        if len(body) > inline:
            place = struct.pack("<" + pointer, values_start + len(values))
            values += body + bytes(len(body) % 2)
        else:
            place = body.ljust(inline, b"\0")
        count = len(body) // _SIZES[kind]
        table += struct.pack("<HH" + pointer, tag, kind, count) + place
    return head + table + bytes(inline) + values


def _packed(kind: int, values: Sequence[int]) -> bytes:
    return np.asarray(values, {_SHORT: "<u2", _LONG: "<u4", _LONG8: "<u8"}[kind]).tobytes()


def _header(start: int, *, big: bool) -> bytes:
    """Return the first bytes of a file whose directory stands at byte `start`."""
    if big:
        return struct.pack("<2sHHHQ", b"II", 43, 8, 0, start)
    return struct.pack("<2sHI", b"II", 42, start)


class _RawWriter(Writer):
    """Uncompressed: all sizes are known beforehand, so that even a pipe can be written."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        self._dtype = np.dtype(info.dtype).newbyteorder("<")
        size = info.height * info.row_bytes
        big = size > _CLASSIC_LIMIT
        rows = max(1, min(info.height, _RAW_STRIP_BYTES // info.row_bytes))
        offsets = np.arange(0, size, rows * info.row_bytes)
        counts = np.minimum(rows * info.row_bytes, size - offsets)
        start = 16 if big else 8

        def directory(data: int) -> bytes:
            strips = (offsets + data).tolist(), counts.tolist()
            return _directory(info, start, rows, strips, NO_COMPRESSION, big=big)

        length = len(directory(0))
        padding = -(start + length) % 16
        output.reserve(start + length + padding + size)
        output.write(_header(start, big=big))
        output.write(directory(start + length + padding) + bytes(padding))

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Lay the samples out as the file has them."""
        return Encoded(len(strip), np.ascontiguousarray(strip, self._dtype).data.cast("B"))


class _DeflateWriter(Writer):
    """Deflated: every strip handed in is a strip of the file."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        self._level = settings.compression or 0
        self._big = info.height * info.row_bytes > _CLASSIC_LIMIT
        self._start = 16 if self._big else 8
        self._counts: list[int] = []
        self._kept: list[bytes] = []
        if output.seekable:
            output.write(bytes(self._start))

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Take differences along the rows and deflate."""
        native = np.ascontiguousarray(strip)
        if native.dtype.kind == "u":
            steps = native.copy()
            np.subtract(native[:, 1:], native[:, :-1], out=steps[:, 1:])
            native = steps
        data = native.astype(native.dtype.newbyteorder("<"), copy=False).data.cast("B")
        engine = deflater(self._level, data[: 1 << 16])
        parts = (b"\x78\x01", engine.compress(data), engine.flush(END))
        return Encoded(len(strip), b"".join(parts) + adler32(data).to_bytes(4, "big"))

    def _append(self, encoded: Encoded) -> None:
        self._counts.append(len(encoded.data))
        if self._output.seekable:
            self._output.write(encoded.data)
        else:
            self._kept.append(encoded.data)

    def _finish(self) -> None:
        counts = np.array(self._counts)
        offsets = self._start + np.concatenate(([0], np.cumsum(counts)[:-1]))
        end = self._start + int(counts.sum())
        padding = -end % 16
        directory = _directory(
            self.info,
            end + padding,
            self._strip_rows,
            (offsets.tolist(), self._counts),
            _DEFLATE,
            big=self._big,
        )
        header = _header(end + padding, big=self._big)
        if not self._output.seekable:
            self._output.write(header)
            for body in self._kept:
                self._output.write(body)
        self._output.write(bytes(padding) + directory)
        if self._output.seekable:
            self._output.write_at(0, header)
