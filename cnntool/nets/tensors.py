"""Tensors of an ONNX file: types of elements, and weights that stay in their file until read.

Source: ``TensorProto`` in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.wire import CHUNK, FIXED32, FIXED64, VARINT, signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.errors import ModelError
    from cnntool.nets.external import Neighbours
    from cnntool.nets.wire import Wire


class Element(NamedTuple):
    """A type of elements.

    Parameters
    ----------
    name : str
        numpy's name where it has one.
    bits : int
        Bits of one element; elements of less than 8 share bytes, the first in the low bits.
    field : int
        Number of the field of ``TensorProto`` that holds such elements one by one.
    dtype : str
        How numpy reads the bytes; empty where it cannot.
    """

    name: str
    bits: int
    field: int
    dtype: str


FLOAT_DATA, INT32_DATA, STRING_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA = 4, 5, 6, 7, 10, 11

STRING = 8

ELEMENTS: dict[int, Element] = {
    1: Element("float32", 32, FLOAT_DATA, "<f4"),
    2: Element("uint8", 8, INT32_DATA, "u1"),
    3: Element("int8", 8, INT32_DATA, "i1"),
    4: Element("uint16", 16, INT32_DATA, "<u2"),
    5: Element("int16", 16, INT32_DATA, "<i2"),
    6: Element("int32", 32, INT32_DATA, "<i4"),
    7: Element("int64", 64, INT64_DATA, "<i8"),
    STRING: Element("string", 0, STRING_DATA, ""),
    9: Element("bool", 8, INT32_DATA, "?"),
    10: Element("float16", 16, INT32_DATA, "<f2"),
    11: Element("float64", 64, DOUBLE_DATA, "<f8"),
    12: Element("uint32", 32, UINT64_DATA, "<u4"),
    13: Element("uint64", 64, UINT64_DATA, "<u8"),
    14: Element("complex64", 64, FLOAT_DATA, "<c8"),
    15: Element("complex128", 128, DOUBLE_DATA, "<c16"),
    16: Element("bfloat16", 16, INT32_DATA, "<u2"),
    17: Element("float8e4m3fn", 8, INT32_DATA, ""),
    18: Element("float8e4m3fnuz", 8, INT32_DATA, ""),
    19: Element("float8e5m2", 8, INT32_DATA, ""),
    20: Element("float8e5m2fnuz", 8, INT32_DATA, ""),
    21: Element("uint4", 4, INT32_DATA, "u1"),
    22: Element("int4", 4, INT32_DATA, "u1"),
    23: Element("float4e2m1", 4, INT32_DATA, ""),
    24: Element("float8e8m0", 8, INT32_DATA, ""),
    25: Element("uint2", 2, INT32_DATA, "u1"),
    26: Element("int2", 2, INT32_DATA, "u1"),
}
"""Every type by its number in the file."""

NAMES = {element.name: number for number, element in ELEMENTS.items()}
"""The number of every type by its name."""


def stored_bytes(element: Element, count: int) -> int:
    """Bytes that `count` elements take when they are packed."""
    return (count * element.bits + 7) // 8


def decode(element: Element, stored: NDArray[Any], count: int) -> NDArray[Any]:
    """Turn stored numbers into elements.

    Parameters
    ----------
    element : Element
        A type with a dtype.
    stored : NDArray
        The bytes as ``element.dtype``.
    count : int
        Elements wanted.

    Returns
    -------
    NDArray
        One axis of `count` elements: `stored` itself where nothing is to be done, float32 for
        bfloat16, int8 or uint8 for integers of less than 8 bits.
    """
    if element.name == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if element.bits >= 8:
        return stored
    per_byte = 8 // element.bits
    shifts = np.arange(per_byte, dtype=np.uint8) * element.bits
    mask = np.uint8((1 << element.bits) - 1)
    parts = ((stored[:, None] >> shifts) & mask).ravel()[:count]
    if element.name.startswith("u"):
        return parts
    sign = np.uint8(1 << (element.bits - 1))
    return ((parts ^ sign) - sign).view(np.int8)


_FIXED = {FLOAT_DATA: (FIXED32, "<f4", 4), DOUBLE_DATA: (FIXED64, "<f8", 8)}
"""Fields of numbers of fixed size: their kind, dtype and bytes."""

_PIECE = 1 << 20


class _Typed(NamedTuple):
    """What a typed field holds.

    Parameters
    ----------
    elements : int
        Numbers or texts.
    nbytes : int
        Bytes of all texts; of numbers, of those of fixed size.
    offset : int or None
        Where the numbers lie, if they lie in a row as they would in ``raw_data``.
    """

    elements: int
    nbytes: int
    offset: int | None


def _find_typed(wire: Wire, start: int, stop: int, element: Element) -> _Typed:
    """Count the elements of the ``TensorProto`` in ``data[start:stop]``.

    Raises
    ------
    ModelError
        When they are damaged.
    """
    fixed = _FIXED.get(element.field)
    count = nbytes = pieces = 0
    offset = None
    for first, last, packed in _fields(wire, start, stop, element):
        if fixed or element.field == STRING_DATA:
            nbytes += last - first
            pieces += 1
            offset = first
        if fixed and (last - first) % fixed[2]:
            raise wire.damaged(first)
        if fixed:
            count += (last - first) // fixed[2]
        else:
            several = packed and element.field != STRING_DATA
            count += _count_varints(wire, first, last) if several else 1
    return _Typed(count, nbytes, offset if fixed and pieces == 1 else None)


def _gather(wire: Wire, start: int, stop: int, element: Element, count: int) -> NDArray[Any]:
    """Read `count` elements that `find` has found, as their bytes would be packed.

    Returns
    -------
    NDArray
        One axis of type ``element.dtype``.

    Raises
    ------
    ModelError
        When they are damaged.
    """
    dtype = np.dtype(element.dtype)
    stored = np.empty(stored_bytes(element, count) // dtype.itemsize, dtype)
    flat = stored.view(stored.real.dtype) if dtype.kind == "c" else stored
    fixed = _FIXED.get(element.field)
    at = 0
    for first, last, packed in _fields(wire, start, stop, element):
        if fixed:
            pieces = iter([np.frombuffer(wire.data, fixed[1], (last - first) // fixed[2], first)])
        elif packed:
            pieces = (_narrow(piece, dtype) for piece in _varints(wire, first, last))
        else:
            pieces = iter([_narrow(np.array([first], np.uint64), dtype)])
        for piece in pieces:
            flat[at : at + len(piece)] = piece
            at += len(piece)
    return stored


def _gather_texts(wire: Wire, start: int, stop: int, element: Element, count: int) -> NDArray[Any]:
    """Read `count` texts that `find` has found: one axis of objects of type str."""
    texts = np.empty(count, object)
    for index, (first, last, _) in enumerate(_fields(wire, start, stop, element)):
        texts[index] = str(wire.data[first:last], "utf-8", "replace")
    return texts


def _fields(wire: Wire, start: int, stop: int, element: Element) -> Iterator[tuple[int, int, bool]]:
    """Walk the fields that hold elements: their bytes or number, and whether several are packed."""
    packed = element.field << 3 | CHUNK
    single = element.field << 3 | _FIXED.get(element.field, (VARINT,))[0]
    for tag, first, last in wire.fields(start, stop):
        if tag in {packed, single}:
            yield first, last, tag == packed


def _narrow(numbers: NDArray[np.uint64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Cut numbers to the low bits: the field holds those of small types in wider numbers."""
    bits = numbers.astype(f"<u{dtype.itemsize}")
    return bits.astype(bool) if dtype.kind == "b" else bits.view(dtype)


