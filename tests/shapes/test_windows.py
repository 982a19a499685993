"""Window arithmetic beside windows that are laid down one by one."""

import doctest

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.shapes import windows
from cnntool.shapes.windows import AxisWindow, Window, parse_padding

small = st.integers(1, 7)
pads = st.integers(0, 9)
sliding = st.builds(AxisWindow, small, small, small, pads, pads, st.just(value=False))


def laid(window, size):
    """List the places of every window that lies inside of the padded input."""
    first, end = -window.before, size + window.after
    found = []
    while first + (window.kernel - 1) * window.dilation < end:
        found.append([first + tap * window.dilation for tap in range(window.kernel)])
        first += window.stride
    return found


@given(sliding, st.integers(1, 20))
def test_as_many_outputs_as_windows_fit(window, size):
    assert max(window.outputs(size), 0) == len(laid(window, size))


@given(sliding, st.integers(1, 20))
def test_ceil_adds_the_window_that_hangs_over_and_begins_before_the_end(window, size):
    assume(window.outputs(size) > 0)
    places = laid(window, size)
    begin = places[-1][0] + window.stride
    seen_all = places[-1][-1] == size + window.after - 1
    more = not seen_all and begin < size
    room = window.room(size) % window.stride
    assert window._replace(ceil=True).outputs(size) == len(places) + (more and room > 0)


@given(sliding, st.integers(1, 20))
def test_the_transpose_of_a_stride_of_one_gives_the_size_back(window, size):
    window = window._replace(stride=1)
    assume(window.outputs(size) > 0)
    assert window.transposed(window.outputs(size)) == size


@given(sliding, st.integers(1, 20), st.booleans())
def test_same_padding_keeps_one_output_for_each_stride(window, size, lower):
    padded = window.same(size, lower=lower)
    assert padded.outputs(size) == -(-size // window.stride)
    more = padded.before - padded.after if lower else padded.after - padded.before
    assert more in {0, 1}


@given(small, small, st.integers(1, 20))
def test_padding_by_words(kernel, dilation, size):
    window = AxisWindow(kernel, dilation=dilation)
    assert window.padded("same").outputs(size) == size
    touching = [p for p in laid(window.padded("full"), size) if p[-1] >= 0 and p[0] < size]
    assert window.padded("full").outputs(size) == len(touching) == size + window.extent - 1
    assert (window.padded("valid").before, window.padded("valid").after) == (0, 0)


def test_an_even_window_has_its_extra_zero_after():
    assert Window((4, 2)).padded("same").pads == (1, 2, 0, 1)


def test_a_window_of_two_axes():
    window = Window((3, 2), (2, 1), (1, 2), (1, 0, 2, 3))
    assert (window.extent, window.padded_shape((5, 6))) == ((3, 3), (6, 11))
    assert (window.out_shape((5, 6)), window.outputs((1, 1))) == ((2, 9), (0, 4))
    assert window.transposed_shape((2, 9), (1, 0)) == (5, 6)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (lambda: Window((5, 3)).out_shape((4, 9)), "a window of 5x3 does not fit into 4x9"),
        (lambda: Window((1, 1)).transposed_shape((2, 2), (0, 1)), "an output padding of 0x1"),
        (lambda: Window((1, 1), pads=(1, 1, 0, 0)).transposed_shape((2, 2)), "leaves nothing"),
        (lambda: parse_padding("1,2,3"), "'1,2,3' is no padding: N, ROWS,COLUMNS, TOP"),
        (lambda: parse_padding("-1"), "'-1' is no padding"),
    ],
)
def test_what_does_not_work_is_refused(work, reason):
    with pytest.raises(UsageError, match=reason):
        work()


@pytest.mark.parametrize(
    ("text", "padding"),
    [("same", "same"), ("2", (2, 2, 2, 2)), ("1,3", (1, 1, 3, 3)), ("1,2,3,4", (1, 2, 3, 4))],
)
def test_padding_as_it_is_written(text, padding):
    assert parse_padding(text) == padding


def test_examples():
    assert doctest.testmod(windows).failed == 0
