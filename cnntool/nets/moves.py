"""Operators that move values about: what each sees stays the same, where it stands does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .field import Field, as_vector, ratio, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .field import Place, Shape


def turned(place: Place, fields: Sequence[Field]) -> Field | None:
    """Transpose."""
    field = fields[0]
    order = place.numbers("perm")
    if "perm" not in place.node.attributes:
        order = tuple(reversed(range(field.rank)))
    if order is None or sorted(order) != list(range(field.rank)):
        return None
    return field._replace(axes=tuple(order.index(axis) for axis in field.axes))


def squeezed(place: Place, fields: Sequence[Field]) -> Field | None:
    """Squeeze, where it says which axes go."""
    field, axes = fields[0], place.numbers("axes", 1)
    if axes is None or not all(-field.rank <= axis < field.rank for axis in axes):
        return None
    return without(field, {axis % field.rank for axis in axes})


def unsqueezed(place: Place, fields: Sequence[Field]) -> Field | None:
    """Unsqueeze."""
    field, axes = fields[0], place.numbers("axes", 1)
    if axes is None:
        return None
    rank = field.rank + len(axes)
    added = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in added]
    if len(kept) != field.rank:
        return None
    return field._replace(axes=tuple(kept[axis] for axis in field.axes), rank=rank)


def reshaped(place: Place, fields: Sequence[Field]) -> Field | None:
    """Reshape and Flatten: maps stay maps where their axes are last and keep their lengths."""
    field = fields[0]
    if place.node.op == "Flatten":
        return as_vector(field, 2)
    shape: Shape | None = place.shape or place.numbers("shape", 1)
    if shape is None:
        return None
    if len(shape) < 3 or not field.axes:
        return as_vector(field, len(shape))
    count = len(field.axes)
    trailing = field.axes == tuple(range(field.rank - count, field.rank))
    kept = None not in field.size and shape[-count:] == field.size and len(shape) > count
    if not trailing or not kept:
        return None
    return field._replace(axes=tuple(range(len(shape) - count, len(shape))), rank=len(shape))


def rearranged(place: Place, fields: Sequence[Field]) -> Field | None:
    """DepthToSpace and SpaceToDepth."""
    field, block = fields[0], place.whole("blocksize", 0)
    if field.axes != (2, 3) or block < 1:
        return None
    if place.node.op == "DepthToSpace":
        size = tuple(None if n is None else n * block for n in field.size)
        return field._replace(size=size, jump=tuple(ratio(j, block) for j in field.jump))
    return field._replace(
        size=tuple(None if n is None else n // block for n in field.size),
        extent=tuple(e + (block - 1) * j for e, j in zip(field.extent, field.jump, strict=True)),
        jump=tuple(j * block for j in field.jump),
    )


def padded(place: Place, fields: Sequence[Field]) -> Field | None:
    """Pad and Crop."""
    field, rank = fields[0], fields[0].rank
    pads = place.numbers("pads", 1)
    border = place.numbers("border") or ()
    if place.node.op == "Crop" and len(border) == 4:
        left, top, right, bottom = border
        pads = (0, 0, -top, -left, 0, 0, -bottom, -right)
    if pads is None or len(pads) != 2 * rank:
        return field._replace(size=(None,) * len(field.axes))
    lengths = zip(field.axes, field.size, strict=True)
    size = (None if n is None else n + pads[axis] + pads[axis + rank] for axis, n in lengths)
    return field._replace(size=tuple(n if n is None or n > 0 else None for n in size))


def sliced(place: Place, fields: Sequence[Field]) -> Field | None:
    """Slice: the stride grows where places are skipped."""
    field, node = fields[0], place.node
    starts, axes = place.numbers("starts", 1), place.numbers("axes", 3)
    if axes is None and len(node.inputs) < 4:
        axes = None if starts is None else tuple(range(len(starts)))
    steps = place.numbers("steps", 4) if len(node.inputs) > 4 else (1,) * len(axes or ())
    if axes is None or steps is None or len(steps) != len(axes) or not all(steps):
        return None
    step = {axis % field.rank: abs(n) for axis, n in zip(axes, steps, strict=True)}
    return field._replace(
        size=tuple(
            None if axis in step else n for axis, n in zip(field.axes, field.size, strict=True)
        ),
        jump=tuple(j * step.get(axis, 1) for axis, j in zip(field.axes, field.jump, strict=True)),
    )


def split(place: Place, fields: Sequence[Field]) -> Field | None:
    """Split."""
    field = fields[0]
    cut = place.whole("axis", 0) % field.rank
    lengths = zip(field.axes, field.size, strict=True)
    return field._replace(size=tuple(None if axis == cut else n for axis, n in lengths))


def picked(place: Place, fields: Sequence[Field]) -> Field | None:
    """ArgMax and ArgMin over the channels."""
    field = fields[0]
    axis = place.whole("axis", 0) % field.rank
    if axis in field.axes:
        return None
    return field if place.whole("keepdims", 1) else without(field, {axis})
