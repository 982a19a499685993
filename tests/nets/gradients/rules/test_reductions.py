"""Gradients of reductions beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

SIGNED = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]
SIGNED += ["ReduceLogSumExp", "ReduceSumSquare", "ReduceProd"]


@examples(150)
@given(st.sampled_from([*SIGNED, "ReduceLogSum"]), st.sampled_from([11, 18]), st.data())
def test_reductions(op, opset, data):
    shape = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    axes = data.draw(st.none() | st.sets(st.integers(0, len(shape) - 1), min_size=1))
    if axes is not None:
        axes = [axis - data.draw(st.sampled_from([0, len(shape)])) for axis in sorted(axes)]
    kept = data.draw(st.sampled_from([{}, {"keepdims": 0}, {"keepdims": 1}]))
    x = draw(*shape, low=0.2 if op == "ReduceLogSum" else -2.0)
    if opset == 18 and axes is not None:
        node = helper.make_node(op, ["x", "axes"], ["y"], **kept)
        check([node], {"x": x}, {"axes": np.array(axes)}, opset=opset)
    else:
        stated = {} if axes is None else {"axes": axes}
        check([helper.make_node(op, ["x"], ["y"], **kept, **stated)], {"x": x}, opset=opset)


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceMax"])
def test_no_axes_can_mean_nothing(op):
    node = helper.make_node(op, ["x", "axes"], ["y"], noop_with_empty_axes=1)
    found = check([node], {"x": draw(2, 3)}, {"axes": np.zeros(0, np.int64)})["x"]
    assert (found > 0.4).all()


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_a_tie_is_shared(op):
    x = np.array([[1.0, 1.0, 1.0, 1.0]])
    node = helper.make_node(op, ["x", "axes"], ["y"])
    found = check([node], {"x": x}, {"axes": np.array([1])}, reference=False)["x"]
    np.testing.assert_allclose(found, found[:, :1].repeat(4, 1))
    assert found.sum() > 0.4


def test_a_product_with_zeros():
    x = np.array([[2.0, 0.0, 3.0], [0.0, 5.0, 0.0], [1.0, 2.0, 4.0]])
    node = helper.make_node("ReduceProd", ["x", "axes"], ["y"])
    found = check([node], {"x": x}, {"axes": np.array([1])})["x"]
    np.testing.assert_array_equal(found != 0, [[0, 1, 0], [0, 0, 0], [1, 1, 1]])


def test_a_norm_of_zero_has_no_slope():
    node = helper.make_node("ReduceL2", ["x", "axes"], ["y"])
    found = check([node], {"x": np.zeros((2, 3))}, {"axes": np.array([1])}, reference=False)["x"]
    np.testing.assert_array_equal(found, 0)


@examples(40)
@given(st.booleans(), st.booleans(), st.integers(-3, 2))
def test_cumulative_sums(exclusive, reverse, axis):
    node = helper.make_node("CumSum", ["x", "a"], ["y"], exclusive=exclusive, reverse=reverse)
    check([node], {"x": draw(2, 3, 4)}, {"a": np.array(axis)})
