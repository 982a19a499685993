"""Comparisons of two networks, layer by layer: where numbers part, and which layer is to blame."""

from __future__ import annotations

from contextlib import ExitStack
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.activations import choose_layers, title_of
from cnntool.api.model import open_model
from cnntool.api.records import Records
from cnntool.errors import InputError, ModelError, UsageError
from cnntool.nets.comparison.alignment import Side, align, is_same
from cnntool.nets.comparison.measures import Tally
from cnntool.nets.comparison.preparation import alike, check_inputs, common, input_order
from cnntool.nets.comparison.runs import Comparing, Row, Subject, precise
from cnntool.nets.comparison.steps import has_blocks
from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.inference.classify import score
from cnntool.nets.inference.layer_outputs import dequantised, exactly
from cnntool.nets.inference.preprocess import prepare
from cnntool.shapes.text import counted, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.api.pictures import Figure, ImageLike
    from cnntool.image.source import ImageInfo
    from cnntool.nets.comparison.alignment import Alignment, Pair
    from cnntool.nets.file.graph import Graph
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import Placement

    Progress = Callable[[int], None]

TOLERANCES = {"float32": 0.001, "float16": 0.01, "8 bits": 0.1}
"""Relative errors that a layer may have of its own, by the coarser numbers of both networks."""

LEVELS: dict[str, Any] = {"none": False, "basic": "basic", "all": True}
"""How far onnxruntime may optimise a network."""


class LayerDifference(NamedTuple):
    """How a layer of one network differs from its partner in the other, over all photos together.

    Attributes
    ----------
    number : int
        Its place among the layers that are compared; 0 is what goes in.
    name_a, name_b : str
        What the layers are called.
    kind : str
        ``conv``, ``dense``, ``pool``...; ``input``.
    why : str
        What made them partners: ``weights``, ``structure``, ``map``.
    shape : tuple of int
        Of the values that are compared: maps, rows and columns, or the length of a vector.
    sqnr : float
        Signal to noise in decibels, ``10 log10(sum(a^2) / sum((b - a)^2))``; infinite without a
        difference.
    error : float
        The accumulated error, each network on its own: ``|b - a| / |a|`` (root mean squares).
    cosine : float
        Of the angle between the two, -1..1.
    largest : float
        The largest difference.
    where : tuple of int
        Its place: map, row and column, or the number of a value in a vector.
    photo : str
        In which photo.
    worst : float
        The largest accumulated error of one photo.
    worst_photo : str
        Which one.
    apart : int
        Values that are NaN or infinite in one network only.
    own_sqnr, own_error, own_worst, own_worst_photo, own_apart
        The same of b's layer on a's numbers: its own error. None for what goes in, and where it
        cannot be had.
    diverges : bool
        Whether its own error passes the tolerance.
    """

    number: int
    name_a: str
    name_b: str
    kind: str
    why: str
    shape: tuple[int, ...]
    sqnr: float
    error: float
    cosine: float
    largest: float
    where: tuple[int, ...]
    photo: str
    worst: float
    worst_photo: str
    apart: int
    own_sqnr: float | None
    own_error: float | None
    own_worst: float | None
    own_worst_photo: str | None
    own_apart: int | None
    diverges: bool


class ChannelDifference(NamedTuple):
    """How one map of a layer differs, over all photos together; see `LayerDifference`.

    Attributes
    ----------
    channel : int
        Its number, from 0.
    sqnr, error, cosine, largest, apart
        Each network on its own.
    own_sqnr, own_error, own_apart
        B's layer on a's numbers, or None.
    """

    channel: int
    sqnr: float
    error: float
    cosine: float
    largest: float
    apart: int
    own_sqnr: float | None
    own_error: float | None
    own_apart: int | None


