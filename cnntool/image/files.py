"""Open pictures and matrices for reading and writing, whatever their format."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cnntool.errors import OutputError, UsageError
from cnntool.image.atomic import Output
from cnntool.image.formats import FORMATS, Format
from cnntool.image.reader import Reader
from cnntool.image.source import Source
from cnntool.image.types import ImageInfo
from cnntool.image.writer import Encoded, Settings, Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FORMATS",
    "Encoded",
    "Format",
    "ImageInfo",
    "Reader",
    "Writer",
    "format_of",
    "open_reader",
    "open_writer",
    "read_image",
    "write_image",
]

_STRANGERS = (
    (rb"\s*(<!doctype html|<html|<head|<script)", "this is a web page, not a picture"),
    (rb"version https://git-lfs", "this is a Git LFS pointer; the picture itself was not fetched"),
    (rb"\s*(<\?xml|<svg)", "this is XML or SVG, which is not supported"),
    (rb"%PDF|%!PS", "this is a PDF or PostScript document, not a picture"),
    (rb"....ftyp(avif|avis)", "AVIF is not supported"),
    (rb"....ftyp", "HEIF pictures and films are not supported"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL is not supported"),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "JPEG 2000 is not supported"),
    (rb"8BPS", "Photoshop files are not supported"),
    (rb"v/1\x01", "OpenEXR is not supported"),
    (rb"P7\s", "PAM is not supported"),
    (
        rb"PK\x03\x04|\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf",
        "this is a compressed archive, not a picture",
    ),
    (rb"\x89HDF|SIMPLE  =", "scientific containers (HDF5, FITS) are not supported"),
    (rb"\xff\xfe|\xfe\xff", "this is text in UTF-16; save it as UTF-8"),
)
_TEXT = re.compile(rb"(\xef\xbb\xbf)?[\t\n\r\f\x20-\x7e]*(#.*)?", re.DOTALL)
_NUMERIC = re.compile(
    rb"(\xef\xbb\xbf)?\s*(#[^\n]*\n\s*)*[-+.\d,;]|\s*[-+]?(nan|inf(inity)?)\b", re.IGNORECASE
)


def open_reader(
    source: Path | str | bytes | BinaryIO,
    *,
    name: str,
    max_pixels: int = 100_000_000,
    allow_nan: bool = False,
    layout: str | None = None,
    strict: bool = False,
) -> Reader:
    """Open a picture or a matrix; its content, not its name, tells the format.

    Parameters
    ----------
    source : Path, str, bytes or binary stream
        A file, or a stream such as ``sys.stdin.buffer``, which stays open.
    name : str
        How errors call it.
    max_pixels : int
        Larger pictures are refused before they are decoded.
    allow_nan : bool
        Whether NaN and infinities may be among the numbers.
    layout : {'chw', 'hwc', 'auto'}, optional
        Axes of a ``.npy`` array that has three; by default a guess from its shape, of which
        ``auto`` has a note where it may be wrong.
    strict : bool
        Whether damage that a decoder can get over is an error. If it is not, it is among the
        reader's ``info.notes`` once the pixels have been read.

    Returns
    -------
    Reader
        A context manager.

    Raises
    ------
    InputError
        When it cannot be opened, is none of `FORMATS`, is damaged or too large.
    """
    opened = Source(
        source,
        name=name,
        max_pixels=max_pixels,
        allow_nan=allow_nan,
        strict=strict,
        layout=layout,
    )
    try:
        reader = _row(opened).reader()(opened)
    except BaseException:
        opened.close()
        raise
    if reader.info.frames > 1:
        note = f"only the first of {reader.info.frames} frames or pages is read"
        reader.info = reader.info._replace(notes=(*reader.info.notes, note))
    return reader


def _row(source: Source) -> Format:
    """Tell the format from the first bytes."""
    head = source.head
    if not head:
        raise source.error("the file is empty")
    for row in FORMATS.values():
        if row.magic and re.match(row.magic, head, re.DOTALL):
            return row
    for pattern, reason in _STRANGERS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            raise source.error(reason)
    if not _TEXT.fullmatch(head) or b"\0" in head:
        raise source.error("not a picture or a matrix of a known format")
    if not _NUMERIC.match(head) and "." + source.name.rpartition(".")[2].lower() not in (
        FORMATS["csv"].suffixes + FORMATS["txt"].suffixes
    ):
        raise source.error("this is text, neither a picture nor a matrix")
    return FORMATS["txt"]


def format_of(path: Path | str | bytes) -> Format:
    """Return the format that a file name's suffix stands for.

    Raises
    ------
    OutputError
        When the suffix stands for none.
    """
    suffix = Path(os.fsdecode(path)).suffix.lower()
    for row in FORMATS.values():
        if suffix in row.suffixes:
            return row
    raise OutputError(
        f"no format is known by the suffix '{suffix}'" if suffix else "the name has no suffix",
        source=os.fsdecode(path),
        hint="`format` names one: " + ", ".join(FORMATS),
    )


def open_writer(
    target: Path | str | bytes | BinaryIO,
    info: ImageInfo,
    *,
    name: str,
    format: str | None = None,  # noqa: A002
    compression: int | None = None,
    quality: int = 95,
    overwrite: bool = False,
) -> Writer:
    """Begin to write a picture or a matrix.

    Parameters
    ----------
    target : Path, str, bytes or binary stream
        A file, which appears only when complete, or a stream such as ``sys.stdout.buffer``.
    info : ImageInfo
        What will be written; profile and layout included.
    name : str
        How errors call it.
    format : str, optional
        A key of `FORMATS`; by default ``info.format``.
    compression : int, optional
        0 (none) to 9 (smallest) where the format is compressed without loss; by default whatever is
        fastest.
    quality : int
        Of JPEG, 1 to 100.
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Writer
        A context manager; leaving it by an exception leaves nothing behind.

    Raises
    ------
    OutputError
        When the format cannot hold the picture, or the target cannot be written.
    """
    if compression is not None and not 0 <= compression <= 9:
        raise UsageError("compression goes from 0 to 9", source="`compression`")
    if not 1 <= quality <= 100:
        raise UsageError("quality goes from 1 to 100", source="`quality`")
    info = info._replace(format=format or info.format)
    row = FORMATS[info.format]
    _check_fits(row, info, name)
    output = Output(target, name=name, overwrite=overwrite)
    try:
        return row.writer()(output, info, Settings(compression, quality))
    except BaseException:
        output.discard()
        raise


def _check_fits(row: Format, info: ImageInfo, name: str) -> None:
    reason = ""
    if info.alpha and not row.alpha:
        reason = "no alpha channel"
    elif info.dtype not in row.dtypes:
        reason = f"no {info.dtype} samples"
    elif row.channels is not None and info.channels not in row.channels:
        reason = f"no {info.channels} colour channels"
    if reason:
        hint = "use .npy" if row.matrix or info.channels not in {1, 3} else "use .png"
        if info.dtype.startswith("float") and not row.matrix:
            hint = "use .tif or .npy"
        raise OutputError(f"{row.name.upper()} holds {reason}", source=name, hint=hint)


def read_image(
    source: Path | str | bytes | BinaryIO,
    *,
    name: str,
    max_pixels: int = 100_000_000,
    allow_nan: bool = False,
    strict: bool = False,
) -> tuple[NDArray[Any], ImageInfo]:
    """Read a whole picture or matrix. See `open_reader`.

    Returns
    -------
    pixels : ndarray of shape (height, width, samples)
    info : ImageInfo
    """
    with open_reader(
        source, name=name, max_pixels=max_pixels, allow_nan=allow_nan, strict=strict
    ) as reader:
        return reader.read(), reader.info


def write_image(
    target: Path | str | bytes | BinaryIO,
    pixels: NDArray[Any],
    info: ImageInfo,
    *,
    name: str,
    format: str | None = None,  # noqa: A002
    compression: int | None = None,
    quality: int = 95,
    overwrite: bool = False,
) -> None:
    """Write a whole picture or matrix of shape (height, width, samples). See `open_writer`."""
    with open_writer(
        target,
        info,
        name=name,
        format=format,
        compression=compression,
        quality=quality,
        overwrite=overwrite,
    ) as writer:
        rows = info.strip_rows
        for top in range(0, info.height, rows):
            writer.write(pixels[top : top + rows])
