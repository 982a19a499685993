"""Activations: the layers that are asked for, their outputs and averages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from cnntool.errors import InputError, ModelError, UsageError
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.layer_outputs import Statistics, T
    from cnntool.nets.inference.numerics import Fault
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Layers, Resolved
    from cnntool.nets.layers.receptive_field import Box, ReceptiveField, Sight
    from cnntool.nets.network import Network

_LONGEST = 40
"""Letters of a name that may stand for a layer that has none by its place."""

_LONGEST_FILE, _LONGEST_KEY = 80, 1000
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_CLIMBS = re.compile(r"(^|[/\\])\.\.([/\\]|$)")


class ChosenLayer(NamedTuple):
    """A layer that was asked for.

    Attributes
    ----------
    number : int
        Its place among those that were asked for, from 1.
    title : str
        What people call it.
    tensor : str
        What is looked at.
    layer : Layer or None
        None for what is no layer, such as the input.
    words : str
        What it is: ``conv 9, after ReLU``.
    names : tuple of str
        What it was asked for by: what records and archives call it. Its title where that was a
        pattern, or nothing.
    """

    number: int
    title: str
    tensor: str
    layer: Layer | None
    words: str
    names: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``conv``, ``pool``, ``dense``...; empty for what is no layer."""
        return self.layer.kind if self.layer else ""

    def keys(self, among: Sequence[ChosenLayer]) -> Iterator[str]:
        """Name it among others: with its number if an earlier one has that name.

        What would lead a program that unpacks an archive out of its folder is spelt otherwise.
        """
        for name in self.names:
            plain = len(name) < _LONGEST_KEY and name.isprintable() and not _CLIMBS.search(name)
            first = next(other for other in among if name in other.names)
            yield (name if plain else safe(name)) + ("" if first is self else f"-{self.number}")


def choose_layers(
    layers: Layers,
    queries: Sequence[str],
    note: Callable[[str], None],
    *,
    everything: bool = False,
    at: str = "post",
) -> list[ChosenLayer]:
    """Find the layers that were asked for.

    Parameters
    ----------
    layers : Layers
        Those of the network.
    queries : sequence of str
        Names and patterns.
    note : callable
        Is told what the names mean.
    everything : bool
        Whether all are wanted, and the operators that are part of none. Without it and without
        queries, those are that have a name by their place in the network.
    at : {'post', 'pre'}
        A layer's result after the norm and activation that follow it, or before.

    Returns
    -------
    list of ChosenLayer
        In the order of the network, each tensor once.

    Raises
    ------
    UsageError
        Both queries and everything.
    ModelError
        A name that means nothing, or several things.
    """
    if queries and everything:
        raise UsageError("`everything` and `layers` exclude each other")
    graph = layers.flow.graph
    meant: list[Resolved] = []
    for query in queries:
        found = layers.resolve(query, at=at)
        meant += found
        note(found[0].text if len(found) == 1 else f"{query} -> {len(found)} layers")
    chosen = {one.tensor: one.layer for one in meant}
    if not queries:
        for row in layers.operators if everything else _main(layers):
            chosen.setdefault(row.at(at), row)
        if not chosen:
            raise ModelError(
                "no layer of it has a name by its place",
                source=graph.wire.name,
                hint="`everything` takes every layer",
            )
        if not everything:
            note(f"no `layers`: the {len(chosen)} that have a name by their place")
    place = {tensor: node.index for tensor, node in graph.producer_of.items()}
    tensors = sorted(chosen, key=lambda tensor: place.get(tensor, -1))
    return [
        _chosen(number, tensor, chosen[tensor], [one for one in meant if one.tensor == tensor])
        for number, tensor in enumerate(tensors, 1)
    ]


def choose_layer(model: Network, query: str, *, at: str = "post") -> ChosenLayer:
    """Find the one layer that a name means.

    Raises
    ------
    ModelError
        It means none, or several.
    """
    found = choose_layers(model.read_layers(), [query], model.note, at=at)
    if len(found) > 1:
        raise ModelError(
            f"{query!r} means {len(found)} layers, and one is wanted", source=model.name
        )
    return found[0]


