"""Maps on the page: levels, what is left out for want of room, and where they are in a picture."""

from __future__ import annotations

import numpy as np
import pytest

from cnntool.views.drawing import Drawing
from cnntool.views.page.tiles import (
    MOST,
    factor,
    histogram,
    scale_record,
    sheet,
    tiles,
)


def maps(count=5, side=20, seed=0):
    return np.random.default_rng(seed).normal(size=(count, side, side + 4)).astype(np.float32)


def read_back(pixels, spots, count):
    """Read levels as the script does."""
    (height, width), (top, left), (down, across) = spots["tile"], spots["corner"], spots["cell"]
    by, found = spots["factor"], []
    for n in range(count):
        y = top + n // spots["columns"] * down + np.arange(height)[:, None] * by
        x = left + n % spots["columns"] * across + np.arange(width) * by
        shades = pixels[y, x].astype(int)
        marks = np.ptp(shades, axis=-1) > 0
        found.append(np.where(marks, 255, shades[..., 0] - (shades[..., 0] > 127)))
    return np.stack(found)


@pytest.mark.parametrize("by", [1, 3])
@pytest.mark.parametrize(
    "look", [Drawing(), Drawing(columns=2, gap=14), Drawing(maps="top:3"), Drawing(gap=0)]
)
def test_a_picture_holds_the_levels(look, by):
    values = maps()
    values[1, 2, 3] = np.nan
    found = tiles(values, look)
    pixels, spots = sheet(found, look, by)
    assert (read_back(pixels, spots, len(found.levels)) == found.levels).all()


def test_levels_are_the_values():
    values = maps()
    found = tiles(values, Drawing())
    record = scale_record(found)
    low, high = (np.array(record[name])[:, None, None] for name in ("low", "high"))
    assert low + found.levels / 254 * (high - low) == pytest.approx(
        values, abs=float(np.ptp(values)) / 250
    )
    assert record["numbers"] == [0, 1, 2, 3, 4]
    assert record["mean"] == pytest.approx(values.mean(axis=(1, 2)), abs=1e-4)
    assert record["zeros"] == [0] * 5
    assert found.words == ""


def test_figures_leave_out_what_is_not_finite():
    values = np.array([[[0, 2], [np.nan, np.inf]], [[np.nan] * 2] * 2, [[0, 0], [0, 0]]])
    found = tiles(values.astype(np.float32), Drawing())
    assert found.figures[:3].tolist() == [[1, 0, 0], [0, 0, 0], [2, 0, 0]]
    assert found.figures[3].tolist() == [0.25, 0, 1]


def test_very_large_maps_are_averaged():
    found = tiles(np.arange(4 * MOST, dtype=np.float32).reshape(1, 2048, -1), Drawing())
    assert found.levels.size <= MOST
    assert found.words == "at 1024 x 2048"
    assert found.reduction == 2


def test_for_want_of_room_maps_are_smaller_then_fewer():
    found = tiles(maps(count=6, side=40), Drawing())
    half = found.smaller()
    assert half.levels.shape == (6, 20, 22)
    assert half.words == "at 20 x 22"
    assert half.reduction == 2
    few = half.smaller()
    assert few.words == "3 of 6 maps, at 20 x 22"
    assert few.numbers.tolist() == sorted(np.argsort(-found.figures[0])[:3].tolist())
    assert few.smaller().smaller().smaller().levels.shape[0] == 1


def test_marks_stay_marks():
    values = maps(count=1, side=40)
    values[0, 0, 0] = np.nan
    half = tiles(values, Drawing()).smaller()
    assert half.levels[0, 0, 0] == 255
    assert (half.levels == 255).sum() == 1


def test_what_was_pooled_is_drawn_no_larger():
    pooled = tiles(maps(count=4, side=10), Drawing())
    assert factor(pooled, Drawing(), None) > 4
    assert factor(pooled, Drawing(), 40) == 2
    assert factor(pooled, Drawing(), 5) == 1
    assert factor(pooled, Drawing(upscale=7), 40) == 7


def test_histograms():
    assert histogram(np.array([0, 1, 1, np.nan]))[:3] == ((1, *[0] * 30, 2), 0, 1)
    assert histogram(np.zeros(3))[:3] == ((3,), 0, 0)
    assert histogram(np.full(2, np.inf)) is None
    huge = histogram(np.array([-3e38, 3e38], np.float32))
    assert sum(huge.counts) == 2
