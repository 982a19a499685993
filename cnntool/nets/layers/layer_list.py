"""The list of layers, each with what is fused to its operator: bias, batch norm, activation."""

from __future__ import annotations

import re
from collections import Counter
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.layers.dataflow import (
    BIAS,
    DOMAINS,
    ELEMENTWISE,
    FACTORS,
    HELPING,
    KERNEL,
    KIND_OF,
    PASSING,
    SPATIAL,
    operand,
    result,
    word,
)
from cnntool.nets.layers.names import noted_scopes, path_scopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow


_LONGEST = 8
"""Nodes between an activation's start and its product, in the longest spelling known."""

_NAMELESS = re.compile(r"onnx::Conv(Transpose)?_\d")
"""What TorchScript's exporter calls the weights of convolutions that it has computed anew."""

_FOLDED = re.compile(r"/merged_input(:0)?\Z|_fused_bn\Z")
"""How tf2onnx calls a kernel that it has put a batch norm into."""

_PLAIN = re.compile(r"[\w.:/@%+=,#;][\w.:/@%+=,#;-]*", re.ASCII)
"""What a shell and xargs take as one word, and no command as an option."""

NOTE = "pkg.torch.onnx.name_scopes"
"""Where PyTorch's newer exporter notes the modules around a node, and what it does there."""

_RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"})
_QUANTISED = frozenset({"ConvInteger", "MatMulInteger"})

