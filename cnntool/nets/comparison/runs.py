"""Two networks on the same photos: each on its own, and b's layers on a's numbers.

They run one after the other. What the first one computes waits in a `Spill` for the second; a
session of the second's graph that is *given* these tensors, layer by layer, tells a layer's own
error from what the layers before it have added up.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.comparison.measures import Tally
from cnntool.nets.comparison.spill import Spill
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.models.manifest import InputSpec
    from cnntool.nets.runtime.providers import Placement, SessionSettings

    Arrays = Mapping[str, NDArray[Any]]
    Pictures = Sequence[tuple[NDArray[Any], NDArray[Any]]]

BUDGET = 48 << 20
"""Bytes of layers that are computed at once."""

KEPT = 48 << 20
"""Bytes of layers that wait in memory: more of them wait on the disk."""

ROUND = 1 << 30
"""Bytes of layers that wait at once: so many photos go through a before they go through b."""


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

    def first(self, array: NDArray[Any]) -> NDArray[Any]:
        """Leave of a batch the first picture, with an axis for the batch still."""
        return array[:1] if array.ndim and len(array) == self.batch else array

    def run(
        self,
        tensors: Sequence[str],
        photos: int,
        feed: Callable[[int, Sequence[TensorInfo]], Arrays],
        given: Iterable[TensorInfo] = (),
    ) -> Iterator[tuple[int, str, NDArray[Any]]]:
        """Compute tensors of photos, in chunks of bounded size, each in a session of its own.

        Parameters
        ----------
        tensors : sequence of str
            What to compute.
        photos : int
            How many there are.
        feed : callable
            Makes what a session is to be fed for a photo.
        given : iterable of TensorInfo
            See `cnntool.nets.file.subgraph.skeleton`.

        Yields
        ------
        (int, str, ndarray)
            The photo, the tensor, and its values for the first picture of the batch.
        """
        for chunk in self._chunks(tensors):
            part = skeleton(self.graph, chunk, given)
            with Session(part, self.settings, name=self.name) as session:
                self.placed(session.placement)
                for photo in range(photos):
                    arrays = session.run(feed(photo, session.inputs))
                    for place, tensor in enumerate(chunk):
                        array, arrays[place] = arrays[place], None  # type: ignore[call-overload]
                        yield photo, tensor, self.first(array)
                        del array

    def _chunks(self, tensors: Sequence[str]) -> list[tuple[str, ...]]:
        place = {tensor: node.index for tensor, node in self.graph.producer_of.items()}
        ordered = sorted(dict.fromkeys(tensors), key=lambda tensor: place.get(tensor, -1))
        return chunks(ordered, [self.size(tensor) for tensor in ordered], BUDGET)

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
                if tensor in self._b.shapes and tensor in graph.producer_of:
                    yield tensor, row

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
        with Spill(KEPT) as kept:
            for photo, picture in enumerate(pictures, first):
                kept.put((photo, self._rows[0].tensor_a), picture[0][None])
                self._compare(self.accumulated, kept, photo, self._rows[0], picture[1][None])
            self._run_first(kept, first, pictures)
            self._run_second(kept, first, pictures, answered)
            self._run_given(kept, first, pictures)

    def _run_first(self, kept: Spill, first: int, pictures: Pictures) -> None:
        """Run a, and keep what it computes."""
        a = self._a
        wanted = [*(row.tensor_a for row in self._rows[1:]), *a.outputs]

        def feed(photo: int, _: object) -> Arrays:
            return {a.entry.name: a.feed(pictures[photo][0])}

        for photo, tensor, array in a.run(wanted, len(pictures), feed):
            kept.put((first + photo, tensor), array)

    def _run_second(
        self,
        kept: Spill,
        first: int,
        pictures: Pictures,
        answered: Callable[[int, Arrays, Arrays], None],
    ) -> None:
        """Run b on its own, and compare."""
        b = self._b
        wanted = [*(row.tensor_b for row in self._rows[1:]), *b.outputs]
        answers: list[dict[str, NDArray[Any]]] = [{} for _ in pictures]

        def feed(photo: int, _: object) -> Arrays:
            return {b.entry.name: b.feed(pictures[photo][1])}

        for place, tensor, array in b.run(wanted, len(pictures), feed):
            photo, theirs = first + place, answers[place]
            if tensor in self._place:
                row = self._rows[self._place[tensor]]
                self._compare(self.accumulated, kept, photo, row, array)
            if tensor in b.outputs:
                theirs[tensor] = array
                if len(theirs) == len(b.outputs):
                    ours = {name: kept.get((photo, name)) for name in self._a.outputs}
                    answered(photo, ours, theirs)
                    answers[place] = {}

    def _run_given(self, kept: Spill, first: int, pictures: Pictures) -> None:
        """Run every layer of b on what a has computed, and compare."""
        b = self._b
        given = [b.shapes[tensor] for tensor in self._given]
        wanted = [row.tensor_b for row in self._rows if row.tensor_b in self._given]

        def feed(photo: int, inputs: Sequence[TensorInfo]) -> Arrays:
            found = {}
            for info in inputs:
                row = self._source.get(info.name)
                if row is None:
                    found[info.name] = b.feed(pictures[photo][1])
                else:
                    array = kept.get((first + photo, row.tensor_a))
                    found[info.name] = self._as_b(row, array, info)
            return found

        for photo, tensor, array in b.run(wanted, len(pictures), feed, given):
            row = self._rows[self._place[tensor]]
            self._compare(self.own, kept, first + photo, row, array)

    def _compare(
        self, tallies: list[Tally], kept: Spill, photo: int, row: Row, array: NDArray[Any]
    ) -> None:
        ours = kept.get((photo, row.tensor_a))
        tallies[self._place[row.tensor_b]].add(photo, *self._arranged(row, ours, array))

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
            shapes = " and ".join(" x ".join(map(str, one.shape)) for one in (ours, theirs))
            raise ModelError(
                f"{row.tensor_a!r} and {row.tensor_b!r} cannot be compared: they have {shapes}",
                source=self._a.name,
            )
        return ours, theirs

    def values(
        self, place: int, pictures: tuple[NDArray[Any], NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute both tensors of a row for one photo: a's, and b's in a's arrangement."""
        row = self._rows[place]
        tensors = row.tensor_a, row.tensor_b
        arrays = [picture[None] for picture in pictures]
        for side, subject in enumerate((self._a, self._b)) if place else ():
            feeds = {subject.entry.name: subject.feed(pictures[side])}
            ((_, _, arrays[side]),) = subject.run([tensors[side]], 1, lambda *_, f=feeds: f)
        return self._arranged(row, *arrays)

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
