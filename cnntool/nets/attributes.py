"""Attributes of nodes: numbers, texts and tensors."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from .tensors import read_packed, read_tensor
from .wire import CHUNK, FIXED32, VARINT, signed

if TYPE_CHECKING:
    from .external import Neighbours
    from .wire import Wire

_TYPE = 20 << 3 | VARINT

_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS, _TENSORS = 1, 2, 3, 4, 6, 7, 8, 9
"""Numbers of the types that are decoded."""

_SINGLE: dict[int, tuple[int, Any]] = {
    2 << 3 | FIXED32: (_FLOAT, 0.0),
    3 << 3 | VARINT: (_INT, 0),
    4 << 3 | CHUNK: (_STRING, ""),
    5 << 3 | CHUNK: (_TENSOR, None),
}
"""Fields that hold one value: the type, and what is meant when the field is left out."""

_SEVERAL = {
    7 << 3 | FIXED32: _FLOATS,
    7 << 3 | CHUNK: _FLOATS,
    8 << 3 | VARINT: _INTS,
    8 << 3 | CHUNK: _INTS,
    9 << 3 | CHUNK: _STRINGS,
    10 << 3 | CHUNK: _TENSORS,
}
"""Fields that are repeated, by type. Numbers may be packed into one."""


def decode_attribute(wire: Wire, start: int, stop: int, neighbours: Neighbours) -> Any:
    """Decode an ``AttributeProto``.

    Returns
    -------
    int, float, str, Weight, or a tuple of one of these
        What it holds. None for graphs, types and sparse tensors.

    Raises
    ------
    ModelError
        When it is damaged.
    """
    kind = 0
    single = dict(_SINGLE.values())
    several: dict[int, list[Any]] = {_FLOATS: [], _INTS: [], _STRINGS: [], _TENSORS: []}
    seen = 0
    for tag, first, last in wire.fields(start, stop):
        if tag in _SINGLE:
            seen = _SINGLE[tag][0]
            single[seen] = _one(wire, seen, first, last, neighbours)
        elif tag in _SEVERAL:
            seen = _SEVERAL[tag]
            several[seen] += _some(wire, tag, first, last, neighbours)
        elif tag == _TYPE:
            kind = first
    kind = kind or seen  # old files do not say
    return tuple(several[kind]) if kind in several else single.get(kind)


def _one(wire: Wire, kind: int, first: int, last: int, neighbours: Neighbours) -> Any:
    if kind == _FLOAT:
        return struct.unpack_from("<f", wire.data, first)[0]
    if kind == _INT:
        return signed(first)
    if kind == _STRING:
        return str(wire.data[first:last], "utf-8", "replace")
    return read_tensor(wire, first, last, neighbours)


def _some(wire: Wire, tag: int, first: int, last: int, neighbours: Neighbours) -> list[Any]:
    kind = _SEVERAL[tag]
    if kind == _INTS:
        return read_packed(wire, first, last) if tag & 7 == CHUNK else [signed(first)]
    if kind == _FLOATS:
        if (last - first) % 4:
            raise wire.damaged(first)
        return list(np.frombuffer(wire.data, "<f4", (last - first) // 4, first).tolist())
    single = _STRING if kind == _STRINGS else _TENSOR
    return [_one(wire, single, first, last, neighbours)]
