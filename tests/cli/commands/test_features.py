"""``features`` through the command line: rows, files of every format, going on, errors."""

import csv
import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import colours, picture_net

import cnntool as library

pytest.importorskip("onnxruntime")

FIXTURES = Path(__file__).parents[2] / "exporters" / "fixtures"
NET = ("-m", "net.onnx", "--preprocess", "unit")
VERB = ("features", "-q", *NET)
SHADES = {"cat/a.png": 10, "cat/b.png": 20, "dog/a.png": 30, "dog/old/c.png": 40, "z.png": 50}


@pytest.fixture
def photos(tmp_path):
    """Pictures of one colour each, in folders, and a network that is given their mean colours."""
    colours(tmp_path / "net.onnx")
    for name, shade in SHADES.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (shade, 2 * shade, 0)).save(path)
    return tmp_path / "in"


def means(names):
    shades = np.array([SHADES[name] for name in names])
    return (np.stack([shades, 2 * shades, 0 * shades], 1) / 255).astype(np.float32)


def table(text):
    head, *rows = csv.reader(io.StringIO(text))
    return head, [row[:3] for row in rows], np.array([row[3:] for row in rows], np.float32)


ORDER = ["z.png", "cat/a.png", "cat/b.png", "dog/a.png", "dog/old/c.png"]


def test_a_row_a_picture_with_label_and_hash(here, photos):
    (photos / "dog" / "b.png").write_text("torn")
    told = [here(*VERB, "-r", "in", "--jobs", jobs, code=1) for jobs in "13"]
    assert told[0].out == told[1].out
    assert "in/dog/b.png" in told[0].err
    head, texts, vectors = table(told[0].text)
    assert head == ["path", "label", "sha256", "f0", "f1", "f2"]
    labels = ["", "cat", "cat", "dog", "old"]
    for name, label, row in zip(ORDER, labels, texts, strict=True):
        data = (photos / name).read_bytes()
        assert row == [f"in/{name}", label, hashlib.sha256(data).hexdigest()]
    np.testing.assert_allclose(vectors, means(ORDER), rtol=1e-6)


@pytest.mark.full
def test_labels_of_a_list_and_of_one_folder(here, photos, tmp_path):
    (tmp_path / "names").write_text("in/dog/a.png\nin/cat/b.png\n")
    labels = [row[1] for row in table(here(*VERB, "--files-from", "names").text)[1]]
    assert labels == ["dog", "cat"]
    assert [row[1] for row in table(here(*VERB, "in/cat").text)[1]] == ["", ""]


def test_a_picture_from_stdin_has_no_hash(here, photos):
    data = (photos / "z.png").read_bytes()
    _, texts, vectors = table(here(*VERB, "-", stdin=data).text)
    assert texts == [["<stdin>", "", ""]]
    np.testing.assert_allclose(vectors, means(["z.png"]), rtol=1e-6)


def test_every_format_has_the_same_numbers(here, photos, tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for form in ("csv", "npy", "npz"):
        here(*VERB, "-r", "in", "-o", f"f.{form}")
    here(*VERB, "-r", "in", "-o", "f.dat", "--format", "parquet")
    _, texts, vectors = table((tmp_path / "f.csv").read_text())
    matrix = np.load(tmp_path / "f.npy")
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, vectors)
    sha = hashlib.sha256((tmp_path / "net.onnx").read_bytes()).hexdigest()
    about = {"cnntool": library.__version__, "model": "net.onnx", "sha256": sha,
             "layer": "means", "tensor": "means", "pool": "mean"}  # fmt: skip
    with np.load(tmp_path / "f.npz") as archive:
        np.testing.assert_array_equal(archive["features"], matrix)
        columns = [archive[name].tolist() for name in ("paths", "labels", "sha256")]
        assert [list(row) for row in zip(*columns, strict=True)] == texts
        assert json.loads(str(archive["metadata"])) == about
    read = parquet.read_table(tmp_path / "f.dat")
    assert json.loads(read.schema.metadata[b"cnntool"]) == about
    assert read.column_names == ["path", "label", "sha256", "features"]
    assert str(read.schema.field("features").type) == "fixed_size_list<element: float>[3]"
    np.testing.assert_array_equal(np.stack(read["features"].to_numpy()), matrix)
    assert read.select([0, 1, 2]).to_pylist() == [
        dict(zip(("path", "label", "sha256"), row, strict=True)) for row in texts
    ]


