"""What a bare graph tells, what is assumed, and what the user overrides."""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import TensorProto, helper
from small import colours, map_net, picture_net, save

from cnntool.cli.commands.classify import command
from cnntool.errors import ModelError, UsageError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.infer_spec import infer_spec, overridden
from cnntool.nets.inference.presets import CAFFE_MEAN, DEVIATION, MEAN, RECIPES, Overrides
from cnntool.nets.models.manifest import InputSpec


def plan_of(path, spec=None, **overrides):
    return infer_spec(read_graph(path), spec, Overrides(**overrides), name="net")


def test_a_float_network_of_torch_gets_imagenets_recipe(tmp_path):
    plan = plan_of(colours(tmp_path / "net.onnx", side=224, producer="pytorch"))
    entry = plan.input
    assert (entry.layout, entry.dtype, entry.size, entry.batch) == (
        "NCHW",
        "float32",
        (224, 224),
        None,
    )
    assert (entry.fit, entry.resize, entry.crop) == ("shorter", 256, (224, 224))
    assert (entry.channel_order, entry.mean, entry.deviation) == ("RGB", MEAN, DEVIATION)
    assert (plan.output.kind, plan.output.name, plan.output.logits) == (
        "probabilities",
        "scores",
        "logits",
    )
    assert plan.taps == ("scores", "logits")
    assert plan.assumed == (
        "`preprocess=imagenet` (as torchvision's networks want; the file does not say)",
        "the shorter side resized to 256, the centre cut (`resize`, `crop`)",
    )


def test_whole_numbers_go_in_as_they_are(tmp_path):
    plan = plan_of(colours(tmp_path / "net.onnx", layout="NHWC", dtype="uint8", batch=1))
    entry = plan.input
    assert (entry.layout, entry.dtype, entry.batch, entry.white) == ("NHWC", "uint8", 1, 255)
    assert not any("preprocess" in text for text in plan.assumed)


def test_small_pictures_are_not_cut(tmp_path):
    assert plan_of(colours(tmp_path / "net.onnx", side=28)).input.resize == 28


def test_a_free_size_is_assumed(tmp_path):
    plan = plan_of(colours(tmp_path / "net.onnx", side="S"))
    assert plan.input.size == (224, 224)
    assert "size 224 x 224 (`crop`)" in plan.assumed
    plan = plan_of(tmp_path / "net.onnx", resize=100)
    assert (plan.input.size, plan.input.resize, plan.input.crop) == ((100, 100), 100, (100, 100))
    assert not any("size" in text for text in plan.assumed)


@pytest.mark.parametrize("tail", [(), [("four",)], [("quantise", 0.5, 3)]])
def test_outputs(tmp_path, tail):
    path = colours(tmp_path / "net.onnx", tail=tail)
    plan = plan_of(path)
    assert (plan.output.kind, plan.output.logits) == ("probabilities", "logits")
    assert plan.quantised == ((0.5, 3.0) if tail and tail[0][0] == "quantise" else (1.0, 0.0))
    assert plan_of(colours(path, tail=tail, softmax=False)).output.kind == "logits"


def test_pictures_and_maps_are_told_from_scores(tmp_path):
    plan = plan_of(picture_net(tmp_path / "net.onnx"))
    assert (plan.output.kind, plan.output.white, plan.input.fit) == ("image", 255, "stretch")
    assert plan_of(map_net(tmp_path / "net.onnx")).output.kind == "map"


@pytest.mark.parametrize(
    ("metadata", "white", "order"),
    [
        ({"Image.NominalPixelRange": "NominalRange_0_255"}, 255, "RGB"),
        (
            {"Image.NominalPixelRange": "Normalized_0_1", "Image.BitmapPixelFormat": "Bgr8"},
            1,
            "BGR",
        ),
    ],
)
def test_metadata_are_heeded(tmp_path, metadata, white, order):
    entry = plan_of(colours(tmp_path / "net.onnx", metadata=metadata)).input
    assert (entry.white, entry.channel_order, entry.deviation) == (white, order, (1, 1, 1))


