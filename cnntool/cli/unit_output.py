"""``cnntool trace --layer``: one unit of a network, in lines, as a record or as a slide."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.api import trace_steps
from cnntool.cli import console, sliding
from cnntool.cli.inputs import Pictures, Reading, inputs_or_sample
from cnntool.cli.network_options import begin, facts_of, hold_time, opened, say_where
from cnntool.cli.output import emit_record, prose
from cnntool.cli.sliding import text_width
from cnntool.errors import InputError, UsageError
from cnntool.image.files import expand, is_folder
from cnntool.views.number_format import short

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from cnntool.api.unit_trace import UnitTrace
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings

FEW = 3
"""Maps whose windows are written out; of more, the sums are."""

STRONGEST = 10
"""Maps whose sums are written out; those of the others are added up."""


def text(found: UnitTrace) -> list[str]:
    """Describe a unit in lines."""
    parts = all_maps(found) if len(found.unit.maps) <= FEW else strongest_maps(found)
    head = f"{found.title}, unit ({found.place}) of {found.size}"
    if not found.formula.is_dense:
        head += f": input rows {_span(found, 0)}, columns {_span(found, 1)}"
    sees = [" ".join(sight(found))] if found.box else []
    return [head, *sees, "", *parts, "", *_total(found)]


def _span(found: UnitTrace, axis: int) -> str:
    lines = [line for line in found.lines(axis) if line is not None]
    spread = found.unit.spread[axis] > 1
    return trace_steps.span(lines, 1 if spread else found.unit.dilation[axis]) if lines else "none"


def sight(found: UnitTrace) -> list[str]:
    """Say what a unit sees of the picture, in short lines; in none if that is not known."""
    if found.box is None:
        return []
    (rows, columns), (top, left, bottom, right) = found.picture, found.box
    size = f"of the picture of {rows}x{columns}"
    if top <= 0 and left <= 0 and bottom >= rows and right >= columns:
        return ["it sees the whole", size]
    if bottom <= 0 or right <= 0 or top >= rows or left >= columns:
        return ["it sees nothing", f"{size},", "only padding"]
    seen = [f"it sees rows {_within(top, bottom, rows)},"]
    seen.append(f"columns {_within(left, right, columns)}")
    if top < 0 or left < 0 or bottom > rows or right > columns:
        return [*seen, f"{size},", "and padding"]
    return [*seen, size]


def _within(first: int, behind: int, size: int) -> str:
    """Write a run of rows or columns, as far as there are any."""
    last = min(behind, size) - 1
    return trace_steps.span([max(first, 0), last], 1)


def all_maps(found: UnitTrace) -> list[str]:
    """Write out every window with its kernel and products."""
    lines = []
    for place, total in enumerate(found.sums.tolist()):
        lines += [
            "",
            f"channel {found.name(place)}",
            *trace_steps.blocks(found.one, place, width=text_width()),
        ]
        lines.append(f"sum  {trace_steps.terms(found.one.products[place])} = {short(total, 6)}")
    if not found.one.inside.all():
        lines += ["", f"( ) lies {_outside(found)}: zero"]
    return lines[1:]


def strongest_maps(found: UnitTrace) -> list[str]:
    """List the maps that count most."""
    one = found.one
    point = one.inside.size == 1
    rows = [["channel", *(["value", "weight", "product"] if point else ["sum of products"])]]
    for place in found.strongest[:STRONGEST]:
        factors = [one.window[place].item(), one.weights[place].item()] if point else []
        numbers = [*factors, float(found.sums[place])]
        rows.append([found.name(place), *map(short, numbers)])
    others = found.strongest[STRONGEST:]
    if others:
        rest = short(float(found.sums[others].sum()))
        rows.append([f"{len(others)} others", *([""] * (2 * point)), rest])
    lines = _table(rows)
    if not one.inside.all():
        count = one.inside.size - int(one.inside.sum())
        lines += ["", f"{count} of {one.inside.size} taps lie {_outside(found)}: zero"]
    return lines


def _outside(found: UnitTrace) -> str:
    between = " or between its values" if max(found.unit.spread) > 1 else ""
    return f"outside of the input{between}"


def _total(found: UnitTrace) -> list[str]:
    unit, one = found.unit, found.one
    rows = [
        [f"sum of {one.products.size} products", _long(float(one.products.sum())), ""],
        ["bias", _long(unit.bias), ""],
        ["result", _long(one.total), ""],
        ["in the network", _long(unit.network), f"({_comparison(found)})"],
    ]
    if unit.after is not None:
        rows.append([f"after {found.formula.after}", _long(unit.after), ""])
    return _table(rows, left=(0, 2))


def verdict(found: UnitTrace) -> str:
    """Say what the network has, and by how much that differs."""
    return f"in the network {_long(found.unit.network)} ({_comparison(found)})"


def _comparison(found: UnitTrace) -> str:
    notes = [f"differs by {found.difference:.2g}" if found.difference else "no difference"]
    if found.is_cut:
        low, high = map(short, found.unit.limits)
        notes.insert(0, f"it holds {low} to {high}")
    elif found.unit.step:
        notes.insert(0, f"in steps of {short(found.unit.step)}")
    return "; ".join(notes) + ("" if found.agrees else ", which is more than rounding")


def _long(value: float) -> str:
    return short(value, 7)


def _table(rows: Sequence[Sequence[str]], *, left: Collection[int] = ()) -> list[str]:
    """Lay cells out in columns, to the right but for some columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def draw(found: UnitTrace, photo: NDArray[Any], picture: str) -> Any:
    """Draw a unit that was taken apart.

    Parameters
    ----------
    found : UnitTrace
        The unit.
    photo : ndarray of uint8, shape (H, W, 3)
        What the network sees.
    picture : str
        What that is called.

    Returns
    -------
    DisplayList
    """
    from cnntool.views.unit import Channel, UnitScene, draw_unit

    unit, one = found.unit, found.one
    products = one.products
    facts = [
        found.meaning,
        found.size.replace("x", " x "),
        Path(found.formula.graph.wire.name).name,
        picture,
    ]
    return draw_unit(
        UnitScene(
            title=f"{found.title}, unit {found.place}: {found.label}"
            if found.label
            else f"{found.title}, unit ({found.place})",
            detail=", ".join(facts),
            photo=photo,
            box=found.box,
            sees=sight(found),
            channels=[
                Channel(found.name(place), one.window[place], one.weights[place], products[place])
                for place in found.strongest[:STRONGEST]
            ],
            maps=len(products),
            inside=one.inside,
            total=float(products.sum()),
            bias=unit.bias,
            after=None if unit.after is None else (found.formula.after, unit.after),
            note=verdict(found),
        )
    )