def choose_last(model: Network) -> ChosenLayer:
    """Find what the last layer with weights gets, and note it: a classifier tells classes by it.

    Raises
    ------
    ModelError
        No layer of it gets what another one makes.
    """
    layers = model.read_layers()
    graph, flow = model.graph, layers.flow
    for row in reversed([row for row in layers.rows if row.kind in {"conv", "dense"}]):
        for tensor in flow.data_inputs(graph.nodes[row.members[0]]):
            if tensor in graph.producer_of:
                layer = next((one for one in layers.operators if tensor == one.post), None)
                chosen = _chosen(1, tensor, layer, [])
                title = title_of(row.post, row)
                model.note(f"no `layer`: {chosen.title}, what {title} gets")
                return chosen
    hint = f"`layer` names one of 'cnntool layers {model.name}'"
    raise ModelError("no layer of it comes before its last one", source=model.name, hint=hint)


def _main(layers: Layers) -> list[Layer]:
    named = [row for row in layers.rows if row.alias and row.kind != "reshape"]
    return named or [row for row in layers.rows if row.kind in {"conv", "dense"}]


def _chosen(
    number: int, tensor: str, layer: Layer | None, meant: Sequence[Resolved]
) -> ChosenLayer:
    from cnntool.nets.layers.lookup import describe

    title = title_of(tensor, layer)
    words = meant[0].words if meant else describe(layer, tensor) if layer else ""
    return ChosenLayer(number, title, tensor, layer, words, names_of(meant) or (title,))


def choose_weights(network: Network, queries: Sequence[str]) -> list[ChosenLayer]:
    """Find the layers whose weights were asked for; of patterns only those that have some.

    Parameters
    ----------
    network : Network
        Is told what the names mean.
    queries : sequence of str
        Names and patterns; without any, the first convolution is meant.

    Returns
    -------
    list of ChosenLayer
        In the order of the network, each once.

    Raises
    ------
    ModelError
        A name that means nothing, several things or no layer; or there is no convolution.
    """
    from cnntool.nets.inference.weights import has_weights
    from cnntool.nets.layers.lookup import describe

    layers = network.read_layers()
    if not queries and all(row.kind != "conv" for row in layers.rows):
        hint = f"`layer` names one of 'cnntool layers {network.name}'"
        raise ModelError("it has no convolution", source=network.name, hint=hint)
    found: dict[int, Layer] = {}
    names: dict[int, list[Resolved]] = {}
    for query in queries or ("conv:1",):
        meant = layers.resolve(query, at="pre")
        rows = [network.layer_of(one) for one in meant]
        usable = [row for row in rows if has_weights(network.graph, row)] or rows[:1]
        found.update({row.number: row for row in usable})
        for one, row in zip(meant, rows, strict=True):
            names.setdefault(row.number, []).extend([one] if queries else [])
        said = meant[0].text if len(meant) == 1 else f"{query} -> {len(usable)} layers"
        network.note(said if queries else f"no `layer`: the first convolution, {said}")
    chosen = []
    for number, row in enumerate((found[place] for place in sorted(found)), 1):
        title, words = title_of(row.post, row), describe(row, row.pre)
        asked = names_of(names[row.number]) or (title,)
        chosen.append(ChosenLayer(number, title, row.pre, row, words, asked))
    return chosen


def names_of(meant: Iterable[Resolved]) -> tuple[str, ...]:
    """List the names among queries, without the patterns."""
    return tuple(dict.fromkeys(one.query for one in meant if one.is_name))


def title_of(tensor: str, layer: Layer | None) -> str:
    """Return a short name for a tensor: the one that its layer can be asked for by, as a rule."""
    from cnntool.nets.layers.names import plain

    if layer is None or not layer.number or tensor not in {layer.pre, layer.post}:
        return plain(tensor)
    name = layer.short_name if len(layer.short_name) <= _LONGEST else layer.counted
    return name if tensor == layer.post else f"{name}-pre"


def safe(title: str) -> str:
    """Turn a name into one that every file system takes: letters, digits, ``.``, ``_``, ``-``."""
    name = _UNSAFE.sub("_", title)[:_LONGEST_FILE].strip("._")
    return name or "layer"


class LayerOutput(NamedTuple):
    """What a layer makes of a picture.

    Attributes
    ----------
    chosen : ChosenLayer
        Which one.
    values : ndarray of shape (C, H, W) or (n,)
        Maps, or a vector.
    statistics : Statistics
        What the values are like.
    dequantised : bool
        Whether they were whole numbers that stand for others.
    field : ReceptiveField or None
        What a value sees of the picture, where that is known.
    """

    chosen: ChosenLayer
    values: NDArray[Any]
    statistics: Statistics
    dequantised: bool
    field: ReceptiveField | None


def class_names(plan: InferredSpec, tensor: str, title: str, count: int) -> list[str] | None:
    """Return the names of the classes if these are a layer's so many values, else None."""
    if plan.labels is None:
        return None
    names = [*(["background"] if plan.output.background else []), *plan.labels.names]
    scores = tensor in plan.taps or title.startswith("predictions")
    return names if scores and len(names) == count else None


