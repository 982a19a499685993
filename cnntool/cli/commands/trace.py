"""``cnntool trace``: where a value of a result comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnntool.cli import arrays, options, pager, param_types, sliding
from cnntool.cli import unit_output as units
from cnntool.cli.console import result
from cnntool.cli.inputs import Reading, inputs_or_stdin
from cnntool.cli.network_options import model_option, preprocessing, running
from cnntool.cli.output import emit_record
from cnntool.errors import UsageError
from cnntool.views import number_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnntool.api.arguments import WindowOptions
    from cnntool.api.tracing import Tracer
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings
    from cnntool.shapes.windows import Pair


class Forms(click.Command):
    """A command with forms; its help lists the options of each under a heading.

    Parameters
    ----------
    forms : mapping of str to sequence of str
        The names of the parameters that belong to one form only, by the form's heading: the
        option that chooses it, ``--kernel``.
    """

    def __init__(
        self, *arguments: Any, forms: Mapping[str, Sequence[str]], **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self._form_of = {name: form for form, names in forms.items() for name in names}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of all forms last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for form in (*dict.fromkeys(self._form_of.values()), ""):
            for parameter in self.get_params(ctx):
                row = (
                    parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
                )
                if row and self._form_of.get(parameter.name or "", "") == form:
                    sections.setdefault(form and f"Options with {form}", []).append(row)
        for heading, rows in sections.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(rows)

    def form(self, ctx: click.Context) -> str:
        """Return the form that the command line asks for, by what belongs to it alone.

        Returns
        -------
        str
            The form's heading; empty if nothing on the command line tells.

        Raises
        ------
        UsageError
            Options of two forms. What the environment says does not count.
        """
        first = None
        for parameter in self.params:
            form = self._form_of.get(parameter.name or "")
            source = ctx.get_parameter_source(parameter.name or "")
            if form is None or source is not ParameterSource.COMMANDLINE:
                continue
            flag = max(parameter.opts, key=len)
            if first is None:
                first = form, flag
            elif first[0] != form:
                uses = ((first[1], first[0]), (flag, form))
                told = [f"{option} goes with {its}" for option, its in uses if option != its]
                raise UsageError(f"{first[1]} and {flag} exclude each other", hint=", ".join(told))
        return first[0] if first else ""


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


@click.command("trace", cls=Forms, forms=FORMS)
@click.argument("path", metavar="[INPUT]", required=False, type=param_types.FILE_OR_STDIN)
@click.option(
    "-k",
    "--kernel",
    "spec",
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
    metavar="FILE|-",
    help="Draw it instead: FILE.gif is the animation of all values, FILE.png the frame --at one,"
    " or the --unit.",
)
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
    assert isinstance(ctx.command, Forms)  # noqa: S101 - see above
    form = ctx.command.form(ctx)
    if form == "--model":
        return units.run(
            path,
            model=model,
            query=query,
            at=unit,
            output=output,
            overwrite=overwrite,
            as_json=as_json,
            reading=Reading(reading.max_pixels, reading.strict, fail_fast=True),
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
    from cnntool.api.kernels import read_convolution
    from cnntool.api.tracing import tracer

    inputs = inputs_or_stdin([path] if path else [])
    item = read_convolution(spec, "there is nothing to trace")
    picture = arrays.read(inputs[0], reading)
    try:
        work = tracer(picture, item, window, channels)
        if drawing:
            assert output is not None  # noqa: S101 - it is drawn there
            sliding.write_bytes(_draw(work, at, delay), output, overwrite=overwrite)
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
    if not (len(places) > 1 and pager.interactive()):
        for number, place in enumerate(places):
            lines = work.at(place).lines(sliding.text_width())
            result("\n".join([*[""] * bool(number), *lines]))
        return
    pager.show(_steps(work, places), delay)


def _steps(work: Tracer, places: list[Pair]) -> Iterator[str]:
    """Yield a text for each place, with the results so far."""
    rows, columns = work.sliding.out_shape
    small = len(work.maps) == 1 and max(rows, columns) <= number_format.SHOWN
    values = {}
    for number, place in enumerate(places, 1):
        found = work.at(place)
        lines = [f"step {number} of {len(places)}", "", *found.lines(sliding.text_width())]
        if small:
            values[place] = number_format.short(found.values[0])
            so_far = [[values.get((r, c), ".") for c in range(columns)] for r in range(rows)]
            lines += ["", "result so far", *number_format.aligned(so_far)]
        yield "\n".join(lines)


def _draw(work: Tracer, at: Pair | None, delay: float | None) -> bytes:
    """Return the animation, or the frame of one place as a PNG file."""
    if at is not None:
        return work.at(at).figure().png()
    from cnntool.views.sliding_window import gif

    return gif(work.scene(alone=False), delay or 0.6)
