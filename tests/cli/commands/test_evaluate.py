"""``evaluate`` through the command line."""

from __future__ import annotations

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from small import colours, map_net

pytest.importorskip("onnxruntime")

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


@pytest.fixture
def photos(tmp_path):
    """Two red, two green and one blue picture; one of the red ones is filed under green."""
    colours(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    for path, colour in (
        ("red/1.png", "red"),
        ("green/1.png", "green"),
        ("green/2.png", "green"),
        ("green/deep/3.png", "red"),
        ("2/1.png", "blue"),
    ):
        file = tmp_path / "photos" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), COLOURS[colour]).save(file)
    return ("-q", "-m", "net.onnx", "--labels", "names.txt", "--preprocess", "unit")


def test_a_line_for_each_class(cnntool, photos):
    done = cnntool("evaluate", *photos, "photos")
    assert [line.split("\t") for line in done.text.splitlines()] == [
        ["red", "1", "1", "1", "0", "0"],
        ["green", "3", "0.666667", "1", "0.333333", "0"],
        ["blue", "1", "1", "1", "0", "0"],
        ["mean over classes", "3", "0.888889", "1", "0.111111", "0"],
        ["all", "5", "0.8", "1", "0.2", "0"],
    ]


def test_a_record(here, photos):
    record = json.loads(here("evaluate", *photos, "photos", "--json").out)
    assert (record["pictures"], record["top1"], record["top5"]) == (5, 0.8, 1.0)
    assert record["top1_error"] == pytest.approx(0.2)
    assert [c["label"] for c in record["classes"]] == ["red", "green", "blue"]
    assert record["provider"] == "CPUExecutionProvider"


def test_the_class_of_the_rest_is_counted_apart(here, photos, tmp_path):
    (tmp_path / "names.txt").write_text("red\ngreen\nsomething else\n")
    (tmp_path / "photos" / "2").rename(tmp_path / "photos" / "other")
    Image.new("RGB", (9, 9), COLOURS["blue"]).save(tmp_path / "photos" / "red" / "2.png")
    Image.new("RGB", (9, 9), COLOURS["red"]).save(tmp_path / "photos" / "other" / "2.png")
    # Known: red, and blue (mistaken); green, green and red. Of the rest: blue (found) and red.
    record = json.loads(here("evaluate", *photos, "photos", "--json").out)
    assert record["class_mean"] == {"top1": pytest.approx((1 / 2 + 2 / 3) / 2), "top5": 1}
    # The blue one of the rest ties with the mistaken blue one; the red one ties with all others.
    area = (4.5 + 2) / 10
    assert record["rest"] == pytest.approx({"found": 1 / 2, "mistaken": 1 / 5, "area": area})
    assert record["classes"][-1]["label"] == "something else"
    lines = here("evaluate", *photos, "photos").text.splitlines()
    assert [line.split("\t") for line in lines[:3]] == [
        ["something else, found", "", "0.5", "", "", ""],
        ["something else, mistaken", "", "0.2", "", "", ""],
        ["something else, ROC area", "", "0.65", "", "", ""],
    ]
    assert lines[-2].startswith("mean over classes\t2\t0.583333\t")


def test_without_pictures_of_the_rest_there_is_no_area(here, photos, tmp_path):
    (tmp_path / "names.txt").write_text("red\ngreen\nsomething else\n")
    shutil.rmtree(tmp_path / "photos" / "2")
    record = json.loads(here("evaluate", *photos, "photos", "--json").out)
    assert record["rest"] == {"found": None, "mistaken": 0, "area": None}


