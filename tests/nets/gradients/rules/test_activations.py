"""Gradients of activations beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx.reference.op_run import OpRun
from scipy.special import erf, expit

from cnntool.errors import ModelError


class Erf(OpRun):
    """onnx's own computes in float32."""

    op_domain = ""

    def _run(self, x):
        return (erf(x),)


class Gelu(OpRun):
    op_domain = ""

    def _run(self, x, bias=None, approximate=None):
        x = x if bias is None else x + bias
        if approximate == "tanh":
            return (x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),)
        return (x * 0.5 * (1 + erf(x / np.sqrt(2))),)


class Microsoft(OpRun):
    op_domain = "com.microsoft"


class BiasGelu(Microsoft):
    def _run(self, x, bias):
        return Gelu._run(self, x, bias)


class FastGelu(Microsoft):
    def _run(self, x, bias=None):
        return Gelu._run(self, x, bias, "tanh")


class QuickGelu(Microsoft):
    def _run(self, x, alpha=None):
        return (x * expit((alpha or 1.702) * x),)


class Swish(OpRun):
    op_domain = ""

    def _run(self, x, alpha=None):
        return (x * expit((alpha or 1.0) * x),)


def once(op, x=None, *, opset=18, weights=None, domain="", **attributes):
    weights = weights or {}
    node = helper.make_node(op, ["x", *weights], ["y"], domain=domain, **attributes)
    x = draw(2, 3, 5, low=-3.5, high=4.5) if x is None else x
    own = [Erf, Gelu, BiasGelu, FastGelu, QuickGelu, Swish]
    return check([node], {"x": x}, weights, opset=opset, new_ops=own)["x"]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Relu", {}),
        ("LeakyRelu", {}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("LeakyRelu", {"alpha": -0.5}),
        ("Elu", {}),
        ("Elu", {"alpha": 0.3}),
        ("Elu", {"alpha": -0.7}),
        ("Selu", {}),
        ("Selu", {"alpha": 0.5, "gamma": 2.0}),
        ("Celu", {}),
        ("Celu", {"alpha": 2.5}),
        ("ThresholdedRelu", {}),
        ("ThresholdedRelu", {"alpha": -0.5}),
        ("Sigmoid", {}),
        ("HardSigmoid", {}),
        ("HardSigmoid", {"alpha": 0.5, "beta": 0.3}),
        ("HardSwish", {}),
        ("Mish", {}),
        ("Tanh", {}),
        ("Erf", {}),
        ("Softplus", {}),
        ("Softsign", {}),
        ("Neg", {}),
        ("Abs", {}),
        ("Reciprocal", {}),
        ("Exp", {}),
        ("Sin", {}),
        ("Cos", {}),
    ],
)
def test_functions_of_one_number(op, attributes):
    once(op, **attributes)


@pytest.mark.parametrize("op", ["Sqrt", "Log"])
def test_functions_of_positive_numbers(op):
    once(op, draw(3, 4, low=0.1, high=5.0))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate):
    once("Gelu", opset=20, approximate=approximate)


def test_relu_lets_nothing_through_at_zero():
    x = np.array([-1.0, 0.0, 1e-9, 3e30])
    node = helper.make_node("Relu", ["x"], ["y"])
    found = check([node], {"x": x}, reference=False)["x"]
    np.testing.assert_array_equal(found > 0, [False, False, True, True])


@pytest.mark.parametrize("slopes", [(1,), (3, 1), (2, 3, 5)])
def test_a_slope_of_its_own_for_channels(slopes):
    once("PRelu", weights={"slope": draw(*slopes, seed=1)})


def test_a_slope_that_the_network_computes():
    data = {"x": draw(2, 3, 5), "slope": draw(3, 1, seed=1)}
    check([helper.make_node("PRelu", ["x", "slope"], ["y"])], data)


@pytest.mark.parametrize("limits", [{}, {"min": -1.0}, {"max": 1.5}, {"min": -1.0, "max": 1.5}])
def test_limits_as_attributes(limits):
    found = once("Clip", opset=6, **limits)
    assert (0 in found) == bool(limits)


@pytest.mark.parametrize("names", [["x"], ["x", "low"], ["x", "", "high"], ["x", "low", "high"]])
def test_limits_as_inputs(names):
    limits = {"low": np.array(-0.5), "high": np.array(np.inf if len(names) == 2 else 2.0)}
    weights = {k: v for k, v in limits.items() if k in names}
    check([helper.make_node("Clip", names, ["y"])], {"x": draw(4, 5)}, weights)


def test_no_limit_at_all_as_infinities():
    limits = {"low": np.array(0.0), "high": np.array(np.inf)}
    found = check([helper.make_node("Clip", ["x", *limits], ["y"])], {"x": draw(4, 5)}, limits)
    assert np.isfinite(found["x"]).all()


def test_limits_that_the_network_computes():
    data = {"x": draw(4, 5), "low": np.array(-0.9), "high": np.array(1.1)}
    check([helper.make_node("Clip", list(data), ["y"])], data)


@examples(60)
@given(st.sampled_from(["Softmax", "LogSoftmax"]), st.sampled_from([11, 13]), st.data())
def test_softmax_along_an_axis_and_before_from_one_on(op, opset, data):
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    if opset < 13 and len(shape) == 1 and axis is None:
        axis = 0
    attributes = {} if axis is None else {"axis": axis}
    x = draw(*shape)
    if opset >= 13:
        once(op, x, opset=opset, **attributes)
        return
    # onnx's reference knows the later meaning alone; flattened by hand it says the same.
    rank = len(shape)
    at = (1 if axis is None else axis) % rank
    flat = [int(np.prod(shape[:at])), int(np.prod(shape[at:]))]
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    found = check([node], {"x": x}, opset=opset, reference=False)["x"]
    later = check(
        [
            helper.make_node("Reshape", ["x", "flat"], ["2d"]),
            helper.make_node(op, ["2d"], ["s"], axis=1),
            helper.make_node("Reshape", ["s", "back"], ["y"]),
        ],
        {"x": x},
        {"flat": np.array(flat), "back": np.array(shape)},
    )["x"]
    np.testing.assert_allclose(found, later, atol=1e-5)


def test_rounding_counts_as_none():
    node = helper.make_node("Round", ["x"], ["y"])
    assert (check([node], {"x": draw(3, 4)}, reference=False)["x"] > 0.4).all()


@pytest.mark.parametrize("op", ["Sign", "Floor", "Ceil"])
def test_steps_depend_on_nothing(op):
    nodes = [helper.make_node(op, ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    check(nodes, {"x": draw(3, 4)})
    with pytest.raises(ModelError, match="do not depend on 'x'"):
        check(nodes[:1], {"x": draw(3)})


@pytest.mark.parametrize(
    ("op", "bias"),
    [("QuickGelu", False), ("FastGelu", False), ("FastGelu", True), ("BiasGelu", True)],
)
def test_the_forms_that_onnxruntime_writes(op, bias):
    once(op, weights={"bias": draw(5, seed=3)} if bias else {}, domain="com.microsoft")


@pytest.mark.parametrize("alpha", [1.0, 1.5])
def test_swish(alpha):
    once("Swish", opset=24, alpha=alpha)
