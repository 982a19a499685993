"""Bars, measured in the picture."""

import numpy as np
import pytest
from drawn import drawn

from cnntool.errors import UsageError
from cnntool.views.bars import COLOURS, TILE, Bar, chart, on_photo

chart = drawn(chart)

PHOTO = np.full((40, 60, 3), 200, np.uint8)
BELOW_LEGEND = 80


def lengths(picture, colour):
    """Return the first and the last column of each bar of a colour, from above."""
    bar = (picture[BELOW_LEGEND:] == COLOURS[colour]).all(axis=2)
    tops = np.flatnonzero(bar.any(axis=1) & ~np.roll(bar.any(axis=1), 1))
    return [np.flatnonzero(bar[top])[[0, -1]].tolist() for top in tops]


def test_lengths_are_in_proportion():
    picture = chart(
        [Bar("17", (0.04, 0.02)), Bar("3", (0.02, -0.01)), Bar("5", (0.01, 0.005))],
        ("one", "two"),
        title="maps",
        detail="of a layer",
    )
    assert (picture.shape[2], picture.dtype) == (3, np.uint8)
    (zero, longest), *ones = lengths(picture, 0)
    for (left, right), value in zip(ones, (0.02, 0.01), strict=True):
        assert left == zero
        assert right - zero == pytest.approx((longest - zero) * value / 0.04, abs=1)
    (_, second), (below, end), _ = lengths(picture, 1)
    assert second - zero == pytest.approx((longest - zero) / 2, abs=1)
    assert end == zero
    assert zero - below == pytest.approx((longest - zero) / 4, abs=1)


def test_nothing_lost_is_drawn_all_the_same():
    picture = chart([Bar("0", (0.0, 0.0))], ("one", "two"), title="t")
    assert [right - left for left, right in lengths(picture, 0)] == [0]
    with pytest.raises(UsageError, match="no bars"):
        chart([], ("one",), title="t")


def test_tiles_stand_beside_their_bars():
    tiles = [np.full((TILE, TILE, 3), shade, np.uint8) for shade in (10, 90)]
    bars = [Bar(str(place), (0.1,), tile, "a note") for place, tile in enumerate(tiles)]
    bars.insert(1, Bar("x", (0.1,)))
    picture = chart(bars, ("one",), title="t")
    places = [np.argwhere((picture == shade).all(axis=2)) for shade in (10, 90)]
    tops = [place.min(axis=0).tolist() for place in places]
    assert [len(place) for place in places] == [TILE * TILE] * 2
    assert tops[0][1] == tops[1][1]
    first, _, last = lengths(picture, 0)
    assert first == last
    assert tops[0][1] + TILE < first[0]


def test_a_map_shines_on_its_photo():
    values = np.zeros((4, 6), np.float32)
    values[:, 3:] = 2
    tile = on_photo(values, PHOTO)
    assert tile.shape == (round(TILE * 2 / 3), TILE, 3)
    grey, light = tile[:, :10].reshape(-1, 3), tile[:, -10:].reshape(-1, 3)
    assert np.ptp(grey, axis=1).max() < 5
    assert np.ptp(light, axis=1).min() > 50
    both = on_photo(values - 1, PHOTO)
    assert both[0, 0, 2] > both[0, 0, 0] + 50  # blue below zero
    assert both[0, -1, 0] > both[0, -1, 2] + 50
