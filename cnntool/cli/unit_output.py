"""``cnntool trace --layer``: one unit of a network, in lines, as a record or as a slide."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnntool.cli import console, sliding
from cnntool.cli.inputs import Pictures, Reading, inputs_or_sample
from cnntool.cli.network_options import begin, facts_of, hold_time, opened, say_where
from cnntool.cli.output import emit_record, prose
from cnntool.errors import InputError, UsageError
from cnntool.image.files import expand, is_folder

if TYPE_CHECKING:
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings


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
            partial(prepared, entry=plan.input, photo=True),
            reading,
        )
        loaded = next(iter(pictures))
        found = tracer.find(loaded.made, at, loaded.item.relative.name)
        say_where(network)
        if output is not None:
            body = found.figure().encoded(output, width)
            sliding.write_bytes(body, output, overwrite=overwrite)
        if as_json:
            facts = {"input": loaded.item.name, **facts_of(network, plan)}
            emit_record({**facts, **found.record(), "output": output})
        elif output is None:
            prose("\n".join(found.lines(sliding.text_width())))
        elif not found.agrees:
            console.note(found.verdict)
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
