"""Rules: from the gradients of what an operator makes to those of what it is given.

Importing this registers all of them, see `cnntool.nets.gradients.backward.rule`.
"""

from cnntool.nets.gradients.rules import (
    activations,
    arithmetic,
    attention,
    convolution,
    normalization,
    pooling,
    products,
    quantization,
    rearranging,
    reductions,
    resizing,
)

__all__ = [
    "activations",
    "arithmetic",
    "attention",
    "convolution",
    "normalization",
    "pooling",
    "products",
    "quantization",
    "rearranging",
    "reductions",
    "resizing",
]
