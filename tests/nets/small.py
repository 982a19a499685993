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


def save(path, nodes, inputs, outputs, weights=(), *, opset=17, metadata=None, producer=""):
    """Write a model; a weight is (name, array), an input or output a value info."""
    graph = helper.make_graph(
        nodes, "net", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in weights]
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
        producer_name=producer,
    )
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
    producer="",
    before=(),
):
    """Write a classifier whose logits are ten times the mean red, green and blue that go in."""
    shape = [batch, 3, side, side] if layout == "NCHW" else [batch, side, side, 3]
    nodes, last = [], "input"
    if dtype != "float32":
        nodes.append(helper.make_node("Cast", ["input"], ["floats"], to=TensorProto.FLOAT))
        last = "floats"
    weights = []
    for place, (op, number) in enumerate(before):  # what scales the colours inside the graph
        weights.append((f"number {place}", np.asarray(number, np.float32)))
        nodes.append(helper.make_node(op, [last, f"number {place}"], [f"scaled {place}"]))
        last = f"scaled {place}"
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
    weights.append(("matrix", matrix))
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
        producer=producer,
    )


def halves(path, *, head="Softmax", dtype="float32", layout="NCHW", batch="N", last="Flatten"):
    """Write a classifier: how much more red than blue there is on the mean, and the opposite."""
    kernel = np.array([[1, 0, -1], [-1, 0, 1]], np.float32).reshape(2, 3, 1, 1)
    shape = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    nodes, source = [], "input"
    if dtype != "float32":
        nodes.append(helper.make_node("Cast", [source], ["floats"], to=TensorProto.FLOAT))
        source = "floats"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [source], ["planar"], perm=[0, 3, 1, 2]))
        source = "planar"
    classes = 1 if head == "one" else 2
    nodes += [
        helper.make_node("Conv", [source, "kernel"], ["conv"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["conv"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node(last, ["pooled"], ["scores"]),
    ]
    answer = "scores"
    if head in {"Softmax", "Sigmoid"}:
        nodes.append(helper.make_node(head, [answer], ["answer"]))
        answer = "answer"
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TYPES[dtype], shape)],
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, [batch, classes])],
        [("kernel", kernel[:classes])],
    )


def chain(path, steps, weights=(), *, channels=4):
    """Write a classifier of 8 x 8 pixels, node by node: (operator, inputs, output, attributes)."""
    rng = np.random.default_rng(0)
    steps = [("Conv", ["input", "kernel"], "conv", {}), *steps]
    if steps[-1][2] != "answer":
        steps.append(("Softmax", ["scores"], "answer", {}))
    return save(
        path,
        [helper.make_node(op, inputs, [made], **said) for op, inputs, made, said in steps],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [1, channels])],
        [("kernel", rng.normal(size=(channels, 3, 1, 1)).astype(np.float32)), *weights],
    )


NORM = {"ones": np.ones(4, np.float32), "none": np.zeros(4, np.float32)}
DENSE = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)


def norm(source, made, *, spelt=False):
    """Return the steps of a layer norm over four channels; or spelt out."""
    if not spelt:
        return [("LayerNormalization", [source, "ones", "none"], made, {})]
    mean = {"axes": [-1], "keepdims": 1}
    return [
        ("ReduceMean", [source], f"{made} mean", mean),
        ("Sub", [source, f"{made} mean"], f"{made} middle", {}),
        ("Mul", [f"{made} middle"] * 2, f"{made} squares", {}),
        ("ReduceMean", [f"{made} squares"], f"{made} variance", mean),
        ("Sqrt", [f"{made} variance"], f"{made} deviation", {}),
        ("Div", [f"{made} middle", f"{made} deviation"], f"{made} units", {}),
        ("Mul", [f"{made} units", "ones"], f"{made} scaled", {}),
        ("Add", [f"{made} scaled", "none"], made, {}),
    ]


def attending(path, *, spelt=False):
    """Write a transformer of 64 tokens behind one of the class, whose score it is alone."""
    steps = [
        ("Reshape", ["conv", "flat"], "patches", {}),
        ("Transpose", ["patches"], "turned", {"perm": [0, 2, 1]}),
        ("Concat", ["class", "turned"], "tokens", {"axis": 1}),
        *norm("tokens", "first", spelt=spelt),
        ("Transpose", ["first"], "keys", {"perm": [0, 2, 1]}),
        ("MatMul", ["first", "keys"], "alike", {}),
        ("Softmax", ["alike"], "attention", {}),
        ("MatMul", ["attention", "first"], "attended", {}),
        *norm("attended", "last", spelt=spelt),
        ("Gather", ["last", "zero"], "one", {"axis": 1}),
        ("MatMul", ["one", "dense"], "scores", {}),
    ]
    token = np.random.default_rng(2).normal(size=(1, 1, 4)).astype(np.float32)
    weights = [("flat", np.array((1, 4, 64))), ("class", token), ("zero", np.array(0))]
    return chain(path, steps, [*weights, *NORM.items(), ("dense", DENSE)])


