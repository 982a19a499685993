"""Logs of ``evaluate`` and ``activations``: what a second run makes of a first that was cut off."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from small import colours

pytest.importorskip("onnxruntime")

COLOURS = ("red", "green", "blue")


@pytest.fixture
def photos(tmp_path):
    """Eight noisy photos of three classes, and one that is none."""
    colours(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nsomething else\n")
    rng = np.random.default_rng(0)
    for number, place in enumerate((0, 0, 0, 1, 1, 2, 2, 2)):
        pixels = rng.integers(0, 200, (9, 9, 3), np.uint8)
        pixels[..., place if number % 3 else 2 - place] += 55
        file = tmp_path / "photos" / ("red", "green", "other")[place] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (tmp_path / "photos" / "green" / "bad.png").write_text("none")
    return tmp_path / "photos"


def lines_of(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def good(log):
    return [line for line in lines_of(log) if line.get("code") == 0]


def tear(log, whole):
    """Leave of a log what a run leaves that is killed in the line after some that are whole."""
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: whole + 1]) + lines[whole + 1][:20])


def told(done):
    """How many were done, skipped and failed."""
    words = next(line for line in done.err.splitlines() if " skipped, " in line).split()
    return int(words[-9]), int(words[-7]), int(words[-5])


@pytest.fixture
def evaluate(here, photos, tmp_path):
    def call(*more, source="photos", code=1):
        fixed = ("-m", "net.onnx", "--labels", "names.txt", "--preprocess", "unit")
        return here("evaluate", *fixed, source, "--log", "log.jsonl", *more, code=code)

    return call


@pytest.mark.parametrize("form", [(), ("--json",)], ids=str)
def test_evaluate_ends_with_the_same_figures(evaluate, tmp_path, form):
    log, matrix = tmp_path / "log.jsonl", tmp_path / "matrix.csv"
    more = (*form, "--confusion", matrix.name)
    first = evaluate(*more)
    whole, lines, file = first.out, lines_of(log), matrix.read_bytes()
    assert told(first) == (8, 0, 1)
    assert b"rest" in whole or b"ROC" in whole
    for cut in (0, 2, 6):  # the fourth line is of the bad one
        tear(log, cut)
        matrix.unlink()
        done = evaluate(*more, "--resume")
        assert (done.out, matrix.read_bytes(), lines_of(log)[:-1]) == (whole, file, lines[:-1])
    done = evaluate(*more, "--resume")  # what it wrote itself, it may replace
    assert (told(done), done.out) == ((0, 8, 1), whole)
    matrix.write_text("somebody else's")
    assert "exists already" in evaluate(*more, "--resume", code=6).err


def test_lines_of_evaluate_hold_what_was_counted(evaluate, tmp_path):
    evaluate()
    one = good(tmp_path / "log.jsonl")[0]["result"]
    assert list(one) == ["input", "truth", "rank", "rest", "classes", "predictions"]
    ranks = {guess["index"]: guess["rank"] for guess in one["predictions"]}
    assert (one["truth"], one["rank"], one["classes"]) == (1, ranks[1], 3)
    assert one["rest"] == next(g["probability"] for g in one["predictions"] if g["index"] == 2)


@pytest.mark.full
def test_evaluate_does_again_what_has_changed(evaluate, photos, tmp_path, monkeypatch):
    evaluate()
    os.utime(photos / "red" / "0.png", (1, 1))
    assert told(evaluate("--resume")) == (1, 7, 1)
    (photos / "red" / "1.png").rename(photos / "green" / "1.png")
    assert told(evaluate("--resume", "--within", "100", "--min-top1", "0")) == (1, 7, 1)
    assert told(evaluate("--resume", "--batch", "2")) == (8, 0, 1)
    monkeypatch.setattr("cnntool.cli.batch_log.__version__", "0.0.1")
    assert told(evaluate("--resume", "--batch", "2")) == (8, 0, 1)
    (tmp_path / "names.txt").write_text("red\ngreen\nblue or something\n")
    (photos / "other").rename(photos / "2")
    assert told(evaluate("--resume", "--batch", "2")) == (8, 0, 1)
    colours(tmp_path / "net.onnx", before=[("Mul", 0.5)])
    assert told(evaluate("--resume", "--batch", "2")) == (8, 0, 1)


def test_a_class_that_a_table_corrects_is_judged_anew(evaluate, tmp_path):
    table = tmp_path / "table.csv"
    rows = [
        f"photos/{name},{label}" for name, label in (("red/0.png", "red"), ("red/1.png", "red"))
    ]
    table.write_text("\n".join(rows))
    evaluate(source="table.csv", code=0)
    table.write_text("\n".join([rows[0], rows[1].replace(",red", ",green")]))
    done = evaluate("--resume", source="table.csv", code=0)
    assert told(done) == (1, 1, 0)
    (tmp_path / "log.jsonl").unlink()
    assert evaluate(source="table.csv", code=0).out == done.out


def test_a_missed_figure_leaves_a_whole_log(evaluate, tmp_path):
    evaluate("--min-top1", "1", code=7)
    assert told(evaluate("--resume")) == (0, 8, 1)


def test_evaluate_refuses_logs_of_silenced_networks(evaluate, tmp_path):
    done = evaluate("--without", "conv", code=2)
    assert "of the network as it is" in done.err
    assert not (tmp_path / "log.jsonl").exists()


@pytest.fixture
def activations(here, photos):
    def call(*more, code=1):
        verb = ("activations", "photos", "-r", "-m", "net.onnx", "--preprocess", "unit")
        return here(*verb, "--log", "log.jsonl", *more, code=code)

    return call


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "more",
    [
        ("--all", "-o", "out/"),
        ("--all", "-o", "out/", "--raw", "npz", "--json"),
        ("--all", "--stats-only"),
        ("--all", "--stats-only", "--json"),
        pytest.param(("-l", "means", "-o", "out/", "--raw", "npy"), marks=pytest.mark.full),
        pytest.param(("--all", "--json"), marks=pytest.mark.full),
    ],
    ids=" ".join,
)
def test_activations_end_with_the_same_files(activations, tmp_path, more):
    """Two were done; of the third, a file of several may have been written."""
    log = tmp_path / "log.jsonl"
    first = activations(*more)
    lines, files = lines_of(log), files_of(tmp_path)
    assert told(first) == (8, 0, 1)
    outputs = [line.get("output") or [] for line in lines]
    left, later = (np.hstack([*outputs[a:b], []]).tolist() for a, b in ((0, 3), (3, None)))
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    tear(log, 2)
    for name in later:
        (tmp_path / name).unlink()
    if later:
        with log.open("ab") as file:
            file.write(b"\n" + json.dumps({"begin": later[0]}).encode() + b"\n")
        (tmp_path / later[0]).write_text("half")
    done = activations(*more, "--resume")
    assert (told(done), done.out) == ((6, 2, 1), first.out)
    assert times == {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    assert {**files_of(tmp_path), log: b""} == {**files, log: b""}
    done = activations(*more, "--resume")
    assert (told(done), done.out) == ((0, 8, 1), first.out)
    results = [
        [one["result"] for one in found if one.get("code") == 0] for found in (lines, lines_of(log))
    ]
    assert results[0] == results[1]


@pytest.mark.full
def test_activations_do_again_what_has_changed(activations, photos, tmp_path, monkeypatch):
    more = ("--all", "-o", "out/", "--resume")
    activations(*more)
    os.utime(photos / "red" / "0.png", (1, 1))
    next((tmp_path / "out" / "green").rglob("*.png")).unlink()
    assert told(activations(*more, code=None)) == (2, 6, 1)
    assert told(activations(*more, "--cols", "2")) == (8, 0, 1)
    monkeypatch.setattr("cnntool.cli.batch_log.__version__", "0.0.1")
    assert told(activations(*more, "--cols", "2")) == (8, 0, 1)
    colours(tmp_path / "net.onnx", before=[("Mul", 0.5)])
    assert told(activations(*more, "--cols", "2", "--overwrite")) == (8, 0, 1)


@pytest.mark.parametrize("option", ["--average", "--top-patches", "--show", "--report"])
def test_activations_refuse_logs_of_what_is_not_of_each_picture(activations, tmp_path, option):
    value = ["page.html"] if option == "--report" else []
    done = activations(option, *value, code=2)
    assert len(done.err.splitlines()) <= 2
    assert not (tmp_path / "log.jsonl").exists()
