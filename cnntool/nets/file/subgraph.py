"""Subgraphs: parts of a network as models of a few kilobytes, and a probe of all its shapes.

A layer is looked at by asking for it as an output. A skeleton holds the nodes that the wanted
tensors need, and no weights: these stay where they are in the original file, and
onnxruntime is told their places as external data. So a layer of a model of 500 MB opens in
milliseconds. What is kept is copied byte by byte, never written anew.

Source of the numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.file.graph import DOC, GRAPH, METADATA, TRAINING
from cnntool.nets.file.messages import node_message
from cnntool.nets.file.nodes import needs
from cnntool.nets.file.tensors import NAMES
from cnntool.nets.file.wire import CHUNK, VARINT, chunk_field, number_field

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from cnntool.nets.file.graph import Graph, Node, TensorInfo, Weight
    from cnntool.nets.file.nodes import Span

NODE, _GRAPH_NAME, WEIGHT, INPUT, OUTPUT, VALUE = 1, 2, 5, 11, 12, 13
"""Fields of ``GraphProto``."""

_NODE_OUTPUT, _NODE_NAME = 2 << 3 | CHUNK, 3
"""The tag of a result in a ``NodeProto``, and the field of its name."""

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


def value_message(
    name: str, dtype: str = "", shape: Sequence[int | str | None] | None = ()
) -> bytes:
    """Write a ``ValueInfoProto``, without a type when `dtype` is empty.

    Lengths that are no numbers are free, and so is the rank when `shape` is None.
    """
    label = chunk_field(1, name.encode())
    if not dtype:
        return label
    tensor = number_field(1, NAMES[dtype])
    if shape is not None:
        dims = (number_field(1, length) if isinstance(length, int) else b"" for length in shape)
        tensor += chunk_field(2, b"".join(chunk_field(1, dim) for dim in dims))
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


_ELEMENTWISE = {"Affine", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh"}
"""Operators from before the standard, which onnxruntime runs and infers no shapes for."""

_PADS_AS_INPUT = 11
"""From this version of the operators on, Pad has no attribute ``pads``."""

_MOST = 30_000
"""Tensors: the time that onnxruntime takes grows by the square of them, here about ten seconds."""


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
            chunk_field(NODE, node_message("Shape", [tensor], [rank], {})),
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
        scalar = () if rank.shape == (0,) else None
        shapes[tensor.name] = tensor._replace(shape=tensor.shape or scalar)
    return shapes


def _node(graph: Graph, node: Node) -> bytes:
    """Copy a node, or write one of the same shapes that onnxruntime can infer."""
    if not node.domain and node.inputs and len(node.outputs) == 1:
        if node.op in _ELEMENTWISE:
            return node_message("Identity", node.inputs[:1], node.outputs, {})
        border = node.attribute("border")
        old = graph.opset[""] < _PADS_AS_INPUT and node.attribute("scale") is None
        if node.op == "Crop" and old and isinstance(border, tuple) and len(border) == 4:
            left, top, right, bottom = border
            pads = [0, 0, -top, -left, 0, 0, -bottom, -right]
            return node_message("Pad", node.inputs[:1], node.outputs, {"pads": pads})
    return raw(graph, node.span)


class Skeleton(NamedTuple):
    """A part of a network, for onnxruntime.

    Parameters
    ----------
    model : bytes
        The model, to be opened from memory.
    folder : Path
        What its external data is relative to: the value of the session option
        ``session.model_external_initializers_file_folder_path``.
    """

    model: bytes
    folder: Path


def skeleton(
    graph: Graph,
    outputs: Sequence[str],
    given: Iterable[TensorInfo] = (),
    *,
    labelled: bool = False,
) -> Skeleton:
    """Cut a network at some tensors.

    Parameters
    ----------
    graph : Graph
        The network. Its files must stay as they are while the skeleton is in use.
    outputs : sequence of str
        The tensors wanted: results of nodes, and also weights and inputs of the network, which
        are handed through. They become the outputs, in this order, each once.
    given : iterable of TensorInfo
        Results of nodes that are fed instead of computed: inputs of these types and shapes. One
        that is wanted, too, is computed all the same, from what is given before it, and comes out
        under its `own_name`.
    labelled : bool
        Whether nodes are named by their first results, whatever the file calls them.

    Returns
    -------
    Skeleton
        The nodes, weights and inputs that the outputs need, and no others. So it may want fewer
        inputs than the network: the session says which.

    Raises
    ------
    ModelError
        When there is no such tensor, or when what has to be copied passes 2 GB.
    """
    wanted = tuple(dict.fromkeys(outputs))
    fed = {info.name: info for info in given}
    if unknown := fed.keys() - (graph.producer_of.keys() - graph.weights.keys()):
        raise graph.wire.error(f"no node makes the tensor {min(unknown)!r}")
    nodes, used = _ancestors(graph, wanted, fed)
    weights = [weight for name, weight in graph.weights.items() if name in used]
    folders = {weight.file.parent for weight in weights} | {graph.wire.file.parent}
    folder = Path(os.path.commonpath(folders))
    inputs = [info.name for info in graph.inputs if info.name in used]
    between = [name for name in graph.body.values if name in used - {*wanted, *fed}]
    return Skeleton(
        model_message(
            graph,
            [
                *(
                    chunk_field(
                        NODE, _renamed(graph, node, fed) + (_label(node) if labelled else b"")
                    )
                    for node in nodes
                ),
                *(chunk_field(INPUT, raw(graph, graph.body.inputs[name])) for name in inputs),
                *(chunk_field(INPUT, value_message(*fed[name])) for name in fed if name in used),
                *weight_fields(graph, weights, folder),
                *(chunk_field(OUTPUT, _output(graph, name, fed)) for name in wanted),
                *(chunk_field(VALUE, raw(graph, graph.body.values[name])) for name in between),
            ],
        ),
        folder,
    )


def _label(node: Node) -> bytes:
    """Write a name for a node: of two the last one counts."""
    return chunk_field(_NODE_NAME, next(filter(None, node.outputs), "").encode())


def own_name(tensor: str) -> str:
    """Name what a network computes itself in the place of a tensor that it is given."""
    return f"{tensor} of its own"


def _ancestors(
    graph: Graph, wanted: Sequence[str], fed: Container[str]
) -> tuple[list[Node], set[str]]:
    """Find the nodes that make the wanted tensors, and all tensors that take part."""
    inputs = {info.name for info in graph.inputs}
    used: set[str] = set()
    kept: set[int] = set()
    asked = [(tensor, tensor in fed) for tensor in wanted]
    while asked:
        tensor, computed = asked.pop()
        if not computed:
            if tensor in used:
                continue
            used.add(tensor)
            if tensor in fed:
                continue
        node = graph.producer_of.get(tensor)
        if node is None or is_stated(graph, node):
            if tensor not in graph.weights and tensor not in inputs:
                raise graph.wire.error(f"the network has no tensor {tensor!r}")
        elif node.index not in kept:
            kept.add(node.index)
            asked += ((need, False) for need in needs(node))
    nodes = [graph.nodes[index] for index in sorted(kept)]
    used.update(tensor for node in nodes for tensor in node.outputs if tensor not in fed)
    return nodes, used


def _renamed(graph: Graph, node: Node, fed: Container[str]) -> bytes:
    """Copy a node; results that are fed to others get their own names."""
    if not any(tensor in fed for tensor in node.outputs):
        return raw(graph, node.span)
    wire, fields = graph.wire, []
    for tag, first, last in wire.fields(*node.span):
        if tag & 7 == VARINT:
            fields.append(number_field(tag >> 3, first))
            continue
        value = wire.data[first:last]
        if tag == _NODE_OUTPUT and value.decode() in fed:
            value = own_name(value.decode()).encode()
        fields.append(chunk_field(tag >> 3, value))
    return b"".join(fields)


def _output(graph: Graph, name: str, fed: Container[str]) -> bytes:
    """Write an output with what the file says of it; onnxruntime infers the rest."""
    if name in fed:
        return value_message(own_name(name))
    for spans in (graph.body.outputs, graph.body.inputs, graph.body.values):
        if name in spans:
            return raw(graph, spans[name])
    weight = graph.weights.get(name)
    return value_message(name, weight.dtype, weight.shape) if weight else value_message(name)
