"""Tables for people, in which one column gives way when the terminal is narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cnntool.cli.console import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_LEAST = 12
_GAP = 2


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    elastic: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print a table on a terminal.

    Parameters
    ----------
    headings : sequence of str
        One for each column; with dashes where it may be broken.
    rows : sequence of sequence of str
        The cells. Control codes are escaped.
    right : collection of str
        Columns whose cells stand to the right: numbers.
    elastic : sequence of str
        The first of these columns that is there is cut where there is not enough room.
    spare : sequence of str
        Columns that are left out, one after the other, where cutting is not enough.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = {
        heading: max(map(len, (*heading.split("-"), *(row[at] for row in cells))))
        for at, heading in enumerate(headings)
    }
    for heading in (*spare, ""):
        cut = next((name for name in elastic if name in widths), "")
        room = console.width - sum(widths.values()) - _GAP * (len(widths) - 1) + widths.get(cut, 0)
        if room >= (_LEAST if cut else 0):
            break
        widths.pop(heading, None)
    if cut:
        widths[cut] = min(widths[cut], max(_LEAST, room))
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for heading, width in widths.items():
        justify: Literal["left", "right"] = "right" if heading in right else "left"
        table.add_column(heading.replace("-", "\n"), justify=justify, no_wrap=True, max_width=width)
    for row in cells:
        shown = zip(headings, row, strict=True)
        table.add_row(*(Text(cell) for heading, cell in shown if heading in widths))
    console.print(table)
