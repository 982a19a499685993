"""Model summary: what each layer is, has and costs; the table of Keras, and beyond it."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.file.tensors import ELEMENTS, NAMES
from cnntool.nets.layers.dataflow import (
    DOMAINS,
    FACTORS,
    KERNEL,
    OWNED,
    REAL,
    STATISTICS,
    operand,
    result,
)
from cnntool.nets.layers.receptive_field import trace
from cnntool.nets.layers.shapes import lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnntool.nets.file.graph import Graph, Node, TensorInfo
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Layers
    from cnntool.nets.layers.receptive_field import Number, ReceptiveField

_WITHOUT = frozenset({"pool", "reshape", "resize", "pad", "softmax", "concat"})
"""Kinds of layers that have no parameters, whatever constants they use."""


class Line(NamedTuple):
    """A layer. None stands for what is not known.

    Parameters
    ----------
    layer : Layer
        What it is.
    info : TensorInfo or None
        Its output: type and shape, batch included.
    parameters : int or None
        Numbers that it holds: weights, biases, scales and statistics. Where layers share some, each
        counts them.
    multiply_adds : int or None
        For this shape, see `multiply_adds`.
    receptive_field : tuple of int or None
        Rows and columns of the input that one value sees.
    whole : bool
        Whether it sees the whole input; then `receptive_field` counts for less.
    stride : tuple of float or None
        Rows and columns of the input between one value and the next.
    memory : int or None
        Bytes of its output.
    """

    layer: Layer
    info: TensorInfo | None
    parameters: int | None
    multiply_adds: int | None
    receptive_field: tuple[int, ...] | None
    whole: bool
    stride: tuple[float, ...] | None
    memory: int | None


class Summary(NamedTuple):
    """All layers, and what they come to.

    Parameters
    ----------
    inputs : tuple of TensorInfo
        What the network is given.
    lines : tuple of Line
        Its layers.
    parameters : int or None
        Of all layers, each counted once, running statistics of batch norms included.
    statistics : int
        How many of them are running statistics, which Keras calls non-trainable.
    multiply_adds, memory : int or None
        Sums. `memory` is what all outputs take when they are kept.
    """

    inputs: tuple[TensorInfo, ...]
    lines: tuple[Line, ...]
    parameters: int | None
    statistics: int
    multiply_adds: int | None
    memory: int | None


def wanted_tensors(graph: Graph, layers: Layers) -> set[str]:
    """Name the tensors whose shapes a summary asks for."""
    wanted: set[str] = set()
    for row in layers.rows:
        node = graph.nodes[row.members[0]]
        wanted.add(row.pre)
        wanted.update(tensor for tensor in node.inputs if tensor in layers.flow.data)
    return wanted


def summarise(graph: Graph, layers: Layers, shapes: Mapping[str, TensorInfo]) -> Summary:
    """Describe every layer.

    Parameters
    ----------
    graph : Graph
        The network.
    layers : Layers
        Its layers.
    shapes : mapping of str to TensorInfo
        Shapes of its tensors, see `cnntool.nets.layers.shapes.find_shapes`.
    """
    fields = trace(graph, layers.flow, shapes)
    owned: dict[str, int] = {}
    statistics: set[str] = set()
    lines = []
    for row in layers.rows:
        nodes = [graph.nodes[index] for index in row.members]
        behind = [_parameters(layers.flow, row, node) for node in nodes]
        held = (
            None if None in behind else {k: v for part in behind if part for k, v in part.items()}
        )
        owned |= held or {}
        for node in nodes:
            for position in STATISTICS.get(node.op, ()):
                statistics.update(layers.flow.weights_behind(operand(node, position)) or ())
        lines.append(_line(layers.flow, row, held, fields.get(row.pre), shapes))
    return Summary(
        tuple(shapes.get(info.name, info) for info in graph.inputs),
        tuple(lines),
        None if any(line.parameters is None for line in lines) else sum(owned.values()),
        sum(owned[name] for name in statistics & owned.keys()),
        _sum(line.multiply_adds for line in lines),
        _sum(line.memory for line in lines),
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(number for number in known if number is not None)


def _parameters(flow: Dataflow, row: Layer, node: Node) -> dict[str, int] | None:
    """Find the parameters of a node: weights and how many numbers each holds."""
    if row.kind in _WITHOUT:
        return {}
    positions = OWNED.get(node.op)
    if node.index != row.members[0] and row.kind in {"conv", "dense"}:
        positions = (0, 1) if node.op == "Add" else ()  # the bias, or what rescales
    found: dict[str, int] = {}
    for position, tensor in enumerate(node.inputs):
        if tensor in flow.data or (positions is not None and position not in positions):
            continue
        behind = flow.weights_behind(tensor)
        if behind is None:
            return None
        for name in behind:
            weight = flow.graph.weights[name]
            count = prod(weight.shape)
            if positions is not None or (count > 1 and weight.dtype in REAL):
                found[name] = count
    return found


def _line(
    flow: Dataflow,
    row: Layer,
    held: dict[str, int] | None,
    field: ReceptiveField | None,
    shapes: Mapping[str, TensorInfo],
) -> Line:
    def shape_of(tensor: str) -> tuple[int, ...] | None:
        weight = flow.weight(tensor)
        return lengths(shapes.get(tensor)) if weight is None else weight.shape

    node = flow.graph.nodes[row.members[0]]
    info = shapes.get(row.pre)
    size = lengths(info)
    dtype = info.dtype if info else ""
    stands = field is not None and field.axes and not (field.whole and field.is_point)
    return Line(
        layer=row,
        info=info,
        parameters=None if held is None else sum(held.values()),
        multiply_adds=multiply_adds(node, row.kind, shape_of),
        receptive_field=tuple(ceil(number) for number in field.extent) if field else None,
        whole=field is not None and field.whole,
        stride=tuple(_plain(jump) for jump in field.jump) if field and stands else None,
        memory=None if size is None or dtype not in NAMES else _bytes(dtype, prod(size)),
    )


def multiply_adds(
    node: Node, kind: str, shape_of: Callable[[str], tuple[int, ...] | None]
) -> int | None:
    """Count the multiplications of an operator, each with its addition.

    Convolutions and matrix products count; what works value by value, and pools, do not.

    Parameters
    ----------
    node : Node
        The operator.
    kind : str
        The kind of layer that it is.
    shape_of : callable
        Gives the shape of a tensor, or None where it is not known.

    Returns
    -------
    int or None
        For all pictures of a batch together; None where it is not known.
    """
    if node.domain not in DOMAINS or kind in {"other", "recurrent"}:
        return None
    factors = FACTORS.get(node.op)
    if node.op in KERNEL:
        position = KERNEL[node.op]
        swept = operand(node, 0) if node.op == "ConvTranspose" else result(node)
        map_, kernel = shape_of(swept), shape_of(operand(node, position))
        return None if map_ is None or kernel is None else prod(map_) * prod(kernel[1:])
    if factors is not None:
        left, made = shape_of(operand(node, factors[0])), shape_of(result(node))
        if not left or made is None:
            return None
        summed = left[0] if node.attribute("transA", 0) == 1 and len(left) > 1 else left[-1]
        return prod(made) * summed
    return 0


def _bytes(dtype: str, count: int) -> int | None:
    """Return what so many values take; None where each takes what it needs, as texts do."""
    bits = ELEMENTS[NAMES[dtype]].bits
    return (count * bits + 7) // 8 if bits else None


def _plain(number: Number) -> float:
    return int(number) if number == int(number) else float(number)