def _varints(wire: Wire, first: int, last: int) -> Iterator[NDArray[np.uint64]]:
    """Decode packed varints, about a megabyte at a time."""
    while first < last:
        piece = np.frombuffer(wire.data, np.uint8, min(_PIECE, last - first), first)
        ends = np.flatnonzero(piece < 128)
        starts = np.concatenate(([0], ends[:-1] + 1))
        lengths = ends - starts + 1 if ends.size else np.array([_PIECE])
        longest = int(lengths.max())
        if longest > 10:
            raise wire.damaged(first)
        values = np.zeros(len(ends), np.uint64)
        for k in range(longest):
            here = lengths > k
            bits = (piece[starts[here] + k] & 127).astype(np.uint64)
            values[here] |= bits << np.uint64(7 * k)
        yield values
        first += int(ends[-1]) + 1


def _count_varints(wire: Wire, first: int, last: int) -> int:
    """Count packed varints without decoding them."""
    if last > first and wire.data[last - 1] > 127:
        raise wire.damaged(last)
    count = 0
    for at in range(first, last, _PIECE):
        piece = np.frombuffer(wire.data, np.uint8, min(_PIECE, last - at), at)
        count += int(np.count_nonzero(piece < 128))
    return count


class Weight(NamedTuple):
    """A constant tensor of a network. Its numbers stay in the file until `read`.

    Parameters
    ----------
    name : str
        The tensor.
    dtype : str
        Type of its elements, see `cnntool.nets.tensors.ELEMENTS`.
    shape : tuple of int
        Length of every axis.
    file : Path
        The file that holds its numbers.
    offset : int or None
        Where in the file they begin, packed and little-endian. None when they are spelt in
        another way.
    nbytes : int
        Bytes that they take when packed (of strings: of their text).
    wire : Wire
        The model.
    start, stop : int
        Where in the model the message lies that describes it.
    values : NDArray, optional
        The numbers themselves, where a Constant node states them without a tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int | None
    nbytes: int
    wire: Wire
    start: int
    stop: int
    values: NDArray[Any] | None = None

    def read(self) -> NDArray[Any]:
        """Read the numbers.

        Returns
        -------
        NDArray
            `shape`; read-only and memory-mapped where the file has the numbers as numpy wants
            them. bfloat16 becomes float32, int4 and int2 become int8, uint4 and uint2 uint8,
            strings objects of type str.

        Raises
        ------
        ModelError
            When numpy has no such type (float8, float4), or the file is damaged or has changed.
        """
        if self.values is not None:
            return self.values
        element = ELEMENTS[NAMES[self.dtype]]
        count = math.prod(self.shape)
        place = self.wire, self.start, self.stop, element, count
        if self.dtype == "string":
            return _gather_texts(*place).reshape(self.shape)
        if not element.dtype:
            raise self.wire.error(f"weight {self.name!r} has type {self.dtype}, which is not read")
        stored = _gather(*place) if self.offset is None else self._flat(np.dtype(element.dtype))
        return decode(element, stored, count).reshape(self.shape)

    def stored(self) -> bytes:
        """Read the bytes of numbers that lie in a row, or are stated by a Constant node."""
        if self.values is not None:
            return self.values.tobytes()
        return self._flat(np.dtype(np.uint8)).tobytes()

    def _flat(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map numbers that lie in a row."""
        if not self.nbytes:
            return np.empty(0, dtype)
        try:
            count = self.nbytes // dtype.itemsize
            return np.frombuffer(self._bytes(), dtype, count, self.offset or 0)
        except ValueError as error:
            raise self._changed() from error

    def _bytes(self) -> mmap.mmap:
        """Map the file that holds the numbers."""
        if self.file == self.wire.file:
            return self.wire.data
        try:
            with self.file.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise self._changed() from error

    def _changed(self) -> ModelError:
        return self.wire.error(f"weight {self.name!r}: the file {self.file.name!r} has changed")


