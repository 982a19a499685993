"""Silenced maps: the options, the pictures of the command line, and what is printed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.inputs import Pictures
from cnntool.cli.network_options import LAYER, say_where
from cnntool.cli.output import Column, emit
from cnntool.errors import UsageError
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from cnntool.api.ablation import Ablation
    from cnntool.cli.inputs import Reading
    from cnntool.cli.output import Form
    from cnntool.errors import ModelError
    from cnntool.image.files import Item
    from cnntool.nets.network import Network

FILLS = ("zero", "mean")
"""Those of `cnntool.api.ablation`, which would load numpy."""

COLUMNS = (
    Column("layer", gives="cut"),
    Column("map", right=True),
    Column("top-1", right=True),
    Column("top-1 lost", right=True),
    Column("probability", heading="probability of\nthe true class", right=True),
    Column("photo", heading="falls most in", gives="cut", spare=1),
)


class Silencing(NamedTuple):
    """What is to be silenced, as the options say.

    Attributes
    ----------
    without : tuple of str
        Layers and maps.
    each : bool
        Whether each map is silenced for itself.
    fill : str or None
        What it then holds, if that was said.
    output : Path or None
        The file of a figure of the worst.
    """

    without: tuple[str, ...]
    each: bool
    fill: str | None
    output: Path | None

    def check(self, *, confusion: bool) -> None:
        """Refuse what has no use, such as a confusion matrix of many networks.

        Raises
        ------
        UsageError
        """
        if confusion and self.each:
            raise UsageError("--confusion is of one network, and --each makes many")
        if self.output and not self.each:
            raise UsageError("a figure is of --each", source="--output")
        if self.output and self.output.suffix.lower() not in {".png", ".svg"}:
            raise UsageError("a figure is a .png or .svg", source="--output")
        for option, said in (("--each", self.each), ("--fill", self.fill)):
            if said and not self.without:
                raise UsageError("nothing is silenced", source=option, hint="--without LAYER")


silencing = options.gathered(
    "silencing",
    Silencing,
    click.option(
        "-o",
        "--output",
        type=param_types.FILE,
        metavar="FILE.png|FILE.svg",
        help="Draw the worst maps of --each: bars, and each map on the photo in which it counts"
        " most.",
    ),
    click.option(
        "--fill",
        type=click.Choice(FILLS),
        help="What silenced maps hold: zero, or their mean over the photos, which takes one pass"
        " more.  [default: zero]",
    ),
    click.option(
        "--each",
        is_flag=True,
        help="Silence each of these maps for itself: a line for each, most accuracy lost first.",
    ),
    click.option(
        "--without",
        multiple=True,
        type=LAYER,
        metavar="LAYER[UNITS]",
        help="Silence a layer, or some of its maps: 'block4_conv2[0,3,8-15]', in quotes, since"
        " brackets mean something to a shell. May be repeated: all are silenced together.",
    ),
)
"""Adds --without, --each, --fill and --output; together: ``silencing``."""


class Silenced:
    """A network without some of its maps, for the pictures of a command line.

    Parameters
    ----------
    network : Network
        A classifier.
    asked : Silencing
        What is silenced.
    reading : Reading
        How pictures are read.
    """

    def __init__(self, network: Network, asked: Silencing, reading: Reading) -> None:
        from cnntool.api.ablation import choose_silenced

        self._network, self._asked, self._reading = network, asked, reading
        self._layers = choose_silenced(network, asked.without)

    def run(
        self, truths: Mapping[Item, int], source: str, batch: int
    ) -> tuple[Pictures, Ablation | None]:
        """Evaluate the network.

        Returns
        -------
        pictures : Pictures
            As they were read.
        found : Ablation or None
            None if there was no answer.
        """
        from cnntool.api.ablation import DRAWN, Ablator

        passes: list[Pictures] = []
        with console.Progress("silencing maps") as progress:

            def read(
                items: Iterable[Item], prepare: Callable[..., Any]
            ) -> Iterator[tuple[Item, Any]]:
                passes.append(Pictures(items, prepare, self._reading))
                for loaded in progress.track(passes[-1]):
                    yield loaded.item, loaded.made

            def failed(item: Item, error: ModelError) -> None:
                passes[0].fail(item, error, of=item.name)

            found = Ablator(
                self._network,
                self._layers,
                truths,
                read,
                failed,
                fill=self._asked.fill or FILLS[0],
                each=self._asked.each,
                batch=batch,
                source=source,
                drawn=DRAWN if self._asked.output else 0,
            ).run()
        if found is not None:
            say_where(self._network)
            if found.fill == "mean":
                photos = counted(found.plain.total.pictures, "photo", ",")
                console.note(f"silenced maps hold their means over the same {photos}")
        return passes[0], found


def print_effects(found: Ablation, form: Form) -> None:
    """Print a line for each map, and one for the network as it is."""
    written = "{:z.2%}".format if form == "table" else "{:.6g}".format
    rows = [
        [one.layer, str(one.map), *map(written, (one.top1, one.lost, one.change)), one.photo]
        for one in found.each
    ]
    plain = found.plain.total.accuracy1
    emit(COLUMNS, [*rows, ["nothing silenced", "", written(plain), "", "", ""]], form, totals=1)
