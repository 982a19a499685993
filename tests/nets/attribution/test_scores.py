"""Occlusion and RISE: methods that know probabilities alone."""

import tracemalloc
from collections import deque
from itertools import islice

import numpy as np
import pytest
from subjects import subject

from cnntool.nets.attribution import rise
from cnntool.nets.attribution.methods import load

RNG = np.random.default_rng(4)


def test_occlusion_finds_the_one_pixel_that_counts():
    picture = RNG.random((3, 28, 28)).astype(np.float32)

    def probability(tensor):
        return float((tensor[:, 9, 10] == picture[:, 9, 10]).all())

    found = load("occlusion")(subject(picture, probability=probability))
    # sides of 4 and steps of 2: two windows along each axis cover row 9, and column 10
    rows = np.zeros(28)
    rows[6:12] = [0.5, 0.5, 1, 1, 0.5, 0.5]
    columns = np.zeros(28)
    columns[8:14] = [0.5, 0.5, 1, 1, 0.5, 0.5]
    np.testing.assert_allclose(found.map, np.outer(rows, columns), atol=1e-7)
    assert found.facts == {"windows": 15 * 15, "side": 4, "stride": 2}


def test_occlusion_is_negative_where_covering_helps():
    picture = np.zeros((3, 14, 14), np.float32)
    picture[:, :7] = 1

    def probability(tensor):
        return 1 - float(tensor[0, 0:7].mean())

    found = load("occlusion")(subject(picture, probability=probability)).map
    assert (found[:6] < 0).all()
    assert not found[8:].any()


@pytest.mark.parametrize("shape", [(28, 28), (31, 45), (3, 5)])
def test_occlusion_covers_every_pixel_equally_often(shape):
    picture = RNG.random((1, *shape)).astype(np.float32)
    answers = iter([1.0])
    toy = subject(picture, probability=lambda x: next(answers, 0.0), channel_order="L")
    np.testing.assert_array_equal(load("occlusion")(toy).map, np.ones(shape))


def test_occluded_places_have_the_mean_colour():
    picture = RNG.integers(0, 256, (28, 28, 3), np.uint8)
    seen = []

    def probability(tensor):
        seen.append(tensor)
        return 1.0

    load("occlusion")(subject(picture, probability=probability, layout="NHWC", dtype="uint8"))
    whole, first = seen[:2]
    np.testing.assert_array_equal(whole, picture)
    np.testing.assert_array_equal(first[2:], picture[2:])
    colour = np.rint(picture.mean((0, 1)))
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first[:2, :2], np.broadcast_to(colour, (2, 2, 3)))


def test_masks_leave_half_of_every_place():
    drawn = np.stack(list(islice(rise.masks((24, 40), np.random.default_rng(0)), 4000)))
    assert drawn.shape == (4000, 24, 40)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    error = drawn.std(0) / np.sqrt(4000)
    assert (np.abs(drawn.mean(0) - 0.5) < 5 * error).all()
    # Shifted along both axes no place lies at a cell's middle more often: a quarter, by 4/9.
    np.testing.assert_allclose(drawn[:, 4:-4, 6:-6].var(0), 1 / 9, atol=0.012)


def test_rise_comes_to_the_known_mean():
    picture = RNG.random((3, 48, 48)).astype(np.float32)
    blank = subject(picture).blank

    def kept(tensor):  # the value of the mask at one place
        row, column = 20, 30
        away = picture[0, row, column] - blank[0, row, column]
        return (tensor[0, row, column] - blank[0, row, column]) / away

    found = load("rise")(subject(picture, probability=kept)).map
    # A place between two cells weighs their squares by 2/3 on average, hence 4/9 along both axes:
    # E[mask^2] = 1/4 + 1/4 * 4/9; places that share no cell are independent: E = 1/4. Both by 1/2.
    error = 5 * 0.5 / np.sqrt(rise.MASKS) / 0.5
    assert found[20, 30] == pytest.approx(13 / 18, abs=error)
    assert np.abs(found[:, :14] - 0.5).max() < error
    assert np.unravel_index(found.argmax(), found.shape) == pytest.approx((20, 30), abs=3)


def test_rise_of_what_is_always_there_is_the_same_everywhere():
    toy = subject(RNG.random((3, 20, 30)).astype(np.float32), probability=lambda x: 0.75)
    np.testing.assert_allclose(load("rise")(toy).map, 0.75, rtol=1e-6)


def ahead(count):
    """Ask for several pictures before answering, as batches and lanes do."""

    def probabilities(tensors):
        tensors = iter(tensors)
        waiting = deque(islice(tensors, count))
        while waiting:
            yield float(waiting.popleft()[0, 3, 4])
            waiting.extend(islice(tensors, 1))

    return probabilities


def test_rise_draws_by_the_seed_alone():
    picture = RNG.random((3, 16, 16)).astype(np.float32)

    def found(seed, count=1):
        toy = subject(picture, seed=seed)._replace(probabilities=ahead(count))
        return load("rise")(toy).map.tobytes()

    assert found(1) == found(1) == found(1, 9) != found(2)


def test_rise_holds_few_masks_at_once(monkeypatch):
    monkeypatch.setattr(rise, "MASKS", 300)
    toy = subject(RNG.random((3, 96, 96)).astype(np.float32))
    toy = toy._replace(probabilities=ahead(4))
    tracemalloc.start()
    load("rise")(toy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 96 * 96 * 4 < rise.MASKS * 96 * 96 * 4 / 5
