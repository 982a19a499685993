"""ONNX messages made from a graph: what is kept is copied byte by byte, never written anew.

Source of the numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .elements import NAMES
from .graph import DOC, GRAPH, METADATA, TRAINING
from .wire import CHUNK, VARINT, chunk_field, number_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .graph import Graph, Node, Weight
    from .nodes import Span

NODE, _GRAPH_NAME, WEIGHT, INPUT, OUTPUT, VALUE = 1, 2, 5, 11, 12, 13
"""Fields of ``GraphProto``."""

_DIMS, _DATA_TYPE, _STRING_DATA, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 6, 8, 9, 13, 14
"""Fields of ``TensorProto``."""

_COPIED = 4096
"""Weights of up to so many bytes are copied: onnxruntime wants shapes, axes and scales at hand."""

_INPUTS_LISTED = 4
"""Before this version of the format, weights are listed as inputs too."""

_MODEL_LIMIT = (1 << 31) - 1


def is_large(weight: Weight) -> bool:
    """Tell whether a weight is better left in its file."""
    return weight.nbytes > _COPIED and weight.dtype != "string"


def is_stated(graph: Graph, node: Node) -> bool:
    """Tell whether a node is a Constant that is among the weights."""
    return any(tensor in graph.weights for tensor in node.outputs)


def raw(graph: Graph, span: Span) -> bytes:
    """Copy a message."""
    return graph.wire.data[slice(*span)]


def weight_message(weight: Weight, folder: Path) -> bytes:
    """Write a ``TensorProto``: the place of a large weight relative to `folder`, or its numbers."""
    name = chunk_field(_NAME, weight.name.encode())
    if weight.offset is None and weight.values is None:
        # Of two names the last one counts: in a Constant node the tensor has another, or none.
        return weight.wire.data[weight.start : weight.stop] + name
    head = b"".join(number_field(_DIMS, length) for length in weight.shape)
    head += number_field(_DATA_TYPE, NAMES[weight.dtype]) + name
    if weight.values is not None and weight.dtype == "string":
        texts = (text.encode() for text in weight.values.ravel().tolist())
        return head + b"".join(chunk_field(_STRING_DATA, text) for text in texts)
    if weight.offset is None or not is_large(weight):
        return head + chunk_field(_RAW, weight.stored())
    place = {
        "location": weight.file.relative_to(folder).as_posix(),
        "offset": str(weight.offset),
        "length": str(weight.nbytes),
    }
    for key, text in place.items():
        entry = chunk_field(1, key.encode()) + chunk_field(2, text.encode())
        head += chunk_field(_EXTERNAL, entry)
    return head + number_field(_LOCATION, 1)


def value_message(name: str, dtype: str = "", shape: Sequence[int] = ()) -> bytes:
    """Write a ``ValueInfoProto``, without a type when `dtype` is empty."""
    label = chunk_field(1, name.encode())
    if not dtype:
        return label
    dims = b"".join(chunk_field(1, number_field(1, length)) for length in shape)
    tensor = number_field(1, NAMES[dtype]) + chunk_field(2, dims)
    return label + chunk_field(2, chunk_field(1, tensor))


def weight_fields(graph: Graph, weights: Iterable[Weight], folder: Path) -> list[bytes]:
    """Write weights, and list them as inputs where an old format wants that."""
    weights = list(weights)
    fields = [chunk_field(WEIGHT, weight_message(weight, folder)) for weight in weights]
    if graph.ir_version < _INPUTS_LISTED:
        fields += (
            chunk_field(INPUT, value_message(weight.name, weight.dtype, weight.shape))
            for weight in weights
        )
    return fields


def model_message(graph: Graph, fields: Iterable[bytes]) -> bytes:
    """Write a model around the fields of a graph: versions and functions are the original's.

    Raises
    ------
    ModelError
        When it passes the 2 GB that a message can have.
    """
    wire = graph.wire
    parts = []
    for tag, first, last in wire.fields(0, len(wire.data)):
        if tag & 7 == VARINT:
            parts.append(number_field(tag >> 3, first))
        elif tag & 7 == CHUNK and tag not in {GRAPH, DOC, METADATA, TRAINING}:
            parts.append(chunk_field(tag >> 3, wire.data[first:last]))
    body = b"".join([chunk_field(_GRAPH_NAME, b"cut"), *fields])
    model = b"".join([*parts, chunk_field(GRAPH >> 3, body)])
    if len(model) > _MODEL_LIMIT:
        raise wire.error("weights that have to be copied pass 2 GB")
    return model