_DIMS, _DIMS_PACKED = 1 << 3 | VARINT, 1 << 3 | CHUNK
_DATA_TYPE, _LOCATION = 2 << 3 | VARINT, 14 << 3 | VARINT
_SEGMENT, _NAME, _RAW, _EXTERNAL = (number << 3 | CHUNK for number in (3, 8, 9, 13))
_KEY, _VALUE = 1 << 3 | CHUNK, 2 << 3 | CHUNK

_RANK_LIMIT = 64
_COUNT_LIMIT = 1 << 56
_LIST_LIMIT = 1 << 20


def read_tensor(wire: Wire, start: int, stop: int, neighbours: Neighbours) -> Weight:
    """Find a tensor's numbers.

    Parameters
    ----------
    wire : Wire
        The model.
    start, stop : int
        Where its ``TensorProto`` lies.
    neighbours : Neighbours
        The files that it may point to.

    Raises
    ------
    ModelError
        When its numbers are not as many as its shape says, or not to be had.
    """
    dims: list[int] = []
    external: dict[str, str] = {}
    single: dict[int, tuple[int, int]] = {}
    for tag, first, last in wire.fields(start, stop):
        if tag == _DIMS:
            dims.append(signed(first))
        elif tag == _DIMS_PACKED:
            dims += read_packed(wire, first, last)
        elif tag == _EXTERNAL:
            key, value = read_entry(wire, first, last)
            external[key] = value
        else:
            single[tag] = first, last
    name = wire.text(*single[_NAME]) if _NAME in single else ""
    kind = single.get(_DATA_TYPE, (0, 0))[0]
    if kind not in ELEMENTS:
        raise wire.error(f"weight {name!r} has a type that is not known: {kind}")
    if _SEGMENT in single:
        raise wire.error(f"weight {name!r} is in segments, which are not read")
    shape = _shape(wire, name, dims)
    size = stored_bytes(ELEMENTS[kind], math.prod(shape))
    weight = Weight(name, ELEMENTS[kind].name, shape, wire.file, None, size, wire, start, stop)
    if single.get(_LOCATION, (0, 0))[0] == 1:
        return _place_outside(weight, external, neighbours)
    if _RAW in single and kind != STRING:
        first, last = single[_RAW]
        if last - first != size:
            raise _mismatch(weight, f"{size:,} bytes", last - first)
        return weight._replace(offset=first)
    return _place_typed(weight, kind)


