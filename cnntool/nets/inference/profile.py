"""Profiles: how long each part of a network takes, and which of its layers that part computes.

onnxruntime does not run the nodes of a file. It joins some of them, changes how maps are laid out
in memory, and inserts conversions; what it then runs, *kernels*, have names of its own. Two things
lead back. The network is opened with every node named by its first result, and most kernels keep
that name, or a tensor's, with something before or behind it. And onnxruntime writes the graph that
it made, whose tensors tell what each kernel needs and gives: what must have been computed by then,
and by no kernel before, is what this one computes.

While a kernel's time runs, the profiler also writes down what goes in, what comes out and which
threads took part. That is measured with kernels that compute next to nothing, and taken off.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from tempfile import gettempdir
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import OutputError
from cnntool.nets.file.graph import GRAPH
from cnntool.nets.file.messages import new_model, node_message
from cnntool.nets.file.subgraph import (
    INPUT,
    NODE,
    OUTPUT,
    WEIGHT,
    Skeleton,
    skeleton,
    value_message,
)
from cnntool.nets.file.tensors import read_entry
from cnntool.nets.file.wire import CHUNK, Wire, chunk_field
from cnntool.nets.layers.dataflow import ARRANGING, KIND_OF
from cnntool.nets.runtime.session import Session, start
from cnntool.nets.runtime.worker import GRAPH as OPTIMISED
from cnntool.nets.runtime.worker import WEIGHTS
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.runtime.providers import Placement, SessionSettings

    _Events = Sequence[Mapping[str, Any]]

_Ends = tuple[tuple[str, ...], tuple[str, ...]]
"""What a node uses and what it makes."""

WARM = 3
"""Runs that are not counted: memory is laid out, caches fill."""

_LEAST, _MOST, _SECONDS = 10, 200, 2.0
"""Runs that are counted at least and at most, and the time that they are to fill."""

_KERNEL = "_kernel_time"

_CHAIN = 64
"""Kernels in a row that measure the profiler: what they compute takes a fifth of a microsecond."""

_MOVING = ARRANGING | {"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"}
"""What computes nothing: it hands numbers on, in another type, arrangement or place."""

_COUNTED = re.compile(r"(_token_\d+)+\Z")
"""What makes a name of onnxruntime's unique."""

_BEFORE, _BEHIND = ("InsertedPrecisionFreeCast_", "InsertedCast_", "fused "), frozenset("_/ :")
"""What stands before a tensor's name in a name of onnxruntime's, and how what follows begins."""


class Kernel(NamedTuple):
    """What onnxruntime runs in one piece.

    Attributes
    ----------
    name : str
        As onnxruntime calls it.
    op, provider : str
        The operator that it is, and what runs it.
    times : tuple of float
        Milliseconds in each run.
    moved : int
        Bytes of what goes in and comes out, weights included.
    inputs, outputs : tuple of str
        Tensors of the graph that onnxruntime made; empty where that is not known.
    inner : int
        Kernels that ran inside of it: the bodies of If, Loop and Scan are part of it.
    """

    name: str
    op: str
    provider: str
    times: tuple[float, ...]
    moved: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    inner: int = 0

    @property
    def milliseconds(self) -> float:
        """The median over all runs."""
        return median(self.times)

    def without(self, milliseconds: float) -> Kernel:
        """Take so much off each of its times."""
        return self._replace(times=tuple(max(0.0, time - milliseconds) for time in self.times))

    @property
    def moves(self) -> bool:
        """Whether it computes nothing: it hands numbers on, in another type or arrangement."""
        return self.op in _MOVING


