"""Gradients of operators that move numbers and change none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Give back the axes."""
    (gradient,) = gradients
    return [b.reshaped(gradient, b.shape(node.inputs[0]))] if gradient else []


@rule("Identity", "Dropout", "Cast")
def identity(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:  # noqa: ARG001
    """Hand the gradient on: at inference nothing is dropped, and a rounding counts as none."""
    return [gradients[0]]
