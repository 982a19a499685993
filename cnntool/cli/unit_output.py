"""``cnntool trace --layer``: one unit of a network, in lines, as a record or as a slide."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnntool.cli import console, sliding
from cnntool.cli.inputs import Pictures, inputs_or_sample
from cnntool.cli.network_options import begin, facts_of, say_where
from cnntool.cli.output import emit_record, prose
from cnntool.errors import InputError, UsageError
from cnntool.image.files import expand, is_folder

if TYPE_CHECKING:
    from cnntool.cli.network_job import NetworkJob


def run(job: NetworkJob, query: str | None, at: tuple[int, ...] | None, width: int | None) -> int:
    """Take a unit of a layer apart, and print or draw it, so wide.

    Without an input the picture is what is piped in, else the sample. Returns 1 if the network
    computed something else.
    """
    output, as_json = job.output, job.as_json
    if query is None or at is None:
        raise _incomplete(job.model, query)
    _check(output, as_json=as_json)
    from cnntool.api.unit_trace import UnitTracer
    from cnntool.nets.inference.preprocess import prepared

    (path,) = inputs_or_sample(job.inputs)
    if is_folder(path):
        raise InputError("this is a folder, one file is needed", source=str(path))
    with job.opened() as (network, plan):
        with job.hold_time():
            network.read_layers()
        tracer = UnitTracer(network, query)
        begin(network, plan)
        pictures = Pictures(
            expand([path], recursive=False),
            partial(prepared, entry=plan.input, photo=True),
            job.reading,
        )
        loaded = next(iter(pictures))
        found = tracer.find(loaded.made, at, loaded.item.relative.name)
        say_where(network)
        if output is not None:
            body = found.figure().encoded(output, width)
            sliding.write_bytes(body, output, overwrite=job.overwrite)
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
