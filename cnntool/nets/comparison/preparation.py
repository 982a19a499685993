"""One preparation of pictures for two networks: what is known of one holds for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.errors import ModelError
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.models.manifest import InputSpec

_ITS_OWN = ("name", "layout", "dtype", "batch", "minimum", "size", "dynamic")
"""What of an input belongs to the file; the rest says how pictures become numbers."""


def common(
    a: InferredSpec, b: InferredSpec, stated: tuple[bool, bool]
) -> tuple[InputSpec, InputSpec, str]:
    """Settle how pictures are prepared for two networks.

    Parameters
    ----------
    a, b : InferredSpec
        What is known of them.
    stated : (bool, bool)
        Which of them has a manifest.

    Returns
    -------
    (InputSpec, InputSpec, str)
        For either network, and which one took the other's: ``"a"``, ``"b"``, or nothing. A
        manifest is worth more than no manifest; of two guesses the first one holds, but a network
        that takes any size gets what the other one wants.
    """
    first = a.input if stated[0] else _sized(a.input, b.input)
    second = b.input if stated[1] else _sized(b.input, a.input)
    if alike(first, second):
        return first, second, "a" if first != a.input else "b" if second != b.input else ""
    if not _agree(first, second):
        return a.input, b.input, ""
    if stated[1] and not stated[0]:
        return _as(second, first), second, "a"
    if (stated[0] and not stated[1]) or (_guessed(a) and _guessed(b)):
        return first, _as(first, second), "b"
    return first, second, ""


def alike(a: InputSpec, b: InputSpec) -> bool:
    """Tell whether two networks want their pictures prepared in one way."""
    return _as(a, b) == b


def _sized(one: InputSpec, other: InputSpec) -> InputSpec:
    """Cut and scale pictures as the other network wants it, where only this one takes any size."""
    if _takes_any(one) and not _takes_any(other):
        return one._replace(fit=other.fit, resize=other.resize, crop=other.crop)
    return one


def _takes_any(one: InputSpec) -> bool:
    return one.dynamic or one.size is None


def _as(known: InputSpec, own: InputSpec) -> InputSpec:
    return known._replace(**{name: getattr(own, name) for name in _ITS_OWN})


def _guessed(plan: InferredSpec) -> bool:
    return any(text.startswith("`preprocess") for text in plan.assumed)


def _agree(a: InputSpec, b: InputSpec) -> bool:
    """Tell whether one picture fits both: its channels, its size and the type of its numbers."""
    sizes = {one.size for one in (a, b) if one.size and not one.dynamic}
    types = [np.dtype(one.dtype) for one in (a, b)]
    real = all(one.kind == "f" for one in types)
    return a.channels == b.channels and len(sizes) < 2 and (real or types[0] == types[1])


def input_order(a: InputSpec, b: InputSpec) -> tuple[int, ...] | None:
    """Return the axes of b's input that bring it into a's arrangement; None where it has that."""
    if a.layout == b.layout:
        return None
    return (0, 3, 1, 2) if a.layout == "NCHW" else (0, 2, 3, 1)


def check_inputs(
    a: InputSpec, b: InputSpec, shapes: tuple[Sequence[int], Sequence[int]], name: str
) -> None:
    """Refuse networks that take pictures of different sizes or colours.

    Raises
    ------
    ModelError
        They do.
    """
    order = input_order(a, b)
    first, second = shapes
    if order:
        second = [second[axis - 1] for axis in order[1:]]
    if tuple(first) != tuple(second):
        sizes = " and ".join(map(shape_text, shapes))
        raise ModelError(
            f"their inputs differ: {sizes}",
            source=name,
            hint="`crop` and `resize` hold for both, where the networks take any size",
        )
