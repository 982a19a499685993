"""How results are printed: as a table on a terminal, lines with tabs in a pipe, CSV or JSON."""

from __future__ import annotations

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

_LEAST = {"cut": 12, "wrap": 8}
"""Characters that a column is left which gives way."""


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


def _print_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], look: str, totals: int
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    cells = [
        {
            column: "\n".join(map(printable, cell.split(BREAK)))
            for column, cell in zip(columns, row, strict=True)
        }
        for row in rows
    ]
    columns = [column for column in columns if column.people]
    widths = {}
    for column in columns:
        lines = "\n".join((column.title, *(row[column] for row in cells))).split("\n")
        widths[column] = min(column.most, max(map(len, lines)))
    edge, gap = (-2, 2) if look == "tight" else (1, 2 if look == "narrow" else 3)
    for shown, cut, room in _laid_out(columns, widths, console.width - edge, gap):
        table = Table(
            box=box.SIMPLE,
            show_edge=edge > 0,
            pad_edge=edge > 0,
            padding=(0, 1, 0, int(gap == 3)),
        )
        for column in shown:
            width = max(1, room) if column is cut else widths[column]
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                no_wrap=column.gives != "wrap",
                overflow="fold" if column.gives == "wrap" else "ellipsis",
                min_width=None if column.gives else width,
                max_width=None if column.gives == "wrap" else width,
            )
        for place, row in enumerate(cells):
            if totals and place == len(cells) - totals:
                table.add_section()
            table.add_row(*(Text(row[column]) for column in shown))
        console.print(table, crop=False)


def _laid_out(
    columns: Sequence[Column], widths: dict[Column, int], room: int, gap: int
) -> Iterable[tuple[list[Column], Column | None, int]]:
    """Choose what is shown: all columns in one table, without the spare ones, or in several tables.

    Returns
    -------
    iterable of (columns, the one that is cut, its characters)
    """

    def cut(shown: Sequence[Column]) -> Column | None:
        return next((column for column in reversed(shown) if column.gives == "cut"), None)

    def left(shown: Sequence[Column]) -> int:
        """Return the room that is left where all give way that can."""
        least = (
            min(widths[column], _LEAST[column.gives])
            if column.gives == "wrap" or column is cut(shown)
            else widths[column]
            for column in shown
        )
        return room - sum(least) - gap * len(shown)

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
        one = cut(group)
        yield group, one, min(widths[one], left(group) + min(widths[one], 12)) if one else 0
