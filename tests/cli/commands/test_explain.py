"""``explain`` through the command line: files, tables, records, orientations, errors."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import halves, picture_net

from cnntool.cli.commands import explain
from cnntool.views import heat_map
from cnntool.views.colormaps import TOP, palette

pytest.importorskip("onnxruntime")

SHARED = Path(__file__).parents[3].parent / "shared"
MODEL = ("-m", "net.onnx", "--labels", "names.txt", "--preprocess", "unit", "--resize", "8")
KEYS = {
    "key", "method", "index", "label", "probability", "score", "layer", "shape", "computed",
    "minimum", "maximum", "seen", "facts", "insertion", "deletion",
}  # fmt: skip


@pytest.fixture
def two(tmp_path):
    """A network that tells red from blue, and a photo: left red, upper right blue."""
    (tmp_path / "names.txt").write_text("red\nblue\n")
    halves(tmp_path / "net.onnx")
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4, 0] = 255
    pixels[:4, 4:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return pixels


def figure(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def last_colour(pixels):
    """Return where a figure has the colour of the largest value, but for the bar below."""
    found = np.argwhere((pixels == palette("magma")[TOP]).all(axis=2))
    rows = np.flatnonzero((pixels == palette("magma")[TOP]).all(axis=2).any(axis=1))
    gap = np.flatnonzero(np.diff(rows) > 1)  # between the map and its bar
    return found[found[:, 0] <= (rows[gap[-1]] if len(gap) else rows[-1])]


def test_a_figure_beside_a_line(cnntool, two, tmp_path):
    done = cnntool("explain", *MODEL, "photo.png")
    line = done.text.rstrip("\n").split("\t")
    chance = 1 / (1 + np.exp(-0.25))
    assert line == [
        "photo.png", "gradcam", "red", "0", f"{chance:.6g}", "0.5", "block1_conv1",
        "photo.explain.png",
    ]  # fmt: skip
    assert "cnntool: note: net.onnx: the layer is block1_conv1, maps of 8 x 8\n" in done.err
    assert figure(tmp_path / "photo.explain.png").shape[2] == 3


def test_records_and_maps(here, two, tmp_path):
    usual = ("explain", "-q", *MODEL, "photo.png", "--json")
    done = here(*usual, "--method", "gradcam", "--method", "saliency", "--class", "blue", "--class",
                "rank:1", "--raw", "npz")  # fmt: skip
    record = json.loads(done.out)
    assert {"input", "model", "device", "explanations", "seed", "output", "milliseconds"} <= {
        *record
    }
    found = record["explanations"]
    assert all({*one} == KEYS for one in found)
    assert [(one["label"], one["method"], one["layer"]) for one in found] == [
        ("blue", "gradcam", "block1_conv1"), ("blue", "saliency", None),
        ("red", "gradcam", "block1_conv1"), ("red", "saliency", None),
    ]  # fmt: skip
    assert (found[0]["shape"], found[0]["computed"], found[0]["seen"]) == ([8, 8], [8, 8], 1.0)
    assert found[0]["insertion"] is None
    with np.load(tmp_path / record["output"]) as maps:
        assert [*maps] == [one["key"] for one in found]
        corner = (two[..., 2] == 255).astype(np.float32) / 64
        assert maps["gradcam-1"] == pytest.approx(corner)
        assert maps["gradcam-1"].dtype == np.float32
        assert maps["gradcam-1"].max() == found[0]["maximum"]


@pytest.mark.full
def test_numbers_of_one_map_and_of_several(here, two, tmp_path):
    here("explain", "-q", *MODEL, "photo.png", "-o", "one.npy")
    here("explain", "-q", *MODEL, "photo.png", "--class", "0", "--class", "1", "--raw", "npy")
    one, both = np.load(tmp_path / "one.npy"), np.load(tmp_path / "photo.explain.npy")
    assert (one.shape, both.shape) == ((8, 8), (2, 8, 8))
    assert (both[0] == one).all()


@pytest.mark.full
def test_what_integrated_gradients_leave_is_told(here, two):
    done = here("explain", *MODEL, "photo.png", "--method", "integrated-gradients")
    text = done.err.decode() if isinstance(done.err, bytes) else done.err
    assert re.search(r"of red leave 0\.\d\d% of the difference of scores, after \d+ steps", text)


@pytest.mark.full
def test_scores(here, two):
    usual = ("explain", "-q", *MODEL, "photo.png", "--score", "--overwrite")
    line = here(*usual).text.rstrip("\n").split("\t")
    assert len(line) == 14
    (one,) = json.loads(here(*usual, "--json").out)["explanations"]
    for way, place in (("insertion", 8), ("deletion", 11)):
        curve = one[way]
        assert {*curve} == {"area", "values", "random", "centre"}
        areas = [float(cell) for cell in line[place : place + 3]]
        expected = [curve["area"], curve["random"], curve["centre"]]
        assert areas == pytest.approx(expected, abs=1e-3)
        assert len(curve["values"]) > 10
    assert one["insertion"]["values"][-1] == pytest.approx(one["probability"])


TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera held so has in its file, from what people see."""


