"""TIFF directories: what one page of a file says of itself (TIFF 6.0, section 2).

Most files are of this kind, and importing tifffile takes longer than filtering one of them. What
is not plain beyond doubt is left to tifffile.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.image.codecs.tiff.compression import (
    BYTE_CODECS,
    HORIZONTAL,
    NO_COMPRESSION,
    UNPREDICTED,
)
from cnntool.image.source import PROFILE_LIMIT, orientation_in_xmp

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from cnntool.image.source import Source

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 273, 277, 278, 279
FILL_ORDER, ORIENTATION, PLANAR, PREDICTOR = 266, 274, 284, 317
EXTRA, FORMAT, XMP, PROFILE = 338, 339, 700, 34675

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_NUMBERS = {3: "H", 4: "I"}
_BYTES = {1, 7}
_UNDERSTOOD = {
    *(WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP),
    *(STRIP_COUNTS, FILL_ORDER, ORIENTATION, PLANAR, PREDICTOR, EXTRA, FORMAT),
}
# Kind of page, document, description, maker, model, resolution (3), page's name and number,
# software, date, artist, host, copyright: words that change no pixel.
_IDLE = {254, 269, 270, 271, 272, 282, 283, 285, 296, 297, 305, 306, 315, 316, 33432}
_MOST_STRIPS = 1 << 16


class Directory(NamedTuple):
    """What a plain TIFF says of its only page.

    Parameters
    ----------
    order : str
        ``"<"`` or ``">"``, as `struct` calls byte orders.
    numbers : dict
        The values of every tag that matters here.
    profile : bytes or None
        The colour profile.
    xmp : bytes
        The XMP packet; empty where there is none.
    """

    order: str
    numbers: dict[int, tuple[int, ...]]
    profile: bytes | None
    xmp: bytes

    def number(self, tag: int, default: int) -> int | None:
        """Return the value of a tag that must have just one, or `default` where it is absent."""
        values = self.numbers.get(tag, (default,))
        return values[0] if len(values) == 1 else None


def read_directory(source: Source) -> Directory | None:
    """Read the directory of a TIFF that is plain.

    Returns
    -------
    Directory or None
        None if there is a second page or a tag that is not known here, if the file is a BigTIFF, or
        if anything looks wrong.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    file = source.file()
    with source.reading():
        try:
            return _parsed(file)
        except (struct.error, _UnusualError):
            return None


class _UnusualError(Exception):
    """A directory that is not plain."""


def _parsed(file: BinaryIO) -> Directory:
    head = file.read(8)
    order = _ORDERS.get(head[:4])
    if order is None:
        raise _UnusualError
    (start,) = struct.unpack(order + "4xI", head)
    file.seek(start)
    (count,) = struct.unpack(order + "H", file.read(2))
    entries = file.read(12 * count)
    if file.read(4) != bytes(4):
        raise _UnusualError
    numbers: dict[int, tuple[int, ...]] = {}
    blocks: dict[int, bytes] = {}
    last = 0
    for tag, kind, many, place in struct.iter_unpack(order + "HHI4s", entries):
        if tag <= last:
            raise _UnusualError
        last = tag
        if tag in _UNDERSTOOD and kind in _NUMBERS and 1 <= many <= _MOST_STRIPS:
            layout = f"{order}{many}{_NUMBERS[kind]}"
            body = _stored_bytes(file, order, place, struct.calcsize(layout))
            numbers[tag] = struct.unpack(layout, body)
        elif tag in {XMP, PROFILE} and kind in _BYTES:
            blocks[tag] = _stored_bytes(file, order, place, many)
        elif tag not in _IDLE:
            raise _UnusualError
    return Directory(order, numbers, blocks.get(PROFILE), blocks.get(XMP, b""))


def _stored_bytes(file: BinaryIO, order: str, place: bytes, size: int) -> bytes:
    """Return the bytes of a value: they stand in its entry, or where that points."""
    if size <= len(place):
        return place[:size]
    if size > PROFILE_LIMIT:
        raise _UnusualError
    (offset,) = struct.unpack(order + "I", place)
    file.seek(offset)
    body = file.read(size)
    if len(body) < size:
        raise _UnusualError
    return body


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
        1 to 8, see `cnntool.image.source`.
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
    directory = read_directory(source)
    return (directory and plain_page(directory)) or page_by_tifffile(source)


def plain_page(directory: Directory) -> Page | None:
    """Make a page of a directory, if it is of uncompressed strips just as long as they must be.

    Returns
    -------
    Page or None
        None where a number is missing or is not what it should be.
    """
    numbers, number = directory.numbers, directory.number
    height, width = number(LENGTH, 0), number(WIDTH, 0)
    samples, rows = number(SAMPLES, 1), number(ROWS_PER_STRIP, height or 0)
    photometric = number(PHOTOMETRIC, -1)
    orientation = number(ORIENTATION, orientation_in_xmp(directory.xmp))
    bits, formats = numbers.get(BITS, (1,)), numbers.get(FORMAT, (_WHOLE,))
    settled = (COMPRESSION, PREDICTOR, PLANAR, FILL_ORDER)
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
    offsets, counts = numbers.get(STRIP_OFFSETS, ()), numbers.get(STRIP_COUNTS, ())
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
        extra=numbers.get(EXTRA, (0,))[0],
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
    turn, xmp, profile = (_value(page, tag) for tag in (ORIENTATION, XMP, PROFILE))
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
