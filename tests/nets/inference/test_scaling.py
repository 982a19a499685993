"""What a graph says of its numbers: how it scales colours, where its pictures lie, whose it is."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from small import colours, picture_net, save

from cnntool.errors import UsageError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.infer_spec import infer_spec, overridden
from cnntool.nets.inference.presets import CAFFE_MEAN, DEVIATION, MEAN, RECIPES, Overrides
from cnntool.nets.inference.scaling import levels, opening
from cnntool.nets.models.manifest import InputSpec

MEANS, DEVIATIONS = np.array(MEAN).reshape(3, 1, 1), np.array(DEVIATION).reshape(3, 1, 1)


def plan_of(path, **overrides):
    return infer_spec(read_graph(path), None, Overrides(**overrides), name="net")


@pytest.mark.parametrize(
    ("before", "recipe", "order"),
    [
        # Rescaling of EfficientNet, with the Normalization behind it, and of MobileNetV3
        ([("Mul", 1 / 255)], "raw", "RGB"),
        ([("Mul", 1 / 255), ("Sub", MEANS), ("Div", DEVIATIONS)], "raw", "RGB"),
        ([("Mul", 1 / 127.5), ("Add", -1)], "raw", "RGB"),
        # Normalization of ConvNeXt
        ([("Sub", MEANS * 255), ("Div", DEVIATIONS * 255)], "raw", "RGB"),
        # a wrapper round a network of torchvision: what goes in is 0..1
        ([("Sub", MEANS), ("Div", DEVIATIONS)], "unit", "RGB"),
        ([("Mul", 2), ("Sub", 1)], "unit", "RGB"),
        ([("Mul", 255)], "unit", "RGB"),
        ([("Sub", 0.5), ("Div", 0.5)], "unit", "RGB"),
        # -1..1 to 0..1
        ([("Add", 1), ("Div", 2)], "tf", "RGB"),
        ([("Sub", np.reshape(CAFFE_MEAN, (3, 1, 1)))], "raw", "BGR"),
        ([("Sub", np.reshape(CAFFE_MEAN, (3, 1, 1)) / 255)], "unit", "BGR"),
    ],
)
def test_what_a_graph_does_to_its_input_tells_what_goes_in(tmp_path, before, recipe, order):
    for producer in ("pytorch", "tf2onnx"):
        plan = plan_of(colours(tmp_path / "net.onnx", before=before, producer=producer))
        expected = RECIPES[recipe]
        assert (plan.input.white, plan.input.mean) == (expected["white"], expected["mean"])
        assert plan.input.channel_order == order
        assert not any("--preprocess" in text for text in plan.assumed)


@pytest.mark.parametrize("before", [(), [("Mul", 1)], [("Add", 0), ("Div", 1)], [("Mul", 0)]])
def test_what_tells_nothing_is_assumed_and_said(tmp_path, before):
    plan = plan_of(colours(tmp_path / "net.onnx", before=before))
    assert (plan.input.white, plan.input.mean, plan.input.deviation) == (1, (0,) * 3, (1,) * 3)
    assert plan.assumed[0] == "`preprocess=unit` (the file does not say)"


def test_the_order_that_a_graph_turns_round(tmp_path):
    """Keras' ``caffe`` inside the graph: turned to blue first, then less the mean."""
    for node, weight in (
        (helper.make_node("Gather", ["input", "order"], ["bgr"], axis=1), np.array([2, 1, 0])),
        (helper.make_node("Slice", ["input", "from", "to", "axis", "order"], ["bgr"]), [-1]),
    ):
        path = save(
            tmp_path / "net.onnx",
            [
                node,
                helper.make_node("Sub", ["bgr", "mean"], ["less"]),
                helper.make_node("ReduceMean", ["less"], ["scores"], axes=[2, 3], keepdims=0),
            ],
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
            [
                ("mean", np.array(CAFFE_MEAN, np.float32).reshape(3, 1, 1)),
                ("order", np.array(weight)),
                ("from", np.array([2])),
                ("to", np.array([-4])),
                ("axis", np.array([1])),
            ],
        )
        found = opening(read_graph(path), "input")
        assert found.mean == pytest.approx(CAFFE_MEAN[::-1])
        entry = plan_of(path).input
        assert (entry.white, entry.channel_order) == (255, "RGB")


