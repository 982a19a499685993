"""``cnntool unpool``: put pooled values back to where they stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.api.resampling import unpooling
from cnntool.cli import arrays, param_types, switches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.api.pictures import Picture
    from cnntool.shapes.windows import Pair


@click.command("unpool")
@click.option(
    "--switches",
    "switches_file",
    metavar="FILE",
    required=True,
    help="Where each value stood, from 'cnntool pool --switches'.",
)
@click.option(
    "--size",
    type=param_types.PAIR,
    required=True,
    help="Rows and columns of what was pooled.",
)
@click.argument("source", required=False, metavar="[INPUT]", type=param_types.FILE_OR_STDIN)
@arrays.result
def command(*, switches_file: str, size: Pair, source: Path | None, job: arrays.Job) -> int:
    """Put pooled values back to where they stood, zeros elsewhere.

    INPUT is a file, or '-' for stdin, which is also read when something is piped in. A result
    without --output is called INPUT.unpool.png and lies in the working directory; a matrix is
    printed.

    \b
    cnntool pool --max 2 --switches where.csv samples/matrix.csv |
        cnntool unpool --switches where.csv --size 5
    """  # noqa: D301  click reads the escape
    job = job._replace(inputs=(source,) if source else ())
    arrays.only_input(job.inputs)
    limit = job.reading.max_pixels

    def places(picture: Picture) -> NDArray[Any]:
        return switches.read(switches_file, picture.values.shape, max_pixels=limit)

    work = unpooling(places, size, name=switches_file, max_pixels=limit)
    facts = {"size": list(size), "switches": switches_file}
    return arrays.run(work, job, label="unpool", doing="unpooling", facts=facts)
