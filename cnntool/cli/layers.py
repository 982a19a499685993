"""``cnntool layers``: the names by which the layers of a network can be asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cnntool.api.activations import short_name
from cnntool.api.layers import layer_info
from cnntool.cli import console, options, running
from cnntool.cli.opening import model_argument, read_model
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.api.model import Model
    from cnntool.nets.graph import TensorInfo
    from cnntool.nets.layers import Layer, Resolved


@click.command("layers")
@model_argument
@click.option(
    "--type",
    "kinds",
    multiple=True,
    metavar="TYPE",
    help="Only layers of this type: conv, dense, pool, relu, norm... or an operator.  [repeatable]",
)
@click.option(
    "--resolve", "queries", multiple=True, metavar="NAME", help="Say what NAME means.  [repeatable]"
)
@click.option(
    "--at",
    type=click.Choice(["post", "pre"]),
    default="post",
    show_default=True,
    help="After the batch norm and activation of a convolution or dense layer, or before.",
)
@running.timeout
@options.json_lines
@options.talk
def command(
    *,
    model: str,
    kinds: tuple[str, ...],
    queries: tuple[str, ...],
    at: str,
    as_json: bool,
    timeout: float,
) -> None:
    """List the layers of a network by the names that can be asked for.

    MODEL is a name ('cnntool models' lists them) or an .onnx file; without it the built-in network
    is meant. In a pipe, lines hold a name each and nothing else.

    A layer can be asked for by the name of its tensor or node, by that of the module (layer1.0) or
    Keras layer that it leaves ('relu#2' is a module's second call), by its weight's name, by
    'conv:9', 'relu:-1' or '#42', by its place, such as block4_conv2 or fc1, and by a pattern
    such as 'block4_*'. With --resolve, tab-separated lines in a pipe hold the name as given, the
    tensor and the words for it.
    """
    network = read_model(model, timeout)
    if queries:
        if kinds:
            raise UsageError("--type has no meaning with --resolve")
        for query in queries:
            for meaning in network.layer_list.resolve(query, at=at):
                _print_meaning(meaning, as_json=as_json)
        return
    rows = _chosen(network.layer_list.rows, kinds)
    if as_json:
        import json

        shapes = network.shapes()
        for row in rows:
            console.result(json.dumps(layer_info(row, shapes)._asdict()))
    elif sys.stdout.isatty():
        _table(network, rows, at)
    elif rows:
        console.result("\n".join(map(short_name, rows)))


def _chosen(rows: Sequence[Layer], kinds: Sequence[str]) -> list[Layer]:
    from cnntool.nets.operators import KIND_OF, KINDS

    wanted = {kind.lower() for kind in kinds}
    for kind in wanted:
        if kind not in KINDS and kind not in {
            op.lower() for op in (*KIND_OF, *(r.op for r in rows))
        }:
            raise UsageError(
                f"no layer is of type {kind!r}", source="--type", hint=f"one of {', '.join(KINDS)}"
            )
    return [row for row in rows if not wanted or {row.kind, row.op.lower()} & wanted]


def one_line(cell: str) -> str:
    """Keep a name from breaking the lines and columns of a pipe; records have it as it is."""
    return "".join(" " if c in "\t\n\r" else c for c in cell)


def _print_meaning(meaning: Resolved, *, as_json: bool) -> None:
    row = meaning.layer
    if as_json:
        import json

        fact = {
            "query": meaning.query,
            "tensor": meaning.tensor,
            "number": row.number if row else None,
            "alias": (row.alias if row else "") or None,
            "meaning": meaning.words or None,
        }
        console.result(json.dumps(fact))
    elif sys.stdout.isatty():
        console.result(meaning.text)
    else:
        cells = (meaning.query, meaning.tensor, meaning.words)
        console.result("\t".join(map(one_line, cells)))


def _table(network: Model, rows: Sequence[Layer], at: str) -> None:
    from cnntool.cli.tables import print_table

    shapes = network.shapes()
    cells = [
        (str(row.number), row.alias, f"{row.kind}:{row.ordinal}", row.op, row.at(at),
         shape_text(shapes.get(row.pre)))
        for row in rows
    ]  # fmt: skip
    print_table(
        ("#", "layer", "type", "operator", "tensor", "shape"),
        cells,
        right={"#"},
        elastic=("tensor",),
        spare=("operator",),
    )


def shape_text(info: TensorInfo | None) -> str:
    """Write a shape: ``1x64x224x224``; a length that is not known is a question mark."""
    if info is None or info.shape is None:
        return "-"
    if not info.shape:
        return "scalar"
    return "x".join(str(length) if isinstance(length, int) else "?" for length in info.shape)
