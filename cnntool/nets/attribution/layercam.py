"""LayerCAM: the maps of a layer, each place weighted by its own positive gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from cnntool.nets.attribution.subject import Subject


def attribute(subject: Subject) -> Attribution:
    """Compute ``relu(sum_k relu(gradient_k) * map_k)``.

    Source: Jiang et al. 2021, LayerCAM, equations 5 and 6.
    """
    maps, gradient = subject.layer()
    found = np.einsum("khw,khw->hw", gradient.clip(0), maps, dtype=np.float64)
    return Attribution(found.clip(0).astype(np.float32), {})
