"""TIFF files of many kinds, written by tifffile and Pillow, or laid out by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image
from specimens import picture, saved, tiff

from cnntool.errors import InputError
from cnntool.image import tiff_codecs
from cnntool.image.files import open_reader, read_image


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "float16"])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzma"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 5}, {}, {"tile": (16, 32)}])
def test_samples_as_stored(dtype, samples, byteorder, compression, layout):
    pixels = picture(samples, dtype, 37, 45)
    body = tiff(
        pixels.squeeze(),
        photometric="rgb" if samples == 3 else "minisblack",
        byteorder=byteorder,
        compression=compression,
        predictor=compression == "zlib" and dtype.startswith("u"),
        **layout,
    )
    with open_reader(io.BytesIO(body), name="test") as reader:
        strips = list(reader.strips(8))
    assert [len(strip) for strip in strips] == [8, 8, 8, 8, 5]
    got = np.concatenate(strips)
    assert got.dtype == ("float32" if dtype == "float16" else dtype)
    assert got.dtype.isnative
    np.testing.assert_array_equal(got, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_planes(dtype, tile):
    planes = np.moveaxis(picture(3, dtype, 20, 33), 2, 0)
    body = tiff(planes, photometric="rgb", planarconfig="separate", rowsperstrip=7, tile=tile)
    np.testing.assert_array_equal(read(body)[0], np.moveaxis(planes, 0, 2))


CODECS = ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd"]
LIBTIFF = [
    (mode, codec, predictor)
    for mode in ("L", "RGB", "RGBA", "LA", "I;16", "F")
    for codec in CODECS
    for predictor in (1, 3 if mode == "F" else 2)  # libtiff ignores it in "raw" and "packbits"
]


@pytest.mark.parametrize(("mode", "compression", "predictor"), LIBTIFF)
def test_what_libtiff_writes(mode, compression, predictor):
    if mode == "I;16":
        image = Image.fromarray(picture(1, "uint16").squeeze())
    elif mode == "F":
        image = Image.fromarray(picture(1, "float32").squeeze())
    else:
        image = Image.fromarray(picture(4)).convert(mode)
    try:
        body = saved(image, "tiff", compression=compression, tiffinfo={317: predictor})
    except OSError:
        pytest.skip("this libtiff has no such codec")
    pixels, info = read(body)
    np.testing.assert_array_equal(pixels.squeeze(), np.asarray(image))
    assert info.alpha == (mode in ("LA", "RGBA"))


def handmade(tags: dict[int, tuple[int, list[int]]], data: bytes) -> bytes:
    """Lay out a little-endian TIFF with its data at byte 8."""
    start = 8 + len(data)
    after = start + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        body = struct.pack(f"<{len(values)}{ {3: 'H', 4: 'I'}[kind] }", *values)
        if len(body) > 4:
            place = struct.pack("<I", after + len(rest))
            rest += body
        else:
            place = body.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(values)) + place
    head = struct.pack("<2sHI", b"II", 42, start)
    return head + data + struct.pack("<H", len(tags)) + entries + bytes(4) + rest


def plain_tags(
    height: int, width: int, samples: int, bits: int, **changes: tuple[int, list[int]]
) -> dict[int, tuple[int, list[int]]]:
    size = height * width * samples * bits // 8
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * samples),
        259: (3, [1]),
        262: (3, [2 if samples >= 3 else 1]),
        273: (4, [8]),
        277: (3, [samples]),
        278: (4, [height]),
        279: (4, [size]),
    }
    return tags | {int(tag[1:]): value for tag, value in changes.items()}


def test_white_is_zero():
    for dtype, peak in (("uint8", 255), ("uint16", 65535)):
        pixels = picture(1, dtype)
        got, _ = read(tiff(pixels.squeeze(), photometric="miniswhite"))
        np.testing.assert_array_equal(got, peak - pixels)


def test_white_is_zero_but_alpha_is_not():
    body = handmade(plain_tags(1, 2, 2, 8, t262=(3, [0]), t338=(3, [2])), bytes([10, 200, 20, 0]))
    assert read(body)[0].tolist() == [[[245, 200], [235, 0]]]


def test_strips_longer_than_their_rows():
    data = b"".join(bytes(range(8 * n, 8 * n + 8)) + b"??" for n in range(3))
    strips = {"t273": (4, [8, 18, 28]), "t278": (4, [2]), "t279": (4, [10] * 3)}
    got, _ = read(handmade(plain_tags(6, 4, 1, 8, **strips), data))
    assert got.ravel().tolist() == list(range(24))


def test_strips_shorter_than_their_rows():
    strips = {"t273": (4, [8, 14, 20]), "t278": (4, [2]), "t279": (4, [6] * 3)}
    with pytest.raises(InputError, match="truncated"):
        read(handmade(plain_tags(6, 4, 1, 8, **strips), bytes(30)))


def test_a_directory_that_pillow_stops_reading_halfway():
    """It then knows nothing of the orientation, which tifffile has told the shape by."""
    image = Image.fromarray(picture(1).squeeze()).convert("1")
    words = {270: "a description", 274: 6}
    body = saved(image, "tiff", compression="group4", tiffinfo=words)
    assert read(body)[0].shape == (9, 13, 1)
    entry = struct.pack("<HHI", 270, 2, 14)
    assert body.count(entry) == 1
    with pytest.raises(InputError, match="damaged TIFF"):
        read(body.replace(entry, struct.pack("<HHI", 270, 2, 150)))


def test_an_offset_that_is_a_negative_float():
    body = handmade(plain_tags(2, 3, 1, 8, t273=(4, [0xF149F2CA])), bytes(6))
    entry = struct.pack("<HHI", 273, 4, 1)
    assert body.count(entry) == 1
    with pytest.raises(InputError, match="damaged or truncated TIFF"):
        read(body.replace(entry, struct.pack("<HHI", 273, 11, 1)))


def test_alpha_that_colours_were_multiplied_by():
    data = bytes([100, 50, 0, 128, 9, 9, 9, 0, 200, 100, 50, 255])
    body = handmade(plain_tags(1, 3, 4, 8, t338=(3, [1])), data)
    got, info = read(body)
    assert info.alpha
    assert got.tolist() == [[[199, 100, 0, 128], [0, 0, 0, 0], [200, 100, 50, 255]]]


def test_samples_nobody_asked_for():
    data = bytes(range(12))
    got, info = read(handmade(plain_tags(1, 3, 4, 8, t338=(3, [0])), data))
    assert got.tolist() == [[[0, 1, 2], [4, 5, 6], [8, 9, 10]]]
    assert not info.alpha
    assert info.notes == ("samples beyond colour and alpha are left out: 1",)


@pytest.mark.parametrize("code", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "jpeg"])
def test_orientation(code, compression):
    image = Image.fromarray(picture(3, height=32, width=48))
    body = saved(image, "tiff", compression=compression, quality=100, tiffinfo={274: code})
    got, info = read(body)
    view = np.asarray(image)
    for step in {2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}.get(code, ""):
        view = {"h": view[:, ::-1], "v": view[::-1], "t": view.swapaxes(0, 1)}[step]
    assert info.shape == view.shape
    assert got.shape == view.shape
    assert np.abs(got.astype(int) - view).max() <= (0 if compression == "raw" else 40)
    assert np.abs(got.astype(int) - view).mean() < 4


def test_pages():
    stack = np.random.default_rng(0).integers(0, 255, (3, 6, 7), np.uint8)
    got, info = read(tiff(stack, photometric="minisblack"))
    np.testing.assert_array_equal(got[..., 0], stack[0])
    assert info.frames == 3
    assert info.notes == ("only the first of 3 frames or pages is read",)


def test_conversions_by_pillow():
    image = Image.fromarray(picture(3, height=16, width=16))
    for body, want in (
        (saved(image.convert("P"), "tiff"), image.convert("P").convert("RGB")),
        (saved(image.convert("1"), "tiff"), image.convert("1").convert("L")),
        (saved(image.convert("1"), "tiff", compression="group4"), image.convert("1").convert("L")),
        (saved(image.convert("CMYK"), "tiff"), image.convert("CMYK").convert("RGB")),
    ):
        np.testing.assert_array_equal(read(body)[0].squeeze(), np.asarray(want))
    flat = Image.new("YCbCr", (16, 16), (120, 90, 160))
    got, info = read(saved(flat, "tiff", compression="jpeg", quality=100))
    assert info.channels == 3
    want = np.asarray(flat.convert("RGB")).astype(int)
    assert np.abs(got.astype(int) - want).max() <= 3


def test_lab():
    lab = Image.merge("LAB", [Image.new("L", (2, 1), v) for v in (255, 128, 128)])
    got, info = read(saved(lab, "tiff"))
    assert info.channels == 3
    assert got.min() >= 254


def predicted(pixels: np.ndarray, **options: object) -> bytes:
    """Write a TIFF whose samples are integers' differences, whatever they are."""
    whole = pixels.view(f"i{pixels.itemsize}")
    file = io.BytesIO(tiff(whole, predictor=2, photometric="minisblack", **options))
    with tifffile.TiffFile(file, mode="r+") as opened:
        kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
        opened.pages[0].tags["SampleFormat"].overwrite(kind)
        return file.getvalue()


