"""Gradients of quantised operators: those of the real numbers that whole ones stand for.

Rounding counts as none, and what saturates has no gradient. The gradient by a whole number is that
by the real one times the scale. Source: Jacob et al., Quantization and training of neural networks
for efficient integer-arithmetic-only inference, 2018, section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.nets.gradients.backward import rule
from cnntool.nets.gradients.rules.convolution import spread
from cnntool.nets.gradients.rules.pooling import spread_evenly
from cnntool.nets.gradients.rules.products import factors
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

MICROSOFT = "com.microsoft"


class Scaled(NamedTuple):
    """Whole numbers that stand for real ones: ``real = (whole - zero) scale``.

    Parameters
    ----------
    b : Backward
        The graph that is written.
    tensor, scale, zero : str
        Names in the network; the last two may be empty.
    axis : int or None
        The axis of the tensor along which there are several scales.
    """

    b: Backward
    tensor: str
    scale: str
    zero: str
    axis: int | None = None

    @property
    def factor(self) -> str:
        """The scale, laid along its axis."""
        return self.along(self.scale)

    def along(self, name: str) -> str:
        """Lay scales or zero points along their axis."""
        return self.b.along(name, len(self.b.shape(self.tensor)), self.axis)

    def real(self) -> str:
        """Write the real numbers; without a scale, how far the whole ones are from zero."""
        value = self.b.value(self.tensor)
        if self.zero:
            value = self.b.op("Sub", value, self.along(self.zero))
        return self.b.op("Mul", value, self.factor) if self.scale else value

    def by_real(self, gradient: str) -> str:
        """Turn the gradient by whole results into that by real ones.

        A result at an end of the range counts as saturated.
        """
        least, most = _range(self.b, self.zero)
        value = self.b.value(self.tensor)
        above = self.b.op("Greater", value, self.b.constant(float(least)))
        below = self.b.op("Less", value, self.b.constant(float(most)))
        inside = self.b.cast(self.b.op("And", above, below))
        return self.b.op("Div", self.b.op("Mul", gradient, inside), self.factor)

    def by_whole(self, gradient: str) -> str:
        """Turn the gradient by real operands into that by whole ones."""
        return self.b.op("Mul", gradient, self.factor) if self.scale else gradient


def _scaled(b: Backward, node: Node, at: int, axis: int | None = None) -> Scaled:
    """Take an operand from its place, with the scale and the zero point behind it."""
    return Scaled(b, operand(node, at), operand(node, at + 1), operand(node, at + 2), axis)


def _result(b: Backward, node: Node, at: int) -> Scaled:
    """Take the result of a node, whose scale is the operand in this place."""
    return Scaled(b, node.outputs[0], operand(node, at), operand(node, at + 1))


def _range(b: Backward, zero: str) -> tuple[int, int]:
    """Return the least and the most that a type of whole numbers holds: that of a zero point."""
    dtype = b.numbers(zero).dtype if zero else np.dtype(np.uint8)
    if dtype.kind not in "iu":
        raise b.error(f"no gradient is known of what is quantised to {dtype}")
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _refuse(b: Backward, node: Node, *names: str) -> None:
    for name in names:
        if node.attribute(name, 0):
            raise b.error(f"no gradient is known of {node.op} with {name!r} (node {node.label})")


@rule("QuantizeLinear")
@rule("QuantizeLinear", domain=MICROSOFT)
def quantize(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Divide by the scale, and let through what does not saturate."""
    (gradient,) = gradients
    if gradient is None:
        return []
    _refuse(b, node, "block_size")
    data = _scaled(b, node, 0, node.attribute("axis", 1))
    least, most = _range(b, data.zero)
    factor = data.factor
    whole = b.op("Round", b.op("Div", b.value(data.tensor), factor))
    if data.zero:
        whole = b.op("Add", whole, data.along(data.zero))
    within = b.op(
        "Equal", whole, b.op("Clip", whole, *(b.constant(float(n)) for n in (least, most)))
    )
    return [b.op("Div", b.op("Mul", gradient, b.cast(within)), factor)]