NO_ARRAYS = frozenset(
    {
        *("Optional", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
        *("SequenceMap", "SplitToSequence", "StringConcat", "StringNormalizer", "StringSplit"),
    }
)
"""Operators whose results are sequences or texts."""


class Gate(NamedTuple):
    """An activation that an exporter spelt out as ``x`` times a function of ``x``.

    Parameters
    ----------
    word : str
        What it is called.
    nodes : tuple of Node
        All that it consists of; the last one makes the result.
    """

    word: str
    nodes: tuple[Node, ...]

    @property
    def result(self) -> str:
        """The tensor that it makes."""
        return result(self.nodes[-1])


class Tail(NamedTuple):
    """Where a layer ends.

    Parameters
    ----------
    tensor : str
        The result after the norm and the activation that follow.
    after : tuple of str
        What they are called.
    dequantised : bool
        Whether the tensor is what a DequantizeLinear makes of the quantised result.
    last : Node or None
        The node that makes the result before it is quantised; None when nothing follows.
    """

    tensor: str
    after: tuple[str, ...]
    dequantised: bool
    last: Node | None


def find_gate(flow: Dataflow, tensor: str) -> Gate | None:
    """Recognise SiLU, hard swish, GELU and Mish where they are spelt out.

    Two nodes use the tensor, and what they make of it, value by value, is multiplied.
    """
    users = flow.users(tensor)
    if len(users) != 2:
        return None
    walks = [_walk(flow, user) for user in users]
    if walks[0][-1] is not walks[1][-1]:
        return None
    product = walks[0][-1]
    nodes = [node for walk in walks for node in walk[:-1]]
    name = _gate_word({node.op for node in nodes})
    if product.op != "Mul" or not name:
        return None
    nodes.append(product)
    scaling = flow.follower(result(product))
    scaled = name in {"hard swish", "GELU"} and scaling is not None
    if scaled and scaling and scaling.op in {"Mul", "Div"} and _single(flow, scaling):
        nodes.append(scaling)
    return Gate(name, tuple(nodes))


def _walk(flow: Dataflow, node: Node) -> list[Node]:
    """Follow what is done value by value; the last node of the list does something else."""
    walk = [node]
    while len(walk) <= _LONGEST and node.op in ELEMENTWISE and len(flow.data_inputs(node)) == 1:
        follower = flow.follower(result(node))
        if follower is None:
            break
        node = follower
        walk.append(node)
    return walk


def _gate_word(ops: set[str]) -> str:
    for op, name in (
        ("Sigmoid", "SiLU"),
        ("HardSigmoid", "hard swish"),
        ("Clip", "hard swish"),
        ("Softplus", "Mish"),
        ("Erf", "GELU"),
        ("Tanh", "GELU"),
    ):
        if op in ops:
            return name
    return ""


def _single(flow: Dataflow, node: Node) -> bool:
    """Tell whether a node combines a result with one number."""
    other = constant_operand(flow, node)
    weight = flow.weight(other) if other else None
    return weight is not None and prod(weight.shape) == 1


def constant_operand(flow: Dataflow, node: Node) -> str:
    """Name the constant that an operator of two operands combines a result with; empty if none."""
    if len(node.inputs) != 2 or len(flow.data_inputs(node)) != 1:
        return ""
    return node.inputs[1] if node.inputs[0] in flow.data else node.inputs[0]


def join_bias(flow: Dataflow, node: Node) -> tuple[Node, ...]:
    """Find the nodes that finish a convolution or a product: rescaling, and adding the bias.

    Returns
    -------
    tuple of Node
        Those after `node`, in order. The last one, or `node`, makes what is the operator's own
        output in every spelling.
    """
    joined: list[Node] = []
    tensor = result(node)
    follower = flow.follower(tensor)
    while node.op in _QUANTISED and follower is not None and _rescales(flow, follower):
        joined.append(follower)
        follower = flow.follower(result(follower))
    if follower is not None and follower.op == "Add" and _is_bias(flow, node, follower):
        joined.append(follower)
    return tuple(joined)


def _rescales(flow: Dataflow, node: Node) -> bool:
    return node.op == "Cast" or (node.op == "Mul" and len(flow.data_inputs(node)) == 1)


def _is_bias(flow: Dataflow, node: Node, add: Node) -> bool:
    """Tell whether an Add adds a number to every channel of an operator that has no bias."""
    weight = flow.weight(constant_operand(flow, add))
    if weight is None or (node.op in BIAS and operand(node, BIAS[node.op])):
        return False
    channels: int | None = None
    if node.op in KERNEL:
        kernel = flow.weight(operand(node, KERNEL[node.op]))
        if kernel is None or len(kernel.shape) < 3:
            return False
        channels, behind = kernel.shape[0], len(kernel.shape) - 2
        if node.op == "ConvTranspose":
            channels = kernel.shape[1] * node.attribute("group", 1)
    elif node.op in FACTORS:
        matrix = flow.weight(operand(node, FACTORS[node.op][1]))
        if matrix is not None and matrix.shape:
            channels = matrix.shape[0 if node.attribute("transB", 0) else -1]
        behind = 0
    else:
        return False
    shape = weight.shape
    if len(shape) <= behind or prod(shape) != shape[-1 - behind]:
        return False
    return channels is None or shape[-1 - behind] == channels


def find_tail(flow: Dataflow, tensor: str, kinds: dict[int, str], *, stop: bool) -> Tail:
    """Follow a result through the norm and the activation behind it.

    Parameters
    ----------
    flow : Dataflow
        The network.
    tensor : str
        An operator's own output.
    kinds : dict of int to str
        The kind of layer that a node is, by its index, where it is one.
    stop : bool
        Whether nothing but quantisation may follow: a layer other than a convolution or a product
        ends where its operator does.

    Returns
    -------
    Tail
        Where the layer ends.
    """
    after: list[str] = []
    last: Node | None = None
    reached, ahead, scores_only = tensor, tensor, False
    while not stop:
        node = flow.follower(ahead)
        if node is None:
            gate = None if scores_only else find_gate(flow, ahead)
            if gate is not None:
                after.append(gate.word)
                reached, last = gate.result, gate.nodes[-1]
            break
        kind = kinds.get(node.index, "")
        if node.op in PASSING and node.domain in DOMAINS:
            ahead = result(node)
        elif kind == "softmax" or (kind in {"relu", "activation"} and not scores_only):
            after.append(activation_word(flow, node))
            reached, last = result(node), node
            break
        elif kind in {"norm", "scale"} and not scores_only:
            name = word(node.op) if kind == "norm" else "scale"
            after += [name] if name not in after else []
            reached = ahead = result(node)
            last = node
        elif node.op in _RESHAPING and len(flow.data_inputs(node)) == 1:
            ahead, scores_only = result(node), True
        else:
            break
    shown = dequantised(flow, reached)
    return Tail(shown or reached, tuple(after), bool(shown), last)


def kernel_of(node: Node) -> str:
    """Name the kernel of a convolution, or the matrix of a product; empty for other nodes."""
    if node.op in KERNEL:
        return operand(node, KERNEL[node.op])
    return operand(node, FACTORS[node.op][1]) if node.op in FACTORS else ""


def folds_norm(node: Node) -> bool:
    """Tell whether the exporter put the batch norm behind a convolution or a product into it.

    PyTorch's exporters leave a note of the norm, or a kernel and a bias that have lost their names;
    tf2onnx calls the kernel so, and TFLite joins the names of both.
    """
    kernel = kernel_of(node)
    if not kernel:
        return False
    scopes = node.metadata.get(NOTE, "")
    return (
        "batch_norm" in scopes.rpartition(",")[2]
        or _FOLDED.search(kernel) is not None
        or (";" in node.name + result(node) and "BatchNorm" in node.name + result(node))
        or (node.op in BIAS and all(map(_NAMELESS.match, (kernel, operand(node, BIAS[node.op])))))
    )


def dequantised(flow: Dataflow, tensor: str) -> str:
    """Name the tensor of real numbers that stands for a quantised one; empty if none does."""
    quantise = flow.follower(tensor)
    quantised = quantise is not None and quantise.op == "QuantizeLinear"
    for user in flow.users(result(quantise) if quantised and quantise else tensor):
        if user.op == "DequantizeLinear":
            return result(user)
    return ""


def cuts_below_zero(flow: Dataflow, tail: Tail) -> bool:
    """Tell whether what ends a layer is quantised in such a way that no value is below 0.

    So a quantiser writes a ReLU: the whole number that stands for 0 is the smallest there is.
    """
    maker = flow.graph.producer_of.get(tail.tensor)
    if maker is None:
        return False
    place = 2 if maker.op == "DequantizeLinear" else 7 if maker.op == "QLinearConv" else 0
    zeros = flow.graph.weights.get(operand(maker, place)) if place else None
    if zeros is None or zeros.dtype not in {"int8", "uint8", "int16", "uint16"}:
        return False
    lowest = 0 if zeros.dtype.startswith("u") else -(1 << (int(zeros.dtype[3:]) - 1))
    return bool((zeros.read() == lowest).all())


def limits(flow: Dataflow, node: Node) -> tuple[float | None, float | None]:
    """Read between which limits a Clip keeps its values; None where there is none, or unknown."""
    found = []
    for position, name in ((1, "min"), (2, "max")):
        stated = node.attribute(name)
        numbers = flow.numbers(operand(node, position)) if operand(node, position) else None
        found.append(numbers[0] if numbers else stated if isinstance(stated, float) else None)
    return found[0], found[1]


def activation_word(flow: Dataflow, node: Node) -> str:
    """Return what an activation is called; a Clip to 0..6 is a ReLU6."""
    if node.op != "Clip":
        return word(node.op)
    low, high = limits(flow, node)
    if low == 0:
        return "ReLU" if high is None else f"ReLU{high:g}"
    return "clip"


class Layer(NamedTuple):
    """A layer, as people count them.

    Parameters
    ----------
    number : int
        Its place among all layers, from 1; 0 for an operator that is none, see `list_operators`.
    alias : str
        Its name by its place in the network, such as ``block4_conv2``; empty if it has none.
    kind : str
        One of `cnntool.nets.layers.dataflow.KINDS`; empty for an operator that is no layer.
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

    @property
    def counted(self) -> str:
        """Its name by its place among those of its kind: ``conv:9``."""
        return f"{self.kind}:{self.ordinal}"

    @property
    def short_name(self) -> str:
        """The name to ask for it by: that of its place, of its tensor, or ``conv:9``."""
        plain = not (self.after or self.hidden) and _PLAIN.fullmatch(self.post)
        if self.number and (self.alias or not plain):
            return self.alias or self.counted
        return self.post

    def at(self, place: str) -> str:
        """Name the tensor ``post`` or ``pre``."""
        return self.pre if place == "pre" else self.post


class _Group(NamedTuple):
    """Nodes that are one layer; the first one is its operator."""

    kind: str
    op: str
    nodes: tuple[Node, ...]


def list_rows(graph: Graph, flow: Dataflow) -> list[Layer]:
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


def list_operators(flow: Dataflow, rows: Sequence[Layer]) -> list[Layer]:
    """List the layers and, between them, the operators that are part of none.

    Those have neither number nor kind; of several results each has a row. What depends on no
    input, and what is no array of numbers, is left out.
    """
    held = {index for row in rows for index in (*row.members, row.last)}
    shown = {tensor for row in rows for tensor in (row.pre, row.post)}
    found = [(min(row.members), row) for row in rows]
    for node in flow.graph.nodes:
        if node.index in held or not shown.isdisjoint(node.outputs) or node.op in NO_ARRAYS:
            continue
        for tensor in node.outputs:
            if tensor in flow.data:
                alone = Layer(
                    number=0,
                    alias="",
                    kind="",
                    ordinal=0,
                    op=node.op,
                    node=node.name,
                    pre=tensor,
                    post=tensor,
                    after="",
                    dequantised=False,
                    folded=False,
                    cut=False,
                    hidden=False,
                    scopes=scopes_of(node),
                    members=(node.index,),
                    last=node.index,
                )
                found.append((node.index, alone))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def _gate_at(flow: Dataflow, node: Node) -> Gate | None:
    """Find the activation that begins with a node."""
    if node.op not in ELEMENTWISE or node.domain not in DOMAINS:
        return None
    inputs = flow.data_inputs(node)
    return find_gate(flow, inputs[0]) if len(inputs) == 1 else None


def _row(flow: Dataflow, kinds: dict[int, str], group: _Group) -> Layer:
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


def _kind(flow: Dataflow, node: Node) -> str:
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


def _multiplies_results(flow: Dataflow, node: Node) -> bool:
    return all(operand(node, position) in flow.data for position in FACTORS[node.op])


def _unusual(flow: Dataflow, node: Node) -> str:
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


def is_global(flow: Dataflow, node: Node) -> bool:
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