def run(
    path: Path | None,
    *,
    model: str,
    query: str | None,
    at: tuple[int, ...] | None,
    output: str | None,
    width: int | None,
    overwrite: bool,
    as_json: bool,
    reading: Reading,
    overrides: Overrides,
    settings: SessionSettings,
) -> int:
    """Take a unit apart, and print or draw it.

    Parameters
    ----------
    path : Path, optional
        The picture; by default what is piped in, else the sample.
    query, at
        The layer's name, and the unit.
    model, output, width, overwrite, as_json, reading, overrides, settings
        As the command has them.

    Returns
    -------
    int
        1 if the network computed something else.
    """
    if query is None or at is None:
        raise _incomplete(model, query)
    _check(output, as_json=as_json)
    from cnntool.api.unit_trace import UnitTracer
    from cnntool.nets.inference.preprocess import prepared

    (path,) = inputs_or_sample([path] if path else [])
    if is_folder(path):
        raise InputError("this is a folder, one file is needed", source=str(path))
    with opened(model, overrides, settings) as (network, plan):
        with hold_time(settings.timeout, model):
            network.read_layers()
        tracer = UnitTracer(network, query)
        begin(network, plan)
        pictures = Pictures(
            expand([path], recursive=False),
            partial(prepared, entry=plan.input, photo=output is not None),
            reading,
        )
        loaded = next(iter(pictures))
        found = tracer.find(loaded.made.tensor, at)
        say_where(network)
        if output is not None:
            from cnntool.api.pictures import Figure

            slide = draw(found, loaded.made.photo, loaded.item.relative.name)
            body = Figure(slide).encoded(output, width)
            sliding.write_bytes(body, output, overwrite=overwrite)
        if as_json:
            facts = {"input": loaded.item.name, **facts_of(network, plan)}
            emit_record({**facts, **found.record(), "output": output})
        elif output is None:
            prose("\n".join(text(found)))
        elif not found.agrees:
            console.note(verdict(found))
    return 0 if found.agrees else 1


def _incomplete(model: str, query: str | None) -> UsageError:
    if query is None:
        return UsageError(
            "no layer", hint=f"--layer NAME; 'cnntool layers {model}' lists the names"
        )
    return UsageError("no unit", hint="--unit C,ROW,COLUMN, or one number in a dense layer")


def _check(output: str | None, *, as_json: bool) -> None:
    """Refuse what cannot be drawn or printed."""
    if as_json and output == "-":
        raise UsageError("--json and -o - both want stdout")
    suffix = Path(output or "").suffix.lower()
    if output not in (None, "-") and suffix not in {".png", ".svg"}:
        hint = "an animation is of a --kernel" if suffix == ".gif" else ""
        raise UsageError("a unit is drawn as FILE.png", source=output or "--output", hint=hint)
