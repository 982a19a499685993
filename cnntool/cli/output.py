"""How results are printed: as a table on a terminal, lines with tabs in a pipe, CSV or JSON."""

from __future__ import annotations

import re
import sys
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnntool.cli.console import printable, result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Form = Literal["table", "tsv", "csv", "jsonl"]

BREAK = "\0"
"""Parts the lines of a cell."""

_BREAKS = str.maketrans("\t\n\r", "   ")

_LEAST_CUT, _LEAST, _LONGEST = 12, 8, 24
"""Characters that a column is left whose words are cut; broken; broken, with long words."""


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
        Its heading for programs.
    heading : str
        For people, where it is another one; it may have several lines.
    right : bool
        Whether cells stand to the right: numbers.
    gives : {'', 'cut', 'wrap'}
        What happens to words where there is not enough room. Numbers lose no digit. Of several
        columns that may be cut, the last one is.
    spare : int
        Columns with a rank are left out where that is not enough, the lowest first.
    people : bool
        Whether it stands in tables.
    most : int
        Characters that are shown at most.
    key : bool
        Whether it is repeated where the others are set below each other; by default the first is.
    part : int
        Where they are, columns of different parts are set apart.
    """

    name: str
    heading: str | None = None
    right: bool = False
    gives: Literal["", "cut", "wrap"] = ""
    spare: int = 0
    people: bool = True
    most: int = 1000
    key: bool = False
    part: int = 0

    @property
    def title(self) -> str:
        """The heading for people."""
        return self.name if self.heading is None else self.heading


def form_of(*, as_json: bool = False, as_csv: bool = False) -> Form:
    """Return the form that the options ask for: else a table for people, lines for programs."""
    if as_json or as_csv:
        return "jsonl" if as_json else "csv"
    return "table" if sys.stdout.isatty() else "tsv"


def emit(
    columns: Sequence[Column],
    rows: Sequence[Any],
    form: Form,
    *,
    look: Literal["loose", "narrow", "tight"] = "loose",
    totals: int = 0,
) -> None:
    """Print rows.

    Parameters
    ----------
    columns : sequence of Column
    rows : sequence
        Of records (dict) where the form is JSON, else of cells, a text for each column.
    form : {'table', 'tsv', 'csv', 'jsonl'}
    look : {'loose', 'narrow', 'tight'}
        How a table is spaced.
    totals : int
        How many of the last rows stand below a line of their own in a table.
    """
    if form == "table":
        _print_table(columns, rows, look, totals)
    elif form == "csv":
        result(csv_text([[column.name for column in columns], *rows]))
    elif rows:
        lines = (
            ("\t".join(map(flat, row)) for row in rows) if form == "tsv" else map(json_text, rows)
        )
        result("\n".join(lines))


def emit_record(record: Any) -> None:
    """Print a record as a line of JSON; see `json_text`."""
    result(json_text(record))


def width() -> int:
    """Return how many characters have room in a line of the terminal."""
    from rich.console import Console

    return Console().width


class MatrixOnTerminal:
    """A stream for a matrix in text, which people get in columns, with six digits of a number."""

    def __init__(self) -> None:
        self._data = b""

    def write(self, data: bytes | memoryview) -> int:
        """Take a part of the text."""
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Print what was taken; what is no matrix stays as it is."""
        from cnntool.views.number_format import blocks, lined_up

        text, self._data = self._data.decode().rstrip("\n"), b""
        try:
            rows = [[*map(float, line.replace(",", " ").split())] for line in text.split("\n")]
        except ValueError:
            rows = []
        if rows and rows[0]:
            text = "\n".join(blocks(lined_up(rows), width()))
        if text:
            result(text)


def matrix_stream(format_name: str | None) -> Any:
    """Return stdout for a matrix: on a terminal in columns, unless a format was asked for."""
    exact = format_name is not None or not sys.stdout.isatty()
    return sys.stdout.buffer if exact else MatrixOnTerminal()


