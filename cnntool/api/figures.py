"""Figures of networks for slides: what went in beside a layer, or beside the picture that came."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.api.pictures import Figure
from cnntool.errors import ModelError
from cnntool.shapes.text import shape_text, size_text
from cnntool.views import captioned, legend
from cnntool.views.contact_sheet import Caption, arrange
from cnntool.views.feature_maps import choose

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.api.activations import LayerOutput, LayerOutputs
    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.image_output import Fitted, Painting
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.weights import LayerWeights
    from cnntool.nets.models.manifest import InputSpec
    from cnntool.views.display_list import DisplayList
    from cnntool.views.drawing import Drawing

SLIDE = (3, 2)
"""How many times more columns than rows a grid has on a slide, beside a photo: 3 to 2."""

SHEET = 1000
"""Pixels to which a small matrix grows."""

MATRIX = 4096
"""Weights of a dense layer that are drawn one by one: more of them are but noise."""

SLICES = 16
"""Input channels that are shown of a deep kernel."""


def layer_sheet(
    outputs: LayerOutputs,
    made: LayerOutput,
    drawing: Drawing,
    photo: NDArray[np.uint8] | None,
    name: str,
    *,
    beside: bool = False,
) -> DisplayList:
    """Draw a layer, captioned with its shape, its tensor and the photo that it is of.

    Parameters
    ----------
    outputs : LayerOutputs
        Knows the network.
    made : LayerOutput
        The layer.
    drawing : Drawing
        How maps are drawn.
    photo : ndarray of uint8, shape (h, w, 3), or None
        As the network gets it.
    name : str
        What that is called.
    beside : bool
        Whether the photo stands at the left, and a colour bar below what has one scale.
    """
    chosen, values = made.chosen, made.values
    if beside and values.ndim > 1 and not drawing.columns:
        count = len(choose(values, drawing.maps, drawing.sort))
        high, wide = (side * share for side, share in zip(values.shape[1:], SLIDE, strict=True))
        drawing = drawing._replace(columns=arrange(count, high, wide)[1])
    draw = partial(
        drawing.picture,
        values,
        photo=photo,
        labels=outputs.labels(chosen, values),
        unit=outputs.unit(chosen),
    )
    tensor = [chosen.tensor] if chosen.tensor != chosen.title else []
    facts = ", ".join([shape_text(made.statistics.shape), *tensor, name])
    if not beside or photo is None:
        return draw(Caption(chosen.title, facts))
    size = captioned.tile_size(photo.shape, 3)
    first = captioned.cell(photo, name, size_text(*photo.shape[:2]), size=size)
    facts += f", {drawing.shared}" * (values.ndim > 1)
    maps = captioned.cell(draw(bar=True, margin=0), chosen.title, facts)
    return captioned.beside(first, [maps], 1)


def is_noise(found: LayerWeights) -> bool:
    """Tell whether weights have no places and are too many to be drawn one by one."""
    return not found.is_kernels and found.values.size > MATRIX


def weights_sheet(
    title: str,
    found: LayerWeights,
    drawing: Drawing,
    *,
    slices: int = SLICES,
    swap: bool = False,
    source: str,
) -> DisplayList:
    """Draw the kernels of a layer, a matrix as one map, or of a large one the norms of its rows.

    Parameters
    ----------
    title : str
        What the layer is called.
    found : LayerWeights
    drawing : Drawing
        How maps are drawn.
    slices : int
        Input channels that are shown of a deeper kernel.
    swap : bool
        Whether its colours are blue, green and red.
    source : str
        What the network is called.

    Raises
    ------
    ModelError
        There is nothing to draw.
    """
    from cnntool.views.kernels import kernel_sheet

    values = found.values
    if not values.size:
        raise ModelError(
            f"{title!r} has no weights to draw: {shape_text(values.shape)}",
            source=source,
            hint="`stats_only` and `raw` take it",
        )
    facts = ", ".join([shape_text(values.shape), PurePath(source).name])
    caption = Caption(title, facts)
    if is_noise(found):
        norms = np.linalg.norm(values.astype(np.float64), axis=1).astype(np.float32)
        caption = Caption(title, f"{facts}, norm of each output's weights")
        return drawing.picture(norms, caption, unit="norm")
    if not found.is_kernels:
        grown = min(SHEET // max(values.shape), 32)
        whole = drawing._replace(
            maps="",
            sort=None,
            style=drawing.style or "diverging",
            upscale=drawing.upscale or (grown if grown > 1 else None),
            numbered=False,
        )
        return whole.picture(values[None], caption, unit="weight")
    if found.colours and swap:
        values = values[..., ::-1, :, :]
    flat = values.reshape(len(values), -1, values.shape[3])
    chosen = choose(flat, drawing.maps, drawing.sort) if drawing.maps or drawing.sort else None
    return kernel_sheet(
        values,
        chosen=chosen,
        style=drawing.style,
        scale=drawing.scale or "signed",
        slices=slices,
        columns=drawing.columns,
        upscale=drawing.upscale,
        gap=drawing.gap,
        caption=caption,
        unit="weight",
    )


def fit_with_photo(
    pixels: NDArray[Any] | Image, info: ImageInfo, *, spec: InputSpec
) -> tuple[Fitted, NDArray[np.uint8]]:
    """Make a picture ready for a network that makes pictures, and keep it as it is seen."""
    from cnntool.nets.inference.image_output import fit_for_picture
    from cnntool.nets.inference.preprocess import displayed

    return fit_for_picture(pixels, info, spec=spec), displayed(pixels, info)


def painting_figure(
    photo: NDArray[np.uint8], name: str, painting: Painting, plan: InferredSpec
) -> Figure:
    """Draw what a network makes of a photo beside it; of a map of classes also its legend.

    Parameters
    ----------
    photo : ndarray of uint8, shape (h, w, 3)
        What went in.
    name : str
        What that is called.
    painting : Painting
        What came out.
    plan : InferredSpec
        What the network is called, and its classes.
    """
    from cnntool.nets.inference.image_output import shares

    made, title = painting.pixels, PurePath(plan.name).name
    classes = [] if painting.classes is None else shares(painting.classes, plan)
    size = captioned.tile_size(photo.shape, 3 if classes else 2)
    first = captioned.cell(photo, name, size_text(*photo.shape[:2]), size=size)
    if painting.classes is None:
        result = captioned.cell(made, title, size_text(*made.shape[:2]), size=size)
        return Figure(captioned.beside(first, [result], 1))
    places = [np.argmax(painting.classes == one.index) for one in classes]
    colours = [tuple(made.reshape(-1, 3)[place].tolist()) for place in places]
    on_photo = captioned.cell(
        legend.on_photo(made, photo), title, "classes on the photo", size=size
    )
    entries = [
        (colour, one.label or str(one.index), f"{one.share:.1%}")
        for colour, one in zip(colours, classes, strict=True)
    ]
    key = captioned.cell(legend.draw(entries, size[0]), "classes", "share of the picture")
    return Figure(captioned.beside(first, [on_photo, key], 2))