@pytest.mark.parametrize(
    ("mean", "deviation", "recipe"),
    [
        ((0.0, 0.01, -0.02), (1.0, 1.1, 0.9), "imagenet"),
        (MEAN, DEVIATION, "unit"),
        ((-0.03, -0.09, -0.19), (0.46, 0.45, 0.45), "tf"),
        ((123, 116, 103), (58, 57, 57), "raw"),
    ],
)
def test_a_batch_norm_at_the_start_tells_what_was_trained_on(tmp_path, mean, deviation, recipe):
    path = save(
        tmp_path / "net.onnx",
        [
            helper.make_node("BatchNormalization", ["input", "g", "b", "m", "v"], ["normal"]),
            helper.make_node("ReduceMean", ["normal"], ["scores"], axes=[2, 3], keepdims=0),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [
            ("g", np.full(3, 2, np.float32)),
            ("b", np.full(3, 5, np.float32)),
            ("m", np.array(mean, np.float32)),
            ("v", np.square(np.array(deviation, np.float32))),
        ],
    )
    assert opening(read_graph(path), "input").recipe == recipe
    assert plan_of(path).input.mean == RECIPES[recipe]["mean"]


@pytest.mark.parametrize(
    ("scale", "zero", "recipe"),
    [
        (4.758 / 255, 114, "imagenet"),
        (1 / 255, 0, "unit"),
        (2 / 255, 128, "tf"),
        (275 / 255, 115, "caffe"),
        (1.0, 0, "raw"),
        (0.04, 30, None),
        (4.758 / 255, None, None),
    ],
)
@pytest.mark.parametrize("back", [True, False])
def test_what_a_quantised_input_can_hold_tells_the_recipe(tmp_path, scale, zero, recipe, back):
    weights = [("scale", np.float32(scale)), ("factor", np.float32(1 / 255))]
    names = ["scale"]
    if zero is not None:
        weights.append(("zero", np.uint8(zero)))
        names.append("zero")
    nodes = [helper.make_node("QuantizeLinear", ["input", *names], ["bytes"])]
    if back:
        nodes.append(helper.make_node("DequantizeLinear", ["bytes", *names], ["floats"]))
    else:
        nodes.append(helper.make_node("Cast", ["bytes"], ["floats"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("ReduceMean", ["floats"], ["scores"], axes=[2, 3], keepdims=0))
    path = save(
        tmp_path / "net.onnx",
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        weights,
    )
    found = opening(read_graph(path), "input")
    assert found.recipe == recipe
    assert (found.factor.tolist(), found.offset.tolist()) == ([1] * 3, [0] * 3)


def keras(path, *layers):
    """Write a network as tf2onnx writes one of Keras 3, with convolutions of these names."""
    nodes = [helper.make_node("Transpose", ["input"], ["last 0"], perm=[0, 3, 1, 2])]
    for place, layer in enumerate(layers):
        name = f"net_1/{layer}_1/convolution"
        nodes += [
            helper.make_node("Conv", [f"last {place}", "kernel"], [f"{name}:0"], name=name),
            helper.make_node("Relu", [f"{name}:0"], [f"last {place + 1}"]),
        ]
    nodes.append(helper.make_node("GlobalMaxPool", [f"last {len(layers)}"], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "matrix"], ["scores"]))
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 16, 16, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1000])],
        [("kernel", np.ones((3, 3, 1, 1), np.float32)), ("matrix", np.ones((3, 1000), np.float32))],
        producer="tf2onnx",
    )


