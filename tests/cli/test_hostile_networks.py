"""Networks, labels and tables that are not what they should be, through the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from small import colours, map_net, save

pytest.importorskip("onnxruntime")

FLOAT = TensorProto.FLOAT
GUESS = ("-q", "-m", "net.onnx", "--preprocess", "unit")


def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def mean_net(path, shape, *, out, keepdims=0, axes=(2, 3)):
    """Write a network that gives the mean colours."""
    node = helper.make_node("ReduceMean", ["input"], ["out"], axes=list(axes), keepdims=keepdims)
    return save(path, [node], [info("input", shape)], [info("out", out)])


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.new("RGB", (9, 9), (0, 0, 255)).save(path)
    return path


def refusal(done) -> str:
    lines = done.err.splitlines()
    assert lines[0].startswith("cnntool: error: ")
    assert "unexpected" not in lines[0]
    assert len(lines) == 1 or lines[1].startswith("cnntool: hint: ")
    return lines[0]


@pytest.mark.parametrize(
    "shape",
    [
        [1, 4, 8, 8],
        [1, 8, 8, 4],
        [1, 3, 100_000, 8],
        [1, 8, 100_000, 3],
        [1_000_000, 3, 8, 8],
    ],
)
def test_inputs_that_no_picture_fills(here, picture, tmp_path, shape):
    mean_net(tmp_path / "net.onnx", shape, out=[shape[0], None])
    line = refusal(here("classify", *GUESS, "picture.png", code=4))
    assert f"its input 'input' ({' x '.join(map(str, shape))}) is no picture" in line


def test_an_answer_without_the_axis_of_the_batch(here, picture, tmp_path):
    mean_net(tmp_path / "net.onnx", [1, 3, 8, 8], out=[3], axes=(0, 2, 3))
    record = json.loads(here("classify", *GUESS, "picture.png", "--json").out)
    assert [one["index"] for one in record["predictions"]] == [2, 0, 1]
    assert record["predictions"][0]["probability"] == 1


def test_answers_that_are_none(here, picture, tmp_path):
    weights = [("more", np.array([5, 3, 8, 8], np.int64))]
    node = helper.make_node("Expand", ["input", "more"], ["out"])
    save(tmp_path / "net.onnx", [node], [info("input", [1, 3, 8, 8])], [info("out", None)], weights)
    assert "not a score for each class" in refusal(here("classify", *GUESS, "picture.png", code=4))
    weights = [("none", np.array([0, 0], np.int64)), ("one", np.array([1, 0], np.int64))]
    node = helper.make_node("Slice", ["input", "none", "one"], ["out"])
    save(tmp_path / "net.onnx", [node], [info("input", [1, 3, 8, 8])], [info("out", None)], weights)
    assert "its answer is empty" in refusal(here("classify", *GUESS, "picture.png", code=4))


def test_a_map_is_no_list_of_scores(here, picture, tmp_path):
    weights = [("k", np.ones((2, 3, 1, 1), np.float32))]
    node = helper.make_node("Conv", ["input", "k"], ["out"])
    save(tmp_path / "net.onnx", [node], [info("input", [1, 3, 8, 8])], [info("out", None)], weights)
    (tmp_path / "list.csv").write_text("picture.png,2\n")
    for command in (("classify", "picture.png"), ("evaluate", "list.csv")):
        assert "not a score for each class" in refusal(here(*command, *GUESS, code=4))


@pytest.mark.full
@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_numbers_of_another_scale_are_no_picture(here, tmp_path, suffix):
    import tifffile

    mean_net(tmp_path / "net.onnx", [1, 3, 8, 8], out=[1, 3])
    numbers = np.linspace(0, 1, 192, dtype=np.float32).reshape(8, 8, 3)
    for factor, code in ((1, 0), (255, 3)):
        path = tmp_path / f"p{suffix}"
        if suffix == ".npy":
            np.save(path, numbers * factor)
        else:
            tifffile.imwrite(path, numbers * factor, photometric="rgb")
        done = here("classify", *GUESS, path.name, code=code)
        if code:
            assert "its numbers go from 0 to 255; as a picture they must lie" in refusal(done)
            assert done.err.endswith("hint: divide numbers of 0..255 by 255\n")
    tifffile.imwrite(tmp_path / "p.tif", numbers * 1.5 - 0.25, photometric="rgb")
    here("classify", *GUESS, "p.tif")  # sharpened pictures overshoot


def test_no_hint_names_an_option_that_is_not_there(here, tmp_path):
    np.save(tmp_path / "p.npy", np.array([[0, np.nan]], np.float32))
    done = here("classify", "-q", "p.npy", code=3)
    assert done.err == "cnntool: error: p.npy: NaN at row 0, column 1 (counted from 0)\n"


@pytest.mark.parametrize("kind", ["gif", "csv"])
def test_the_result_takes_a_format_that_holds_it(here, tmp_path, kind):
    map_net(tmp_path / "net.onnx")
    grey = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)
    if kind == "gif":
        Image.fromarray(grey).save(tmp_path / "p.gif")
    else:
        np.savetxt(tmp_path / "p.csv", grey / 255, delimiter=",")
    assert here("run", *GUESS, f"p.{kind}").text == "p.run.png\n"
    assert np.asarray(Image.open(tmp_path / "p.run.png")).shape == (8, 8, 3)


def test_classes_that_the_network_does_not_have(here, picture, tmp_path):
    mean_net(tmp_path / "net.onnx", [1, 3, 8, 8], out=[1, 3])
    (tmp_path / "good.csv").write_text("picture.png,2\n")
    assert here("evaluate", *GUESS, "good.csv").text.startswith("2\t1\t1\t1\t")
    (tmp_path / "bad.csv").write_text("picture.png,3\n")
    line = refusal(here("evaluate", *GUESS, "bad.csv", code=4))
    assert line == "cnntool: error: bad.csv: there is no class 3: the network tells 3 apart, from 0"
    (tmp_path / "bad.csv").write_text(f"picture.png,{'9' * 5000}\n")
    assert "nothing tells which class" in refusal(here("evaluate", *GUESS, "bad.csv", code=4))


@pytest.mark.full
def test_answers_that_are_no_numbers_are_not_counted(here, picture, tmp_path):
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Neg", ["mean"], ["negative"]),
        helper.make_node("Sqrt", ["negative"], ["out"]),
    ]
    save(tmp_path / "net.onnx", nodes, [info("input", [1, 3, 8, 8])], [info("out", [1, 3])])
    (tmp_path / "list.csv").write_text("picture.png,2\n")
    for verb in (("evaluate", *GUESS, "list.csv"), ("classify", *GUESS, "picture.png"),
                 ("explain", *GUESS, "picture.png", "--method", "saliency")):  # fmt: skip
        refused = refusal(here(*verb, code=4))
        assert "picture.png: net.onnx: 3 of its 3 scores are NaN or infinite: the first" in refused
        assert " comes from Sqrt 'out', which gets values from -" in refused


def test_a_confusion_matrix_that_cannot_be_written_is_known_before_the_work(
    here, picture, tmp_path, monkeypatch
):
    colours(tmp_path / "net.onnx")
    (tmp_path / "list.csv").write_text("picture.png,2\n")
    (tmp_path / "c.csv").write_text("mine")
    from cnntool.nets import network

    monkeypatch.setattr(network, "Network", None)
    arguments = ("evaluate", *GUESS, "list.csv", "--confusion")
    assert "it exists already" in refusal(here(*arguments, "c.csv", code=6))
    assert "no such folder" in refusal(here(*arguments, "none/c.csv", code=6))
    assert (tmp_path / "c.csv").read_text() == "mine"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")  # noqa: PTH110
def test_a_table_without_end(here):
    assert refusal(here("evaluate", "/dev/zero", code=3)).endswith("is larger than 64 MB")


def test_rows_are_counted_as_an_editor_counts_them(here, tmp_path):
    (tmp_path / "list.csv").write_text("path,class\na.png,cat\nb.png\n")
    assert "row 3 has 1 cell" in refusal(here("evaluate", "list.csv", code=3))


def test_lines_of_labels_end_where_editors_end_them(here, picture, tmp_path):
    colours(tmp_path / "net.onnx")
    (tmp_path / "l.txt").write_bytes("a\u2028a\nb\x0c\r\nc\x85c\r".encode())
    here("classify", *GUESS, "--labels", "l.txt", "--format", "csv", "picture.png", code=0)
    done = here("classify", *GUESS, "--labels", "l.txt", "--json", "picture.png")
    labels = {one["index"]: one["label"] for one in json.loads(done.out)["predictions"]}
    assert labels == {0: "a\u2028a", 1: "b", 2: "c\x85c"}


@pytest.mark.full
def test_labels_that_are_no_text(here, picture, tmp_path):
    colours(tmp_path / "net.onnx")
    (tmp_path / "l.json").write_text('["\\ud800", "\\u001b[31m", "b\\nc"]')
    (tmp_path / "list.csv").write_text("picture.png,2\n")
    given = (*GUESS, "--labels", "l.json")
    for form in ("tsv", "csv", "json", "jsonl", "table"):
        here("classify", *given, "--format", form, "picture.png")
    here("evaluate", *given, "list.csv", "--confusion", "c.csv")
    here("evaluate", *given, "list.csv", "--confusion", "c.png")
    rows = list(csv.reader(io.StringIO((tmp_path / "c.csv").read_text(), newline="")))
    assert rows == [["true \\ answered", "b\nc"], ["b\nc", "1"]]


def test_a_download_has_a_number_of_seconds(here, monkeypatch, tmp_path):
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(tmp_path / "store"))
    assert "NaN" in refusal(here("models", "pull", "vgg16-mini", "--timeout", "nan", code=2))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("link", [True, False])
def test_adding_a_network_is_undone_whole(tmp_path, link):
    """A signal may come when the manifest is written already: neither file is left then."""
    colours(tmp_path / "net.onnx")
    script = (
        "import os, signal, sys\n"
        "from cnntool import __main__\n"
        "from cnntool.nets.models import store\n"
        "store.read_manifest = lambda path: os.kill(os.getpid(), signal.SIGTERM)\n"
        "__main__.main()\n"
    )
    link_option = ["--link"] if link else []
    done = subprocess.run(
        [sys.executable, "-c", script, "models", "add", "-q", "net.onnx", *link_option],
        cwd=tmp_path,
        env={**os.environ, "CNNTOOL_MODELS_DIR": str(tmp_path / "store")},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (143, b"")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_no_process_is_left_behind(tmp_path, number, code):
    """The network runs for ever when the signal comes."""
    body = helper.make_graph(
        [helper.make_node("Identity", [a], [b]) for a, b in (("go", "on"), ("x", "y"))],
        "body",
        [info("i", [], TensorProto.INT64), info("go", [], TensorProto.BOOL), info("x", None)],
        [info("on", [], TensorProto.BOOL), info("y", None)],
    )
    nodes = [
        helper.make_node("Loop", ["", "true", "input"], ["same"], body=body),
        helper.make_node("ReduceMean", ["same"], ["out"], axes=[2, 3], keepdims=0),
    ]
    save(tmp_path / "net.onnx", nodes, [info("input", [1, 3, 8, 8])], [info("out", [1, 3])],
         [("true", np.ones((), bool))])  # fmt: skip
    onnx.checker.check_model(str(tmp_path / "net.onnx"))
    Image.new("RGB", (9, 9)).save(tmp_path / "p.png")
    process = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "classify", *GUESS, "p.png"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    children: list[str] = []
    until = time.monotonic() + 30
    while not children and time.monotonic() < until:
        time.sleep(0.05)
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:  # noqa: PTH123
            children = file.read().split()
    time.sleep(0.7)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == code
    assert errors == (b"cnntool: error: interrupted\n" if number == signal.SIGINT else b"")
    until = time.monotonic() + 5
    while any(alive(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert children
    assert not any(alive(child) for child in children)


def alive(process: str) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
