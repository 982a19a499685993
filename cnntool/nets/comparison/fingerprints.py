"""Fingerprints of weights: what is left of them when a channel is scaled or rounded to 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.inference.weights import arranged, place_of
from cnntool.nets.layers.dataflow import DOMAINS, KERNEL, operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow

_CHANNELS, _VALUES = 32, 512
"""Of a kernel so many output channels are looked at, and so many values of each."""

_UNRELATED, _ORDERED, _ENOUGH = 0.4, 0.6, 16
"""Below this mean cosine kernels have nothing to do with each other, unless the sums of so many
channels correlate."""

_SCALED = 0.02
"""By so much the channels' lengths differ at least where a norm is folded into them."""

_ARRANGED = frozenset({"Transpose", "Reshape"})

_FEWEST = 24
"""Kernels with fewer values than this may be alike by chance."""

_SAME_ORDER, _OTHER_ORDER = 0.95, 0.5
"""Vectors whose ranks correlate so well are the same one; those of other norms do so by less than
the second, on average."""

_RANKED = 4096
"""Of what a norm has learned so many values are ranked."""


class Fingerprint(NamedTuple):
    """What the weights of a convolution or a dense layer are known by.

    Parameters
    ----------
    channels : ndarray of shape (channels, values)
        Some values of some output channels, each channel of length 1: a batch norm that is folded
        into them leaves it as it is, up to the sign.
    sums : ndarray of shape (channels,)
        Sum of all values of these channels by their lengths: in whatever order their inputs are.
    lengths : ndarray of shape (channels,)
        Euclidean lengths of whole channels.
    """

    channels: NDArray[Any]
    sums: NDArray[Any]
    lengths: NDArray[Any]


