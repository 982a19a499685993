"""Two networks on the same photos: each on its own, and b's layers on a's numbers.

They run one after the other. What the first one computes waits in a file for the second; a
session of the second's graph that is *given* these tensors, layer by layer, tells a layer's own
error from what the layers before it have added up.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.comparison.measures import Tally
from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.file.subgraph import skeleton
from cnntool.nets.inference.layer_outputs import (
    byte_size,
    chunks,
    dequantised,
    exactly,
    largest,
    quantisation,
    shown,
)
from cnntool.nets.layers.receptive_field import fields_of
from cnntool.nets.runtime.session import Session
from cnntool.nets.runtime.shared_file import SharedFile, Stored
from cnntool.shapes.text import shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph
    from cnntool.nets.file.subgraph import Skeleton
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.models.manifest import InputSpec
    from cnntool.nets.runtime.providers import Placement, SessionSettings

    Arrays = Mapping[str, NDArray[Any]]
    Feed = tuple[Arrays, Mapping[str, Stored]]
    Pictures = Sequence[tuple[NDArray[Any], NDArray[Any]]]

BUDGET, GIVEN_BUDGET = 48 << 20, 12 << 20
"""Bytes of layers that are computed at once; fewer where what goes into each is there, too."""

ROUND = 1 << 30
"""Bytes of layers that wait at once: so many photos go through a before they go through b."""


class Processes:
    """Processes in which networks are open one after the other: to start one takes time."""

    def __init__(self) -> None:
        self._first: dict[int | None, Session] = {}

    @contextmanager
    def opened(self, part: Skeleton, settings: SessionSettings, name: str) -> Iterator[Session]:
        """Open a part of a network, in a process that has as much memory as it may have."""
        first = self._first.get(settings.max_memory)
        session = Session(part, settings, name=name, beside=first)
        self._first.setdefault(settings.max_memory, session)
        try:
            yield session
        finally:
            session.free()

    def close(self) -> None:
        """End them."""
        while self._first:
            self._first.popitem()[1].close()


class Subject(NamedTuple):
    """A network that is compared, ready to run.

    Parameters
    ----------
    name : str
        What errors call it.
    graph, flow : Graph, Dataflow
        The network.
    entry : InputSpec
        Its input.
    shapes : mapping of str to TensorInfo
        Of its tensors, for the pictures that are run.
    settings : SessionSettings
        Where and how it runs.
    outputs : tuple of str
        The tensors of its answer.
    placed : callable
        Is told where it runs, each time that it is opened.
    """

    name: str
    graph: Graph
    flow: Dataflow
    entry: InputSpec
    shapes: Mapping[str, TensorInfo]
    settings: SessionSettings
    outputs: tuple[str, ...]
    placed: Callable[[Placement], None]

    @property
    def batch(self) -> int:
        """How many pictures go in at once."""
        return self.entry.batch or 1

    def feed(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Add the batch to a picture."""
        return np.stack([tensor] * self.batch)

    def run(
        self,
        now: _Round,
        tensors: Sequence[str],
        feed: Callable[[int, Sequence[TensorInfo]], Feed],
        files: Sequence[SharedFile],
        given: Iterable[TensorInfo] = (),
    ) -> Iterator[tuple[int, SharedFile, dict[str, Stored]]]:
        """Compute tensors of photos, in chunks of bounded size, each in a session of its own.

        Parameters
        ----------
        now : _Round
            The photos, and the processes.
        tensors : sequence of str
            What to compute.
        feed : callable
            Makes what a session is to be fed for a photo: arrays, and what a has made.
        files : sequence of SharedFile
            Where the results go: one file keeps all of them. Of several, each is begun anew when
            its turn comes, and while a photo is looked at, the next ones are computed.
        given : iterable of TensorInfo
            See `cnntool.nets.file.subgraph.skeleton`.

        Yields
        ------
        (int, SharedFile, dict of str to Stored)
            The photo, and where its tensors lie, those of the first picture of the batch.
        """
        ahead, photos = len(files) - 1, len(now.pictures)
        for chunk in self._chunks(tensors, GIVEN_BUDGET if given else BUDGET):
            part = skeleton(self.graph, chunk, given)
            with now.processes.opened(part, self.settings, self.name) as session:
                self.placed(session.placement)
                wanted = {info.name for info in session.inputs}  # constants need no picture
                for turn in range(photos + ahead):
                    if turn < photos:
                        target = files[turn % len(files)]
                        if ahead:
                            target.clear()
                        feeds, stored = feed(turn, session.inputs)
                        feeds = {name: feeds[name] for name in feeds if name in wanted}
                        session.submit(feeds, stored=stored, source=now.kept, target=target)
                    if turn >= ahead:
                        target = files[(turn - ahead) % len(files)]
                        places = map(self._first, session.collect_into(target))
                        yield turn - ahead, target, dict(zip(chunk, places, strict=True))

    def _first(self, place: Stored) -> Stored:
        """Leave of a batch the first picture, with an axis for the batch still."""
        batched = place.shape[:1] == (self.batch,)
        return place._replace(shape=(1, *place.shape[1:])) if batched else place

    def _chunks(self, tensors: Sequence[str], budget: int) -> list[tuple[str, ...]]:
        place = {tensor: node.index for tensor, node in self.graph.producer_of.items()}
        ordered = sorted(dict.fromkeys(tensors), key=lambda tensor: place.get(tensor, -1))
        return chunks(ordered, [self.size(tensor) for tensor in ordered], budget)

    def size(self, tensor: str) -> int:
        """Return how many bytes a tensor has."""
        info = self.shapes.get(tensor)
        known = byte_size(info) if info else None
        return self._most if known is None else known

    @property
    def _most(self) -> int:
        shape = self.shapes[self.entry.name].shape or ()
        return largest(self.graph, self.entry, [n if isinstance(n, int) else 1 for n in shape])


