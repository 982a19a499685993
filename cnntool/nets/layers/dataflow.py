"""Operators as people speak of them, and dataflow: which tensors depend on the input.

Sources: https://onnx.ai/onnx/operators/ and, for the domain ``com.microsoft``,
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnntool.nets.file.graph import Graph, Node, Weight


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


DOMAINS = frozenset({"", "com.microsoft"})
"""Domains whose operators are known here; of others, nothing but the name is."""

_KINDS = {
    "conv": "Conv ConvTranspose ConvInteger QLinearConv FusedConv DeformConv",
    "dense": "Gemm MatMul MatMulInteger QLinearMatMul QGemm FusedMatMul FusedGemm",
    "pool": (
        "MaxPool AveragePool LpPool GlobalMaxPool GlobalAveragePool GlobalLpPool "
        "QLinearAveragePool QLinearGlobalAveragePool"
    ),
    "relu": "Relu LeakyRelu PRelu ThresholdedRelu QLinearLeakyRelu",
    "activation": (
        "Sigmoid Tanh Elu Selu Celu HardSigmoid HardSwish Gelu FastGelu BiasGelu QuickGelu Mish "
        "Swish Softplus Softsign Clip Hardmax QLinearSigmoid ScaledTanh ParametricSoftplus"
    ),
    "softmax": "Softmax LogSoftmax QLinearSoftmax",
    "norm": (
        "BatchNormalization InstanceNormalization LayerNormalization GroupNormalization LRN "
        "LpNormalization MeanVarianceNormalization RMSNormalization SkipLayerNormalization"
    ),
    "add": "Add Sum Sub Mean QLinearAdd",
    "multiply": "Mul Div QLinearMul",
    "concat": "Concat QLinearConcat",
    "scale": "ImageScaler Affine Scale",
    "pad": "Pad Crop CenterCropPad",
    "resize": "Resize Upsample DepthToSpace SpaceToDepth",
    "reshape": "Reshape Flatten",
    "recurrent": "LSTM GRU RNN",
}

KIND_OF: Mapping[str, str] = {op: kind for kind, ops in _KINDS.items() for op in ops.split()}
"""The kind of layer that an operator is, where the operator alone tells."""

KINDS = (*_KINDS, "matmul", "embedding", "other")
"""All kinds. ``matmul`` multiplies two results, ``dense`` a result by weights."""

PASSING = _set(
    "Identity Cast CastLike QuantizeLinear DequantizeLinear DynamicQuantizeLinear Dropout"
)
"""Hand a tensor on: the same numbers in the same places, in another type at most."""

QUANTISING = _set("QuantizeLinear DequantizeLinear DynamicQuantizeLinear")
"""Turn real numbers into whole ones, and back."""

ARRANGING = PASSING | _set("Transpose Reshape Flatten Squeeze Unsqueeze")
"""Hand a tensor on, perhaps in another arrangement of its axes."""

HELPING = PASSING | _set(
    "Transpose Squeeze Unsqueeze Shape Size Constant ConstantOfShape Range Expand Tile Slice "
    "Split Gather GatherElements GatherND Where Equal Less LessOrEqual Greater GreaterOrEqual "
    "And Or Not Xor Abs Neg Exp Log Sqrt Pow Reciprocal Floor Ceil Round Sign Erf Sin Cos Tan "
    "Mod Min Max IsNaN IsInf CumSum Trilu OneHot NonZero EyeLike Compress ReverseSequence "
    "ScatterElements ScatterND ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 "
    "ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare ArgMax ArgMin Mul Div"
)
"""No layers by themselves. Some are when they join two results or hold weights."""

ELEMENTWISE = PASSING | _set(
    "Add Sub Mul Div Pow Exp Log Sqrt Neg Reciprocal Erf Sigmoid HardSigmoid Tanh Softplus "
    "Clip Relu Min Max"
)
"""What activations are made of where an exporter spells them out."""

SPATIAL = (frozenset({1, 2}), frozenset({2, 3}), frozenset({-2, -1}))
"""The axes over which a reduction of pictures is a pooling."""

OWNED: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "FusedConv": (1, 2),
    "DeformConv": (1, 3),
    "ConvInteger": (1,),
    "QLinearConv": (3, 8),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "FusedMatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearMatMul": (0, 3),
    "QGemm": (0, 3, 6),
    "FusedGemm": (0, 1, 2),
    "QLinearAdd": (0, 3),
    "QLinearMul": (0, 3),
    "BatchNormalization": (1, 2, 3, 4),
    "PRelu": (1,),
    "Clip": (),
    "Pad": (),
    "Resize": (),
    "Upsample": (),
    "QLinearLeakyRelu": (),
    "QLinearSigmoid": (),
    "QLinearSoftmax": (),
    "QLinearAveragePool": (),
    "QLinearGlobalAveragePool": (),
    "QLinearConcat": (),
}
"""Inputs that are parameters when they are constant. Of other operators all are that are real
numbers, more than one of them."""

STATISTICS = {"BatchNormalization": (3, 4)}
"""Those of them that are running statistics, which training does not learn by gradients."""

KERNEL = {"Conv": 1, "ConvTranspose": 1, "FusedConv": 1, "DeformConv": 1, "ConvInteger": 1,
          "QLinearConv": 3}  # fmt: skip
"""Which input of a convolution its kernel is."""

BIAS = {"Conv": 2, "ConvTranspose": 2, "FusedConv": 2, "DeformConv": 3, "QLinearConv": 8, "Gemm": 2,
        "QGemm": 6, "FusedGemm": 2}  # fmt: skip
"""Which input of a convolution or a product its bias is."""

FACTORS = {"Gemm": (0, 1), "MatMul": (0, 1), "FusedMatMul": (0, 1), "MatMulInteger": (0, 1),
           "QLinearMatMul": (0, 3), "QGemm": (0, 3), "FusedGemm": (0, 1)}  # fmt: skip
"""Which inputs are the two matrices of a product."""

WORDS = {
    "BatchNormalization": "batch norm",
    "InstanceNormalization": "instance norm",
    "LayerNormalization": "layer norm",
    "GroupNormalization": "group norm",
    "Relu": "ReLU",
    "LeakyRelu": "leaky ReLU",
    "PRelu": "PReLU",
    "Elu": "ELU",
    "Selu": "SELU",
    "HardSwish": "hard swish",
    "HardSigmoid": "hard sigmoid",
    "Gelu": "GELU",
    "Mish": "Mish",
    "LogSoftmax": "log softmax",
}
"""What some operators are called in a sentence; others by their names in small letters."""


def is_activation(node: Node) -> bool:
    """Tell whether a node is an activation, as far as its operator tells."""
    return KIND_OF.get(node.op) in {"relu", "activation"}


def word(op: str) -> str:
    """Return what an operator is called in a sentence."""
    return WORDS.get(op, op.lower())


_MEASURING = frozenset({"Shape", "Size"})
_HANDED_ON = frozenset({"Identity", "Cast", "DequantizeLinear", "QuantizeLinear"})
_REARRANGED = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Pad", "Expand"}
)
REAL = frozenset({"float16", "bfloat16", "float32", "float64"})
"""Types of real numbers."""

_BEHIND = 16
"""A constant that is computed from more weights than this counts as of unknown origin."""

_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})
_READ = 64
"""Constants of up to so many numbers are read: shapes, axes, scales and limits are."""


class Dataflow:
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
            found.update(dict.fromkeys(w for w in behind if self.graph.weights[w].dtype in REAL))
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
        if weight is None or prod(weight.shape) > _READ or weight.dtype not in REAL | _INTEGERS:
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