class OutputDifference(NamedTuple):
    """How the answers of two networks differ. None stands for what networks without classes lack.

    Attributes
    ----------
    photos : int
        How many there were.
    sqnr, error, largest : float
        Of the scores before the softmax where both networks tell them, else of the probabilities;
        of networks without classes, of the output that differs most.
    apart : int
        Values that are NaN or infinite in one network only.
    agreement : float or None
        Share of the photos of which both say the same.
    mean_change : float or None
        By how much the probability of a's first class changes, on average.
    largest_change : float or None
        The largest change of any probability.
    unanswered : int
        Photos for whose classes either network says NaN or infinity: there both say nothing.
    """

    photos: int
    sqnr: float
    error: float
    largest: float
    apart: int
    agreement: float | None
    mean_change: float | None
    largest_change: float | None
    unanswered: int


class Ready(NamedTuple):
    """A picture as either network takes it."""

    a: NDArray[Any]
    b: NDArray[Any]


class Comparison:
    """What a comparison has found.

    Attributes
    ----------
    layers : Records of LayerDifference
        A record a pair, in the order of the first network; what goes in comes first.
    first : LayerDifference or None
        The first that diverges.
    only_a, only_b : tuple of str
        Layers without a partner.
    outputs : OutputDifference or None
        How the answers differ; None where they cannot be compared.
    tolerance : float
        What an own error may be.
    precision : str
        Of the coarser network: ``"float32"``, ``"float16"``, ``"8 bits"``.
    nodes_to_exclude : tuple of str
        Where the second network has 8 bits: nodes of the first to keep in float, the worst own
        error first, as onnxruntime's quantiser takes them.
    nameless : int
        Layers that would be among them, and have nodes without a name.
    photos : tuple of str
        What was looked at.
    """

    def __init__(
        self,
        layers: Iterable[LayerDifference],
        tallies: Sequence[tuple[Tally, Tally]],
        *,
        lonely: tuple[Sequence[str], Sequence[str]],
        outputs: OutputDifference | None,
        tolerance: float,
        precision: str,
        exclude: Sequence[str],
        photos: Sequence[str],
        draw: Callable[[Comparison, Sequence[LayerDifference], int | None], Iterator[Figure]],
    ) -> None:
        self.layers = Records(layers)
        self._draw = draw
        self._tallies = tallies
        self.only_a, self.only_b = map(tuple, lonely)
        self.outputs = outputs
        self.tolerance = tolerance
        self.precision = precision
        self.nodes_to_exclude = tuple(filter(None, exclude))
        self.nameless = len(exclude) - len(self.nodes_to_exclude)
        self.photos = tuple(photos)

    @property
    def first(self) -> LayerDifference | None:
        """The first that diverges."""
        return next((row for row in self.layers if row.diverges), None)

    @property
    def equal(self) -> bool:
        """Whether no number differs."""
        return all(row.error == 0 and not row.apart for row in self.layers)

    def channels(self, number: int) -> Records[ChannelDifference]:
        """Tell the maps of a layer apart, the worst first.

        Parameters
        ----------
        number : int
            Of the layer, see `LayerDifference`.
        """
        tally, own = self._tallies[number]
        theirs = {one.map: one for one in own.maps}
        found = []
        for one in tally.maps:
            its = theirs.get(one.map)
            alone = (its.sqnr, its.error, its.apart) if its else (None, None, None)
            found.append(ChannelDifference(*one, *alone))
        return Records(found)

    @property
    def worst(self) -> LayerDifference:
        """The first that diverges, or else the one with the largest accumulated error."""
        return self.first or max(
            self.layers[1:] or self.layers, key=lambda row: (row.apart, row.error)
        )

    def figure(self, number: int | None = None) -> Figure:
        """Draw a layer's worst maps in both networks, and their differences, of the first photo.

        The networks run for it once more.

        Parameters
        ----------
        number : int, optional
            Of the layer, see `LayerDifference`; by default that of `worst`.
        """
        row = self.worst if number is None else self.layers[number]
        return next(self._draw(self, [row], None))

    def figures(self, maps: int | None = None) -> Iterator[Figure]:
        """Draw all layers, see `figure`; the networks run once more for all of them together.

        Parameters
        ----------
        maps : int, optional
            How many maps of each to draw at most.
        """
        return self._draw(self, self.layers, maps)

    def record(self) -> dict[str, Any]:
        """Return all of it for JSON; infinite and missing numbers are None there."""
        first = self.first
        return {
            "photos": list(self.photos),
            "precision": self.precision,
            "tolerance": self.tolerance,
            "layers": [plain(row) for row in self.layers],
            "first": first.name_a if first else None,
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "outputs": self.outputs and plain(self.outputs),
            "nodes_to_exclude": list(self.nodes_to_exclude),
        }

    def _repr_html_(self) -> str:
        return self.layers._repr_html_()


