"""Opening pictures and matrices by their format: one row of a table for each format."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from cnntool.errors import CnntoolError, OutputError, UsageError
from cnntool.image.atomic import Output
from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings
from cnntool.image.source import ImageInfo, Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class OpenReader(Protocol):
    """How a format begins to read."""

    def __call__(self, source: Source, /) -> Reader:
        """Return a reader, or raise `InputError`."""


class OpenWriter(Protocol):
    """How a format begins to write."""

    def __call__(self, output: Output, info: ImageInfo, settings: WriterSettings, /) -> Writer:
        """Return a writer, or raise `OutputError`."""


class Format(NamedTuple):
    """What a file format can hold, and who reads and writes it.

    Parameters
    ----------
    name : str
        What a format is asked for by.
    suffixes : tuple of str
        With the dot, in lower case; the first one is used for new names.
    magic : bytes
        Regular expression that the first bytes match; empty for text, which has none.
    dtypes : tuple of str
        Sample types that can be written.
    channels : tuple of int, optional
        Numbers of colour channels that can be written; None for any.
    alpha : bool
        Whether alpha can be written.
    lossless : bool
        Whether pixels come back as they were written.
    binary : bool
        Whether it would upset a terminal.
    matrix : bool
        Raw numbers, as opposed to a picture on the scale 0..peak.
    reader, writer : callable
        Import and return the functions that open a source and begin an output.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    dtypes: tuple[str, ...]
    channels: tuple[int, ...] | None
    alpha: bool
    reader: Callable[[], OpenReader]
    writer: Callable[[], OpenWriter]
    lossless: bool = True
    binary: bool = True
    matrix: bool = False


def _png_reader() -> OpenReader:
    from cnntool.image.codecs.png.read import open_reader

    return open_reader


def _png_writer() -> OpenWriter:
    from cnntool.image.codecs.png.write import PngWriter

    return PngWriter


def _tiff_reader() -> OpenReader:
    from cnntool.image.codecs.tiff.read import open_reader

    return open_reader


def _tiff_writer() -> OpenWriter:
    from cnntool.image.codecs.tiff.write import open_writer

    return open_writer


def _pnm_reader() -> OpenReader:
    from cnntool.image.codecs.pnm import open_reader

    return open_reader


def _pnm_writer() -> OpenWriter:
    from cnntool.image.codecs.pnm import PnmWriter

    return PnmWriter


def _pfm_reader() -> OpenReader:
    from cnntool.image.codecs.pfm import open_reader

    return open_reader


def _pfm_writer() -> OpenWriter:
    from cnntool.image.codecs.pfm import PfmWriter

    return PfmWriter


def _npy_reader() -> OpenReader:
    from cnntool.image.codecs.npy import open_reader

    return open_reader


def _npy_writer() -> OpenWriter:
    from cnntool.image.codecs.npy import NpyWriter

    return NpyWriter


def _text_reader() -> OpenReader:
    from cnntool.image.codecs.text import open_reader

    return open_reader


def _text_writer() -> OpenWriter:
    from cnntool.image.codecs.text import TextWriter

    return TextWriter


def _jpeg_reader() -> OpenReader:
    from cnntool.image.codecs.jpeg import open_reader

    return open_reader


def _pillow_reader(name: str) -> Callable[[], OpenReader]:
    def load() -> OpenReader:
        from functools import partial

        from cnntool.image.codecs.pillow import open_reader

        return partial(open_reader, kind=name)

    return load


def _pillow_writer() -> OpenWriter:
    from cnntool.image.codecs.pillow import PillowWriter

    return PillowWriter


_NUMBERS = ("float64", "float32", "uint16", "uint8")


def _registry(*rows: Format) -> dict[str, Format]:
    """Index rows by name, none of which may repeat, nor may a suffix."""
    suffixes = [suffix for row in rows for suffix in row.suffixes]
    formats = {row.name: row for row in rows}
    if len(formats) != len(rows) or len(set(suffixes)) != len(suffixes):
        raise CnntoolError("a format or a suffix is listed twice")
    return formats


FORMATS = _registry(
    Format(
        name="png",
        suffixes=(".png",),
        magic=rb"\x89PNG\r\n\x1a\n",
        dtypes=("uint8", "uint16"),
        channels=(1, 3),
        alpha=True,
        reader=_png_reader,
        writer=_png_writer,
    ),
    Format(
        name="jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        magic=rb"\xff\xd8\xff",
        dtypes=("uint8",),
        channels=(1, 3),
        alpha=False,
        lossless=False,
        reader=_jpeg_reader,
        writer=_pillow_writer,
    ),
    Format(
        name="tiff",
        suffixes=(".tif", ".tiff"),
        magic=rb"II[*+]\0|MM\0[*+]",
        dtypes=("uint8", "uint16", "float32", "float64"),
        channels=(1, 3),
        alpha=True,
        reader=_tiff_reader,
        writer=_tiff_writer,
    ),
    Format(
        name="webp",
        suffixes=(".webp",),
        magic=rb"RIFF....WEBP",
        dtypes=("uint8",),
        channels=(1, 3),
        alpha=True,
        reader=_pillow_reader("webp"),
        writer=_pillow_writer,
    ),
    Format(
        name="gif",
        suffixes=(".gif",),
        magic=rb"GIF8[79]a",
        dtypes=("uint8",),
        channels=(1,),
        alpha=False,
        reader=_pillow_reader("gif"),
        writer=_pillow_writer,
    ),
    Format(
        name="bmp",
        suffixes=(".bmp", ".dib"),
        magic=rb"BM",
        dtypes=("uint8",),
        channels=(1, 3),
        alpha=False,
        reader=_pillow_reader("bmp"),
        writer=_pillow_writer,
    ),
    Format(
        name="pnm",
        suffixes=(".pnm", ".pgm", ".ppm", ".pbm"),
        magic=rb"P[1-6][\s#]",
        dtypes=("uint8", "uint16"),
        channels=(1, 3),
        alpha=False,
        reader=_pnm_reader,
        writer=_pnm_writer,
    ),
    Format(
        name="pfm",
        suffixes=(".pfm",),
        magic=rb"P[Ff]\s",
        dtypes=("float32",),
        channels=(1, 3),
        alpha=False,
        reader=_pfm_reader,
        writer=_pfm_writer,
    ),
    Format(
        name="npy",
        suffixes=(".npy",),
        magic=rb"\x93NUMPY",
        dtypes=_NUMBERS,
        channels=None,
        alpha=True,
        matrix=True,
        reader=_npy_reader,
        writer=_npy_writer,
    ),
    Format(
        name="csv",
        suffixes=(".csv",),
        magic=b"",
        dtypes=_NUMBERS,
        channels=(1,),
        alpha=False,
        binary=False,
        matrix=True,
        reader=_text_reader,
        writer=_text_writer,
    ),
    Format(
        name="txt",
        suffixes=(".txt", ".tsv", ".dat"),
        magic=b"",
        dtypes=_NUMBERS,
        channels=(1,),
        alpha=False,
        binary=False,
        matrix=True,
        reader=_text_reader,
        writer=_text_writer,
    ),
)
"""Every format, by name."""


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
        return row.writer()(output, info, WriterSettings(compression, quality))
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
