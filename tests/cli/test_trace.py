"""``cnntool trace``: the numbers behind a value, against the lectures and against ``filter``."""

import json

import numpy as np
import pytest
from PIL import Image

N1 = "1,1,1,0,0; 0,1,1,1,0; 0,0,1,1,1; 0,0,1,1,0; 0,1,1,0,0"
N2 = "1,0,0,0,0,1; 0,1,0,0,1,0; 0,0,1,1,0,0; 1,0,0,0,1,0; 0,1,0,0,1,0; 0,0,1,0,1,0"
N7 = "3,3,2,1,0; 0,0,1,3,1; 3,1,2,2,3; 2,0,0,2,2; 2,0,0,0,1"
N11 = "0,1,2;3,4,5;6,7,8"
K7 = "0,1,2;2,2,0;0,1,2"
VALID = ("--mode", "valid")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def rows(text):
    return [[float(v) for v in row.split(",")] for row in text.split(";")]


def table(done):
    """Put the values of all records in their places."""
    records = [json.loads(line) for line in done.text.splitlines()]
    values = np.full(records[0]["result"], np.nan)
    for record in records:
        values[tuple(record["at"])] = record["value"]
        (kernel,) = record["kernels"]
        products = np.multiply(record["window"], kernel["weights"])
        assert products.tolist() == kernel["products"]
        assert kernel["sum"] == record["value"] == pytest.approx(products.sum())
    return values.tolist()


@pytest.mark.parametrize(
    ("matrix", "kernel", "options", "expected"),
    [
        pytest.param(N1, "1,0,1;0,1,0;1,0,1", VALID, "4,3,4; 2,4,3; 2,3,4", id="N1"),
        pytest.param(
            N2,
            "1,-1,-1;-1,1,-1;-1,-1,1",
            VALID,
            "3,-1,-3,-1; -3,1,0,-3; -3,-3,0,1; 3,-2,-2,-1",
            id="N2",
        ),
        pytest.param(
            N2, "1,-1,-1;-1,1,-1;-1,-1,1", (*VALID, "--stride", "2"), "3,-3; -3,0", id="N3"
        ),
        pytest.param(
            N2,
            "-1,1,-1;-1,1,-1;-1,1,-1",
            VALID,
            "-1,-1,-1,-1; -1,-1,-2,1; -1,-1,-2,1; -1,0,-4,3",
            id="N4",
        ),
        pytest.param(N7, K7, VALID, "12,12,17; 10,17,19; 9,6,14", id="N7"),
        pytest.param(N7, K7, (*VALID, "--op", "convolve"), "18,20,19; 10,9,17; 11,8,14", id="N7b"),
        pytest.param(
            N7,
            K7,
            (),
            "6,14,17,11,3; 14,12,12,17,11; 8,10,17,19,13; 11,9,6,14,12; 6,4,4,6,4",
            id="N7c",
        ),
        pytest.param(N11, "0,1;2,3", VALID, "19,25;37,43", id="N11"),
        pytest.param(N11, "0,1;2,3", (*VALID, "--op", "convolve"), "5,11;23,29", id="N11 reversed"),
    ],
)
def test_the_lectures_examples(here, matrix, kernel, options, expected):
    done = here("trace", "-k", kernel, "--all", "--json", *options, stdin=matrix.encode())
    assert table(done) == rows(expected)


def test_n7c_in_full(here):
    done = here("trace", "-k", K7, "--all", "--json", "--mode", "full", stdin=N7.encode())
    full = table(done)
    assert len(full) == len(full[0]) == 7
    assert full[0] == [6, 9, 7, 4, 1, 0, 0]


def test_n19_sobel_of_a_constant_is_zero(here):
    flat = b"7 7 7\n7 7 7\n7 7 7\n"
    text = here("trace", "-k", "sobel", "--at", "0,0", *VALID, stdin=flat).text
    assert text.endswith("magnitude  sqrt(0^2 + 0^2) = 0\n")
    assert "sum 1  7 + 0 - 7 + 14 + 0 - 14 + 7 + 0 - 7 = 0" in text


