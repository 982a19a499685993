"""The convolution against an independent one: numpy's padding and scipy's valid correlation."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from effort import share
from scipy.signal import convolve2d, correlate2d

from cnntool.filters.conv.executor import convolve
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import Border, Mode, Op
from cnntool.filters.kernels.kernel import Filter, Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAD_MODES = {
    Border.ZERO: "constant",
    Border.REFLECT: "reflect",
    Border.SYMMETRIC: "symmetric",
    Border.REPLICATE: "edge",
    Border.WRAP: "wrap",
}
IMAGES = [(1, 1), (1, 7), (6, 1), (5, 8), (13, 11)]
KERNELS = [(1, 1), (1, 3), (4, 1), (2, 2), (3, 3), (2, 5), (5, 4), (7, 7)]
STEPS = [(1, 1), (2, 2), (1, 3), (3, 2)]
SPREADS = [(1, 1), (2, 2), (3, 1)]
ROADS = [method for method in Method if method not in {Method.AUTO, Method.GEMM}]


def oracle(
    image: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    mode: Mode,
    border: Border,
    op: Op,
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> NDArray[np.float64] | None:
    """Correlate in float64; None where a valid kernel does not fit."""
    if op is Op.CONVOLVE:
        weights = weights[::-1, ::-1]
    extent = [(k - 1) * d + 1 for k, d in zip(weights.shape, dilation, strict=True)]
    spread = np.zeros(extent)
    spread[:: dilation[0], :: dilation[1]] = weights
    if mode is Mode.SAME:
        image = np.pad(image, [((e - 1) // 2, e // 2) for e in extent], PAD_MODES[border])
    elif mode is Mode.FULL:
        image = np.pad(image, [(e - 1, e - 1) for e in extent], PAD_MODES[border])
    if any(e > n for e, n in zip(extent, image.shape, strict=True)):
        return None
    return correlate2d(image, spread, mode="valid")[:: stride[0], :: stride[1]]


def close(
    result: NDArray[np.floating], expected: NDArray[np.float64], scale: float, tol: float
) -> bool:
    return result.shape == expected.shape and bool(np.abs(result - expected).max() <= tol * scale)


@pytest.mark.parametrize(
    "dtype",
    [
        np.float64,
        pytest.param(np.float32, marks=pytest.mark.full),
        pytest.param(np.uint8, marks=pytest.mark.full),
    ],
)
def test_every_combination_of_the_arithmetic(dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(7)
    tol = 1e-12 if dtype is np.float64 else 5e-6
    counted = 0
    for shape, size in product(IMAGES, KERNELS):
        image = rng.integers(0, 256, shape).astype(dtype)
        if dtype is not np.uint8:
            image = image + rng.random(shape).astype(dtype)
        weights = rng.normal(size=size)
        if counted % 2:
            weights = np.rint(weights * 3)
        item = Filter((Kernel(weights),))
        scale = np.abs(weights).sum() * 256 or 1.0
        for mode, border, op, stride, dilation in product(Mode, Border, Op, STEPS, SPREADS):
            if rng.random() * 1000 >= share(1000):
                continue
            options = {
                "mode": mode, "border": border, "op": op, "stride": stride, "dilation": dilation,
            }  # fmt: skip
            expected = oracle(image.astype(np.float64), weights, **options)
            if expected is None:
                continue
            road = ROADS[rng.integers(len(ROADS))]
            result = convolve(image, item, method=road, **options)
            counted += 1
            assert close(result, expected, scale, tol), (road, shape, size, options)
    assert counted > share(10_000)


def test_even_kernels_beside_scipy():
    """README: the extra zero comes after, as in `correlate2d`; `convolve2d` has it before."""
    draw = np.random.default_rng(8)
    image, weights = draw.integers(0, 9, (6, 7)).astype(float), np.array([[1.0, 2], [3, 4]])
    item = Filter((Kernel(weights),))
    full = convolve2d(image, weights, "full")
    np.testing.assert_array_equal(convolve(image, item), correlate2d(image, weights, "same"))
    np.testing.assert_array_equal(convolve(image, item, op="convolve"), full[1:, 1:])
    np.testing.assert_array_equal(convolve2d(image, weights, "same"), full[:-1, :-1])
