"""``cnntool unpool``."""

import json

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(2)


def test_a_stack_of_maps_goes_back(here, tmp_path):
    maps = RNG.permutation(3 * 4 * 6).reshape(3, 4, 6) + 1.0
    np.save(tmp_path / "maps.npy", maps)
    for name in ("s.npy", "s.csv"):
        pooled = here("pool", "--max", "2", "--switches", name, "maps.npy", "-o", "-")
        done = here("unpool", "--switches", name, "--size", "4,6", "-o", "-", stdin=pooled.out)
        (tmp_path / "back.npy").write_bytes(done.out)
        back = np.load(tmp_path / "back.npy")
        assert np.count_nonzero(back) == 18
        assert ((back == maps) | (back == 0)).all()
        np.testing.assert_array_equal(
            back.reshape(3, 2, 2, 3, 2).max(axis=(2, 4)),
            maps.reshape(3, 2, 2, 3, 2).max(axis=(2, 4)),
        )


def test_many_small_maps_go_back(here, tmp_path):
    """An array whose axes the reader guesses otherwise."""
    maps = RNG.permutation(8 * 4 * 4).reshape(8, 4, 4) + 1.0
    np.save(tmp_path / "maps.npy", maps)
    layout = ["--layout", "chw"]
    here("pool", "--max", "2", "--switches", "s.npy", *layout, "maps.npy", "-o", "p.npy")
    done = here("unpool", "--switches", "s.npy", "--size", "4", *layout, "p.npy", "-o", "b.npy")
    assert done.err == ""
    back = np.load(tmp_path / "b.npy")
    assert back.shape == (8, 4, 4)
    assert ((back == maps) | (back == 0)).all()


def test_a_picture_goes_back(here, tmp_path):
    pixels = RNG.integers(1, 256, (8, 10, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    here("pool", "--max", "2", "--switches", "s.npy", "in.png", "-o", "small.png")
    done = here("unpool", "--switches", "s.npy", "--size", "8,10", "small.png")
    assert done.text == "small.unpool.png\n"
    with Image.open(tmp_path / "small.unpool.png") as picture:
        back = np.asarray(picture)
    assert np.count_nonzero(back) == 4 * 5 * 3
    assert ((back == pixels) | (back == 0)).all()


def test_the_record(here, tmp_path):
    (tmp_path / "s.csv").write_text("3\n")
    done = here("unpool", "--switches", "s.csv", "--size", "2", "-o", "b.csv", "--json", stdin=b"7")
    record = json.loads(done.text)
    assert (record["size"], record["switches"], record["output"]) == ([2, 2], "s.csv", "b.csv")
    assert (tmp_path / "b.csv").read_text() == "0 0\n0 7\n".replace(" ", ",")


@pytest.mark.parametrize(
    ("switches", "options", "failure"),
    [
        ("0,1", ["--size", "2"], (3, "s.csv: the switches are 1x2x1, the pooled values 1x1x1")),
        ("4", ["--size", "2"], (2, "s.csv: a switch is no place in 2x2: they go from 0 to 3")),
        ("0.5", ["--size", "2"], (2, "a switch is no place")),
        ("nan", ["--size", "2"], (2, "s.csv: a switch is no place")),
        ("x", ["--size", "2"], (3, "s.csv: row 1, column 1: 'x' is not a number")),
        (None, ["--size", "2"], (3, "s.csv: no such file")),
        ("0", [], (2, "Missing option '--size'")),
        ("0", ["--size", "2", "--max-pixels", "3"], (2, "2x2 is over the limit of 3 pixels")),
    ],
)
def test_what_is_refused(here, tmp_path, switches, options, failure):
    code, reason = failure
    if switches is not None:
        (tmp_path / "s.csv").write_text(switches)
    done = here("unpool", "--switches", "s.csv", *options, stdin=b"7", code=code)
    assert done.out == b""
    assert reason in done.err


def test_one_input(here, tmp_path):
    (tmp_path / "s.csv").write_text("0")
    done = here("unpool", "--switches", "s.csv", "--size", "2", ".", code=2)
    assert "--switches is of one input" in done.err
    here("unpool", "--switches", "s.csv", "--size", "2", "s.csv", "s.csv", code=2)
