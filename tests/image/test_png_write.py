"""What is written as PNG is read by Pillow, by a plain decoder, and by our reader."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms
from png_maker import filter_row
from specimens import picture

from cnntool.image import deflate, png_filter
from cnntool.image.deflate import adler32_combine
from cnntool.image.files import open_writer, read_image
from cnntool.image.types import ImageInfo

LEVELS = [None, *range(10)]


def written(pixels: np.ndarray, rows: int = 5, compression: int | None = None, **facts) -> bytes:
    height, width, samples = pixels.shape
    info = ImageInfo(
        height,
        width,
        channels=1 if samples < 3 else 3,
        alpha=samples % 2 == 0,
        dtype=pixels.dtype.name,
        **facts,
    )
    body = io.BytesIO()
    with open_writer(body, info, name="test", format="png", compression=compression) as writer:
        for top in range(0, height, rows):
            writer.write(pixels[top : top + rows])
    return body.getvalue()


def chunks(body: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    start = 8
    while start < len(body):
        (length,) = struct.unpack_from(">I", body, start)
        kind, content = body[start + 4 : start + 8], body[start + 8 : start + 8 + length]
        (crc,) = struct.unpack_from(">I", body, start + 8 + length)
        assert crc == zlib.crc32(kind + content)
        found.append((kind, content))
        start += 12 + length
    return found


def raw(body: bytes) -> bytes:
    """Inflate the image data with zlib, which checks that stream and checksum are whole."""
    engine = zlib.decompressobj()
    data = engine.decompress(b"".join(content for kind, content in chunks(body) if kind == b"IDAT"))
    assert engine.eof
    assert not engine.unused_data
    return data


PIXELS = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]),
    st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4)),
)


@examples(150)
@given(pixels=PIXELS, rows=st.integers(1, 13), level=st.sampled_from(LEVELS))
def test_any_pixels_come_back(pixels, rows, level):
    body = written(pixels, rows, level)
    np.testing.assert_array_equal(read_image(io.BytesIO(body), name="test")[0], pixels)
    assert len(raw(body)) == pixels.shape[0] * (1 + pixels[0].nbytes)
    if pixels.dtype == np.uint8:
        mode = ("L", "LA", "RGB", "RGBA")[pixels.shape[2] - 1]
        with Image.open(io.BytesIO(body)) as image:
            assert image.mode == mode
            np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_pillow_reads_16_bit_grey():
    pixels = picture(1, "uint16")
    with Image.open(io.BytesIO(written(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("step", [1, 2, 3, 6])
def test_filters_after_the_text(kind, step):
    rng = np.random.default_rng(kind)
    rows = rng.integers(0, 256, (4, 6 * step), dtype=np.uint8)
    above = rng.integers(0, 256, rows.shape, dtype=np.uint8)
    out = np.empty_like(rows)
    png_filter.residuals(rows, above, step, kind, out)
    for row, over, residual in zip(rows, above, out, strict=True):
        assert filter_row(kind, row.tobytes(), over.tobytes(), step)[1:] == residual.tobytes()


@pytest.mark.parametrize("block", [1, 50, 1 << 16])
def test_strips_never_look_above_themselves(monkeypatch, block):
    monkeypatch.setattr(png_filter, "_BLOCK_BYTES", block)
    pixels = picture(3, height=23, width=17)
    for level in (None, 9):
        data = np.frombuffer(raw(written(pixels, 6, level)), np.uint8).reshape(23, -1)
        assert set(data[::6, 0]) <= {png_filter.NONE, png_filter.SUB}
        got = read_image(io.BytesIO(written(pixels, 6, level)), name="test")[0]
        np.testing.assert_array_equal(got, pixels)


def test_strips_may_be_encoded_in_any_order():
    pixels = np.random.default_rng(1).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    info = ImageInfo(30, 20, channels=3)
    body = io.BytesIO()
    with open_writer(body, info, name="test") as writer:
        encoded = {top: writer.encode(pixels[top : top + 7]) for top in (28, 7, 0, 21, 14)}
        for top in sorted(encoded):
            writer.append(encoded[top])
    assert body.getvalue() == written(pixels, 7)


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.zeros((40, 40, 1), np.uint8), png_filter.NONE),
        (np.arange(40, dtype=np.uint8).reshape(1, 40, 1).repeat(40, 0) * 5, png_filter.UP),
        (np.arange(40, dtype=np.uint8).reshape(40, 1, 1).repeat(40, 1) * 5, png_filter.SUB),
    ],
)
def test_the_cheap_choice_is_sensible(pixels, kind):
    assert raw(written(pixels, 40))[41 * 20] == kind


def test_smaller_with_every_effort():
    rng = np.random.default_rng(2)
    noisy = np.clip(
        picture(3, height=200, width=300) * 0.6 + rng.normal(60, 3, (200, 300, 3)), 0, 255
    )
    smooth = picture(1, height=200, width=300)
    for pixels in (noisy.astype(np.uint8), smooth):
        stored, fast, best = (len(written(pixels, 100, level)) for level in (0, None, 9))
        assert best <= fast < stored
        theirs = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(theirs, "png", compress_level=9)
        assert best <= 1.05 * len(theirs.getvalue()) + 100


@pytest.mark.parametrize("level", LEVELS)
def test_without_igzip(monkeypatch, level):
    monkeypatch.setattr(deflate, "_fast", zlib)
    pixels = picture(3, "uint16", 40, 30)
    body = written(pixels, 16, level)
    assert len(raw(body)) == 40 * (1 + 6 * 30)
    np.testing.assert_array_equal(read_image(io.BytesIO(body), name="test")[0], pixels)


def test_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    body = written(picture(3), icc=profile)
    with Image.open(io.BytesIO(body)) as image:
        assert image.info["icc_profile"] == profile
    assert read_image(io.BytesIO(body), name="test")[1].icc == profile


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_checksums_combine(first, second):
    combined = adler32_combine(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


def test_checksums_combine_over_long_data():
    data = bytes([255]) * 3_000_000
    halves = zlib.adler32(data[:1_000_000]), zlib.adler32(data[1_000_000:])
    assert adler32_combine(*halves, 2_000_000) == zlib.adler32(data)
