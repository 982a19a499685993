"""What ``filter`` says of its work: the plan before, the record after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnntool.cli import console
from cnntool.cli.output import emit_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cnntool.api.rendering import Rendering
    from cnntool.filters.pipeline import Pipeline
    from cnntool.image.types import ImageInfo


def record(
    name: str,
    info: ImageInfo,
    pipeline: Pipeline,
    rendering: Rendering,
    *,
    kernels: Sequence[str],
    target: str,
    clipped: float | None,
    milliseconds: float,
) -> dict[str, Any]:
    """Say what was done, in stable keys, ready for JSON.

    Parameters
    ----------
    name : str
        The input, as given.
    info : ImageInfo
        What was read.
    pipeline : Pipeline
        What was computed.
    rendering : Rendering
        What was written.
    kernels : sequence of str
        As given.
    target : str
        Where the result is.
    clipped : float or None
        Share of the values that were clipped; None where nothing can clip.
    milliseconds : float
        For this input, reading and writing included.
    """
    options = pipeline.options
    return {
        "input": name,
        "read": facts(info),
        "kernels": list(kernels),
        "bank": options.bank,
        "mode": options.mode.value,
        "op": options.op.value,
        "border": options.border.value if options.border else None,
        "stride": list(options.stride),
        "dilation": list(options.dilation),
        "methods": [
            step.plan.method.value if step.plan else None
            for branch in pipeline.branches
            for step in branch
        ],
        "channels": "luma" if pipeline.luma else "each",
        "linear": options.linear,
        "bias": None if options.bias is None else options.bias.tolist(),
        "relu": options.relu,
        "range": list(rendering.ranges),
        "clipped": clipped,
        "output": target,
        "written": facts(rendering.info),
        "milliseconds": milliseconds,
    }


def say(record: dict[str, Any], chosen: Path | None, *, as_json: bool) -> None:
    """Say what was done: a record, or the file whose name the tool chose."""
    if record["clipped"]:
        console.detail(f"{record['input']}: {record['clipped']:.2%} of the values were clipped")
    if as_json:
        emit_record(record)
    elif chosen is not None:
        console.result(str(chosen))


def facts(info: ImageInfo) -> dict[str, Any]:
    """Describe a picture or a matrix in stable keys, ready for JSON."""
    keys = ("format", "height", "width", "channels", "alpha", "dtype")
    return {key: getattr(info, key) for key in keys}


def explain(name: str, info: ImageInfo, pipeline: Pipeline, rendering: Rendering) -> list[str]:
    """Describe the plan: a line for the input, each kernel and the result."""
    written = rendering.info
    lines = [f"input   {name}: {_picture(info)}"]
    if pipeline.luma:
        lines.append("colour  reduced to luma")
    for branch in pipeline.branches:
        for step in branch:
            if step.plan is None:
                joins = getattr(step.filter, "joins", False)
                how = "a kernel for each colour, added up" if joins else "non-linear"
                whole = step.reach is None or not pipeline.streams
                rows = "on whole maps" if whole else f"{pipeline.strip_rows} rows a strip"
                lines.append(f"filter  {step.filter.name}: {how}, {rows}")
                continue
            plan = step.plan.describe()
            size = "x".join(map(str, plan["kernel"]))
            rank = "separable" if plan["separable"] else f"rank {plan['rank']}"
            if plan["rank"] is None:
                rank = f"of {plan['input'][2]} channels each"
            count = f"{plan['kernels']} kernels" if plan["kernels"] > 1 else "kernel"
            shapes = ["x".join(map(str, plan[key][:2])) for key in ("input", "output")]
            pads = ",".join(map(str, plan["padding"]))
            lines += [
                f"filter  {step.filter.name}: {count} {size}, {rank}, {plan['combine']}",
                (
                    f"        {plan['op']}, {plan['mode']}, stride {_pair(plan['stride'])},"
                    f" dilation {_pair(plan['dilation'])}: {shapes[0]} -> {shapes[1]}"
                ),
                f"        padding {pads} (top, bottom, left, right), {plan['border']}",
                (
                    f"        method {plan['method']} in {plan['arithmetic']},"
                    f" {plan['multiplies']:g} multiplies a value,"
                    f" {plan['strip_rows']} rows a strip"
                ),
            ]
    options = pipeline.options
    after = ["bias"] * (options.bias is not None) + ["ReLU"] * options.relu
    if after:
        lines.append(f"then    {', '.join(after)}")
    lines.append(f"range   {', '.join(dict.fromkeys(rendering.ranges))}")
    lines.append(f"result  {written.format}: {_picture(written)}")
    return lines


def _pair(values: Sequence[int]) -> str:
    rows, columns = values
    return str(rows) if rows == columns else f"{rows},{columns}"


def _picture(info: ImageInfo) -> str:
    alpha = " and alpha" if info.alpha else ""
    channels = "1 channel" if info.channels == 1 else f"{info.channels} channels"
    return f"{info.height} rows x {info.width} columns, {channels}{alpha}, {info.dtype}"
