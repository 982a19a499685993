"""Read and write matrices as text: CSV, or numbers with spaces between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cnntool.image.codecs.codec import Encoded, Reader, Writer, WriterSettings, rechunked
from cnntool.image.source import ImageInfo
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.image.atomic import Output
    from cnntool.image.source import Source

_LIMIT, _LINE_LIMIT = 1 << 28, 1 << 24
_PIECE = 1 << 18
_BOM = b"\xef\xbb\xbf"

Rows = NDArray[np.float64]


def open_reader(source: Source) -> Reader:
    """Open a matrix in text. See `cnntool.image.files.open_reader`.

    Rows end at a line's end or at ``;``. Numbers are separated by commas or white space. Empty
    lines and everything after ``#`` are passed over.
    """
    table = _Table(source)
    for text in _texts(source):
        table.add(text)
    table.end()
    info = ImageInfo(
        height=table.height,
        width=table.width,
        dtype="float64",
        format="csv" if table.commas else "txt",
        matrix=True,
        layout="hw",
    )
    return _TextReader(source, info, table.blocks)


def _texts(source: Source) -> Iterator[str]:
    """Yield the text in pieces of whole lines."""
    size, carry = 0, b""
    for piece in source.pieces(_PIECE):
        size += len(piece)
        if size > _LIMIT:
            raise source.error(
                f"more than {_LIMIT} bytes of text are too long for a matrix",
                hint="use a .npy file",
            )
        carry += piece.removeprefix(_BOM) if size == len(piece) else piece
        cut = carry.rfind(b"\n") + 1
        if len(carry) - cut > _LINE_LIMIT:
            raise source.error(
                f"a line of more than {_LINE_LIMIT} bytes is too long for a matrix",
                hint="use a .npy file",
            )
        if cut:
            yield _decoded(source, carry[:cut])
            carry = carry[cut:]
    yield _decoded(source, carry)


def _decoded(source: Source, body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise source.error("not a picture, and not text in UTF-8") from error


class _Table:
    """Rows of numbers, gathered piece by piece.

    Attributes
    ----------
    blocks : list of ndarray of shape (rows, width)
    height, width : int
    commas : bool
        Whether there are any in the text.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.blocks: list[Rows] = []
        self.height = self.width = 0
        self.commas = False
        self._semicolons = self._separators = 0

    def add(self, text: str) -> None:
        """Take some more lines."""
        self.commas = self.commas or "," in text
        lines = text.splitlines()
        if "#" in text:
            lines = [line.partition("#")[0] for line in lines]
        lines = [line for line in lines if line and not line.isspace()]
        if not lines:
            return
        block = None if ";" in text else _quick(lines)
        if block is None:
            block = self._slow(lines)
        elif block.shape[1] > 1:
            self._separators += 1
        self._append(block)

    def end(self) -> None:
        """Look at what can be told only when all is there."""
        if self._semicolons > 1 and not self._separators:
            raise self._source.error(
                "';' between single numbers on several lines: it ends a row here",
                hint="separate the numbers of a row by commas or spaces",
            )
        self._source.check_size(self.height, self.width)

    def _append(self, block: Rows) -> None:
        self.width = self.width or block.shape[1]
        self._check_width(self.height + 1, block.shape[1])
        self.blocks.append(block)
        self.height += len(block)
        self._source.check_size(self.height, self.width)

    def _check_width(self, row: int, width: int) -> None:
        if self.width and width != self.width:
            found, first = counted(width, "number"), counted(self.width, "number")
            raise self._source.error(f"row {row} has {found}, row 1 has {first}")

    def _slow(self, lines: list[str]) -> Rows:
        """Parse lines of any kind one by one; whatever is wrong is named by row and column."""
        rows: list[Rows] = []
        for line in lines:
            content = line.strip().removesuffix(";")
            if not content:
                continue
            self._semicolons += ";" in content
            self._separators += "," in content or len(content.split()) > 1
            for part in content.split(";"):
                cells = [c.strip() for c in part.split(",")] if "," in part else part.split()
                number = self.height + len(rows) + 1
                rows.append(_numbers(self._source, cells, number))
                self.width = self.width or len(cells)
                self._check_width(number, len(cells))
        return np.stack(rows) if rows else np.empty((0, self.width))


def _quick(lines: list[str]) -> Rows | None:
    """Parse lines that are all of one kind by numpy; None where they are not, or wrong."""
    try:
        return np.loadtxt(lines, delimiter="," if "," in lines[0] else None, comments=None, ndmin=2)
    except ValueError:
        return None


def _numbers(source: Source, cells: list[str], row: int) -> Rows:
    try:
        numbers = np.array([float(cell) for cell in cells], np.float64)
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) == len(cells) and cells and not any("_" in cell for cell in cells):
        return numbers
    for column, cell in enumerate(cells, 1):
        if not re.fullmatch(
            r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", cell, re.IGNORECASE
        ):
            what = f"'{cell[:20]}' is not a number" if cell else "is empty"
            raise source.error(f"row {row}, column {column}: {what}")
    raise source.error(f"row {row} is empty")


class _TextReader(Reader):
    def __init__(self, source: Source, info: ImageInfo, blocks: list[Rows]) -> None:
        super().__init__(source, info)
        self._blocks = blocks

    def _decode(self, rows: int) -> Iterator[NDArray[Any]]:
        for strip in rechunked(self._blocks, rows):
            yield strip[:, :, np.newaxis]


class TextWriter(Writer):
    """Writes a matrix as text."""

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        super().__init__(output, info, settings)
        self._separator = "," if info.format == "csv" else " "

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Print each number with as many digits as tell it from its neighbours."""
        rows = strip[..., 0]
        # Python's numbers print faster, but have float64's digits.
        rows = rows if rows.dtype == np.float32 else rows.tolist()
        lines = [self._separator.join(map(_text, row)) + "\n" for row in rows]
        return Encoded(len(strip), "".join(lines).encode())


def _text(number: Any) -> str:
    return str(number).removesuffix(".0")
