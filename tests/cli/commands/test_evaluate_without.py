"""``evaluate --without``: pictures of one colour, and a network that has a map for each."""

from __future__ import annotations

import csv
import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image
from small import planes

from cnntool.api.ablation import MapEffect
from cnntool.cli.ablation import print_effects
from cnntool.views.bars import COLOURS as BARS

pytest.importorskip("onnxruntime")

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SURE = math.exp(10) / (math.exp(10) + 2)
"""Of the colour's own class; without its map all three are equally likely, and red is answered."""

LOST = 1 / 3 - SURE


@pytest.fixture
def asked(tmp_path):
    """Two red, three green and one blue picture."""
    planes(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    for label, count in (("red", 2), ("green", 3), ("blue", 1)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(count):
            picture = Image.new("RGB", (8, 8), COLOURS[label])
            picture.save(tmp_path / "photos" / label / f"{number}.png")
    return ("photos", "-q", "-m", "net.onnx", "--labels", "names.txt", "--preprocess", "unit")


def lines(done):
    return [line.split("\t") for line in done.text.splitlines()]


def test_a_silenced_map(here, asked):
    assert lines(here("evaluate", *asked, "--without", "maps[1]")) == [
        ["red", "2", "1", "1", "0", "0"],
        ["green", "3", "0", "1", "1", "0"],
        ["blue", "1", "1", "1", "0", "0"],
        ["mean over classes", "3", "0.666667", "1", "0.333333", "0"],
        ["all", "6", "0.5", "1", "0.5", "0"],
        ["all, nothing silenced", "6", "1", "1", "0", "0"],
    ]


def test_without_all_maps_one_answer_is_given_to_all(here, asked, tmp_path):
    arguments = ("--without", "maps", "--confusion", "c.csv", "--json")
    record = json.loads(here("evaluate", *asked, *arguments).out)
    assert record["without"] == ["maps"]
    assert (record["top1"], record["lost"], record["plain"]["top1"]) == (2 / 6, 1 - 2 / 6, 1)
    assert record["change"] == pytest.approx(LOST, abs=1e-6)
    rows = list(csv.reader((tmp_path / "c.csv").read_text().splitlines()))
    assert [row[1] for row in rows] == ["red", "2", "3", "1"]


@pytest.mark.full
def test_each_map_for_itself(here, asked):
    done = lines(here("evaluate", *asked, "--without", "maps", "--each"))
    assert [row[:4] for row in done] == [
        ["maps", "1", "0.5", "0.5"],
        ["maps", "2", "0.833333", "0.166667"],
        ["maps", "0", "1", "0"],
        ["nothing silenced", "", "1", ""],
    ]
    shares = [count * LOST / 6 for count in (3, 1, 2)]
    assert [float(row[4]) for row in done[:3]] == pytest.approx(shares, rel=1e-5)
    assert [row[5] for row in done[:3]] == [
        f"photos/{name}/0.png" for name in ("green", "blue", "red")
    ]


def test_a_figure(here, asked, tmp_path):
    here("evaluate", *asked, "--without", "maps[1-]", "--each", "-o", "bars.png")
    with Image.open(tmp_path / "bars.png") as picture:
        assert picture.width > 600
        pixels = np.asarray(picture).astype(int)
    bars = (pixels == BARS[0]).all(axis=2).sum(axis=1)
    assert sorted(set(bars[80:].tolist()))[1:] == pytest.approx([560 / 3, 560], abs=2)
    done = here("evaluate", *asked, "--without", "maps", "--each", "-o", "bars.png", code=6)
    assert "it exists already" in done.err


@pytest.mark.full
def test_each_of_some_maps_of_several_layers(here, asked):
    arguments = ("--without", "means[1]", "--without", "maps[0,2-]", "--each", "--json")
    record = json.loads(here("evaluate", *asked, *arguments).out)
    assert record["without"] == ["means[1]", "maps[0,2-]"]
    found = [(one["layer"], one["map"], one["top1"]) for one in record["each"]]
    assert found == [("means", 1, 0.5), ("maps", 2, 5 / 6), ("maps", 0, 1.0)]


@pytest.mark.full
def test_several_layers_are_silenced_together(here, asked):
    arguments = ("--without", "means[1]", "--without", "maps[2]", "--without", "maps[2]", "--json")
    record = json.loads(here("evaluate", *asked, *arguments).out)
    assert (record["without"], record["top1"]) == (["means[1]", "maps[2]"], 2 / 6)


@pytest.mark.full
def test_the_mean_over_the_photos(here, asked):
    """The green map holds 10 * 3 / 6 then: enough for green, not enough to beat red and blue."""
    done = here("evaluate", *asked[:1], *asked[2:], "--without", "maps[1]", "--fill", "mean")
    assert lines(done)[-2:] == [
        ["all", "6", "1", "1", "0", "0"],
        ["all, nothing silenced", "6", "1", "1", "0", "0"],
    ]
    assert "silenced maps hold their means over the same 6 photos\n" in done.err
    assert "maps -> planes (conv 1, after ReLU)\n" in done.err


@pytest.mark.full
def test_a_budget_is_drawn_evenly(here, asked):
    done = here("evaluate", *asked[:1], *asked[2:], "--within", "4")
    assert [row[1] for row in lines(done)] == ["1", "2", "1", "3", "4"] or [
        row[1] for row in lines(done)
    ] == ["2", "1", "1", "3", "4"]
    assert "4 of 6 photos, drawn evenly over the classes\n" in done.err
    assert "photos, drawn" not in here("evaluate", *asked, "--within", "6").err


@pytest.mark.full
def test_a_demanded_figure(here, asked):
    here("evaluate", *asked, "--without", "maps[1]", "--min-top1", "50%")
    done = here("evaluate", *asked, "--without", "maps[1]", "--min-top1", "51%", code=7)
    assert done.err == "cnntool: error: top-1 accuracy is 50.00%, and 51.00% was demanded\n"
    done = here("evaluate", *asked, "--without", "maps", "--each", "--min-top1", "0.51", code=7)
    assert "top-1 accuracy without maps[1] is 50.00%, and 51.00%" in done.err


@pytest.mark.full
def test_a_bad_picture_does_not_count_and_is_told_of_once(here, asked, tmp_path):
    (tmp_path / "photos" / "red" / "bad.png").write_bytes(b"nothing")
    done = here("evaluate", *asked, "--without", "maps[1]", "--fill", "mean", code=1)
    assert lines(done)[-1][1] == "6"
    assert done.err.count("bad.png") == 1


@pytest.mark.full
def test_scores_that_are_no_numbers_do_not_count(here, asked, tmp_path):
    """A norm of nothing is 0 / 0: without the green map that befalls green pictures."""
    model = onnx.load(tmp_path / "net.onnx")
    nodes = model.graph.node
    nodes[4].input[0] = "shares"
    nodes.insert(4, helper.make_node("Div", ["means", "sum"], ["shares"]))
    nodes.insert(4, helper.make_node("ReduceSum", ["means"], ["sum"], keepdims=1))
    onnx.save(model, tmp_path / "net.onnx")
    for more in ([], ["--each"]):
        done = here("evaluate", *asked, "--without", "maps[1]", *more, code=1)
        assert done.err.count("3 of its 3 scores are NaN or infinite without maps[1]\n") == 3
        assert "nothing silenced" in done.text


def test_a_table_for_people(here, asked, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    text = here("evaluate", *asked, "--without", "maps[1]", "--each").text
    assert "50.00%" in text
    assert "photos/green/0.png" in text  # of equal ones the first
    assert "nothing silenced" in text


def test_what_rounds_to_nothing_has_no_sign(capsys):
    plain = SimpleNamespace(total=SimpleNamespace(accuracy1=1.0))
    effects = [MapEffect("maps", 0, 1.0, 0.0, -1e-9, "")]
    print_effects(SimpleNamespace(each=effects, plain=plain), "table")
    shown = capsys.readouterr().out
    assert shown.count("0.00%") - shown.count("100.00%") == 2
    assert "-0" not in shown


@pytest.mark.full
def test_a_layer_whose_name_has_brackets(here, asked, tmp_path):
    planes(tmp_path / "net.onnx", name="maps[1]")
    record = json.loads(here("evaluate", *asked, "--without", "maps[1]", "--json").out)
    assert record["top1"] == 2 / 6
    record = json.loads(here("evaluate", *asked, "--without", "maps[1][1]", "--json").out)
    assert record["top1"] == 1 / 2


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (4, "no layer is called 'map'", ["--without", "map"]),
        (4, "the nearest: ", ["--without", "map[1]"]),
        (4, "its scores do not depend on 'aside'", ["--without", "aside"]),
        (2, "maps[3]: there is no map 3: the layer has 3 (0 to 2)", ["--without", "maps[3]"]),
        (2, "no map stands between the brackets", ["--without", "maps[]"]),
        (2, "no choice of maps: '1-2-3'", ["--without", "maps[1-2-3]"]),
        (2, "--each: nothing is silenced", ["--each"]),
        (2, "--fill: nothing is silenced", ["--fill", "zero"]),
        (2, "--output: a figure is of --each", ["--without", "maps", "-o", "bars.png"]),
        (2, "--output: a figure is a .png", ["--without", "maps", "--each", "-o", "bars.gif"]),
        (2, "--each makes many", ["--without", "maps", "--each", "--confusion", "c.csv"]),
    ],
)
def test_errors(here, asked, code, reason, arguments):
    done = here("evaluate", *asked, *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