def plain(row: Any) -> dict[str, Any]:
    """Return a record for JSON, which knows no infinity."""
    return {
        key: list(value)
        if isinstance(value, tuple)
        else None
        if isinstance(value, float) and not isfinite(value)
        else value
        for key, value in row._asdict().items()
    }


class Comparer:
    """Compares two networks over pictures; `compare` is for most uses.

    Parameters
    ----------
    a, b : Network
        The networks; one may be both.
    optimise : (str or None, str or None)
        How far onnxruntime may optimise either, a key of `LEVELS`; None for as far as no number
        changes.
    tolerance : float, optional
        The own error that a layer may have.
    by_hand : mapping of str to str
        Names of layers of a, and of their partners in b.

    Attributes
    ----------
    plans : (InferredSpec, InferredSpec)
        What goes into the networks and comes out.
    placements : list of Placement or None
        Where they ran.

    Raises
    ------
    ModelError
        A network does not take one picture.
    """

    def __init__(
        self,
        a: Network,
        b: Network,
        *,
        optimise: tuple[str | None, str | None] = (None, None),
        tolerance: float | None = None,
        by_hand: Mapping[str, str] | None = None,
    ) -> None:
        self.networks = a, b
        self._optimise = optimise
        self._by_hand = dict(by_hand or {})
        plans = a.plan(), b.plan()
        stated = a.found.spec is not None, b.found.spec is not None
        first, second, taker = common(*plans, stated)
        plans = plans[0]._replace(input=first), plans[1]._replace(input=second)
        if taker:
            known, other = (b, a) if taker == "a" else (a, b)
            a.note(f"{other.name}: pictures are prepared as for {known.name}")
            assumed = plans[known is b].assumed
            plans = plans[0]._replace(assumed=assumed), plans[1]._replace(assumed=assumed)
        self.plans = plans
        self.alike = alike(first, second)
        if not self.alike:
            a.note(f"{a.name} and {b.name} want pictures prepared in different ways")
        self.precision = max(
            (precise(net.graph) for net in self.networks), key=TOLERANCES.__getitem__
        )
        self.tolerance = TOLERANCES[self.precision] if tolerance is None else tolerance
        self.placements: list[Placement | None] = [None, None]

    @property
    def name(self) -> str:
        """What errors call the two."""
        a, b = (network.name for network in self.networks)
        return a if a == b else f"{a} and {b}"

    def prepare(self, pixels: NDArray[Any] | Image, info: ImageInfo) -> Ready:
        """Make a picture ready for both networks."""
        first, second = (plan.input for plan in self.plans)
        tensor = prepare(pixels, info, first)
        same = self.alike and (first.layout, first.dtype) == (second.layout, second.dtype)
        return Ready(tensor, tensor if same else prepare(pixels, info, second))

    def compare(
        self, pictures: Iterable[tuple[str, Ready]], progress: Progress | None = None
    ) -> Comparison:
        """Compare the networks.

        Parameters
        ----------
        pictures : iterable of (str, Ready)
            The pictures with their names.
        progress : callable, optional
            Is told how many pictures are done.

        Raises
        ------
        InputError
            There is no picture.
        ModelError
            The networks have nothing in common, or one fails.
        """
        waiting: list[tuple[str, Ready]] = []
        names: list[str] = []
        for name, ready in pictures:
            if not names:
                self._open(ready)
                self._first = ready
            names.append(name)
            waiting.append((name, ready))
            if len(waiting) == self._work.photos_at_once:
                self._flush(waiting, len(names), progress)
        if not names:
            raise InputError("no picture could be read")
        self._flush(waiting, len(names), progress)
        return self._found(names)

    def _flush(
        self, waiting: list[tuple[str, Ready]], count: int, progress: Progress | None
    ) -> None:
        first = count - len(waiting)

        def answered(photo: int, ours: Any, theirs: Any) -> None:
            self._answers.add(photo, ours, theirs)
            if progress is not None:
                progress(photo + 1)

        if waiting:
            self._work.add(first, [ready for _, ready in waiting], answered)
            waiting.clear()

    def _open(self, ready: Ready) -> None:
        """Align the networks, for pictures of this size."""
        a, b = self.plans
        check_inputs(a.input, b.input, (ready.a.shape, ready.b.shape), self.name)
        sides = self._sides(ready)
        self.alignment: Alignment = align(sides[0], sides[1], self._by_hand)
        for network, side in zip(self.networks, sides, strict=True):
            side.graph.wire.forget()
            if has_blocks(side.graph) and not is_same(*(one.graph for one in sides)):
                network.note(
                    f"{network.name}: onnxruntime has put its channels into blocks: layers are"
                    " compared where they are in order again; saved at ORT_ENABLE_EXTENDED, all are"
                )
        self.pairs: list[Pair] = []
        seen = {b.input.name}
        for pair in self.alignment.pairs:
            if pair.tensor_b not in seen:
                seen.add(pair.tensor_b)
                self.pairs.append(pair)
        if self.alignment.is_empty:
            raise ModelError(
                "no layer of one has a partner in the other",
                source=self.name,
                hint="`map=FILE` names partners",
            )
        self._rows = [
            Row(a.input.name, b.input.name, input_order(a.input, b.input)),
            *(Row(pair.tensor_a, pair.tensor_b, pair.order) for pair in self.pairs),
        ]
        first, second = (self._subject(place, side) for place, side in enumerate(sides))
        self._work = Comparing(first, second, self._rows, alike=self.alike)
        self._answers = _Answers(self.plans, self.networks, (first.outputs, second.outputs))

    def _sides(self, ready: Ready) -> list[Side]:
        """Read the layers of both and find their shapes, at once where they are two."""
        from concurrent.futures import ThreadPoolExecutor

        def shapes(network: Network, plan: InferredSpec, tensor: NDArray[Any]) -> dict[str, Any]:
            entry = plan.input
            planar = entry.layout == "NCHW"
            found = network.shapes(tensor.shape[1:] if planar else tensor.shape[:2])
            shape = (entry.batch or 1, *tensor.shape)
            return found | {entry.name: TensorInfo(entry.name, entry.dtype, shape)}

        a, b = self.networks
        if a.graph is b.graph:
            one = Side(a.graph, a.read_layers(), shapes(a, self.plans[0], ready.a))
            return [one, one]
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(shapes, self.networks, self.plans, ready))
        return [
            Side(network.graph, network.read_layers(), one)
            for network, one in zip(self.networks, found, strict=True)
        ]

    def _subject(self, place: int, side: Side) -> Subject:
        network, plan = self.networks[place], self.plans[place]
        level = self._optimise[place]
        optimise = exactly(network.graph) if level is None else LEVELS[level]

        def placed(placement: Placement) -> None:
            self.placements[place] = placement
            if placement.note:
                network.note(placement.note)

        return Subject(
            network.name,
            network.graph,
            side.layers.flow,
            plan.input,
            side.shapes,
            network.settings._replace(optimise=optimise, lanes=1),
            _numbers(network.graph, plan, side.shapes),
            placed,
        )

    def numbers_of(self, queries: Sequence[str]) -> list[int]:
        """Find the records of layers that are asked for by their names in a.

        Raises
        ------
        ModelError
            There is no such layer, or it has no partner.
        """
        network = self.networks[0]
        chosen = choose_layers(network.read_layers(), queries, network.note)
        numbers = {row.tensor_a: number for number, row in enumerate(self._rows)}
        for one in chosen:
            if one.tensor not in numbers:
                raise ModelError(
                    f"{one.title!r} has no partner in {self.networks[1].name}",
                    source=network.name,
                    hint="`map=FILE` names one",
                )
        return [numbers[one.tensor] for one in chosen]

    def _figures(
        self, found: Comparison, rows: Sequence[LayerDifference], most: int | None
    ) -> Iterator[Figure]:
        """Draw layers of the first picture: what both make of it, and the difference."""
        from cnntool.api.pictures import Figure
        from cnntool.views.difference import MOST, difference_sheet

        ours, theirs, photo = (
            Path(name).name
            for name in (*(network.name for network in self.networks), found.photos[0])
        )
        made = self._work.values([row.number for row in rows], self._first)
        for row, values in zip(rows, made, strict=True):
            every = [channel.channel for channel in found.channels(row.number)]
            maps = every[: most or MOST]
            facts = f"{shape_text(row.shape)}, SQNR {row.sqnr:.1f} dB"
            facts += f", the {len(maps)} that differ most" * (len(maps) < len(every))
            titles = row.name_a, row.name_b, "B - A"
            yield Figure(
                difference_sheet(
                    *values, maps, titles=titles, details=(ours, theirs, f"{facts}, {photo}")
                )
            )

    def _found(self, names: Sequence[str]) -> Comparison:
        tallies = list(zip(self._work.accumulated, self._work.own, strict=True))
        rows = [self._row(number, *both, names) for number, both in enumerate(tallies)]
        lonely = self.alignment.only_a, self.alignment.only_b
        return Comparison(
            rows,
            tallies,
            lonely=([one.short_name for one in lonely[0]], [one.short_name for one in lonely[1]]),
            outputs=self._answers.found,
            tolerance=self.tolerance,
            precision=self.precision,
            exclude=self._exclude(rows),
            photos=names,
            draw=self._figures,
        )

    def _exclude(self, rows: Sequence[LayerDifference]) -> list[str]:
        """Name the nodes of a whose layers have 8 bits in b, the worst own error first."""
        a, b = self.networks
        if precise(b.graph) != "8 bits":
            return []
        bad = [row for row in rows[1:] if row.own_error]
        bad.sort(key=lambda row: row.own_error or 0, reverse=True)
        pairs = [self.pairs[row.number - 1] for row in bad]
        return [a.graph.nodes[pair.a.members[0]].name for pair in pairs if _is_quantised(pair.b, b)]

    def _row(self, number: int, tally: Tally, own: Tally, names: Sequence[str]) -> LayerDifference:
        found = tally.figures
        its = own.figures if own.shape else None
        titles: tuple[str, str] = self._rows[0].tensor_a, self._rows[0].tensor_b
        kind, why = "input", "structure"
        if number:
            pair = self.pairs[number - 1]
            titles = _title(pair.a, pair.tensor_a), _title(pair.b, pair.tensor_b)
            kind, why = pair.a.kind, pair.why
        judged = its or (found if self.alike and not number else None)
        return LayerDifference(
            number=number,
            name_a=titles[0],
            name_b=titles[1],
            kind=kind,
            why=why,
            shape=tally.shape,
            sqnr=found.sqnr,
            error=found.error,
            cosine=found.cosine,
            largest=found.largest,
            where=found.where,
            photo=names[found.photo],
            worst=found.worst,
            worst_photo=names[found.worst_photo],
            apart=found.apart,
            own_sqnr=its and its.sqnr,
            own_error=its and its.error,
            own_worst=its and its.worst,
            own_worst_photo=its and names[its.worst_photo],
            own_apart=its and its.apart,
            diverges=judged is not None and bool(judged.error > self.tolerance or judged.apart),
        )