@pytest.mark.full
def test_others_read_the_parquet(here, photos, tmp_path):
    pytest.importorskip("pyarrow")
    here(*VERB, "-r", "in", "-o", "f.parquet")
    path, expected, labels = tmp_path / "f.parquet", means(ORDER), ["", "cat", "cat", "dog", "old"]

    def agree(vectors, told):
        np.testing.assert_allclose(np.stack(vectors), expected, rtol=1e-6)
        assert list(told) == labels

    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path)
    agree(frame["features"], frame["label"])
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"select features, label from '{path}'").fetchall()
    agree(*zip(*found, strict=True))
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(path)
    assert frame.schema["features"] == polars.Array(polars.Float32, 3)
    agree(frame["features"].to_numpy(), frame["label"])


def test_row_groups_are_bounded(here, photos, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    monkeypatch.setattr("cnntool.api.feature_files.GROUP", 24)
    here(*VERB, "-r", "in", "-o", "f.parquet")
    file = parquet.ParquetFile(tmp_path / "f.parquet")
    groups = [file.metadata.row_group(place).num_rows for place in range(file.num_row_groups)]
    assert groups == [2, 2, 1]
    np.testing.assert_allclose(
        np.stack(file.read()["features"].to_numpy()), means(ORDER), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "layer", "tokens"),
    [
        ("models/vgg16-mini.onnx", "block4_conv2", False),
        *(
            pytest.param(path, "layernormalization:-1", True, marks=pytest.mark.full)
            for path in sorted(FIXTURES.glob("*.transformer.*.onnx"))
        ),
    ],
    ids=str,
)
def test_places_and_tokens_are_pooled(name, layer, tokens, samples, tmp_path):
    photo = tmp_path / "in.png"
    shutil.copy(samples / "cat.png", photo)
    with library.load_model(Path(__file__).parents[3] / name) as net:
        if tokens:
            layer = _last_tokens(net)
        maps = net.activations(photo, layer)[layer]
        assert maps.ndim == 3
        axes = (0, 1) if tokens else (1, 2)
        for pool, expected in (
            ("mean", maps.mean(axes)), ("max", maps.max(axes)), ("none", maps.reshape(-1)),
        ):  # fmt: skip
            found = net.features([photo], layer, pool=pool)
            np.testing.assert_allclose(found.vectors, expected[None], rtol=1e-5, atol=1e-6)


def _last_tokens(net):
    """Name the last layer of tokens x channels: activations shows it as one map."""
    rows = [one for one in net.layers() if one.shape and len(one.shape) == 3 and one.type == "norm"]
    return rows[-1].post


def test_all_places_want_one_size(here, photos, tmp_path):
    picture_net(tmp_path / "paint.onnx", side=("h", "w"))
    Image.new("RGB", (8, 4)).save(photos / "cat" / "c.png")
    usual = ("features", "-q", "-m", "paint.onnx", "--preprocess", "raw", "-l", "output", "in/cat")
    done = here(*usual, "--pool", "none", code=1)
    assert "in/cat/c.png: its vector has 96 values, those before have 192" in done.err
    assert "--crop" in done.err
    assert len(table(done.text)[1]) == 2
    assert len(table(here(*usual).text)[1]) == 3


