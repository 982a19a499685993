"""Gradients of sums, means and other reductions along axes."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.gradients.backward import rule
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

    Derivative = Callable[[Backward, str, "Reduced"], str]

_TINY = 1e-30
"""Stands for a norm of 0, whose gradient is 0."""


class Reduced(NamedTuple):
    """What is known of a node that reduces.

    Parameters
    ----------
    shape : tuple of int
        Of what is reduced.
    axes : list of int
        Along which.
    kept : list of int
        The shape of the result, with axes of length 1.
    data, result : str
        Tensors of the network: what is reduced, and to what.
    """

    shape: tuple[int, ...]
    axes: list[int]
    kept: list[int]
    data: str
    result: str


def reduction(*operators: str) -> Callable[[Derivative], Derivative]:
    """Register reductions, by what writes the gradient of all numbers.

    It is given the graph that is written, the gradient of the result with axes of length 1, and
    what is known of the node. What it writes may broadcast to the shape.
    """

    def register(function: Derivative) -> Derivative:
        @rule(*operators)
        def spread(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
            (gradient,) = gradients
            if gradient is None:
                return []
            shape = b.shape(node.inputs[0])
            axes = b.axes(node)
            if not axes and not node.attribute("noop_with_empty_axes", 0):
                axes = tuple(range(len(shape)))
            along = sorted(axis % len(shape) for axis in axes or ())
            kept = [1 if axis in along else length for axis, length in enumerate(shape)]
            over = Reduced(shape, along, kept, node.inputs[0], node.outputs[0])
            return [function(b, b.reshaped(gradient, kept), over)]

        return function

    return register


def _result(b: Backward, over: Reduced) -> str:
    return b.reshaped(b.value(over.result), over.kept)


def _spread(b: Backward, gradient: str, over: Reduced) -> str:
    return b.op("Expand", gradient, b.constant(list(over.shape)))


@reduction("ReduceSum")
def total(b: Backward, gradient: str, over: Reduced) -> str:
    """Hand it to each."""
    return _spread(b, gradient, over)


@reduction("ReduceMean")
def mean(b: Backward, gradient: str, over: Reduced) -> str:
    """Hand its share to each."""
    share = b.scaled(gradient, 1 / prod(over.shape[axis] for axis in over.axes))
    return _spread(b, share, over)


@reduction("ReduceSumSquare")
def sum_of_squares(b: Backward, gradient: str, over: Reduced) -> str:
    """Multiply by twice the numbers."""
    return b.op("Mul", b.scaled(gradient, 2.0), b.value(over.data))


@reduction("ReduceL1")
def norm_1(b: Backward, gradient: str, over: Reduced) -> str:
    """Multiply by signs."""
    return b.op("Mul", gradient, b.op("Sign", b.value(over.data)))


@reduction("ReduceL2")
def norm_2(b: Backward, gradient: str, over: Reduced) -> str:
    """Multiply by the numbers, divided by their norm."""
    norm = b.op("Max", _result(b, over), b.constant(_TINY))
    return b.op("Mul", b.op("Div", gradient, norm), b.value(over.data))


@reduction("ReduceLogSum")
def log_sum(b: Backward, gradient: str, over: Reduced) -> str:
    """Divide by the sum."""
    return _spread(b, b.op("Div", gradient, b.op("Exp", _result(b, over))), over)


@reduction("ReduceLogSumExp")
def log_sum_exp(b: Backward, gradient: str, over: Reduced) -> str:
    """Multiply by shares in the sum: the softmax."""
    less = b.op("Sub", b.value(over.data), _result(b, over))
    return b.op("Mul", gradient, b.op("Exp", less))


@reduction("ReduceMax", "ReduceMin")
def extreme(b: Backward, gradient: str, over: Reduced) -> str:
    """Hand it to the one that won; where several are the same, a share to each."""
    won = b.cast(b.op("Equal", b.value(over.data), _result(b, over)))
    return b.op("Mul", b.op("Div", gradient, b.summed(won, over.axes)), won)


@reduction("ReduceProd")
def product(b: Backward, gradient: str, over: Reduced) -> str:
    """Multiply by the product of all others, of which some may be 0."""
    data = b.value(over.data)
    none = b.op("Equal", data, b.constant(0.0))
    safe = b.op("Where", none, b.constant(1.0), data)
    zeros = b.cast(none)
    elsewhere = b.op("Sub", b.summed(zeros, over.axes), zeros)
    without = b.cast(b.op("Equal", elsewhere, b.constant(0.0)))
    others = b.op("Div", b.op("ReduceProd", safe, b.constant(over.axes)), safe)
    return b.op("Mul", gradient, b.op("Mul", others, without))


@rule("CumSum")
def cumulative_sum(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Sum from the other end."""
    (gradient,) = gradients
    if gradient is None:
        return []
    reverse, exclusive = (node.attribute(key, 0) for key in ("reverse", "exclusive"))
    axis = b.constant(b.numbers(operand(node, 1)))
    return [b.op("CumSum", gradient, axis, reverse=1 - reverse, exclusive=exclusive)]
