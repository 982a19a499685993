"""Gradients of arithmetic with broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule
from cnntool.nets.gradients.rules.activations import step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


def _given_back(b: Backward, node: Node, gradients: Sequence[str | None]) -> list[str | None]:
    """Sum the gradient of each operand to its shape, where it was repeated."""
    made = b.shape(node.outputs[0])
    return [
        b.unbroadcast(gradient, made, b.shape(tensor)) if gradient and b.wants(tensor) else None
        for tensor, gradient in zip(node.inputs, gradients, strict=False)
    ]


@rule("Add", "Sum")
def add(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient to each of them."""
    return _given_back(b, node, gradients * len(node.inputs))


@rule("Mean")
def mean(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand each of them its share."""
    (gradient,) = gradients
    share = b.scaled(gradient, 1 / len(node.inputs)) if gradient else None
    return _given_back(b, node, [share] * len(node.inputs))


@rule("Sub")
def subtract(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient on, and to what is taken off its negative."""
    kept, taken = _given_back(b, node, gradients * 2)
    return [kept, b.op("Neg", taken) if taken else None]


@rule("Mul")
def multiply(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the other factor."""
    (gradient,) = gradients
    found = [
        b.op("Mul", gradient, b.value(other)) if gradient and b.wants(tensor) else None
        for tensor, other in zip(node.inputs, reversed(node.inputs), strict=True)
    ]
    return _given_back(b, node, found)


@rule("Div")
def divide(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Divide by the same; the divisor's gradient is ``-g y / b``."""
    (gradient,) = gradients
    above, below = node.inputs
    divisor = b.value(below)
    found: list[str | None] = [None, None]
    if gradient and b.wants(above):
        found[0] = b.op("Div", gradient, divisor)
    if gradient and b.wants(below):
        found[1] = b.op("Mul", gradient, b.value(node.outputs[0]))
    by_above, by_below = _given_back(b, node, found)
    return [by_above, b.op("Neg", b.op("Div", by_below, divisor)) if by_below else None]


@rule("Pow")
def power(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by ``e x^(e-1)``; the exponent's gradient is ``g y log(x)``, for x above 0."""
    (gradient,) = gradients
    data, exponent = node.inputs
    base = b.value(data)
    found: list[str | None] = [None, None]
    if gradient and b.wants(data):
        if exponent not in b.flow.data and (b.numbers(exponent) == 2).all():
            slope = b.scaled(base, 2.0)
        else:
            number = b.value(exponent)
            less = b.op("Sub", number, b.constant(1.0))
            slope = b.op("Mul", number, b.op("Pow", base, less))
        found[0] = b.op("Mul", gradient, slope)
    if gradient and b.wants(exponent):
        slope = b.op("Mul", b.value(node.outputs[0]), b.op("Log", base))
        positive = b.op("Greater", base, b.constant(0.0))
        found[1] = b.op("Mul", gradient, b.op("Where", positive, slope, b.constant(0.0)))
    return _given_back(b, node, found)


@rule("Max", "Min")
def extreme(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient to the one that won; where two are the same, half to each."""
    (rest,) = gradients
    values = [b.value(tensor) for tensor in node.inputs]
    best = values[:1]  # of the first, of the first two...
    for value in values[1:-1]:
        best.append(b.op(node.op, best[-1], value))
    found: list[str | None] = [None] * len(values)
    for place in range(len(values) - 1, 0, -1):
        pair = [values[place], best[place - 1]]
        ends = pair if node.op == "Max" else pair[::-1]
        if rest and b.wants(node.inputs[place]):
            found[place] = b.op("Mul", rest, step(b, b.op("Sub", *ends), 0.5))
        if rest and any(b.wants(tensor) for tensor in node.inputs[:place]):
            rest = b.op("Mul", rest, step(b, b.op("Sub", *reversed(ends)), 0.5))
    found[0] = rest
    return _given_back(b, node, found)


@rule("Where")
def where(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient to the one that was chosen."""
    (gradient,) = gradients
    condition, first, second = node.inputs
    chosen, nothing = b.stored(condition), b.constant(0.0)
    found: list[str | None] = [None] * 3
    if gradient and b.wants(first):
        found[1] = b.op("Where", chosen, gradient, nothing)
    if gradient and b.wants(second):
        found[2] = b.op("Where", chosen, nothing, gradient)
    return _given_back(b, node, found)
