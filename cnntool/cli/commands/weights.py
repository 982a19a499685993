"""``cnntool weights``: what layers of a network have learned, as pictures and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.api.activations import ChosenLayer, names_of, title_of
from cnntool.cli import console, options
from cnntool.cli.drawing_options import STYLES, Drawing, drawing
from cnntool.cli.network_options import model_argument, read_model
from cnntool.errors import ModelError, UsageError
from cnntool.views.number_format import shape_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.cli.layer_files import LayerFiles, LayerRow
    from cnntool.image.files import Item
    from cnntool.nets.inference.weights import LayerWeights
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Resolved
    from cnntool.nets.network import Network


SHEET = 1000
"""Pixels to which a small matrix grows."""


@click.command("weights")
@model_argument
@click.option(
    "-l",
    "--layer",
    "queries",
    multiple=True,
    metavar="NAME",
    help="A convolution or a dense layer: its name, conv:9, '#42' or a pattern; may be repeated."
    " 'cnntool layers' lists the names.  [default: the first convolution]",
)
@drawing(styles=[style for style in STYLES if style != "overlay"])
@click.option(
    "--slices",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Input channels that are shown of a deeper kernel.",
)
@click.option(
    "--channel-order",
    type=click.Choice(["rgb", "bgr"], case_sensitive=False),
    help="Colours of the first layer's kernels.  [default: what the network takes]",
)
@click.option(
    "--raw",
    type=click.Choice(["npz", "npy"]),
    help="Write the numbers instead: float32, outputs x inputs x rows x columns.",
)
@click.option("--stats-only", is_flag=True, help="Print the figures and write nothing.")
@options.output
@options.json_lines
@options.talk
def command(
    *,
    model: str,
    queries: tuple[str, ...],
    channel_order: str | None,
    drawing: Drawing,
    slices: int,
    raw: str | None,
    stats_only: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show what layers of a network have learned.

    MODEL is a name ('cnntool models' lists them) or an .onnx file; without it the built-in network
    is meant. The kernels of a layer become the tiles of one PNG: those of the first layer in
    colour, with mid-grey for 0; of deeper ones their first input channels, blue below 0 and red
    above. It is called MODEL.LAYER.png, those of several layers are MODEL.weights/NN-LAYER.png;
    --output names another file or folder.

    Lines in a pipe hold the network, the layer, the tensor, its shape, minimum, maximum, mean,
    deviation, share of zeros, kernels that are zero everywhere, how many weights are NaN and
    infinite, and the file.
    """
    from cnntool.cli.layer_files import LayerFiles, raw_format, tell

    if stats_only and (output or raw):
        raise UsageError("--stats-only writes nothing")
    raw = raw_format(raw, output)
    network = read_model(model)
    chosen = _choose(network, queries)
    files = None
    if not stats_only:
        files = LayerFiles(
            output,
            chosen,
            f".{raw or 'png'}",
            several=False,
            label="weights",
            as_json=as_json,
        )
    order = network.colour_order(channel_order.upper() if channel_order else None)
    work = _Weights(network, files, order, drawing=drawing, slices=slices, overwrite=overwrite)
    tell(model, work.rows(chosen), {"model": model} if as_json else None)


def _choose(network: Network, queries: tuple[str, ...]) -> list[ChosenLayer]:
    """Find the layers, in the order of the network; of patterns only those with weights."""
    from cnntool.nets.inference.weights import has_weights
    from cnntool.nets.layers.lookup import describe

    if not queries and all(row.kind != "conv" for row in network.read_layers().rows):
        hint = f"--layer names one of 'cnntool layers {network.name}'"
        raise ModelError("it has no convolution", source=network.name, hint=hint)
    found: dict[int, Layer] = {}
    names: dict[int, list[Resolved]] = {}
    for query in queries or ("conv:1",):
        meant = network.read_layers().resolve(query, at="pre")
        rows = [network.layer_of(one) for one in meant]
        usable = [row for row in rows if has_weights(network.graph, row)] or rows[:1]
        found.update({row.number: row for row in usable})
        for one, row in zip(meant, rows, strict=True):
            names.setdefault(row.number, []).extend([one] if queries else [])
        said = meant[0].text if len(meant) == 1 else f"{query} -> {len(usable)} layers"
        console.note(said if queries else f"no --layer: the first convolution, {said}")
    rows = [found[number] for number in sorted(found)]
    chosen = []
    for number, row in enumerate(rows, 1):
        title, words = title_of(row.post, row), describe(row, row.pre)
        asked = names_of(names[row.number]) or (title,)
        chosen.append(ChosenLayer(number, title, row.pre, row, words, asked))
    return chosen


