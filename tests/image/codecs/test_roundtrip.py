"""Every format holds what its row says, and nothing else."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from specimens import picture

from cnntool.errors import CnntoolError, OutputError, UsageError
from cnntool.image import files
from cnntool.image.files import (
    FORMATS,
    format_of,
    open_reader,
    open_writer,
    read_image,
    write_image,
)
from cnntool.image.source import ITEM_SIZES, ImageInfo

CASES = [
    (row.name, dtype, channels, alpha, compression)
    for row in FORMATS.values()
    for dtype in row.dtypes
    for channels in row.channels or (1, 2, 3, 7)
    for alpha in ((False, True) if row.alpha and not row.matrix else (False,))
    for compression in (None, 0, 5)
]


def layout(kind: str, channels: int) -> str:
    if kind in ("csv", "txt") or (kind == "npy" and channels == 1):
        return "hw"
    return "chw" if kind == "npy" and channels > 4 else "hwc"


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_there_and_back(tmp_path, case, stream):
    kind, dtype, channels, alpha, compression = case
    pixels = picture(channels + alpha, dtype, 23, 17)
    info = ImageInfo(
        23, 17, channels, dtype, alpha, kind, FORMATS[kind].matrix, layout=layout(kind, channels)
    )
    path = tmp_path / f"out{FORMATS[kind].suffixes[0]}"
    body = io.BytesIO()
    options = {"name": "test", "compression": compression}
    with open_writer(body if stream else path, info, **options) as writer:
        for top in range(0, 23, 5):
            writer.write(pixels[top : top + 5])
    if stream:
        path.write_bytes(body.getvalue())
    with open_reader(path, name="test") as reader:
        got = np.concatenate(list(reader.strips(7)))
        back = reader.info
    if FORMATS[kind].matrix:
        assert got.dtype == (dtype if (kind, dtype) == ("npy", "float32") else "float64")
        assert back.matrix
        np.testing.assert_array_equal(got.astype(dtype), pixels)
        return
    assert got.dtype == dtype
    assert back.alpha == alpha
    assert back.format == kind
    if kind == "webp" and channels == 1:
        assert back.channels == 3
        pixels = np.concatenate((pixels[..., :1].repeat(3, 2), pixels[..., 1:]), axis=2)
    assert got.shape == pixels.shape
    if FORMATS[kind].lossless:
        np.testing.assert_array_equal(got, pixels)
    else:
        assert np.abs(got.astype(int) - pixels).mean() < 6


@pytest.mark.parametrize("kind", ["jpeg", "webp", "bmp", "gif", "pnm", "tiff", "png"])
def test_pillow_reads_what_we_write(kind):
    channels = FORMATS[kind].channels[-1]
    pixels = picture(channels)
    body = io.BytesIO()
    write_image(body, pixels, ImageInfo(13, 9, channels), name="test", format=kind)
    with Image.open(io.BytesIO(body.getvalue())) as image:
        assert image.format == {"pnm": "PPM"}.get(kind, kind.upper())
        seen = np.asarray(image.convert("RGB" if channels == 3 else "L"))
    if FORMATS[kind].lossless:
        np.testing.assert_array_equal(seen, pixels.squeeze())


@pytest.mark.parametrize("dtype", FORMATS["tiff"].dtypes)
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("compression", [None, 6])
@pytest.mark.parametrize("rows", [4, 30])
def test_tifffile_reads_what_we_write(dtype, samples, compression, rows):
    pixels = picture(samples, dtype, 30, 21)
    info = ImageInfo(30, 21, 1 if samples < 3 else 3, dtype, samples % 2 == 0, "tiff")
    body = io.BytesIO()
    with open_writer(body, info, name="test", compression=compression) as writer:
        for top in range(0, 30, rows):
            writer.write(pixels[top : top + rows])
    with tifffile.TiffFile(io.BytesIO(body.getvalue())) as tiff:
        page = tiff.pages[0]
        np.testing.assert_array_equal(page.asarray(), pixels.squeeze())
        assert page.photometric == (2 if samples > 2 else 1)
        assert page.extrasamples == ((2,) if samples % 2 == 0 else ())


def test_tiff_of_more_than_four_gigabytes_is_a_bigtiff(monkeypatch):
    from cnntool.image.codecs.tiff import write as tiff_write

    monkeypatch.setattr(tiff_write, "_CLASSIC_LIMIT", 100)
    for compression in (None, 3):
        pixels = picture(3, "uint16")
        body = io.BytesIO()
        info = ImageInfo(13, 9, 3, "uint16")
        write_image(body, pixels, info, name="test", format="tiff", compression=compression)
        with tifffile.TiffFile(io.BytesIO(body.getvalue())) as tiff:
            assert tiff.is_bigtiff
            np.testing.assert_array_equal(tiff.asarray(), pixels)


@pytest.mark.parametrize("shape", ["hw", "hwc", "chw"])
@pytest.mark.parametrize("stream", [False, True])
def test_numpy_reads_what_we_write(tmp_path, shape, stream):
    pixels = np.random.default_rng(0).random((6, 5, 1 if shape == "hw" else 3))
    info = ImageInfo(6, 5, pixels.shape[2], "float64", format="npy", matrix=True, layout=shape)
    path = tmp_path / "out.npy"
    body = io.BytesIO()
    with open_writer(body if stream else path, info, name="test") as writer:
        for top in range(0, 6, 4):
            writer.write(pixels[top : top + 4])
    if stream:
        path.write_bytes(body.getvalue())
    want = {"hw": pixels[..., 0], "hwc": pixels, "chw": np.moveaxis(pixels, 2, 0)}[shape]
    got = np.load(path)
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)


def test_profiles_travel():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind, compression in itertools.product(("png", "jpeg", "webp", "tiff"), (None, 1)):
        body = io.BytesIO()
        info = ImageInfo(13, 9, 3, icc=profile)
        write_image(body, picture(3), info, name="test", format=kind, compression=compression)
        body.seek(0)
        assert read_image(body, name="test")[1].icc == profile, kind
        with Image.open(io.BytesIO(body.getvalue())) as image:
            assert image.info["icc_profile"] == profile


def test_jpeg_quality_and_full_colour():
    pixels = picture(3, height=64, width=64)
    sizes = []
    for quality in (30, 95):
        body = io.BytesIO()
        write_image(body, pixels, ImageInfo(64, 64, 3), name="test", format="jpeg", quality=quality)
        sizes.append(len(body.getvalue()))
        with Image.open(io.BytesIO(body.getvalue())) as image:
            assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    assert sizes[0] < sizes[1]


def test_a_grey_profile_is_not_for_webp_which_holds_rgb():
    profile = bytes(16) + b"GRAY" + bytes(108)
    body = io.BytesIO()
    write_image(body, picture(1), ImageInfo(13, 9, icc=profile), name="test", format="webp")
    with Image.open(body) as image:
        assert not image.info.get("icc_profile")


def test_hidden_colours_survive_webp():
    pixels = np.dstack((picture(3), np.zeros((13, 9), np.uint8)))
    body = io.BytesIO()
    write_image(body, pixels, ImageInfo(13, 9, 3, alpha=True), name="test", format="webp")
    body.seek(0)
    np.testing.assert_array_equal(read_image(body, name="test")[0], pixels)


@pytest.mark.parametrize(
    ("kind", "facts", "reason", "hint"),
    [
        ("jpeg", {"alpha": True, "channels": 3}, "JPEG holds no alpha", "use .png"),
        ("jpeg", {"dtype": "uint16"}, "no uint16", "use .png"),
        ("png", {"dtype": "float32"}, "no float32", "use .tif or .npy"),
        ("png", {"channels": 5}, "no 5 colour channels", "use .npy"),
        ("csv", {"channels": 3}, "no 3 colour channels", "use .npy"),
        ("webp", {"width": 20_000}, "at most 16383", "use .png"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, kind, facts, reason, hint):
    info = ImageInfo(**{"height": 2, "width": 2, **facts})
    with pytest.raises(OutputError, match=reason) as caught:
        open_writer(tmp_path / "out", info, name="out", format=kind)
    assert caught.value.hint == hint
    assert caught.value.source == "out"
    assert list(tmp_path.iterdir()) == []


def test_settings_are_checked(tmp_path):
    for wrong in ({"compression": 10}, {"compression": -1}, {"quality": 0}, {"quality": 101}):
        with pytest.raises(UsageError):
            open_writer(tmp_path / "out.png", ImageInfo(2, 2), name="out", **wrong)


@pytest.mark.parametrize("heights", [[5, 4], [5, 5, 5, 5], [4, 5], []])
def test_strips_that_do_not_add_up(heights):
    body = io.BytesIO()

    def write() -> None:
        with open_writer(body, ImageInfo(13, 9), name="test") as writer:
            for height in heights:
                writer.write(picture(1)[:height])

    with pytest.raises(ValueError, match=r"strip|missing"):
        write()


def test_suffixes():
    assert format_of("a/b.JPG").name == "jpeg"
    assert format_of(b"\xff.tiff").name == "tiff"
    for name in ("noend", "a.xyz", ".png"):
        with pytest.raises(OutputError) as caught:
            format_of(name)
        assert "`format`" in caught.value.hint


def test_the_table():
    for name, row in FORMATS.items():
        assert name == row.name
        assert set(row.dtypes) <= set(ITEM_SIZES)
        assert all(suffix.startswith(".") and suffix.islower() for suffix in row.suffixes)
        assert callable(files._codec(row.reader))
        assert callable(files._codec(row.writer))
    png = FORMATS["png"]
    with pytest.raises(CnntoolError, match="twice"):
        files._registry(png, png)


@pytest.mark.parametrize("dtype", list(ITEM_SIZES))
def test_facts(dtype):
    info = ImageInfo(10, 6, 3, dtype, alpha=True)
    assert info.samples == 4
    assert info.shape == (10, 6, 4)
    assert info.row_bytes == 6 * 4 * np.dtype(dtype).itemsize
    assert info.peak == (np.iinfo(dtype).max if dtype.startswith("u") else 1)
    assert info.strip_rows == 10
    assert ImageInfo(10**6, 1000, 1, dtype).strip_rows < 1049
