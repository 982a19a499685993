"""Write nodes, tensors and models of our own as ONNX has them.

Source of the numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.file.tensors import NAMES
from cnntool.nets.file.wire import FIXED32, chunk_field, encode_varint, number_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Attribute = int | float | str | list[int]
"""What an attribute of a node may be here."""

_FLOAT, _INT, _STRING, _INTS = 1, 2, 3, 7
"""Numbers of the types of attributes."""


def node_message(
    op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Attribute]
) -> bytes:
    """Write a ``NodeProto``; an empty name is an input or output that is left out."""
    fields = [chunk_field(1, name.encode()) for name in inputs]
    fields += (chunk_field(2, name.encode()) for name in outputs)
    fields.append(chunk_field(4, op.encode()))
    fields += (chunk_field(5, _attribute(name, value)) for name, value in attributes.items())
    return b"".join(fields)


def _attribute(name: str, value: Attribute) -> bytes:
    head = chunk_field(1, name.encode())
    if isinstance(value, float):
        number = encode_varint(2 << 3 | FIXED32) + struct.pack("<f", value)
        return head + number_field(20, _FLOAT) + number
    if isinstance(value, int):
        return head + number_field(20, _INT) + number_field(3, value)
    if isinstance(value, str):
        return head + number_field(20, _STRING) + chunk_field(4, value.encode())
    return head + number_field(20, _INTS) + b"".join(number_field(8, item) for item in value)


def tensor_message(name: str, values: NDArray[np.generic]) -> bytes:
    """Write a ``TensorProto`` that holds its numbers."""
    head = b"".join(number_field(1, length) for length in values.shape)
    head += number_field(2, NAMES[values.dtype.name]) + chunk_field(8, name.encode())
    return head + chunk_field(9, np.ascontiguousarray(values).tobytes())


def new_model(opset: int, fields: Iterable[bytes]) -> bytes:
    """Write a model around the fields of a graph.

    Parameters
    ----------
    opset : int
        Version of ONNX's own operators, at least 13.
    fields : iterable of bytes
        Of ``GraphProto``.
    """
    body = b"".join([chunk_field(2, b"graph"), *fields])
    return number_field(1, 8) + chunk_field(8, number_field(2, opset)) + chunk_field(7, body)
