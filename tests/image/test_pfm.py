"""PFM: floats from the bottom up, in both byte orders."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from specimens import picture

from cnntool.errors import InputError
from cnntool.image.files import open_reader, read_image, write_image
from cnntool.image.types import ImageInfo

# Two rows of three pixels; the lower row comes first.
GREY = b"Pf\n3 2\n-1.0\n" + np.array([4, 5, 6, 1, 2, 3], "<f4").tobytes()


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


def pfm(pixels: np.ndarray, scale: bytes = b"-1.0") -> bytes:
    kind = b"PF" if pixels.shape[2] == 3 else b"Pf"
    size = b"%d %d" % pixels.shape[1::-1]
    order = "<f4" if scale.startswith(b"-") else ">f4"
    return b"\n".join([kind, size, scale, pixels[::-1].astype(order).tobytes()])


def test_rows_go_from_the_bottom_up():
    got, info = read(GREY)
    assert got[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert got.dtype == info.dtype == "float32"
    assert got.dtype.isnative
    np.testing.assert_array_equal(got[..., 0], Image.open(io.BytesIO(GREY)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [b"-1", b"1.0", b"-1e0", b"+1"])
def test_grey_and_colour_in_both_byte_orders(channels, scale):
    pixels = np.random.default_rng(0).normal(0, 9, (13, 7, channels)).astype(np.float32)
    body = pfm(pixels, scale)
    np.testing.assert_array_equal(read(body)[0], pixels)
    assert read(body)[1].notes == ()
    with open_reader(io.BytesIO(body), name="test") as reader:
        np.testing.assert_array_equal(np.concatenate(list(reader.strips(5))), pixels)
        np.testing.assert_array_equal(reader.window(3, 9), pixels[3:9])


def test_the_scale_is_said_and_not_applied():
    got, info = read(pfm(np.ones((1, 2, 1)), b"-2.5"))
    assert got.ravel().tolist() == [1, 1]
    assert info.notes == (
        "its numbers are taken as they stand; the scale of 2.5 is not applied",
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_written_is_what_was_meant(tmp_path, channels, stream):
    pixels = picture(channels, "float32", 1000, 400)
    info = ImageInfo(1000, 400, channels, "float32", format="pfm")
    target = io.BytesIO() if stream else tmp_path / "a.pfm"
    write_image(target, pixels, info, name="test")
    assert (target.getvalue() if stream else target.read_bytes()) == pfm(pixels)


def test_nan_has_a_place():
    pixels = np.zeros((5, 4, 1), np.float32)
    pixels[3, 2] = np.inf
    with pytest.raises(InputError, match="infinity at row 3, column 2"):
        read(pfm(pixels))
    np.testing.assert_array_equal(read(pfm(pixels), allow_nan=True)[0], pixels)
    with (
        open_reader(io.BytesIO(pfm(pixels)), name="test") as reader,
        pytest.raises(InputError, match="infinity at row 3, column 2"),
    ):
        reader.window(2, 5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (GREY[:-1], "rows are missing"),
        (b"Pf\n3 2\n", "header"),
        (b"Pf\n3 2\n0\n" + bytes(24), "header"),
        (b"Pf\n3 2\n-.e1\n" + bytes(24), "header"),
        (b"Pf\n3 2\n1e999\n" + bytes(24), "header"),
        (b"Pf\n3 two\n1\n" + bytes(24), "header"),
        (b"Pf\n0 2\n1\n", "empty"),
        (b"PF\n99999999 99999999\n-1\n1", "over the limit"),
    ],
)
def test_damage_has_a_name(body, reason):
    with pytest.raises(InputError, match=reason):
        read(body)
