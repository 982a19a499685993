"""Integrated gradients: the gradient along the way from black to the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from cnntool.nets.attribution.subject import Scored, Subject

FEWEST, MOST = 16, 512
"""Steps on the way: doubled until the sum is right, or the most is reached."""

TOLERANCE = 0.01
"""How much of the difference of the scores the sum may miss."""

NEAR = 0.01
"""Of the scores' size: a difference below that is near 0, and what is missed is taken of this."""


def attribute(subject: Subject) -> Attribution:
    """Integrate from black to the picture by the trapezoid rule, and sum over the channels.

    The whole map sums to the difference of the two scores, as far as ``error`` tells. Places on the
    way are the squares of equal steps: near black, where little contrast decides, gradients change
    most. Each doubling of the steps uses the gradients that are known.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks, section 3.
    """
    entry = subject.entry
    picture = subject.planes(subject.tensor).astype(np.float64)
    ends = zip(entry.mean, entry.deviation, strict=True)
    black = np.array([-mean / deviation for mean, deviation in ends]).reshape(-1, 1, 1)
    way = picture - black

    def at(step: float) -> Scored:
        return subject.gradient(subject.tensor_of(black + step**2 * way))

    (first, _), (last, end) = at(0), at(1)
    difference = last - first
    scale = max(abs(difference), NEAR * max(abs(first), abs(last))) or 1.0
    total = end.astype(np.float64)  # half of the last place: that of black has no width
    steps = 1
    while True:
        found = (way * total / steps).sum(0)
        error = abs(float(found.sum()) - difference) / scale
        if steps >= FEWEST and (error <= TOLERANCE or steps >= MOST):
            break
        between = (np.arange(steps) + 0.5) / steps
        for step in subject.told(between.tolist(), 2 * steps, steps):
            total += 2 * step * at(step)[1]
        steps *= 2
    facts = {"steps": steps, "difference": difference, "error": error}
    return Attribution(found.astype(np.float32), facts)
