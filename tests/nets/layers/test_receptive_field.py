"""Receptive fields as boxes, next to what a picture's pixels really change."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import Runtime, build, opened

from cnntool.nets.layers.dataflow import Dataflow
from cnntool.nets.layers.receptive_field import Sight, fields_of, sight

pytest.importorskip("onnxruntime")


def conv(source, target, **attributes):
    return helper.make_node("Conv", [source, "w"], [target], **attributes)


NETS = {
    "same": [conv("x", "y", pads=[1, 1, 1, 1])],
    "valid": [conv("x", "y")],
    "strided": [conv("x", "a", pads=[1, 1, 1, 1], strides=[2, 2]), conv("a", "y", strides=[2, 1])],
    "one side": [conv("x", "y", pads=[2, 0, 0, 1])],
    "dilated": [conv("x", "a", dilations=[2, 3], pads=[2, 3, 2, 3]), conv("a", "y")],
    "same upper": [conv("x", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
    "same lower": [conv("x", "y", auto_pad="SAME_LOWER", strides=[2, 2])],
    "pool": [
        conv("x", "a", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("p", "y", pads=[1, 1, 1, 1]),
    ],
    "branches": [
        conv("x", "a", pads=[1, 1, 1, 1]),
        conv("a", "b", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["x", "b"], ["s"]),
        helper.make_node("Concat", ["s", "a"], ["k"], axis=1),
        helper.make_node("ReduceSum", ["k", "one"], ["y"], keepdims=1),
    ],
    "pad": [helper.make_node("Pad", ["x", "pads"], ["a"]), conv("a", "y", strides=[2, 2])],
    "turned": [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["t"], ["u"], perm=[0, 3, 1, 2]),
        conv("u", "y", pads=[1, 1, 1, 1], strides=[2, 2]),
    ],
}


@pytest.mark.parametrize("nodes", NETS.values(), ids=NETS)
def test_a_value_sees_exactly_its_box(nodes, tmp_path):
    rows, columns = 13, 16
    model = build(
        nodes,
        [
            numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "w"),
            numpy_helper.from_array(np.array([0, 0, 2, 1, 0, 0, 1, 0]), "pads"),
            numpy_helper.from_array(np.array([1]), "one"),
        ],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, rows, columns))],
    )
    graph = opened(tmp_path, model)
    flow = Dataflow(graph)
    fields = fields_of(graph, flow, "x", (1, 1, rows, columns))
    sees = sight(fields.get("y"))
    runtime = Runtime((tmp_path / "m.onnx").read_bytes())
    height, wide = runtime.run({"x": np.zeros((1, 1, rows, columns), np.float32)})["y"].shape[2:]
    changed = np.zeros((height, wide, rows, columns), bool)
    for row, column in np.ndindex(rows, columns):
        x = np.zeros((1, 1, rows, columns), np.float32)
        x[0, 0, row, column] = 1
        changed[:, :, row, column] = runtime.run({"x": x})["y"][0, 0] != 0
    for place in np.ndindex(height, wide):
        top, left, bottom, right = sees.box(*place, (rows, columns))
        expected = np.zeros((rows, columns), bool)
        expected[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
        assert (changed[place] == expected).all(), place


def test_vgg_sees_76_pixels_at_block4_conv2():
    from pathlib import Path

    from cnntool.nets.file.graph import read_graph

    graph = read_graph(Path(__file__).parents[3] / "models" / "vgg16-mini.onnx")
    flow = Dataflow(graph)
    fields = fields_of(graph, flow, "input", (1, 3, 144, 144))
    sees = sight(fields.get("block4_conv2/Relu"))
    assert (sees.extent, sees.jump) == ((76, 76), (8, 8))
    top, left, bottom, right = sees.box(8, 8, (144, 144))
    assert (bottom - top, right - left) == (76, 76)
    assert (top + bottom) / 2 == pytest.approx(8 * 8 + 4, abs=1)
    assert sight(fields.get("predictions")).box(0, 0, (144, 144)) == (0, 0, 144, 144)


def test_what_is_not_known(tmp_path):
    graph = opened(
        tmp_path,
        build(
            [
                helper.make_node("DepthToSpace", ["x"], ["a"], blocksize=2),
                helper.make_node("NonZero", ["a"], ["y"]),
            ],
            inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 6, 6))],
        ),
    )
    flow = Dataflow(graph)
    fields = fields_of(graph, flow, "x", (1, 4, 6, 6))
    assert sight(fields.get("y")) is None
    assert sight(fields.get("nothing")) is None
    centred = sight(fields.get("a"))  # enlarged: the middle is taken to be the picture's
    first, last = centred.box(0, 0, (6, 6)), centred.box(11, 11, (6, 6))
    assert (first[0], last[2]) in {(0, 6), (0, 7)}


def test_the_whole_picture():
    sees = Sight((3, 3), (1, 1), (0, 0), whole=True)
    assert sees.box(5, 5, (7, 9)) == (0, 0, 7, 9)
    assert Sight((2, 2), (2, 2), (-1.6, 0.6), whole=False).box(0, 1, (9, 9)) == (-2, 3, 0, 5)
