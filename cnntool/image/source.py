"""Sources: the bytes of a picture, and what is known of it before its numbers are read.

The orientation is what cameras note (EXIF 2.3, tag 274; XMP, tiff:Orientation); a colour profile
is carried along (ICC.1:2022).
"""

from __future__ import annotations

import errno
import io
import os
import re
import struct
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from cnntool.errors import InputError
from cnntool.image.addresses import Address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

ITEM_SIZES = {"uint8": 1, "uint16": 2, "float32": 4, "float64": 8}
"""Bytes per sample of every type that a picture or a matrix may have."""

STRIP_BYTES = 1 << 20
"""A good size for a strip: large enough to forget Python, small enough for a cache."""

PEAKS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}
"""The value that stands for white, by sample type."""


_ROW_SHARE, _ROW_LEAST = 200, 1 << 16
"""What is worked on at once is some 250 rows: one may have this share of all allowed pixels."""


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

    def record(self) -> dict[str, Any]:
        """Describe it in stable keys, ready for JSON."""
        keys = ("format", "height", "width", "channels", "alpha", "dtype")
        return {key: getattr(self, key) for key in keys}


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


_IN_MEMORY = 1 << 28
"""Bytes of a pipe that are kept in memory."""

_DECODING = 1 << 30
"""Bytes that decoding may take whatever the limit of pixels is."""

HEAD = 4096
"""Bytes that are looked at to tell what a file is."""

_REASONS = {
    errno.ENOENT: "no such file",
    errno.EISDIR: "this is a folder",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "the file name is too long",
    errno.ENOTDIR: "no such file",
    errno.ELOOP: "too many symbolic links",
    errno.EMFILE: "too many open files",
}


class Source:
    """A readable source with its first bytes already seen.

    Parameters
    ----------
    target : Path, str, bytes, binary stream or Address
    name : str
        How errors call it.
    max_pixels : int
        Larger pictures are refused.
    allow_nan : bool
        Whether NaN and infinities may be among the numbers.
    layout : str, optional
        Axes of an array that has three, see `cnntool.image.files.open_reader`.
    strict : bool
        Whether damage that a decoder can get over is an error.

    Attributes
    ----------
    head : bytes
        The first bytes, at most `HEAD`.

    Raises
    ------
    InputError
        When it cannot be opened or read.
    """

    def __init__(
        self,
        target: Path | str | bytes | BinaryIO | Address,
        *,
        name: str,
        max_pixels: int,
        allow_nan: bool,
        layout: str | None = None,
        strict: bool = False,
    ) -> None:
        self.name = name
        self.layout = layout
        self.max_pixels = max_pixels
        self.allow_nan = allow_nan
        self.strict = strict
        self._owned = isinstance(target, (str, bytes, os.PathLike))
        with self.reading():
            if isinstance(target, (str, bytes, os.PathLike)):
                self._stream = cast("BinaryIO", open(target, "rb"))  # noqa: SIM115, PTH123
            elif isinstance(target, Address):
                self._stream, self._owned = cast("BinaryIO", target.open()), True
            else:
                self._stream = target
            self._seekable = self._stream.seekable() and self._stream.tell() == 0
            self.head = _read_up_to(self._stream, HEAD)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn the system's errors into `InputError`."""
        try:
            yield
        except InputError as error:  # of an address
            error.source = error.source or self.name
            raise
        except OSError as error:
            code = error.errno or 0
            reason = _REASONS.get(code) or (os.strerror(code).lower() if code else "cannot be read")
            raise self.error(reason) from error
        except ValueError as error:
            raise self.error("not a usable file name or stream") from error

    def error(self, reason: str, *, hint: str = "") -> InputError:
        """Return the error to raise for this source."""
        return InputError(reason, source=self.name, hint=hint)

    def check_size(self, height: int, width: int, samples: int = 1) -> None:
        """Refuse empty and overlarge pictures, from what their header says. See `oversize`."""
        if height < 1 or width < 1 or samples < 1:
            raise self.error(f"the picture is empty ({height} rows, {width} columns)")
        if reason := oversize(height, width, samples, self.max_pixels):
            raise self.error(reason, hint="`max_pixels` raises the limit")

    def check_memory(self, size: int) -> None:
        """Refuse what takes so many bytes to decode: more than 1 GiB for 100 megapixels."""
        limit = max(_DECODING, 10 * self.max_pixels)
        if size > limit:
            raise self.error(
                f"decoding it takes {size >> 20} MiB, over the limit of {limit >> 20}",
                hint="`max_pixels` raises the limit: 10 bytes for every pixel",
            )

    def file(self) -> BinaryIO:
        """Return the source as a file that can seek, at its first byte.

        A pipe is kept for that, at most 16 bytes for every allowed pixel; a long one on the disk.
        """
        if not self._seekable:
            with self.reading():
                kept = self._kept()
            self.close()
            self._stream, self._seekable, self._owned = kept, True, True
        self._stream.seek(0)
        return self._stream

    def body(self, size: int) -> bytes:
        """Return the first `size` bytes, or all if there are fewer."""
        with self.reading():
            return _read_up_to(self.file(), size)

    def _kept(self) -> BinaryIO:
        limit = 16 * self.max_pixels + (1 << 26)
        kept: Any = io.BytesIO()
        size = 0
        for piece in self.pieces(1 << 22):
            if size <= _IN_MEMORY < size + len(piece):
                from tempfile import TemporaryFile

                memory, kept = kept, TemporaryFile()  # noqa: SIM115
                kept.write(memory.getbuffer())
            size += len(piece)
            if size > limit:
                raise self.error(
                    f"the stream is over the limit of {limit} bytes",
                    hint="`max_pixels` raises the limit",
                )
            kept.write(piece)
        return cast("BinaryIO", kept)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Read what has not been read yet, from the first byte on. This can be done once.

        Parameters
        ----------
        size : int
            Bytes that are asked for at once.
        """
        yield self.head
        while True:
            with self.reading():
                piece = self._stream.read(size)
            if not piece:
                return
            yield piece

    def close(self) -> None:
        """Close what was opened here; a stream that was handed in stays open."""
        if self._owned:
            self._stream.close()


def _read_up_to(stream: IO[bytes], size: int) -> bytes:
    """Read `size` bytes, fewer only at the end: raw pipes hand out what they have.

    A reader allocates what it is asked for, so a header that lies must not ask for much at once.
    """
    pieces = []
    while size and (piece := stream.read(min(size, 1 << 22))):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
