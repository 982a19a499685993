"""``cnntool trace``: where a value of a result comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cnntool.api.arguments import TRACED, TraceOptions
from cnntool.cli import arrays, options, pager, param_types, sliding
from cnntool.cli.inputs import Reading, inputs_or_stdin
from cnntool.cli.network_options import layer_option, model_option, preprocessing, running
from cnntool.cli.output import emit_record, prose
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from cnntool.api.trace_steps import Tracing
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.runtime.providers import SessionSettings
    from cnntool.shapes.windows import Pair


FORMS = {
    "--kernel": (
        "of", "kernel", "kernel_size", "at", "size", "every", "mode", "op", "border", "stride",
        "dilation", "channels", "max", "avg", "padding", "ceil", "count_padding", "output_padding",
        "layout", "delay", "allow_nan",
    ),
    "--model": (
        "model", "query", "unit", "preprocess", "mean", "deviation", "channel_order", "resize",
        "crop", "device", "threads", "timeout", "max_memory",
    ),
}  # fmt: skip
"""What belongs to a trace of windows on an input, and to one of a network's unit."""


@click.command("trace", cls=options.Forms, forms=FORMS)
@click.argument("path", metavar="[INPUT]", required=False, type=param_types.FILE_OR_STDIN)
@click.option(
    "--of",
    type=click.Choice([*TRACED]),
    help="What is traced, as the command of that name does it; 'unpool' pools, and puts back what"
    " it took.  [default: pool with --max or --avg, else filter]",
)
@options.kernel(
    help="As for 'cnntool filter': a name, a matrix, or @FILE.",
)
@sliding.kernel_size
@click.option(
    "--at",
    type=param_types.PLACE,
    help="The value of the result to take apart, from 0,0; of deconv a value of the input.",
)
@click.option(
    "--size",
    type=param_types.PAIR,
    help="So many values from --at on, one after the other: a window of a photo.",
)
@click.option("--all", "every", is_flag=True, help="Take every value apart, one after the other.")
@options.mode
@options.op
@sliding.border
@click.option(
    "--stride",
    type=param_types.PAIR,
    help="Keep every Nth result.  [default: 1; of a pool the window's size]",
)
@options.dilation
@sliding.largest
@sliding.average
@click.option(
    "--padding",
    type=param_types.PADDING,
    default="valid",
    show_default=True,
    help="Of a pool, or what deconv cuts off: N, ROWS,COLUMNS, TOP,BOTTOM,LEFT,RIGHT, valid, same"
    " or full.",
)
@sliding.ceil
@sliding.count_padding
@sliding.output_padding
@options.channels
@options.layout
@click.option(
    "--delay",
    type=click.FloatRange(0.02, 60),
    metavar="SECONDS",
    help="How long each step stays.  [default: 0.6 in an animation; in the terminal, a key]",
)
@model_option
@layer_option(
    "query",
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
    help="Draw it instead: FILE.gif or FILE.webp is the animation of all values, FILE.png or"
    " FILE.svg the frame --at one, or the --unit.",
)
@options.width
@options.overwrite
@options.limits
@options.json_lines
@options.talk
@options.gathered("asked", TraceOptions)
@options.gathered("reading", options.ReadingOptions)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    path: Path | None,
    *,
    asked: TraceOptions,
    at: Pair | None,
    size: Pair | None,
    every: bool,
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

    With --kernel, INPUT is filtered; with --of it is pooled, unpooled, spread out by a transposed
    kernel, or its windows become columns. The numbers are those that 'cnntool filter' computes
    with: plain ones of matrices and arrays, 0 to 1 of pictures. With --all, or --at and --size, a
    key brings the next value on a terminal; elsewhere all are printed.

    With --model, --layer and --unit, INPUT is the picture that the network looks at, by default
    what is piped in, or the sample photo. One value of the layer is computed again from what goes
    into the layer, and compared with the network's own; the exit code is 1 if they differ by more
    than rounding. Of many channels those are listed that count most.
    """
    assert isinstance(ctx.command, options.Forms)  # noqa: S101 - see above
    form = ctx.command.form(ctx)
    if form == "--model":
        from cnntool.cli import unit_output
        from cnntool.cli.network_job import NetworkJob

        how = Reading(reading.max_pixels, reading.strict, fail_fast=True, jobs=None)
        net = NetworkJob(
            model, overrides, settings, how, inputs=[path] if path else [],
            output=output, overwrite=overwrite, as_json=as_json,
        )  # fmt: skip
        return unit_output.run(net, query, unit, width)
    if not any((asked.of, asked.kernel, asked.kernel_size, asked.max, asked.avg)):
        raise UsageError(
            "nothing to trace",
            hint="--kernel SPEC, or --model NAME --layer NAME --unit C,ROW,COLUMN; or --max 2",
        )
    job = _TraceJob(output, at, size, delay, width, overwrite, as_json)
    job.check(every=every)
    job.run(asked.checked(), inputs_or_stdin([path] if path else [])[0], reading)
    return 0


class _TraceJob(NamedTuple):
    """What becomes of a trace."""

    output: str | None
    at: Pair | None
    size: Pair | None
    delay: float | None
    width: int | None
    overwrite: bool
    as_json: bool

    @property
    def several(self) -> bool:
        """Whether more than one value is traced."""
        return self.at is None or self.size is not None

    @property
    def suffix(self) -> str:
        """That of the figure."""
        return Path(self.output or "").suffix.lower()

    def check(self, *, every: bool) -> None:
        """Check that what was asked for goes together."""
        output, at = self.output, self.at
        if at is not None and every:
            raise UsageError("--at is one value, --all are all of them")
        if self.size is not None and at is None:
            raise UsageError("--size goes with --at ROW,COLUMN", hint="--all takes all values")
        if output is None and at is None and not every:
            raise UsageError(
                "no value to trace", hint="--at ROW,COLUMN takes one apart, --all steps through all"
            )
        if self.as_json and output == "-":
            raise UsageError("--json and -o - both want stdout")
        if output in (None, "-"):
            return
        moving, still = self.suffix in {".gif", ".webp"}, self.suffix in {".png", ".svg"}
        if moving and not self.several:
            hint = "--at with -o FILE.png draws one, with --size it is animated from there on"
            raise UsageError("an animation shows all values", hint=hint)
        if still and at is None:
            raise UsageError(
                "a picture shows one value", hint="say --at ROW,COLUMN, or -o FILE.gif"
            )
        if not (moving or still):
            raise UsageError(
                "a trace is drawn as FILE.gif or FILE.webp, or with --at as FILE.png or FILE.svg",
                source=output,
            )

    def run(self, asked: TraceOptions, path: Path, reading: options.ReadingOptions) -> None:
        """Trace, and draw, tell or print."""
        from cnntool.api.tracing import tracing

        picture = arrays.read(path, reading)
        try:
            work = tracing(picture, asked)
            if self.at is not None and self.size is not None:
                work.window(self.at, self.size)
            if self.output is not None:
                self.draw(work, self.output)
            if self.as_json:
                about = {"input": picture.name}
                about |= {"kernel": asked.kernel} if asked.of == "filter" else {"of": asked.of}
                for place in self.places(work):
                    for record in work.at(place).records():
                        emit_record({**about, **record, "output": self.output})
            elif self.output is None:
                self.show(work)
        except UsageError as error:
            error.source = error.source or picture.name
            raise

    def places(self, work: Tracing) -> list[Pair]:
        """Return the places that are traced."""
        return work.places() if self.several or self.at is None else [self.at]

    def draw(self, work: Tracing, output: str) -> None:
        """Write the animation, or the frame of the value."""
        if self.at is None or (self.several and self.suffix not in {".png", ".svg"}):
            body = work.animation(self.delay or 0.6, self.suffix[1:] or "gif", self.width)
        else:
            body = work.frame(self.at).encoded(output, self.width)
        sliding.write_bytes(body, output, overwrite=self.overwrite)

    def show(self, work: Tracing) -> None:
        """Print one value after the other; on a terminal a key brings the next."""
        places = self.places(work)
        if len(places) > 1 and pager.interactive():
            pager.show(work.texts(sliding.text_width()), self.delay)
            return
        for number, place in enumerate(places):
            lines = work.at(place).lines(sliding.text_width())
            prose("\n".join([*[""] * bool(number), *lines]))
