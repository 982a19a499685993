"""Measures of a difference, by hand and beside numpy on whole arrays."""

from __future__ import annotations

from math import inf, isnan, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cnntool.nets.comparison.measures import Tally, relative, sqnr


def tally(*pairs):
    found = Tally()
    for photo, (a, b) in enumerate(pairs):
        found.add(photo, np.asarray(a, np.float32), np.asarray(b, np.float32))
    return found


def test_by_hand():
    a = [[[3.0, 4.0]], [[0.0, 0.0]]]
    b = [[[3.0, 4.5]], [[0.0, -1.0]]]
    found = tally((a, b)).figures
    assert found.sqnr == pytest.approx(10 * log10(25 / 1.25))
    assert found.error == pytest.approx((1.25 / 25) ** 0.5)
    assert found.cosine == pytest.approx((9 + 18) / (5 * (9 + 20.25 + 1) ** 0.5))
    assert (found.largest, found.where, found.apart) == (1.0, (1, 0, 1), 0)


def test_maps_come_worst_first():
    a = np.ones((3, 2, 2))
    b = a.copy()
    b[1] += 2
    b[2] += 1
    found = tally((a, b)).maps
    assert [(one.map, one.error, one.largest) for one in found] == [(1, 2, 2), (2, 1, 1), (0, 0, 0)]


def test_photos_are_summed_and_the_worst_is_told():
    ones = np.ones((1, 1, 4))
    found = tally((ones, ones), (ones, ones * 1.5), (ones, ones)).figures
    assert found.error == pytest.approx((0.25 / 3) ** 0.5)
    assert (found.worst, found.worst_photo, found.photo) == (0.5, 1, 1)


def test_nothing_and_all():
    ones, none = np.ones(3), np.zeros(3)
    assert tally((ones, ones)).figures[:4] == (inf, 0, 1, 0)
    assert tally((none, none)).figures[:4] == (inf, 0, 1, 0)
    found = tally((none, ones)).figures
    assert (found.sqnr, found.error, isnan(found.cosine)) == (-inf, inf, True)
    assert (sqnr(4.0, 1.0), relative(4.0, 1.0)) == (pytest.approx(6.0206), 0.5)


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        ([np.nan, 1.0], [np.nan, 1.0], 0),
        ([np.inf, 1.0], [np.inf, 1.0], 0),
        ([np.nan, 1.0], [0.0, 1.0], 1),
        ([1.0, 1.0], [np.inf, np.nan], 2),
        ([np.inf, 1.0], [-np.inf, 1.0], 1),
        ([np.nan, 1.0], [np.inf, 1.0], 1),
    ],
)
def test_what_is_no_number_on_one_side_is_counted(a, b, apart):
    found = tally((a, b))
    assert found.figures.apart == sum(one.apart for one in found.maps) == apart
    assert found.figures.error == 0
    assert (found.figures.worst == inf) == (apart > 0)


NUMBERS = st.floats(-100, 100, width=32)


@given(st.data())
def test_it_agrees_with_whole_arrays(data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=3))
    a, b = (data.draw(arrays(np.float32, shape, elements=NUMBERS)) for _ in range(2))
    found = tally((a, b)).figures
    x, y = a.astype(float), b.astype(float)
    assert found.largest == np.abs(y - x).max()
    assert abs(float(y[found.where] - x[found.where])) == found.largest
    length = np.linalg.norm(x)
    if length:
        assert found.error == pytest.approx(np.linalg.norm(y - x) / length)


def test_large_maps_are_taken_in_blocks():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 200, 201)).astype(np.float32)
    b = a + rng.normal(size=a.shape).astype(np.float32) / 100
    b[2, 150, 7] += 5
    found = tally((a, b))
    assert found.figures.where == (2, 150, 7)
    noise = ((b.astype(float) - a) ** 2).sum(axis=(1, 2))
    signal = (a.astype(float) ** 2).sum(axis=(1, 2))
    for one in found.maps:
        assert one.error == pytest.approx((noise[one.map] / signal[one.map]) ** 0.5)
