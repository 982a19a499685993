"""What the directory of a TIFF says of its first page, checked (TIFF 6.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.image import tiff_directory as tags
from cnntool.image.metadata import orientation_in_xmp
from cnntool.image.tiff_codecs import BYTE_CODECS, HORIZONTAL, NO_COMPRESSION, UNPREDICTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnntool.image.source import Source
    from cnntool.image.tiff_directory import Directory

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
"""Photometric interpretations whose samples need no conversion of colours."""

ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of extra samples: alpha that the colours are multiplied by, or not."""

_WHOLE, _SIGNED, _FLOATING = 1, 2, 3
_KINDS = {_WHOLE: "u", _SIGNED: "i", _FLOATING: "f"}
_DTYPES = {
    (number, 8 * size): f"{kind}{size}"
    for number, kind in _KINDS.items()
    for size in ((2, 4, 8) if number == _FLOATING else (1, 2, 4))
}
"""Plain types by sample format and bits."""


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
        1 to 8, see `cnntool.image.metadata`.
    profile : bytes or None
    plain : bool
        Whether it can be decoded here: samples in whole bytes in a usual order, or `packed`.
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

    @property
    def packed(self) -> bool:
        """Whether samples of 9 to 15 bits follow each other without gaps."""
        return self.dtype is not None and self.dtype.str[1:] == "u2" and self.bits < 16


def first_page(source: Source) -> Page:
    """Parse the directory: here if it is plain, else with tifffile.

    Raises
    ------
    InputError
        When it makes no sense.
    """
    directory = tags.read_directory(source)
    return (directory and plain_page(directory)) or page_by_tifffile(source)


def plain_page(directory: Directory) -> Page | None:
    """Make a page of a directory, if it is of uncompressed strips just as long as they must be.

    Returns
    -------
    Page or None
        None where a number is missing or is not what it should be.
    """
    numbers, number = directory.numbers, directory.number
    height, width = number(tags.LENGTH, 0), number(tags.WIDTH, 0)
    samples, rows = number(tags.SAMPLES, 1), number(tags.ROWS_PER_STRIP, height or 0)
    photometric = number(tags.PHOTOMETRIC, -1)
    orientation = number(tags.ORIENTATION, orientation_in_xmp(directory.xmp))
    bits, formats = numbers.get(tags.BITS, (1,)), numbers.get(tags.FORMAT, (_WHOLE,))
    settled = (tags.COMPRESSION, tags.PREDICTOR, tags.PLANAR, tags.FILL_ORDER)
    if (
        not (height and width and samples and rows and orientation)
        or photometric not in {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB}
        or any(number(tag, 1) != 1 for tag in settled)
        or any(len(each) not in {1, samples} or len({*each}) > 1 for each in (bits, formats))
        or (formats[0], bits[0]) not in _DTYPES
    ):
        return None
    dtype = np.dtype(directory.order + _DTYPES[formats[0], bits[0]])
    rows = min(rows, height)
    row_bytes = width * samples * dtype.itemsize
    offsets, counts = numbers.get(tags.STRIP_OFFSETS, ()), numbers.get(tags.STRIP_COUNTS, ())
    tops = range(0, height, rows)
    if not len(tops) == len(offsets) == len(counts):
        return None
    if any(
        count != min(rows, height - top) * row_bytes
        for top, count in zip(tops, counts, strict=True)
    ):
        return None
    return Page(
        height=height,
        width=width,
        samples=samples,
        bits=bits[0],
        dtype=dtype,
        photometric=photometric,
        compression=NO_COMPRESSION,
        predictor=1,
        planar=False,
        tiled=False,
        block=(rows, width),
        offsets=offsets,
        counts=counts,
        extra=numbers.get(tags.EXTRA, (0,))[0],
        orientation=orientation if orientation <= 8 else 1,
        profile=directory.profile,
        plain=True,
        frames=1,
    )


def page_by_tifffile(source: Source) -> Page:
    """Parse any directory with tifffile. See `first_page`."""
    import logging

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
    compression = int(page.compression)
    predictor = 1 if compression in UNPREDICTED else int(page.predictor)
    turn, xmp, profile = (_value(page, tag) for tag in (tags.ORIENTATION, tags.XMP, tags.PROFILE))
    if not isinstance(turn, int) or not 1 <= turn <= 8:
        turn = orientation_in_xmp(xmp if isinstance(xmp, bytes) else b"")
    tiled = bool(page.is_tiled)
    rows = min(int(page.rowsperstrip), height) or height
    whole = dtype is not None and page.bitspersample == 8 * dtype.itemsize
    packed = page.bitspersample in range(9, 16) and dtype == np.uint16
    plain = (
        page.photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO, RGB}
        and compression in BYTE_CODECS
        and 1 <= predictor <= HORIZONTAL + (dtype is not None and dtype.kind == "f")
        and (whole or (packed and predictor == 1))
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
        offsets=_natural(page.dataoffsets),
        counts=_natural(page.databytecounts),
        extra=int((*page.extrasamples, 0)[0]),
        orientation=turn,
        profile=profile if isinstance(profile, bytes) else None,
        plain=plain,
        frames=frames,
    )


def _natural(numbers: Iterable[Any]) -> tuple[int, ...]:
    """Return offsets or counts, which a damaged tag may give as negative or as floats."""
    whole = tuple(int(number) for number in numbers)
    if min(whole, default=0) < 0:
        raise ValueError
    return whole


def _value(page: Any, tag: int) -> Any:
    found = page.tags.get(tag)
    return None if found is None else found.value
