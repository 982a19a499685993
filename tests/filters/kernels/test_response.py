"""What kernels do to waves, against numpy's FFT and against waves themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.filters.conv.executor import convolve
from cnntool.filters.kernels.kernel import Filter, Kernel
from cnntool.filters.kernels.library import gaussian
from cnntool.filters.kernels.response import gains, rank_errors, response


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_response_is_the_fourier_transform(rows, columns, seed):
    kernel = Kernel(np.random.default_rng(seed).normal(size=(rows, columns)))
    found = response(kernel, 17)
    # 17 samples from -1/2 to 1/2 are every other one of 32, and the first once more.
    expected = np.abs(np.fft.fftshift(np.fft.fft2(kernel.weights, (16, 16))))
    np.testing.assert_allclose(found[:-1, :-1], expected, atol=1e-12)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(response(kernel.flipped(), 17), found, atol=1e-12)


def test_rows_are_down_and_columns_across():
    along_columns = response(Kernel([[1, 1]]), 5)
    assert along_columns[:, 2].tolist() == [2] * 5
    assert along_columns[:, [0, 4]].max() < 1e-12


PATTERNS = {
    "constant": np.ones((8, 8)),
    "rows": np.outer([1, -1] * 4, np.ones(8)),
    "columns": np.outer(np.ones(8), [1, -1] * 4),
    "checkerboard": np.outer([1, -1] * 4, [1, -1] * 4),
}


@pytest.mark.parametrize("weights", [[[1, 2], [3, 5]], [[0.25, 0.5, 0.25]], [[1], [-1]]])
def test_gains_are_what_patterns_are_multiplied_by(weights):
    kernel = Kernel(weights)
    found = gains(kernel)
    size = response(kernel, 3)
    for name, pattern in PATTERNS.items():
        result = convolve(pattern, Filter((kernel,)), mode="valid")
        assert np.abs(result).max() == pytest.approx(found[name])
        assert np.abs(result).min() == pytest.approx(found[name])
    middle = [size[1, 1], size[0, 1], size[1, 0], size[0, 0]]
    np.testing.assert_allclose(list(found.values()), middle, atol=1e-12)


def test_a_blur_keeps_brightness_and_removes_detail():
    kernel = gaussian(sigma=2).kernels[0]
    found = gains(kernel)
    assert found["constant"] == pytest.approx(1)
    assert found["checkerboard"] < found["rows"] < 0.01


def test_a_derivative_gives_an_exact_zero():
    third = 1 / 3
    assert gains(Kernel([[third, third, -2 * third]]))["constant"] == 0
    assert gains(Kernel([[0.1, 0.2, 0.1]]))["columns"] == 0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_what_a_lower_rank_loses(rows, columns, seed):
    kernel = Kernel(np.random.default_rng(seed).normal(size=(rows, columns)))
    left, sizes, right = np.linalg.svd(kernel.weights, full_matrices=False)
    errors = rank_errors(kernel)
    assert len(errors) == min(rows, columns)
    for rank, error in enumerate(errors, 1):
        near = (left[:, :rank] * sizes[:rank]) @ right[:rank]
        lost = np.linalg.norm(kernel.weights - near) / np.linalg.norm(kernel.weights)
        assert error == pytest.approx(lost, abs=1e-9)
