"""``diff`` through the command line: what is compared, tables, records, pictures, errors."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from pairs import chain, quantised, scaled
from PIL import Image

pytest.importorskip("onnxruntime")

GOLDEN = Path(__file__).parents[2] / "golden" / "diff.txt"
KEYS = {
    "a", "b", "photos", "precision", "tolerance", "layers", "first", "only_a", "only_b", "outputs",
    "nodes_to_exclude",
}  # fmt: skip


@pytest.fixture
def two(tmp_path, inside):
    """Two networks of which one has a channel scaled, and two photos."""
    chain(tmp_path / "a.onnx")
    chain(tmp_path / "b.onnx", change=scaled(2, 5))
    for number in (1, 2):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")


def lines(done):
    return [line.split("\t") for line in done.text.splitlines()]


def test_lines_in_a_pipe(here, two):
    done = here("diff", "a.onnx", "b.onnx", "1.png")
    rows = lines(done)
    assert {len(row) for row in rows} == {21}
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[2][1:6] == ["block1_conv2", "block1_conv2", "conv", "weights", "8x8x8"]
    assert [row[-1] for row in rows] == ["", "", "diverges", "", "", ""]
    assert "cnntool: note: the first that diverges: block1_conv2 (own error 0." in done.err
    assert "answers: SQNR " in done.err


def test_records(here, two):
    record = json.loads(here("diff", "-q", "a.onnx", "b.onnx", "1.png", "2.png", "--json").out)
    assert {*record} == KEYS
    assert record["photos"] == ["1.png", "2.png"]
    assert record["first"] == "block1_conv2"
    assert record["layers"][1]["sqnr"] is None  # no difference
    assert record["layers"][1]["error"] == 0
    assert record["outputs"]["photos"] == 2
    assert record["a"]["sha256"] != record["b"]["sha256"]
    assert record["a"]["device"] == "cpu"


def test_of_several_photos_people_see_the_worst(here, two, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "250")
    assert "worst" in here("diff", "-q", "a.onnx", "b.onnx", "1.png", "2.png").text


def test_equal_files_are_equal(here, two):
    done = here("diff", "a.onnx", "a.onnx", "1.png", "--min-sqnr", "inf", "--min-agreement", "1")
    assert "cnntool: note: no difference\n" in done.err


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["a.onnx", "--optimise", "none,all", "1.png"], 7),
        (["a.onnx", "--device", "cpu,cpu", "1.png"], 7),
        (["-m", "a.onnx", "1.png", "2.png"], 7),
        (["-m", "a.onnx", "--optimise", "none,basic", "1.png", "2.png"], 7),
        (["a.onnx", "b.onnx", "--optimise", "none,all", "1.png"], 6),
    ],
)
def test_what_is_compared(here, two, arguments, rows):
    assert len(lines(here("diff", "-q", *arguments))) == rows


def test_two_pictures_differ_from_the_first_row_on(here, two):
    done = here("diff", "-m", "a.onnx", "1.png", "2.png")
    rows = lines(done)
    assert rows[0][-1] == "diverges"
    assert rows[0][11] == "1.png | 2.png"
    assert all(row[15] == "0" for row in rows[1:])


def test_demands(fails, here, two):
    here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--min-sqnr", "3", "--min-agreement", "0%")
    done = here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--min-sqnr", "inf", code=7)
    assert done.err.startswith("cnntool: error: SQNR of the answers is ")
    assert done.err.endswith(" dB, and inf dB were demanded\n")
    assert len(lines(done)) == 6


def test_channels(here, two):
    rows = lines(here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--per-channel", "block1_conv2"))
    assert rows[0][0] == "5"
    assert rows[0][2] == rows[0][7] == "0.5"
    assert {row[2] for row in rows[1:]} == {"0"}
    asked = ("diff", "-q", "a.onnx", "b.onnx", "1.png", "--per-channel", "conv:2", "--json")
    record = json.loads(here(*asked).out)
    assert (record["name_a"], record["channels"][0]["channel"]) == ("block1_conv2", 5)


def test_pictures(here, two, tmp_path):
    done = here("diff", "a.onnx", "b.onnx", "1.png", "-o", "first.png")
    assert "block1_conv2 is drawn in first.png" in done.err
    with Image.open(tmp_path / "first.png") as sheet:
        assert sheet.mode == "RGB"
    here("diff", "-q", "a.onnx", "b.onnx", "1.png", "-o", "all", "-l", "conv:1", "-l", "conv:4")
    here("diff", "-q", "a.onnx", "b.onnx", "1.png", "-o", "first.jpg")
    with Image.open(tmp_path / "first.jpg") as sheet:
        assert sheet.format == "JPEG"
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        "01-block1_conv1.png",
        "04-block1_conv4.png",
    ]


def test_eight_bits(here, two, tmp_path):
    quantised(tmp_path / "q.onnx", tmp_path / "a.onnx")
    done = here("diff", "a.onnx", "q.onnx", "1.png")
    assert "nodes_to_exclude, the worst first: conv_" in done.err
    record = json.loads(here("diff", "-q", "a.onnx", "q.onnx", "1.png", "--json").out)
    assert sorted(record["nodes_to_exclude"]) == [f"conv_{number}" for number in range(1, 5)]


def test_answers(here, two, tmp_path):
    chain(tmp_path / "more.onnx", widths=(3, 6, 8, 8, 11))
    done = here("diff", "a.onnx", "more.onnx", "1.png")
    assert "the answers are of different sizes, and were not compared" in done.err

    def spoil(weights):
        weights["b4"][:] = np.nan

    chain(tmp_path / "nan.onnx", change=spoil)
    done = here("diff", "a.onnx", "nan.onnx", "1.png", "--min-agreement", "1%", code=7)
    said = "the same class of 0 of 1 photo (0.00%), NaN or infinity for the classes of 1 photo"
    assert said in done.err
    done = here("diff", "a.onnx", "nan.onnx", "1.png", "--min-sqnr", "1", code=7)
    said = "values NaN or infinite on one side only, and 1 dB were demanded"
    assert said in done.err


def test_weights(here, two):
    done = here("diff", "a.onnx", "b.onnx", "--weights")
    rows = {(row[0], row[2]): row for row in lines(done)}
    assert len(rows) == 8
    assert rows["block1_conv2", "weights"][3:5] == ["8x6x3x3", "8x6x3x3"]
    changed = {key for key, row in rows.items() if row[6] != "0"}
    assert changed == {("block1_conv2", "weights"), ("block1_conv2", "bias")}
    assert "cnntool: note: 2 of 8 parameters differ\n" in done.err
    record = json.loads(here("diff", "-q", "a.onnx", "a.onnx", "--weights", "--json").out)
    assert record["equal"]
    assert record["same_file"]
    here("diff", "-q", "a.onnx", "a.onnx", "--weights", "--min-sqnr", "inf")
    done = here("diff", "-q", "a.onnx", "b.onnx", "--weights", "--min-sqnr", "inf", code=7)
    assert "dB, and inf dB were demanded" in done.err


def test_weights_of_other_spellings(here, two, tmp_path):
    quantised(tmp_path / "q.onnx", tmp_path / "a.onnx")
    rows = lines(here("diff", "-q", "a.onnx", "q.onnx", "--weights"))
    assert [row[2] for row in rows] == ["weights", "bias"] * 4
    assert all(30 < float(row[5]) < 50 for row in rows[::2])
    assert all(row[5] == "inf" for row in rows[1::2])


def test_partners_by_hand(here, two, tmp_path):
    (tmp_path / "map.txt").write_text("conv_1\tconv_1\n\nconv_2 conv_2\n")
    rows = lines(here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--map", "map.txt"))
    assert [row[4] for row in rows][1:3] == ["map", "map"]
    (tmp_path / "notepad.txt").write_text("conv_1 conv_1\n", encoding="utf-8-sig")
    rows = lines(here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--map", "notepad.txt"))
    assert rows[1][4] == "map"


@pytest.mark.parametrize(
    ("code", "arguments", "reason"),
    [
        (2, [], "no network was named"),
        (2, ["a.onnx"], "one network alone has nothing to be compared with"),
        (2, ["a.onnx", "b.onnx", "a.onnx"], "two networks are compared, and a.onnx is another one"),
        (2, ["-m", "a.onnx", "1.png"], "-m NET compares two pictures, not 1"),
        (2, ["a.onnx", "b.onnx", "1.png", "-l", "conv:1"], "--layer says what --output draws"),
        (2, ["a.onnx", "b.onnx", "1.png", "--map", "bad.txt"], "bad.txt: line 1 does not hold two"),
        (2, ["a.onnx", "b.onnx", "1.png", "--map", "no.txt"], "no.txt: no such file"),
        (2, ["a.onnx", "--device", "cpu,cpu,cpu", "1.png"], "are 3, and two are compared"),
        (2, ["a.onnx", "--optimise", "most", "1.png"], "'most' is no level"),
        (2, ["a.onnx", "b.onnx", "1.png", "--tolerance", "-1"], "-1.0 is not in the range"),
        (2, ["a.onnx", "b.onnx", "1.png", "--tolerance", "nan"], "'nan' is no number"),
        (2, ["a.onnx", "b.onnx", "1.png", "--min-sqnr", "nan"], "'nan' is no number"),
        (2, ["a.onnx", "--weights"], "--weights compares two networks, not 1"),
        (2, ["a.onnx", "b.onnx", "--weights", "-o", "x"], "--weights compares two files"),
        (3, ["a.onnx", "b.onnx", "no.png"], "no.png: no such file"),
        (4, ["a.onnx", "1.png"], "1.png"),
        (4, ["a.onnx", "no.onnx", "1.png"], "no.onnx: no such file"),
        (4, ["a.onnx", "nothing", "1.png"], "no model is called 'nothing'"),
        (4, ["a.onnx", "b.onnx", "1.png", "--per-channel", "conv:9"], "conv:9"),
        (4, ["a.onnx", "wide.onnx", "1.png"], "their inputs differ: 3 x 8 x 8 and 3 x 16 x 16"),
        (6, ["a.onnx", "b.onnx", "1.png", "-o", "1.png"], "1.png: it exists already"),
    ],
)
def test_bad_input_is_one_line(here, two, tmp_path, *, code, arguments, reason):
    (tmp_path / "bad.txt").write_text("one two three\n")
    chain(tmp_path / "wide.onnx", side=16)
    done = here("diff", "-q", *arguments, code=code)
    assert reason in done.err.splitlines()[0]
    assert len(done.err.splitlines()) <= 2
    assert done.err.count("error: ") == 1


def test_table(two, tmp_path, monkeypatch, capsys):
    """What people see; after a change that is meant, run this with UPDATE_GOLDEN=1."""
    from cnntool.cli.main import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["diff", "-q", "a.onnx", "b.onnx", "1.png"]) == 0
    shown = re.sub(r"\x1b\[\d*m| +$", "", capsys.readouterr().out, flags=re.MULTILINE)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(shown)
    assert shown == GOLDEN.read_text()


def test_the_page_of_a_comparison(here, two, tmp_path, monkeypatch):
    monkeypatch.setattr("cnntool.api.difference_page.MAPS", 2)
    done = here("diff", "-q", "a.onnx", "b.onnx", "1.png", "2.png", "--html", "page.html")
    rows = [row for row in lines(done) if row[0].isdecimal()]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<section") == len(rows)
    assert text.count('alt="Maps of both networks') == len(rows)
    diverging = [row[1] for row in rows if row[-1] == "diverges"]
    (coloured,) = re.findall(r'<tr class="error-[45]"><th[^>]*>\s*<a[^>]*>([^<]*)', text)
    assert [coloured] == diverging
    assert f"the first that diverges: {coloured}" in text
    assert "1.png" in text
    assert {int(count) for count in re.findall(r"the 2 of (\d+) maps that differ most", text)} == {
        int(row[5].partition("x")[0]) for row in rows
    } - {1, 2}
    refused = here("diff", "-q", "a.onnx", "b.onnx", "1.png", "--html", "page.html", code=6)
    assert "page.html: it exists already" in refused.err


def test_the_page_colours_layers_by_their_own_error_beside_the_tolerance(here, two, tmp_path):
    usual = ("diff", "-q", "a.onnx", "b.onnx", "1.png", "--html", "page.html", "--overwrite")
    own = {row[1]: float(row[15]) for row in lines(here(*usual)) if row[-1] == "diverges"}
    (name, error), *_ = own.items()
    for share, grade in ((0.2, 2), (0.7, 3), (4.9, 4), (5.1, 5)):
        here(*usual, "--tolerance", str(error / share))
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        found = re.search(rf'<tr class="error-(.)"><th[^>]*>\s*<a[^>]*>{re.escape(name)}<', text)
        assert found[1] == str(grade)
