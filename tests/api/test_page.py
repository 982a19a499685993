"""Pages from Python: what is on them, how layers hang together, and the numbers of values."""

from __future__ import annotations

import base64
import json
import re
import zlib
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from small import save

import cnntool
from cnntool.api import page as pages
from cnntool.api import page_numbers
from cnntool.api.activations import LayerOutputs
from cnntool.api.page import graph_of
from cnntool.api.page_numbers import packed
from cnntool.errors import ModelError, UsageError

pytest.importorskip("onnxruntime")


def unpacked(one):
    values = np.frombuffer(zlib.decompress(base64.b64decode(one["data"])), one["type"])
    return values.reshape(one["shape"])


def unpacked_jpeg(uri):
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_layers_are_told_from_what_else_is_computed():
    outputs = SimpleNamespace(chosen={"a": "A"}, _extras={"a", "b"})
    answer: dict = {}
    tensors = [("a", np.ones(2)), ("b", np.zeros((3, 1)))]
    assert [layer for layer, _ in LayerOutputs.split(outputs, tensors, answer)] == ["A"]
    assert {name: values.shape for name, values in answer.items()} == {"a": (1, 2), "b": (1, 3, 1)}


def numbers_of(page):
    parts = re.findall(rb'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    return [json.loads(part) for part in parts]


@pytest.fixture
def residual(tmp_path):
    """Write a network with a residual and a concatenation, on 8 x 8 pictures."""
    rng = np.random.default_rng(1)
    weights = [
        (name, rng.normal(size=shape).astype(np.float32))
        for name, shape in (
            ("wa", (4, 3, 3, 3)),
            ("wb", (4, 4, 3, 3)),
            ("wc", (4, 2, 3, 3)),
            ("bc", (4,)),
        )
    ]
    value = helper.make_tensor_value_info
    return save(
        tmp_path / "net.onnx",
        [
            helper.make_node("Conv", ["x", "wa"], ["a"], pads=[1] * 4),
            helper.make_node("Conv", ["a", "wb"], ["b"], pads=[1] * 4),
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node(
                "Conv", ["sum", "wc", "bc"], ["c"], pads=[1, 1, 0, 0], strides=[2, 2], group=2
            ),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
        [value("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [value("y", TensorProto.FLOAT, [1, 4, 4, 4])],
        weights,
    )


@pytest.fixture
def photo():
    return np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_how_layers_hang_together(residual):
    with cnntool.load_model(residual) as net:
        rows, parents = graph_of(net, ["x", "a", "b", "y"])
        assert parents == [(), (0,), (1,), (1, 2)]
        assert [(row.card, row.label, row.parents) for row in rows] == [
            (0, "", ()), (1, "", (0,)), (2, "", (1,)), (None, "add", (1, 2)), (3, "", (3,)),
        ]  # fmt: skip
        rows, parents = graph_of(net, ["a", "b"])  # what joins, and leads nowhere, is left out
        assert [row.card for row in rows] == [0, 1]
        assert parents == [(), (0,)]


@pytest.mark.full
def test_values_can_be_computed_from_the_numbers(residual, photo):
    with cnntool.load_model(residual, preprocess="unit") as net:
        page = net.page(photo, "conv:3", "conv:2", units=["conv:3"])
        maps = net.activations(photo, "c", "y")
        trace = net.trace(photo, "conv:3", (2, 1, 3)).record()
    first, second, about = numbers_of(page)
    assert about["unit_layers"] == ["block1_conv3"]
    assert "units" not in first
    (unit,) = second["units"]
    assert (unit["groups"], unit["stride"], unit["pads"]) == (2, [2, 2], [1, 0, 1, 0])
    assert unpacked(unit["pre"]) == pytest.approx(maps["c"], abs=1e-5)
    assert unpacked(unit["post"]) == pytest.approx(maps["y"], abs=1e-5)
    assert unit["bias"][2] == pytest.approx(trace["bias"])
    assert unpacked(unit["weights"])[2] == pytest.approx(np.array(trace["weights"]), abs=1e-6)
    inputs = unpacked(unit["maps"])
    window = inputs[2:4, 1:4, 5:8]  # the second group; row 1, column 3, at steps of two
    assert window == pytest.approx(np.array(trace["window"]), abs=1e-6)


def test_kernels_say_where_they_lie(residual, photo):
    with cnntool.load_model(residual, preprocess="unit") as net:
        page = net.page(photo, "conv:1", "conv:3")
        weights = net.weights("conv:3")
    first, last, _ = numbers_of(page)
    assert first["kernels"]["colours"] == ["red", "green", "blue"]
    kernels = last["kernels"]
    assert unpacked(kernels["inputs"]).tolist() == [[0, 1], [0, 1], [2, 3], [2, 3]]
    steps = np.array(kernels["steps"])[:, None, None, None]
    assert unpacked(kernels["weights"]) * steps == pytest.approx(weights, abs=float(steps.max()))


def test_where_there_is_no_room_it_says_so(residual, photo, monkeypatch):
    monkeypatch.setattr(pages, "PICTURES", 400)
    monkeypatch.setattr(pages, "LEAST", 400)
    monkeypatch.setattr(pages, "UNITS", 600)
    with cnntool.load_model(residual, preprocess="unit") as net:
        page = net.page(photo, "conv:2", "conv:1", units=["conv:2"])
        assert any("more than a page holds" in note for note in net.notes)
    assert re.search(rb"<span>on this page</span>\d of 4 maps", page)
    assert not any("units" in one for one in numbers_of(page))


def test_a_page_that_would_be_too_large_has_less_on_it(residual, photo, monkeypatch):
    monkeypatch.setattr(pages, "LEAST", 400)
    with cnntool.load_model(residual, preprocess="unit") as net:
        whole = net.page(photo, "conv:2", "conv:1")
        monkeypatch.setattr(pages, "LARGEST", len(whole) - 1)
        assert len(net.page(photo, "conv:2", "conv:1")) < len(whole)
        monkeypatch.setattr(pages, "LEAST", 1)
        monkeypatch.setattr(pages, "LARGEST", 9)
        net.page(photo, "conv:2", "conv:1")  # what cannot shrink further is left


def test_names_by_which_layers_are_found(residual, photo):
    with cnntool.load_model(residual, preprocess="unit") as net:
        first, *_ = numbers_of(net.page(photo, "conv:1"))
    assert {"conv:1", "#1", "a"} <= set(first["names"])


def test_what_cannot_be_had(residual, photo):
    with cnntool.load_model(residual, preprocess="unit") as net:
        with pytest.raises(UsageError, match="is not on the page"):
            net.page(photo, "conv:1", units="conv:2")
        with pytest.raises(ModelError, match="has no kernel"):
            net.page(photo, "y", units="relu:1")
        with pytest.raises(UsageError, match="grad"):
            net.page(photo, "conv:1", explain="guesswork")


def test_patches_are_boxes_in_pictures(residual, photo, tmp_path):
    (tmp_path / "more").mkdir()
    for number in range(2):
        other = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(other).save(tmp_path / "more" / f"{number}.png")
    with cnntool.load_model(residual, preprocess="unit") as net:
        found, about = numbers_of(net.page(photo, "conv:1", patches=tmp_path / "more"))
        best = net.top_patches(tmp_path / "more", "conv:1")
    assert about["patches"]["of"] == 2
    assert sorted(about["patches"]["names"]) == ["0.png", "1.png"]
    strongest = {patch.map: patch for patch in best if patch.rank == 1}
    boxes, values = (unpacked(found["patches"][name]) for name in ("boxes", "values"))
    assert boxes.shape == (4, 9, 5)
    assert (boxes[:, 2:, 0] == -1).all()  # there are but two pictures
    for number, (rows, numbers) in enumerate(zip(boxes.tolist(), values, strict=True)):
        place, *box = rows[0]
        assert tuple(box) == strongest[number].box
        assert numbers[0] == pytest.approx(strongest[number].value)
        assert strongest[number].name.endswith(about["patches"]["names"][place])


def test_where_photos_have_no_room_those_stay_that_excite_most(residual, photo, monkeypatch):
    monkeypatch.setattr(page_numbers, "PHOTOS", len(page_numbers.jpeg(photo).body))
    with cnntool.load_model(residual, preprocess="unit") as net:
        _, about = numbers_of(net.page(photo, "conv:1", patches=[photo // 8, photo]))
        best = net.top_patches([photo // 8, photo], "conv:1")
        assert {patch.picture for patch in best if patch.rank == 1} == {1}
        assert "of 2 pictures with patches 1 fit on a page" in net.notes[-1]
    assert about["patches"]["of"] == 2
    assert [unpacked_jpeg(one).max() > 99 for one in about["patches"]["pictures"]] == [True]


def test_packed_numbers_come_back():
    for values in (np.arange(6, dtype=">f4").reshape(2, 3), np.array([-3, 4], np.int8)):
        one = packed(values)
        assert unpacked(one).tolist() == values.tolist()
