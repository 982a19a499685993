"""A network as steps of computation that all its spellings have in common.

What an optimiser joins in one operator is taken apart (a convolution with its activation), what an
exporter spells out is joined (a gate), what they add is skipped (quantisation and back, casts,
other layouts). Constants that scale or shift the result of a convolution or a product are part of
it, be they a bias, a batch norm or folded into its weights.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.comparison.fingerprints import constant
from cnntool.nets.layers.dataflow import (
    ARRANGING,
    DOMAINS,
    FACTORS,
    KERNEL,
    KIND_OF,
    operand,
    result,
    word,
)
from cnntool.nets.layers.layer_list import (
    activation_word,
    constant_operand,
    dequantised,
    is_global,
    kernel_of,
)
from cnntool.nets.layers.receptive_field import read_window
from cnntool.nets.layers.shapes import lengths

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from cnntool.nets.file.graph import Graph, Node, TensorInfo
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Layers

_BLOCKED, _BLOCK = "com.microsoft.nchwc", 16
"""Operators on maps whose channels lie in blocks, the last one filled up; how large they may be."""

_SKIPPED = ARRANGING | {"Pad", "ReorderInput", "ReorderOutput"}
"""Hand on the same numbers; zeros around them are the next convolution's in another spelling."""

_AFFINE = frozenset({"BatchNormalization", "Add", "Sub", "Mul", "Div"})
"""Scale and shift every channel, where they combine a result with constants."""

_ZERO = {"DequantizeLinear": 2, "QLinearConv": 7, "QLinearAdd": 7, "QLinearMatMul": 7, "QGemm": 8}
"""Which input is the whole number that stands for 0 in the result, or in what is dequantised."""

_FUSED = frozenset({"FusedConv", "FusedGemm", "SkipLayerNormalization"})
_LATE_BIAS = {"BiasGelu": 1, "SkipLayerNormalization": 4}
"""Which input is the bias of what comes before."""

_UNORDERED = frozenset({"add", "multiply", "max", "min", "mean of several"})
_ACTIVATIONS = {
    "FastGelu": "GELU",
    "BiasGelu": "GELU",
    "QuickGelu": "SiLU",
    "Swish": "SiLU",
    "Max": "ReLU",
    "QLinearLeakyRelu": "leaky ReLU",
    "QLinearSigmoid": "sigmoid",
}
_SAME = {
    "Sum": "add",
    "Add": "add",
    "QLinearAdd": "add",
    "Mul": "multiply",
    "QLinearMul": "multiply",
    "Mean": "mean of several",
    "Max": "max",
    "Min": "min",
    "QLinearConcat": "Concat",
    "QLinearSoftmax": "Softmax",
    "Upsample": "Resize",
}
"""Operators that do the same by another name."""

LINEAR = "linear"


class Step:
    """One step of computation.

    Attributes
    ----------
    index : int
        Its place among the steps.
    what : tuple
        What it does, in words that do not depend on the spelling; the kind comes first.
    sources : list of int
        The steps whose results it takes.
    tensor : str
        What it makes; empty where that is lost inside of a fused operator.
    row : Layer or None
        The layer whose operator it is.
    node : Node or None
        Its operator; None for an input.
    own : str
        What its operator makes, before `scales`.
    scales : list of Layer
        Norms and scales that are counted as part of it.
    users : list of (int, int)
        The steps that take its result, and as which operand.
    """

    __slots__ = ("index", "node", "own", "row", "scales", "sources", "tensor", "users", "what")

    def __init__(
        self, index: int, what: tuple[Hashable, ...], sources: list[int], tensor: str
    ) -> None:
        self.index = index
        self.what = what
        self.sources = sources
        self.tensor = tensor
        self.node: Node | None = None
        self.row: Layer | None = None
        self.own = tensor
        self.scales: list[Layer] = []
        self.users: list[tuple[int, int]] = []

    @property
    def kind(self) -> Hashable:
        """The first word of what it does."""
        return self.what[0]

    @property
    def is_ordered(self) -> bool:
        """Whether its operands cannot change places."""
        return self.kind not in _UNORDERED