def fingerprint(graph: Graph, flow: Dataflow, node: Node) -> Fingerprint | None:
    """Sample the weights of a convolution or a dense layer.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    node : Node
        The operator.

    Returns
    -------
    Fingerprint or None
        None where there are too few weights, or they are computed.
    """
    if node.domain not in DOMAINS:  # its weights are in an order of its own
        return None
    position = place_of(flow, node)
    values = constant(graph, flow, operand(node, position))
    if values is None or values.ndim < 2:
        return None
    try:
        zero = _zero(graph, node, position, values)
        values = arranged(node, position, values - zero if zero.any() else values, graph.wire.name)
    except (
        ModelError,
        ValueError,
        IndexError,
    ):  # of more dimensions, or no weights as they should be
        return None
    sample = values[:: -(-len(values) // _CHANNELS)].astype(np.float32)
    sample = sample.reshape(len(sample), -1)
    lengths = np.linalg.norm(sample, axis=1)
    if not np.isfinite(lengths).all() or sample.size - len(sample) < _FEWEST:
        return None
    sums = np.abs(sample.sum(axis=1)) / np.where(lengths, lengths, 1)
    channels = sample[:, :_VALUES]
    norm = np.linalg.norm(channels, axis=1, keepdims=True)
    return Fingerprint(channels / np.where(norm, norm, 1), sums, lengths)


def likeness(a: Sequence[Fingerprint], b: Sequence[Fingerprint]) -> NDArray[Any]:
    """Compare fingerprints of one shape with each other.

    Parameters
    ----------
    a, b : sequence of Fingerprint
        Of two networks.

    Returns
    -------
    ndarray of shape (len(a), len(b))
        Mean cosine of the channels, from 0 to 1. Channels without weights do not count.
    """
    left, right = (np.stack([one.channels for one in side], axis=1) for side in (a, b))
    cosines = np.abs(left @ right.transpose(0, 2, 1))
    alive = np.einsum("cu,cv->uv", *(np.any(side, axis=2).astype(int) for side in (left, right)))
    return np.asarray(cosines.sum(axis=0) / np.maximum(alive, 1))


def is_unrelated(a: Fingerprint, b: Fingerprint) -> bool:
    """Tell whether two kernels are no more alike than any two are.

    Their inputs may be in another order: those of a dense layer are where channels come last.
    """
    if a.channels.shape != b.channels.shape:
        return True
    with np.errstate(invalid="ignore"):
        ordered = np.corrcoef(a.sums, b.sums)[0, 1] if len(a.sums) >= _ENOUGH else 0
    return bool(likeness([a], [b])[0, 0] < _UNRELATED and not ordered > _ORDERED)


def is_scaled(a: Fingerprint, b: Fingerprint) -> bool:
    """Tell whether the channels of two kernels that are alike are scaled differently."""
    alive = (a.lengths > 0) & (b.lengths > 0)
    ratio = a.lengths[alive] / b.lengths[alive]
    return bool(ratio.size and np.median(np.abs(ratio - 1)) > _SCALED)


class Ranked(NamedTuple):
    """What a norm has learned, as far as it is known by that.

    Parameters
    ----------
    shape : tuple of int
        Of one tensor, without axes of length 1.
    ranks : ndarray or None
        Of its values: they stay as they are when the values are rounded, and nearly so in further
        training. None where there are few, or most of them are equal.
    """

    shape: tuple[int, ...]
    ranks: NDArray[Any] | None


def ranked(graph: Graph, flow: Dataflow, node: Node) -> list[Ranked]:
    """Rank what a norm, a scale, or another operator without kernels has learned.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    node : Node
        The operator.

    Returns
    -------
    list of Ranked
        In the order of the operator's inputs: scale, shift, mean, variance.
    """
    found = []
    for tensor in node.inputs:
        values = None if tensor in flow.data else constant(graph, flow, tensor)
        if values is None or values.dtype.kind not in "fiu" or values.size < _ENOUGH:
            continue
        shape = tuple(length for length in values.shape if length != 1)
        sample = values.reshape(-1)[:: -(-values.size // _RANKED)]
        _, counts = np.unique(sample, return_counts=True)
        told = len(counts) >= _ENOUGH and 2 * counts.max() <= sample.size
        found.append(Ranked(shape, sample.argsort(kind="stable").argsort() if told else None))
    return found


def are_others(a: Sequence[Ranked], b: Sequence[Ranked]) -> bool:
    """Tell whether what two norms have learned is of other lengths, or alike by chance only."""
    alike = []
    for one, other in zip(a, b, strict=False):
        if one.shape == other.shape and one.ranks is not None and other.ranks is not None:
            alike.append(np.corrcoef(one.ranks, other.ranks)[0, 1])
        elif len(one.shape) == len(other.shape) == 1 and one.shape != other.shape:
            return True
    return bool(alike and max(alike) < _SAME_ORDER and np.mean(alike) < _OTHER_ORDER)


def constant(graph: Graph, flow: Dataflow, tensor: str) -> NDArray[Any] | None:
    """Read a constant as it is stored, perhaps as whole numbers, in the shape in which it is used.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    tensor : str
        The constant.

    Returns
    -------
    ndarray or None
        Memory-mapped where possible; None where it is computed.
    """
    weight = flow.weight(tensor)
    made = graph.producer_of.get(tensor)
    try:
        if weight is not None:
            return weight.read()
        values = constant(graph, flow, operand(made, 0)) if made and made.op in _ARRANGED else None
        if values is None or made is None:
            return None
        if made.op == "Transpose":
            return values.transpose(made.attribute("perm") or tuple(reversed(range(values.ndim))))
        shape = made.attribute("shape") or flow.numbers(operand(made, 1))
        return values.reshape([int(n) for n in shape]) if shape and 0 not in shape else None
    except (ModelError, TypeError, ValueError):  # of a type that is not read, or damaged
        return None


def _zero(graph: Graph, node: Node, position: int, values: NDArray[Any]) -> NDArray[Any]:
    """Find which of the numbers of quantised weights stands for 0, for every channel if need be."""
    made = graph.producer_of.get(operand(node, position))
    axis = 0
    if made is not None and made.op == "DequantizeLinear":
        tensor, axis = operand(made, 2), made.attribute("axis", 1)
    elif node.op.endswith("Integer") or node.op.startswith("QLinear") or node.op == "QGemm":
        tensor, axis = operand(node, position + 2), 0 if node.op in KERNEL else -1
    else:
        tensor = ""
    stored = graph.weights.get(tensor)
    zeros = stored.read().astype(np.float32).ravel() if stored else np.zeros(1, np.float32)
    shape = [1] * values.ndim
    if len(zeros) > 1:
        shape[axis] = -1
    return zeros.reshape(shape)
