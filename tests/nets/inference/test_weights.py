"""Weights of layers, stored in every way, next to what the operators do with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import build, opened, real_networks

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.weights import has_weights, learned
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.runtime.providers import SessionSettings

RNG = np.random.default_rng(5)
KERNEL = RNG.normal(size=(4, 2, 3, 3)).astype(np.float32)
MATRIX = RNG.normal(size=(5, 6)).astype(np.float32)  # outputs, inputs


def named(**arrays):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


def vector(*shape):
    return [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]


def read(tmp_path, nodes, weights, query="#1", **fields):
    graph = opened(tmp_path, build(nodes, weights, **fields))
    layers = Layers(graph)
    (meant,) = layers.resolve(query)
    return learned(graph, layers.flow, meant.layer, SessionSettings(device="cpu"))


def test_a_convolution(tmp_path):
    found = read(tmp_path, [helper.make_node("Conv", ["x", "w"], ["y"])], named(w=KERNEL))
    assert (found.values == KERNEL).all()
    assert (found.tensor, found.dequantised, found.colours) == ("w", False, False)
    assert found.is_kernels


def test_weights_behind_a_cast(tmp_path):
    nodes = [
        helper.make_node("Cast", ["h"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    found = read(tmp_path, nodes, named(h=KERNEL.astype(np.float16)))
    assert found.values.dtype == np.float32
    assert (found.values == KERNEL.astype(np.float16)).all()


def test_weights_that_the_network_computes(tmp_path):
    pytest.importorskip("onnxruntime")
    nodes = [
        helper.make_node("Transpose", ["t"], ["w0"], perm=[3, 2, 0, 1]),
        helper.make_node("Mul", ["w0", "two"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    stored = KERNEL.transpose(2, 3, 1, 0)
    found = read(tmp_path, nodes, named(t=stored, two=np.float32(2)), query="conv:1")
    assert (found.values == 2 * KERNEL).all()
    assert not found.dequantised


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution(tmp_path, groups):
    """One impulse on each input channel lays the kernels down as they are."""
    kernel = RNG.normal(size=(4, 3, 2, 2)).astype(np.float32)  # inputs, outputs of a group
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=groups, strides=[2, 2])
    found = read(tmp_path, [node], named(w=kernel), inputs=vector(1, 4, 1, 1))
    assert found.values.shape == (3 * groups, 4 // groups, 2, 2)
    session = pytest.importorskip("onnxruntime").InferenceSession(
        (tmp_path / "m.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    for channel in range(4):
        x = np.zeros((1, 4, 1, 1), np.float32)
        x[0, channel] = 1
        (y,) = session.run(None, {"x": x})
        group, within = divmod(channel, 4 // groups)
        expected = np.zeros((3 * groups, 2, 2), np.float32)
        outputs = slice(3 * group, 3 * group + 3)
        expected[outputs] = found.values[outputs, within]
        assert np.allclose(y[0], expected)


@pytest.mark.parametrize(
    ("node", "stored", "shape"),
    [
        (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), MATRIX, (1, 6)),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), MATRIX.T, (1, 6)),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), MATRIX.T, (1, 6)),
        (helper.make_node("MatMul", ["w", "x"], ["y"]), MATRIX, (6, 1)),
        (helper.make_node("Gemm", ["w", "x"], ["y"], transA=1), MATRIX.T, (6, 1)),
    ],
)
def test_dense_layers(tmp_path, node, stored, shape):
    weights = named(w=np.ascontiguousarray(stored))
    found = read(tmp_path, [node], weights, inputs=vector(*shape))
    assert (found.values == MATRIX).all()
    assert not found.is_kernels


def test_a_convolution_along_one_axis(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    found = read(tmp_path, [node], named(w=KERNEL[:, :, 0]), inputs=vector(1, 2, 9))
    assert found.values.shape == (4, 2, 1, 3)


WHOLE = RNG.integers(-127, 128, (4, 2, 3, 3), np.int8)
SCALES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
REAL = WHOLE * SCALES[:, None, None, None]


def test_dequantised_kernels(tmp_path):
    pytest.importorskip("onnxruntime")
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    weights = named(q=WHOLE, s=SCALES, z=np.zeros(4, np.int8))
    found = read(tmp_path, nodes, weights, query="conv:1")
    assert found.dequantised
    assert found.values == pytest.approx(REAL, rel=1e-6)


def test_kernels_of_a_quantised_operator(tmp_path):
    names = ["xs", "xz", "w", "s", "z", "ys", "yz"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("QLinearConv", ["q", *names], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "ys", "yz"], ["y"]),
    ]
    weights = named(
        xs=np.float32(1), xz=np.uint8(0), w=WHOLE, s=SCALES, z=np.zeros(4, np.int8),
        ys=np.float32(1), yz=np.uint8(0),
    )  # fmt: skip
    found = read(tmp_path, nodes, weights, query="conv:1")
    assert found.dequantised
    assert found.values == pytest.approx(REAL, rel=1e-6)


def test_a_product_of_whole_numbers(tmp_path):
    """Without a scale of its own, the zero point is all that can be taken off."""
    matrix = RNG.integers(0, 256, (6, 5), np.uint8)
    nodes = [
        helper.make_node("Cast", ["x"], ["b"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["b", "w", "az", "bz"], ["y"]),
    ]
    weights = named(w=matrix, az=np.uint8(0), bz=np.uint8(128))
    found = read(tmp_path, nodes, weights, query="dense:1", inputs=vector(1, 6))
    assert (found.values == matrix.T.astype(np.float32) - 128).all()


@pytest.mark.parametrize(
    ("nodes", "query", "reason"),
    [
        ([helper.make_node("Relu", ["x"], ["y"])], "relu:1", "has no kernel: it is of kind relu"),
        (
            [
                helper.make_node("Slice", ["x", "from", "to"], ["k"]),
                helper.make_node("Conv", ["x", "k"], ["y"]),
            ],
            "conv:1",
            "are computed from the picture",
        ),
    ],
)
def test_what_has_none(tmp_path, nodes, query, reason):
    bounds = {"from": np.array([0, 0, 0, 0]), "to": np.array([1, 2, 3, 3])}
    with pytest.raises(ModelError, match=reason):
        read(tmp_path, nodes, named(**bounds), query=query)


def test_kernels_of_three_dimensions(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    kernel = np.zeros((4, 2, 3, 3, 3), np.float32)
    with pytest.raises(ModelError, match="kernels of 3 dimensions cannot be shown"):
        read(tmp_path, [node], named(w=kernel), inputs=vector(1, 2, 5, 5, 5))


def test_only_the_first_layer_sees_colours(tmp_path):
    three = RNG.normal(size=(3, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["s"]),
        helper.make_node("Conv", ["s", "w"], ["a"]),
        helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    weights = named(w=three, two=np.float32(2))
    assert read(tmp_path, nodes, weights, "conv:1", inputs=vector(1, 3, 9, 9)).colours
    assert not read(tmp_path, nodes, weights, "conv:2", inputs=vector(1, 3, 9, 9)).colours


@pytest.mark.full
@real_networks
def test_real_networks(path):
    """Kernels that are stored as they are, as the onnx package reads them."""
    graph = read_graph(Path(path))
    layers = Layers(graph)
    stored = {one.name: one for one in onnx.load(path).graph.initializer}
    seen = 0
    for row in layers.rows:
        if row.kind in {"conv", "dense"} and has_weights(graph, row):
            found = learned(graph, layers.flow, row, SessionSettings(device="cpu"))
            assert found.values.dtype == np.float32
            assert np.isfinite(found.values).all()
            if found.tensor in stored and found.is_kernels:
                expected = numpy_helper.to_array(stored[found.tensor]).astype(np.float32)
                transposed = graph.nodes[row.members[0]].op == "ConvTranspose"
                expected = expected.swapaxes(0, 1) if transposed else expected
                assert (found.values == expected).all()
            seen += 1
        if seen == 4:
            break
    assert seen
