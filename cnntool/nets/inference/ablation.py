"""Ablation: what a network answers when maps of its layers are silenced.

The network is cut at these layers. What lies before them runs once for each picture and leaves the
frontier: the layers' tensors, and all others that do not depend on them and are used behind them,
by a residual connection, say. What lies behind them runs on the frontier for each set of maps that
is silenced, several sets at once where the network takes batches of any size. A layer that depends
on another one that is silenced is computed anew, and so begins one more part.

Source of the idea: Morcos et al., "On the importance of single directions for generalization",
ICLR 2018, https://arxiv.org/abs/1803.06959
"""

from __future__ import annotations

from collections import deque
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.file.nodes import needs
from cnntool.nets.file.subgraph import is_stated, skeleton
from cnntool.nets.inference.classify import Scores, batches, pipelined, score
from cnntool.nets.inference.layer_outputs import dequantised, quantisation
from cnntool.nets.layers.dataflow import ELEMENTWISE, FACTORS, KIND_OF
from cnntool.nets.layers.receptive_field import fields_of
from cnntool.nets.runtime.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.receptive_field import ReceptiveField
    from cnntool.nets.runtime.providers import SessionSettings

    Arrays = dict[str, NDArray[Any]]

    Silenced = Mapping[str, NDArray[np.intp]]
    """Numbers of maps to silence, by cuts."""

T = TypeVar("T")

ROWS = 16
"""Sets of silenced maps that go through at once, where the network takes any number."""

BUDGET = 64 << 20
"""Bytes of a frontier that go through at once."""


_ALONG_LAST = frozenset({"LayerNormalization", "SkipLayerNormalization", "RMSNormalization"})
_VALUE_BY_VALUE = frozenset({"add", "multiply", "relu", "activation"})


def cut_at(graph: Graph, tensor: str) -> str:
    """Return the tensor whose numbers are replaced where a layer is silenced.

    That is the layer's own; of a dequantised one the 8-bit tensor that it is made of, so that
    whoever dequantises it once more gets the same, and what runs in 8 bits goes on doing so.
    """
    node = graph.producer_of.get(tensor)
    if node is not None and node.op == "DequantizeLinear" and quantisation(graph, node.inputs[0]):
        return node.inputs[0]
    return tensor


def dependants(graph: Graph, tensor: str) -> set[str]:
    """Return all tensors that depend on one, without it."""
    found: set[str] = set()
    asked = [tensor]
    while asked:
        for node in graph.consumers.get(asked.pop(), ()):
            made = set(node.outputs) - found - {""}
            found |= made
            asked += made
    return found


def frontiers(flow: Dataflow, cuts: Sequence[str], scores: str) -> list[tuple[str, ...]]:
    """Find what each part of a network hands on to the next one.

    Parameters
    ----------
    flow : Dataflow
        The network.
    cuts : sequence of str
        Tensors at which it is cut.
    scores : str
        What the last part makes; it depends on all of them.

    Returns
    -------
    list of tuple of str
        First what the way up to the cuts leaves, last the scores. There is one more in between for
        every cut behind a cut.
    """
    below = {cut: dependants(flow.graph, cut) for cut in cuts}
    found: list[tuple[str, ...]] = []
    left = list(cuts)
    while left:
        after = set[str]().union(*(below[cut] for cut in left))
        found.append(_frontier(flow, after, scores))
        left = [cut for cut in left if cut in after]
    return [*found, (scores,)]


def _frontier(flow: Dataflow, after: set[str], scores: str) -> tuple[str, ...]:
    """List what has to be known to compute the tensors after a cut.

    Constants and measured shapes are computed once more, so that they suit any batch, and what is
    dequantised is handed on in 8 bits.
    """
    graph, data = flow.graph, flow.data
    found: list[str] = []
    seen: set[str] = set()
    asked = [scores]
    while asked:
        tensor = asked.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        node = graph.producer_of.get(tensor)
        inner = tensor in after or tensor not in data or cut_at(graph, tensor) != tensor
        if inner and node is not None and not is_stated(graph, node):
            asked += needs(node)
        elif tensor in data:
            found.append(tensor)
    place = {tensor: node.index for tensor, node in graph.producer_of.items()}
    return tuple(sorted(found, key=lambda tensor: place.get(tensor, -1)))


