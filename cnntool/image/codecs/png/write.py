"""Write PNG in strips, each row with the filter that suits it (W3C PNG, third edition).

Each strip is filtered without looking at the strip above and deflated on its own to a whole number
of bytes, so that the pieces laid end to end are one valid stream.
"""

from __future__ import annotations

import struct
import zlib
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnntool.image.codecs.codec import Encoded, Writer, WriterSettings
from cnntool.image.codecs.deflate import FASTEST, PIECE, adler32, adler32_combine, crc32, deflater

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.image.atomic import Output
    from cnntool.image.codecs.deflate import Deflater
    from cnntool.image.source import ImageInfo

Bytes = NDArray[np.uint8]

NONE, SUB, UP, AVERAGE, PAETH = range(5)

_SAMPLED_ROWS, _SAMPLED_COLUMNS = 16, 1 << 16

_AVERAGE_HANDICAP = 1.1
"""What the slowest of the cheap filters must gain to be worth its time."""

_BLOCK_BYTES = 1 << 16
"""Rows are filtered by the block: it stays in cache, and malloc hands the same pages out again."""


class Effort(Enum):
    """How filters are chosen.

    The best filter is the one whose residuals, as signed bytes, have the smallest sum of
    magnitudes.
    """

    PLAIN = "none: for data that will not be compressed"
    CHEAP = "the best of four for the whole strip, judged by a sample of its rows"
    THOROUGH = "the best of five for every row"


def filtered(strip: NDArray[Any], effort: Effort) -> Iterator[memoryview]:
    """Filter a strip without reference to the row above it.

    Parameters
    ----------
    strip : ndarray of shape (h, width, samples)
        uint8 or uint16.
    effort : Effort

    Yields
    ------
    memoryview of bytes
        Successive rows, each behind its filter type. It is valid until the next one is asked for.
    """
    step = strip.shape[2] * strip.dtype.itemsize
    stride = strip.shape[1] * step + 1
    count = min(len(strip), max(1, _BLOCK_BYTES // stride))
    buffer = np.empty((count, stride), np.uint8)
    trial = np.empty_like(buffer) if effort is Effort.THOROUGH else buffer
    kind = _cheap_choice(strip, step) if effort is Effort.CHEAP else NONE
    for top in range(0, len(strip), count):
        rows = _as_bytes(strip[max(top - 1, 0) : top + count])
        out = buffer[: min(count, len(strip) - top)]
        if effort is Effort.THOROUGH:
            _fill_best(out, trial[: len(out)], rows, step)
        else:
            _fill(out, rows, step, kind)
        yield out.data.cast("B")


def _as_bytes(strip: NDArray[Any]) -> Bytes:
    """Return rows as the file has them: (h, bytes per row)."""
    if strip.dtype == np.uint16:
        strip = strip.astype(">u2")
    return np.ascontiguousarray(strip).view(np.uint8).reshape(len(strip), -1)


def _fill(out: Bytes, rows: Bytes, step: int, kind: int) -> None:
    """Filter rows by `kind`. They begin one row above those wanted, except at the top of a strip.

    The row at the top is filtered by `SUB` where `kind` would look at the row above.
    """
    body = out[:, 1:]
    out[:, 0] = kind
    wanted = rows[len(rows) - len(out) :]
    if kind < UP:
        residuals(wanted, wanted, step, kind, body)
        return
    if len(rows) == len(out):
        out[0, 0] = SUB
        residuals(rows[:1], rows[:1], step, SUB, body[:1])
        body = body[1:]
    residuals(rows[1:], rows[:-1], step, kind, body)


def _fill_best(out: Bytes, trial: Bytes, rows: Bytes, step: int) -> None:
    """Filter each row by whatever costs least, see `_fill`."""
    best = np.full(len(out), np.iinfo(np.int64).max)
    for kind in range(PAETH + 1):
        _fill(trial, rows, step, kind)
        cost = _cost(trial[:, 1:])
        better = cost < best
        out[better] = trial[better]
        best[better] = cost[better]


def _cheap_choice(strip: NDArray[Any], step: int) -> int:
    """Return the filter type that suits a sample of rows best."""
    picked = _picked(len(strip))
    sample = strip[:, :_SAMPLED_COLUMNS]
    rows = _as_bytes(sample[picked])
    above = _as_bytes(sample[np.maximum(picked - 1, 0)])
    trials = np.empty((PAETH, *rows.shape), np.uint8)
    for kind, trial in enumerate(trials):
        residuals(rows, above, step, kind, trial)
    costs = _cost(trials.reshape(PAETH, -1)).astype(float)
    costs[AVERAGE] *= _AVERAGE_HANDICAP
    return int(np.argmin(costs))


@lru_cache(maxsize=64)
def _picked(rows: int) -> NDArray[np.intp]:
    """Return which rows of a strip are looked at."""
    return np.linspace(min(1, rows - 1), rows - 1, _SAMPLED_ROWS).astype(np.intp)


def residuals(rows: Bytes, above: Bytes, step: int, kind: int, out: Bytes) -> None:
    """Write rows minus their prediction, modulo 256.

    Parameters
    ----------
    rows, above, out : ndarray of shape (h, bytes per row), uint8
        `above` holds the row above each.
    step : int
        Bytes per pixel.
    kind : int
        Filter type.
    """
    left, corner = rows[:, :-step], above[:, :-step]
    if kind == NONE:
        out[:] = rows
    elif kind == UP:
        np.subtract(rows, above, out=out)
    elif kind == SUB:
        out[:, :step] = rows[:, :step]
        np.subtract(rows[:, step:], left, out=out[:, step:])
    elif kind == AVERAGE:
        over = above[:, step:]
        np.subtract(rows[:, :step], above[:, :step] >> 1, out=out[:, :step])
        # floor((a + b) / 2) without the ninth bit.
        mean = np.bitwise_xor(left, over)
        mean >>= 1
        mean += left & over
        np.subtract(rows[:, step:], mean, out=out[:, step:])
    else:
        np.subtract(rows[:, :step], above[:, :step], out=out[:, :step])
        np.subtract(rows[:, step:], _paeth(left, above[:, step:], corner), out=out[:, step:])


def _paeth(left: Bytes, above: Bytes, corner: Bytes) -> Bytes:
    """Whichever neighbour is nearest to left + above - corner; ties in this order."""
    by_left = above.astype(np.int16)
    by_left -= corner
    by_above = left.astype(np.int16)
    by_above -= corner
    by_corner = by_left + by_above
    for distance in (by_left, by_above, by_corner):
        np.abs(distance, out=distance)
    nearest = np.where(by_above <= by_corner, above, corner)
    use_left = by_left <= by_above
    use_left &= by_left <= by_corner
    np.copyto(nearest, left, where=use_left)
    return nearest


def _cost(residual: Bytes) -> NDArray[np.int64]:
    """Sum of magnitudes of each row, bytes read as signed."""
    magnitudes = np.minimum(residual, -residual)
    total: NDArray[np.int64] = magnitudes.sum(axis=1, dtype=np.int64)
    return total


_COLOUR_TYPES = {(1, False): 0, (3, False): 2, (1, True): 4, (3, True): 6}
_FINAL_BLOCK = b"\x03\x00"


class PngWriter(Writer):
    """Writes a PNG."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
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
        crc = crc32(kind)
        for part in parts:
            crc = crc32(part, crc)
        size = sum(map(len, parts)).to_bytes(4, "big")
        self._output.write(b"".join((size, kind, *parts, crc.to_bytes(4, "big"))))
