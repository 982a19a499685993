"""Pages: what a network makes of pictures, as one HTML file to walk through."""

from __future__ import annotations

import zlib
from base64 import b64encode
from io import BytesIO
from math import isnan, log10, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api.activations import LayerOutputs, PATCHES, title_of
from cnntool.errors import CnntoolError, ModelError, UsageError
from cnntool.version import __version__
from cnntool.views.colormaps import CONTROL_POINTS
from cnntool.views.number_format import shape_text
from cnntool.views.page import tiles as drawn
from cnntool.views.page.render import (
    Bar,
    Card,
    Heat,
    Histogram,
    Page,
    PagePicture,
    Photo,
    Sees,
    Table,
    View,
    html,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer, LayerOutput, Strongest
    from cnntool.api.comparison import Comparison, LayerDifference
    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.preprocess import Prepared
    from cnntool.nets.layers.receptive_field import ReceptiveField, Sight
    from cnntool.nets.network import Network
    from cnntool.views.page.tiles import Look, Tiles

KINDS = {"conv": "conv", "pool": "pool", "dense": "dense", "softmax": "dense"}
"""Kinds of layers that have a colour of their own on the page."""

CLASSES, EXPLAINED = 5, 3
"""Classes that are listed, and those that are explained."""

PICTURES, UNITS, PHOTOS = 7_500_000, 3_000_000, 800_000
"""Bytes that pictures of layers, numbers of units and photos with patches may take: with all of
them a page stays below 15 MB, in which three bytes are four letters."""

KERNELS = 16
"""Input maps of which a map's kernel is shown: those where it is strongest."""

_NAMES = 24
"""Names by which a layer is found on the page."""


class LayerView(NamedTuple):
    """What a layer makes of one picture, ready for the page.

    Attributes
    ----------
    made : LayerOutput
        Its description; the values themselves are left out.
    tiles : Tiles or None
        Its maps.
    vector : ndarray or None
        Its values, where it has no maps.
    histogram : Histogram or None
        Of all values.
    sight : Sight or None
        What the values see of the picture.
    """

    made: LayerOutput
    tiles: Tiles | None
    vector: NDArray[Any] | None
    histogram: Histogram | None
    sight: Sight | None


class _Seen(NamedTuple):
    """A picture that was looked at."""

    name: str
    info: ImageInfo
    made: Prepared
    views: Sequence[LayerView]
    classes: tuple[Bar, ...]


class PageWriter:
    """Gathers what a network makes of pictures, and writes a page about it.

    Parameters
    ----------
    outputs : LayerOutputs
        The layers of the network.
    look : Look
        How maps are drawn.
    units : sequence of str
        Layers whose values can be taken apart on the page: names, see `ChosenLayer`.
    method : str, optional
        How the likeliest classes are explained, a key of
        `cnntool.nets.attribution.methods.METHODS`.

    Raises
    ------
    ModelError
        There is no such layer, it is none that can be taken apart, or the network is no classifier.
    """

    def __init__(
        self,
        outputs: LayerOutputs,
        look: Look = drawn.Look(),
        *,
        units: Sequence[str] = (),
        method: str | None = None,
    ) -> None:
        from cnntool.api.unit_trace import UnitTracer

        self._outputs = outputs
        self._look = look
        self._model = outputs.model
        self._method = method
        self._pictures: list[_Seen] = []
        self._patches: _Patches | None = None
        self._tracers = [UnitTracer(self._model, query) for query in units]

    def view(self, made: LayerOutput, shape: tuple[int, ...]) -> LayerView:
        """Prepare a layer of one picture; this may run on several threads.

        Parameters
        ----------
        made : LayerOutput
        shape : tuple of int
            Of what went in, without the batch.

        Raises
        ------
        ModelError
            There are no values to draw.
        UsageError
            There is no map as ``look`` wants it.
        """
        values = made.values
        if not values.size:
            raise ModelError(
                f"{made.chosen.title!r} has no values to draw: {shape_text(values.shape)}",
                source=self._model.name,
            )
        maps = values.ndim == 3
        return LayerView(
            made._replace(values=np.zeros(0, np.float32)),
            drawn.tiles(values, self._look) if maps else None,
            None if maps else values.astype(np.float32),
            drawn.histogram(values),
            self._outputs.sight(made.chosen, shape),
        )

    def add(
        self,
        name: str,
        info: ImageInfo,
        made: Prepared,
        views: Sequence[LayerView],
        answer: Mapping[str, NDArray[Any]],
    ) -> None:
        """Add a picture.

        Parameters
        ----------
        name : str
            What it is called.
        info : ImageInfo
            What it is.
        made : Prepared
            What the network got, and what people see of that.
        views : sequence of LayerView
            Its layers.
        answer : mapping of str to ndarray
            The tensors of the network's answer with their batch, empty where it gives no class
            scores.
        """
        classes = tuple(_classes(self._outputs.plan, answer))
        self._pictures.append(_Seen(name, info, made, views, classes))

    @property
    def empty(self) -> bool:
        """Whether no picture was added."""
        return not self._pictures

    def html(self) -> bytes:
        """Write the page about all pictures that were added.

        Raises
        ------
        ModelError
            A class cannot be explained.
        """
        pictures = self._pictures
        photos = tuple(self._photo(one) for one in pictures)
        taken = sum(len(one.picture.body) for one in photos)
        taken += sum(len(heat.picture.body) for one in photos for heat in one.heats)
        chosen = list(self._outputs.chosen.values())
        parents = self._parents(chosen)
        views = [[one.views[place] for one in pictures] for place in range(len(chosen))]
        encoded = self._encoded(views, parents, max(PICTURES - taken, PICTURES // 4))
        units = self._units()
        names = self._names(chosen)
        cards = tuple(
            self._card(*one, units.get(one[0].tensor))
            for one in zip(chosen, views, encoded, parents, names, strict=True)
        )
        title = " and ".join(filter(None, (", ".join(one.name for one in pictures[:-1]), pictures[-1].name)))
        return html(
            Page(
                title=title if len(pictures) < 4 else f"{len(pictures)} pictures",
                network=_network_name(self._model, self._outputs.plan),
                facts=tuple(_network_facts(self._model, self._outputs.plan)),
                photos=photos,
                cards=cards,
                maker=f"Made by cnntool {__version__}.",
                data={
                    "palettes": CONTROL_POINTS,
                    "style": self._look.style if self._look.style in CONTROL_POINTS else None,
                    "unit_layers": [card.name for card in cards if (card.data or {}).get("units")],
                    "patches": self._patches and self._patches.record(),
                },
            )
        )

    def _photo(self, one: _Seen) -> Photo:
        rows, columns = _photo_of(one).shape[:2]
        facts = (
            ("picture", f"{one.info.width} x {one.info.height} pixels, {one.info.format.upper()}"),
            ("it sees", f"{columns} x {rows} pixels, {self._outputs.plan.input.channel_order}"),
        )
        return Photo(one.name, _encoded(_photo_of(one)), facts, one.classes, tuple(self._heats(one)))

    def _heats(self, one: _Seen) -> Iterator[Heat]:
        """Explain the likeliest classes, each on the picture as the network sees it."""
        if self._method is None:
            return
        from cnntool.api.explain import Explainer, Ready
        from cnntool.nets.attribution.methods import METHODS
        from cnntool.nets.inference.preprocess import Fitting
        from cnntool.views.heat_map import Tile, paint

        photo = _photo_of(one)
        size = photo.shape[0], photo.shape[1]
        ranks = [f"rank:{n}" for n in range(1, min(EXPLAINED, len(one.classes)) + 1)]
        explainer = Explainer(self._model, [self._method], ranks)
        method = METHODS[self._method]
        for found in explainer.explain(Ready(one.made.tensor, photo, Fitting(size, 0, 0, size))):
            tile = Tile(
                photo, found.map, method.title, found.label, found.probability,
                signed=method.signed, from_zero=method.from_zero,
            )  # fmt: skip
            words = f"{found.probability:.1%}, {method.title}"
            words += f" of {found.layer}" if found.layer else ""
            yield Heat(found.label, words, _encoded(paint(tile, photo, "overlay").picture))

    def _parents(self, chosen: Sequence[ChosenLayer]) -> list[tuple[int, ...]]:
        """Find out which of the layers each takes from, whatever lies between."""
        model = self._model
        flow = model.read_layers().flow
        places = {one.tensor: place for place, one in enumerate(chosen)}
        behind: dict[str, frozenset[int]] = {
            info.name: frozenset({places[info.name]} & set(places.values()))
            if info.name in places
            else frozenset()
            for info in model.graph.inputs
        }
        parents: list[tuple[int, ...]] = [()] * len(chosen)
        for node in model.graph.nodes:
            found = frozenset[int]().union(*(behind.get(t, ()) for t in flow.data_inputs(node)))
            for tensor in node.outputs:
                behind[tensor] = found
                if tensor in places:
                    parents[places[tensor]] = tuple(sorted(found))
                    behind[tensor] = frozenset({places[tensor]})
        return parents

    def _names(self, chosen: Sequence[ChosenLayer]) -> list[list[str]]:
        """List the names by which each layer is found."""
        layers = self._model.read_layers()
        known = layers.vocabulary()
        found = []
        for one in chosen:
            names = [*one.names, one.tensor, *known.get(one.tensor, ())]
            if one.layer is not None and one.layer.number:
                names += [one.layer.counted, f"#{one.layer.number}", one.layer.node]
            names = [name for name in dict.fromkeys(names) if name and name != one.title]
            found.append(names[:_NAMES])
        return found

    def _encoded(
        self,
        views: Sequence[Sequence[LayerView]],
        parents: Sequence[Sequence[int]],
        budget: int,
    ) -> list[list[_Encoded]]:
        """Encode the pictures of all layers; the largest become smaller until all have room."""
        labels = [
            self._outputs.labels(row[0].made.chosen, row[0].vector)
            if row[0].vector is not None
            else None
            for row in views
        ]
        kept = {
            (row, column): view.tiles
            for row, of_layer in enumerate(views)
            for column, view in enumerate(of_layer)
            if view.tiles is not None
        }

        def encode(row: int, column: int) -> _Encoded:
            found = kept.get((row, column))
            view = views[row][column]
            if found is None:
                return _Encoded(_encoded(self._strip(view.vector, labels[row])), None, {})
            sides = [
                kept[other, column].side * factors[other, column]
                for other in parents[row]
                if (other, column) in kept and kept[other, column].shape[1:] > found.shape[1:]
            ]
            by = factors[row, column] = drawn.factor(found, self._look, min(sides, default=None))
            pixels, spots = drawn.sheet(found, self._look, by, _photo_of(self._pictures[column]))
            levels = None
            if (self._look.style or "gray") != "gray":
                gray = self._look._replace(style="gray")
                levels = _encoded(drawn.sheet(found, gray, by)[0])
                spots = drawn.sheet(found, gray, by)[1]
            return _Encoded(_encoded(pixels), levels, spots | drawn.scale_record(found), found.words)

        factors: dict[tuple[int, int], int] = {}
        every = [
            (row, column) for row, of_layer in enumerate(views) for column in range(len(of_layer))
        ]
        made = {spot: encode(*spot) for spot in every}
        total = sum(one.size for one in made.values())
        while total > budget:
            spot = max(kept, key=lambda spot: made[spot].size)
            kept[spot] = kept[spot].smaller()
            before, made[spot] = made[spot], encode(*spot)
            total += made[spot].size - before.size
        return [
            [made[row, column] for column in range(len(of_layer))]
            for row, of_layer in enumerate(views)
        ]

    def _strip(self, vector: NDArray[Any] | None, labels: Sequence[str] | None) -> NDArray[Any]:
        """Draw a vector."""
        from cnntool.views.vectors import vector_sheet

        assert vector is not None  # noqa: S101 - what has no maps is one
        style = "viridis" if self._look.style in {None, "overlay"} else self._look.style
        return vector_sheet(vector, style=style, scale=self._look.scale, labels=labels)

    def _card(
        self,
        chosen: ChosenLayer,
        views: Sequence[LayerView],
        encoded: Sequence[_Encoded],
        parents: tuple[int, ...],
        names: Sequence[str],
        units: Sequence[dict[str, Any]] | None,
    ) -> Card:
        made = views[0].made
        data: dict[str, Any] = {"names": names}
        data["views"] = [
            {**shown.record(), "sight": _sight_record(view.sight)}
            | ({"values": packed(view.vector)} if view.vector is not None else {})
            for view, shown in zip(views, encoded, strict=True)
        ]
        if views[0].vector is not None:
            data["labels"] = self._outputs.labels(chosen, views[0].vector)
        if kernels := self._kernels(chosen):
            data["kernels"] = kernels
        if units:
            data["units"] = units
        if self._patches is not None and chosen.tensor in self._patches.places:
            data["patches"] = self._patches.places[chosen.tensor]
        return Card(
            name=chosen.title,
            tensor=chosen.tensor,
            words=chosen.words
            if not made.dequantised or "dequantised" in chosen.words
            else f"{chosen.words}, dequantised",
            kind=KINDS.get(chosen.kind, "other"),
            shape=shape_text(made.statistics.shape),
            views=tuple(
                View(
                    facts=(
                        *_figures(view.made),
                        *([("on this page", shown.words)] if shown.words else []),
                    ),
                    picture=shown.picture,
                    sparsity=None
                    if isnan(view.made.statistics.sparsity)
                    else view.made.statistics.sparsity,
                    sees=_sees(view, _photo_of(one).shape),
                    histogram=view.histogram,
                )
                for one, view, shown in zip(self._pictures, views, encoded, strict=True)
            ),
            parents=parents,
            data=data,
        )

    def _kernels(self, chosen: ChosenLayer) -> dict[str, Any] | None:
        """Return the kernels of a convolution, of each the parts that weigh most, in 8 bits."""
        from cnntool.api.unit_trace import COLOURS

        if chosen.kind != "conv" or chosen.layer is None:
            return None
        try:
            found = self._model.learned(chosen.layer)
        except CnntoolError:  # a kernel that is computed from the picture, or of three dimensions
            return None
        values = found.values
        if not np.isfinite(values).all():
            return None
        shown = min(KERNELS, values.shape[1])
        weight = np.abs(values).sum(axis=(2, 3))
        order = np.argsort(-weight, axis=1, kind="stable")[:, :shown]
        if shown == values.shape[1]:
            order = np.sort(order, axis=1)
        parts = np.take_along_axis(values, order[:, :, None, None], axis=1)
        steps = np.maximum(np.abs(parts).reshape(len(parts), -1).max(axis=1), 1e-30) / 127
        levels = np.rint(parts / steps[:, None, None, None]).astype(np.int8)
        groups = len(values) // max(1, self._inputs_of(chosen, values))
        first = (np.arange(len(values)) // max(1, len(values) // max(groups, 1))) * values.shape[1]
        order = order + (first[:, None] if groups > 1 else 0)
        letters = self._outputs.plan.input.channel_order if found.colours else ""
        return {
            "shape": [len(values), shown, *values.shape[2:]],
            "of": values.shape[1],
            "weights": packed(levels),
            "inputs": packed(order.astype(np.uint16)),
            "steps": drawn.short_numbers(steps),
            "colours": [COLOURS[letter] for letter in letters] or None,
        }

    def _inputs_of(self, chosen: ChosenLayer, values: NDArray[Any]) -> int:
        """Return so many output maps as one group has, where there are groups."""
        assert chosen.layer is not None  # noqa: S101 - it has a kernel
        node = self._model.graph.nodes[chosen.layer.members[0]]
        groups = node.attribute("group", 1)
        return len(values) // groups if isinstance(groups, int) and groups > 0 else len(values)

    def _units(self) -> dict[str, list[dict[str, Any]]]:
        """Return the numbers from which values are computed, by the tensors of their layers."""
        found: dict[str, list[dict[str, Any]]] = {}
        if not self._tracers:
            return found
        room = UNITS // (len(self._tracers) * len(self._pictures))
        for tracer in self._tracers:
            of_layer = []
            for one in self._pictures:
                unit = unit_numbers(tracer, one.made.tensor, room)
                if unit is None:
                    self._model.note(
                        f"{tracer.title}: what goes in takes more than a page holds: its values"
                        " cannot be taken apart there"
                    )
                    break
                of_layer.append(unit)
            for tensor in (tracer.layer.pre, tracer.layer.post) if of_layer else ():
                found[tensor] = of_layer
            if of_layer and not {tracer.layer.pre, tracer.layer.post} & set(self._outputs.chosen):
                self._model.note(f"{tracer.title} is taken apart on no page that does not show it")
        return found

    def find_patches(
        self,
        best: Mapping[str, Strongest],
        count: int,
        photos: Callable[[Sequence[int]], Iterable[tuple[int, str, NDArray[np.uint8]]]],
    ) -> None:
        """Add what excites each map most in other pictures.

        Parameters
        ----------
        best : mapping of str to Strongest
            Where layers are strongest, see `cnntool.api.activations.find_strongest`.
        count : int
            How many pictures were looked at.
        photos : callable
            Given numbers of pictures, yields these with their names and what the network sees.
        """
        self._patches = _Patches(self._outputs, best, count, photos)


class _Encoded(NamedTuple):
    """The picture of a layer, and what the script must know to read it."""

    picture: PagePicture
    levels: PagePicture | None
    spots: dict[str, Any]
    words: str = ""

    @property
    def size(self) -> int:
        return len(self.picture.body) + (len(self.levels.body) if self.levels else 0)

    def record(self) -> dict[str, Any]:
        return self.spots | ({"levels": self.levels.uri} if self.levels else {})


class _Patches:
    """Pieces of pictures that excite maps: the pictures once, and boxes in them."""

    def __init__(
        self,
        outputs: LayerOutputs,
        best: Mapping[str, Strongest],
        count: int,
        photos: Callable[[Sequence[int]], Iterable[tuple[int, str, NDArray[np.uint8]]]],
    ) -> None:
        from cnntool.nets.layers.receptive_field import Sight

        self.count = count
        found = {tensor: one.patches(range(len(one.values))) for tensor, one in best.items()}
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
            picture = _jpeg(photo)
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
        entry = outputs.plan.input
        self.places: dict[str, list[list[Any]]] = {}
        for tensor, patches in found.items():
            rows: list[list[Any]] = [[] for _ in best[tensor].values]
            for patch in patches:
                if patch.picture not in where:
                    continue
                place = where[patch.picture]
                size = self.sizes[place]
                shape = (
                    (entry.channels, *size) if entry.layout == "NCHW" else (*size, entry.channels)
                )
                sees = outputs.sight(outputs.chosen[tensor], shape)
                sees = sees or Sight(size, (1, 1), (0, 0), whole=True)
                value = drawn.short_numbers([patch.value])
                rows[patch.map].append([place, *sees.box(*patch.place, size), *value])
            self.places[tensor] = rows

    def record(self) -> dict[str, Any]:
        return {
            "of": self.count,
            "names": self.names,
            "sizes": self.sizes,
            "pictures": [one.uri for one in self.pictures],
        }


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
    after = found.after
    return {
        "maps": maps,
        "weights": packed(found.weights[kept].astype(np.float32)),
        "bias": [float(value) for value in found.bias[kept]],
        "pre": packed(found.made[kept].astype(np.float32)),
        "post": None if after is None else packed(after[kept].astype(np.float32)),
        "after": tracer.formula.after,
        "channels": kept.tolist(),
        "total": total,
        "groups": found.groups,
        "stride": found.stride,
        "dilation": found.dilation,
        "pads": found.pads,
        "limits": [None if abs(end) == float("inf") else end for end in found.limits],
        "step": found.step,
        "precision": found.precision,
    }


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """Pack numbers for the script: deflated, little-endian, in base64."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {
        "type": values.dtype.str[1:],
        "shape": list(values.shape),
        "data": b64encode(zlib.compress(values.tobytes(), 6)).decode(),
    }
