"""A picture as its reader has it is the picture that is read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from specimens import picture, saved

from cnntool.image.files import open_reader


def encoded(mode, form, orientation):
    pixels = picture(len(mode))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(pixels[..., 0] if mode == "L" else pixels), form, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("mode", "form"), [("L", "JPEG"), ("RGB", "JPEG"), ("RGB", "WEBP"), ("RGBA", "WEBP")]
)
def test_the_picture_is_the_array(mode, form, orientation):
    data = encoded(mode, form, orientation)
    with open_reader(io.BytesIO(data), name="x") as reader:
        expected = reader.read()
        shape = reader.info.shape
    with open_reader(io.BytesIO(data), name="x") as reader:
        found = reader.picture()
    assert isinstance(found, np.ndarray) == (form == "JPEG" or mode == "RGBA")
    assert expected.shape == shape
    assert np.array_equal(np.asarray(found).reshape(shape), expected)


def test_what_pillow_does_not_decode_is_an_array():
    pixels = picture(3)
    with open_reader(io.BytesIO(saved(Image.fromarray(pixels), "PNG")), name="x") as reader:
        assert np.array_equal(reader.picture(), pixels)