def _shape(wire: Wire, name: str, dims: list[int]) -> tuple[int, ...]:
    sane = len(dims) <= _RANK_LIMIT and min(dims, default=0) >= 0
    if not sane or math.prod(max(length, 1) for length in dims) > _COUNT_LIMIT:
        raise wire.error(f"weight {name!r} has a shape that makes no sense: {dims[:8]}")
    return tuple(dims)


def _place_typed(weight: Weight, kind: int) -> Weight:
    """Find numbers that are spelt in a typed field."""
    element = ELEMENTS[kind]
    found = _find_typed(weight.wire, weight.start, weight.stop, element)
    wanted = math.prod(weight.shape)
    if element.name.startswith("complex"):
        wanted *= 2
    elif 0 < element.bits < 8:
        wanted = weight.nbytes
    if found.elements != wanted:
        raise _mismatch(weight, f"{wanted:,} elements", found.elements)
    nbytes = found.nbytes if kind == STRING else weight.nbytes
    return weight._replace(offset=found.offset, nbytes=nbytes)


def _place_outside(weight: Weight, entries: dict[str, str], neighbours: Neighbours) -> Weight:
    """Find numbers in a file of their own."""
    wire, name, size = weight.wire, weight.name, weight.nbytes
    if weight.dtype == "string":
        raise wire.error(f"weight {name!r} has texts in a file of its own, which are not read")
    place = neighbours.find(entries.get("location", ""), weight=name)
    numbers = {"offset": "0", "length": str(size)} | entries
    for key in ("offset", "length"):
        text = numbers[key]
        if not text.isascii() or not text.isdecimal() or len(text) > 19:
            raise wire.error(f"the {key} of weight {name!r} is no number: {text[:40]!r}")
    offset, length = int(numbers["offset"]), int(numbers["length"])
    if length != size:
        raise wire.error(f"weight {name!r} needs {size:,} bytes, the model names {length:,}")
    if offset + size > place.size:
        raise wire.error(f"weight {name!r} lies past the end of {place.file.name!r}: truncated?")
    return weight._replace(file=place.file, offset=offset)


def _mismatch(weight: Weight, wanted: str, found: int) -> ModelError:
    kind = f"{weight.name!r} of type {weight.dtype} and shape {weight.shape}"
    return weight.wire.error(f"weight {kind} needs {wanted}, the file has {found:,}")


def read_packed(wire: Wire, first: int, last: int) -> list[int]:
    """Read a short list of packed signed numbers."""
    if last - first > _LIST_LIMIT:
        raise wire.error(f"a list of {last - first:,} bytes: not a network to work with")
    numbers = []
    while first < last:
        value, first = wire.varint(first, last)
        numbers.append(signed(value))
    return numbers


def read_entry(wire: Wire, start: int, stop: int) -> tuple[str, str]:
    """Read a pair of texts, a key and its value."""
    pair = {_KEY: "", _VALUE: ""}
    for tag, first, last in wire.fields(start, stop):
        if tag in pair:
            pair[tag] = wire.text(first, last)
    return pair[_KEY], pair[_VALUE]