def _title(layer: Layer, tensor: str) -> str:
    """Name a layer, whichever tensor of it was compared."""
    return title_of(tensor, layer) if tensor == layer.pre else layer.short_name


def _is_quantised(layer: Layer, network: Network) -> bool:
    """Tell whether a layer computes with whole numbers that stand for others."""
    graph = network.graph
    node = graph.nodes[layer.members[0]]
    if node.op.startswith("QLinear") or node.op.endswith("Integer") or node.op == "QGemm":
        return True
    makers = (graph.producer_of.get(tensor) for tensor in node.inputs)
    return any(maker is not None and maker.op == "DequantizeLinear" for maker in makers)


def _numbers(graph: Graph, plan: InferredSpec, shapes: Mapping[str, TensorInfo]) -> tuple[str, ...]:
    """Name all outputs that are arrays of numbers, the one that is the answer first."""
    outputs = (shapes.get(info.name, info) for info in graph.outputs)
    numbers = (info.name for info in outputs if info.dtype not in {"", "string"})
    return tuple(dict.fromkeys((*plan.taps, *numbers)))


class _Answers:
    """Compares the answers of two networks, photo by photo.

    Of networks without classes all outputs count: partners have one name, or else one place.
    """

    def __init__(
        self,
        plans: tuple[InferredSpec, InferredSpec],
        networks: tuple[Network, Network],
        outputs: tuple[Sequence[str], Sequence[str]],
    ) -> None:
        self._plans, self._networks = plans, networks
        a, b = outputs
        if {*a} == {*b}:
            b = a
        elif len(a) != len(b):
            a, b = a[:1], b[:1]
        self._partners = list(zip(a, b, strict=True))
        self._tallies = [Tally() for _ in self._partners]
        self._misfit = False
        self._agreeing = self._changes = 0.0
        self._largest = 0.0
        self._photos = self._ranked = self._unanswered = 0

    def add(self, photo: int, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        """Add the answers to one photo."""
        self._photos += 1
        if all(plan.classifies for plan in self._plans):
            plans = [plan._replace(input=plan.input._replace(batch=None)) for plan in self._plans]
            try:
                a, b = (
                    score(made, plan, 1, 0.0)[0]
                    for made, plan in zip((ours, theirs), plans, strict=True)
                )
            except ModelError:  # numbers that are no class scores
                pass
            else:
                self._rank(photo, a, b)
                return
        for names, tally in zip(self._partners, self._tallies, strict=True):
            first, second = (
                dequantised(network.graph, name, made[name])[0]
                for network, name, made in zip(self._networks, names, (ours, theirs), strict=True)
            )
            if first.shape == second.shape:
                tally.add(photo, first.reshape(-1), second.reshape(-1))
            else:
                self._misfit = True

    def _rank(self, photo: int, a: Any, b: Any) -> None:
        if len(a.probabilities) != len(b.probabilities):
            return
        known = a.logits is not None and b.logits is not None
        self._tallies[0].add(
            photo, *((a.logits, b.logits) if known else (a.probabilities, b.probabilities))
        )
        self._ranked += 1
        if not all(np.isfinite(one.probabilities).all() for one in (a, b)):
            self._unanswered += 1
            return
        best = int(a.probabilities.argmax())
        change = np.abs(b.probabilities - a.probabilities)
        self._agreeing += best == int(b.probabilities.argmax())
        self._changes += float(change[best])
        self._largest = max(self._largest, float(change.max()))

    @property
    def found(self) -> OutputDifference | None:
        """What all photos come to."""
        made = [tally.figures for tally in self._tallies if tally.shape]
        if self._misfit or not made:
            return None
        figures = max(made, key=lambda one: (one.apart > 0, one.error))
        answered = self._ranked - self._unanswered
        return OutputDifference(
            self._photos,
            figures.sqnr,
            figures.error,
            figures.largest,
            figures.apart,
            self._agreeing / self._ranked if self._ranked else None,
            self._changes / answered if answered else None,
            self._largest if answered else None,
            self._unanswered,
        )


def compare(
    a: Network | str | Path,
    b: Network | str | Path | None = None,
    photos: Any = None,
    *,
    against: Any = None,
    optimise: tuple[str | None, str | None] = (None, None),
    tolerance: float | None = None,
    by_hand: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two networks layer by layer, on photos.

    Layers become partners by structure and weights, whatever they are called. Each pair gets two
    errors: the accumulated one, each network on its own, and its own, of b's layer on a's numbers.
    In an 8-bit network every layer differs; the first that *diverges* is the first whose own error
    passes the tolerance.

    Parameters
    ----------
    a, b : Model, str or path
        The networks, see `load_model`; by default `b` is `a`, for two settings or two pictures. One
        network on two devices is two models.
    photos : picture, or list of pictures, optional
        What both look at, see `read_image`; by default the photo that ships with the tool.
    against : picture, or list of pictures, optional
        What `b` looks at instead, one for each.
    optimise : (str, str), optional
        How far onnxruntime may optimise either network: ``"none"``, ``"basic"``, ``"all"``. None
        is as far as no number changes.
    tolerance : float, optional
        The own error that a layer may have, ``|b - a| / |a|``; by default as the coarser numbers
        of the two allow: 0.001 for float32, 0.01 for float16, 0.1 for 8 bits.
    by_hand : mapping of str to str, optional
        Names of layers of `a`, and of their partners in `b`.
    progress : callable, optional
        Is told how many photos are done.

    Returns
    -------
    Comparison
        ``layers``, a record a pair: names, shape, SQNR in decibels, cosine, largest difference and
        where, error and own error; ``first``, the first that diverges; ``outputs``: agreement and
        change of probability; ``only_a``, ``only_b``; ``nodes_to_exclude``; ``channels(number)``,
        ``figure(number)``.

    Raises
    ------
    InputError
        A picture cannot be read.
    ModelError
        The networks have nothing in common, take different pictures, or one fails.

    Examples
    --------
    >>> found = cnntool.compare("vgg16-mini", optimise=("none", "all"))
    >>> found.first is None, found.outputs.agreement
    (True, 1.0)
    """
    from cnntool.nets.models.manifest import shipped_sample

    if tolerance is not None:
        tolerance = arguments.number("tolerance", tolerance)
        if not tolerance >= 0:
            raise UsageError(
                f"a number from 0 up is expected, not {tolerance:g}", source="`tolerance`"
            )
    if not isinstance(optimise, (tuple, list)) or len(optimise) != 2:
        raise arguments.wrong_type("optimise", optimise, "two levels")
    levels = tuple(
        None if level is None else arguments.one_of("optimise", level, LEVELS) for level in optimise
    )
    if by_hand is not None and not hasattr(by_hand, "items"):
        raise arguments.wrong_type("by_hand", by_hand, "a mapping of names to names")
    first, second = arguments.several(shipped_sample() if photos is None else photos), None
    if against is not None:
        second = arguments.several(against)
        if len(first) != len(second):
            raise UsageError(
                f"{counted(len(second), 'picture')} for {len(first)}", source="`against`"
            )
    with ExitStack() as stack:
        ours = stack.enter_context(open_model(a))
        theirs = ours if b is None else stack.enter_context(open_model(b))
        comparer = Comparer(
            ours,
            theirs,
            optimise=(levels[0], levels[1]),
            tolerance=tolerance,
            by_hand=by_hand,
        )
        return comparer.compare(_pictures(comparer, first, second), progress)


def _pictures(
    comparer: Comparer, first: Sequence[ImageLike], second: Sequence[ImageLike] | None
) -> Iterator[tuple[str, Ready]]:
    """Read pictures, and lay those that b gets beside a's."""
    from cnntool.api.pictures import load

    for place, image in enumerate(first):
        picture = load(image, parameter="photos")
        name, ready = picture.name, comparer.prepare(picture.values, picture.info)
        if second is not None:
            other = load(second[place], parameter="against")
            name = f"{name} | {other.name}"
            ready = Ready(ready.a, comparer.prepare(other.values, other.info).b)
        yield name, ready
