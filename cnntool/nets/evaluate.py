"""How often a classifier is right: top-1, top-5, per class, and what it confuses."""

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


class Tally:
    """Counts right and wrong answers.

    Parameters
    ----------
    classes : int
        How many classes the network tells apart.

    Attributes
    ----------
    confusion : ndarray of shape (classes, classes) of int64
        How many pictures of a class (row) were taken for a class (column).
    """

    def __init__(self, classes: int) -> None:
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
    def present(self) -> list[int]:
        """Return the classes that pictures were of, or were taken for, in order."""
        seen = self.confusion.sum(0) + self.confusion.sum(1)
        return [int(index) for index in np.flatnonzero(seen)]
