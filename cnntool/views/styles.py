"""How levels become colours. A style is one documented function with ``register`` before it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.views import overlay as light
from cnntool.views.palettes import TOP, palette

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cnntool.views.scale import Scale

    Paint = Callable[["NDArray[np.uint8]", "Scene"], NDArray[np.uint8]]


class Scene(NamedTuple):
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
        From levels (n, h, w) and a Scene to tiles, uint8 (n, h', w', 1 or 3).
    """

    name: str
    summary: str
    scale: Scale
    on_photo: bool
    paint: Paint

    def channels(self, scene: Scene) -> int:
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
def gray(levels: NDArray[np.uint8], scene: Scene) -> NDArray[np.uint8]:
    """Black to white."""
    if not scene.finite:
        return np.take(palette("gray"), levels, axis=0)
    shades = levels + (levels >= TOP // 2)  # what the palette says, five times as fast
    return shades[..., None]


@register("viridis")
def viridis(levels: NDArray[np.uint8], _scene: Scene) -> NDArray[np.uint8]:
    """Violet over green to yellow, even steps for every eye."""
    return np.take(palette("viridis"), levels, axis=0)


@register("magma")
def magma(levels: NDArray[np.uint8], _scene: Scene) -> NDArray[np.uint8]:
    """Black over purple to pale yellow, even steps for every eye."""
    return np.take(palette("magma"), levels, axis=0)


@register("diverging", scale="signed")
def diverging(levels: NDArray[np.uint8], _scene: Scene) -> NDArray[np.uint8]:
    """Blue below zero, nearly white at zero, red above."""
    return np.take(palette("diverging"), levels, axis=0)


@register("overlay", on_photo=True)
def overlay(levels: NDArray[np.uint8], scene: Scene) -> NDArray[np.uint8]:
    """Light on the photo where the map is bright."""
    if scene.photo is None:
        raise UsageError("this style needs the photo", source="overlay")
    return light.blend(levels, scene.photo, signed=scene.signed)