@pytest.mark.parametrize(
    ("layers", "family", "recipe"),
    [
        (["block1_conv1", "block1_conv2"], "VGG", "caffe"),
        (["conv1_conv", "conv2_block1_1_conv"], "ResNet", "caffe"),
        (["conv1_conv", "conv2_block1_1_conv", "conv2_block1_preact_bn"], "ResNetV2", "tf"),
        (["conv1_conv", "conv2_block1_1_conv", "conv2_block1_concat"], "DenseNet", "torch"),
        (["conv1", "conv_dw_1", "conv_pw_1"], "MobileNet", "tf"),
        (["Conv1", "expanded_conv_depthwise", "block_1_expand"], "MobileNetV2", "tf"),
        (["block1_conv1", "block2_sepconv1"], "Xception", "tf"),
        (["conv2d", "conv2d_1", "mixed0"], "Inception", "tf"),
        (["conv2d", "conv2d_1", "mixed_5b"], "InceptionResNetV2", "tf"),
        (["stem_conv1", "normal_conv_1_0"], "NASNet", "tf"),
        (["conv2d", "conv2d_1", "dense"], "", "unit"),
    ],
)
def test_keras_applications_are_known_by_their_layers(tmp_path, layers, family, recipe):
    plan = plan_of(keras(tmp_path / "net.onnx", *layers))
    expected = RECIPES[recipe]
    assert [getattr(plan.input, key) for key in expected] == list(expected.values())
    why = f"as Keras' {family} wants; the file does not say"
    if not family:
        why = "the file does not say; Keras' own differ"
    assert f"`preprocess={recipe}` ({why})" in plan.assumed


def test_whose_network_it_is_decides_last(tmp_path):
    def recipe(**settings):
        return plan_of(colours(tmp_path / "net.onnx", **settings)).assumed[0].split(" (")[0]

    assert recipe(producer="pytorch") == "`preprocess=imagenet`"
    assert recipe(producer="onnx-caffe2") == "`preprocess=caffe`"
    assert recipe(producer="tf2onnx") == "`preprocess=unit`"
    assert recipe(producer="somebody") == "`preprocess=unit`"


def test_a_recipe_that_the_graph_contradicts_is_taken_and_said(tmp_path):
    path = colours(tmp_path / "net.onnx", before=[("Mul", 1 / 255)])
    assert plan_of(path, preprocess="imagenet").assumed[0] == (
        "`preprocess=imagenet` is meant: the file itself suits raw"
    )
    assert not any("--preprocess" in text for text in plan_of(path, preprocess="raw").assumed)


@pytest.mark.parametrize(
    ("overrides", "option", "hint"),
    [
        ({"mean": (104.0, 117.0, 123.0)}, "`mean`", "raw"),
        ({"mean": (127.5,), "deviation": (127.5,)}, "`mean`", "raw"),
        ({"preprocess": "tf", "mean": (127.5,)}, "`mean`", "raw"),
        ({"deviation": (58.4, 57.1, 57.4)}, "`deviation`", "raw"),
        ({"deviation": (255.0,)}, "`deviation`", "raw"),
        ({"preprocess": "raw", "mean": MEAN, "deviation": DEVIATION}, "`mean`", "unit"),
        ({"preprocess": "caffe", "deviation": DEVIATION}, "`deviation`", "unit"),
    ],
)
def test_numbers_of_the_other_scale_are_named(tmp_path, overrides, option, hint):
    path = colours(tmp_path / "net.onnx", producer="pytorch")
    with pytest.raises(UsageError, match=r"cannot be the (mean|deviation) of colours") as error:
        plan_of(path, **overrides)
    assert error.value.source == option
    assert f"`preprocess={hint}` makes them" in error.value.hint


