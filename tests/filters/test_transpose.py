import numpy as np
import pytest
from effort import share
from hypothesis import given
from hypothesis import strategies as st

from cnntool.api.kernels import parse
from cnntool.errors import UsageError
from cnntool.filters.conv.executor import convolve
from cnntool.filters.kernels.kernel import Filter, Kernel
from cnntool.filters.transpose import linear_kernel, transpose_convolve
from cnntool.shapes.windows import Window

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def test_each_value_lays_the_kernel_down():
    maps = np.array([[1.0, 2], [3, 4]])[:, :, None]
    kernel = Kernel([[1, 10], [100, 1000]])
    apart = transpose_convolve(maps, kernel, Window((2, 2), (2, 2)))
    assert apart[:, :, 0].tolist() == [
        [1, 10, 2, 20],
        [100, 1000, 200, 2000],
        [3, 30, 4, 40],
        [300, 3000, 400, 4000],
    ]
    over = transpose_convolve(maps, kernel, Window((2, 2)))
    assert over[:, :, 0].tolist() == [[1, 12, 20], [103, 1234, 2040], [300, 3400, 4000]]
    cut = transpose_convolve(maps, kernel, Window((2, 2), pads=(1, 0, 0, 1)))
    assert cut[:, :, 0].tolist() == [[103, 1234], [300, 3400]]


def combinations(count):
    rng = np.random.default_rng(5)
    while count:
        shape = tuple(int(n) for n in rng.integers(1, 9, 2))
        kernel, stride, dilation = (
            tuple(int(n) for n in rng.integers(1, top, 2)) for top in (5, 4, 4)
        )
        window = Window(kernel, stride, dilation, tuple(int(n) for n in rng.integers(0, 4, 4)))
        extra = tuple(int(rng.integers(0, step)) for step in stride)
        try:
            window.transposed_shape(shape, extra)
        except UsageError:
            continue
        count -= 1
        yield rng, shape, window, extra


def attributes(onnx, window, extra):
    return {
        "kernel_shape": window.kernel,
        "strides": window.stride,
        "dilations": window.dilation,
        "pads": onnx.pads(window.pads),
        "output_padding": extra,
    }


def test_550_random_transposes_agree_with_onnxruntime(onnx):
    for rng, shape, window, extra in combinations(share(550)):
        maps = rng.integers(-9, 10, (*shape, 1)).astype(np.float32)
        weights = rng.integers(-9, 10, window.kernel).astype(np.float32)
        (expected,) = onnx.runtime(
            "ConvTranspose", onnx.nchw(maps), weights[None, None], **attributes(onnx, window, extra)
        )
        assert window.transposed_shape(shape, extra) == expected.shape[2:]
        found = transpose_convolve(maps, Kernel(weights), window, output_padding=extra)
        np.testing.assert_array_equal(found, onnx.hwc(expected), err_msg=f"{window} {extra}")


def test_transposes_agree_with_the_onnx_reference(onnx):
    for rng, shape, window, extra in combinations(80):
        maps = rng.integers(-9, 10, (*shape, 1)).astype(np.float32)
        weights = rng.integers(-9, 10, window.kernel).astype(np.float32)
        (expected,) = onnx.reference(
            "ConvTranspose", onnx.nchw(maps), weights[None, None], **attributes(onnx, window, extra)
        )
        found = transpose_convolve(maps, Kernel(weights), window, output_padding=extra)
        np.testing.assert_array_equal(found, onnx.hwc(expected), err_msg=f"{window} {extra}")


@given(
    shape=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    window=st.tuples(PAIRS, PAIRS, st.tuples(st.integers(1, 2), st.integers(1, 2))),
    mode=st.sampled_from(["valid", "same", "full"]),
    op=st.sampled_from(["correlate", "convolve"]),
    seed=st.integers(0, 2**32),
)
def test_it_is_the_transpose_of_the_filter(shape, window, mode, op, seed):
    """<K x, y> = <x, K' y> for every x and y: what a transpose is."""
    kernel, stride, dilation = window
    rng = np.random.default_rng(seed)
    weights = Kernel(rng.integers(-5, 6, kernel))
    window = Window(kernel, stride, dilation).padded(mode)
    x = rng.integers(-9, 10, (*shape, 1)).astype(float)
    forward = convolve(
        x, Filter((weights,)), mode=mode, op=op, stride=stride, dilation=dilation, method="direct"
    )
    y = rng.integers(-9, 10, forward.shape).astype(float)
    extra = tuple(window.along(axis).room(shape[axis]) % stride[axis] for axis in (0, 1))
    back = transpose_convolve(y, weights, window, output_padding=extra, op=op)
    assert back.shape == x.shape
    assert (forward * y).sum() == pytest.approx((x * back).sum(), abs=1e-9)


def test_channels_are_apart_and_types_follow_the_filter():
    rng = np.random.default_rng(0)
    window = Window((3, 3), (2, 2))
    kernel = Kernel(np.ones((3, 3)))
    for dtype, result in (("uint8", "float32"), ("float32", "float32"), ("float64", "float64")):
        maps = rng.integers(0, 9, (4, 5, 3)).astype(dtype)
        found = transpose_convolve(maps, kernel, window)
        assert found.dtype == result
        for channel in range(3):
            alone = transpose_convolve(maps[:, :, [channel]], kernel, window)
            np.testing.assert_array_equal(found[:, :, [channel]], alone)


def test_what_has_no_transpose():
    for spec, reason in (("sobel", "combines 2 kernels by magnitude"), ("median:3", "no conv")):
        with pytest.raises(UsageError, match=reason):
            linear_kernel(parse(spec))
    window = Window((2, 2), (2, 1))
    with pytest.raises(UsageError, match="output padding of 1x1 must be smaller"):
        window.transposed_shape((3, 3), (1, 1))
    with pytest.raises(UsageError, match="leaves nothing"):
        Window((2, 2), pads=(2, 2, 2, 2)).transposed_shape((1, 1))