@pytest.mark.parametrize(
    ("code", "arguments", "told"),
    [
        (4, ["-l", "nonesuch"], "nonesuch"),
        (4, ["-m", "vgg16-mini", "-l", "block4_*"], "one is wanted"),
        (6, ["-o", "f.xyz"], "not written as '.xyz'"),
        (6, ["-o", "f"], "has no suffix"),
        (6, ["-o", "there.npy"], "it exists already"),
        (6, ["-o", "gone/f.npy"], "no such folder"),
        (2, ["--format", "npy"], "no format for stdout"),
        (2, ["--resume"], "no log to go on from"),
    ],
    ids=str,
)
def test_errors(fails, photos, code, arguments, told):
    there = photos.with_name("there.npy")
    there.write_bytes(b"mine")
    assert told in fails(code, *VERB, "in/z.png", *arguments)
    assert there.read_bytes() == b"mine"


def test_without_pictures_nothing_appears(fails, here, photos, tmp_path):
    (tmp_path / "bad.png").write_text("torn")
    fails(3, *VERB, "bad.png", "-o", "f.npz")
    done = here(*VERB, "bad.png", "bad.png", "-o", "f.npz", code=3)
    assert "no picture could be read" in done.err
    assert not (tmp_path / "f.npz").exists()


def test_without_pyarrow_one_line_says_what_to_install(here, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error, hint = here(*VERB, "in/z.png", "-o", "f.parquet", code=6).err.splitlines()
    assert "f.parquet: Parquet is written by pyarrow, which is not installed" in error
    assert "pip install 'cnntool[parquet]'" in hint


def test_nan_is_no_feature(here, photos, tmp_path):
    colours(tmp_path / "net.onnx", before=[("Div", 0.0)])
    done = here(*VERB, "-r", "in", code=3)
    assert "in/z.png: net.onnx: 3 of its 3 values are NaN or infinite: the first comes" in done.err


FORMS = ["csv", "npz", pytest.param("parquet", marks=pytest.mark.full)]


def cut(path):
    """Tear the log where a killed process may leave it: in the line after the second input."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][: len(lines[3]) // 2])


@pytest.mark.full
@pytest.mark.parametrize("form", FORMS)
def test_a_second_run_does_what_is_missing(here, photos, tmp_path, form):
    pytest.importorskip("pyarrow" if form == "parquet" else "numpy")
    (photos / "cat" / "c.png").write_text("torn")
    target, log = tmp_path / f"f.{form}", tmp_path / "log.jsonl"
    verb = ("features", *NET, "-r", "in", "-o", f"f.{form}", "--log", "log.jsonl")

    def told(*more):
        done = here(*verb, *more, code=1)
        return done.err.partition(" a second")[0].rpartition("note: ")[2].rpartition(",")[0]

    def steady():
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        return [{**line, "written": None} for line in lines]

    assert told() == "5 done, 0 skipped, 1 failed"
    whole, lines = target.read_bytes(), steady()
    assert told("--resume") == "0 done, 5 skipped, 1 failed"
    assert (target.read_bytes(), steady()) == (whole, lines)
    target.unlink()
    cut(log)
    assert told("--resume") == "3 done, 2 skipped, 1 failed"
    assert (target.read_bytes(), steady()) == (whole, lines)
    os.utime(photos / "z.png", (1, 1))
    assert told("--resume") == "1 done, 4 skipped, 1 failed"
    assert target.read_bytes() == whole
    assert told("--resume", "--pool", "max") == "5 done, 0 skipped, 1 failed"


def test_what_somebody_else_wrote_stays(here, photos, tmp_path):
    verb = (*VERB, "-r", "in", "-o", "f.npy", "--log", "log.jsonl")
    here(*verb)
    (tmp_path / "f.npy").write_bytes(b"mine")
    assert "it exists already" in here(*verb, "--resume", code=6).err
    assert (tmp_path / "f.npy").read_bytes() == b"mine"
    here(*verb, "--resume", "--overwrite")
    assert len(np.load(tmp_path / "f.npy")) == 5
