"""Whatever happens to a file: a picture or one plain line, and silence from the libraries."""

from __future__ import annotations

import io

import numpy as np
import pytest
from specimens import every

from cnntool.errors import InputError
from cnntool.image.files import read_image

SPECIMENS = every()


def attempt(body: bytes) -> bool:
    """Return whether the bytes could be read."""
    caught: InputError | None = None
    try:
        pixels, info = read_image(io.BytesIO(body), name="a file", max_pixels=10**6)
    except InputError as error:
        caught = error
    if caught:
        assert caught.source == "a file"
        assert caught.message
        assert "\n" not in caught.message
        assert "/" not in caught.message
        return False
    assert pixels.shape == info.shape
    assert pixels.dtype == info.dtype
    return True


@pytest.mark.parametrize("kind", SPECIMENS)
def test_cut_short(kind, capfd):
    body = SPECIMENS[kind]
    assert attempt(body)
    rng = np.random.default_rng(0)
    lengths = {*range(0, len(body), max(1, len(body) // 60)), *range(min(64, len(body)))}
    read = sum(attempt(body[:length]) for length in lengths)
    read += sum(attempt(body[: rng.integers(len(body))]) for _ in range(20))
    if not kind.startswith(("pgm plain", "csv", "text", "gif", "tiff", "webp animated", "jpeg")):
        assert read == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", SPECIMENS)
def test_bytes_changed(kind, capfd):
    body = SPECIMENS[kind]
    rng = np.random.default_rng(1)
    for number in range(150):
        damaged = bytearray(body)
        reach = len(damaged) if number % 2 else min(len(damaged), 100)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(reach)] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        attempt(bytes(damaged))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", [k for k in SPECIMENS if k.startswith("png")])
def test_no_changed_bit_of_a_png_goes_unnoticed_in_its_pixels(kind):
    body = SPECIMENS[kind]
    want, _ = read_image(io.BytesIO(body), name="whole")
    for place in range(8, len(body), 7):
        damaged = bytearray(body)
        damaged[place] ^= 16
        try:
            got, _ = read_image(io.BytesIO(bytes(damaged)), name="damaged")
        except InputError:
            continue
        np.testing.assert_array_equal(got, want)
