"""Write PNG in strips that can be encoded in parallel (W3C PNG, third edition).

Each strip is filtered without looking at the strip above and deflated on its own to a whole number
of bytes, so that the pieces laid end to end are one valid stream.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from cnntool.image.deflate import FASTEST, PIECE, adler32, adler32_combine, crc32, deflater
from cnntool.image.png_filter import Effort, filtered
from cnntool.image.writer import Encoded, Settings, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.deflate import Deflater
    from cnntool.image.types import ImageInfo

_COLOUR_TYPES = {(1, False): 0, (3, False): 2, (1, True): 4, (3, True): 6}
_FINAL_BLOCK = b"\x03\x00"


class PngWriter(Writer):
    """Writes a PNG."""

    def __init__(self, output: Output, info: ImageInfo, settings: Settings) -> None:
        super().__init__(output, info, settings)
        self._level = FASTEST if settings.compression is None else settings.compression
        self._checksum = 1
        depth = 16 if info.dtype == "uint16" else 8
        colour = _COLOUR_TYPES[info.channels, info.alpha]
        output.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", info.width, info.height, depth, colour, 0, 0, 0)
        self._chunk(b"IHDR", header)
        if info.icc:
            self._chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(info.icc, 9))

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Filter and deflate a strip."""
        effort = Effort.PLAIN
        if self._level:
            effort = Effort.CHEAP if self._level <= 1 else Effort.THOROUGH
        engine: Deflater | None = None
        parts = []
        length, checksum = 0, 1
        for block in filtered(strip, effort):
            engine = engine or deflater(self._level, block)
            parts.append(engine.compress(block))
            checksum = adler32(block, checksum)
            length += len(block)
        if engine:
            parts.append(engine.flush(PIECE))
        return Encoded(len(strip), parts, length, checksum)

    def _append(self, encoded: Encoded) -> None:
        first = b"" if self._rows else b"\x78\x01"
        self._checksum = adler32_combine(self._checksum, encoded.checksum, encoded.length)
        self._chunk(b"IDAT", first, *encoded.data)

    def _finish(self) -> None:
        self._chunk(b"IDAT", _FINAL_BLOCK, self._checksum.to_bytes(4, "big"))
        self._chunk(b"IEND")

    def _chunk(self, kind: bytes, *parts: bytes) -> None:
        self._output.write(sum(map(len, parts)).to_bytes(4, "big") + kind)
        crc = crc32(kind)
        for part in parts:
            crc = crc32(part, crc)
            self._output.write(part)
        self._output.write(crc.to_bytes(4, "big"))
