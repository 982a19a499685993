"""A kernel with weights of its own for each colour, as the first layer of a network has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve
from cnntool.filters.kernel import Filter, Kernel
from cnntool.filters.operation import Operation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def colour_filter(weights: ArrayLike, name: str) -> Operation:
    """Make a filter that correlates each colour with its own weights and adds up the results.

    Parameters
    ----------
    weights : array_like, (3, kH, kW)
        For red, green and blue.
    name : str
        As it is shown.

    Returns
    -------
    Operation
        Makes one map of the three. A grey picture counts as one of three equal colours.

    Raises
    ------
    UsageError
        See `Kernel`. An input with other numbers of channels is refused when it is applied.
    """
    filters = [Filter((Kernel(plane),), "single", name) for plane in np.asarray(weights)]
    grey = Filter((Kernel(np.sum([item.kernels[0].weights for item in filters], axis=0)),))

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:
        channels = image.shape[2]
        if channels == 1:
            return convolve(image[:, :, 0], grey, border=border)
        if channels != len(filters):
            raise UsageError(f"{name} is for pictures, and this has {channels} channels")
        total = convolve(image[:, :, 0], filters[0], border=border)
        for channel, item in enumerate(filters[1:], 1):
            total += convolve(image[:, :, channel], item, border=border)
        return total

    return Operation(name, apply, joins=True, reach=grey.shape[0] // 2)
