"""``cnntool summary``: the layers of a network with their shapes, parameters, costs and times."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.api.layers import lengths, summarise
from cnntool.cli import console, options, param_types, time_output
from cnntool.cli.network_options import (
    limits,
    model_argument,
    read_model,
)
from cnntool.cli.output import Column, emit, emit_record, form_of, prose
from cnntool.errors import InputError, UsageError
from cnntool.shapes.text import shape_text, times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnntool.api.layers import LayerSummary, ModelSummary
    from cnntool.api.profiling import Profile
    from cnntool.cli.output import Form
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings


def _number(value: float | None) -> str:
    return "-" if value is None else str(value)


def _by(values: Sequence[float] | None) -> str:
    """Write one number where all are the same."""
    if not values:
        return "-"
    return times(values) if len(set(values)) > 1 else str(values[0])


def _shape(shape: Sequence[object] | None) -> str:
    return shape_text(shape, "x", "scalar")


COLUMNS: dict[str, Callable[[LayerSummary], str]] = {
    "number": lambda row: str(row.number),
    "layer": lambda row: row.alias or f"{row.type}:{row.ordinal}",
    "tensor": lambda row: row.pre,
    "type": lambda row: row.op,
    "shape": lambda row: _shape(row.shape),
    "parameters": lambda row: _number(row.parameters),
    "multiply-adds": lambda row: _number(row.multiply_adds),
    "receptive-field": lambda row: "all" if row.sees_all else _by(row.receptive_field),
    "stride": lambda row: _by(row.stride),
    "memory": lambda row: _number(row.memory),
}
"""What can be told of a layer, by the names of the columns."""

_TEXT = {"layer", "tensor", "type", "shape"}
_SPARE = {"tensor": 1, "number": 2, "memory": 3, "type": 4}
"""Columns that a narrow terminal does without, in this order."""


def _columns(text: str) -> tuple[str, ...]:
    """Read names of columns with commas between."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"{name!r} is no column (they are {', '.join(COLUMNS)})")
    return names


_TIMED = ("photo", "runs", "device", "threads", "max_memory")


@click.command("summary", cls=options.Forms, forms={"--time": _TIMED})
@model_argument
@click.option(
    "--input-size",
    "size",
    type=param_types.SHAPE,
    default=(),
    help="Rows and columns of the picture, or the whole shape, such as 1x3x224x224; shapes and"
    " costs follow it.  [default: what the network or its manifest says]",
)
@click.option(
    "--columns",
    type=param_types.Parsed("LIST", _columns),
    default=(),
    help=f"What to tell, in this order: {', '.join(COLUMNS)}.  [default: all]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated lines with a heading.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON record on stdout.")
@click.option(
    "--time",
    "photo",
    is_flag=False,
    flag_value="",
    metavar="[PHOTO]",
    help="Run the network on this picture, or on the sample, and say how long each layer takes.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    help="Runs to take the median of.  [default: 10, and as many more as 2 seconds have room for]",
)
@options.setting(
    "--device",
    type=param_types.ANY_DEVICES,
    default="auto",
    show_default=True,
    help="Where the network runs; several, with commas between, are set side by side.",
)
@limits()
@options.talk
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    model: str,
    size: tuple[int, ...],
    columns: tuple[str, ...],
    as_csv: bool,
    as_json: bool,
    photo: str | None,
    runs: int | None,
    device: tuple[str, ...],
    settings: SessionSettings,
) -> None:
    """Describe a network layer by layer.

    MODEL is a name ('cnntool models' lists them) or an .onnx file; without it the built-in network
    is meant.

    Parameters are weights, biases, scales and statistics; what layers share is counted once in the
    total. Multiply-adds are those of convolutions and matrix products. The receptive field and the
    stride are in pixels of the input ('all' sees the whole of it), the memory is what the
    layer's output takes, in bytes. A dash is what is not known. On a narrow terminal some columns
    are left out; --columns chooses.

    With --time, what onnxruntime has fused into one kernel is one row, with what was fused into it;
    what it inserted has rows of its own, so that the rows are all that ran. Times are medians;
    GMAC/s are billions of multiply-adds a second, moved are the bytes that go in and out of the
    kernels, weights included. The last lines compare the sum with a run without the profiler.
    """
    if as_json and (as_csv or columns):
        raise UsageError("--json tells all there is: --csv and --columns are for lines")
    assert isinstance(ctx.command, options.Forms)  # noqa: S101 - see above
    if photo is None and ctx.command.form(ctx):
        flags = "--runs, --device, --threads and --max-memory"
        raise UsageError(f"{flags} are for --time", hint="summary MODEL --time [PHOTO]")
    if photo is not None and columns:
        raise UsageError("--columns and --time exclude each other")
    network = read_model(model, settings.timeout)
    form = form_of(as_json=as_json, as_csv=as_csv)
    if photo is not None:
        each = [settings._replace(device=name) for name in device]
        time_output.tell(network, _profiles(network, photo, size, runs, each), form)
        return
    summary = summarise(network, size)
    if not size and any(None in (lengths(info) or (None,)) for info in summary.inputs):
        console.note(f"{model} takes more than one size: --input-size HxW settles it")
    if form == "jsonl":
        model_of = {"model": network.found.name, "file": str(network.found.file)}
        emit_record(model_of | _record(summary))
        return
    told = columns or tuple(COLUMNS)
    rows = [[_cell(name, row, form) for name in told] for row in summary.layers]
    if form == "tsv":
        rows.append(_total(summary, told))
    emit([_column(name, chosen=bool(columns)) for name in told], rows, form, look="tight")
    if form == "table":
        prose("\n".join(_totals(summary)))


