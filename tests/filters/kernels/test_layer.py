"""Layers: kernels with weights for every channel, against ONNX's Conv and against each other."""

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate
from test_strips import whole

from cnntool.api.kernels import read_layer
from cnntool.errors import InputError, UsageError
from cnntool.filters.conv.executor import convolve
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import Border, Mode, Op, make_plan
from cnntool.filters.kernels.kernel import ConvLayer, Filter, Kernel
from cnntool.filters.pipeline import Options

BORDERS = {
    "zero": {"mode": "constant"},
    "reflect": {"mode": "reflect"},
    "symmetric": {"mode": "symmetric"},
    "replicate": {"mode": "edge"},
    "wrap": {"mode": "wrap"},
}


def test_two_maps_of_two_channels_by_hand():
    image = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]], np.float32)
    first = [[[1, 0], [0, 1]], [[0, 0], [0, 0]]]  # the diagonal of the first channel
    second = [[[0, 0], [0, 0]], [[0, 1], [-1, 0]]]  # the other one of the second
    result = convolve(image, ConvLayer([first, second]), mode="valid")
    assert result.tolist() == [[[5, -10]]]


@given(
    seed=st.integers(0, 999),
    sizes=st.tuples(*[st.integers(1, n) for n in (12, 12, 4, 5, 3, 4)]),
    steps=st.tuples(*[st.integers(1, n) for n in (3, 3, 2, 2)]),
    words=st.tuples(
        st.sampled_from(Mode), st.sampled_from(Op), st.sampled_from(["uint8", "float32", "float64"])
    ),
)
@examples(50)
def test_it_is_the_operator_conv(onnx, seed, sizes, steps, words):
    (mode, op, dtype), stride, dilation = words, steps[:2], steps[2:]
    height, width, channels, maps, rows, columns = sizes
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (height, width, channels)).astype(dtype)
    weights = draw.integers(-9, 10, (maps, channels, rows, columns))
    arguments = {"mode": mode, "op": op, "stride": stride, "dilation": dilation}
    try:
        plan = make_plan(image.shape, ConvLayer(weights), channels=channels, **arguments)
    except UsageError:
        assert mode is Mode.VALID
        return
    found = convolve(image, ConvLayer(weights), **arguments)
    laid = weights[:, :, ::-1, ::-1] if op is Op.CONVOLVE else weights
    (expected,) = onnx.runtime(
        "Conv",
        onnx.nchw(image).astype(np.float32),
        np.ascontiguousarray(laid, np.float32),
        pads=onnx.pads(plan.pads),
        strides=stride,
        dilations=dilation,
    )
    assert found.dtype == (np.float64 if dtype == "float64" else np.float32)
    np.testing.assert_array_equal(found, onnx.hwc(expected))


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("mode", [Mode.SAME, Mode.FULL])
def test_borders_are_those_of_every_kernel(border, mode):
    draw = np.random.default_rng(3)
    image, weights = draw.normal(size=(9, 8, 3)), draw.normal(size=(2, 3, 3, 4))
    plan = make_plan(image.shape, ConvLayer(weights), channels=3, mode=mode, dtype="float64")
    top, bottom, left, right = plan.pads
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)), **BORDERS[border.value])
    expected = [
        sum(correlate(padded[:, :, c], kernel[c], mode="valid") for c in range(3))
        for kernel in weights
    ]
    found = convolve(image, ConvLayer(weights), mode=mode, border=border)
    np.testing.assert_allclose(found, np.moveaxis(expected, 0, 2), rtol=1e-12, atol=1e-12)


def test_a_layer_of_one_channel_is_a_bank_of_its_kernels():
    draw = np.random.default_rng(4)
    image, weights = draw.integers(0, 256, (300, 401), np.uint8), draw.integers(-3, 4, (4, 1, 5, 3))
    found = convolve(image, ConvLayer(weights))
    bank = [convolve(image, Filter((Kernel(kernel[0]),))) for kernel in weights]
    np.testing.assert_array_equal(found, np.stack(bank, 2))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_the_bytes_depend_on_neither_strips_nor_threads(dtype, stride):
    draw = np.random.default_rng(5)
    image = (draw.random((300, 161, 3)) * 255).astype(dtype)
    layers = [ConvLayer(draw.normal(size=(8, 3, 3, 3))), ConvLayer(draw.normal(size=(5, 8, 2, 3)))]
    options = Options(stride=stride)
    expected = whole(image, layers, options)
    for threads, rows in ((1, 64), (3, 100), (4, 7)):
        found = whole(image, layers, options, threads=threads, rows=rows)
        assert found.tobytes() == expected.tobytes()
    assert whole(image, layers, options, threads=3).tobytes() == expected.tobytes()


