"""``cnntool pool``: the largest or the average value under a sliding window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import arrays, param_types, switches
from cnntool.cli.results import Result
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from cnntool.cli.arrays import Stack
    from cnntool.shapes.windows import Padding, Pair


@click.command("pool")
@click.option(
    "--max",
    "largest",
    type=param_types.SIDE,
    help="Take the largest value of each window.",
)
@click.option(
    "--avg",
    "average",
    type=param_types.SIDE,
    help="Take the average of each window.",
)
@click.option(
    "--stride", type=param_types.PAIR, help="From window to window.  [default: the window's size]"
)
@click.option(
    "--padding",
    type=param_types.PADDING,
    default="valid",
    show_default=True,
    help="N, ROWS,COLUMNS, TOP,BOTTOM,LEFT,RIGHT, valid, same or full. It holds no values.",
)
@click.option("--dilation", type=param_types.PAIR, default=(1, 1), help="Spread the taps N apart.")
@click.option("--ceil", is_flag=True, help="Let a last window hang over the end.")
@click.option(
    "--count-padding",
    is_flag=True,
    help="Let padding count as zeros in an average (PyTorch's default).",
)
@click.option(
    "--switches",
    "switches_file",
    metavar="FILE",
    help="Write where each largest value stood, row * width + column, as .npy or .csv: 'cnntool"
    " unpool' puts it back.",
)
@arrays.inputs_and_result
def command(
    *,
    largest: Pair | str | None,
    average: Pair | str | None,
    stride: Pair | None,
    padding: Padding,
    dilation: Pair,
    ceil: bool,
    count_padding: bool,
    switches_file: str | None,
    **settings: Any,
) -> int:
    """Pool pictures, matrices and stacks of maps.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.pool.png and lies in the working directory; a
    matrix is printed. Each channel or map is pooled on its own, alpha too.

    \b
    cnntool pool --max 2 samples/matrix.csv
    cnntool filter --bank -k sobel-x -k sobel-y cat.png --format npy -o - | cnntool pool --max 2
    """  # noqa: D301  click reads the escape
    if (largest is None) == (average is None):
        raise UsageError("give either --max or --avg", hint="'--max 2' is the usual pool")
    if count_padding and average is None:
        raise UsageError("--count-padding is of --avg: padding is never the largest")
    if switches_file is not None:
        if largest is None:
            raise UsageError("--switches is of --max: an average stood nowhere")
        arrays.only_input(settings["inputs"], "--switches")
    side = average if largest is None else largest
    kept: list[Any] = []

    def work(stack: Stack) -> Result:
        from cnntool.filters import pooling
        from cnntool.shapes.windows import Window

        height, width, samples = stack.values.shape
        kernel: Any = (height, width) if side == "all" else side
        window = Window(kernel, stride or kernel, dilation, ceil=ceil).padded(padding)
        arrays.check_size(window.out_shape((height, width)), samples, settings["max_pixels"])
        if average is not None:
            values = pooling.average_pool(stack.values, window, count_padding=count_padding)
        elif switches_file is None:
            values = pooling.max_pool(stack.values, window)
        else:
            values, places = pooling.max_pool_switches(stack.values, window)
            kept.append(places)
        return Result(values, alpha=stack.info.alpha)

    facts = {
        "pool": "max" if average is None else "avg",
        "window": side if side == "all" else list(side or ()),
        "stride": None if stride is None else list(stride),
        "padding": padding if isinstance(padding, str) else list(padding),
        "dilation": list(dilation),
        "ceil": ceil,
        "count_padding": count_padding,
        "switches": switches_file,
    }
    run = partial(arrays.run, work, settings, label="pool", doing="pooling", facts=facts)
    if switches_file is None:
        return run()
    with switches.Writer(switches_file, overwrite=settings["overwrite"]) as writer:
        code = run()
        if code == 0:
            writer.write(kept[0])
            writer.commit()
    return code
