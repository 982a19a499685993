"""What other libraries make of a picture, brought to the shape of ours."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from cnntool.image.source import ImageInfo


def disagrees(body: bytes, pixels: np.ndarray, info: ImageInfo) -> str | None:
    """Return how another library reads the picture otherwise: empty if it agrees, None if mute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pair = _ORACLES[info.format](body, pixels, info)
        except Exception:  # noqa: BLE001 - it refuses what we read: that is no disagreement
            return None
    if pair is None:
        return None
    ours, theirs = pair
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, elsewhere {theirs.shape}"
    if np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        return ""
    where = tuple(int(i) for i in np.argwhere(ours != theirs)[0])
    return f"{ours[where]} at {where}, elsewhere {theirs[where]}"


def _pillow(body: bytes, pixels: np.ndarray, info: ImageInfo):
    with Image.open(io.BytesIO(body)) as opened:
        opened.load()
        if opened.mode in {"CMYK", "YCbCr", "LAB", "HSV", "F", "I"}:
            return None
        if opened.mode == "1" and "transparency" in opened.info:  # of the key libpng takes one bit
            return None
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):
            return (pixels[..., 0], np.asarray(image)) if info.samples == 1 else None
        if pixels.dtype == np.uint16:  # Pillow keeps the upper half
            if info.format != "png" or image.info.get("transparency") is not None:
                return None
            pixels = (pixels >> 8).astype(np.uint8)
        return _rgba(pixels, info), np.asarray(image.convert("RGBA"))


def _rgba(pixels: np.ndarray, info: ImageInfo) -> np.ndarray:
    colours = pixels[..., : info.channels]
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    alpha = pixels[..., -1:] if info.alpha else np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.concatenate([colours, alpha], axis=2)


def _tiff(body: bytes, pixels: np.ndarray, info: ImageInfo):
    with suppress(KeyError, ValueError):  # without the package imagecodecs it has few codecs
        return _tifffile(body, pixels, info)
    return _pillow(body, pixels, info) if pixels.dtype == np.uint8 else None


def _tifffile(body: bytes, pixels: np.ndarray, info: ImageInfo):
    with tifffile.TiffFile(io.BytesIO(body)) as file:
        page = file.pages[0]
        if len(page.databytecounts) != len(page.dataoffsets) or 0 in page.databytecounts:
            return None  # it takes them for empty
        if page.planarconfig not in {1, 2}:  # of another type: libtiff passes over it
            return None
        if page.photometric not in {1, 2} or page.tags.get(274) or page.dtype.kind not in "uf":
            return None
        if page.extrasamples and page.extrasamples[0] == 1:  # colours times alpha
            return None
        theirs = page.asarray()
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        theirs = np.moveaxis(theirs, 0, -1)
    theirs = theirs.reshape(*theirs.shape[:2], -1)[..., : info.samples]
    if page.bitspersample not in {8, 16, 32, 64}:
        return None
    return pixels, theirs.astype(pixels.dtype)


def _numpy(body: bytes, pixels: np.ndarray, info: ImageInfo):
    theirs = np.load(io.BytesIO(body), allow_pickle=False)
    if info.layout == "chw":
        theirs = np.moveaxis(theirs, 0, -1)
    theirs = theirs.reshape(pixels.shape) if theirs.ndim < 3 else theirs
    return pixels, theirs.astype(pixels.dtype)


def _text(body: bytes, pixels: np.ndarray, info: ImageInfo):
    theirs = np.loadtxt(io.BytesIO(body), delimiter="," if info.format == "csv" else None, ndmin=2)
    return pixels[..., 0], theirs


_ORACLES = {
    "tiff": _tiff,
    "npy": _numpy,
    "csv": _text,
    "txt": _text,
    **dict.fromkeys(("png", "jpeg", "webp", "gif", "bmp", "pgm", "ppm", "pbm", "pnm"), _pillow),
}
