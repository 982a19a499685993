"""Windows that slide over maps: the attributes of convolutions and pools, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .flow import operand
from .operators import KERNEL

if TYPE_CHECKING:
    from .flow import Flow
    from .graph import Node

_LARGEST = 1 << 31


class Window(NamedTuple):
    """What a convolution or a pool slides over a map. A number for every spatial axis.

    Parameters
    ----------
    kernel, stride, dilation : tuple of int
        Taps, step between windows, step between taps.
    pads : tuple of (int, int) or None
        Zeros before and after; None where they make the result the size of the input divided by
        the stride ("same").
    up : bool
        Whether a window writes where others read: a transposed convolution.
    ceil : bool
        Whether a last window may stick out.
    extra : tuple of int
        Rows and columns that a transposed convolution adds at the end.
    stated : tuple of int
        The size of its result, where the file says it.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] | None
    up: bool = False
    ceil: bool = False
    extra: tuple[int, ...] = ()
    stated: tuple[int, ...] = ()

    @property
    def reach(self) -> tuple[int, ...]:
        """How many values of its input a window spans."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def padded(self) -> bool:
        """Whether it reads beyond the map."""
        return max(self.reach) > 1 if self.pads is None else any(map(any, self.pads))

    def slid(self, size: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the size of the result; None where it is not known."""
        return self.stated or tuple(self._length(axis, n) for axis, n in enumerate(size))

    def _length(self, axis: int, length: int | None) -> int | None:
        if length is None:
            return None
        stride, reach = self.stride[axis], self.reach[axis]
        if self.pads is None:
            return length * stride if self.up else -(-length // stride)
        before, after = self.pads[axis]
        if self.up:
            found = stride * (length - 1) + self.extra[axis] + reach - before - after
        else:
            room = length + before + after - reach
            found = room // stride + 1
            # A last window that sticks out has to begin within the map.
            found += self.ceil and room % stride > 0 and found * stride < length + before
        return found if found > 0 else None


def read_window(flow: Flow, node: Node) -> Window | None:
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
    stride = node.attribute("strides", (1,) * axes)
    dilation = node.attribute("dilations", (1,) * axes)
    extra = node.attribute("output_padding", (0,) * axes)
    lists = (stride, dilation, extra)
    if not all(_whole(v, low) and len(v) == axes for v, low in zip(lists, (1, 1, 0), strict=True)):
        return None
    up = node.op == "ConvTranspose"
    stated = node.attribute("output_shape", ()) if up else ()
    if stated and not (_whole(stated, 1) and len(stated) >= axes):
        return None
    window = Window(kernel, stride, dilation, ((0, 0),) * axes, up, extra=extra,
                    stated=stated[-axes:])  # fmt: skip
    auto = node.attribute("auto_pad", "NOTSET")
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        return window._replace(pads=None)
    pads = node.attribute("pads", (0,) * (2 * axes)) if auto == "NOTSET" else (0,) * (2 * axes)
    if not _whole(pads, -_LARGEST) or len(pads) != 2 * axes:
        return None
    return window._replace(
        pads=tuple(zip(pads[:axes], pads[axes:], strict=True)),
        ceil=node.attribute("ceil_mode", 0) == 1,
    )


def _whole(values: object, low: int) -> bool:
    """Tell whether an attribute is a list of whole numbers in range."""
    if not isinstance(values, tuple) or not values:
        return False
    return all(isinstance(value, int) and low <= value < _LARGEST for value in values)
