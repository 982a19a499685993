import numpy as np
import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.views.contact_sheet import MARGIN
from cnntool.views.top_patches import OUTSIDE, cut, patch_sheet

patch_sheet = drawn(patch_sheet)

PHOTO = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_a_field_inside_the_photo():
    assert (cut(PHOTO, (1, 2, 3, 4), side=2) == PHOTO[1:3, 2:4]).all()


def test_few_pixels_are_enlarged_with_their_edges():
    found = cut(PHOTO, (0, 0, 2, 2), side=8)
    assert (found == PHOTO[:2, :2].repeat(4, axis=0).repeat(4, axis=1)).all()


def test_what_lies_outside_is_light_grey():
    found = cut(PHOTO, (-1, 4, 2, 7), side=3)
    assert (found[0] == OUTSIDE).all()
    assert (found[:, 2] == OUTSIDE).all()
    assert (found[1:, :2] == PHOTO[:2, 4:]).all()
    assert (cut(PHOTO, (-9, -9, -6, -6), side=3) == OUTSIDE).all()


def test_a_long_field_lies_in_the_middle_of_white():
    found = cut(np.zeros((9, 9, 3), np.uint8), (0, 0, 3, 9), side=9)
    assert (found[3:6] == 0).all()
    assert (found[:3] == 255).all()
    assert (found[6:] == 255).all()


@given(*[st.integers(-20, 20)] * 2, *[st.integers(1, 30)] * 2, st.integers(1, 40))
def test_any_field(top, left, height, width, side):
    found = cut(PHOTO, (top, left, top + height, left + width), side)
    assert found.shape == (side, side, 3)


def patch(value):
    return np.full((2, 2, 3), value, np.uint8)


def test_blocks_by_hand():
    sheet = patch_sheet([[patch(1), patch(2)], [patch(3)]], [7, 9], columns=2)
    rows = sheet[-MARGIN - 2 : -MARGIN, MARGIN:, 0]
    w = 255
    assert rows[0, :15].tolist() == [1, 1, w, 2, 2, *[w] * 10]
    assert rows[0, 15:20].tolist() == [3, 3, w, w, w]


def test_no_patch_at_all():
    with pytest.raises(UsageError):
        patch_sheet([[], []], [0, 1])
    with pytest.raises(UsageError):
        patch_sheet([], [])
