"""``cnntool matrix``: the lecture's Toeplitz matrix, its transpose, and what it does to inputs."""

import json

import numpy as np
import pytest
from PIL import Image

N12 = ["matrix", "-k", "1,2;3,4", "--input-size", "3x3", "--mode", "valid"]
N12_ROWS = "1,2,0,3,4,0,0,0,0\n0,1,2,0,3,4,0,0,0\n0,0,0,1,2,0,3,4,0\n0,0,0,0,1,2,0,3,4\n"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_n12_a_convolution_is_a_toeplitz_matrix_with_four_weights(here):
    done = here(*N12)
    assert (done.text, done.err) == (N12_ROWS, "")
    record = json.loads(here(*N12, "--json").text)
    assert record == {
        "kernel": "1,2;3,4",
        "input": [3, 3],
        "result": [2, 2],
        "transpose": False,
        "shape": [4, 9],
        "filled": 16,
        "distinct": 4,
        "matrix": [[float(v) for v in line.split(",")] for line in N12_ROWS.splitlines()],
        "picture": None,
        "output": None,
    }


def test_n12_its_transpose_is_the_transpose_convolution(here):
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    record = json.loads(here(*N12, "--transpose", "--json").text)
    assert record["shape"] == [9, 4]
    maps = np.array([[5.0, -1], [2, 7]])
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"])
    feeds = {"x": maps[None, None], "w": np.array([[[[1.0, 2], [3, 4]]]])}
    (expected,) = ReferenceEvaluator(node).run(None, feeds)
    assert (np.array(record["matrix"]) @ maps.ravel()).tolist() == expected.ravel().tolist()
    text = here(*N12, "--transpose").text
    lines = [line.split(",") for line in text.splitlines()]
    assert list(map(list, zip(*lines, strict=True))) == [
        line.split(",") for line in N12_ROWS.splitlines()
    ]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--mode", "full", "--border", "wrap"],
        ["--op", "convolve", "--stride", "2,1"],
        ["--dilation", "1,2", "--border", "reflect"],
    ],
)
def test_times_the_input_it_is_the_filter(here, filtered, samples, tmp_path, options):
    kernel = "1,2,0;3,-4,1"
    here("matrix", "-k", kernel, "--input-size", "5", *options, "-o", "m.npy")
    image = np.loadtxt(samples / "matrix.csv", delimiter=",")
    expected = np.array(filtered((samples / "matrix.csv").read_text(), "-k", kernel, *options))
    found = np.load(tmp_path / "m.npy") @ image.ravel()
    np.testing.assert_allclose(found.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["-o", "m.csv"], "1,2,0,3,4,0,0,0,0"),
        (["-o", "m.txt"], "1 2 0 3 4 0 0 0 0"),
        (["-o", "m.dat", "--format", "csv"], "1,2,0,3,4,0,0,0,0"),
    ],
)
def test_files(here, tmp_path, arguments, first):
    assert here(*N12, *arguments).text == ""
    (name,) = names_in(tmp_path)
    assert (tmp_path / name).read_text().splitlines()[0] == first


def test_numbers_down_a_pipe(here):
    assert here(*N12, "-o", "-").text == N12_ROWS
    assert here(*N12, "--format", "npy").out.startswith(b"\x93NUMPY")


def test_a_picture_is_drawn_instead(here, tmp_path):
    assert here(*N12, "--picture", "m.png").text == ""
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.format == "PNG"
    assert here(*N12, "--picture", "m.png", "--overwrite", "-o", "-").text == N12_ROWS
    here(*N12, "--picture", "m.svg", "--width", "300")
    assert b'width="300"' in (tmp_path / "m.svg").read_bytes()
    record = json.loads(here(*N12, "--picture", "t.png", "--transpose", "--json").text)
    assert record["picture"] == "t.png"


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (2, "'3x' is not a size", ["--input-size", "3x"]),
        (2, "'0' is not a size", ["--input-size", "0"]),
        (2, "'9999999' is more than", ["--input-size", "9999999"]),
        (2, "does not fit into 3x3", ["-k", "box:5"]),
        (2, "sobel is 2 kernels, one is needed", ["-k", "sobel"]),
        (2, "median is no convolution", ["-k", "median"]),
        (2, "more than 67,108,864 numbers", ["--input-size", "200"]),
        (2, "too large to draw: 2048 a side", ["--input-size", "64", "--picture", "m.png"]),
        (2, "on stdout both", ["--json", "-o", "-"]),
        (2, "on stdout both", ["--json", "--picture", "-"]),
        (6, "m.png: a matrix is written as .csv, .txt or .npy", ["-o", "m.png"]),
        (6, "no format is known by the suffix '.xyz'", ["-o", "m.xyz"]),
        (6, "no such folder", ["-o", "no/m.csv"]),
        (6, "no such folder", ["--picture", "m.png", "-o", "no/m.csv"]),
        (2, "m.jpg: a matrix is drawn as FILE.png", ["--picture", "m.jpg"]),
        (2, "--picture - and --output - both want stdout", ["--picture", "-", "-o", "-"]),
    ],
)
def test_what_makes_no_sense(here, tmp_path, code, reason, arguments):
    done = here(*N12, *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
    assert names_in(tmp_path) == []


def test_an_existing_file_is_replaced_only_when_asked(here, tmp_path):
    for option, name in (("-o", "m.csv"), ("--picture", "m.png")):
        (tmp_path / name).write_text("precious")
        assert "--overwrite replaces it" in here(*N12, option, name, code=6).err
        assert (tmp_path / name).read_text() == "precious"
        here(*N12, option, name, "--overwrite")
        assert (tmp_path / name).read_bytes() != b"precious"
