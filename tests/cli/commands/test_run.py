"""``run`` through the command line: networks that make pictures."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from small import colours, map_net, picture_net, save, several

pytest.importorskip("onnxruntime")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 120, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return pixels


def test_a_picture_comes_out(cnntool, photo, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=2.0)
    done = cnntool("run", "-m", "net.onnx", "--preprocess", "raw", "photo.png")
    assert done.text == "photo.run.png\n"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "photo.run.png")), photo * 2)


def test_colours_go_in_and_come_out_in_one_order(here, photo, tmp_path):
    picture_net(tmp_path / "net.onnx")
    here("run", "-q", "-m", "net.onnx", "--preprocess", "raw", "--channel-order", "bgr",
         "photo.png", "-o", "out.png")  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), photo)


def test_the_result_has_the_proportions_of_the_picture(here, tmp_path):
    picture_net(tmp_path / "net.onnx")
    Image.new("RGB", (30, 20), (9, 99, 199)).save(tmp_path / "photo.png")
    usual = ("run", "-q", "-m", "net.onnx", "--preprocess", "raw", "photo.png", "--overwrite", "-o")
    here(*usual, "out.png")
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (20, 30, 3)
    here(*usual, "out.png", "--native")
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (8, 8, 3)


@pytest.mark.full
def test_clipping_is_told(here, photo, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=-1.0)
    done = here(
        "run", "-m", "net.onnx", "--preprocess", "raw", "photo.png", "-o", "out.png", "--json"
    )
    record = json.loads(done.out)
    assert record["clipped"] == pytest.approx((photo > 0).mean())
    assert (record["height"], record["width"], record["classes"]) == (8, 8, None)
    assert (record["black"], record["white"]) == (0, 255)


@pytest.mark.parametrize(("last", "black"), [("Sigmoid", 0.0), ("Tanh", -1.0)])
def test_a_last_operator_that_bounds_the_picture_tells_what_is_white(
    here, photo, tmp_path, last, black
):
    picture_net(tmp_path / "net.onnx", factor=3.0, last=[last])
    done = here("run", "-m", "net.onnx", "photo.png", "-o", "out.png")
    given = photo / 255.0 if last == "Sigmoid" else photo / 127.5 - 1
    made = 1 / (1 + np.exp(-3 * given)) if last == "Sigmoid" else np.tanh(3 * given)
    expected = np.rint((made - black) / (1 - black) * 255)
    pixels = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.abs(pixels - expected).max() <= 1
    assert pixels.max() > 80
    assert "(as the pictures that it makes)" in done.err


@pytest.mark.full
def test_a_picture_in_0_1_that_nothing_announces_is_no_black_one(here, photo, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=1 / 255)
    usual = ("run", "-m", "net.onnx", "--preprocess", "raw", "photo.png", "-o", "out.png")
    done = here(*usual, code=4)
    low, high = photo.min() / 255, photo.max() / 255
    values = f"its picture has values from {low:.3g} to {high:.3g}"
    assert f"{values}, and white was taken to be 255" in done.err
    assert "hint: --white 1, --white 255 or another says which value is white" in done.err
    assert not (tmp_path / "out.png").exists()
    here(*usual, "--white", "1")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), photo)
    here(*usual, "--white", "255", "--overwrite")  # who asks for black gets it
    assert np.asarray(Image.open(tmp_path / "out.png")).max() <= 1


def test_a_picture_of_nan_is_reported(here, photo, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=np.nan)
    done = here("run", "-q", "-m", "net.onnx", "photo.png", "-o", "out.png", code=4)
    assert done.err == (
        "cnntool: error: photo.png: net.onnx: its answer is not finite:"
        " there is NaN or infinity in it: the first comes from Mul 'output', which gets"
        f" 'input' from {photo.min()} to {photo.max()} and 'factor' with 1 NaN\n"
    )
    assert not (tmp_path / "out.png").exists()


def test_an_output_is_chosen(here, photo, tmp_path):
    grey, white = np.full((1, 1, 8, 8), 99, np.float32), np.full((1, 1, 8, 8), 255, np.float32)
    several(tmp_path / "net.onnx", [("code", white[0, 0, :1]), ("a", grey), ("b", white)], side=8)
    for arguments, value in (((), 99), (("--output-name", "b"), 255)):
        done = here(
            "run", "-m", "net.onnx", "photo.png", "-o", "out.png", "--overwrite", *arguments
        )
        assert (np.asarray(Image.open(tmp_path / "out.png")) == value).all()
        assert ("output a, of 3 (--output-name)" in done.err) == (not arguments)
    error = here("run", "-m", "net.onnx", "photo.png", "--output-name", "c", code=4).err
    assert "it has no output 'c'" in error
    assert "hint: it has code, a, b" in error


def test_a_map_is_painted(here, tmp_path):
    map_net(tmp_path / "net.onnx")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :2, 0] = pixels[:, 2:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    done = here("run", "-q", "-m", "net.onnx", "photo.png", "-o", "out.png", "--json")
    assert json.loads(done.out)["classes"] == [
        {"index": 2, "label": "2", "share": 0.75},
        {"index": 0, "label": "0", "share": 0.25},
    ]
    painted = np.asarray(Image.open(tmp_path / "out.png"))
    assert painted[0, 0].tolist() == [0, 0, 0]
    assert painted[0, 2].tolist() == [0, 128, 0]


def test_enlarged_luma_gets_its_colours_back(here, tmp_path):
    save(
        tmp_path / "net.onnx",
        [helper.make_node("Resize", ["input", "", "scales"], ["output"], mode="nearest")],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 24, 24])],
        [("scales", np.array([1, 1, 3, 3], np.float32))],
    )
    (tmp_path / "net.toml").write_text(
        'schema = 1\nname = "net"\ntitle = "enlarge"\nfile = "net.onnx"\nlicence = "MIT"\n'
        'source = "here"\n[input]\nname = "input"\nlayout = "NCHW"\ndtype = "float32"\n'
        'channel_order = "Y"\nsize = [8, 8]\nfit = "shorter"\nresize = 8\ncrop = [8, 8]\n'
        'white = 1.0\nmean = [0.0]\ndeviation = [1.0]\n[output]\nname = "output"\nkind = "image"\n'
        "white = 1.0\n"
    )
    Image.new("RGB", (8, 8), (200, 40, 90)).save(tmp_path / "photo.png")
    here("run", "-m", "net.onnx", "photo.png", "-o", "out.png")
    large = np.asarray(Image.open(tmp_path / "out.png"))
    assert large.shape == (24, 24, 3)
    assert np.abs(large.astype(int) - (200, 40, 90)).max() <= 2


def test_pipes_and_folders(cnntool, photo, tmp_path):
    picture_net(tmp_path / "net.onnx")
    usual = ("run", "-q", "-m", "net.onnx", "--preprocess", "raw")
    done = cnntool(*usual, "-o", "-", stdin=(tmp_path / "photo.png").read_bytes())
    assert done.out.startswith(b"\x89PNG")
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.png").write_bytes((tmp_path / "photo.png").read_bytes())
    (tmp_path / "in" / "c.png").write_bytes(b"nothing")
    done = cnntool(*usual, "in", "-o", "out", check=False)
    assert done.code == 1
    assert done.text.splitlines() == ["out/a.png", "out/b.png"]


def test_errors(fails, photo, tmp_path):
    colours(tmp_path / "net.onnx")
    error = fails(4, "run", "-m", "net.onnx", "photo.png")
    assert "it gives no picture, but scores (N x 3): class scores" in error
    assert "try 'cnntool classify'" in error
    picture_net(tmp_path / "net.onnx")
    (tmp_path / "out.png").write_bytes(b"precious")
    assert "it exists already" in fails(
        6, "run", "-q", "-m", "net.onnx", "photo.png", "-o", "out.png"
    )
    assert (tmp_path / "out.png").read_bytes() == b"precious"


def said(path):
    root = ET.fromstring(path.read_bytes())
    return [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_figure_has_what_went_in_and_what_came_out(here, photo, tmp_path):
    picture_net(tmp_path / "net.onnx", factor=2.0)
    net = ("run", "-q", "-m", "net.onnx", "--preprocess", "raw", "photo.png")
    here(*net, "--figure", "-o", "x.svg")
    assert said(tmp_path / "x.svg") == [
        "photo.png",
        "8 rows x 8 columns",
        "net.onnx",
        "8 rows x 8 columns",
    ]
    assert "SVG is for drawn figures" in here(*net, "-o", "y.svg", code=None).err
    map_net(tmp_path / "map.onnx")
    here("run", "-q", "-m", "map.onnx", "--preprocess", "unit", "photo.png", "--figure",
         "-o", "map.svg")  # fmt: skip
    words = said(tmp_path / "map.svg")
    assert "classes on the photo" in words
    assert any(word.endswith("%") for word in words)


def test_classes_are_a_table_on_a_terminal(here, photo, tmp_path, monkeypatch):
    map_net(tmp_path / "map.onnx")
    monkeypatch.setattr("cnntool.cli.commands.run.form_of", lambda: "table")
    net = ("run", "-q", "-m", "map.onnx", "--preprocess", "unit", "photo.png")
    text = here(*net, "-o", "map.png").text
    assert "class" in text
    assert "%" in text
