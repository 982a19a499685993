"""Files of pictures and matrices: formats, a row of a table for each, and what folders hold."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast, overload

from cnntool.errors import CnntoolError, InputError, OutputError, UsageError
from cnntool.image.addresses import Address, is_address
from cnntool.image.atomic import Output
from cnntool.image.codecs.codec import Reader, Writer, WriterSettings
from cnntool.image.source import ImageInfo, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Walk = Callable[[Path], Iterable["_Folder"]]


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
    reader, writer : str
        Module and function in `cnntool.image.codecs`, imported when they are needed: given a
        `Source`, an opened `Reader`; given an `Output`, an `ImageInfo` and `WriterSettings`, a
        `Writer`.
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
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    reader: str
    writer: str
    dtypes: tuple[str, ...] = ("uint8",)
    channels: tuple[int, ...] | None = (1, 3)
    alpha: bool = False
    lossless: bool = True
    binary: bool = True
    matrix: bool = False

    def open_reader(self, source: Source) -> Reader:
        """Return a reader, or raise `InputError`."""
        reader: Reader = _codec(self.reader)(source)
        return reader

    def open_writer(self, output: Output, info: ImageInfo, settings: WriterSettings) -> Writer:
        """Return a writer, or raise `OutputError`."""
        writer: Writer = _codec(self.writer)(output, info, settings)
        return writer


@cache
def _codec(name: str) -> Any:
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"cnntool.image.codecs.{module}"), function)


def _registry(*rows: Format) -> dict[str, Format]:
    """Index rows by name, none of which may repeat, nor may a suffix."""
    suffixes = [suffix for row in rows for suffix in row.suffixes]
    formats = {row.name: row for row in rows}
    if len(formats) != len(rows) or len(set(suffixes)) != len(suffixes):
        raise CnntoolError("a format or a suffix is listed twice")
    return formats


_NUMBERS = ("float64", "float32", "uint16", "uint8")
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_PNM = (".pnm", ".pgm", ".ppm", ".pbm")
_BY_PILLOW = "pillow.PillowWriter"
_TABLE = ("text.open_reader", "text.TextWriter", _NUMBERS, (1,))

FORMATS = _registry(
    Format(
        "png", (".png",), rb"\x89PNG\r\n\x1a\n", "png.read.open_reader", "png.write.PngWriter",
        dtypes=("uint8", "uint16"), alpha=True,
    ),
    Format("jpeg", _JPEG, rb"\xff\xd8\xff", "jpeg.open_reader", _BY_PILLOW, lossless=False),
    Format(
        "tiff", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", "tiff.read.open_reader",
        "tiff.write.open_writer", dtypes=_NUMBERS[::-1], alpha=True,
    ),
    Format("webp", (".webp",), rb"RIFF....WEBP", "pillow.open_webp", _BY_PILLOW, alpha=True),
    Format("gif", (".gif",), rb"GIF8[79]a", "pillow.open_gif", _BY_PILLOW, channels=(1,)),
    Format("bmp", (".bmp", ".dib"), rb"BM", "pillow.open_bmp", _BY_PILLOW),
    Format(
        "pnm", _PNM, rb"P[1-6][\s#]", "pnm.open_reader", "pnm.PnmWriter", dtypes=("uint8", "uint16")
    ),
    Format(
        "pfm", (".pfm",), rb"P[Ff]\s", "pfm.open_reader", "pfm.PfmWriter", dtypes=("float32",)
    ),
    Format(
        "npy", (".npy",), rb"\x93NUMPY", "npy.open_reader", "npy.NpyWriter", dtypes=_NUMBERS,
        channels=None, alpha=True, matrix=True,
    ),
    Format("csv", (".csv",), b"", *_TABLE, binary=False, matrix=True),
    Format("txt", (".txt", ".tsv", ".dat"), b"", *_TABLE, binary=False, matrix=True),
)  # fmt: skip
"""Every format, by name."""


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
        reader = _row(opened).open_reader(opened)
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
    if suffix == ".svg":
        raise OutputError(
            "SVG is for drawn figures, and this is a picture of pixels",
            source=os.fsdecode(path),
            hint="write .png",
        )
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
        return row.open_writer(output, info, WriterSettings(compression, quality))
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
    source: Path | str | bytes | BinaryIO, *, name: str, **limits: Any
) -> tuple[NDArray[Any], ImageInfo]:
    """Read a whole picture or matrix; ``limits`` are those of `open_reader`.

    Returns
    -------
    pixels : ndarray of shape (height, width, samples)
    info : ImageInfo
    """
    with open_reader(source, name=name, **limits) as reader:
        return reader.read(), reader.info


def write_image(
    target: Path | str | bytes | BinaryIO,
    pixels: NDArray[Any],
    info: ImageInfo,
    *,
    name: str,
    **how: Any,
) -> None:
    """Write a whole picture or matrix of shape (height, width, samples); see `open_writer`."""
    with open_writer(target, info, name=name, **how) as writer:
        for top in range(0, info.height, info.strip_rows):
            writer.write(pixels[top : top + info.strip_rows])


STDIO = "-"


class Item(NamedTuple):
    """One input: its path (None for stdin), its name for messages, its place under a folder.

    An input that could not even be listed carries the ``error`` to report in its place.
    """

    path: Path | None
    name: str
    relative: Path
    error: InputError | None = None


class Listed(Sequence[Path]):
    """Inputs that a list names; their results keep the tree below the folder that all share.

    There may be many: it is their names that are kept. What is behind an address (`Address`) is
    named by that alone.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        queried = (name for name in set(self._names) if "?" in name and is_address(name))
        shown = Counter(str(Address(name)) for name in queried)
        self._alike = {name for name, count in shown.items() if count > 1}

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> Listed: ...
    def __getitem__(self, place: int | slice) -> Path | Listed:
        if isinstance(place, slice):
            return Listed(self._names[place])
        name = self._names[place]
        if not is_address(name):
            return Path(name)
        address = Address(name)
        alike = str(address) in self._alike
        return cast("Path", Address(name, apart=True) if alike else address)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def has_addresses(self) -> bool:
        """Whether some are addresses."""
        return any(map(is_address, self._names))

    @property
    def folder(self) -> str:
        """The folder that all share; empty where there are none."""
        names = (name for name in self._names if not is_address(name))
        folders = {os.path.dirname(os.path.abspath(name)) for name in names}  # noqa: PTH100, PTH120
        return os.path.commonpath(folders) if folders else ""


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder; of one that cannot be looked at, no."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where it may not look


