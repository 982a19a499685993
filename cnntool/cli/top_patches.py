"""Top patches: what excites each map of a layer most, in many pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console
from cnntool.cli.inputs import Pictures
from cnntool.cli.network_options import facts_of, say_where
from cnntool.cli.output import emit, emit_record, form_of
from cnntool.errors import InputError
from cnntool.image.atomic import STDOUT
from cnntool.image.files import Item
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer, LayerOutputs
    from cnntool.api.top_patches import Patch, Strongest
    from cnntool.cli.inputs import Reading
    from cnntool.cli.layer_files import LayerFiles, Purpose

SIDE, SMALL_SIDE, MANY = 64, 40, 64
"""Pixels of a piece; where more maps are shown than the last number says, fewer."""


def look_through(
    outputs: LayerOutputs, items: Iterable[Item], reading: Reading, source: str = ""
) -> tuple[dict[str, Strongest], list[Item], Pictures]:
    """Find where layers are strongest; also which pictures were read, and what became of all.

    Raises
    ------
    InputError
        When no picture of `source` could be read.
    """
    from cnntool.api.top_patches import find_strongest
    from cnntool.nets.inference.preprocess import prepare

    pictures = Pictures(items, partial(prepare, spec=outputs.plan.input), reading)
    read: list[Item] = []

    def fed() -> Iterator[NDArray[Any]]:
        for loaded in pictures:
            read.append(loaded.item)
            yield loaded.made

    with console.Progress("looking for patches") as progress:
        best = find_strongest(outputs, progress.track(fed(), of=pictures))
    if not read:
        raise InputError("no picture could be read", source=source)
    return best, read, pictures


def top_patches(
    outputs: LayerOutputs,
    files: LayerFiles | None,
    purpose: Purpose,
    items: Iterable[Item],
    reading: Reading,
) -> int:
    """Find what excites the maps of each layer most, and draw it.

    Pictures are read twice: once to find the places, and those that have some once more.

    Returns
    -------
    int
        The exit code that the pictures deserve.

    Raises
    ------
    InputError
        When no picture could be read.
    """
    from cnntool.api.top_patches import cut_patches
    from cnntool.nets.inference.preprocess import seen
    from cnntool.views.feature_maps import choose

    entry, drawing = outputs.plan.input, purpose.drawing
    best, read, pictures = look_through(outputs, items, reading)
    say_where(outputs.model)
    found = {}
    for wanted in outputs.chosen.values():
        strongest = best[wanted.tensor]
        maps = choose(strongest.values[:, :1, None], drawing.maps, drawing.sort and "max")
        found[wanted] = strongest.patches(maps.tolist())
    needed = sorted({patch.picture for patches in found.values() for patch in patches})
    again = Pictures([read[number] for number in needed], partial(seen, entry=entry), reading)
    numbers = {id(read[number]): number for number in needed}

    def side(wanted: ChosenLayer) -> int:
        return SMALL_SIDE if len({patch.map for patch in found[wanted]}) > MANY else SIDE

    with console.Progress("cutting patches") as progress:
        photos = (
            (numbers[id(loaded.item)], loaded.item.name, loaded.made)
            for loaded in progress.track(again)
        )
        cut = cut_patches(outputs, found, photos, side)
    layers = [_drawn(wanted, shown, len(read), files, purpose) for wanted, shown in cut.items()]
    _tell(outputs, layers, len(read), as_json=purpose.as_json)
    return max(pictures.code, again.code)


class _Drawn(NamedTuple):
    """The patches of a layer, and where their picture is."""

    wanted: ChosenLayer
    patches: list[Patch]
    output: str | None


def _drawn(
    wanted: ChosenLayer,
    patches: list[Patch],
    count: int,
    files: LayerFiles | None,
    purpose: Purpose,
) -> _Drawn:
    """Lay the patches of a layer out and write them."""
    from cnntool.views.contact_sheet import Caption
    from cnntool.views.top_patches import patch_sheet

    if not patches:
        console.note(f"{wanted.title}: nothing excites its maps")
    if not patches or files is None:
        return _Drawn(wanted, patches, None)
    pictures = counted(count, "picture")
    blocks: dict[int, list[Any]] = {}
    for patch in patches:
        blocks.setdefault(patch.map, []).append(patch.pixels)
    sheet = patch_sheet(
        list(blocks.values()),
        list(blocks),
        columns=purpose.drawing.columns,
        caption=Caption(wanted.title, f"what excites each map most in {pictures}"),
    )
    item = Item(Path("patches"), pictures, Path("patches"))
    return _Drawn(wanted, patches, files.write(item, wanted, None, lambda: sheet))


def _tell(outputs: LayerOutputs, layers: list[_Drawn], count: int, *, as_json: bool) -> None:
    """Print what was found: a record, a line for each patch, or for people the files."""
    if any(one.output == STDOUT for one in layers):
        return
    form = form_of(as_json=as_json)
    if form == "jsonl":
        records = [
            {
                "layer": name,
                "tensor": one.wanted.tensor,
                "output": one.output,
                "patches": [_record(patch) for patch in one.patches],
            }
            for one in layers
            for name in one.wanted.names
        ]
        emit_record({"inputs": count, **facts_of(outputs.model, outputs.plan), "layers": records})
    for one in layers if form != "jsonl" else ():
        if form == "table":
            console.result(one.output or f"{one.wanted.title}: nothing to show")
            continue
        emit((), [_line(one.wanted.title, patch) for patch in one.patches], form)


def _line(title: str, patch: Patch) -> list[str]:
    numbers = [str(patch.map), str(patch.rank), f"{patch.value:.7g}"]
    return [title, *numbers, patch.name, ",".join(map(str, patch.box))]


def _record(patch: Patch) -> dict[str, Any]:
    return {
        "map": patch.map,
        "rank": patch.rank,
        "value": patch.value,
        "input": patch.name,
        "box": list(patch.box),
    }
