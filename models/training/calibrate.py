"""Probabilities that mean what they say, settled on the photos kept aside.

Two numbers are found and go into the dense layer, so that a plain softmax gives the result: what is
added to the logit of "something else", and the temperature that all logits are divided by.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from export import Layers
from numpy.typing import NDArray

TINY = 1e-30
TEMPERATURES = np.geomspace(0.25, 4, 121)
BINS = 15


class Calibration(NamedTuple):
    """(logits + bias of the last class) / temperature."""

    bias: float
    temperature: float

    def of(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the calibrated network says where it says `probabilities` now."""
        logits = np.log(np.maximum(probabilities.astype(np.float64), TINY))
        logits[:, -1] += self.bias
        logits /= self.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def folded(self, layers: Layers) -> Layers:
        """Return `layers` with both numbers in the dense layer."""
        weight, bias = layers["predictions"]
        bias = bias.clone()
        bias[-1] += self.bias
        return layers | {"predictions": (weight / self.temperature, bias / self.temperature)}


def favoured(layers: Layers, classes: Sequence[int], by: float) -> Layers:
    """Return `layers` with so much added to the logits of `classes`."""
    weight, bias = layers["predictions"]
    bias = bias.clone()
    bias[list(classes)] += by
    return layers | {"predictions": (weight, bias)}


def calibrated(
    probabilities: NDArray[np.float32], targets: NDArray[np.int64], *, mistaken: float
) -> Calibration:
    """Return the calibration of answers to photos kept aside.

    Parameters
    ----------
    probabilities : ndarray of shape (N, classes)
        The last class is "something else".
    targets : ndarray of shape (N,)
        The true classes.
    mistaken : float
        Share of the photos of known classes that may be called something else.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    known = targets != probabilities.shape[1] - 1
    short = logits[known, :-1].max(axis=1) - logits[known, -1]
    bias = float(np.quantile(short, mistaken))
    losses = []
    for temperature in TEMPERATURES:
        found = Calibration(bias, float(temperature)).of(probabilities)
        losses.append(-np.log(np.maximum(found[np.arange(len(targets)), targets], TINY)).mean())
    return Calibration(bias, float(TEMPERATURES[int(np.argmin(losses))]))


def calibration_error(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64]
) -> tuple[float, list[tuple[float, float, int]]]:
    """Return the expected calibration error and, for each bin, probability, share right, photos.

    The photos are put into 15 bins of equal width by the probability of their first answer; the
    error is the mean distance between that probability and the share that is right.
    """
    first = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.minimum((first * BINS).astype(int), BINS - 1)
    bins = [
        (float(first[place == one].mean()), float(right[place == one].mean()), int(count))
        for one, count in enumerate(np.bincount(place, minlength=BINS))
        if count
    ]
    error = sum(abs(said - true) * count for said, true, count in bins) / len(targets)
    return error, bins