class Measured(NamedTuple):
    """What a network's runs took.

    Attributes
    ----------
    kernels : list of Kernel
        In the order in which they ran, without what the profiler itself takes.
    bare, profiled : tuple of float
        Milliseconds of each run without the profile, and with it; they took turns.
    placement : Placement
        Where it ran.
    profiler : float
        Milliseconds that this is in a run.
    """

    kernels: list[Kernel]
    bare: tuple[float, ...]
    profiled: tuple[float, ...]
    placement: Placement
    profiler: float = 0.0

    @property
    def summed(self) -> list[float]:
        """Milliseconds that the kernels of each run take together.

        A trace ends after a million events, perhaps in the middle of a run.
        """
        times = zip(*(kernel.times for kernel in self.kernels), strict=False)
        return list(map(sum, times)) or [0.0]  # nothing runs where an input is the output


def measure(
    graph: Graph,
    feeds: Mapping[str, NDArray[Any]],
    settings: SessionSettings,
    *,
    name: str,
    runs: int | None = None,
) -> Measured:
    """Run a whole network again and again, in turns with a profile and without.

    Parameters
    ----------
    graph : Graph
        The network.
    feeds : mapping of str to ndarray
        Its inputs.
    settings : SessionSettings
        Where and how to run it.
    name : str
        What errors call it.
    runs : int, optional
        How many runs to count; by default ten, and as many more as two seconds have room for.

    Raises
    ------
    ModelError, DeviceError
        It cannot be opened, or fails.
    """
    outputs = [info.name for info in graph.outputs]
    settings = settings._replace(lanes=1)
    with _workplace() as folder:
        # Launches on a card return at once unless they are told to wait, and a launch says nothing.
        child = start(CUDA_LAUNCH_BLOCKING="1")
        with Session(skeleton(graph, outputs), settings, name=name, child=child) as bare:
            labelled = skeleton(graph, outputs, labelled=True)
            profiling = settings._replace(profile=folder)
            profiled = Session(labelled, profiling, name=name, beside=bare)
            feeds = {info.name: feeds[info.name] for info in bare.inputs}  # the others do nothing
            took: dict[Session, list[float]] = {bare: [], profiled: []}
            until = monotonic() + _SECONDS
            while not _enough(len(took[bare]) - WARM, runs, until):
                for session, milliseconds in took.items():
                    session.run(feeds, [], keep=outputs)
                    milliseconds.append(session.seconds * 1e3)
            events = _trace(profiled)
            placement = profiled.placement
            each = _profiler_time(events, _chain(bare, profiling))
        kernels = read_kernels(events, folder / OPTIMISED, skip=WARM)
    plain, with_profile = (tuple(took[one][WARM:]) for one in (bare, profiled))
    kernels, taken = _without_profiler(kernels, each, median(plain))
    return Measured(kernels, plain, with_profile, placement, taken)


def _without_profiler(
    kernels: Sequence[Kernel], each: float, bare: float
) -> tuple[list[Kernel], float]:
    """Take off what the profiler itself takes in each kernel; return what this is in a run, too.

    It writes down every kernel in the body of a loop, which may take far longer than they do. What
    it takes for one of these is such that all loops take what a bare run leaves for them.
    """
    net = [kernel.without(each) for kernel in kernels]
    inner = sum(kernel.inner for kernel in net)
    if inner:
        others, loops = (
            sum(kernel.milliseconds for kernel in net if bool(kernel.inner) is looping)
            for looping in (False, True)
        )
        within = max(0.0, loops - max(0.0, bare - others)) / inner
        net = [kernel.without(kernel.inner * within) for kernel in net]
    taken = (sum(kernel.milliseconds for kernel in those) for those in (kernels, net))
    return net, next(taken) - next(taken)


def _trace(session: Session) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = json.loads(Path(session.end_profile()).read_text("utf-8"))
    return events


