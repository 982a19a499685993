"""A PNG encoder that is slow and plain, after the text of the specification."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    return b if pb <= pc else c


def filter_row(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    out = bytearray([kind])
    for i, x in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        out.append((x - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) % 256)
    return bytes(out)


def pack_row(samples: np.ndarray, depth: int) -> bytes:
    bits = "".join(format(int(v), f"0{depth}b") for v in samples.ravel())
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def scanlines(pixels: np.ndarray, depth: int, kinds: list[int]) -> bytes:
    step = max(1, pixels.shape[2] * depth // 8)
    rows = [pack_row(row, depth) for row in pixels]
    above = bytes(len(rows[0]))
    out = b""
    for number, row in enumerate(rows):
        out += filter_row(kinds[number % len(kinds)], row, above, step)
        above = row
    return out


def make(
    pixels: np.ndarray,
    *,
    depth: int,
    colour: int,
    kinds: list[int] | None = None,
    interlaced: bool = False,
    before: bytes = b"",
    after: bytes = b"",
    piece: int = 50,
) -> bytes:
    """Encode raw samples of shape (height, width, samples) with the given filter types in turn."""
    height, width, samples = pixels.shape
    assert samples == SAMPLES[colour]
    kinds = kinds or [0]
    parts = [pixels[a::c, b::d] for a, b, c, d in PASSES] if interlaced else [pixels]
    raw = b"".join(scanlines(part, depth, kinds) for part in parts if part.size)
    packed = zlib.compress(raw)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = b"".join(chunk(b"IDAT", packed[i : i + piece]) for i in range(0, len(packed), piece))
    return SIGNATURE + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND")
