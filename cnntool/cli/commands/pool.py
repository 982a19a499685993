"""``cnntool pool``: the largest or the average value under a sliding window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cnntool.api.resampling import Pooling, pooling
from cnntool.cli import arrays, options, param_types, sliding, switches

if TYPE_CHECKING:
    from cnntool.api.pictures import Picture
    from cnntool.api.rendering import Result


@click.command("pool")
@sliding.largest
@sliding.average
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
@options.dilation
@sliding.ceil
@sliding.count_padding
@click.option(
    "--switches",
    "switches_file",
    metavar="FILE",
    help="Write where each largest value stood, row * width + column, as .npy or .csv: 'cnntool"
    " unpool' puts it back.",
)
@arrays.inputs_and_result
@options.gathered("how", Pooling)
def command(
    *,
    how: Pooling,
    switches_file: str | None,
    job: arrays.Job,
) -> int:
    """Pool pictures, matrices and stacks of maps.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in. A
    result without --output is called INPUT.pool.png and lies in the working directory; a
    matrix is printed. Each channel or map is pooled on its own, alpha too.

    \b
    cnntool pool --max 2 samples/matrix.csv
    cnntool filter --bank -k sobel-x -k sobel-y cat.png --format npy -o - | cnntool pool --max 2
    """  # noqa: D301  click reads the escape
    limit = job.reading.max_pixels
    work = pooling(how, switches=switches_file is not None, max_pixels=limit)
    side = how.avg if how.max is None else how.max
    facts = {
        "pool": "max" if how.avg is None else "avg",
        "window": side if side == "all" else list(side or ()),
        "stride": None if how.stride is None else list(how.stride),
        "padding": how.padding if isinstance(how.padding, str) else list(how.padding),
        "dilation": list(how.dilation),
        "ceil": how.ceil,
        "count_padding": how.count_padding,
        "switches": switches_file,
    }
    run = partial(arrays.run, job=job, label="pool", doing="pooling", facts=facts)
    if switches_file is None:
        return run(work)
    arrays.only_input(job.inputs)
    kept: list[Any] = []

    def keeping(picture: Picture) -> Result:
        result = work(picture)
        kept.append(result.switches)
        return result

    with switches.Writer(switches_file, overwrite=job.saving.overwrite) as writer:
        code = run(keeping)
        if code == 0:
            writer.write(kept[0])
            writer.commit()
    return code
