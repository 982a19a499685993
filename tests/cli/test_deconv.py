"""``cnntool deconv``: the transpose convolution."""

import json

import numpy as np
import pytest
from PIL import Image

from cnntool.filters.kernel import Kernel
from cnntool.filters.transpose import transpose_convolve
from cnntool.shapes.windows import Window

RNG = np.random.default_rng(4)


def test_by_hand(here):
    def deconv(*options):
        return here("deconv", "-k", "1,10;100,1000", *options, stdin=b"1,2;3,4").text.split()

    assert deconv("--stride", "2") == ["1,10,2,20", "100,1000,200,2000", "3,30,4,40",
                                       "300,3000,400,4000"]  # fmt: skip
    assert deconv() == ["1,12,20", "103,1234,2040", "300,3400,4000"]
    assert deconv("--padding", "same") == ["1,12", "103,1234"]
    assert deconv("--padding", "full") == ["1234"]
    assert deconv("--op", "convolve")[0] == "1000,2100,200"
    assert deconv("--stride", "2,1", "--output-padding", "1,0")[-1] == "0,0,0"
    assert deconv("--dilation", "2")[0] == "1,2,10,20"


def test_n12_the_transpose_of_a_2x2_kernel_on_3x3(here):
    """A 2x2 result goes back to 3x3: each value lays the four weights down."""
    done = here("deconv", "-k", "1,2;3,4", stdin=b"1,0;0,0")
    assert done.text == "1,2,0\n3,4,0\n0,0,0\n"
    done = here("deconv", "-k", "1,2;3,4", stdin=b"0,0;0,1")
    assert done.text == "0,0,0\n0,1,2\n0,3,4\n"


def test_it_undoes_the_shape_of_filter(here):
    matrix = "\n".join([",".join("1" * 11)] * 9).encode()
    options = ["-k", "box:3", "--stride", "2"]
    small = here("filter", *options, "--mode", "valid", stdin=matrix)
    assert [len(small.text.splitlines()), small.text.splitlines()[0].count(",") + 1] == [4, 5]
    back = here("deconv", *options, stdin=small.out).text.splitlines()
    assert [len(back), back[0].count(",") + 1] == [9, 11]


def test_maps_keep_their_type(here, tmp_path):
    maps = RNG.random((3, 5, 6), np.float32)
    np.save(tmp_path / "maps.npy", maps)
    here("deconv", "-k", "gaussian:sigma=1", "--stride", "2", "maps.npy", "-o", "out.npy")
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == np.float32
    here("kernels", "show", "gaussian:sigma=1", "--json")
    side = found.shape[1] - 2 * 4
    assert found.shape == (3, side + 8, side + 10)


def test_a_picture_is_clipped_or_centred(here, tmp_path):
    pixels = RNG.integers(0, 256, (10, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    done = here("deconv", "-k", "0,1,0;1,1,1;0,1,0", "in.png", "-v")
    assert done.text == "in.deconv.png\n"
    assert "% of the values were clipped" in done.err
    expected = transpose_convolve(
        pixels.astype(float), Kernel([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), Window((3, 3))
    )
    with Image.open(tmp_path / "in.deconv.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected.clip(0, 255))
    here("deconv", "-k", "1,-1", "in.png", "-o", "centred.png")
    expected = transpose_convolve(pixels.astype(float), Kernel([[1, -1]]), Window((1, 2)))
    with Image.open(tmp_path / "centred.png") as picture:
        difference = np.asarray(picture) - (expected / 2 + 127.5)
    assert np.abs(difference).max() <= 0.5 + 1e-4
    here("deconv", "-k", "1,-1", "in.png", "-o", "raw.npy")
    np.testing.assert_allclose(np.load(tmp_path / "raw.npy"), expected / 255, atol=1e-6)


@pytest.mark.parametrize("policy", ["clip", "abs", "center", "minmax"])
def test_range_is_as_with_filter(here, tmp_path, policy):
    """Without stride and padding, the transpose of a turned kernel is a full filter."""
    Image.fromarray(RNG.integers(0, 256, (9, 7), np.uint8)).save(tmp_path / "in.png")
    options = ["-k", "1,-1;2,-1", "--range", policy, "in.png"]
    here("deconv", "--op", "convolve", *options, "-o", "ours.png")
    here("filter", "--mode", "full", *options, "-o", "theirs.png")
    ours, theirs = (
        np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("ours.png", "theirs.png")
    )
    assert np.abs(ours - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.9


def test_alpha_is_left_out(here, tmp_path):
    pixels = RNG.integers(0, 256, (4, 4, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    here("deconv", "-k", "1", "in.png", "-o", "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), pixels[:, :, :3])


def test_the_record(here):
    done = here("deconv", "-k", "1,1", "--stride", "1,2", "--padding", "same", "-o", "x.csv",
                "--json", stdin=b"1,2")  # fmt: skip
    record = json.loads(done.text)
    assert record["kernel"] == "1,1"
    assert record["stride"] == [1, 2]
    assert record["padding"] == [0, 0, 0, 1]
    assert record["written"]["width"] == 3
    assert record["clipped"] is None


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ([], 2, "Missing option '-k'"),
        (["-k", "sobel"], 2, "sobel combines 2 kernels by magnitude"),
        (["-k", "median:3"], 2, "median is no convolution: it has no transpose"),
        (["-k", "1,1", "--output-padding", "1"], 2, "<stdin>: an output padding of 1x1"),
        (["-k", "1,1", "--output-padding", "-1"], 2, "is not a whole number"),
        (["-k", "1,1", "--padding", "9"], 2, "<stdin>: the padding leaves nothing"),
        (["-k", "1,1", "--stride", "2", "--max-pixels", "4"], 2, "over the limit of 4 pixels"),
        (
            ["-k", "1,1", "--stride", "60000", "--padding", "29990"],
            2,
            "a result of 60001x60002 is over the limit",
        ),
        (["-k", "1,1", "--range", "raw", "--format", "png"], 2, "--range raw needs a format"),
    ],
)
def test_what_is_refused(here, options, code, reason):
    done = here("deconv", *options, stdin=b"1,2;3,4", code=code)
    assert done.out == b""
    assert reason in done.err
