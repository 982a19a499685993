"""Pictures of differences: one scale for both layers, zero in the middle of what lies between."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import drawn

from cnntool.errors import UsageError
from cnntool.views.colormaps import MARK_COLOUR, TOP, palette
from cnntool.views.difference import difference_sheet

difference_sheet = drawn(difference_sheet)


def count(sheet, colour):
    return int((sheet == np.asarray(colour)).all(axis=2).sum())


def test_both_layers_have_one_scale_and_no_difference_is_white():
    a = np.zeros((2, 4, 4), np.float32)
    a[0, 0, 0] = 8.0
    b = a.copy()
    b[0, 0, 0] = 4.0
    sheet = difference_sheet(a, b, [0])
    third = sheet.shape[1] // 3
    left, middle, right = (sheet[:, place * third : (place + 1) * third] for place in range(3))
    colours, signed = palette("viridis"), palette("diverging")
    side = 128 // 4
    assert count(left, colours[TOP]) >= side * side
    assert count(middle, colours[TOP // 2]) >= side * side  # half of what is the largest of both
    assert count(right, signed[0]) >= side * side  # 4 less
    assert count(right, signed[TOP // 2]) >= 15 * side * side


def test_vectors_and_what_is_no_number():
    a = np.array([1.0, 2.0, np.nan, 4.0], np.float32)
    b = np.array([1.0, 3.0, 3.0, 4.0], np.float32)
    sheet = difference_sheet(a, b, [2, 1])
    assert count(sheet, MARK_COLOUR) >= 2 * 128 * 128
    assert count(difference_sheet(a, b, [1]), MARK_COLOUR) == 0


def test_equal_layers_and_nothing_to_show():
    maps = np.zeros((3, 2, 2), np.float32)
    assert difference_sheet(maps, maps, [0, 1, 2]).shape[2] == 3
    with pytest.raises(UsageError, match="no map was chosen"):
        difference_sheet(maps, maps, [])
