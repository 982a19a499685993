"""The kernels of a convolutional layer: each adds up over all channels and makes a map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cnntool.errors import InputError, UsageError
from cnntool.filters.kernel import LARGEST_SIDE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_WEIGHTS = 2**26
"""Weights of a layer: half a gigabyte."""


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """Kernels with weights of their own for every channel, as networks convolve.

    Parameters
    ----------
    weights : array_like, (maps, channels, kH, kW)
        Finite numbers, 1 to 1023 per side. Kept as a read-only float64 copy.
    name : str
        As it is shown.

    Raises
    ------
    UsageError
        Other axes, an empty or too large array, or one with NaN or infinity in it.
    """

    weights: NDArray[np.float64] = field()
    name: str = "custom"
    combine: ClassVar[str] = "sum"

    def __init__(self, weights: ArrayLike, name: str = "custom") -> None:
        array = np.array(weights, dtype=np.float64)
        shape = "x".join(map(str, array.shape))
        if array.ndim != 4 or not array.size:
            raise UsageError(f"a layer has maps, channels, rows and columns, not {shape}")
        if max(array.shape[2:]) > LARGEST_SIDE:
            raise UsageError(f"kernels of {shape} are larger than {LARGEST_SIDE} a side")
        if not np.isfinite(array).all():
            raise UsageError("a kernel's weights must be finite")
        array.flags.writeable = False
        object.__setattr__(self, "weights", array)
        object.__setattr__(self, "name", name)

    @property
    def maps(self) -> int:
        """Kernels, and maps of the result."""
        return len(self.weights)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return int(self.weights.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of each kernel."""
        rows, columns = self.weights.shape[2:]
        return rows, columns

    def check_channels(self, channels: int) -> None:
        """Refuse an input with another number of channels.

        Raises
        ------
        UsageError
        """
        if channels != self.channels:
            shape = "x".join(map(str, self.weights.shape[1:]))
            raise UsageError(
                f"the kernel is {shape} (channels x rows x columns),"
                f" channels of the input: {channels}",
                hint="`layout` says which axis of an array holds the channels",
            )


def read_layer(spec: str) -> ConvLayer | None:
    """Read ``@FILE.npy``, if the array has 4 axes, or 3 for a single map.

    Parameters
    ----------
    spec : str
        What the user wrote for a kernel.

    Returns
    -------
    ConvLayer or None
        None for anything else: `cnntool.filters.spec.parse` reads it, or says what is wrong.

    Raises
    ------
    InputError
        An array that is too large, or what `ConvLayer` refuses.
    """
    name = spec.strip().removeprefix("@")
    if not (spec.strip().startswith("@") and name.lower().endswith(".npy")):
        return None
    try:
        array = np.load(name, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if not isinstance(array, np.ndarray) or array.ndim not in {3, 4} or not array.size:
        return None
    if array.dtype.kind not in "biuf":
        return None
    if array.size > MOST_WEIGHTS:
        raise InputError("too large for a kernel", source=name)
    try:
        return ConvLayer(array if array.ndim == 4 else array[None], Path(name).stem)
    except UsageError as error:
        raise InputError(error.message, source=name) from None
