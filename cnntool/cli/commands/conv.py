"""``cnntool conv``: shapes and costs of a chain of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cnntool.cli import console, options
from cnntool.cli.output import BREAK, Column, emit, form_of, width
from cnntool.errors import UsageError
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from cnntool.cli.output import Form
    from cnntool.filters.lessons.layer_chain import Chain, ChainRow, Cost

COLUMNS = (
    Column("layer", key=True),
    Column("as written", "as\nwritten", gives="wrap"),
    Column("output", key=True),
    Column("parameters", right=True, people=False),
    Column("formula", "parameters", right=True),
    Column("multiply-adds", right=True),
    Column("receptive field", "receptive\nfield", right=True),
    Column("jump", right=True),
)
DENSE = tuple(
    Column(name, name.replace(" ", "\n"), right=True, part=1)
    for name in ("weights", "biases", "dense weights", "dense biases")
)
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
    from cnntool.api.layer_chain import layer_chain

    if as_csv and as_json:
        raise UsageError("give either --csv or --json")
    chain = layer_chain(*spec)
    for text in chain.notes:
        console.note(text)
    form = form_of(as_json=as_json, as_csv=as_csv)
    columns = COLUMNS + (DENSE if compare_dense else ())
    if form == "jsonl":
        emit(columns, chain.records(compare_dense=compare_dense), form)
        return
    narrow = form == "table" and width() < WIDE
    lines = [
        *(_cells(row, form, narrow=narrow, compare_dense=compare_dense) for row in chain.rows),
        _total(chain, form, compare_dense=compare_dense),
    ]
    if narrow:
        columns = tuple(one._replace(people=one.people and one.gives == "") for one in columns)
    emit(columns, lines, form, look="narrow" if narrow else "loose")


def _cells(row: ChainRow, form: Form, *, narrow: bool, compare_dense: bool) -> list[str]:
    """Write a layer as the cells of a table."""
    cost, fields = row.cost, row.fields
    number = _number(form)
    formula = f"{cost.formula} = {number(cost.parameters)}" if cost.formula else ""
    if form == "table":  # which has no column of its own for the parameters
        formula = formula or number(cost.parameters)
    if narrow:
        formula = formula.replace(" = ", f"{BREAK}= ")
    cells = [
        row.name,
        row.text,
        shape_text(row.shape, "x"),
        number(cost.parameters),
        formula,
        number(cost.multiply_adds),
        _pair(*fields.size) if fields else UNKNOWN,
        _pair(fields.rows.jump, fields.columns.jump) if fields and row.spatial else UNKNOWN,
    ]
    return cells + _compared(cost, row.dense or cost, form) if compare_dense else cells


def _total(chain: Chain, form: Form, *, compare_dense: bool) -> list[str]:
    total, number = chain.total, _number(form)
    parameters = number(total.parameters)
    shown = parameters if form == "table" else ""
    cells = ["total", "", "", parameters, shown, number(total.multiply_adds), "", ""]
    return cells + _compared(total, chain.dense_total, form) if compare_dense else cells


def _compared(cost: Cost, dense: Cost, form: Form) -> list[str]:
    """Write the cells of `DENSE`."""
    if not dense.parameters:
        return [UNKNOWN] * len(DENSE)
    counts = (cost.weights, cost.biases, dense.weights, dense.biases)
    return [*map(_number(form), counts)]


def _number(form: Form) -> Callable[[int], str]:
    """Return how numbers are written: for people with commas."""
    return "{:,}".format if form == "table" else str


def _pair(rows: int | Fraction, columns: int | Fraction) -> str:
    return str(rows) if rows == columns else f"{rows}x{columns}"
