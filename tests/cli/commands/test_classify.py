"""``classify`` through the command line: formats, inputs, networks, errors."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import colours, picture_net, several

from cnntool.cli.commands import classify
from cnntool.nets.inference.classify import Prediction

pytest.importorskip("onnxruntime")

SHARED = Path(__file__).parents[3].parent / "shared"
REFERENCE = Path(__file__).parents[2] / "nets" / "reference.py"


def paint(path, colour, size=(12, 9)):
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def three(tmp_path):
    """Three one-coloured pictures and a network that names them."""
    for name, colour in (("b", (0, 0, 255)), ("g", (0, 255, 0)), ("r", (255, 0, 0))):
        paint(tmp_path / f"{name}.png", colour)
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    colours(tmp_path / "net.onnx")
    return ("-m", "net.onnx", "--labels", "names.txt", "--preprocess", "unit")


def test_tab_separated_lines(cnntool, three):
    done = cnntool("classify", *three, "--top", "2", "r.png", "g.png")
    lines = [line.split("\t") for line in done.text.splitlines()]
    assert [line[:2] + line[3:] for line in lines] == [
        ["r.png", "1", "red", "0", ""],
        ["r.png", "2", "green", "1", ""],
        ["g.png", "1", "green", "1", ""],
        ["g.png", "2", "red", "0", ""],
    ]
    likely = np.exp(10) / (np.exp(10) + 2)
    assert float(lines[0][2]) == pytest.approx(likely, abs=1e-6)
    assert done.err == (
        "cnntool: note: net.onnx: assumed the shorter side resized to 8, the centre cut"
        " (--resize, --crop)\n"
    )


def test_json_records(cnntool, three, tmp_path):
    done = cnntool("classify", *three, "--json", "--device", "cpu", "b.png")
    record = json.loads(done.out)
    assert record["input"] == "b.png"
    assert record["model"] == {
        "name": "net.onnx",
        "file": "net.onnx",
        "sha256": hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest(),
    }
    assert (record["device"], record["provider"]) == ("cpu", "CPUExecutionProvider")
    assert record["preprocessing"]["white"] == 1.0
    assert record["preprocessing"]["size"] == [8, 8]
    best = record["predictions"][0]
    assert (best["rank"], best["index"], best["label"], best["wordnet"]) == (1, 2, "blue", None)
    assert best["logit"] == pytest.approx(10, abs=1e-5)
    assert record["milliseconds"] > 0


def test_other_formats(cnntool, three):
    both = ("classify", *three, "--top", "1", "-q", "r.png", "g.png")
    rows = list(csv.reader(io.StringIO(cnntool(*both, "--format", "csv").text)))
    assert rows[0] == ["input", "rank", "probability", "label", "index", "wordnet"]
    assert [row[3] for row in rows[1:]] == ["red", "green"]
    records = json.loads(cnntool(*both, "--format", "json").out)
    assert [r["predictions"][0]["label"] for r in records] == ["red", "green"]
    table = cnntool(*both, "--format", "table").text
    assert table.splitlines()[0] == "r.png"
    assert "99.99%" in table
    assert "█" * 20 in table


def test_the_built_in_network_knows_a_cat(cnntool, samples):
    done = cnntool("classify", samples / "cat.png", "--json")
    record = json.loads(done.out)
    assert record["predictions"][0]["label"] == "cat"
    assert record["predictions"][0]["wordnet"] == "n02121620"
    assert record["predictions"][0]["probability"] > 0.6
    assert done.err == ""


@pytest.mark.parametrize(
    ("label", "probability", "said"),
    [("cat", 0.51, False), ("cat", 0.5, True), ("something else", 0.9, True)],
)
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.full
def test_what_it_does_not_know_is_followed_by_advice(  # noqa: PLR0917
    here, three, label, probability, said, terminal, monkeypatch
):
    # fmt: off
    monkeypatch.setattr("cnntool.nets.inference.classify.top", lambda *_: [
        Prediction(0, label, "", probability, None)
    ])
    # fmt: on
    monkeypatch.setattr(classify.sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("cnntool.cli.console.Progress.DELAY", 60.0)
    note = (
        "cnntool: note: 'cnntool models info vgg16-mini' lists the classes that it knows,"
        " 'cnntool models pull mobilenetv2' (14 MB) gets a network of 1,000\n"
    )
    done = here("classify", "r.png", "g.png")
    assert done.err == (note if said and terminal else "")
    assert here("classify", "-q", "r.png").err == ""
    assert note not in here("classify", *three, "r.png").err


def test_stdin_and_folders(cnntool, three, tmp_path):
    data = (tmp_path / "g.png").read_bytes()
    done = cnntool("classify", *three, "--top", "1", stdin=data)
    assert done.text.split("\t")[0::3] == ["<stdin>", "green"]
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("b.png", "r.png"):
        shutil.copy(tmp_path / name, folder)
    (folder / "notes.csv").write_text("1,2\n")
    lines = cnntool("classify", *three, "--top", "1", folder).text.splitlines()
    assert [line.split("\t")[3] for line in lines] == ["blue", "red"]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("fixed", ["N", 1, 2])
@pytest.mark.full
def test_batches_change_nothing(here, tmp_path, batch, fixed):
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    colours(tmp_path / "net.onnx", batch=fixed)
    files = [f"{number}.png" for number in range(5)]
    usual = ("classify", "-q", "-m", "net.onnx", "--preprocess", "raw", "--format", "jsonl", *files)

    def answers(*arguments):
        records = [json.loads(line) for line in here(*usual, *arguments).out.splitlines()]
        return [(r["input"], r["predictions"]) for r in records]

    found = answers("--batch", str(batch))
    assert [name for name, _ in found] == files
    for (_, ours), name in zip(found, files, strict=True):
        means = np.asarray(Image.open(tmp_path / name), np.float64).mean((0, 1)) * 10
        assert ours[0]["index"] == int(means.argmax())
        assert ours[0]["logit"] == pytest.approx(means.max(), rel=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"layout": "NHWC", "dtype": "uint8", "batch": 1},
        {"dtype": "float16"},
        {"softmax": False},
        {"tail": [("four",)]},
        {"tail": [("quantise", 1 / 256, 0)]},
        {"background": True},
        {"side": "S"},
    ],
)
def test_any_form_of_network(here, three, tmp_path, settings):
    colours(tmp_path / "net.onnx", **settings)
    three = (*three[:-1], "raw" if settings.get("dtype") == "uint8" else "unit")
    done = here("classify", "-q", *three, "--json", "g.png")
    best = json.loads(done.out)["predictions"][0]
    assert (best["index"], best["label"]) == (1, "green")
    assert best["probability"] == pytest.approx(1, abs=5e-3)
    assert best["logit"] is not None


@pytest.mark.full
def test_what_the_user_says_of_the_colours_holds(here, three, tmp_path):
    colours(tmp_path / "net.onnx", softmax=False)
    paint(tmp_path / "x.png", (255, 51, 0))

    def logits(*arguments):
        done = here("classify", "-q", "-m", "net.onnx", "--json", "x.png", *arguments)
        found = json.loads(done.out)["predictions"]
        return [p["logit"] for p in sorted(found, key=lambda p: p["index"])]

    unit = ("--preprocess", "unit")
    for arguments, expected in (
        (unit, [10, 2, 0]),
        ((*unit, "--channel-order", "bgr"), [0, 2, 10]),
        ((*unit, "--mean", "0.2", "--std", "0.5,1,2"), [16, 0, -1]),
        (("--preprocess", "tf"), [10, -6, -10]),
        (("--preprocess", "caffe"), [-1039.39, -657.79, 1313.2]),
    ):
        assert logits(*arguments) == pytest.approx(expected, abs=1e-3)


@pytest.mark.full
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("softmax", [True, False])
def test_scores_that_are_no_numbers_are_not_ranked(here, three, tmp_path, value, softmax):
    colours(tmp_path / "net.onnx", before=[("Mul", value)], softmax=softmax)
    done = here("classify", "-q", *three, "r.png", code=4)
    assert done.out == b""
    assert done.err.startswith("cnntool: error: r.png: net.onnx: ")
    assert "of its 3 scores are NaN or infinite: the first comes from Mul" in done.err
    assert done.err.count("\n") == 1
    done = here("classify", "-q", *three, "--json", "r.png", "g.png", code=1)
    assert (done.out, len(done.err.splitlines())) == (b"", 2)
    assert here("classify", "-q", *three, "r.png", "g.png", "--fail-fast", code=4).out == b""


def test_an_output_is_chosen(here, three, tmp_path):
    one, other = np.eye(3, dtype=np.float32)[None, 0] * 9, np.eye(3, dtype=np.float32)[None, 2] * 9
    several(tmp_path / "net.onnx", [("first", one), ("second", other)])
    usual = ("classify", *three, "--top", "1", "g.png")
    done = here(*usual)
    assert done.text.split("\t")[3] == "red"
    assert "assumed output first, of 2 (--output-name)" in done.err
    done = here(*usual, "--output-name", "second")
    assert done.text.split("\t")[3] == "blue"
    assert "output" not in done.err
    assert "it has no output 'third'" in here(*usual, "--output-name", "third", code=4).err


def test_a_bad_picture_is_reported_and_skipped(cnntool, three, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    files = ("r.png", "bad.png", "g.png")
    done = cnntool("classify", "-q", *three, "--top", "1", *files, check=False)
    assert done.code == 1
    assert [line.split("\t")[0] for line in done.text.splitlines()] == ["r.png", "g.png"]
    assert done.err.startswith("cnntool: error: bad.png: ")
    assert len(done.err.splitlines()) <= 2
    done = cnntool("classify", "-q", *three, "bad.png", "g.png", "--fail-fast", check=False)
    assert (done.code, done.out) == (3, b"")


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (3, "nowhere.png: no such file", ["nowhere.png"]),
        (4, "no model is called 'vgg16-mni'", ["-m", "vgg16-mni", "r.png"]),
        (4, "resnet50: is not here yet", ["-m", "resnet50", "r.png"]),
        (4, "nowhere.onnx: no such file", ["-m", "nowhere.onnx", "r.png"]),
        (
            4,
            "it gives no class scores, but output (1 x 3 x 8 x 8): a picture",
            ["-m", "picture.onnx", "r.png"],
        ),
        (4, "with 3 scores, and 5 classes", ["-m", "net.onnx", "--labels", "five.txt", "r.png"]),
        (4, "truncated.onnx", ["-m", "truncated.onnx", "r.png"]),
        (4, "r.png", ["-m", "./r.png", "r.png"]),
        (5, "cuda", ["--device", "cuda:77", "r.png"]),
        (2, "no device is called 'cpuu'", ["--device", "cpuu", "r.png"]),
        (2, "--crop", ["-m", "net.onnx", "--crop", "9", "r.png"]),
        (2, "'1,2' is not one number or three", ["--mean", "1,2", "r.png"]),
        (
            2,
            "--mean: 104, 117, 123 cannot be the mean",
            ["--mean", "104,117,123", "-m", "net.onnx"],
        ),
        (2, "a deviation is above 0", ["--std", "0", "r.png"]),
        (2, "'imagnet' is not one of", ["--preprocess", "imagnet", "r.png"]),
    ],
)
def test_errors(fails, three, tmp_path, code, reason, arguments):  # noqa: PLR0917
    picture_net(tmp_path / "picture.onnx")
    data = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "truncated.onnx").write_bytes(data[: len(data) // 2])
    (tmp_path / "five.txt").write_text("1\n2\n3\n4\n5\n")
    store = {"CNNTOOL_MODELS_DIR": str(tmp_path / "store")}
    assert reason in fails(code, "classify", "-q", *arguments, env={**os.environ, **store})


def test_settings_of_the_environment_and_the_config_file(cnntool, three, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "cnntool").mkdir(parents=True)
    config = tmp_path / "config" / "cnntool" / "config.toml"
    config.write_text(f'model = "{(tmp_path / "net.onnx").as_posix()}"\n')
    usual = ("classify", *three[2:], "--json", "-q", "r.png")
    assert json.loads(cnntool(*usual).out)["predictions"][0]["label"] == "red"
    monkeypatch.setenv("CNNTOOL_MODEL", "vgg16-mini")
    names = cnntool("classify", "--json", "-q", "r.png")
    assert json.loads(names.out)["model"]["name"] == "vgg16-mini"
    assert json.loads(cnntool(*usual, "-m", "net.onnx").out)["model"]["name"] == "net.onnx"


@pytest.mark.full
@pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="needs the public networks")
@pytest.mark.parametrize(
    ("name", "recipe", "least", "options"),
    [
        ("squeezenet1.0-fp16", "caffe", 35, ["--preprocess", "caffe", "--mean", "104,117,123"]),
        ("mobilenetv2-nhwc-u8", "raw", 53, []),
        ("mobilenetv2-nhwc-u8-qdq", "raw", 53, []),
    ],
)
def test_real_networks_answer_as_a_plain_script_does(cnntool, name, recipe, least, options):
    model = SHARED / "models" / f"{name}.onnx"
    folder = SHARED / "images" / "imagenet"
    photos = sorted(folder.glob("*.jpg"))
    done = cnntool("classify", "-q", "-m", model, *options, "--top", "1", folder)
    ours = [int(line.split("\t")[4]) for line in done.text.splitlines()]
    command = [sys.executable, str(REFERENCE), str(model), recipe, *map(str, photos)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    theirs = [int(line) - (recipe == "raw") for line in output.split()]
    assert ours == theirs
    truths = [int(photo.name.split("_")[0]) for photo in photos]
    assert sum(a == b for a, b in zip(ours, truths, strict=True)) >= least
