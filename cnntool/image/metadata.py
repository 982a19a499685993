"""What a picture's file says beside its pixels: orientation and colour profile.

The orientation is what cameras note (EXIF 2.3, tag 274; XMP, tiff:Orientation); a profile is
carried along (ICC.1:2022).
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 274
_IN_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([1-8])\s*["'<]""")


def orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Return the orientation, 1 to 8; 1 where nothing says anything sensible.

    Parameters
    ----------
    exif : bytes
        A TIFF header and its first directory, with or without ``Exif`` and two zeros in front.
    xmp : bytes
        An XMP packet, which counts where `exif` says nothing.
    """
    return _in_exif(exif) or orientation_in_xmp(xmp)


def orientation_in_xmp(xmp: bytes) -> int:
    """Return the orientation, 1 to 8, from an XMP packet; 1 where it says nothing sensible."""
    found = _IN_XMP.search(xmp)
    return int(found[1]) if found else 1


def _in_exif(exif: bytes) -> int:
    """Return the orientation, 1 to 8, from an EXIF block; 0 where it says nothing sensible."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(order + "4xI", exif)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, start + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 0
    except struct.error:
        return 0
    return 0


def upright(pixels: NDArray[Any], code: int) -> NDArray[Any]:
    """Return a view of (height, width, samples) turned as orientation `code` asks.

    The codes name the sides that row 0 and column 0 of the file stand for: 1 top left,
    2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom,
    8 left bottom.
    """
    if code >= 5:
        pixels = pixels.swapaxes(0, 1)
    if code in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if code in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


PROFILE_LIMIT = 1 << 24
"""Longer profiles are taken for damage."""


def fitting_profile(profile: bytes | None, *, colour: bool) -> bytes | None:
    """Return a profile if it describes pixels of this kind, else None.

    Parameters
    ----------
    profile : bytes or None
    colour : bool
        RGB as opposed to grey.
    """
    if not profile or not 128 <= len(profile) <= PROFILE_LIMIT:
        return None
    return profile if profile[16:20] == (b"RGB " if colour else b"GRAY") else None