def test_n23_the_corner(here, tmp_path):
    picture = np.zeros((128, 128))
    picture[32:96, 16:112] = 1
    np.save(tmp_path / "square.npy", picture)
    kernel = "-1,-1,-1,-1;-1,-1,-1,-1;3,3,-1,-1;3,3,-1,-1"
    text = here("trace", "square.npy", "-k", kernel, "--at", "30,110", *VALID).text
    assert "input rows 30 to 33, columns 110 to 113" in text
    assert text.endswith("+ 3 + 3 + 0 + 0 + 3 + 3 + 0 + 0 = 12\n")


def test_the_text_of_one_value(here):
    done = here("trace", "-k", K7, "--at", "0,2", stdin=N7.encode())
    assert done.err == ""
    assert done.text == (
        "result (0, 2) of 5x5: input rows -1 to 1, columns 1 to 3\n"
        "\n"
        "window            kernel      products\n"
        "(0)  (0)  (0)     0  1  2     0  0  0\n"
        " 3    2    1   *  2  2  0  =  6  4  0\n"
        " 0    1    3      0  1  2     0  1  6\n"
        "( ) lies outside: zero border\n"
        "\n"
        "sum  0 + 0 + 0 + 6 + 4 + 0 + 0 + 1 + 6 = 17\n"
    )


def test_stride_dilation_flip_and_border_are_told(here):
    done = here(
        "trace", "-k", "1,2;3,4", "--at", "1,1", "--op", "convolve", "--stride", "2,1",
        "--dilation", "2", "--border", "replicate", stdin=N7.encode(),
    )  # fmt: skip
    assert "input rows 1 to 3 by 2, columns 0 to 2 by 2" in done.text
    assert "kernel (flipped)" in done.text
    assert (
        "0  1    *  4  3              =  0  3\n2  0       2  1                 4  0\n" in done.text
    )
    assert "outside" not in done.text


def test_the_values_are_printed_one_after_the_other(here):
    text = here("trace", "-k", "0,1;2,3", "--all", *VALID, stdin=N11.encode()).text
    parts = text.split("\n\nresult")
    assert len(parts) == 4
    assert [part.splitlines()[-1].split(" = ")[1] for part in parts] == ["19", "25", "37", "43"]


def test_a_large_kernel_is_not_written_out(here, samples):
    text = here("trace", samples / "camera.png", "-k", "box:21", "--at", "100,100").text
    assert text.count("(the first 15 rows and 15 columns)") == 3
    assert "sum  of 441 products = " in text
    lines = text.splitlines()
    assert [line for line in lines if line in {"window", "kernel", "products"}] == [
        "window", "kernel", "products",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cat.png", ["-k", "sobel-x"]),
        ("cat.png", ["-k", "kirsch", "--border", "symmetric"]),
        ("cat.png", ["-k", "sobel", "--channels", "each"]),
        ("cat.png", ["-k", "gaussian:1", "--mode", "full", "--border", "reflect"]),
        ("cat.png", ["-k", "gaussian:1", "--channels", "luma", "--stride", "3,2"]),
        ("camera.png", ["-k", "log:sigma=1", "--dilation", "2", "--op", "convolve"]),
    ],
)
def test_a_pictures_value_is_the_filters(here, samples, tmp_path, name, options):
    here("filter", samples / name, *options, "-o", "r.npy")
    found = np.load(tmp_path / "r.npy")
    maps = found.reshape(*found.shape[:2], -1)
    for at in [(0, 0), (40, 60), (found.shape[0] - 1, found.shape[1] - 1)]:
        place = f"{at[0]},{at[1]}"
        done = here("trace", samples / name, *options, "--at", place, "--json")
        records = [json.loads(line) for line in done.text.splitlines()]
        assert [record["channel"] for record in records] == list(range(maps.shape[2]))
        assert records[0]["result"] == list(maps.shape[:2])
        values = [record["value"] for record in records]
        np.testing.assert_allclose(values, maps[at], atol=2e-5)


