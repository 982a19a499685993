"""Tensors whose elements are spelt in typed fields, packed into one or one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .elements import DOUBLE_DATA, FLOAT_DATA, STRING_DATA, Element, stored_bytes
from .wire import CHUNK, FIXED32, FIXED64, VARINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .wire import Wire

_FIXED = {FLOAT_DATA: (FIXED32, "<f4", 4), DOUBLE_DATA: (FIXED64, "<f8", 8)}
"""Fields of numbers of fixed size: their kind, dtype and bytes."""

_PIECE = 1 << 20


class Found(NamedTuple):
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


def find(wire: Wire, start: int, stop: int, element: Element) -> Found:
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
    return Found(count, nbytes, offset if fixed and pieces == 1 else None)


def gather(wire: Wire, start: int, stop: int, element: Element, count: int) -> NDArray[Any]:
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


def gather_texts(wire: Wire, start: int, stop: int, element: Element, count: int) -> NDArray[Any]:
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