def maps_axis(rank: int, field: ReceptiveField | None, *, last: bool) -> int:
    """Return the axis of a tensor that counts its maps, or the values of a vector.

    Parameters
    ----------
    rank : int
        How many axes it has, the batch included.
    field : ReceptiveField or None
        What is known of its axes. Where nothing is, three axes are those of a transformer: batch,
        tokens, channels.
    last : bool
        Whether, of others, the last one counts, see `is_along_last`, instead of the second one.
    """
    if field is not None and field.rank == rank and field.axes:
        others = [axis for axis in range(1, rank) if axis not in field.axes]
        if len(others) == 1:
            return others[0]
    return rank - 1 if rank == 3 or (last and rank > 1) else 1


def is_along_last(flow: Dataflow, tensor: str) -> bool:
    """Tell whether a tensor's last axis counts channels: products and layer norms work along it.

    They are looked for behind sums and activations, such as those of a transformer's blocks.
    """
    asked, seen = [tensor], set[int]()
    while asked:
        node = flow.graph.producer_of.get(asked.pop())
        if node is None or node.index in seen:
            continue
        seen.add(node.index)
        dense = node.op in FACTORS and len(flow.data_inputs(node)) == 1
        if dense or node.op in _ALONG_LAST:
            return True
        if node.op in ELEMENTWISE or KIND_OF.get(node.op) in _VALUE_BY_VALUE:
            asked += flow.data_inputs(node)
    return False


class _Picture:
    """A picture on its way: its answers so far, and how many are still to come."""

    def __init__(self, key: Any, answers: int) -> None:
        self.key = key
        self.answers: list[Scores | None] = [None] * answers
        self.missing = 0


class _Row(NamedTuple):
    """A picture's frontier with the maps that are to be silenced in it, for one of its answers."""

    arrays: Arrays
    silenced: Silenced
    picture: _Picture
    place: int


class _Pack(NamedTuple):
    """Rows that go through together, and room for some more."""

    rows: list[_Row]
    arrays: Arrays
    size: int


