"""Pages: what a network makes of pictures, as one HTML file to walk through."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api.page_numbers import PatchNumbers, kernel_numbers, packed, unit_numbers
from cnntool.api.page_pictures import LayerPictures, encoded
from cnntool.errors import ModelError, UsageError
from cnntool.nets.layers.dataflow import word
from cnntool.shapes.text import shape_text, size_text
from cnntool.version import __version__
from cnntool.views.colormaps import CONTROL_POINTS
from cnntool.views.drawing import Drawing
from cnntool.views.page.render import (
    Bar,
    Card,
    Heat,
    Page,
    Photo,
    Row,
    Sees,
    View,
    html,
)
from cnntool.views.page.tiles import histogram, tiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import ChosenLayer, LayerOutput, LayerOutputs
    from cnntool.api.page_pictures import LayerPicture
    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.preprocess import Prepared
    from cnntool.nets.inference.weights import LayerWeights
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.receptive_field import ReceptiveField, Sight
    from cnntool.nets.network import Network
    from cnntool.views.page.render import Histogram
    from cnntool.views.page.tiles import Tiles

KINDS = {"conv": "conv", "pool": "pool", "dense": "dense", "softmax": "dense"}
"""Kinds of layers that have a colour of their own on the page."""

CLASSES, EXPLAINED = 5, 3
"""Classes that are listed, and those that are explained."""

LARGEST, ROOM, PICTURES, UNITS, LEAST = 15_000_000, 10_000_000, 7_500_000, 5_000_000, 500_000
"""Bytes of a page, and what of them all that is binary may take, pictures of layers, numbers of
units; with the least that pictures get. In a page three bytes are four letters, and figures and
names take a megabyte."""

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
    look : Drawing, optional
        How maps are drawn.
    spell : callable
        Spells the parameters that are in what was assumed.
    units : sequence of str
        Layers whose values can be taken apart on the page: names, see `ChosenLayer`.
    method : str, optional
        How the likeliest classes are explained, a key of
        `cnntool.nets.attribution.methods.METHODS`.

    Attributes
    ----------
    patches : PatchNumbers or None
        What excites each map most in other pictures, where that is to be shown.

    Raises
    ------
    ModelError
        There is no such layer, it is none that can be taken apart, or the network is no classifier.
    """

    def __init__(
        self,
        outputs: LayerOutputs,
        look: Drawing | None = None,
        *,
        spell: Callable[[str], str] = str,
        units: Sequence[str] = (),
        method: str | None = None,
    ) -> None:
        from cnntool.api.unit_trace import UnitTracer

        self._outputs = outputs
        self._look = look or Drawing()
        self._spell = spell
        self._model = outputs.model
        self._method = method
        self._pictures: list[_Seen] = []
        self.patches: PatchNumbers | None = None
        self._constants: dict[str, NDArray[Any]] | None = None
        self._tracers = [UnitTracer(self._model, query) for query in units]
        for tracer in self._tracers:
            if {tracer.layer.pre, tracer.layer.post}.isdisjoint(outputs.chosen):
                raise UsageError(
                    f"{tracer.title} is not on the page", source="`units`", hint="`layers` names it"
                )

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
            tiles(values, self._look) if maps else None,
            None if maps else values.astype(np.float32),
            histogram(values),
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
        taken += self.patches.size if self.patches else 0
        units = self._units()
        chosen = list(self._outputs.chosen.values())
        numbers = [units[one.tensor]["units"] for one in chosen if one.tensor in units]
        taken += sum(one["size"] for of_layer in numbers for one in of_layer)
        rows, parents = graph_of(self._model, [one.tensor for one in chosen])
        views = [[one.views[place] for one in pictures] for place in range(len(chosen))]
        room = max(min(PICTURES, ROOM - taken), LEAST)
        names = self._names(chosen)
        pictured = self._drawn(views, parents)
        used = 0
        while True:
            made = pictured.fitted(room)
            shown = [[made[at, n] for n in range(len(pictures))] for at in range(len(chosen))]
            cards = [
                self._card(one, of_layer, drawn, {"names": called} | units.get(one.tensor, {}))
                for one, of_layer, drawn, called in zip(chosen, views, shown, names, strict=True)
            ]
            cards = [card._replace(parents=of) for card, of in zip(cards, parents, strict=True)]
            page = self._written(photos, cards, rows)
            before, used = used, sum(one.size for one in made.values())
            if len(page) <= LARGEST or room <= LEAST or used == before:
                return page
            # Room that is not used makes no page smaller.
            room = max(LEAST, min(room, used) - (len(page) - LARGEST))

    def _drawn(
        self, views: Sequence[Sequence[LayerView]], parents: Sequence[Sequence[int]]
    ) -> LayerPictures:
        """Draw all layers of all photos."""
        maps, strips = {}, {}
        for row, of_layer in enumerate(views):
            for column, view in enumerate(of_layer):
                if view.tiles is not None:
                    maps[row, column] = view.tiles
                elif view.vector is not None:
                    labels = self._outputs.labels(view.made.chosen, view.vector)
                    strips[row, column] = self._look.picture(view.vector, labels=labels).pixels()
        photos = [_photo_of(one) for one in self._pictures]
        return LayerPictures(photos, maps, strips, parents, self._look)

    def _written(
        self, photos: tuple[Photo, ...], cards: Sequence[Card], graph: tuple[Row, ...]
    ) -> bytes:
        names = [one.name for one in photos]
        style = self._look.style
        units = [card.name for card in cards if card.data and "units" in card.data]
        return html(
            Page(
                title=" and ".join(names) if len(names) < 3 else f"{len(names)} pictures",
                network=_network_name(self._model, self._outputs.plan),
                facts=tuple(self._facts()),
                photos=photos,
                cards=tuple(cards),
                graph=graph,
                maker=f"Made by cnntool {__version__}.",
                data={
                    "palettes": CONTROL_POINTS,
                    "style": style if style in CONTROL_POINTS else None,
                    "unit_layers": units,
                    "patches": self.patches and self.patches.record(),
                },
            )
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        plan = self._outputs.plan
        yield "network", plan.name
        yield "runs on", f"{self._model.placement.granted}"
        if plan.assumed:
            yield "assumed", self._spell(", ".join(plan.assumed))

    def _photo(self, one: _Seen) -> Photo:
        rows, columns = _photo_of(one).shape[:2]
        facts = (
            ("picture", f"{size_text(one.info.height, one.info.width)}, {one.info.format.upper()}"),
            ("it sees", f"{size_text(rows, columns)}, {self._outputs.plan.input.channel_order}"),
        )
        return Photo(one.name, encoded(_photo_of(one)), facts, one.classes, tuple(self._heats(one)))

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
            yield Heat(found.label, words, encoded(paint(tile, photo, "overlay").picture))

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

    def _card(
        self,
        chosen: ChosenLayer,
        views: Sequence[LayerView],
        pictures: Sequence[LayerPicture],
        data: dict[str, Any],
    ) -> Card:
        made = views[0].made
        data["views"] = [
            {**shown.record(), "sight": _sight_record(view.sight)}
            | ({"values": packed(view.vector)} if view.vector is not None else {})
            for view, shown in zip(views, pictures, strict=True)
        ]
        if views[0].vector is not None:
            data["labels"] = self._outputs.labels(chosen, views[0].vector)
        if kernels := self._kernels(chosen):
            data["kernels"] = kernels
        if self.patches is not None and chosen.tensor in self.patches.places:
            data["patches"] = self.patches.places[chosen.tensor]
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
                    room=shown.room,
                    sparsity=None
                    if isnan(view.made.statistics.sparsity)
                    else view.made.statistics.sparsity,
                    sees=_sees(view, _photo_of(one).shape),
                    histogram=view.histogram,
                )
                for one, view, shown in zip(self._pictures, views, pictures, strict=True)
            ),
            data=data,
        )

    def _kernels(self, chosen: ChosenLayer) -> dict[str, Any] | None:
        """Return the kernels of a layer that has some."""
        from cnntool.api.unit_trace import COLOURS

        if chosen.kind != "conv" or chosen.layer is None:
            return None
        try:
            found = self._learned(chosen.layer)
        except ModelError:  # a kernel that is computed from the picture, or of three dimensions
            return None
        groups = self._model.graph.nodes[chosen.layer.members[0]].attribute("group", 1)
        letters = self._outputs.plan.input.channel_order if found.colours else ""
        names = [COLOURS[letter] for letter in letters]
        return kernel_numbers(found, groups if isinstance(groups, int) else 1, names)

    def _learned(self, layer: Layer) -> LayerWeights:
        """Read a kernel; those that the network computes from others were computed at once."""
        from cnntool.nets.inference.weights import learned, read_constant, read_constants

        graph, flow = self._model.graph, self._model.read_layers().flow
        settings = self._model.settings
        if self._constants is None:
            convolutions = [
                graph.nodes[one.layer.members[0]]
                for one in self._outputs.chosen.values()
                if one.layer is not None and one.kind == "conv"
            ]
            computed = {tensor for node in convolutions for tensor in node.inputs} - flow.data
            computed &= set(graph.producer_of)
            self._constants = read_constants(graph, flow, sorted(computed), settings=settings)
        known = self._constants

        def read(tensor: str) -> NDArray[Any]:
            if tensor in known:
                return known[tensor]
            return read_constant(graph, flow, tensor, settings=settings)

        return learned(graph, flow, layer, settings, read=read)

    def _units(self) -> dict[str, dict[str, Any]]:
        """Return the numbers from which values are computed, by the tensors of their layers."""
        found: dict[str, dict[str, Any]] = {}
        room, left = UNITS, len(self._tracers) * len(self._pictures)
        for tracer in self._tracers:
            of_layer = []
            for one in self._pictures:
                unit = unit_numbers(tracer, one.made.tensor, room // max(left, 1))
                left -= 1
                if unit is not None:
                    room -= unit["size"]
                    of_layer.append(unit)
            if len(of_layer) == len(self._pictures):
                found[tracer.layer.pre] = found[tracer.layer.post] = {"units": of_layer}
            else:
                self._model.note(
                    f"{tracer.title}: what goes in takes more than a page holds: its values cannot"
                    " be taken apart there"
                )
        return found


def graph_of(
    model: Network, tensors: Sequence[str]
) -> tuple[tuple[Row, ...], list[tuple[int, ...]]]:
    """Find out how some tensors hang together, whatever lies between.

    Parameters
    ----------
    model : Network
    tensors : sequence of str
        In the order of the network.

    Returns
    -------
    rows : tuple of Row
        The tensors, and between them what joins several of them: additions, concatenations.
    parents : list of tuple of int
        For each tensor the places of those that it is made of.
    """
    flow = model.read_layers().flow
    places = {tensor: place for place, tensor in enumerate(tensors)}
    rows: list[Row] = []
    row_of: dict[str, frozenset[int]] = {}  # behind a tensor that is no row, those that it is of
    behind: dict[str, frozenset[int]] = {}
    parents: list[tuple[int, ...]] = [()] * len(tensors)

    def enter(tensor: str, sources: frozenset[int]) -> None:
        rows.append(Row(places[tensor], "", tuple(sorted(sources))))
        row_of[tensor] = frozenset({len(rows) - 1})
        behind[tensor] = frozenset({places[tensor]})

    made = {tensor for node in model.graph.nodes for tensor in node.outputs}
    for tensor in tensors:
        if tensor not in made:
            enter(tensor, frozenset())
    for node in model.graph.nodes:
        inputs = flow.data_inputs(node)
        sources = frozenset[int]().union(*(row_of.get(tensor, ()) for tensor in inputs))
        found = frozenset[int]().union(*(behind.get(tensor, ()) for tensor in inputs))
        shown = [tensor for tensor in node.outputs if tensor in places]
        if len(sources) > 1 and not shown:
            rows.append(Row(None, word(node.op), tuple(sorted(sources))))
            sources = frozenset({len(rows) - 1})
        for tensor in node.outputs:
            if tensor in places:
                parents[places[tensor]] = tuple(sorted(found))
                enter(tensor, sources)
            else:
                row_of[tensor], behind[tensor] = sources, found
    return _useful(rows), parents


def _useful(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Leave joins out that no tensor takes from."""
    needed = {row for one in rows for row in one.parents}
    for number in range(len(rows) - 1, -1, -1):
        if rows[number].card is None and number not in needed:
            kept = [
                one._replace(parents=tuple(place - (place > number) for place in one.parents))
                for at, one in enumerate(rows)
                if at != number
            ]
            return _useful(kept)
    return tuple(rows)


def _network_name(model: Network, plan: InferredSpec) -> str:
    spec = model.found.spec
    return spec.title if spec else Path(plan.name).name


def _photo_of(one: _Seen) -> NDArray[np.uint8]:
    assert one.made.photo is not None  # noqa: S101 - a page shows what it is about
    return one.made.photo


def _classes(plan: InferredSpec, answer: Mapping[str, NDArray[Any]]) -> Iterator[Bar]:
    """Name the likeliest classes."""
    from cnntool.nets.inference.classify import score, top

    if not answer:
        return
    try:
        (scores,) = score(answer, plan, 1, 0.0)
    except ModelError:  # the answer is something else than was taken for granted
        return
    for one in top(scores, plan, CLASSES):
        if not isnan(one.probability):
            yield Bar(one.label, min(max(one.probability, 0.0), 1.0))


def _figures(made: LayerOutput) -> list[tuple[str, str]]:
    figures, field = made.statistics, made.field
    facts = []
    if sees := _field_text(field):
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


def _field_text(field: ReceptiveField | None) -> str:
    """Write a receptive field: ``76 x 76``, or that it is the whole picture; empty if unknown."""
    if field is None:
        return ""
    if field.whole:
        return "whole picture"
    return " x ".join(f"{float(extent):g}" for extent in field.extent)


def _sees(view: LayerView, photo: tuple[int, ...]) -> Sees | None:
    """Find the box that the value in the middle sees."""
    sight, shape = view.sight, view.made.statistics.shape
    if sight is None or sight.whole or len(shape) != 3:
        return None
    rows, columns = photo[:2]
    top, left, bottom, right = sight.box(shape[1] // 2, shape[2] // 2, (rows, columns))
    return Sees(top / rows, left / columns, (bottom - top) / rows, (right - left) / columns)


def _sight_record(sight: Sight | None) -> dict[str, Any] | None:
    if sight is None:
        return None
    return {
        "extent": [float(n) for n in sight.extent],
        "jump": [float(n) for n in sight.jump],
        "start": [float(n) for n in sight.start],
        "whole": sight.whole,
    }
