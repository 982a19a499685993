"""An opened network: read at once, run when something is asked of it."""

from __future__ import annotations

import os
from functools import cached_property, partial
from itertools import chain
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from weakref import finalize

from cnntool.errors import CnntoolError, DeviceError, ModelError, UsageError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.gradients.differentiate import Differentiator
    from cnntool.nets.inference.ablation import AblatedNetwork
    from cnntool.nets.inference.classify import Scores, T
    from cnntool.nets.inference.image_output import Fitted, Painting
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.numerics import Fault
    from cnntool.nets.inference.presets import Overrides
    from cnntool.nets.inference.weights import LayerWeights
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Layers, Resolved
    from cnntool.nets.runtime.providers import Placement, SessionSettings
    from cnntool.nets.runtime.session import Child, Session


S = TypeVar("S", "Session", "Differentiator")

MOST_LANES = 4
"""Pictures that are in a network at once: each takes memory for all maps of its largest layers."""


class Network:
    """A network, from its file to its answers.

    It runs in a process of its own, which is started when it is first needed and ended when the
    model is closed: by `close`, as a context manager, or when it is forgotten. Several threads may
    use one model; they take turns.

    Parameters
    ----------
    name : str
        A name, or an ONNX file.
    overrides : Overrides
        What is said of it beside its manifest and its graph.
    settings : SessionSettings
        Where and how to run it.
    ahead : bool
        Whether to start the process at once, while the file is being read.
    note : callable, optional
        Is told what is worth knowing, when it is found.

    Attributes
    ----------
    name : str
        As given.
    found : FoundModel
        The file, and the manifest if there is one.
    graph : Graph
        What is in the file.
    settings : SessionSettings
        Where and how it runs.
    notes : list of str
        What was found worth knowing so far: what names of layers mean, what is not known.
    """

    def __init__(
        self,
        name: str,
        overrides: Overrides,
        settings: SessionSettings,
        *,
        ahead: bool = False,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.notes: list[str] = []
        self._tell = note
        self.settings = settings
        self._overrides = overrides
        self._layers: Layers | None = None
        self._plans: dict[frozenset[str], InferredSpec] = {}
        # The process starts before numpy is imported: both import side by side then.
        self._pool = SessionPool(name, ahead=ahead)
        self._forgotten = finalize(self, self._pool.close, wait=False)
        self.lock = self._pool.lock

    def read(self) -> Self:
        """Find and read its file; nothing else works before.

        Raises
        ------
        ModelError
            There is no such network, or its file cannot be read.
        """
        from cnntool.nets.file.graph import read_graph
        from cnntool.nets.models.catalog import find

        self.found = find(self.name)
        self.graph: Graph = read_graph(self.found.file, name=self.name)
        return self

    def close(self) -> None:
        """End its processes; what needs one cannot be asked for any more."""
        self._forgotten.detach()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process, which opens it anew."""
        return _read, (type(self), self.name, self._overrides, self.settings)

    def note(self, text: str) -> None:
        """Keep what is worth knowing, and tell whoever wants to be told."""
        if text not in self.notes:
            self.notes.append(text)
        if self._tell is not None:
            self._tell(text)

    def plan(self, kinds: frozenset[str] = frozenset()) -> InferredSpec:
        """Settle what goes in and what comes out.

        Parameters
        ----------
        kinds : frozenset of str
            The kinds of outputs that there is a use for; empty if there is one for all.

        Raises
        ------
        ModelError
            It does not take one picture, or has no output of these kinds.
        UsageError
            An override does not suit.
        """
        if kinds not in self._plans:
            from cnntool.nets.inference.infer_spec import infer_spec

            self._plans[kinds] = infer_spec(
                self.graph, self.found.spec, self._overrides, kinds=kinds
            )
        return self._plans[kinds]

    def read_layers(self) -> Layers:
        """Read its layers under all their names; this is done once."""
        if self._layers is None:
            from cnntool.nets.layers.lookup import Layers

            self._layers = Layers(self.graph, self.found.spec)
        return self._layers

    def layer(self, query: str, *, at: str = "post") -> Layer:
        """Find the one layer that a name means, and note which one it is.

        Raises
        ------
        ModelError
            When it means none, or several.
        """
        meant = self.read_layers().one(query, at=at)
        self.note(meant.text)
        return self.layer_of(meant)

    def layer_of(self, meant: Resolved) -> Layer:
        """Return the layer that a name means; a tensor that is none has no weights."""
        if meant.layer is None:
            raise ModelError(f"{meant.query!r} is no layer: it has no weights", source=self.name)
        return meant.layer

    def learned(self, layer: Layer) -> LayerWeights:
        """Read the weights of one of its layers, see `cnntool.nets.inference.weights.learned`."""
        from cnntool.nets.inference.weights import learned

        return learned(self.graph, self.read_layers().flow, layer, self.settings)

    def colour_order(self, order: str | None = None) -> tuple[str, bool]:
        """Return the order of the colours that it takes, and whether it is a guess.

        Parameters
        ----------
        order : {'RGB', 'BGR'}, optional
            What the user says.
        """
        if order:
            return order, False
        if self.found.spec is not None:
            return self.found.spec.input.channel_order, False
        try:
            plan = self.plan()
        except ModelError:  # it takes no picture, or several
            return "RGB", True
        order = plan.input.channel_order
        # What a recipe says that had to be assumed is assumed, too.
        return order, order != "BGR" or any(t.startswith("`preprocess") for t in plan.assumed)

    def shapes(
        self, size: Sequence[int] = (), *, everything: bool = False
    ) -> dict[str, TensorInfo]:
        """Find the shapes of its tensors; if they cannot be had, note why, and go on without.

        Parameters
        ----------
        size : sequence of int
            Rows and columns of the picture that goes in, or the whole shape.
        everything : bool
            Whether those of operators that are no layer are wanted, too.

        Raises
        ------
        ModelError
            It cannot be given an input of this size.
        """
        from cnntool.nets.inference.summary import wanted_tensors
        from cnntool.nets.layers.shapes import choose_inputs, find_shapes

        inputs = choose_inputs(self.graph, self.found.spec, size)
        try:
            wanted = wanted_tensors(self.graph, self.read_layers())
            if everything:
                wanted |= {row.pre for row in self.read_layers().operators}
            return find_shapes(self.graph, inputs, wanted, timeout=self.settings.timeout)
        except (ModelError, DeviceError) as error:
            if size and isinstance(error, ModelError):
                raise
            hint = f" ({error.hint})" if error.hint else ""
            self.note(
                f"{self.name}: the file's shapes are all that is known: {error.message}{hint}"
            )
            return find_shapes(self.graph, {}, ())

    def session(
        self,
        tensors: Sequence[str],
        *,
        many: bool = False,
        optimise: bool | Literal["basic"] = True,
        given: Sequence[TensorInfo] = (),
    ) -> Session:
        """Open the part of the network that makes some tensors, or find it open.

        It is opened in its process while the caller goes on.

        Parameters
        ----------
        tensors : sequence of str
            What to compute.
        many : bool
            Whether there may be many pictures: each then gets a core, where a single one gets all.
        optimise : bool or "basic"
            See `cnntool.nets.runtime.providers.SessionSettings`.
        given : sequence of TensorInfo
            Results that are fed instead of computed, see `cnntool.nets.file.subgraph.skeleton`.

        Raises
        ------
        UsageError
            The model is closed.
        """
        lanes = min(self.settings.threads or usable_cpus(), MOST_LANES) if many else 1
        settings = self.settings._replace(lanes=lanes, optimise=optimise)

        def opened(child: Child | None) -> Session:
            from cnntool.nets.file.subgraph import skeleton
            from cnntool.nets.runtime.session import Session

            part = skeleton(self.graph, tensors, given)
            return Session(part, settings, name=self.name, child=child)

        return self._pool.get((tuple(tensors), tuple(given), settings), opened)

    def differentiator(self, shape: tuple[int, ...]) -> Differentiator:
        """Open what computes gradients for one size of input, or find it open.

        Parameters
        ----------
        shape : tuple of int
            Of what goes in, with its batch.

        Raises
        ------
        ModelError
            It cannot be given an input of this shape.
        UsageError
            The model is closed.
        """
        from cnntool.nets.gradients.differentiate import Differentiator

        # As optimised as for classifying: what is explained is that answer, its roundings too.
        settings = self.settings._replace(lanes=1)
        flow, entry = self.read_layers().flow, self.plan().input.name

        def opened(child: Child | None) -> Differentiator:
            return Differentiator(
                self.graph, flow, entry, shape, settings, name=self.name, child=child
            )

        return self._pool.get((shape, settings), opened)

    @property
    def placement(self) -> Placement:
        """Where it runs; waits until it is open.

        Raises
        ------
        ModelError, DeviceError
            It cannot be opened.
        """
        with self.lock:
            last = self._pool.last or self.session(self.plan().taps)
            placement: Placement = last.placement
            return placement

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed."""
        return self._pool.chatter

    @cached_property
    def sha256(self) -> str:
        """Of the file, as it is."""
        import hashlib

        with self.found.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def scores(
        self,
        plan: InferredSpec,
        pictures: Iterable[tuple[T, NDArray[Any]]],
        *,
        batch: int = 1,
        many: bool = False,
    ) -> Iterator[tuple[T, Scores]]:
        """Ask for the class scores of pictures, in order and in bounded memory.

        Parameters
        ----------
        plan : InferredSpec
            Of class scores.
        pictures : iterable of (anything, ndarray)
            What goes in (`cnntool.nets.inference.preprocess.prepare`), with what it is to be
            known by.
        batch : int
            How many go in at once.
        many : bool
            See `session`.
        """
        from cnntool.nets.inference.classify import stream

        return stream(self.session(plan.taps, many=many), plan, pictures, batch=batch)

    def check(self, scores: Scores, plan: InferredSpec, picture: NDArray[Any]) -> None:
        """Refuse scores of a picture that cannot be ranked, and say where they come from.

        Raises
        ------
        ModelError
            When some are NaN or infinite.
        """
        from cnntool.nets.inference.classify import check

        check(scores, plan, partial(self.whence, plan, picture))

    def ablated(self, plan: InferredSpec, cuts: Sequence[str]) -> AblatedNetwork:
        """Cut it at layers whose maps may be silenced.

        Parameters
        ----------
        plan : InferredSpec
            Of class scores.
        cuts : sequence of str
            See `cnntool.nets.inference.ablation.cut_at`.

        Raises
        ------
        ModelError
            The scores do not depend on one of them.
        """
        from cnntool.nets.inference.ablation import AblatedNetwork

        begin = partial(self.session, many=True)
        return AblatedNetwork(self.read_layers().flow, plan, cuts, begin, self.settings)

    def paint(self, plan: InferredSpec, picture: Fitted, *, native: bool = False) -> Painting:
        """Have the network make a picture of a picture.

        Parameters
        ----------
        plan : InferredSpec
            Of pictures.
        picture : Fitted
            See `cnntool.nets.inference.image_output.fit_for_picture`.
        native : bool
            Whether to keep the size at which the network works.

        Raises
        ------
        ModelError
            The network fails, or its answer is no picture.
        """
        from cnntool.nets.inference.image_output import back, paint, with_chroma

        feeds = {plan.input.name: picture.tensor[None]}
        with self.lock:
            (answer,) = self.session(plan.taps).run(feeds, [plan.output.name or ""])
        painting = paint(answer, plan, partial(self.whence, plan, picture.tensor))
        if picture.colours is not None and painting.pixels.shape[2] == 1:
            painting = with_chroma(painting, picture.colours)
        if plan.input.fit == "stretch" and not native:
            painting = back(painting, picture.shape)
        return painting

    def find_fault(
        self, plan: InferredSpec, picture: NDArray[Any], *, failed: bool = False
    ) -> Fault | None:
        """Find the operator from which NaN and infinity come: all of them are looked at.

        Parameters
        ----------
        plan : InferredSpec
            What goes in and comes out.
        picture : ndarray
            What goes in.
        failed : bool
            Whether the answer is known to have NaN or infinity; else the network is run as a
            whole first. An operator that is looked at is not fused with the next one: in float16
            it may overflow where the whole network does not.

        Returns
        -------
        Fault or None
            See `cnntool.nets.inference.numerics.find_fault`. None also where the network cannot
            be looked into; that is noted.
        """
        try:
            return self._find_fault(plan, picture, failed=failed)
        except CnntoolError as error:
            self.note(
                f"{self.name}: where NaN or infinity comes from cannot be told: {error.message}"
            )
            return None

    def _find_fault(
        self, plan: InferredSpec, picture: NDArray[Any], *, failed: bool
    ) -> Fault | None:
        import numpy as np

        from cnntool.nets.file.subgraph import skeleton
        from cnntool.nets.inference.layer_outputs import Taps
        from cnntool.nets.inference.numerics import find_fault
        from cnntool.nets.inference.weights import read_constant
        from cnntool.nets.layers.layer_list import NO_ARRAYS
        from cnntool.nets.runtime.session import Session

        flow, entry = self.read_layers().flow, plan.input

        def constant(tensor: str) -> NDArray[Any] | None:
            try:
                values = read_constant(self.graph, flow, tensor, settings=self.settings)
            except ModelError:  # a shape that is measured
                return None
            return values if values.dtype.kind == "f" else None

        tensors = [
            tensor
            for node in self.graph.nodes
            for tensor in node.outputs
            if tensor in flow.data and node.op not in NO_ARRAYS
        ]
        taps = Taps(self.graph, tensors, entry, self.settings, name=self.name)

        def opened(child: Child | None) -> Session:
            part = skeleton(self.graph, taps.first)
            return Session(part, taps.settings, name=self.name, child=child)

        with self.lock:
            if not failed:
                feeds = {entry.name: np.stack([picture] * (entry.batch or 1))}
                answer = self.session(plan.taps).run(feeds, plan.taps)
                failed = not all(np.isfinite(values).all() for values in answer)
            # No session that others use: a picture may be under way in that.
            session = self._pool.get((None, taps.first), opened)
            for _, results in taps.stream(session, [(None, picture)]):
                seen = chain([(entry.name, picture)], results)
                fault = find_fault(self.graph, seen, plan.taps if failed else (), constant)
                # Looked at, it is fused less: then its answer may be finite, and the real one not.
                return fault and fault._replace(answers=failed)
        return None

    def whence(self, plan: InferredSpec, picture: NDArray[Any]) -> str:
        """Say where NaN and infinity in an answer come from, as the end of a sentence.

        Empty where that cannot be found out.
        """
        fault = self.find_fault(plan, picture, failed=True)
        words = fault.words(self.read_layers().rows) if fault else ""
        return f": the first comes from {words}" if words else ""


def _read(kind: type[Network], *arguments: Any) -> Network:
    return kind(*arguments).read()


MOST = 3
"""Parts of a network that stay open: what classifies, and some layers."""


class SessionPool:
    """Opens parts of a network and keeps those that were used last.

    Parameters
    ----------
    name : str
        What errors call the network.
    ahead : bool
        Whether to start the first process at once, before it is known what for.

    Attributes
    ----------
    lock : RLock
        To be held from asking for a session until its results were collected.
    last : Session, Differentiator or None
        The one that was asked for last.
    """

    def __init__(self, name: str, *, ahead: bool) -> None:
        self.lock = RLock()
        self.last: Any = None
        self._name = name
        self._owner = os.getpid()
        self._closed = False
        self._sessions: dict[object, Any] = {}
        self._spare: Child | None = None
        if ahead:
            from cnntool.nets.runtime.session import start

            self._spare = start()

    def get(self, key: object, opened: Callable[[Child | None], S]) -> S:
        """Open a part of the network, or find it open.

        It is opened in its process while the caller goes on.

        Parameters
        ----------
        key : object
            What it is known by.
        opened : callable
            Opens it, in a process that serves no other if it is given one.

        Raises
        ------
        UsageError
            The pool is closed.
        """
        with self.lock:
            if self._closed:
                raise UsageError("the model is closed", source=self._name)
            session: S | None = self._sessions.pop(key, None)
            if session is not None and not session.idle:  # it broke, or an exception left it busy
                session.close()
                session = None
            if session is None:
                while len(self._sessions) >= MOST:
                    self._sessions.pop(next(iter(self._sessions))).close()
                spare, self._spare = self._spare, None
                session = opened(spare)
            self._sessions[key] = self.last = session
            return session

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed."""
        return "".join(session.chatter for session in self._sessions.values())

    def close(self, *, wait: bool = True) -> None:
        """End all processes, unless this one is a fork of the one that started them.

        Parameters
        ----------
        wait : bool
            Whether to wait until nothing is left of them.
        """
        self._closed = True
        if os.getpid() != self._owner:
            return
        while self._sessions:
            self._sessions.popitem()[1].close(wait=wait)
        if self._spare is not None:
            self._spare.close(wait=wait)
            self._spare = None
