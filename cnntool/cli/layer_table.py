"""Figures of layers as a table, as lines and as records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console
from cnntool.cli.output import Column, emit, emit_record, form_of
from cnntool.views.numerals import shape_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer
    from cnntool.nets.activations import Statistics
    from cnntool.nets.receptive_rules import Field


STDOUT = "<stdout>"
"""What a result is called that goes there."""


class Row(NamedTuple):
    """A layer that was looked at.

    Attributes
    ----------
    wanted : ChosenLayer
        Which one.
    figures : Statistics
        What its values are like.
    dequantised : bool
        Whether they were whole numbers that stand for others.
    field : Field or None
        What a value sees of the picture, where that is known.
    output : str or None
        Where it was written.
    """

    wanted: ChosenLayer
    figures: Statistics
    dequantised: bool
    field: Field | None
    output: str | None


class Looked(NamedTuple):
    """A layer that was looked at, and what was made of it for later."""

    row: Row
    values: NDArray[Any] | None
    shown: str | None
    drawn: NDArray[Any] | None


def field_text(field: Field | None) -> str:
    """Write a receptive field: ``76 x 76``, or that it is the whole picture; empty if unknown."""
    if field is None:
        return ""
    if field.whole:
        return "whole picture"
    return " x ".join(f"{float(extent):g}" for extent in field.extent)


def _line(name: str, row: Row) -> list[str]:
    """Write a row for programs."""
    wanted, figures = row.wanted, row.figures
    floats = (figures.minimum, figures.maximum, figures.mean, figures.deviation, figures.sparsity)
    counts = (figures.dead, figures.nan, figures.infinite)
    return [
        name,
        wanted.title,
        wanted.tensor,
        shape_text(figures.shape, "x", ""),
        *(f"{value:.7g}" for value in floats),
        *map(str, counts),
        row.output or "",
    ]


def records(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Make a record for every name that layers were asked for by."""
    return [{"layer": name, **_record(row)} for row in rows for name in row.wanted.names]


def _record(row: Row) -> dict[str, Any]:
    """Make a record of a row, ready for JSON."""
    figures, field, layer = row.figures, row.field, row.wanted.layer
    known = field is not None and not field.whole
    return {
        "tensor": row.wanted.tensor,
        "number": layer.number if layer else None,
        "type": row.wanted.kind or None,
        "ordinal": layer.ordinal if layer else None,
        "meaning": row.wanted.words or None,
        "dequantised": row.dequantised,
        "shape": list(figures.shape),
        "minimum": figures.minimum,
        "maximum": figures.maximum,
        "mean": figures.mean,
        "deviation": figures.deviation,
        "sparsity": figures.sparsity,
        "dead": figures.dead,
        "maps": figures.maps,
        "nan": figures.nan,
        "infinite": figures.infinite,
        "receptive_field": [float(n) for n in field.extent] if field and known else None,
        "stride": [float(n) for n in field.jump] if field and known and field.jump else None,
        "sees_all": field.whole if field else None,
        "output": row.output,
    }


def tell(name: str, rows: Sequence[Row], facts: dict[str, Any] | None) -> None:
    """Print the figures, unless stdout holds the result itself.

    Parameters
    ----------
    name : str
        What was looked at.
    rows : sequence of Row
        Its layers.
    facts : dict or None
        What a record says besides; None where no record is wanted: then people get a table, and
        programs lines.
    """
    if any(row.output == STDOUT for row in rows):
        return
    form = form_of(as_json=facts is not None)
    if form == "jsonl":
        emit_record({**(facts or {}), "layers": records(rows)})
    elif form == "table":
        _table(name, rows)
        _say_where(rows)
    else:
        emit((), [_line(name, row) for row in rows], form)


def _say_where(rows: Sequence[Row]) -> None:
    """Say on a terminal where the results are."""
    outputs = list(dict.fromkeys(row.output for row in rows if row.output))
    if len(outputs) == 1:
        console.result(f"written to {outputs[0]}")
    elif outputs:
        console.result(f"{len(outputs)} files in {Path(outputs[0]).parent}")


def _table(name: str, rows: Sequence[Row]) -> None:
    """Print rows for people."""
    odd = any(row.figures.nan or row.figures.infinite for row in rows)
    numbers = ["shape", "min", "max", "mean", "deviation", "zeros", "dead"]
    numbers += ["NaN", "infinite"] if odd else []
    cells = []
    for row in rows:
        figures = row.figures
        floats = (figures.minimum, figures.maximum, figures.mean, figures.deviation)
        dead = f"{figures.dead}/{figures.maps}" if figures.dead else "-"
        line = [
            row.wanted.title,
            shape_text(figures.shape, "x", ""),
            *(f"{value:.3g}" for value in floats),
            f"{figures.sparsity:.0%}",
            dead if len(figures.shape) > 1 else "",
        ]
        cells.append([*line, *([str(figures.nan), str(figures.infinite)] if odd else [])])
    console.result(name)
    columns = [Column(one, right=True, spare=one == "deviation") for one in numbers]
    emit([Column("layer"), *columns], cells, "table", look="tight")
