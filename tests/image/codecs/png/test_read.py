"""PNG files of every kind, made by a plain encoder, are read sample by sample."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import islice

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from png_maker import SAMPLES, chunk, make
from specimens import picture, saved

from cnntool.errors import InputError
from cnntool.image.codecs import deflate
from cnntool.image.codecs.png import read as png_read
from cnntool.image.codecs.png import read as unfilter
from cnntool.image.files import open_reader, read_image

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
KINDS = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


def expected(raw: np.ndarray, depth: int, palette: np.ndarray | None) -> np.ndarray:
    if palette is not None:
        return palette[raw[..., 0]]
    if depth < 8:
        raw = raw * (255 // (2**depth - 1))
    return raw.astype(np.uint16 if depth == 16 else np.uint8)


CASES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "size": st.tuples(st.integers(1, 19), st.integers(1, 19)),
        "interlaced": st.booleans(),
        "filters": st.lists(st.integers(0, 4), min_size=1, max_size=6),
        "rows": st.integers(1, 20),
        "piece": st.integers(1, 300),
    }
)


@examples(150)
@given(case=CASES, seed=st.integers(0, 2**32 - 1))
def test_every_kind(case, seed):
    colour, depth = case["kind"]
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 2**depth, (*case["size"], SAMPLES[colour]))
    palette = rng.integers(0, 256, (2**depth, 3), dtype=np.uint8) if colour == 3 else None
    before = b"" if palette is None else chunk(b"PLTE", palette.tobytes())
    body = make(
        raw,
        depth=depth,
        colour=colour,
        kinds=case["filters"],
        interlaced=case["interlaced"],
        before=before,
        piece=case["piece"],
    )
    with open_reader(io.BytesIO(body), name="test") as reader:
        strips = list(reader.strips(case["rows"]))
    assert [len(strip) for strip in strips[:-1]] == [case["rows"]] * (len(strips) - 1)
    got = np.concatenate(strips)
    want = expected(raw, depth, palette)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    assert reader.info.shape == want.shape
    assert reader.info.alpha == (colour in (4, 6))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_transparent_grey(depth, interlaced):
    raw = np.arange(15).reshape(3, 5, 1) % 2**depth
    body = make(
        raw,
        depth=depth,
        colour=0,
        before=chunk(b"tRNS", struct.pack(">H", 1)),
        interlaced=interlaced,
    )
    pixels, info = read(body)
    assert info.alpha
    assert info.channels == 1
    peak = 65535 if depth == 16 else 255
    np.testing.assert_array_equal(pixels[..., 1], np.where(raw[..., 0] == 1, 0, peak))
    np.testing.assert_array_equal(pixels[..., :1], expected(raw, depth, None))


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_colour_needs_all_three_samples(depth):
    raw = np.array([[[1, 2, 3], [1, 2, 4], [0, 2, 3]]])
    key = chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3))
    pixels, info = read(make(raw, depth=depth, colour=2, before=key))
    peak = int(info.peak)
    np.testing.assert_array_equal(pixels[..., 3], [[0, peak, peak]])
    np.testing.assert_array_equal(pixels[..., :3], raw)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_high_bits_of_a_transparent_grey_do_not_count(depth):
    key = chunk(b"tRNS", struct.pack(">H", 0xFF00 | 1 << depth | 1))
    pixels, _ = read(make(np.array([[[0], [1]]]), depth=depth, colour=0, before=key))
    assert pixels[0, :, 1].tolist() == [255, 0]


def test_palette_with_a_few_alphas():
    palette = chunk(b"PLTE", bytes(range(9))) + chunk(b"tRNS", bytes([7]))
    pixels, info = read(make(np.array([[[0], [2]]]), depth=2, colour=3, before=palette))
    assert info.channels == 3
    assert info.alpha
    np.testing.assert_array_equal(pixels, [[[0, 1, 2, 7], [6, 7, 8, 255]]])


def test_pillow_agrees():
    for image in (
        Image.fromarray(picture(1).squeeze()),
        Image.fromarray(picture(2), "LA"),
        Image.fromarray(picture(3)),
        Image.fromarray(picture(4)),
        Image.fromarray(picture(1, "uint16").squeeze()),
    ):
        pixels, _ = read(saved(image, "png"))
        np.testing.assert_array_equal(pixels.squeeze(), np.asarray(image))


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_orientation(place, interlaced):
    exif = Image.Exif()
    exif[274] = 6
    raw = np.arange(6).reshape(2, 3, 1)
    body = make(
        raw,
        depth=8,
        colour=0,
        interlaced=interlaced,
        **{place: chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))},
    )
    pixels, info = read(body)
    assert info.shape == (3, 2, 1)
    np.testing.assert_array_equal(pixels[..., 0], [[3, 0], [4, 1], [5, 2]])


def test_profile_only_for_its_colours():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))
    assert read(make(picture(3), depth=8, colour=2, before=icc))[1].icc == profile
    assert read(make(picture(1), depth=8, colour=0, before=icc))[1].icc is None
    broken = chunk(b"iCCP", b"name\0\0" + b"nothing")
    assert read(make(picture(3), depth=8, colour=2, before=broken))[1].icc is None


def test_animation_says_so():
    before = chunk(b"acTL", struct.pack(">II", 4, 0))
    _, info = read(make(picture(1), depth=8, colour=0, before=before))
    assert info.frames == 4
    assert info.notes == ("only the first of 4 frames or pages is read",)


def header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


GOOD = make(picture(1), depth=8, colour=0)
SIGNATURE = GOOD[:8]
END = chunk(b"IEND")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (SIGNATURE, "truncated"),
        (GOOD[:-12], "truncated"),
        (GOOD[:-1] + b"?", "checksum"),
        (SIGNATURE + chunk(b"IDAT", b"") + END, "no header"),
        (SIGNATURE + header(3, 3) + END, "no image data"),
        (SIGNATURE + header(3, 3, depth=3) + chunk(b"IDAT") + END, "makes no sense"),
        (SIGNATURE + header(3, 3, colour=3) + chunk(b"IDAT") + END, "no palette"),
        (SIGNATURE + header(0, 3) + chunk(b"IDAT") + END, "empty"),
        (SIGNATURE + header(3, 3) + chunk(b"IDAT") + END, "truncated"),
        (SIGNATURE + header(3, 3) + chunk(b"IDAT", b"nonsense") + END, "decompressed"),
        (SIGNATURE + header(3, 3) + chunk(b"IDAT", zlib.compress(b"\0\1\2\3")) + END, "rows"),
        (SIGNATURE + header(2, 1) + chunk(b"IDAT", zlib.compress(b"\5\1\2")) + END, "filter"),
        (SIGNATURE + header(10**9, 10**9) + chunk(b"IDAT") + END, "over the limit"),
        (SIGNATURE + chunk(b"CgBI", b"1234") + GOOD[8:], "Apple"),
        (GOOD.replace(b"IDAT", b"I\0AT"), "without a name"),
        (GOOD[:30] + b"\xff" + GOOD[31:], "checksum"),
        (GOOD[:60] + bytes([GOOD[60] ^ 1]) + GOOD[61:], ""),
        (
            make(np.array([[[3]]]), depth=2, colour=3, before=chunk(b"PLTE", bytes(9)), piece=50),
            "not in the palette",
        ),
        (
            make(np.array([[[3]]]), depth=2, colour=3, after=chunk(b"PLTE", bytes(12))),
            "no palette",  # it comes too late: others leave it out too
        ),
    ],
)
def test_damage_has_a_name(body, reason):
    with pytest.raises(InputError) as caught:
        read(body)
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.source == "test"


def test_checksum_of_the_stream_is_verified():
    raw = zlib.compress(b"\0\1\2")
    wrong = raw[:-1] + bytes([raw[-1] ^ 1])
    body = SIGNATURE + header(2, 1) + chunk(b"IDAT", wrong) + END
    with pytest.raises(InputError, match="decompressed"):
        read(body)
    short = SIGNATURE + header(2, 1) + chunk(b"IDAT", raw[:-2]) + END
    with pytest.raises(InputError, match="truncated"):
        read(short)


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_checksums_behind_the_last_row_are_verified(rows):
    data = chunk(b"IDAT", zlib.compress(bytes(6) + b"surplus"))
    body = SIGNATURE + header(2, 2) + data + END
    assert read(body)[0].shape == (2, 2, 1)
    wrong = SIGNATURE + header(2, 2) + data[:-1] + bytes([data[-1] ^ 1]) + END
    with (
        pytest.raises(InputError, match="checksum"),
        open_reader(io.BytesIO(wrong), name="test") as reader,
    ):
        list(islice(reader.strips(rows), -(-2 // rows)))  # who takes the rows alone gets to know


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE"])
def test_a_second_header_or_palette_is_refused(kind):
    palette = header(1, 1, 8, 3) + chunk(b"PLTE", bytes(3))
    again = header(1, 1, 8, 3) if kind == b"IHDR" else chunk(b"PLTE", bytes(6))
    pixels = chunk(b"IDAT", zlib.compress(bytes(2))) + END
    assert read(SIGNATURE + palette + pixels)[0].shape == (1, 1, 3)
    with pytest.raises(InputError, match=f"two chunks {kind.decode()}"):
        read(SIGNATURE + palette + again + pixels)


def test_bands_do_not_show(monkeypatch):
    raw = np.random.default_rng(3).integers(0, 256, (40, 7, 3))
    body = make(raw, depth=8, colour=2, kinds=[4, 3, 2, 1, 0])
    monkeypatch.setattr(png_read, "_BAND_BYTES", 1)
    monkeypatch.setattr(png_read, "_BAND_ROWS", 1)
    np.testing.assert_array_equal(read(body)[0], raw)


@pytest.mark.parametrize("road", ["_decode_core", "_decode_public"])
@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("depth", [8, 16])
def test_both_roads_into_pillow(monkeypatch, road, colour, depth):
    monkeypatch.setattr(unfilter, "_decode", getattr(unfilter, road))
    raw = np.random.default_rng(4).integers(0, 2**depth, (9, 5, SAMPLES[colour]))
    body = make(raw, depth=depth, colour=colour, kinds=[1, 4, 2, 3])
    np.testing.assert_array_equal(read(body)[0], raw)
    with pytest.raises(unfilter.UnfilterError):
        unfilter.unfilter(b"\x07abc", bytes(3), 3, 1)


def test_without_igzip(monkeypatch):
    monkeypatch.setattr(deflate, "_fast", zlib)
    raw = np.random.default_rng(5).integers(0, 256, (30, 31, 3))
    body = make(raw, depth=8, colour=2, kinds=[4])
    np.testing.assert_array_equal(read(body)[0], raw)
    with pytest.raises(InputError, match="decompressed"):
        read(SIGNATURE + header(3, 3) + chunk(b"IDAT", b"nonsense") + END)


def test_memory_stays_far_below_the_picture(tmp_path):
    import tracemalloc

    pixels = np.zeros((4000, 3000, 3), np.uint8)
    pixels[::7, ::5] = 99
    path = tmp_path / "large.png"
    Image.fromarray(pixels).save(path, compress_level=1)
    tracemalloc.start()
    try:
        with open_reader(path, name="large") as reader:
            total = sum(int(strip.sum(dtype=np.int64)) for strip in reader.strips(64))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == int(pixels.sum(dtype=np.int64))
    assert peak < pixels.nbytes / 8


def blank(height: int, width: int, *, depth=8, colour=0, interlaced=False, turn=1) -> bytes:
    """Make a black picture of any size in few bytes."""
    shapes = [(height, width)]
    if interlaced:
        shapes = [
            (-(-(height - top) // down), -(-(width - left) // right))
            for top, left, down, right in png_read._PASSES
        ]
    body = sum(h * (1 + w * SAMPLES[colour] * depth // 8) for h, w in shapes)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    exif = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x112, 3, 1, turn) + bytes(4)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"eXIf", exif)
        + chunk(b"IDAT", zlib.compress(bytes(body), 9))
        + chunk(b"IEND")
    )


def peak_of(body: bytes) -> int:
    """Read a picture strip by strip and return the most bytes that were held."""
    import tracemalloc

    with open_reader(io.BytesIO(body), name="x") as reader:
        tracemalloc.start()
        try:
            for _ in reader.strips(reader.info.strip_rows):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_an_interlaced_picture_takes_little_more_than_its_pixels():
    body = blank(1600, 1200, depth=16, colour=6, interlaced=True)
    assert peak_of(body) < 1.5 * 1600 * 1200 * 8


def test_a_tall_picture_takes_as_little_as_any():
    assert peak_of(blank(1_000_000, 1)) < 12_000_000


@pytest.mark.parametrize("turn", [1, 6])
def test_a_row_is_limited_for_itself(turn):
    body = blank(1, 70_000) if turn == 1 else blank(70_000, 1, turn=6)
    with pytest.raises(InputError, match="1x70000 is over the limit of 65536 pixels for one row"):
        open_reader(io.BytesIO(body), name="x", max_pixels=100_000)
    open_reader(io.BytesIO(body), name="x", max_pixels=200 * 70_000).close()
