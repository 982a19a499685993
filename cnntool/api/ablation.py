"""Ablation: how often a network is right when maps of its layers are silenced."""

from __future__ import annotations

import re
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api.activations import title_of
from cnntool.api.evaluation import Evaluation, Judge
from cnntool.api.pictures import Figure
from cnntool.api.records import Records
from cnntool.errors import ModelError, UsageError
from cnntool.nets.inference.ablation import cut_at
from cnntool.nets.inference.classify import check
from cnntool.nets.inference.preprocess import prepare, seen
from cnntool.nets.models.manifest import CLASSES
from cnntool.shapes.text import counted
from cnntool.views.feature_maps import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.image.files import Item
    from cnntool.image.source import ImageInfo
    from cnntool.nets.inference.ablation import AblatedNetwork, Silenced
    from cnntool.nets.network import Network

    Read = Callable[[Iterable[Item], Callable[..., Any]], Iterable[tuple[Item, Any]]]
    """Reads pictures, and makes of each what a function makes of its pixels."""

DRAWN = 12
"""Maps that a figure shows, the worst."""

FILLS = ("zero", "mean")
"""What a silenced map holds in all its places."""

_WITH_UNITS = re.compile(r"(.+)\[([\d\s,-]*)\]", re.DOTALL)


class SilencedLayer(NamedTuple):
    """A layer of which some maps are silenced.

    Attributes
    ----------
    title : str
        What it was asked for by, or a short name where that was a pattern.
    cut : str
        The tensor whose numbers are replaced.
    units : str
        Which maps, as they were asked for; empty if all.
    """

    title: str
    cut: str
    units: str

    @property
    def name(self) -> str:
        """As it may be asked for: ``block4_conv2[17]``."""
        return f"{self.title}[{self.units}]" if self.units else self.title


class MapEffect(NamedTuple):
    """What one silenced map does.

    Attributes
    ----------
    layer : str
        Its layer.
    map : int
        Its number.
    top1 : float
        Top-1 accuracy without it, 0..1.
    lost : float
        How much lower that is; below 0 where the network is better off without.
    change : float
        Of the true class's probability, on the mean; mostly below 0.
    photo : str
        Where that falls most; empty where it never does.
    """

    layer: str
    map: int
    top1: float
    lost: float
    change: float
    photo: str


class Sample(NamedTuple):
    """A map of a photo.

    Attributes
    ----------
    photo : ndarray of uint8, shape (H, W, 3)
        What the network saw.
    values : ndarray of shape (h, w)
        What the map is in it.
    """

    photo: NDArray[np.uint8]
    values: NDArray[Any]


class Ablation(NamedTuple):
    """How often a network is right without some of its maps. Shares are 0..1.

    Attributes
    ----------
    without : tuple of str
        What was silenced, or the layers of which each map was.
    fill : str
        What silenced maps hold: ``"zero"``, or their ``"mean"`` over the pictures.
    plain : Evaluation
        Of the network as it is.
    silenced : Evaluation or None
        Without all of these maps; None where each was silenced for itself.
    change : float or None
        Of the true class's probability, on the mean, when all are silenced.
    each : Records of MapEffect
        Where each map was silenced for itself: what that does, the worst first.
    samples : tuple of Sample or None
        For the first of these: the map in the photo in which it counts most, if it is a map.
    """

    without: tuple[str, ...]
    fill: str
    plain: Evaluation
    silenced: Evaluation | None
    change: float | None
    each: Records[MapEffect]
    samples: tuple[Sample | None, ...] = ()

    @property
    def lost(self) -> float:
        """How much lower the top-1 accuracy is when all are silenced; of each, the most."""
        if self.silenced is None:
            return max(one.lost for one in self.each)
        return self.plain.total.accuracy1 - self.silenced.total.accuracy1

    def record(self) -> dict[str, Any]:
        """Return all figures but confusion matrices, ready for JSON."""
        found = {"without": list(self.without), "fill": self.fill}
        if self.silenced is None:
            effects = [one._asdict() for one in self.each]
            return {**found, "plain": self.plain.total.record(), "each": effects}
        return {
            **found,
            "plain": self.plain.total.record(),
            "lost": self.lost,
            "change": self.change,
            **self.silenced.record(),
        }

    def figure(self, detail: str = "") -> Figure:
        """Draw what the worst maps do, where each was silenced for itself: bars, and samples.

        Parameters
        ----------
        detail : str
            What stands below the title first.

        Raises
        ------
        UsageError
            The maps were silenced together.
        """
        from cnntool.views.bars import Bar, chart, on_photo

        if self.silenced is not None:
            raise UsageError("the maps were silenced together", hint="`each` takes one at a time")
        layers = dict.fromkeys(one.layer for one in self.each)
        samples = zip(self.each, self.samples, strict=False)
        bars = [
            Bar(
                f"{one.layer} {one.map}" if len(layers) > 1 else str(one.map),
                (one.lost, -one.change),
                sample and on_photo(sample.values, sample.photo),
                "/".join(PurePath(one.photo).parts[-2:]),
            )
            for one, sample in samples
        ]
        share = self.plain.total
        photos = counted(share.pictures, "photo", ",")
        facts = f"{photos}, {share.accuracy1:.2%} right with all maps"
        title = f"What is lost without one map of {', '.join(layers)}"
        fill = f"silenced: {self.fill}; worst {len(bars)} of {len(self.each)}"
        return Figure(
            chart(
                bars,
                ("top-1 accuracy lost", "probability of the true class lost, on the mean"),
                title=title,
                detail="; ".join(filter(None, (detail, facts, fill))),
            )
        )