@pytest.mark.parametrize(
    "overrides",
    [
        {"preprocess": "caffe", "mean": (104.0, 117.0, 123.0)},
        {"preprocess": "raw", "mean": (127.0,), "deviation": (128.0,)},
        {"preprocess": "raw", "mean": (0.0,), "deviation": (255.0,)},
        {"preprocess": "unit", "mean": MEAN, "deviation": DEVIATION},
        {"preprocess": "tf", "mean": (0.5,), "deviation": (0.5,)},
        {"mean": (0.0,), "deviation": (1.0,)},
        {"preprocess": "unit", "deviation": (1 / 255,)},
    ],
)
def test_numbers_of_the_scale_are_taken(tmp_path, overrides):
    entry = plan_of(colours(tmp_path / "net.onnx", producer="pytorch"), **overrides).input
    assert entry.mean in {overrides.get("mean"), overrides.get("mean", (9,)) * 3, (0.0,) * 3}


def test_minus_one_to_one_is_what_it_was():
    entry = overridden(InputSpec("in"), Overrides(preprocess="tf"))
    black, white = (((value - entry.mean[0]) / entry.deviation[0]) for value in (0, entry.white))
    assert (black, white) == (-1, 1)


class TestBytes:
    """Networks of whole numbers get no numbers that would be rounded to a few."""

    @pytest.mark.parametrize(
        "overrides",
        [
            {"preprocess": "tf"},
            {"preprocess": "unit"},
            {"preprocess": "torch"},
            {"preprocess": "imagenet"},
            {"preprocess": "caffe"},
            {"preprocess": "raw", "mean": (104.0, 117.0, 123.0)},
            {"preprocess": "raw", "deviation": (255.0,)},
            {"preprocess": "unit", "mean": MEAN, "deviation": DEVIATION},
        ],
    )
    @pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
    def test_are_refused(self, tmp_path, overrides, layout):
        path = colours(tmp_path / "net.onnx", dtype="uint8", layout=layout)
        with pytest.raises(UsageError, match=r"takes bytes of 0\.\.255, and would get numbers"):
            plan_of(path, **overrides)

    def test_as_they_are(self, tmp_path):
        path = colours(tmp_path / "net.onnx", dtype="uint8")
        for overrides in (
            {"preprocess": "raw"},
            {"channel_order": "BGR"},
            {"preprocess": "raw", "channel_order": "BGR"},
            {"preprocess": "raw", "mean": (0.0,), "deviation": (1.0,)},
        ):
            entry = plan_of(path, **overrides).input
            assert (entry.white, entry.mean, entry.deviation) == (255, (0,) * 3, (1,) * 3)
            assert entry.channel_order == overrides.get("channel_order", "RGB")
        blue = [("Sub", np.reshape(CAFFE_MEAN, (3, 1, 1)))]
        blue_first = colours(tmp_path / "net.onnx", dtype="uint8", before=blue)
        assert plan_of(blue_first).input.channel_order == "BGR"

    @pytest.mark.parametrize(
        ("before", "recipe", "order"),
        [
            ([("Sub", 128), ("Mul", 1 / 128)], "tf", "RGB"),
            ([("Div", 255)], "unit", "RGB"),
            ([("Sub", MEANS * 255), ("Div", DEVIATIONS * 255)], "imagenet", "RGB"),
            ([("Sub", np.reshape(CAFFE_MEAN, (3, 1, 1)))], "caffe", "BGR"),
        ],
    )
    def test_that_the_graph_scales_so(self, tmp_path, before, recipe, order):
        path = colours(tmp_path / "net.onnx", dtype="uint8", before=before)
        plan = plan_of(path, preprocess=recipe)
        entry = plan.input
        assert (entry.white, entry.mean, entry.deviation) == (255, (0,) * 3, (1,) * 3)
        assert entry.channel_order == order
        assert (
            f"`preprocess={recipe}` is what the network makes of its bytes: they go in as they are"
        ) in plan.assumed

    def test_that_are_quantised(self, tmp_path):
        """One scale for three colours, as calibration makes it: each is brought to its own."""
        path = save(
            tmp_path / "net.onnx",
            [
                helper.make_node("DequantizeLinear", ["input", "scale", "zero"], ["floats"]),
                helper.make_node("ReduceMean", ["floats"], ["scores"], axes=[2, 3], keepdims=0),
            ],
            [helper.make_tensor_value_info("input", TensorProto.UINT8, [1, 3, 8, 8])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
            [("scale", np.float32(4.758 / 255)), ("zero", np.uint8(114))],
        )
        plan = plan_of(path, preprocess="imagenet")
        assert "`preprocess=imagenet` holds for what the network makes of its bytes" in plan.assumed
        for x in (0.0, 0.3, 1.0):
            stored = [
                (x - m) / d for m, d in zip(plan.input.mean, plan.input.deviation, strict=True)
            ]
            meant = (np.array(stored) - 114) * 4.758 / 255
            assert meant == pytest.approx((x - np.array(MEAN)) / DEVIATION, abs=1e-3)
        with pytest.raises(UsageError, match="would get numbers"):
            plan_of(path, preprocess="caffe")


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (["Sigmoid"], (0, 1)),
        (["Sigmoid", "Identity"], (0, 1)),
        (["HardSigmoid"], (0, 1)),
        (["Tanh"], (-1, 1)),
        (["Relu"], None),
        ([], None),
    ],
)
def test_the_last_operator_tells_what_is_white(tmp_path, last, expected):
    path = picture_net(tmp_path / "net.onnx", last=last)
    assert levels(read_graph(path), "output") == expected
    plan = plan_of(path)
    assert plan.unsure == (expected is None)
    assert (plan.output.black, plan.output.white) == (expected or (0, 255))
    # what goes in is on the scale of what comes out
    made = {(0, 1): "unit", (-1, 1): "tf", None: "raw"}[expected]
    assert plan.input.mean == RECIPES[made]["mean"]
    assert plan.input.white == RECIPES[made]["white"]
    assert any(f"`preprocess={made}` (" in text for text in plan.assumed)