def _chain(beside: Session, settings: SessionSettings) -> list[dict[str, Any]]:
    """Trace kernels that compute next to nothing, one after the other, on the processor."""
    import numpy as np

    steps = (node_message("Neg", [str(n)], [str(n + 1)], {}) for n in range(_CHAIN))
    ends = (INPUT, "0"), (OUTPUT, str(_CHAIN))
    fields = [
        *(chunk_field(NODE, step) for step in steps),
        *(chunk_field(end, value_message(name, "float32", (1,))) for end, name in ends),
    ]
    assert settings.profile is not None  # noqa: S101 - the session is to write a profile
    folder = settings.profile / "chain"
    folder.mkdir()
    settings = settings._replace(device="cpu", optimise=False, profile=folder)
    model = Skeleton(new_model(13, fields), folder)
    session = Session(model, settings, name="the profiler", beside=beside)
    for _ in range(WARM + _LEAST):
        session.run({"0": np.ones(1, np.float32)}, [], keep=[str(_CHAIN)])
    return _trace(session)


def _profiler_time(events: _Events, chain: _Events) -> float:
    """Estimate how many milliseconds of a kernel's time are the profiler's own.

    What it does between two kernels shows in any trace, what it does inside of one only where the
    kernel takes no time. Both take the longer, the more of the caches the kernels need.
    """
    inside = _usual(event["dur"] for event, _ in _outermost(chain))
    between = _usual(_gaps(chain))
    return inside * (_usual(_gaps(events)) or between) / between / 1e3 if between else 0.0


def _gaps(events: _Events) -> Iterator[int]:
    """Yield the microseconds from the end of each kernel to the next one of the same run."""
    kernels = [event for event, _ in _outermost(events)]
    for event, following in pairwise(kernels):
        if _identity(following) != _identity(kernels[0]):
            yield following["ts"] - event["ts"] - event["dur"]


