"""``cnntool trace``: where a value of a result comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnntool.cli import arrays, options, pager, param_types, sliding
from cnntool.cli.console import result
from cnntool.cli.inputs import Reading, inputs_or_stdin
from cnntool.cli.network_options import LAYER, model_option, preprocessing, running
from cnntool.cli.output import emit_record
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from cnntool.api.arguments import WindowOptions
    from cnntool.api.tracing import Tracer
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings
    from cnntool.shapes.windows import Pair


FORMS = {
    "--kernel": (
        "spec", "at", "every", "mode", "op", "border", "stride", "dilation", "channels", "layout",
        "delay", "allow_nan",
    ),
    "--model": (
        "model", "query", "unit", "preprocess", "mean", "deviation", "channel_order", "resize",
        "crop", "device", "threads", "timeout", "max_memory",
    ),
}  # fmt: skip
"""What belongs to a trace of a classic kernel, and to one of a network's unit."""


@click.command("trace", cls=options.Forms, forms=FORMS)
@click.argument("path", metavar="[INPUT]", required=False, type=param_types.FILE_OR_STDIN)
@click.option(
    "-k",
    "--kernel",
    "spec",
    type=param_types.KERNEL,
    metavar="SPEC",
    help="As for 'cnntool filter': a name, a matrix, or @FILE.",
)
@click.option(
    "--at", type=param_types.PLACE, help="The value of the result to take apart, from 0,0."
)
@click.option("--all", "every", is_flag=True, help="Take every value apart, one after the other.")
@sliding.window
@click.option(
    "--channels",
    type=click.Choice(["each", "luma"]),
    help="Of colour pictures: each colour or the luma.  [default: luma for derivatives, else each]",
)
@options.layout
@click.option(
    "--delay",
    type=click.FloatRange(0.02, 60),
    metavar="SECONDS",
    help="How long each step stays.  [default: 0.6 in an animation; in the terminal, a key]",
)
@model_option
@click.option(
    "-l",
    "--layer",
    "query",
    type=LAYER,
    metavar="NAME",
    help="A convolution or a dense layer: its name, conv:9 or '#42'. 'cnntool layers' lists the"
    " names.",
)
@click.option(
    "--unit",
    type=param_types.UNIT,
    help="The value of the layer to take apart: channel, row and column, from 0,0,0; in a dense"
    " layer one number.",
)
@preprocessing()
@running
@click.option(
    "-o",
    "--output",
    type=param_types.ANY_FILE,
    metavar="FILE|-",
    help="Draw it instead: FILE.gif is the animation of all values, FILE.png the frame --at one,"
    " or the --unit (FILE.svg too).",
)
@options.width
@options.overwrite
@options.limits
@options.json_lines
@options.talk
@options.gathered("reading", options.ReadingOptions)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    path: Path | None,
    *,
    spec: str | None,
    at: Pair | None,
    every: bool,
    window: WindowOptions,
    channels: str | None,
    delay: float | None,
    model: str,
    query: str | None,
    unit: tuple[int, ...] | None,
    overrides: Overrides,
    settings: SessionSettings,
    reading: options.ReadingOptions,
    output: str | None,
    width: int | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Show where a value of the result comes from: window, kernel, products and sum.

    With --kernel, INPUT is filtered. The numbers are those that 'cnntool filter' computes with:
    plain ones of matrices and arrays, 0 to 1 of pictures. With --all, a key brings the next value
    on a terminal; elsewhere all are printed.

    With --model, --layer and --unit, INPUT is the picture that the network looks at, by default
    what is piped in, or the sample photo. One value of the layer is computed again from what goes
    into the layer, and compared with the network's own; the exit code is 1 if they differ by more
    than rounding. Of many channels those are listed that count most.
    """
    assert isinstance(ctx.command, options.Forms)  # noqa: S101 - see above
    form = ctx.command.form(ctx)
    if form == "--model":
        from cnntool.cli import unit_output

        return unit_output.run(
            path,
            model=model,
            query=query,
            at=unit,
            output=output,
            width=width,
            overwrite=overwrite,
            as_json=as_json,
            reading=Reading(reading.max_pixels, reading.strict, fail_fast=True, jobs=None),
            overrides=overrides,
            settings=settings,
        )
    if spec is None:
        raise UsageError(
            "nothing to trace",
            hint="--kernel SPEC, or --model NAME --layer NAME --unit C,ROW,COLUMN",
        )
    drawing = _drawing(output, at, every=every)
    if as_json and output == "-":
        raise UsageError("--json and -o - both want stdout")
    from cnntool.api.arguments import FilterOptions
    from cnntool.api.kernels import read_convolution
    from cnntool.api.tracing import tracer

    inputs = inputs_or_stdin([path] if path else [])
    item = read_convolution(spec, "there is nothing to trace")
    picture = arrays.read(inputs[0], reading)
    try:
        work = tracer(picture, item, FilterOptions(*window, channels))
        if drawing:
            assert output is not None  # noqa: S101 - it is drawn there
            sliding.write_bytes(work.drawing(at, delay or 0.6), output, overwrite=overwrite)
        if as_json:
            about = {"input": picture.name, "kernel": spec}
            for place in work.places() if at is None else [at]:
                for record in work.at(place).records():
                    emit_record({**about, **record, "output": output})
        elif not drawing:
            _print(work, at, delay)
    except UsageError as error:
        error.source = error.source or picture.name
        raise
    return 0


def _drawing(output: str | None, at: Pair | None, *, every: bool) -> bool:
    """Check that what was asked for goes together; tell whether a figure is to be drawn."""
    if at is not None and every:
        raise UsageError("--at is one value, --all are all of them")
    if output is None and at is None and not every:
        raise UsageError(
            "no value to trace", hint="--at ROW,COLUMN takes one apart, --all steps through all"
        )
    suffix = Path(output or "").suffix.lower()
    if output is None or output == "-" or suffix == (".gif" if at is None else ".png"):
        return output is not None
    if suffix == ".gif":
        raise UsageError("an animation shows all values", hint="--at with -o FILE.png draws one")
    if suffix == ".png":
        raise UsageError("a picture shows one value", hint="say --at ROW,COLUMN, or -o FILE.gif")
    raise UsageError("a trace is drawn as FILE.gif, or with --at as FILE.png", source=str(output))


def _print(work: Tracer, at: Pair | None, delay: float | None) -> None:
    places = work.places() if at is None else [at]
    if len(places) > 1 and pager.interactive():
        pager.show(work.steps(places, sliding.text_width()), delay)
        return
    for number, place in enumerate(places):
        lines = work.at(place).lines(sliding.text_width())
        result("\n".join([*[""] * bool(number), *lines]))
