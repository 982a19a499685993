"""Layer outputs: what layers make of a picture, dequantised, in chunks of bounded memory.

A layer is looked at by asking for it as an output of the graph, which is cut at the deepest one.
"""

from __future__ import annotations

from collections import deque
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from cnntool.nets.file.subgraph import skeleton
from cnntool.nets.layers.shapes import find_shapes, lengths
from cnntool.nets.runtime.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.layers.receptive_field import ReceptiveField
    from cnntool.nets.models.manifest import InputSpec
    from cnntool.nets.runtime.providers import SessionSettings


T = TypeVar("T")

BUDGET = 128 << 20
"""Bytes of layers that are computed at once."""

AHEAD = 2
"""Pictures that the network has been given and not yet answered."""

_HALVES = {"float16": 10, "bfloat16": 16}
"""Types of few digits, with ONNX's numbers for them."""

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear", "QGemm")


class Taps:
    """Tensors of a network, for one picture after another.

    They are computed in as many chunks as keep each within the budget; a chunk has a session of
    its own, which ends at the deepest tensor in it.

    Parameters
    ----------
    graph : Graph
        The network.
    tensors : sequence of str
        What to compute. Results come in the order of the graph.
    entry : InputSpec
        The input for the picture.
    settings : SessionSettings
        How to run it. Nodes are fused only where that changes no number, see `exactly`.
    name : str
        What errors call it.
    budget : int
        Bytes of results that a chunk may have.

    Attributes
    ----------
    tensors : tuple of str
        In the order of the graph, each once.
    settings : SessionSettings
        Those that sessions get.
    first : tuple of str
        The chunk that a session may be opened for before there is a picture.

    Raises
    ------
    ModelError
        No such tensor, or the network cannot be opened where its shapes have to be asked for.
    """

    def __init__(
        self,
        graph: Graph,
        tensors: Sequence[str],
        entry: InputSpec,
        settings: SessionSettings,
        *,
        name: str,
        budget: int = BUDGET,
    ) -> None:
        self._graph = graph
        self._entry = entry
        self._name = name
        self._budget = budget
        self._plans: dict[tuple[int, ...], list[tuple[str, ...]]] = {}
        place = {tensor: node.index for tensor, node in graph.producer_of.items()}
        self.settings = settings._replace(optimise=exactly(graph))
        self.tensors = tuple(sorted(dict.fromkeys(tensors), key=lambda t: place.get(t, -1)))
        shape = _known_shape(entry)
        self.first = self._plan(shape)[0] if shape else self.tensors

    def stream(
        self, session: Session, pictures: Iterable[tuple[T, NDArray[Any]]]
    ) -> Iterator[tuple[T, Iterator[tuple[str, NDArray[Any]]]]]:
        """Compute the tensors of pictures, in order and in bounded memory.

        Parameters
        ----------
        session : Session
            Opened with ``settings`` for the outputs ``first``.
        pictures : iterable of (anything, ndarray)
            Tensors as `preprocess.prepare` makes them, with what they are to be known by.

        Yields
        ------
        (anything, iterator of (str, ndarray))
            The picture, and its tensors with their names. Take what you want of these before the
            next picture.

        Raises
        ------
        ModelError
            When the network fails.
        """
        waiting: deque[T] = deque()
        for key, tensor in pictures:
            feed = np.stack([tensor] * (self._entry.batch or 1))
            if self._plan(feed.shape) == [self.first]:
                session.submit(_taken(session, {self._entry.name: feed}), self.first)
                waiting.append(key)
                if len(waiting) == max(AHEAD, session.lanes + 1):
                    yield waiting.popleft(), self._collect(session)
                continue
            while waiting:
                yield waiting.popleft(), self._collect(session)
            yield key, self._by_chunks(session, feed)
        while waiting:
            yield waiting.popleft(), self._collect(session)

    def _collect(self, session: Session) -> Iterator[tuple[str, NDArray[Any]]]:
        return _handed_out(self.first, session.collect(), self._entry.batch or 1)

    def _by_chunks(
        self, session: Session, feed: NDArray[Any]
    ) -> Iterator[tuple[str, NDArray[Any]]]:
        batch = self._entry.batch or 1
        feeds = {self._entry.name: feed}
        for chunk in self._plan(feed.shape):
            if chunk == self.first:
                yield from _handed_out(chunk, session.run(_taken(session, feeds), chunk), batch)
                continue
            part = skeleton(self._graph, chunk)
            with Session(part, self.settings, name=self._name) as other:
                yield from _handed_out(chunk, other.run(_taken(other, feeds), chunk), batch)

    def _plan(self, shape: tuple[int, ...]) -> list[tuple[str, ...]]:
        """Split the tensors into chunks for an input of some shape."""
        if shape not in self._plans:
            most = largest(self._graph, self._entry, shape)
            if most * len(self.tensors) <= self._budget:
                self._plans[shape] = [self.tensors]
            else:
                sizes = self._sizes(shape)
                found = [sizes.get(tensor, most) for tensor in self.tensors]
                self._plans[shape] = chunks(self.tensors, found, self._budget)
        return self._plans[shape]

    def _sizes(self, shape: tuple[int, ...]) -> dict[str, int]:
        """Find out how many bytes tensors have, without running the network."""
        stated = next(info.shape for info in self._graph.inputs if info.name == self._entry.name)
        inputs = {} if shape == stated else {self._entry.name: shape}
        shapes = find_shapes(self._graph, inputs, self.tensors)
        sizes = {tensor: byte_size(info) for tensor, info in shapes.items()}
        return {tensor: size for tensor, size in sizes.items() if size is not None}


