"""The options that say how pictures become what a network wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli.options import FileName, Pair, gathered

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.cli.options import F
    from cnntool.nets.recipes import Overrides

RECIPES = ("imagenet", "torch", "caffe", "tf", "unit", "raw")


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """One number, or one for each channel: ``0.5`` or ``0.485,0.456,0.406``."""

    name = "N[,N,N]"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[float, ...]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) not in {1, 3} or not all(abs(number) < 1e9 for number in numbers):
            self.fail(f"{value!r} is not one number or three", param, ctx)
        if param is not None and param.name == "deviation" and min(numbers) <= 0:
            self.fail("a deviation is above 0", param, ctx)
        return numbers


_OPTIONS = (
    click.option("--crop", type=Pair(most=16384), help="Cut this size from the centre."),
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
    click.option("--std", "deviation", type=Numbers(), help="Divide by this (for each channel)."),
    click.option("--mean", type=Numbers(), help="Subtract this (for each channel)."),
    click.option(
        "--preprocess",
        type=click.Choice(RECIPES),
        help="How colours become numbers: 0..1 less ImageNet's mean (imagenet, torch), BGR"
        " 0..255 less the mean (caffe), -1..1 (tf), 0..1 (unit), 0..255 (raw).",
    ),
)

labels = click.option(
    "--labels",
    type=FileName(),
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
