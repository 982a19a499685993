"""A map as light on the photo that it was computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.image.convert import luma
from cnntool.views.palettes import MARK, MARK_COLOUR, TOP, palette

if TYPE_CHECKING:
    from numpy.typing import NDArray


def blend(
    levels: NDArray[np.uint8], photo: NDArray[np.uint8], *, signed: bool = False
) -> NDArray[np.uint8]:
    """Lay maps over a photo.

    The photo loses most of its colour and some of its light. Where a map is dark the photo stays
    visible; where it is bright the colour of the palette covers it.

    Parameters
    ----------
    levels : ndarray of uint8, shape (n, h, w)
        0 to 254, 255 for what is not a number.
    photo : ndarray of uint8, shape (H, W, 3)
        Maps are stretched to its size, smoothly; marks keep their edges.
    signed : bool
        Level 127 means zero: the photo shows there, and both signs cover it.

    Returns
    -------
    ndarray of uint8, shape (n, H, W, 3)
    """
    from PIL import Image

    size = photo.shape[1], photo.shape[0]
    ground = _ground(photo)
    keep, add = _weights(signed=signed)
    result = np.empty((len(levels), *photo.shape), np.uint8)
    for target, level in zip(result, levels, strict=True):
        missing = level == MARK
        smooth = np.where(missing, TOP // 2 if signed else 0, level) if missing.any() else level
        large = np.asarray(Image.fromarray(smooth).resize(size, Image.Resampling.BILINEAR))
        mixed = np.take(keep, large)[..., None] * ground
        mixed += np.take(add, large, axis=0)
        np.right_shift(mixed, 8, out=mixed)
        np.copyto(target, mixed, casting="unsafe")
        if missing.any():
            marked = Image.fromarray(missing).resize(size, Image.Resampling.NEAREST)
            target[np.asarray(marked)] = MARK_COLOUR
    return result


def _ground(photo: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the photo with a quarter of its colour and less light."""
    grey = luma(photo)
    return ((0.25 * photo + 0.75 * grey) * 0.8).astype(np.uint16)


def _weights(*, signed: bool) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return, by level, the 256ths of the photo that stay, and 256 times the colour that comes."""
    value = np.arange(256) / TOP
    if signed:
        value = np.abs(2 * value - 1)
    alpha = 0.9 * np.clip(value, 0, 1) ** 0.8
    colours = palette("diverging" if signed else "magma")
    return (
        np.rint(256 * (1 - alpha)).astype(np.uint16),
        np.rint(256 * alpha[:, None] * colours).astype(np.uint16),
    )
