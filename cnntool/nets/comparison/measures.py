"""Measures of how two arrays differ, summed up over photos map by map; no array is kept."""

from __future__ import annotations

from math import inf, log10, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1 << 15
"""Values that are taken at a time: few enough for the cache."""


def sqnr(signal: float, noise: float) -> float:
    """Return the ratio of signal to noise in decibels.

    ``10 log10(sum(a^2) / sum((b - a)^2))``, the signal-to-quantisation-noise ratio.

    Parameters
    ----------
    signal, noise : float
        The two sums.

    Returns
    -------
    float
        Infinity where there is no difference, minus infinity where there is nothing else.

    Examples
    --------
    >>> sqnr(100.0, 1.0), sqnr(1.0, 0.0), sqnr(0.0, 1.0)
    (20.0, inf, -inf)
    """
    if not noise:
        return inf
    return 10 * log10(signal / noise) if signal else -inf


def relative(signal: float, noise: float) -> float:
    """Return the relative error, ``|b - a| / |a|`` of the root mean squares.

    Examples
    --------
    >>> relative(100.0, 1.0), relative(0.0, 0.0)
    (0.1, 0.0)
    """
    if not noise:
        return 0.0
    return sqrt(noise / signal) if signal else inf


class Figures(NamedTuple):
    """How much two arrays differ, over all photos together.

    Parameters
    ----------
    sqnr : float
        Signal to noise in decibels, see `sqnr`.
    error : float
        The same as a share, see `relative`.
    cosine : float
        Of the angle between the two, -1..1; NaN where one of them is 0 everywhere.
    largest : float
        The largest difference, without its sign.
    where : tuple of int
        Its place: map, row and column, or the number of a value in a vector.
    photo : int
        In which photo.
    apart : int
        Values that are NaN or infinite on one side only, or infinite with the other sign.
    worst : float
        The largest error of one photo.
    worst_photo : int
        Which one.
    """

    sqnr: float
    error: float
    cosine: float
    largest: float
    where: tuple[int, ...]
    photo: int
    apart: int
    worst: float
    worst_photo: int


class MapFigures(NamedTuple):
    """How much one map differs, over all photos together; see `Figures`."""

    map: int
    sqnr: float
    error: float
    cosine: float
    largest: float
    apart: int


class Tally:
    """Sums over photos of how one array differs from another.

    Parameters
    ----------
    None

    Attributes
    ----------
    shape : tuple of int
        Of the first arrays.
    """

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self._sums: NDArray[np.float64] = np.zeros((5, 0))
        self._largest: tuple[float, int, tuple[int, ...]] = (-1.0, 0, (0,))
        self._worst = (-1.0, 0)

    def add(self, photo: int, a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
        """Add what two arrays of one photo differ by.

        Parameters
        ----------
        photo : int
            Its number.
        a, b : ndarray of shape (C, H, W) or (n,)
            Maps, or vectors. What is NaN in both, or the same infinity, is no difference.
        """
        self.shape = self.shape or a.shape
        maps = len(a)
        sums, place = _compare(a.reshape(maps, -1), b.reshape(maps, -1))
        wider = max(maps, self._sums.shape[1])
        before, self._sums = self._sums, np.zeros((5, wider))
        self._sums[:, : before.shape[1]] = before
        self._sums[:4, :maps] += sums[:4]
        np.maximum(self._sums[4, :maps], sums[4], out=self._sums[4, :maps])
        most = float(sums[4].max(initial=0))
        if most > self._largest[0]:
            index = np.unravel_index(place, a.shape) if a.size else (0,) * a.ndim
            self._largest = most, photo, tuple(map(int, index))
        error = inf if sums[3].any() else relative(float(sums[0].sum()), float(sums[2].sum()))
        if error > self._worst[0]:
            self._worst = error, photo

    @property
    def figures(self) -> Figures:
        """What all photos come to."""
        signal, other, noise, apart, _ = self._sums.sum(axis=1).tolist()
        largest, photo, where = self._largest
        return Figures(
            sqnr(signal, noise),
            relative(signal, noise),
            _cosine(signal, other, noise),
            largest,
            where,
            photo,
            int(apart),
            *self._worst,
        )

    @property
    def maps(self) -> list[MapFigures]:
        """What each map comes to, the worst first: by noise, so by what it adds to the error."""
        columns = self._sums.T.tolist()
        found = [
            MapFigures(
                number,
                sqnr(signal, noise),
                relative(signal, noise),
                _cosine(signal, other, noise),
                largest,
                int(apart),
            )
            for number, (signal, other, noise, apart, largest) in enumerate(columns)
        ]
        noise = self._sums[2]
        return sorted(found, key=lambda one: (-one.apart, -noise[one.map]))


def _cosine(signal: float, other: float, noise: float) -> float:
    """Return the cosine by the law of cosines: the sums are there."""
    if not (signal and other):
        return 1.0 if signal == other else float("nan")
    return max(-1.0, min(1.0, (signal + other - noise) / (2 * sqrt(signal) * sqrt(other))))


def _compare(a: NDArray[np.generic], b: NDArray[np.generic]) -> tuple[NDArray[np.float64], int]:
    """Compare map by map (C, n): sums of squares of a, b and b - a, values apart, largest."""
    maps, values = a.shape
    sums = np.zeros((5, maps))
    most, place = -1.0, 0
    for first in range(0, maps, max(1, _BLOCK // max(values, 1))):
        part = slice(first, first + max(1, _BLOCK // max(values, 1)))
        for start in range(0, values, _BLOCK):
            span = slice(start, start + _BLOCK)
            x, y = a[part, span].astype(np.float64), b[part, span].astype(np.float64)
            rows = sums[:, part]
            squares = [_squares(x), _squares(y)]
            if not np.isfinite(squares).all():
                rows[3] += _only_finite(x, y)
                squares = [_squares(x), _squares(y)]
            noise = np.subtract(y, x, out=y)
            rows[:3] += *squares, _squares(noise)
            highest = np.abs(noise, out=noise).max(axis=1)
            np.maximum(rows[4], highest, out=rows[4])
            row = int(highest.argmax())
            if highest[row] > most:
                most = float(highest[row])
                place = (first + row) * values + start + int(noise[row].argmax())
    return sums, place


def _squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum up the squares of each row."""
    sums: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows)
    return sums


def _only_finite(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Take out what is not finite on both sides, and count in rows where they differ."""
    usable = np.isfinite(x) & np.isfinite(y)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    x[~usable] = y[~usable] = 0
    apart: NDArray[np.intp] = np.count_nonzero(~usable & ~same, axis=1)
    return apart
