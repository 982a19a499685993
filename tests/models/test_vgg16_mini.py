"""The built-in network: its manifest, its graph, and what it says of pictures."""

import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.nets.models.labels import REST

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models"
DRAWN = Path(__file__).parent / "drawn"
LEAST = 0.82, 0.96
"""Top-1 and top-5 accuracy that the network must have, as the mean over the classes."""
CONVOLUTIONS = [
    f"block{number}_conv{index}"
    for number, depth in enumerate((2, 2, 3, 3, 3), start=1)
    for index in range(1, depth + 1)
]
POOLS = [f"block{number}_pool" for number in range(1, 6)]


@pytest.fixture(scope="module")
def manifest():
    return tomllib.loads((FOLDER / "vgg16-mini.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def model(manifest):
    onnx = pytest.importorskip("onnx", reason="the graph is read with onnx")
    return onnx.load(FOLDER / manifest["file"])


@pytest.fixture(scope="module")
def session(manifest):
    runtime = pytest.importorskip("onnxruntime", reason="the network runs in onnxruntime")
    return runtime.InferenceSession(FOLDER / manifest["file"], providers=["CPUExecutionProvider"])


def prepared(picture, spec):
    """What the manifest says, with Pillow: resize the shorter side, crop, normalise."""
    scale = spec["resize"] / min(picture.size)
    picture = picture.convert("RGB").resize(
        tuple(max(spec["resize"], round(side * scale)) for side in picture.size),
        Image.Resampling[spec["interpolation"].upper()],
    )
    rows, columns = spec["crop"]
    left, top = (picture.width - columns) // 2, (picture.height - rows) // 2
    picture = picture.crop((left, top, left + columns, top + rows))
    values = np.asarray(picture, dtype=np.float32) / 255 * spec["white"]
    values = (values - np.array(spec["mean"])) / np.array(spec["deviation"])
    return values.transpose(2, 0, 1)[None].astype(np.float32)


class TestManifest:
    def test_describes_the_file(self, manifest):
        content = (FOLDER / manifest["file"]).read_bytes()
        assert manifest["size"] == len(content) <= 12_000_000
        assert manifest["sha256"] == hashlib.sha256(content).hexdigest()

    def test_knows_52_classes_and_the_rest(self, manifest):
        names, ids = manifest["labels"]["names"], manifest["labels"]["wordnet"]
        assert len(set(names)) == len(names) == len(ids) == 53
        assert names[-1] == REST
        assert not ids[-1]
        known = [one for one in ids if one]
        assert len(set(known)) == len(known) >= 40
        assert all(len(one) == 9 and one[0] == "n" and one[1:].isdigit() for one in known)
        assert {"cat", "dog", "golf ball", "pizza", "T-shirt", "sunflower"} < set(names)

    def test_wordnet_ids_are_those_of_imagenet(self, manifest):
        ids = dict(zip(manifest["labels"]["names"], manifest["labels"]["wordnet"], strict=True))
        assert ids["tench"] == "n01440764"
        assert ids["English springer"] == "n02102040"
        assert ids["parachute"] == "n03888257"

    def test_normalises_as_imagenet_networks_do(self, manifest):
        assert manifest["input"]["mean"] == [0.485, 0.456, 0.406]
        assert manifest["input"]["deviation"] == [0.229, 0.224, 0.225]

    def test_records_what_was_measured(self, manifest):
        accuracy = manifest["accuracy"]
        assert accuracy["photos"] == 7712
        assert LEAST[0] <= accuracy["top1"] <= accuracy["top5"] <= 1
        assert accuracy["top5"] >= LEAST[1]

    def test_names_all_of_vgg16(self, manifest):
        assert set(CONVOLUTIONS + POOLS) | {"input", "predictions"} <= set(manifest["layers"])


class TestGraph:
    def test_every_layer_of_the_manifest_is_a_tensor(self, manifest, model):
        tensors = {name for node in model.graph.node for name in node.output}
        tensors |= {one.name for one in model.graph.input}
        assert set(manifest["layers"].values()) <= tensors
        assert {manifest["output"]["name"], manifest["output"]["logits"]} <= tensors

    def test_convolutions_activations_and_pools_have_vggs_names_and_order(self, model):
        body = [
            (node.op_type, node.name)
            for node in model.graph.node
            if node.op_type in {"Conv", "Relu", "MaxPool"}
        ]
        expected = []
        for name in CONVOLUTIONS:
            expected += [("Conv", name), ("Relu", f"{name}/Relu")]
            if name[:6] + "_pool" in POOLS and name in {
                "block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3",
            }:  # fmt: skip
                expected.append(("MaxPool", name[:6] + "_pool"))
        assert body == expected

    def test_node_and_tensor_names_agree(self, model):
        assert all([node.name] == list(node.output) for node in model.graph.node)

    def test_is_opset_17_and_whole_in_one_file(self, model):
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
        assert not any(one.external_data for one in model.graph.initializer)

    def test_kernels_are_finite_float16(self, model):
        numpy_helper = pytest.importorskip("onnx.numpy_helper", reason="reads the weights")
        kernels = {
            one.name: numpy_helper.to_array(one)
            for one in model.graph.initializer
            if one.name.endswith("/kernel")
        }
        assert set(kernels) == {f"{name}/kernel" for name in [*CONVOLUTIONS, "predictions"]}
        assert all(values.dtype == np.float16 for values in kernels.values())
        assert all(np.isfinite(values).all() for values in kernels.values())
        assert kernels["block1_conv1/kernel"].shape[1:] == (3, 3, 3)

    def test_answers_as_many_classes_as_there_are_labels(self, manifest, model):
        _, classes = model.graph.output[0].type.tensor_type.shape.dim
        assert classes.dim_value == len(manifest["labels"]["names"])


class TestAnswers:
    @pytest.mark.parametrize("shape", [(1, 32, 32), (3, 100, 75), (2, 224, 224), (1, 480, 640)])
    def test_takes_any_batch_height_and_width(self, session, shape):
        batch, height, width = shape
        noise = np.random.default_rng(5).normal(size=(batch, 3, height, width))
        (found,) = session.run(None, {"input": noise.astype(np.float32)})
        assert found.shape == (batch, 53)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)

    def test_pictures_of_a_batch_do_not_touch_each_other(self, session):
        noise = np.random.default_rng(6).normal(size=(3, 3, 64, 96)).astype(np.float32)
        (together,) = session.run(None, {"input": noise})
        alone = [session.run(None, {"input": one[None]})[0][0] for one in noise]
        np.testing.assert_allclose(together, alone, atol=1e-5)

    def test_maps_are_proportional_to_the_picture(self, model):
        onnx = pytest.importorskip("onnx", reason="outputs are added with onnx")
        runtime = pytest.importorskip("onnxruntime", reason="the network runs in onnxruntime")
        tapped = onnx.ModelProto()
        tapped.CopyFrom(model)
        names = ["block1_conv1/Relu", *POOLS]
        tapped.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        session = runtime.InferenceSession(
            tapped.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        maps = session.run(names, {"input": np.zeros((1, 3, 480, 640), np.float32)})
        assert [one.shape[2:] for one in maps] == [
            (480, 640), (240, 320), (120, 160), (60, 80), (30, 40), (15, 20),
        ]  # fmt: skip
        assert maps[0].min() >= 0

    def test_knows_the_sample_cat(self, manifest, session):
        path = ROOT / "samples" / "cat.png"
        if not path.exists():
            pytest.skip("samples/cat.png is not here")
        with Image.open(path) as picture:
            (found,) = session.run(None, {"input": prepared(picture, manifest["input"])})
        assert manifest["labels"]["names"][found[0].argmax()] == "cat"
        assert found[0].max() > 0.6


class TestFigures:
    """Pictures drawn for this test; `evaluate` counts."""

    def test_drawn_things_are_known_and_the_rest_is_called_so(self, here):
        pytest.importorskip("onnxruntime", reason="the network runs in onnxruntime")
        record = json.loads(here("evaluate", DRAWN, "--json", "-q").out)
        assert record["pictures"] == 20
        assert record["class_mean"]["top1"] >= 10 / 12
        assert record["class_mean"]["top5"] >= 11 / 12
        assert record["rest"]["found"] >= 6 / 8
        assert record["rest"]["mistaken"] == 0
        assert record["rest"]["area"] >= 0.85
