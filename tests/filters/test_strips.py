import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.api.kernels import parse
from cnntool.filters import pipeline
from cnntool.filters import pipeline as strips
from cnntool.filters.conv.plan import Border, Mode
from cnntool.filters.nonlinear import colour_filter
from cnntool.filters.pipeline import Options, make_pipeline
from cnntool.image.source import ImageInfo


def whole(image, kernels, options, threads=1, rows=None):
    height, width, channels = image.shape
    source = ImageInfo(height, width, channels, image.dtype.name)
    planned = make_pipeline(
        source, [parse(k) if isinstance(k, str) else k for k in kernels], options
    )
    rows = rows or height
    pieces = (image[i : i + rows] for i in range(0, height, rows))
    if rows == height:
        pieces = lambda lo, hi: image[lo:hi]  # noqa: E731

    def work(window):
        out = np.empty((window.stop - window.start, *planned.out_shape[1:]), planned.dtype)
        planned.rows(window, out, lambda part, place: np.copyto(place, part[:, : place.shape[1]]))
        return out

    return np.concatenate(list(strips.run(planned, pieces, work, threads=threads)))


CHAINS = [
    ["sobel"],
    ["gaussian:2", "sobel"],
    ["box:5", "laplacian", "gaussian:1"],
    ["median:3", "sobel-x"],
    ["gaussian:2", "otsu"],
]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("border", list(Border))
def test_the_cutting_of_the_input_changes_no_bit(chain, border):
    image = np.random.default_rng(0).integers(0, 256, (301, 37, 3), np.uint8)
    options = Options(border=border)
    if chain[-1] == "otsu":
        options = Options()
    expected = whole(image, chain, options)
    for threads, rows in ((2, 7), (3, 64), (1, 300)):
        np.testing.assert_array_equal(whole(image, chain, options, threads, rows), expected)


NEAR = [*map(parse, ["median:5", "min:4x3", "erode:1x9", "open:6,disk", "close:7x3"])]
NEAR.append(colour_filter(np.arange(60).reshape(3, 4, 5) / 1000, "learned"))


@pytest.mark.parametrize("border", list(Border))
@pytest.mark.parametrize("operation", NEAR, ids=lambda operation: operation.name)
def test_what_looks_only_around_itself_is_computed_in_strips(monkeypatch, operation, border):
    image = np.random.default_rng(3).integers(0, 256, (301, 37, 3 if operation.joins else 1))
    image = image.astype(np.uint8)
    expected = operation.apply(image if operation.joins else image[:, :, 0], border.value) / 255
    monkeypatch.setattr(pipeline, "STRIP_VALUES", 37 * 20)
    source = ImageInfo(*image.shape)
    planned = make_pipeline(source, [operation], Options(border=border))
    least = 301 if border is Border.WRAP else max(20, 8 * operation.reach)
    assert least <= planned.strip_rows < least + 100, "what strips share is computed twice"
    for rows in (7, 301):
        ours = whole(image, [operation], Options(border=border), threads=2, rows=rows)
        np.testing.assert_allclose(ours[:, :, 0], expected, rtol=1e-6)


def test_a_whole_map_is_filtered_beside_the_main_thread_which_answers_signals():
    planned = make_pipeline(ImageInfo(9, 9), [parse("otsu")], Options())
    picture = np.zeros((9, 9, 1), np.uint8)
    seen = strips.run(planned, lambda lo, hi: picture, lambda _: threading.get_ident(), threads=1)
    assert threading.get_ident() not in list(seen)


