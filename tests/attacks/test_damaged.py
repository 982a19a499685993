"""Damage that a decoder gets over: it is told, and with ``strict`` it is an error.

A JPEG that was cut is always known. One that was spoilt inside may make another sound JPEG, as its
codes have no checksum: it is known where libjpeg knows it, which is 87 of 100 of the whole corpus.
"""

from __future__ import annotations

import io
import random
from importlib.util import find_spec

import numpy as np
import pytest
from corpus import some
from PIL import Image
from tiffs import Way, encoded

from cnntool.errors import InputError
from cnntool.image.files import read_image

END = b"\xff\xd9"
KINDS = {
    f"{mode} {name} {subsampling}".strip(): (mode, {**options, "subsampling": subsampling})
    for mode in ("RGB", "L", "CMYK")
    for name, options in {
        "baseline": {},
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1},
        "optimised": {"optimize": True, "quality": 97},
    }.items()
    for subsampling in ((0, 1, 2) if mode == "RGB" else (0,))
}


def jpeg(kind: str) -> bytes:
    mode, options = KINDS[kind]
    rows, columns = np.mgrid[:90, :70]
    noise = np.random.default_rng(3).normal(0, 20, (90, 70, 3))
    waves = np.stack([np.sin(rows / 9), np.cos(columns / 7), np.sin((rows + columns) / 11)], axis=2)
    pixels = np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8)
    body = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(body, "jpeg", **options)
    return body.getvalue()


def damaged(body: bytes, way: str, place: float) -> bytes:
    """Damage the data of the scans, at a place from 0 to 1."""
    start = body.index(b"\xff\xda") + 20
    at = start + int(place * (len(body) - start - 60))
    rng = random.Random(at)
    match way:
        case "cut, end marker":
            return body[:at] + END
        case "cut":
            return body[:at]
        case "overwritten":
            return body[:at] + rng.randbytes(40) + body[at + 40 :]
        case "inserted":
            return body[:at] + rng.randbytes(40) + body[at:]
        case "taken out":
            return body[:at] + body[at + 50 :]
        case "zeros":
            return body[:at] + bytes(40) + body[at + 40 :]
    raise AssertionError(way)


WAYS = ("cut, end marker", "cut", "overwritten", "inserted", "taken out", "zeros")
PLACES = (0.0, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0)
JPEGS = [(kind, way, place) for kind in KINDS for way in WAYS for place in PLACES]


def told(body: bytes) -> str:
    """Return what is said of a picture that is read in spite of its damage, or the error."""
    try:
        _, info = read_image(io.BytesIO(body), name="a picture")
    except InputError as error:
        return error.message
    return " ".join(info.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_jpeg_is_not_suspected(kind):
    pixels, info = read_image(io.BytesIO(jpeg(kind)), name="a picture", strict=True)
    assert info.notes == ()
    assert pixels.std() > 20


def seems_sound(body: bytes, kind: str) -> bool:
    """Return whether libjpeg itself finds nothing."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(body, {"L": "GRAY"}.get(KINDS[kind][0], KINDS[kind][0]))
    except ValueError:
        return False
    return True


@pytest.mark.skipif(find_spec("simplejpeg") is None, reason="needs simplejpeg")
@pytest.mark.parametrize(("kind", "way", "place"), some(JPEGS, 60))
def test_damaged_jpegs(kind, way, place):
    body = damaged(jpeg(kind), way, place)
    if "cut" not in way and seems_sound(body, kind):
        assert told(body) == ""
        return
    assert told(body)
    with pytest.raises(InputError):
        read_image(io.BytesIO(body), name="a picture", strict=True)


TIFFS = [
    (Way(dtype, compression, predictor, 3, tiled=tiled), place)
    for dtype in ("u1", "u2", "f4")
    for compression in (8, 32946)
    for predictor in (1, 2)
    for tiled in (False, True)
    for place in range(-9, 40, 3)
]


@pytest.mark.parametrize(("way", "place"), some(TIFFS, 40), ids=str)
def test_damaged_strips_of_tiffs(way, place):
    pixels = np.random.default_rng(4).integers(0, 99, (13, 21, 3)).astype(way.dtype)
    body, places = encoded(pixels, way)
    assert told(body) == ""
    at = places[1] + place  # near the end of the first strip and the beginning of the second
    for bad in (
        body[:at] + bytes([body[at] ^ 16]) + body[at + 1 :],
        body[:at] + bytes(20) + body[at + 20 :],
    ):
        assert told(bad)
        with pytest.raises(InputError):
            read_image(io.BytesIO(bad), name="a picture", strict=True)


def test_the_command_line_says_so(here, tmp_path):
    body = damaged(jpeg("RGB baseline 2"), "cut, end marker", 0.5)
    (tmp_path / "cut.jpg").write_bytes(body)
    assert "cut.jpg" in here("filter", "-k", "box", "cut.jpg", "-o", "a.png").err
    done = here("filter", "-k", "box", "cut.jpg", "-o", "b.png", "--strict", code=3)
    assert done.err.startswith("cnntool: error: cut.jpg: ")
    assert not (tmp_path / "b.png").exists()
