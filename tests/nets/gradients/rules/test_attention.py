"""Gradients of attention beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from finite_differences import check, draw
from onnx import helper

from cnntool.errors import ModelError

DATA = {
    "q": draw(1, 2, 3, 4, seed=1),
    "k": draw(1, 2, 5, 4, seed=2),
    "v": draw(1, 2, 5, 3, seed=3),
}


@pytest.mark.parametrize("stated", [{}, {"scale": 0.3}, {"is_causal": 1}])
@pytest.mark.parametrize("mask", [None, "bool", "float"])
def test_attention(stated, mask):
    hidden = np.arange(15).reshape(3, 5) % 4 == 1
    masks = {"bool": {"m": ~hidden}, "float": {"m": np.where(hidden, -2.0, 0.5)}}
    weights = masks.get(mask, {})
    check(
        [helper.make_node("Attention", [*DATA, *weights], ["y"], **stated)], DATA, weights, opset=23
    )


def test_heads_that_share_keys_are_refused():
    node = helper.make_node("Attention", list(DATA), ["y"])
    shared = DATA | {name: DATA[name][:, :1] for name in ("k", "v")}
    with pytest.raises(ModelError, match="of Attention the gradient of heads alone is known"):
        check([node], shared, opset=23)
