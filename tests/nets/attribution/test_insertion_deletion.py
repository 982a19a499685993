"""Insertion and deletion of a class whose pixels are known."""

import numpy as np
import pytest
from subjects import subject

from cnntool.nets.attribution.insertion_deletion import STEPS, InsertionDeletion

SIDE = 40
PICTURE = np.random.default_rng(5).random((3, SIDE, SIDE)).astype(np.float32)


def share_of_left_half(tensor):
    """How much of the left half is sharp."""
    return float((tensor == PICTURE)[:, :, : SIDE // 2].mean())


@pytest.fixture
def curves():
    return InsertionDeletion(subject(PICTURE, probability=share_of_left_half))


@pytest.mark.parametrize("shape", [(SIDE, SIDE), (1, 2)])
def test_the_right_map(curves, shape):
    ranking = np.zeros(shape)
    ranking[:, : shape[1] // 2] = 1
    insertion, deletion = curves.curves(ranking)
    # all of the half comes with the first half of the pixels: up to 1 in 16 steps, then flat
    expected = np.minimum(np.arange(STEPS + 1) / 16, 1)
    np.testing.assert_allclose(insertion.values, expected)
    np.testing.assert_allclose(deletion.values, 1 - expected)
    assert insertion.area == pytest.approx(0.75)
    assert deletion.area == pytest.approx(0.25)


def test_the_wrong_map(curves):
    ranking = np.zeros((SIDE, SIDE))
    ranking[:, SIDE // 2 :] = 1
    insertion, deletion = curves.curves(ranking)
    assert insertion.area == pytest.approx(0.25)
    assert deletion.area == pytest.approx(0.75)


def test_rankings_that_know_nothing_are_in_the_middle(curves):
    insertion, deletion = curves.curves(np.ones((2, 2)))
    for curve in (insertion, deletion):
        assert curve.area == pytest.approx(0.5, abs=0.01)  # from top to bottom
        assert curve.centre == pytest.approx(0.5, abs=0.01)
        assert curve.random == pytest.approx(0.5, abs=0.1)


def test_the_centre_wins_where_the_class_is_in_the_centre():
    def probability(tensor):
        return float((tensor == PICTURE)[:, 10:30, 10:30].mean())

    insertion, deletion = InsertionDeletion(subject(PICTURE, probability=probability)).curves(
        np.ones((1, 1))
    )
    # a disk of a quarter of the pixels covers most of the square in the middle
    assert insertion.centre > 0.8
    assert deletion.centre < 0.2
    assert insertion.random == pytest.approx(0.5, abs=0.05)  # the centre's is none of them


def test_baselines_are_computed_once_and_by_the_seed():
    asked = []

    def probability(tensor):
        asked.append(tensor)
        return share_of_left_half(tensor)

    def found(seed):
        return InsertionDeletion(subject(PICTURE, probability=probability, seed=seed))

    scorer = found(0)
    first = scorer.curves(np.ones((1, 1)))[0].random
    once = len(asked)
    scorer.curves(np.ones((1, 1)))
    assert len(asked) - once == 2 * (STEPS + 1)
    assert found(0).curves(np.ones((1, 1)))[0].random == first
    assert found(1).curves(np.ones((1, 1)))[0].random != first


def test_pixels_are_removed_by_a_blur_that_keeps_the_colours():
    seen = []

    def probability(tensor):
        seen.append(tensor)
        return 0.0

    flat = np.full((3, 20, 20), 0.25, np.float32)
    edge = flat.copy()
    edge[..., 10:] = 0.75
    InsertionDeletion(subject(edge, probability=probability)).curves(np.ones((1, 1)))
    blurred, sharp = seen[0], seen[STEPS]
    np.testing.assert_array_equal(sharp, edge)
    np.testing.assert_allclose(blurred[0, 0, [0, -1]], [0.25, 0.75], atol=1e-6)
    across = blurred[1, 7]
    assert (np.diff(across) > -1e-6).all()
    assert across[9] + across[10] == pytest.approx(1)  # symmetric about the edge
    assert 0.3 < across[9] < 0.5
