"""``cnntool resize``."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(6)


@pytest.fixture
def photo(tmp_path, samples):
    """A photo and its pixels."""
    with Image.open(samples / "cat.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return pixels


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_by_hand(here):
    def resize(*options):
        return here("resize", *options, stdin=b"1,2;3,4").text.split()

    assert resize("--scale", "2", "--method", "nearest") == [
        "1,1,2,2", "1,1,2,2", "3,3,4,4", "3,3,4,4",
    ]  # fmt: skip
    assert resize("--size", "1,2") == ["2,3"]
    assert resize("--size", "1") == ["2.5"]
    assert resize("--scale", "1/2") == ["2.5"]
    assert resize("--scale", "2,1")[1] == "1.5,2.5"


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(101, 97), (333, 500)])
def test_pillow_makes_the_same_of_a_photo(here, photo, tmp_path, method, size):
    done = here("resize", "--size", f"{size[0]},{size[1]}", "--method", method, "in.png")
    assert (done.text, done.err) == ("in.resize.png\n", "")
    how = Image.Resampling[method.upper()]
    expected = np.asarray(Image.fromarray(photo).resize(size[::-1], how))
    difference = opened(tmp_path / "in.resize.png").astype(int) - expected
    if method == "nearest":  # in the middle between two, Pillow's rounding decides
        assert (difference != 0).mean() < 0.01
    else:
        assert np.abs(difference).max() <= 1


def test_without_antialiasing_only_neighbours_count(here, tmp_path):
    np.save(tmp_path / "line.npy", np.arange(16, dtype=np.float32).reshape(1, 16) ** 2)
    here("resize", "--size", "1,2", "--no-antialias", "line.npy", "-o", "out.npy")
    assert np.load(tmp_path / "out.npy").tolist() == [[(9 + 16) / 2, (121 + 144) / 2]]


def test_hidden_colours_stay_hidden(here, tmp_path):
    """Clear red beside solid blue must not turn it purple."""
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[:, :2] = 255, 0, 0, 0
    pixels[:, 2:] = 0, 0, 255, 255
    Image.fromarray(pixels).save(tmp_path / "in.png")
    here("resize", "--size", "2,8", "in.png", "-o", "out.png")
    found = opened(tmp_path / "out.png")
    assert not found[:, :, 0].any()
    seen = found[:, :, 3] > 0
    assert (found[seen][:, 2] == 255).all()
    assert sorted(set(found[0, :, 3].tolist())) == [0, 64, 191, 255]


def test_maps_keep_axes_and_type(here, tmp_path):
    for dtype in (np.float32, np.float64):
        np.save(tmp_path / "maps.npy", RNG.random((6, 5, 7)).astype(dtype))
        here("resize", "--scale", "2", "maps.npy", "-o", "out.npy", "--overwrite")
        found = np.load(tmp_path / "out.npy")
        assert (found.shape, found.dtype) == ((6, 10, 14), dtype)


def test_a_pipe(here, photo, tmp_path):
    piped = here("resize", "--size", "20,30", stdin=(tmp_path / "in.png").read_bytes())
    assert opened(BytesIO(piped.out)).shape == (20, 30, 3)


def test_the_record(here, photo):
    record = json.loads(here("resize", "--size", "20", "in.png", "--json").text)
    assert (record["method"], record["antialias"]) == ("bilinear", True)
    assert (record["written"]["height"], record["written"]["width"]) == (20, 20)
    assert record["clipped"] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "give either --size or --scale"),
        (["--size", "2", "--scale", "2"], "give either --size or --scale"),
        (["--size", "0"], "'0' is not a positive number"),
        (["--scale", "0"], "'0' is not a positive number"),
        (["--scale", "-1"], "'-1' is not a positive number"),
        (["--scale", "1/0"], "'1/0' is not a positive number"),
        (["--scale", "nan"], "'nan' is not a positive number"),
        (["--scale", "1e999999999"], "'1e999999999' is more than 1000000000"),
        (["--scale", "1e-999999999"], "'1e-999999999' is not a positive number"),
        (["--scale", "1/"], "'1/' is not a positive number"),
        (["--scale", "1,2,3"], "'1,2,3' is not a positive number"),
        (["--scale", "9", "--max-pixels", "100"], "18x18 is over the limit of 100 pixels"),
    ],
)
def test_what_is_refused(here, options, reason):
    done = here("resize", *options, stdin=b"1,2;3,4", code=2)
    assert done.out == b""
    assert reason in done.err


def test_many_maps_count_as_many_pixels(here, tmp_path):
    np.save(tmp_path / "maps.npy", np.zeros((40, 2, 2)))
    for verb in (["resize", "--size", "9999"], ["deconv", "-k", "1", "--stride", "9998"]):
        done = here(*verb, "--layout", "chw", "maps.npy", code=2)
        assert "9999x9999x40 is over the limit of 100000000 pixels" in done.err
