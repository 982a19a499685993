"""A TIFF encoder that is slow and plain, after the text of TIFF 6.0 and its technical notes."""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = {"u": 1, "i": 2, "f": 3}


class Way(NamedTuple):
    """How a picture is stored."""

    dtype: str
    compression: int = 1
    predictor: int = 1
    samples: int = 1
    planar: bool = False
    tiled: bool = False
    order: str = "<"

    def __str__(self) -> str:
        words = [self.dtype, CODECS[self.compression][0], f"predictor {self.predictor}"]
        words += [f"{self.samples} samples", "planar" * self.planar, "tiled" * self.tiled]
        return " ".join(filter(None, [*words, self.order]))


def packbits(data: bytes) -> bytes:
    """Store as runs of literals, and runs of one byte where there are some."""
    out, at = bytearray(), 0
    while at < len(data):
        same = next(
            (n for n in range(1, 128) if data[at + n : at + n + 1] != data[at : at + 1]), 128
        )
        if same > 1:
            out += bytes([257 - same, data[at]])
            at += same
        else:
            part = data[at : at + 7]
            out += bytes([len(part) - 1]) + part
            at += len(part)
    return bytes(out)


def lzw(data: bytes) -> bytes:
    """Compress with codes of 9 to 12 bits, high bits first, each width one code short."""
    clear, end = 256, 257
    bits, count = 0, 0
    table: dict[bytes, int] = {}
    width = 9

    def put(code: int) -> None:
        nonlocal bits, count
        bits = bits << width | code
        count += width

    def fresh() -> None:
        nonlocal table, width
        put(clear)
        table = {bytes([value]): value for value in range(256)}
        width = 9

    fresh()
    held = b""
    for value in data:
        longer = held + bytes([value])
        if longer in table:
            held = longer
            continue
        put(table[held])
        table[longer] = len(table) + 2
        held = bytes([value])
        if len(table) + 1 == 4094:
            fresh()
        elif len(table) + 1 == (1 << width) - 1:
            width += 1
    if held:
        put(table[held])
        width += len(table) + 2 == (1 << width) - 1
    put(end)
    return (bits << -count % 8).to_bytes(-(-count // 8), "big")


CODECS: dict[int, tuple[str, Callable[[bytes], bytes]]] = {
    1: ("plain", bytes),
    8: ("deflate", zlib.compress),
    32946: ("old deflate", zlib.compress),
    5: ("lzw", lzw),
    32773: ("packbits", packbits),
    34925: ("lzma", lzma.compress),
}


def predicted(block: np.ndarray, predictor: int) -> bytes:
    """Return the bytes of a block of (rows, columns, samples) in its own byte order."""
    if predictor == 1:
        return block.tobytes()
    size = block.dtype.itemsize
    if predictor == 2:  # differences of the samples' bits as whole numbers
        whole = block.view(block.dtype.str.replace(block.dtype.kind, "u"))
        steps = whole.copy()
        steps[:, 1:] -= whole[:, :-1]
        return steps.astype(whole.dtype).tobytes()
    rows, _, samples = block.shape
    big = block.astype(block.dtype.newbyteorder(">")).reshape(rows, -1)
    planes = big.view(np.uint8).reshape(rows, -1, size).swapaxes(1, 2).reshape(rows, -1)
    steps = planes.copy()
    steps[:, samples:] -= planes[:, :-samples]
    return steps.tobytes()


def encoded(
    pixels: np.ndarray, way: Way, *, side: int = 16, rows: int = 5
) -> tuple[bytes, list[int]]:
    """Return a file, and where each of its strips or tiles begins, with the end of the last."""
    height, width, samples = pixels.shape
    pixels = pixels.astype(np.dtype(way.dtype).newbyteorder(way.order))
    planes = np.split(pixels, samples, axis=2) if way.planar else [pixels]
    down, across = (side, side) if way.tiled else (rows, width)
    blocks = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                block = plane[top : top + down, left : left + across]
                if way.tiled:
                    missing = [(0, down - block.shape[0]), (0, across - block.shape[1]), (0, 0)]
                    block = np.pad(block, missing, mode="edge")
                block = np.ascontiguousarray(block)
                blocks.append(CODECS[way.compression][1](predicted(block, way.predictor)))
    places = [8 + sum(map(len, blocks[:number])) for number in range(len(blocks) + 1)]
    counts = [len(block) for block in blocks]
    layout = {322: side, 323: side, 324: places[:-1], 325: counts} if way.tiled else {
        278: rows, 273: places[:-1], 279: counts}  # fmt: skip
    tags = layout | {
        256: width, 257: height, 258: [8 * pixels.dtype.itemsize] * samples, 259: way.compression,
        262: 2 if samples >= 3 else 1, 277: samples, 284: 1 + way.planar, 317: way.predictor,
        339: [_KINDS[pixels.dtype.kind]] * samples,
    }  # fmt: skip
    if samples in {2, 4}:
        tags[338] = 2
    return _file(tags, b"".join(blocks), way.order), places


def _file(tags: dict[int, int | list[int]], data: bytes, order: str) -> bytes:
    data += bytes(len(data) % 2)
    after = 8 + len(data) + 6 + 12 * len(tags)
    entries, beyond = b"", b""
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, list) else [value]
        long = tag in {256, 257, 273, 278, 279, 324, 325}
        packed = struct.pack(f"{order}{len(values)}{'I' if long else 'H'}", *values)
        if len(packed) > 4:
            packed, beyond = struct.pack(order + "I", after + len(beyond)), beyond + packed
        entries += struct.pack(order + "HHI", tag, 4 if long else 3, len(values)) + packed.ljust(
            4, b"\0"
        )
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4) + beyond


def ways() -> list[Way]:
    """Return every way that makes sense."""
    return [
        Way(dtype, compression, predictor, samples, planar, tiled, order)
        for dtype in ("u1", "u2", "f2", "f4", "f8", "i1", "i2", "i4", "u4")
        for compression in CODECS
        for predictor in ((1, 2, 3) if dtype[0] == "f" else (1, 2))
        if predictor == 1 or compression not in {1, 32773}  # libtiff ignores it there
        for samples in (1, 3, 4)
        for planar in ((False, True) if samples > 1 else (False,))
        for tiled in (False, True)
        for order in "<>"
    ]
