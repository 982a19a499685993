"""``cnntool trace``: where an output value comes from."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import arrays, options, param_types, sliding, stepping, unit
from cnntool.cli.console import result
from cnntool.cli.forms import Forms
from cnntool.cli.opening import model_option
from cnntool.cli.paths import inputs_or_stdin
from cnntool.cli.pictures import Reading
from cnntool.cli.preprocessing import preprocessing
from cnntool.cli.running import running
from cnntool.cli.values import Work
from cnntool.errors import UsageError
from cnntool.views import numerals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.api.pictures import Picture
    from cnntool.filters.kernel import Filter
    from cnntool.views.animation import Scene

Pair = tuple[int, int]


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
@click.pass_context
def command(ctx: click.Context, /, path: Path | None, **settings: Any) -> int:
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
        return unit.run(
            path,
            model=settings["model"],
            query=settings["query"],
            at=settings["unit"],
            output=settings["output"],
            overwrite=settings["overwrite"],
            as_json=settings["as_json"],
            reading=Reading(settings["max_pixels"], settings["strict"], fail_fast=True),
            overrides=settings["overrides"],
            settings=settings["settings"],
        )
    if settings["spec"] is None:
        raise UsageError(
            "nothing to trace",
            hint="--kernel SPEC, or --model NAME --layer NAME --unit C,ROW,COLUMN",
        )
    _trace_kernel(path, settings)
    return 0


def _trace_kernel(path: Path | None, settings: dict[str, Any]) -> None:
    """Take values of a filtered input apart."""
    spec, at, output = settings["spec"], settings["at"], settings["output"]
    as_json = settings["as_json"]
    drawing = _drawing(output, at, every=settings["every"])
    if as_json and output == "-":
        raise UsageError("--json and -o - both want stdout")
    inputs = inputs_or_stdin([path] if path else [])
    item = sliding.convolution(spec, "trace")
    stack = arrays.read(
        inputs[0], options.Reading(**{key: settings[key] for key in options.Reading._fields})
    )
    try:
        work = _prepare(stack, item, settings)
        if drawing:
            data = _draw(work, settings["mode"], at, settings["delay"])
            sliding.write_bytes(data, output, overwrite=settings["overwrite"])
        if as_json:
            for record in work.records(at):
                about = {"input": stack.name, "kernel": spec}
                sliding.print_record({**about, **record, "output": output})
        elif not drawing:
            _print(work, at, settings["delay"])
    except UsageError as error:
        source = error.source or stack.name
        raise UsageError(error.message, source=source, hint=error.hint) from None


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


def _prepare(stack: Picture, item: Filter, settings: dict[str, Any]) -> Work:
    """Plan as `filter` does, and bring the input to the numbers that it computes with."""
    import numpy as np

    from cnntool.filters.assemble import make_pipeline
    from cnntool.filters.pipeline import Options, Source
    from cnntool.filters.plan import Border, Mode, Op
    from cnntool.filters.sliding import of_plan
    from cnntool.image.convert import luma

    info = stack.info
    source = Source(
        info.height, info.width, info.channels, np.dtype(info.dtype), peak=info.peak,
        raw=info.matrix,
    )  # fmt: skip
    chosen = Options(
        mode=Mode(settings["mode"]),
        op=Op(settings["op"]),
        border=Border(settings["border"]),
        stride=settings["stride"],
        dilation=settings["dilation"],
        channels=settings["channels"],
    )
    pipeline = make_pipeline(source, [item], chosen)
    plan = pipeline.branches[0][0].plan
    assert plan is not None  # noqa: S101 - a convolution has one
    values = stack.values[:, :, : info.channels]
    if pipeline.luma:
        values = luma(values)
    maps = np.moveaxis(values, 2, 0).astype(np.float64)
    if not info.matrix:
        maps /= info.peak
    weights = tuple(sliding.laid_on(kernel, settings["op"]) for kernel in item.kernels)
    return Work(maps, item, weights, of_plan(plan), settings["op"] == "convolve")


def _print(work: Work, at: Pair | None, delay: float | None) -> None:
    places = work.places(at)
    if not (len(places) > 1 and stepping.interactive()):
        for number, place in enumerate(places):
            result("\n".join([*[""] * bool(number), *work.text(place)]))
        return
    stepping.show(_steps(work, places), delay)


def _steps(work: Work, places: list[Pair]) -> Iterator[str]:
    """Yield a text for each place, with the results so far."""
    rows, columns = work.sliding.out_shape
    small = len(work.maps) == 1 and max(rows, columns) <= numerals.SHOWN
    values = {}
    for number, place in enumerate(places, 1):
        lines = [f"step {number} of {len(places)}", "", *work.text(place)]
        if small:
            values[place] = numerals.short(work.value(work.traces(place)[0]))
            so_far = [[values.get((r, c), ".") for c in range(columns)] for r in range(rows)]
            lines += ["", "result so far", *numerals.aligned(so_far)]
        yield "\n".join(lines)


def _draw(work: Work, mode: str, at: Pair | None, delay: float | None) -> bytes:
    """Return the animation, or the frame of one place as a PNG file."""
    from cnntool.views import animation

    scene = _scene(work, mode, alone=at is not None)
    if at is None:
        return animation.gif(scene, delay or 0.6)
    work.traces(at)  # refuses a place outside
    return sliding.png(animation.frame(scene, at))


def _scene(work: Work, mode: str, *, alone: bool) -> Scene:
    import numpy as np

    from cnntool.filters.unroll import im2col
    from cnntool.views import animation

    if len(work.maps) > 1 or len(work.weights) > 1:
        raise UsageError(
            "a drawing shows one channel and one kernel",
            hint="take --channels luma, one map of an array, or a kernel such as sobel-x",
        )
    slide = work.sliding
    sliding.check_drawable(work.maps)
    animation.check_size(slide.padded_shape, slide.out_shape, 1 if alone else prod(slide.out_shape))
    steps = [
        f"{name} {'x'.join(map(str, pair)) if pair[0] != pair[1] else pair[0]}"
        for name, pair in (("stride", slide.stride), ("dilation", slide.dilation))
        if pair != (1, 1)
    ]
    border = [f"{slide.border.value} border"] if any(slide.pads) else []
    how = "convolution, kernel flipped" if work.flipped else "correlation"
    product = work.weights[0].reshape(1, -1) @ im2col(work.maps[None], slide)
    return animation.Scene(
        padded=slide.pad(work.maps[0]),
        pads=slide.pads,
        weights=np.asarray(work.weights[0]),
        result=product.reshape(slide.out_shape),
        stride=slide.stride,
        dilation=slide.dilation,
        note=", ".join([how, mode, *border, *steps]),
    )
