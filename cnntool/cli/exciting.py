"""What excites each map of a layer most, in many pictures."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console
from cnntool.cli.layer_files import write_picture
from cnntool.cli.layer_table import STDOUT, tabbed
from cnntool.cli.paths import Item
from cnntool.cli.prepared import prepared, seen
from cnntool.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.cli.layer_work import Work
    from cnntool.cli.looking import Wanted
    from cnntool.cli.pictures import Loaded, Pictures
    from cnntool.nets.receptive_field import Box

PATCHES = 9
"""Pieces of pictures that are shown for each map."""

SIDE, SMALL_SIDE, MANY = 64, 40, 64
"""Pixels of a piece; where more maps are shown than the last number says, fewer."""


class Best:
    """The largest values of each map over all pictures, and where they are.

    Parameters
    ----------
    maps : int
        How many maps the layer has.

    Attributes
    ----------
    values : ndarray of float32, shape (maps, PATCHES)
        Largest first, -inf where there is none. A picture gives at most one for each map.
    places : ndarray of int, shape (maps, PATCHES, 3)
        The picture, the row and the column.
    """

    def __init__(self, maps: int) -> None:
        import numpy as np

        self.values = np.full((maps, PATCHES), -np.inf, np.float32)
        self.places = np.zeros((maps, PATCHES, 3), np.intp)

    def add(self, picture: int, values: NDArray[Any]) -> None:
        """Take the maps (C, H, W), or the vector (n,), of a picture into account.

        What is not finite does not count.
        """
        import numpy as np

        maps = values.reshape(len(values), -1).astype(np.float32)
        maps[~np.isfinite(maps)] = -np.inf
        where = maps.argmax(axis=1)
        largest = np.take_along_axis(maps, where[:, None], axis=1)[:, 0]
        row, column = np.divmod(where, values.shape[2] if values.ndim == 3 else 1)
        better = largest > self.values[:, -1]
        self.values[better, -1] = largest[better]
        place = np.stack([np.full_like(row, picture), row, column], axis=1)
        self.places[better, -1] = place[better]
        order = np.argsort(-self.values, axis=1, kind="stable")
        self.values = np.take_along_axis(self.values, order, axis=1)
        self.places = np.take_along_axis(self.places, order[..., None], axis=1)


class Patch(NamedTuple):
    """A piece of a picture.

    Attributes
    ----------
    map, rank : int
        For which map, and its rank for that, from 1.
    value : float
        Of the map there.
    picture : int
        Its number among those that could be read.
    place : (int, int)
        Row and column in the map.
    name : str
        The picture's; once it is cut out.
    box : Box
        What the value sees of the picture; once it is cut out.
    pixels : ndarray of uint8, or None
        The piece; once it is cut out.
    """

    map: int
    rank: int
    value: float
    picture: int
    place: tuple[int, int]
    name: str = ""
    box: Box = (0, 0, 0, 0)
    pixels: NDArray[Any] | None = None


def top_patches(work: Work, items: Iterable[Item], load: Callable[..., Pictures]) -> int:
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
    entry = work.network.plan.input
    pictures = load(items, partial(prepared, entry=entry))
    best: dict[str, Best] = {}
    read: list[Item] = []
    with console.Progress("looking for patches") as progress:
        for loaded, tensors in progress.track(work.stream(pictures)):
            for tensor, values in _shown(work, loaded, tensors):
                best.setdefault(tensor, Best(len(values))).add(len(read), values)
            read.append(loaded.item)
    if not read:
        raise InputError("no picture could be read")
    found = {one: _chosen(work, best[one.tensor]) for one in work.chosen}
    needed = sorted({patch.picture for patches in found.values() for patch in patches})
    again = load([read[number] for number in needed], partial(seen, entry=entry))
    numbers = {id(read[number]): number for number in needed}
    cut: dict[Wanted, list[Patch]] = {one: [] for one in found}
    for loaded in again:
        for wanted, patches in found.items():
            here = numbers[id(loaded.item)]
            of_picture = [patch for patch in patches if patch.picture == here]
            side = SMALL_SIDE if len({patch.map for patch in patches}) > MANY else SIDE
            cut[wanted] += _cut(work, wanted, of_picture, loaded, side)
    layers = []
    for wanted, patches in found.items():
        order = {(patch.map, patch.rank): place for place, patch in enumerate(patches)}
        in_order = sorted(cut[wanted], key=lambda patch: order[patch.map, patch.rank])
        layers.append(_drawn(work, wanted, in_order, len(read)))
    _tell(work, layers, len(read))
    return max(pictures.code, again.code)


def _shown(
    work: Work, loaded: Loaded, tensors: Iterable[tuple[str, NDArray[Any]]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    from cnntool.nets.shown import shown

    fields = work.fields(loaded)
    for tensor, values in tensors:
        yield tensor, shown(work.network.graph, tensor, values, fields.get(tensor)).values


def _chosen(work: Work, best: Best) -> list[Patch]:
    """List the patches of the maps that were asked for; what is 0 excites nothing."""
    from cnntool.views.choice import choose

    drawing = work.purpose.drawing
    maps = choose(best.values[:, :1, None], drawing.maps, drawing.sort and "max").tolist()
    patches = []
    for index in maps:
        rows = zip(best.values[index].tolist(), best.places[index].tolist(), strict=True)
        for rank, (value, (picture, row, column)) in enumerate(rows, 1):
            if value not in {0.0, float("-inf")}:
                patches.append(Patch(index, rank, value, picture, (row, column)))
    return patches


def _cut(
    work: Work, wanted: Wanted, patches: Sequence[Patch], loaded: Loaded, side: int
) -> list[Patch]:
    """Cut the patches of a layer out of one picture."""
    from cnntool.nets.receptive_field import Sight, sight
    from cnntool.views.patches import cut

    entry, photo = work.network.plan.input, loaded.made
    rows, columns = photo.shape[:2]
    sides = (rows, columns)
    shape = (entry.channels, *sides) if entry.layout == "NCHW" else (*sides, entry.channels)
    sees = sight(work.fields_of_shape(shape).get(wanted.tensor))
    sees = sees or Sight((rows, columns), (1, 1), (0, 0), whole=True)
    made = []
    for patch in patches:
        box = sees.box(*patch.place, sides)
        pixels = cut(photo, box, side)
        made.append(patch._replace(name=loaded.item.name, box=box, pixels=pixels))
    return made


class _Drawn(NamedTuple):
    """The patches of a layer, and where their picture is."""

    wanted: Wanted
    patches: list[Patch]
    output: str | None


def _drawn(work: Work, wanted: Wanted, patches: list[Patch], count: int) -> _Drawn:
    """Lay the patches of a layer out and write them."""
    from cnntool.views.board import Caption
    from cnntool.views.patches import patch_sheet

    if not patches:
        console.note(f"{wanted.title}: nothing excites its maps")
    if not patches or work.files is None:
        return _Drawn(wanted, patches, None)
    blocks: dict[int, list[Any]] = {}
    for patch in patches:
        blocks.setdefault(patch.map, []).append(patch.pixels)
    sheet = patch_sheet(
        list(blocks.values()),
        list(blocks),
        columns=work.purpose.drawing.columns,
        caption=Caption(wanted.title, f"what excites each map most in {count} pictures"),
    )
    item = Item(Path("patches"), f"{count} pictures", Path("patches"))
    place = work.files.place(item, wanted)
    write_picture(place, sheet, work.files.suffix, overwrite=work.purpose.overwrite)
    return _Drawn(wanted, patches, place.name)


def _tell(work: Work, layers: list[_Drawn], count: int) -> None:
    """Print what was found: a record, a line for each patch, or for people the files."""
    if any(one.output == STDOUT for one in layers):
        return
    if work.purpose.as_json:
        import json

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
        console.result(json.dumps({"inputs": count, **work.network.facts, "layers": records}))
        return
    for one in layers:
        if sys.stdout.isatty():
            console.result(one.output or f"{one.wanted.title}: nothing to show")
            continue
        for patch in one.patches:
            box = ",".join(map(str, patch.box))
            value = f"{patch.value:.7g}"
            cells = [one.wanted.title, patch.map, patch.rank, value, patch.name, box]
            console.result(tabbed(map(str, cells)))


def _record(patch: Patch) -> dict[str, Any]:
    return {
        "map": patch.map,
        "rank": patch.rank,
        "value": patch.value,
        "input": patch.name,
        "box": list(patch.box),
    }
