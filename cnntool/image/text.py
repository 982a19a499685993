"""Read and write matrices as text: CSV, or numbers with spaces between them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .reader import Reader
from .types import ImageInfo
from .writer import Encoded, Settings, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .atomic import Output
    from .source import Source

_LIMIT = 1 << 28
_BOM = b"\xef\xbb\xbf"


def open_reader(source: Source) -> Reader:
    """Open a matrix in text. See `cnntool.image.files.open_reader`.

    Rows end at a line's end or at ``;``. Numbers are separated by commas or white space. Empty
    lines and everything after ``#`` are passed over.
    """
    file = source.file()
    with source.reading():
        body = file.read(_LIMIT + 1)
    if len(body) > _LIMIT:
        raise source.error("the text is too long for a matrix", hint="use a .npy file")
    try:
        text = body.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        raise source.error("not a picture, and not text in UTF-8") from error
    rows = _rows(source, text)
    source.check_size(len(rows), len(rows[0]) if rows else 0)
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise source.error(
                f"row {number} has {_count(len(row))}, row 1 has {_count(len(rows[0]))}"
            )
    matrix = np.stack(rows)
    info = ImageInfo(
        height=len(rows),
        width=len(rows[0]),
        dtype="float64",
        format="csv" if "," in text else "txt",
        matrix=True,
        layout="hw",
    )
    return _TextReader(source, info, matrix)


def _count(numbers: int) -> str:
    return "1 number" if numbers == 1 else f"{numbers} numbers"


def _rows(source: Source, text: str) -> list[NDArray[np.float64]]:
    rows: list[NDArray[np.float64]] = []
    semicolons = commas = 0
    for line in text.splitlines():
        content = line.partition("#")[0].strip().removesuffix(";")
        if not content:
            continue
        semicolons += ";" in content
        commas += "," in content or len(content.split()) > 1
        for part in content.split(";"):
            cells = [c.strip() for c in part.split(",")] if "," in part else part.split()
            rows.append(_numbers(source, cells, len(rows) + 1))
    if semicolons > 1 and not commas:
        raise source.error(
            "';' between single numbers on several lines: it ends a row here",
            hint="separate the numbers of a row by commas or spaces",
        )
    return rows


def _numbers(source: Source, cells: list[str], row: int) -> NDArray[np.float64]:
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
    def __init__(self, source: Source, info: ImageInfo, matrix: NDArray[np.float64]) -> None:
        super().__init__(source, info)
        self._matrix = matrix

    def _decode(self, rows: int) -> Iterator[NDArray[Any]]:
        for top in range(0, self.info.height, rows):
            yield self._matrix[top : top + rows, :, np.newaxis]

    def _array(self, block: NDArray[Any]) -> NDArray[Any]:
        return block


class TextWriter(Writer):
    """Writes a matrix as text."""

    def __init__(self, output: Output, info: ImageInfo, settings: Settings) -> None:
        super().__init__(output, info, settings)
        self._separator = "," if info.format == "csv" else " "

    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Print each number with as many digits as tell it from its neighbours."""
        rows = strip[..., 0]
        # Python's numbers print faster, but have float64's digits.
        rows = rows if rows.dtype == np.float32 else rows.tolist()
        lines = [self._separator.join(map(_text, row)) + "\n" for row in rows]
        return Encoded(len(strip), "".join(lines).encode())

    def _append(self, encoded: Encoded) -> None:
        self._output.write(encoded.data)

    def _finish(self) -> None:
        pass


def _text(number: Any) -> str:
    return str(number).removesuffix(".0")
