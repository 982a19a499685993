"""JPEG: the pixels of Pillow, and damage that libjpeg gets over."""

from __future__ import annotations

import io
import itertools
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms
from specimens import picture, saved

from cnntool.errors import InputError
from cnntool.image import jpeg_read
from cnntool.image.files import open_reader, read_image

SIZES = [(1, 1), (2, 3), (8, 8), (16, 17), (33, 31), (57, 101)]
RGB = Image.fromarray(picture(3, height=120, width=160))


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


def noisy(mode: str, height: int, width: int) -> Image.Image:
    channels = len(mode)
    noise = np.random.default_rng(height).integers(0, 60, (height, width, channels), np.uint8)
    pixels = picture(channels, height=height, width=width) // 2 + noise
    return Image.frombytes(mode, (width, height), pixels.tobytes())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_the_pixels_are_those_of_pillow(size, mode):
    image = noisy(mode, *size)
    samplings = ["4:4:4"] if mode == "L" else ["4:4:4", "4:2:2", "4:2:0", "4:1:1"]
    for sampling, progressive, quality, restart in itertools.product(
        samplings, [False, True], [10, 90, 100], [0, 1]
    ):
        body = saved(
            image,
            "jpeg",
            quality=quality,
            subsampling=sampling,
            progressive=progressive,
            restart_marker_rows=restart,
        )
        want = Image.open(io.BytesIO(body))
        got, info = read(body, strict=True)
        want = np.asarray(want.convert("RGB") if mode == "CMYK" else want)
        np.testing.assert_array_equal(got, want.reshape(got.shape))
        assert info.notes == ()


def test_simplejpeg_decodes_and_pillow_does_not(monkeypatch):
    body = saved(RGB, "jpeg")
    want, _ = read(body)
    monkeypatch.setattr(jpeg_read.PillowReader, "_loaded", None)
    np.testing.assert_array_equal(read(body)[0], want)
    with open_reader(io.BytesIO(body), name="test") as reader:
        np.testing.assert_array_equal(reader.picture(), want)


def damaged(kind: str) -> bytes:
    body = saved(RGB, "jpeg", quality=90, progressive=kind.startswith("progressive"))
    half = len(body) * 2 // 3
    cut = body[:half] + b"\xff\xd9"
    garbage = body[:half] + bytes(range(1, 200)) + body[half + 199 :]
    return {"cut": cut, "garbage": garbage, "zeros": body[:half] + bytes(99) + body[half + 99 :]}[
        kind.rpartition(" ")[2]
    ]


@pytest.mark.parametrize("kind", ["cut", "garbage", "zeros", "progressive cut"])
@pytest.mark.parametrize("whole", [True, False])
def test_damage_is_noted_or_refused(kind, whole):
    body = damaged(kind)

    def pixels(**options):
        with open_reader(io.BytesIO(body), name="test", **options) as reader:
            made = np.asarray(reader.picture()) if whole else reader.read()
            return made, reader.info

    got, info = pixels()
    np.testing.assert_array_equal(got, Image.open(io.BytesIO(body)))
    (note,) = info.notes
    assert note.startswith("damaged JPEG: ")
    assert note.endswith("; what could be decoded is used, `strict` refuses it")
    with pytest.raises(InputError, match=r"damaged JPEG: [a-z0-9][^:]*$"):
        pixels(strict=True)


def test_strips_of_a_damaged_picture_carry_the_note():
    with open_reader(io.BytesIO(damaged("cut")), name="test") as reader:
        reader.start(16)
        assert len(list(reader.strips(16))) == 8
    assert "damaged JPEG" in reader.info.notes[0]


def test_a_file_that_ends_in_the_middle_is_still_refused():
    body = saved(RGB, "jpeg")
    with pytest.raises(InputError, match="truncated JPEG"):
        read(body[: len(body) // 2])


def test_what_follows_a_picture_does_not_matter():
    body = saved(RGB, "jpeg")
    got, info = read(body + bytes(1000) + body, strict=True)
    np.testing.assert_array_equal(got, read(body)[0])
    assert info.notes == ()


def test_inks_that_are_damaged():
    body = saved(noisy("CMYK", 64, 64), "jpeg", quality=90, subsampling="4:4:4")
    body = body[: len(body) * 2 // 3] + b"\xff\xd9"
    assert "damaged JPEG" in read(body)[1].notes[0]
    with pytest.raises(InputError, match="damaged JPEG"):
        read(body, strict=True)


def test_without_simplejpeg(monkeypatch):
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    body = saved(RGB, "jpeg")
    np.testing.assert_array_equal(read(body)[0], Image.open(io.BytesIO(body)))
    with pytest.raises(InputError, match="simplejpeg is not installed"):
        read(body, strict=True)


def test_profile_and_orientation_are_carried():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = Image.Exif()
    tags[274] = 6
    body = saved(RGB, "jpeg", exif=tags, icc_profile=profile)
    with open_reader(io.BytesIO(body), name="test") as reader:
        upright = reader.picture()
        assert reader.info.icc == profile
    assert upright.shape == reader.info.shape == (160, 120, 3)
    np.testing.assert_array_equal(upright, read(body)[0])
