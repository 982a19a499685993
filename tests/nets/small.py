"""Networks known by hand: their classes are red, green and blue, their scores the mean colours."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}


def save(path, nodes, inputs, outputs, weights=(), *, opset=17, metadata=None):
    """Write a model; a weight is (name, array), an input or output a value info."""
    graph = helper.make_graph(
        nodes, "net", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in weights]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def colours(
    path,
    *,
    layout="NCHW",
    dtype="float32",
    batch="N",
    side=8,
    softmax=True,
    background=False,
    tail=(),
    metadata=None,
):
    """Write a classifier whose logits are ten times the mean red, green and blue that go in."""
    shape = [batch, 3, side, side] if layout == "NCHW" else [batch, side, side, 3]
    nodes, last = [], "input"
    if dtype != "float32":
        nodes.append(helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT))
        last = "floats"
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    nodes.append(helper.make_node("ReduceMean", [last], ["means"], axes=axes, keepdims=0))
    matrix = np.eye(3, dtype=np.float32) * 10
    classes = 3 + background
    if background:
        matrix = np.concatenate([np.full((3, 1), -10, np.float32), matrix], axis=1)
    nodes.append(helper.make_node("MatMul", ["means", "matrix"], ["logits"]))
    last, kind = "logits", TensorProto.FLOAT
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=-1))
        last = "scores"
    weights = [("matrix", matrix)]
    out = [batch, classes]
    for op, *arguments in tail:
        if op == "four":  # (N, classes, 1, 1), as old exporters leave it
            weights.append(("four", np.array([0, classes, 1, 1], np.int64)))
            nodes.append(helper.make_node("Reshape", [last, "four"], ["wide"]))
            last, out = "wide", [batch, classes, 1, 1]
        else:  # quantised to 8 bits
            weights += [("scale", np.float32(arguments[0])), ("zero", np.uint8(arguments[1]))]
            nodes.append(helper.make_node("QuantizeLinear", [last, "scale", "zero"], ["bytes"]))
            last, kind = "bytes", TensorProto.UINT8
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TYPES[dtype], shape)],
        [helper.make_tensor_value_info(last, kind, out)],
        weights,
        metadata=metadata,
    )


def picture_net(path, *, factor=1.0, dtype="float32", layout="NCHW", side=(8, 8), metadata=None):
    """Write a network that multiplies what goes in."""
    shape = [1, 3, *side] if layout == "NCHW" else [1, *side, 3]
    return save(
        path,
        [helper.make_node("Mul", ["input", "factor"], ["output"])],
        [helper.make_tensor_value_info("input", TYPES[dtype], shape)],
        [helper.make_tensor_value_info("output", TYPES[dtype], shape)],
        [("factor", np.array(factor, dtype))],
        metadata=metadata,
    )


def map_net(path, *, side=8):
    """Write a network that says of every pixel which colour is strongest."""
    return save(
        path,
        [helper.make_node("ArgMax", ["input"], ["classes"], axis=1, keepdims=0)],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("classes", TensorProto.INT64, [1, side, side])],
    )
