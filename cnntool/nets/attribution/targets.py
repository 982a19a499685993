"""What is explained and where: the tensor of the class scores, and the layer that is looked at."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.layers.dataflow import operand
from cnntool.nets.layers.shapes import lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node, TensorInfo
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.receptive_field import ReceptiveField

_SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "QLinearSoftmax", "QLinearSigmoid"})
_HANDED_ON = frozenset(
    {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout"}
    | {"QuantizeLinear", "DequantizeLinear"}
)
_SHRUNK = frozenset({"MaxPool", "AveragePool", "Pad", "QLinearAveragePool"})
_EXTRA = 16
"""Tokens that may stand before those of the picture: of the class, and registers."""


def score_tensor(graph: Graph, plan: InferredSpec) -> str:
    """Name the class scores before the softmax or sigmoid; without one, the answer itself.

    The gradient of a probability vanishes where the network is sure.
    """
    if plan.output.logits:
        return plan.output.logits
    tensor = answer = plan.output.name or ""
    while (node := graph.producer_of.get(tensor)) is not None and node.inputs:
        if node.op in _SQUASHING:
            return node.inputs[0]
        if node.op == "Div":
            return _spelt_out(graph, node) or answer
        if node.op not in _HANDED_ON:
            return answer
        tensor = node.inputs[0]
    return answer


def _spelt_out(graph: Graph, node: Node) -> str:
    """Find what goes into a softmax that is spelt out: ``exp(x - max x) / sum exp(x - max x)``."""
    above, below = (graph.producer_of.get(operand(node, side)) for side in (0, 1))
    if above is None or below is None or (above.op, below.op) != ("Exp", "ReduceSum"):
        return ""
    if below.inputs[0] != node.inputs[0]:
        return ""
    before = graph.producer_of.get(above.inputs[0])
    if before is not None and before.op == "Sub":
        greatest = graph.producer_of.get(before.inputs[1])
        if greatest is not None and greatest.op == "ReduceMax":
            return before.inputs[0]
    return above.inputs[0]


class Grid(NamedTuple):
    """How a tensor is laid out as maps.

    Parameters
    ----------
    rows, columns : int
        Of a map.
    axes : str
        ``"CHW"``, ``"HWC"``, or ``"TC"``: tokens, of which the last are the picture's.
    """

    rows: int
    columns: int
    axes: str

    def maps(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Lay out a tensor, without its batch, as maps (C, rows, columns)."""
        if self.axes == "TC":
            values = values[-self.rows * self.columns :]
            values = values.reshape(self.rows, self.columns, -1)
        if self.axes != "CHW":
            values = np.moveaxis(values, 2, 0)
        return np.ascontiguousarray(values, np.float32)


def grid_of(
    shape: tuple[int, ...],
    picture: tuple[int, int],
    shapes: Mapping[str, TensorInfo],
    field: ReceptiveField | None = None,
) -> Grid | None:
    """Find rows and columns in a tensor; None where it has none, or only one place.

    Parameters
    ----------
    shape : tuple of int
        Of the tensor, with its batch.
    picture : (int, int)
        Rows and columns of what goes in: maps have about the same proportions.
    shapes : mapping of str to TensorInfo
        Those of all tensors: the maps that tokens were made of are among them.
    field : ReceptiveField, optional
        What is known of its axes; else the proportions tell them.
    """
    if len(shape) == 4:
        sides = {"CHW": shape[2:4], "HWC": shape[1:3]}
        told: dict[tuple[int, ...], str] = {(2, 3): "CHW", (1, 2): "HWC"}
        known_axes = told.get(field.axes) if field else None
        axes = known_axes or min(sides, key=lambda word: _stretch(sides[word], picture))
        rows, columns = sides[axes]
        return Grid(rows, columns, axes) if rows * columns > 1 else None
    if len(shape) != 3 or shape[1] < 4:
        return None
    known = {length[2:4] for info in shapes.values() if len(length := lengths(info) or ()) == 4}
    for extra in range(min(_EXTRA, shape[1] - 4)):
        places = shape[1] - extra
        counts = [n for n in range(1, isqrt(places) + 1) if places % n == 0]
        guesses = [sides for n in counts for sides in ((n, places // n), (places // n, n))]
        fitting = [sides for sides in guesses if _stretch(sides, picture) < 1.1]
        if extra and not known.intersection(fitting):
            continue
        if fitting:
            best = min(fitting, key=lambda sides: _stretch(sides, picture))
            return Grid(*best, "TC")
    return None


def _stretch(sides: tuple[int, ...], picture: tuple[int, int]) -> float:
    """Tell how much wider or taller than the picture a map is: 1 for equal proportions."""
    if not all(sides):
        return float("inf")
    ratio = sides[0] * picture[1] / (sides[1] * picture[0])
    return max(ratio, 1 / ratio)


def last_maps(
    flow: Dataflow,
    score: str,
    picture: tuple[int, int],
    shapes: Mapping[str, TensorInfo],
    fields: Mapping[str, ReceptiveField],
) -> Iterator[tuple[str, Grid]]:
    """Yield the layers to look at, the best first.

    In a convolutional network it is the last activation before the global pooling or the flatten
    whose maps have more than one place. In a transformer the last norms: behind the last attention
    only the class token may count, so the first one whose other tokens have a gradient is meant.
    """
    graph = flow.graph
    nodes = _ancestors(graph, flow, score)
    attention = any(node.op in {"Softmax", "Attention", "MultiHeadAttention"} for node in nodes)
    for node in nodes:
        tensor = next(filter(None, node.outputs), "")
        shape = lengths(shapes.get(tensor))
        if shape is None or node.op in _HANDED_ON | _SHRUNK or "int" in shapes[tensor].dtype:
            continue
        if attention and not _is_norm(graph, node):
            continue
        if not attention and len(shape) != 4:
            continue
        grid = grid_of(shape, picture, shapes, fields.get(tensor))
        if grid is not None:
            yield tensor, grid


def _ancestors(graph: Graph, flow: Dataflow, score: str) -> list[Node]:
    """List the nodes that a tensor is made by of the picture, the last first."""
    wanted = {score}
    found = []
    for node in reversed(graph.nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(name for name in node.inputs if name in flow.data)
            found.append(node)
    return found


def _is_norm(graph: Graph, node: Node) -> bool:
    """Tell whether a node ends a layer norm, which may be spelt out: ``... * gamma + beta``."""
    if node.op != "Add":
        return node.op in {"LayerNormalization", "SkipLayerNormalization", "RMSNormalization"}
    for factor in (graph.producer_of.get(name) for name in node.inputs):
        if factor is not None and factor.op == "Mul":
            before = [graph.producer_of.get(name) for name in factor.inputs]
            return any(one is not None and one.op in {"Div", "Mul"} for one in before)
    return False
