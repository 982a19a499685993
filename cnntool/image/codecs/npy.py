"""Read and write numpy's ``.npy`` files, never a pickle (NEP 1)."""

from __future__ import annotations

import ast
import math
import struct
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings
from cnntool.image.source import ImageInfo
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.source import Source

MAGIC = b"\x93NUMPY"
_HEADER_LIMIT = 1 << 16
_EXACT = 2**53
"""Integers beyond this are not all float64 numbers."""

_SMALL = 16
"""An array of at most so many columns and few channels may as well be a stack of small maps."""

_PARSING = Lock()
"""Before Python 3.11.8 `ast.literal_eval` fails now and then where threads call it at once."""


def open_reader(source: Source) -> Reader:
    """Open a ``.npy`` file. See `cnntool.image.files.open_reader`."""
    dtype, fortran, shape, start = _header(source)
    if dtype.kind not in "biuf" or dtype.names:
        what = {"c": "complex numbers", "O": "Python objects", "U": "text", "S": "text"}
        reason = what.get(dtype.kind, f"numbers of type {dtype}")
        raise source.error(f"the array holds {reason}; real numbers are needed")
    layout = _axes(source, shape)
    if layout == "chw":
        channels, height, width = shape
    else:
        height, width, channels = (*shape, 1)[:3]
    source.check_size(height, width, channels)
    note = (
        f"taken as {height} rows, {width} columns and {channels} channels;"
        f" `layout=chw` takes it as {height} maps of {width}x{channels}"
    )
    doubtful = source.layout == "auto" and layout == "hwc" and width <= _SMALL
    single = dtype.kind == "f" and dtype.itemsize == 4
    info = ImageInfo(
        height,
        width,
        channels=channels,
        dtype="float32" if single else "float64",
        format="npy",
        matrix=True,
        notes=(note,) if doubtful else (),
        layout=layout,
    )
    with source.reading():
        if source.file().seek(0, 2) - start < math.prod(shape) * dtype.itemsize:
            raise source.error("truncated array: numbers are missing")
    return _NpyReader(source, info, dtype, shape, start, fortran=fortran)


def _header(source: Source) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """Parse what stands in front of the numbers, and say where these begin.

    ``numpy.lib.format`` would ask for as many bytes as the header claims to have.
    """
    head = source.body(12 + _HEADER_LIMIT)
    try:
        first, coding = {1: (10, "latin-1"), 2: (12, "latin-1"), 3: (12, "utf-8")}[head[6]]
        start = first + int.from_bytes(head[8:first], "little")
        with _PARSING:
            header = ast.literal_eval(head[first:start].decode(coding))
        shape, fortran = header["shape"], header["fortran_order"]
        dtype = np.dtype(header["descr"])
        sound = (
            start <= len(head)
            and isinstance(fortran, bool)
            and isinstance(shape, tuple)
            and all(type(n) is int and n >= 0 for n in shape)
        )
    except (ValueError, SyntaxError, TypeError, LookupError, RecursionError, MemoryError):
        sound = False
    if not sound:
        raise source.error("damaged array: its header makes no sense")
    return dtype, fortran, shape, start


def _axes(source: Source, shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "hw"
    if len(shape) == 3:
        guess = "hwc" if shape[2] <= 4 < shape[0] else "chw"
        return guess if source.layout in {None, "auto"} else str(source.layout)
    raise source.error(f"the array has {counted(len(shape), 'axis')}; 2 or 3 are needed")


class _NpyReader(Reader):
    """See `open_reader`. Blocks are arrays."""

    def __init__(
        self,
        source: Source,
        info: ImageInfo,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        start: int,
        *,
        fortran: bool,
    ) -> None:
        super().__init__(source, info)
        self._dtype = dtype
        self._shape = shape
        self._start = start
        self._fortran = fortran

    def _decode(self, rows: int) -> Iterator[NDArray[Any]]:
        info = self.info
        if self._fortran:
            body = self._numbers(0, math.prod(self._shape)).reshape(self._shape, order="F")
            whole = np.moveaxis(body, 0, 2) if info.layout == "chw" else body
            for top in range(0, info.height, rows):
                yield whole[top : top + rows].reshape(-1, info.width, info.channels)
            return
        for top in range(0, info.height, rows):
            yield self._rows(top, min(rows, info.height - top))

    def _rows(self, top: int, rows: int) -> NDArray[Any]:
        info = self.info
        if info.layout != "chw":
            row = info.width * info.channels
            return self._numbers(top * row, rows * row).reshape(rows, info.width, info.channels)
        strip = np.empty((rows, info.width, info.channels), self._dtype)
        for channel in range(info.channels):
            first = (channel * info.height + top) * info.width
            plane = self._numbers(first, rows * info.width)
            strip[..., channel] = plane.reshape(rows, info.width)
        return strip

    def _numbers(self, first: int, count: int) -> NDArray[Any]:
        size = self._dtype.itemsize
        file = self._source.file()
        with self._source.reading():
            file.seek(self._start + first * size)
            body = file.read(count * size)
        if len(body) < count * size:
            raise self._source.error("truncated array: numbers are missing")
        return np.frombuffer(body, self._dtype)

    def _array(self, block: NDArray[Any]) -> NDArray[Any]:
        wide = self._dtype.kind in "iu" and self._dtype.itemsize == 8
        if wide and ((block > _EXACT).any() or (block < -_EXACT).any()):
            raise self._source.error(
                "the array holds integers beyond 2**53, which float64 cannot tell apart"
            )
        return block.astype(self.info.dtype, copy=False)


class NpyWriter(Writer):
    """Writes a ``.npy`` file."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        height, width, samples = info.shape
        shape = {
            "hw": (height, width),
            "hwc": (height, width, samples),
            "chw": (samples, height, width),
        }[info.layout]
        self._dtype = np.dtype(info.dtype).newbyteorder("<")
        self._kept: list[NDArray[Any]] = []
        fields = f"{{'descr': '{self._dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
        padding = -(len(MAGIC) + 4 + len(fields) + 1) % 64
        header = fields.encode() + b" " * padding + b"\n"
        self._start = len(MAGIC) + 4 + len(header)
        output.write(MAGIC + b"\x01\x00" + struct.pack("<H", len(header)) + header)

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Lay the numbers of a strip out as the file has them."""
        axes = np.moveaxis(strip, 2, 0) if self.info.layout == "chw" else strip
        return Encoded(len(strip), np.ascontiguousarray(axes, self._dtype))

    def _append(self, encoded: Encoded) -> None:
        numbers = encoded.data
        if self.info.layout != "chw":
            self._output.write(numbers.data.cast("B"))
        elif not self._output.seekable:
            self._kept.append(numbers)
        else:
            for channel, plane in enumerate(numbers):
                first = (channel * self.info.height + self._rows) * self.info.width
                offset = self._start + first * self._dtype.itemsize
                self._output.write_at(offset, plane.data.cast("B"))

    def _finish(self) -> None:
        for channel in range(self.info.samples if self._kept else 0):
            for numbers in self._kept:
                self._output.write(numbers[channel].data.cast("B"))
