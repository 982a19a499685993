"""The plan: shapes, padding, what rows need, which road is taken, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import Border, Mode, Op, make_plan, source_index
from cnntool.filters.kernels.kernel import Filter, Kernel

RNG = np.random.default_rng(5)


def ones(rows: int, columns: int) -> Filter:
    return Filter((Kernel(np.ones((rows, columns))),), name="ones")


def random(rows: int, columns: int) -> Filter:
    return Filter((Kernel(RNG.random((rows, columns))),), name="random")


@pytest.mark.parametrize(
    ("mode", "shape"), [("full", (520, 520)), ("same", (512, 512)), ("valid", (504, 504))]
)
def test_a_nine_by_nine_box_on_a_photo(mode: str, shape: tuple[int, int]) -> None:
    assert make_plan((512, 512), ones(9, 9), mode=mode).out_shape == shape


def test_networks_layers_have_their_textbook_sizes() -> None:
    assert make_plan((512, 512), ones(3, 3), mode="valid").out_shape == (510, 510)
    assert make_plan((368, 487), ones(9, 9), mode="valid").out_shape == (360, 479)
    assert make_plan((227, 227), ones(11, 11), mode="valid", stride=4).out_shape == (55, 55)


def test_even_kernels_get_their_extra_zero_after() -> None:
    for op in Op:
        assert make_plan((9, 9), ones(2, 4), op=op).pads == (0, 1, 1, 2)


def test_stride_and_dilation() -> None:
    plan = make_plan((10, 11), ones(3, 3), stride=(2, 3), dilation=(1, 2))
    assert plan.extent == (3, 5)
    assert plan.pads == (1, 1, 2, 2)
    assert plan.out_shape == (5, 4)


@pytest.mark.parametrize(
    ("shape", "item", "options", "reason"),
    [
        ((4, 4), ones(5, 1), {"mode": "valid"}, "does not fit"),
        ((4, 4), ones(3, 3), {"mode": "valid", "dilation": 2}, "does not fit"),
        ((0, 4), ones(1, 1), {}, "nothing to filter"),
        ((4, 4), ones(1, 1), {"stride": 0}, "stride must be 1 or more"),
        ((4, 4), ones(1, 1), {"dilation": (1, -1)}, "dilation must be 1 or more"),
        ((4, 4), ones(3, 1), {"dilation": 2000}, "more than 2047"),
        ((4, 4), ones(1, 1), {"dtype": np.complex64}, "complex64"),
        ((4, 4), random(1023, 1023), {"method": "banded"}, "too large for method banded"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shape: tuple[int, int], item: Filter, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        make_plan(shape, item, **options)  # type: ignore[arg-type]


def test_a_kernel_larger_than_the_image_is_fine_with_padding() -> None:
    assert make_plan((2, 3), ones(7, 9), mode="same").out_shape == (2, 3)
    assert make_plan((2, 3), ones(7, 9), mode="full").out_shape == (8, 11)


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("size", [1, 2, 5])
def test_borders_are_numpys(border: Border, size: int) -> None:
    words = {"zero": "constant", "replicate": "edge"}
    index = source_index(0, size + 14, 7, size, border)
    expected = np.pad(np.arange(1, size + 1), 7, words.get(border.value, border.value))
    assert (np.where(index < 0, 0, index + 1) == expected).all()


@given(
    height=st.integers(1, 40),
    size=st.integers(1, 9),
    mode=st.sampled_from(Mode),
    border=st.sampled_from(Border),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    data=st.data(),
)
def test_rows_needed_are_those_that_are_used(
    *,
    height: int,
    size: int,
    mode: Mode,
    border: Border,
    stride: int,
    dilation: int,
    data: st.DataObject,
) -> None:
    if mode is Mode.VALID and (size - 1) * dilation + 1 > height:
        return
    plan = make_plan(
        (height, 1),
        ones(size, 1),
        mode=mode,
        border=border,
        stride=stride,
        dilation=dilation,
        method=Method.DIRECT,
    )
    total = plan.out_shape[0]
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    first = start * stride
    count = (stop - start - 1) * stride + plan.extent[0]
    rows = source_index(first, count, plan.pads[0], height, border)
    used = rows[rows >= 0]
    lo, hi = plan.needs(start, stop)
    assert 0 <= lo <= hi <= height
    if used.size:
        assert (lo, hi) == (used.min(), used.max() + 1)
    assert plan.needs(start, start) == (0, 0)


def test_roads_whose_rounding_depends_on_the_place_need_whole_tiles() -> None:
    plan = make_plan((2000, 100), random(31, 31))
    assert plan.method is Method.FFT
    rows = plan.tile[0]
    assert plan.whole_tiles(rows + 1, rows + 2) == (rows, 2 * rows)
    assert plan.needs(rows + 1, rows + 2) == (rows - 15, 2 * rows + 15)
    assert plan.strip_rows % rows == 0


@pytest.mark.parametrize(
    ("item", "dtype", "method", "arithmetic"),
    [
        (ones(9, 9), np.uint8, "separable", "int16"),
        (ones(15, 15), np.uint8, "separable", "uint16"),
        (ones(3, 3), np.float64, None, "float64"),
        (random(7, 7), np.float32, "banded", "float32"),
        (random(61, 61), np.float32, "fft", "float32"),
        (Filter((Kernel(np.outer(np.arange(1, 20) ** 0.5, np.arange(1, 20) ** 0.3)),)),
         np.float32, "banded-separable", "float32"),
        (Filter((Kernel(np.diag([1.0, 0, 0, 0, 0, 0, 1.0])),)), np.uint8, "direct", "int16"),
    ],
)  # fmt: skip
def test_the_road_follows_from_kernel_and_numbers(
    item: Filter, dtype: type[np.generic], method: str | None, arithmetic: str
) -> None:
    plan = make_plan((1000, 1000), item, dtype=dtype)
    assert method in {None, plan.method.value}
    assert plan.work.dtype.name == arithmetic


def test_whole_numbers_never_take_a_road_with_rounding() -> None:
    kernel = np.rint(RNG.normal(size=(25, 25)) * 3)
    plan = make_plan((1000, 1000), Filter((Kernel(kernel),)), dtype=np.uint8)
    assert plan.work.exact
    assert plan.method is not Method.FFT


@pytest.mark.parametrize(("size", "exact"), [(16, True), (17, False), (31, False)])
def test_sums_past_float32s_whole_numbers_are_not_called_exact(size: int, *, exact: bool) -> None:
    work = make_plan((100, 100), ones(size, size), dtype=np.uint16).work  # 2**24 is 256 times white
    assert work.exact == exact or work.dtype == np.float64


def test_multiplies_are_counted_as_a_textbook_does() -> None:
    sobel = Filter((Kernel(np.outer([1, 2, 1], [1, 0, -1])),))
    assert make_plan((9, 9), sobel, method="direct").multiplies == 9
    assert make_plan((9, 9), sobel, method="separable").multiplies == 6


def test_anchors_are_the_pixels_under_the_middle() -> None:
    plan = make_plan((6, 5), ones(3, 3), mode="full", stride=2)
    rows, columns = plan.anchors(np.arange(plan.out_shape[0]), np.arange(plan.out_shape[1]))
    assert rows.tolist() == [0, 1, 3, 5]
    assert columns.tolist() == [0, 1, 3, 4]
    plan = make_plan((6, 5), ones(3, 3), mode="valid")
    rows, columns = plan.anchors(np.arange(4), np.arange(3))
    assert rows.tolist() == [1, 2, 3, 4]
    assert columns.tolist() == [1, 2, 3]


def test_tiles_fit_in_a_cache_and_are_twice_as_large_in_large_pictures() -> None:
    sobel = Filter((Kernel(np.outer([1, 2, 1], [1, 0, -1])),))
    for shape, most in (((2160, 3840), 2**18), ((10_000, 10_000), 2**19)):
        plan = make_plan(shape, sobel, dtype=np.uint8)
        assert most // 2 < plan.tile[0] * plan.tile[1] <= most
        assert plan.strip_rows == plan.tile[0] <= 256


def test_a_plan_can_be_printed() -> None:
    plan = make_plan((6, 5), ones(2, 3), channels=3)
    assert plan.maps == 3
    assert plan.lines() == [
        "kernel 2x3, separable, single",
        "correlate, same, stride 1, dilation 1: 6x5 -> 6x5",
        "padding 0,1,1,1 (top, bottom, left, right), zero",
        "method banded in float32, 6 multiplies a value, 34952 rows a strip",
    ]