def test_a_clear_picture_is_traced_without_its_alpha(here, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    text = here("trace", "clear.png", "-k", "identity", "--at", "2,3").text
    assert text.count("channel") == 3
    assert f" = {pixels[2, 3, 1] / 255:.6g}" in text


def test_every_map_of_an_array(here, tmp_path):
    np.save(tmp_path / "maps.npy", np.arange(2 * 5 * 6.0).reshape(2, 5, 6))
    done = here("trace", "maps.npy", "-k", "1,1", "--at", "4,4", *VALID, "--json")
    assert [json.loads(line)["value"] for line in done.text.splitlines()] == [28 + 29, 58 + 59]


def test_records_are_stable(here, tmp_path):
    (tmp_path / "m.csv").write_text(N11)
    done = here("trace", "m.csv", "-k", "0,1;2,3", "--at", "0,1", *VALID, "--json")
    assert json.loads(done.text) == {
        "input": "m.csv",
        "kernel": "0,1;2,3",
        "at": [0, 1],
        "channel": 0,
        "result": [2, 2],
        "rows": [0, 1],
        "columns": [1, 2],
        "window": [[1, 2], [4, 5]],
        "kernels": [{"weights": [[0, 1], [2, 3]], "products": [[0, 2], [8, 15]], "sum": 25}],
        "combine": "single",
        "value": 25,
        "output": None,
    }


# Figures


def test_an_animation_has_a_frame_for_each_value(here, tmp_path):
    done = here("trace", "-k", K7, "-o", "slide.gif", "--delay", "0.25", stdin=N7.encode())
    assert (done.text, done.err) == ("", "")
    with Image.open(tmp_path / "slide.gif") as picture:
        assert picture.format == "GIF"
        assert picture.n_frames == 25
        assert picture.info["loop"] == 0
        assert picture.info["duration"] == 250
    assert (tmp_path / "slide.gif").stat().st_size < 400_000


def test_a_frame_of_one_place(here, tmp_path):
    here("trace", "-k", K7, "-o", "frame.png", "--at", "1,2", stdin=N7.encode())
    with Image.open(tmp_path / "frame.png") as picture:
        assert picture.format == "PNG"
        assert picture.size[0] > 540


def test_a_figure_may_go_down_a_pipe(here):
    out = here("trace", "-k", "1,1", "-o", "-", *VALID, stdin=N11.encode()).out
    assert out.startswith(b"GIF89a")
    out = here("trace", "-k", "1,1", "-o", "-", "--at", "0,0", *VALID, stdin=N11.encode()).out
    assert out.startswith(b"\x89PNG")


def test_records_beside_a_figure(here, tmp_path):
    done = here("trace", "-k", "1,1", "-o", "a.gif", "--json", *VALID, stdin=N11.encode())
    records = [json.loads(line) for line in done.text.splitlines()]
    assert [record["value"] for record in records] == [1, 3, 7, 9, 13, 15]
    assert {record["output"] for record in records} == {"a.gif"}
    assert (tmp_path / "a.gif").exists()


def test_an_existing_figure_is_replaced_only_when_asked(here, tmp_path):
    (tmp_path / "a.gif").write_text("precious")
    arguments = ["trace", "-k", "1,1", "-o", "a.gif"]
    done = here(*arguments, stdin=N11.encode(), code=6)
    assert done.err.splitlines() == [
        "cnntool: error: a.gif: it exists already",
        "cnntool: hint: --overwrite replaces it, CNNTOOL_OVERWRITE=1 always does",
    ]
    assert (tmp_path / "a.gif").read_text() == "precious"
    here(*arguments, "--overwrite", stdin=N11.encode())
    assert (tmp_path / "a.gif").read_bytes().startswith(b"GIF")
    assert names_in(tmp_path) == ["a.gif"]


# What makes no sense


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (2, "no value to trace", []),
        (2, "--at is one value, --all are all", ["--at", "0,0", "--all"]),
        (2, "'1' is not a place such as 0,0", ["--at", "1"]),
        (2, "'-1,0' is not a place", ["--at", "-1,0"]),
        (2, "3,0 lies outside of the result, which is 3x3", ["--at", "3,0"]),
        (2, "3,0 lies outside of the result", ["--at", "3,0", "-o", "a.png"]),
        (2, "median is no convolution: there is nothing to trace", ["--at", "0,0", "-k", "median"]),
        (2, "no kernel is called 'bogus'", ["--at", "0,0", "-k", "bogus"]),
        (2, "does not fit into 3x3", ["--at", "0,0", "-k", "box:5", *VALID]),
        (2, "an animation shows all values", ["--at", "0,0", "-o", "a.gif"]),
        (2, "a picture shows one value", ["-o", "a.png"]),
        (2, "a picture shows one value", ["--all", "-o", "a.png"]),
        (2, "a.jpg: a trace is drawn as FILE.gif", ["-o", "a.jpg"]),
        (2, "one channel and one kernel", ["-o", "a.gif", "-k", "sobel"]),
        (2, "both want stdout", ["-o", "-", "--json"]),
        (2, "--channels luma is for colour", ["--at", "0,0", "--channels", "luma"]),
        (6, "no such folder", ["-o", "no/a.gif"]),
    ],
)
def test_what_makes_no_sense(here, tmp_path, code, reason, arguments):
    (tmp_path / "m.csv").write_text(N11)
    done = here("trace", "m.csv", "-k", "1,2;3,4", *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
    assert names_in(tmp_path) == ["m.csv"]


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("--all shows at most 4096\ncnntool: hint: --at shows one", ["--all"]),
        ("32 a side is the most\ncnntool: hint: --at without --output", ["-o", "a.gif"]),
        ("32 a side is the most\ncnntool: hint: --at", ["-o", "a.png", "--at", "0,0"]),
    ],
)
def test_absurd_sizes_are_refused(here, samples, tmp_path, reason, arguments):
    done = here("trace", samples / "camera.png", "-k", "box", *arguments, code=2)
    assert reason in done.err
    assert names_in(tmp_path) == []