def exactly(graph: Graph) -> bool | Literal["basic"]:
    """Tell how far a network may be optimised without a change of its tensors.

    The order of additions in fused and rearranged nodes is enough for 1e-5. In float16
    and in 8 bits every rounding that is left out or added shows: those run as they are written.
    """
    if any(info.dtype in _HALVES for info in (*graph.inputs, *graph.outputs)):
        return False
    for node in graph.nodes:
        if node.op.startswith(_QUANTISED) or node.op.endswith("Integer"):
            return False
        if node.op == "Cast" and node.attribute("to") in _HALVES.values():
            return False
    return "basic"


def largest(graph: Graph, entry: InputSpec, shape: Sequence[int]) -> int:
    """Return how many bytes a tensor has at most, if none has more places than the picture.

    Channels are counted on the kernels, which have them on their first two axes.
    """
    kernels = [weight.shape for weight in graph.weights.values() if len(weight.shape) == 4]
    most = max((max(kernel[:2]) for kernel in kernels), default=0)
    rows, columns = shape[2:4] if entry.layout == "NCHW" else shape[1:3]
    longest = max((max(w.shape, default=0) for w in graph.weights.values()), default=0)
    return 4 * shape[0] * max(rows * columns * max(most, entry.channels), longest)


def chunks(tensors: Sequence[str], sizes: Sequence[int], budget: int) -> list[tuple[str, ...]]:
    """Split tensors into runs of at most ``budget`` bytes, or of one tensor.

    Parameters
    ----------
    tensors : sequence of str
        In the order in which they are computed.
    sizes : sequence of int
        Bytes of each.
    budget : int
        Of each run.
    """
    runs: list[list[str]] = []
    room = 0
    for tensor, size in zip(tensors, sizes, strict=True):
        if not runs or size > room:
            runs.append([])
            room = budget
        runs[-1].append(tensor)
        room -= size
    return [tuple(run) for run in runs]


