"""Gradients of matrix products."""

from __future__ import annotations

import string
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


@rule("MatMul")
def matmul(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the other factor, turned."""
    (gradient,) = gradients
    if gradient is None:
        return []
    left, right = node.inputs
    return factors(b, gradient, (left, right), (partial(b.value, left), partial(b.value, right)))


def factors(
    b: Backward,
    gradient: str,
    tensors: tuple[str, str],
    values: tuple[Callable[[], str], Callable[[], str]],
) -> list[str | None]:
    """Write the gradients of a product of matrices by both; a vector is one row or column.

    Parameters
    ----------
    b : Backward
        The graph that is written.
    gradient : str
        The gradient of the product.
    tensors : tuple of str
        The factors' names in the network.
    values : tuple of function
        What name them in the graph that is written.
    """
    one, other = (b.shape(tensor) for tensor in tensors)
    rows = (1, *one) if len(one) == 1 else one
    columns = (*other, 1) if len(other) == 1 else other
    stacked = np.broadcast_shapes(rows[:-2], columns[:-2])
    if len(one) == 1 or len(other) == 1:
        gradient = b.reshaped(gradient, (*stacked, rows[-2], columns[-1]))
    found: list[str | None] = [None, None]
    if b.wants(tensors[0]):
        if len(other) == 2:  # turned as it is used: a large weight is not copied
            flat = b.reshaped(gradient, (-1, other[1]))
            found[0] = b.reshaped(b.op("Gemm", flat, values[1](), transB=1), one)
        else:
            product = b.op("MatMul", gradient, _turned(b, values[1](), other, columns))
            found[0] = _given(b, product, (*stacked, *rows[-2:]), rows, one)
    if b.wants(tensors[1]):
        product = b.op("MatMul", _turned(b, values[0](), one, rows), gradient)
        found[1] = _given(b, product, (*stacked, *columns[-2:]), columns, other)
    return found


def _turned(b: Backward, name: str, shape: Sequence[int], matrix: Sequence[int]) -> str:
    """Swap the last two axes; a vector of this shape becomes a matrix first."""
    if len(shape) == 1:
        return b.reshaped(name, matrix[::-1])
    rank = len(shape)
    return b.op("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _given(
    b: Backward, name: str, made: Sequence[int], matrix: Sequence[int], shape: Sequence[int]
) -> str:
    """Sum a gradient over the stack of matrices that a factor was repeated for."""
    name = b.unbroadcast(name, made, matrix)
    return name if len(matrix) == len(shape) else b.reshaped(name, shape)


@rule("Einsum")
def einsum(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Multiply by the other factors, with the letters of the one that is left out as the result.

    Axes of an ellipsis get capital letters, counted from their end.
    """
    (gradient,) = gradients
    if gradient is None:
        return []
    shapes = [b.shape(tensor) for tensor in node.inputs]
    terms, result = _letters(node.attribute("equation"), [len(shape) for shape in shapes])
    factors = list(zip(terms, shapes, strict=True))
    found: list[str | None] = []
    for at, (term, shape) in enumerate(factors):
        if not b.wants(node.inputs[at]):
            found.append(None)
            continue
        if len(set(term)) < len(term):
            raise b.error(f"no gradient is known of a diagonal ({node.label})")
        others = [k for k in range(len(factors)) if k != at]
        known = _lengths([(result, b.shape(node.outputs[0])), *(factors[k] for k in others)])
        kept = "".join(letter for letter in term if letter in known)
        equation = ",".join([result, *(terms[k] for k in others)]) + "->" + kept
        values = (b.value(node.inputs[k]) for k in others)
        part = b.op("Einsum", gradient, *values, equation=equation)
        whole = [_lengths(factors)[letter] for letter in term]
        narrow = [known.get(letter, 1) for letter in term]
        if narrow != whole:  # summed by itself: all get the same
            part = b.op("Expand", b.reshaped(part, narrow), b.constant(whole))
        found.append(b.unbroadcast(part, whole, shape))
    return found


def _lengths(factors: Sequence[tuple[str, Sequence[int]]]) -> dict[str, int]:
    """Return the length that each letter stands for, 1 being repeated."""
    lengths: dict[str, int] = {}
    for term, shape in factors:
        for letter, length in zip(term, shape, strict=True):
            lengths[letter] = max(length, lengths.get(letter, 1))
    return lengths


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Write an equation's terms and its result as one letter an axis."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if not arrow:
        once = (a for a in sorted(set(given) - {",", "."}) if given.count(a) == 1)
        result = "..." * ("." in given) + "".join(once)
    named = string.ascii_uppercase.translate({ord(letter): None for letter in equation})
    extra = [
        rank - len(term) + 3 if "." in term else 0 for term, rank in zip(terms, ranks, strict=True)
    ]
    terms = [term.replace("...", named[:n][::-1]) for term, n in zip(terms, extra, strict=True)]
    return terms, result.replace("...", named[: max(extra)][::-1])


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
