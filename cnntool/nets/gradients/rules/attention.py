"""Gradients of attention as one operator; mostly it is spelt out as products and a softmax.

Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.1.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.gradients.backward import rule
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

_TURNED = [0, 1, 3, 2]


@rule("Attention")
def attention(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Compute the weights of the values again, and go back through their softmax."""
    gradient = gradients[0]
    shapes = [b.shape(tensor) for tensor in node.inputs[:3]]
    alike = len(shapes[0]) == 4 and len({shape[1] for shape in shapes}) == 1
    more = any(node.inputs[4:]) or any(gradients[1:]) or node.attribute("softcap")
    if not alike or more or gradient is None:
        raise b.error(f"of Attention the gradient of heads alone is known (node {node.label})")
    query, key, value = (b.value(tensor) for tensor in node.inputs[:3])
    scale = float(node.attribute("scale") or 1 / sqrt(shapes[0][3]))
    scores = b.scaled(b.op("MatMul", query, _turned(b, key)), scale)
    for mask in _masks(b, node, shapes[0][2], shapes[1][2]):
        scores = b.op("Add", scores, mask)
    weights = b.op("Softmax", scores, axis=-1)
    by_weights = b.op("MatMul", gradient, _turned(b, value))
    mean = b.summed(b.op("Mul", by_weights, weights), [3])
    by_scores = b.scaled(b.op("Mul", weights, b.op("Sub", by_weights, mean)), scale)
    return [
        b.op("MatMul", by_scores, key),
        b.op("MatMul", _turned(b, by_scores), query),
        b.op("MatMul", _turned(b, weights), gradient),
    ]


def _turned(b: Backward, name: str) -> str:
    return b.op("Transpose", name, perm=_TURNED)


def _masks(b: Backward, node: Node, queries: int, keys: int) -> list[str]:
    """Write what is added to the scores: minus infinity hides one."""
    masks = []
    stated = operand(node, 3)
    if stated:
        hidden = b.constant(-np.inf)
        masks.append(
            b.value(stated)
            if b.is_float(stated)
            else b.op("Where", b.stored(stated), b.constant(0.0), hidden)
        )
    if node.attribute("is_causal", 0):
        later = np.triu(np.ones((queries, keys), bool), 1)
        masks.append(b.constant(np.where(later, -np.inf, 0.0)))
    return masks
