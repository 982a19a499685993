"""Pictures as a network takes them, and as people see that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.image.types import ImageInfo
    from cnntool.nets.spec import InputSpec


class Prepared(NamedTuple):
    """A picture as the network takes it, and as people see that."""

    tensor: NDArray[Any]
    photo: NDArray[Any] | None


def prepared(
    pixels: NDArray[Any], info: ImageInfo, entry: InputSpec, *, photo: bool = False
) -> Prepared:
    """Make ready what was read; ``photo`` tells whether people want to see it, too."""
    from cnntool.nets.preprocess import prepare

    return Prepared(
        prepare(pixels, info, entry),
        seen(pixels, info, entry) if photo else None,
    )


def seen(pixels: NDArray[Any], info: ImageInfo, entry: InputSpec) -> NDArray[Any]:
    """Return what a network sees of a picture, as uint8 (H, W, 3)."""
    import numpy as np

    from cnntool.nets.preprocess import fitted

    picture = fitted(pixels, info, entry, channels=entry.channels)
    if picture.dtype != np.uint8:
        picture = np.rint(picture).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))
