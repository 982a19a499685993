"""A convolution as a matrix product, against the convolution itself and against Keras' rule."""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.plan import Border, Mode, make_plan
from cnntool.filters.sliding import Sliding, of_plan
from cnntool.filters.unroll import MOST_NUMBERS, im2col, toeplitz

SIDE = st.integers(1, 7)
STEP = st.tuples(st.integers(1, 3), st.integers(1, 3))
SEED = st.integers(0, 2**32 - 1)


def test_the_columns_are_the_windows_in_reading_order():
    image = np.arange(9.0).reshape(1, 1, 3, 3)
    assert im2col(image, Sliding((3, 3), (2, 2))).T.tolist() == [
        [0, 1, 3, 4],
        [1, 2, 4, 5],
        [3, 4, 6, 7],
        [4, 5, 7, 8],
    ]


def test_channels_lie_above_one_another_and_images_side_by_side():
    images = np.arange(16.0).reshape(2, 2, 2, 2)
    assert im2col(images, Sliding((2, 2), (1, 2))).tolist() == [
        [0, 2, 8, 10],
        [1, 3, 9, 11],
        [4, 6, 12, 14],
        [5, 7, 13, 15],
    ]


def test_the_toeplitz_matrix_of_the_lecture():
    matrix = toeplitz(np.array([[1.0, 2], [3, 4]]), Sliding((3, 3), (2, 2)))
    assert matrix.tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]


def test_a_wrapped_border_makes_it_circulant():
    matrix = toeplitz(
        np.array([[5.0, 7]]), Sliding((1, 3), (1, 2), pads=(0, 0, 0, 1), border=Border.WRAP)
    )
    assert matrix.tolist() == [[5, 7, 0], [0, 5, 7], [7, 0, 5]]


def test_replicated_edges_add_up():
    matrix = toeplitz(
        np.array([[1.0, 2, 4]]), Sliding((1, 2), (1, 3), pads=(0, 0, 2, 2), border=Border.REPLICATE)
    )
    assert matrix.tolist() == [[7, 0], [3, 4], [1, 6], [0, 7]]


OPTIONS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(list(Mode)),
        "border": st.sampled_from(list(Border)),
        "stride": STEP,
        "dilation": STEP,
    }
)


@examples(150)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), OPTIONS, SEED)
def test_both_matrices_are_the_convolution(size, kernel, options, seed):
    rng = np.random.default_rng(seed)
    image, weights = rng.normal(size=size), rng.normal(size=kernel)
    item = Filter((Kernel(weights),))
    try:
        sliding = of_plan(make_plan(size, item, **options))
    except UsageError:
        with pytest.raises(UsageError, match="does not fit"):
            toeplitz(weights, Sliding(size, kernel, options["stride"], options["dilation"]))
        return
    expected = convolve(image, item, **options)
    assert sliding.out_shape == expected.shape
    product = toeplitz(weights, sliding) @ image.ravel()
    assert_allclose(product.reshape(expected.shape), expected, atol=1e-12)
    product = weights.reshape(1, -1) @ im2col(image[None, None], sliding)
    assert_allclose(product.reshape(expected.shape), expected, atol=1e-12)


LAYERS = st.tuples(
    st.tuples(SIDE, SIDE),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    STEP,
    STEP,
    st.tuples(*[st.integers(0, 2)] * 4),
).map(lambda parts: Sliding(*parts))


@examples(100)
@given(LAYERS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), SEED)
def test_a_layer_of_a_network(sliding, count, channels, filters, seed):
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, channels, *sliding.input_shape))
    weights = rng.normal(size=(filters, channels, *sliding.kernel_shape))
    assume(min(sliding.out_shape) >= 1)
    top, bottom, left, right = sliding.pads
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], pads=[top, left, bottom, right],
        strides=sliding.stride, dilations=sliding.dilation,
    )  # fmt: skip
    (expected,) = ReferenceEvaluator(node).run(None, {"x": images, "w": weights})
    product = weights.reshape(filters, -1) @ im2col(images, sliding)
    found = product.reshape(filters, count, *sliding.out_shape).swapaxes(0, 1)
    assert_allclose(found, expected, atol=1e-12)


@examples(60)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), STEP, STEP, SEED)
def test_the_transpose_is_the_transpose_convolution(outputs, kernel, stride, dilation, seed):
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(seed)
    maps, weights = rng.normal(size=outputs), rng.normal(size=kernel)
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=stride, dilations=dilation)
    feeds = {"x": maps[None, None], "w": weights[None, None]}
    (expected,) = ReferenceEvaluator(node).run(None, feeds)
    sliding = Sliding(expected.shape[2:], kernel, stride, dilation)
    assert sliding.out_shape == outputs
    found = toeplitz(weights, sliding).T @ maps.ravel()
    assert_allclose(found.reshape(expected.shape[2:]), expected[0, 0], atol=1e-12)


def test_what_is_too_large_is_refused_before_it_is_built():
    side = int(MOST_NUMBERS**0.25) + 3
    with pytest.raises(UsageError, match="more than 67,108,864 numbers"):
        toeplitz(np.ones((3, 3)), Sliding((side, side), (3, 3)))
    with pytest.raises(UsageError, match="9 x 99960004"):
        im2col(np.zeros((1, 1, 10_000, 10_000), np.uint8), Sliding((10_000, 10_000), (3, 3)))
