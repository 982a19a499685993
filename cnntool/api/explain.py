"""Explanations: what in a picture speaks for a class, laid back onto the picture."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.api.activations import title_of
from cnntool.api.arguments import one_of
from cnntool.api.evaluation import class_index
from cnntool.api.pictures import Figure
from cnntool.api.records import Records
from cnntool.errors import ModelError, UsageError
from cnntool.nets.attribution.methods import DEFAULT, METHODS, load
from cnntool.nets.attribution.subject import Subject
from cnntool.nets.attribution.targets import (
    Grid,
    convolved,
    grid_of,
    last_maps,
    of_one,
    score_tensor,
)
from cnntool.nets.inference.classify import Scores, name_of, stream
from cnntool.nets.inference.classify import score as scores_of
from cnntool.nets.inference.layer_outputs import dequantised, quantisation
from cnntool.nets.inference.preprocess import Fitting, displayed, fitting, laid_back, prepare
from cnntool.nets.layers.shapes import lengths
from cnntool.nets.models.manifest import CLASSES
from cnntool.nets.runtime.providers import word_of
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.image.source import ImageInfo
    from cnntool.nets.attribution.insertion_deletion import Curve, InsertionDeletion
    from cnntool.nets.gradients.differentiate import Differentiator, Pass
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.layers.receptive_field import ReceptiveField
    from cnntool.nets.network import Network

    Progress = Callable[[str, int, int], None]
    Target = str | int

_LARGEST = 2000
"""Rows or columns of maps that are drawn: of large photos more would only be averaged away."""

_TRIED = 8
"""Layers of a transformer that are tried, from the last one on."""

_BATCH = 16
"""Pictures at once on a graphics card; processors take one each."""


class Explanation(NamedTuple):
    """What in a picture speaks for a class.

    Attributes
    ----------
    method : str
        ``"gradcam"`` and the like.
    index : int
        The class, from 0.
    label : str
        Its name, or its number where no names are known.
    probability : float
        Of the class, 0..1.
    score : float
        Before softmax or sigmoid.
    layer : str
        The layer that was looked at; empty for methods that look at the picture itself.
    attribution : ndarray of shape (h, w) of float32
        How much each place speaks for the class, in the method's own units, see
        `cnntool.nets.attribution.methods.METHODS`; of the size of the layer, or of the network's
        input. `map` lays it on the picture.
    facts : mapping of str to float
        What else is known of it: steps, samples or masks, and the error left.
    insertion, deletion : Curve or None
        How the probability rises and falls with the places that the map ranks highest.
    photo : ndarray of shape (H, W, 3) of uint8
        The picture as it is displayed.
    fitting : Fitting
        How the picture was brought to the network's size.
    """

    method: str
    index: int  # type: ignore[assignment]  # a number here, not tuple's method
    label: str
    probability: float
    score: float
    layer: str
    attribution: NDArray[np.float32]
    facts: Mapping[str, float]
    insertion: Curve | None
    deletion: Curve | None
    photo: NDArray[np.uint8]
    fitting: Fitting

    @property
    def map(self) -> NDArray[np.float32]:
        """The attribution at the picture's size, (H, W); NaN where the network saw nothing."""
        return laid_back(self.attribution, self.fitting, *self.photo.shape[:2])

    @property
    def key(self) -> str:
        """What its map is called among others of one photo: method and class."""
        return f"{self.method}-{self.index}"

    def record(self) -> dict[str, Any]:
        """Return all that is known but the numbers of the maps, ready for JSON."""
        values = self.map
        seen = values[np.isfinite(values)]
        return {
            "key": self.key,
            "method": self.method,
            "index": self.index,
            "label": self.label,
            "probability": self.probability,
            "score": self.score,
            "layer": self.layer or None,
            "shape": list(values.shape),
            "computed": list(self.attribution.shape),
            "minimum": float(seen.min()) if seen.size else None,
            "maximum": float(seen.max()) if seen.size else None,
            "seen": seen.size / values.size,
            "facts": dict(self.facts),
            "insertion": self.insertion and self.insertion.record(),
            "deletion": self.deletion and self.deletion.record(),
        }


