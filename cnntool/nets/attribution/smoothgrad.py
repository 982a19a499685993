"""SmoothGrad: the mean gradient of noisy copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from cnntool.nets.attribution.subject import Subject

SAMPLES = 50
"""Noisy copies: beyond that the paper sees little change."""

NOISE = 0.15
"""Standard deviation of the noise, of the range of the numbers: the paper takes 10 to 20 %."""


def attribute(subject: Subject) -> Attribution:
    """Compute the largest absolute value over the channels of the mean gradient.

    Source: Smilkov et al. 2017, SmoothGrad, section 3.
    """
    rng = subject.rng
    clean = subject.planes(subject.tensor).astype(np.float64)
    spread = NOISE * float(np.ptp(clean))
    total = np.zeros(clean.shape)
    for _ in subject.told(range(SAMPLES), SAMPLES):
        noisy = clean + spread * rng.standard_normal(clean.shape)
        total += subject.gradient(subject.tensor_of(noisy))[1]
    found = np.abs(total / SAMPLES).max(0).astype(np.float32)
    return Attribution(found, {"samples": SAMPLES, "noise": NOISE})
