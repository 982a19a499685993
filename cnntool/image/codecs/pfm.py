"""Read and write PFM, the floats of Netpbm: 1 is white, rows go from the bottom up."""

from __future__ import annotations

import math
import re
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings
from cnntool.image.source import ImageInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.source import Source

_HEADER = re.compile(rb"P([Ff])\s+(\d{1,10})\s+(\d{1,10})\s+([-+.\deE]{1,40})\s")


def open_reader(source: Source) -> Reader:
    """Open a PFM picture. See `cnntool.image.files.open_reader`.

    The sign of the scale in its header tells the order of bytes. Its size would scale the numbers,
    which some readers do, by it or by its inverse, and most do not.
    """
    header = _HEADER.match(source.head)
    try:
        scale = float(header[4]) if header else 0.0
    except ValueError:
        scale = 0.0
    if header is None or scale == 0 or not math.isfinite(scale):
        raise source.error("damaged or truncated PFM: its header makes no sense")
    height, width = int(header[3]), int(header[2])
    source.check_size(height, width)
    kept = f"its numbers are taken as they stand; the scale of {abs(scale):g} is not applied"
    info = ImageInfo(
        height,
        width,
        channels=3 if header[1] == b"F" else 1,
        dtype="float32",
        format="pfm",
        notes=() if abs(scale) == 1 else (kept,),
    )
    with source.reading():
        if source.file().seek(0, 2) - header.end() < height * info.row_bytes:
            raise source.error("truncated PFM: rows are missing")
    return _PfmReader(source, info, header.end(), "<f4" if scale < 0 else ">f4")


class _PfmReader(Reader):
    """See `open_reader`. Blocks are arrays."""

    def __init__(self, source: Source, info: ImageInfo, start: int, dtype: str) -> None:
        super().__init__(source, info)
        self._start = start
        self._dtype = dtype
        self._reading = Lock()
        self.window = self._window

    def _decode(self, rows: int) -> Iterator[NDArray[Any]]:
        for top in range(0, self.info.height, rows):
            yield self._rows(top, min(top + rows, self.info.height))

    def _rows(self, lo: int, hi: int) -> NDArray[Any]:
        info = self.info
        size = (hi - lo) * info.row_bytes
        with self._reading, self._source.reading():
            file = self._source.file()
            file.seek(self._start + (info.height - hi) * info.row_bytes)
            body = file.read(size)
        if len(body) < size:
            raise self._source.error("truncated PFM: rows are missing")
        upwards = np.frombuffer(body, self._dtype).reshape(hi - lo, *info.shape[1:])
        return np.ascontiguousarray(upwards[::-1], np.float32)

    def _window(self, lo: int, hi: int) -> NDArray[Any]:
        rows = self._rows(lo, hi)
        self._check_finite(rows, lo)
        return rows


class PfmWriter(Writer):
    """Writes a PFM in little-endian order."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        kind = "PF" if info.channels == 3 else "Pf"
        header = f"{kind}\n{info.width} {info.height}\n-1.0\n".encode()
        self._start = len(header)
        self._kept: list[NDArray[Any]] = []
        output.write(header)

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Turn the strip upside down."""
        return Encoded(len(strip), np.ascontiguousarray(strip[::-1], "<f4"))

    def _append(self, encoded: Encoded) -> None:
        if not self._output.seekable:
            self._kept.append(encoded.data)
            return
        below = self.info.height - self._rows - encoded.rows
        offset = self._start + below * self.info.row_bytes
        self._output.write_at(offset, encoded.data.data.cast("B"))

    def _finish(self) -> None:
        for strip in reversed(self._kept):
            self._output.write(strip.data.cast("B"))
