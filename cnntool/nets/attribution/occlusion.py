"""Occlusion: how much of the probability is lost where a window covers the picture."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.nets.attribution.subject import Subject

SHARE = 7
"""The window's side is the shorter side by this number: 32 of 224 pixels."""

OVERLAP = 2
"""How many times each pixel is covered along each axis: the stride is the window's side by this."""


def attribute(subject: Subject) -> Attribution:
    """Compute the mean loss of probability over the windows that cover each pixel.

    The window has the picture's mean colour. It also hangs over the picture's sides, so that all
    pixels are covered equally often.

    Source: Zeiler and Fergus 2014, section 4.2.
    """
    rows, columns = subject.shape
    stride = max(1, min(rows, columns) // (SHARE * OVERLAP))
    side = stride * OVERLAP
    windows = [
        (slice(max(0, top), top + side), slice(max(0, left), left + side))
        for top, left in product(
            range(stride - side, rows, stride), range(stride - side, columns, stride)
        )
    ]
    blank = subject.blank

    def pictures() -> Iterator[NDArray[Any]]:
        yield subject.tensor
        for window in windows:
            mask = np.ones((rows, columns), np.float32)
            mask[window] = 0
            yield subject.blend(mask, blank)

    scores = subject.scores(pictures(), len(windows) + 1)
    whole = next(scores)
    total = np.zeros((rows, columns))
    for window, probability in zip(windows, scores, strict=True):
        total[window] += whole - probability
    facts = {"windows": len(windows), "side": side, "stride": stride}
    return Attribution((total / OVERLAP**2).astype(np.float32), facts)
