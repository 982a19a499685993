"""Gradients of activations, and of other functions of one number."""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

    Derivative = Callable[[Backward, Node], str]

_STEEP = 2.0**126
"""Whatever is above 0 becomes 1 by this factor, as good as."""


def step(b: Backward, name: str, tie: float = 0.0) -> str:
    """Write 1 where a tensor is above 0, and 0 where it is below.

    A comparison makes booleans that have to be turned into floats: two passes, where this is one.

    Parameters
    ----------
    b : Backward
        The graph that is written.
    name : str
        The tensor.
    tie : float
        What stands for 0 itself.
    """
    return b.op("HardSigmoid", name, alpha=_STEEP, beta=tie)


def derivative(*operators: str, domain: str = "") -> Callable[[Derivative], Derivative]:
    """Register functions of one number, by what writes their derivative at each place."""

    def register(function: Derivative) -> Derivative:
        @rule(*operators, domain=domain)
        def chain(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
            (gradient,) = gradients
            return [b.op("Mul", gradient, function(b, node))] if gradient else []

        return function

    return register


def _input(b: Backward, node: Node) -> str:
    return b.value(node.inputs[0])


def _output(b: Backward, node: Node) -> str:
    return b.value(node.outputs[0])


def _signed(b: Backward, node: Node, alpha: float) -> str:
    """Take the output, which need not be kept apart, for the input if both have the same sign."""
    return _output(b, node) if alpha >= 0 else _input(b, node)


def _plus(b: Backward, name: str, number: float) -> str:
    return b.op("Add", name, b.constant(number))


def _rest(b: Backward, name: str, whole: float = 1.0) -> str:
    return b.op("Sub", b.constant(whole), name)


def _squared(b: Backward, name: str) -> str:
    return b.op("Mul", name, name)


@derivative("Relu")
def relu(b: Backward, node: Node) -> str:
    """Let through what was above 0."""
    return step(b, _output(b, node))


@derivative("ThresholdedRelu")
def thresholded_relu(b: Backward, node: Node) -> str:
    """Let through what was above the threshold."""
    alpha = float(node.attribute("alpha", 1.0))
    return step(b, _output(b, node) if alpha >= 0 else _plus(b, _input(b, node), -alpha))


@derivative("LeakyRelu")
def leaky_relu(b: Backward, node: Node) -> str:
    """Write 1, and alpha below 0."""
    alpha = float(node.attribute("alpha", 0.01))
    return _plus(b, b.scaled(step(b, _signed(b, node, alpha)), 1 - alpha), alpha)


@rule("PRelu")
def prelu(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Let through what was above 0, and the rest by its slope."""
    (gradient,) = gradients
    data, slopes = node.inputs
    found: list[str | None] = [None, None]
    if gradient and b.wants(data):
        slope = b.value(slopes)
        above = b.op("Mul", step(b, b.value(data)), _rest(b, slope))
        found[0] = b.op("Mul", gradient, b.op("Add", above, slope))
    if gradient and b.wants(slopes):
        below = b.op("Mul", gradient, b.op("Min", b.value(data), b.constant(0.0)))
        found[1] = b.unbroadcast(below, b.shape(data), b.shape(slopes))
    return found


def _bent(b: Backward, node: Node, alpha: float, above: float, below: str) -> str:
    positive = b.op("Greater", _signed(b, node, alpha), b.constant(0.0))
    return b.op("Where", positive, b.constant(above), below)


@derivative("Elu")
def elu(b: Backward, node: Node) -> str:
    """Write 1, and below 0 ``alpha exp(x)``."""
    alpha = float(node.attribute("alpha", 1.0))
    return _bent(b, node, alpha, 1.0, _plus(b, _output(b, node), alpha))


@derivative("Selu")
def selu(b: Backward, node: Node) -> str:
    """Write gamma, and below 0 ``gamma alpha exp(x)``."""
    alpha = float(node.attribute("alpha", 1.67326319217681884765625))
    gamma = float(node.attribute("gamma", 1.05070102214813232421875))
    return _bent(b, node, alpha, gamma, _plus(b, _output(b, node), alpha * gamma))


@derivative("Celu")
def celu(b: Backward, node: Node) -> str:
    """Write 1, and below 0 ``exp(x / alpha)``."""
    alpha = float(node.attribute("alpha", 1.0))
    return _bent(b, node, alpha, 1.0, _plus(b, b.scaled(_output(b, node), 1 / alpha), 1.0))


@rule("Clip")
def clip(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Let through what was between the limits, and hand the rest to these."""
    (gradient,) = gradients
    if gradient is None:
        return []
    output = _output(b, node)
    rooms = {}  # how far the output is from each limit
    for position, key in ((1, "min"), (2, "max")):
        tensor, number = operand(node, position), node.attribute(key)
        if tensor or number is not None:
            limit = b.value(tensor) if tensor else b.constant(float(number))
            ends = (output, limit) if key == "min" else (limit, output)
            rooms[position] = b.op("Sub", *ends)
    if not rooms:
        return [gradient]
    found: list[str | None] = [None] * 3
    if b.wants(node.inputs[0]):
        room = b.op("Min", *rooms.values()) if len(rooms) > 1 else next(iter(rooms.values()))
        found[0] = b.op("Mul", gradient, step(b, room))
    for position, room in rooms.items():
        if b.wants(operand(node, position)):
            there = b.op("Mul", gradient, _rest(b, step(b, room)))
            found[position] = b.unbroadcast(there, b.shape(node.outputs[0]), ())
    return found


@derivative("Sigmoid")
def sigmoid(b: Backward, node: Node) -> str:
    """Write ``y (1 - y)``."""
    output = _output(b, node)
    return b.op("Mul", output, _rest(b, output))


@derivative("HardSigmoid")
def hard_sigmoid(b: Backward, node: Node) -> str:
    """Write alpha where it rises."""
    output = _output(b, node)
    rises = step(b, b.op("Min", output, _rest(b, output)))
    return b.scaled(rises, float(node.attribute("alpha", 0.2)))


@derivative("HardSwish")
def hard_swish(b: Backward, node: Node) -> str:
    """Write what x was multiplied by, and ``x / 6`` where that rises."""
    data = _input(b, node)
    rises = step(b, _rest(b, b.op("Abs", data), 3.0))
    factor = b.op("HardSigmoid", data, alpha=1 / 6, beta=0.5)
    return b.op("Add", factor, b.scaled(b.op("Mul", data, rises), 1 / 6))


@derivative("Swish")
@derivative("QuickGelu", domain="com.microsoft")
def swish(b: Backward, node: Node) -> str:
    """Write ``s (1 + alpha x (1 - s))``, where s is the sigmoid of ``alpha x``."""
    alpha = float(node.attribute("alpha", 1.702 if node.domain else 1.0))
    data = b.scaled(_input(b, node), alpha)
    factor = b.op("Sigmoid", data)
    return b.op("Mul", factor, _plus(b, b.op("Mul", data, _rest(b, factor)), 1.0))


@derivative("Mish")
def mish(b: Backward, node: Node) -> str:
    """Write ``t + x (1 - t^2) sigmoid(x)``, where t is tanh(softplus(x))."""
    data = _input(b, node)
    factor = b.op("Tanh", b.op("Softplus", data))
    slope = b.op("Mul", _rest(b, _squared(b, factor)), b.op("Sigmoid", data))
    return b.op("Add", factor, b.op("Mul", data, slope))


@derivative("Tanh")
def tanh(b: Backward, node: Node) -> str:
    """Write ``1 - y^2``."""
    return _rest(b, _squared(b, _output(b, node)))


@derivative("Erf")
def erf(b: Backward, node: Node) -> str:
    """Write ``2 exp(-x^2) / sqrt(pi)``."""
    bell = b.op("Exp", b.op("Neg", _squared(b, _input(b, node))))
    return b.scaled(bell, 2 / sqrt(pi))


@rule("Gelu")
@rule("Gelu", "FastGelu", "BiasGelu", domain="com.microsoft")
def gelu(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the derivative, exact or by tanh, at the sum of data and bias."""
    (gradient,) = gradients
    if gradient is None:
        return []
    data = _input(b, node)
    for bias in filter(None, node.inputs[1:]):
        data = b.op("Add", data, b.value(bias))
    by_tanh = node.op == "FastGelu" or node.attribute("approximate") == "tanh"
    product = b.op("Mul", gradient, (_tanh_gelu if by_tanh else _exact_gelu)(b, data))
    made = b.shape(node.outputs[0])
    return [
        b.unbroadcast(product, made, b.shape(tensor)) if b.wants(tensor) else None
        for tensor in node.inputs
    ]


def _exact_gelu(b: Backward, data: str) -> str:
    """Write ``P(x) + x p(x)`` of the normal distribution."""
    below = _plus(b, b.scaled(b.op("Erf", b.scaled(data, sqrt(0.5))), 0.5), 0.5)
    bell = b.op("Exp", b.scaled(_squared(b, data), -0.5))
    return b.op("Add", below, b.scaled(b.op("Mul", data, bell), 1 / sqrt(2 * pi)))


def _tanh_gelu(b: Backward, data: str) -> str:
    """Write ``(1 + t) / 2 + x (1 - t^2) u' / 2``, where t is tanh(u)."""
    square = _squared(b, data)
    scale, cubic = sqrt(2 / pi), 0.044715 * sqrt(2 / pi)
    turned = b.op("Tanh", b.op("Mul", data, _plus(b, b.scaled(square, cubic), scale)))
    inner = _plus(b, b.scaled(square, 3 * cubic), scale)
    slope = b.op("Mul", b.op("Mul", data, inner), _rest(b, _squared(b, turned)))
    return b.scaled(_plus(b, b.op("Add", turned, slope), 1.0), 0.5)


@derivative("Softplus")
def softplus(b: Backward, node: Node) -> str:
    """Write the sigmoid."""
    return b.op("Sigmoid", _input(b, node))


@derivative("Softsign")
def softsign(b: Backward, node: Node) -> str:
    """Write ``(1 - |y|)^2``."""
    return _squared(b, _rest(b, b.op("Abs", _output(b, node))))


def _classes(b: Backward, node: Node) -> list[int]:
    """List the axes that a softmax sums over: before version 13 all from one on."""
    rank = len(b.shape(node.outputs[0]))
    single = b.opset >= 13
    axis = node.attribute("axis", -1 if single else 1) % rank
    return [axis] if single else list(range(axis, rank))


@rule("Softmax")
def softmax(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Take off the mean gradient, by the probabilities."""
    (gradient,) = gradients
    if gradient is None:
        return []
    output = _output(b, node)
    mean = b.summed(b.op("Mul", gradient, output), _classes(b, node))
    return [b.op("Mul", output, b.op("Sub", gradient, mean))]


@rule("LogSoftmax")
def log_softmax(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Take off the share of each class in the sum of gradients."""
    (gradient,) = gradients
    if gradient is None:
        return []
    total = b.summed(gradient, _classes(b, node))
    share = b.op("Mul", b.op("Exp", _output(b, node)), total)
    return [b.op("Sub", gradient, share)]


@rule("Round")
def rounding(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:  # noqa: ARG001
    """Hand the gradient straight through, as networks are trained whose numbers are rounded."""
    return [gradients[0]]


@rule("Sign", "Floor", "Ceil")
def steps(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:  # noqa: ARG001
    """Write nothing: a small change makes none."""
    return []


@rule("Neg")
def negative(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:  # noqa: ARG001
    """Turn the sign."""
    (gradient,) = gradients
    return [b.op("Neg", gradient)] if gradient else []


@derivative("Abs")
def absolute(b: Backward, node: Node) -> str:
    """Write the sign."""
    return b.op("Sign", _input(b, node))


@derivative("Reciprocal")
def reciprocal(b: Backward, node: Node) -> str:
    """Write ``-y^2``."""
    return b.op("Neg", _squared(b, _output(b, node)))


@derivative("Sqrt")
def root(b: Backward, node: Node) -> str:
    """Write ``1 / 2y``."""
    return b.op("Div", b.constant(0.5), _output(b, node))


@derivative("Exp")
def exponential(b: Backward, node: Node) -> str:
    """Write y itself."""
    return _output(b, node)


@derivative("Log")
def logarithm(b: Backward, node: Node) -> str:
    """Write ``1 / x``."""
    return b.op("Reciprocal", _input(b, node))


@derivative("Sin")
def sine(b: Backward, node: Node) -> str:
    """Write the cosine."""
    return b.op("Cos", _input(b, node))


@derivative("Cos")
def cosine(b: Backward, node: Node) -> str:
    """Write the sine, negative."""
    return b.op("Neg", b.op("Sin", _input(b, node)))
