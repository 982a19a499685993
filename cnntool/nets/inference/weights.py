"""Learned weights of a layer: its kernels, or the matrix of a dense layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.layers.dataflow import FACTORS, KERNEL, operand
from cnntool.nets.layers.receptive_field import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.runtime.providers import SessionSettings


class LayerWeights(NamedTuple):
    """The weights of a layer.

    Parameters
    ----------
    values : ndarray of float32
        Kernels (O, I, kH, kW), or a matrix (O, I): output and input channels, rows, columns.
    tensor : str
        What the network calls them.
    dequantised : bool
        Whether they are stored as whole numbers that stand for these.
    colours : bool
        Whether the input channels are those of the picture.
    """

    values: NDArray[Any]
    tensor: str
    dequantised: bool
    colours: bool

    @property
    def is_kernels(self) -> bool:
        """Whether they are kernels, not a matrix."""
        return self.values.ndim == 4


def has_weights(graph: Graph, layer: Layer) -> bool:
    """Tell whether a layer is a convolution or a product of matrices."""
    op = graph.nodes[layer.members[0]].op
    return op in KERNEL or op in FACTORS


def place_of(flow: Dataflow, node: Node) -> int:
    """Tell which input of a convolution or a product its weights are."""
    if node.op in KERNEL:
        return KERNEL[node.op]
    first, second = FACTORS[node.op]
    return first if operand(node, second) in flow.data else second


def learned(
    graph: Graph,
    flow: Dataflow,
    layer: Layer,
    settings: SessionSettings,
    *,
    read: Callable[[str], NDArray[Any]] | None = None,
) -> LayerWeights:
    """Read the weights of a convolution or a dense layer.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    layer : Layer
        One of its layers.
    settings : SessionSettings
        How to run the part of the network that makes the weights, where it computes them from
        what is stored.
    read : callable, optional
        Gives constants that were read before, by their names.

    Returns
    -------
    Learned
        Of a one-dimensional convolution, kernels of one row.

    Raises
    ------
    ModelError
        For a layer of another kind, or one whose weights depend on the picture.
    """
    node = graph.nodes[layer.members[0]]
    name = graph.wire.name
    what = layer.alias or layer.node or layer.pre
    if not has_weights(graph, layer):
        raise ModelError(
            f"{what!r} has no kernel: it is of kind {layer.kind}",
            source=name,
            hint=f"'cnntool layers {name} `type=conv`' lists those that have",
        )
    position = place_of(flow, node)
    tensor = operand(node, position)
    if tensor in flow.data:
        raise ModelError(f"the weights of {what!r} are computed from the picture", source=name)
    read = read or partial(read_constant, graph, flow, settings=settings)
    values = read(tensor)
    scaled = _scaled(node, position, values, read)
    made = graph.producer_of.get(tensor)
    dequantised = scaled is not None or (made is not None and made.op == "DequantizeLinear")
    values = np.asarray(values if scaled is None else scaled, np.float32)
    values = arranged(node, position, values, name)
    return LayerWeights(values, tensor, dequantised, _sees_colours(graph, flow, node, values))


def read_constant(
    graph: Graph, flow: Dataflow, tensor: str, *, settings: SessionSettings
) -> NDArray[Any]:
    """Read a constant, or have onnxruntime compute it."""
    return read_constants(graph, flow, [tensor], settings=settings)[tensor]


def read_constants(
    graph: Graph, flow: Dataflow, tensors: Sequence[str], *, settings: SessionSettings
) -> dict[str, NDArray[Any]]:
    """Read constants, by their names; onnxruntime computes at once those that are not stored."""
    found = {}
    for tensor in tensors:
        made = graph.producer_of.get(tensor)
        if made is None or made.op in {"Identity", "Cast"} or tensor in graph.weights:
            weight = flow.weight(tensor)
            if weight is not None:
                found[tensor] = weight.read()
    computed = [tensor for tensor in tensors if tensor not in found]
    if computed:
        from cnntool.nets.file.subgraph import skeleton
        from cnntool.nets.runtime.session import Session

        settings = settings._replace(device="cpu", optimise=False)
        with Session(skeleton(graph, computed), settings, name=graph.wire.name) as session:
            found.update(zip(computed, session.run({}, computed), strict=True))
    return found


def _scaled(
    node: Node, position: int, values: NDArray[Any], read: Callable[[str], NDArray[Any]]
) -> NDArray[Any] | None:
    """Undo the quantisation of weights whose operator takes whole numbers; None for others."""
    if node.op.endswith("Integer"):
        at, scaled = position + 2, False
    elif node.op.startswith("QLinear") or node.op == "QGemm":
        at, scaled = position + 2, True
    else:
        return None
    numbers = [
        read(tensor).astype(np.float32) if tensor else np.float32(default)
        for tensor, default in (
            (operand(node, position + 1) if scaled else "", 1),
            (operand(node, at), 0),
        )
    ]
    axis = 0 if node.op in KERNEL or node.attribute("transB", 0) == 1 else -1
    shape = [1] * values.ndim
    shape[axis] = -1
    scale, zero = (np.reshape(n, shape if np.size(n) > 1 else ()) for n in numbers)
    result: NDArray[Any] = (values.astype(np.float32) - zero) * scale
    return result


def arranged(node: Node, position: int, values: NDArray[Any], name: str) -> NDArray[Any]:
    """Put output channels first, then input channels."""
    if node.op in FACTORS:
        if values.ndim != 2:
            raise ModelError(f"a product with {values.ndim} axes is no dense layer", source=name)
        turned = node.attribute("transB" if position else "transA", 0) == 1
        return values.T if turned == (position == 0) else values
    if values.ndim == 3:
        values = values[:, :, None, :]
    if values.ndim != 4:
        dimensions = max(0, values.ndim - 2)
        raise ModelError(f"kernels of {dimensions} dimensions cannot be shown", source=name)
    if node.op == "ConvTranspose":  # stored by input channel, in groups
        groups = node.attribute("group", 1)
        groups = groups if isinstance(groups, int) and groups > 0 else 1
        if len(values) % groups:
            raise ModelError("its groups do not divide its channels", source=name)
        parts = values.reshape(groups, -1, *values.shape[1:]).swapaxes(1, 2)
        values = parts.reshape(-1, *parts.shape[2:])
    return values


def _sees_colours(graph: Graph, flow: Dataflow, node: Node, values: NDArray[Any]) -> bool:
    """Tell whether a kernel's inputs are the picture's channels: each has seen one pixel so far."""
    if values.ndim != 4 or values.shape[1] != 3:
        return False
    sources = [tensor for tensor in node.inputs if tensor in flow.data]
    field = trace(graph, flow).get(sources[0]) if sources else None
    return field is not None and set(field.extent) == {1}