def choose_silenced(network: Network, names: Sequence[str]) -> list[SilencedLayer]:
    """Find the layers that are to be silenced.

    Parameters
    ----------
    network : Network
        Is told what the names mean.
    names : sequence of str
        Names and patterns of layers, each with or without numbers of maps in brackets,
        ``block4_conv2[0,3,8-15]``. A name that there is with its brackets wins.

    Raises
    ------
    UsageError
        Nothing is named, or nothing stands between the brackets.
    ModelError
        A name that means nothing, or several things.
    """
    if not names:
        raise UsageError("no layer is named", source="`without`")
    layers = network.read_layers()
    found = []
    for name in names:
        query, units = name, ""
        split = _WITH_UNITS.fullmatch(name)
        if split and not _is_name(network, name):
            query, units = split[1], split[2].strip()
            if not units:
                raise UsageError("no map stands between the brackets", source=name)
        meant = layers.resolve(query)
        network.note(meant[0].text if len(meant) == 1 else f"{query} -> {len(meant)} layers")
        for one in meant:
            title = query if one.is_name else title_of(one.tensor, one.layer)
            found.append(SilencedLayer(title, cut_at(network.graph, one.tensor), units))
    return found


def _is_name(network: Network, name: str) -> bool:
    """Tell whether a layer is called so, brackets included."""
    try:
        return all(one.is_name for one in network.read_layers().resolve(name))
    except ModelError:
        return False


class _Outcome(NamedTuple):
    """What came of a network and some sets of silenced maps."""

    plain: Evaluation
    silenced: Evaluation
    top1: NDArray[np.float64]
    change: NDArray[np.float64]
    photos: list[str]


