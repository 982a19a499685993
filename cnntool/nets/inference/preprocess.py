"""Preprocessing: pictures to the tensors that a network wants, as its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import InputError
from cnntool.image.convert import luma

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.image.source import ImageInfo
    from cnntool.nets.models.manifest import InputSpec

PAPER = 255.0
"""What shows through transparent pixels: white, as most viewers show them."""


OVERSHOOT = 1.0
"""How far a picture of floats may go beyond 0..1: a sharpened one does, one of 0..255 does more."""

LONG = 16
"""How many times larger than its cut a resized picture may be before it is cut first."""


class Fitting(NamedTuple):
    """How a picture is brought to a network's size: resized, then cut.

    Parameters
    ----------
    resized : tuple of int
        Rows and columns after resizing.
    top, left : int
        The first row and column of the cut.
    shape : tuple of int
        Rows and columns of the cut, which the network gets.
    """

    resized: tuple[int, int]
    top: int
    left: int
    shape: tuple[int, int]


def fitting(height: int, width: int, spec: InputSpec) -> Fitting:
    """Plan how a picture is resized and cut, without touching it.

    Parameters
    ----------
    height, width : int
        Of the picture.
    spec : InputSpec
        ``fit`` is ``"shorter"`` (its shorter side becomes ``resize``, the aspect stays),
        ``"stretch"`` (it becomes the size, the aspect goes) or ``"none"``.

    Returns
    -------
    Fitting
        The cut is central, rounded as torchvision's ``CenterCrop`` rounds.

    Raises
    ------
    InputError
        When it comes out smaller than the network can take.
    """
    rows, columns = height, width
    if spec.fit == "stretch":
        rows, columns = (spec.resize, spec.resize) if spec.resize else spec.size or (height, width)
    elif spec.fit == "shorter" and spec.resize is not None:
        side = spec.resize
        if height <= width:
            rows, columns = side, int(side * width / height)
        else:
            rows, columns = int(side * height / width), side
    shape = spec.crop or (rows, columns)
    if shape[0] > rows or shape[1] > columns:
        raise InputError(f"the picture has {rows} x {columns} pixels and is to be cut to "
                         f"{shape[0]} x {shape[1]}", hint="`resize` enlarges it first")  # fmt: skip
    if spec.minimum and (shape[0] < spec.minimum[0] or shape[1] < spec.minimum[1]):
        raise InputError(f"{shape[0]} x {shape[1]} pixels are too few for this network: it takes "
                         f"{spec.minimum[0]} x {spec.minimum[1]} and more")  # fmt: skip
    top, left = (
        round((whole - part) / 2) for whole, part in zip((rows, columns), shape, strict=True)
    )
    return Fitting((rows, columns), top, left, shape)


def laid_back(
    values: NDArray[np.float32], plan: Fitting, height: int, width: int
) -> NDArray[np.float32]:
    """Lay a map over the picture that it was made of: the way back through cut and resizing.

    Parameters
    ----------
    values : ndarray of shape (h, w)
        They cover what the network gets, evenly.
    plan : Fitting
        How the picture was brought to the network's size.
    height, width : int
        Of the picture.

    Returns
    -------
    ndarray of shape (height, width)
        Between the values linear; NaN where the network saw nothing.
    """
    lengths, cut = (height, width), (plan.top, plan.left)
    low, share, seen = [], [], []
    for axis, count in enumerate(values.shape):
        scale = plan.resized[axis] / lengths[axis]
        places = (np.arange(lengths[axis]) + 0.5) * scale - cut[axis]
        seen.append((places >= 0) & (places < plan.shape[axis]))
        places = np.clip(places * (count / plan.shape[axis]) - 0.5, 0, count - 1)
        low.append(np.minimum(places.astype(np.intp), max(count - 2, 0)))
        share.append((places - low[-1]).astype(np.float32))
    rows = _between(values, low[0], share[0][:, None])
    laid = _between(rows.T, low[1], share[1][:, None]).T
    laid[~seen[0]] = np.nan
    laid[:, ~seen[1]] = np.nan
    return np.ascontiguousarray(laid)


def _between(
    values: NDArray[np.float32], low: NDArray[np.intp], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Interpolate between rows."""
    high = np.minimum(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * share


def fitted(
    pixels: NDArray[Any] | Image, info: ImageInfo, spec: InputSpec, *, channels: int = 3
) -> NDArray[Any]:
    """Bring a picture to a network's size, as a picture still.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, samples) or Pillow image
        As read, see `cnntool.image.codecs.codec.Reader.picture`.
    info : ImageInfo
        What the samples are.
    spec : InputSpec
        What the network wants.
    channels : int
        1 makes it grey; with 3 a grey picture keeps its one channel.

    Returns
    -------
    ndarray of shape (rows, columns, 1 or 3)
        On the scale 0..255: uint8 if the samples are, else float32.

    Raises
    ------
    InputError
        When the picture does not suit.
    """
    plan = fitting(info.height, info.width, spec)
    if isinstance(pixels, np.ndarray) or (channels == 1 and info.channels == 3):
        pixels = _opaque(np.asarray(pixels).reshape(info.shape), info)
        if channels < info.channels:
            pixels = _grey(pixels)
    return _fit(pixels, plan, spec.interpolation)


def prepare(pixels: NDArray[Any] | Image, info: ImageInfo, spec: InputSpec) -> NDArray[Any]:
    """Turn one picture into one network input.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, samples) or Pillow image
        As read, see `cnntool.image.codecs.codec.Reader.picture`.
    info : ImageInfo
        What the samples are.
    spec : InputSpec
        What the network wants.

    Returns
    -------
    ndarray of shape (C, H, W) or (H, W, C) and of the type that ``spec`` says
        ``(x / peak * white - mean) / deviation``, a mean and a deviation for each channel.

    Raises
    ------
    InputError
        When the picture does not suit.
    """
    channels = spec.channels
    picture = fitted(pixels, info, spec, channels=channels)
    rows, columns = picture.shape[:2]
    planar = spec.layout == "NCHW"
    result = np.empty(
        (channels, rows, columns) if planar else (rows, columns, channels), spec.dtype
    )
    picture = np.broadcast_to(picture, (rows, columns, channels))  # grey is three equal colours
    if spec.channel_order == "BGR":
        picture = picture[..., ::-1]
    for channel, (mean, deviation) in enumerate(zip(spec.mean, spec.deviation, strict=True)):
        out = result[channel] if planar else result[..., channel]
        _scale(picture[..., channel], spec.white / 255 / deviation, -mean / deviation, out)
    return result


class Prepared(NamedTuple):
    """A picture as the network takes it, and as people see that."""

    tensor: NDArray[Any]
    photo: NDArray[Any] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what goes in, without the batch."""
        return self.tensor.shape


def prepared(
    pixels: NDArray[Any], info: ImageInfo, entry: InputSpec, *, photo: bool = False
) -> Prepared:
    """Make ready what was read; ``photo`` tells whether people want to see it, too."""
    return Prepared(
        prepare(pixels, info, entry),
        seen(pixels, info, entry) if photo else None,
    )


def seen(pixels: NDArray[Any], info: ImageInfo, entry: InputSpec) -> NDArray[Any]:
    """Return what a network sees of a picture, as uint8 (H, W, 3)."""
    return _as_bytes(fitted(pixels, info, entry, channels=entry.channels))


def displayed(pixels: NDArray[Any] | Image, info: ImageInfo) -> NDArray[np.uint8]:
    """Return a picture as people see it, at its own size: uint8 (H, W, 3), on white paper."""
    return _as_bytes(_opaque(np.asarray(pixels).reshape(info.shape), info))


def _as_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    if picture.dtype != np.uint8:
        picture = np.rint(picture).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))


def _opaque(pixels: NDArray[Any], info: ImageInfo) -> NDArray[Any]:
    """Return the colours on the scale 0..255, without alpha: uint8 as it is, all else float32."""
    if info.channels not in {1, 3}:
        raise InputError(f"a picture has 1 or 3 colour channels, not {info.channels}")
    if pixels.dtype == np.uint8 and not info.alpha:
        return pixels
    colours = pixels[..., : info.channels].astype(np.float32)
    if pixels.dtype.kind == "f":
        low, high = float(colours.min()), float(colours.max())
        slack = 0 if info.matrix else OVERSHOOT
        if low < -slack or high > 1 + slack:
            raise InputError(f"its numbers go from {low:g} to {high:g}; as a picture they must lie "
                             "in 0..1", hint="divide numbers of 0..255 by 255")  # fmt: skip
    colours *= 255 / info.peak
    if info.alpha:
        cover = pixels[..., info.channels :].astype(np.float32) / np.float32(info.peak)
        colours = colours * cover + PAPER * (1 - cover)
    # Eight bits stay eight bits, so that a picture gives one answer with and without alpha.
    return np.rint(colours).astype(np.uint8) if pixels.dtype == np.uint8 else colours


def _grey(picture: NDArray[Any]) -> NDArray[Any]:
    grey = luma(picture)
    return np.rint(grey).astype(np.uint8) if picture.dtype == np.uint8 else grey


def _fit(picture: NDArray[Any] | Image, plan: Fitting, interpolation: str) -> NDArray[Any]:
    """Resize and cut; of a very long picture only what the cut needs is resized."""
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    rows, columns = plan.shape
    bottom, right = plan.top + rows, plan.left + columns
    if plan.resized[0] * plan.resized[1] > LONG * rows * columns:
        up, across = height / plan.resized[0], width / plan.resized[1]
        box = (plan.left * across, plan.top * up, right * across, bottom * up)
        return _array(resize(picture, plan.shape, interpolation, box=box))
    resized = _array(resize(picture, plan.resized, interpolation))
    return resized[plan.top : bottom, plan.left : right]


def _array(picture: NDArray[Any] | Image) -> NDArray[Any]:
    array = np.asarray(picture)
    return array if array.ndim == 3 else array[..., None]


def resize(
    picture: NDArray[Any] | Image,
    shape: tuple[int, int],
    interpolation: str,
    *,
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[Any] | Image:
    """Resize with antialiasing, by Pillow.

    Parameters
    ----------
    picture : ndarray of shape (height, width, C) or Pillow image
        Whole numbers of 8 bits are rounded to such again, as Pillow does; float32 stays.
    shape : tuple of int
        Rows and columns of the result.
    interpolation : str
        ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
    box : tuple of float, optional
        The part of the picture to resize: its left, top, right and bottom sides.

    Returns
    -------
    ndarray or Pillow image
        An image for an image and for 8 bits of one or three channels, an array else.
    """
    if isinstance(picture, np.ndarray):
        from PIL.Image import fromarray

        if picture.shape[:2] == shape and box is None:
            return picture
        if picture.dtype != np.uint8:
            planes = (picture[..., channel] for channel in range(picture.shape[2]))
            images = (fromarray(np.ascontiguousarray(plane)) for plane in planes)
            resized = [np.asarray(_resized(i, shape, interpolation, box)) for i in images]
            return np.stack(resized, axis=2)
        picture = fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
    if picture.size == shape[::-1] and box is None:
        return picture
    return _resized(picture, shape, interpolation, box)


def _resized(
    picture: Image,
    shape: tuple[int, int],
    interpolation: str,
    box: tuple[float, float, float, float] | None,
) -> Image:
    from PIL.Image import Resampling

    return picture.resize(shape[::-1], Resampling[interpolation.upper()], box)


def _scale(samples: NDArray[Any], factor: float, offset: float, out: NDArray[Any]) -> None:
    """Write ``samples * factor + offset``; whole numbers are rounded and clipped."""
    if out.dtype.kind == "f":
        values = samples if out.dtype != np.float16 else samples.astype(np.float32)
        scaled = values.astype(np.float32) * np.float32(factor) + np.float32(offset)
        np.copyto(out, scaled, casting="same_kind")
        return
    limits = np.iinfo(out.dtype)
    values = np.rint(samples * np.float32(factor) + np.float32(offset))
    np.copyto(out, np.clip(values, limits.min, limits.max), casting="unsafe")
