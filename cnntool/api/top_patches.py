"""Top patches: the pieces of pictures that excite the maps of a layer most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer, LayerOutputs
    from cnntool.nets.layers.receptive_field import Box

PATCHES = 9
"""Pieces of pictures that are kept for each map."""


class Strongest:
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
        self.values = np.full((maps, PATCHES), -np.inf, np.float32)
        self.places = np.zeros((maps, PATCHES, 3), np.intp)

    def add(self, picture: int, values: NDArray[Any]) -> None:
        """Take the maps (C, H, W), or the vector (n,), of a picture into account.

        What is not finite does not count.
        """
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

    def patches(self, maps: Iterable[int]) -> list[Patch]:
        """List where maps are strongest, map by map; what is 0 excites nothing."""
        found = []
        for index in maps:
            rows = zip(self.values[index].tolist(), self.places[index].tolist(), strict=True)
            for rank, (value, (picture, row, column)) in enumerate(rows, 1):
                if value not in {0.0, float("-inf")}:
                    found.append(Patch(index, rank, value, picture, (row, column)))
        return found


class Patch(NamedTuple):
    """A piece of a picture that excites a map.

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


def find_strongest(outputs: LayerOutputs, pictures: Iterable[NDArray[Any]]) -> dict[str, Strongest]:
    """Find where in pictures the maps of layers are strongest.

    Parameters
    ----------
    outputs : LayerOutputs
        The layers.
    pictures : iterable of ndarray
        What goes in.

    Returns
    -------
    dict of str to Strongest
        By the layers' tensors; empty if there was no picture.
    """
    from cnntool.nets.inference.layer_outputs import shown

    best: dict[str, Strongest] = {}
    fed = ((tensor.shape, tensor) for tensor in pictures)
    for number, (shape, tensors) in enumerate(outputs.stream(fed)):
        fields = outputs.fields(shape)
        for tensor, raw in tensors:
            values = shown(outputs.model.graph, tensor, raw, fields.get(tensor)).values
            best.setdefault(tensor, Strongest(len(values))).add(number, values)
    return best


def cut_patches(
    outputs: LayerOutputs,
    found: Mapping[ChosenLayer, Sequence[Patch]],
    photos: Iterable[tuple[int, str, NDArray[Any]]],
    sides: Callable[[ChosenLayer], int],
) -> dict[ChosenLayer, list[Patch]]:
    """Cut patches of layers out of their pictures, by the receptive field.

    Parameters
    ----------
    outputs : LayerOutputs
        Knows what the layers see.
    found : mapping of ChosenLayer to patches
        Where each is strong.
    photos : iterable of (int, str, ndarray of uint8, shape (H, W, 3))
        The numbers of pictures, their names, and what the network sees of them.
    sides : callable
        Gives the pixels of the pieces for a layer.

    Returns
    -------
    dict of ChosenLayer to list of Patch
        Those of pictures that were given, in the order of ``found``.
    """
    from cnntool.views.top_patches import cut

    pieces: dict[tuple[ChosenLayer, Patch], Patch] = {}
    for number, name, photo in photos:
        for chosen, patches in found.items():
            for patch in patches:
                if patch.picture == number:
                    box = outputs.box(chosen, patch.place, photo.shape[:2])
                    pixels = cut(photo, box, sides(chosen))
                    pieces[chosen, patch] = patch._replace(name=name, box=box, pixels=pixels)
    return {
        chosen: [pieces[chosen, patch] for patch in patches if (chosen, patch) in pieces]
        for chosen, patches in found.items()
    }
