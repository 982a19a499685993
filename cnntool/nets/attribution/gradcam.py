"""Grad-CAM: the maps of a layer, each weighted by its mean gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from cnntool.nets.attribution.subject import Subject


def attribute(subject: Subject) -> Attribution:
    """Compute ``relu(sum_k mean(gradient_k) * map_k)``.

    Source: Selvaraju et al. 2017, Grad-CAM, equations 1 and 2.
    """
    maps, gradient = subject.layer()
    weights = gradient.mean((1, 2), np.float64)
    return Attribution(np.tensordot(weights, maps, 1).clip(0).astype(np.float32), {})