@pytest.mark.parametrize(
    "orientation", [pytest.param(n, marks=[pytest.mark.full] * (n != 6)) for n in TURNED]
)
def test_a_tall_photo_however_the_camera_was_held(here, two, tmp_path, orientation):
    """The network sees the middle third; of that the upper left quarter is red."""
    pixels = np.full((192, 64, 3), 255, np.uint8)
    pixels[64:128] = 0
    pixels[64:96, :32] = 255, 0, 0
    photo = Image.fromarray(pixels)
    turn = TURNED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = photo if turn is None else photo.transpose(turn)
    stored.save(tmp_path / "tall.jpg", quality=100, subsampling=0, exif=exif)
    usual = ("explain", "-q", *MODEL, "--crop", "8", "tall.jpg")
    here(*usual, "--raw", "npy")
    found = np.load(tmp_path / "tall.explain.npy")
    assert found.shape == (192, 64)
    assert np.isnan(found[:64]).all()
    assert np.isnan(found[128:]).all()
    assert np.isfinite(found[64:128]).all()
    row, column = np.unravel_index(np.nanargmax(found), found.shape)
    assert row < 96
    assert column < 32
    assert np.nanmax(found[112:, :]) < 0.02 * np.nanmax(found)
    here(*usual, "--style", "heat")
    drawn = figure(tmp_path / "tall.explain.png")
    factor = 3  # 192 x 64 become 576 x 192
    top = drawn.shape[0] - 576 - 26 - 20 - 33
    places = (last_colour(drawn) - (top, heat_map.MARGIN)) / factor
    assert (places.min(0) >= (60, -1)).all()
    assert (places.max(0) <= (97, 33)).all()


def test_the_words_are_those_of_the_view():
    assert tuple(heat_map.STYLES) == explain.STYLES


@pytest.mark.full
@pytest.mark.parametrize("style", heat_map.STYLES)
def test_styles_draw_what_they_say(here, two, tmp_path, style):
    both = ("--class", "red", "--class", "blue", "--method", "gradcam", "--method", "occlusion")
    here("explain", "-q", *MODEL, *both, "photo.png", "--style", style)
    drawn = figure(tmp_path / "photo.explain.png")
    red = (drawn == (255, 0, 0)).all(axis=2).sum()
    assert red == (0 if style == "heat" else 400 * 200)  # the photo is there once


@pytest.mark.full
def test_the_same_command_gives_the_same_bytes(here, two, tmp_path):
    usual = ("explain", "-q", *MODEL, "photo.png", "--method", "smoothgrad", "--raw", "npy", "-o")
    for name, seed in (("a.npy", "0"), ("b.npy", "0"), ("c.npy", "1")):
        here(*usual, name, "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.npy").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.full
def test_figures_have_the_same_bytes(here, two, tmp_path):
    for name in ("a.png", "b.png"):
        here("explain", "-q", *MODEL, "photo.png", "-o", name, "--method", "rise")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_pipe(cnntool, two, tmp_path):
    data = (tmp_path / "photo.png").read_bytes()
    done = cnntool("explain", *MODEL, stdin=data)
    with Image.open(io.BytesIO(done.out)) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
    assert "cnntool: note: <stdin>: gradcam of red, 56.2%\n" in done.err


@pytest.mark.full
def test_a_folder_with_a_bad_file(here, two, tmp_path):
    folder = tmp_path / "some"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "c.png", "deep/d.png"):
        (folder / name).write_bytes((tmp_path / "photo.png").read_bytes())
    (folder / "b.png").write_bytes(b"nothing")
    done = here("explain", "-q", *MODEL, "-r", "some", "-o", "maps.1/", "--json", code=1)
    assert [json.loads(line)["output"] for line in done.out.splitlines()] == [
        "maps.1/a.png", "maps.1/c.png", "maps.1/deep/d.png",
    ]  # fmt: skip
    assert "error: some/b.png: " in done.err
    assert {str(path.relative_to(tmp_path)) for path in (tmp_path / "maps.1").rglob("*.png")} == {
        "maps.1/a.png", "maps.1/c.png", "maps.1/deep/d.png",
    }  # fmt: skip


@pytest.mark.full
def test_pictures_of_every_kind(here, two, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "deep.tif", two.astype(np.uint16) * 257, photometric="rgb")
    here("explain", "-q", *MODEL, "deep.tif", "--raw", "npy")
    assert np.load(tmp_path / "deep.explain.npy") == pytest.approx((two[..., 0] == 255) / 64)
    for name, size in (("dot", (1, 1)), ("line", (1, 300)), ("grey", (9, 7))):
        Image.new("L" if name == "grey" else "RGB", size, 99).save(tmp_path / f"{name}.png")
        for more in ((), ("--raw", "npy")):
            here("explain", "-q", *MODEL, "--crop", "8", f"{name}.png", *more)
        assert np.load(tmp_path / f"{name}.explain.npy").shape == size[::-1]
    Image.fromarray(np.dstack([two, two[..., 0]])).save(tmp_path / "alpha.png")
    here("explain", "-q", *MODEL, "alpha.png")


