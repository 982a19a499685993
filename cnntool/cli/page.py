"""The HTML report's content: what its page says of a picture and of each layer."""

from __future__ import annotations

from math import ceil, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.cli.console import as_options, printable
from cnntool.cli.layer_files import field_text
from cnntool.errors import ModelError
from cnntool.image.atomic import Sink
from cnntool.version import __version__
from cnntool.views.number_format import shape_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import LayerOutputs
    from cnntool.cli.inputs import Loaded
    from cnntool.cli.layer_files import LayerRow, Purpose
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.views.html_report import Bar, Card, PagePicture, Sees

KINDS = {"conv": "conv", "pool": "pool", "dense": "dense", "softmax": "dense"}
"""Kinds of layers that have a colour of their own on the page."""

CLASSES = 5

PAGE = 1040
"""Pixels that maps may take from left to right."""


def write_report(
    outputs: LayerOutputs,
    purpose: Purpose,
    loaded: Loaded,
    looked: Sequence[LayerRow],
    answer: Mapping[str, NDArray[Any]],
) -> None:
    """Write the page about one picture.

    Parameters
    ----------
    outputs : LayerOutputs
        The layers of the network.
    purpose : Purpose
        Knows the file.
    loaded : Loaded
        The picture.
    looked : sequence of LayerRow
        Its layers, with what was drawn of them.
    answer : mapping of str to ndarray
        The tensors of the network's answer, empty where it gives no class scores.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    from cnntool.views.html_report import Page, html

    found = outputs.model.found.spec
    page = Page(
        title=printable(str(loaded.item.relative)),
        network=printable(found.title if found else Path(outputs.plan.name).name),
        facts=tuple(_facts(outputs, loaded)),
        photo=_encoded(loaded.made.photo),
        classes=tuple(_classes(outputs.plan, answer)),
        cards=tuple(_card(outputs, loaded, one) for one in looked),
        maker=f"Made by cnntool {__version__}.",
    )
    with Sink(purpose.report, overwrite=purpose.overwrite) as sink:
        sink.write(html(page))


def _facts(outputs: LayerOutputs, loaded: Loaded) -> list[tuple[str, str]]:
    plan, info = outputs.plan, loaded.info
    entry = plan.input
    rows, columns = loaded.made.photo.shape[:2]
    facts = [
        ("network", plan.name),
        ("picture", f"{info.width} x {info.height} pixels, {info.format.upper()}"),
        ("it sees", f"{columns} x {rows} pixels, {entry.channel_order}"),
        ("runs on", f"{outputs.model.placement.granted}"),
    ]
    if plan.assumed:
        facts.append(("assumed", as_options(", ".join(plan.assumed))))
    return [(name, printable(value)) for name, value in facts]


def _classes(plan: InferredSpec, answer: Mapping[str, NDArray[Any]]) -> list[Bar]:
    from cnntool.nets.inference.classify import score, top
    from cnntool.views.html_report import Bar

    if not answer:
        return []
    try:
        (scores,) = score(answer, plan, 1, 0.0)
    except ModelError:  # the answer is something else than was taken for granted
        return []
    best = top(scores, plan, CLASSES)
    return [
        Bar(printable(one.label), min(max(one.probability, 0.0), 1.0))
        for one in best
        if not isnan(one.probability)
    ]


def _card(outputs: LayerOutputs, loaded: Loaded, row: LayerRow) -> Card:
    from cnntool.views.html_report import Card

    figures = row.figures
    words = row.wanted.words
    return Card(
        name=printable(row.wanted.title),
        tensor=printable(row.wanted.tensor),
        words=words if not row.dequantised or "dequantised" in words else f"{words}, dequantised",
        kind=KINDS.get(row.wanted.kind, "other"),
        shape=shape_text(figures.shape),
        facts=tuple(_figures(row)),
        sparsity=None if isnan(figures.sparsity) else figures.sparsity,
        sees=_sees(outputs, loaded, row),
        picture=_encoded(row.drawn),
    )


def _figures(row: LayerRow) -> list[tuple[str, str]]:
    figures, field = row.figures, row.field
    facts = []
    if sees := field_text(field):
        facts.append(("receptive field", sees))
    if field is not None and field.jump and not field.whole:
        facts.append(("stride", " x ".join(f"{float(jump):g}" for jump in field.jump)))
    facts += [
        ("from", f"{figures.minimum:.4g}"),
        ("to", f"{figures.maximum:.4g}"),
        ("mean", f"{figures.mean:.4g}"),
        ("deviation", f"{figures.deviation:.4g}"),
    ]
    if len(figures.shape) > 1:
        facts.append(("dead maps", f"{figures.dead} of {figures.maps}"))
    if figures.nan or figures.infinite:
        facts.append(("NaN, infinite", f"{figures.nan}, {figures.infinite}"))
    return facts


def _sees(outputs: LayerOutputs, loaded: Loaded, row: LayerRow) -> Sees | None:
    """Find the box that the value in the middle sees."""
    from cnntool.views.html_report import Sees

    found = outputs.sight(row.wanted, loaded.made.shape)
    if found is None or found.whole or len(row.figures.shape) != 3:
        return None
    rows, columns = loaded.made.photo.shape[:2]
    middle = row.figures.shape[1] // 2, row.figures.shape[2] // 2
    top, left, bottom, right = found.box(*middle, (rows, columns))
    return Sees(top / rows, left / columns, (bottom - top) / rows, (right - left) / columns)


def _encoded(pixels: NDArray[Any] | None) -> PagePicture:
    """Encode what was drawn as PNG."""
    from io import BytesIO

    from cnntool.image.files import write_image
    from cnntool.image.source import ImageInfo
    from cnntool.views.html_report import PagePicture

    assert pixels is not None  # noqa: S101 - a report has everything drawn
    height, width, channels = pixels.shape
    file = BytesIO()
    write_image(file, pixels, ImageInfo(height, width, channels), name="a picture of the report")
    return PagePicture(file.getvalue(), height, width)


def page_columns(shape: tuple[int, ...]) -> int | None:
    """Return how many large maps stand in a row of a page, in rows that are nearly full.

    None for what fills a page by itself: many maps, and small ones, which grow.
    """
    from cnntool.views.contact_sheet import arrange

    if len(shape) < 3:
        return None
    count, height, wide = shape
    fit = PAGE // (wide + 3)
    if fit <= arrange(count, height, wide)[1] or 2 * arrange(count, height, wide)[1] * wide <= PAGE:
        return None
    return ceil(count / ceil(count / fit))
