import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.views import contact_sheet


@given(st.integers(1, 200))
def test_a_grid_has_room_for_all_and_is_no_taller_than_wide(count):
    rows, columns = contact_sheet.grid_shape(count)
    assert rows * columns >= count > (rows - 1) * columns
    assert rows <= columns


def test_tiles_by_hand():
    tiles = [np.full((1, 2, 1), v) for v in (1, 2, 3)]
    sheet = contact_sheet.tile(tiles, gap=1, fill=9)
    assert sheet[:, :, 0].tolist() == [[1, 1, 9, 2, 2], [9, 9, 9, 9, 9], [3, 3, 9, 9, 9]]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (16, (4, 4)), (24, (4, 6)), (64, (8, 8)), (96, (8, 12)),
     (192, (12, 16)), (256, (16, 16)), (512, (19, 27))],
)  # fmt: skip
def test_arrangements(count, expected):
    assert contact_sheet.arrange(count) == expected


def test_wide_tiles_stand_in_fewer_columns():
    rows, columns = contact_sheet.arrange(64, 50, 200)
    assert rows == 4 * columns == 16


@given(st.integers(1, 3000), st.integers(1, 99), st.integers(1, 99), st.none() | st.integers(1, 99))
def test_every_arrangement_has_room_and_no_empty_row(count, height, width, columns):
    rows, across = contact_sheet.arrange(count, height, width, columns)
    assert rows * across >= count > (rows - 1) * across
    if columns is not None:
        assert across == min(columns, count)


@given(st.integers(4, 3000))
def test_square_tiles_make_a_sheet_between_square_and_16_to_10(count):
    rows, columns = contact_sheet.arrange(count)
    assert rows <= columns <= 1.6 * rows or (rows, columns) == contact_sheet.grid_shape(count)


def test_no_columns():
    with pytest.raises(UsageError):
        contact_sheet.arrange(4, columns=0)
