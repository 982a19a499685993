"""``activations`` through the command line, on a network whose layers are known by hand."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from small import picture_net, save
from terminals import pieces
from vgg import vgg16

from cnntool.api.activations import ChosenLayer
from cnntool.views.contact_sheet import Caption
from cnntool.views.feature_maps import sheet
from cnntool.views.vectors import vector_sheet

pytest.importorskip("onnxruntime")

ODD = '<b onload="x()">&\'.\\../Relu:0'
"""The name of a tensor, as nobody would choose it."""

UNIT = ("--preprocess", "unit")
COLOUR = (1.0, 0.2, 0.0)


def network(path, *, batch="N", layout="NCHW", last="scores"):
    """Write red, green, blue and less red, cut at 0, pooled; their sums are two classes."""
    kernel = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32)
    matrix = np.zeros((64, 2), np.float32)
    matrix[:16, 0] = matrix[16:32, 1] = 1 / 16
    shape = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    nodes, first = [], "input"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2]))
        first = "planes"
    nodes += [
        helper.make_node("Conv", [first, "kernel"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], [ODD]),
        helper.make_node("MaxPool", [ODD], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, 2])],
        [("kernel", kernel[:, :, None, None]), ("matrix", matrix)],
    )


@pytest.fixture
def net(tmp_path):
    """Return the options for the network, beside one picture of one colour."""
    network(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("reddish\ngreenish\n")
    paint(tmp_path / "p.png", COLOUR)
    return ("activations", "-m", "net.onnx", *UNIT)


def paint(path, colour, size=(8, 8)):
    Image.new("RGB", size, tuple(round(255 * value) for value in colour)).save(path)


def picture(path_or_bytes):
    opened = io.BytesIO(path_or_bytes) if isinstance(path_or_bytes, bytes) else path_or_bytes
    pixels = np.asarray(Image.open(opened))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def constant(*levels, size=8):
    return np.stack([np.full((size, size), level, np.float32) for level in levels])


AFTER = constant(1, 0.2, 0, 0)
BEFORE = constant(1, 0.2, 0, -1)


def cells(done):
    return [line.split("\t") for line in done.text.splitlines()]


def test_figures_and_pictures_of_all_layers(here, net, tmp_path):
    done = here(*net, "--all", "p.png")
    rows = cells(done)
    assert [row[:4] for row in rows] == [
        ["p.png", "block1_conv1", ODD, "4x8x8"],
        ["p.png", "block1_pool", "p", "4x4x4"],
        ["p.png", "flatten", "f", "64"],
        ["p.png", "predictions", "scores", "2"],
    ]
    conv = [float(cell) for cell in rows[0][4:9]]
    deviation = AFTER.astype(float).std()
    assert conv == pytest.approx([0, 1, 0.3, deviation, 0.5], abs=1e-6)
    assert rows[0][9:12] == ["2", "0", "0"]  # dead maps, NaN, infinite
    assert [row[12] for row in rows] == [
        str(Path("p.activations", name))
        for name in (
            "01-block1_conv1.png", "02-block1_pool.png", "03-flatten.png", "04-predictions.png",
        )
    ]  # fmt: skip
    expected = sheet(AFTER, caption=Caption("block1_conv1", f"4 x 8 x 8, {ODD}, p.png"))
    assert (picture(tmp_path / rows[0][12]) == expected).all()


@pytest.mark.full
def test_without_a_layer_those_with_a_name_by_their_place(here, net):
    done = here(*net, "--stats-only", "p.png")
    assert [row[1] for row in cells(done)] == ["block1_conv1", "block1_pool", "predictions"]
    assert "note: no --layer: the 3 that have a name by their place" in done.err


def test_names_and_what_they_mean(here, net, tmp_path):
    done = here(*net, "-l", "conv:1", "-l", "block1_*", "-l", "#-1", "--stats-only", "p.png")
    assert [row[1] for row in cells(done)] == ["block1_conv1", "block1_pool", "scores"]
    notes = done.err.splitlines()
    assert notes[0] == f"cnntool: note: conv:1 -> {ODD} (conv 1, after ReLU)"
    assert notes[1] == "cnntool: note: block1_* -> 2 layers"
    assert list(tmp_path.glob("*.png")) == [tmp_path / "p.png"]


def test_before_the_activation(here, net, tmp_path):
    done = here(*net, "-l", "block1_conv1", "--at", "pre", "p.png")
    (row,) = cells(done)
    assert row[1:4] == ["block1_conv1-pre", "c", "4x8x8"]
    assert row[4] == "-1"
    assert row[12] == "p.block1_conv1-pre.png"
    assert (tmp_path / row[12]).exists()


def test_every_choice_of_the_drawing_arrives(here, net, tmp_path):
    options = ("--maps", "3,0,1", "--sort", "mean", "--style", "magma", "--scale", "layer",
               "--cols", "2", "--gap", "7", "--upscale", "5")  # fmt: skip
    here(*net, "-q", "-l", "conv:1", "--at", "pre", *options, "p.png", "-o", "d.png")
    expected = sheet(
        BEFORE,
        chosen=[0, 1, 3],
        style="magma",
        scale="layer",
        columns=2,
        gap=7,
        upscale=5,
        caption=Caption("block1_conv1-pre", "4 x 8 x 8, c, p.png"),
        unit="activation",
    )
    assert (picture(tmp_path / "d.png") == expected).all()


def test_maps_over_the_photo(here, net, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    here(*net, "-q", "-l", "conv:1", "--style", "overlay", "p.png", "-o", "d.png")
    maps = np.maximum(np.einsum("oc,hwc->ohw", KERNEL, pixels / np.float32(255)), 0)
    caption = Caption("block1_conv1", f"4 x 8 x 8, {ODD}, p.png")
    expected = sheet(maps, style="overlay", photo=pixels, caption=caption)
    found = picture(tmp_path / "d.png")
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2  # of rounding at the edge of a level


KERNEL = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], np.float32)


def test_the_scores_carry_the_names_of_the_classes(here, net, tmp_path):
    here(*net, "-q", "--labels", "names.txt", "-l", "predictions", "p.png", "-o", "d.png")
    share = np.exp(0.8) / (np.exp(0.8) + 1)
    expected = vector_sheet(
        np.array([share, 1 - share], np.float32),
        labels=["reddish", "greenish"],
        caption=Caption("predictions", "2, scores, p.png"),
        unit="probability",
    )
    assert (picture(tmp_path / "d.png") == expected).mean() > 0.99  # the last digit may differ


@pytest.mark.full
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_raw_numbers(here, net, tmp_path, layout):
    network(tmp_path / "net.onnx", layout=layout, batch=1)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    planes = (pixels / np.float32(255)).transpose(2, 0, 1)
    here(*net, "-q", "-l", "input", "-l", "conv:1", "-l", "predictions", "--raw", "npz", "p.png")
    found = np.load(tmp_path / "p.activations.npz")
    assert sorted(found) == ["conv:1", "input", "predictions"]
    assert all(found[name].dtype == np.float32 for name in found)
    assert found["input"] == pytest.approx(planes, abs=1e-6)
    maps = np.maximum(np.einsum("oc,chw->ohw", KERNEL, planes), 0)
    assert found["conv:1"] == pytest.approx(maps, abs=1e-6)
    assert found["predictions"].shape == (2,)
    done = here(*net, "-q", "-l", "input", "p.png", "-o", "x.npy")
    assert cells(done)[0][12] == "x.npy"
    assert (np.load(tmp_path / "x.npy") == found["input"]).all()
    here(*net, "-q", "--all", "--raw", "npy", "p.png", "-o", "numbers")
    name = f"{1 + (layout == 'NHWC'):02}-block1_conv1.npy"  # a Transpose comes first
    assert (np.load(tmp_path / "numbers" / name) == found["conv:1"]).all()


@pytest.mark.full
def test_records_and_archives_call_layers_as_they_were_asked_for(here, net, tmp_path):
    asked = ("block1_conv1", "conv:1", "#-1", "predictions")
    options = [option for name in asked for option in ("-l", name)]
    done = here(*net, "-q", "--json", *options, "--raw", "npz", "p.png")
    (record,) = map(json.loads, done.out.splitlines())
    names = [layer["layer"] for layer in record["layers"]]
    assert sorted(names) == ["#-1", "block1_conv1", "conv:1", "predictions"]
    found = np.load(tmp_path / "p.activations.npz")
    assert sorted(found) == sorted(names)
    assert (found["conv:1"] == found["block1_conv1"]).all()
    done = here(*net, "-q", "--json", "-l", "block1_conv[1]", "--stats-only", "p.png")
    assert [one["layer"] for one in json.loads(done.out)["layers"]] == ["block1_conv1"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("layer1.0/conv 1:0", "layer1.0/conv 1:0"),
        ("/conv1/Conv_output_0", "/conv1/Conv_output_0"),
        ("../../x", "x"),
        ("a/../b", "a_.._b"),
        ("..\\x", "x"),
        ("a\nb", "a_b"),
        ("a" * 2000, "a" * 80),
    ],
)
def test_no_name_in_an_archive_leads_out_of_its_folder(name, key):
    first, other = (ChosenLayer(number, "", str(number), None, "", (name,)) for number in (1, 2))
    assert list(first.keys([first, other])) == [key]
    assert list(other.keys([first, other])) == [f"{key}-2"]


@pytest.mark.full
def test_an_archive_that_fails_leaves_nothing(here, net, tmp_path):
    (tmp_path / "x.npz").write_bytes(b"mine")
    done = here(*net, "-q", "--all", "p.png", "-o", "x.npz", code=6)
    assert done.err.splitlines()[0] == "cnntool: error: x.npz: it exists already"
    assert (tmp_path / "x.npz").read_bytes() == b"mine"
    done = here(*net, "-q", "-l", "relu:1", "--maps", "9", "p.png", "-o", "y.png", code=2)
    assert "there is no map 9" in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["names.txt", "net.onnx", "p.png", "x.npz"]


def test_json_records(here, net):
    done = here(*net, "--json", "-l", "conv:1", "-l", "predictions", "-o", "d/", "p.png")
    record = json.loads(done.out)
    assert record["input"] == "p.png"
    assert record["model"]["name"] == "net.onnx"
    assert record["preprocessing"]["white"] == 1.0
    conv, scores = record["layers"]
    assert conv["layer"] == "conv:1"
    assert conv["tensor"] == ODD
    assert (conv["type"], conv["ordinal"], conv["meaning"]) == ("conv", 1, "conv 1, after ReLU")
    assert conv["shape"] == [4, 8, 8]
    assert conv["minimum"] == 0
    assert conv["maximum"] == pytest.approx(1)
    assert (conv["sparsity"], conv["dead"], conv["maps"]) == (0.5, 2, 4)
    assert (conv["nan"], conv["infinite"], conv["dequantised"]) == (0, 0, False)
    assert (conv["receptive_field"], conv["stride"]) == ([1, 1], [1, 1])
    assert conv["output"] == str(Path("d", "01-block1_conv1.png"))
    assert scores["sees_all"] is True
    assert scores["receptive_field"] is None


def test_values_that_are_no_numbers(here, tmp_path):
    save(
        tmp_path / "net.onnx",
        [
            helper.make_node("Conv", ["input", "kernel"], ["c"]),
            helper.make_node("Log", ["c"], ["l"]),
            helper.make_node("Relu", ["l"], ["y"]),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [("kernel", KERNEL[:, :, None, None])],
    )
    paint(tmp_path / "p.png", (0.0, 1.0, 0.0))
    usual = ("activations", "-q", "-m", "net.onnx", *UNIT, "p.png")
    done = here(*usual, "--json", "-l", "l", "-o", "d.png")
    (layer,) = json.loads(done.out)["layers"]
    assert (layer["infinite"], layer["minimum"], layer["maximum"]) == (3 * 64, 0, 0)
    assert (tmp_path / "d.png").exists()


def test_one_layer_goes_where_it_is_sent(here, net, tmp_path):
    done = here(*net, "-q", "-l", "conv:1", "p.png", "-o", "-")
    assert picture(done.out).shape[2] == 1
    done = here(*net, "-q", "-l", "conv:1", stdin=(tmp_path / "p.png").read_bytes())
    assert picture(done.out).ndim == 3
    done = here(*net, "-q", "--all", "--raw", "npz", "p.png", "-o", "-")
    assert min(np.load(io.BytesIO(done.out))) == "block1_conv1"
    done = here(*net, "-q", "-l", "conv:1", "p.png", "-o", "x.jpg")
    assert (tmp_path / "x.jpg").read_bytes().startswith(b"\xff\xd8")
    done = here(*net, "-q", "-l", "conv:1", "p.png", "-o", "x.jpg", code=6)
    assert "x.jpg: it exists already" in done.err
    here(*net, "-q", "-l", "conv:1", "p.png", "-o", "x.jpg", "--overwrite")


@pytest.mark.full
def test_figures_are_svg_by_suffix_or_format_and_as_wide_as_is_said(here, net, tmp_path):
    here(*net, "-q", "-l", "conv:1", "p.png", "-o", "x.svg")
    root = ET.fromstring((tmp_path / "x.svg").read_bytes())
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["block1_conv1", f"4 x 8 x 8, {ODD}, p.png, scale per map", "0", "1", "2", "3"]
    here(*net, "-q", "--all", "p.png", "-o", "out", "--format", "svg")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".svg"}
    here(*net, "-q", "-l", "conv:1", "p.png", "-o", "w.png", "--width", "700")
    assert picture(tmp_path / "w.png").shape[1] == 700
    done = here(*net, "-q", "-l", "conv:1", "p.png", "-o", "-", "--format", "svg")
    assert done.out == (tmp_path / "x.svg").read_bytes()


def test_a_figure_has_the_photo_beside_the_maps(here, net, tmp_path):
    here(*net, "-q", "-l", "conv:1", "--scale", "layer", "--figure", "p.png", "-o", "x.svg")
    root = ET.fromstring((tmp_path / "x.svg").read_bytes())
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said[:3] == ["p.png", "8 rows x 8 columns", "block1_conv1"]
    assert {"0", "1", "2", "3", "activation"} <= set(said)
    assert "scale per layer" in " ".join(said)
    done = here(*net, "-l", "conv:1", "--style", "diverging", "p.png", "-o", "d.png")
    assert "block1_conv1: no value is negative" in done.err
    done = here(*net, "-l", "conv:1", "--style", "diverging", "p.png", "--stats-only")
    assert "no value is negative" not in done.err
    done = here(*net, "--figure", "--raw", "npy", "-l", "conv:1", "p.png", code=2)
    assert "exclude each other" in done.err


@pytest.mark.full
def test_folders_give_a_folder_for_each_picture(here, net, tmp_path):
    for name in ("a/x.png", "a/b/y.png", "a/x.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        paint(tmp_path / name, COLOUR)
    done = here(*net, "-q", "-l", "conv:1", "-l", "predictions", "-r", "a", "-o", "out")
    found = sorted(str(p.relative_to(tmp_path)) for p in (tmp_path / "out").rglob("0*.png"))
    names = ("01-block1_conv1.png", "02-predictions.png")
    folders = ("b/y", "x", "x.png")  # of x.bmp and x.png, the first one has the short name
    assert found == sorted(str(Path("out", folder, name)) for folder in folders for name in names)
    assert [row[0] for row in cells(done)][::2] == [
        str(Path("a", name)) for name in ("x.bmp", "x.png", "b/y.png")
    ]
    here(*net, "-q", "-l", "conv:1", "a", "-o", "one")  # one layer: a file for each
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["x.png", "x.png.png"]


def test_a_folder_may_have_a_dot_in_its_name(here, net, tmp_path):
    here(*net, "-q", "--all", "p.png", "-o", "net.v1")
    assert len(list((tmp_path / "net.v1").iterdir())) == 4


def test_a_bad_picture_is_reported_and_skipped(here, net, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    done = here(*net, "-q", "--stats-only", "-l", "conv:1", "bad.png", "p.png", code=1)
    assert [row[0] for row in cells(done)] == ["p.png"]
    assert done.err.startswith("cnntool: error: bad.png: ")


def test_the_average_of_a_folder(here, net, tmp_path):
    colours = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.6), (0.2, 0.2, 0.0)]
    (tmp_path / "all").mkdir()
    for number, colour in enumerate(colours):
        paint(tmp_path / "all" / f"{number}.png", colour)
    done = here(*net, "-q", "--average", "-l", "conv:1", "--raw", "npy", "all")
    (row,) = cells(done)
    assert (row[0], row[12]) == ("mean of 3 pictures", "mean.block1_conv1.npy")
    found = np.load(tmp_path / "mean.block1_conv1.npy")
    expected = np.mean([np.maximum(KERNEL @ np.array(c), 0) for c in colours], axis=0)
    assert found.shape == (4, 8, 8)
    assert found == pytest.approx(np.broadcast_to(expected[:, None, None], found.shape), abs=1e-6)
    here(*net, "-q", "--average", "-l", "conv:1", "all", "-o", "m.png")
    assert (tmp_path / "m.png").exists()


def test_an_average_needs_one_size(here, tmp_path):
    save(
        tmp_path / "net.onnx",
        [helper.make_node("Relu", ["input"], ["y"])],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, "h", "w"])],
    )
    (tmp_path / "all").mkdir()
    paint(tmp_path / "all" / "1.png", COLOUR)
    paint(tmp_path / "all" / "2.png", COLOUR, (9, 8))
    usual = ("activations", "-q", "-m", "net.onnx", "-l", "y", "--average", "all")
    done = here(*usual, code=3)
    assert "its maps are 3 x 8 x 9, those before are 3 x 8 x 8" in done.err


@pytest.mark.full
def test_what_excites_maps_most(here, net, tmp_path):
    """A pooled value sees 2 x 2 pixels; the brightest red is known."""
    (tmp_path / "all").mkdir()
    brightness = (0.5, 1.0, 0.0)
    for number, red in enumerate(brightness):
        pixels = np.zeros((8, 8, 3), np.uint8)
        pixels[2 + number, 5] = (round(255 * red), 0, 0)
        Image.fromarray(pixels).save(tmp_path / "all" / f"{number}.png")
    usual = (*net, "-q", "--top-patches", "-l", "block1_pool", "all")
    done = here(*usual, "-o", "d.png")
    assert cells(done) == [
        ["block1_pool", "0", "1", "1", str(Path("all", "1.png")), "2,4,4,6"],
        ["block1_pool", "0", "2", "0.5019608", str(Path("all", "0.png")), "2,4,4,6"],
    ]
    drawn = picture(tmp_path / "d.png")
    assert ((drawn == (255, 0, 0)).all(axis=2)).sum() == 32 * 32  # a quarter of the first patch
    record = json.loads(here(*usual, "--json", "-o", "e.png").out)
    (layer,) = record["layers"]
    assert record["inputs"] == 3
    assert layer["patches"][0] == {
        "map": 0, "rank": 1, "value": 1.0, "input": str(Path("all", "1.png")), "box": [2, 4, 4, 6],
    }  # fmt: skip
    done = here(*usual, "--maps", "1-3", "-o", "f.png")
    assert done.out == b""
    assert not (tmp_path / "f.png").exists()


class Links(HTMLParser):
    """Collects the addresses and the text of a page."""

    def __init__(self):
        super().__init__()
        self.addresses, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data):
        self.text.append(data.strip())


def test_the_report_holds_everything(here, net, tmp_path):
    done = here(*net, "-q", "--labels", "names.txt", "--report", "r.html", "--all", "p.png")
    assert len(cells(done)) == 4
    assert not list(tmp_path.glob("p.*/*"))  # a report alone writes no other file
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert page.tags.count("script") == 1 + 4 + 1  # its own, and numbers
    assert "b" in page.tags  # of the classes; and none that is called ODD
    assert not re.search(r"<b onload", text)
    assert ODD in page.text[page.text.index("block1_conv1", 9) :][3] or ODD in " ".join(page.text)
    data = [a for a in page.addresses if not a.startswith("#")]
    assert len(data) == 5  # the photo and four layers
    pictures = [base64.b64decode(a.removeprefix("data:image/png;base64,")) for a in data]
    assert (picture(pictures[0]) == picture(tmp_path / "p.png")).all()
    assert (picture(pictures[1]) == sheet(AFTER)).all()
    assert page.text.index("reddish") < page.text.index("greenish")
    assert "69.0 %" in text
    without = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"(https?:)?//(?!\w*;)", re.sub(r"(?m)(^|  )// .*$", "", without))


def test_a_report_of_several_pictures(here, net, tmp_path):
    paint(tmp_path / "q.png", (0.0, 1.0, 0.6))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    done = here(*net, "-q", "--report", "r.html", "p.png", "bad.png", "q.png", code=1)
    assert "bad.png" in done.err
    page = Links()
    page.feed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "p.png and q.png" in " ".join(page.text)
    assert page.tags.count("img") == 2 * (1 + page.tags.count("section"))
    here(*net, "-q", "--report", "none.html", "bad.png", code=3)
    assert not (tmp_path / "none.html").exists()
    done = here(*net, "-q", "--report", "r.html", "p.png", code=6)
    assert ("it exists already" in done.err, done.out) == (True, b"")


@pytest.mark.full
def test_what_else_is_on_a_report(here, net, tmp_path):
    (tmp_path / "more").mkdir()
    paint(tmp_path / "more" / "q.png", (0.0, 1.0, 0.6))
    usual = (*net, "-q", "--labels", "names.txt", "-l", "conv:1", "--report", "r.html", "p.png")
    here(*usual, "--units", "conv:1", "--explain", "occlusion", "--patches", "more")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Occlusion" in text
    numbers = [json.loads(part) for part in re.findall(r'application/json"[^>]*>(.*)</', text)]
    (unit,) = numbers[0]["units"]
    assert unit["channels"] == [0, 1, 2, 3]
    assert numbers[-1]["patches"]["names"] == ["q.png"]
    assert numbers[-1]["unit_layers"] == ["block1_conv1"]


def test_a_report_of_a_network_without_classes(here, tmp_path):
    picture_net(tmp_path / "net.onnx")
    paint(tmp_path / "p.png", COLOUR)
    usual = ("activations", "-q", "-m", "net.onnx", "-l", "output", "p.png")
    here(*usual, "--report", "r.html")
    assert "What it takes this for" not in (tmp_path / "r.html").read_text()
    assert "r.html: it exists already" in here(*usual, "--report", "r.html", code=6).err


def test_a_report_of_scores_that_do_not_fit_the_labels(here, net, tmp_path):
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    here(*net, "-q", "--labels", "names.txt", "--report", "r.html", "-l", "conv:1", "p.png")
    assert "What it takes this for" not in (tmp_path / "r.html").read_text()


def test_quantised_networks_are_shown_dequantised(here, tmp_path):
    scale, zero = np.float32(1 / 128), np.uint8(128)
    save(
        tmp_path / "net.onnx",
        [
            helper.make_node("Conv", ["input", "kernel"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [("kernel", KERNEL[:, :, None, None]), ("s", scale), ("z", zero)],
    )
    paint(tmp_path / "p.png", COLOUR)
    usual = ("activations", "-m", "net.onnx", *UNIT, "--json", "--stats-only", "p.png")
    for query in ("q", "conv:1"):  # whole numbers, and what stands for the layer
        done = here(*usual, "-l", query)
        (layer,) = json.loads(done.out)["layers"]
        assert layer["dequantised"]
        assert (layer["minimum"], layer["maximum"]) == (-1, 127 / 128)
        assert "shown dequantised" in done.err


@pytest.mark.full
def test_one_name_on_every_exporters_file(here, tmp_path):
    found = []
    for spelling in ("gluon", "keras", "torchscript", "caffe2", "dynamo"):
        vgg16(tmp_path / "v.onnx", widths=(3, 3, 4, 4, 4), fc=8, classes=5, size=64,
              spelling=spelling)  # fmt: skip
        paint(tmp_path / "p.png", COLOUR, (70, 64))
        usual = ("activations", "-q", "-m", "v.onnx", "--stats-only", "p.png")
        rows = cells(here(*usual, "-l", "block4_conv2", "-l", "fc1", "-l", "block5_pool"))
        assert [row[1] for row in rows] == ["block4_conv2", "block5_pool", "fc1"]
        found.append([row[3:12] for row in rows])
    assert all(rows == found[0] for rows in found)
    assert found[0][0][0] == "4x8x8"


def test_the_sample_is_looked_at_when_there_is_no_picture(process, tmp_path):
    done = process("activations", "-l", "block4_conv2")
    assert "note: no picture was given: looking at the sample cat.png" in done.err
    assert "note: block4_conv2 -> block4_conv2/Relu (conv 9, after ReLU)" in done.err
    assert (tmp_path / "cat.block4_conv2.png").exists()
    (row,) = cells(done)
    assert row[1:4] == ["block4_conv2", "block4_conv2/Relu", "192x18x18"]
    assert float(row[8]) > 0.3  # "a high level of sparsity"


def test_a_network_of_maps_and_vectors_in_one_request(here, samples):
    done = here("activations", "-q", "--stats-only", "-l", "block4_conv2", "-l", "predictions",
                samples / "cat.png")  # fmt: skip
    assert [row[3] for row in cells(done)] == ["192x18x18", "53"]


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("colours", ["truecolor", ""])
def test_a_terminal_is_drawn_on(net, tmp_path, colours):
    import pty

    main, other = pty.openpty()
    command = [sys.executable, "-m", "cnntool", *net, "--show", "-l", "conv:1", "p.png"]
    env = {**os.environ, "TERM": "xterm", "COLORTERM": colours, "COLUMNS": "60", "LINES": "30"}
    env.update({"NO_COLOR": "1"} if not colours else {}, LC_ALL="C.UTF-8")
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=other, stderr=subprocess.PIPE,
        env=env,
    ) as process:  # fmt: skip
        os.close(other)
        text = b"".join(pieces(main))
        assert process.wait() == 0
    lines = text.decode().replace("\r", "").split("\n")
    assert lines[0] == "block1_conv1  4 x 8 x 8"
    numbers = " ".join(line for line in lines if re.fullmatch(r"[\d ]+", line))
    assert sorted(numbers.split()) == [*"0123"]
    coloured = [line for line in lines if line.startswith("\x1b[38;2;") and "▀" in line]
    assert len(coloured) == (2 * 8 if colours else 0)
    assert any(line.startswith("block1_conv1 ") and "2/4" in line for line in lines)  # the table
    assert list(tmp_path.glob("*.png")) == [tmp_path / "p.png"]


def test_nothing_is_drawn_where_there_is_no_terminal(here, net):
    done = here(*net, "-q", "--show", "-l", "conv:1", "p.png")
    assert len(done.text.splitlines()) == 1
    assert "\x1b" not in done.text
    assert not done.err
    loud = here(*net, "--show", "-l", "conv:1", "p.png")
    assert loud.text == done.text
    assert "--show draws on a terminal, and stdout is none" in loud.err


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (4, "no layer is called 'block7_conv1'", ["-l", "block7_conv1", "p.png"]),
        (2, "--all and --layer exclude each other", ["--all", "-l", "conv:1", "p.png"]),
        (2, "2 layers cannot share stdout", ["-l", "block1_*", "-o", "-", "p.png"]),
        (2, "2 layers need a folder", ["-l", "block1_*", "-o", "x.png", "p.png"]),
        (2, "--raw npz and 'x.png' disagree", ["--all", "--raw", "npz", "-o", "x.png", "p.png"]),
        (2, "--raw npz and 'x.npy' disagree", ["--all", "--raw", "npz", "-o", "x.npy", "p.png"]),
        (2, "--stats-only writes nothing", ["--stats-only", "-o", "x.png", "p.png"]),
        (2, "--average wants several pictures", ["--average", "p.png"]),
        (2, "--top-patches wants several pictures", ["--top-patches", "p.png"]),
        (
            2,
            "--average and --top-patches exclude each other",
            ["--top-patches", "--average", "p.png", "p.png"],
        ),
        (2, "--raw and --stats-only exclude", ["--raw", "npz", "--stats-only", "p.png"]),
        (2, "stdin can be read only once", ["--top-patches", "-", "p.png"]),
        (
            2,
            "--report and --average exclude",
            ["--report", "r.html", "--average", "p.png", "p.png"],
        ),
        (2, "--units is for the page of --report", ["--units", "conv:1", "p.png"]),
        (2, "--patches is for the page", ["--patches", ".", "p.png"]),
        (3, "--patches none: no such folder", ["--report", "r.html", "--patches", "none", "p.png"]),
        (2, "an average has no photo", ["--average", "--style", "overlay", "p.png", "p.png"]),
        (2, "there is no map 9", ["-l", "conv:1", "--maps", "9", "p.png"]),
        (2, "both want stdout", ["--json", "-l", "conv:1", "-o", "-", "p.png"]),
        (3, "nowhere.png: no such file", ["-l", "conv:1", "nowhere.png"]),
        (6, "the name has no suffix", ["-l", "conv:1", "p.png", "-o", "x.abc"]),
    ],
)
def test_errors(here, net, code, reason, arguments):
    if arguments[-1] == "x.abc":
        reason = "no format is known by the suffix"
    done = here(*net, "-q", *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
    lines = done.err.splitlines()
    assert len(lines) in {1, 2}, done.err
    assert "Traceback" not in done.err


def test_names_of_files_are_safe():
    from cnntool.api.activations import safe

    assert safe("block4_conv2") == "block4_conv2"
    assert safe("../../etc/passwd") == "etc_passwd"
    assert safe("a:b*c?\0\n") == "a_b_c"
    assert safe("...") == "layer"
    assert safe("ä" * 300) == "layer"
    assert len(safe("x" * 300)) == 80


def test_the_choices_are_those_of_the_views():
    from cnntool.cli import drawing_options
    from cnntool.views.feature_maps import SORTS
    from cnntool.views.scale import SCALES
    from cnntool.views.styles import STYLES

    assert (tuple(STYLES), tuple(SCALES), tuple(SORTS)) == (
        drawing_options.STYLES,
        drawing_options.SCALES,
        drawing_options.SORTS,
    )


def test_weights_given_as_numpy_arrays_survive(tmp_path):
    """The oracle itself: the network is what the tests above take it for."""
    import onnx

    path = network(tmp_path / "net.onnx")
    model = onnx.load(path)
    kernel = numpy_helper.to_array(model.graph.initializer[0])
    assert (kernel[:, :, 0, 0] == KERNEL).all()


def rooted(path):
    """Write a classifier with a root of what is below 0 between its convolution and its pool."""
    kernel = np.eye(3, dtype=np.float32)[:, :, None, None] - np.float32(0.5)
    return save(
        path,
        [
            helper.make_node("Conv", ["input", "kernel"], ["c"], name="conv"),
            helper.make_node("Sqrt", ["c"], ["s"], name="root"),
            helper.make_node("Greater", ["c", "nought"], ["flags"]),
            helper.make_node("Where", ["flags", "s", "c"], ["w"]),
            helper.make_node("Mul", ["w", "s"], ["m"]),
            helper.make_node("GlobalAveragePool", ["m"], ["p"]),
            helper.make_node("Flatten", ["p"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [("kernel", kernel), ("nought", np.float32(0))],
    )


def test_all_operators_are_listed_and_the_one_that_goes_wrong_is_named(here, tmp_path):
    rooted(tmp_path / "net.onnx")
    paint(tmp_path / "p.png", COLOUR)
    arguments = ("activations", "-m", "net.onnx", *UNIT, "--all", "--stats-only", "p.png")
    done = here(*arguments)
    assert [row[2] for row in cells(done)] == [
        "c", "s", "flags", "w", "m", "p", "logits", "scores",
    ]  # fmt: skip
    assert done.err.splitlines()[-1] == (
        "cnntool: note: p.png: net.onnx: NaN or infinity comes from Sqrt 'root',"
        " which gets values from -0.6 to 0.4"
    )
    record = json.loads(here(*arguments, "-q", "--json").text)
    (fault, layers) = record["fault"], record["layers"]
    assert (fault["op"], fault["node"], fault["tensor"]) == ("Sqrt", "root", "s")
    assert (fault["nan"], fault["answers"], fault["inputs"][0]["tensor"]) == (128, True, "c")
    assert [one["number"] for one in layers] == [1, None, None, None, 2, 3, 4, 5]
    assert [one["meaning"] for one in layers][1:4] == ["Sqrt", "Greater", "Where"]
    assert layers[2]["dead_maps"] == [1, 2]  # of what is above 0 or not


def test_8_bits_at_the_ends_of_their_range(here, tmp_path):
    """Of 1, 0.2 and 0, with a scale that ends at half, the first is cut; 0 stands at an end."""
    save(
        tmp_path / "net.onnx",
        [
            helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
            helper.make_node("GlobalAveragePool", ["d"], ["p"]),
            helper.make_node("Flatten", ["p"], ["scores"]),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])],
        [("scale", np.float32(0.5 / 255)), ("zero", np.uint8(0))],
    )
    paint(tmp_path / "p.png", COLOUR)
    done = here(
        "activations", "-q", "-m", "net.onnx", *UNIT, "--all", "--json", "--stats-only", "p.png"
    )
    layers = json.loads(done.text)["layers"]
    assert [one["tensor"] for one in layers] == ["q", "d", "p", "scores"]
    assert [one["saturated"] for one in layers] == [1 / 3, 1 / 3, None, None]
    assert [one["subnormal"] for one in layers] == [None, 0, 0, 0]


def test_nothing_is_looked_for_where_nothing_is_wrong(here, net):
    record = json.loads(here(*net, "-q", "--all", "--stats-only", "--json", "p.png").text)
    assert record["fault"] is None
    assert [one["dead_maps"] for one in record["layers"]] == [[2, 3], [2, 3], [], []]
    assert all(one["subnormal"] == 0 and one["saturated"] is None for one in record["layers"])


def test_remarks_below_the_table(here, net, monkeypatch):
    from cnntool.cli import layer_files

    monkeypatch.setattr(layer_files, "form_of", lambda **_: "table")
    monkeypatch.setenv("COLUMNS", "30")
    lines = here(*net, "-q", "--all", "--stats-only", "p.png").text.splitlines()
    assert lines[-1] == "block1_conv1: 2 dead maps: 2, 3"


def test_remarks_of_one_layer(capfd, monkeypatch):
    from cnntool.cli import layer_files
    from cnntool.nets.inference.layer_outputs import statistics

    monkeypatch.setattr(layer_files, "form_of", lambda **_: "table")
    maps = np.zeros((20, 1, 2), np.float32)
    maps[0] = [1, -1e-40]
    wanted = ChosenLayer(1, "c", "c", None, "", ())
    figures = statistics(maps, ends=[1])
    row = layer_files.LayerRow(wanted, figures, dequantised=False, field=None, output=None)
    layer_files.tell("p.png", [row], None)
    assert capfd.readouterr().out.splitlines()[-3:] == [
        "c: 19 dead maps: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 7 more",
        "c: 2.5% of its 8-bit values lie at the ends of the range",
        "c: 2.5% of its values are subnormal: near 0 they lose digits",
    ]
    few = row._replace(figures=figures._replace(saturated=0.0099, subnormal=0.0099))
    for rows in ([row] * 2, [few]):  # layers that only hand on; a share that is not worth a line
        layer_files.tell("p.png", rows, None)
        assert "of its" not in capfd.readouterr().out