@pytest.mark.parametrize(("means", "order"), [(CAFFE_MEAN, "BGR"), (CAFFE_MEAN[::-1], "RGB")])
def test_a_mean_inside_the_graph_tells_the_order(tmp_path, means, order):
    path = save(
        tmp_path / "net.onnx",
        [
            helper.make_node("Sub", ["input", "mean"], ["less"]),
            helper.make_node("ReduceMean", ["less"], ["scores"], axes=[2, 3], keepdims=0),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [("mean", np.array(means, np.float32).reshape(3, 1, 1))],
    )
    entry = plan_of(path).input
    assert (entry.white, entry.channel_order, entry.mean) == (255, order, (0, 0, 0))


def test_labels_by_their_number(tmp_path):
    for classes in (1000, 1001):
        path = save(
            tmp_path / "net.onnx",
            [
                helper.make_node("ReduceMean", ["input"], ["means"], axes=[2, 3], keepdims=0),
                helper.make_node("MatMul", ["means", "matrix"], ["scores"]),
            ],
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, classes])],
            [("matrix", np.zeros((3, classes), np.float32))],
        )
        plan = plan_of(path)
        assert plan.labels.classes == 1000
        assert plan.output.background == (classes == 1001)
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    plan = plan_of(colours(tmp_path / "net.onnx", background=True), labels=names)
    assert (plan.labels.names, plan.output.background) == (("red", "green", "blue"), True)


def test_what_takes_no_picture_is_refused(tmp_path):
    flat = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 10])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 10])
    path = save(
        tmp_path / "net.onnx", [helper.make_node("Relu", ["input"], ["out"])], [flat], [out]
    )
    with pytest.raises(ModelError, match=r"does not take one picture, but input \(1 x 10\)"):
        plan_of(path)
    path = picture_net(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="has no input 'data', of which its manifest speaks"):
        plan_of(path, spec=_Manifest(InputSpec("data")))
    with pytest.raises(ModelError, match=r"takes [^a]* and the manifest says NHWC"):
        plan_of(path, spec=_Manifest(InputSpec("input", layout="NHWC", size=(8, 8))))
    with pytest.raises(ModelError, match="of type float32, not uint8"):
        plan_of(path, spec=_Manifest(InputSpec("input", dtype="uint8", size=(8, 8))))


class _Manifest:
    labels = None

    def __init__(self, entry):
        from cnntool.nets.models.manifest import OutputSpec

        self.input, self.output = entry, OutputSpec("output", "image")


def test_the_help_tells_every_recipe():
    (option,) = (one for one in command.params if one.name == "preprocess")
    assert set(re.findall(r"[a-z]+", option.help)) >= set(RECIPES)


def test_wishes():
    entry = InputSpec("in", size=(8, 8), mean=(1.0, 2.0, 3.0), deviation=(4.0, 5.0, 6.0))
    swapped = overridden(entry, Overrides(channel_order="BGR"))
    assert (swapped.mean, swapped.deviation) == ((3, 2, 1), (6, 5, 4))
    assert overridden(entry, Overrides(mean=(0.7,))).mean == (0.7, 0.7, 0.7)
    caffe = overridden(entry, Overrides(preprocess="caffe", deviation=(2.0,)))
    assert (caffe.channel_order, caffe.white, caffe.mean) == ("BGR", 255, CAFFE_MEAN)
    assert caffe.deviation == (2, 2, 2)
    grey = entry._replace(channel_order="L", mean=(0.0,), deviation=(1.0,))
    assert overridden(grey, Overrides(preprocess="imagenet")).mean == (
        pytest.approx(sum(MEAN) / 3),
    )
    with pytest.raises(UsageError, match=r"3 numbers for 1 channel$"):
        overridden(grey, Overrides(mean=(1.0, 2.0, 3.0)))
    with pytest.raises(UsageError, match="the network takes 8 x 8"):
        overridden(entry, Overrides(crop=(9, 9)))
    with pytest.raises(UsageError, match="7 pixels are too few to cut 8 x 8 from"):
        overridden(entry, Overrides(resize=7))
    assert overridden(entry, Overrides(resize=10)).resize == 10
