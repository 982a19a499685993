"""Figures of a classifier whose last class is "something else"."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EARLIER = (
    "English_springer",
    "French_horn",
    "cassette_player",
    "cat",
    "chain_saw",
    "church",
    "dog",
    "garbage_truck",
    "gas_pump",
    "golf_ball",
    "parachute",
    "tench",
)
"""The folders of the first edition's classes."""


@dataclass(frozen=True)
class Figures:
    """Shares from 0 to 1.

    Attributes
    ----------
    top1, top5 : float
        Of the photos of known classes, as the mean over the classes.
    found, mistaken : float
        Photos of no class, and photos of known classes, that are answered "something else".
    area : float
        Under the ROC curve of the probability of "something else": that of a photo of no class is
        higher than that of a photo of a known one.
    """

    top1: float
    top5: float
    found: float
    mistaken: float
    area: float

    def __str__(self) -> str:
        """Return the figures on one line."""
        return (
            f"known {100 * self.top1:.1f} % (first five {100 * self.top5:.1f} %), foreign"
            f" {100 * self.found:.1f} % found, {100 * self.mistaken:.1f} % mistaken, area"
            f" {self.area:.3f}"
        )

    @classmethod
    def of(cls, probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> "Figures":
        """Return the figures of probabilities (N, classes)."""
        last = probabilities.shape[1] - 1
        known = targets != last
        best = np.argsort(-probabilities, axis=1, kind="stable")
        rest = probabilities[:, last]
        return cls(
            class_mean(best[known, 0] == targets[known], targets[known]),
            class_mean((best[known, :5] == targets[known, None]).any(axis=1), targets[known]),
            _mean(best[~known, 0] == last),
            _mean(best[known, 0] == last),
            roc_area(rest[~known], rest[known]),
        )


def _mean(shares: NDArray[np.bool_]) -> float:
    return float(shares.mean()) if len(shares) else float("nan")


def class_mean(right: NDArray[np.bool_], targets: NDArray[np.int64]) -> float:
    """Return the mean over the classes of the share that is right."""
    return float(np.mean([right[targets == label].mean() for label in np.unique(targets)]))


def roc_area(positive: NDArray[np.float32], negative: NDArray[np.float32]) -> float:
    """Return the probability that one of `positive` is above one of `negative`; ties count half."""
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / 2 / len(negative))
