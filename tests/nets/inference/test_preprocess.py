"""Pictures to tensors: geometry, colours, numbers, against Pillow and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import InputError
from cnntool.image.source import ImageInfo
from cnntool.nets.inference.preprocess import fitted, fitting, laid_back, prepare, resize
from cnntool.nets.models.manifest import InputSpec

RAW = InputSpec("in", fit="none", dynamic=True, white=255.0)


def picture(height, width, channels=3, dtype=np.uint8, seed=0):
    peak = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    values = np.random.default_rng(seed).random((height, width, channels)) * peak
    return (values if peak == 1 else np.rint(values)).astype(dtype)


def info_of(pixels, **kwargs):
    height, width, channels = pixels.shape
    facts = {"channels": channels, "dtype": pixels.dtype.name, **kwargs}
    return ImageInfo(height, width, **facts)


SHORTER = {"fit": "shorter", "resize": 256, "crop": (224, 224)}


@pytest.mark.parametrize(
    ("shape", "spec", "plan"),
    [
        ((300, 400), SHORTER, ((256, 341), 16, 58, (224, 224))),
        ((400, 300), SHORTER, ((341, 256), 58, 16, (224, 224))),
        ((10, 10), SHORTER, ((256, 256), 16, 16, (224, 224))),
        ((300, 400), {"fit": "shorter", "resize": 150}, ((150, 200), 0, 0, (150, 200))),
        ((300, 400), {"fit": "stretch", "size": (224, 200)}, ((224, 200), 0, 0, (224, 200))),
        ((300, 400), {**SHORTER, "fit": "stretch"}, ((256, 256), 16, 16, (224, 224))),
        ((300, 401), {"fit": "none"}, ((300, 401), 0, 0, (300, 401))),
        ((300, 401), {"fit": "none", "crop": (100, 100)}, ((300, 401), 100, 150, (100, 100))),
    ],
)
def test_fitting(shape, spec, plan):
    assert fitting(*shape, RAW._replace(**spec)) == plan


def test_too_small_pictures_are_refused():
    with pytest.raises(InputError, match="too few for this network: it takes 32 x 32"):
        fitting(31, 40, RAW._replace(minimum=(32, 32)))
    with pytest.raises(InputError, match="has 10 x 40 pixels and is to be cut to 20 x 20"):
        fitting(10, 40, RAW._replace(crop=(20, 20)))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 300))
def test_the_cut_lies_inside(height, width, side):
    plan = fitting(height, width, RAW._replace(fit="shorter", resize=side, crop=(side, side)))
    assert min(plan.resized) == side
    for place, part, whole in zip((plan.top, plan.left), plan.shape, plan.resized, strict=True):
        assert 0 <= place <= whole - part


def test_numbers_by_hand():
    pixels = np.array([[[0, 51, 255]]], np.uint8)
    spec = RAW._replace(white=1.0, mean=(0.5, 0.2, 0.0), deviation=(0.5, 0.1, 2.0))
    assert prepare(pixels, info_of(pixels), spec).ravel().tolist() == pytest.approx(
        [-1, 0, 0.5], abs=1e-6
    )
    turned = spec._replace(channel_order="BGR")  # mean and deviation stay with their channels
    assert prepare(pixels, info_of(pixels), turned).ravel().tolist() == pytest.approx(
        [1, 0, 0], abs=1e-6
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_layout_and_type(layout, dtype):
    pixels = picture(4, 5)
    made = prepare(pixels, info_of(pixels), RAW._replace(layout=layout, dtype=dtype))
    assert made.dtype == dtype
    assert np.array_equal(made if layout == "NHWC" else np.moveaxis(made, 0, 2), pixels)


def test_grey_and_colour():
    grey = picture(4, 5, 1)
    made = prepare(grey, info_of(grey), RAW)
    assert made.shape == (3, 4, 5)
    assert (made == grey[..., 0]).all()
    colours = picture(4, 5)
    spec = RAW._replace(channel_order="L", mean=(0.0,), deviation=(1.0,))
    made = prepare(colours, info_of(colours), spec)
    assert made.shape == (1, 4, 5)
    assert np.abs(made[0] - colours @ [0.299, 0.587, 0.114]).max() <= 0.5


def test_transparent_pixels_show_white_paper():
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]], np.uint8)
    made = prepare(pixels, info_of(pixels, channels=3, alpha=True), RAW)
    assert made[:, 0].T.tolist() == [[255, 255, 255], [10, 20, 30]]


def test_sixteen_bits_and_floats_are_not_rounded():
    for dtype in (np.uint16, np.float32):
        pixels = picture(6, 7, dtype=dtype)
        made = prepare(pixels, info_of(pixels), RAW._replace(white=1.0))
        assert np.allclose(
            np.moveaxis(made, 0, 2), pixels / (65535 if dtype is np.uint16 else 1), atol=1e-6
        )


def test_arrays():
    values = picture(4, 5, dtype=np.float32)
    info = info_of(values, matrix=True)
    assert np.allclose(np.moveaxis(prepare(values, info, RAW), 0, 2), values * 255, atol=1e-4)
    with pytest.raises(InputError, match=r"numbers go from .* must lie in 0\.\.1"):
        prepare(values * 3, info, RAW)
    with pytest.raises(InputError, match="1 or 3 colour channels, not 2"):
        prepare(values[..., :2], info_of(values[..., :2], matrix=True), RAW)


@pytest.mark.parametrize("shape", [(64, 48), (31, 200), (200, 31), (5, 5)])
def test_resizing_is_pillows(shape):
    pixels = picture(*shape)
    spec = RAW._replace(fit="shorter", resize=32, crop=(30, 30))
    image = Image.fromarray(pixels)
    scale = 32 / min(image.size)
    image = image.resize(
        [int(side * scale + 1e-6) for side in image.size], Image.Resampling.BILINEAR
    )
    left, top = (round((side - 30) / 2) for side in image.size)
    expected = np.asarray(image.crop((left, top, left + 30, top + 30)))
    made = np.moveaxis(prepare(pixels, info_of(pixels), spec), 0, 2)
    assert np.array_equal(made, expected)


def test_pillows_limit_is_for_files(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    pixels = picture(5, 5)
    spec = RAW._replace(fit="shorter", resize=32, crop=(30, 30))
    assert prepare(pixels, info_of(pixels), spec).shape == (3, 30, 30)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (3, 9000)])
def test_long_pictures_are_cut_before_they_are_resized(shape):
    pixels = np.full((*shape, 3), 77, np.uint8)
    spec = RAW._replace(fit="shorter", resize=256, crop=(224, 224))
    assert (prepare(pixels, info_of(pixels), spec) == 77).all()


def test_a_long_picture_is_cut_at_its_centre():
    ramp = np.linspace(0, 255, 4000, dtype=np.float32)[None, :, None].repeat(40, axis=0) / 255
    spec = RAW._replace(fit="shorter", resize=40, crop=(20, 20))
    made = prepare(ramp, info_of(ramp), spec)
    assert np.abs(made[0] - ramp[:20, 1990:2010, 0] * 255).max() < 0.1


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_floats_are_resized_as_bytes_are(interpolation):
    pixels = picture(20, 30)
    small = np.asarray(resize(pixels, (9, 11), interpolation))
    exact = resize(pixels.astype(np.float32), (9, 11), interpolation)
    assert small.shape == exact.shape == (9, 11, 3)
    assert np.abs(np.clip(exact, 0, 255) - small).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", ["RGB", "BGR", "L"])
def test_a_pillow_image_gives_what_its_pixels_give(channels, order):
    pixels = picture(40, 61, channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    count = 1 if order == "L" else 3
    spec = InputSpec("in", channel_order=order, fit="shorter", resize=20, crop=(18, 18),
                     mean=(0.5,) * count, deviation=(0.2,) * count)  # fmt: skip
    ours = prepare(image, info_of(pixels), spec)
    assert np.array_equal(ours, prepare(pixels, info_of(pixels), spec))


def test_fitted_keeps_a_picture():
    pixels = picture(40, 60)
    spec = InputSpec("in", fit="shorter", resize=20, crop=(20, 20), mean=(0.5,) * 3)
    seen = fitted(pixels, info_of(pixels), spec)
    assert (seen.shape, seen.dtype) == ((20, 20, 3), np.uint8)


def test_a_map_is_laid_over_what_the_network_saw():
    spec = RAW._replace(fit="shorter", resize=4, crop=(4, 4))
    plan = fitting(16, 8, spec)  # resized to 8 x 4, rows 2 to 5 are seen
    laid = laid_back(np.array([[0, 4], [8, 12]], np.float32), plan, 16, 8)
    assert np.isnan(laid[:4]).all()
    assert np.isnan(laid[12:]).all()
    # Centres of cells are 4 pixels apart, the first 1.5 pixels behind the edge.
    assert laid[4] == pytest.approx([0, 0, 0.5, 1.5, 2.5, 3.5, 4, 4])
    assert laid[4:12, 0] == pytest.approx([0, 0, 1, 3, 5, 7, 8, 8])


@given(st.integers(1, 60), st.integers(1, 60), st.booleans(), st.integers(0, 99))
def test_a_spot_comes_back_to_its_place(height, width, stretched, seed):
    fit = {"fit": "stretch", "size": (24, 24)} if stretched else {"fit": "shorter", "resize": 24}
    spec = RAW._replace(**fit, crop=(24, 24), interpolation="nearest")
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(height)), int(rng.integers(width))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[row, column] = 255
    seen = prepare(pixels, info_of(pixels), spec)[0]
    laid = laid_back(seen, fitting(height, width, spec), height, width)
    assert laid.shape == (height, width)
    if seen.max() > 0 and not np.isnan(laid[row, column]):
        assert laid[row, column] >= 0.25 * np.nanmax(laid)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_an_even_map_stays_even(height, width, rows, columns):
    spec = RAW._replace(fit="shorter", resize=12, crop=(12, 12))
    laid = laid_back(
        np.full((rows, columns), 7, np.float32), fitting(height, width, spec), height, width
    )
    assert np.nanmin(laid) == np.nanmax(laid) == 7
