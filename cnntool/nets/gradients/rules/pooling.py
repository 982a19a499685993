"""Gradients of pooling."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.gradients.backward import rule
from cnntool.nets.gradients.rules.convolution import window
from cnntool.nets.gradients.rules.products import along_axis

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
    how: dict[str, list[int]] = {"kernel_shape": kernel, "strides": move.strides}
    _, places = b.ops(
        "MaxPool",
        [b.value(data)],
        2,
        dilations=move.dilations,
        pads=move.pads,
        ceil_mode=node.attribute("ceil_mode", 0),
        **how,
    )
    tiles = zip(shape[2:], made[2:], move.strides, move.extent, strict=True)
    if len(shape) == 4 and all(r <= s and (m - 1) * s + r <= n for n, m, s, r in tiles):
        return [b.op("MaxUnpool", gradient, places, b.constant(list(shape)), **how)]
    nothing = b.op("Expand", b.constant(0.0), b.constant([prod(shape)]))
    flat = (b.reshaped(name, [-1]) for name in (places, gradient))
    return [b.reshaped(b.op("ScatterElements", nothing, *flat, reduction="add"), shape)]


@rule("AveragePool", "GlobalAveragePool")
def average_pool(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread each gradient evenly over its window."""
    (gradient,) = gradients
    return [spread_evenly(b, node, gradient)] if gradient else []


def spread_evenly(b: Backward, node: Node, gradient: str) -> str:
    """Write the gradient of an average by its data, global where there is no window."""
    if node.attribute("kernel_shape"):
        padding = node.attribute("count_include_pad", 0)
        return _spread(b, node, gradient, average=True, padding=bool(padding))
    shape = b.shape(node.inputs[0])
    share = b.scaled(gradient, 1 / prod(shape[2:]))
    return b.op("Expand", share, b.constant(list(shape)))


@rule("LpPool")
def lp_pool(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread each gradient over its window, weighed by what is there."""
    (gradient,) = gradients
    if gradient is None:
        return []
    p = float(node.attribute("p", 2))
    return [_weighed(b, node, _spread(b, node, _per_norm(b, node, gradient, p)), p)]


@rule("GlobalLpPool")
def global_lp(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread the gradient, weighed by what is there."""
    (gradient,) = gradients
    if gradient is None:
        return []
    p = float(node.attribute("p", 2))
    return [_weighed(b, node, _per_norm(b, node, gradient, p), p)]


@rule("GlobalMaxPool")
def global_max(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient to the first of the largest."""
    (gradient,) = gradients
    if gradient is None:
        return []
    shape = b.shape(node.inputs[0])
    flat = b.reshaped(b.value(node.inputs[0]), (*shape[:2], -1))
    place = b.op("ArgMax", flat, axis=2)
    nothing = b.op("Expand", b.constant(0.0), b.constant([*shape[:2], prod(shape[2:])]))
    share = b.reshaped(gradient, (*shape[:2], 1))
    return [b.reshaped(b.op("ScatterElements", nothing, place, share, axis=2), shape)]


def _spread(
    b: Backward, node: Node, name: str, *, average: bool = False, padding: bool = False
) -> str:
    """Add up what windows give to each place: rows and columns apart, each by a matrix."""
    shape, made = b.shape(node.inputs[0]), list(b.shape(node.outputs[0]))
    kernel = node.attribute("kernel_shape")
    move = window(node, kernel, shape[2:], made[2:])
    for axis, (length, count, stride, dilation, first, last, taps) in enumerate(
        zip(
            shape[2:],
            made[2:],
            move.strides,
            move.dilations,
            move.before,
            move.after,
            kernel,
            strict=True,
        ),
        2,
    ):
        starts = np.arange(count)[:, None] * stride - first
        places = starts + np.arange(taps) * dilation
        matrix = (places[:, :, None] == np.arange(length)).sum(axis=1)
        low, high = (-first, length + last) if padding else (0, length)
        counted = ((places >= low) & (places < high)).sum(axis=1, keepdims=True)
        name = along_axis(b, name, made, axis, (matrix / counted if average else matrix).T)
        made[axis] = length
    return name


def _per_norm(b: Backward, node: Node, gradient: str, p: float) -> str:
    """Divide by the norm to the power of ``p - 1``; where it is 0, so is the gradient."""
    norm = b.value(node.outputs[0])
    zero = b.op("Equal", norm, b.constant(0.0))
    norm = b.op("Where", zero, b.constant(1.0), norm)
    return b.op("Div", gradient, norm if p == 2 else b.op("Pow", norm, b.constant(p - 1)))


def _weighed(b: Backward, node: Node, share: str, p: float) -> str:
    """Multiply by ``sign(x) |x| ** (p - 1)``."""
    data = b.value(node.inputs[0])
    if p != 2:
        size = b.op("Pow", b.op("Abs", data), b.constant(p - 1))
        data = b.op("Mul", b.op("Sign", data), size)
    return b.op("Mul", share, data)
