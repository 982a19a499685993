"""The options that say how maps are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cnntool.cli.options import gathered
from cnntool.views.drawing import Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnntool.cli.options import F

STYLES = ("gray", "viridis", "magma", "diverging", "overlay")
SCALES = ("channel", "layer", "percentile", "signed")
SORTS = ("mean", "max", "sparsity")
"""The keys of the registries of these names in `cnntool.views`, which would load numpy."""


def drawing(*, styles: Sequence[str] = STYLES) -> Callable[[F], F]:
    """Add --maps, --sort, --style, --scale, --cols, --gap and --upscale; together: ``drawing``."""
    return gathered(
        "drawing",
        Drawing,
        click.option(
            "--upscale",
            type=click.IntRange(1, 512),
            help="Pixels for each value, both ways.  [default: small maps grow]",
        ),
        click.option(
            "--gap", type=click.IntRange(0, 256), help="Pixels between tiles.  [default: 3]"
        ),
        click.option(
            "--cols",
            "columns",
            type=click.IntRange(min=1),
            help="Tiles in a row.  [default: nearly a square]",
        ),
        click.option(
            "--scale",
            type=click.Choice(SCALES),
            help="What becomes the darkest and the brightest: the ends of each map (channel), of"
            " all (layer), of all but 2 % (percentile), or equally far from 0 (signed).",
        ),
        click.option("--style", type=click.Choice(styles), help="How numbers become colours."),
        click.option(
            "--sort", type=click.Choice(SORTS), help="Which come first: the largest of these."
        ),
        click.option(
            "--maps",
            default="",
            metavar="WHICH",
            help="Only these: 3,7, 0-15, or top:16 of --sort (or mean).",
        ),
    )