class Explanations(Records[Explanation]):
    """Explanations of one picture; in a notebook they show themselves as a figure."""

    __slots__ = ()
    _repr_html_ = None  # type: ignore[assignment]  # else it would come before the figure

    def figure(self, style: str = "overlay", *, title: str = "photo", detail: str = "") -> Figure:
        """Draw all of them beside the photo.

        Parameters
        ----------
        style : {'overlay', 'heat', 'side-by-side'}
            The maps over the photo, alone, or beside it.
        title, detail : str
            What stands above the photo; by default its size.
        """
        from cnntool.views.heat_map import STYLES, Tile, sheet

        style = one_of("style", style, STYLES)
        height, width = self[0].photo.shape[:2] if self else (1, 1)
        less = max(1.0, max(height, width) / _LARGEST)
        size = ceil(height / less), ceil(width / less)
        tiles = [
            Tile(
                photo=one.photo,
                map=laid_back(one.attribution, one.fitting, *size),
                method=METHODS[one.method].title,
                label=one.label,
                probability=one.probability,
                signed=METHODS[one.method].signed,
                from_zero=METHODS[one.method].from_zero,
                notes=_notes(one),
            )
            for one in self
        ]
        return Figure(sheet(tiles, style, title=title, detail=detail))  # type: ignore[arg-type]

    def _repr_png_(self) -> bytes:
        return self.figure().png()


def _notes(one: Explanation) -> list[str]:
    """Return what stands below the class: the layer, and how well the map ranks pixels."""
    curves = {"insertion": one.insertion, "deletion": one.deletion}
    areas = [
        f"{name} {curve.area:.2f} (random {curve.random:.2f}, centre {curve.centre:.2f})"
        for name, curve in curves.items()
        if curve is not None
    ]
    return [*([one.layer] if one.layer else []), *areas]


class Ready(NamedTuple):
    """A picture that is ready to be explained.

    Parameters
    ----------
    tensor : ndarray
        What goes in, without its batch.
    photo : ndarray of shape (H, W, 3) of uint8
        What people see.
    fitting : Fitting
        How the one was made of the other.
    """

    tensor: NDArray[Any]
    photo: NDArray[np.uint8]
    fitting: Fitting


class _Place(NamedTuple):
    """The layer that is looked at: its tensor, what people call it, and how its maps lie in it."""

    tensor: str
    title: str
    grid: Grid


