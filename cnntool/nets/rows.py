"""The layers of a network, one by one, in the order in which they run."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.flow import operand, result
from cnntool.nets.following import (
    NOTE,
    constant_operand,
    cuts_below_zero,
    find_gate,
    find_tail,
    folds_norm,
    join_bias,
    limits,
)
from cnntool.nets.names import noted_scopes, path_scopes
from cnntool.nets.operators import DOMAINS, ELEMENTWISE, FACTORS, HELPING, KIND_OF, SPATIAL

if TYPE_CHECKING:
    from cnntool.nets.flow import Flow
    from cnntool.nets.following import Gate
    from cnntool.nets.graph import Graph, Node


class Layer(NamedTuple):
    """A layer, as people count them.

    Parameters
    ----------
    number : int
        Its place among all layers, from 1.
    alias : str
        Its name by its place in the network, such as ``block4_conv2``; empty if it has none.
    kind : str
        One of `cnntool.nets.operators.KINDS`.
    ordinal : int
        Its place among those of its kind, from 1.
    op : str
        Its operator: ``"Conv"``; of an activation that is spelt out in several, its name.
    node : str
        The name of its node, often empty.
    pre : str
        The tensor that its operator makes, with the bias added: its own output.
    post : str
        The tensor after the batch norm and the activation that follow a convolution or a dense
        layer; of other layers `pre`. In QDQ networks, what DequantizeLinear makes of it.
    after : str
        What lies between: ``"batch norm and ReLU"``; empty if nothing does.
    dequantised : bool
        Whether `post` is a dequantised tensor.
    folded : bool
        Whether a batch norm has been put into its weights, so that `pre` is the norm's output.
    cut : bool
        Whether `post` has been quantised without values below 0, which does what a ReLU would.
    hidden : bool
        Whether the name of `post` means something else: a module that has it, too.
    scopes : tuple of str
        The modules that it is in, outermost first, as far as the exporter says.
    members : tuple of int
        Indices of its nodes; the first one is its operator.
    last : int
        Index of the node that makes `post` before it is quantised.
    """

    number: int
    alias: str
    kind: str
    ordinal: int
    op: str
    node: str
    pre: str
    post: str
    after: str
    dequantised: bool
    folded: bool
    cut: bool
    hidden: bool
    scopes: tuple[str, ...]
    members: tuple[int, ...]
    last: int

    def at(self, place: str) -> str:
        """Name the tensor ``post`` or ``pre``."""
        return self.pre if place == "pre" else self.post


class _Group(NamedTuple):
    """Nodes that are one layer; the first one is its operator."""

    kind: str
    op: str
    nodes: tuple[Node, ...]


def list_rows(graph: Graph, flow: Flow) -> list[Layer]:
    """List the layers, without aliases.

    What a layer does besides its operator is part of it: a bias that is added by a node of its
    own, the parts of an activation that is spelt out. Norms and activations are layers
    of their own, too. What only moves, measures or converts numbers is none.
    """
    kinds: dict[int, str] = {}
    groups: list[_Group] = []
    taken: set[int] = set()
    for node in graph.nodes:
        if node.index in taken or not result(node):
            continue
        gate = _gate_at(flow, node)
        if gate is not None and taken.isdisjoint(part.index for part in gate.nodes):
            groups.append(_Group("activation", gate.word, gate.nodes[::-1]))
        else:
            kind = _kind(flow, node)
            if not kind:
                continue
            joined = join_bias(flow, node) if kind in {"conv", "dense"} else ()
            groups.append(_Group(kind, node.op, (node, *joined)))
            kinds[node.index] = kind
        taken.update(part.index for part in groups[-1].nodes)
    counts: Counter[str] = Counter()
    rows = []
    for number, group in enumerate(groups, 1):
        counts[group.kind] += 1
        row = _row(flow, kinds, group)
        rows.append(row._replace(number=number, ordinal=counts[group.kind]))
    return rows


def _gate_at(flow: Flow, node: Node) -> Gate | None:
    """Find the activation that begins with a node."""
    if node.op not in ELEMENTWISE or node.domain not in DOMAINS:
        return None
    inputs = flow.data_inputs(node)
    return find_gate(flow, inputs[0]) if len(inputs) == 1 else None


def _row(flow: Flow, kinds: dict[int, str], group: _Group) -> Layer:
    kind, op, nodes = group
    spelt_out = kind == "activation" and op != nodes[0].op
    own = nodes[0] if spelt_out else nodes[-1]
    pre = result(own)
    tail = find_tail(flow, pre, kinds, stop=kind not in {"conv", "dense"})
    return Layer(
        number=0,
        alias="",
        kind=kind,
        ordinal=0,
        op=op,
        node=nodes[0].name,
        pre=pre,
        post=tail.tensor,
        after=" and ".join(filter(None, (", ".join(tail.after[:-1]), *tail.after[-1:]))),
        dequantised=tail.dequantised,
        folded=kind in {"conv", "dense"} and folds_norm(nodes[0]),
        cut=kind in {"conv", "dense"} and not tail.after and cuts_below_zero(flow, tail),
        hidden=False,
        scopes=scopes_of(nodes[0]),
        members=tuple(node.index for node in nodes),
        last=(tail.last or own).index,
    )


def _kind(flow: Flow, node: Node) -> str:
    """Return the kind of layer that a node is; empty if it is none."""
    inputs = flow.data_inputs(node)
    if not inputs:
        return ""
    if node.domain not in DOMAINS:
        return "other"
    kind = KIND_OF.get(node.op, "" if node.op in HELPING else "other")
    if kind == "dense":
        return "matmul" if _multiplies_results(flow, node) else kind
    if kind in {"add", "multiply"} and len(inputs) < 2 and len(node.inputs) == 2:
        weight = flow.weight(constant_operand(flow, node))
        return "scale" if weight is None or prod(weight.shape) > 1 else ""
    if node.op == "Clip":
        return "relu" if limits(flow, node)[0] == 0 else kind
    return kind or _unusual(flow, node)


def _multiplies_results(flow: Flow, node: Node) -> bool:
    return all(operand(node, position) in flow.data for position in FACTORS[node.op])


def _unusual(flow: Flow, node: Node) -> str:
    """Find the layers among operators that are none as a rule."""
    if node.op in {"Min", "Max"}:
        weight = flow.weight(constant_operand(flow, node))
        return "relu" if weight is not None and prod(weight.shape) == 1 else ""
    if node.op in {"ReduceMean", "ReduceMax"}:
        return "pool" if is_global(flow, node) else ""
    if node.op == "Gather":
        table = flow.weight(operand(node, 0))
        return "embedding" if table is not None and len(table.shape) > 1 else ""
    return ""


def is_global(flow: Flow, node: Node) -> bool:
    """Tell whether a node pools whole maps, whatever their size."""
    if node.op in {"ReduceMean", "ReduceMax"}:
        axes = node.attribute("axes")
        if axes is None:
            axes = flow.numbers(operand(node, 1))
        return isinstance(axes, tuple) and frozenset(axes) in SPATIAL
    return "Global" in node.op


def scopes_of(node: Node) -> tuple[str, ...]:
    """List the modules around a node: PyTorch's note of them, or the path in its name."""
    return noted_modules(node) or path_scopes(node.name or result(node))


def noted_modules(node: Node) -> tuple[str, ...]:
    """List the modules around a node that PyTorch's exporter notes with it."""
    return noted_scopes(node.metadata.get(NOTE, ""))
