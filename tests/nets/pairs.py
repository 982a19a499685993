"""Pairs of small networks that differ in a known way: one channel, one type, 8 bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny import Runtime

from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.runtime.providers import Placement

WIDTHS = (3, 6, 8, 8, 10)
"""Maps of what goes in and of each convolution."""


class Inside:
    """Stands for a session, within this process: quick, where no process is needed."""

    placement = Placement("cpu", "cpu", "CPUExecutionProvider", "")

    def __init__(self, part, settings, *, name, beside=None):
        level = {True: "ALL", "basic": "BASIC", False: "NONE"}[settings.optimise]
        self._results = []
        self._runtime = Runtime(part.model, part.folder, optimise=level)
        found = self._runtime._session.get_inputs()
        words = [one.type[7:-1] for one in found]  # of tensor(float)
        self.inputs = [
            TensorInfo(one.name, "float32" if word == "float" else word, None)
            for one, word in zip(found, words, strict=True)
        ]

    def free(self):
        pass

    close = free

    def submit(self, feeds, *, stored, source, target):
        arrays = source.get([*stored.values()]) if stored else []
        feeds = feeds | dict(zip(stored, arrays, strict=True))
        self._results.append(list(self._runtime.run(feeds).values()))

    def collect_into(self, target):
        return target.put(*self._results.pop(0))


def chain(path, *, widths=WIDTHS, seed=0, side=8, change=None, named=True):
    """Write convolutions of 3 x 3, a mean and class scores; every bias keeps maps alive.

    ``change`` is given the weights by name, to be changed.
    """
    rng = np.random.default_rng(seed)
    weights, nodes, last = {}, [], "input"
    for place, (less, more) in enumerate(pairwise(widths), 1):
        kernel = rng.normal(size=(more, less, 3, 3)) / np.sqrt(9 * less / 2)
        weights[f"w{place}"] = kernel.astype(np.float32)
        weights[f"b{place}"] = np.full(more, 0.3, np.float32)
        name = f"conv_{place}" if named else ""
        inputs = [last, f"w{place}", f"b{place}"]
        nodes += [
            helper.make_node("Conv", inputs, [f"c{place}"], name=name, pads=[1] * 4),
            helper.make_node("Relu", [f"c{place}"], [f"r{place}"]),
        ]
        last = f"r{place}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["scores"]),
    ]
    if change is not None:
        change(weights)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, widths[-1]])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def scaled(layer, channel, factor=1.5):
    """Return what scales one channel of a convolution: its kernel and its bias."""

    def change(weights):
        for name in (f"w{layer}", f"b{layer}"):
            weights[name][channel] *= factor

    return change


def coarse(layers):
    """Return what gives the kernels of some convolutions few steps in 8 bits.

    One of their maps is dead, and its weights are large: they take the scale for themselves.
    """

    def change(weights):
        for layer in layers:
            weights[f"w{layer}"][0] *= 30
            weights[f"b{layer}"][0] = -1000

    return change


def quantised(path, source, *, bits=8):
    """Write a network's convolutions in 8 bits, as QuantizeLinear and DequantizeLinear say it.

    What goes into every convolution and its kernel are rounded to few steps.
    """
    model = onnx.load(source)
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    steps = 2 ** (bits - 1) - 1
    nodes, extra = [], [numpy_helper.from_array(np.int8(0), "zero")]
    for node in model.graph.node:
        if node.op_type == "Conv":
            inputs = list(node.input)
            kernel = weights.pop(inputs[1])
            scale = np.float32(np.abs(kernel).max() / steps)
            stored = np.rint(kernel / scale).astype(np.int8)
            extra += [
                numpy_helper.from_array(stored, f"{inputs[1]} stored"),
                numpy_helper.from_array(scale, f"{inputs[1]} scale"),
            ]
            place = [f"{inputs[1]} stored", f"{inputs[1]} scale", "zero"]
            nodes.append(helper.make_node("DequantizeLinear", place, [f"{inputs[1]} real"]))
            node.input[1] = f"{inputs[1]} real"
        nodes.append(node)
        if node.op_type == "Relu":
            made = node.output[0]
            node.output[0] = f"{made} exact"
            extra.append(numpy_helper.from_array(np.float32(4 / steps), f"{made} scale"))
            numbers = [f"{made} scale", "zero"]
            nodes += [
                helper.make_node("QuantizeLinear", [f"{made} exact", *numbers], [f"{made} whole"]),
                helper.make_node("DequantizeLinear", [f"{made} whole", *numbers], [made]),
            ]
    kept = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "net", model.graph.input, model.graph.output, [*kept, *extra])
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(made), path)
    return path


def channels_last(path, source):
    """Write a network of `chain` as one that keeps channels last between its convolutions."""
    model = onnx.load(source)
    (entry,) = model.graph.input
    side = entry.type.tensor_type.shape.dim[2].dim_value
    nodes = [helper.make_node("Transpose", ["image"], [entry.name], perm=[0, 3, 1, 2])]
    for node in model.graph.node:
        if node.op_type != "Relu":
            nodes.append(node)
            continue
        before, after = f"{node.input[0]} last", f"{node.output[0]} last"
        nodes += [
            helper.make_node("Transpose", [node.input[0]], [before], perm=[0, 2, 3, 1]),
            helper.make_node("Relu", [before], [after]),
            helper.make_node("Transpose", [after], [node.output[0]], perm=[0, 3, 1, 2]),
        ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, side, side, 3])
    weights = model.graph.initializer
    graph = helper.make_graph(nodes, "net", [image], model.graph.output, weights)
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(made), path)
    return path
