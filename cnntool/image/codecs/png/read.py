"""Read PNG: chunks, row filters and strips of rows (W3C PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import _imaging as core

from cnntool.image.codecs.codec import Reader
from cnntool.image.codecs.deflate import InflateError, crc32, inflater
from cnntool.image.source import PROFILE_LIMIT, ImageInfo, fitting_profile, orientation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

    from cnntool.image.source import Source

_BLOCK = 65535

_MODES = {
    1: (("L", "L"),),
    2: (("LA", "LA"),),
    3: (("RGB", "RGB"),),
    4: (("RGBA", "RGBA"),),
    6: (("RGB", "RGB;16B"), ("RGB", "RGB;16L")),
    8: (("RGBA", "RGBA;16B"), ("RGBA", "RGBA;16L")),
}
"""Pillow's (mode, raw mode) by bytes per pixel."""


class UnfilterError(ValueError):
    """Rows that no PNG writer makes."""


def unfilter(filtered: bytes, previous: bytes, pixels: int, pixel_bytes: int) -> list[bytes]:
    """Decode successive filtered rows.

    Parameters
    ----------
    filtered : bytes
        Rows, each a filter type and ``pixels * pixel_bytes`` bytes.
    previous : bytes
        The row above as returned by `last_row`, zeros at the top.
    pixels : int
        Pixels per row.
    pixel_bytes : int
        1, 2, 3, 4, 6 or 8.

    Returns
    -------
    list of bytes
        The rows. For 6 and 8 bytes per pixel two items, all high bytes and all low bytes.

    Raises
    ------
    UnfilterError
        For an unknown filter type.
    """
    stride = pixels * pixel_bytes + 1
    rows = len(filtered) // stride
    stream = _stored(b"\0" + previous + filtered)
    size = (pixels, rows + 1)
    return [
        _decode(stream, size, mode, raw)[len(previous) // len(_MODES[pixel_bytes]) :]
        for mode, raw in _MODES[pixel_bytes]
    ]


def last_row(planes: list[bytes], row_bytes: int) -> bytes:
    """Return the last row of what `unfilter` returned, as it stands in the file."""
    if len(planes) == 1:
        return planes[0][-row_bytes:]
    row = bytearray(row_bytes)
    half = row_bytes // 2
    row[0::2] = planes[0][-half:]
    row[1::2] = planes[1][-half:]
    return bytes(row)


def _stored(data: bytes) -> bytes:
    """Wrap data in a zlib stream of stored blocks (RFC 1951, 3.2.4), checksum left out."""
    view = memoryview(data)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(data), _BLOCK):
        block = view[start : start + _BLOCK]
        size = len(block)
        final = start + _BLOCK >= len(data)
        parts.append(
            bytes((final,)) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little")
        )
        parts.append(block)
    return b"".join(parts)


def _decode_core(stream: bytes, size: tuple[int, int], mode: str, raw: str) -> bytes:
    """Decode with Pillow's C module alone: importing ``PIL.Image`` costs 12 ms."""
    image = core.new(mode, size)
    decoder = core.zip_decoder(mode, raw, 0)
    decoder.setimage(image, (0, 0, *size))
    consumed, error = decoder.decode(stream)
    if consumed >= 0 or error:
        raise UnfilterError
    encoder = core.raw_encoder(mode, mode, 0, 1)
    encoder.setimage(image, (0, 0, *size))
    _, _, body = encoder.encode(size[0] * size[1] * len(mode))
    return bytes(body)


def _decode_public(stream: bytes, size: tuple[int, int], mode: str, raw: str) -> bytes:
    """Decode through Pillow's public interface."""
    from PIL import Image

    try:
        return Image.frombytes(mode, size, stream, "zip", (raw, 0)).tobytes()
    except ValueError as error:
        raise UnfilterError from error


_decode: Any = (
    _decode_core
    if all(hasattr(core, name) for name in ("new", "zip_decoder", "raw_encoder"))
    else _decode_public
)


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
        return zlib.decompressobj().decompress(packed, PROFILE_LIMIT)
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


_PASSES = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
"""Adam7: first row, first column, row step, column step."""

_BAND_BYTES = 1 << 16
_BAND_ROWS = 4
"""Rows are decoded in bands that fit in a cache and whose pages malloc hands out again."""


def open_reader(source: Source) -> Reader:
    """Open a PNG file. See `cnntool.image.files.open_reader`."""
    png = parse(source)
    source.check_size(png.height, png.width)
    colour = png.colour in {RGB, RGB_ALPHA, PALETTE}
    info = ImageInfo(
        png.height,
        png.width,
        channels=3 if colour else 1,
        dtype="uint16" if png.depth == 16 else "uint8",
        alpha=bool(png.transparency) or png.colour in {GREY_ALPHA, RGB_ALPHA},
        format="png",
        frames=png.frames,
        icc=fitting_profile(png.profile, colour=colour),
    )
    return _PngReader(source, info, png)


