"""Operators as people speak of them: which are layers, of what kind, and which only help.

Sources: https://onnx.ai/onnx/operators/ and, for the domain ``com.microsoft``,
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnntool.nets.graph import Node


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


DOMAINS = frozenset({"", "com.microsoft"})
"""Domains whose operators are known here; of others, nothing but the name is."""

_KINDS = {
    "conv": "Conv ConvTranspose ConvInteger QLinearConv FusedConv DeformConv",
    "dense": "Gemm MatMul MatMulInteger QLinearMatMul QGemm FusedMatMul",
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
        "QGemm": 6}  # fmt: skip
"""Which input of a convolution or a product its bias is."""

FACTORS = {"Gemm": (0, 1), "MatMul": (0, 1), "FusedMatMul": (0, 1), "MatMulInteger": (0, 1),
           "QLinearMatMul": (0, 3), "QGemm": (0, 3)}  # fmt: skip
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
