"""TIFF in every way that it is stored: the numbers that went in come out."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from corpus import some
from PIL import Image
from tiffs import Way, encoded, ways

from cnntool.image.files import read_image


def numbers(way: Way) -> np.ndarray:
    """Return a picture that strains a predictor: small steps, large ones, and both signs."""
    rng = np.random.default_rng(5)
    shape = (13, 21, way.samples)
    if way.dtype[0] == "f":
        return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(way.dtype)
    limits = np.iinfo(way.dtype)
    pixels = rng.integers(limits.min, limits.max, shape, way.dtype, endpoint=True)
    pixels[:6] = np.arange(21)[:, np.newaxis] * 5
    return pixels


def elsewhere(body: bytes) -> np.ndarray | None:
    """Read as tifffile does; without the package imagecodecs it knows the simpler ways only."""
    try:
        return tifffile.imread(io.BytesIO(body))
    except (KeyError, ValueError) as error:
        assert "imagecodecs" in str(error)  # noqa: PT017
        return None


@pytest.mark.parametrize("way", some(ways(), 90), ids=str)
def test_every_way_of_storing(way):
    pixels = numbers(way)
    body, _ = encoded(pixels, way)
    theirs = elsewhere(body)
    if theirs is not None:  # the file is what it should be
        theirs = np.moveaxis(theirs, 0, -1) if way.planar and way.samples > 1 else theirs
        np.testing.assert_array_equal(theirs.reshape(pixels.shape), pixels)
    ours, info = read_image(io.BytesIO(body), name="a.tif")
    if way.samples == 4 and way.dtype in {"i1", "i2", "i4", "u4"}:
        pixels = pixels[..., :3]  # numbers have no alpha
        assert "left out: 1" in info.notes[0]
    assert ours.shape == info.shape == pixels.shape
    np.testing.assert_array_equal(ours.astype(np.float64), pixels.astype(np.float64))


@pytest.mark.full
@pytest.mark.parametrize("compression", [5, 32773])
@pytest.mark.parametrize("kind", ["zeros", "noise", "steps"])
def test_the_encoders_here(compression, kind):
    pixels = {
        "zeros": np.zeros((99, 300, 1), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (99, 300, 1), np.uint8),
        "steps": np.arange(29700).reshape(99, 300, 1).astype(np.uint8),
    }[kind]
    body, _ = encoded(pixels, Way("u1", compression), rows=99)
    with Image.open(io.BytesIO(body)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])
