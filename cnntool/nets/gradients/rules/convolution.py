"""Gradients of convolutions: each is a transposed convolution, and the other way round.

Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016, chapter 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.gradients.backward import rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

_NARROW = 16
"""A convolution that makes fewer maps than this of many is up to 15 times slower than a transposed
one on onnxruntime's CPU; else the turned kernel is faster, 4 times where channels are apart."""


class Window(NamedTuple):
    """How a window moves over rows and columns, a number an axis.

    Parameters
    ----------
    extent : list of int
        Places that it reaches over, from its first to its last.
    strides, dilations : list of int
        From one window to the next, and within one.
    before, after : list of int
        Padding.
    """

    extent: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]

    @property
    def pads(self) -> list[int]:
        """Padding as ONNX has it."""
        return self.before + self.after


def window(node: Node, kernel: Sequence[int], large: Sequence[int], small: Sequence[int]) -> Window:
    """Read how a node's window moves.

    Parameters
    ----------
    node : Node
        A convolution or a pooling, or a transposed convolution.
    kernel : sequence of int
        Rows and columns of its window.
    large, small : sequence of int
        The sides of the map that it moves over, and the number of its places.
    """
    axes = len(kernel)
    strides = list(node.attribute("strides") or (1,) * axes)
    dilations = list(node.attribute("dilations") or (1,) * axes)
    extra = node.attribute("output_padding") or (0,) * axes
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    automatic = node.attribute("auto_pad", "NOTSET")
    if automatic.startswith("SAME") or node.attribute("output_shape"):
        reached = (
            (count - 1) * stride + reach + more - length
            for length, count, stride, reach, more in zip(
                large, small, strides, extent, extra, strict=True
            )
        )
        total = [max(n, 0) for n in reached]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        before, after = (less, more) if automatic == "SAME_UPPER" else (more, less)
    else:
        stated = () if automatic == "VALID" else node.attribute("pads")
        pads = list(stated or (0,) * 2 * axes)
        before, after = pads[:axes], pads[axes:]
    return Window(extent, strides, dilations, before, after)


@rule("Conv")
def conv(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Spread each gradient over its window, weighed by the kernel."""
    (gradient,) = gradients
    data, weight = node.inputs[:2]
    if gradient is None:
        return []
    b.only_first(node)
    made, kernel = b.shape(node.outputs[0]), b.shape(weight)
    return [spread(b, node, gradient, b.value(weight), (b.shape(data), made, kernel))]


def spread(
    b: Backward,
    node: Node,
    gradient: str,
    weight: str,
    shapes: tuple[Sequence[int], Sequence[int], Sequence[int]],
) -> str:
    """Write the gradient of a convolution by its data.

    Parameters
    ----------
    b : Backward
        The graph that is written.
    node : Node
        A convolution: how its window moves.
    gradient, weight : str
        The gradient of its result, and its kernels, in the graph that is written.
    shapes : tuple of sequence of int
        Those of its data, of its result and of its kernels.
    """
    shape, made, kernel = shapes
    move = window(node, kernel[2:], shape[2:], made[2:])
    group = node.attribute("group", 1)
    # One that makes few maps of many, as a picture's gradient, wastes most of a vector.
    narrow = kernel[1] < _NARROW and kernel[0] > group
    if (
        set(move.strides) == {1}
        and not narrow
        and all(p < r for p, r in zip(move.pads, move.extent * 2, strict=True))
    ):
        turned = _turned(b, weight, kernel, group)
        pads = [r - 1 - p for p, r in zip(move.pads, move.extent * 2, strict=True)]
        return b.op("Conv", gradient, turned, pads=pads, dilations=move.dilations, group=group)
    rest = [
        length + first + last - (count - 1) * stride - reach
        for length, first, last, count, stride, reach in zip(
            shape[2:], move.before, move.after, made[2:], move.strides, move.extent, strict=True
        )
    ]
    return b.op(
        "ConvTranspose",
        gradient,
        weight,
        strides=move.strides,
        dilations=move.dilations,
        pads=move.pads,
        output_padding=rest,
        group=group,
    )


def _turned(b: Backward, name: str, kernel: Sequence[int], group: int) -> str:
    """Turn kernels by 180 degrees, and swap their channels in and out."""
    made, given = kernel[0] // group, kernel[1]
    axes = range(2, len(kernel))
    if made > 1 or given > 1:
        if group > 1:
            name = b.reshaped(name, (group, made, given, *kernel[2:]))
            name = b.op("Transpose", name, perm=[0, 2, 1, *(axis + 1 for axis in axes)])
            name = b.reshaped(name, (group * given, made, *kernel[2:]))
        else:
            name = b.op("Transpose", name, perm=[1, 0, *axes])
    turned = [axis for axis in axes if kernel[axis] > 1]
    if not turned:
        return name
    starts, stops, steps = ([n] * len(turned) for n in (-1, -(1 << 31), -1))
    return b.op("Slice", name, *(b.constant(v) for v in (starts, stops, turned, steps)))


@rule("ConvTranspose")
def transposed(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Gather by the convolution that this one is the transpose of."""
    (gradient,) = gradients
    data, weight = node.inputs[:2]
    if gradient is None:
        return []
    b.only_first(node)
    shape, kernel, made = (b.shape(name) for name in (data, weight, node.outputs[0]))
    move = window(node, kernel[2:], made[2:], shape[2:])
    return [
        b.op(
            "Conv",
            gradient,
            b.value(weight),
            strides=move.strides,
            dilations=move.dilations,
            pads=move.pads,
            group=node.attribute("group", 1),
        )
    ]
