import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import UsageError
from cnntool.filters import resize as resizing
from cnntool.filters.resize import resize, scaled_shape

SIZES = st.integers(1, 12)
PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def test_nearest_by_hand():
    maps = np.arange(4.0).reshape(1, 4, 1)
    assert resize(maps, (1, 8), method="nearest").ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resize(maps, (1, 2), method="nearest").ravel().tolist() == [1, 3]
    assert resize(maps, (1, 3), method="nearest").ravel().tolist() == [0, 2, 3]


def test_bilinear_by_hand():
    maps = np.array([[0.0, 4]])[:, :, None]
    assert resize(maps, (1, 4)).ravel().tolist() == [0, 1, 3, 4]
    maps = np.array([[0.0, 4, 8, 12]])[:, :, None]
    assert resize(maps, (1, 2), antialias=False).ravel().tolist() == [2, 10]
    # Antialiased, the triangle spans four inputs: weights 3, 3, 1 of 7 at the end.
    assert resize(maps, (1, 2)).ravel() == pytest.approx([(12 + 8) / 7, 12 - (12 + 8) / 7])


def test_more_outputs_than_are_made_at_once():
    maps = np.random.default_rng(0).random((5, 1, 1))
    centres = (np.arange(2500) + 0.5) * 5 / 2500
    expected = np.interp(centres, np.arange(5) + 0.5, maps.ravel())
    np.testing.assert_allclose(resize(maps, (2500, 1)).ravel(), expected)


def test_bicubic_by_hand():
    """Keys' weights at a quarter for a = -0.5: -9, 111, 29, -3 of 128."""
    maps = np.zeros((1, 8, 1))
    maps[0, 4] = 128
    found = resize(maps, (1, 16), method="bicubic").ravel()
    assert found[4:14].tolist() == pytest.approx([0, -3, -9, 29, 111, 111, 29, -9, -3, 0])


def off_middle(size, out):
    return [i for i in range(out) if (2 * i + 1) * size % (2 * out)]


@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(["nearest", "bilinear", "bicubic"]))
def test_pillow_agrees(height, width, rows, columns, method):
    maps = np.random.default_rng(height * 100 + width).random((height, width), np.float32)
    expected = np.asarray(Image.fromarray(maps).resize((columns, rows), PILLOW[method]))
    found = resize(maps[:, :, None], (rows, columns), method=method)[:, :, 0]
    if method == "nearest":  # in the middle between two, Pillow's rounding decides
        clear = np.ix_(*(off_middle(*pair) for pair in ((height, rows), (width, columns))))
        found, expected = found[clear], expected[clear]
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_onnxruntime_agrees(onnx, method, antialias):
    rng = np.random.default_rng(2)
    for _ in range(60):
        height, width, rows, columns = (int(n) for n in rng.integers(2, 14, 4))
        maps = rng.random((height, width, 2), np.float32)
        (expected,) = onnx.runtime(
            "Resize",
            onnx.nchw(maps),
            None,
            None,
            np.array([1, 2, rows, columns], np.int64),
            mode={"bilinear": "linear", "bicubic": "cubic"}[method],
            coordinate_transformation_mode="half_pixel",
            cubic_coeff_a=-0.5,
            exclude_outside=int(antialias or method == "bicubic"),
            antialias=int(antialias),
        )
        found = resize(maps, (rows, columns), method=method, antialias=antialias)
        np.testing.assert_allclose(found, onnx.hwc(expected), atol=3e-6)


@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(["nearest", "bilinear", "bicubic"]))
def test_what_is_constant_stays(height, width, rows, columns, method):
    found = resize(np.full((height, width, 2), 7.0), (rows, columns), method=method)
    np.testing.assert_allclose(found, 7, rtol=1e-14)


@given(SIZES, SIZES, st.sampled_from(["nearest", "bilinear", "bicubic"]))
def test_the_same_size_is_the_same(height, width, method):
    maps = np.random.default_rng(width).random((height, width, 1))
    np.testing.assert_array_equal(resize(maps, (height, width), method=method), maps)


def test_types():
    for dtype, result in (
        ("uint8", "float32"),
        ("uint16", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int64", "float64"),
    ):
        maps = np.ones((4, 4, 1), dtype)
        assert resize(maps, (2, 2)).dtype == result
        assert resize(maps, (2, 2), method="nearest").dtype == dtype
    precise = np.full((3, 3, 1), 1 + 2**-40)
    np.testing.assert_allclose(resize(precise, (5, 5)), 1 + 2**-40, rtol=1e-15)


def test_sizes():
    assert scaled_shape((10, 7), (0.5, 2)) == (5, 14)
    assert scaled_shape((10, 7), (0.01, 0.01)) == (1, 1)
    with pytest.raises(UsageError, match="more than 0"):
        scaled_shape((10, 7), (0, 1))
    with pytest.raises(UsageError, match="1 or more"):
        resize(np.ones((2, 2, 1)), (0, 1))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_very_many_inputs_of_one_output_are_added_piece_by_piece(monkeypatch, method):
    maps = np.random.default_rng(5).random((2100, 2, 3))
    whole = resize(maps, (2, 2), method=method)
    monkeypatch.setattr(resizing, "_PIECE", 600)
    np.testing.assert_allclose(resize(maps, (2, 2), method=method), whole, rtol=1e-12)
    monkeypatch.setattr(resizing, "_BLOCK", 10**6)  # all of them at once
    np.testing.assert_allclose(resize(maps, (2, 2), method=method), whole, rtol=1e-12)
