"""Fingerprints of kernels: what is left of them when a channel is scaled or rounded to 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.inference.weights import arranged, place_of
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow

_CHANNELS, _VALUES = 32, 512
"""Of a kernel so many output channels are looked at, and so many values of each."""

_FEWEST = 24
"""Kernels with fewer values than this may be alike by chance."""


def fingerprint(graph: Graph, flow: Dataflow, node: Node) -> NDArray[Any] | None:
    """Sample the weights of a convolution or a dense layer, every output channel of length 1.

    A batch norm that is folded into them scales whole channels, and so leaves it as it is, up to
    the sign.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    node : Node
        The operator.

    Returns
    -------
    ndarray of shape (channels, values), or None
        None where there are too few weights, or they are computed.
    """
    position = place_of(flow, node)
    values = _stored(graph, flow, node, position)
    if values is None or values.ndim < 2:
        return None
    try:
        values = arranged(node, position, values, graph.wire.name)
    except ModelError:
        return None
    sample = values[:: -(-len(values) // _CHANNELS)]
    sample = sample.reshape(len(sample), -1)[:, :_VALUES].astype(np.float32)
    if not np.isfinite(sample).all() or sample.size - len(sample) < _FEWEST:
        return None
    length = np.linalg.norm(sample, axis=1, keepdims=True)
    return np.asarray(sample / np.where(length, length, 1))


def likeness(a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Compare fingerprints of one shape with each other.

    Parameters
    ----------
    a, b : sequence of ndarray of shape (channels, values)
        Of two networks.

    Returns
    -------
    ndarray of shape (len(a), len(b))
        Mean cosine of the channels, from 0 to 1. Channels without weights do not count.
    """
    left, right = np.stack(a, axis=1), np.stack(b, axis=1)
    cosines = np.abs(left @ right.transpose(0, 2, 1))
    alive = np.einsum("cu,cv->uv", *(np.any(side, axis=2).astype(int) for side in (left, right)))
    return np.asarray(cosines.sum(axis=0) / np.maximum(alive, 1))


def _stored(graph: Graph, flow: Dataflow, node: Node, position: int) -> NDArray[Any] | None:
    """Read the weights as they are stored, 0 where they stand for 0."""
    whole = node.op.endswith("Integer") or node.op.startswith("QLinear") or node.op == "QGemm"
    zero = operand(node, position + 2) if whole else ""
    return _constant(graph, flow, operand(node, position), zero)


def _constant(graph: Graph, flow: Dataflow, tensor: str, zero: str = "") -> NDArray[Any] | None:
    """Read a constant that is stored, or a stored one in another order; None for others."""
    made = graph.producer_of.get(tensor)
    weight = flow.weight(tensor)
    if weight is not None:
        if made is not None and made.op == "DequantizeLinear":
            zero = operand(made, 2)
        values = weight.read()
        zeros = graph.weights.get(zero)
        numbers = zeros.read().astype(np.float32).ravel() if zeros else np.zeros(1, np.float32)
        if not numbers.any():
            return values
        axis = made.attribute("axis", 1) if made is not None else 0
        shape = [1] * values.ndim
        if len(numbers) > 1 and isinstance(axis, int):
            shape[axis if values.shape[axis] == len(numbers) else 0] = -1
        return values.astype(np.float32) - numbers.reshape(shape)
    if made is None or made.op != "Transpose":
        return None
    source = _constant(graph, flow, operand(made, 0))
    if source is None:
        return None
    return source.transpose(made.attribute("perm") or tuple(reversed(range(source.ndim))))