@rule("DequantizeLinear")
@rule("DequantizeLinear", domain=MICROSOFT)
def dequantize(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the scale."""
    (gradient,) = gradients
    if gradient is None:
        return []
    _refuse(b, node, "block_size")
    return [_scaled(b, node, 0, node.attribute("axis", 1)).by_whole(gradient)]


@rule("DynamicQuantizeLinear")
def adapt(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Divide by the scale, which counts as a constant: nothing saturates."""
    gradient = gradients[0]
    return [b.op("Div", gradient, b.value(node.outputs[1]))] if gradient else []


@rule("ConvInteger")
def conv_integer(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Convolve what is left of zero points."""
    (gradient,) = gradients
    data, weight = node.inputs[:2]
    if gradient is None:
        return []
    b.only_first(node)
    kernel = Scaled(b, weight, "", operand(node, 3), axis=0).real()
    shapes = b.shape(data), b.shape(node.outputs[0]), b.shape(weight)
    return [spread(b, node, gradient, kernel, shapes)]


@rule("QLinearConv")
def conv(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Convolve real numbers."""
    (gradient,) = gradients
    data, weight = _scaled(b, node, 0), _scaled(b, node, 3, axis=0)
    if gradient is None:
        return []
    b.only_first(node)
    _refuse(b, node, "channels_last")
    shapes = b.shape(data.tensor), b.shape(node.outputs[0]), b.shape(weight.tensor)
    gradient = _result(b, node, 6).by_real(gradient)
    return [data.by_whole(spread(b, node, gradient, weight.real(), shapes))]


@rule("MatMulInteger")
def matmul_integer(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply what is left of zero points."""
    (gradient,) = gradients
    if gradient is None:
        return []
    left = Scaled(b, node.inputs[0], "", operand(node, 2), axis=-2)
    right = Scaled(b, node.inputs[1], "", operand(node, 3), axis=-1)
    return _factors(b, gradient, left, right)


@rule("QLinearMatMul")
def matmul(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply real numbers."""
    (gradient,) = gradients
    if gradient is None:
        return []
    left, right = _scaled(b, node, 0, axis=-2), _scaled(b, node, 3, axis=-1)
    one, other = _factors(b, _result(b, node, 6).by_real(gradient), left, right)
    return [one, None, None, other]


def _factors(b: Backward, gradient: str, left: Scaled, right: Scaled) -> list[str | None]:
    both = left, right
    tensors = left.tensor, right.tensor
    values = left.real, right.real
    found = factors(b, gradient, tensors, values)
    return [part and factor.by_whole(part) for factor, part in zip(both, found, strict=True)]


@rule("QGemm", domain=MICROSOFT)
def gemm(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the kernel's real numbers."""
    (gradient,) = gradients
    if gradient is None:
        return []
    b.only_first(node)
    _refuse(b, node, "transA")
    turned = node.attribute("transB", 0)
    data, weight = _scaled(b, node, 0), _scaled(b, node, 3, axis=0 if turned else 1)
    if operand(node, 7):  # else it makes real numbers
        gradient = _result(b, node, 7).by_real(gradient)
    alpha = float(node.attribute("alpha", 1.0))
    product = b.op("Gemm", gradient, weight.real(), transB=1 - turned, alpha=alpha)
    return [data.by_whole(product)]


@rule("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def arithmetic(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Add or multiply real numbers."""
    (gradient,) = gradients
    if gradient is None:
        return []
    gradient = _result(b, node, 6).by_real(gradient)
    made = b.shape(node.outputs[0])
    both = _scaled(b, node, 0), _scaled(b, node, 3)
    found: list[str | None] = [None] * 4
    for at, (own, other) in zip((0, 3), (both, both[::-1]), strict=True):
        if b.wants(own.tensor):
            part = b.op("Mul", gradient, other.real()) if node.op == "QLinearMul" else gradient
            found[at] = own.by_whole(b.unbroadcast(part, made, b.shape(own.tensor)))
    return found


@rule("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def average(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread each gradient evenly over its window."""
    (gradient,) = gradients
    if gradient is None:
        return []
    _refuse(b, node, "channels_last")
    gradient = _result(b, node, 3).by_real(gradient)
    return [_scaled(b, node, 0).by_whole(spread_evenly(b, node, gradient))]


@rule("QLinearConcat", domain=MICROSOFT)
def concat(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand each part its own."""
    (gradient,) = gradients
    if gradient is None:
        return []
    parts = [_scaled(b, node, at) for at in range(2, len(node.inputs), 3)]
    axis = node.attribute("axis")
    sizes = b.constant([b.shape(part.tensor)[axis] for part in parts])
    gradient = _result(b, node, 0).by_real(gradient)
    found: list[str | None] = [None, None]
    for part, share in zip(
        parts, b.ops("Split", (gradient, sizes), len(parts), axis=axis), strict=True
    ):
        found += (part.by_whole(share) if b.wants(part.tensor) else None, None, None)
    return found
