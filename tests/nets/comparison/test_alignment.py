"""Who is whose partner in two networks."""

from __future__ import annotations

import pytest
from onnx import helper
from tiny import EXPORTS, FIXTURES, build, opened, weight

from cnntool.errors import ModelError
from cnntool.nets.comparison.alignment import Side, align
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.summary import wanted_tensors
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.layers.shapes import find_shapes


def side(graph):
    """Open one of two networks as they are compared."""
    layers = Layers(graph)
    return Side(graph, layers, find_shapes(graph, {}, wanted_tensors(graph, layers)))


def both(tmp_path, a, b):
    for name in "ab":
        (tmp_path / name).mkdir()
    return side(opened(tmp_path / "a", a)), side(opened(tmp_path / "b", b))


def tensors(found):
    return [(pair.tensor_a, pair.tensor_b) for pair in found.pairs]


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


def test_equal_networks_give_every_layer_with_itself(tmp_path):
    model = build(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("GlobalMaxPool", "r", "y")],
        [weight("w", 3, 2, 3, 3)],
    )
    found = align(*both(tmp_path, model, model))
    assert tensors(found) == [("r", "r"), ("y", "y")]
    assert [pair.a.kind for pair in found.pairs] == ["conv", "pool"]
    assert (found.only_a, found.only_b) == ((), ())


@pytest.mark.parametrize("first", range(3))
def test_one_network_by_three_exporters(first):
    a, b = (side(read_graph(EXPORTS[(first + place) % 3])) for place in (0, 1))
    found = align(a, b)
    works = [
        (pair.a.ordinal, pair.b.ordinal)
        for pair in found.pairs
        if pair.a.kind == pair.b.kind == "conv"
    ]
    assert works == [(n, n) for n in range(1, 14)]
    assert [pair.b.alias for pair in found.pairs if pair.a.kind == "dense"] == [
        pair.a.alias for pair in found.pairs if pair.a.kind == "dense"
    ]
    assert {row.kind for row in (*found.only_a, *found.only_b)} <= {"pool", "softmax"}


@pytest.mark.parametrize("name", ["dense", "mobile", "residual", "shared", "transformer"])
def test_two_exporters_of_one_module(name):
    files = (FIXTURES / f"tiny.{name}.{by}.onnx" for by in ("dynamo", "torchscript"))
    a, b = (side(read_graph(file)) for file in files)
    found = align(a, b)
    for row in a.layers.rows:
        assert row.kind not in {"conv", "dense"} or row in [pair.a for pair in found.pairs]
    assert all(pair.a.kind == pair.b.kind for pair in found.pairs)
    assert found.only_a == ()


def test_names_by_hand_win(tmp_path):
    a = build(
        [node("Conv", "x w1", "c1"), node("Conv", "c1 w2", "y")],
        [weight("w1", 2, 2, 3, 3, seed=1), weight("w2", 2, 2, 3, 3, seed=2)],
    )
    sides = both(tmp_path, a, build(a.graph.node, a.graph.initializer, outputs=("y", "c1")))
    found = align(*sides, {"y": "c1", "conv:1": "y"})
    assert [(*pair[2:4], pair.why) for pair in found.pairs] == [
        ("c1", "y", "map"),
        ("y", "c1", "map"),
    ]
    with pytest.raises(ModelError, match="no layer is called 'c9'"):
        align(*sides, {"c1": "c9"})
    with pytest.raises(ModelError, match="'x' is no layer: nothing makes it"):
        align(*sides, {"x": "c1"})
