"""Saliency, SmoothGrad and integrated gradients of functions whose gradients are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from subjects import subject

from cnntool.errors import ModelError
from cnntool.nets.attribution import integrated_gradients, smoothgrad
from cnntool.nets.attribution.methods import load

RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(size=(3, 4, 5))
PICTURE = RNG.normal(size=(3, 4, 5)).astype(np.float32)


def linear(tensor):
    return float((WEIGHTS * tensor).sum())


@pytest.mark.parametrize("method", ["saliency", "smoothgrad"])
def test_a_linear_score_has_its_weights_for_gradients(method):
    found = load(method)(subject(PICTURE, score=linear, gradient=lambda x: WEIGHTS))
    np.testing.assert_allclose(found.map, np.abs(WEIGHTS).max(0), rtol=1e-6)


def test_smoothgrad_takes_the_mean_before_the_absolute_value():
    # the gradient of x^2 / 2 is x: noise cancels, 0 stays near 0
    found = load("smoothgrad")(subject(PICTURE, score=linear, gradient=lambda x: x))
    spread = smoothgrad.NOISE * np.ptp(PICTURE) / np.sqrt(smoothgrad.SAMPLES)
    assert np.abs(found.map - np.abs(PICTURE).max(0)).max() < 5 * spread
    assert np.abs(found.map - np.abs(PICTURE).max(0)).max() > 0
    assert found.facts == {"samples": 50, "noise": 0.15}


def test_smoothgrad_draws_by_the_seed_alone():
    def maps(seed):
        return load("smoothgrad")(subject(PICTURE, score=linear, gradient=lambda x: x, seed=seed))

    assert maps(1).map.tobytes() == maps(1).map.tobytes() != maps(2).map.tobytes()


def test_integrated_gradients_of_a_linear_score_are_weight_times_way():
    mean, deviation = (0.5, 0.25, 0.0), (0.5, 0.5, 2.0)
    black = np.array([-1.0, -0.5, 0.0])[:, None, None]
    found = load("integrated-gradients")(
        subject(PICTURE, score=linear, gradient=lambda x: WEIGHTS, mean=mean, deviation=deviation)
    )
    np.testing.assert_allclose(found.map, (WEIGHTS * (PICTURE - black)).sum(0), rtol=1e-5)
    assert found.facts["steps"] == integrated_gradients.FEWEST
    assert found.facts["difference"] == pytest.approx((WEIGHTS * (PICTURE - black)).sum())
    assert found.facts["error"] < 1e-6


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.sampled_from([1.0, 4.0, 16.0]),
    st.sampled_from(["tanh", "softplus", "relu"]),
)
def test_integrated_gradients_sum_to_the_difference_of_scores(seed, steep, kind):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(6, 60)) * steep / 8, rng.normal(size=6)
    bends = {
        "tanh": (np.tanh, lambda v: 1 - np.tanh(v) ** 2),
        "softplus": (lambda v: np.logaddexp(0, v), lambda v: 1 / (1 + np.exp(-v))),
        "relu": (lambda v: np.maximum(v, 0), lambda v: (v > 0) * 1.0),
    }
    bend, slope = bends[kind]
    calls = []

    def gradient(x):
        calls.append(x)
        hidden = first @ x.ravel().astype(float) + second[::-1]
        return ((second * slope(hidden)) @ first).reshape(x.shape)

    def score(x):
        return float(second @ bend(first @ x.ravel().astype(float) + second[::-1]))

    picture = rng.normal(size=(3, 4, 5)).astype(np.float32)
    found = load("integrated-gradients")(subject(picture, score=score, gradient=gradient))
    difference = score(picture) - score(np.zeros_like(picture))
    size = max(abs(difference), 0.01 * max(abs(score(picture)), abs(score(0 * picture))))
    error = abs(found.map.sum(dtype=float) - difference) / size
    assert error == pytest.approx(found.facts["error"], abs=1e-3)
    # A kink between two places on the way is met only about: nearly equal scores are left unequal.
    stopped = found.facts["steps"] == integrated_gradients.MOST
    assert found.facts["error"] <= 0.01 or (kind == "relu" and stopped)
    assert found.facts["difference"] == pytest.approx(difference)
    assert len(calls) == found.facts["steps"] + 1  # what is known is used again


def test_integrated_gradients_give_up_at_a_cliff_and_say_by_how_much():
    def score(x):
        return float(x.sum() > 0.3701)  # its gradient is zero wherever one asks

    found = load("integrated-gradients")(
        subject(np.full((3, 2, 2), 1.0), score=score, gradient=np.zeros_like)
    )
    assert found.facts == {"steps": 512, "difference": 1.0, "error": 1.0}
    assert not found.map.any()


def test_integrated_gradients_of_equal_scores_are_measured_by_the_scores():
    def score(x):
        return float(5 + (x * (1 - x)).sum())

    found = load("integrated-gradients")(
        subject(np.ones((3, 2, 2)), score=score, gradient=lambda x: 1 - 2 * x)
    )
    assert found.facts["difference"] == 0
    assert found.facts["steps"] < 512
    assert found.facts["error"] == pytest.approx(abs(found.map.sum()) / 0.05, rel=1e-3)
    assert found.facts["error"] <= 0.01


@pytest.mark.parametrize("method", ["saliency", "smoothgrad", "integrated-gradients"])
def test_whole_numbers_with_channels_last_stay_such(method):
    weights = np.moveaxis(WEIGHTS, 0, -1)
    asked = []

    def gradient(x):
        asked.append(x)
        return WEIGHTS

    picture = RNG.integers(0, 256, (4, 5, 3), np.uint8)
    found = load(method)(
        subject(
            picture,
            score=lambda x: float((weights * x).sum()),
            gradient=gradient,
            layout="NHWC",
            dtype="uint8",
            white=255.0,
        )
    )
    assert {(x.dtype, x.shape, x.flags.c_contiguous) for x in asked} == {
        (np.dtype("uint8"), (4, 5, 3), True)
    }
    expected = {"integrated-gradients": (weights * picture).sum(-1)}
    expected = expected.get(method, np.abs(weights).max(-1))
    np.testing.assert_allclose(found.map, expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["saliency", "smoothgrad", "integrated-gradients"])
def test_a_gradient_that_is_infinite_is_told(method):
    gradient = np.where(WEIGHTS[0, 0, 0] == WEIGHTS, np.inf, WEIGHTS)
    with pytest.raises(ModelError, match="NaN or infinite in 1 of 60 places") as caught:
        load(method)(subject(PICTURE, score=linear, gradient=lambda x: gradient))
    assert caught.value.source == "toy"
    assert "method=rise" in caught.value.hint


def test_progress_goes_on_to_the_end_and_never_back():
    told = []
    toy = subject(PICTURE, score=linear, gradient=lambda x: np.tanh(9 * x))
    load("smoothgrad")(toy._replace(progress=lambda *numbers: told.append(numbers)))
    assert told == [(done, 50) for done in range(1, 51)]
    told.clear()
    load("integrated-gradients")(toy._replace(progress=lambda *numbers: told.append(numbers)))
    assert [done for done, _ in told] == list(range(2, told[-1][1] + 1))
    assert told[-1][0] == told[-1][1]
