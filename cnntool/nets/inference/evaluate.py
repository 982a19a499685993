"""Accuracy of a classifier: top-1, top-5, per class, and the confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Share(NamedTuple):
    """How many of some pictures were right.

    Parameters
    ----------
    pictures : int
        How many were looked at.
    top1, top5 : int
        Of how many the true class came first, or among the first five.
    """

    pictures: int
    top1: int
    top5: int

    @property
    def accuracy1(self) -> float:
        """Top-1 accuracy, 0..1; NaN of no pictures. The top-1 error is one minus this."""
        return self.top1 / self.pictures if self.pictures else float("nan")

    @property
    def accuracy5(self) -> float:
        """Top-5 accuracy, 0..1; NaN of no pictures. The top-5 error is one minus this."""
        return self.top5 / self.pictures if self.pictures else float("nan")


class Rest(NamedTuple):
    """How well a network knows what it does not know: shares, 0..1; NaN of no pictures.

    Parameters
    ----------
    found : float
        Pictures of no class that were answered so.
    mistaken : float
        Pictures of the other classes that were answered so, too.
    area : float
        Under the ROC curve: how often a picture of no class is given a higher probability of being
        one than a picture of a class; 0.5 is chance.
    """

    found: float
    mistaken: float
    area: float


class Tally:
    """Counts right and wrong answers.

    Parameters
    ----------
    classes : int
        How many classes the network tells apart.
    rest : int or None
        The class that stands for none of the others, if there is one.

    Attributes
    ----------
    confusion : ndarray of shape (classes, classes) of int64
        How many pictures of a class (row) were taken for a class (column).
    """

    def __init__(self, classes: int, rest: int | None = None) -> None:
        self._rest = rest
        self._of_rest: list[float] = []
        self._of_known: list[float] = []
        self.confusion: NDArray[np.int64] = np.zeros((classes, classes), np.int64)
        self._top5: NDArray[np.int64] = np.zeros(classes, np.int64)

    def add(self, truth: int, scores: NDArray[np.floating]) -> bool:
        """Count one picture.

        Parameters
        ----------
        truth : int
            The index of its class.
        scores : ndarray of shape (classes,)
            Probabilities or logits; of equal ones the lower index comes first.

        Returns
        -------
        bool
            Whether it was right.
        """
        best = int(np.argmax(scores))
        own = scores[truth]
        rank = int((scores > own).sum() + (scores[:truth] == own).sum())
        self.confusion[truth, best] += 1
        self._top5[truth] += rank < 5
        if self._rest is not None:
            kind = self._of_rest if truth == self._rest else self._of_known
            kind.append(float(scores[self._rest]))
        return best == truth

    @property
    def total(self) -> Share:
        """All pictures."""
        right = int(self.confusion.trace())
        return Share(int(self.confusion.sum()), right, int(self._top5.sum()))

    def of(self, label: int) -> Share:
        """Return the share of one class."""
        row = self.confusion[label]
        return Share(int(row.sum()), int(row[label]), int(self._top5[label]))

    @property
    def mean(self) -> tuple[float, float]:
        """Top-1 and top-5 accuracy as the mean over the classes, without that of the rest."""
        shares = [self.of(label) for label in self.present if label != self._rest]
        shares = [share for share in shares if share.pictures]
        if not shares:
            return float("nan"), float("nan")
        return (
            sum(share.accuracy1 for share in shares) / len(shares),
            sum(share.accuracy5 for share in shares) / len(shares),
        )

    @property
    def rest(self) -> Rest | None:
        """What became of the rest, if there is a class of it."""
        if self._rest is None:
            return None
        answered = self.confusion[:, self._rest]
        known = np.arange(len(self.confusion)) != self._rest
        pictures = int(self.confusion[known].sum())
        wrong = int(answered[known].sum())
        return Rest(
            self.of(self._rest).accuracy1,
            wrong / pictures if pictures else float("nan"),
            _roc_area(self._of_rest, self._of_known),
        )

    @property
    def present(self) -> list[int]:
        """Return the classes that pictures were of, or were taken for, in order."""
        seen = self.confusion.sum(0) + self.confusion.sum(1)
        return [int(index) for index in np.flatnonzero(seen)]


def _roc_area(positive: list[float], negative: list[float]) -> float:
    """Return how often one of the first is above one of the second; ties count half."""
    if not positive or not negative:
        return float("nan")
    ordered = np.sort(negative)
    lower = np.searchsorted(ordered, positive, "left")
    not_higher = np.searchsorted(ordered, positive, "right")
    return float((lower + not_higher).mean() / 2 / len(ordered))
