"""Insertion and deletion: how well a map ranks pixels, beside rankings that know nothing.

A good map brings the class back early when its best pixels are put into a blurred picture
(insertion), and loses it early when they are blurred (deletion). Both are read beside the same
figures of random patches and of the distance from the centre: photographers centre, so a map has to
beat that.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.inference.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.attribution.subject import Subject

STEPS = 32
"""Equal parts of the pixels that change one after the other."""

BLUR = 20
"""The blur's standard deviation is the shorter side by this number: 11 of 224 pixels."""

PATCHES = 14
"""Random patches along each axis: maps rank pieces of a picture, so they are compared with pieces
rather than with single pixels, which are noise to a network."""

DRAWS = 3
"""Random rankings that are averaged."""


class Curve(NamedTuple):
    """How the probability of a class goes while pixels change.

    Parameters
    ----------
    area : float
        Under the curve, 0..1: its mean height.
    values : ndarray of shape (steps + 1,)
        The probability after so many equal parts of the pixels.
    random, centre : float
        The area of pixels that are ranked by random patches (the mean of several draws), and by
        their distance from the centre.
    """

    area: float
    values: NDArray[np.float64]
    random: float
    centre: float

    def record(self) -> dict[str, Any]:
        """Return all figures, ready for JSON."""
        return {**self._asdict(), "values": self.values.tolist()}


class InsertionDeletion:
    """Curves of maps of one subject; the baselines are computed once.

    Parameters
    ----------
    subject : Subject
        What is explained.

    Notes
    -----
    Pixels are removed by blur rather than by black, which is a shape of its own to a network. Of
    pixels that are ranked alike, upper and left ones come first.

    Source: Petsiuk, Das and Saenko 2018, RISE, section 4.1.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._blurred = subject.tensor_of(
            _blur(subject.planes(subject.tensor), min(subject.shape) / BLUR)
        )

    def curves(self, ranking: NDArray[np.floating[Any]]) -> tuple[Curve, Curve]:
        """Compute the curves of a map: insertion, then deletion.

        Parameters
        ----------
        ranking : ndarray of shape (h, w)
            A map of any size; pixels where it is largest change first.
        """
        random, centre = self._baselines
        (values,) = self._values([ranking])
        insertion, deletion = (
            Curve(float(_area(values[way])), values[way], float(random[way]), float(centre[way]))
            for way in (0, 1)
        )
        return insertion, deletion

    @cached_property
    def _baselines(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows, columns = self._subject.shape
        down, right = np.indices((rows, columns))
        distance = np.hypot(down - (rows - 1) / 2, right - (columns - 1) / 2)
        patch = np.ix_(np.arange(rows) * PATCHES // rows, np.arange(columns) * PATCHES // columns)
        rng = self._subject.rng
        draws = [rng.random((PATCHES, PATCHES))[patch] for _ in range(DRAWS)]
        areas = _area(self._values([-distance, *draws]))
        return areas[1:].mean(0), areas[0]

    def _values(self, rankings: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the probabilities of all steps: (rankings, insertion and deletion, steps + 1)."""
        shape = len(rankings), 2, STEPS + 1
        total = int(np.prod(shape))
        scores = self._subject.scores(self._pictures(rankings), total)
        return np.fromiter(scores, np.float64, total).reshape(shape)

    def _pictures(self, rankings: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        rows, columns = self._subject.shape
        for ranking in rankings:
            values = np.asarray(ranking, np.float32)[..., None]
            large = np.asarray(resize(values, (rows, columns), "bilinear"))
            rank = np.empty(rows * columns, np.int64)
            rank[np.argsort(-large, None, "stable")] = np.arange(rows * columns)
            for insert in (True, False):
                for step in range(STEPS + 1):
                    sharp = (rank < rank.size * step / STEPS) == insert
                    yield self._subject.blend(sharp.reshape(rows, columns), self._blurred)


def _area(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.trapezoid(values, dx=1 / STEPS))


def _blur(planes: NDArray[Any], deviation: float) -> NDArray[np.float64]:
    """Blur channels (C, H, W) by a Gaussian; at the sides it weighs what there is."""

    def weights(length: int) -> NDArray[np.float64]:
        place = np.arange(length)
        found = np.exp(-0.5 * ((place[:, None] - place) / deviation) ** 2)
        shares: NDArray[np.float64] = found / found.sum(1, keepdims=True)
        return shares

    _, rows, columns = planes.shape
    blurred: NDArray[np.float64] = weights(rows) @ planes @ weights(columns).T
    return blurred