class _Rows(NamedTuple):
    """Unfiltered rows, in bands as `unfilter` returns them."""

    height: int
    width: int
    bands: list[list[bytes]]

    def samples(self, row_bytes: int, *, wide: bool) -> NDArray[Any]:
        """Join the bands to an array of shape (h, samples per row), of uint16 if `wide`."""
        import numpy as np

        rows = np.empty((self.height, row_bytes // (1 + wide)), np.uint16 if wide else np.uint8)
        flat = rows.reshape(-1)
        start = 0
        for planes in self.bands:
            high = np.frombuffer(planes[0], np.uint8)
            if not wide:
                part = flat[start : start + len(high)]
                part[:] = high
            elif len(planes) == 1:
                part = flat[start : start + len(high) // 2]
                part[:] = high.view(">u2")
            else:
                part = flat[start : start + len(high)]
                np.left_shift(high, 8, out=part, dtype=np.uint16)
                part |= np.frombuffer(planes[1], np.uint8)
            start += len(part)
        return rows


class _PngReader(Reader):
    """See `open_reader`."""

    def __init__(self, source: Source, info: ImageInfo, png: PngFile) -> None:
        super().__init__(source, info, orientation(png.exif, png.xmp))
        self._png = png
        if png.interlaced:  # all of it is held, and some rows as in any picture
            source.check_memory((info.height + 250) * info.row_bytes)

    def _decode(self, rows: int) -> Iterator[_Rows]:
        png = self._png
        data = ImageData(self._source, png.data)
        try:
            if png.interlaced:
                for top, left, down, right in _PASSES:
                    height = -(-(png.height - top) // down)
                    width = -(-(png.width - left) // right)
                    if height > 0 and width > 0:
                        yield from self._decode_rows(data, height, width, rows)
            else:
                yield from self._decode_rows(data, png.height, png.width, rows)
            data.finish()
        except UnfilterError as error:
            raise self._source.error("damaged PNG: an unknown row filter") from error

    def _decode_rows(self, data: ImageData, height: int, width: int, rows: int) -> Iterator[_Rows]:
        row_bytes = self._png.row_bytes(width)
        step = self._png.pixel_bytes
        band = max(_BAND_ROWS, _BAND_BYTES // row_bytes)
        previous = bytes(row_bytes)
        for top in range(0, height, rows):
            stop = min(top + rows, height)
            strip = []
            for row in range(top, stop, band):
                filtered = data.take(min(band, stop - row) * (row_bytes + 1))
                planes = unfilter(filtered, previous, row_bytes // step, step)
                previous = last_row(planes, row_bytes)
                strip.append(planes)
            yield _Rows(stop - top, width, strip)

    def _arrays(self, blocks: Iterator[_Rows], rows: int) -> Iterator[NDArray[Any]]:
        if not self._png.interlaced:
            yield from map(self._array, blocks)
            return
        import numpy as np

        info = self._stored
        whole = np.empty(info.shape, info.dtype)
        for top, left, down, right in _PASSES:
            part = whole[top::down, left::right]
            row = 0
            while part.size and row < len(part):
                block = next(blocks)
                part[row : row + block.height] = self._array(block)
                row += block.height
                del block  # before the next one is decoded
        for _ in blocks:
            pass
        for top in range(0, info.height, rows):
            yield whole[top : top + rows]

    def _array(self, block: _Rows) -> NDArray[Any]:
        """Turn unfiltered rows into (h, width, samples), palette and transparency applied."""
        import numpy as np

        png = self._png
        samples = block.samples(png.row_bytes(block.width), wide=png.depth == 16)
        if png.depth < 8:
            samples = _unpacked(samples, png.depth, block.width)
        pixels = samples.reshape(block.height, block.width, png.samples)
        if png.colour == PALETTE:
            return self._coloured(pixels[..., 0])
        if png.transparency:
            pixels = self._keyed(pixels)
        if png.depth < 8:
            pixels[..., 0] *= np.uint8(255 // ((1 << png.depth) - 1))
        return pixels

    def _coloured(self, indices: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        colours = np.frombuffer(self._png.palette, np.uint8).reshape(-1, 3)
        if indices.max() >= len(colours):
            raise self._source.error("damaged PNG: a colour that is not in the palette")
        if self._png.transparency:
            alpha = np.full((len(colours), 1), 255, np.uint8)
            known = np.frombuffer(self._png.transparency, np.uint8)[: len(colours)]
            alpha[: len(known), 0] = known
            colours = np.hstack((colours, alpha))
        picked: NDArray[Any] = colours[indices]
        return picked

    def _keyed(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Add the alpha that a transparent colour stands for."""
        import numpy as np

        samples = self._png.samples
        key = np.frombuffer(self._png.transparency, ">u2") & ((1 << self._png.depth) - 1)
        result = np.empty((*pixels.shape[:2], samples + 1), pixels.dtype)
        result[..., :samples] = pixels
        result[..., samples] = (pixels != key).any(axis=2)
        result[..., samples] *= int(self.info.peak)
        return result


def _unpacked(rows: NDArray[Any], depth: int, width: int) -> NDArray[Any]:
    """Spread samples of 1, 2 or 4 bits, high bits first, over bytes."""
    import numpy as np

    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    spread = (rows[..., np.newaxis] >> shifts) & ((1 << depth) - 1)
    return spread.reshape(len(rows), -1)[:, :width]
