"""Saliency: how much the score changes with each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.attribution.subject import Attribution

if TYPE_CHECKING:
    from cnntool.nets.attribution.subject import Subject


def attribute(subject: Subject) -> Attribution:
    """Compute the largest ``|gradient|`` over the channels.

    Source: Simonyan, Vedaldi and Zisserman 2014, section 3.1.
    """
    _, gradient = subject.gradient(subject.tensor)
    return Attribution(np.abs(gradient).max(0), {})
