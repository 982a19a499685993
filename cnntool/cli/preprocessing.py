"""The options that say how pictures become what a network wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from cnntool.cli import param_types

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.nets.recipes import Wishes

F = TypeVar("F", bound="Callable[..., Any]")

RECIPES = ("imagenet", "torch", "caffe", "tf", "unit", "raw")


def preprocessing(command: F) -> F:
    """Add --preprocess and its single overrides."""
    for option in (
        click.option(
            "--crop",
            type=param_types.CROP,
            help="Cut this size from the centre.",
        ),
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
            "--std",
            "deviation",
            type=param_types.DEVIATIONS,
            help="Divide by this (for each channel).",
        ),
        click.option("--mean", type=param_types.NUMBERS, help="Subtract this (for each channel)."),
        click.option(
            "--preprocess",
            type=click.Choice(RECIPES),
            help="How colours become numbers: 0..1 less ImageNet's mean (imagenet, torch), BGR"
            " 0..255 less the mean (caffe), -1..1 (tf), 0..1 (unit), 0..255 (raw).",
        ),
    ):
        command = option(command)
    return command


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


def wishes(settings: dict[str, Any]) -> Wishes:
    """Collect what the user said of the pictures."""
    from cnntool.nets.recipes import Wishes

    order = settings["channel_order"]
    return Wishes(
        preprocess=settings["preprocess"],
        channel_order=order.upper() if order else None,
        mean=settings["mean"],
        deviation=settings["deviation"],
        resize=settings["resize"],
        crop=settings["crop"],
        labels=settings.get("labels"),
        output=settings.get("output_name"),
        white=settings.get("white"),
    )
