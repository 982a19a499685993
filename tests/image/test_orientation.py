"""The orientation in EXIF, or in XMP where EXIF is silent; Pillow's own way is the oracle."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps, PngImagePlugin
from specimens import picture, saved

from cnntool.image import source
from cnntool.image.files import read_image

IMAGE = Image.fromarray(picture(3, height=16, width=24))
ATTRIBUTE, ELEMENT = 'tiff:Orientation="%d"', "<tiff:Orientation>%d</tiff:Orientation>"


def packet(code: int, form: str = ATTRIBUTE) -> bytes:
    return b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + (form % code).encode() + b"</x:xmpmeta>"


def png(xmp: bytes, *, packed: bool = False, **options: object) -> bytes:
    words = PngImagePlugin.PngInfo()
    words.add_itxt("Comment", 'tiff:Orientation="8"')
    words.add_itxt("XML:com.adobe.xmp", xmp.decode(), "en", "", zip=packed)
    return saved(IMAGE, "png", pnginfo=words, **options)


def tiff(xmp: bytes, *, far: bool = False, **options: object) -> bytes:
    """``far``: tifffile and not our own parser reads the directory."""
    body = io.BytesIO()
    extra = [(700, 1, len(xmp), xmp, True)] + [(65000, 3, 1, 1, True)] * far
    tifffile.imwrite(body, np.asarray(IMAGE), photometric="rgb", extratags=extra, **options)
    return body.getvalue()


FILES = {
    "jpeg": lambda xmp, **more: saved(IMAGE, "jpeg", xmp=xmp, subsampling=0, quality=100, **more),
    "webp": lambda xmp, **more: saved(IMAGE, "webp", xmp=xmp, lossless=True, **more),
    "png": png,
    "png packed": lambda xmp, **more: png(xmp, packed=True, **more),
    "tiff": tiff,
    "tiff by tifffile": lambda xmp: tiff(xmp, far=True),
    "tiff by Pillow": lambda xmp: saved(IMAGE, "tiff", compression="jpeg", tiffinfo={700: xmp}),
}


def read(body: bytes) -> np.ndarray:
    pixels, info = read_image(io.BytesIO(body), name="test")
    assert pixels.shape == info.shape
    return pixels


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_in_xmp_alone(kind, code):
    body = FILES[kind](packet(code))
    want = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    np.testing.assert_array_equal(read(body), want)
    upright = FILES[kind](packet(1))
    assert (code == 1) == np.array_equal(read(body), read(upright))


@pytest.mark.parametrize("kind", ["jpeg", "webp", "png"])
def test_exif_comes_first(kind):
    tags = Image.Exif()
    tags[274] = 1
    body = FILES[kind](packet(6), exif=tags)
    assert read(body).shape == (16, 24, 3)
    assert source.orientation(tags.tobytes(), packet(6)) == 1


def test_a_tag_comes_first():
    body = saved(IMAGE, "tiff", tiffinfo={274: 1, 700: packet(6)})
    assert read(body).shape == (16, 24, 3)


@pytest.mark.parametrize("form", [ATTRIBUTE, ELEMENT, "tiff:Orientation = '%d'"])
def test_ways_to_write_it(form):
    assert source.orientation(b"", packet(7, form)) == 7


@pytest.mark.parametrize(
    "xmp", [b"", packet(0), packet(9), packet(66), b"tiff:Orientation", b'exif:Orientation="6"']
)
def test_what_makes_no_sense_turns_nothing(xmp):
    assert source.orientation(b"", xmp) == 1
