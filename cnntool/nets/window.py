"""Windows that slide over maps: the attributes of convolutions and pools, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.nets.flow import operand
from cnntool.nets.operators import KERNEL
from cnntool.shapes.windows import AxisWindow

if TYPE_CHECKING:
    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Node

_LARGEST = 1 << 31


class NodeWindow(NamedTuple):
    """What a convolution or a pool slides over a map.

    Parameters
    ----------
    axes : tuple of AxisWindow
        For every spatial axis.
    auto : str
        ``SAME_UPPER`` or ``SAME_LOWER`` where padding follows from the size of the input, so that
        the result has its size divided by the stride; else empty.
    up : bool
        Whether a window writes where others read: a transposed convolution.
    extra : tuple of int
        Rows and columns that a transposed convolution adds at the end.
    stated : tuple of int
        The size of its result, where the file says it.
    """

    axes: tuple[AxisWindow, ...]
    auto: str = ""
    up: bool = False
    extra: tuple[int, ...] = ()
    stated: tuple[int, ...] = ()

    @property
    def stride(self) -> tuple[int, ...]:
        """Step between windows along every axis."""
        return tuple(one.stride for one in self.axes)

    @property
    def padded(self) -> bool:
        """Whether it reads beyond the map."""
        if self.auto:
            return any(one.extent > 1 for one in self.axes)
        return any(one.before or one.after for one in self.axes)

    def along(self, axis: int, size: int) -> AxisWindow:
        """Return the window along an axis, with the padding that an input of a size has."""
        one = self.axes[axis]
        return one.same(size, lower=self.auto == "SAME_LOWER") if self.auto else one

    def slid(self, size: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the size of the result; None where it is not known."""
        return self.stated or tuple(self._length(axis, n) for axis, n in enumerate(size))

    def _length(self, axis: int, length: int | None) -> int | None:
        if length is None:
            return None
        if not self.up:
            found = self.along(axis, length).outputs(length)
        elif self.auto:
            found = length * self.axes[axis].stride
        else:
            found = self.axes[axis].transposed(length, self.extra[axis])
        return found if found > 0 else None


def read_window(flow: Flow, node: Node) -> NodeWindow | None:
    """Read the window of a convolution or a pool; None where the file does not tell, or nonsense.

    Sources: Conv, ConvTranspose, MaxPool and AveragePool in https://onnx.ai/onnx/operators/
    """
    kernel = node.attribute("kernel_shape")
    if kernel is None and node.op in KERNEL:
        weight = flow.weight(operand(node, KERNEL[node.op]))
        kernel = weight.shape[2:] if weight else None
    if not _whole(kernel, 1):
        return None
    axes = len(kernel)
    auto = node.attribute("auto_pad", "NOTSET")
    up = node.op == "ConvTranspose"

    def numbers(name: str, default: int, low: int, count: int = axes) -> Any:
        found = node.attribute(name, (default,) * count)
        return found if _whole(found, low) and len(found) == count else None

    stride, dilation = numbers("strides", 1, 1), numbers("dilations", 1, 1)
    extra = numbers("output_padding", 0, 0)
    pads = numbers("pads", 0, -_LARGEST, 2 * axes) if auto == "NOTSET" else (0,) * (2 * axes)
    stated = node.attribute("output_shape", ()) if up else ()
    if stated and not (_whole(stated, 1) and len(stated) >= axes):
        return None
    if None in {stride, dilation, extra, pads}:
        return None
    ceil = auto not in _SAME and node.attribute("ceil_mode", 0) == 1
    each = zip(kernel, stride, dilation, pads[:axes], pads[axes:], (ceil,) * axes, strict=True)
    return NodeWindow(
        tuple(AxisWindow(*one) for one in each),
        auto if auto in _SAME else "",
        up,
        extra,
        stated[-axes:],
    )


_SAME = frozenset({"SAME_UPPER", "SAME_LOWER"})


def _whole(values: object, low: int) -> bool:
    """Tell whether an attribute is a list of whole numbers in range."""
    if not isinstance(values, tuple) or not values:
        return False
    return all(isinstance(value, int) and low <= value < _LARGEST for value in values)
