import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.views import grid, scale


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("clip", [-2, -1, 0, 0.5, 1, 3]),
        ("raw", [-2, -1, 0, 0.5, 1, 3]),
        ("abs", [2, 1, 0, 0.5, 1, 3]),
        ("center", [-0.5, 0, 0.5, 0.75, 1, 2]),
        ("minmax", [0, 0.2, 0.4, 0.5, 0.6, 1]),
    ],
)
def test_policies_by_hand(policy, expected):
    maps = np.array([-2, -1, 0, 0.5, 1, 3], np.float32)
    result = scale.to_unit(maps, policy, scale.extremes(maps))
    np.testing.assert_allclose(result, expected, atol=1e-7)
    assert result is maps


def test_a_constant_map_has_no_range_to_stretch():
    maps = np.full((2, 2), 7.0)
    assert scale.to_unit(maps, "minmax", scale.extremes(maps)).tolist() == [[0, 0], [0, 0]]


def test_extremes_look_past_what_is_no_number():
    assert scale.extremes(np.array([np.nan, 1, np.inf, -2])) == (-2, 1)
    assert scale.extremes(np.array([np.nan])) == (0, 1)


@given(st.integers(1, 200))
def test_a_grid_has_room_for_all_and_is_no_taller_than_wide(count):
    rows, columns = grid.grid_shape(count)
    assert rows * columns >= count > (rows - 1) * columns
    assert rows <= columns


def test_tiles_by_hand():
    tiles = [np.full((1, 2, 1), v) for v in (1, 2, 3)]
    sheet = grid.tile(tiles, gap=1, fill=9)
    assert sheet[:, :, 0].tolist() == [[1, 1, 9, 2, 2], [9, 9, 9, 9, 9], [3, 3, 9, 9, 9]]
