"""Each output value taken apart must be the one that the convolution gives."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.plan import Border, Mode, Op, make_plan
from cnntool.filters.sliding import Sliding, of_plan
from cnntool.filters.tracing import combine, trace

SIDE = st.integers(1, 7)
STEP = st.tuples(st.integers(1, 3), st.integers(1, 3))


def test_by_hand():
    image = np.array([[[0, 1, 2], [3, 4, 5], [6, 7, 8]]], np.uint8)
    found = trace(image, np.array([[[0.0, 1], [2, 3]]]), Sliding((3, 3), (2, 2)), (0, 1))
    assert found.rows.tolist() == [0, 1]
    assert found.columns.tolist() == [1, 2]
    assert found.window.tolist() == [[[1, 2], [4, 5]]]
    assert found.products.tolist() == [[[0, 2], [8, 15]]]
    assert found.inside.all()
    assert found.total == 25


def test_what_lies_in_the_border():
    sliding = Sliding((2, 3), (3, 3), pads=(1, 1, 1, 1), border=Border.REPLICATE, dilation=(1, 2))
    image = np.array([[[1.0, 2, 3], [4, 5, 6]]])
    found = trace(image, np.ones((1, 3, 3)), sliding, (0, 0))
    assert found.rows.tolist() == [-1, 0, 1]
    assert found.columns.tolist() == [-1, 1, 3]
    assert found.window.tolist() == [[[1, 2, 3], [1, 2, 3], [4, 5, 6]]]
    assert found.inside.tolist() == [[False] * 3, [False, True, False], [False, True, False]]


def test_a_unit_of_a_layer_sums_over_maps_and_adds_its_bias():
    maps = np.arange(8.0).reshape(2, 2, 2)
    weights = np.array([[[1.0, 0], [0, 1]], [[0, 2], [0, 0]]])
    found = trace(maps, weights, Sliding((2, 2), (2, 2)), (0, 0), bias=0.5)
    assert found.total == 0 + 3 + 2 * 5 + 0.5
    assert found.products.shape == (2, 2, 2)


def test_kernels_combine_as_filters_do():
    assert combine([-7], "single") == -7
    assert combine([3, -4], "magnitude") == 5
    assert combine([3, -4], "max") == 3


OPTIONS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(list(Mode)),
        "border": st.sampled_from(list(Border)),
        "op": st.sampled_from(list(Op)),
        "stride": STEP,
        "dilation": STEP,
    }
)


@examples(200)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), OPTIONS, st.integers(0, 2**32 - 1))
def test_every_value_is_the_filters(size, kernel, options, seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=size)
    item = Filter((Kernel(rng.normal(size=kernel)),))
    try:
        plan = make_plan(size, item, **options)
    except UsageError:
        return
    weights = item.kernels[0].flipped() if options["op"] is Op.CONVOLVE else item.kernels[0]
    expected = convolve(image, item, **options)
    sliding = of_plan(plan)
    assert sliding.out_shape == plan.out_shape
    found = [
        trace(image[None], weights.weights[None], sliding, at).total
        for at in np.ndindex(*plan.out_shape)
    ]
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-12)
    row, column = (int(rng.integers(n)) for n in plan.out_shape)
    one = trace(image[None], weights.weights[None], sliding, (row, column))
    marked = np.full(sliding.padded_shape, -1.0)
    top, _, left, _ = sliding.pads
    marked[top : top + size[0], left : left + size[1]] = np.arange(image.size).reshape(size)
    under = marked[np.ix_(one.rows + top, one.columns + left)]
    assert (one.inside == (under >= 0)).all()
    assert (one.window[0][one.inside] == image.ravel()[under[one.inside].astype(int)]).all()
    assert (one.window[0] == sliding.pad(image)[np.ix_(one.rows + top, one.columns + left)]).all()


@pytest.mark.parametrize("at", [(2, 0), (0, 2), (-1, 0), (0, -1)])
def test_a_place_outside_of_the_result(at):
    with pytest.raises(UsageError, match="outside of the result, which is 2x2") as caught:
        trace(np.zeros((1, 3, 3)), np.ones((1, 2, 2)), Sliding((3, 3), (2, 2)), at)
    assert caught.value.hint == "rows are 0 to 1, columns 0 to 1"
