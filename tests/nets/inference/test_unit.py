"""Units taken apart, next to what onnxruntime computes: every window, every way to store a sum."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny import Runtime, build, opened

from cnntool.api.unit_trace import take_apart
from cnntool.errors import ModelError, UsageError
from cnntool.nets.file.subgraph import skeleton
from cnntool.nets.inference.unit import formula, unit
from cnntool.nets.inference.weights import learned
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.runtime.providers import SessionSettings

pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def named(**arrays):
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in arrays.items()]


class Layer:
    """The first convolution or dense layer of a network, run on one input."""

    def __init__(self, folder, nodes, weights, x, *, query=None, batch=1, **fields):
        kind = helper.np_dtype_to_tensor_dtype(x.dtype)
        entry = helper.make_tensor_value_info("x", kind, x.shape)
        model = build(nodes, weights, inputs=[entry], **fields)
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        graph = opened(Path(folder), model)
        layers = Layers(graph)
        row = next(row for row in layers.rows if row.kind in {"conv", "dense", query})
        self.batch = batch
        self.weights = learned(graph, layers.flow, row, SessionSettings(device="cpu")).values
        self.formula = formula(graph, layers.flow, row)
        part = skeleton(graph, self.formula.tensors)
        runtime = Runtime(part.model, part.folder, optimise="NONE")
        self.arrays = runtime.run({"x": x})

    def unit(self, *at):
        return unit(self.formula, self.weights, self.arrays, at, batch=self.batch)

    @property
    def result(self):
        return self.arrays[self.formula.pre]


def agree(found, *, relative=1e-5):
    one = take_apart(found)
    size = np.abs(one.products).sum() + abs(found.bias)
    total = min(max(one.total, found.how.limits[0]), found.how.limits[1])
    assert abs(total - found.network) <= found.how.step * 0.51 + relative * size + 1e-6
    return one


# Every window


@st.composite
def windows(draw):
    """Draw a convolution: its attributes, its kernel's shape, and its input's."""
    axes = draw(st.sampled_from([1, 2, 2, 2]))

    def each(low, high):
        return [draw(st.integers(low, high)) for _ in range(axes)]

    transposed = draw(st.booleans())
    groups, inside, outside = (draw(st.integers(1, 3)) for _ in range(3))
    kernel, strides, dilations = each(1, 4), each(1, 3), each(1, 3)
    attributes = {"strides": strides, "group": groups, "dilations": dilations}
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto.startswith("SAME"):  # of wider ones onnxruntime knows nothing
        dilations[:] = [1] * axes
    size = each(2, 9)
    if auto != "NOTSET":
        attributes["auto_pad"] = auto
    elif draw(st.booleans()):
        attributes["pads"] = each(0, 3) + each(0, 3)
    if transposed:
        extra = [
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True)
        ]
        attributes["output_padding"] = extra
        if draw(st.integers(0, 3)) == 0:
            attributes["output_shape"] = each(1, 12)
    channels = [groups * inside, outside] if transposed else [groups * outside, inside]
    op = "ConvTranspose" if transposed else "Conv"
    bias = draw(st.booleans())
    made = groups * outside
    return op, attributes, [*channels, *kernel], [1, groups * inside, *size], made * bias


@examples(150)
@given(windows(), st.integers(0, 10**6))
def test_every_window(window, number):
    op, attributes, kernel, shape, bias = window
    rng = np.random.default_rng(number)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    node = helper.make_node(op, ["x", "w", "b"][: 2 + bool(bias)], ["y"], **attributes)
    weights = named(w=normal(*kernel), **({"b": normal(bias)} if bias else {}))
    with tempfile.TemporaryDirectory() as folder:
        try:
            layer = Layer(folder, [node], weights, normal(*shape))
        except Exception as error:
            assume("onnxruntime" not in type(error).__module__)
            raise
        made = layer.result[0]
        place = np.unravel_index(number % made.size, made.shape)
        at = (place[0], 0, place[1]) if made.ndim == 2 else place
        found = layer.unit(*(int(n) for n in at))
    assert found.network == made[place]
    assert found.shape[0] == len(made)
    agree(found)


def test_what_lies_outside_is_told(tmp_path):
    kernel = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 0, 0, 2], strides=[1, 2])
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    found = Layer(tmp_path, [node], named(w=kernel), x).unit(0, 0, 1)
    one = take_apart(found)
    assert one.rows.tolist() == [-1, 0, 1]
    assert one.columns.tolist() == [2, 3, 4]
    assert one.window[0].tolist() == [[0, 0, 0], [2, 3, 0], [6, 7, 0]]
    assert one.inside.tolist() == [[False] * 3, [True, True, False], [True, True, False]]
    assert one.total == found.network == 2 * 3 + 3 * 4 + 6 * 6 + 7 * 7


def test_a_transposed_convolution_has_zeros_between(tmp_path):
    kernel = np.array([[1, 2, 3]], np.float32).reshape(1, 1, 1, 3)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[1, 2])
    x = np.array([10, 100], np.float32).reshape(1, 1, 1, 2)
    found = Layer(tmp_path, [node], named(w=kernel), x).unit(0, 0, 2)
    one = take_apart(found)
    assert one.weights[0].tolist() == [[3, 2, 1]]
    assert one.window[0].tolist() == [[10, 0, 100]]
    assert one.inside.tolist() == [[True, False, True]]
    assert one.total == found.network == 130


def test_groups_see_their_own_maps(tmp_path):
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=2)
    x = normal(1, 6, 2, 2)
    layer = Layer(tmp_path, [node], named(w=normal(4, 3, 1, 1)), x)
    assert [layer.unit(channel, 0, 0).first for channel in range(4)] == [0, 0, 3, 3]
    found = layer.unit(2, 1, 1)
    assert (take_apart(found).window[:, 0, 0] == x[0, 3:, 1, 1]).all()
    agree(found)


def test_float16(tmp_path):
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=[1, 1, 1, 1])
    weights = named(w=normal(2, 8, 3, 3).astype(np.float16), b=normal(2).astype(np.float16))
    found = Layer(tmp_path, [node], weights, normal(1, 8, 5, 5).astype(np.float16)).unit(1, 2, 3)
    agree(found, relative=found.how.precision)
    assert found.how.precision == 8 * 2.0**-10


# Biases, and what follows


def test_a_bias_of_its_own_node_and_what_follows(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["s"]),
        helper.make_node("BatchNormalization", ["s", "g", "h", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    statistics = {key: np.abs(normal(3)) + 0.5 for key in "ghmv"}
    weights = named(w=normal(3, 2, 2, 2), b=normal(3, 1, 1), **statistics)
    layer = Layer(tmp_path, nodes, weights, normal(1, 2, 4, 4))
    assert layer.formula.after == "batch norm and ReLU"
    for channel in range(3):
        found = layer.unit(channel, 1, 2)
        agree(found)
        g, h, m, v = (statistics[key][channel] for key in "ghmv")
        after = max(0, (found.network - m) / np.sqrt(v + 1e-5) * g + h)
        assert found.after == pytest.approx(after, abs=1e-4)


def test_a_softmax_behind_a_change_of_shape(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("Softmax", ["f"], ["y"]),
    ]
    layer = Layer(tmp_path, nodes, named(w=normal(4, 3, 2, 2)), normal(1, 3, 2, 2))
    powers = np.exp(layer.result[0].ravel())
    assert layer.unit(2).after == pytest.approx(powers[2] / powers.sum(), rel=1e-5)
    assert layer.unit(2).at == (2, 0, 0)


# Dense layers


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [None, (), (1,), (4,), (1, 4)])
def test_gemm(tmp_path, turned, bias):
    inputs = ["x", "w"] + ([] if bias is None else ["b"])
    node = helper.make_node("Gemm", inputs, ["y"], transB=turned, alpha=0.5, beta=3.0)
    matrix = normal(4, 6) if turned else normal(6, 4)
    weights = named(w=matrix, **({} if bias is None else {"b": normal(*bias)}))
    layer = Layer(tmp_path, [node], weights, normal(1, 6))
    for number in range(4):
        found = layer.unit(number)
        assert found.network == layer.result[0, number]
        assert found.shape == (4, 1, 1)
        agree(found)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_product_and_its_bias(tmp_path, batch):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["y"]),
    ]
    weights = named(w=normal(6, 4), b=normal(4))
    layer = Layer(tmp_path, nodes, weights, normal(batch, 6), batch=batch)
    found = layer.unit(3)
    assert found.network == layer.result[0, 3]
    assert found.after == pytest.approx(1 / (1 + np.exp(-found.network)), abs=1e-6)
    agree(found)


# Whole numbers


def quantised(*shape, low=0, high=256, dtype=np.uint8):
    return RNG.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("scale", [0.001, 0.02])
def test_a_quantised_convolution(tmp_path, scale):
    nodes = [
        helper.make_node(
            "QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["q"],
            pads=[1, 1, 0, 0],
        ),
        helper.make_node("DequantizeLinear", ["q", "ys", "yz"], ["y"]),
    ]  # fmt: skip
    weights = named(
        w=quantised(3, 2, 3, 3, low=-128, high=128, dtype=np.int8),
        b=quantised(3, low=-500, high=500, dtype=np.int32),
        xs=np.float32(0.02), xz=np.uint8(100), ws=np.float32([0.01, 0.02, 0.005]),
        wz=np.int8([0, 0, 0]), ys=np.float32(scale), yz=np.uint8(0),
    )  # fmt: skip
    layer = Layer(tmp_path, nodes, weights, quantised(1, 2, 6, 6))
    cut = 0
    for channel, row, column in np.ndindex(3, 5, 5):
        found = layer.unit(channel, row, column)
        assert (found.how.step, found.how.limits) == (
            pytest.approx(scale), pytest.approx((0, 255 * scale)),
        )  # fmt: skip
        cut += agree(found).total < 0
        assert found.network == pytest.approx(layer.result[0, channel, row, column] * scale)
    assert cut


def test_a_quantised_product(tmp_path):
    node = helper.make_node("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"])
    weights = named(
        w=quantised(6, 4), xs=np.float32(0.02), xz=np.uint8(100), ws=np.float32(0.01),
        wz=np.uint8(120), ys=np.float32(0.05), yz=np.uint8(128),
    )  # fmt: skip
    layer = Layer(tmp_path, [node], weights, quantised(1, 6))
    for number in range(4):
        agree(layer.unit(number))


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_whole_numbers_that_are_scaled_later(tmp_path, op):
    shape = (1, 3, 4, 4) if op == "ConvInteger" else (1, 8)
    kernel = (4, 3, 2, 2) if op == "ConvInteger" else (8, 4)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node(op, ["q", "w", "z", "wz"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    weights = named(
        w=quantised(*kernel, low=-128, high=128, dtype=np.int8), wz=np.int8(3), ws=np.float32(0.01)
    )
    layer = Layer(tmp_path, nodes, weights, normal(*shape))
    at = (1, 2, 1) if op == "ConvInteger" else (1,)
    found = layer.unit(*at)
    one = take_apart(found)
    assert one.total == found.network == layer.arrays["i"][0][at]
    assert layer.formula.after == "scaling, ReLU"
    assert found.after == layer.arrays["y"][0][at]


def test_a_network_of_quantised_pairs(tmp_path):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["dw"]),
        helper.make_node("DequantizeLinear", ["b", "bs"], ["db"]),
        helper.make_node("Conv", ["d", "dw", "db"], ["c"], group=3, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("QuantizeLinear", ["r", "s", "z"], ["rq"]),
        helper.make_node("DequantizeLinear", ["rq", "s", "z"], ["y"]),
    ]
    weights = named(
        w=quantised(3, 1, 3, 3, low=-128, high=128, dtype=np.int8), ws=np.float32(0.01),
        b=quantised(3, low=-200, high=200, dtype=np.int32), bs=np.float32(0.001),
        s=np.float32(0.03), z=np.uint8(110),
    )  # fmt: skip
    layer = Layer(tmp_path, nodes, weights, normal(1, 3, 5, 5))
    found = layer.unit(2, 4, 0)
    one = agree(found)
    assert found.first == 2
    assert found.how.step == 0
    assert found.bias == pytest.approx(layer.arrays["db"][2])
    assert (one.window[0, 0, 1:] == layer.arrays["d"][0, 2, 3, :2]).all()
    assert found.after == layer.arrays["y"][0, 2, 4, 0]


# What cannot be


@pytest.mark.parametrize(
    ("reason", "node", "shape", "weights"),
    [
        (
            "where its windows lie depends on the picture",
            helper.make_node("DeformConv", ["x", "w", "o"], ["y"]),
            (1, 2, 3, 3),
            {"w": normal(1, 2, 1, 1), "o": normal(1, 2, 3, 3)},
        ),
        (
            "an activation or a sum is fused into it",
            helper.make_node(
                "FusedConv", ["x", "w"], ["y"], domain="com.microsoft", activation="Relu"
            ),
            (1, 2, 3, 3),
            {"w": normal(1, 2, 1, 1)},
        ),
        (
            "its weights stand on the left",
            helper.make_node("MatMul", ["w", "x"], ["y"]),
            (3, 1),
            {"w": normal(2, 3)},
        ),
        (
            "its input is transposed",
            helper.make_node("Gemm", ["x", "w"], ["y"], transA=1),
            (3, 1),
            {"w": normal(3, 2)},
        ),
        (
            "it works on 5 vectors of a picture",
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            (1, 5, 3),
            {"w": normal(3, 2)},
        ),
        (
            "it does not work on one picture at a time",
            helper.make_node("MatMul", ["x", "w"], ["y"]),
            (5, 3),
            {"w": normal(3, 2)},
        ),
    ],
)
def test_what_is_no_plain_sum(tmp_path, reason, node, shape, weights):
    with pytest.raises(ModelError, match=reason):
        Layer(tmp_path, [node], named(**weights), normal(*shape), opset=19).unit(0)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ((4, 0, 0), "4,0,0 lies outside of 'block1_conv1', which is 4x3x2"),
        ((0, 3, 0), "0,3,0 lies outside"),
        ((0, 0, 2), "0,0,2 lies outside"),
        ((0,), "which is 4x3x2, is C,ROW,COLUMN"),
    ],
)
def test_a_unit_that_is_not_there(tmp_path, at, reason):
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    layer = Layer(tmp_path, [node], named(w=normal(4, 2, 1, 1)), normal(1, 2, 3, 2))
    with pytest.raises(UsageError, match=reason):
        layer.unit(*at)


@pytest.mark.parametrize(
    ("at", "reason"),
    [((4,), "4 lies outside of 'predictions', which is 4"), ((1, 1, 0), "is one number")],
)
def test_a_number_that_is_not_there(tmp_path, at, reason):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    layer = Layer(tmp_path, [node], named(w=normal(6, 4)), normal(1, 6))
    with pytest.raises(UsageError, match=reason):
        layer.unit(*at)
