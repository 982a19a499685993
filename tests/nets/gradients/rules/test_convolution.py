"""Gradients of convolutions beside finite differences."""

from __future__ import annotations

from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper


@examples(100)
@given(st.data())
def test_convolutions(data):
    axes = data.draw(st.integers(1, 2))
    group, made, given_ = (data.draw(st.integers(1, 2)) for _ in range(3))
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
    check(
        [node],
        {"x": draw(1, group * given_, *[5] * axes)},
        {"w": draw(group * made, given_, *kernel, seed=1)},
    )
