"""What flows where: which tensors depend on the input, and what weights are behind the others."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from cnntool.nets.operators import DOMAINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.graph import Graph, Node, Weight

_MEASURING = frozenset({"Shape", "Size"})
_HANDED_ON = frozenset({"Identity", "Cast", "DequantizeLinear", "QuantizeLinear"})
_REARRANGED = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Pad", "Expand"}
)
_REAL = frozenset({"float16", "bfloat16", "float32", "float64"})
_BEHIND = 16
"""A constant that is computed from more weights than this counts as of unknown origin."""

_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})
_READ = 64
"""Constants of up to so many numbers are read: shapes, axes, scales and limits are."""


class Flow:
    """Who depends on the network's input, and who on weights alone.

    Parameters
    ----------
    graph : Graph
        The network.

    Attributes
    ----------
    data : set of str
        Tensors whose numbers depend on the numbers of an input. A shape that is measured does not.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.data = {info.name for info in graph.inputs}
        self._users: dict[str, Sequence[Node]] = {}
        self._same: dict[str, str] = {}
        self._behind: dict[str, tuple[str, ...] | None] = {}
        for node in graph.nodes:
            if not self.data.isdisjoint(node.inputs) or not self.data.isdisjoint(node.captures):
                self.data.update(_carrying(node))
            else:
                self._trace_back(node)
        self.data.discard("")

    def _trace_back(self, node: Node) -> None:
        """Note which weights a tensor is made of that does not depend on the input."""
        known = node.domain in DOMAINS
        source = operand(node, 0)
        behind: tuple[str, ...] | None
        if known and node.op in _MEASURING:
            behind = ()
        elif known and node.op in _HANDED_ON | _REARRANGED:
            behind = self.weights_behind(source)
            origin = self._same.get(source, source)
            if node.op in _HANDED_ON and origin in self.graph.weights and node.outputs:
                self._same[node.outputs[0]] = origin
        else:
            behind = self._union(node)
        for tensor in node.outputs:
            if tensor not in self.graph.weights:
                self._behind[tensor] = behind

    def _union(self, node: Node) -> tuple[str, ...] | None:
        found: dict[str, None] = {}
        for tensor in node.inputs:
            behind = self.weights_behind(tensor)
            if behind is None:
                return None
            found.update(dict.fromkeys(w for w in behind if self.graph.weights[w].dtype in _REAL))
        return tuple(found) if len(found) <= _BEHIND else None

    def weights_behind(self, tensor: str) -> tuple[str, ...] | None:
        """Name the weights that a constant tensor is made of.

        Scales and zero points, by which quantised weights are turned into real numbers, are not
        among them.

        Returns
        -------
        tuple of str or None
            Empty for measured shapes and the like; None when it is not known.
        """
        if tensor in self.graph.weights:
            return (tensor,)
        return self._behind.get(tensor, ())

    def weight(self, tensor: str) -> Weight | None:
        """Get the weight behind a tensor of the same shape, whatever its type."""
        return self.graph.weights.get(self._same.get(tensor, tensor))

    def numbers(self, tensor: str) -> tuple[float, ...] | None:
        """Read a small constant; None for what is large, no constant, or no numbers."""
        weight = self.graph.weights.get(tensor)
        if weight is None or prod(weight.shape) > _READ or weight.dtype not in _REAL | _INTEGERS:
            return None
        return tuple(weight.read().ravel().tolist())

    def data_inputs(self, node: Node) -> list[str]:
        """List the tensors among a node's inputs that depend on the network's input."""
        used = [tensor for tensor in node.inputs if tensor in self.data]
        return used + sorted(node.captures & self.data) if node.captures else used

    def users(self, tensor: str) -> Sequence[Node]:
        """List the nodes that use a tensor's numbers; those that measure it do not."""
        if tensor not in self._users:
            users = self.graph.consumers.get(tensor, ())
            self._users[tensor] = [n for n in users if n.op not in _MEASURING or n.domain]
        return self._users[tensor]

    def follower(self, tensor: str) -> Node | None:
        """Get the node that uses a tensor, if it is the only one."""
        users = self.users(tensor)
        return users[0] if len(users) == 1 else None


def result(node: Node) -> str:
    """Name the first result of a node; empty if it has none."""
    return next(filter(None, node.outputs), "")


def operand(node: Node, position: int) -> str:
    """Name an input of a node; empty if it is left out."""
    return node.inputs[position] if position < len(node.inputs) else ""


def _carrying(node: Node) -> Sequence[str]:
    """List the results of a node that carry on what it was given."""
    if node.op in _MEASURING and not node.domain:
        return ()
    if node.op == "DynamicQuantizeLinear":  # scale and zero point stand beside the numbers
        return node.outputs[:1]
    return node.outputs