def _taken(session: Session, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Leave out the picture where the graph is cut to what does not depend on it."""
    wanted = {info.name for info in session.inputs}
    return {name: array for name, array in feeds.items() if name in wanted}


def _handed_out(
    names: Sequence[str], arrays: list[NDArray[Any]], batch: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the first picture's tensors, and let go of each when the next one is asked for."""
    arrays.reverse()
    for name in names:
        array = arrays.pop()
        yield name, array[0] if array.ndim and len(array) == batch else array
        del array


def _known_shape(entry: InputSpec) -> tuple[int, ...] | None:
    """Return the shape of what goes in, if all pictures have one."""
    size = entry.crop
    if size is None and entry.fit == "stretch":
        size = (entry.resize, entry.resize) if entry.resize else entry.size
    if size is None:
        return None
    return (entry.batch or 1, *entry.shape(size))


def byte_size(info: TensorInfo) -> int | None:
    """Return how many bytes a tensor has; None where its shape or type is not known."""
    shape = lengths(info)
    if shape is None or not info.dtype:
        return None
    try:
        item = 2 if info.dtype == "bfloat16" else np.dtype(info.dtype).itemsize
    except TypeError:  # text, or a number that numpy does not have
        return None
    return prod(shape) * item


_SCALES = {
    "QuantizeLinear": 1,
    "QLinearConv": 6,
    "QLinearMatMul": 6,
    "QLinearAdd": 6,
    "QLinearMul": 6,
    "QGemm": 7,
    "QLinearAveragePool": 3,
    "QLinearGlobalAveragePool": 3,
    "QLinearLeakyRelu": 3,
    "QLinearSigmoid": 3,
    "QLinearSoftmax": 3,
    "QLinearConcat": 0,
}
"""Which input of an operator is the scale of its result; the zero point is the next one."""

_HANDED_ON = frozenset(
    {"Identity", "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"}
)


class Shown(NamedTuple):
    """The values of a layer as people look at them.

    Parameters
    ----------
    values : ndarray of shape (C, H, W) or (n,)
        Maps, or a vector.
    dequantised : bool
        Whether they were whole numbers that stand for others.
    """

    values: NDArray[Any]
    dequantised: bool = False


def shown(
    graph: Graph, tensor: str, values: NDArray[Any], field: ReceptiveField | None = None
) -> Shown:
    """Arrange a tensor as maps or as a vector, and undo its quantisation.

    Parameters
    ----------
    graph : Graph
        The network.
    tensor : str
        Its name.
    values : ndarray
        Without the batch.
    field : ReceptiveField, optional
        What is known of its axes; by default channels come first.

    Returns
    -------
    Shown
        A matrix, as of a transformer, is one map; maps of one place are a vector.
    """
    values, scaled = dequantised(graph, tensor, values)
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    elif values.dtype == bool:
        values = values.astype(np.uint8)
    if field is not None and field.rank == values.ndim + 1 == 4 and field.axes == (1, 2):
        values = np.moveaxis(values, 2, 0)
    if values.ndim > 3:
        values = values.reshape(-1, *values.shape[-2:])
    elif values.ndim == 2:
        values = values[None]
    if values.ndim == 0 or (values.ndim == 3 and values.shape[1:] == (1, 1)):
        values = values.reshape(-1)
    return Shown(np.ascontiguousarray(values), scaled)


def dequantised(graph: Graph, tensor: str, values: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Turn whole numbers that stand for others into these, and say whether they were such."""
    scaled = quantisation(graph, tensor) if values.dtype.kind in "iu" else None
    if scaled is None:
        return values, False
    scale, zero = np.float32(scaled[0]), np.float32(scaled[1])
    return (values.astype(np.float32) - zero) * scale, True


def quantisation(graph: Graph, tensor: str) -> tuple[float, float] | None:
    """Return scale and zero point of a quantised tensor: it stands for (value - zero) * scale.

    None where it is not quantised, or where the network does not state one scale.
    """
    for _ in range(len(graph.nodes)):
        node = graph.producer_of.get(tensor)
        if node is None:
            return None
        if node.op in _SCALES:
            at = _SCALES[node.op]
            scale = _number(graph, node.inputs[at : at + 1], 1.0)
            zero = _number(graph, node.inputs[at + 1 : at + 2], 0.0)
            return None if scale is None or zero is None else (scale, zero)
        if node.op not in _HANDED_ON or not node.inputs:
            return None
        tensor = node.inputs[0]
    return None


def range_ends(graph: Graph, tensor: str, dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Return the least and the largest number that 8 bits can stand for in a tensor.

    What stands for 0 is left out. Empty where the tensor is not quantised to 8 bits, or was not.
    """
    node = graph.producer_of.get(tensor)
    if node is None:
        return ()
    kind, scaled = dtype.name, quantisation(graph, tensor) or (1.0, 0.0)
    if node.op == "DequantizeLinear":
        zeros = graph.weights.get(node.inputs[2]) if len(node.inputs) > 2 else None
        kind = zeros.dtype if zeros else ""
        scale, zero = (_number(graph, node.inputs[at : at + 1], 0.0) for at in (1, 2))
        if scale is None or zero is None:
            return ()
        scaled = scale, zero
    if kind not in {"int8", "uint8"}:
        return ()
    info = np.iinfo(kind)
    ends = (np.array([info.min, info.max], np.float32) - np.float32(scaled[1])) * np.float32(
        scaled[0]
    )
    return tuple(ends[ends != 0].tolist())


def _number(graph: Graph, names: Sequence[str], default: float) -> float | None:
    """Read a constant of one number."""
    if not names or not names[0]:
        return default
    weight = graph.weights.get(names[0])
    return float(weight.read().reshape(-1)[0]) if weight and prod(weight.shape) == 1 else None


class Statistics(NamedTuple):
    """Figures of a layer's values. NaN and infinities are counted and left out of the others.

    Parameters
    ----------
    shape : tuple of int
        Without the batch.
    minimum, maximum, mean, deviation : float
        NaN where no value is finite; the deviation is that of all values (divided by n).
    sparsity : float
        Share of zeros, 0..1.
    dead : int
        Maps that are zero everywhere; of a vector its zeros.
    maps : int
        How many maps there are; of a vector its length.
    nan, infinite : int
        Values that are none, or no finite ones.
    dead_maps : tuple of int
        The maps that are zero everywhere, counted from 0; of a vector empty.
    subnormal : float or None
        Share of the values that are too near to 0 to have all digits of their type, 0..1; None
        where that is no type of real numbers.
    saturated : float or None
        Share of the values at the ends of a range of 8 bits, 0..1; None for other types. An end
        that stands for 0 does not count: there a ReLU cuts.
    """

    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    deviation: float
    sparsity: float
    dead: int
    maps: int
    nan: int
    infinite: int
    dead_maps: tuple[int, ...] = ()
    subnormal: float | None = None
    saturated: float | None = None


def statistics(
    values: NDArray[Any], dtype: np.dtype[Any] | None = None, ends: Sequence[float] = ()
) -> Statistics:
    """Describe the values of a layer.

    Parameters
    ----------
    values : ndarray of shape (C, H, W) or (n,), or any other
        The first axis counts maps.
    dtype : dtype, optional
        What the network has for them; by default, that of the values.
    ends : sequence of float
        The ends of their range, see `range_ends`.
    """
    dtype = values.dtype if dtype is None else dtype
    maps = len(values) if values.ndim else 1
    flat = values.reshape(maps, values.size // max(maps, 1))
    zeros = flat.shape[1] - np.count_nonzero(flat, axis=1)
    nan = infinite = 0
    finite = flat
    # A sum is finite only if every value is.
    if flat.dtype.kind == "f" and not np.isfinite(flat.sum(dtype=np.float64)):
        nan = int(np.isnan(flat).sum())
        infinite = int(np.isinf(flat).sum())
        finite = flat[np.isfinite(flat)]
    nothing = float("nan")
    dead = np.flatnonzero(zeros == flat.shape[1]) if flat.shape[1] else zeros[:0]
    subnormal = saturated = None
    if dtype.kind == "f" and values.size:
        below = np.count_nonzero(np.abs(flat) < np.finfo(dtype).tiny)
        subnormal = float((below - zeros.sum()) / values.size)
    if ends and values.size:
        saturated = float(np.isin(flat, np.array(ends, flat.dtype)).mean())
    return Statistics(
        shape=values.shape,
        minimum=float(finite.min()) if finite.size else nothing,
        maximum=float(finite.max()) if finite.size else nothing,
        mean=float(finite.mean(dtype=np.float64)) if finite.size else nothing,
        deviation=float(finite.std(dtype=np.float64)) if finite.size else nothing,
        sparsity=float(zeros.sum() / values.size) if values.size else nothing,
        dead=len(dead),
        maps=len(flat),
        nan=nan,
        infinite=infinite,
        dead_maps=tuple(dead.tolist()) if values.ndim > 1 else (),
        subnormal=subnormal,
        saturated=saturated,
    )
