"""Gradients of normalization beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cnntool.errors import ModelError

SHAPES = st.lists(st.integers(2, 4), min_size=3, max_size=5)


@examples(50)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.sampled_from([7, 9, 14, 15]))
def test_batch_normalization_at_inference(shape, opset):
    constants = {name: draw(shape[1], seed=k) for k, name in enumerate("sbm")}
    constants["v"] = draw(shape[1], low=0.1, high=4)
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=0.01)
    check([node], {"x": draw(*shape)}, constants, opset=opset)


def test_batch_normalization_of_every_place_apart():
    constants = {name: draw(2, 3, low=0.1, high=4, seed=k) for k, name in enumerate("sbmv")}
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"], spatial=0)
    check([node], {"x": draw(2, 2, 3)}, constants, opset=7)


def test_batch_normalization_in_training_has_no_gradient():
    constants = {name: draw(2, low=0.1, high=4, seed=k) for k, name in enumerate("sbmv")}
    node = helper.make_node("BatchNormalization", ["x", *"sbmv"], ["y"], training_mode=1)
    with pytest.raises(ModelError, match="training"):
        check([node], {"x": draw(3, 2, 3)}, constants, opset=15)


@examples(50)
@given(SHAPES)
def test_instance_normalization(shape):
    node = helper.make_node("InstanceNormalization", ["x", "s", "b"], ["y"], epsilon=0.01)
    constants = {"s": draw(shape[1]), "b": draw(shape[1])}
    check([node], {"x": draw(*shape)}, constants)


@examples(50)
@given(SHAPES, st.data())
@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
def test_layer_normalization(op, shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    over = shape[axis % len(shape) :]
    inputs = (
        ["x", "s", "b"] if op == "LayerNormalization" and data.draw(st.booleans()) else ["x", "s"]
    )
    node = helper.make_node(op, inputs, ["y"], axis=axis, epsilon=0.01)
    constants = {"s": draw(*over), "b": draw(*over)}
    check([node], {"x": draw(*shape)}, constants, opset=23)


@examples(50)
@given(st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(2, 4), max_size=2))
@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset, groups, channels, sides):
    each = groups if opset == 18 else groups * channels
    how = {"stash_type": TensorProto.DOUBLE} if opset == 21 else {}
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=groups, **how)
    constants = {"s": draw(each), "b": draw(each)}
    check([node], {"x": draw(2, groups * channels, *sides, 3)}, constants, opset=opset)


@examples(30)
@given(
    st.lists(st.integers(2, 4), min_size=4, max_size=4), st.sampled_from([None, [2, 3], [1, 2, 3]])
)
def test_mean_and_variance(shape, axes):
    how = {"axes": axes} if axes else {}
    node = helper.make_node("MeanVarianceNormalization", ["x"], ["y"], **how)
    check([node], {"x": draw(*shape)})


@examples(60)
@given(st.sampled_from([1, 3, 5, 7]), st.integers(1, 6), st.integers(1, 2))
def test_local_response(size, channels, batch):
    how = {"size": size, "alpha": 0.5, "beta": 0.75, "bias": 1.5}
    node = helper.make_node("LRN", ["x"], ["y"], **how)
    check([node], {"x": draw(batch, channels, 2, 3)})


@examples(40)
@given(SHAPES, st.sampled_from([1, 2]), st.data())
def test_lengths(shape, p, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    node = helper.make_node("LpNormalization", ["x"], ["y"], p=p, axis=axis)
    check([node], {"x": draw(*shape)})


def test_a_length_of_nothing_has_a_gradient():
    node = helper.make_node("LpNormalization", ["x"], ["y"])
    assert np.isfinite(check([node], {"x": np.zeros((1, 3))}, smooth=False)["x"]).all()
