"""Kernels: validation, whole numbers, factors, and the facts of filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnntool.errors import UsageError
from cnntool.filters.kernels.kernel import Filter, Kernel

SOBEL = [[1, 0, -1], [2, 0, -2], [1, 0, -1]]

matrices = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-100, 100, width=32),
)
whole = hnp.arrays(np.int64, st.integers(1, 6), elements=st.integers(-9, 9))


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([1, 2, 3], "must be a matrix"),
        ([[]], "must be a matrix"),
        ([[1.0, np.nan]], "finite"),
        ([[np.inf]], "finite"),
        ([[1e308, 1e308]], "add up"),
        ([[1e-320, 1e-320]], "add up"),
        ([[1, 2], [3]], "matrix of numbers"),
        ([["a"]], "matrix of numbers"),
        (np.ones((1, 1024)), "larger than 1023"),
    ],
)
def test_what_is_not_a_kernel_is_refused(weights: object, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Kernel(weights)  # type: ignore[arg-type]


def test_a_kernel_keeps_a_copy_that_cannot_be_changed() -> None:
    weights = np.ones((2, 3))
    kernel = Kernel(weights)
    weights[0, 0] = 7
    assert kernel.weights[0, 0] == 1
    assert kernel.shape == (2, 3)
    with pytest.raises(ValueError, match="read-only"):
        kernel.weights[0, 0] = 7


def test_sobel_is_one_two_one_times_one_zero_minus_one() -> None:
    kernel = Kernel(SOBEL)
    ((column, row),) = kernel.separate()
    assert column.tolist() == [1, 2, 1]
    assert row.tolist() == [1, 0, -1]
    assert kernel.rank == 1
    sizes = np.linalg.svd(kernel.weights, compute_uv=False)
    assert sizes == pytest.approx([3.4641016, 0, 0], abs=1e-7)
    ((column, row),) = Kernel(np.transpose(SOBEL)).separate()
    assert (column.tolist(), row.tolist()) == ([1, 0, -1], [1, 2, 1])


def test_a_box_is_ones_and_a_quotient() -> None:
    form = Kernel(np.full((9, 9), 1 / 81)).integer
    assert form is not None
    taps, scale = form
    assert (taps == 1).all()
    assert scale == pytest.approx(1 / 81, rel=1e-15)
    assert Kernel(np.full((9, 9), 1 / 81)).sum == pytest.approx(1, abs=1e-15)


def test_binomial_weights_are_found_as_whole_numbers() -> None:
    form = Kernel(np.array([[1, 4, 6, 4, 1]]) / 16).integer
    assert form is not None
    assert form[0].tolist() == [[1, 4, 6, 4, 1]]
    assert form[1] == 1 / 16


@pytest.mark.parametrize("taps", [[5, 7, 52], [-64, 65, 0]])
def test_the_smallest_weight_may_be_up_to_64_units(taps: list[int]) -> None:
    form = Kernel(np.array([taps]) / 129).integer
    assert form is not None
    assert form[0].tolist() == [taps]
    assert form[1] == pytest.approx(1 / 129, rel=1e-15)


@pytest.mark.parametrize("weights", [[[1.0, np.pi]], [[1e-9, 1.0]], [[1.0, 2.0**40]]])
def test_other_weights_have_no_whole_form(weights: list[list[float]]) -> None:
    assert Kernel(weights).integer is None


def test_zero_weights() -> None:
    kernel = Kernel(np.zeros((3, 2)))
    assert kernel.rank == 0
    assert kernel.sum == 0
    assert kernel.is_zero_sum


def test_a_gaussian_is_separable_into_equal_halves() -> None:
    line = np.exp(-(np.arange(-4, 5) ** 2) / 8)
    line /= line.sum()
    ((column, row),) = Kernel(np.outer(line, line)).separate()
    assert column == pytest.approx(line, abs=1e-15)
    assert row == pytest.approx(line, abs=1e-15)
    assert (column == column[::-1]).all()  # equal weights stay equal


def test_unsharp_has_rank_two() -> None:
    line = np.array([1, 4, 6, 4, 1]) / 16
    weights = -0.7 * np.outer(line, line)
    weights[2, 2] += 1.7
    kernel = Kernel(weights)
    assert kernel.rank == 2


@given(matrices)
def test_pairs_give_the_kernel_back(weights: np.ndarray) -> None:
    pairs = Kernel(weights).separate()
    total = sum((np.outer(*pair) for pair in pairs), np.zeros(weights.shape))
    assert np.abs(total - weights).max() <= 1e-9 * (np.abs(weights).sum() or 1)
    assert len(pairs) <= min(weights.shape)


@given(whole, whole)
def test_whole_products_have_whole_factors(column: np.ndarray, row: np.ndarray) -> None:
    weights = np.outer(column, row)
    pairs = Kernel(weights).separate()
    assert len(pairs) == bool(weights.any())
    for pair in pairs:
        assert all((part == np.rint(part)).all() for part in pair)
        assert (np.outer(*pair) == weights).all()


@given(matrices)
def test_whole_forms_give_the_kernel_back(weights: np.ndarray) -> None:
    form = Kernel(weights).integer
    if form is not None:
        taps, scale = form
        assert np.allclose(taps * scale, weights, rtol=1e-13, atol=0)


def test_flipping_turns_by_180_degrees() -> None:
    assert Kernel([[1, 2], [3, 4]]).flipped().weights.tolist() == [[4, 3], [2, 1]]


def test_the_sign_is_a_fact_of_the_kernels() -> None:
    sobel = Kernel(SOBEL)
    assert Filter((Kernel(np.full((3, 3), 1 / 9)),)).sign == "smooth"
    assert Filter((Kernel([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),)).sign == "smooth"
    assert Filter((sobel,)).sign == "signed"
    assert Filter((sobel, sobel.flipped()), "magnitude").sign == "magnitude"
    assert Filter((sobel, sobel.flipped()), "max").sign == "magnitude"
    assert Filter((sobel,)).luma
    assert not Filter((Kernel([[1]]),)).luma


def test_decimals_that_add_up_to_zero_are_zero_sum() -> None:
    assert Kernel([[0.1, 0.2, -0.3]]).is_zero_sum
    assert not Kernel([[0.1, 0.2, -0.2999]]).is_zero_sum


def test_filters_that_make_no_sense_are_refused() -> None:
    one, two = Kernel([[1]]), Kernel([[1, 1]])
    with pytest.raises(UsageError, match="needs a kernel"):
        Filter(())
    with pytest.raises(UsageError, match="one shape"):
        Filter((one, two), "max")
    with pytest.raises(UsageError, match="way to combine"):
        Filter((one, one))