_LABEL = re.compile(r"\S+\s{2,}|\s+")


def prose(text: str) -> None:
    """Print lines for people: a terminal gets long ones broken between words, below their label."""
    if sys.stdout.isatty():
        room = width()
        text = "\n".join(
            line if len(line) <= room else _broken(line, room) for line in text.split("\n")
        )
    result(text)


def _broken(line: str, room: int) -> str:
    from textwrap import fill

    label = _LABEL.match(line)
    end = label.end() if label and label.end() <= room // 2 else 0
    rest = fill(line[end:].lstrip(), room - end, break_long_words=False, break_on_hyphens=False)
    return line[:end] + rest.replace("\n", "\n" + " " * end)


def flat(cell: str) -> str:
    """Keep a text from breaking the lines and columns of a pipe."""
    return cell.translate(_BREAKS)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Return rows as comma-separated lines, without the last line's end."""
    import csv
    from io import StringIO

    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().removesuffix("\n")


def json_text(record: Any) -> str:
    """Return a record as a line of JSON; NaN and infinity, which that does not know, are null."""
    import json

    try:
        return json.dumps(record, allow_nan=False)
    except ValueError:
        return json.dumps(_with_nulls(record))


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


Cells = list[dict[Column, str]]


class Groups:
    """A table that grows by groups of rows, each under its name; one header stands above all.

    The header is repeated where the columns change or become wider, and where they have no room
    side by side.

    Parameters
    ----------
    look : {'loose', 'narrow', 'tight'}
        How the table is spaced.
    """

    def __init__(self, look: Literal["loose", "narrow", "tight"]) -> None:
        self._look = look
        self._columns: list[Column] = []
        self._widths: dict[Column, int] = {}

    def add(self, name: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Print a group."""
        cells = _cells(columns, rows)
        shown = [column for column in columns if column.people]
        widths = _widths(shown, cells)
        fits = shown == self._columns and all(widths[one] <= self._widths[one] for one in shown)
        if not fits:
            widths = {one: max(width, self._widths.get(one, 0)) for one, width in widths.items()}
            self._columns, self._widths = shown, widths
        parts = _parts(shown, cells, self._widths, self._look)
        whole = len(parts) == 1
        if whole and not fits:
            _print_parts(parts, [], self._look)
        result(name)
        _print_parts(parts, cells, self._look, header=not whole)


def _cells(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Cells:
    return [
        {
            column: "\n".join(map(printable, cell.split(BREAK)))
            for column, cell in zip(columns, row, strict=True)
        }
        for row in rows
    ]


def _widths(columns: Sequence[Column], cells: Cells) -> dict[Column, int]:
    """Return what each column would like to have."""
    widths = {}
    for column in columns:
        lines = "\n".join((column.title, *(row[column] for row in cells))).split("\n")
        widths[column] = min(column.most, max(map(len, lines)))
    return widths


def _print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], look: str, totals: int
) -> None:
    cells = _cells(columns, rows)
    columns = [column for column in columns if column.people]
    parts = _parts(columns, cells, _widths(columns, cells), look)
    _print_parts(parts, cells, look, totals=totals)


def _spacing(look: str) -> tuple[int, int]:
    """Return the characters at the edges of a table and between its columns."""
    return (-2, 2) if look == "tight" else (1, 2 if look == "narrow" else 3)


def _parts(
    columns: Sequence[Column], cells: Cells, widths: dict[Column, int], look: str
) -> list[dict[Column, int]]:
    """Return the tables that columns are shown in, with the characters of each column."""
    edge, gap = _spacing(look)
    return [*_laid_out(columns, _needed(columns, cells, widths), width() - edge, gap)]


def _print_parts(
    parts: Iterable[dict[Column, int]],
    cells: Cells,
    look: str,
    *,
    totals: int = 0,
    header: bool = True,
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, (edge, gap) = Console(), _spacing(look)
    for shown in parts:
        table = Table(
            box=box.SIMPLE,
            show_header=header,
            show_edge=edge > 0,
            pad_edge=edge > 0,
            padding=(0, 1, 0, int(gap == 3)),
        )
        for column, width in shown.items():
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                no_wrap=True,
                min_width=width,
                max_width=width,
            )
        for place, row in enumerate(cells):
            if totals and place == len(cells) - totals:
                table.add_section()
            table.add_row(*(Text(_given_way(row[one], one, shown[one])) for one in shown))
        console.print(table, crop=False)


_PIECES = re.compile(r"\s+|(?:[^\s,;/]|(?<=\d),(?=\d{3}(?!\d)))+[,;/]*|[,;/]+")
"""What stays together where a line is broken: words, and parts of lists and paths."""


def _given_way(text: str, column: Column, width: int) -> str:
    """Break or cut a text; a number is cut away whole."""
    if column.gives == "wrap":
        return "\n".join(line for part in text.split("\n") for line in _folded(part, width))
    if column.gives != "cut" or len(text) <= width:
        return text
    kept = text[: max(0, width - 1)]
    if re.match(r"[.,]?\d", text[len(kept) :]):
        kept = re.sub(r"\d[\d.,]*$", "", kept)
    return f"{kept}…"


def _folded(text: str, width: int) -> list[str]:
    lines = [""]
    for piece in _PIECES.findall(text):
        if len(lines[-1] + piece.rstrip()) <= width:
            lines[-1] += piece
            continue
        rest = piece.lstrip()
        lines += [rest[start : start + width] for start in range(0, len(rest), width)]
    return [line.rstrip() for line in lines if line or not text]


def _needed(
    columns: Sequence[Column], cells: Cells, widths: dict[Column, int]
) -> dict[Column, tuple[int, int]]:
    """Return for each column the least characters that it may be left, and what it would like."""
    found = {}
    for column in columns:
        least = widths[column]
        if column.gives == "wrap":
            pieces = _PIECES.findall(" ".join((column.title, *(row[column] for row in cells))))
            least = min(_LONGEST, max(_LEAST, *(len(piece.strip()) for piece in pieces)))
        elif column.gives == "cut":
            least = _LEAST_CUT
        found[column] = min(least, widths[column]), widths[column]
    return found


def _laid_out(
    columns: Sequence[Column], widths: dict[Column, tuple[int, int]], room: int, gap: int
) -> Iterable[dict[Column, int]]:
    """Choose what is shown: all columns in one table, without the spare ones, or in several tables.

    Parameters
    ----------
    columns : sequence of Column
    widths : dict
        Characters that each may be left, and would like to have.
    room, gap : int
        Characters of a line, and between columns.

    Returns
    -------
    iterable of dict
        The columns of a table and their characters.
    """

    def least(shown: Sequence[Column]) -> dict[Column, int]:
        """Return the characters that columns are left where all give way that can."""
        cut = [column for column in shown if column.gives == "cut"][:-1]  # only the last one is
        return {column: widths[column][column in cut] for column in shown}

    def left(shown: Sequence[Column]) -> int:
        return room - sum(least(shown).values()) - gap * len(shown)

    shown = list(columns)
    for column in sorted(filter(lambda column: column.spare, columns), key=lambda one: one.spare):
        if left(shown) < 0:
            shown.remove(column)
    groups = [shown]
    if left(shown) < 0:
        keys = [column for column in shown if column.key] or shown[:1]
        groups = []
        for column in (column for column in shown if column not in keys):
            wider = [*groups[-1], column] if groups else []
            if wider and wider[-2].part == column.part and left(wider) >= 0:
                groups[-1] = wider
            else:
                groups.append([*keys, column])
    for group in groups or [shown]:
        group.sort(key=columns.index)
        given, spare = least(group), max(0, left(group))
        short = {one: widths[one][1] - given[one] for one in group if given[one] < widths[one][1]}
        for place, column in enumerate(sorted(short, key=lambda one: short[one])):
            more = min(short[column], spare // (len(short) - place))
            given[column] += more
            spare -= more
        yield given
