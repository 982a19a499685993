"""Statistics of a layer, by hand and against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cnntool.nets.inference.layer_outputs import Statistics, statistics


def test_by_hand():
    found = statistics(np.array([[[0, 2], [0, 4]], [[0, 0], [0, 0]]], np.float32))
    expected = Statistics(
        shape=(2, 2, 2),
        minimum=0,
        maximum=4,
        mean=0.75,
        deviation=math.sqrt(20 / 8 - 0.75**2),
        sparsity=0.75,
        dead=1,
        maps=2,
        nan=0,
        infinite=0,
        dead_maps=(1,),
        subnormal=0,
        saturated=None,
    )
    assert found == expected


def test_what_is_not_finite_is_counted_and_left_out():
    found = statistics(np.array([1, 3, math.nan, math.inf, -math.inf, 0], np.float16))
    assert (found.nan, found.infinite, found.minimum, found.maximum) == (1, 2, 0, 3)
    assert found.mean == pytest.approx(4 / 3)
    assert (found.sparsity, found.dead, found.maps) == (pytest.approx(1 / 6), 1, 6)


def test_nothing_finite():
    found = statistics(np.full((2, 3), math.nan, np.float32))
    assert math.isnan(found.mean)
    assert math.isnan(found.minimum)
    assert (found.nan, found.sparsity) == (6, 0)


def test_whole_numbers():
    found = statistics(np.array([[1, 2], [3, 255]], np.uint8))
    assert (found.minimum, found.maximum, found.mean) == (1, 255, 65.25)


def test_values_that_have_lost_digits():
    """In float16 a normal number is 2**-14 at least; as float32 it is one all the same."""
    values = np.array([0, 2**-14, -(2**-15), 2**-24, math.nan, math.inf], np.float16)
    assert statistics(values).subnormal == 2 / 6
    wider = values.astype(np.float32)
    assert statistics(wider).subnormal == 0
    assert statistics(wider, np.dtype(np.float16)).subnormal == 2 / 6


def test_maps_that_are_dead_have_numbers():
    values = np.zeros((4, 2, 2), np.float32)
    values[1, 1, 0] = values[3, 0, 0] = -1
    assert statistics(values).dead_maps == (0, 2)
    assert statistics(values[:, 0, 0]).dead_maps == ()


@pytest.mark.parametrize(("ends", "share"), [((-6.4, 6.35), 0.5), ((6.35,), 0.25), ((), None)])
def test_values_at_the_ends_of_their_range(ends, share):
    values = np.array([-6.4, 0, 6.35, 1], np.float32)
    assert statistics(values, np.dtype(np.int8), ends).saturated == share


NUMBERS = st.floats(-1e3, 1e3, width=32)


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=3), elements=NUMBERS))
def test_against_numpy(values):
    found = statistics(values)
    exact = values.astype(np.float64)
    assert found.mean == pytest.approx(exact.mean(), abs=1e-9)
    assert found.deviation == pytest.approx(exact.std(), abs=1e-9)
    assert found.sparsity == pytest.approx((exact == 0).mean())
    assert found.dead == sum(not m.any() for m in exact)


@pytest.mark.parametrize("shape", [(0,), (0, 3, 3), (3, 0, 3), (0, 0)])
def test_no_values_at_all(shape):
    found = statistics(np.zeros(shape, np.float32))
    assert (found.shape, found.maps, found.dead, found.nan) == (shape, shape[0], 0, 0)
    assert math.isnan(found.mean)
    assert math.isnan(found.sparsity)
