import numpy as np
import pytest
from effort import share
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.filters.pooling import average_pool, max_pool, max_pool_switches, unpool
from cnntool.shapes.windows import Window

RNG = np.random.default_rng(3)


def column(*rows):
    return np.array(rows, float)[:, :, None]


def combinations(count):
    """Random pools that see at least one value everywhere."""
    rng = np.random.default_rng(11)
    while count:
        height, width, channels = (int(n) for n in rng.integers(1, (14, 14, 4)))
        kernel, stride, dilation = (
            tuple(int(n) for n in rng.integers(1, top, 2)) for top in (5, 4, 3)
        )
        pads = tuple(int(rng.integers(0, kernel[i // 2])) for i in range(4))
        window = Window(kernel, stride, dilation, pads, ceil=bool(rng.integers(2)))
        maps = rng.integers(-9, 10, (height, width, channels)).astype(np.float32)
        try:
            max_pool(maps, window)
        except UsageError:
            continue
        count -= 1
        yield maps, window


def attributes(onnx, window):
    return {
        "kernel_shape": window.kernel,
        "strides": window.stride,
        "dilations": window.dilation,
        "pads": onnx.pads(window.pads),
        "ceil_mode": int(window.ceil),
    }


def test_600_random_pools_agree_with_onnxruntime(onnx):
    for number, (maps, window) in enumerate(combinations(share(600))):
        height, width, channels = maps.shape
        values, switches = max_pool_switches(maps, window)
        largest, indices = onnx.runtime(
            "MaxPool", onnx.nchw(maps), outputs=("out", "indices"), **attributes(onnx, window)
        )
        assert window.out_shape((height, width)) == largest.shape[2:]
        np.testing.assert_array_equal(values, onnx.hwc(largest), err_msg=str(window))
        np.testing.assert_array_equal(max_pool(maps, window), values)
        # ONNX counts on from map to map.
        firsts = np.arange(channels) * height * width
        np.testing.assert_array_equal(switches + firsts, onnx.hwc(indices), err_msg=str(window))
        count_padding = number % 2
        (average,) = onnx.runtime(
            "AveragePool",
            onnx.nchw(maps),
            count_include_pad=count_padding,
            **attributes(onnx, window),
        )
        np.testing.assert_allclose(
            average_pool(maps, window, count_padding=bool(count_padding)),
            onnx.hwc(average),
            atol=1e-5,
            err_msg=str(window),
        )


@pytest.mark.parametrize("count_padding", [False, True])
def test_pools_agree_with_the_onnx_reference(onnx, count_padding):
    averages = 0
    for maps, window in combinations(80):
        (largest,) = onnx.reference("MaxPool", onnx.nchw(maps), **attributes(onnx, window))
        np.testing.assert_array_equal(max_pool(maps, window), onnx.hwc(largest))
        if window.ceil and window.dilation != (1, 1):
            continue  # where the reference averages other taps than onnxruntime and we do
        averages += 1
        (average,) = onnx.reference(
            "AveragePool",
            onnx.nchw(maps),
            count_include_pad=int(count_padding),
            **attributes(onnx, window),
        )
        found = average_pool(maps, window, count_padding=count_padding)
        np.testing.assert_allclose(found, onnx.hwc(average), atol=1e-5)
    assert averages > 40


def test_types_are_kept():
    window = Window((2, 2), (2, 2))
    for dtype in (np.uint8, np.uint16, np.int64, np.float32, np.float64):
        maps = RNG.integers(0, 200, (6, 6, 2)).astype(dtype)
        assert max_pool(maps, window).dtype == dtype
        small = dtype in (np.uint8, np.uint16, np.float32)
        assert average_pool(maps, window).dtype == (np.float32 if small else np.float64)
    big = np.full((2, 2, 1), 2**53, np.int64)
    big[1, 1] += 1
    assert max_pool(big, window)[0, 0, 0] == 2**53 + 1


def test_a_tie_goes_to_the_first_in_reading_order():
    _, switches = max_pool_switches(column([7, 1], [7, 7]), Window((2, 2)))
    assert switches.tolist() == [[[0]]]
    _, switches = max_pool_switches(column([1, 7], [7, 7]), Window((2, 2)))
    assert switches.tolist() == [[[1]]]


def test_padding_is_never_the_largest():
    window = Window((2, 2), (2, 2), pads=(1, 1, 1, 1))
    values, switches = max_pool_switches(column([-5, -6], [-7, -8]), window)
    assert values[:, :, 0].tolist() == [[-5, -6], [-7, -8]]
    assert switches[:, :, 0].tolist() == [[0, 1], [2, 3]]


def test_padding_in_an_average():
    window = Window((2, 2), (2, 2), pads=(1, 1, 1, 1))
    maps = column([4, 8], [12, 16])
    assert average_pool(maps, window)[:, :, 0].tolist() == [[4, 8], [12, 16]]
    counted = average_pool(maps, window, count_padding=True)
    assert counted[:, :, 0].tolist() == [[1, 2], [3, 4]]


def test_what_hangs_over_never_counts():
    window = Window((2, 2), (2, 2), ceil=True)
    maps = column([1, 3, 5], [1, 3, 5], [2, 4, 6])
    for count_padding in (False, True):
        found = average_pool(maps, window, count_padding=count_padding)
        assert found[:, :, 0].tolist() == [[2, 5], [3, 6]]


def test_nan_is_seen():
    maps = column([np.nan, 1, 2, 3], [0, 1, 2, 9])
    values, switches = max_pool_switches(maps, Window((2, 2), (2, 2)))
    np.testing.assert_array_equal(values[:, :, 0], [[np.nan, 9]])
    np.testing.assert_array_equal(max_pool(maps, Window((2, 2), (2, 2))), values)
    assert switches[:, :, 0].tolist() == [[0, 7]]


def test_a_window_on_padding_alone_is_refused():
    window = Window((2, 2), dilation=(2, 2), pads=(1, 1, 1, 1))
    for pool in (max_pool, average_pool):
        with pytest.raises(UsageError, match="nothing but padding"):
            pool(column([1]), window)
    with pytest.raises(UsageError, match="does not fit into 1x1"):
        max_pool(column([1]), Window((2, 2)))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers())
def test_unpooling_then_pooling_gives_the_same(height, width, side, channels, seed):
    rng = np.random.default_rng(abs(seed))
    maps = rng.integers(1, 99, (height, width, channels)).astype(float)
    window = Window((side, side), (side, side), ceil=True)
    values, switches = max_pool_switches(maps, window)
    back = unpool(values, switches, (height, width))
    assert ((back == 0) | (back == maps)).all()
    assert np.count_nonzero(back) == values.size
    np.testing.assert_array_equal(max_pool(back, window), values)


@pytest.mark.parametrize("place", [-1, 4, 0.5, np.nan])
def test_a_switch_that_is_no_place(place):
    with pytest.raises(UsageError, match="no place in 2x2: they go from 0 to 3"):
        unpool(column([1]), column([place]), (2, 2))


def test_switches_of_another_shape():
    with pytest.raises(UsageError, match="for 1x2, the pooled values are 1x1"):
        unpool(column([1]), column([0, 1]), (2, 2))


def test_sums_of_very_many_numbers_keep_their_digits():
    ones = np.ones((20_000_000, 1, 1), np.uint8)
    window = Window(ones.shape[:2], (1, 1))
    assert average_pool(ones, window).ravel() == [1]  # float32 cannot count beyond 16,777,216
    assert max_pool(ones, window).ravel() == [1]
    assert max_pool(ones, Window((19_999_999, 1), (1, 1), pads=(2, 2, 0, 0))).shape == (6, 1, 1)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (700, 700, 0, 0), (3, 0, 0, 0)])
def test_few_large_windows_are_windows_like_others(pads):
    maps = RNG.normal(size=(3000, 2, 3)).astype(np.float32)
    window = Window((1450, 1), (700, 1), (2, 1), pads)
    for output, values in enumerate(average_pool(maps, window)):
        start = 700 * output - pads[0]
        seen = [maps[place] for place in range(start, start + 2900, 2) if 0 <= place < 3000]
        np.testing.assert_allclose(values, np.mean(seen, axis=0, dtype=float), atol=1e-6)
        np.testing.assert_array_equal(max_pool(maps, window)[output], np.max(seen, axis=0))