class Steps:
    """The steps of a network, in the order in which they run.

    Parameters
    ----------
    graph : Graph
        The network.
    layers : Layers
        Its layers.
    shapes : mapping of str to TensorInfo
        Shapes of its tensors as far as they are known.
    in_blocks : bool
        Whether channels are to be counted in blocks: one of the networks has them so.

    Attributes
    ----------
    all : list of Step
        The steps, the inputs first.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Layers,
        shapes: Mapping[str, TensorInfo],
        *,
        in_blocks: bool = False,
    ) -> None:
        self.graph = graph
        self.flow = layers.flow
        self.all: list[Step] = []
        self._shapes = shapes
        self._in_blocks = in_blocks
        self._blocked: set[str] = set()
        self._at: dict[str, int] = {}
        self._outputs = {info.name for info in graph.outputs}
        rows = {index: row for row in layers.rows for index in row.members}
        for info in graph.inputs:
            self._append(("input",), [], info.name)
        for node in graph.nodes:
            inputs = self.flow.data_inputs(node)
            if not inputs:
                continue
            if node.op != "ReorderOutput" and (
                node.domain == _BLOCKED or not self._blocked.isdisjoint(inputs)
            ):
                self._blocked.update(node.outputs)
            self._enter(node, rows.get(node.index))
        for step in self.all:
            for place, source in enumerate(step.sources):
                self.all[source].users.append((step.index, place))
        self.ends = {self._at[name] for name in self._outputs if name in self._at}

    def shown(self, step: Step) -> str:
        """Name the tensor to look at, of real numbers where there is one; empty if none is left."""
        if step.tensor in self._blocked:
            users = self.flow.users(step.tensor)
            return next((result(user) for user in users if user.op == "ReorderOutput"), "")
        return (dequantised(self.flow, step.tensor) or step.tensor) if step.tensor else ""

    def size(self, step: Step) -> int | None:
        """Return how many values an operator makes; the shape depends on the spelling."""
        made = result(step.node) if step.node else step.tensor
        known = lengths(self._shapes.get(made))
        return None if known is None or self._in_blocks else prod(known)

    def _append(
        self,
        what: tuple[Hashable, ...],
        sources: list[int],
        tensor: str,
        node: Node | None = None,
        row: Layer | None = None,
    ) -> Step:
        step = Step(len(self.all), what, sources, tensor)
        step.node, step.row = node, row
        self.all.append(step)
        if tensor:
            self._at[tensor] = step.index
        return step

    def _sources(self, tensors: Iterable[str]) -> list[int]:
        return [self._at[tensor] for tensor in tensors if tensor in self._at]

    def _enter(self, node: Node, row: Layer | None) -> None:
        """Add what a node does."""
        if row is not None and len(row.members) > 1:
            if node.index == max(row.members):
                self._enter_group(row)
            return
        sources = self._sources(self.flow.data_inputs(node))
        head = self._continued(node)
        if head is not None:
            head.tensor = result(node)
            head.scales += [row] if row else []
            self._at[head.tensor] = head.index
            return
        if sources and self._is_skipped(node):
            self._at[result(node)] = sources[0]
            return
        self._hide_unfinished(node, sources)
        if node.op in _FUSED or (node.domain == _BLOCKED and node.op == "Conv"):
            self._enter_fused(node, sources, row)
            return
        tensors = [tensor for tensor in node.outputs if tensor in self.flow.data]
        for place, tensor in enumerate(tensors):
            what = self._part(node, place) or (*self._what(node), *([place] if place else []))
            step = self._append(what, sources, tensor, node, row if place == 0 else None)
            if place == 0:
                self._cut(step)

    def _part(self, node: Node, place: int) -> tuple[Hashable, ...]:
        """Say where the part begins that a Slice, or a Split at one of its places, cuts out."""
        if node.op not in {"Slice", "Split"}:
            return ()
        name = "starts" if node.op == "Slice" else "split"
        stated = node.attribute(name) or self.flow.numbers(operand(node, 1)) or ()
        numbers = stated if isinstance(stated, tuple) else ()
        if node.op == "Slice":
            return ("part", *numbers)
        axis = node.attribute("axis", 0)
        shapes = [lengths(self._shapes.get(tensor)) or () for tensor in node.outputs[:place]]
        known = [sum(shape[axis:][:1]) if isinstance(axis, int) else 0 for shape in shapes]
        return ("part", sum(numbers[:place] or known))

    def _is_skipped(self, node: Node) -> bool:
        """Tell whether a node hands on what it is given; one factor for all is no layer."""
        if node.domain not in {*DOMAINS, _BLOCKED}:
            return False
        other = constant_operand(self.flow, node) if node.op in _AFFINE else ""
        shape = self._shape(other) if other else None
        if KIND_OF.get(node.op) == "pool" and not is_global(self.flow, node):
            window = read_window(self.flow, node)
            return window is not None and all(one.kernel == one.stride == 1 for one in window.axes)
        return node.op in _SKIPPED or (shape is not None and prod(shape) == 1)

    def _enter_group(self, row: Layer) -> None:
        """Add a layer of several nodes: a product with its bias, or a gate that is spelt out."""
        nodes = [self.graph.nodes[index] for index in row.members]
        made = {tensor for node in nodes for tensor in node.outputs}
        taken = [t for node in nodes for t in self.flow.data_inputs(node) if t not in made]
        sources = self._sources(dict.fromkeys(taken))
        if row.kind == "activation":
            tensor = row.pre if _is_scaled(row.op, nodes) else ""
            step = self._append(("activation", row.op), sources[:1], tensor, nodes[0], row)
            self._at[row.pre] = step.index
        else:
            self._cut(self._append(self._what(nodes[0]), sources, row.pre, nodes[0], row))

    def _continued(self, node: Node) -> Step | None:
        """Find the product that a node scales or shifts with constants, if it does that alone."""
        inputs = self.flow.data_inputs(node)
        if node.op not in _AFFINE or node.domain or len(inputs) != 1 or inputs[0] not in self._at:
            return None
        head = self.all[self._at[inputs[0]]]
        if head.kind not in {LINEAR, "matmul"} or not head.tensor:
            return None
        tensor = head.tensor
        while tensor not in self._outputs:
            follower = self.flow.follower(tensor)
            if follower is node:
                return head
            if follower is None or follower.op not in _SKIPPED:
                break
            tensor = result(follower)
        return None

    def _enter_fused(self, node: Node, sources: list[int], row: Layer | None) -> None:
        """Take apart what an optimiser has joined; between the parts there is no tensor."""
        skip = node.op == "SkipLayerNormalization"
        activation = node.attribute("activation", "")
        parts: list[tuple[tuple[Hashable, ...], list[int]]]
        if skip:
            parts = [(("add",), sources), (("LayerNormalization",), [])]
        else:
            parts = [(self._what(node), sources[:1])]
            parts += [(("add",), sources[1:])] if sources[1:] else []
            parts += [(_named(str(activation)), [])] if activation else []
        steps: list[Step] = []
        for what, others in parts:
            before = [step.index for step in steps[-1:]]
            steps.append(self._append(what, before + others, "", node))
        steps[-1 if skip else 0].row = row
        made = {0: steps[-1], 3: steps[0]} if skip else {0: steps[-1]}
        for place, step in made.items():
            step.tensor = next(iter(node.outputs[place : place + 1]), "")
            self._at[step.tensor] = step.index

    def _hide_unfinished(self, node: Node, sources: Sequence[int]) -> None:
        """Note that the bias of a product is added by a later node."""
        if operand(node, _LATE_BIAS.get(node.op, len(node.inputs))):
            for source in sources:
                if self.all[source].kind == LINEAR:
                    self.all[source].tensor = ""

    def _cut(self, step: Step) -> None:
        """Add the ReLU that is in how a result is quantised: nothing below 0 can be told."""
        if step.kind not in {LINEAR, "add", "affine", "BatchNormalization"}:
            return
        maker = self.graph.producer_of.get(self.shown(step))
        place = _ZERO.get(maker.op) if maker else None
        zeros = self.graph.weights.get(operand(maker, place)) if maker and place else None
        if zeros is not None and zeros.dtype in {"int8", "uint8", "int16", "uint16"}:
            values = zeros.read()
            if (values == np.iinfo(values.dtype).min).all():
                self._append(("activation", "ReLU"), [step.index], step.tensor, step.node)

    def _what(self, node: Node) -> tuple[Hashable, ...]:
        """Say what an operator does, in words that do not depend on the spelling."""
        if node.op in KERNEL or "Conv" in node.op:
            return self._convolution(node)
        if node.op in FACTORS or node.op == "FusedGemm":
            return self._product(node)
        if KIND_OF.get(node.op) == "pool" or is_global(self.flow, node):
            return self._pool(node)
        with_constant = len(node.inputs) == 2 and len(self.flow.data_inputs(node)) == 1
        if KIND_OF.get(node.op) in {"relu", "activation"} or (with_constant and node.op == "Max"):
            return ("activation", _rectifier(activation_word(self.flow, node), node.op))
        if with_constant and node.op in _AFFINE:
            return ("affine",)
        chosen = self.flow.numbers(operand(node, 1)) if node.op == "Gather" else ()
        return (_SAME.get(node.op, node.op), *(chosen or ()))

    def _convolution(self, node: Node) -> tuple[Hashable, ...]:
        kernel = self._shape(kernel_of(node) or operand(node, 1))
        window = read_window(self.flow, node)
        if kernel is None or window is None or len(kernel) < 3:
            return (LINEAR, node.op)
        group = node.attribute("group", 1)
        group = group if isinstance(group, int) and group > 0 else 1
        out, into = kernel[0], kernel[1] * group
        if window.up:
            out, into = kernel[1] * group, kernel[0]
        if self._in_blocks:
            out, into = (-(-count // _BLOCK) for count in (out, into))
            group = min(group, 2)  # of depthwise ones it is the number of channels, filled up too
        slid = tuple((one.kernel, one.stride, one.dilation) for one in window.axes)
        if all(one == (1, 1, 1) for one in slid):
            slid = ()
        return (LINEAR, out, into, group, slid, window.up and bool(slid))

    def _product(self, node: Node) -> tuple[Hashable, ...]:
        first, second = FACTORS.get(node.op, (0, 1))
        factors = [operand(node, first), operand(node, second)]
        if all(tensor in self.flow.data for tensor in factors):
            return ("matmul",)
        at = 1 if factors[0] in self.flow.data else 0
        matrix = self._shape(factors[at])
        if matrix is None or len(matrix) != 2:
            return (LINEAR, "")
        turned = node.attribute("transB" if at else "transA", 0) == 1
        into, out = matrix[::-1] if turned == (at == 1) else matrix
        return (LINEAR, out, into, 1, (), False)

    def _shape(self, tensor: str) -> tuple[int, ...] | None:
        """Return the shape of a constant, stored or computed."""
        values = constant(self.graph, self.flow, tensor)
        return lengths(self._shapes.get(tensor)) if values is None else values.shape

    def _pool(self, node: Node) -> tuple[Hashable, ...]:
        how = "max" if "Max" in node.op else "Lp" if "Lp" in node.op else "average"
        shape = lengths(self._shapes.get(result(node)))
        if is_global(self.flow, node) or (shape and sum(n != 1 for n in shape[1:]) < 2):
            return ("pool", how)
        window = read_window(self.flow, node)
        return ("pool", how, *((one.kernel, one.stride) for one in (window.axes if window else ())))


def _is_scaled(name: str, nodes: Sequence[Node]) -> bool:
    """Tell whether a gate that is spelt out has its factor, or that went into the next kernel."""
    ops = {node.op for node in nodes}
    factors = 3 if "Tanh" in ops else 2 if "Erf" in ops else 1 if "Clip" in ops else 0
    products = sum(node.op in {"Mul", "Div"} for node in nodes) - 1
    return name not in {"GELU", "hard swish"} or products >= factors


def has_blocks(graph: Graph) -> bool:
    """Tell whether onnxruntime has put the channels of a network's maps into blocks."""
    return _BLOCKED in graph.opset and any(node.domain == _BLOCKED for node in graph.nodes)


def _named(activation: str) -> tuple[Hashable, ...]:
    """Say what the activation is that a fused operator names."""
    return ("activation", _rectifier("ReLU" if activation == "Clip" else word(activation), ""))


def _rectifier(name: str, op: str) -> str:
    """Return what an activation is called; where a ReLU ends at the top does not count."""
    if name.startswith("ReLU"):
        return "ReLU"
    return _ACTIVATIONS.get(op, name)
