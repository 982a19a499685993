"""The transpose of a convolution: what its backward pass does, and how networks enlarge maps.

If a convolution is the matrix A, its transpose is A with rows and columns exchanged; it is no
inverse. It is computed as the one convolution there is: ``stride - 1`` zeros go between the
values, the kernel is turned, and every place where it touches counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.operation import Operation
from cnntool.filters.plan import Mode, Op

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.shapes.windows import Pair, Window


def linear_kernel(item: Filter | Operation) -> Kernel:
    """Return the only kernel of a filter: a transpose is of one linear map.

    Raises
    ------
    UsageError
        A filter of several kernels, whose combination is not linear, or no convolution at all.
    """
    if isinstance(item, Operation):
        raise UsageError(f"{item.name} is no convolution: it has no transpose")
    if len(item.kernels) > 1:
        raise UsageError(
            f"{item.name} combines {len(item.kernels)} kernels by {item.combine}, which has no"
            " transpose",
            hint="take one of its kernels",
        )
    return item.kernels[0]


def transpose_convolve(
    maps: NDArray[Any],
    kernel: Kernel,
    window: Window,
    *,
    output_padding: Pair = (0, 0),
    op: Op | str = Op.CORRELATE,
) -> NDArray[Any]:
    """Apply the transpose of a convolution.

    Output ``[r * stride + i * dilation - top, ...]`` sums ``maps[r, ...] * kernel[i, ...]``: each
    value lays the kernel down, multiplied by itself.

    Parameters
    ----------
    maps : (H, W, C)
        Each channel on its own.
    kernel : Kernel
    window : Window
        Of the convolution that is transposed, with a kernel of this shape. Its padding is cut off
        the result; ``ceil`` plays no part.
    output_padding : (rows, columns)
        Rows and columns that the result has more at the bottom and at the right: which of the
        inputs that a stride makes equal was meant.
    op : Op
        Of the convolution that is transposed.

    Returns
    -------
    (H_out, W_out, C)
        float32 for uint8, uint16, float16 and float32, else float64.

    Raises
    ------
    UsageError
        See `Window.transposed_shape` and `cnntool.filters.plan.make_plan`.
    """
    height, width, channels = maps.shape
    out_shape = window.transposed_shape((height, width), output_padding)
    down, across = window.stride
    stuffed = np.zeros(((height - 1) * down + 1, (width - 1) * across + 1, channels), maps.dtype)
    stuffed[::down, ::across] = maps
    turned = Op.CONVOLVE if Op(op) is Op.CORRELATE else Op.CORRELATE
    full = convolve(stuffed, Filter((kernel,)), mode=Mode.FULL, op=turned, dilation=window.dilation)
    top, _, left, _ = window.pads
    result = np.zeros((*out_shape, channels), full.dtype)
    part = full[top : top + out_shape[0], left : left + out_shape[1]]
    result[: part.shape[0], : part.shape[1]] = part
    return result
