"""Gradients of pooling beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper


@examples(120)
@given(st.data())
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_pools(op, data):
    axes = data.draw(st.sampled_from([1, 2, 2, 3]))

    def each(low, high):
        return data.draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    kernel = each(1, 3)
    how = {"kernel_shape": kernel, "strides": each(1, 4)}
    automatic = data.draw(st.sampled_from(["", "", "", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    opset = data.draw(st.sampled_from([12, 19, 22]))
    if automatic:
        how["auto_pad"] = automatic
        if automatic != "VALID":  # onnxruntime refuses gaps here, or pads by less than nothing
            how["strides"] = [data.draw(st.integers(1, k)) for k in kernel]
    else:
        how["pads"] = [data.draw(st.integers(0, k - 1)) for k in kernel * 2]
        if op != "LpPool" or opset > 17:
            how["ceil_mode"] = data.draw(st.integers(0, 1))
        if op == "MaxPool" or opset > 18:
            how["dilations"] = each(1, 2)
    if op == "AveragePool":
        how["count_include_pad"] = data.draw(st.integers(0, 1))
    if op == "LpPool":
        how["p"] = data.draw(st.integers(1, 3))
    shape = [*(data.draw(st.integers(1, 2)) for _ in range(2)), *each(5, 7)]
    check([helper.make_node(op, ["x"], ["y"], **how)], {"x": draw(*shape)}, opset=opset)


def test_the_first_of_equal_numbers_gets_all():
    data = {"x": np.ones((1, 1, 3, 3))}
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1])
    found = check([node], data, smooth=False)["x"][0, 0]
    assert np.count_nonzero(found[:2, :2]) == 4
    assert not found[2].any()
    assert not found[:, 2].any()
    assert (
        np.count_nonzero(
            check([helper.make_node("GlobalMaxPool", ["x"], ["y"])], data, smooth=False)["x"]
        )
        == 1
    )


def test_a_place_that_is_the_largest_of_several_windows_gets_the_sum():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1])
    found = check([node], {"x": x})["x"][0, 0]
    assert np.count_nonzero(found) == 1
    assert found[1, 1] > 2  # four windows of .5 to 1.5


@examples(20)
@given(st.data())
@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global_pools(op, data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=3, max_size=5))
    how = {"p": data.draw(st.integers(1, 3))} if op == "GlobalLpPool" else {}
    check([helper.make_node(op, ["x"], ["y"], **how)], {"x": draw(*shape)})