def expand(
    inputs: Sequence[Path],
    *,
    recursive: bool,
    results: Path | None = None,
    matrices: bool = True,
) -> Expanded:
    """Return the files that the inputs stand for; folders give theirs in sorted order.

    A file's place is its name; of a list (`Listed`) it is that below the folder that all share.
    Of a folder, the files with a known suffix are taken, hidden ones not; with ``recursive`` those
    of its folders too, but not ``results``, where the command writes; matrices only if wanted.
    Links to folders are not followed. A folder with no picture in it, or one that cannot be read,
    gives an item with an error; so does what is no file in it, such as a pipe, for which one might
    wait forever. How many there are is known, unless a tree of folders is walked through.
    """
    walk = partial(_walk, recursive=recursive, results=results, matrices=matrices)
    return Expanded(inputs, walk, recursive=recursive)


class Expanded:
    """The files that inputs stand for, see `expand`.

    Items are made as one goes through them: only the names in the folders that were named are kept,
    as they were at the beginning. With ``recursive``, folders are read when it is their turn.

    Attributes
    ----------
    listed : bool
        Whether a list named the inputs.
    """

    def __init__(self, inputs: Sequence[Path], walk: Walk, *, recursive: bool) -> None:
        self._inputs, self._walk, self._recursive = inputs, walk, recursive
        self.listed = isinstance(inputs, Listed)
        self._base = inputs.folder if isinstance(inputs, Listed) else None
        self._found: dict[int, list[_Folder]] = {}
        if not recursive:
            folders = ((place, path) for place, path in enumerate(inputs) if _is_listed(path))
            self._found = {place: list(walk(path)) for place, path in folders}

    def __length_hint__(self) -> int:
        if self._recursive:
            return 0  # nobody knows
        found = (one.pictures + len(one.faults) for some in self._found.values() for one in some)
        return len(self._inputs) - len(self._found) + sum(found)

    def __iter__(self) -> Iterator[Item]:
        for path, folders in self._parts():
            if folders is None:
                stdin = str(path) == STDIO
                place = Path(self._place(path))
                yield Item(None, "<stdin>", place) if stdin else Item(path, str(path), place)
                continue
            for folder in folders:
                for name in folder.each():
                    file = Path(folder.root, name)
                    if _is_special(file):
                        fault = _bad(file, "no regular file")
                        yield fault._replace(relative=file.relative_to(path))
                    else:
                        yield Item(file, str(file), file.relative_to(path))
                yield from folder.faults

    def places(self) -> Iterator[str]:
        """Yield the `Item.relative` of each, without a look at the files."""
        for path, folders in self._parts():
            if folders is None:
                yield self._place(path)
                continue
            for folder in folders:
                inside = os.path.relpath(folder.root, path)
                for name in folder.each():
                    yield name if inside == os.curdir else os.path.join(inside, name)  # noqa: PTH118

    def _parts(self) -> Iterator[tuple[Path, Iterable[_Folder] | None]]:
        """Yield what was named, with what is in it if it is a folder."""
        for number, path in enumerate(self._inputs):
            if self._recursive:
                yield path, self._walk(path) if _is_listed(path) else None
            else:
                yield path, self._found.get(number)

    def _place(self, path: Path) -> str:
        if str(path) == STDIO:
            return "stdin"
        if isinstance(path, Address):
            return path.place
        return path.name if self._base is None else os.path.relpath(path, self._base)


