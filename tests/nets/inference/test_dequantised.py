"""How tensors become maps and vectors, and what whole numbers stand for."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny import build, chain, opened, quantised

from cnntool.nets.inference import infer_spec
from cnntool.nets.inference.layer_outputs import dequantised, quantisation, shown
from cnntool.nets.layers.receptive_field import ReceptiveField


@pytest.fixture
def graph(tmp_path):
    return opened(tmp_path, chain())


def test_maps_stay_and_vectors_stay(graph):
    maps = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert (shown(graph, "c1", maps).values == maps).all()
    vector = np.arange(5, dtype=np.float32)
    assert (shown(graph, "c1", vector).values == vector).all()


def test_channels_come_first(graph):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    field = ReceptiveField((1, 2), 4, (2, 3), (1, 1), (1, 1))
    found = shown(graph, "c1", values, field).values
    assert found.shape == (4, 2, 3)
    assert found[3, 1, 2] == values[1, 2, 3]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7, 1, 1), (7,)),
        ((), (1,)),
        ((3, 4), (1, 3, 4)),
        ((2, 3, 4, 5), (6, 4, 5)),
    ],
)
def test_other_shapes(graph, shape, expected):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = shown(graph, "c1", values).values
    assert found.shape == expected
    assert (found.ravel() == values.ravel()).all()


def test_float16_becomes_float32(graph):
    found = shown(graph, "c1", np.array([1.5, np.inf], np.float16)).values
    assert found.dtype == np.float32
    assert found.tolist() == [1.5, np.inf]


def test_quantised_tensors_are_dequantised(tmp_path):
    graph = opened(tmp_path, quantised())
    assert quantisation(graph, "q") == (pytest.approx(0.05), 99)
    assert quantisation(graph, "d") is None
    values = np.array([[[99, 100], [0, 255]]], np.uint8)
    found = shown(graph, "q", values)
    assert found.dequantised
    assert found.values.ravel().tolist() == pytest.approx([0, 0.05, -4.95, 7.8])
    whole, was = dequantised(graph, "d", values.astype(np.float32))
    assert not was
    assert (whole == values).all()


def test_what_only_hands_numbers_on_is_looked_through(tmp_path):
    names = ("xs", "xz", "w", "ws", "wz", "ys", "yz")
    arrays = (
        np.float32(0.1), np.uint8(3), np.ones((2, 2, 1, 1), np.int8), np.float32(1), np.int8(0),
        np.float32(0.25), np.uint8(7),
    )  # fmt: skip
    model = build(
        [
            helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
            helper.make_node("QLinearConv", ["q", *names], ["c"]),
            helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("DequantizeLinear", ["f", "ys", "yz"], ["y"]),
            helper.make_node("Cast", ["f"], ["odd"], to=6),
        ],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in zip(names, arrays, strict=True)],
        outputs=("y", "odd"),
    )
    graph = opened(tmp_path, model)
    for tensor in ("c", "p", "f"):
        assert quantisation(graph, tensor) == infer_spec.quantised(graph, tensor) == (0.25, 7)
    assert infer_spec.quantised(graph, "y") == (1, 0)
    assert quantisation(graph, "y") is None
    assert quantisation(graph, "odd") is None
    assert quantisation(graph, "x") is None
