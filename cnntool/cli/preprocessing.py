"""The options that say how pictures become what a network wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import param_types
from cnntool.cli.options import gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.cli.options import F
    from cnntool.nets.recipes import Overrides

RECIPES = ("imagenet", "torch", "caffe", "tf", "unit", "raw")


_OPTIONS = (
    click.option("--crop", type=param_types.CROP, help="Cut this size from the centre."),
    click.option(
        "--resize",
        type=click.IntRange(1, 16384),
        help="Resize the shorter side to this first.",
    ),
    click.option(
        "--channel-order",
        type=click.Choice(["rgb", "bgr"], case_sensitive=False),
        help="Order of the colours; mean and deviation go with their colours.",
    ),
    click.option(
        "--std", "deviation", type=param_types.DEVIATIONS, help="Divide by this (for each channel)."
    ),
    click.option("--mean", type=param_types.NUMBERS, help="Subtract this (for each channel)."),
    click.option(
        "--preprocess",
        type=click.Choice(RECIPES),
        help="How colours become numbers: 0..1 less ImageNet's mean (imagenet, torch), BGR"
        " 0..255 less the mean (caffe), -1..1 (tf), 0..1 (unit), 0..255 (raw).",
    ),
)

labels = click.option(
    "--labels",
    type=param_types.FILE,
    help="Names of the classes: a line each, or TSV, or JSON.",
)

output_name = click.option(
    "--output-name",
    metavar="NAME",
    help="Which output answers, of a network that has several.",
)

white = click.option(
    "--white",
    type=click.FloatRange(min=0, min_open=True),
    metavar="VALUE",
    help="What white is in the picture that the network makes: 1, 255...  [default: as its last"
    " operators bound it, else as white goes in]",
)


def preprocessing(*more: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add --preprocess and its single overrides, and options of more; together: ``overrides``."""
    return gathered("overrides", _overrides, *_OPTIONS, *reversed(more))


def _overrides(
    *, channel_order: str | None, output_name: str | None = None, **values: Any
) -> Overrides:
    from cnntool.nets.recipes import Overrides

    order = channel_order.upper() if channel_order else None
    return Overrides(channel_order=order, output=output_name, **values)
