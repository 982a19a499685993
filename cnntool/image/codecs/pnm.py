"""Read and write PBM, PGM and PPM, plain and raw (Netpbm)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings
from cnntool.image.convert import stretch
from cnntool.image.source import ImageInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.source import Source

_HEADER_LIMIT = 1 << 16
_PIECE = 1 << 16
"""Bytes of text that are parsed at once."""


def open_reader(source: Source) -> Reader:
    """Open a PNM picture. See `cnntool.image.files.open_reader`."""
    file = source.file()
    with source.reading():
        kind = file.read(2)[1:]
        number = int(kind)
        width, height = _token(source, file), _token(source, file)
        maximum = 1 if number in {1, 4} else _token(source, file)
    source.check_size(height, width)
    if not 1 <= maximum <= 65535:
        raise source.error(f"damaged PNM: a white of {maximum}")
    info = ImageInfo(
        height,
        width,
        channels=3 if number in {3, 6} else 1,
        dtype="uint8" if maximum < 256 else "uint16",
        format="pnm",
    )
    return _PnmReader(source, info, file, maximum, number)


def _token(source: Source, file: BinaryIO) -> int:
    """Read one number of the header; comments run from # to the end of the line."""
    token = b""
    for _ in range(_HEADER_LIMIT):
        byte = file.read(1)
        if byte == b"#":
            while byte not in {b"\n", b"\r", b""}:
                byte = file.read(1)
        if byte.isdigit() and len(token) < 10:
            token += byte
        elif token and byte.isspace():
            return int(token)
        elif not byte.isspace():
            break
    raise source.error("damaged or truncated PNM: its header makes no sense")


class _PnmReader(Reader):
    """See `open_reader`. Blocks are the bytes of rows, or arrays where the numbers are text."""

    def __init__(
        self, source: Source, info: ImageInfo, file: BinaryIO, maximum: int, number: int
    ) -> None:
        super().__init__(source, info)
        self._file = file
        self._maximum = maximum
        self._bits = number in {1, 4}
        self._plain = number <= 3

    def _decode(self, rows: int) -> Iterator[Any]:
        info = self.info
        if self._plain:
            yield from self._numbers(rows)
            return
        row_bytes = -(-info.width // 8) if self._bits else info.row_bytes
        for top in range(0, info.height, rows):
            size = min(rows, info.height - top) * row_bytes
            with self._source.reading():
                body = self._file.read(size)
            if len(body) < size:
                raise self._source.error("truncated PNM: rows are missing")
            yield body

    def _numbers(self, rows: int) -> Iterator[NDArray[Any]]:
        """Parse pixels that are written as text, a piece at a time."""
        info = self.info
        left = info.height * info.width * info.channels
        size = rows * info.width * info.channels
        found = np.empty(0, info.dtype)
        for words in self._words():
            numbers = self._parsed(words[: left - len(found)])
            found = np.concatenate((found, numbers))
            while len(found) >= min(size, left) > 0:
                part, found = np.split(found, [min(size, left)])
                left -= len(part)
                yield part.reshape(-1, *info.shape[1:])
            if not left:
                return
        raise self._source.error("truncated PNM: rows are missing")

    def _words(self) -> Iterator[list[bytes]]:
        carry = b""
        while True:
            with self._source.reading():
                piece = self._file.read(_PIECE)
            text = re.sub(rb"#[^\r\n]*[\r\n]", b" ", carry + piece)
            comment = text.find(b"#")  # which has not ended yet
            end = max(text.rfind(space) for space in (b" ", b"\n", b"\r", b"\t")) + 1
            if not piece or self._bits:
                end = len(text)
            carry = text[end:]
            if comment >= 0:
                text, end, carry = text[:comment], comment, b"#"
            if len(carry) > _HEADER_LIMIT:
                raise self._source.error("damaged PNM: not a number, or a huge one")
            yield re.findall(rb"\S", text[:end]) if self._bits else text[:end].split()
            if not piece:
                return

    def _parsed(self, words: list[bytes]) -> NDArray[Any]:
        try:
            numbers = np.array([int(word) for word in words], np.int64)
        except (ValueError, OverflowError) as error:
            raise self._source.error("damaged PNM: not a number, or a huge one") from error
        if len(numbers) and (numbers.min() < 0 or numbers.max() > self._maximum):
            raise self._source.error("damaged PNM: a number above its white")
        return numbers.astype(self.info.dtype)

    def _array(self, block: Any) -> NDArray[Any]:
        info = self.info
        pixels: NDArray[Any]
        if self._plain:
            pixels = block
        elif self._bits:
            packed = np.frombuffer(block, np.uint8).reshape(-1, -(-info.width // 8))
            pixels = np.unpackbits(packed, axis=1, count=info.width)
        else:
            stored = ">u2" if info.dtype == "uint16" else "u1"
            pixels = np.frombuffer(block, stored).astype(info.dtype, copy=False)
        return self._scaled(pixels.reshape(-1, *info.shape[1:]))

    def _scaled(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stretch 0..maximum to 0..peak; a PBM counts ink, not light."""
        peak = int(self.info.peak)
        if self._bits:
            return (pixels ^ 1) * np.uint8(peak)
        if self._maximum < peak and pixels.max() > self._maximum:
            raise self._source.error("damaged PNM: a number above its white")
        return stretch(pixels, self._maximum, self.info.dtype)


class PnmWriter(Writer):
    """Writes a raw PGM or PPM."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        kind = "P6" if info.channels == 3 else "P5"
        output.write(f"{kind}\n{info.width} {info.height}\n{int(info.peak)}\n".encode())
        self._dtype = ">u2" if info.dtype == "uint16" else "u1"

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Lay the samples out as the file has them."""
        return Encoded(len(strip), np.ascontiguousarray(strip, self._dtype).data.cast("B"))
