"""What is explained and where: the tensor of the class scores, and the layer that is looked at."""

from __future__ import annotations

from math import isqrt, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.layers.dataflow import ARRANGING, KIND_OF, operand
from cnntool.nets.layers.shapes import lengths

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node, TensorInfo
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.receptive_field import ReceptiveField

_SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid", "QLinearSoftmax", "QLinearSigmoid"})
_ATTENDING = frozenset({"Softmax", "Attention", "MultiHeadAttention"})
_SHRUNK = frozenset({"MaxPool", "AveragePool", "Pad", "QLinearAveragePool"})
_COUNTS = frozenset({"int32", "int64", "bool"})
"""Types of positions and sums; whole numbers of 8 bits stand for real ones."""
_AXES: Mapping[tuple[int, ...], str] = {(2, 3): "CHW", (1, 2): "HWC"}
_EXTRA = 16
"""Tokens that may stand before those of the picture: of the class, and registers."""
_UNLIKE = 1.1
"""By how much a grid of tokens must not be wider or taller than the picture."""


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
        if node.op not in ARRANGING:
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


def of_one(shape: tuple[int, ...] | None, batch: int) -> tuple[int, ...] | None:
    """Return the shape of a tensor without its batch; None where that is not its first axis."""
    return shape[1:] if shape and shape[0] == batch else None


def convolved(graph: Graph, shapes: Mapping[str, TensorInfo]) -> frozenset[tuple[int, int]]:
    """Find the rows and columns of all maps that convolutions make: patches are among them."""
    found = (
        lengths(shapes.get(node.outputs[0]))
        for node in graph.nodes
        if KIND_OF.get(node.op) == "conv"
    )
    return frozenset((shape[2], shape[3]) for shape in found if shape and len(shape) == 4)


def grid_of(
    shape: tuple[int, ...],
    picture: tuple[int, int],
    known: Collection[tuple[int, int]] = (),
    field: ReceptiveField | None = None,
) -> Grid | None:
    """Find rows and columns in a tensor; None where it has none, or only one place.

    Parameters
    ----------
    shape : tuple of int
        Of the tensor, without its batch.
    picture : (int, int)
        Rows and columns of what goes in: maps have about the same proportions.
    known : collection of (int, int)
        Those of the network's maps: what tokens were made of is among them, see `convolved`.
    field : ReceptiveField, optional
        What is known of its axes; else the proportions tell them.
    """
    if len(shape) == 3:
        sides = {"CHW": shape[1:], "HWC": shape[:2]}
        told = _AXES.get(field.axes) if field else None
        axes = told or min(sides, key=lambda word: _stretch(sides[word], picture))
        rows, columns = sides[axes]
        return Grid(rows, columns, axes) if rows * columns > 1 else None
    if len(shape) != 2:
        return None
    count = shape[0]
    for extra in range(min(_EXTRA, count - 3)):
        if found := _most_alike((one for one in known if prod(one) == count - extra), picture):
            return Grid(*found, "TC")
    if count < 4:
        return None
    short = (n for n in range(1, isqrt(count) + 1) if count % n == 0)
    pairs = (pair for n in short for pair in ((n, count // n), (count // n, n)))
    found = _most_alike(pairs, picture)
    return Grid(*found, "TC") if found else None


def _most_alike(
    pairs: Iterable[tuple[int, int]], picture: tuple[int, int]
) -> tuple[int, int] | None:
    """Return the rows and columns that are most like those of the picture, if any are."""
    fitting = [pair for pair in pairs if _stretch(pair, picture) < _UNLIKE]
    return min(fitting, key=lambda pair: _stretch(pair, picture), default=None)


def _stretch(sides: tuple[int, ...], picture: tuple[int, int]) -> float:
    """Tell how much wider or taller than the picture a map is: 1 for equal proportions."""
    if not all(sides):
        return float("inf")
    ratio = sides[0] * picture[1] / (sides[1] * picture[0])
    return max(ratio, 1 / ratio)


def last_maps(
    flow: Dataflow,
    score: str,
    shapes: Mapping[str, TensorInfo],
    fields: Mapping[str, ReceptiveField],
    *,
    picture: tuple[int, int],
    batch: int,
) -> Iterator[tuple[str, Grid]]:
    """Yield the layers to look at, the best first.

    In a convolutional network it is the last activation before the global pooling or the flatten
    whose maps have more than one place. In a transformer the last norms: behind the last attention
    only the class token may count, so the first one whose other tokens have a gradient is meant.
    A softmax without such norms weighs channels or the maps of a convolutional network: then maps
    are only what is known to be some.
    """
    graph = flow.graph
    nodes = _ancestors(graph, flow, score)
    known = convolved(graph, shapes)
    maps, norms = [], []
    for node in nodes:
        tensor = next(filter(None, node.outputs), "")
        shape = of_one(lengths(shapes.get(tensor)), batch)
        if shape is None or node.op in ARRANGING | _SHRUNK or shapes[tensor].dtype in _COUNTS:
            continue
        grid = grid_of(shape, picture, known, fields.get(tensor))
        if grid is None:
            continue
        if _is_norm(graph, node):
            norms.append((tensor, grid))
        if grid.axes != "TC":
            maps.append((tensor, grid))
    if not any(node.op in _ATTENDING for node in nodes):
        yield from maps
    elif norms:
        yield from norms
    else:
        yield from (
            (tensor, grid)
            for tensor, grid in maps
            if (field := fields.get(tensor)) is not None and field.axes in _AXES
        )


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
