"""``cnntool weights``: what layers of a network have learned, as pictures and numbers."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from cnntool.api.activations import choose_weights
from cnntool.cli import console, options
from cnntool.cli.drawing_options import STYLES, drawing
from cnntool.cli.network_options import layer_option, model_argument, read_model
from cnntool.errors import UsageError
from cnntool.image.files import Item


@click.command("weights")
@model_argument
@layer_option(
    "queries",
    multiple=True,
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
@options.raw(
    "Write the numbers instead: float32, outputs x inputs x rows x columns.",
)
@options.stats_only
@options.width
@options.output
@options.figure_format
@options.json_lines
@options.talk
def command(
    *,
    model: str,
    queries: tuple[str, ...],
    channel_order: str | None,
    slices: int,
    **purpose_options: Any,
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
    from cnntool.api import figures
    from cnntool.cli.layer_files import LayerFiles, LayerRow, Purpose, raw_format, records, tell
    from cnntool.nets.inference.layer_outputs import statistics

    purpose = Purpose(**purpose_options)
    if purpose.stats_only and (purpose.output or purpose.raw):
        raise UsageError("--stats-only writes nothing")
    purpose = purpose._replace(raw=raw_format(purpose.raw, purpose.output))
    network = read_model(model)
    chosen = choose_weights(network, queries)
    files = LayerFiles(purpose, chosen, "weights") if purpose.writes else None
    first, assumed = network.colour_order(channel_order.upper() if channel_order else None)
    item = Item(Path(model), model, Path(f"{Path(model).name.removesuffix('.onnx')}.onnx"))
    rows = []
    with files.archive(item) if files else nullcontext() as archive:
        for wanted in chosen:
            assert wanted.layer is not None  # noqa: S101 - all of them are layers
            found = network.learned(wanted.layer)
            if found.colours and assumed:
                colour, other = ("blue", "rgb") if first == "BGR" else ("red", "bgr")
                console.note(
                    f"{model}: {colour} is taken to come first; --channel-order {other} swaps"
                )
            if found.dequantised:
                console.note(
                    f"{wanted.title}: its weights are stored in 8 bits and shown dequantised"
                )
            if purpose.draws and figures.is_noise(found):
                console.note(
                    f"{wanted.title}: dense weights have no places and would look like noise; the"
                    " norm of each output's is drawn (--raw npy has all of them)"
                )
            draw = partial(
                figures.weights_sheet, wanted.title, found, purpose.drawing,
                slices=slices, swap=first == "BGR", source=model,
            )  # fmt: skip
            output = files.write(item, wanted, found.values, draw) if files else None
            shown = wanted._replace(tensor=found.tensor)
            rows.append(LayerRow(shown, statistics(found.values), found.dequantised, None, output))
            if archive is not None:
                archive.add(wanted.keys(chosen), found.values)
    record = {"model": model, "layers": records(rows)} if purpose.as_json else None
    tell(model, rows, record)
