"""Image-to-image outputs as pictures: colours, enlarged luma, maps of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.inference.classify import name_of
from cnntool.nets.inference.preprocess import fitted, prepare, resize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.models.manifest import InputSpec

COLOURS = 256
"""Classes that can be told apart by colour."""

DARK, BRIGHT = 2, 8
"""A picture whose values all stay below the first is not on the scale 0..255; one that passes the
second is not on 0..1."""


class Painting(NamedTuple):
    """A network's answer to one picture.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3) or (height, width, 1) of uint8
        The picture, or the map in its classes' colours.
    clipped : float
        The share of values that lay outside of what a picture holds.
    classes : ndarray of shape (height, width) of int64, or None
        Of a map: the class of every pixel, from 0.
    """

    pixels: NDArray[np.uint8]
    clipped: float = 0.0
    classes: NDArray[np.int64] | None = None

    def _repr_png_(self) -> bytes:
        from io import BytesIO

        from cnntool.image.files import write_image
        from cnntool.image.source import ImageInfo

        body = BytesIO()
        write_image(body, self.pixels, ImageInfo(*self.pixels.shape), name="the picture")
        return body.getvalue()


class Fitted(NamedTuple):
    """A picture as a network takes it that answers with a picture.

    Attributes
    ----------
    tensor : ndarray
        What goes in.
    colours : ndarray of shape (height, width, 3) of uint8, or None
        For a network that enlarges luma: the colours that are to come back.
    shape : tuple of int
        Rows and columns of the picture.
    """

    tensor: NDArray[Any]
    colours: NDArray[Any] | None
    shape: tuple[int, int]


class ClassShare(NamedTuple):
    """A class of a map, and the share of the picture that it takes, 0..1."""

    index: int  # type: ignore[assignment]  # a number here, not tuple's method
    label: str
    share: float


def fit_for_picture(pixels: NDArray[Any] | Image, info: ImageInfo, *, spec: InputSpec) -> Fitted:
    """Make a picture ready, see `cnntool.nets.inference.preprocess.prepare`."""
    keeps = spec.channel_order == "Y" and info.channels == 3
    colours = fitted(pixels, info, spec) if keeps else None
    return Fitted(prepare(pixels, info, spec), colours, (info.height, info.width))


def shares(classes: NDArray[np.int64], plan: InferredSpec) -> list[ClassShare]:
    """Return the classes of a map with their shares of the picture, the largest first."""
    numbers, counts = np.unique(classes, return_counts=True)
    found = sorted(zip(counts.tolist(), numbers.tolist(), strict=True), key=lambda pair: -pair[0])
    return [
        ClassShare(index, name_of(plan, index)[0], count / classes.size) for count, index in found
    ]


def paint(answer: NDArray[Any], plan: InferredSpec, whence: Callable[[], str] = str) -> Painting:
    """Turn a network's output into a picture.

    Parameters
    ----------
    answer : ndarray
        The output for one picture, with a batch axis of 1: (1, C, H, W), (1, H, W, C), or of a map
        also (1, H, W).
    plan : InferredSpec
        What it means.
    whence : callable
        Is asked where NaN comes from, see `cnntool.nets.network.Network.whence`.

    Raises
    ------
    ModelError
        When it has no shape of a picture, holds NaN, or does not lie on the scale that was assumed.
    """
    if answer.ndim not in {3, 4} or len(answer) != 1 or answer.dtype.kind not in "fiu":
        raise _no_picture(answer.shape, plan)
    if answer.dtype.kind == "f" and not np.isfinite(answer).all():
        raise ModelError(
            f"its answer is not finite: there is NaN or infinity in it{whence()}",
            source=plan.name,
        )
    values = answer[0]
    return _map(values, plan) if plan.output.kind == "map" else _picture(values, plan)


def _picture(values: NDArray[Any], plan: InferredSpec) -> Painting:
    if values.ndim == 2:
        values = values[None]
    if values.shape[0] in {1, 3}:
        values = np.moveaxis(values, 0, -1)
    if values.shape[-1] not in {1, 3}:
        raise _no_picture(values.shape, plan)
    if plan.input.channel_order == "BGR":
        values = values[..., ::-1]
    scale, zero = plan.quantised
    black, white = plan.output.black, plan.output.white
    if plan.unsure:
        _check(float(values.min() - zero) * scale, float(values.max() - zero) * scale, white, plan)
    levels = values.astype(np.float32) - np.float32(zero + black / scale)
    levels *= np.float32(scale * 255 / (white - black))
    outside = float(np.mean(~((levels > -0.5) & (levels < 255.5))))
    return Painting(np.rint(np.clip(levels, 0, 255)).astype(np.uint8), outside)


def _check(low: float, high: float, white: float, plan: InferredSpec) -> None:
    """Refuse values that do not lie on the scale that was assumed."""
    most = max(abs(low), abs(high))
    if most > DARK if white > BRIGHT else most <= BRIGHT:
        return
    raise ModelError(
        f"its picture has values from {low:.3g} to {high:.3g}, and white was taken to be {white:g}",
        source=plan.name,
        hint="`white=1`, `white=255` or another says which value is white",
    )


def _no_picture(shape: tuple[int, ...], plan: InferredSpec) -> ModelError:
    return ModelError(
        f"its answer of shape {shape} is no picture", source=plan.name, hint=plan.numbers
    )


def _map(values: NDArray[Any], plan: InferredSpec) -> Painting:
    """Colour the class of every pixel: the number itself, or the one with the largest score."""
    if values.ndim == 3:
        axis = 0 if plan.input.layout == "NCHW" else 2
        values = values.argmax(axis) if values.shape[axis] > 1 else values.squeeze(axis)
    classes = values.astype(np.int64)
    colours = np.array(
        plan.labels.colours if plan.labels and plan.labels.colours else palette(), np.uint8
    )
    return Painting(colours[classes % len(colours)], classes=classes)


def palette() -> list[tuple[int, int, int]]:
    """Return the colours of Pascal VOC's classes, which most class maps are painted with.

    Bit b of a colour's channel c, from the highest, is bit ``3 b + c`` of the class's number
    (VOC development kit, ``VOClabelcolormap``).
    """
    return [
        tuple(  # type: ignore[misc]  # three of them
            sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8))
            for channel in range(3)
        )
        for number in range(COLOURS)
    ]


def back(painting: Painting, shape: tuple[int, int]) -> Painting:
    """Bring a picture back to the proportions of its input: smoothly, classes to the nearest.

    Parameters
    ----------
    painting : Painting
        At the network's own size.
    shape : tuple of int
        Rows and columns wanted.
    """
    if painting.classes is None:
        pixels = np.asarray(resize(painting.pixels, shape, "bicubic"))
        return painting._replace(pixels=pixels.reshape(*shape, -1))
    height, width = painting.classes.shape
    rows = (np.arange(shape[0]) * 2 + 1) * height // (2 * shape[0])
    columns = (np.arange(shape[1]) * 2 + 1) * width // (2 * shape[1])
    place = np.ix_(rows, columns)
    return painting._replace(pixels=painting.pixels[place], classes=painting.classes[place])


def with_chroma(painting: Painting, picture: NDArray[np.uint8]) -> Painting:
    """Give an enlarged luma the colours of the picture that it was made of.

    Parameters
    ----------
    painting : Painting
        One channel.
    picture : ndarray of shape (height, width, 3) of uint8
        What went in; its chroma is enlarged bicubically.
    """
    from PIL import Image

    shape = painting.pixels.shape[1::-1]
    _, blue, red = Image.fromarray(picture).convert("YCbCr").split()
    chroma = [plane.resize(shape, Image.Resampling.BICUBIC) for plane in (blue, red)]
    luma = Image.fromarray(painting.pixels[..., 0])
    return painting._replace(
        pixels=np.asarray(Image.merge("YCbCr", [luma, *chroma]).convert("RGB"))
    )
