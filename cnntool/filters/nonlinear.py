"""Filters that are no convolution: rank, morphology, bilateral, Canny, Otsu.

All but the bookkeeping is scikit-image's and ``scipy.ndimage``'s, imported when one is asked
for. Each works on one map (H, W) at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.kernels.kernel import Filter, Kernel
from cnntool.filters.kernels.library import Operation, Size, register

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Shape = Literal["square", "disk", "cross"]

# Our words for borders (numpy's) in scipy's spelling.
_NDIMAGE_BORDERS = {
    "zero": "constant",
    "reflect": "mirror",
    "symmetric": "reflect",
    "replicate": "nearest",
    "wrap": "wrap",
}


def _footprint(size: Size, shape: Shape) -> NDArray[np.bool_]:
    rows, columns = size
    if not (1 <= rows <= 255 and 1 <= columns <= 255):
        raise UsageError(f"a window has 1 to 255 rows and columns, got {rows}x{columns}")
    down = np.arange(rows)[:, None] - (rows - 1) / 2
    right = np.arange(columns)[None, :] - (columns - 1) / 2
    if shape == "disk":
        tall, wide = max((rows - 1) / 2, 0.5), max((columns - 1) / 2, 0.5)
        inside = (down / tall) ** 2 + (right / wide) ** 2 <= 1
    elif shape == "cross":
        inside = (np.abs(down) < 1) | (np.abs(right) < 1)
    else:
        inside = np.ones((rows, columns), bool)
    return inside if inside.any() else ~inside  # the disk in 2x2 has all its taps on its edge


def _ndimage(name: str, function: str, size: Size, shape: Shape) -> Operation:
    """Wrap a filter of ``scipy.ndimage`` that takes a window and a border."""
    footprint = _footprint(size, shape)

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:
        from scipy import ndimage

        mode = _NDIMAGE_BORDERS[border]
        result: NDArray[Any]
        if footprint.all():
            result = getattr(ndimage, function)(image, size=size, mode=mode)
        else:
            result = getattr(ndimage, function)(image, footprint=footprint, mode=mode)
        return result

    return Operation(name, apply, reach=size[0] // 2)


@register("median", "non-linear")
def median(size: Size = (3, 3), shape: Shape = "square") -> Operation:
    """Median of a window: removes specks, keeps edges."""
    return _ndimage("median", "median_filter", size, shape)


@register("min", "non-linear")
def minimum(size: Size = (3, 3), shape: Shape = "square") -> Operation:
    """Smallest value of a window."""
    return _ndimage("min", "minimum_filter", size, shape)


@register("max", "non-linear")
def maximum(size: Size = (3, 3), shape: Shape = "square") -> Operation:
    """Largest value of a window."""
    return _ndimage("max", "maximum_filter", size, shape)


@register("erode", "non-linear")
def erode(size: Size = (3, 3), shape: Shape = "disk") -> Operation:
    """Grey erosion: bright parts shrink."""
    return _ndimage("erode", "minimum_filter", size, shape)


@register("dilate", "non-linear")
def dilate(size: Size = (3, 3), shape: Shape = "disk") -> Operation:
    """Grey dilation: bright parts grow."""
    return _ndimage("dilate", "maximum_filter", size, shape)


def _morphology(name: str, size: Size, shape: Shape, steps: tuple[str, str]) -> Operation:
    first, second = (_ndimage(name, f"{step}_filter", size, shape) for step in steps)

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:
        return second.apply(first.apply(image, border), border)

    return Operation(name, apply, reach=2 * (size[0] // 2))


@register("open", "non-linear")
def opening(size: Size = (3, 3), shape: Shape = "disk") -> Operation:
    """Erosion, then dilation: removes bright specks smaller than the window."""
    return _morphology("open", size, shape, ("minimum", "maximum"))


@register("close", "non-linear")
def closing(size: Size = (3, 3), shape: Shape = "disk") -> Operation:
    """Dilation, then erosion: fills dark specks smaller than the window."""
    return _morphology("close", size, shape, ("maximum", "minimum"))


@register("bilateral", "non-linear")
def bilateral(sigma: float = 3.0, color: float = 0.1) -> Operation:
    """Blur of deviation ``sigma`` among pixels whose values differ by about ``color`` (0..1)."""
    if not 0 < sigma < 1000 or color <= 0:
        raise UsageError("bilateral: sigma and color are more than 0, sigma is below 1000")

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:
        from skimage import restoration

        if image.size and image.min() == image.max():
            return image  # nothing to blur, and scikit-image divides by the range
        modes = {"zero": "constant", "replicate": "edge"}
        result: NDArray[Any] = restoration.denoise_bilateral(
            image, sigma_color=color, sigma_spatial=sigma, mode=modes.get(border, border)
        )
        return result.reshape(image.shape).astype(image.dtype)  # scikit-image drops axes of one

    return Operation("bilateral", apply, unit=True)


@register("canny", "non-linear")
def canny(sigma: float = 1.0, low: float = 0.1, high: float = 0.2) -> Operation:
    """Canny's edges, one pixel wide, between two gradient thresholds (0..1)."""
    if not 0 <= sigma < 1000 or not 0 <= low <= high:
        raise UsageError("canny: sigma is at least 0 and below 1000, 0 <= low <= high")

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:  # noqa: ARG001
        from skimage import feature

        result: NDArray[Any] = feature.canny(image, sigma, low, high)
        return result

    return Operation("canny", apply, luma=True, borders=False, unit=True)


@register("otsu", "non-linear")
def otsu() -> Operation:
    """Black and white at Otsu's threshold, which best splits the histogram in two."""

    def apply(image: NDArray[Any], border: str) -> NDArray[Any]:  # noqa: ARG001
        from skimage import filters

        if image.size and image.min() == image.max():
            return np.zeros(image.shape, bool)
        known = image[np.isfinite(image)] if image.dtype.kind == "f" else image
        result: NDArray[Any] = image > filters.threshold_otsu(known)
        return result

    return Operation("otsu", apply, luma=True, borders=False)


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
    from cnntool.filters.conv.executor import convolve

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