def _usual(times: Iterable[int]) -> float:
    """Return the mean without the highest quarter: other programs interrupt now and then."""
    ordered = sorted(times)
    return fmean(ordered[: -(-3 * len(ordered) // 4)]) if ordered else 0.0


def _enough(counted: int, runs: int | None, until: float) -> bool:
    if runs is not None:
        return counted >= runs
    return counted >= _LEAST and (counted >= _MOST or monotonic() >= until)


@contextmanager
def _workplace() -> Iterator[Path]:
    """Make a folder that nobody else can see into, and remove it whatever happens."""
    folder = Path(gettempdir()) / f"cnntool-{os.urandom(8).hex()}"
    forget = on_stop(lambda: shutil.rmtree(folder, ignore_errors=True))
    try:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            reason = (error.strerror or "cannot be made").lower()
            raise OutputError(reason, source=str(folder)) from None
        with suppress(OSError, NotImplementedError):
            (folder / WEIGHTS).symlink_to(os.devnull)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        forget()


def _outermost(events: _Events) -> list[tuple[Mapping[str, Any], int]]:
    """List the kernels of all runs, and how many others ran inside of each of them."""
    found: list[tuple[Mapping[str, Any], int]] = []
    end = -1
    kernels = (e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL))
    for event in sorted(kernels, key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] >= end:
            end = event["ts"] + event["dur"]
            found.append((event, 0))
        else:
            outer, inner = found[-1]
            found[-1] = outer, inner + 1
    return found


def _identity(event: Mapping[str, Any]) -> tuple[str, str]:
    """Tell kernels apart: several may have one name."""
    return event["name"], event["args"].get("node_index", "")


def read_kernels(events: _Events, optimised: Path, *, skip: int = 0) -> list[Kernel]:
    """Read the trace that onnxruntime writes.

    Parameters
    ----------
    events : sequence of mapping
        Its events.
    optimised : Path
        The graph that onnxruntime made of the network; it need not be there.
    skip : int
        Runs that are not counted.

    Returns
    -------
    list of Kernel
        In the order of the first run. What runs inside of another one (the bodies of If, Loop and
        Scan) is part of that one.
    """
    nodes, weights = _read_optimised(optimised) if optimised.is_file() else ({}, {})
    nameless: Counter[str] = Counter()
    found: dict[tuple[str, str], list[tuple[Mapping[str, Any], int]]] = {}
    for event, inner in _outermost(events):
        found.setdefault(_identity(event), []).append((event, inner))
    listed = []
    for (event_name, _), seen in found.items():
        name = event_name.removesuffix(_KERNEL)
        facts = seen[0][0]["args"]
        op = facts.get("op_name", "")
        known = name
        if name not in nodes and name == f"{op}_{facts.get('node_index')}":
            known = _nameless(op, nameless[op])
            nameless[op] += 1
        inputs, outputs = nodes.get(known, ((), ()))
        held = [weights[tensor] for tensor in inputs if tensor in weights]
        sizes = (facts.get(f"{part}_size", 0) for part in ("activation", "output"))
        parameters = sum(held) if inputs else int(facts.get("parameter_size", 0))
        listed.append(
            Kernel(
                name,
                op,
                facts.get("provider", ""),
                tuple(event["dur"] / 1e3 for event, _ in seen[skip:]),
                sum(map(int, sizes)) + parameters,
                tuple(tensor for tensor in inputs if tensor not in weights),
                outputs,
                max(inner for _, inner in seen),
            )
        )
    return listed


def _read_optimised(path: Path) -> tuple[dict[str, _Ends], dict[str, int]]:
    """Read a graph whose weights were thrown away: what its nodes use and make, weights' bytes."""
    nodes: dict[str, _Ends] = {}
    weights: dict[str, int] = {}
    nameless: Counter[str] = Counter()
    wire = Wire(path, path.name)
    graphs = (span for tag, *span in wire.fields(0, len(wire.data)) if tag == GRAPH)
    for tag, *span in (part for graph in graphs for part in wire.fields(*graph)):
        if tag == NODE << 3 | CHUNK:
            inputs, outputs, names, (op,) = _texts(wire, span, 1, 2, 3, 4)
            if not names:
                names = (_nameless(op, nameless[op]),)
                nameless[op] += 1
            nodes.update(dict.fromkeys(names, (inputs, outputs)))
        elif tag == WEIGHT << 3 | CHUNK:
            (names,) = _texts(wire, span, 8)
            external = (part for tag, *part in wire.fields(*span) if tag == 13 << 3 | CHUNK)
            place = dict(read_entry(wire, *part) for part in external)
            weights.update(dict.fromkeys(names, int(place.get("length", 0))))
    wire.data.close()
    return nodes, weights


def _nameless(op: str, number: int) -> str:
    """Name a node without a name: a trace and a graph have those of one operator in one order."""
    return f"\0{op} {number}"


def _texts(wire: Wire, span: Sequence[int], *numbers: int) -> list[tuple[str, ...]]:
    """Read the fields of these numbers; what is left out has an empty name."""
    found: dict[int, list[str]] = {number: [] for number in numbers}
    for tag, first, last in wire.fields(*span):
        if tag >> 3 in found:
            found[tag >> 3].append(wire.text(first, last))
    return [tuple(filter(None, texts)) for texts in found.values()]


def assign(graph: Graph, flow: Dataflow, kernels: Sequence[Kernel]) -> list[list[Node]]:
    """Find out which nodes of the file each kernel computes.

    A node belongs to the first kernel whose results need it. From there, activations, norms and
    roundings to whole numbers go to the kernel that computes what they work on, where it does no
    more than that.

    Parameters
    ----------
    graph : Graph
        The file.
    flow : Dataflow
        What depends on what in it.
    kernels : sequence of Kernel
        In the order in which they ran.

    Returns
    -------
    list of list of Node
        For each kernel, in the order of the file; none where onnxruntime inserted it. What depends
        on no input has been computed before, and belongs to nobody.
    """
    return _Assignment(graph, flow, kernels).found()


def tensors_of(graph: Graph) -> set[str]:
    """Name the inputs of a network and the results of its nodes."""
    return {*graph.producer_of, *(info.name for info in graph.inputs)}


def named_tensor(name: str, known: Container[str]) -> str:
    """Find the tensor of the file in a name that onnxruntime made of it; empty if none is.

    Parameters
    ----------
    name : str
        Of a kernel or a tensor.
    known : container of str
        The tensors of the file.
    """
    if name in known:
        return name
    name = _COUNTED.sub("", name)
    for prefix in _BEFORE:
        name = name.removeprefix(prefix)
    for end in range(len(name), 0, -1):
        if name[:end] in known and (end == len(name) or name[end] in _BEHIND):
            return name[:end]
    return ""


class _Assignment:
    """The search for the nodes that each kernel computes."""

    def __init__(self, graph: Graph, flow: Dataflow, kernels: Sequence[Kernel]) -> None:
        self._graph = graph
        self._flow = flow
        self._kernels = kernels
        self._known = tensors_of(graph)
        self._owner: dict[int, int] = {}
        self._maker: dict[str, int] = {}
        """Who computes a tensor of the optimised graph; not who merely converts it."""

    def found(self) -> list[list[Node]]:
        for number, kernel in enumerate(self._kernels):
            source = next((self._maker[t] for t in kernel.inputs if t in self._maker), None)
            region = self._claim(number, self._results(kernel))
            if kernel.moves:
                self._hand_back(region, source)
            else:
                self._share(number, region)
            inserted = kernel.moves and number not in self._owner.values()
            maker = source if inserted and source is not None else number
            self._maker.update(dict.fromkeys(kernel.outputs, maker))
        found: list[list[Node]] = [[] for _ in self._kernels]
        for index in sorted(self._owner):
            found[self._owner[index]].append(self._graph.nodes[index])
        return found

    def _results(self, kernel: Kernel) -> list[str]:
        """Name the tensors of the file that a kernel makes; none where that is not known."""
        for names in (kernel.outputs, (kernel.name,)):
            if found := [*filter(None, (named_tensor(name, self._known) for name in names))]:
                return found
        return []

    def _claim(self, number: int, tensors: Sequence[str]) -> list[Node]:
        """Give a kernel all that its results need and nobody computes yet."""
        claimed: dict[int, Node] = {}
        asked = list(tensors)
        while asked:
            tensor = asked.pop()
            node = self._graph.producer_of.get(tensor)
            if node is None or node.index in self._owner:
                continue
            if tensor in tensors or not self._flow.data.isdisjoint(node.outputs):
                self._owner[node.index] = number
                claimed[node.index] = node
                asked += self._flow.data_inputs(node)
        return [claimed[index] for index in sorted(claimed)]

    def _hand_back(self, region: Sequence[Node], source: int | None) -> None:
        """Give to the kernel before it what a kernel that only hands on cannot have computed."""
        for node in region:
            if node.op not in _MOVING and source is not None:
                self._owner[node.index] = source

    def _share(self, number: int, region: list[Node]) -> None:
        """Give to the kernels before it what a kernel has claimed and others compute."""
        kernel = self._kernels[number]
        for node in region[:-1]:
            follows = KIND_OF.get(node.op) in {"relu", "activation"} or node.op in {
                "BatchNormalization",
                "QuantizeLinear",
            }
            used = self._flow.data_inputs(node)
            before = self._graph.producer_of.get(used[0]) if len(used) == 1 else None
            owner = self._owner.get(before.index, number) if before else number
            alone = self._flow.follower(used[0]) is node if used else False
            if follows and alone and owner != number and node.op not in kernel.op:
                self._owner[node.index] = owner
        # A kernel that says nothing of what it makes ran before this one, which then claimed all.
        silent = [
            maker
            for maker in (self._maker.get(tensor) for tensor in kernel.inputs)
            if maker is not None and maker not in self._owner.values()
        ]
        own = [node for node in region if self._owner[node.index] == number]
        last = next((n for n in reversed(own) if n.op == kernel.op.removeprefix("Fused")), None)
        if silent and last is not None:
            kept = {*filter(None, last.outputs)}
            for node in own:
                if node is not last and kept.isdisjoint(node.inputs):
                    self._owner[node.index] = silent[0]
                else:
                    kept.update(filter(None, node.outputs))