class LayerOutputs:
    """Layers of a network, for one picture after another.

    Parameters
    ----------
    model : Network
        The network.
    chosen : sequence of ChosenLayer
        The layers.
    extras : sequence of str
        Tensors to compute beside them.

    Attributes
    ----------
    plan : InferredSpec
        What goes in.
    chosen : dict of str to ChosenLayer
        The layers by their tensors, in the order of the network.
    """

    def __init__(
        self, model: Network, chosen: Sequence[ChosenLayer], extras: Sequence[str] = ()
    ) -> None:
        from cnntool.nets.inference.layer_outputs import Taps

        self.model = model
        self.plan: InferredSpec = model.plan()
        self.chosen = {one.tensor: one for one in chosen}
        self._extras = frozenset(extras)
        self._flow = model.read_layers().flow
        self._fields: dict[tuple[int, ...], dict[str, ReceptiveField]] = {}
        self._taps = Taps(
            model.graph,
            [*self.chosen, *extras],
            self.plan.input,
            model.settings,
            name=model.name,
        )

    def stream(
        self, pictures: Iterable[tuple[T, NDArray[Any]]], *, many: bool = False
    ) -> Iterator[tuple[T, Iterator[tuple[str, NDArray[Any]]]]]:
        """Compute the tensors of pictures: `cnntool.nets.inference.layer_outputs.Taps.stream`.

        Where there may be ``many``, each gets a core, see `cnntool.nets.network.Network.session`.
        """
        optimise = self._taps.settings.optimise
        session = self.model.session(self._taps.first, many=many, optimise=optimise)
        return self._taps.stream(session, pictures)

    def split(
        self, tensors: Iterable[tuple[str, NDArray[Any]]], extras: dict[str, NDArray[Any]]
    ) -> Iterator[tuple[ChosenLayer, NDArray[Any]]]:
        """Yield the layers among a picture's tensors; the others are kept, with their batch."""
        for tensor, values in tensors:
            if tensor in self._extras:
                extras[tensor] = values[None]
            if tensor in self.chosen:
                yield self.chosen[tensor], values

    def output(self, chosen: ChosenLayer, raw: NDArray[Any], shape: tuple[int, ...]) -> LayerOutput:
        """Arrange a tensor as maps or as a vector of real numbers, and describe it.

        Parameters
        ----------
        chosen : ChosenLayer
            The layer.
        raw : ndarray
            Its tensor, without the batch.
        shape : tuple of int
            Of what went in, without the batch.
        """
        from cnntool.nets.inference.layer_outputs import range_ends, shown, statistics

        graph = self.model.graph
        field = self.fields(shape).get(chosen.tensor)
        values, dequantised = shown(graph, chosen.tensor, raw, field)
        made_by = graph.producer_of.get(chosen.tensor)
        dequantised |= made_by is not None and made_by.op == "DequantizeLinear"
        ends = range_ends(graph, chosen.tensor, raw.dtype)
        figures = statistics(values, raw.dtype, ends)
        return LayerOutput(chosen, values, figures, dequantised, field)

    def find_fault(
        self, picture: NDArray[Any], found: Iterable[Statistics], name: str = ""
    ) -> Fault | None:
        """Find the operator from which NaN and infinity in layers come, and note it.

        Parameters
        ----------
        picture : ndarray
            What goes in.
        found : iterable of Statistics
            Those of the layers; where all values are finite, nothing is looked for.
        name : str
            What the note calls the picture.
        """
        if not any(one.nan or one.infinite for one in found):
            return None
        fault = self.model.find_fault(self.plan, picture)
        if fault is not None:
            words = fault.note(self.model.read_layers().rows)
            self.model.note(": ".join(filter(None, (name, self.model.name, words))))
        return fault

    def fields(self, shape: tuple[int, ...]) -> dict[str, ReceptiveField]:
        """Return the receptive fields for what goes in with this shape, without its batch."""
        from cnntool.nets.layers.receptive_field import fields_of

        if shape not in self._fields:
            entry = self.plan.input
            whole = (entry.batch or 1, *shape)
            self._fields[shape] = fields_of(self.model.graph, self._flow, entry.name, whole)
        return self._fields[shape]

    def sight(self, chosen: ChosenLayer, shape: tuple[int, ...]) -> Sight | None:
        """Return what the values of a layer see of the picture, each by its place."""
        from cnntool.nets.layers.receptive_field import sight

        return sight(self.fields(shape).get(chosen.tensor))

    def box(self, chosen: ChosenLayer, place: tuple[int, int], size: tuple[int, int]) -> Box:
        """Return what a value sees of a picture of a size; all of it where that is not known."""
        sees = self.sight(chosen, self.plan.input.shape(size))
        return sees.box(*place, size) if sees else (0, 0, *size)

    def labels(self, chosen: ChosenLayer, values: NDArray[Any]) -> list[str] | None:
        """Return the names of a vector's places where these are the classes."""
        if values.ndim != 1:
            return None
        return class_names(self.plan, chosen.tensor, chosen.title, len(values))

    def unit(self, chosen: ChosenLayer) -> str:
        """Say what a layer's values are: probabilities, where a softmax made them."""
        from cnntool.nets.layers.dataflow import ARRANGING

        producer_of = self.model.graph.producer_of
        made_by = producer_of.get(chosen.tensor)
        while made_by is not None and made_by.op in ARRANGING:
            made_by = producer_of.get(made_by.inputs[0])
        shares = made_by is not None and made_by.op in {"Softmax", "QLinearSoftmax"}
        return "probability" if shares else "activation"

    def named(
        self,
        tensors: Iterable[tuple[str, NDArray[Any]]],
        shape: tuple[int, ...],
        picture: NDArray[Any] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return the layers by their names, as `output` arranges them, in float32.

        Parameters
        ----------
        tensors : iterable of (str, ndarray)
            In the order of the network.
        shape : tuple of int
            Of what went in, without the batch.
        picture : ndarray, optional
            What went in: where NaN comes from is noted then.
        """
        import numpy as np

        chosen = list(self.chosen.values())
        found: dict[str, NDArray[Any]] = {}
        figures = []
        for tensor, raw in tensors:
            one = self.chosen[tensor]
            made = self.output(one, raw, shape)
            figures.append(made.statistics)
            values = made.values.astype(np.float32, copy=False)
            found |= dict.fromkeys(one.keys(chosen), values)
        if picture is not None:
            self.find_fault(picture, figures)
        return found

    def average(
        self, pictures: Iterable[tuple[str, NDArray[Any]]]
    ) -> tuple[int, tuple[int, ...], list[tuple[str, NDArray[Any]]]]:
        """Average the tensors over pictures.

        Parameters
        ----------
        pictures : iterable of (str, ndarray)
            What goes in, with what errors call it.

        Returns
        -------
        count : int
            How many pictures there were.
        shape : tuple of int
            Of what went in first.
        means : list of (str, ndarray of float32)
            The tensors, dequantised.

        Raises
        ------
        InputError
            There was no picture, or maps have different sizes.
        """
        import numpy as np

        from cnntool.nets.inference.layer_outputs import dequantised

        sums: dict[str, NDArray[Any]] = {}
        count, shape = 0, ()
        fed = (((name, tensor.shape), tensor) for name, tensor in pictures)
        for (name, fed_shape), tensors in self.stream(fed):
            shape = shape or fed_shape
            for tensor, raw in tensors:
                values = dequantised(self.model.graph, tensor, raw)[0]
                total = sums.setdefault(tensor, np.zeros(values.shape))
                if total.shape != values.shape:
                    raise InputError(
                        f"its maps are {shape_text(values.shape)}, those before are"
                        f" {shape_text(total.shape)}: there is no average",
                        source=name,
                        hint="`crop` cuts all pictures to one size",
                    )
                total += values
            count += 1
        if not count:
            raise InputError("no picture could be read")
        means = [(tensor, (sums.pop(tensor) / count).astype(np.float32)) for tensor in list(sums)]
        return count, shape, means


def save_array(stream: Any, values: NDArray[Any]) -> None:
    """Write numbers as ``.npy``, in float32."""
    import numpy as np

    values = np.ascontiguousarray(values, np.float32)
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)


class Archive:
    """An ``.npz`` file that arrays are added to one by one.

    Parameters
    ----------
    stream : context manager
        What to write to: something that writes and tells, and is complete when it is left.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        from zipfile import ZipFile

        self._zip = ZipFile(self._stream, "w")
        return self

    def add(self, names: Iterable[str], values: NDArray[Any]) -> None:
        """Add an array under its names."""
        for name in names:
            with self._zip.open(f"{name}.npy", "w", force_zip64=True) as entry:
                save_array(entry, values)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            with self._stream:
                self._zip.close()
        else:
            self._stream.__exit__(kind, *rest)
            self._zip.close()  # into nothing: else it would complain when it is collected
