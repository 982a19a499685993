"""Counting right and wrong answers, by hand and against the definition."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cnntool.api.evaluation import Share, Tally, Truths, drawn
from cnntool.errors import InputError
from cnntool.image.files import Item


def test_by_hand():
    tally = Tally(7)
    falling = np.array([0.4, 0.3, 0.1, 0.08, 0.06, 0.04, 0.02])
    assert tally.add(0, falling)
    assert not tally.add(4, falling)
    assert not tally.add(5, falling)
    assert tally.total == Share(3, 1, 2)
    assert tally.total.accuracy1 == 1 / 3
    assert tally.total.accuracy5 == 2 / 3
    assert tally.of(5) == Share(1, 0, 0)
    assert tally.confusion[:, 0].tolist() == [1, 0, 0, 0, 1, 1, 0]
    assert tally.present == [0, 4, 5]


def test_of_equal_scores_the_lower_index_comes_first():
    tally = Tally(8)
    equal = np.zeros(8)
    assert tally.add(0, equal)
    assert not tally.add(1, equal)
    tally.add(4, equal)
    tally.add(5, equal)
    assert tally.total == Share(4, 1, 3)


def test_no_pictures():
    assert math.isnan(Tally(3).total.accuracy1)
    assert math.isnan(Tally(3).total.accuracy5)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1 << 30)), min_size=1, max_size=30))
def test_against_sorting(answers):
    tally = Tally(10)
    right = among = 0
    for truth, seed in answers:
        scores = np.random.default_rng(seed).integers(0, 4, 10).astype(float)
        order = sorted(range(10), key=lambda index: (-scores[index], index))
        right += order[0] == truth
        among += truth in order[:5]
        tally.add(truth, scores)
    assert tally.total == Share(len(answers), right, among)
    assert tally.confusion.sum() == len(answers)


def test_truths_are_names_with_classes(tmp_path):
    truths = Truths()
    item = Item(tmp_path / "a/b.png", str(tmp_path / "a/b.png"), Path("b.png"))
    bad = Item(None, "c", Path("c"), InputError("no pictures in this folder", source="c"))
    assert truths.add(item, 3)
    assert truths.add(bad, 1)
    assert truths.add(item, 3)
    assert not truths.add(item, 1)
    assert (list(truths), len(truths), truths[item]) == ([item, bad], 2, 3)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 50))
def test_a_draw_is_even(classes, count):
    truths = Truths()
    for place, label in enumerate(classes):
        assert truths.add(Item(Path(str(place)), str(place), Path(str(place))), label)
    found = drawn(truths, count)
    assert found == drawn(truths, count)
    assert len(found) == min(count, len(truths))
    assert list(found) == [item for item in truths if item in found]
    taken, there = Counter(found.values()), Counter(classes)
    left = [taken[label] for label in there if taken[label] < there[label]]
    assert all(taken[label] <= min(left) + 1 for label in there if left)
