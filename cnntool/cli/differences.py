"""Tables of differences: layers, channels and weights of two networks, and what they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.cli import console
from cnntool.cli.output import Column, emit, emit_record, form_of, prose
from cnntool.shapes.text import counted, shape_text
from cnntool.views.number_format import decibels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnntool.api.comparison import ChannelDifference, Comparison, OutputDifference
    from cnntool.api.weight_comparison import WeightComparison
    from cnntool.cli.output import Form
    from cnntool.nets.network import Network

LISTED = 10
"""Nodes to exclude that are printed; records have all."""

COLUMNS = (
    Column("number", "", right=True, spare=3),
    Column("a", "A", gives="cut", key=True),
    Column("b", "B", gives="cut"),
    Column("kind", spare=1),
    Column("why", people=False),
    Column("shape", spare=2),
    Column("sqnr", "SQNR\ndB", right=True),
    Column("error", right=True),
    Column("cosine", right=True, spare=4),
    Column("largest", "largest\ndifference", right=True, spare=6),
    Column("where", right=True, spare=5),
    Column("photo", people=False),
    Column("worst", "worst\nphoto's", right=True, spare=7, people=False),
    Column("worst-photo", "worst\nphoto", gives="cut", spare=8, people=False),
    Column("own-sqnr", "own\nSQNR", right=True),
    Column("own-error", "own\nerror", right=True),
    Column("own-worst", people=False),
    Column("own-worst-photo", people=False),
    Column("apart", people=False),
    Column("own-apart", people=False),
    Column("diverges", ""),
)


def print_layers(found: Comparison, networks: Sequence[Network]) -> None:
    """Print a table for people, lines for programs."""
    form = form_of()
    people = form == "table"
    number = "{:.3g}".format if people else "{:.6g}".format
    level = decibels if people else (lambda value: _text(value, number))
    rows = [
        [
            str(row.number),
            row.name_a,
            row.name_b,
            row.kind,
            row.why,
            shape_text(row.shape, "x"),
            level(row.sqnr),
            number(row.error),
            f"{row.cosine:z.5f}" if people else number(row.cosine),
            number(row.largest),
            ",".join(map(str, row.where)),
            row.photo,
            number(row.worst),
            row.worst_photo,
            level(row.own_sqnr),
            _text(row.own_error, number),
            _text(row.own_worst, number),
            row.own_worst_photo or "-",
            str(row.apart),
            "-" if row.own_apart is None else str(row.own_apart),
            "diverges" if row.diverges else "",
        ]
        for row in found.layers
    ]
    columns: Sequence[Column] = COLUMNS
    if people and len(found.photos) > 1:
        shown = {"worst", "worst-photo"}
        columns = [c._replace(people=c.people or c.name in shown) for c in columns]
    emit(columns, rows, form, look="tight")
    say = prose if people else console.note
    for text in summary(found, networks):
        say(text)


def _text(value: float | None, number: Any) -> str:
    return "-" if value is None else str(number(value))


def summary(found: Comparison, networks: Sequence[Network]) -> Iterator[str]:
    """Say in sentences what the table comes to."""
    bound = f"tolerance {found.tolerance:g}, for {found.precision}"
    first = found.first
    if found.equal:
        yield "no difference"
    elif first is None:
        yield f"no layer diverges ({bound})"
    else:
        error = first.own_error if first.own_error is not None else first.error
        why = f"own error {error:.3g}"
        if first.own_apart or first.apart:
            apart = counted(first.own_apart or first.apart, "value")
            why += f", {apart} NaN or infinite on one side only"
        yield f"the first that diverges: {first.name_a} ({why}; {bound})"
    yield from _lonely(networks, found.only_a, found.only_b)
    if found.outputs:
        yield _answers(found.outputs)
    else:
        yield "the answers are of different sizes, and were not compared"
    if exclude := found.nodes_to_exclude:
        more = f", and {len(exclude) - LISTED} more (--json)" * (len(exclude) > LISTED)
        yield f"nodes_to_exclude, the worst first: {', '.join(exclude[:LISTED])}{more}"
    if found.nameless:
        nameless = counted(found.nameless, "layer")
        yield f"nodes of {nameless} have no name, and cannot be excluded"


def _answers(outputs: OutputDifference) -> str:
    text = f"answers: SQNR {decibels(outputs.sqnr)} dB"
    if outputs.agreement is not None:
        agreeing = round(outputs.agreement * outputs.photos)
        text += (
            f", the same class of {agreeing} of {counted(outputs.photos, 'photo')}"
            f" ({outputs.agreement:.2%})"
        )
    if outputs.mean_change is not None:
        text += (
            f", probability changed by {outputs.mean_change:.3g} on average,"
            f" by {outputs.largest_change:.3g} at most"
        )
    if outputs.unanswered:
        text += f", NaN or infinity for the classes of {counted(outputs.unanswered, 'photo')}"
    elif outputs.apart:
        text += f", {counted(outputs.apart, 'value')} NaN or infinite on one side only"
    return text


def print_channels(found: Comparison, number: int, form: Form) -> None:
    """Print a row for each map of a layer, or the record of the layer with all of them."""
    rows: Sequence[ChannelDifference] = found.channels(number)
    if form == "jsonl":
        layer = found.record()["layers"][number]
        emit_record(layer | {"channels": [row._asdict() for row in rows]})
        return
    digits = "{:.3g}".format if form == "table" else "{:.6g}".format
    columns = [
        Column("channel", right=True, key=True),
        *(Column(name, right=True) for name in ("sqnr", "error", "cosine", "largest", "apart")),
        *(Column(name, right=True) for name in ("own-sqnr", "own-error", "own-apart")),
    ]
    emit(
        columns,
        [[str(row.channel), *(_text(value, digits) for value in row[1:])] for row in rows],
        form,
        look="tight",
    )


def print_weights(found: WeightComparison, form: Form, networks: Sequence[Network]) -> None:
    """Print a table for people, lines for programs."""
    number = "{:.3g}".format if form == "table" else "{:.6g}".format
    rows = [
        [
            row.name_a,
            row.name_b,
            row.parameter,
            _shape(row.shape_a),
            _shape(row.shape_b),
            *(_text(value, number) for value in (row.sqnr, row.error, row.cosine, row.largest)),
            "-" if row.where is None else ",".join(map(str, row.where)),
        ]
        for row in found.parameters
    ]
    emit(WEIGHT_COLUMNS, rows, form, look="tight")
    say = prose if form == "table" else console.note
    for text in _weight_summary(found, networks):
        say(text)


def _weight_summary(found: WeightComparison, networks: Sequence[Network]) -> Iterator[str]:
    changed = sum(row.sqnr is None or bool(row.error) for row in found.parameters)
    if found.equal:
        other = "" if found.same_file else "; the files differ in something else"
        yield f"no difference of weights{other}"
    else:
        yield f"{changed} of {len(found.parameters)} parameters differ"
    yield from _lonely(networks, found.only_a, found.only_b)


def _lonely(
    networks: Sequence[Network], only_a: Sequence[str], only_b: Sequence[str]
) -> Iterator[str]:
    for network, lonely in zip(networks, (only_a, only_b), strict=True):
        if lonely:
            yield f"without a partner in {network.name}: {', '.join(lonely)}"


WEIGHT_COLUMNS = (
    Column("a", "A", gives="cut", key=True),
    Column("b", "B", gives="cut"),
    Column("parameter", key=True),
    Column("shape-a", "shape of A", spare=2),
    Column("shape-b", "shape of B", spare=1),
    Column("sqnr", "SQNR dB", right=True),
    Column("error", right=True),
    Column("cosine", right=True),
    Column("largest", right=True),
    Column("where", right=True),
)


def _shape(shape: Sequence[int] | None) -> str:
    return "-" if shape is None else shape_text(shape, "x")
