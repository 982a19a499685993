"""What is known of a picture or a matrix before its numbers are read.

No numpy here: reading can start while numpy is still being imported.
"""

from __future__ import annotations

from typing import NamedTuple

ITEM_SIZES = {"uint8": 1, "uint16": 2, "float32": 4, "float64": 8}
"""Bytes per sample of every type that a picture or a matrix may have."""

STRIP_BYTES = 1 << 20
"""A good size for a strip: large enough to forget Python, small enough for a cache."""

PEAKS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}
"""The value that stands for white, by sample type."""


_ROW_SHARE, _ROW_LEAST = 64, 1 << 16
"""What is worked on at once is some rows: one may have this share of all allowed pixels."""


def oversize(height: int, width: int, samples: int, limit: int) -> str:
    """Say that a picture is over a limit of pixels; the empty text if it is not.

    A pixel may have up to four samples; every further four count as another pixel. Memory is taken
    by the row, so that a row may not have all pixels that the picture may have.
    """
    depth = -(-samples // 4)
    size = f"{height}x{width}" + (f"x{samples}" if samples > 4 else "")
    if height * width * depth > limit:
        return f"{size} is over the limit of {limit} pixels"
    row = max(limit // _ROW_SHARE, _ROW_LEAST)
    if width * depth > row:
        return f"{size} is over the limit of {row} pixels for one row"
    return ""


class ImageInfo(NamedTuple):
    """Shape and nature of a picture or a matrix.

    Parameters
    ----------
    height, width : int
        Rows and columns.
    channels : int
        Colour channels, alpha not counted: 1 or 3 for pictures, any number for arrays.
    dtype : str
        A key of `ITEM_SIZES`.
    alpha : bool
        Whether an alpha sample follows the colour channels of every pixel.
    format : str
        A key of ``FORMATS`` in `cnntool.image.files`.
    matrix : bool
        Raw numbers (text, ``.npy``) as opposed to a picture on the scale 0..`peak`.
    frames : int
        Frames or pages of the file. Only the first is read.
    icc : bytes, optional
        Colour profile, where it fits the colours that are handed out.
    notes : tuple of str
        Things worth telling: one line each.
    layout : str
        Axes of a ``.npy`` array: ``"hw"``, ``"hwc"`` or ``"chw"``. Strips are always (h, W, C).
    """

    height: int
    width: int
    channels: int = 1
    dtype: str = "uint8"
    alpha: bool = False
    format: str = "png"
    matrix: bool = False
    frames: int = 1
    icc: bytes | None = None
    notes: tuple[str, ...] = ()
    layout: str = "hwc"

    @property
    def peak(self) -> float:
        """The value that stands for white: 255, 65535 or 1."""
        return PEAKS[self.dtype]

    @property
    def samples(self) -> int:
        """Numbers per pixel: colour channels and alpha."""
        return self.channels + self.alpha

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the whole array: (height, width, samples)."""
        return self.height, self.width, self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels."""
        return self.width * self.samples * ITEM_SIZES[self.dtype]

    @property
    def strip_rows(self) -> int:
        """A good number of rows for a strip: about `STRIP_BYTES`."""
        return min(self.height, max(1, STRIP_BYTES // self.row_bytes))