def _profiles(
    network: Network,
    photo: str,
    size: tuple[int, ...],
    runs: int | None,
    settings: list[SessionSettings],
) -> list[Profile]:
    """Measure on each device."""
    from cnntool.api.profiling import profile
    from cnntool.cli.inputs import forget_allow_nan
    from cnntool.image.files import STDIO

    image = sys.stdin.buffer if photo == STDIO else photo or None
    found = []
    try:
        for each in settings:
            with console.Progress(f"timing {network.name} on {each.device}"):
                found.append(profile(network, image, size=size, runs=runs, settings=each))
    except InputError as error:
        error.hint = error.hint or "MODEL comes before --time, PHOTO behind it"
        forget_allow_nan(error)
        raise
    return found


def _column(name: str, *, chosen: bool) -> Column:
    return Column(
        name,
        name.replace("-", "\n"),
        right=name not in _TEXT,
        gives="cut" if name in {"layer", "tensor"} else "",
        spare=0 if chosen else _SPARE.get(name, 0),
    )


def _cell(column: str, row: LayerSummary, form: Form) -> str:
    """Write what is to be told; people get commas between thousands."""
    cell = COLUMNS[column](row)
    if form == "csv":
        return "" if cell == "-" else cell
    counts = column in {"parameters", "multiply-adds", "memory"} and cell.isdecimal()
    return f"{int(cell):,}" if counts and form == "table" else cell


def _total(summary: ModelSummary, columns: Sequence[str]) -> list[str]:
    sums = {
        "layer": "total",
        "parameters": _number(summary.parameters),
        "multiply-adds": _number(summary.multiply_adds),
        "memory": _number(summary.memory),
    }
    return [sums.get(name, "") for name in columns]


def _totals(summary: ModelSummary) -> list[str]:
    def count(number: int | None) -> str:
        return "-" if number is None else f"{number:,}"

    learned = summary.parameters
    if summary.statistics and learned is not None:
        learned -= summary.statistics
    statistics = (
        f" ({count(learned)} learned, {count(summary.statistics)} running statistics)"
        if summary.statistics
        else ""
    )
    inputs = ", ".join(f"{info.name} {_shape(info.shape)} {info.dtype}" for info in summary.inputs)
    return [
        f"input          {inputs}",
        f"layers         {len(summary.layers)}",
        f"parameters     {count(summary.parameters)}{statistics}",
        f"multiply-adds  {count(summary.multiply_adds)}",
        f"memory         {count(summary.memory)} bytes for all outputs",
    ]


def _record(summary: ModelSummary) -> dict[str, Any]:
    inputs = [
        {"name": info.name, "dtype": info.dtype or None, "shape": lengths(info) or (None,)}
        for info in summary.inputs
    ]
    layers = [row._asdict() for row in summary.layers]
    return summary._asdict() | {"inputs": inputs, "layers": layers}