class Ablator:
    """Counts how often a network is right when maps of its layers are silenced.

    Parameters
    ----------
    network : Network
        A classifier.
    without : sequence of SilencedLayer
        See `choose_silenced`.
    truths : mapping of Item to int
        See `cnntool.api.evaluation.read_truths`.
    read : callable
        Reads pictures, and makes of each what a function makes of it; may leave some out.
    failed : callable
        Is told of pictures whose scores cannot be ranked, which do not count.
    fill : {'zero', 'mean'}
        What silenced maps hold: zero, or their mean over the pictures, which are read twice then.
    each : bool
        Whether each of the maps is silenced for itself, not all of them together.
    batch : int
        Pictures that go through the network up to the layers at once.
    source : str
        What errors call the truths.
    drawn : int
        Of how many of the worst maps samples are kept, to be drawn, where each is silenced.
    """

    def __init__(
        self,
        network: Network,
        without: Sequence[SilencedLayer],
        truths: Mapping[Item, int],
        read: Read,
        failed: Callable[[Item, ModelError], None],
        *,
        fill: str = "zero",
        each: bool = False,
        batch: int = 1,
        source: str = "",
        drawn: int = 0,
    ) -> None:
        self._network, self._without, self._truths = network, without, truths
        self._read, self._failed = read, failed
        self._fill, self._each, self._batch, self._source = fill, each, batch, source
        self._drawn = drawn
        self._plan = network.plan(CLASSES)
        self._items = [*truths]

    def run(self) -> Ablation | None:
        """Evaluate the network with and without the maps; None if there was no answer.

        Raises
        ------
        ModelError
            The scores do not depend on a layer, or the network fails.
        UsageError
            A map that a layer does not have.
        """
        cuts = [*dict.fromkeys(layer.cut for layer in self._without)]
        names = tuple(dict.fromkeys(layer.name for layer in self._without))
        with ExitStack() as stack:

            def opened(cuts: Sequence[str]) -> AblatedNetwork:
                return stack.enter_context(self._network.ablated(self._plan, cuts))

            whole = opened(cuts)
            if self._fill == "mean":
                whole.fill = whole.means(tensor for _, tensor in self._pictures())
            pictures = self._pictures()
            first = next(pictures, None)
            if first is None:
                return None
            ((_, layers),) = whole.layers([first])
            units = self._units({cut: len(maps) for cut, maps in layers.items()})
            fed: Iterable[tuple[Item, NDArray[Any]]] = chain([first], pictures)
            if not self._each:
                found = self._outcome(whole, fed, [units])
                if found is None:
                    return None
                change = float(found.change[0])
                return Ablation(names, self._fill, found.plain, found.silenced, change, Records())
            plain: Evaluation | None = None
            effects: list[MapEffect] = []
            for cut in cuts:
                network = whole if len(cuts) == 1 else opened([cut])
                network.fill = whole.fill
                found = self._outcome(
                    network, fed, [{cut: units[cut][k : k + 1]} for k in range(len(units[cut]))]
                )
                if found is None:
                    return None
                plain = plain or found.plain
                effects += self._effects(cut, units[cut], found)
                fed = self._pictures()
        effects.sort(key=lambda one: (-one.lost, one.change))
        samples = self._samples(effects[: self._drawn])
        return plain and Ablation(names, self._fill, plain, None, None, Records(effects), samples)

    def _pictures(self) -> Iterator[tuple[Item, NDArray[Any]]]:
        """Read the pictures; once that was done, those that could be."""
        good = []
        for item, tensor in self._read(self._items, partial(prepare, spec=self._plan.input)):
            good.append(item)
            yield item, tensor
        self._items = good

    def _units(self, counts: Mapping[str, int]) -> dict[str, NDArray[np.intp]]:
        """Say which maps are silenced, by cuts."""
        units: dict[str, NDArray[np.intp]] = {}
        for layer in self._without:
            hint = "say 17 or 0,3,8-15"
            numbers = numbered(layer.units, counts[layer.cut], source=layer.name, hint=hint)
            units[layer.cut] = np.union1d(units.get(layer.cut, numbers), numbers)
        return units

    def _outcome(
        self,
        network: AblatedNetwork,
        pictures: Iterable[tuple[Item, NDArray[Any]]],
        sets: Sequence[Silenced],
    ) -> _Outcome | None:
        """Count right answers, and how the probabilities of the true classes change."""
        judges = [Judge(self._plan, self._truths, self._source) for _ in range(2)]
        right = np.zeros(len(sets))
        change, lowest = np.zeros(len(sets)), np.zeros(len(sets))
        photos = [""] * len(sets)
        fed = (((item, tensor), tensor) for item, tensor in pictures)
        for (item, tensor), answers in network.answers(fed, sets, batch=self._batch):
            try:
                self._network.check(answers[0], self._plan, tensor)
                for scores, maps in zip(answers[1:], sets, strict=True):
                    check(scores, self._plan, partial(self._whence, maps))
            except ModelError as error:
                self._failed(item, error)
                continue
            for judge, scores in zip(judges, answers, strict=False):
                judge.add(item, scores)
            truth = self._truths[item] + self._plan.output.background
            table = np.stack([one.probabilities for one in answers[1:]])
            right += table.argmax(axis=1) == truth
            changed = table[:, truth] - answers[0].probabilities[truth]
            change += changed
            for place in np.flatnonzero(changed < lowest):
                photos[place] = item.name
            lowest = np.minimum(lowest, changed)
        plain, silenced = (judge.evaluation() for judge in judges)
        if plain is None or silenced is None:
            return None
        count = plain.total.pictures
        return _Outcome(plain, silenced, right / count, change / count, photos)

    def _samples(self, effects: Sequence[MapEffect]) -> tuple[Sample | None, ...]:
        """Look at maps in the photos in which they count most."""
        cuts = {layer.title: layer.cut for layer in self._without}
        found: dict[MapEffect, Sample] = {}
        wanted = {one.photo for one in effects}
        items = [item for item in self._items if item.name in wanted]
        spec = self._plan.input

        def make(pixels: Any, info: ImageInfo) -> tuple[NDArray[Any], NDArray[np.uint8]]:
            return prepare(pixels, info, spec), seen(pixels, info, spec)

        used = [*dict.fromkeys(cuts[one.layer] for one in effects)]
        with self._network.ablated(self._plan, used) as network:
            for item, (tensor, photo) in self._read(items, make):
                ((_, layers),) = network.layers([(None, tensor)])
                for one in effects:
                    values = layers[cuts[one.layer]][one.map]
                    is_map = values.ndim == 3 and len(values) == 1 < values.size
                    if one.photo == item.name and is_map:
                        found[one] = Sample(photo, values[0])
        return tuple(map(found.get, effects))

    def _whence(self, silenced: Silenced) -> str:
        """Say which maps were silenced, as the end of a sentence."""
        names = [layer.name for layer in self._without]
        if self._each:
            names = [f"{self._title(cut)}[{units[0]}]" for cut, units in silenced.items()]
        return f" without {', '.join(names)}"

    def _title(self, cut: str) -> str:
        return next(layer.title for layer in self._without if layer.cut == cut)

    def _effects(self, cut: str, units: NDArray[np.intp], found: _Outcome) -> Iterator[MapEffect]:
        before = found.plain.total.accuracy1
        for place, number in enumerate(units.tolist()):
            top1, change = float(found.top1[place]), float(found.change[place])
            yield MapEffect(
                self._title(cut), number, top1, before - top1, change, found.photos[place]
            )
