"""Gradients of matrix products beside finite differences."""

from __future__ import annotations

import pytest
from effort import examples
from finite_differences import check, draw
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from cnntool.errors import ModelError

LENGTHS = st.integers(1, 4)


@examples(60)
@given(LENGTHS, LENGTHS, LENGTHS, st.data())
def test_gemm(rows, inner, columns, data):
    turned = data.draw(st.tuples(st.booleans(), st.booleans()))
    left, right = ((rows, inner), (inner, columns))
    shapes = ["", (), (columns,), (1, 1), (1, columns), (rows, 1), (rows, columns)]
    added = data.draw(st.sampled_from(shapes))
    how = {"alpha": 0.5, "beta": 1.5, "transA": turned[0], "transB": turned[1]}
    tensors = {
        "a": draw(*left[:: -1 if turned[0] else 1]),
        "b": draw(*right[:: -1 if turned[1] else 1], seed=1),
    }
    if added != "":
        tensors["c"] = draw(*added, seed=2)
    whole = data.draw(st.booleans())
    weights = {} if whole else {k: tensors.pop(k) for k in list(tensors)[1:]}
    names = [*tensors, *weights]
    check([helper.make_node("Gemm", names, ["y"], **how)], tensors, weights)


@examples(100)
@given(LENGTHS, LENGTHS, LENGTHS, st.data())
def test_products_with_broadcasting(rows, inner, columns, data):
    stack = data.draw(st.lists(LENGTHS, max_size=2))

    def repeated():
        short = stack[data.draw(st.integers(0, len(stack))) :]
        return [1 if data.draw(st.booleans()) else n for n in short]

    vectors = data.draw(st.tuples(st.booleans(), st.booleans()))
    left = [inner] if vectors[0] else [*repeated(), rows, inner]
    right = [inner] if vectors[1] else [*repeated(), inner, columns]
    tensors = {"a": draw(*left), "b": draw(*right, seed=1)}
    moved = data.draw(st.sampled_from([(), ("a",), ("b",)]))
    weights = {name: tensors.pop(name) for name in moved}
    check([helper.make_node("MatMul", ["a", "b"], ["y"])], tensors, weights)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij , jk", [(2, 3), (3, 4)]),
        ("bhid,bhjd->bhij", [(2, 2, 3, 2), (2, 2, 4, 2)]),
        ("abc,cde->abde", [(2, 3, 2), (2, 3, 2)]),
        ("...ij,...jk->...ik", [(2, 1, 2, 3), (1, 3, 3, 4)]),
        ("...ij,jk", [(2, 1, 2, 3), (3, 4)]),
        ("b...i,b...i->b...", [(2, 1, 3, 2), (2, 4, 1, 2)]),
        ("ij,kl->i", [(2, 3), (2, 3)]),
        ("i,j,k->kji", [(2,), (3,), (4,)]),
        ("ijk->ki", [(2, 3, 4)]),
    ],
)
def test_einsum(equation, shapes):
    names = "abc"[: len(shapes)]
    tensors = {name: draw(*shape) for name, shape in zip(names, shapes, strict=True)}
    check([helper.make_node("Einsum", list(names), ["y"], equation=equation)], tensors)


def test_a_diagonal_is_refused():
    node = helper.make_node("Einsum", ["x"], ["y"], equation="ii->i")
    with pytest.raises(ModelError, match="diagonal"):
        check([node], {"x": draw(3, 3)})