@pytest.mark.full
def test_a_table_for_people(here, two, tmp_path, monkeypatch):
    monkeypatch.setattr("cnntool.cli.commands.explain.form_of", lambda: "table")
    text = here("explain", "-q", *MODEL, "photo.png", "--score").text
    lines = text.splitlines()
    assert lines[0] == "photo.png"
    for heading, row in (
        ("method class probability layer", r"gradcam +red +56.2% +block1_conv1"),
        ("method class insertion of random of centre", r"gradcam +red( +0\.\d{3}){3}"),
        ("method class deletion of random of centre", r"gradcam +red( +0\.\d{3}){3}"),
    ):
        rule = "─+"
        assert re.search(heading.replace(" ", " +") + rf" *\n{rule}\n{row} *\n", text), text
    assert lines[-1] == "written to photo.explain.png"


@pytest.mark.parametrize(
    ("code", "arguments", "reason"),
    [
        (2, ["--method", "gradcan"], "'gradcan' is not one of 'gradcam'"),
        (2, ["--style", "jet"], "'jet' is not one of 'overlay'"),
        (2, ["--raw", "npx"], "'npx' is not one of"),
        (2, ["--seed", "-1"], "-1 is not in the range"),
        (2, ["--class", "rank:0"], "--class rank:0: ranks count from 1"),
        (2, ["--raw", "npy", "--format", "png"], "contradict each other"),
        (2, ["--raw", "npy", "-o", "x.npz"], "disagree"),
        (2, ["--method", "saliency", "-l", "conv:1"], "looks at no layer"),
        (2, ["-o", "-", "--json"], "both want stdout"),
        (2, ["photo.png", "-o", "x.png"], "several inputs need a folder"),
        (4, ["--class", "gren"], "no class is called 'gren'"),
        (4, ["--class", "rank:3"], "there is no rank 3"),
        (4, ["-l", "conv:9"], "no layer"),
        (4, ["-l", "scores"], "has no rows and columns"),
        (6, ["-o", "x.csv"], "CSV holds no figure in colours"),
        (6, ["-o", "x.nothing"], "no format is known"),
        (6, ["-o", "photo.png"], "exists"),
        (6, ["--format", "gif"], "GIF holds no figure in colours"),
    ],
)
def test_mistakes(fails, two, tmp_path, code, arguments, reason):  # noqa: PLR0917
    error = fails(code, "explain", "-q", *MODEL, "photo.png", *arguments)
    assert reason in error
    assert {path.name for path in tmp_path.iterdir()} == {"names.txt", "net.onnx", "photo.png"}


@pytest.mark.full
def test_what_is_no_classifier(fails, two, tmp_path):
    picture_net(tmp_path / "paint.onnx")
    assert "class" in fails(4, "explain", "-q", "-m", "paint.onnx", "photo.png")


@pytest.mark.full
def test_classes_by_name_number_and_rank(here, two):
    usual = ("explain", "-q", *MODEL, "photo.png", "--overwrite", "--class")
    for target, label in (("blue", "blue"), ("BLUE", "blue"), ("1", "blue"), ("rank:2", "blue")):
        assert here(*usual, target).text.split("\t")[2] == label


@pytest.mark.full
def test_formats(here, two, tmp_path):
    here("explain", "-q", *MODEL, "photo.png", "-o", "x.jpg")
    here("explain", "-q", *MODEL, "photo.png", "--format", "webp")
    here("explain", "-q", *MODEL, "photo.png", "--format", "png", "-o", "x.dat")
    for name, kind in (("x.jpg", "JPEG"), ("photo.explain.webp", "WEBP"), ("x.dat", "PNG")):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == kind


@pytest.mark.full
@pytest.mark.skipif(not SHARED.exists(), reason="real networks lie beside the project")
@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("squeezenet1.0-fp16", "hotdog, hot dog, red hot"),
        ("mobilenetv2-nhwc-u8", "hotdog, hot dog, red hot"),
        ("mobilenetv2-nhwc-u8-qdq", "hotdog, hot dog, red hot"),
        ("mnist-cntk", None),
    ],
)
def test_real_networks(here, tmp_path, model, label):
    """The hot dog lies above the receipt."""
    photo = SHARED / "images/everyday/hot_dog.jpg"
    usual = ("explain", "-q", "-m", SHARED / f"models/{model}.onnx", photo)
    line = here(*usual, "-o", "map.npy").text.split("\t")
    found = np.load(tmp_path / "map.npy")
    with Image.open(photo) as picture:
        assert found.shape == picture.size[::-1]
    if label:
        assert line[2] == label
        rows = np.arange(len(found)) / len(found)
        assert (np.nansum(found, axis=1) @ rows) / np.nansum(found) < 0.5
