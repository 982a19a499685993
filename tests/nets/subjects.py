"""Subjects without a network: a few lines of arithmetic in its place."""

import numpy as np

from cnntool.nets.attribution.subject import Subject
from cnntool.nets.models.manifest import InputSpec


def unasked(*_):
    raise AssertionError("this method has no use for it")


def subject(tensor, *, score=None, gradient=None, layer=None, probability=None, seed=0, **entry):
    """Make a subject of functions of one tensor."""
    spec = InputSpec("x", **entry)

    def by_input(values):
        return score(values), np.asarray(gradient(values), np.float32)

    return Subject(
        "toy",
        np.asarray(tensor),
        spec,
        by_input if gradient else unasked,
        (lambda values: tuple(np.asarray(part, np.float32) for part in layer))
        if layer
        else unasked,
        (lambda tensors: map(probability, tensors)) if probability else unasked,
        seed,
    )
