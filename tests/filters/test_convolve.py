"""The convolution: worked examples, its algebra, and the promises about strips and NaN."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve, convolve_rows
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.plan import Border, ConvPlan, Method, Mode, Op, make_plan

ROADS = [method for method in Method if method not in {Method.AUTO, Method.GEMM}]
SOBEL = np.outer([1, 2, 1], [1, 0, -1])


def of(text: str) -> np.ndarray:
    return np.array([[float(number) for number in row.split(",")] for row in text.split(";")])


def single(weights: object) -> Filter:
    return Filter((Kernel(weights),))  # type: ignore[arg-type]


A = of("1,1,1,0,0; 0,1,1,1,0; 0,0,1,1,1; 0,0,1,1,0; 0,1,1,0,0")
B = of("1,0,0,0,0,1; 0,1,0,0,1,0; 0,0,1,1,0,0; 1,0,0,0,1,0; 0,1,0,0,1,0; 0,0,1,0,1,0")
C = of("3,3,2,1,0; 0,0,1,3,1; 3,1,2,2,3; 2,0,0,2,2; 2,0,0,0,1")
D = of("0,1,2;3,4,5;6,7,8")
E = of("0,1,2;2,2,0;0,1,2")
DIAGONAL = of("1,-1,-1;-1,1,-1;-1,-1,1")

EXAMPLES = [
    (A, of("1,0,1;0,1,0;1,0,1"), {}, "4,3,4; 2,4,3; 2,3,4"),
    (B, DIAGONAL, {}, "3,-1,-3,-1; -3,1,0,-3; -3,-3,0,1; 3,-2,-2,-1"),
    (B, DIAGONAL, {"stride": 2}, "3,-3; -3,0"),
    (B, of("-1,1,-1;-1,1,-1;-1,1,-1"), {},
     "-1,-1,-1,-1; -1,-1,-2,1; -1,-1,-2,1; -1,0,-4,3"),
    (C, E, {}, "12,12,17; 10,17,19; 9,6,14"),
    (C, E, {"op": "convolve"}, "18,20,19; 10,9,17; 11,8,14"),
    (C, E, {"mode": "same"},
     "6,14,17,11,3; 14,12,12,17,11; 8,10,17,19,13; 11,9,6,14,12; 6,4,4,6,4"),
    (D, of("0,1;2,3"), {}, "19,25;37,43"),
    (D, of("0,1;2,3"), {"op": "convolve"}, "5,11;23,29"),
]  # fmt: skip


@pytest.mark.parametrize("road", [Method.AUTO, *ROADS])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int64])
def test_the_lectures_examples(road: Method, dtype: type[np.generic]) -> None:
    for image, weights, options, expected in EXAMPLES:
        result = convolve(
            image.astype(dtype), single(weights), **({"mode": "valid"} | options), method=road
        )
        wide = np.dtype(dtype).name in {"float64", "int64"}
        assert result.dtype == (np.float64 if wide else np.float32)
        if road is Method.AUTO:
            assert (result == of(expected)).all()
        assert result == pytest.approx(of(expected), abs=1e-12 if wide else 1e-5)


def test_full_is_seven_by_seven() -> None:
    result = convolve(C, single(E), mode="full")
    assert result.shape == (7, 7)
    assert result[0].tolist() == [6, 9, 7, 4, 1, 0, 0]


@pytest.mark.parametrize("road", [Method.AUTO, *ROADS])
def test_a_corner_is_found_where_it_is(road: Method) -> None:
    image = np.zeros((128, 128), np.uint8)
    image[32:96, 16:112] = 1
    weights = of("-1,-1,-1,-1;-1,-1,-1,-1;3,3,-1,-1;3,3,-1,-1")
    result = convolve(image, single(weights), mode="valid", method=road)
    assert np.unravel_index(result.argmax(), result.shape) == (30, 110)
    assert result.max() == pytest.approx(12, abs=1e-4)
    assert np.count_nonzero(result > 11.5) == 1


def test_sobel_is_positive_where_brightness_falls() -> None:
    falling = np.tile([9.0, 9, 0, 0], (4, 1))
    assert convolve(falling, single(SOBEL), mode="valid").max() == 36
    assert convolve(falling.T, single(SOBEL.T), mode="valid").max() == 36
    assert not convolve(np.full((5, 5), 7.0), single(SOBEL), mode="valid").any()


def test_one_by_n_kernels_and_images() -> None:
    assert convolve([[1, 2, 3, 4]], single([[1, 10]]), mode="valid").tolist() == [[21, 32, 43]]
    assert convolve([[1], [2], [3]], single([[1], [10]]), mode="same").tolist() == [[21], [32], [3]]


def test_kernels_combine() -> None:
    pair = (Kernel(SOBEL), Kernel(SOBEL.T))
    rng = np.random.default_rng(3)
    for dtype in (np.uint8, np.float32, np.float64):
        image = rng.integers(0, 256, (20, 23)).astype(dtype)
        across, down = (convolve(image, Filter((kernel,))) for kernel in pair)
        assert convolve(image, Filter(pair, "magnitude")) == pytest.approx(np.hypot(across, down))
        assert (convolve(image, Filter(pair, "max")) == np.maximum(across, down)).all()


@pytest.mark.parametrize("road", [Method.AUTO, *ROADS])
def test_a_lone_kernel_combines_too(road: Method) -> None:
    image = np.random.default_rng(6).random((64, 64))
    kernel = Kernel(SOBEL / 3)
    plain = convolve(image, Filter((kernel,)), method=road)
    lone = Filter((kernel,), "magnitude")
    assert convolve(image, lone, method=road) == pytest.approx(np.abs(plain), abs=1e-14)
    lone = Filter((kernel,), "max")
    assert convolve(image, lone, method=road) == pytest.approx(plain, abs=1e-14)


def test_squares_of_magnitudes_do_not_overflow() -> None:
    image = np.zeros((4, 4), np.float32)
    image[1, 1] = 1e30
    both = Filter((Kernel([[3]]), Kernel([[4]])), "magnitude")
    assert convolve(image, both)[1, 1] == pytest.approx(5e30, rel=1e-6)


def test_an_overflowing_square_leaves_the_other_magnitudes_alone() -> None:
    plain = np.random.default_rng(2).random((20, 30)).astype(np.float32)
    spiked = plain.copy()
    spiked[9, 9] = 3e30
    sobel = Filter((Kernel(SOBEL), Kernel(SOBEL.T)), "magnitude")
    found = convolve(spiked, sobel)
    around = np.zeros(plain.shape, bool)
    around[8:11, 8:11] = True
    np.testing.assert_array_equal(found[~around], convolve(plain, sobel)[~around])
    ring = 3e30 * np.hypot(SOBEL, SOBEL.T).ravel()[[0, 1, 2, 3, 5, 6, 7, 8]]
    assert np.delete(found[around], 4) == pytest.approx(ring, rel=1e-6)


def test_a_box_of_bytes_is_exact() -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 70)).astype(np.uint8)
    image[:40] = 255
    for size in (3, 9, 11, 16, 31):
        box = single(np.ones((size, size)))
        result = convolve(image, box, mode="valid")
        sums = np.lib.stride_tricks.sliding_window_view(image, (size, size)).sum((2, 3), np.int64)
        assert (result == sums).all()
    mean = convolve(np.full((20, 20), 255, np.uint8), single(np.full((9, 9), 1 / 81)), mode="valid")
    assert np.rint(mean).tolist() == np.full((12, 12), 255).tolist()


def test_a_white_box_of_sixteen_bits_is_as_good_as_float32() -> None:
    image = np.full((40, 40), 65535, np.uint16)
    for size in (16, 17, 31):
        result = convolve(image, single(np.ones((size, size))), mode="valid")
        assert (result == np.float32(65535 * size * size)).all() or size > 16
        assert result == pytest.approx(65535 * size * size, rel=1e-6)


def test_means_of_whole_numbers_are_rounded_once() -> None:
    image = np.random.default_rng(12).integers(0, 1000, (30, 30)).astype(float)
    mean = convolve(image, single(np.full((7, 7), 1 / 49)), mode="valid")
    sums = np.lib.stride_tricks.sliding_window_view(image, (7, 7)).sum((2, 3))
    assert (mean == sums / 49).all()


images = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))
steps = st.tuples(st.integers(1, 3), st.integers(1, 3))


def sample(
    seed: int, shape: tuple[int, ...], size: tuple[int, int], dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = (rng.random(shape) * 255).astype(dtype)
    kinds = (rng.normal(size=size), rng.integers(-3, 4, size), np.full(size, 0.25))
    return image, kinds[seed % 3].astype(float)


@given(
    seed=st.integers(0, 999),
    shape=images,
    size=sizes,
    dtype=st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    mode=st.sampled_from([Mode.SAME, Mode.FULL]),
    border=st.sampled_from(Border),
    op=st.sampled_from(Op),
    stride=steps,
    dilation=steps,
)
@examples(150)
def test_all_roads_agree(*, seed, shape, size, dtype, **options) -> None:
    image, weights = sample(seed, shape, size, dtype)
    item = single(weights)
    expected = convolve(image, item, method=Method.DIRECT, **options)
    scale = float(np.abs(weights).sum() * np.abs(image.astype(float)).max()) or 1.0
    tol = 1e-12 if dtype == "float64" else 5e-6
    for road in (Method.AUTO, *ROADS):
        result = convolve(image, item, method=road, **options)
        assert result.dtype == expected.dtype
        assert np.abs(result - expected).max() <= tol * scale, road


@given(seed=st.integers(0, 99), shape=images, size=sizes)
@settings(deadline=None)
def test_same_and_valid_are_crops_of_full(seed, shape, size) -> None:
    image, weights = sample(seed, shape, size, "float64")
    (height, width), (rows, columns) = shape[:2], size
    item = single(weights)
    full = convolve(image, item, mode="full", method="direct")
    top, left = rows // 2, columns // 2
    same = convolve(image, item, mode="same", method="direct")
    assert (same == full[top : top + height, left : left + width]).all()
    if rows <= height and columns <= width:
        valid = convolve(image, item, mode="valid", method="direct")
        assert (valid == full[rows - 1 : height, columns - 1 : width]).all()


@given(seed=st.integers(0, 99), size=sizes, road=st.sampled_from([Method.AUTO, *ROADS]))
@settings(deadline=None)
def test_linear_and_the_same_everywhere(seed, size, road) -> None:
    first, weights = sample(seed, (17, 19), size, "float64")
    second, _ = sample(seed + 1, (17, 19), size, "float64")
    item = single(weights)

    def run(image: np.ndarray) -> np.ndarray:
        return convolve(image, item, border="wrap", method=road)

    scale = np.abs(weights).sum() * 2000 or 1.0
    assert np.abs(run(2 * first - 3 * second) - 2 * run(first) + 3 * run(second)).max() < (
        1e-12 * scale
    )
    moved = np.roll(run(first), (2, -5), (0, 1))
    assert np.abs(run(np.roll(first, (2, -5), (0, 1))) - moved).max() < 1e-12 * scale


def test_convolving_twice_is_convolving_with_both() -> None:
    rng = np.random.default_rng(2)
    image, first, second = rng.random((9, 8)), rng.random((3, 2)), rng.random((2, 4))
    both = convolve(first, single(second), mode="full", op="convolve")
    once = convolve(image, single(both), mode="full", op="convolve")
    twice = convolve(
        convolve(image, single(first), mode="full", op="convolve"),
        single(second),
        mode="full",
        op="convolve",
    )
    assert once == pytest.approx(twice, abs=1e-12)


def in_strips(plan: ConvPlan, image: np.ndarray, cuts: list[int], scale: float = 1.0) -> np.ndarray:
    parts = []
    for start, stop in pairwise(cuts):
        lo, hi = plan.needs(start, stop)
        parts.append(convolve_rows(plan, image[lo:hi], lo, start, stop, scale=scale))
    return np.concatenate(parts)


@given(
    road=st.sampled_from(ROADS),
    border=st.sampled_from(Border),
    dtype=st.sampled_from(["uint8", "float32"]),
    stride=st.integers(1, 2),
    broken=st.booleans(),
    data=st.data(),
)
@examples(60)
def test_any_strips_give_the_same_bits(*, road, border, dtype, stride, broken, data) -> None:
    rng = np.random.default_rng(11)
    image = (rng.random((300, 21, 2)) * 255).astype(dtype)
    if broken and dtype == "float32":
        image[150, 7] = np.nan
    item = Filter((Kernel(rng.random((5, 4))), Kernel(rng.random((5, 4)))), "magnitude")
    plan = make_plan(
        (300, 21), item, border=border, stride=stride, dtype=dtype, channels=2, method=road
    )
    height = plan.out_shape[0]
    cuts = sorted({0, height, *data.draw(st.lists(st.integers(1, height - 1), max_size=4))})
    whole = in_strips(plan, image, [0, height], scale=1 / 255)
    assert in_strips(plan, image, cuts, scale=1 / 255).tobytes() == whole.tobytes()


def test_threads_share_a_plan() -> None:
    rng = np.random.default_rng(4)
    image = rng.random((700, 90, 1)).astype(np.float32)
    plan = make_plan((700, 90), single(rng.random((9, 9))))
    expected = convolve_rows(plan, image, 0, 0, 700)
    result = np.empty_like(expected)

    def work(start: int) -> None:
        for _ in range(5):
            convolve_rows(plan, image, 0, start, start + 100, out=result[start : start + 100])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 700, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert result.tobytes() == expected.tobytes()


@pytest.mark.parametrize("road", [Method.AUTO, *ROADS])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_stays_where_it_is(road: Method, bad: float, dtype: type[np.floating]) -> None:
    image = np.ones((60, 50), dtype)
    image[30, 20] = bad
    weights = np.outer([1, 2, 1.5], [1, 0, -1]) + np.outer([0.5, 0, 2], [1, 0, 3])
    result = convolve(image, single(weights), method=road)
    touched = np.zeros(image.shape, bool)
    touched[29:32, 19] = touched[29:32, 21] = True
    touched[30, 19:22:2] = True
    assert (~np.isfinite(result) == touched).all()


def test_scale_multiplies_the_result() -> None:
    image = np.arange(30, dtype=np.uint8).reshape(5, 6, 1)
    for weights in (SOBEL, SOBEL / 7.3):
        for road in ROADS:
            plan = make_plan((5, 6), single(weights), dtype=np.uint8, method=road)
            plain = convolve_rows(plan, image, 0, 0, 5)
            assert convolve_rows(plan, image, 0, 0, 5, scale=1 / 255) == pytest.approx(
                plain / 255, abs=1e-6
            )


def test_channels_are_filtered_one_by_one() -> None:
    rng = np.random.default_rng(8)
    image = rng.random((40, 30, 5))
    for road in ROADS:
        result = convolve(image, single(rng.random((4, 5))), method=road)
        assert result.shape == (40, 30, 5)
    item = single(rng.random((4, 5)))
    for road in ROADS:
        planes = [convolve(image[:, :, c], item, method=road) for c in range(5)]
        assert convolve(image, item, method=road) == pytest.approx(np.dstack(planes), abs=1e-13)


def test_views_of_larger_arrays_can_be_filtered() -> None:
    image = np.random.default_rng(9).random((30, 40, 4)).astype(np.float32)
    item = single(np.ones((3, 3)) / 9)
    assert (convolve(image[::2, 5:, :3], item) == convolve(image[::2, 5:, :3].copy(), item)).all()


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int32, np.float16])
def test_other_numbers_are_converted(dtype: type[np.generic]) -> None:
    image = np.array([[0, 1], [1, 1]], dtype)
    assert convolve(image, single([[1, 1]]), mode="valid").tolist() == [[1], [2]]


@pytest.mark.parametrize(
    ("dtype", "result"), [(np.float16, np.float32), (np.int8, np.float64), (bool, np.float64)]
)
def test_half_floats_become_single_ones(dtype: type[np.generic], result: type[np.generic]) -> None:
    assert convolve(np.ones((2, 2), dtype), single([[1]])).dtype == result


@pytest.mark.parametrize("image", [np.zeros(3), np.zeros((2, 2), complex), np.array([["a"]])])
def test_what_is_not_an_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(UsageError, match="cannot filter"):
        convolve(image, single([[1]]))
