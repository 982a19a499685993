"""Gradients of normalization.

What is divided by its own spread pulls on all that it is averaged with. Sources: Ioffe and Szegedy,
Batch normalization, 2015; Ba, Kiros and Hinton, Layer normalization, 2016; Krizhevsky et al.,
ImageNet classification with deep convolutional neural networks, 2012, section 3.3.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("BatchNormalization")
def batch(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by what the network multiplies by: mean and variance are constants."""
    gradient = gradients[0]
    if gradient is None:
        return []
    b.only_first(node)
    if node.attribute("training_mode", 0):
        raise b.error(f"no gradient is known of a batch normalization in training ({node.label})")
    scale, variance = node.inputs[1], node.inputs[4]
    shape, each = b.shape(node.inputs[0]), b.shape(scale)
    spread = _deviation(b, b.value(variance), node)
    factor = b.op("Div", b.value(scale), spread)
    if len(each) == 1:  # very old files have one for each place
        factor = b.reshaped(factor, (-1, *(1 for _ in shape[2:])))
    return [b.op("Mul", gradient, factor)]


@rule("InstanceNormalization")
def instance(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Normalise each map."""
    (gradient,) = gradients
    if gradient is None:
        return []
    b.only_first(node)
    data, scale = node.inputs[:2]
    axes = range(2, len(b.shape(data)))
    factor = b.reshaped(b.value(scale), (-1, *(1 for _ in axes)))
    return [_normalised(b, node, b.value(data), b.op("Mul", gradient, factor), axes)]


@rule("GroupNormalization")
def group(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Normalise the maps of a group together."""
    (gradient,) = gradients
    if gradient is None:
        return []
    b.only_first(node)
    data, scale = node.inputs[:2]
    shape, groups = b.shape(data), node.attribute("num_groups")
    apart = (shape[0], groups, shape[1] // groups, *shape[2:])
    # One factor a channel, or in the first version one a group.
    each = (groups, -1, *(1 for _ in shape[2:]))
    weighed = b.op("Mul", b.reshaped(gradient, apart), b.reshaped(b.value(scale), each))
    axes = range(2, len(apart))
    found = _normalised(b, node, b.reshaped(b.value(data), apart), weighed, axes)
    return [b.reshaped(found, shape)]


@rule("LayerNormalization", "RMSNormalization")
def layer(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Normalise the last axes."""
    gradient = gradients[0]
    if gradient is None:
        return []
    b.only_first(node)
    data, scale = node.inputs[:2]
    rank = len(b.shape(data))
    axes = range(node.attribute("axis", -1) % rank, rank)
    weighed = b.op("Mul", gradient, b.value(scale))
    centred = node.op != "RMSNormalization"
    return [_normalised(b, node, b.value(data), weighed, axes, centred=centred)]


@rule("MeanVarianceNormalization")
def mean_variance(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Normalise the axes that the node names."""
    (gradient,) = gradients
    if gradient is None:
        return []
    axes = node.attribute("axes") or (0, 2, 3)
    return [_normalised(b, node, b.value(node.inputs[0]), gradient, axes)]


@rule("LRN")
def local_response(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Divide by a power of what is near, ``y = x s^-beta``, and subtract what it does to others.

    With ``s = bias + alpha mean(x^2)`` over the nearest channels.
    """
    (gradient,) = gradients
    if gradient is None:
        return []
    shape, size = b.shape(node.inputs[0]), node.attribute("size")
    alpha, beta, bias = (
        float(node.attribute(key, value))
        for key, value in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    plane = (shape[0], 1, shape[1], prod(shape[2:]))
    half = size // 2  # onnxruntime knows odd ones alone

    def near(name: str) -> str:
        sides, pads = [size, 1], [half, 0, half, 0]
        return b.op("AveragePool", name, kernel_shape=sides, pads=pads, count_include_pad=1)

    data, gradient = (b.reshaped(name, plane) for name in (b.value(node.inputs[0]), gradient))
    around = b.scaled(near(b.op("Mul", data, data)), alpha)
    around = b.op("Add", around, b.constant(bias))
    own = b.op("Mul", gradient, b.op("Pow", around, b.constant(-beta)))
    others = near(b.op("Div", b.op("Mul", own, data), around))
    others = b.scaled(b.op("Mul", data, others), 2 * alpha * beta)
    return [b.reshaped(b.op("Sub", own, others), shape)]


@rule("LpNormalization")
def to_length(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Divide by the length, and subtract what goes along with it."""
    (gradient,) = gradients
    if gradient is None:
        return []
    data, made = b.value(node.inputs[0]), b.value(node.outputs[0])
    axes = b.constant([node.attribute("axis", -1)])
    first = node.attribute("p", 2) == 1
    length = b.op("ReduceL1" if first else "ReduceL2", data, axes)
    zero = b.op("Equal", length, b.constant(0.0))
    length = b.op("Where", zero, b.constant(1.0), length)
    along = b.op("ReduceSum", b.op("Mul", gradient, made), axes)
    away = b.op("Sign", data) if first else made
    return [b.op("Div", b.op("Sub", gradient, b.op("Mul", away, along)), length)]


def _deviation(b: Backward, variance: str, node: Node) -> str:
    # A division of 0 by 0 is avoided where the node has no such number.
    least = 1e-18 if node.op == "MeanVarianceNormalization" else node.attribute("epsilon", 1e-5)
    return b.op("Sqrt", b.op("Add", variance, b.constant(float(least))))


def _normalised(
    b: Backward,
    node: Node,
    data: str,
    gradient: str,
    axes: Sequence[int],
    *,
    centred: bool = True,
) -> str:
    """Write the gradient of ``(x - mean) / deviation`` over axes."""
    over = b.constant(list(axes))
    if centred:
        data = b.op("Sub", data, b.op("ReduceMean", data, over))
    deviation = _deviation(b, b.op("ReduceMean", b.op("Mul", data, data), over), node)
    made = b.op("Div", data, deviation)
    pull = b.op("Mul", made, b.op("ReduceMean", b.op("Mul", gradient, made), over))
    if centred:
        pull = b.op("Add", pull, b.op("ReduceMean", gradient, over))
    return b.op("Div", b.op("Sub", gradient, pull), deviation)
