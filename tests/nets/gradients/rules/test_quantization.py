"""Gradients of quantised operators, beside those of the real operators between both roundings."""

from __future__ import annotations

import numpy as np
import pytest
from finite_differences import by_onnxruntime, check, differentiate, draw, write
from onnx import helper

from cnntool.errors import ModelError

UINT8, INT8 = np.uint8, np.int8
MICROSOFT = "com.microsoft"
X = np.array([[-9.0, -1.3, -0.2, 0.2, 1.6], [2.4, 60.0, 63.8, 64.2, 99.0]])


@pytest.mark.parametrize(("dtype", "zero"), [(UINT8, 0), (UINT8, 3), (INT8, 0), (INT8, -128)])
def test_what_saturates_has_no_gradient(dtype, zero):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    constants = {"s": np.array(0.5), "z": np.array(zero, dtype)}
    found = check(nodes, {"x": X}, constants, opset=21, smooth=False)["x"]
    limits = np.iinfo(dtype)
    whole = np.rint(X / 0.5) + zero
    inside = (whole >= limits.min) & (whole <= limits.max)
    assert inside.any()
    assert not inside.all()
    np.testing.assert_array_equal(found != 0, inside)
    assert found[inside].min() >= 0.5  # the seed comes through as it is
    assert found[inside].max() <= 1.5


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scales_along_an_axis(axis):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=axis),
        helper.make_node("Cast", ["q"], ["y"], to=helper.np_dtype_to_tensor_dtype(np.dtype("f4"))),
    ]
    count = X.shape[axis]
    scales = np.linspace(1, 2, count)
    constants = {"s": scales, "z": np.arange(count).astype(UINT8)}
    found = check(nodes, {"x": np.abs(X)}, constants, smooth=False)["x"]
    whole = check(nodes, {"x": np.abs(X)}, constants | {"s": np.ones(count)}, smooth=False)["x"]
    places = [1, 1]
    places[axis] = -1
    np.testing.assert_allclose(found * scales.reshape(places), whole, rtol=1e-5)


def test_blocks_and_types_that_are_no_integers_are_refused():
    node = helper.make_node("QuantizeLinear", ["x", "s"], ["y"], axis=0, block_size=2)
    with pytest.raises(ModelError, match="block_size"):
        check([node], {"x": X}, {"s": np.ones((1, 5))}, opset=21, smooth=False)


def test_scales_that_the_picture_decides():
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    found = check(nodes, {"x": X.astype(np.float32)}, opset=21, smooth=False, reference=False)["x"]
    assert found.min() >= 0.5
    assert found.max() <= 1.5


def quantised(name, dtype=UINT8, zero=7, scale=0.05):
    """Make the scale and the zero point of a tensor."""
    return {f"{name}s": np.array(scale, np.float32), f"{name}z": np.array(zero, dtype)}


def alike(node, shape, weights, real, *, several=("x",)):
    """Compare a quantised node with the real one between both roundings."""
    outer = [helper.make_node("QuantizeLinear", [n, f"{n}s", f"{n}z"], [f"{n}q"]) for n in several]
    last = helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"])
    before = [
        helper.make_node("DequantizeLinear", [f"{n}q", f"{n}s", f"{n}z"], [f"{n}r"], axis=0)
        for n in dict.fromkeys((*several, *(n[0] for n in weights if n.endswith("q"))))
    ]
    after = helper.make_node("QuantizeLinear", ["yr", "ys", "yz"], ["yq"])
    data = {
        n: draw(*shape, low=0.1, high=3, seed=k).astype(np.float32) for k, n in enumerate(several)
    }
    found = []
    for nodes in ([*outer, node, last], [*outer, *before, real, after, last]):
        model = write(nodes, data, weights, 18)
        made = dict(
            zip([i.name for i in model.graph.output], by_onnxruntime(model, data), strict=True)
        )
        assert made["yq"].min() > np.iinfo(made["yq"].dtype).min
        assert made["yq"].max() < np.iinfo(made["yq"].dtype).max
        seed = np.random.default_rng(3).uniform(0.5, 1.5, made["y"].shape).astype(np.float32)
        found.append(differentiate(model, {**data, **made}, several, seed, by_onnxruntime))
    for n in several:
        assert np.abs(found[0][n]).max() > 0
        np.testing.assert_allclose(found[0][n], found[1][n], rtol=1e-4, atol=1e-5)


RESULT = quantised("y", zero=120, scale=0.5)
X_AND_Y = quantised("x") | RESULT


@pytest.mark.parametrize("each", [False, True])
def test_convolutions(each):
    kernel = np.random.default_rng(0).integers(-90, 90, (4, 1, 3, 3)).astype(INT8)
    scales = np.linspace(0.01, 0.02, 4).astype(np.float32) if each else np.float32(0.02)
    weights = X_AND_Y | {"wq": kernel, "ws": scales, "wz": np.zeros_like(scales, INT8)}
    names = ["xq", "xs", "xz", "wq", "ws", "wz", "ys", "yz"]
    how = {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 2}
    node = helper.make_node("QLinearConv", names, ["yq"], **how)
    real = helper.make_node("Conv", ["xr", "wr"], ["yr"], **how)
    alike(node, (1, 2, 6, 6), weights, real)


