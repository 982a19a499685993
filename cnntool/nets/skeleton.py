"""Skeletons: a part of a network as a model of a few kilobytes.

A layer is looked at by asking for it as an output. A skeleton holds the nodes that the wanted
tensors need, and no weights: these stay where they are in the original file, and
onnxruntime is told their places as external data. So a layer of a model of 500 MB opens in
milliseconds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .order import needs
from .probe import read_shapes, shape_probe
from .wire import chunk_field
from .writing import (
    INPUT,
    NODE,
    OUTPUT,
    VALUE,
    is_stated,
    model_message,
    raw,
    value_message,
    weight_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .graph import Graph, Node

__all__ = ["Skeleton", "read_shapes", "shape_probe", "skeleton"]


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


def skeleton(graph: Graph, outputs: Sequence[str]) -> Skeleton:
    """Cut a network at some tensors.

    Parameters
    ----------
    graph : Graph
        The network. Its files must stay as they are while the skeleton is in use.
    outputs : sequence of str
        The tensors wanted: results of nodes, and also weights and inputs of the network, which
        are handed through. They become the outputs, in this order, each once.

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
    nodes, used = _ancestors(graph, wanted)
    weights = [weight for name, weight in graph.weights.items() if name in used]
    folders = {weight.file.parent for weight in weights} | {graph.wire.file.parent}
    folder = Path(os.path.commonpath(folders))
    inputs = [info.name for info in graph.inputs if info.name in used]
    between = [name for name in graph.body.values if name in used and name not in wanted]
    return Skeleton(
        model_message(
            graph,
            [
                *(chunk_field(NODE, raw(graph, node.span)) for node in nodes),
                *(chunk_field(INPUT, raw(graph, graph.body.inputs[name])) for name in inputs),
                *weight_fields(graph, weights, folder),
                *(chunk_field(OUTPUT, _output(graph, name)) for name in wanted),
                *(chunk_field(VALUE, raw(graph, graph.body.values[name])) for name in between),
            ],
        ),
        folder,
    )


def _ancestors(graph: Graph, wanted: Sequence[str]) -> tuple[list[Node], set[str]]:
    """Find the nodes that make the wanted tensors, and all tensors that take part."""
    inputs = {info.name for info in graph.inputs}
    used: set[str] = set()
    kept: set[int] = set()
    asked = list(wanted)
    while asked:
        tensor = asked.pop()
        if tensor in used:
            continue
        used.add(tensor)
        node = graph.producer_of.get(tensor)
        if node is None or is_stated(graph, node):
            if tensor not in graph.weights and tensor not in inputs:
                raise graph.wire.error(f"the network has no tensor {tensor!r}")
        elif node.index not in kept:
            kept.add(node.index)
            asked += needs(node)
    nodes = [graph.nodes[index] for index in sorted(kept)]
    used.update(tensor for node in nodes for tensor in node.outputs)
    return nodes, used


def _output(graph: Graph, name: str) -> bytes:
    """Write an output with what the file says of it; onnxruntime infers the rest."""
    for spans in (graph.body.outputs, graph.body.inputs, graph.body.values):
        if name in spans:
            return raw(graph, spans[name])
    weight = graph.weights.get(name)
    return value_message(name, weight.dtype, weight.shape) if weight else value_message(name)
