"""Gradients of convolutions beside finite differences."""

from __future__ import annotations

import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from cnntool.errors import ModelError


@st.composite
def windows(draw_, axes, most):
    """Draw attributes of how a window moves, with so much padding at most, and its kernel."""

    def each(low, high, count=axes):
        return draw_(st.lists(st.integers(low, high), min_size=count, max_size=count))

    automatic = draw_(st.sampled_from(["", "", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    how = {"strides": each(1, 3), "dilations": each(1, 1 if "SAME" in automatic else 2)}
    how |= {"auto_pad": automatic} if automatic else {"pads": each(0, most, 2 * axes)}
    return how, each(1, 3)


@examples(120)
@given(st.data())
def test_convolutions(data):
    axes = data.draw(st.sampled_from([1, 2, 2, 3]))
    group, made, batch = (data.draw(st.integers(1, 2)) for _ in range(3))
    taken = data.draw(st.sampled_from([1, 2, 16]))  # few and many are spread in different ways
    how, kernel = data.draw(windows(axes, most=3))
    sides = [data.draw(st.integers(5, 8)) for _ in range(axes)]
    check(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], group=group, **how)],
        {"x": draw(batch, group * taken, *sides)},
        {"w": draw(group * made, taken, *kernel, seed=1), "b": draw(group * made)},
    )


@examples(120)
@given(st.data())
def test_transposed_convolutions(data):
    axes = data.draw(st.sampled_from([1, 2, 2, 3]))
    group, made, taken, batch = (data.draw(st.integers(1, 2)) for _ in range(4))
    how, kernel = data.draw(windows(axes, most=1))
    sides = [data.draw(st.integers(4, 5)) for _ in range(axes)]
    how["output_padding"] = [data.draw(st.integers(0, s - 1)) for s in how["strides"]]
    if data.draw(st.booleans()):
        grown = zip(sides, how["strides"], kernel, strict=True)
        how["output_shape"] = [(n - 1) * s + data.draw(st.integers(1, k)) for n, s, k in grown]
        how.pop("pads", None)
    check(
        [helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], group=group, **how)],
        {"x": draw(batch, group * taken, *sides)},
        {"w": draw(group * taken, made, *kernel, seed=1), "b": draw(group * made)},
    )


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_kernel_that_depends_on_the_picture_is_refused(op):
    node = helper.make_node(op, ["x", "w"], ["y"])
    with pytest.raises(ModelError, match="by 'w'"):
        check([node], {"x": draw(1, 2, 4, 4), "w": draw(2, 2, 3, 3)})
