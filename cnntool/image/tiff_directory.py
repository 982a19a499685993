"""Read the directory of a plain TIFF: one page, nothing out of the ordinary (TIFF 6.0, section 2).

Most files are of this kind, and importing tifffile takes longer than filtering one of them. What
is not plain beyond doubt is left to tifffile.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from cnntool.image import metadata

if TYPE_CHECKING:
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
            body = _value(file, order, place, struct.calcsize(layout))
            numbers[tag] = struct.unpack(layout, body)
        elif tag in {XMP, PROFILE} and kind in _BYTES:
            blocks[tag] = _value(file, order, place, many)
        elif tag not in _IDLE:
            raise _UnusualError
    return Directory(order, numbers, blocks.get(PROFILE), blocks.get(XMP, b""))


def _value(file: BinaryIO, order: str, place: bytes, size: int) -> bytes:
    """Return the bytes of a value: they stand in its entry, or where that points."""
    if size <= len(place):
        return place[:size]
    if size > metadata.PROFILE_LIMIT:
        raise _UnusualError
    (offset,) = struct.unpack(order + "I", place)
    file.seek(offset)
    body = file.read(size)
    if len(body) < size:
        raise _UnusualError
    return body
