"""Styles: how levels become colours, or light on the photo (overlay)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.image.convert import luma
from cnntool.views.colormaps import MARK, MARK_COLOUR, TOP, palette

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cnntool.views.scale import Scale

    Paint = Callable[["NDArray[np.uint8]", "Backdrop"], NDArray[np.uint8]]


def blend(
    levels: NDArray[np.uint8],
    photo: NDArray[np.uint8],
    *,
    signed: bool = False,
    cover: float = 0.9,
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
    cover : float
        How much of the photo the brightest level hides.

    Returns
    -------
    ndarray of uint8, shape (n, H, W, 3)
    """
    from PIL import Image

    size = photo.shape[1], photo.shape[0]
    ground = _ground(photo)
    keep, add = _weights(cover, signed=signed)
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


def _weights(cover: float, *, signed: bool) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return, by level, the 256ths of the photo that stay, and 256 times the colour that comes."""
    value = np.arange(256) / TOP
    if signed:
        value = np.abs(2 * value - 1)
    alpha = cover * np.clip(value, 0, 1) ** 0.8
    colours = palette("diverging" if signed else "magma")
    return (
        np.rint(256 * (1 - alpha)).astype(np.uint16),
        np.rint(256 * alpha[:, None] * colours).astype(np.uint16),
    )


class Backdrop(NamedTuple):
    """What a style may want to know beside the levels.

    Attributes
    ----------
    signed : bool
        Whether level 127 means zero.
    finite : bool
        Whether no level is a mark.
    photo : ndarray of uint8, shape (H, W, 3), or None
        What the maps were computed from, at the size of a tile.
    """

    signed: bool = False
    finite: bool = True
    photo: NDArray[np.uint8] | None = None


class Style(NamedTuple):
    """One way to colour levels.

    Attributes
    ----------
    name, summary : str
        What the user types, and one line about it.
    scale : Scale
        The scale that suits it, unless another one is asked for.
    on_photo : bool
        Whether the scene needs a photo.
    paint : callable
        From levels (n, h, w) and a Backdrop to tiles, uint8 (n, h', w', 1 or 3).
    """

    name: str
    summary: str
    scale: Scale
    on_photo: bool
    paint: Paint

    def channels(self, scene: Backdrop) -> int:
        """Return how many channels the tiles have."""
        return int(self.paint(np.empty((0, 1, 1), np.uint8), scene).shape[3])


STYLES: dict[str, Style] = {}


def register(
    name: str, *, scale: Scale = "channel", on_photo: bool = False
) -> Callable[[Paint], Paint]:
    """Return a decorator that enters a style under ``name``; a duplicate raises at import."""

    def enter(paint: Paint) -> Paint:
        if name in STYLES:
            raise RuntimeError(f"two styles are called {name!r}")
        summary = (inspect.getdoc(paint) or "").partition("\n")[0].rstrip(".")
        STYLES[name] = Style(name, summary, scale, on_photo, paint)
        return paint

    return enter


def find(name: str) -> Style:
    """Return a registered style, or raise a UsageError that names them all."""
    if name not in STYLES:
        known = ", ".join(STYLES)
        raise UsageError(
            f"no style is called {name!r}", source="`style`", hint=f"there are {known}"
        )
    return STYLES[name]


@register("gray")
def gray(levels: NDArray[np.uint8], scene: Backdrop) -> NDArray[np.uint8]:
    """Black to white."""
    if not scene.finite:
        return np.take(palette("gray"), levels, axis=0)
    shades = levels + (levels >= TOP // 2)  # what the palette says, five times as fast
    return shades[..., None]


@register("viridis")
def viridis(levels: NDArray[np.uint8], _scene: Backdrop) -> NDArray[np.uint8]:
    """Violet over green to yellow, even steps for every eye."""
    return np.take(palette("viridis"), levels, axis=0)


@register("magma")
def magma(levels: NDArray[np.uint8], _scene: Backdrop) -> NDArray[np.uint8]:
    """Black over purple to pale yellow, even steps for every eye."""
    return np.take(palette("magma"), levels, axis=0)


@register("diverging", scale="signed")
def diverging(levels: NDArray[np.uint8], _scene: Backdrop) -> NDArray[np.uint8]:
    """Blue below zero, nearly white at zero, red above."""
    return np.take(palette("diverging"), levels, axis=0)


@register("overlay", on_photo=True)
def overlay(levels: NDArray[np.uint8], scene: Backdrop) -> NDArray[np.uint8]:
    """Light on the photo where the map is bright."""
    if scene.photo is None:
        raise UsageError("this style needs the photo", source="overlay")
    return blend(levels, scene.photo, signed=scene.signed)