def test_figures_on_a_terminal(here, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    (tmp_path / "names.txt").write_text("red\ngreen\nsomething else\n")
    text = here("evaluate", *photos, "photos").text
    assert "mean over classes" in text
    assert "something else: 100.00% of its pictures found, 0.00% of the others called so" in text


def test_a_table_of_pictures(here, photos, tmp_path):
    (tmp_path / "list.csv").write_text(
        "path,class\nphotos/red/1.png,red\nphotos/green/1.png,1\nphotos/2/1.png,red\n"
    )
    record = json.loads(here("evaluate", *photos, "list.csv", "--json").out)
    assert (record["pictures"], record["top1"]) == (3, pytest.approx(2 / 3))


@pytest.mark.full
def test_the_confusion_matrix(here, photos, tmp_path):
    here("evaluate", *photos, "photos", "--confusion", "c.csv")
    rows = list(csv.reader((tmp_path / "c.csv").read_text().splitlines()))
    assert rows == [
        ["true \\ answered", "red", "green", "blue"],
        ["red", "1", "0", "0"],
        ["green", "1", "2", "0"],
        ["blue", "0", "0", "1"],
    ]
    here("evaluate", *photos, "photos", "--confusion", "c.png")
    picture = np.asarray(Image.open(tmp_path / "c.png"))
    assert picture.ndim == 3
    here("evaluate", *photos, "photos", "--confusion", "c.svg", "--width", "700")
    svg = (tmp_path / "c.svg").read_bytes()
    assert b'width="700"' in svg
    assert svg.count(b">green</text>") == 2
    assert (
        "it exists already"
        in here("evaluate", *photos, "photos", "--confusion", "c.png", code=6).err
    )


@pytest.mark.full
def test_a_demanded_figure(here, photos):
    here("evaluate", *photos, "photos", "--min-top1", "80%")
    done = here("evaluate", *photos, "photos", "--min-top1", "0.81", code=7)
    assert done.err == "cnntool: error: top-1 accuracy is 80.00%, and 81.00% was demanded\n"
    assert done.out  # the figures are printed all the same


@pytest.mark.full
def test_scores_that_are_no_numbers_do_not_count(here, photos, tmp_path):
    """The root of what lies below 0.5 is NaN: of these pictures the white one alone has scores."""
    colours(tmp_path / "net.onnx", before=[("Sub", 0.5), ("Pow", 0.5)])
    done = here("evaluate", *photos, "photos", code=4)
    assert done.out == b""
    assert done.err.count("of its 3 scores are NaN or infinite: the first comes from Pow") == 5
    assert done.err.endswith("error: net.onnx: it has no scores for any picture of photos\n")
    Image.new("RGB", (9, 9), "white").save(tmp_path / "photos" / "red" / "2.png")
    done = here("evaluate", *photos, "photos", code=1)
    assert done.text.splitlines()[-1].split("\t")[:3] == ["all", "1", "1"]
    assert "cnntool: error: photos/2/1.png: net.onnx: 3 of its 3 scores" in done.err


def test_a_bad_picture_does_not_count(here, photos, tmp_path):
    (tmp_path / "photos" / "red" / "bad.png").write_bytes(b"nothing")
    done = here("evaluate", *photos, "photos", code=1)
    assert done.text.splitlines()[-1].split("\t")[1] == "5"


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (3, "no folders in it", ["empty"]),
        (3, "nowhere: no such file", ["nowhere"]),
        (3, "row 1 has 3 cells", ["bad.csv"]),
        (2, "named twice, with different classes", ["twice.csv"]),
        (4, "no class is called 'purple'", ["purple.csv"]),
        (4, "no class scores", ["photos", "-m", "map.onnx"]),
        (2, "no share", ["photos", "--min-top1", "93"]),
        (2, "a .csv or a .png", ["photos", "--confusion", "c.txt"]),
    ],
)
def test_errors(here, photos, tmp_path, code, reason, arguments):  # noqa: PLR0917
    (tmp_path / "empty").mkdir()
    map_net(tmp_path / "map.onnx")
    (tmp_path / "bad.csv").write_text("a,b,c\n")
    (tmp_path / "twice.csv").write_text("photos/red/1.png,red\nphotos/red/1.png,blue\n")
    (tmp_path / "purple.csv").write_text("photos/red/1.png,purple\n")
    done = here("evaluate", *photos, *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
