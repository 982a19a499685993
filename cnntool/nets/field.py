"""What the values of a tensor see of the picture, and how looking through windows changes it.

Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019, https://doi.org/10.23915/distill.00021. A statistic of a whole map that scales all of
it (instance norm, squeeze and excitation) does not count, nor does it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .flow import operand
from .operators import FACTORS
from .window import read_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from .flow import Flow
    from .graph import Node

    Number = int | Fraction
    Shape = tuple[int | None, ...]

_LARGEST, _PARTS = 1 << 20, 1 << 16
"""Of the factors of a Resize: the largest, and into how many parts 1 is divided."""


class Field(NamedTuple):
    """What the values of a tensor see of the picture.

    Parameters
    ----------
    axes : tuple of int
        The tensor's spatial axes, rows before columns; none once it is a vector.
    rank : int
        How many axes it has.
    size : tuple of int or None
        Its length along each spatial axis.
    extent : tuple of number
        Rows and columns of the picture that one value sees.
    jump : tuple of number
        Rows and columns of the picture between one value and the next: the stride.
    whole : bool
        Whether every value sees the whole picture.
    """

    axes: tuple[int, ...]
    rank: int
    size: Shape
    extent: tuple[Number, ...]
    jump: tuple[Number, ...]
    whole: bool = False

    @property
    def is_point(self) -> bool:
        """Whether there is one place only."""
        return all(length == 1 for length in self.size)


class Place(NamedTuple):
    """A node with what is known around it.

    Parameters
    ----------
    flow : Flow
    node : Node
    shape : tuple or None
        Of its result.
    """

    flow: Flow
    node: Node
    shape: Shape | None

    def numbers(self, name: str, position: int | None = None) -> tuple[int, ...] | None:
        """Get whole numbers that are an attribute or, as some are in new files, an input."""
        found = self.node.attribute(name)
        if found is None and position is not None:
            found = self.flow.numbers(operand(self.node, position))
        if not isinstance(found, tuple) or not all(isinstance(v, int) for v in found):
            return None
        return found

    def whole(self, name: str, default: int) -> int:
        """Get an attribute that is a whole number."""
        found = self.node.attribute(name, default)
        return found if isinstance(found, int) else default


def together(place: Place, fields: Sequence[Field]) -> Field | None:
    """Combine branches value by value: the largest receptive field counts."""
    if place.node.op in {
        "Mul",
        "Div",
        "QLinearMul",
    }:  # a gate scales maps, it does not see for them
        fields = [field for field in fields if not field.is_point] or fields
    maps = [field for field in fields if not field.is_point]
    steps = [field for field in maps if not field.whole] or maps or fields
    first = steps[0]
    if any(field.axes != first.axes or field.rank != first.rank for field in fields):
        return None
    if any(field.jump != first.jump for field in steps):
        return None
    if any(len(field.extent) != len(first.extent) for field in fields):
        return None
    extents = zip(*(field.extent for field in fields), strict=True)
    return first._replace(
        extent=tuple(max(numbers) for numbers in extents),
        whole=any(field.whole for field in fields),
    )


def joined(place: Place, fields: Sequence[Field]) -> Field | None:
    """Concat: as `together`, along an axis that is not spatial."""
    axis = place.whole("axis", 1)
    first = fields[0]
    return None if axis % first.rank in first.axes else together(place, fields)


def slid(place: Place, fields: Sequence[Field]) -> Field | None:
    """Convolutions and pools."""
    field, window = fields[0], read_window(place.flow, place.node)
    axes = tuple(range(2, field.rank))
    if window is None or field.axes != axes or len(window.kernel) != len(axes):
        return None
    extent, jump = list(field.extent), list(field.jump)
    for at, (reach, stride) in enumerate(zip(window.reach, window.stride, strict=True)):
        if window.up:
            extent[at] += _written(window.kernel[at], stride, window.dilation[at]) * jump[at]
            jump[at] = ratio(jump[at], stride)
        else:
            extent[at] += (reach - 1) * jump[at]
            jump[at] *= stride
    over = (n is not None and r >= n for n, r in zip(field.size, window.reach, strict=True))
    covers = not window.up and not window.padded and all(over)
    size = window.slid(field.size)
    whole = field.whole or (covers and max(window.kernel) > 1)
    return Field(axes, field.rank, size, tuple(extent), tuple(jump), whole)


def _written(kernel: int, stride: int, dilation: int) -> int:
    """How far apart the inputs are that one output of a transposed convolution is made of."""
    from math import gcd

    step = stride // gcd(stride, dilation)
    return (kernel - 1) // step * step * dilation // stride


def ratio(number: Number, divisor: Number) -> Number:
    """Divide exactly."""
    from fractions import Fraction

    ratio = Fraction(number) / Fraction(divisor)
    return ratio.numerator if ratio.denominator == 1 else ratio


def pooled(place: Place, fields: Sequence[Field]) -> Field | None:
    """Global pools, and reductions of whole maps or of channels."""
    field, axes = fields[0], None
    if "Global" not in place.node.op:
        axes = place.numbers("axes", 1)
        if not axes:
            return None
    gone = set(field.axes) if axes is None else {axis % field.rank for axis in axes}
    if not gone.isdisjoint(field.axes):
        if not gone.issuperset(field.axes):
            return None
        field = field._replace(size=(1,) * len(field.axes), whole=True)
    return field if axes is None or place.whole("keepdims", 1) else without(field, gone)


def without(field: Field, gone: set[int]) -> Field:
    """Drop axes; the spatial ones among them have one place."""
    keep = [at for at, axis in enumerate(field.axes) if axis not in gone]
    return Field(
        tuple(field.axes[at] - sum(axis < field.axes[at] for axis in gone) for at in keep),
        field.rank - len(gone),
        tuple(field.size[at] for at in keep),
        field.extent,
        tuple(field.jump[at] for at in keep),
        field.whole,
    )


def multiplied(place: Place, fields: Sequence[Field]) -> Field | None:
    """Products with weights: of a vector with all it holds, of maps along their channels."""
    field, node = fields[0], place.node
    if len(fields) > 1:
        return None
    if not field.axes or node.op in {"Gemm", "QGemm"}:
        return as_vector(field, field.rank)._replace(whole=True)
    last = field.rank - 1
    left = operand(node, FACTORS[node.op][0]) in place.flow.data
    return field if left and last not in field.axes else None


def resized(place: Place, fields: Sequence[Field]) -> Field | None:
    """Resize and Upsample."""
    field, node = fields[0], place.node
    unknown = (None,) * len(field.axes)
    if field.whole and field.is_point:
        return field._replace(size=unknown)
    mode = node.attribute("mode", "nearest")
    taps = {"nearest": 0, "linear": 1, "bilinear": 1, "cubic": 3}.get(mode)
    factors = _factors(place, field)
    if taps is None or factors is None or node.attribute("antialias", 0):
        return None
    moved = [factor != 1 for factor in factors]
    return field._replace(
        size=unknown,
        extent=tuple(
            extent + taps * jump * move
            for extent, jump, move in zip(field.extent, field.jump, moved, strict=True)
        ),
        jump=tuple(ratio(j, f) for j, f in zip(field.jump, factors, strict=True)),
    )


def _factors(place: Place, field: Field) -> list[Number] | None:
    """By how much a Resize enlarges, from the shapes or from the scales that it states."""
    node = place.node
    if place.shape is not None and len(place.shape) == field.rank:
        corners = node.attribute("coordinate_transformation_mode") == "align_corners"
        pairs = [
            (None if new is None else new - corners, None if old is None else old - corners)
            for new, old in zip((place.shape[axis] for axis in field.axes), field.size, strict=True)
        ]
        if all(new and old for new, old in pairs):
            return [ratio(new or 1, old or 1) for new, old in pairs]
    stated = node.attribute("scales")
    for tensor in node.inputs[1:3]:
        stated = stated or place.flow.numbers(tensor)
    if not isinstance(stated, tuple) or len(stated) != field.rank:
        return None
    factors = [stated[axis] for axis in field.axes]
    if not all(isinstance(f, (int, float)) and 0 < f < _LARGEST for f in factors):
        return None
    return [ratio(round(factor * _PARTS) or 1, _PARTS) for factor in factors]


def as_vector(field: Field, rank: int) -> Field:
    """Forget where the values of a tensor stand; what each sees stays the same."""
    return Field((), rank, (), field.extent, (), field.whole)
