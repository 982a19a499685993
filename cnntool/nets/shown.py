"""The values of a layer as people look at them: maps or a vector, of real numbers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.graph import Graph
    from cnntool.nets.receptive_rules import Field

_SCALES = {
    "QuantizeLinear": 1,
    "QLinearConv": 6,
    "QLinearMatMul": 6,
    "QLinearAdd": 6,
    "QLinearMul": 6,
    "QGemm": 7,
    "QLinearAveragePool": 3,
    "QLinearGlobalAveragePool": 3,
    "QLinearLeakyRelu": 3,
    "QLinearSigmoid": 3,
    "QLinearSoftmax": 3,
    "QLinearConcat": 0,
}
"""Which input of an operator is the scale of its result; the zero point is the next one."""

_HANDED_ON = frozenset(
    {"Identity", "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"}
)


class Shown(NamedTuple):
    """The values of a layer as people look at them.

    Parameters
    ----------
    values : ndarray of shape (C, H, W) or (n,)
        Maps, or a vector.
    dequantised : bool
        Whether they were whole numbers that stand for others.
    """

    values: NDArray[Any]
    dequantised: bool = False


def shown(graph: Graph, tensor: str, values: NDArray[Any], field: Field | None = None) -> Shown:
    """Arrange a tensor as maps or as a vector, and undo its quantisation.

    Parameters
    ----------
    graph : Graph
        The network.
    tensor : str
        Its name.
    values : ndarray
        Without the batch.
    field : Field, optional
        What is known of its axes; by default channels come first.

    Returns
    -------
    Shown
        A matrix, as of a transformer, is one map; maps of one place are a vector.
    """
    values, scaled = dequantised(graph, tensor, values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if field is not None and field.rank == values.ndim + 1 == 4 and field.axes == (1, 2):
        values = np.moveaxis(values, 2, 0)
    if values.ndim > 3:
        values = values.reshape(-1, *values.shape[-2:])
    elif values.ndim == 2:
        values = values[None]
    if values.ndim == 0 or (values.ndim == 3 and values.shape[1:] == (1, 1)):
        values = values.reshape(-1)
    return Shown(np.ascontiguousarray(values), scaled)


def dequantised(graph: Graph, tensor: str, values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Turn whole numbers that stand for others into these, and say whether they were such."""
    scaled = quantisation(graph, tensor) if values.dtype.kind in "iu" else None
    if scaled is None:
        return values, False
    scale, zero = np.float32(scaled[0]), np.float32(scaled[1])
    return (values.astype(np.float32) - zero) * scale, True


def quantisation(graph: Graph, tensor: str) -> tuple[float, float] | None:
    """Return scale and zero point of a quantised tensor: it stands for (value - zero) * scale.

    None where it is not quantised, or where the network does not state one scale.
    """
    for _ in range(len(graph.nodes)):
        node = graph.producer_of.get(tensor)
        if node is None:
            return None
        if node.op in _SCALES:
            at = _SCALES[node.op]
            scale = _number(graph, node.inputs[at : at + 1], 1.0)
            zero = _number(graph, node.inputs[at + 1 : at + 2], 0.0)
            return None if scale is None or zero is None else (scale, zero)
        if node.op not in _HANDED_ON or not node.inputs:
            return None
        tensor = node.inputs[0]
    return None


def _number(graph: Graph, names: Sequence[str], default: float) -> float | None:
    """Read a constant of one number."""
    if not names or not names[0]:
        return default
    weight = graph.weights.get(names[0])
    return float(weight.read().reshape(-1)[0]) if weight and prod(weight.shape) == 1 else None
