"""Small files that stand for much, and large ones that stand for little. All are made here."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEGA = 1_000_000


def zeros(size: int) -> bytes:
    """Return a zlib stream of so many zeros, without making them."""
    block = 1 << 20
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    count, rest = divmod(size, block)
    last = zlib.compressobj(9, wbits=-15)
    tail = last.compress(bytes(rest)) + last.flush()
    head = first + again * (count - 1) if count else b"\x78\xda"
    return head + tail + struct.pack(">HH", size % 65521, 1)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(height: int, width: int, *, depth: int = 8, colour: int = 0, interlaced: bool = False,
        extra: bytes = b"") -> bytes:  # fmt: skip
    """Return a black PNG."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]  # fmt: skip
    size = 0
    for top, left, down, right in passes:
        rows, columns = -(-(height - top) // down), -(-(width - left) // right)
        if rows > 0 and columns > 0:
            size += rows * (1 + -(-columns * bits // 8))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(3)) if colour == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + palette
            + chunk(b"IDAT", zeros(size)) + chunk(b"IEND", b""))  # fmt: skip


def tiff(
    tags: dict[int, int | list[int]], data: bytes = b"", *, kinds: dict[int, int] | None = None
) -> bytes:
    """Return a little-endian TIFF; tag 273 or 324, if 0, becomes the place of the data."""
    kinds = kinds or {}
    entries, beyond = [], b""
    start = 8 + len(data) + len(data) % 2
    after = start + 6 + 12 * len(tags)
    for tag, value in sorted(tags.items()):
        values = (
            value if isinstance(value, list) else [8 if tag in {273, 324} and not value else value]
        )
        kind = kinds.get(tag, 4)
        packed = struct.pack(f"<{len(values)}{'?BBHI'[kind]}", *values)
        if len(packed) > 4:
            packed, beyond = struct.pack("<I", after + len(beyond)), beyond + packed
        entries.append(struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    return (struct.pack("<2sHI", b"II", 42, start) + data + bytes(len(data) % 2)
            + struct.pack("<H", len(tags)) + b"".join(entries) + bytes(4) + beyond)  # fmt: skip


def plain(height: int, width: int, **more: int) -> dict[int, int | list[int]]:
    """Return the tags of a grey TIFF of one deflated strip."""
    tags: dict[int, int | list[int]] = {
        256: width, 257: height, 258: 8, 259: 8, 262: 1, 273: 0, 277: 1, 278: height, 279: 0,
    }  # fmt: skip
    return tags | {int(key[1:]): value for key, value in more.items()}


def deflated_tiff(
    height: int, width: int, *, bits: int = 8, samples: int = 1, **more: int
) -> bytes:
    data = zeros(height * width * samples * bits // 8)
    tags = plain(height, width, t279=len(data), t277=samples, t262=2 if samples > 2 else 1, **more)
    tags[258] = [bits] * samples
    return tiff(tags, data)


def webp(height: int, width: int) -> bytes:
    """Return a lossless WebP of one colour: its pixels take no bits at all."""
    bits, count = 0, 0

    def put(value: int, width: int) -> None:
        nonlocal bits, count
        bits |= value << count
        count += width

    put(width - 1, 14)
    put(height - 1, 14)
    for _ in range(7):  # no alpha, version (3), no transform, no cache, no meta codes
        put(0, 1)
    for _ in range(5):  # five codes of one symbol each, written in one bit: 0
        put(0b0001, 4)
    body = b"\x2f" + bits.to_bytes(-(-count // 8), "little")
    size = len(body)
    body += bytes(size % 2)
    return (
        b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", size) + body
    )


def gif(height: int, width: int, *, frames: int = 1, side: int = 1) -> bytes:
    """Return a GIF whose frames are small and whose screen is not."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + frame * frames + b";"


def bmp(
    height: int, width: int, *, bits: int = 8, compression: int = 1, data: bytes = b"\0\1"
) -> bytes:
    """Return a BMP; by default its rows are coded by length and end at once."""
    colours = bytes(4 << bits) if bits <= 8 else b""
    info = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0
    )
    start = 14 + len(info) + len(colours)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + info + colours + data


def pillow(mode: str, height: int, width: int, kind: str, **options: object) -> bytes:
    """Return what Pillow makes of one colour."""
    body = io.BytesIO()
    Image.new(mode, (width, height)).save(body, kind, **options)
    return body.getvalue()


def npy(shape: tuple[int, ...], dtype: str = "<f8", order: str = "False") -> bytes:
    """Return the head of an array; its numbers are for `sparse`."""
    head = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head


def sparse(path: Path, head: bytes, zeros_after: int) -> None:
    """Write a head, and zeros that take no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + zeros_after)


def repeated(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """Yield a head, and a piece again and again."""
    yield head
    piece *= max(1, (1 << 16) // len(piece))
    while True:
        yield piece


def _sparse_pictures() -> dict[str, tuple[bytes, int]]:
    """Return heads and how many zeros follow them."""
    return {
        "tall.pbm": (b"P4 1 99000000\n", 99 * MEGA),
        "wide.pbm": (b"P4 99000000 1\n", 99 * MEGA // 8),
        "tall.pgm": (b"P5 1 99000000 255\n", 99 * MEGA),
        "wide.ppm": (b"P6 99000000 1 65535\n", 594 * MEGA),
        "square.ppm": (b"P6 9900 10000 65535\n", 594 * MEGA),
        "tall.npy": (npy((99 * MEGA, 1)), 792 * MEGA),
        "wide.npy": (npy((1, 99 * MEGA)), 792 * MEGA),
        "fortran.npy": (npy((99 * MEGA, 1), order="True"), 792 * MEGA),
        "fortran-square.npy": (npy((9900, 10000), order="True"), 792 * MEGA),
        "halves.npy": (npy((9900, 10000), "<f2"), 198 * MEGA),
        "deep.npy": (npy((1, 1, 99 * MEGA)), 792 * MEGA),
        "maps.npy": (npy((99 * MEGA, 1, 1)), 792 * MEGA),
        "integers.npy": (npy((9900, 10000), "<i8"), 792 * MEGA),
        "zeros.csv": (b"", 40 * MEGA),
    }


def _written_pictures() -> dict[str, Callable[[], bytes]]:
    """Return how to make each file."""
    made: dict[str, Callable[[], bytes]] = {
        "tall.png": lambda: png(99 * MEGA, 1),
        "wide.png": lambda: png(1, 99 * MEGA),
        "narrow.png": lambda: png(33 * MEGA, 3, colour=2),
        "tall-rgba16.png": lambda: png(99 * MEGA, 1, depth=16, colour=6),
        "wide-rgba16.png": lambda: png(1, 99 * MEGA, depth=16, colour=6),
        "square-rgba16.png": lambda: png(9900, 10000, depth=16, colour=6),
        "interlaced-rgba16.png": lambda: png(9900, 10000, depth=16, colour=6, interlaced=True),
        "interlaced-grey16.png": lambda: png(9900, 10000, depth=16, interlaced=True),
        "interlaced-rgb.png": lambda: png(9900, 10000, colour=2, interlaced=True),
        "interlaced-tall.png": lambda: png(99 * MEGA, 1, interlaced=True),
        "interlaced-wide.png": lambda: png(1, 99 * MEGA, depth=16, colour=2, interlaced=True),
        "one-bit-tall.png": lambda: png(99 * MEGA, 1, depth=1),
        "one-bit-wide.png": lambda: png(1, 99 * MEGA, depth=1),
        "palette.png": lambda: png(9900, 10000, depth=1, colour=3),
        "palette-tall.png": lambda: png(99 * MEGA, 1, colour=3),
        "profile.png": lambda: png(9, 9, extra=chunk(b"iCCP", b"x\0\0" + zeros(2000 * MEGA))),
        "text.png": lambda: png(9, 9, extra=chunk(b"zTXt", b"x\0\0" + zeros(2000 * MEGA))),
        "turned.png": lambda: png(9900, 10000, depth=16, colour=6, extra=chunk(b"eXIf", exif(6))),
        "turned-tall.png": lambda: png(99 * MEGA, 1, extra=chunk(b"eXIf", exif(6))),
        "chunks.png": lambda: png(9, 9, extra=chunk(b"tEXt", b"") * 3 * MEGA),
        "surplus.png": lambda: png(9, 9).replace(
            png(9, 9)[33:-12], chunk(b"IDAT", zeros(4000 * MEGA))
        ),
        "tall.tif": lambda: deflated_tiff(99 * MEGA, 1),
        "wide.tif": lambda: deflated_tiff(1, 99 * MEGA),
        "square16.tif": lambda: deflated_tiff(9900, 10000, bits=16, samples=3),
        "float64.tif": lambda: deflated_tiff(9900, 10000, bits=64, t339=3),
        "predicted64.tif": lambda: deflated_tiff(9900, 10000, bits=64, t339=3, t317=3),
        "turned.tif": lambda: deflated_tiff(9900, 10000, bits=16, samples=3, t274=6),
        "surplus.tif": lambda: tiff(
            plain(9, 9, t279=len(zeros(2000 * MEGA))), zeros(2000 * MEGA)
        ),
        "one-strip-many-rows.tif": lambda: tiff(plain(9, 9, t278=2**32 - 1, t279=99), zeros(81)),
        "tile.tif": lambda: tiff(
            {256: 9, 257: 9, 258: 8, 259: 8, 262: 1, 277: 1}
            | {322: 65520, 323: 65520, 324: 0, 325: 99},
            zeros(65520 * 1520),
        ),
        "rows.tif": lambda: tiff(
            plain(MEGA, 1, t278=1) | {273: [8] * MEGA, 279: [9] * MEGA}, zeros(1)
        ),
        "lies.tif": lambda: tiff(plain(9900, 10000, t259=1, t279=99 * MEGA), bytes(99)),
        "fax-wide.tif": lambda: tiff(plain(1, 99 * MEGA, t258=1, t259=4, t279=9), bytes(9)),
        "fax-tall.tif": lambda: tiff(plain(99 * MEGA, 1, t258=1, t259=4, t279=9), bytes(9)),
        "lzw.tif": lambda: pillow("L", 9900, 10000, "tiff", compression="tiff_lzw"),
        "packbits-rgb.tif": lambda: pillow("RGB", 9900, 10000, "tiff", compression="packbits"),
        "jpeg.tif": lambda: pillow("RGB", 9900, 10000, "tiff", compression="jpeg"),
        "grey.jpg": lambda: pillow("L", 1520, 65000, "jpeg"),
        "tall.jpg": lambda: pillow("RGB", 65000, 1520, "jpeg"),
        "progressive.jpg": lambda: pillow("RGB", 9900, 10000, "jpeg", progressive=True),
        "progressive-cmyk.jpg": lambda: pillow("CMYK", 9900, 10000, "jpeg", progressive=True,
                                               subsampling=0),
        "turned.jpg": lambda: pillow("RGB", 9900, 10000, "jpeg", exif=exif(6)),
        "cut.jpg": lambda: resized_jpeg(9900, 10000),
        "34-bytes.webp": lambda: webp(16384, 16384),
        "square.webp": lambda: webp(9900, 10000),
        "wide.webp": lambda: webp(6000, 16384),
        "tall.webp": lambda: webp(16384, 6000),
        "lossy.webp": lambda: pillow("RGB", 6000, 16383, "webp", method=0),
        "screen.gif": lambda: gif(9900, 10000),
        "too-large-screen.gif": lambda: gif(65535, 65535),
        "frames.gif": lambda: gif(9, 9, frames=2 * MEGA),
        "large-frames.gif": lambda: gif(9900, 10000, frames=1000),
        "square.gif": lambda: pillow("P", 9900, 10000, "gif"),
        "square.bmp": lambda: bmp(9900, 10000),
        "tall.bmp": lambda: bmp(99 * MEGA, 1),
        "wide.bmp": lambda: bmp(1, 99 * MEGA),
        "colours.bmp": lambda: bmp(9900, 10000, bits=24, compression=0),
        "minus.bmp": lambda: bmp(-(1 << 31), 1),
        "bits.bmp": lambda: bmp(9900, 10000, bits=1, compression=0, data=bytes(9900 * 1252)),
        "rows.csv": lambda: repeated(b"1,2,3\n", 40 * MEGA),
        "cells.csv": lambda: repeated(b"1,", 40 * MEGA) + b"1\n",
        "digits.csv": lambda: b"1" * 40 * MEGA,
        "empty-lines.csv": lambda: b"1,2\n" + b"\n" * 40 * MEGA,
        "comments.csv": lambda: b"1,2\n" + repeated(b"#\n", 40 * MEGA),
        "semicolons.csv": lambda: repeated(b"1;", 40 * MEGA) + b"1\n",
        "commas.csv": lambda: b"1" + b"," * 40 * MEGA,
        "ragged.csv": lambda: repeated(b"1,2,3\n", 40 * MEGA) + b"1,2\n",
        "letters.csv": lambda: repeated(b"1,2,3\n", 40 * MEGA) + b"1,2,x\n",
        "precise.csv": lambda: repeated(b"0.12345678901234567,", 40 * MEGA) + b"1\n",
        "rows.txt": lambda: repeated(b"1 2 3\n", 40 * MEGA),
        "column.txt": lambda: repeated(b"1\n", 40 * MEGA),
        "spaces.txt": lambda: b"1" + b" " * 40 * MEGA + b"2\n",
        "plain.pgm": lambda: b"P2 4000 5000 255\n" + repeated(b"1 ", 40 * MEGA),
        "plain.pbm": lambda: b"P1 8000 5000\n" + b"1" * 40 * MEGA,
        "comments.pgm": lambda: b"P5\n" + repeated(b"#\n", 40 * MEGA) + b"1 1 255\n\0",
        "digits.pgm": lambda: b"P5 " + b"1" * 40 * MEGA + b" 1 255\n\0",
        "nested.npy": lambda: npy_head(b"(" * 60000),
        "nested-lists.npy": lambda: npy_head(b"{'descr': " + b"[" * 9000 + b"]" * 9000 + b"}"),
        "digits.npy": lambda: npy_head(b"{'descr': '<f8', 'fortran_order': False, 'shape': ("
                                       + b"9" * 60000 + b",)}"),
        "product.npy": lambda: npy((1 << 32, 1 << 32)) + bytes(64),
        "lies.npy": lambda: npy((9900, 10000)) + bytes(64),
        "objects.npy": lambda: npy((9, 9), "|O") + bytes(800),
    }  # fmt: skip
    return made


def npy_head(text: bytes) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def exif(orientation: int) -> bytes:
    return b"Exif\0\0" * 0 + tiff({274: orientation}, kinds={274: 3})


def resized_jpeg(height: int, width: int, mode: str = "RGB") -> bytes:
    """Return a small progressive JPEG that says that it is large."""
    body = pillow(mode, 64, 64, "jpeg", progressive=True)
    at = body.index(b"\xff\xc2")
    return body[: at + 5] + struct.pack(">HH", height, width) + body[at + 9 :]


STREAMS: dict[str, tuple[bytes, bytes]] = {
    "numbers": (b"", b"1,2,3\n"),
    "one row": (b"", b"1,"),
    "spaces": (b"", b" "),
    "digits": (b"", b"9"),
    "comments": (b"", b"# and so on\n"),
    "zeros": (b"", b"\0"),
    "letters": (b"", b"y\n"),
    "png": (png(9, 9)[:33], chunk(b"tEXt", b"x" * 999)),
    "png pixels": (png(9, 9)[:33], chunk(b"IDAT", bytes(999))),
    "pnm": (b"P5 9 9 255\n", b"\0"),
    "pnm head": (b"P5\n", b"# and so on\n"),
    "plain pnm": (b"P2 9 9 255\n", b"1 "),
    "jpeg": (b"\xff\xd8\xff\xe0", b"\0"),
    "jpeg comments": (b"\xff\xd8", b"\xff\xfe\0\x04xx"),
    "gif": (gif(9, 9)[:-1], gif(9, 9)[19:-1]),
    "tiff": (b"II*\0\x08\0\0\0", b"\xff"),
    "webp": (webp(9, 9), b"ABCD\x02\0\0\0xx"),
    "bmp": (bmp(9, 9), b"\0"),
    "npy": (npy((9, 9)), b"\0"),
}
"""Heads, and what follows them without end."""


def pictures() -> dict[str, Callable[[Path], None]]:
    """Return how to write each file, by its name."""

    def writer(make: Callable[[], bytes]) -> Callable[[Path], None]:
        return lambda path: path.write_bytes(make())

    def sparse_writer(head: bytes, size: int) -> Callable[[Path], None]:
        return lambda path: sparse(path, head, size)

    found = {name: writer(make) for name, make in _written_pictures().items()}
    return found | {name: sparse_writer(*parts) for name, parts in _sparse_pictures().items()}
