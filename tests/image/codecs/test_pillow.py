"""JPEG, WebP, GIF and BMP: conversions, orientation, limits."""

from __future__ import annotations

import io
import resource
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from specimens import picture, saved

from cnntool.errors import InputError
from cnntool.image import source
from cnntool.image.files import open_reader, read_image


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


RGB = Image.fromarray(picture(3, height=32, width=48))


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_orientation(code, kind):
    tags = Image.Exif()
    tags[274] = code
    options = {"lossless": True} if kind == "webp" else {"quality": 100, "subsampling": 0}
    body = saved(RGB, kind, exif=tags, **options)
    got, info = read(body)
    view = np.asarray(RGB)
    for step in {2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}.get(code, ""):
        view = {"h": view[:, ::-1], "v": view[::-1], "t": view.swapaxes(0, 1)}[step]
    assert info.shape == got.shape == view.shape
    assert np.abs(got.astype(int) - view).mean() < 3
    with open_reader(io.BytesIO(body), name="test") as reader:
        reader.start(7)
        strips = list(reader.strips(7))
    assert {len(strip) for strip in strips[:-1]} == {7}
    np.testing.assert_array_equal(np.concatenate(strips), got)


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0",
        b"XX*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0",
    ],
)
def test_orientation_that_makes_no_sense_is_none(block):
    assert source.orientation(block) == 1


def test_orientation_in_both_byte_orders():
    little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0"
    assert source.orientation(little) == 6
    assert source.orientation(b"Exif\0\0" + big) == 8


def test_inks():
    """Adobe's CMYK JPEGs store inks inverted and say so; others do not."""
    inks = Image.merge("CMYK", [Image.new("L", (16, 16), v) for v in (0, 200, 100, 20)])
    want = np.asarray(inks.convert("RGB"))[0, 0].astype(int)
    body = saved(inks, "jpeg", quality=100)
    marker = body.index(b"\xff\xee")
    got, info = read(body)
    assert info.channels == 3
    assert info.icc is None
    assert np.abs(got[0, 0] - want).max() <= 3
    (length,) = struct.unpack_from(">H", body, marker + 2)
    unmarked = body[:marker] + body[marker + 2 + length :]
    inverted = Image.merge("CMYK", [Image.new("L", (16, 16), 255 - v) for v in (0, 200, 100, 20)])
    want = np.asarray(inverted.convert("RGB"))[0, 0].astype(int)
    assert np.abs(read(unmarked)[0][0, 0] - want).max() <= 3


def test_palettes_and_bits():
    palette = RGB.convert("P")
    for kind in ("gif", "bmp"):
        np.testing.assert_array_equal(read(saved(palette, kind))[0], palette.convert("RGB"))
        assert read(saved(RGB.convert("1"), kind))[1].channels == 1
    for kind in ("gif", "bmp"):
        grey = RGB.convert("L")
        got, info = read(saved(grey, kind))
        assert info.channels == 1
        np.testing.assert_array_equal(got[..., 0], grey)
    got, info = read(saved(palette, "gif", transparency=palette.getpixel((0, 0))))
    assert info.alpha
    assert got[0, 0, 3] == 0
    assert got[..., 3].max() == 255


def test_alpha_and_profile_of_webp():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(picture(4))
    got, info = read(saved(image, "webp", lossless=True, exact=True, icc_profile=profile))
    np.testing.assert_array_equal(got, image)
    assert info.icc == profile


def test_a_profile_of_other_colours_is_dropped():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read(saved(RGB, "jpeg", icc_profile=profile))[1].icc == profile
    assert read(saved(RGB.convert("L"), "jpeg", icc_profile=profile))[1].icc is None
    assert read(saved(RGB.convert("CMYK"), "jpeg", icc_profile=profile))[1].icc is None


def test_a_later_frame_that_is_damaged(capfd):
    noise = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
    images = [Image.fromarray(frame) for frame in noise]
    body = saved(images[0], "gif", save_all=True, append_images=images[1:])
    cut = body[: -len(body) // 6]
    with pytest.raises(IndexError):
        assert Image.open(io.BytesIO(cut)).n_frames
    got, info = read(cut)
    np.testing.assert_array_equal(got[..., 0], images[0])
    (note,) = info.notes
    assert note.startswith("damaged GIF: a frame after the first; ")
    with pytest.raises(InputError, match="GIF: a frame after the first"):
        read(cut, strict=True)
    with pytest.raises(InputError, match="damaged or unsupported GIF"):
        read(body[: len(body) // 6])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_animations(kind):
    frames = [RGB, RGB.rotate(90), RGB.rotate(180)]
    options = {"lossless": True} if kind == "webp" else {}
    body = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    got, info = read(body)
    assert info.frames == 3
    assert info.notes == ("only the first of 3 frames or pages is read",)
    assert np.abs(got[..., :3].astype(int) - np.asarray(RGB)).mean() < 12


def small_webp(kind: bytes, payload: bytes) -> bytes:
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


GIF_FRAME = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\0;"
BMP_SIZES = (99, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
JPEG_FRAME = struct.pack(">HBHHB", 11, 8, 60_000, 60_000, 1) + b"\1\x11\0"

LARGE = {
    "webp extended": small_webp(b"VP8X", b"\x10\0\0\0" + b"\xff\x3f\0" + b"\xff\x3f\0"),
    "webp lossless": small_webp(b"VP8L", b"\x2f" + struct.pack("<I", (1 << 28) - 1) + bytes(9)),
    "webp lossy": small_webp(
        b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(9)
    ),
    "gif frame": b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + GIF_FRAME,
    "gif screen": b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + GIF_FRAME,
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", *BMP_SIZES),
    "jpeg": b"\xff\xd8\xff\xc0" + JPEG_FRAME + b"\xff\xda\0\x08\1\1\0\0\x3f\0",
}


@pytest.mark.parametrize("kind", LARGE)
def test_too_large_is_told_from_the_header(kind, capfd):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="over the limit of 100000000 pixels") as caught:
        read(LARGE[kind])
    assert caught.value.hint == "`max_pixels` raises the limit"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert capfd.readouterr() == ("", "")


def test_our_limit_is_the_limit(monkeypatch, capfd):
    """Pillow would warn, or refuse, at a number of its own."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for kind in ("jpeg", "gif", "bmp", "webp", "png", "tiff", "ppm"):
        assert read(saved(RGB, kind))[0].size == 32 * 48 * 3
        with pytest.raises(InputError, match="32x48 is over the limit of 1535 pixels"):
            read(saved(RGB, kind), max_pixels=32 * 48 - 1)
    assert capfd.readouterr() == ("", "")