def precise(graph: Graph) -> str:
    """Say how precise a network's numbers are: ``"8 bits"``, ``"float16"`` or ``"float32"``."""
    if exactly(graph):
        return "float32"
    quantised = any("uantize" in node.op or node.op.startswith("QLinear") for node in graph.nodes)
    return "8 bits" if quantised else "float16"


class Row(NamedTuple):
    """Two tensors that mean the same values.

    Parameters
    ----------
    tensor_a, tensor_b : str
        The tensors.
    order : tuple of int or None
        The axes of b's tensor that bring it into a's arrangement; None where it has that.
    """

    tensor_a: str
    tensor_b: str
    order: tuple[int, ...] | None = None


class _Round:
    """Photos that go through both networks, and what the first one has made of them.

    Parameters
    ----------
    first : int
        The number of the first photo.
    pictures : sequence of (ndarray, ndarray)
        What goes into either network.

    Attributes
    ----------
    processes : Processes
        Where the networks run.
    kept : SharedFile
        What a has made.
    turns : list of SharedFile
        What b makes of a photo, and of the next one.
    places : list of dict of str to Stored
        Where a's tensors lie, photo by photo.
    """

    def __init__(self, first: int, pictures: Pictures) -> None:
        self.first = first
        self.pictures = pictures
        self.processes = Processes()
        self.kept, *self.turns = SharedFile(), SharedFile(), SharedFile()
        self.places: list[dict[str, Stored]] = [{} for _ in pictures]

    def close(self) -> None:
        """End the processes, and let go of the files."""
        self.processes.close()
        for file in (self.kept, *self.turns):
            file.close()

    def get(self, photo: int, tensors: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return what a has made of a photo."""
        return _read(self.kept, {tensor: self.places[photo][tensor] for tensor in tensors})


def _read(file: SharedFile, places: Mapping[str, Stored]) -> dict[str, NDArray[Any]]:
    return dict(zip(places, file.get([*places.values()]), strict=True))


class Comparing:
    """Compares rows of tensors of two networks over photos.

    Parameters
    ----------
    a, b : Subject
        The networks.
    rows : sequence of Row
        The first one is what goes in.
    alike : bool
        Whether both networks want a picture prepared in one way: then b's layers that read the
        picture read a's, too.

    Attributes
    ----------
    accumulated, own : list of Tally
        Of the rows: each network on its own, and b's layer on a's numbers.
    """

    def __init__(self, a: Subject, b: Subject, rows: Sequence[Row], *, alike: bool) -> None:
        self._a, self._b = a, b
        self._rows = rows
        self.accumulated = [Tally() for _ in rows]
        self.own = [Tally() for _ in rows]
        self._place = {row.tensor_b: place for place, row in enumerate(rows)}
        self._given = dict(self._givable())
        self._dtypes: dict[str, str] = {}
        self._source = {rows[0].tensor_b: rows[0]} | self._given if alike else self._given

    def _givable(self) -> Iterator[tuple[str, Row]]:
        """Yield the tensors of b that can be given, each with the row that it is given from.

        A quantised tensor may be dequantised by several nodes: all of them are given.
        """
        graph = self._b.graph
        for row in self._rows[1:]:
            tensors = [row.tensor_b]
            node = graph.producer_of.get(row.tensor_b)
            if node is not None and node.op == "DequantizeLinear":
                users = graph.consumers[node.inputs[0]]
                tensors += [user.outputs[0] for user in users if user.op == node.op]
            for tensor in tensors:
                if tensor in graph.producer_of:
                    yield tensor, row

    def _info(self, tensor: str) -> TensorInfo:
        """Say what b's layers read in the place of a tensor; its shape may be open."""
        made = self._dtypes[self._given[tensor].tensor_b]
        return self._b.shapes.get(tensor) or TensorInfo(tensor, made, None)

    @property
    def photos_at_once(self) -> int:
        """How many photos `add` should get."""
        waiting = sum(self._a.size(row.tensor_a) for row in self._rows)
        return max(1, ROUND // max(waiting, 1))

    def add(
        self, first: int, pictures: Pictures, answered: Callable[[int, Arrays, Arrays], None]
    ) -> None:
        """Add photos.

        Parameters
        ----------
        first : int
            The number of the first one.
        pictures : sequence of (ndarray, ndarray)
            What goes into either network, without the batch.
        answered : callable
            Is given the answers of both networks, photo by photo.
        """
        with closing(_Round(first, pictures)) as now:
            for places, (a, b) in zip(now.places, pictures, strict=True):
                row = self._rows[0]
                (places[row.tensor_a],) = now.kept.put(a[None])
                self._compare(self.accumulated, first, row, a[None], b[None])
                first += 1
            self._run_first(now)
            self._run_second(now, answered)
            self._run_given(now)

    def _run_first(self, now: _Round) -> None:
        """Run a, and keep what it computes."""
        a = self._a
        wanted = [*(row.tensor_a for row in self._rows[1:]), *a.outputs]

        def feed(photo: int, _: object) -> Feed:
            return {a.entry.name: a.feed(now.pictures[photo][0])}, {}

        for photo, _, places in a.run(now, wanted, feed, [now.kept]):
            now.places[photo].update(places)

    def _run_second(self, now: _Round, answered: Callable[[int, Arrays, Arrays], None]) -> None:
        """Run b on its own, and compare."""
        b = self._b
        wanted = [*(row.tensor_b for row in self._rows[1:]), *b.outputs]
        answers: list[dict[str, NDArray[Any]]] = [{} for _ in now.pictures]

        def feed(photo: int, _: object) -> Feed:
            return {b.entry.name: b.feed(now.pictures[photo][1])}, {}

        for photo, file, places in b.run(now, wanted, feed, now.turns):
            theirs = answers[photo]
            self._dtypes |= {name: np.dtype(one.dtype).name for name, one in places.items()}
            self._compare_all(self.accumulated, now, photo, file, places)
            told = {name: places[name] for name in b.outputs if name in places}
            theirs |= {name: array.copy() for name, array in _read(file, told).items()}
            if len(theirs) == len(b.outputs):
                answered(now.first + photo, now.get(photo, self._a.outputs), theirs)
                answers[photo] = {}

    def _run_given(self, now: _Round) -> None:
        """Run every layer of b on what a has computed, and compare."""
        b = self._b
        given = [self._info(tensor) for tensor in self._given]
        wanted = [row.tensor_b for row in self._rows if row.tensor_b in self._given]

        def feed(photo: int, inputs: Sequence[TensorInfo]) -> Feed:
            rows = {i.name: self._source[i.name] for i in inputs if i.name in self._source}
            ours = now.get(photo, {row.tensor_a for row in rows.values()})
            fed: dict[str, NDArray[Any]] = {}
            stored = {}
            for info in inputs:
                if info.name not in rows:
                    fed[info.name] = b.feed(now.pictures[photo][1])
                    continue
                row = rows[info.name]
                fitting = self._as_b(row, ours[row.tensor_a], info)
                if fitting is ours[row.tensor_a]:
                    stored[info.name] = now.places[photo][row.tensor_a]
                else:
                    fed[info.name] = fitting
            return fed, stored

        for photo, file, places in b.run(now, wanted, feed, now.turns, given):
            self._compare_all(self.own, now, photo, file, places)

    def _compare_all(
        self,
        tallies: list[Tally],
        now: _Round,
        photo: int,
        file: SharedFile,
        places: Mapping[str, Stored],
    ) -> None:
        """Compare what b has made of a photo with what a has made of it, one row in memory."""
        for row in (self._rows[self._place[name]] for name in places if name in self._place):
            (a,) = now.get(photo, [row.tensor_a]).values()
            (b,) = file.get([places[row.tensor_b]])
            self._compare(tallies, now.first + photo, row, a, b)

    def _compare(
        self, tallies: list[Tally], photo: int, row: Row, a: NDArray[Any], b: NDArray[Any]
    ) -> None:
        tallies[self._place[row.tensor_b]].add(photo, *self._arranged(row, a, b))

    def _arranged(
        self, row: Row, a: NDArray[Any], b: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Arrange both tensors of a row as a's maps."""
        graph, field = self._a.graph, self._fields.get(row.tensor_a)
        values, _ = dequantised(self._b.graph, row.tensor_b, b)
        if row.order is not None:
            values = values.transpose(row.order)
        ours, theirs = (
            shown(graph, row.tensor_a, _single(array), field).values for array in (a, values)
        )
        if ours.size == theirs.size:  # axes of length 1 may stand elsewhere
            theirs = theirs.reshape(ours.shape)
        if ours.shape != theirs.shape:
            shapes = " and ".join(shape_text(one.shape) for one in (ours, theirs))
            raise ModelError(
                f"{row.tensor_a!r} and {row.tensor_b!r} cannot be compared: they have {shapes}",
                source=self._a.name,
            )
        return ours, theirs

    def values(
        self, places: Sequence[int], pictures: tuple[NDArray[Any], NDArray[Any]]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Compute both tensors of rows for one photo: a's, and b's in a's arrangement."""
        rows = [self._rows[place] for place in places]
        entry = self._rows[0]
        with closing(_Round(0, [pictures])) as now:

            def made(side: int, subject: Subject) -> Callable[[str], NDArray[Any]]:
                given = (entry.tensor_a, entry.tensor_b)[side]
                wanted = [(row.tensor_a, row.tensor_b)[side] for row in rows]
                feeds = {subject.entry.name: subject.feed(pictures[side])}
                tensors = [tensor for tensor in wanted if tensor != given]
                found: dict[str, Stored] = {}
                for _, _, stored in subject.run(now, tensors, lambda *_: (feeds, {}), [now.kept]):
                    found.update(stored)

                def read(tensor: str) -> NDArray[Any]:
                    if tensor == given:
                        return pictures[side][None]
                    return _read(now.kept, {tensor: found[tensor]})[tensor]

                return read

            a, b = made(0, self._a), made(1, self._b)
            for row in rows:
                yield self._arranged(row, a(row.tensor_a), b(row.tensor_b))

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        """What is known of the axes of a's tensors."""
        a = self._a
        shape = tuple(n if isinstance(n, int) else 1 for n in a.shapes[a.entry.name].shape or ())
        return fields_of(a.graph, a.flow, a.entry.name, shape)

    def _as_b(self, row: Row, array: NDArray[Any], info: TensorInfo) -> NDArray[Any]:
        """Turn a's tensor into what b's layers read: its arrangement, its type, its batch."""
        values, _ = dequantised(self._a.graph, row.tensor_a, array)
        if row.order is not None:
            values = values.transpose(np.argsort(row.order))
        dtype = np.dtype(info.dtype)
        if dtype.kind in "iu" and values.dtype.kind == "f":
            scale, zero = quantisation(self._b.graph, row.tensor_b) or (1.0, 0.0)
            limits = np.iinfo(dtype)
            values = np.rint(values / np.float32(scale) + np.float32(zero))
            values = values.clip(limits.min, limits.max)
        if values.ndim and len(values) != self._b.batch:
            values = np.repeat(values, self._b.batch, axis=0)
        return values.astype(dtype, copy=False)


def _single(array: NDArray[Any]) -> NDArray[Any]:
    """Take the batch of one off."""
    return array[0] if array.ndim and len(array) == 1 else array
