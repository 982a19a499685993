"""Where the numbers of a ``TensorProto`` lie, and whether they are as many as it says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .elements import ELEMENTS, STRING, stored_bytes
from .typed import find
from .weight import Weight
from .wire import CHUNK, VARINT, signed

if TYPE_CHECKING:
    from cnntool.errors import ModelError

    from .external import Neighbours
    from .wire import Wire

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
    found = find(weight.wire, weight.start, weight.stop, element)
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