def test_the_result_is_many_tiles_that_fit():
    image = np.random.default_rng(6).integers(0, 256, (200, 150, 16)).astype(np.float32)
    weights = np.random.default_rng(7).integers(-4, 5, (3, 16, 3, 3))
    plan = make_plan(image.shape, ConvLayer(weights), channels=16)
    assert plan.tile[0] < 200
    assert plan.tile[1] < 150
    assert plan.method is Method.GEMM
    assert plan.multiplies == 16 * 9
    found = convolve(image, ConvLayer(weights))
    one = sum(
        convolve(image[:, :, c], Filter((Kernel(weights[1, c]),))).astype(float) for c in range(16)
    )
    np.testing.assert_array_equal(found[:, :, 1], one)


@pytest.mark.parametrize(
    ("maps", "channels", "size"), [(1, 1, 1), (64, 3, 3), (4096, 1, 1), (8, 512, 7), (1, 3, 1023)]
)
def test_a_tile_stays_small(maps, channels, size):
    layer = ConvLayer(np.ones((maps, channels, size, size)))
    plan = make_plan((2000, 2000), layer, channels=channels)
    places = plan.tile[0] * plan.tile[1]
    assert places * max(maps, channels * size**2) <= 2**19 or places == 1
    if size < 9:
        assert places >= 16


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_stays_within_its_windows(value):
    image = np.zeros((40, 40, 2), np.float32)
    image[20, 20, 1] = value
    found = convolve(image, ConvLayer(np.ones((2, 2, 3, 3))))
    bad = ~np.isfinite(found)
    assert bad[19:22, 19:22].all()
    assert bad.sum() == 9 * 2


@pytest.mark.parametrize("gain", [1.0, 255.0])
def test_bias_and_relu_come_after_the_kernels_whatever_the_gain(gain):
    from cnntool.filters.pipeline import RowWindow, make_pipeline
    from cnntool.image.source import ImageInfo

    image = np.array([[[51], [102]], [[204], [255]]], np.uint8)
    layer = ConvLayer(np.array([1.0, -1.0])[:, None, None, None])
    options = Options(bias=np.array([-0.5, 0.5]), relu=True)
    planned = make_pipeline(ImageInfo(2, 2), [layer], options)
    out = np.empty((2, 2, 2), np.float32)
    planned.rows(RowWindow(image, 0, 0, 2), out, lambda part, to: np.copyto(to, part), gain=gain)
    unit = image[:, :, 0] / 255
    expected = np.stack([np.maximum(unit - 0.5, 0), np.maximum(0.5 - unit, 0)], 2) * gain
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6 * gain)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.ones((3, 3)), "a layer has maps, channels, rows and columns, not 3x3"),
        (np.ones((0, 1, 3, 3)), "not 0x1x3x3"),
        (np.full((1, 1, 1, 1), np.inf), "finite"),
        (np.ones((1, 1, 1, 1024)), "larger than 1023 a side"),
    ],
)
def test_what_is_no_layer(weights, reason):
    with pytest.raises(UsageError, match=reason):
        ConvLayer(weights)


def test_channels_must_be_those_of_the_input():
    reason = r"the kernel is 2x3x3 \(channels x rows x columns\), channels of the input: 3"
    with pytest.raises(UsageError, match=reason):
        convolve(np.ones((5, 5, 3)), ConvLayer(np.ones((1, 2, 3, 3))))
    with pytest.raises(UsageError, match="no `method` to choose"):
        convolve(np.ones((5, 5, 2)), ConvLayer(np.ones((1, 2, 3, 3))), method="fft")


def test_files(tmp_path):
    def stored(array):
        np.save(tmp_path / "w.npy", array)
        return read_layer(f"@{tmp_path / 'w.npy'}")

    assert stored(np.ones((4, 3, 2, 2), np.float16)).weights.shape == (4, 3, 2, 2)
    assert stored(np.ones((3, 2, 2), np.int8)).weights.shape == (1, 3, 2, 2)
    assert stored(np.ones((2, 2))) is None
    assert stored(np.ones((2, 2, 2), complex)) is None
    assert read_layer("@missing.npy") is None
    assert read_layer("sobel") is None
    with pytest.raises(InputError, match="finite"):
        stored(np.full((1, 1, 1, 1), np.nan))
