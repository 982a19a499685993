"""``cnntool activations``: what every layer of a network makes of a picture."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.api.sources import STDIO, expand
from cnntool.cli import console, options
from cnntool.cli.choosing import model as model_option
from cnntool.cli.looking import layer_option
from cnntool.cli.maps import chosen_drawing, drawing
from cnntool.cli.paths import is_several
from cnntool.cli.preprocessing import labels as labels_option
from cnntool.cli.preprocessing import preprocessing, wishes
from cnntool.cli.running import running, session_settings
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.cli.layer_work import Purpose


EXCLUSIVE = (
    ("raw", "stats_only"),
    ("raw", "top_patches"),
    ("report", "stats_only"),
    ("show", "top_patches"),
    ("average", "top_patches"),
)
"""Options of which one at most makes sense."""


@click.command("activations")
@options.inputs
@model_option
@layer_option
@click.option("--all", "everything", is_flag=True, help="Look at every layer.")
@drawing()
@click.option(
    "--raw",
    type=click.Choice(["npz", "npy"]),
    help="Write the numbers instead of pictures: float32, maps x rows x columns.",
)
@click.option("--stats-only", is_flag=True, help="Print the figures and write nothing.")
@click.option("--show", is_flag=True, help="Draw in the terminal.")
@click.option(
    "--report",
    type=options.FileName(),
    metavar="FILE",
    help="Write one HTML page that holds everything.",
)
@click.option("--average", is_flag=True, help="Average each layer over all inputs.")
@click.option(
    "--top-patches",
    is_flag=True,
    help="Show for each map what excites it most in all inputs, cut by receptive field.",
)
@options.output
@labels_option
@preprocessing
@options.fail_fast
@options.reading
@options.json_lines
@running
@options.talk
def command(
    *,
    inputs: tuple[Path, ...],
    recursive: bool,
    model: str,
    queries: tuple[str, ...],
    at: str,
    everything: bool,
    **settings: Any,
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
    are NaN and infinite, and the file.
    """
    paths = inputs_or_sample(inputs)
    several = is_several(paths)
    purpose = _check(settings, paths, several=several)
    from cnntool.cli.layer_work import Work
    from cnntool.cli.looking import choose
    from cnntool.cli.network import Network

    with Network(model, wishes(settings), session_settings(settings)) as network:
        layers = network.layers()
        chosen = choose(layers, queries, everything=everything, at=at)
        work = Work(network, layers.flow, chosen, purpose, several=several)
        network.open()
        return work.run(
            expand(paths, recursive=recursive, results=work.folder, matrices=False),
            max_pixels=settings["max_pixels"],
            strict=settings["strict"],
            fail_fast=settings["fail_fast"],
        )


def inputs_or_sample(inputs: Sequence[Path]) -> list[Path]:
    """Return the inputs; stdin if there are none and something is piped in; else the sample."""
    if inputs:
        if Path(STDIO) in inputs and sys.stdin.isatty():
            raise UsageError("no input", hint="name files or folders, or pipe a picture in")
        if list(inputs).count(Path(STDIO)) > 1:
            raise UsageError("stdin can be read only once")
        return list(inputs)
    if _is_piped():
        return [Path(STDIO)]
    from cnntool.nets.places import shipped_sample

    sample = shipped_sample()
    console.note(f"no picture was given: looking at the sample {sample.name}")
    return [sample]


def _is_piped() -> bool:
    """Tell whether stdin is a pipe, a file or a socket: no terminal, no ``/dev/null``."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):  # no real file
        return not sys.stdin.isatty()
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _check(settings: dict[str, Any], paths: Sequence[Path], *, several: bool) -> Purpose:
    """Refuse what cannot be had together, and collect the rest."""
    from cnntool.cli.layer_files import raw_format
    from cnntool.cli.layer_work import Purpose

    output = settings["output"]
    raw = raw_format(settings["raw"], output)
    for name, flag in (("average", "--average"), ("top_patches", "--top-patches")):
        if settings[name] and not several:
            raise UsageError(f"{flag} wants several pictures", hint="give a folder")
    if settings["top_patches"] and Path(STDIO) in paths:
        raise UsageError("--top-patches reads pictures twice, and stdin can be read only once")
    for first, second in EXCLUSIVE:
        if settings[first] and settings[second]:
            flags = [f"--{name.replace('_', '-')}" for name in (first, second)]
            raise UsageError(f"{flags[0]} and {flags[1]} exclude each other")
    if settings["stats_only"] and output:
        raise UsageError("--stats-only writes nothing, and --output was given")
    if settings["report"] and several:
        raise UsageError("a report is about one picture")
    look = chosen_drawing(settings)
    if look.needs_photo and settings["average"]:
        raise UsageError("an average has no photo to lie on", source="--style overlay")
    quiet = settings["stats_only"] or settings["show"] or settings["report"]
    return Purpose(
        drawing=look,
        output=output,
        overwrite=settings["overwrite"],
        raw=raw,
        writes=not settings["stats_only"] and bool(output or raw or not quiet),
        show=settings["show"],
        report=settings["report"],
        average=settings["average"],
        patches=settings["top_patches"],
        as_json=settings["as_json"],
    )
