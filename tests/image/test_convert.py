"""Luma, linear light and rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import color

from cnntool.image.convert import (
    count_clipped,
    from_linear,
    luma,
    quantize,
    stretch,
    to_linear,
)
from cnntool.image.source import PEAKS

UNIT = st.floats(0, 1, width=32)


def test_luma_by_hand():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    got = luma(pixels)
    assert got.shape == (1, 4, 1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0, :, 0], [76.245, 149.685, 29.07, 255], rtol=1e-6)
    linear = luma(np.eye(3).reshape(1, 3, 3), linear=True)
    assert linear.dtype == np.float64
    np.testing.assert_allclose(linear[0, :, 0], [0.2126, 0.7152, 0.0722])


def test_linear_light_by_hand():
    values = np.array([0, 0.04045, 0.5, 1, -0.5, 2.0])
    want = [0, 0.0031308, 0.2140411, 1, -0.2140411, ((2.055) / 1.055) ** 2.4]
    np.testing.assert_allclose(to_linear(values), want, atol=2e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back(dtype):
    values = np.linspace(-1, 2, 3001).astype(dtype)
    linear = to_linear(values)
    assert linear.dtype == dtype
    assert from_linear(linear).dtype == dtype
    np.testing.assert_allclose(from_linear(linear), values, atol=2e-6)


@given(hnp.arrays(np.float64, (2, 3, 3), elements=st.floats(0, 1)))
def test_linear_light_agrees_with_scikit_image(pixels):
    xyz = np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    np.testing.assert_allclose(to_linear(pixels) @ xyz.T, color.rgb2xyz(pixels), atol=1e-9)


@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_linear_light_of_samples(dtype, peak):
    samples = np.arange(peak + 1).astype(dtype).reshape(1, -1, 1)
    got = to_linear(samples)
    assert got.dtype == np.float32
    assert got.shape == samples.shape
    np.testing.assert_allclose(got, to_linear(samples / peak), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(quantize(from_linear(got), dtype.__name__), samples)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_nothing_wraps(dtype, kind):
    peak = np.iinfo(dtype).max
    values = np.array([-1e30, -0.1, 0, 1, 1.1, 1e30, -np.inf, np.inf, np.nan], kind)
    got = quantize(values, dtype)
    assert got.dtype == dtype
    assert got.tolist() == [0, 0, 0, peak, peak, peak, 0, peak, 0]


def test_halves_go_to_even():
    values = np.array([0.5, 1.5, 2.5, 3.5, 254.5]) / 255
    assert quantize(values, "uint8").tolist() == [0, 2, 2, 4, 254]


@given(
    hnp.arrays(np.float32, st.integers(1, 50), elements=UNIT), st.sampled_from(["uint8", "uint16"])
)
def test_the_nearest_sample(values, dtype):
    peak = np.iinfo(dtype).max
    out = np.empty(values.shape, dtype)
    assert quantize(values, dtype, out) is out
    assert np.abs(out - values.astype(np.float64) * peak).max() <= 0.5 + peak * 1e-7
    np.testing.assert_array_equal(quantize(out.astype(np.float64) / peak, dtype), out)


def test_a_smaller_result_takes_what_fits():
    values = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    out = np.empty((2, 3, 1), np.uint8)
    quantize(values, "uint8", out, white=255, scratch=values)
    assert out[..., 0].tolist() == [[0, 1, 2], [4, 5, 6]]


def test_what_counts_as_clipped():
    values = np.array([-0.1, -1e-7, 0, 0.5, 1, 1 + 1e-6, 1.5, np.inf], np.float32)
    assert count_clipped(values, "uint8") == 3
    assert count_clipped(values, "uint16") == 3
    assert count_clipped(np.array([-0.001]), "uint8") == 0
    assert count_clipped(np.array([-0.001]), "uint16") == 1


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_stretching_is_exact_and_rounded(dtype):
    peak = int(PEAKS[dtype])
    for maximum in {1, 2, 3, 100, 254, 255} | ({4095, 65534, 65535} if peak > 255 else set()):
        samples = np.arange(maximum + 1).astype(dtype)
        want = [(2 * int(v) * peak + maximum) // (2 * maximum) for v in samples]
        got = stretch(samples, maximum, dtype)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, want)
