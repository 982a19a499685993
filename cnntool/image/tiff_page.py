"""What the directory of a TIFF says of its first page, checked (TIFF 6.0)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .tiff_codecs import BYTE_CODECS, HORIZONTAL

if TYPE_CHECKING:
    from .source import Source

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
"""Photometric interpretations whose samples need no conversion of colours."""

ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of extra samples: alpha that the colours are multiplied by, or not."""

_ORIENTATION, _PROFILE = 274, 34675


class Page(NamedTuple):
    """The first page of a TIFF.

    Parameters
    ----------
    height, width : int
    samples : int
        Per pixel.
    bits : int
        Of the widest sample.
    dtype : dtype or None
        Of the samples as stored, with their byte order, where numpy has such a type.
    photometric, compression, predictor : int
    planar : bool
        Whether each sample has a plane of its own.
    tiled : bool
    block : tuple of int
        Rows and columns of a strip or tile.
    offsets, counts : tuple of int
        Where the strips or tiles are, and their bytes.
    extra : int
        Kind of the first extra sample, 0 where there is none.
    orientation : int
        1 to 8, see `cnntool.image.exif`.
    profile : bytes or None
    plain : bool
        Whether it can be decoded here: samples in whole bytes in a usual order.
    frames : int
        Pages in the file.
    """

    height: int
    width: int
    samples: int
    bits: int
    dtype: np.dtype[Any] | None
    photometric: int
    compression: int
    predictor: int
    planar: bool
    tiled: bool
    block: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    extra: int
    orientation: int
    profile: bytes | None
    plain: bool
    frames: int


def first_page(source: Source) -> Page:
    """Parse the directory with tifffile.

    Raises
    ------
    InputError
        When it makes no sense.
    """
    import tifffile

    # What it has to say about odd files would end up on stderr.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        tiff = tifffile.TiffFile(source.file())
        return _page(tiff.pages[0], len(tiff.pages), tiff.byteorder)
    except MemoryError as error:
        raise source.error("not enough memory for this picture") from error
    except Exception as error:
        raise source.error("damaged or truncated TIFF") from error


def _page(page: Any, frames: int, byteorder: Any) -> Page:
    height, width = int(page.imagelength), int(page.imagewidth)
    dtype: np.dtype[Any] | None = page.dtype
    compression, predictor = int(page.compression), int(page.predictor)
    turn, profile = (_value(page, tag) for tag in (_ORIENTATION, _PROFILE))
    tiled = bool(page.is_tiled)
    rows = min(int(page.rowsperstrip), height) or height
    plain = (
        page.photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB}
        and compression in BYTE_CODECS
        and 1 <= predictor <= HORIZONTAL + (dtype is not None and dtype.kind == "f")
        and dtype is not None
        and page.bitspersample == 8 * dtype.itemsize
        and page.fillorder == 1
        and page.imagedepth == 1
    )
    return Page(
        height=height,
        width=width,
        samples=int(page.samplesperpixel),
        bits=int(np.max(page.bitspersample)),
        dtype=None if dtype is None else dtype.newbyteorder(byteorder),
        photometric=int(page.photometric),
        compression=compression,
        predictor=predictor,
        planar=page.planarconfig == 2 and int(page.samplesperpixel) > 1,
        tiled=tiled,
        block=(int(page.tilelength), int(page.tilewidth)) if tiled else (rows, width),
        offsets=tuple(int(n) for n in page.dataoffsets),
        counts=tuple(int(n) for n in page.databytecounts),
        extra=int((*page.extrasamples, 0)[0]),
        orientation=turn if isinstance(turn, int) and 1 <= turn <= 8 else 1,
        profile=profile if isinstance(profile, bytes) else None,
        plain=plain,
        frames=frames,
    )


def _value(page: Any, tag: int) -> Any:
    found = page.tags.get(tag)
    return None if found is None else found.value