class AblatedNetwork:
    """A network whose maps can be silenced, for one picture after another.

    Leave it as a context manager: parts of the network run in processes of their own.

    Parameters
    ----------
    flow : Dataflow
        A classifier.
    plan : InferredSpec
        What goes in and comes out.
    cuts : sequence of str
        Tensors whose maps may be silenced, see `cut_at`.
    begin : callable
        Opens the part of the network that makes some tensors, for many pictures.
    settings : SessionSettings
        How to run the other parts.

    Attributes
    ----------
    fill : dict of str to ndarray
        What silenced maps hold, by cuts: a real number for each map. It is zero where none is said.

    Raises
    ------
    ModelError
        The scores do not depend on one of them.
    """

    def __init__(
        self,
        flow: Dataflow,
        plan: InferredSpec,
        cuts: Sequence[str],
        begin: Callable[[Sequence[str]], Session],
        settings: SessionSettings,
    ) -> None:
        self._flow, self._begin, self._settings = flow, begin, settings
        # Probabilities are all that counts, wherever the logits are.
        self._plan = plan._replace(output=plan.output._replace(logits=None))
        self._cuts = tuple(dict.fromkeys(cuts))
        scores = plan.output.name or ""
        for cut in self._cuts:
            known = cut in flow.data
            if not known or scores not in {cut, *dependants(flow.graph, cut)}:
                raise ModelError(
                    f"its scores do not depend on {cut!r}: there is nothing to silence",
                    source=plan.name,
                )
        self._frontiers = frontiers(flow, self._cuts, scores)
        self._last = {cut: is_along_last(flow, cut) for cut in self._cuts}
        self._parts: dict[int, Session] = {}
        self._fields: dict[str, ReceptiveField] = {}
        self.fill: dict[str, NDArray[np.float64]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        while self._parts:
            self._parts.popitem()[1].close()

    def layers(
        self, pictures: Iterable[tuple[T, NDArray[Any]]]
    ) -> Iterator[tuple[T, dict[str, NDArray[Any]]]]:
        """Compute what may be silenced, as it is: of each picture real numbers, maps first."""
        first = self._frontiers[0]
        outputs = first if {*self._cuts} <= {*first} else self._cuts
        for key, arrays in self._before(outputs, pictures):
            maps = {cut: self._maps(cut, arrays[cut]) for cut in self._cuts}
            yield (
                key,
                {cut: dequantised(self._flow.graph, cut, maps[cut])[0] for cut in maps},
            )

    def means(self, pictures: Iterable[NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
        """Average each map over all its places and over pictures, each of which counts the same."""
        totals: dict[str, Any] = dict.fromkeys(self._cuts, 0.0)
        count = 0
        for _, layers in self.layers((None, picture) for picture in pictures):
            count += 1
            for cut, maps in layers.items():
                totals[cut] += maps.reshape(len(maps), -1).mean(axis=1, dtype=np.float64)
        return {cut: total / count for cut, total in totals.items() if count}

    def answers(
        self,
        pictures: Iterable[tuple[T, NDArray[Any]]],
        silenced: Sequence[Silenced],
        *,
        batch: int = 1,
    ) -> Iterator[tuple[T, list[Scores]]]:
        """Ask for the class scores of pictures, in order and in bounded memory.

        Parameters
        ----------
        pictures : iterable of (anything, ndarray)
            What goes in, with what it is to be known by.
        silenced : sequence of mappings
            Sets of maps to silence: their numbers, by cuts.
        batch : int
            Pictures that go through the network up to the first cut at once.

        Yields
        ------
        (anything, list of Scores)
            First those of the network as it is, then those for each set. A set whose maps hold
            what they are filled with anyway is not asked for: its answer is the first one.

        Raises
        ------
        ModelError
            The network fails, or its answer is not a score for each class.
        """
        under_way: deque[_Picture] = deque()
        rows = self._rows(pictures, [{}, *silenced], batch, under_way)
        first = next(rows, None)
        if first is None:
            return
        for pack, scores in self._scores(_packed(chain([first], rows), self._size(first))):
            for row, one in zip(pack.rows, scores, strict=False):
                row.picture.answers[row.place] = one
                row.picture.missing -= 1
            while under_way and not under_way[0].missing:
                picture = under_way.popleft()
                plain = picture.answers[0]
                yield picture.key, [one or plain for one in picture.answers]  # type: ignore[misc]

    def _before(
        self, outputs: Sequence[str], pictures: Iterable[tuple[T, NDArray[Any]]], batch: int = 1
    ) -> Iterator[tuple[T, Arrays]]:
        """Run the network up to some tensors: yield those of each picture, with their batch."""
        entry = self._plan.input

        def runs() -> Iterator[tuple[tuple[list[T], int], Arrays]]:
            for keys, feed in batches(pictures, entry.batch or batch, padded=bool(entry.batch)):
                if not self._fields:
                    graph = self._flow.graph
                    self._fields = fields_of(graph, self._flow, entry.name, feed.shape)
                yield (keys, len(feed)), {entry.name: feed}

        session = self._begin(outputs)
        self._settings = self._settings._replace(lanes=session.lanes)
        for (keys, count), made in pipelined(session, runs(), outputs):
            for place, key in enumerate(keys):
                yield key, {name: _block(array, place, count) for name, array in made.items()}

    def _rows(
        self,
        pictures: Iterable[tuple[T, NDArray[Any]]],
        silenced: Sequence[Silenced],
        batch: int,
        under_way: deque[_Picture],
    ) -> Iterator[_Row]:
        """Yield what has to be asked of each picture."""
        for key, arrays in self._before(self._frontiers[0], pictures, batch):
            picture = _Picture(key, len(silenced))
            under_way.append(picture)
            live = {}
            if len(self._frontiers) == 2:  # else a map may come to life behind another cut
                for cut in self._cuts:
                    maps = self._maps(cut, arrays[cut])
                    differs = maps != self._filler(cut, maps)
                    live[cut] = differs.reshape(len(maps), -1).any(axis=1)
            rows = [
                _Row(arrays, maps, picture, place)
                for place, maps in enumerate(silenced)
                if not (place and live) or any(live[cut][maps[cut]].any() for cut in maps)
            ]
            picture.missing = len(rows)
            yield from rows

    def _size(self, row: _Row) -> int:
        """Find out how many rows can go through at once: by trying one, then two."""

        def tried(rows: list[_Row], size: int) -> NDArray[np.float64]:
            ((_, scores),) = self._scores(_packed(rows, size))
            return np.stack([one.probabilities for one in scores])

        # Whatever comes of it, all parts are open then: see `_session`.
        fixed = self._plan.input.batch
        alone = tried([row], fixed or 1)
        nodes = self._flow.graph.nodes
        size = min(ROWS, BUDGET // max(1, sum(array.nbytes for array in row.arrays.values())))
        if fixed or size < 2 or any(node.op == "DynamicQuantizeLinear" for node in nodes):
            return fixed or 1  # the scale of such a node depends on all that is in a batch
        try:
            suits = np.allclose(tried([row, row], 2), alone, atol=1e-3, equal_nan=True)
        except ModelError:  # a shape inside is fixed
            self._close()
            tried([row], 1)
            return 1
        return size if suits else 1

    def _scores(self, packs: Iterable[_Pack]) -> Iterator[tuple[_Pack, list[Scores]]]:
        """Run all that lies behind the first cuts."""
        for number in range(1, len(self._frontiers)):
            packs = self._part(number, packs)
        for pack in packs:
            yield pack, score(pack.arrays, self._plan, pack.size, 0.0)

    def _part(self, number: int, packs: Iterable[_Pack]) -> Iterator[_Pack]:
        """Silence what is silenced in a frontier, and compute the next one."""
        before, after = self._frontiers[number - 1 : number + 1]
        outputs = [tensor for tensor in after if tensor not in before]
        packs = iter(packs)
        first = next(packs, None)
        if first is None:
            return
        packs = (self._silence(pack, before) for pack in chain([first], packs))
        if not outputs:
            yield from packs
            return
        session = self._session(number, outputs, first.arrays)
        names = [info.name for info in session.inputs]
        runs = ((pack, {name: pack.arrays[name] for name in names}) for pack in packs)
        for pack, made in pipelined(session, runs, outputs):
            arrays = {name: made[name] if name in made else pack.arrays[name] for name in after}
            yield pack._replace(arrays=arrays)

    def _session(self, number: int, outputs: Sequence[str], arrays: Arrays) -> Session:
        """Open a part, or find it open.

        All share a process. It answers in the order of requests, which is that in which the parts
        wait for answers as long as none is opened while another one is busy; a process with several
        lanes opens no second network.
        """
        if number not in self._parts:
            graph = self._flow.graph
            given = [
                TensorInfo(name, array.dtype.name, (None,) * array.ndim)
                for name, array in arrays.items()
                if name in graph.producer_of
            ]
            part = skeleton(graph, outputs, given)
            settings = self._settings
            if len(self._frontiers) > 2:
                settings = settings._replace(lanes=1)
            host = next(iter(self._parts.values()), None)
            self._parts[number] = Session(part, settings, name=self._plan.name, beside=host)
        return self._parts[number]

    def _silence(self, pack: _Pack, frontier: Sequence[str]) -> _Pack:
        for cut in self._cuts:
            if cut not in frontier:
                continue
            for place, row in enumerate(pack.rows):
                if cut in row.silenced:
                    maps = self._maps(cut, _block(pack.arrays[cut], place, pack.size))
                    units = row.silenced[cut]
                    maps[units] = self._filler(cut, maps)[units]
        return pack

    def _maps(self, cut: str, array: NDArray[Any]) -> NDArray[Any]:
        """View a tensor with its maps first."""
        last = self._last[cut]
        return np.moveaxis(array, maps_axis(array.ndim, self._fields.get(cut), last=last), 0)

    def _filler(self, cut: str, maps: NDArray[Any]) -> NDArray[Any]:
        """Return what each map is filled with, as the tensor holds it."""
        values = self.fill.get(cut, np.zeros(len(maps)))
        if maps.dtype.kind in "iu":
            scale, zero = quantisation(self._flow.graph, cut) or (1.0, 0.0)
            ends = np.iinfo(maps.dtype)
            values = np.rint(values / scale + zero).clip(ends.min, ends.max)
        return values.astype(maps.dtype).reshape(-1, *(1,) * (maps.ndim - 1))


def _block(array: NDArray[Any], place: int, count: int) -> NDArray[Any]:
    """Take what belongs to one picture out of a batch."""
    each = len(array) // count
    return array[place * each : (place + 1) * each]


def _packed(rows: Iterable[_Row], size: int) -> Iterator[_Pack]:
    """Put rows of one shape together; every batch is filled up to one size."""
    for _, alike in groupby(rows, lambda row: [array.shape for array in row.arrays.values()]):
        while some := list(islice(alike, size)):
            filled = some + [some[-1]] * (size - len(some))
            arrays = {
                name: np.concatenate([row.arrays[name] for row in filled])
                for name in some[0].arrays
            }
            yield _Pack(some, arrays, size)