def test_strips_are_let_go_once_they_have_been_copied():
    planned = make_pipeline(ImageInfo(3000, 2000), [parse("box:9")], Options())
    alive = []

    def source():
        for top in range(0, 3000, 50):
            strip = np.full((50, 2000, 1), top // 50, np.uint8)
            alive.append(weakref.ref(strip))
            yield strip
            del strip

    def work(window):
        assert len(window.pixels) >= window.stop - window.start >= 200
        rows = np.arange(window.lo, window.lo + len(window.pixels))
        np.testing.assert_array_equal(window.pixels[:, 0, 0], rows // 50)
        return sum(strip() is not None for strip in alive)

    assert max(strips.run(planned, source(), work, threads=1)) == 2, "those across the edge"


@given(
    st.lists(st.sampled_from(["box:3", "sobel-x", "gaussian:1", "1,2;3,4"]), min_size=1, max_size=3)
)
def test_a_chain_is_its_kernels_one_after_the_other(chain):
    image = np.random.default_rng(1).random((23, 19, 1))
    expected = image
    for kernel in chain:
        expected = whole(expected, [kernel], Options())
    np.testing.assert_allclose(whole(image, chain, Options()), expected, atol=1e-12)


def test_luma_before_a_linear_chain_is_luma_after_it():
    image = np.random.default_rng(2).random((30, 20, 3))
    ours = whole(image, ["gaussian:1", "sobel-x"], Options())
    each = whole(image, ["gaussian:1", "sobel-x"], Options(channels="each"))
    np.testing.assert_allclose(ours[:, :, 0], each @ [0.299, 0.587, 0.114], atol=1e-12)


def test_equal_windows_of_bytes_give_equal_bits():
    image = np.random.default_rng(3).integers(0, 256, (60, 50, 1), np.uint8)
    sums = np.lib.stride_tricks.sliding_window_view(image[:, :, 0], (9, 9)).sum((2, 3), np.int64)
    means = whole(image, ["box:9"], Options(mode=Mode.VALID))[:, :, 0]
    assert len(np.unique(means)) == len(np.unique(sums)) < sums.size
    np.testing.assert_allclose(means, sums / (81 * 255), rtol=3e-7)


@pytest.mark.parametrize("border", [Border.REFLECT, Border.SYMMETRIC])
def test_a_border_may_send_a_later_strip_back(border):
    image = np.random.default_rng(5).integers(0, 256, (1200, 1200, 1), np.uint8)
    options = Options(mode=Mode.FULL, border=border, dilation=(1000, 1))
    source = ImageInfo(1200, 1200)
    planned = make_pipeline(source, [parse("1;1")], options)
    starts = range(0, planned.out_shape[0], planned.strip_rows)
    firsts = [planned.needs(n, min(n + planned.strip_rows, 2200))[0] for n in starts]
    assert firsts != sorted(firsts), "no strip goes back"
    expected = whole(image, ["1;1"], options)
    np.testing.assert_array_equal(whole(image, ["1;1"], options, rows=10), expected)


@pytest.mark.parametrize(
    ("options", "rows", "columns"),
    [
        (Options(), (2, 28), (2, 38)),
        (Options(mode=Mode.VALID), (0, 26), (0, 36)),
        (Options(stride=(3, 3)), (1, 10), (1, 13)),
        (Options(dilation=(2, 1)), (4, 26), (2, 38)),
        (Options(dilation=(9, 9)), (0, 30), (18, 22)),  # rows: there is no such row
        (Options(mode=Mode.FULL), (0, 34), (0, 44)),  # asked for
        (Options(border=Border.ZERO), (0, 30), (0, 40)),
    ],
)
def test_the_interior_is_what_no_zero_reaches(options, rows, columns):
    planned = make_pipeline(ImageInfo(30, 40), [parse("box:5")], options)
    (branch,) = planned.branches
    shape = planned.out_shape
    found = [one.indices(size)[:2] for one, size in zip(planned.interior(branch), shape)]  # noqa: B905
    assert found == [rows, columns]


@given(
    kernels=st.lists(st.sampled_from(["box:3", "box:2x4", "median:3", "box:1"]), min_size=1),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(9, 30), st.integers(9, 30)),
)
def test_inside_of_the_interior_a_box_leaves_ones_alone(kernels, stride, size):
    if any(kernel.startswith("median") for kernel in kernels):
        stride = (1, 1)
    kernels = kernels[:3]
    options = Options(stride=stride)
    made = whole(np.ones((*size, 1), np.float32), kernels, options)
    planned = make_pipeline(ImageInfo(*size, dtype="float32"), list(map(parse, kernels)), options)
    place = planned.interior(planned.branches[0])
    inside = made[place]
    assert slice(None) in place or np.allclose(inside, 1, atol=1e-5)
