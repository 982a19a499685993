"""Take a PNG file apart (W3C PNG, third edition). No numpy here."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from cnntool.image import metadata
from cnntool.image.deflate import InflateError, crc32, inflater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from cnntool.image.source import Source

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
"""Colour types."""

_SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
_SIGNATURE_BYTES = 8
_WANTED = {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL"}
_WANTED_LIMIT = 1 << 24
_XMP = b"XML:com.adobe.xmp\0"
"""How the text chunk with XMP begins."""

_READ_BYTES = 1 << 16


class PngFile(NamedTuple):
    """What a PNG file says of itself.

    Parameters
    ----------
    height, width : int
    depth : int
        Bits per sample.
    colour : int
        Colour type.
    interlaced : bool
    chunks : dict
        Contents of the chunks that matter here, by type.
    data : tuple of (int, int)
        Offset and length of every piece of the image data.
    """

    height: int
    width: int
    depth: int
    colour: int
    interlaced: bool
    chunks: dict[bytes, bytes]
    data: tuple[tuple[int, int], ...]

    @property
    def samples(self) -> int:
        """Samples per pixel as stored."""
        return _SAMPLES[self.colour]

    @property
    def pixel_bytes(self) -> int:
        """Distance to the byte on the left, for the filters."""
        return max(1, self.samples * self.depth // 8)

    @property
    def palette(self) -> bytes:
        """Three bytes per colour."""
        return self.chunks.get(b"PLTE", b"")

    @property
    def transparency(self) -> bytes:
        """Alpha of the first colours of the palette, or the colour that is transparent."""
        return b"" if self.colour in {GREY_ALPHA, RGB_ALPHA} else self.chunks.get(b"tRNS", b"")

    @property
    def exif(self) -> bytes:
        """An EXIF block, or nothing."""
        return self.chunks.get(b"eXIf", b"")

    @property
    def xmp(self) -> bytes:
        """An XMP packet, or nothing."""
        text = self.chunks.get(b"iTXt", b"")[len(_XMP) :]
        _, _, body = text[2:].split(b"\0", 2) if text[2:].count(b"\0") > 1 else (b"", b"", b"")
        return (_inflated(body) or b"") if text[:1] == b"\1" else body

    @property
    def frames(self) -> int:
        """Frames of an animation."""
        return max(1, int.from_bytes(self.chunks.get(b"acTL", b"")[:4], "big"))

    @property
    def profile(self) -> bytes | None:
        """The colour profile, decompressed."""
        _, _, packed = self.chunks.get(b"iCCP", b"").partition(b"\0")
        return _inflated(packed[1:])

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of `width` pixels as stored, filter type not counted."""
        return -(-width * self.samples * self.depth // 8)


def _inflated(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, metadata.PROFILE_LIMIT)
    except zlib.error:
        return None


def parse(source: Source) -> PngFile:
    """Walk over the chunks of a PNG file up to its end, leaving the image data unread.

    Raises
    ------
    InputError
        When the file is truncated or makes no sense.
    """
    file = source.file()
    found: dict[bytes, bytes] = {}
    data: list[tuple[int, int]] = []
    with source.reading():
        file.seek(_SIGNATURE_BYTES)
        for kind, offset, length in _walk(source, file):
            if not found and kind != b"IHDR":
                apple = kind == b"CgBI"
                raise source.error("Apple's variant of PNG" if apple else "damaged PNG: no header")
            if kind == b"IDAT":
                data.append((offset, length))
            elif kind not in found and _matters(file, kind, offset, late=bool(data)):
                found[kind] = _body(source, file, kind, length)
            file.seek(offset + length + 4)
    if not data:
        raise source.error("damaged PNG: no image data")
    if len(found[b"IHDR"]) != 13:
        raise source.error("damaged PNG: no header")
    width, height, depth, colour, method, filters, interlace = struct.unpack(
        ">IIBBBBB", found[b"IHDR"]
    )
    if depth not in _DEPTHS.get(colour, ()) or method or filters or interlace > 1:
        raise source.error("damaged PNG: its header makes no sense")
    png = PngFile(height, width, depth, colour, bool(interlace), found, tuple(data))
    if colour == PALETTE and (not png.palette or len(png.palette) % 3):
        raise source.error("damaged PNG: no palette")
    if colour in {GREY, RGB} and png.transparency and len(png.transparency) != 2 * png.samples:
        raise source.error("damaged PNG: its transparent colour makes no sense")
    return png


def _matters(file: BinaryIO, kind: bytes, offset: int, *, late: bool) -> bool:
    """Whether the chunk that begins here says something about the pixels, before or after them."""
    if kind != b"iTXt":
        return kind in _WANTED and not (late and kind == b"PLTE")
    xmp = file.read(len(_XMP)) == _XMP
    file.seek(offset)
    return xmp


def _walk(source: Source, file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, offset and length of every chunk before the last; `file` is moved in between."""
    met = set()
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise _cut(source)
        length, kind = struct.unpack(">I4s", head)
        if not (kind.isalpha() and kind.isascii()) or length > 0x7FFFFFFF:
            raise source.error("damaged PNG: a chunk without a name")
        if kind == b"IEND":
            _body(source, file, kind, length)
            return
        if kind in met:
            raise source.error(f"damaged PNG: two chunks {kind.decode()}")
        if kind in {b"IHDR", b"PLTE"}:
            met.add(kind)
        yield kind, file.tell(), length


def _body(source: Source, file: BinaryIO, kind: bytes, length: int) -> bytes:
    if length > _WANTED_LIMIT:
        raise source.error(f"damaged PNG: overlong {kind.decode()} chunk")
    body = file.read(length)
    _check(source, kind, crc32(body, crc32(kind)), file.read(4))
    return body


def _check(source: Source, kind: bytes, checksum: int, stored: bytes) -> None:
    if len(stored) < 4:
        raise _cut(source)
    if checksum != int.from_bytes(stored, "big"):
        raise source.error(f"damaged PNG: wrong checksum in its {kind.decode()} chunk")


def _cut(source: Source) -> Exception:
    return source.error("truncated PNG: its end is missing")


class ImageData:
    """The inflated image data of a PNG file, checksums verified on the way.

    Parameters
    ----------
    source : Source
    data : tuple of (int, int)
        Offset and length of every piece.
    """

    def __init__(self, source: Source, data: tuple[tuple[int, int], ...]) -> None:
        self._source = source
        self._pieces = self._read(data)
        self._inflater = inflater()

    def _read(self, data: tuple[tuple[int, int], ...]) -> Iterator[bytes]:
        file = self._source.file()
        for offset, length in data:
            with self._source.reading():
                file.seek(offset)
                crc = crc32(b"IDAT")
                left = length
                while left:
                    piece = file.read(min(left, _READ_BYTES))
                    if not piece:
                        raise _cut(self._source)
                    crc = crc32(piece, crc)
                    left -= len(piece)
                    yield piece
                _check(self._source, b"IDAT", crc, file.read(4))

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes."""
        parts = []
        while size:
            if self._inflater.eof:
                raise self._source.error("truncated PNG: rows are missing")
            part = self._more(size)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Read on to the checksums at the end of the stream and of every piece."""
        while not self._inflater.eof and not self._more(1):
            pass
        for _ in self._pieces:
            pass

    def _more(self, size: int) -> bytes:
        data = self._inflater.unconsumed_tail or next(self._pieces, b"")
        try:
            part = self._inflater.decompress(data, size)
        except InflateError as error:
            raise self._source.error("damaged PNG: its data cannot be decompressed") from error
        if not data and not part:
            raise self._source.error("truncated PNG: rows are missing")
        return part
