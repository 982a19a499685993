"""RISE: the mean probability under random masks that leave a pixel."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.nets.attribution.subject import Attribution
from cnntool.nets.inference.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.nets.attribution.subject import Subject

MASKS = 2000
"""How many; the paper takes 4000 to 8000."""

CELLS = 7
"""Cells of a mask along each axis."""

KEPT = 0.5
"""How likely a cell leaves its part of the picture."""


def masks(shape: tuple[int, int], rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Draw masks (H, W) of 0..1 for ever: coarse random grids, enlarged and shifted.

    Each value is `KEPT` on average over many masks, at the sides too.
    """
    while True:
        grid = (rng.random((CELLS + 1, CELLS + 1)) < KEPT).astype(np.float32)
        top, left = rng.random(2)
        box = (left, top, left + CELLS, top + CELLS)
        yield np.asarray(resize(grid[..., None], shape, "bilinear", box=box))[..., 0]


def attribute(subject: Subject) -> Attribution:
    """Compute ``sum_i probability_i * mask_i / (masks * kept)``.

    What a mask hides has the picture's mean colour.

    Source: Petsiuk, Das and Saenko 2018, RISE, equation 6.
    """
    blank = subject.blank
    drawn = masks(subject.shape, subject.rng)
    waiting: deque[NDArray[np.float32]] = deque()

    def pictures() -> Iterator[NDArray[Any]]:
        for _ in range(MASKS):
            waiting.append(next(drawn))
            yield subject.blend(waiting[-1], blank)

    total = np.zeros(subject.shape)
    for probability in subject.scores(pictures(), MASKS):
        total += probability * waiting.popleft()
    found = (total / (MASKS * KEPT)).astype(np.float32)
    return Attribution(found, {"masks": MASKS, "cells": CELLS})