def test_products():
    matrix = np.random.default_rng(0).integers(0, 255, (3, 4)).astype(UINT8)
    weights = X_AND_Y | {"wq": matrix} | quantised("w", zero=120, scale=0.02)
    names = ["xq", "xs", "xz", "wq", "ws", "wz", "ys", "yz"]
    node = helper.make_node("QLinearMatMul", names, ["yq"])
    alike(node, (2, 3), weights, helper.make_node("MatMul", ["xr", "wr"], ["yr"]))
    names.insert(6, "")
    node = helper.make_node("QGemm", names, ["yq"], domain=MICROSOFT)
    alike(node, (2, 3), weights, helper.make_node("Gemm", ["xr", "wr"], ["yr"]))
    weights["wq"] = matrix.T.copy()
    node = helper.make_node("QGemm", names, ["yq"], transB=1, alpha=0.5, domain=MICROSOFT)
    alike(
        node, (2, 3), weights, helper.make_node("Gemm", ["xr", "wr"], ["yr"], transB=1, alpha=0.5)
    )


@pytest.mark.parametrize("op", ["Add", "Mul"])
def test_arithmetic(op):
    weights = X_AND_Y | quantised("v", zero=20, scale=0.03)
    names = ["xq", "xs", "xz", "vq", "vs", "vz", "ys", "yz"]
    node = helper.make_node(f"QLinear{op}", names, ["yq"], domain=MICROSOFT)
    real = helper.make_node(op, ["xr", "vr"], ["yr"])
    alike(node, (2, 3), weights, real, several=("x", "v"))


def test_a_result_at_an_end_of_its_range_has_no_gradient():
    names = ["xq", "xs", "xz", "vq", "vs", "vz", "ys", "yz"]
    weights = {"vq": np.zeros(4, UINT8)} | quantised("x") | quantised("v", zero=0)
    weights |= quantised("y", zero=0, scale=0.01)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("QLinearAdd", names, ["yq"], domain=MICROSOFT),
        helper.make_node("DequantizeLinear", ["yq", "ys", "yz"], ["y"]),
    ]
    data = {"x": np.array([-0.2, 0.5, 1.5, 9.0], np.float32)}
    model = write(nodes, data, weights, 18)
    made = by_onnxruntime(model, data)
    tensors = dict(zip([i.name for i in model.graph.output], made, strict=True)) | data
    seed = np.ones(4, np.float32)
    found = differentiate(model, tensors, ("x",), seed, by_onnxruntime)["x"]
    np.testing.assert_allclose(found, [0, 1, 1, 0], atol=1e-6)


def test_averages():
    names = ["xq", "xs", "xz", "ys", "yz"]
    weights = quantised("x") | quantised("y", zero=10, scale=0.05)
    node = helper.make_node("QLinearGlobalAveragePool", names, ["yq"], domain=MICROSOFT)
    alike(node, (1, 2, 3, 3), weights, helper.make_node("GlobalAveragePool", ["xr"], ["yr"]))
    how = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
    node = helper.make_node("QLinearAveragePool", names, ["yq"], domain=MICROSOFT, **how)
    alike(node, (1, 2, 4, 4), weights, helper.make_node("AveragePool", ["xr"], ["yr"], **how))


def test_parts_side_by_side():
    weights = quantised("x") | quantised("v", scale=0.04) | quantised("y", zero=10)
    names = ["ys", "yz", "xq", "xs", "xz", "vq", "vs", "vz"]
    node = helper.make_node("QLinearConcat", names, ["yq"], axis=1, domain=MICROSOFT)
    real = helper.make_node("Concat", ["xr", "vr"], ["yr"], axis=1)
    alike(node, (1, 2, 3), weights, real, several=("x", "v"))


@pytest.mark.parametrize("op", ["ConvInteger", "MatMulInteger"])
def test_products_of_whole_numbers(op):
    shape, kernel = ((1, 2, 5, 5), (3, 2, 3, 3)) if op == "ConvInteger" else ((2, 3), (3, 4))
    weight = np.random.default_rng(0).integers(0, 255, kernel).astype(UINT8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node(op, ["q", "w", "z", "wz"], ["whole"]),
        helper.make_node(
            "Cast", ["whole"], ["floats"], to=helper.np_dtype_to_tensor_dtype(np.dtype("f4"))
        ),
        helper.make_node("Mul", ["floats", "s"], ["y"]),
    ]
    data = {"x": draw(*shape).astype(np.float32)}
    weights = {"w": weight, "wz": np.array(100, UINT8)}
    found = check(nodes, data, weights, reference=False, smooth=False)["x"]
    real = helper.make_node(op.removesuffix("Integer"), ["x", "w"], ["y"])
    weights = {"w": weight.astype(np.float32) - 100}
    again = check([real], data, weights, reference=False, smooth=False)["x"]
    np.testing.assert_allclose(found, again, rtol=1e-4, atol=1e-3)
