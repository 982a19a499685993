"""``cnntool conv``: shapes and costs of a chain of layers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from cnntool.cli import console, options
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from rich.console import Console

    from cnntool.filters.lessons.layer_chain import Chain, Cost, Row

COLUMNS = (
    "layer",
    "as written",
    "output",
    "parameters",
    "formula",
    "multiply-adds",
    "receptive field",
    "jump",
)
DENSE = ("weights", "biases", "dense weights", "dense biases")
UNKNOWN = "-"
WIDE = 120
"""Columns of a terminal on which the whole table has room."""


@click.command("conv")
@click.argument("spec", nargs=-1, required=True, metavar="SHAPE [LAYER]...")
@click.option(
    "--compare-dense",
    is_flag=True,
    help="Add what a dense layer in the place of each convolution would cost.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated lines with a header.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON record per layer on stdout.")
@options.talk
def command(*, spec: tuple[str, ...], compare_dense: bool, as_csv: bool, as_json: bool) -> None:
    """Compute shapes and costs of a chain of layers.

    SHAPE is that of the input: 224x224x3 (rows, columns, channels), 28x28, or 784, a vector. For
    each LAYER the output's shape, the parameters and how they are counted, the multiply-adds for
    one picture, the receptive field (pixels of the input that one output sees) and the jump (pixels
    from one output's to the next one's) are printed. A note says where a stride does not
    divide and the like.

    \b
    conv:K,fN     convolution, kernel K or KHxKW, N filters
                  sN stride, dN dilation, gN groups, dw depthwise, nobias;
                  padding pN, pROWSxCOLUMNS, valid (none), same or full
    deconv:K,fN   transpose convolution; also opN output padding
    pool:K        maximum; the stride is K if sN does not say otherwise; ceil
    avgpool:K     average
    globalpool    one value for each map
    bn            batch norm: a scale and a shift for each map
    relu          costs nothing, like sigmoid, tanh, gelu, softmax, dropout
    flatten       rows, columns and channels in one vector
    dense:N       fully connected, N units; nobias
    NAME=LAYER    gives a layer a name, in place of conv1, conv2, ...
    from:NAME     the next layer follows that one; the first is called input
    concat:A,B    stacks the channels of named layers
    add:A,B       adds them; a single name is added to the layer before

    A size is N or ROWSxCOLUMNS. ',xN' repeats conv, deconv, pool or dense N times.

    \b
    AlexNet's first layers:
      cnntool conv 227x227x3 conv:11,s4,f96 pool:3,s2 conv:5,f256,same pool:3,s2
    An inception block:
      cnntool conv 28x28x192 a=conv:1,f64 \\
        from:input conv:1,f96 b=conv:3,f128,same \\
        from:input conv:1,f16 c=conv:5,f32,same \\
        from:input pool:3,s1,same d=conv:1,f32 concat:a,b,c,d
    A residual block:
      cnntool conv 56x56x64 conv:3,f64,same bn relu conv:3,f64,same bn add:input relu
    """  # noqa: D301  click reads the escape
    from cnntool.filters.lessons.layer_chain import parse_chain, walk

    if as_csv and as_json:
        raise UsageError("give either --csv or --json")
    chain = walk(*parse_chain(spec))
    for text in chain.notes:
        console.note(text)
    if as_json:
        import json

        for row in chain.rows:
            console.result(json.dumps(_record(row, compare_dense=compare_dense)))
        total: dict[str, Any] = {"layer": "total", "kind": "total", **_cost(chain.total)}
        if compare_dense:
            total["dense"] = _cost(chain.dense_total)
        console.result(json.dumps(total))
        return
    plain = not sys.stdout.isatty()
    lines = [_cells(row, plain=plain or as_csv, compare_dense=compare_dense) for row in chain.rows]
    lines.append(_total(chain, plain=plain or as_csv, compare_dense=compare_dense))
    names = COLUMNS + (DENSE if compare_dense else ())
    if as_csv:
        import csv
        from io import StringIO

        text_of = StringIO()
        csv.writer(text_of, lineterminator="\n").writerows([names, *lines])
        console.result(text_of.getvalue().removesuffix("\n"))
    elif plain:
        console.result("\n".join("\t".join(line) for line in lines))
    else:
        _tables(names, lines)


def _record(row: Row, *, compare_dense: bool) -> dict[str, Any]:
    """Describe a layer in stable keys, ready for JSON."""
    window, fields = row.window, row.fields
    record: dict[str, Any] = {
        "layer": row.name,
        "kind": row.kind,
        "written": row.text,
        "inputs": [list(shape) for shape in row.shapes],
        "output": list(row.shape),
        "kernel": list(window.kernel) if window else None,
        "stride": list(window.stride) if window else None,
        "padding": list(window.pads) if window else None,
        "dilation": list(window.dilation) if window else None,
        **_cost(row.cost),
        "formula": row.cost.formula or None,
        "receptive_field": list(fields.size) if fields else None,
        "jump": (
            [_plain(fields.rows.jump), _plain(fields.columns.jump)]
            if fields and row.spatial
            else None
        ),
    }
    if compare_dense:
        record["dense"] = _cost(row.dense) if row.dense else None
    return record


def _cost(cost: Cost) -> dict[str, int]:
    return {
        "parameters": cost.parameters,
        "weights": cost.weights,
        "biases": cost.biases,
        "multiply_adds": cost.multiply_adds,
    }


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)


def _cells(row: Row, *, plain: bool, compare_dense: bool) -> list[str]:
    """Write a layer as the cells of a table; ``plain`` writes numbers for programs."""
    cost, fields = row.cost, row.fields
    number = str if plain else "{:,}".format
    formula = f"{cost.formula} = {number(cost.parameters)}" if cost.formula else ""
    cells = [
        row.name,
        row.text,
        "x".join(map(str, row.shape)),
        number(cost.parameters),
        formula,
        number(cost.multiply_adds),
        _pair(*fields.size) if fields else UNKNOWN,
        _pair(fields.rows.jump, fields.columns.jump) if fields and row.spatial else UNKNOWN,
    ]
    if compare_dense:
        cells += _compared(cost, row.dense or cost, plain=plain)
    return cells


def _total(chain: Chain, *, plain: bool, compare_dense: bool) -> list[str]:
    number = str if plain else "{:,}".format
    total = chain.total
    cells = ["total", "", "", number(total.parameters), "", number(total.multiply_adds), "", ""]
    return cells + _compared(total, chain.dense_total, plain=plain) if compare_dense else cells


def _compared(cost: Cost, dense: Cost, *, plain: bool) -> list[str]:
    """Write the cells of `DENSE`."""
    if not dense.parameters:
        return [UNKNOWN] * len(DENSE)
    number = str if plain else "{:,}".format
    return [*map(number, (cost.weights, cost.biases, dense.weights, dense.biases))]


def _pair(rows: int | Fraction, columns: int | Fraction) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"


def _tables(names: tuple[str, ...], lines: list[list[str]]) -> None:
    """Print for people; where one table has no room, the comparison is a second one below."""
    from rich.console import Console

    console = Console()
    narrow = console.width < WIDE
    # The formula ends with the parameters.
    shown = [
        name for name in names if name != "parameters" and not (narrow and name == "as written")
    ]
    sizes = zip(names, *lines, strict=True)
    widths = {name: max(map(len, [*name.split(), *cells])) for name, *cells in sizes}
    gap = 2 if narrow else 3
    if sum(widths[name] + gap for name in shown) + 2 <= console.width:
        apart = [shown]
    else:
        apart = [[name for name in shown if name not in DENSE]]
        apart += [[names[0], "output", *DENSE]] if DENSE[0] in names else []
    for columns in apart:
        _table(console, columns, [dict(zip(names, line, strict=True)) for line in lines])


def _table(console: Console, shown: Sequence[str], lines: list[dict[str, str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    narrow = console.width < WIDE
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0) if narrow else (0, 1))
    for name in shown:
        title = "parameters" if name == "formula" else name.replace(" ", "\n")
        justify: Literal["left", "right"] = "left" if name in COLUMNS[:3] else "right"
        table.add_column(title, justify=justify, no_wrap=name != "as written")
    for cells in lines:
        formula = cells["formula"] or cells["parameters"]
        cells["formula"] = formula.replace(" = ", "\n= ") if narrow else formula
        table.add_row(*(Text(cells[name]) for name in shown))
    console.print(table)
