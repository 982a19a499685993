"""Numbers on the page: from what values were computed, and which pieces of pictures excite maps."""

from __future__ import annotations

import zlib
from base64 import b64encode
from io import BytesIO
from math import isinf, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api.top_patches import PATCHES
from cnntool.views.page.render import PagePicture
from cnntool.views.page.tiles import short_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import LayerOutputs
    from cnntool.api.top_patches import Strongest
    from cnntool.api.unit_trace import UnitTracer
    from cnntool.nets.inference.weights import LayerWeights

PHOTOS = 800_000
"""Bytes that photos with patches may take."""

KERNELS = 16
"""Input maps of which a map's kernel is shown: those where it is strongest."""

VALUES = 4096
"""Maps or values of a layer of which patches are looked for: more are hardly looked through."""

_THUMBNAIL = 256
"""Rows or columns of a photo that patches are cut out of."""


def unit_numbers(tracer: UnitTracer, tensor: NDArray[Any], room: int) -> dict[str, Any] | None:
    """Return what the values of a layer are computed from, ready for JSON.

    Parameters
    ----------
    tracer : UnitTracer
        Of the layer.
    tensor : ndarray
        What goes in, without the batch.
    room : int
        Bytes that it may take: of some maps the kernels are left out, if need be.

    Returns
    -------
    dict or None
        None where already what goes into the layer takes more.
    """
    found = tracer.operands(tensor)
    maps = packed(found.maps.astype(np.float32))
    total = len(found.made)
    each = 4 * (prod(found.weights.shape[1:]) + 2 * prod(found.made.shape[1:]))
    count = min(total, (room - len(maps["data"]) * 3 // 4) // each)
    if count < 1:
        return None
    mean = found.made.reshape(total, -1).mean(axis=1)
    kept = np.sort(np.argsort(-mean, kind="stable")[:count])
    arrays = {
        "maps": maps,
        "weights": packed((found.weights[kept] * found.factor).astype(np.float32)),
        "pre": packed(found.made[kept].astype(np.float32)),
        "post": None if found.after is None else packed(found.after[kept].astype(np.float32)),
    }
    return {
        **arrays,
        "size": sum(len(one["data"]) * 3 // 4 for one in arrays.values() if one),
        "bias": [float(value) for value in found.bias[kept]],
        "after": tracer.formula.after,
        "channels": kept.tolist(),
        "total": total,
        "groups": found.groups,
        "stride": found.how.stride,
        "dilation": found.how.dilation,
        "pads": found.how.pads,
        "limits": [None if isinf(end) else end for end in found.how.limits],
        "step": found.how.step,
        "precision": found.how.precision,
    }


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """Pack numbers for the script: deflated, little-endian, in base64."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {
        "type": values.dtype.str[1:],
        "shape": list(values.shape),
        "data": b64encode(zlib.compress(values.tobytes(), 6)).decode(),
    }


def kernel_numbers(found: LayerWeights, groups: int, colours: Sequence[str]) -> dict[str, Any]:
    """Return the kernels of a convolution, of each the parts that weigh most, in 8 bits.

    Parameters
    ----------
    found : LayerWeights
        Of the convolution.
    groups : int
        Into how many parts its inputs and outputs are divided.
    colours : sequence of str
        What the input maps are called, where they are colours.
    """
    values = np.nan_to_num(found.values)
    outputs, inputs = values.shape[:2]
    shown = min(KERNELS, inputs)
    order = np.argsort(-np.abs(values).sum(axis=(2, 3)), axis=1, kind="stable")[:, :shown]
    if shown == inputs:
        order = np.sort(order, axis=1)
    parts = np.take_along_axis(values, order[:, :, None, None], axis=1)
    steps = np.maximum(np.abs(parts).reshape(outputs, -1).max(axis=1), 1e-30) / 127
    levels = np.rint(parts / steps[:, None, None, None]).astype(np.int8)
    first = np.arange(outputs)[:, None] // max(1, outputs // groups) * inputs
    return {
        "shape": [outputs, shown, *values.shape[2:]],
        "of": inputs,
        "weights": packed(levels),
        "inputs": packed((order + first).astype(np.uint16)),
        "steps": short_numbers(steps),
        "colours": list(colours) or None,
    }


class PatchNumbers:
    """Pieces of pictures that excite maps: the pictures once, and boxes in them.

    Parameters
    ----------
    outputs : LayerOutputs
        Knows what the layers see.
    best : mapping of str to Strongest
        Where layers are strongest, see `cnntool.api.top_patches.find_strongest`.
    count : int
        How many pictures were looked at.
    photos : callable
        Given numbers of pictures, yields these with their names and what the network sees.

    Attributes
    ----------
    places : dict of str to dict
        By tensors, packed: ``boxes`` (maps, patches, 5), the strongest first, of the picture's
        place, -1 where there is none, and what the value sees of it (top, left, bottom, right);
        ``values`` (maps, patches).
    """

    def __init__(
        self,
        outputs: LayerOutputs,
        best: Mapping[str, Strongest],
        count: int,
        photos: Callable[[Sequence[int]], Iterable[tuple[int, str, NDArray[np.uint8]]]],
    ) -> None:
        self.count = count
        maps = {
            tensor: range(len(best[tensor].values))
            for tensor in outputs.chosen
            if len(best[tensor].values) <= VALUES
        }
        found = {tensor: best[tensor].patches(numbers) for tensor, numbers in maps.items()}
        wanted: dict[int, int] = {}
        for patches in found.values():
            for patch in patches:
                wanted[patch.picture] = wanted.get(patch.picture, 0) + PATCHES + 1 - patch.rank
        self.pictures: list[PagePicture] = []
        self.names: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        where: dict[int, int] = {}
        room = PHOTOS
        for number, name, photo in photos(sorted(wanted, key=lambda n: (-wanted[n], n))):
            picture = jpeg(photo)
            room -= len(picture.body)
            if room < 0:
                outputs.model.note(
                    f"of {len(wanted)} pictures with patches {len(where)} fit on a page: those"
                    " that excite most maps"
                )
                break
            where[number] = len(self.pictures)
            self.pictures.append(picture)
            self.names.append(name)
            self.sizes.append((photo.shape[0], photo.shape[1]))
        self.places: dict[str, dict[str, Any]] = {}
        for tensor, patches in found.items():
            boxes = np.full((*best[tensor].values.shape, 5), -1, np.int16)
            values = np.zeros(best[tensor].values.shape, np.float32)
            for patch in patches:
                if patch.picture not in where:
                    continue
                place = where[patch.picture]
                box = outputs.box(outputs.chosen[tensor], patch.place, self.sizes[place])
                spot = patch.map, patch.rank - 1
                boxes[spot] = np.clip((place, *box), -(1 << 15), (1 << 15) - 1)
                values[spot] = patch.value
            self.places[tensor] = {"boxes": packed(boxes), "values": packed(values)}

    @property
    def size(self) -> int:
        """How many bytes all of it takes."""
        numbers = [len(part["data"]) for one in self.places.values() for part in one.values()]
        return sum(len(one.body) for one in self.pictures) + sum(numbers) * 3 // 4

    def record(self) -> dict[str, Any]:
        """Return the pictures, ready for JSON; `places` has the boxes, layer by layer."""
        return {
            "of": self.count,
            "names": self.names,
            "sizes": self.sizes,
            "pictures": [one.uri for one in self.pictures],
        }


def jpeg(pixels: NDArray[np.uint8]) -> PagePicture:
    """Encode a photo as JPEG, at most 256 pixels wide and high."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return PagePicture(file.getvalue(), image.height, image.width, "jpeg")
