"""Gradients of arithmetic beside finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx.reference.op_run import OpRun


@st.composite
def broadcast(draw_, count=2):
    """Shapes that broadcast to one another."""
    whole = draw_(st.lists(st.integers(1, 3), max_size=4))
    shapes = []
    for _ in range(count):
        rank = draw_(st.integers(0, len(whole)))
        mask = draw_(st.lists(st.booleans(), min_size=rank, max_size=rank))
        part = whole[len(whole) - rank :]
        shapes.append([1 if one else n for n, one in zip(part, mask, strict=True)])
    return shapes


def data_of(shapes, low=-2.0):
    """Numbers of which no two are near each other, whichever operand they are of."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = draw(sum(sizes), low=low)
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    named = enumerate(zip(parts, shapes, strict=True))
    return {f"x{index}": part.reshape(shape) for index, (part, shape) in named}


@examples(150)
@given(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"]), broadcast())
def test_two_operands(op, shapes):
    data = data_of(shapes, low=0.3 if op in {"Div", "Pow"} else -2.0)
    check([helper.make_node(op, list(data), ["y"])], data)


class Mean(OpRun):
    """onnx's own takes the first for the largest."""

    op_domain = ""

    def _run(self, *parts):
        return (np.asarray(sum(parts) / len(parts)),)


@examples(60)
@given(st.sampled_from(["Sum", "Mean", "Max", "Min"]), st.integers(1, 4).flatmap(broadcast))
def test_several_operands(op, shapes):
    data = data_of(shapes)
    check([helper.make_node(op, list(data), ["y"])], data, new_ops=[Mean])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize("place", [0, 1])
def test_one_of_them_a_weight(op, place):
    names = ["x", "w"][:: -1 if place else 1]
    weights = {"w": draw(3, 1, low=-1.0, high=3.0, seed=2)}
    check([helper.make_node(op, names, ["y"])], {"x": draw(2, 3, 4, low=0.2)}, weights)


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
def test_twice_the_same(op):
    check([helper.make_node(op, ["x", "x"], ["y"])], {"x": draw(3, 4)})


@pytest.mark.parametrize(("op", "won"), [("Max", 2.0), ("Min", 1.0)])
def test_a_tie_is_shared(op, won):
    data = {"a": np.array([1.0, won]), "b": np.array([1.0, 3 - won])}
    node = helper.make_node(op, ["a", "b"], ["y"])
    found = check([node, helper.make_node("Identity", ["y"], ["z"])], data, reference=False)
    assert found["a"][0] == pytest.approx(found["b"][0])
    assert found["a"][1] > 0.4
    assert found["b"][1] == 0


@pytest.mark.parametrize("exponent", [2.0, 1.0, 0.5, 3.0, -1.5])
def test_a_constant_exponent(exponent):
    low = -2.0 if exponent in {1.0, 2.0, 3.0} else 0.3
    node = helper.make_node("Pow", ["x", "e"], ["y"])
    check([node], {"x": draw(3, 4, low=low)}, {"e": np.array(exponent)})
    check([node], {"x": draw(3, 4, low=low)}, {"e": np.array([[exponent]])})


def test_a_whole_exponent():
    node = helper.make_node("Pow", ["x", "e"], ["y"])
    check([node], {"x": draw(3, 4)}, {"e": np.array([2, 3, 2, 1])})


@examples(40)
@given(broadcast(3))
def test_where(shapes):
    data = data_of(shapes)
    condition = np.asarray(data.pop("x0") > 0)
    node = helper.make_node("Where", ["c", *data], ["y"])
    check([node], data | {"c": condition})
    check([node], data, {"c": condition})


def test_a_condition_has_no_gradient():
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["c"]),
        helper.make_node("Mul", ["x", "slope"], ["low"]),
        helper.make_node("Where", ["c", "x", "low"], ["y"]),
    ]
    check(nodes, {"x": draw(3, 4)}, {"zero": np.array(0.0), "slope": np.array(0.1)})


def test_a_mask_counts_as_a_constant():
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["c"]),
        helper.make_node("Less", ["x", "one"], ["d"]),
        helper.make_node("And", ["c", "d"], ["e"]),
        helper.make_node("Cast", ["e"], ["m"], to=1),
        helper.make_node("CastLike", ["m", "x"], ["n"]),
        helper.make_node("Mul", ["x", "n"], ["y"]),
    ]
    check(nodes, {"x": draw(3, 4)}, {"zero": np.array(0.0), "one": np.array(1.0)})
