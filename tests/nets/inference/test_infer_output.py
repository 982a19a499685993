"""What outputs are, which of several answers, and what is said where none can."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from small import colours, save, several

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.infer_spec import CLASSES, PICTURES, infer_spec
from cnntool.nets.inference.presets import Overrides
from cnntool.nets.models.manifest import InputSpec, ModelSpec, OutputSpec


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def plan_of(path, suits=frozenset(), spec=None, **overrides):
    return infer_spec(read_graph(path), spec, Overrides(**overrides), name="net", kinds=suits)


def kind_of(path, values, op=None):
    nodes = [(op, "out")] if op else []
    return plan_of(several(path, [("out", values)], nodes=nodes, side=64)).output.kind


@pytest.mark.parametrize(
    ("shape", "op", "kind"),
    [
        ((1, 10), None, "logits"),
        ((1, 10), "Softmax", "probabilities"),
        ((1, 10), "Sigmoid", "probabilities"),
        ((1, 1000, 1, 1), None, "logits"),
        ((10,), None, "logits"),
        ((1, 3, 64, 64), None, "image"),
        ((1, 64, 64, 3), None, "image"),
        ((1, 1, 256, 256), "Sigmoid", "image"),
        ((1, 64, 64), "Sigmoid", "image"),
        ((1, 32, 32, 1), None, "image"),
        ((1, 21, 64, 64), None, "map"),
        ((1, 3, 64, 64), "Softmax", "map"),
        ((1, 16, 16, 21), None, "map"),
        # of a detector: boxes, scores of anchors, grids
        ((1, 100, 4), None, "other"),
        ((1, 84, 8400), None, "other"),
        ((1, 84, 8400), "Sigmoid", "other"),
        ((1, 255, 4, 4), None, "other"),
        ((1, 3, 8, 8, 85), None, "other"),
        ((1, 3, 8400, 4), None, "other"),
        # features, tokens, single values
        ((1, 512, 2, 2), None, "other"),
        ((1, 17, 192), None, "other"),
        ((1, 1), None, "other"),
        ((1,), None, "other"),
        ((1, 1, 1, 1), None, "other"),
        ((1, 1), "Sigmoid", "probabilities"),
    ],
)
def test_one_output_is_known_by_its_shape_and_operator(tmp_path, shape, op, kind):
    assert kind_of(tmp_path / "net.onnx", zeros(*shape), op) == kind


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((1, 64, 64), np.int64, "map"),
        ((1, 1, 64, 64), np.int32, "map"),
        ((1, 64, 64), np.uint8, "map"),
        ((1,), np.int64, "other"),
        ((1, 5), np.int64, "other"),
        ((1, 100, 4), np.int64, "other"),
    ],
)
def test_whole_numbers_are_classes_where_they_have_the_pictures_sides(tmp_path, shape, dtype, kind):
    assert kind_of(tmp_path / "net.onnx", zeros(*shape, dtype=dtype)) == kind


def test_free_sides_are_taken_for_what_they_may_be(tmp_path):
    def kind(op, shape, element=TensorProto.FLOAT):
        path = save(
            tmp_path / "net.onnx",
            [helper.make_node(op, ["input"], ["out"])],
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, "H", "W"])],
            [helper.make_tensor_value_info("out", element, shape)],
        )
        return plan_of(path).output.kind

    assert kind("Sigmoid", ["N", 1, "H", "W"]) == "image"
    assert kind("Sigmoid", ["N", "H", "W"]) == "image"
    assert kind("Relu", ["N", "A", "B"]) == "other"
    assert kind("Relu", ["N", 21, "H", "W"]) == "map"
    assert kind("ArgMax", ["N", "H", "W"], TensorProto.INT64) == "map"
    assert kind("ArgMax", None, TensorProto.INT64) == "map"


WHOLE = zeros(1, 50, dtype=np.int64)
DETECTOR = [("boxes", zeros(1, 50, 4)), ("scores", zeros(1, 50)), ("labels", WHOLE)]
VAE = [("mu", zeros(1, 16)), ("logvar", zeros(1, 16)), ("made", zeros(1, 3, 32, 32))]


def test_the_output_that_a_command_can_use_is_taken_and_said(tmp_path):
    aux = several(
        tmp_path / "aux.onnx", [("out", zeros(1, 21, 32, 32)), ("aux", zeros(1, 21, 32, 32))]
    )
    plan = plan_of(aux, PICTURES)
    assert plan.output == OutputSpec("out", "map")
    assert plan.assumed[:2] == ("output out, of 2 (`output_name`)", "a map of classes as output")
    both = several(
        tmp_path / "both.onnx",
        [("mask", zeros(1, 1, 32, 32)), ("features", zeros(1, 5)), ("classes", zeros(1, 5))],
        nodes=[("Softmax", "classes"), ("Sigmoid", "mask")],
    )
    assert plan_of(both, PICTURES).output.name == "mask"
    assert plan_of(both, CLASSES).output.name == "classes"
    assert plan_of(both, CLASSES).output.logits == "raw classes"
    vae = several(tmp_path / "vae.onnx", VAE)
    assert plan_of(vae, PICTURES).output.name == "made"
    both = several(
        tmp_path / "net.onnx", [("features", zeros(1, 64, 4, 4)), ("scores", zeros(1, 1000))]
    )
    assert plan_of(both, CLASSES).output.name == "scores"
    heads = several(tmp_path / "heads.onnx", [("logits", zeros(1, 9)), ("aux", zeros(1, 9))])
    assert plan_of(heads, CLASSES).output.name == "logits"
    for path in (aux, both, vae, heads):
        assert plan_of(path).output.name  # whoever has a use for all gets one


def test_the_user_chooses_an_output(tmp_path):
    path = several(tmp_path / "vae.onnx", VAE)
    plan = plan_of(path, CLASSES, output="logvar")
    assert plan.output == OutputSpec("logvar", "logits")
    assert not any("output" in text for text in plan.assumed)
    assert plan_of(path, PICTURES, output="made").output.kind == "image"
    with pytest.raises(ModelError, match="it has no output 'mode'") as error:
        plan_of(path, output="mode")
    assert error.value.hint == "it has mu, logvar, made"
    with pytest.raises(
        ModelError, match=r"gives no picture, but mu \(1 x 16\): numbers that may be"
    ):
        plan_of(path, PICTURES, output="mu")


@pytest.mark.parametrize(
    ("outputs", "suits", "message", "hint"),
    [
        (
            DETECTOR,
            CLASSES,
            "no sure class scores, but boxes (1 x 50 x 4): numbers of its own kind, scores (1 x 5",
            "'cnntool activations `layer=boxes`' shows its numbers; `output_name=NAME` takes one",
        ),
        (DETECTOR, PICTURES, "no picture, but boxes", "'cnntool activations `layer=boxes`'"),
        (VAE, CLASSES, "no sure class scores, but mu", "try 'cnntool run'; `output_name"),
        ([("y", zeros(1, 1))], CLASSES, "y (1 x 1): numbers of its own", "'cnntool activations"),
        ([("y", zeros(1, 1))], PICTURES, "y (1 x 1): numbers of its own", "'cnntool activations"),
        ([("a b", zeros(1, 9, 4))], PICTURES, "a b (1 x 9 x 4)", "activations `layer='a b'`"),
        ([("y", zeros(1, 9))], PICTURES, "y (1 x 9): numbers that", "try 'cnntool classify'"),
        ([("y", zeros(1, 3, 32, 32))], CLASSES, "y (1 x 3 x 32 x 32): a pic", "try 'cnntool run'"),
    ],
)
def test_nobody_is_sent_in_a_circle(tmp_path, outputs, suits, message, hint):
    path = several(tmp_path / "net.onnx", outputs)
    with pytest.raises(ModelError) as error:
        plan_of(path, suits)
    assert message in error.value.message
    assert hint in error.value.hint
    if "try" in error.value.hint:  # then that command takes it
        plan_of(path, PICTURES if suits == CLASSES else CLASSES)


def test_what_takes_no_picture_is_said_by_every_command(tmp_path):
    path = save(
        tmp_path / "net.onnx",
        [helper.make_node("Relu", ["input"], ["out"])],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 10])],
    )
    for suits in (CLASSES, PICTURES, frozenset()):
        with pytest.raises(ModelError, match="does not take one picture"):
            plan_of(path, suits)


def test_a_manifest_settles_the_output(tmp_path):
    path = several(tmp_path / "vae.onnx", VAE)
    entry = InputSpec("input", size=(32, 32))
    spec = ModelSpec(
        "vae", "", "vae.onnx", None, None, (), "", "", entry, OutputSpec("mu", "probabilities")
    )
    plan = plan_of(path, CLASSES, spec)
    assert (plan.output.name, plan.output.kind) == ("mu", "probabilities")
    assert not plan.assumed
    plan = plan_of(path, PICTURES, spec, output="made")
    assert (plan.output.kind, plan.guessed) == ("image", True)
    made = spec._replace(output=OutputSpec("made", "image", white=7.0, black=-7.0))
    plan = plan_of(path, PICTURES, made)
    assert (plan.output.black, plan.output.white, plan.unsure) == (-7, 7, False)
    assert plan_of(path, PICTURES, made, white=3.0).output.white == 3
    with pytest.raises(ModelError, match="no class scores, but made"):
        plan_of(path, CLASSES, made)


def test_a_classifier_of_its_own_kind_is_still_one(tmp_path):
    plan = plan_of(colours(tmp_path / "net.onnx"), CLASSES)
    assert plan.output.kind == "probabilities"