def windowed(path):
    """Write a transformer of four windows, 4 x 4 tokens each, between norms."""
    shapes = {"cut": (1, 2, 4, 2, 4, 4), "window": (4, 16, 4), "sewn": (1, 2, 2, 4, 4, 4)}
    shapes["all"] = (1, 64, 4)
    steps = [
        ("Transpose", ["conv"], "last", {"perm": [0, 2, 3, 1]}),
        ("Reshape", ["last", "cut"], "six", {}),
        ("Transpose", ["six"], "apart", {"perm": [0, 1, 3, 2, 4, 5]}),
        ("Reshape", ["apart", "window"], "windows", {}),
        ("Transpose", ["windows"], "turned", {"perm": [0, 2, 1]}),
        ("MatMul", ["windows", "turned"], "alike", {}),
        ("Softmax", ["alike"], "attention", {}),
        ("MatMul", ["attention", "windows"], "attended", {}),
        *norm("attended", "inner"),
        ("Reshape", ["inner", "sewn"], "back", {}),
        ("Transpose", ["back"], "together", {"perm": [0, 1, 3, 2, 4, 5]}),
        ("Reshape", ["together", "all"], "tokens", {}),
        *norm("tokens", "outer"),
        ("Mul", ["outer", "outer"], "squares", {}),
        ("ReduceMean", ["squares"], "means", {"axes": [1], "keepdims": 0}),
        ("MatMul", ["means", "dense"], "scores", {}),
    ]
    weights = [(name, np.array(shape)) for name, shape in shapes.items()]
    weights += [*NORM.items(), ("dense", DENSE)]
    return chain(path, steps, weights)


def weighing(path):
    """Write a convolutional network that weighs its channels by a softmax, and has no norm."""
    steps = [
        ("Relu", ["conv"], "maps", {}),
        ("GlobalAveragePool", ["maps"], "means", {}),
        ("Softmax", ["means"], "weights", {"axis": 1}),
        ("Mul", ["maps", "weights"], "weighed", {}),
        ("Reshape", ["weighed", "split"], "groups", {}),
        ("Relu", ["groups"], "no maps", {}),
        ("ReduceMean", ["no maps"], "each", {"axes": [3], "keepdims": 0}),
        ("Flatten", ["each"], "scores", {}),
    ]
    return chain(path, steps, [("split", np.array((1, 2, 2, 64)))])


def picture_net(
    path, *, factor=1.0, dtype="float32", layout="NCHW", side=(8, 8), metadata=None, last=()
):
    """Write a network that multiplies what goes in; ``last`` has the operators behind that."""
    shape = [1, 3, *side] if layout == "NCHW" else [1, *side, 3]
    names = ["product", *(f"made {place}" for place, _ in enumerate(last))]
    names[-1] = "output"
    return save(
        path,
        [
            helper.make_node("Mul", ["input", "factor"], names[:1]),
            *(
                helper.make_node(op, [name], [after])
                for op, name, after in zip(last, names, names[1:], strict=False)
            ),
        ],
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


def several(path, outputs, *, side=32, nodes=()):
    """Write a network of a picture whose outputs are constants: (name, values) each.

    ``nodes`` makes a tensor ``raw NAME`` into NAME: (operator, name).
    """
    made = {name: op for op, name in nodes}
    weights, graph, infos = [("zero", np.zeros(1, np.float32))], [], []
    graph.append(helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0))
    graph.append(helper.make_node("Mul", ["mean", "zero"], ["none"]))
    for name, values in outputs:
        weights.append((f"{name} values", values))
        target = f"raw {name}" if name in made else name
        if values.dtype == np.float32:
            graph.append(helper.make_node("Add", ["none", f"{name} values"], [target]))
        else:
            graph.append(helper.make_node("Identity", [f"{name} values"], [target]))
        if name in made:
            graph.append(helper.make_node(made[name], [target], [name]))
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        infos.append(helper.make_tensor_value_info(name, kind, values.shape))
    return save(
        path,
        graph,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        infos,
        weights,
    )


def planes(path, *, name="maps"):
    """Write a classifier with a map for each colour; its logits are ten times their means."""
    return save(
        path,
        [
            helper.make_node("Conv", ["input", "kernel"], ["conv"], name=name),
            helper.make_node("Relu", ["conv"], ["planes"]),
            helper.make_node("GlobalAveragePool", ["planes"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"]),
            helper.make_node("Softmax", ["means"], ["scores"], axis=-1),
            helper.make_node("Neg", ["planes"], ["aside"]),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [("kernel", 10 * np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1))],
    )
