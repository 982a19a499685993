"""Gradients of operators that move numbers and change none."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cnntool.nets.gradients.backward import rule
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Node
    from cnntool.nets.file.messages import Attribute
    from cnntool.nets.gradients.backward import Backward


_AXES = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


@rule(*_AXES)
def reshape(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Give back the axes."""
    (gradient,) = gradients
    return [b.reshaped(gradient, b.shape(node.inputs[0]))] if gradient else []


@rule("If")
def conditional(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Give back the axes: exporters write it where they do not know whether there is one."""
    gradient = gradients[0]
    (body,) = node.bodies("then_branch" if b.numbers(node.inputs[0]).any() else "else_branch")
    makers = {inner.outputs[0]: inner for inner in body.nodes}
    tensor = next(iter(body.outputs))
    while tensor in makers and makers[tensor].op in _AXES:
        tensor = makers[tensor].inputs[0]
    if gradient is None or len(gradients) > 1 or tensor not in node.captures:
        raise b.error(f"no gradient is known of If that computes (node {node.label})")
    found = b.reshaped(gradient, b.shape(tensor))
    return [None, *(found if name == tensor else None for name in sorted(node.captures))]


@rule("Dropout", "Cast", "CastLike")
def identity(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:  # noqa: ARG001
    """Hand the gradient on: at inference nothing is dropped, and a rounding counts as none."""
    return [gradients[0]]


@rule("Transpose")
def transpose(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Put the axes back into their order."""
    (gradient,) = gradients
    rank = len(b.shape(node.inputs[0]))
    order = node.attribute("perm") or range(rank)[::-1]
    return [b.op("Transpose", gradient, perm=np.argsort(order).tolist())] if gradient else []


@rule("Concat")
def concat(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Hand each part its own."""
    (gradient,) = gradients
    axis = node.attribute("axis", 1) % len(b.shape(node.outputs[0]))
    found: list[str | None] = []
    first = 0
    for tensor in node.inputs:
        last = first + b.shape(tensor)[axis]
        part = (b.constant([number]) for number in (first, last, axis))
        wanted = gradient if b.wants(tensor) else None
        found.append(b.op("Slice", wanted, *part) if wanted else None)
        first = last
    return found


@rule("Split")
def split(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Join the parts; one that nothing depends on has a gradient of 0."""
    parts = [
        gradient or zeros(b, b.shape(tensor))
        for tensor, gradient in zip(node.outputs, gradients, strict=True)
    ]
    axis = node.attribute("axis", 0) % len(b.shape(node.inputs[0]))
    return [b.op("Concat", *parts, axis=axis)]


@rule("Slice")
def slice_(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Lay what was taken back to its places."""
    (gradient,) = gradients
    places = [range(length) for length in b.shape(node.inputs[0])]
    starts, stops = b.axes(node, 1, "starts") or (), b.axes(node, 2, "ends") or ()
    axes = b.axes(node, 3) or range(len(starts))
    steps = b.axes(node, 4, "steps") or (1,) * len(starts)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        places[axis] = places[axis][start:stop:step]
    return [_laid(b, gradient, places, b.shape(node.inputs[0]))] if gradient else []


@rule("Gather")
def gather(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Lay what was taken back to its places, and add what was taken several times."""
    (gradient,) = gradients
    data, indices = node.inputs
    if gradient is None:
        return []
    shape = b.shape(data)
    axis = node.attribute("axis", 0) % len(shape)
    if indices not in b.flow.data:
        taken = b.numbers(indices).ravel() % shape[axis]
        steps = set(np.diff(taken).tolist()) or {1}
        if len(steps) == 1 and taken.size and steps != {0}:
            first, step, count = int(taken[0]), steps.pop(), taken.size
            places = [range(length) for length in shape]
            places[axis] = range(first, first + step * count, step)
            part = b.reshaped(gradient, [len(along) for along in places])
            return [_laid(b, part, places, shape)]
    return [_traced(b, gradient, shape, "Gather", b.stored(indices), axis=axis)]


@rule("GatherElements")
def gather_elements(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Add each gradient where its number was taken."""
    (gradient,) = gradients
    data, indices = node.inputs
    axis = node.attribute("axis", 0)
    if gradient is None:
        return []
    return [_traced(b, gradient, b.shape(data), node.op, b.stored(indices), axis=axis)]


@rule("GatherND")
def gather_nd(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Add each gradient where its number was taken."""
    (gradient,) = gradients
    data, indices = node.inputs
    batch = node.attribute("batch_dims", 0)
    if gradient is None:
        return []
    return [_traced(b, gradient, b.shape(data), node.op, b.stored(indices), batch_dims=batch)]


@rule("TopK")
def top(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Add each gradient where its number was found."""
    gradient, indices = gradients[0], b.stored(node.outputs[1])
    axis = node.attribute("axis", -1)
    if gradient is None:
        return []
    shape = b.shape(node.inputs[0])
    return [_traced(b, gradient, shape, "GatherElements", indices, axis=axis)]


@rule("ScatterND", "ScatterElements")
def scatter(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Take each gradient from where its number was put; what was there before has none."""
    (gradient,) = gradients
    if gradient is None:
        return []
    if node.attribute("reduction", "none") != "none":
        raise b.error(f"no gradient is known of {node.op} that reduces (node {node.label})")
    updates, places = node.inputs[2], b.stored(node.inputs[1])
    axis = {} if node.op == "ScatterND" else {"axis": node.attribute("axis", 0)}
    nothing = zeros(b, b.shape(updates))
    return [
        b.op(node.op, gradient, places, nothing, **axis),
        None,
        b.op(node.op.replace("Scatter", "Gather"), gradient, places, **axis),
    ]


@rule("Trilu")
def triangle(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Keep the same triangle."""
    (gradient,) = gradients
    diagonal = operand(node, 1)
    number = int(b.numbers(diagonal)) if diagonal else 0
    upper = node.attribute("upper", 1)
    return [b.op("Trilu", gradient, b.constant(number), upper=upper)] if gradient else []


@rule("Pad")
def pad(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Take off the border, or add it to where its numbers are from."""
    (gradient,) = gradients
    if gradient is None:
        return []
    shape = b.shape(node.inputs[0])
    stated = b.axes(node, 1, "pads") or ()
    axes = b.axes(node, 3) or range(len(shape))
    pads = np.zeros((2, len(shape)), np.int64)
    pads[:, list(axes)] = np.reshape(stated, (2, -1))
    mode = node.attribute("mode", "constant")
    if mode == "constant":
        return [_bordered(b, gradient, -pads)]
    if mode == "wrap":
        raise b.error(f"no gradient is known of Pad that wraps around (node {node.label})")
    return [_traced(b, gradient, shape, "Pad", b.constant(pads.ravel()), mode=mode)]


@rule("Expand")
def expand(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Sum over what was repeated."""
    (gradient,) = gradients
    shapes = b.shape(node.outputs[0]), b.shape(node.inputs[0])
    return [b.unbroadcast(gradient, *shapes)] if gradient else []


@rule("Tile")
def tile(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Sum over what was repeated."""
    (gradient,) = gradients
    made, given = b.shape(node.outputs[0]), b.shape(node.inputs[0])
    apart = [part for whole, n in zip(made, given, strict=True) for part in (whole // n, n)]
    if gradient is None:
        return []
    repeats = range(0, len(apart), 2)
    return [b.summed(b.reshaped(gradient, apart), repeats, keep=False)]


@rule("DepthToSpace")
def depth_to_space(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Put rows and columns back into channels."""
    (gradient,) = gradients
    side = node.attribute("blocksize")
    if gradient is None:
        return []
    if node.attribute("mode", "DCR") == "DCR":
        return [b.op("SpaceToDepth", gradient, blocksize=side)]
    batch, channels, rows, columns = shape = b.shape(node.inputs[0])
    blocks = b.reshaped(gradient, (batch, channels // side**2, rows, side, columns, side))
    return [b.reshaped(b.op("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4]), shape)]


@rule("SpaceToDepth")
def space_to_depth(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Put channels back into rows and columns."""
    (gradient,) = gradients
    side = node.attribute("blocksize")
    return [b.op("DepthToSpace", gradient, blocksize=side)] if gradient else []


def zeros(b: Backward, shape: Sequence[int]) -> str:
    """Write a tensor of zeros."""
    return b.op("Expand", b.constant(0.0), b.constant(np.array(shape, np.int64)))


def _laid(b: Backward, part: str, places: Sequence[range], shape: Sequence[int]) -> str:
    """Lay a tensor to places of a larger one, of which the rest is 0."""
    turned = [axis for axis, along in enumerate(places) if along.step < 0]
    if turned:
        limits = ([number] * len(turned) for number in (-1, -(1 << 31), -1))
        starts, stops, steps = (b.constant(limit) for limit in limits)
        part = b.op("Slice", part, starts, stops, b.constant(turned), steps)
        places = [along[::-1] if along.step < 0 else along for along in places]
    if any(along.step > 1 for along in places):
        # Zeros go in between along an axis of their own.
        counts = [n for along in places for n in (len(along), 1)]
        gaps = [n for along in places for n in (0, along.step - 1)]
        part = b.op("Pad", b.reshaped(part, counts), b.constant([0] * len(gaps) + gaps))
        part = b.reshaped(part, [len(along) * along.step for along in places])
    ends = [along.start + len(along) * along.step for along in places]
    before = [along.start for along in places]
    return _bordered(b, part, np.array([before, np.subtract(shape, ends)]))


def _bordered(b: Backward, name: str, pads: NDArray[np.int64]) -> str:
    """Take off rows and columns where numbers are negative, and add zeros where positive."""
    (axes,) = np.nonzero((pads < 0).any(0))
    if axes.size:
        starts, stops = -np.minimum(pads[:, axes], 0) * [[1], [-1]]
        stops[stops == 0] = np.iinfo(np.int64).max
        name = b.op("Slice", name, *(b.constant(numbers) for numbers in (starts, stops, axes)))
    pads = np.maximum(pads, 0)
    return b.op("Pad", name, b.constant(pads.ravel())) if pads.any() else name


def _traced(
    b: Backward, gradient: str, shape: Sequence[int], op: str, *inputs: str, **attributes: Attribute
) -> str:
    """Let an operator move the places of numbers, which says where each has come from."""
    count = prod(shape)
    ends = (b.constant(number) for number in (0, count, 1))
    moved = b.op(op, b.reshaped(b.op("Range", *ends), shape), *inputs, **attributes)
    flat = (b.reshaped(name, [-1]) for name in (moved, gradient))
    added = b.op("ScatterElements", zeros(b, [count]), *flat, reduction="add")
    return b.reshaped(added, shape)
