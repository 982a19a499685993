"""Shapes of all tensors of a network, by onnxruntime's own inference and without any weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .order import needs
from .wire import chunk_field, number_field
from .writing import (
    INPUT,
    NODE,
    OUTPUT,
    is_large,
    is_stated,
    model_message,
    raw,
    value_message,
    weight_fields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .graph import Graph, Node, TensorInfo

_ELEMENTWISE = {"Affine", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh"}
"""Operators from before the standard, which onnxruntime runs and infers no shapes for."""

_PADS_AS_INPUT = 11
"""From this version of the operators on, Pad has no attribute ``pads``."""

_MOST = 30_000
"""Tensors: the time that onnxruntime takes grows by the square of them, here about ten seconds."""

_INTS = 7
"""Type of an attribute that is a list of whole numbers."""


def shape_probe(graph: Graph, inputs: Mapping[str, Sequence[int]]) -> bytes:
    """Make a model that tells every shape and is not to be run.

    Weights of more than a few kilobytes are inputs of it, so that none is read; every result
    of a node is an output. A session infers the shapes as it opens: with basic optimisation
    (``ORT_ENABLE_BASIC``) it follows shapes that the network computes, without any
    optimisation it does not.

    Parameters
    ----------
    graph : Graph
        The network.
    inputs : mapping of str to sequence of int
        Shapes of the network's inputs, where they are to replace what the file says.

    Returns
    -------
    bytes
        The model. `read_shapes` understands the session's outputs.

    Raises
    ------
    ModelError
        When the network has no such input, or more tensors than can be asked for.
    """
    unknown = inputs.keys() - {info.name for info in graph.inputs}
    if unknown:
        raise graph.wire.error(f"the network has no input {min(unknown)!r}")
    nodes = [node for node in graph.nodes if not is_stated(graph, node)]
    tensors = [tensor for node in nodes for tensor in node.outputs if tensor]
    if len(tensors) > _MOST:
        raise graph.wire.error(f"{len(tensors)} tensors are more than {_MOST} to infer shapes of")
    used = {tensor for node in nodes for tensor in needs(node)}
    weights = [weight for name, weight in graph.weights.items() if name in used]
    small = [weight for weight in weights if not is_large(weight)]
    large = [weight for weight in weights if is_large(weight)]
    fields = [chunk_field(NODE, _node(graph, node)) for node in nodes]
    for info in graph.inputs:
        if info.name in inputs:
            value = value_message(info.name, info.dtype, inputs[info.name])
        else:
            value = raw(graph, graph.body.inputs[info.name])
        fields.append(chunk_field(INPUT, value))
    fields += weight_fields(graph, small, Path())
    fields += (chunk_field(INPUT, value_message(w.name, w.dtype, w.shape)) for w in large)
    for index, tensor in enumerate(tensors):
        rank = f"rank {index} of {tensor}"
        fields += (
            chunk_field(NODE, _plain_node("Shape", tensor, rank)),
            chunk_field(OUTPUT, value_message(tensor)),
            chunk_field(OUTPUT, value_message(rank)),
        )
    return model_message(graph, fields)


def read_shapes(outputs: Sequence[TensorInfo]) -> dict[str, TensorInfo]:
    """Read what a session over a `shape_probe` says of its outputs.

    Parameters
    ----------
    outputs : sequence of TensorInfo
        Every output of the session. A shape of no axes may mean a scalar, or that nothing is
        known: onnxruntime's Python does not say which. So behind every tensor stands another one,
        its shape as a vector, whose length is the number of axes if they are known.

    Returns
    -------
    dict of str to TensorInfo
        Every result of a node, in order; `shape` is None when it could not be inferred. Weights,
        and Constant nodes with them, are in ``graph.weights`` with their shapes.
    """
    shapes = {}
    for tensor, rank in zip(outputs[::2], outputs[1::2], strict=True):
        known = tensor.shape or rank.shape == (0,)
        shapes[tensor.name] = tensor if known else tensor._replace(shape=None)
    return shapes


def _node(graph: Graph, node: Node) -> bytes:
    """Copy a node, or write one of the same shapes that onnxruntime can infer."""
    if not node.domain and node.inputs and len(node.outputs) == 1:
        if node.op in _ELEMENTWISE:
            return _plain_node("Identity", node.inputs[0], node.outputs[0])
        border = node.attribute("border")
        old = graph.opset[""] < _PADS_AS_INPUT and node.attribute("scale") is None
        if node.op == "Crop" and old and isinstance(border, tuple) and len(border) == 4:
            left, top, right, bottom = border
            pads = (0, 0, -top, -left, 0, 0, -bottom, -right)
            return _plain_node("Pad", node.inputs[0], node.outputs[0], pads=pads)
    return raw(graph, node.span)


def _plain_node(op: str, tensor: str, result: str, **lists: Sequence[int]) -> bytes:
    """Write a ``NodeProto`` of one input, one output and attributes that are lists."""
    node = chunk_field(1, tensor.encode()) + chunk_field(2, result.encode())
    node += chunk_field(4, op.encode())
    for name, numbers in lists.items():
        attribute = chunk_field(1, name.encode()) + number_field(20, _INTS)
        attribute += b"".join(number_field(8, number) for number in numbers)
        node += chunk_field(5, attribute)
    return node