PREDICTED = ["f2", "f4", "f8", "i1", "i2", "i4", "u4"]


@pytest.mark.parametrize("dtype", PREDICTED)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", ["zlib", "lzma"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 32)}])
def test_differences_are_of_integers_as_wide(dtype, byteorder, compression, layout):
    """As libtiff, tifffile and OpenCV take predictor 2 of floats."""
    values = np.random.default_rng(2).normal(0, 100, (37, 45)).astype(dtype)
    body = predicted(values, byteorder=byteorder, compression=compression, **layout)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(body)), values)
    got, _ = read(body)
    np.testing.assert_array_equal(got[..., 0], values)


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate"])
def test_differences_of_floats_as_libtiff_takes_them(codec):
    values = np.random.default_rng(2).normal(0, 1, (9, 13)).astype(np.float32)
    body = saved(Image.fromarray(values), "tiff", compression=codec, tiffinfo={317: 2})
    np.testing.assert_array_equal(read(body)[0][..., 0], values)


@pytest.mark.parametrize(
    ("dtype", "held"),
    [("int8", "float32"), ("int16", "float32"), ("int32", "float64"), ("uint32", "float64")],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_measurements_are_plain_numbers(dtype, held, compression, byteorder):
    limits = np.iinfo(dtype)
    numbers = np.array([[limits.min, -1 if limits.min else 1, 0], [1, 77, limits.max]], dtype)
    body = tiff(numbers, photometric="minisblack", compression=compression, byteorder=byteorder)
    got, info = read(body)
    assert got.dtype == info.dtype == held
    assert got[..., 0].tolist() == numbers.tolist()
    assert info.matrix
    assert info.notes == (f"its {dtype} samples are taken as plain numbers, of which 1 is white",)


def test_alpha_of_measurements_is_left_out():
    numbers = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) - 9
    got, info = read(tiff(numbers, photometric="rgb", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(got, numbers[..., :3])
    assert info.notes[0] == "samples beyond colour and alpha are left out: 1"


def packed(values: np.ndarray, bits: int) -> bytes:
    rows = np.unpackbits(values.astype(">u2")[..., None].view(np.uint8), axis=-1)[..., -bits:]
    return np.packbits(rows.reshape(len(values), -1), axis=1).tobytes()


@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize(("samples", "width"), [(1, 1), (1, 7), (1, 8), (1, 9), (3, 5), (3, 16)])
def test_packed_samples(bits, samples, width):
    white = (1 << bits) - 1
    values = np.random.default_rng(bits).integers(0, white + 1, (6, width, samples))
    values[0, 0, 0], values[-1, -1, -1] = 0, white
    rows = packed(values.reshape(6, -1), bits)
    tags = plain_tags(6, width, samples, bits)
    for compression, data in ((1, rows), (8, zlib.compress(rows))):
        tags |= {259: (3, [compression]), 279: (4, [len(data)])}
        got, info = read(handmade(tags, data))
        assert info.dtype == "uint16"
        np.testing.assert_array_equal(got, np.rint(values * (65535 / white)))
        assert info.notes == (f"its {bits}-bit samples are stretched to 16 bits: {white} is white",)
    tags |= {259: (3, [1]), 279: (4, [len(rows)])}
    raw = tifffile.TiffFile(io.BytesIO(handmade(tags, rows))).pages[0]
    assert (raw.bitspersample, raw.dtype) == (bits, np.uint16)
    if samples == 1:
        tags[262] = (3, [0])
        np.testing.assert_array_equal(
            read(handmade(tags, rows))[0], 65535 - np.rint(values * (65535 / white))
        )


def damaged_deflate(spoil: str) -> bytes:
    pixels = picture(3, height=64, width=64)
    stream = zlib.compress(pixels.tobytes())
    data = {
        "longer than its rows": zlib.compress(pixels.tobytes() + b"more"),
        "without its checksum": stream[:-4],
        "garbage after its rows": zlib.compress(pixels.tobytes() + bytes(999))[:-12] + b"garbage",
        "sound": stream,
    }[spoil]
    return handmade(plain_tags(64, 64, 3, 8, t259=(3, [8]), t279=(4, [len(data)])), data)


@pytest.mark.parametrize(
    "spoil", ["longer than its rows", "without its checksum", "garbage after its rows"]
)
def test_a_strip_that_cannot_be_trusted_is_noted_or_refused(spoil):
    body = damaged_deflate(spoil)
    got, info = read(body)
    np.testing.assert_array_equal(got, picture(3, height=64, width=64))
    (note,) = info.notes
    assert note.startswith("damaged TIFF: a strip does not end where its rows end")
    with pytest.raises(InputError, match="damaged TIFF: a strip does not end"):
        read(body, strict=True)
    assert read(damaged_deflate("sound"), strict=True)[1].notes == ()


def test_no_garbage_in_a_deflated_strip_is_silent():
    rng = np.random.default_rng(0)
    pixels = picture(3, height=64, width=64) ^ rng.integers(0, 4, (64, 64, 3), np.uint8)
    body = tiff(pixels, photometric="rgb", compression="zlib")
    place = body.index(zlib.compress(pixels.tobytes(), 6)[:30])
    noted = 0
    for number in range(80):
        damaged = bytearray(body)
        start = place + int(rng.integers(100, len(body) - place - 100))
        damaged[start : start + 50] = rng.bytes(50) if number % 2 else bytes(50)
        try:
            got, info = read(bytes(damaged))
        except InputError:
            continue
        if not np.array_equal(got, pixels):
            assert info.notes
            noted += 1
    assert noted


def test_a_last_strip_as_high_as_the_others_is_sound():
    rows = bytes(range(24))
    strips = [zlib.compress(rows[:16]), zlib.compress(rows[16:] + bytes(8))]
    offsets, counts = [8, 8 + len(strips[0])], [len(strip) for strip in strips]
    tags = plain_tags(3, 8, 1, 8, t259=(3, [8]), t278=(4, [2]))
    tags |= {273: (4, offsets), 279: (4, counts)}
    got, info = read(handmade(tags, b"".join(strips)), strict=True)
    assert got.tobytes() == rows
    assert info.notes == ()


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64"])
def test_samples_that_are_refused(dtype):
    with pytest.raises(InputError, match="not supported") as caught:
        read(tiff(np.zeros((3, 4), dtype), photometric="minisblack"))
    assert caught.value.hint == "convert it to 8 or 16 bits or to float32"


def test_nan_has_a_place():
    pixels = np.zeros((40, 5, 3), np.float32)
    pixels[33, 2, 1] = np.nan
    body = tiff(pixels, photometric="rgb")
    with pytest.raises(InputError, match="NaN at row 33, column 2, channel 1") as caught:
        read(body)
    assert "`allow_nan`" in caught.value.hint
    np.testing.assert_array_equal(read(body, allow_nan=True)[0], pixels)
    pixels[33, 2, 1] = -np.inf
    with pytest.raises(InputError, match="infinity at row 33"):
        read(tiff(pixels, photometric="rgb"))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (plain_tags(2, 3, 1, 8, t257=(4, [10**9])), "over the limit"),
        (plain_tags(2, 3, 1, 8, t277=(3, [60_000])), "damaged|over the limit"),
        (plain_tags(2, 3, 1, 8, t273=(4, [9999])), "truncated"),
        (plain_tags(2, 3, 1, 8, t256=(4, [0])), "empty"),
        (plain_tags(2, 3, 1, 8, t262=(3, [2])), "too few samples"),
        (plain_tags(2, 3, 1, 8, t259=(3, [8])), "truncated"),
        (plain_tags(2, 3, 1, 8, t259=(3, [34892])), "damaged or unsupported"),
        (
            plain_tags(2, 3, 1, 8, t322=(4, [1 << 30]), t323=(4, [1 << 30]), t324=(4, [8]))
            | {325: (4, [6])},
            "over the limit|damaged",
        ),
    ],
)
def test_damage_has_a_name(tags, reason):
    with pytest.raises(InputError, match=reason):
        read(handmade(tags, bytes(6)))


def test_a_bomb_is_not_inflated():
    import tracemalloc
    import zlib

    data = zlib.compress(bytes(50_000_000))
    body = handmade(plain_tags(2, 3, 1, 8, t259=(3, [8]), t279=(4, [len(data)])), data)
    tracemalloc.start()
    try:
        got, _ = read(body)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert got.tolist() == [[[0]] * 3] * 2


def test_the_c_library_is_silent(capfd):
    body = bytearray(saved(Image.fromarray(picture(3)), "tiff", compression="tiff_lzw"))
    body[30:60] = bytes(30)
    with pytest.raises(InputError):
        read(bytes(body))
    tiff_codecs.silence_libtiff()
    assert capfd.readouterr() == ("", "")