class Explainer:
    """Explains one picture after another.

    Parameters
    ----------
    model : Network
        A classifier.
    methods : sequence of str
        Keys of `cnntool.nets.attribution.methods.METHODS`.
    targets : sequence of str or int
        Classes: a label, an index or a WordNet id, ``"rank:2"`` for the second prediction. Without
        any the first prediction.
    layer : str, optional
        A name; by default the last activation whose maps have more than one place.
    seed : int
        Of what is drawn at random.
    score : bool
        Whether to measure insertion and deletion, too.
    progress : callable, optional
        Is told of slow work what is done: its name, how many pictures, and of how many.

    Attributes
    ----------
    plan : InferredSpec
        What goes in and comes out.

    Raises
    ------
    ModelError
        The network is no classifier, or has no such class or layer.
    """

    def __init__(
        self,
        model: Network,
        methods: Sequence[str] = (DEFAULT,),
        targets: Sequence[Target] = (),
        layer: str | None = None,
        *,
        seed: int = 0,
        score: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.model = model
        self.plan, self._single = _classifier(model)
        self._methods = list(dict.fromkeys(methods))
        if layer is not None and all(METHODS[name].needs != "layer" for name in self._methods):
            looks = "looks" if len(self._methods) == 1 else "look"
            raise UsageError(f"{', '.join(self._methods)} {looks} at no layer", source="`layer`")
        self._seed, self._score, self._progress = seed, score, progress
        self._targets = [_target(one, self.plan) for one in targets or ("rank:1",)]
        self._named = _named(model, layer) if layer is not None else None
        self._places: dict[tuple[int, ...], _Place] = {}
        self._last: tuple[Pass, NDArray[Any], dict[str, NDArray[Any]]] | None = None
        self._scores = score_tensor(model.graph, self.plan)
        if self._scores != self.plan.output.name:
            output = self.plan.output._replace(logits=self._scores)
            self.plan = self.plan._replace(output=output)

    def prepare(self, pixels: NDArray[Any] | Image, info: ImageInfo) -> Ready:
        """Make a picture ready, see `cnntool.nets.inference.preprocess.prepare`."""
        entry = self.plan.input
        tensor = prepare(pixels, info, entry)
        return Ready(tensor, displayed(pixels, info), fitting(info.height, info.width, entry))

    def explain(self, picture: Ready) -> Explanations:
        """Explain each class by each method.

        Raises
        ------
        ModelError
            The network fails, an operator has no gradient, or the layer has no rows and columns.
        """
        with self.model.lock:
            scores = self._classify(picture)
            count = len(scores.probabilities)
            places = [self._class(target, scores, count) for target in self._targets]
            found = [
                self._explain(picture, scores, place, method, curves)
                for place, curves in self._curves(picture, places)
                for method in self._methods
            ]
        return Explanations(found)

    def _curves(
        self, picture: Ready, places: Iterable[int]
    ) -> Iterator[tuple[int, InsertionDeletion | None]]:
        """Yield each class, with what measures its maps if that is wanted."""
        from cnntool.nets.attribution.insertion_deletion import InsertionDeletion

        for place in dict.fromkeys(places):
            subject = self._subject(picture, place, "insertion and deletion")
            yield place, InsertionDeletion(subject) if self._score else None

    def _explain(
        self,
        picture: Ready,
        scores: Scores,
        place: int,
        method: str,
        curves: InsertionDeletion | None,
    ) -> Explanation:
        subject = self._subject(picture, place, method)
        attribution = load(method)(subject)
        index = place - self.plan.output.background
        label = name_of(self.plan, index)[0]
        if not attribution.map.any():
            self.model.note(f"{self.model.name}: {method} finds nothing that speaks for {label}")
        insertion, deletion = curves.curves(attribution.map) if curves else (None, None)
        scored = scores.probabilities if scores.logits is None else scores.logits
        return Explanation(
            method=method,
            index=index,
            label=label,
            probability=float(scores.probabilities[place]),
            score=float(scored[place]),
            layer=self._place(picture).title if METHODS[method].needs == "layer" else "",
            attribution=attribution.map,
            facts=attribution.facts,
            insertion=insertion,
            deletion=deletion,
            photo=picture.photo,
            fitting=picture.fitting,
        )

    def _subject(self, picture: Ready, place: int, method: str) -> Subject:
        def input_gradient(tensor: NDArray[Any]) -> tuple[float, NDArray[np.float32]]:
            entry = self.plan.input
            way = self._open(picture, "input")
            score, (gradient,) = self._back(way, tensor, place)
            planar = entry.layout == "NCHW"
            return score, gradient if planar else np.moveaxis(gradient, -1, 0)

        def layer_gradient(
            tensor: NDArray[Any],
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            where = self._place(picture)
            way = self._open(picture, "layer")
            _, (gradient,) = self._back(way, tensor, place)
            maps = self._forward(way, tensor)[where.tensor][0]
            values, step = self._real(where.tensor, maps)
            return where.grid.maps(values), where.grid.maps(gradient / step)

        def probabilities(tensors: Iterable[NDArray[Any]]) -> Iterator[float]:
            for scores in self._many(tensors):
                yield float(scores.probabilities[place])

        report = self._progress
        return Subject(
            self.model.name,
            picture.tensor,
            self.plan.input,
            input_gradient,
            layer_gradient,
            probabilities,
            self._seed,
            None if report is None else lambda done, total: report(method, done, total),
        )

    def _classify(self, picture: Ready) -> Scores:
        """Score all classes, by the way forward that is needed next."""
        needs = METHODS[self._methods[0]].needs
        if needs == "scores":
            (scores,) = self._many([picture.tensor])
        else:
            made = dict(self._forward(self._open(picture, needs), picture.tensor))
            if self._scores != self.plan.output.name:  # which the plan turns into real numbers
                made[self._scores], _ = self._real(self._scores, made[self._scores])
            (scores,) = map(self._as_scores, scores_of(made, self.plan, 1, 0.0))
            self.model.check(scores, self.plan, picture.tensor)
        return scores

    def _many(self, tensors: Iterable[NDArray[Any]]) -> Iterator[Scores]:
        session = self.model.session(self.plan.taps, many=True)
        batch = 1 if word_of(session.placement.granted) == "cpu" else _BATCH
        fed = ((tensor, tensor) for tensor in tensors)
        for tensor, answer in stream(session, self.plan, fed, batch=batch):
            scores = self._as_scores(answer)
            self.model.check(scores, self.plan, tensor)
            yield scores

    def _as_scores(self, scores: Scores) -> Scores:
        """Turn one number into the probability of one class."""
        if not self._single:
            return scores
        return scores._replace(
            probabilities=1 / (1 + np.exp(-scores.probabilities)), logits=scores.probabilities
        )

    def _differentiator(self, picture: Ready) -> Differentiator:
        return self.model.differentiator((self._batch, *picture.tensor.shape))

    def _open(self, picture: Ready, needs: str) -> Pass:
        """Open both ways for what a method needs."""
        made = self._differentiator(picture)
        if needs == "input":
            return made.open(self._scores, [self.plan.input.name], self.plan.taps)
        tensor = self._place(picture).tensor
        return made.open(self._scores, [tensor], (*self.plan.taps, tensor))

    def _forward(self, way: Pass, tensor: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run forward, unless this very tensor went that way last."""
        if self._last is None or self._last[0] is not way or self._last[1] is not tensor:
            feed = np.stack([tensor] * self._batch)
            layers = [name for name in way.also if name not in self.plan.taps]
            self._last = way, tensor, way.forward(feed, *self.plan.taps, *layers)
        return self._last[2]

    def _back(
        self, way: Pass, tensor: NDArray[Any], place: int
    ) -> tuple[float, list[NDArray[np.float32]]]:
        """Return a class's score, and its gradients for the one picture."""
        scores = self._forward(way, tensor)[way.score]
        values, step = self._real(way.score, scores.reshape(self._batch, -1))
        seed = np.zeros(scores.shape, np.float32)
        seed.reshape(self._batch, -1)[0, place] = step
        return float(values[0, place]), [gradient[0] for gradient in way.backward(seed)]

    def _real(self, tensor: str, values: NDArray[Any]) -> tuple[NDArray[Any], np.float32]:
        """Dequantise a tensor, and tell how much one of its whole numbers is."""
        real, whole = dequantised(self.model.graph, tensor, values)
        scaled = quantisation(self.model.graph, tensor) if whole else None
        return real, np.float32(scaled[0] if scaled else 1)

    def _class(self, target: int | Rank, scores: Scores, count: int) -> int:
        """Return the place of a class among the scores."""
        if isinstance(target, Rank):
            if target.number > count:
                raise ModelError(
                    f"there is no rank {target.number}: the network tells {count} classes apart",
                    source=self.model.name,
                )
            return int(np.argsort(-scores.probabilities, kind="stable")[target.number - 1])
        place = target + self.plan.output.background
        if not 0 <= place < count:
            raise ModelError(
                f"there is no class {target}: the network tells {count} classes apart, from 0",
                source=self.model.name,
            )
        return place

    def _place(self, picture: Ready) -> _Place:
        """Return the layer that is looked at, for pictures of this size."""
        shape = picture.tensor.shape
        if shape not in self._places:
            self._places[shape] = (
                self._last_place(picture) if self._named is None else self._given(picture)
            )
            where = self._places[shape]
            self.model.note(
                f"{self.model.name}: the layer is {where.title},"
                f" maps of {where.grid.rows} x {where.grid.columns}"
            )
        return self._places[shape]

    @property
    def _batch(self) -> int:
        """How many pictures go in at once: as many as the file says."""
        return self.plan.input.batch or 1

    def _sides(self, picture: Ready) -> tuple[int, int]:
        return picture.fitting.shape

    def _fields(self, picture: Ready) -> Mapping[str, ReceptiveField]:
        """Return what is known of the axes of tensors."""
        from cnntool.nets.layers.receptive_field import fields_of

        shape = self._batch, *picture.tensor.shape
        flow = self.model.read_layers().flow
        return fields_of(self.model.graph, flow, self.plan.input.name, shape)

    def _given(self, picture: Ready) -> _Place:
        tensor, title = self._named or ("", "")
        shapes = self._differentiator(picture).shapes
        shape = lengths(shapes.get(tensor))
        told = f" (its shape is {shape_text(shape)})" if shape else ""
        one = of_one(shape, self._batch)
        if shape and one is None:
            raise ModelError(
                f"layer {title!r} holds no picture as a whole: its first axis is not the batch"
                f"{told}",
                source=self.model.name,
            )
        known, field = convolved(self.model.graph, shapes), self._fields(picture).get(tensor)
        grid = grid_of(one or (), self._sides(picture), known, field)
        if grid is None:
            raise ModelError(
                f"layer {title!r} has no rows and columns to lay over a picture{told}",
                source=self.model.name,
            )
        return _Place(tensor, title, grid)

    def _last_place(self, picture: Ready) -> _Place:
        made = self._differentiator(picture)
        layers = self.model.read_layers()
        sides = self._sides(picture)
        fields = self._fields(picture)
        found = last_maps(
            layers.flow, self._scores, made.shapes, fields, picture=sides, batch=self._batch
        )
        for _, (tensor, grid) in zip(range(_TRIED), found, strict=False):
            if grid.axes == "CHW" or self._counts(made, picture, tensor, grid):
                row = next((row for row in layers.rows if tensor in {row.post, row.pre}), None)
                # Where nothing but a dequantisation follows, its result as `activations` has it.
                best = row.post if row is not None and not row.after else tensor
                return _Place(best, title_of(best, row), grid)
        raise ModelError(
            "no layer of it has rows and columns in which its classes show",
            source=self.model.name,
            hint="`layer` names one; saliency, occlusion and rise need none",
        )

    def _counts(self, made: Differentiator, picture: Ready, tensor: str, grid: Grid) -> bool:
        """Tell whether a class depends on more than one place of a layer."""
        way = made.open(self._scores, [tensor], (*self.plan.taps, tensor))
        _, (gradient,) = self._back(way, picture.tensor, 0)
        return int(grid.maps(gradient).any(axis=0).sum()) > 1


class Rank(NamedTuple):
    """A class by its place among the predictions, from 1."""

    number: int


def _classifier(model: Network) -> tuple[InferredSpec, bool]:
    """Return what goes in and comes out, and whether that is one number for one class."""
    try:
        return model.plan(CLASSES), False
    except ModelError:
        plan = model.plan()
        info = next((t for t in model.graph.outputs if t.name == plan.output.name), None)
        if info is None or plan.output.kind != "other" or not info.shape:
            raise
        if any(length != 1 for length in info.shape[1:]):
            raise
    model.note(f"{model.name}: its one number is taken for the score of one class, 0")
    return plan, True


def _target(target: Target, plan: InferredSpec) -> int | Rank:
    """Find out which class is meant."""
    if isinstance(target, str):
        word, colon, number = target.partition(":")
        counted = number.isascii() and number.isdecimal() and len(number) < 7
        if colon and word.lower() == "rank" and counted:
            if int(number) < 1:
                raise UsageError("ranks count from 1", source=f"`target={target}`")
            return Rank(int(number))
        return class_index(target, plan, plan.name)
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)):
        from cnntool.api.arguments import wrong_type

        raise wrong_type("target", target, "a label, an index or 'rank:N'")
    return int(target)


def _named(model: Network, layer: str) -> tuple[str, str]:
    """Return the tensor that a name means, and what to call it."""
    meant = model.read_layers().one(layer)
    model.note(meant.text)
    return meant.tensor, title_of(meant.tensor, meant.layer)
