"""Explanations of networks that are known by hand: red and blue, found by one convolution."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper
from small import attending, chain, colours, halves, save, weighing, windowed

import cnntool
from cnntool.api.explain import Explainer, Ready
from cnntool.errors import ModelError, UsageError
from cnntool.nets.attribution.insertion_deletion import Curve
from cnntool.nets.inference.preprocess import Fitting

NAMES = "red\nblue\n"


@pytest.fixture(scope="module")
def photo():
    """Its left half is red, of its right half the upper part is blue."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4, 0] = 255
    pixels[:4, 4:, 2] = 255
    return pixels


def opened(tmp_path, path, *, names=True, **said):
    if names:
        (tmp_path / "names.txt").write_text(NAMES)
        said["labels"] = tmp_path / "names.txt"
    return cnntool.load_model(path, preprocess="unit", resize=8, **said)


LEFT = np.repeat([[1] * 4 + [0] * 4], 8, axis=0).astype(np.float32)
CORNER = np.zeros((8, 8), np.float32)
CORNER[:4, 4:] = 1

KINDS = {
    "softmax": {},
    "sigmoid": {"head": "Sigmoid"},
    "logits": {"head": ""},
    "half precision": {"dtype": "float16"},
    "channels last": {"layout": "NHWC"},
    "a batch of its own": {"batch": 3},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_class_has_its_own_places(tmp_path, photo, kind):
    with opened(tmp_path, halves(tmp_path / "net.onnx", **kind)) as net:
        red, blue = net.explain(photo, target=["red", 1])
    assert (red.label, red.index, blue.label, blue.index) == ("red", 0, "blue", 1)
    assert (red.score, blue.score) == (0.5, 0.25)
    # Every place counts 1/64: that is the weight of the map.
    assert red.attribution == pytest.approx(LEFT / 64)
    assert blue.map == pytest.approx(CORNER / 64)
    assert red.layer == "block1_conv1"


def test_bytes_go_in_as_they_are(tmp_path, photo):
    path = halves(tmp_path / "net.onnx", dtype="uint8", layout="NHWC")
    with cnntool.load_model(path, resize=8) as net:
        (found,) = net.explain(photo)
        (slopes,) = net.explain(photo, method="saliency")
    assert (found.label, found.score) == ("0", 127.5)
    assert found.attribution == pytest.approx(LEFT * 255 / 64)
    assert slopes.attribution == pytest.approx(LEFT / 64)


@pytest.mark.full
def test_predictions_by_their_rank(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        first, second = net.explain(photo, target=["rank:1", "rank:2"])
        assert (first.label, second.label) == ("red", "blue")
        assert first.probability + second.probability == pytest.approx(1)
        assert net.explain(photo[:, ::-1, ::-1])[0].label == "blue"
        assert len(net.explain(photo, target=["red", "rank:1", 0])) == 1


def test_one_number_is_one_class(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx", head="one"), names=False) as net:
        (found,) = net.explain(photo, method="gradcam")
        (covered,) = net.explain(photo, method="occlusion")
    assert found.score == 0.5
    assert found.probability == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert found.attribution == pytest.approx(LEFT / 64)
    assert covered.attribution[:, :3].min() > covered.attribution[:, 6:].max()


def test_what_the_network_did_not_see_is_nan(tmp_path, photo):
    tall = np.concatenate([photo, photo, photo])
    with opened(tmp_path, halves(tmp_path / "net.onnx"), crop=8) as net:
        (found,) = net.explain(tall)
    assert found.map.shape == (24, 8)
    assert np.isnan(found.map[:8]).all()
    assert np.isnan(found.map[16:]).all()
    assert found.map[8:16] == pytest.approx(LEFT / 64)
    assert (found.photo == tall).all()


@pytest.mark.full
def test_methods_and_classes_come_class_by_class(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        found = net.explain(photo, method=["layercam", "saliency"], target=["blue", "red"])
    assert [(one.label, one.method) for one in found] == [
        ("blue", "layercam"), ("blue", "saliency"), ("red", "layercam"), ("red", "saliency"),
    ]  # fmt: skip
    assert found[1].layer == ""
    assert found[1].attribution == pytest.approx(CORNER / 64)


def test_slopes_of_the_whole_way_back(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        (found,) = net.explain(photo, method="integrated-gradients")
    assert found.attribution == pytest.approx(LEFT / 64, rel=0.01)
    assert found.attribution.sum() == pytest.approx(found.facts["difference"], rel=0.01)


def test_layers_by_name(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        assert net.explain(photo, layer="conv:1")[0].layer == "block1_conv1"
        assert net.explain(photo, layer="conv")[0].attribution.min() == 0
        with pytest.raises(ModelError, match="'scores' has no rows and columns"):
            net.explain(photo, layer="scores")
        with pytest.raises(ModelError, match="no layer"):
            net.explain(photo, layer="nothing")
        with pytest.raises(UsageError, match="looks at no layer"):
            net.explain(photo, method="saliency", layer="maps")


def test_tokens_of_windows_are_not_those_of_the_picture(tmp_path, photo):
    with opened(tmp_path, windowed(tmp_path / "net.onnx"), names=False) as net:
        assert net.explain(photo)[0].attribution.shape == (8, 8)
        with pytest.raises(ModelError, match=r"first axis is not the batch .*4 x 16 x 4"):
            net.explain(photo, layer="inner")


def test_behind_the_last_attention_only_the_token_of_the_class_counts(tmp_path, photo):
    with opened(tmp_path, attending(tmp_path / "net.onnx"), names=False) as net:
        (found,) = net.explain(photo, method="layercam")
        (first,) = net.explain(photo, method="layercam", layer="first")
        (last,) = net.explain(photo, method="layercam", layer="last")
    assert found.attribution.shape == (8, 8)
    assert found.attribution.any()
    assert (found.attribution == first.attribution).all()
    assert not last.attribution.any()


def test_rows_and_columns_of_a_layer_of_other_proportions(tmp_path, photo):
    steps = [
        ("Conv", ["conv", "narrow"], "maps", {"strides": [1, 2]}),
        ("GlobalAveragePool", ["maps"], "means", {}),
        ("Flatten", ["means"], "scores", {}),
    ]
    weights = [("narrow", np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1))]
    path = chain(tmp_path / "net.onnx", steps, weights, channels=8)
    with opened(tmp_path, path, names=False) as net:
        for layer in (None, "maps"):
            assert net.explain(photo, layer=layer)[0].attribution.shape == (8, 4)


def test_a_background_class_is_not_counted(tmp_path, photo):
    path = colours(tmp_path / "net.onnx", background=True)
    (tmp_path / "three.txt").write_text("red\ngreen\nblue\n")
    labels = tmp_path / "three.txt"
    with opened(tmp_path, path, names=False, labels=labels) as net:
        found = net.explain(photo, method="saliency", target=["rank:1", "blue", 1])
    assert [(one.index, one.label, one.score) for one in found] == [
        (0, "red", 5), (2, "blue", 2.5), (1, "green", 0),
    ]  # fmt: skip


def test_a_softmax_over_channels(tmp_path, photo):
    with opened(tmp_path, weighing(tmp_path / "net.onnx"), names=False) as net:
        (found,) = net.explain(photo)
        (stated,) = net.explain(photo, layer="weighed")
    assert found.attribution.shape == (8, 8)
    assert found.attribution.any()
    assert (found.attribution == stated.attribution).all()


@pytest.mark.full
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("green", "no class is called 'green'"),
        (2, "there is no class 2: the network tells 2 classes apart"),
        (-1, "there is no class -1"),
        ("rank:3", "there is no rank 3"),
        ("rank:0", "ranks count from 1"),
        ("rank:x", "no class is called"),
        ("rank:9999999", "no class is called 'rank:9999999'"),
    ],
)
def test_classes_that_are_not_there(tmp_path, photo, target, reason):
    with (
        opened(tmp_path, halves(tmp_path / "net.onnx")) as net,
        pytest.raises((ModelError, UsageError), match=reason),
    ):
        net.explain(photo, target=target)


def test_a_class_by_its_number_where_no_names_are_known(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx"), names=False) as net:
        assert net.explain(photo, target=1)[0].label == "1"
        assert net.explain(photo, target="1")[0].index == 1
        with pytest.raises(ModelError, match="nothing tells which class 'red' is"):
            net.explain(photo, target="red")


def test_wrong_types():
    with cnntool.load_model() as net:
        for said in (
            {"target": 1.5},
            {"method": "magic"},
            {"method": 3},
            {"seed": -1},
            {"layer": 3},
        ):
            with pytest.raises(UsageError):
                net.explain("samples/cat.png", **said)


def test_an_operator_without_a_gradient(tmp_path, photo):
    path = halves(tmp_path / "net.onnx", last="Hardmax")
    model = onnx.load(path)
    model.graph.node[3].attribute.extend([helper.make_attribute("axis", 1)])
    model.graph.node.insert(4, helper.make_node("Flatten", ["scores"], ["flat"]))
    model.graph.node[5].input[0] = "flat"
    onnx.save(model, path)
    with opened(tmp_path, path) as net:
        with pytest.raises(ModelError, match="no gradient is known of Hardmax") as caught:
            net.explain(photo)
        assert "occlusion" in caught.value.hint
        assert net.explain(photo, method="occlusion")[0].label == "red"


def test_what_is_no_classifier(tmp_path, photo):
    from small import picture_net

    with (
        cnntool.load_model(picture_net(tmp_path / "net.onnx")) as net,
        pytest.raises(ModelError, match="class"),
    ):
        net.explain(photo)


@pytest.mark.full
def test_the_same_seed_gives_the_same_numbers(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        first, again, other = (
            net.explain(photo, method="smoothgrad", seed=seed)[0].map for seed in (1, 1, 2)
        )
    assert (first == again).all()
    assert not (first == other).all()


@pytest.mark.full
def test_a_second_picture_of_another_size(tmp_path):
    with cnntool.load_model() as net:
        for size in ((300, 451), (20, 20)):
            (found,) = net.explain(np.zeros((*size, 3), np.uint8))
            assert found.map.shape == size


@pytest.mark.full
def test_each_size_of_what_goes_in_has_maps_of_its_own():
    rng = np.random.default_rng(0)
    with cnntool.load_model() as net:
        explainer = Explainer(net)
        for side in (64, 96):
            photo = rng.integers(0, 256, (side, side, 3), np.uint8)
            tensor = rng.normal(size=(3, side, side)).astype(np.float32)
            whole = Fitting((side, side), 0, 0, (side, side))
            (found,) = explainer.explain(Ready(tensor, photo, whole))
            assert found.attribution.shape == (side // 16,) * 2
            assert net.notes[-1].endswith(f"maps of {side // 16} x {side // 16}")


@pytest.mark.full
def test_curves_go_between_the_photo_and_its_blur(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        one, two = net.explain(photo, method=["gradcam", "saliency"], score=True)
        assert net.explain(photo)[0].insertion is None
    assert one.insertion.values[-1] == pytest.approx(one.probability)
    assert one.deletion.values[0] == pytest.approx(one.probability)
    assert one.insertion.values[0] == one.deletion.values[-1]
    assert 0 < one.insertion.area < 1
    # What knows nothing of the map is the same for all of them.
    assert (one.insertion.random, one.deletion.centre) == (
        two.insertion.random,
        two.deletion.centre,
    )


def test_records_are_ready_for_json(tmp_path, photo):
    tall = np.concatenate([photo, photo])
    with opened(tmp_path, halves(tmp_path / "net.onnx"), crop=8) as net:
        one, two = net.explain(tall, method=["gradcam", "occlusion"], target="blue")
    assert json.loads(json.dumps(one.record())) == one.record()
    assert one.record() == {
        "key": "gradcam-1", "method": "gradcam", "index": 1, "label": "blue",
        "probability": one.probability, "score": one.score, "layer": "block1_conv1",
        "shape": [16, 8], "computed": [8, 8], "minimum": 0.0, "maximum": 1 / 64, "seen": 0.5,
        "facts": {}, "insertion": None, "deletion": None,
    }  # fmt: skip
    assert two.record()["layer"] is None
    curve = Curve(0.5, np.array([0.0, 1.0]), 0.25, 0.75)
    expected = {"area": 0.5, "values": [0.0, 1.0], "random": 0.25, "centre": 0.75}
    assert one._replace(insertion=curve).record()["insertion"] == expected


def test_it_is_said_when_nothing_speaks_for_a_class(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        found = net.explain(np.zeros_like(photo), target="blue", method=["gradcam", "saliency"])
        assert not any(one.map.any() for one in found)
        assert net.notes[-1].endswith("saliency finds nothing that speaks for blue")


def test_they_show_themselves_as_a_figure(tmp_path, photo):
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        found = net.explain(photo)
    assert found._repr_html_ is None  # notebooks would prefer it
    assert found._repr_png_().startswith(b"\x89PNG")
    assert found.figure("side-by-side", title="a photo", detail="its network").pixels.ndim == 3
    with pytest.raises(UsageError, match="style"):
        found.figure("jet")


def test_maps_of_large_photos_are_drawn_no_larger_than_needed(tmp_path, monkeypatch):
    drawn = []

    def sheet(tiles, *_, **__):
        drawn.extend(tiles)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("cnntool.views.heat_map.sheet", sheet)
    with opened(tmp_path, halves(tmp_path / "net.onnx")) as net:
        for shape in ((8, 4000, 3), (6000, 30, 3), (9, 7, 3)):
            net.explain(np.zeros(shape, np.uint8)).figure()
    assert [tile.map.shape for tile in drawn] == [(4, 2000), (2000, 10), (9, 7)]
    assert [tile.photo.shape[:2] for tile in drawn] == [(8, 4000), (6000, 30), (9, 7)]


def test_a_network_of_8_bits_answers_as_it_does_for_classify(tmp_path):
    rng = np.random.default_rng(0)
    weights = [("fine", np.float32(1 / 128)), ("zero", np.uint8(128)), ("middle", np.int8(0))]
    nodes, last, channels = [], "input", 3
    for layer in range(3):
        kernel = rng.integers(-127, 128, (16, channels, 3, 3)).astype(np.int8)
        step = np.float32(1 / 127 / channels**0.5)
        weights += [(f"kernel {layer}", kernel), (f"step {layer}", step)]
        made = [f"{word} {layer}" for word in ("bytes", "real", "weight", "maps")]
        nodes += [
            helper.make_node("QuantizeLinear", [last, "fine", "zero"], made[:1]),
            helper.make_node("DequantizeLinear", [made[0], "fine", "zero"], made[1:2]),
            helper.make_node(
                "DequantizeLinear", [f"kernel {layer}", f"step {layer}", "middle"], made[2:3]
            ),
            helper.make_node("Conv", made[1:3], made[3:], pads=[1] * 4),
        ]
        last, channels = made[3], 16
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["means"]),
        helper.make_node("Flatten", ["means"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["output"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("input", (1, 3, 8, 8)), ("output", (1, 16)))
    ]
    path = save(tmp_path / "net.onnx", nodes, ends[:1], ends[1:], weights)
    with cnntool.load_model(path, preprocess="unit", resize=8) as net:
        for pixels in rng.integers(0, 256, (4, 8, 8, 3), np.uint8):
            (prediction,) = net.classify(pixels, top=1)
            (found,) = net.explain(pixels)
            assert (found.index, found.probability) == (prediction.index, prediction.probability)
        # The maps are the same real numbers.
        whole, real = (net.explain(pixels, layer=name)[0] for name in ("bytes 2", "real 2"))
    assert real.attribution.any()
    assert whole.attribution == pytest.approx(real.attribution)


@pytest.mark.parametrize("real_scores", [True, False])
def test_a_network_of_whole_numbers_throughout(tmp_path, photo, real_scores):
    """Kernels of ones and zeros: its maps are those of real numbers."""
    kernel = np.array([[1, 0, 0], [0, 0, 1]], np.int8).reshape(2, 3, 1, 1)
    scale = ["step", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["input", *scale], ["bytes"]),
        helper.make_node(
            "QLinearConv", ["bytes", *scale, "kernel", "one", "none", *scale], ["maps"]
        ),
        helper.make_node(
            "QLinearGlobalAveragePool", ["maps", *scale, *scale], ["means"],
            domain="com.microsoft", channels_last=0,
        ),
        helper.make_node("Flatten", ["means"], ["scores"]),
    ]  # fmt: skip
    if real_scores:
        nodes.append(helper.make_node("DequantizeLinear", ["scores", *scale], ["real"]))
        nodes.append(helper.make_node("Softmax", ["real"], ["output"]))
    weights = [("step", np.float32(1 / 200)), ("zero", np.uint8(20)), ("kernel", kernel)]
    weights += [("one", np.float32(1)), ("none", np.int8(0))]
    floats, numbers = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    picture = helper.make_tensor_value_info("input", floats, (1, 3, 8, 8))
    end = ("output", floats) if real_scores else ("scores", numbers)
    path = save(
        tmp_path / "net.onnx",
        nodes,
        [picture],
        [helper.make_tensor_value_info(*end, (1, 2))],
        weights,
    )
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with opened(tmp_path, path) as net:
        (found,) = net.explain(photo)
        (slopes,) = net.explain(photo, method="saliency")
    assert (found.label, found.layer) == ("red", "block1_conv1")
    assert found.score == pytest.approx(0.5)
    assert found.attribution == pytest.approx(LEFT / 64)
    assert slopes.attribution == pytest.approx(np.full((8, 8), 1 / 64))
