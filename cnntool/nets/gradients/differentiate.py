"""Gradients of a network: forward, and back by a second graph, in one process.

What the forward run leaves for the way back stays in the process; only scores, and what is asked
for, come out of it.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.file.subgraph import Skeleton, read_shapes, shape_probe, skeleton
from cnntool.nets.gradients import rules  # noqa: F401 - registers them
from cnntool.nets.gradients.backward import SEED, Backward, BackwardGraph, UnknownValueError
from cnntool.nets.layers.shapes import lengths
from cnntool.nets.runtime.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.runtime.providers import Placement, SessionSettings
    from cnntool.nets.runtime.session import Child

_MOST = 2
"""Pairs of ways that stay open: of a method that looks at a layer, and of one at the input."""

_FOLDED = 4096
"""Constants of up to so many numbers are computed beforehand: axes, starts, sizes."""


class Pass(NamedTuple):
    """Both ways through a network, opened for one score and some tensors.

    Parameters
    ----------
    forward_session, backward_session : Session
        The part of the network, and its backward graph.
    entry : str
        The input for the picture.
    score : str
        The tensor that is explained.
    also : tuple of str
        What else the way forward can be asked for.
    graph : BackwardGraph
        What the way back needs of the way forward.
    """

    forward_session: Session
    backward_session: Session
    entry: str
    score: str
    also: tuple[str, ...]
    graph: BackwardGraph

    @property
    def placement(self) -> Placement:
        """Where the way forward runs; the note tells if the way back runs elsewhere."""
        there, back = self.forward_session.placement, self.backward_session.placement
        if back.granted == there.granted:
            return there
        notes = f"gradients run on {back.granted}, the network on {there.granted}", back.note
        return there._replace(note="; ".join(dict.fromkeys(filter(None, (there.note, *notes)))))

    def forward(self, feed: NDArray[Any], *also: str) -> dict[str, NDArray[Any]]:
        """Return the scores of a picture and what else is asked for; the rest is kept.

        Parameters
        ----------
        feed : ndarray
            What goes in, with its batch.
        *also : str
            Tensors that this way was opened for.
        """
        session = self.forward_session
        keep = list(dict.fromkeys(self.graph.taps.values()))
        outputs = list(dict.fromkeys((self.score, *also)))
        made = session.run(_taken(session, self.entry, feed), outputs, keep=keep)
        return dict(zip(outputs, made, strict=True))

    def backward(self, seed: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return gradients by all targets, for the picture that went forward last.

        Parameters
        ----------
        seed : ndarray
            How much each score counts, of their shape: 1 for the class that is explained.
        """
        outputs = list(self.graph.gradients)
        return self.backward_session.run({SEED: seed}, outputs, kept=self.graph.taps)


def _taken(session: Session, entry: str, feed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Leave out the picture where nothing depends on it."""
    return {entry: feed} if any(info.name == entry for info in session.inputs) else {}


class Differentiator:
    """A network whose gradients can be asked for, for one size of input.

    Its process ends by `close`.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    entry : str
        The input for the picture.
    shape : tuple of int
        Of what goes in, with its batch.
    settings : SessionSettings
        How to run it.
    name : str
        What errors call it.
    child : Child, optional
        A process that serves no session yet.

    Attributes
    ----------
    shapes : dict of str to TensorInfo
        What is known of its tensors.

    Raises
    ------
    ModelError
        The network cannot be given an input of this shape.
    """

    def __init__(
        self,
        graph: Graph,
        flow: Dataflow,
        entry: str,
        shape: tuple[int, ...],
        settings: SessionSettings,
        *,
        name: str,
        child: Child | None = None,
    ) -> None:
        self._graph, self._flow, self._name = graph, flow, name
        self._entry, self._shape, self._settings = entry, shape, settings
        self._opened: dict[tuple[object, ...], Pass] = {}
        probe = Skeleton(shape_probe(graph, {entry: shape}), Path())
        self._host = Session(probe, settings._replace(optimise="basic"), name=name, child=child)
        self.shapes = read_shapes(self._host.outputs)
        self.shapes |= {
            info.name: info._replace(shape=shape if info.name == entry else info.shape)
            for info in graph.inputs
        }

    @property
    def idle(self) -> bool:
        """Whether it can be used; else it broke."""
        sessions = [session for way in self._opened.values() for session in way[:2]]
        return all(session.idle for session in (self._host, *sessions))

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed."""
        return self._host.chatter

    @property
    def placement(self) -> Placement:
        """Where it runs: what was opened last, else what tells its shapes."""
        last = next(reversed(self._opened.values()), self._host)
        return last.placement

    def open(self, score: str, targets: Sequence[str], also: Sequence[str] = ()) -> Pass:
        """Open what computes the gradients of a score by some tensors, or find it open.

        Parameters
        ----------
        score : str
            The tensor that is explained.
        targets : sequence of str
            Those whose gradients are wanted.
        also : sequence of str
            What else the way forward is to be asked for.

        Raises
        ------
        ModelError
            An operator in between has no gradient, or the score does not depend on a target.
        """
        key = score, tuple(targets), tuple(also)
        way = self._opened.pop(key, None)
        if way is None:
            back = self._write(score, targets)
            while len(self._opened) >= _MOST:
                for session in self._opened.pop(next(iter(self._opened)))[:2]:
                    session.close()
            part = skeleton(self._graph, (score, *also, *back.taps.values()))
            way = Pass(
                self._session(part), self._session(back.part), self._entry, score, key[2], back
            )
        self._opened[key] = way
        return way

    def close(self, *, wait: bool = True) -> None:
        """End its process."""
        self._host.close(wait=wait)

    def _session(self, part: Skeleton) -> Session:
        return Session(part, self._settings, name=self._name, beside=self._host)

    def _write(self, score: str, targets: Sequence[str]) -> BackwardGraph:
        values: dict[str, NDArray[Any]] = {}
        while True:
            try:
                return Backward(self._graph, self._flow, self.shapes, values).write(score, targets)
            except UnknownValueError as error:
                values |= self._fold(error.tensor)

    def _fold(self, tensor: str) -> dict[str, NDArray[Any]]:
        """Compute a constant, and all others of few whole numbers that the network computes."""
        wanted = [tensor]
        for node in self._graph.nodes:
            for name in node.inputs:
                shape = lengths(self.shapes.get(name))
                if name in self._flow.data or name in self._graph.weights or shape is None:
                    continue
                if prod(shape) <= _FOLDED and "int" in self.shapes[name].dtype:
                    wanted.append(name)
        wanted = list(dict.fromkeys(wanted))
        session = self._session(skeleton(self._graph, wanted))
        # Shapes count, numbers do not: these tensors are no data.
        feed = np.zeros(self._shape, self.shapes[self._entry].dtype)
        found = dict(
            zip(wanted, session.run(_taken(session, self._entry, feed), wanted), strict=True)
        )
        session.close()
        return found