class _Weights:
    """One command line: layers whose weights are drawn, written and described."""

    def __init__(
        self,
        network: Network,
        files: LayerFiles | None,
        order: tuple[str, bool],
        *,
        drawing: Drawing,
        slices: int,
        overwrite: bool,
    ) -> None:
        self._network = network
        self._files = files
        self._drawing = drawing
        self._slices = slices
        first, self._assumed = order
        self._blue_first = first == "BGR"
        self._overwrite = overwrite

    def rows(self, chosen: list[ChosenLayer]) -> list[LayerRow]:
        """Look at every layer."""
        from cnntool.cli.layer_files import archive_for
        from cnntool.image.files import Item

        name = Path(self._network.name)
        stem = name.name.removesuffix(".onnx")
        item = Item(name, self._network.name, Path(f"{stem}.onnx"))
        rows = []
        with archive_for(self._files, item, chosen, overwrite=self._overwrite) as archive:
            for wanted in chosen:
                assert wanted.layer is not None  # noqa: S101 - `_choose` sees to that
                found = self._network.learned(wanted.layer)
                rows.append(self._row(item, wanted, found))
                if archive is not None:
                    for key in wanted.keys(chosen):
                        archive.add(key, found.values)
        return rows

    def _row(self, item: Item, wanted: ChosenLayer, found: LayerWeights) -> LayerRow:
        """Draw, write and describe one layer."""
        from cnntool.cli.layer_files import LayerRow, write_array, write_picture
        from cnntool.nets.inference.layer_outputs import statistics

        output = None
        if found.colours and self._assumed:
            first, other = ("blue", "rgb") if self._blue_first else ("red", "bgr")
            console.note(
                f"{self._network.name}: {first} is taken to come first;"
                f" --channel-order {other} swaps"
            )
        if found.dequantised:
            console.note(f"{wanted.title}: its weights are stored in 8 bits and shown dequantised")
        if self._files is not None:
            place, suffix = self._files.place(item, wanted), self._files.suffix
            output = place.name
            if suffix == ".npy":
                write_array(place, found.values, overwrite=self._overwrite)
            elif suffix != ".npz":
                picture = self._picture(wanted, found)
                write_picture(place, picture, suffix, overwrite=self._overwrite)
        return LayerRow(
            wanted._replace(tensor=found.tensor),
            statistics(found.values),
            found.dequantised,
            None,
            output,
        )

    def _picture(self, wanted: ChosenLayer, found: LayerWeights) -> NDArray[Any]:
        """Draw the kernels of a layer, or a matrix as one map."""
        from cnntool.views.contact_sheet import Caption
        from cnntool.views.feature_maps import choose
        from cnntool.views.kernels import kernel_sheet

        values, drawing = found.values, self._drawing
        if not values.size:
            raise ModelError(
                f"{wanted.title!r} has no weights to draw: {shape_text(values.shape)}",
                source=self._network.name,
                hint="--stats-only and --raw take it",
            )
        facts = [shape_text(values.shape), Path(self._network.name).name]
        caption = Caption(wanted.title, ", ".join(facts))
        if not found.is_kernels:
            grown = min(SHEET // max(values.shape), 32)
            whole = drawing._replace(
                maps="",
                sort=None,
                style=drawing.style or "diverging",
                upscale=drawing.upscale or (grown if grown > 1 else None),
                numbered=False,
            )
            return whole.picture(values[None], caption)
        if found.colours:
            values = values[..., ::-1, :, :] if self._blue_first else values
        flat = values.reshape(len(values), -1, values.shape[3])
        chosen = choose(flat, drawing.maps, drawing.sort) if drawing.maps or drawing.sort else None
        return kernel_sheet(
            values,
            chosen=chosen,
            style=drawing.style,
            scale=drawing.scale or "signed",
            slices=self._slices,
            columns=drawing.columns,
            upscale=drawing.upscale,
            gap=drawing.gap,
            caption=caption,
        )
