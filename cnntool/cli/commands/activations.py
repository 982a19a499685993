"""``cnntool activations``: what every layer of a network makes of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import batch_log, options, param_types
from cnntool.cli.drawing_options import drawing
from cnntool.cli.inputs import inputs_or_sample, reading
from cnntool.cli.network_job import NetworkJob, network_job
from cnntool.cli.network_options import (
    begin,
    labels,
    layer_option,
    model_option,
    preprocessing,
    running,
)
from cnntool.errors import UsageError
from cnntool.image.files import STDIO
from cnntool.nets.attribution.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.cli.layer_files import Purpose


@click.command("activations")
@options.inputs
@model_option
@layer_option(
    "queries",
    multiple=True,
    help="A layer: its name, conv:9, '#42' or a pattern such as 'block4_*'; may be repeated."
    " 'cnntool layers' lists the names.",
)
@click.option(
    "--at",
    type=click.Choice(["post", "pre"]),
    default="post",
    show_default=True,
    help="A layer's result after the norm and activation that follow it, or before.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Look at every layer, and every operator that is part of none.",
)
@drawing()
@options.raw(
    "Write the numbers instead of pictures: float32, maps x rows x columns.",
)
@options.stats_only
@click.option(
    "--show", is_flag=True, help="Draw in the terminal, as pixels where it can (kitty, sixel)."
)
@click.option(
    "--report",
    type=param_types.FILE,
    metavar="FILE",
    help="Write one HTML page that holds everything; of several pictures side by side.",
)
@click.option(
    "--units",
    multiple=True,
    metavar="NAME",
    help="With --report: a layer each of whose values the page takes apart; may be repeated.",
)
@click.option(
    "--explain",
    type=click.Choice(list(METHODS)),
    help="With --report: show what speaks for the likeliest classes; about twice the work.",
)
@click.option(
    "--patches",
    type=param_types.FILE,
    metavar="FOLDER",
    help="With --report: show for each map what excites it most in these pictures.",
)
@click.option("--average", is_flag=True, help="Average each layer over all inputs.")
@click.option(
    "--top-patches",
    is_flag=True,
    help="Show for each map what excites it most in all inputs, cut by receptive field.",
)
@options.figure
@options.width
@options.output
@options.figure_format
@preprocessing(labels)
@reading
@options.json_lines
@running
@batch_log.logging
@options.talk
@network_job
def command(
    *, job: NetworkJob, queries: tuple[str, ...], at: str, everything: bool, **purpose: Any
) -> int:
    """Show what every layer of a network makes of a picture.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in;
    without any the sample photo is taken. A layer's maps become the tiles of one PNG. That of one
    layer is called INPUT.LAYER.png, those of several are INPUT.activations/NN-LAYER.png; --output
    names another file or folder. Without --layer, every layer is shown that has a name by its
    place in the network (block1_conv1, block1_pool, fc1...).

    The table says of each layer its smallest and largest value, mean, deviation, the share of
    zeros, and how many maps are zero everywhere. Lines in a pipe hold the input, the layer, the
    tensor, its shape, minimum, maximum, mean, deviation, share of zeros, dead maps, how many values
    are NaN and infinite, and the file. Where there are NaN or infinite values, the operator that
    they come from is named, with what goes into it. With --json there are also the numbers of the
    dead maps, and the shares of values that are subnormal or at the ends of a range of 8 bits.
    """
    from cnntool.cli.layer_files import Purpose

    job = job._replace(inputs=inputs_or_sample(job.inputs))
    several = job.several
    asked = Purpose(output=job.output, overwrite=job.overwrite, as_json=job.as_json, **purpose)
    wanted = _check(asked, job.inputs, several=several)
    if job.logging.log:
        _check_logged(wanted)
    from cnntool.api.activations import choose_layers
    from cnntool.cli.layer_output import Work

    with job.opened() as (network, plan):
        with job.hold_time():
            layers = network.read_layers()
        chosen = choose_layers(layers, queries, network.note, everything=everything, at=at)
        work = Work(network, chosen, wanted, several=several)
        begin(network, plan)
        items = work.items(job.inputs, recursive=job.recursive)
        with job.logged(network) as log:
            return work.run(items, job.reading, log)


def _check_logged(purpose: Purpose) -> None:
    """Refuse a log where there is no result for each picture, in files or figures."""
    for name, what in (
        ("average", "one result of all pictures"),
        ("top_patches", "one result of all pictures"),
        ("report", "one page of all pictures"),
        ("show", "drawn, and gone"),
    ):
        if getattr(purpose, name):
            hint = "a log is of results for each picture"
            raise UsageError(f"--log and `{name}` exclude each other: that is {what}", hint=hint)


def _check(purpose: Purpose, paths: Sequence[Path], *, several: bool) -> Purpose:
    """Refuse what cannot be had together, and settle whether numbers are wanted."""
    from cnntool.cli.layer_files import raw_format

    purpose = purpose._replace(raw=raw_format(purpose.raw, purpose.output))
    given = purpose._asdict()
    for name in ("average", "top_patches"):
        if given[name] and not several:
            raise UsageError(f"`{name}` wants several pictures", hint="give a folder")
    if purpose.top_patches and Path(STDIO) in paths:
        raise UsageError("--top-patches reads pictures twice, and stdin can be read only once")
    for first, second in (
        ("raw", "stats_only"),
        ("raw", "top_patches"),
        ("report", "stats_only"),
        ("report", "average"),
        ("report", "top_patches"),
        ("show", "top_patches"),
        ("average", "top_patches"),
        ("figure", "raw"),
        ("figure", "stats_only"),
        ("figure", "average"),
        ("figure", "top_patches"),
    ):
        if given[first] and given[second]:
            raise UsageError(f"`{first}` and `{second}` exclude each other")
    if purpose.stats_only and purpose.output:
        raise UsageError("--stats-only writes nothing, and --output was given")
    for name in ("units", "explain", "patches"):
        if given[name] and not purpose.report:
            raise UsageError(f"`{name}` is for the page of --report")
    if purpose.drawing.needs_photo and purpose.average:
        raise UsageError("an average has no photo to lie on", source="--style overlay")
    return purpose
