import numpy as np
import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.errors import UsageError
from cnntool.views import vectors
from cnntool.views.colormaps import MARK_COLOUR, palette
from cnntool.views.contact_sheet import Caption

strip, bar_chart = drawn(vectors.strip), drawn(vectors.bar_chart)
vector_sheet = drawn(vectors.vector_sheet)


@pytest.mark.parametrize(
    ("count", "columns"),
    [(1, 1), (12, 12), (32, 32), (320, 32), (512, 32), (1000, 50), (4096, 128), (25088, 256)],
)
def test_columns_of_a_strip(count, columns):
    assert vectors.strip_columns(count) == columns


@given(st.integers(1, 10**7))
def test_a_strip_is_wider_than_high(count):
    columns = vectors.strip_columns(count)
    assert columns >= -(-count // columns)
    assert columns <= max(32, 2.2 * (count**0.5 + 1))


def test_a_short_strip_by_hand():
    shown = strip(np.array([0.0, 1.0, np.nan]))
    assert shown.shape == (32, 96, 3)
    expected = [*palette("viridis")[[0, 254]].tolist(), list(MARK_COLOUR)]
    assert shown[0, ::32].tolist() == expected
    assert (shown[:, 31::32] == 255).all()
    assert (shown[31] == 255).all()


@given(st.integers(33, 1500))
def test_no_cell_is_lost(count):
    vector = np.zeros(count, np.float32)
    vector[-1] = 1
    shown = strip(vector, style="magma")
    columns = vectors.strip_columns(count)
    side = max(1, min(32, 768 // columns))
    area = (side - 1) ** 2 if side >= 8 else side**2
    dark, light = palette("magma")[[0, 254]]
    assert (shown == dark).all(axis=2).sum() == area * (count - 1)
    assert (shown == light).all(axis=2).sum() == area


def test_a_strip_is_not_laid_on_a_photo():
    with pytest.raises(UsageError, match="photo"):
        strip(np.zeros(3), style="overlay")
    with pytest.raises(UsageError):
        strip(np.zeros((2, 2)))


def lengths(chart, colour):
    """The length of the bar of that colour in the middle of each row."""
    middles = chart[vectors._ROW // 2 :: vectors._ROW]
    return (middles == colour).all(axis=2).sum(axis=1).tolist()


def test_bars_are_as_long_as_values_are_large():
    chart = bar_chart(np.array([1.0, 4.0, -2.0, 2.0]), top=3)
    first, second, third = lengths(chart, vectors._ABOVE)
    assert chart.shape[0] == 3 * vectors._ROW
    assert first > 400
    assert second == pytest.approx(first / 2, abs=1)
    assert third == pytest.approx(first / 4, abs=1)


def test_negative_values_go_to_the_other_side():
    chart = bar_chart(np.array([3.0, -1.0, 0.0]))
    above, below = lengths(chart, vectors._ABOVE), lengths(chart, vectors._BELOW)
    assert [bool(length) for length in above] == [True, False, False]
    assert below[0] == below[1] == 0
    assert below[2] == pytest.approx(above[0] / 3, abs=2)


def test_nan_gets_no_bar_and_infinity_a_full_one():
    chart = bar_chart(np.array([np.nan, 1.0, np.inf, 2.0]))
    assert chart.shape[0] == 3 * vectors._ROW
    infinite, two, one = lengths(chart, vectors._ABOVE)
    assert infinite == two == pytest.approx(2 * one, abs=1)


@pytest.mark.parametrize("values", [[0, 0, 0], [np.nan], [-np.inf, np.inf], [5]])
def test_vectors_with_little_to_show(values):
    picture = vector_sheet(np.array(values, np.float32))
    assert picture.shape[2] == 3


def test_labels_stand_beside_their_values():
    values = np.array([0.1, 0.9])
    named = bar_chart(values, labels=["a very long name of a class", "x"])
    plain = bar_chart(values)
    assert named.shape[1] == plain.shape[1] == 640
    assert lengths(named, vectors._ABOVE)[0] < lengths(plain, vectors._ABOVE)[0]
    swapped = bar_chart(values[::-1], labels=["x", "a very long name of a class"])
    assert (swapped == named).all()


@given(
    arrays.arrays(np.float16, st.integers(1, 60), elements={"allow_nan": True}), st.integers(1, 20)
)
def test_any_vector(vector, top):
    picture = vector_sheet(vector, top=top, caption=Caption("fc1", f"{len(vector)} values"))
    assert picture.dtype == np.uint8
    chart = bar_chart(vector, top=top)
    count = min(top, int((~np.isnan(vector)).sum()))
    assert chart.shape[0] == max(1, count) * vectors._ROW


def test_a_colour_bar_only_where_a_number_is_known():
    def height(values, **how):
        return vector_sheet(np.array(values), **how).shape[0]

    assert height([1.0, np.nan], bar=True) > height([1.0, np.nan])
    assert height([np.nan, np.nan], bar=True) == height([np.nan, np.nan])
