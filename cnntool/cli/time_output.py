"""How the times of a network's layers are printed: a table for one device, or several beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.cli import console
from cnntool.cli.output import Column, emit, emit_record, prose
from cnntool.shapes.text import counted, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnntool.api.profiling import LayerTime, Profile
    from cnntool.cli.output import Form
    from cnntool.nets.network import Network

_COLUMNS: dict[str, Callable[[LayerTime], str]] = {
    "number": lambda row: "-" if row.number is None else str(row.number),
    "layer": lambda row: row.layer,
    "tensor": lambda row: row.tensor or "-",
    "type": lambda row: row.type,
    "milliseconds": lambda row: f"{row.milliseconds:.3f}",
    "share": lambda row: f"{row.share:.1%}",
    "GMAC/s": lambda row: "-" if row.gmacs is None else f"{row.gmacs:.1f}",
    "moved": lambda row: str(row.moved),
    "provider": lambda row: row.provider.replace("ExecutionProvider", ""),
    "fused": lambda row: ", ".join(row.fused) or "-",
    "kernels": lambda row: ", ".join(row.kernels),
}
"""What is told of a row, by the names of the columns."""

_ABOUT = ("number", "layer", "tensor", "type")
_TEXT = {"layer", "tensor", "type", "provider", "fused", "kernels"}
_SPARE = {"kernels": 1, "provider": 2, "tensor": 3, "number": 4, "type": 5, "moved": 6}
"""Columns that a narrow terminal does without, in this order."""


def tell(network: Network, profiles: Sequence[Profile], form: Form) -> None:
    """Print what the layers of a network take, on one device or on several."""
    if form == "jsonl":
        about = {"model": network.found.name, "file": str(network.found.file)}
        emit_record(about | {"profiles": [found.record() for found in profiles]})
        return
    several = len(profiles) > 1
    rows = _beside(profiles) if several else [_cells(row, form) for row in profiles[0].layers]
    columns = [*_ABOUT, *(f"ms {found.device}" for found in profiles)] if several else [*_COLUMNS]
    if form == "tsv":
        rows += [_sum(name, columns, profiles) for name in ("total", "bare")]
    if form == "csv":
        rows = [["" if cell == "-" else cell for cell in row] for row in rows]
    emit([_column(name) for name in columns], rows, form, look="tight")
    if form == "table":
        prose("\n".join(line for found in profiles for line in _totals(found)))
    for found in profiles:
        if found.busy:
            console.note(
                f"the machine is busy: on {found.device}, the kernels of one run take"
                f" {found.summed:.2f} ms; what interrupts them is seldom in the median of a layer"
            )


def _column(name: str) -> Column:
    return Column(
        name,
        {"milliseconds": "ms", "moved": "bytes\nmoved"}.get(name, name.replace(" ", "\n")),
        right=name not in _TEXT,
        gives="cut" if name in {"layer", "tensor", "fused"} else "",
        spare=_SPARE.get(name, 0),
    )


def _cells(row: LayerTime, form: Form) -> list[str]:
    cells = {name: of(row) for name, of in _COLUMNS.items()}
    if form == "table":
        cells["moved"] = f"{row.moved:,}"
    elif form == "csv":
        cells["share"] = str(row.share)
    return list(cells.values())


def _beside(profiles: Sequence[Profile]) -> list[list[str]]:
    """Set the times of several devices beside each other; what one of them inserted has a dash."""
    rows: dict[tuple[Any, ...], dict[int, LayerTime]] = {}
    for place, found in enumerate(profiles):
        for row in found.layers:
            key = (row.number, row.number is None and (row.layer, row.tensor))
            rows.setdefault(key, {})[place] = row
    lines = []
    for times in rows.values():
        first = next(iter(times.values()))
        about = [_COLUMNS[name](first) for name in _ABOUT]
        spent = (times.get(place) for place in range(len(profiles)))
        lines.append(about + ["-" if row is None else f"{row.milliseconds:.3f}" for row in spent])
    return lines


def _sum(name: str, columns: Sequence[str], profiles: Sequence[Profile]) -> list[str]:
    """Write the line with the sum of all rows, or the one with a run that was not profiled."""
    spent = iter(getattr(found, name) for found in profiles)
    told = {"layer": "total" if name == "total" else "bare run"}
    return [
        f"{next(spent):.3f}" if column == "milliseconds" or column.startswith("ms ")
        else told.get(column, "")
        for column in columns
    ]  # fmt: skip


def _totals(found: Profile) -> list[str]:
    shapes = ", ".join(f"{name} {shape_text(shape, 'x')}" for name, shape in found.input.items())
    bare = f"{found.bare:.3f} ms without the profiler, {found.profiled:.3f} ms with it"
    runs = counted(found.runs, "run")
    return [
        f"device         {found.device} ({found.provider})",
        f"input          {shapes}",
        f"all layers     {found.total:.3f} ms, the sum of the medians of {runs}",
        f"inserted       {found.inserted:.3f} ms of them, by onnxruntime",
        f"profiler       {found.profiler:.3f} ms of its own work, taken off the layers",
        f"bare run       {bare}: the layers are {found.total / found.bare:.0%} of it",
    ]
