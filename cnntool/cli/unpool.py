"""``cnntool unpool``: put pooled values back to where they stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import arrays, param_types, switches
from cnntool.cli.results import Result
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.cli.arrays import Stack
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
def command(*, switches_file: str, size: Pair, source: Path | None, **settings: Any) -> int:
    """Put pooled values back to where they stood, zeros elsewhere.

    INPUT is a file, or '-' for stdin, which is also read when something is piped in. A result
    without --output is called INPUT.unpool.png and lies in the working directory; a matrix is
    printed.

    \b
    cnntool pool --max 2 --switches where.csv samples/matrix.csv |
        cnntool unpool --switches where.csv --size 5
    """  # noqa: D301  click reads the escape
    inputs = (source,) if source else ()
    arrays.only_input(inputs, "--switches")
    settings |= {"inputs": inputs, "recursive": False}

    def work(stack: Stack) -> Result:
        from cnntool.filters.pooling import unpool

        arrays.check_size(size, stack.values.shape[2], settings["max_pixels"])
        places = switches.read(switches_file, stack.values.shape, max_pixels=settings["max_pixels"])
        try:
            return Result(unpool(stack.values, places, size), alpha=stack.info.alpha)
        except UsageError as error:
            raise UsageError(error.message, source=switches_file) from None

    facts = {"size": list(size), "switches": switches_file}
    return arrays.run(work, settings, label="unpool", doing="unpooling", facts=facts)