@pytest.mark.full
def test_too_many_frames(here, tmp_path):
    np.save(tmp_path / "m.npy", np.ones((20, 20)))
    done = here("trace", "m.npy", "-k", "box", "-o", "a.gif", code=2)
    assert "the result has 20x20 values, an animation at most 256" in done.err
    here("trace", "m.npy", "-k", "box", "-o", "a.gif", "--stride", "2")


def test_one_value_of_a_larger_result_is_one_frame(here, tmp_path):
    np.save(tmp_path / "m.npy", np.arange(400.0).reshape(20, 20))
    here("trace", "m.npy", "-k", "box", "-o", "a.png", "--at", "19,19")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "20x20" in here("trace", "m.npy", "-k", "box", "-o", "b.png", "--at", "20,0", code=2).err


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.png", "no such file"), (".", "this is a folder")]
)
def test_what_cannot_be_read(here, name, reason):
    assert reason in here("trace", name, "-k", "box", "--at", "0,0", code=3).err


def test_nan_counts_only_under_a_weight_and_cannot_be_drawn(here, filtered):
    text = "1,2,nan;4,5,6"
    record = json.loads(
        here(
            "trace", "-k", "1,1,0", "--at", "0,1", "--json", "--allow-nan", stdin=text.encode()
        ).text
    )
    assert record["window"] == [[1, 2, None]]
    assert record["value"] == 3 == filtered(text, "-k", "1,1,0", "--allow-nan")[0][1]
    text = here("trace", "-k", "1,1,0", "--at", "0,1", "--allow-nan", stdin=text.encode()).text
    assert "  1    2  nan  *  1  1  0  =  1  2  0\n" in text
    done = here("trace", "-k", "1", "-o", "a.gif", "--allow-nan", stdin=b"nan 1", code=2)
    assert "NaN and infinity cannot be drawn" in done.err
