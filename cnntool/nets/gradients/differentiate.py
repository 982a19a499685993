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
    from cnntool.nets.runtime.session import Child
    from cnntool.nets.runtime.providers import Placement, SessionSettings

_FOLDED = 4096
"""Constants of up to so many numbers are computed beforehand: axes, starts, sizes."""


class Pass(NamedTuple):
    """Both ways through a network, opened for one score and some tensors.

    Parameters
    ----------
    score : str
        The tensor that is explained.
    targets : tuple of str
        Those whose gradients are computed.
    forward, backward : Session
        The part of the network, and its backward graph.
    graph : BackwardGraph
        What the latter needs of the former.
    """

    score: str
    targets: tuple[str, ...]
    forward: Session
    backward: Session
    graph: BackwardGraph


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
        self._opened: Pass | None = None
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
        opened = self._opened
        both = (opened.forward, opened.backward) if opened else ()
        return all(session.idle for session in (self._host, *both))

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed."""
        return self._host.chatter

    @property
    def placement(self) -> Placement:
        """Where it runs."""
        return (self._opened.forward if self._opened else self._host).placement

    @property
    def seconds(self) -> tuple[float, float]:
        """How long onnxruntime took for the last way forward, and for the last one back."""
        if self._opened is None:
            return 0.0, 0.0
        return self._opened.forward.seconds, self._opened.backward.seconds

    def open(self, score: str, targets: Sequence[str]) -> None:
        """Open what computes the gradients of a score by some tensors, unless it is open.

        Raises
        ------
        ModelError
            An operator in between has no gradient, or the score does not depend on a target.
        """
        wanted = tuple(targets)
        if self._opened and (self._opened.score, self._opened.targets) == (score, wanted):
            return
        back = self._write(score, wanted)
        if self._opened:
            self._opened.forward.close()
            self._opened.backward.close()
        forward = self._session(skeleton(self._graph, (score, *wanted, *back.taps.values())))
        self._opened = Pass(score, wanted, forward, self._session(back.part), back)

    def forward(self, feed: NDArray[Any], *also: str) -> list[NDArray[Any]]:
        """Return the scores of a picture, and targets that are asked for; the rest is kept.

        Parameters
        ----------
        feed : ndarray
            What goes in, with its batch.
        *also : str
            Targets.
        """
        opened = self._ready()
        keep = list(dict.fromkeys(opened.graph.taps.values()))
        outputs = list(dict.fromkeys((opened.score, *also)))
        return opened.forward.run(self._fed(opened.forward, feed), outputs, keep=keep)

    def backward(self, seed: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return gradients by all targets, for the picture that went forward last.

        Parameters
        ----------
        seed : ndarray
            How much each score counts, of their shape: 1 for the class that is explained.
        """
        opened = self._ready()
        outputs = list(opened.graph.gradients)
        return opened.backward.run({SEED: seed}, outputs, kept=opened.graph.taps)

    def close(self, *, wait: bool = True) -> None:
        """End its process."""
        self._host.close(wait=wait)

    def _ready(self) -> Pass:
        if self._opened is None:
            raise RuntimeError("open comes first")
        return self._opened

    def _session(self, part: Skeleton) -> Session:
        return Session(part, self._settings, name=self._name, beside=self._host)

    def _fed(self, session: Session, feed: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {self._entry: feed} if any(i.name == self._entry for i in session.inputs) else {}

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
        found = dict(zip(wanted, session.run(self._fed(session, feed), wanted), strict=True))
        session.close()
        return found