@pytest.mark.parametrize(
    ("op", "steps", "expected"),
    [
        ("Tanh", [("Add", 1), ("Div", 2)], (0, 1)),
        ("Tanh", [("Mul", 150), ("Add", 127.5)], (0, 255)),
        ("Sigmoid", [("Mul", 255)], (0, 255)),
        ("Sigmoid", [("Mul", 7)], None),
        ("Sigmoid", [("Mul", 2), ("Sub", 1)], (-1, 1)),
        ("Clip 0 1", [], (0, 1)),
        ("Clip 0 255", [], (0, 255)),
        ("Clip 0 6", [], None),
    ],
)
def test_what_is_made_of_the_last_operator_counts(tmp_path, op, steps, expected):
    op, *ends = op.split()
    weights = [(f"end {place}", np.float32(end)) for place, end in enumerate(ends)]
    nodes = [helper.make_node(op, ["input", *(name for name, _ in weights)], ["made 0"])]
    for place, (step, number) in enumerate(steps):
        weights.append((f"number {place}", np.float32(number)))
        nodes.append(
            helper.make_node(step, [f"made {place}", f"number {place}"], [f"made {place + 1}"])
        )
    last = f"made {len(steps)}"
    path = save(
        tmp_path / "net.onnx",
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 3, 8, 8])],
        weights,
    )
    assert levels(read_graph(path), last) == expected


def test_what_the_user_says_of_white_holds(tmp_path):
    path = picture_net(tmp_path / "net.onnx")
    plan = plan_of(path, white=2.0)
    assert (plan.output.white, plan.output.black, plan.unsure) == (2, 0, False)
    assert not any("white" in text for text in plan.assumed)
    for recipe, scale in (("unit", (0, 1)), ("raw", (0, 255)), ("tf", (-1, 1))):
        plan = plan_of(path, preprocess=recipe)
        assert (plan.output.black, plan.output.white) == scale
        assert f"a picture as output, white {scale[1]} (`white`)" in plan.assumed
