"""Kernels by name, by file and as arrays: reading them, listing them, what is known of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.records import Records
from cnntool.errors import UsageError
from cnntool.filters import spec
from cnntool.filters.conv_layer import ConvLayer, read_layer
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.operation import Operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from numpy.typing import NDArray

    from cnntool.filters.kernel import Weights

    KernelLike: TypeAlias = str | NDArray[Any] | Sequence[Any] | Filter | ConvLayer | Operation


class KernelEntry(NamedTuple):
    """A kernel that has a name.

    Attributes
    ----------
    name : str
    kind : {'smoothing', 'derivative', 'other', 'non-linear'}
    parameters : str
        With their defaults, as they follow the name: ``sigma=1.0,size=auto``.
    summary : str
    """

    name: str
    kind: str
    parameters: str
    summary: str


def kernels() -> Records[KernelEntry]:
    """List every kernel that has a name, in groups.

    Examples
    --------
    >>> [entry.name for entry in cnntool.kernels() if entry.kind == "smoothing"]
    ['box', 'gaussian', 'motion']
    """
    return Records(KernelEntry(e.name, e.kind, e.signature(), e.summary) for e in spec.entries())


def read_kernel(kernel: KernelLike, parameter: str = "kernels") -> Filter | ConvLayer | Operation:
    """Read a kernel.

    Parameters
    ----------
    kernel : str or array_like
        A text as `cnntool.filters.spec.parse` takes it, ``MODEL:LAYER[12]`` for what a network has
        learned, or numbers: (rows, columns), or (maps, channels, rows, columns) and (channels,
        rows, columns), whose kernels add up over all channels.
    parameter : str
        What errors call it.

    Raises
    ------
    UsageError
        What makes no kernel.
    InputError
        A kernel file that cannot be read.
    ModelError
        There is no such network, layer or channel.
    """
    if isinstance(kernel, (Filter, ConvLayer, Operation)):
        return kernel
    if isinstance(kernel, str):
        return _learned(kernel) or read_layer(kernel) or spec.parse(kernel)
    if not (isinstance(kernel, (list, tuple)) or hasattr(kernel, "__array__")):
        raise arguments.wrong_type(parameter, kernel, "a kernel's name, or an array of weights")
    try:
        array = np.asarray(kernel)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise UsageError("a kernel must be a matrix of numbers", source=f"`{parameter}`")
    if array.ndim in {3, 4}:
        return ConvLayer(array if array.ndim == 4 else array[None])
    return Filter((Kernel(array),))


def _learned(text: str) -> Filter | Operation | None:
    """Read a kernel that a network has learned, if the text names one."""
    if not text.rstrip().endswith("]"):
        return None
    from cnntool.api.learned_kernel import parse_learned

    return parse_learned(text.strip())


def read_filter(kernel: KernelLike, parameter: str = "kernel") -> Filter | Operation:
    """Read a kernel for each channel by itself; see `read_kernel`.

    Raises
    ------
    UsageError
        The kernels of a layer, and what `read_kernel` refuses.
    """
    if isinstance(kernel, str):
        return _learned(kernel) or spec.parse(kernel)
    item = read_kernel(kernel, parameter)
    if isinstance(item, ConvLayer):
        raise UsageError(
            f"a kernel must be a matrix, not an array of shape {item.weights.shape}",
            source=f"`{parameter}`",
        )
    return item


def read_convolution(kernel: KernelLike, why: str) -> Filter:
    """Read a kernel that must be a convolution of each channel.

    Parameters
    ----------
    kernel : str or array_like
        See `read_kernel`.
    why : str
        What is wrong with others: "there is nothing to trace".

    Raises
    ------
    UsageError
        A non-linear filter, and what `read_kernel` refuses.
    """
    item = spec.parse(kernel) if isinstance(kernel, str) else read_filter(kernel)
    if not isinstance(item, Filter):
        raise UsageError(f"{item.name} is no convolution: {why}")
    return item


def only_kernel(kernel: KernelLike, why: str) -> Kernel:
    """Read a kernel that must be one.

    Raises
    ------
    UsageError
        A pair such as Sobel's, and what `read_convolution` refuses.
    """
    item = read_convolution(kernel, why)
    if len(item.kernels) > 1:
        raise UsageError(
            f"{item.name} is {len(item.kernels)} kernels, one is needed",
            hint="take one of them, such as sobel-x; 'cnntool kernels show' prints them",
        )
    return item.kernels[0]


def laid_on(kernel: Kernel, op: str) -> Weights:
    """Return the weights as they are laid on the input: flipped for a true convolution."""
    return (kernel.flipped() if op == "convolve" else kernel).weights


def facts(kernel: Kernel) -> dict[str, Any]:
    """Collect what is known of a kernel, ready for JSON."""
    from cnntool.filters.response import gains, rank_errors

    height, width = kernel.shape
    pairs = kernel.separate() if kernel.rank < 2 else [_upright(p) for p in kernel.separate()]
    singular = np.linalg.svd(kernel.weights, compute_uv=False)
    singular[singular < singular.max() * 1e-12] = 0
    return {
        "shape": [height, width],
        "weights": kernel.weights.tolist(),
        "sum": 0.0 if kernel.is_zero_sum else kernel.sum,
        "rank": kernel.rank,
        "singular_values": singular.tolist(),
        "factors": [{"column": c.tolist(), "row": r.tolist()} for c, r in pairs],
        "multiplies": height * width,
        "multiplies_separable": len(pairs) * (height + width),
        "rank_errors": rank_errors(kernel),
        "response": gains(kernel),
    }


def _upright(pair: tuple[Weights, Weights]) -> tuple[Weights, Weights]:
    """Make the largest of a row positive: the singular value decomposition leaves it open."""
    column, row = pair
    return (-column, -row) if row[abs(row).argmax()] < 0 else pair
