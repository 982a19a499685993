"""Gradients of pooling."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule
from cnntool.nets.gradients.rules.convolution import window

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("MaxPool")
def max_pool(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand each gradient to the place that its value came from, which is found again."""
    gradient = gradients[0]
    data = node.inputs[0]
    if gradient is None:
        return []
    shape, made = b.shape(data), b.shape(node.outputs[0])
    kernel = list(node.attribute("kernel_shape"))
    move = window(node, kernel, shape[2:], made[2:])
    apart = all(reach <= stride for reach, stride in zip(move.extent, move.strides, strict=True))
    _, places = b.ops(
        "MaxPool",
        [b.value(data)],
        2,
        kernel_shape=kernel,
        strides=move.strides,
        dilations=move.dilations,
        pads=move.pads,
        ceil_mode=node.attribute("ceil_mode", 0),
    )
    if apart and len(shape) == 4:
        sizes = b.constant(list(shape))
        return [
            b.op("MaxUnpool", gradient, places, sizes, kernel_shape=kernel, strides=move.strides)
        ]
    nothing = b.op("ConstantOfShape", b.constant([prod(shape)]))
    flat = (b.reshaped(name, [-1]) for name in (places, gradient))
    return [b.reshaped(b.op("ScatterElements", nothing, *flat, reduction="add"), shape)]


@rule("GlobalAveragePool")
def global_average(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread the gradient evenly."""
    (gradient,) = gradients
    shape = b.shape(node.inputs[0])
    if gradient is None:
        return []
    share = b.scaled(gradient, 1 / prod(shape[2:]))
    return [b.op("Expand", share, b.constant(list(shape)))]
