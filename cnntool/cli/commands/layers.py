"""``cnntool layers``: the names by which the layers of a network can be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.network_options import LAYER, model_argument, read_model, timeout_option
from cnntool.cli.output import Column, emit, emit_record, form_of
from cnntool.errors import UsageError
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Resolved


COLUMNS = (
    Column("#", right=True),
    Column("layer"),
    Column("type"),
    Column("operator", spare=1),
    Column("tensor", gives="cut"),
    Column("shape"),
)


@click.command("layers")
@model_argument
@click.option(
    "--type",
    "kinds",
    multiple=True,
    type=param_types.LAYER_TYPE,
    metavar="TYPE",
    help="Only layers of this type: conv, dense, pool, relu, norm... or an operator.  [repeatable]",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="List the operators that are part of no layer, too.",
)
@click.option(
    "--resolve",
    "queries",
    multiple=True,
    type=LAYER,
    metavar="NAME",
    help="Say what NAME means.  [repeatable]",
)
@click.option(
    "--at",
    type=click.Choice(["post", "pre"]),
    default="post",
    show_default=True,
    help="After the batch norm and activation of a convolution or dense layer, or before.",
)
@timeout_option
@options.json_lines
@options.talk
def command(
    *,
    model: str,
    kinds: tuple[str, ...],
    everything: bool,
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
        if kinds or everything:
            option = "--type" if kinds else "--all"
            raise UsageError(f"{option} has no meaning with --resolve")
        for query in queries:
            for meaning in network.read_layers().resolve(query, at=at):
                _print_meaning(meaning, as_json=as_json)
        return
    layers = network.read_layers()
    rows = _chosen(layers.operators if everything else layers.rows, kinds)
    form = form_of(as_json=as_json)
    if form == "tsv":
        emit((), [[row.short_name] for row in rows], form)
        return
    shapes = network.shapes(everything=everything)
    if form == "jsonl":
        from cnntool.api.layers import layer_info

        emit((), [layer_info(row, shapes.get(row.pre))._asdict() for row in rows], form)
        return
    cells = [
        (str(row.number or ""), row.alias, row.counted if row.number else "", row.op, row.at(at),
         shape_of(shapes.get(row.pre)))
        for row in rows
    ]  # fmt: skip
    emit(COLUMNS, cells, form, look="tight")


def _chosen(rows: Sequence[Layer], kinds: Sequence[str]) -> list[Layer]:
    from cnntool.nets.layers.dataflow import KIND_OF, KINDS

    wanted = {kind.lower() for kind in kinds}
    for kind in wanted:
        if kind not in KINDS and kind not in {
            op.lower() for op in (*KIND_OF, *(r.op for r in rows))
        }:
            raise UsageError(
                f"no layer is of type {kind!r}", source="--type", hint=f"one of {', '.join(KINDS)}"
            )
    return [row for row in rows if not wanted or {row.kind, row.op.lower()} & wanted]


def _print_meaning(meaning: Resolved, *, as_json: bool) -> None:
    row = meaning.layer
    form = form_of(as_json=as_json)
    if form == "jsonl":
        fact = {
            "query": meaning.query,
            "tensor": meaning.tensor,
            "number": row.number if row else None,
            "alias": (row.alias if row else "") or None,
            "meaning": meaning.words or None,
        }
        emit_record(fact)
    elif form == "table":
        console.result(meaning.text)
    else:
        emit((), [(meaning.query, meaning.tensor, meaning.words)], form)


def shape_of(info: TensorInfo | None) -> str:
    """Write the shape of a tensor, as far as it is known."""
    return shape_text(info and info.shape, "x", "scalar")
