"""Gradients of matrix products."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward


@rule("Gemm")
def gemm(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the other factor, turned; ``y = alpha A B + beta C``."""
    (gradient,) = gradients
    if gradient is None:
        return []
    left, right = node.inputs[:2]
    turned_left, turned_right = (node.attribute(key, 0) for key in ("transA", "transB"))
    alpha, beta = (float(node.attribute(key, 1.0)) for key in ("alpha", "beta"))
    found: list[str | None] = [None] * 3
    if b.wants(left):
        other = b.value(right)
        found[0] = (
            b.op("Gemm", other, gradient, transA=turned_right, transB=1, alpha=alpha)
            if turned_left
            else b.op("Gemm", gradient, other, transB=1 - turned_right, alpha=alpha)
        )
    if b.wants(right):
        other = b.value(left)
        found[1] = (
            b.op("Gemm", gradient, other, transA=1, transB=turned_left, alpha=alpha)
            if turned_right
            else b.op("Gemm", other, gradient, transA=1 - turned_left, alpha=alpha)
        )
    if len(node.inputs) > 2 and b.wants(node.inputs[2]):
        made = b.shape(node.outputs[0])
        found[2] = b.unbroadcast(b.scaled(gradient, beta), made, b.shape(node.inputs[2]))
    return found


def along_axis(
    b: Backward, name: str, shape: Sequence[int], axis: int, matrix: NDArray[Any]
) -> str:
    """Multiply every line along an axis by a constant matrix.

    Parameters
    ----------
    b : Backward
        The graph that is written.
    name : str
        A tensor in it.
    shape : sequence of int
        Its shape.
    axis : int
        Which axis; it gets the length of the matrix' columns.
    matrix : ndarray
        The matrix, one column a number along the axis.
    """
    made = (*shape[:axis], len(matrix), *shape[axis + 1 :])
    if axis == len(shape) - 1:
        flat = b.reshaped(name, (-1, shape[axis]))
        return b.reshaped(b.op("MatMul", flat, b.constant(matrix.T.astype(float))), made)
    flat = b.reshaped(name, (prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])))
    return b.reshaped(b.op("MatMul", b.constant(matrix.astype(float)), flat), made)
