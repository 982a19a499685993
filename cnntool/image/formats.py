"""The formats that are read and written: one row each.

Nothing is imported before a format is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from cnntool.errors import CnntoolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.image.atomic import Output
    from cnntool.image.reader import Reader
    from cnntool.image.source import Source
    from cnntool.image.types import ImageInfo
    from cnntool.image.writer import Settings, Writer


class OpenReader(Protocol):
    """How a format begins to read."""

    def __call__(self, source: Source, /) -> Reader:
        """Return a reader, or raise `InputError`."""


class OpenWriter(Protocol):
    """How a format begins to write."""

    def __call__(self, output: Output, info: ImageInfo, settings: Settings, /) -> Writer:
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
    from cnntool.image.png_read import open_reader

    return open_reader


def _png_writer() -> OpenWriter:
    from cnntool.image.png_write import PngWriter

    return PngWriter


def _tiff_reader() -> OpenReader:
    from cnntool.image.tiff_read import open_reader

    return open_reader


def _tiff_writer() -> OpenWriter:
    from cnntool.image.tiff_write import open_writer

    return open_writer


def _pnm_reader() -> OpenReader:
    from cnntool.image.pnm import open_reader

    return open_reader


def _pnm_writer() -> OpenWriter:
    from cnntool.image.pnm import PnmWriter

    return PnmWriter


def _pfm_reader() -> OpenReader:
    from cnntool.image.pfm import open_reader

    return open_reader


def _pfm_writer() -> OpenWriter:
    from cnntool.image.pfm import PfmWriter

    return PfmWriter


def _npy_reader() -> OpenReader:
    from cnntool.image.npy import open_reader

    return open_reader


def _npy_writer() -> OpenWriter:
    from cnntool.image.npy import NpyWriter

    return NpyWriter


def _text_reader() -> OpenReader:
    from cnntool.image.text import open_reader

    return open_reader


def _text_writer() -> OpenWriter:
    from cnntool.image.text import TextWriter

    return TextWriter


def _jpeg_reader() -> OpenReader:
    from cnntool.image.jpeg_read import open_reader

    return open_reader


def _pillow_reader(name: str) -> Callable[[], OpenReader]:
    def load() -> OpenReader:
        from functools import partial

        from cnntool.image.pillow import open_reader

        return partial(open_reader, kind=name)

    return load


def _pillow_writer() -> OpenWriter:
    from cnntool.image.pillow import PillowWriter

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
