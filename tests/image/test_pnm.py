"""PBM, PGM and PPM, plain and raw."""

from __future__ import annotations

import io

import numpy as np
import pytest

from cnntool.errors import InputError
from cnntool.image.files import open_reader, read_image


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"P5 2 1 255\n\x01\xff", [[1, 255]]),
        (b"P5\n# made by hand\n2\t1 # and so on\n255\n\x01\xff", [[1, 255]]),
        (b"P5 2 1 3\n\x01\x03", [[85, 255]]),
        (b"P5 2 1 254\n\x7f\xfe", [[128, 255]]),
        (b"P5 2 1 65535\n\x01\x02\xff\xff", [[258, 65535]]),
        (b"P5 2 1 1023\n\x03\xff\x00\x01", [[65535, 64]]),
        (b"P6 1 2 255\n\x01\x02\x03\x04\x05\x06", [[[1, 2, 3]], [[4, 5, 6]]]),
        (b"P4 10 2\n\xff\x00\x00\xc0", [[0] * 8 + [255, 255], [255] * 8 + [0, 0]]),
        (b"P1 3 2\n101\n0 1 0", [[0, 255, 0], [255, 0, 255]]),
        (b"P1 2 1\n# ink\n1 0", [[0, 255]]),
        (b"P2 2 1 15\n3 # three\n15\n", [[51, 255]]),
        (b"P2 2 1 300 0 300", [[0, 65535]]),
        (b"P3 1 1 255\n9 8 7 and more", [[[9, 8, 7]]]),
    ],
)
def test_by_hand(body, want):
    got, info = read(body)
    assert got.tolist() == [
        [value if isinstance(value, list) else [value] for value in row] for row in want
    ]
    assert info.format == "pnm"
    assert not info.alpha


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"P5 2 2 255\n\x01\x02\x03", "truncated PNM: rows are missing"),
        (b"P5 2", "header"),
        (b"P5 2 x 255\n12", "header"),
        (b"P5 99999999999 1 255\n12", "header"),
        (b"P5 0 2 255\n", "empty"),
        (b"P5 2 1 0\n\x01\x02", "a white of 0"),
        (b"P5 2 1 70000\n\x01\x02", "a white of 70000"),
        (b"P5 2 1 3\n\x01\x04", "above its white"),
        (b"P5 99999999 99999999 255\n1", "over the limit"),
        (b"P2 2 1 255\n3", "rows are missing"),
        (b"P2 2 1 255\n3 x", "not a number"),
        (b"P2 2 1 255\n3 " + b"9" * 30, "a huge one"),
        (b"P2 2 1 255\n3 256", "above its white"),
        (b"P2 2 1 255\n3 -1", "above its white"),
        (b"P1 2 2\n1 0 1", "rows are missing"),
        (b"P1 2 2\n1 0 2 1 0", "above its white"),
        (b"P1 2 2\n1 0 x 1 0", "not a number"),
        (b"P7\nWIDTH 1\n", "PAM"),
    ],
)
def test_damage_has_a_name(body, reason):
    with pytest.raises(InputError, match=reason):
        read(body)


def test_strips_of_bits():
    rng = np.random.default_rng(0)
    ink = rng.integers(0, 2, (21, 13), dtype=np.uint8)
    body = b"P4\n13 21\n" + np.packbits(ink, axis=1).tobytes()
    np.testing.assert_array_equal(read(body)[0][..., 0], 255 * (1 - ink))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3"])
def test_text_is_read_in_pieces(monkeypatch, kind, piece):
    from cnntool.image import pnm

    samples = 3 if kind == b"P3" else 1
    white = 1 if kind == b"P1" else 200
    numbers = np.random.default_rng(piece).integers(0, white + 1, (5, 4, samples))
    body = b"# one # more\n".join(b"%d " % n for n in numbers.ravel())
    head = kind + b"\n4 5\n" + (b"" if kind == b"P1" else b"200\n")
    whole = [strip.copy() for strip in strips_of(head + body + b"# end", 2)]
    monkeypatch.setattr(pnm, "_PIECE", piece)
    for expected, strip in zip(whole, strips_of(head + body + b"# end", 2), strict=True):
        np.testing.assert_array_equal(strip, expected)
    pixels = np.concatenate(whole)
    peak = 255 * (1 - numbers) if kind == b"P1" else np.floor(numbers * 255 / 200 + 0.5)
    np.testing.assert_array_equal(pixels, peak)


def strips_of(body: bytes, rows: int):
    with open_reader(io.BytesIO(body), name="x") as reader:
        yield from reader.strips(rows)


@pytest.mark.full
def test_a_long_text_is_not_held_as_words():
    """Each word of a list takes 40 bytes, a pixel one."""
    import tracemalloc

    body = b"P2\n1000 1000\n255\n" + b"200 " * 1_000_000
    tracemalloc.start()
    try:
        with open_reader(io.BytesIO(body), name="x") as reader:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for strip in reader.strips(100):
                assert strip.shape == (100, 1000, 1)
        assert tracemalloc.get_traced_memory()[1] - before < 10_000_000
    finally:
        tracemalloc.stop()
