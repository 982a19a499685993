"""Gradients of arithmetic with broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("Add", "Sum")
def add(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand the gradient to each of them."""
    (gradient,) = gradients
    made = b.shape(node.outputs[0])
    return [
        b.unbroadcast(gradient, made, b.shape(tensor)) if gradient and b.wants(tensor) else None
        for tensor in node.inputs
    ]
