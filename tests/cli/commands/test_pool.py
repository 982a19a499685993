"""``cnntool pool`` on pictures, matrices and stacks of maps."""

import json
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

RNG = np.random.default_rng(1)


@pytest.fixture
def colour(tmp_path):
    pixels = RNG.integers(0, 256, (12, 18, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    return pixels


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def blocks(pixels, side):
    height, width = pixels.shape[0] // side, pixels.shape[1] // side
    return pixels.reshape(height, side, width, side, -1)


def test_a_picture(here, colour, tmp_path):
    done = here("pool", "--max", "3", "colour.png")
    assert (done.text, done.err) == ("colour.pool.png\n", "")
    np.testing.assert_array_equal(
        opened(tmp_path / "colour.pool.png"), blocks(colour, 3).max(axis=(1, 3))
    )
    here("pool", "--avg", "3", "colour.png", "-o", "mean.png")
    mean = blocks(colour, 3).mean(axis=(1, 3))
    assert np.abs(opened(tmp_path / "mean.png") - mean).max() <= 0.5 + 1e-4


def test_pictures_become_numbers_from_0_to_1_as_with_filter(here, colour, tmp_path):
    here("pool", "--max", "1", "colour.png", "-o", "pooled.npy")
    here("filter", "-k", "1", "colour.png", "-o", "filtered.npy")
    pooled = np.load(tmp_path / "pooled.npy")
    assert pooled.dtype == np.float32
    np.testing.assert_array_equal(pooled, colour / np.float32(255))
    np.testing.assert_allclose(pooled, np.load(tmp_path / "filtered.npy"), rtol=1e-6)


def test_depth_is_chosen(here, colour, tmp_path):
    here("pool", "--max", "1", "colour.png", "-o", "deep.tif", "--depth", "float")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep.tif"), colour / np.float32(255))
    assert (
        "cannot hold"
        in here("pool", "--max", "1", "colour.png", "-o", "x.png", "--depth", "float", code=2).err
    )


def test_sixteen_bits_and_alpha(here, tmp_path):
    deep = RNG.integers(0, 65536, (8, 8), np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    here("pool", "--max", "2", "deep.png", "-o", "small.png")
    np.testing.assert_array_equal(
        opened(tmp_path / "small.png"), blocks(deep, 2).max(axis=(1, 3))[:, :, 0]
    )
    clear = RNG.integers(0, 256, (6, 6, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    here("pool", "--max", "2", "clear.png", "-o", "clear2.png")
    np.testing.assert_array_equal(
        opened(tmp_path / "clear2.png"), blocks(clear, 2).max(axis=(1, 3))
    )


def test_a_pipe_of_pictures(here, colour, tmp_path):
    piped = here("pool", "--max", "2", stdin=(tmp_path / "colour.png").read_bytes())
    np.testing.assert_array_equal(opened(BytesIO(piped.out)), blocks(colour, 2).max(axis=(1, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_arrays_keep_their_axes_and_type(here, tmp_path, dtype):
    maps = RNG.integers(-9, 9, (5, 6, 8)).astype(dtype)
    np.save(tmp_path / "maps.npy", maps)
    here("pool", "--max", "2", "maps.npy", "-o", "out.npy")
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(found, maps.reshape(5, 3, 2, 4, 2).max(axis=(2, 4)))


def test_a_single_map_keeps_its_axis(here, tmp_path):
    np.save(tmp_path / "one.npy", np.ones((1, 6, 6), np.float32))
    here("pool", "--avg", "2", "one.npy", "-o", "out.npy")
    assert np.load(tmp_path / "out.npy").shape == (1, 3, 3)


def test_layout_says_where_the_maps_are(here, tmp_path):
    maps = RNG.random((8, 4, 4))
    np.save(tmp_path / "maps.npy", maps)
    guessed = here("pool", "--max", "2", "maps.npy", "-o", "guessed.npy")
    assert "taken as 8 rows, 4 columns and 4 channels" in guessed.err
    assert "--layout chw takes it as 8 maps of 4x4" in guessed.err
    assert np.load(tmp_path / "guessed.npy").shape == (4, 2, 4)
    told = here("pool", "--max", "2", "maps.npy", "--layout", "chw", "-o", "told.npy")
    assert told.err == ""
    np.testing.assert_array_equal(
        np.load(tmp_path / "told.npy"), maps.reshape(8, 2, 2, 2, 2).max(axis=(2, 4))
    )
    pixels = RNG.random((4, 6, 2))
    np.save(tmp_path / "pixels.npy", pixels)
    here("pool", "--max", "2", "pixels.npy", "--layout", "hwc", "-o", "hwc.npy")
    np.testing.assert_array_equal(
        np.load(tmp_path / "hwc.npy"), pixels.reshape(2, 2, 3, 2, 2).max(axis=(1, 3))
    )


def test_the_whole_map(here):
    assert here("pool", "--avg", "all", stdin=b"1,2,3;4,5,6").text == "3.5\n"
    assert here("pool", "--max", "all", stdin=b"1,2,3;4,5,6").text == "6\n"


def test_geometry(here):
    matrix = b"1,2,3,4,5;6,7,8,9,10;11,12,13,14,15"

    def pool(*options):
        return here("pool", *options, stdin=matrix).text.split()

    assert pool("--max", "2,3") == ["8"]
    assert pool("--max", "2", "--ceil") == ["7,9,10", "12,14,15"]
    assert pool("--max", "2", "--dilation", "2", "--stride", "1") == ["13,14,15"]
    assert pool("--max", "3", "--padding", "same", "--stride", "2") == ["7,9,10", "12,14,15"]
    assert pool("--avg", "2", "--padding", "0,1,0,1") == ["4,6,7.5", "11.5,13.5,15"]
    counted = pool("--avg", "2", "--padding", "0,1,0,1", "--count-padding")
    assert counted == ["4,6,3.75", "5.75,6.75,3.75"]


def test_the_record(here, colour):
    done = here("pool", "--max", "3", "--padding", "1", "colour.png", "--json")
    record = json.loads(done.text)
    assert record.pop("milliseconds") > 0
    assert record == {
        "input": "colour.png",
        "read": {
            "format": "png", "height": 12, "width": 18, "channels": 3,
            "alpha": False, "dtype": "uint8",
        },
        "output": "colour.pool.png",
        "written": {
            "format": "png", "height": 4, "width": 6, "channels": 3,
            "alpha": False, "dtype": "uint8",
        },
        "range": "clip",
        "clipped": 0.0,
        "pool": "max",
        "window": [3, 3],
        "stride": None,
        "padding": [1, 1, 1, 1],
        "dilation": [1, 1],
        "ceil": False,
        "count_padding": False,
        "switches": None,
    }  # fmt: skip


def test_several_inputs(here, colour, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    done = here("pool", "--max", "2", "colour.png", "bad.png", "-o", "out", code=1)
    assert done.text == "out/colour.png\n"
    assert done.err.startswith("cnntool: error: bad.png: ")


def test_switches_of_maps(here, tmp_path):
    maps = RNG.permutation(2 * 4 * 6).reshape(2, 4, 6).astype(float)
    np.save(tmp_path / "maps.npy", maps)
    here("pool", "--max", "2", "maps.npy", "--switches", "s.npy", "-o", "p.npy")
    switches = np.load(tmp_path / "s.npy")
    assert (switches.dtype, switches.shape) == (np.int64, (2, 2, 3))
    flat = maps.reshape(2, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, switches.reshape(2, -1), axis=1).reshape(2, 2, 3),
        np.load(tmp_path / "p.npy"),
    )
    here("pool", "--max", "2", "maps.npy", "--switches", "s.csv", "-o", "q.npy")
    assert np.loadtxt(tmp_path / "s.csv", delimiter=",").shape == (4, 3)


def test_switches_are_written_only_with_the_values(here, tmp_path):
    matrix = b"1,2;3,4"
    (tmp_path / "taken.csv").write_text("x")
    here("pool", "--max", "2", "--switches", "s.csv", "-o", "taken.csv", stdin=matrix, code=6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken.csv"]
    done = here("pool", "--max", "2", "--switches", "taken.csv", stdin=matrix, code=6)
    assert (done.out, done.err.count("it exists already")) == (b"", 1)
    here("pool", "--max", "2", "--switches", "taken.csv", "--overwrite", stdin=matrix)
    assert (tmp_path / "taken.csv").read_text() == "3\n"


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ([], 2, "give either --max or --avg"),
        (["--max", "2", "--avg", "2"], 2, "give either --max or --avg"),
        (["--max", "2", "--count-padding"], 2, "--count-padding is of --avg"),
        (["--avg", "2", "--switches", "s.npy"], 2, "--switches is of --max"),
        (["--max", "2", "--switches", "s.txt"], 6, "s.txt: switches are written as .npy or .csv"),
        (["--max", "0"], 2, "'0' is not a positive number"),
        (["--max", "2", "--padding", "some"], 2, "'some' is no padding"),
        (["--max", "2", "--padding", "1,2,3"], 2, "'1,2,3' is no padding"),
        (["--max", "2", "--padding", "2"], 2, "<stdin>: a window would see nothing but padding"),
        (["--max", "5"], 2, "<stdin>: a window of 5x5 does not fit into 2x2"),
        (["--max", "2", "--json"], 2, "--json and the result both want stdout"),
        (["--max", "2", "--json", "-o", "-"], 2, "--json and -o - both want stdout"),
        (["--max", "2", "--max-pixels", "3"], 3, "over the limit"),
        (["--max", "999999999", "--padding", "same"], 2, "is more than 1048576"),
        (
            ["--avg", "9999", "--stride", "1", "--padding", "full"],
            2,
            "a result of 10000x10000 is over the limit of 99 pixels",
        ),
    ],
)
def test_what_is_refused(here, options, code, reason):
    limit = [] if "--max-pixels" in options else ["--max-pixels", "99"]
    done = here("pool", *options, *limit, stdin=b"1,2;3,4", code=code)
    assert done.out == b""
    assert reason in done.err


def test_switches_are_of_one_input(here, colour):
    options = ["--max", "2", "--switches", "s.npy"]
    for inputs in (["colour.png", "colour.png"], ["."]):
        assert "of one input" in here("pool", *options, *inputs, code=2).err


def test_a_stack_that_is_no_table(here, colour, tmp_path):
    assert "use .npy" in here("pool", "--max", "2", "colour.png", "-o", "x.csv", code=6).err
    assert not (tmp_path / "x.csv").exists()


def test_nan_only_if_allowed(here):
    matrix = b"1,nan;3,4"
    assert "NaN at row 0" in here("pool", "--max", "2", stdin=matrix, code=3).err
    assert here("pool", "--max", "2", "--allow-nan", stdin=matrix).text == "nan\n"