class _Folder(NamedTuple):
    """What is in a folder: its pictures in order, and what is wrong with it.

    There may be many, so their names are one text, each ended by a zero.
    """

    root: str
    names: str = ""
    pictures: int = 0
    faults: Sequence[Item] = ()

    def each(self) -> Iterator[str]:
        """Yield the names."""
        return (found[1] for found in re.finditer("([^\0]+)\0", self.names))


def _is_listed(path: Path) -> bool:
    return not isinstance(path, Address) and str(path) != STDIO and is_folder(path)


def _walk(
    folder: Path, *, recursive: bool, results: Path | None, matrices: bool
) -> Iterator[_Folder]:
    rows = [row for row in FORMATS.values() if matrices or not row.matrix]
    suffixes = tuple(suffix for row in rows for suffix in row.suffixes)
    skipped = results.resolve() if results else None
    unreadable: list[OSError] = []
    found = deeper = False
    for root, folders, files in os.walk(folder, onerror=unreadable.append):
        deeper |= bool(folders)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and Path(root, name).resolve() != skipped
        )
        names = sorted(name for name in files if _is_picture(name, suffixes))
        found |= bool(names)
        yield _Folder(root, "".join(f"{name}\0" for name in names), len(names))
    faults = [
        _bad(Path(error.filename), (error.strerror or "cannot be read").lower())
        for error in unreadable
    ]
    if not found and not unreadable:
        hint = "`recursive` looks into its folders too" if deeper and not recursive else ""
        what = "pictures or matrices" if matrices else "pictures"
        faults.append(_bad(folder, f"no {what} in this folder", hint))
    yield _Folder(str(folder), faults=faults)


def _is_picture(name: str, suffixes: tuple[str, ...]) -> bool:
    return not name.startswith(".") and name.lower().endswith(suffixes)


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # the reader will say what is wrong
        return False


def _bad(folder: Path, reason: str, hint: str = "") -> Item:
    error = InputError(reason, source=str(folder), hint=hint)
    return Item(None, str(folder), Path(folder.name), error)


def files_of(images: str | os.PathLike[str] | Sequence[Any]) -> Sequence[Any]:
    """List the pictures that a folder holds, or the one file; a list of any is as it is.

    Raises
    ------
    InputError
        There are none, or the folder cannot be read.
    """
    if not isinstance(images, (str, os.PathLike)):
        return images
    found = []
    for item in expand([Path(images)], recursive=False, matrices=False):
        if item.error is not None:
            raise item.error
        found.append(item.path or Path(item.name))
    return found
