"""Gradients of activations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("Relu")
def relu(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Let through what was above 0."""
    (gradient,) = gradients
    passed = b.cast(b.op("Greater", b.value(node.outputs[0]), b.constant(0.0)))
    return [b.op("Mul", gradient, passed)] if gradient else []
