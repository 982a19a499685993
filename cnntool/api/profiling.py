"""Profiles: how long each layer of a network takes, and what ran it."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.records import Records
from cnntool.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.api.pictures import ImageLike
    from cnntool.nets.file.graph import Node
    from cnntool.nets.inference.profile import Kernel
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.network import Network
    from cnntool.nets.runtime.providers import SessionSettings


class LayerTime(NamedTuple):
    """What a layer takes, or an operator that is no layer, or what onnxruntime inserted.

    Attributes
    ----------
    number : int or None
        The layer's place among all, from 1; None where it is none.
    layer : str
        Its name by its place, or ``conv:9``; ``Transpose`` for an operator that is no layer;
        ``inserted: ReorderInput`` for what the file has not: it changes how the numbers are laid
        out, their type, or where they are.
    tensor : str
        What it makes, as the file calls it; empty where that is not known.
    type : str
        Its operator.
    milliseconds : float
        The median over the runs.
    share : float
        Of the sum of all rows, 0..1.
    multiply_adds : int or None
        Of the layer and of those that were fused into it.
    gmacs : float or None
        Billions of multiply-adds a second; None where there are none.
    moved : int
        Bytes that go in and out, by the shapes: inputs, weights and outputs of its kernels, each
        once, whatever the caches keep.
    provider : str
        What ran it.
    fused : tuple of str
        Layers and operators of the file that are computed with it and have no row of their own.
    kernels : tuple of str
        The operators that ran.
    """

    number: int | None
    layer: str
    tensor: str
    type: str
    milliseconds: float
    share: float
    multiply_adds: int | None
    gmacs: float | None
    moved: int
    provider: str
    fused: tuple[str, ...]
    kernels: tuple[str, ...]


class Profile(NamedTuple):
    """How long a network takes, layer by layer. Times are medians, in milliseconds.

    Attributes
    ----------
    device, provider : str
        Where it ran.
    input : dict of str to tuple
        The shapes that went in.
    runs : int
        How many were counted, of each kind.
    layers : Records of LayerTime
        In the order in which they ran.
    total : float
        The sum of all rows.
    inserted : float
        The part of it that onnxruntime inserted.
    bare : float
        A run without the profile, in the same process, in turns with those that were profiled.
    profiled : float
        A run with it.
    profiler : float
        What the profiler's own work inside of a run's kernels takes: it is taken off their times.
    summed : float
        What all kernels of one run take. On a machine that does other work, too, this is more than
        `total`: every run is interrupted, but seldom twice in the same layer.
    """

    device: str
    provider: str
    input: dict[str, tuple[int, ...]]
    runs: int
    layers: Records[LayerTime]
    total: float
    inserted: float
    bare: float
    profiled: float
    profiler: float
    summed: float

    @property
    def busy(self) -> bool:
        """Whether the machine did so much else that a run takes longer than its layers."""
        return self.summed > 1.1 * self.total

    def record(self) -> dict[str, Any]:
        """Return all of it for JSON."""
        return self._asdict() | {"layers": [row._asdict() for row in self.layers]}

    def _repr_html_(self) -> str:
        return self.layers._repr_html_()


def profile(
    network: Network,
    image: ImageLike | None = None,
    *,
    size: Sequence[int] = (),
    runs: int | None = None,
    settings: SessionSettings | None = None,
) -> Profile:
    """Measure how long each layer of a network takes: `cnntool.api.model.Model.profile`.

    Parameters
    ----------
    network : Network
        Is told what goes in where no picture was given.
    image, size, runs
        See there.
    settings : SessionSettings, optional
        Where and how to run it; by default as the network's other sessions.
    """
    from cnntool.nets.inference.profile import measure

    feeds = _feeds(network, image, size)
    found = measure(
        network.graph, feeds, settings or network.settings, name=network.name, runs=runs
    )
    if found.placement.note:
        network.note(found.placement.note)
    total = sum(kernel.milliseconds for kernel in found.kernels)
    shape = next(iter(feeds.values())).shape if len(feeds) == 1 else ()
    rows = _rows(network, found.kernels, shape, total)
    inserted = sum(row.milliseconds for row in rows if row.layer.startswith(_INSERTED))
    return Profile(
        found.placement.granted,
        found.placement.provider,
        {name: array.shape for name, array in feeds.items()},
        len(found.bare),
        Records(rows),
        total,
        inserted,
        median(found.bare),
        median(found.profiled),
        found.profiler,
        median(found.summed),
    )


_INSERTED = "inserted: "


def _feeds(
    network: Network, image: ImageLike | None, size: Sequence[int]
) -> dict[str, NDArray[Any]]:
    """Make what goes in: the picture or the sample; noise where the network takes no picture."""
    try:
        entry = network.plan().input
    except ModelError as error:
        if image is not None:
            raise
        network.note(f"{error.message}: it is timed on noise")
        return _noise(network, size)
    from cnntool.api.pictures import load
    from cnntool.nets.inference.preprocess import prepare
    from cnntool.nets.layers.shapes import choose_inputs
    from cnntool.nets.models.manifest import shipped_sample

    choose_inputs(network.graph, network.found.spec, size)  # refuses axes that it does not have
    if image is None:
        image = shipped_sample()
        network.note(f"no picture was given: timed on the sample {image.name}")
    first = 1 if entry.layout == "NHWC" else 2
    if size:
        rows, columns = size if len(size) == 2 else size[first : first + 2]
        entry = entry._replace(fit="stretch", resize=None, crop=None, size=(rows, columns))
    picture = load(image)
    try:
        tensor = prepare(picture.values, picture.info, entry)[None]
    except InputError as error:
        error.source = error.source or picture.name
        raise
    batch = size[0] if len(size) == 4 else entry.batch or 1
    return {entry.name: tensor.repeat(batch, axis=0)}


def _noise(network: Network, size: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Make inputs of the shapes that the file says, or of the one that was asked for."""
    import numpy as np

    from cnntool.nets.layers.shapes import choose_inputs, lengths

    chosen = choose_inputs(network.graph, network.found.spec, size)
    draw = np.random.default_rng(0)
    feeds = {}
    for info in network.graph.inputs:
        stated = chosen.get(info.name, info.shape or ())
        open_batch = stated and not isinstance(stated[0], int)
        shape = lengths(info._replace(shape=(1, *stated[1:]) if open_batch else stated))
        if info.shape is None or shape is None:
            raise ModelError(
                f"nothing says how large its input {info.name!r} is",
                source=network.name,
                hint="`input_size` says it, of a network with one input",
            )
        real = info.dtype in {"float16", "float32", "float64"}
        values = draw.standard_normal(shape) if real else np.zeros(shape)
        feeds[info.name] = values.astype(info.dtype)
    return feeds


class _Row:
    """A row that is being gathered: kernels with the same layer."""

    def __init__(self, layer: Layer | None, name: str, node: Node | None, tensor: str) -> None:
        self.layer, self.name, self.node, self.tensor = layer, name, node, tensor
        self.kernels: list[Kernel] = []
        self.nodes: dict[int, Node] = {}


def _rows(
    network: Network, kernels: Sequence[Kernel], shape: Sequence[int], total: float
) -> list[LayerTime]:
    """Gather kernels by the layers that they compute."""
    from cnntool.nets.inference.profile import assign, named_tensor, tensors_of
    from cnntool.nets.inference.summary import summarise
    from cnntool.nets.layers.dataflow import result

    graph, layers = network.graph, network.read_layers()
    costs = {
        line.layer.number: line.multiply_adds
        for line in summarise(graph, layers, network.shapes(shape)).lines
    }
    layer_of = {index: row for row in layers.rows for index in row.members}
    rows: dict[object, _Row] = {}
    known = tensors_of(graph)
    meant: dict[str, str] = {}
    assigned = assign(graph, layers.flow, kernels)
    for place, (kernel, own) in enumerate(zip(kernels, assigned, strict=True)):
        nodes = own or _step(kernels[place:], assigned[place:])
        layer = _main(kernel, nodes, layer_of, costs)
        if layer is not None:
            row = rows.setdefault(
                layer.number, _Row(layer, layer.alias or layer.counted, None, layer.pre)
            )
        elif nodes:
            node = next((n for n in reversed(nodes) if n.op == kernel.op), nodes[-1])
            row = rows.setdefault(("node", node.index), _Row(None, node.op, node, result(node)))
        else:
            names = (*kernel.outputs, *kernel.inputs, kernel.name)
            told = (named_tensor(name, known) or meant.get(name, "") for name in names)
            tensor = next(filter(None, told), "")
            row = rows.setdefault(kernel, _Row(None, _INSERTED + kernel.op, None, tensor))
        meant.update(dict.fromkeys(kernel.outputs, result(nodes[-1]) if nodes else row.tensor))
        row.kernels.append(kernel)
        row.nodes.update((node.index, node) for node in nodes)
    shown = {row.layer.number for row in rows.values() if row.layer}
    return [_told(row, layer_of, costs, shown, total) for row in rows.values()]


def _step(kernels: Sequence[Kernel], assigned: Sequence[Sequence[Node]]) -> Sequence[Node]:
    """Find the operator that the first kernel computes a part of, for one that follows."""
    first, *rest = kernels
    if first.moves:
        return []
    following = zip(rest, assigned[1:], strict=True)
    return next((n for k, n in following if not {*first.outputs}.isdisjoint(k.inputs)), [])


def _main(
    kernel: Kernel,
    nodes: Sequence[Node],
    layer_of: dict[int, Layer],
    costs: dict[int, int | None],
) -> Layer | None:
    """Choose the layer that a kernel is known by: the costliest, else the one of its operator."""
    layers = [layer_of[node.index] for node in nodes if node.index in layer_of]
    if not layers:
        return None
    plain = kernel.op.removeprefix("QLinear").removeprefix("Fused")
    return max(
        layers,
        key=lambda row: (
            costs[row.number] or 0,
            row.op in {kernel.op, plain},
            row.kind not in {"relu", "activation", "norm"},
        ),
    )


def _told(
    row: _Row,
    layer_of: dict[int, Layer],
    costs: dict[int, int | None],
    shown: set[int],
    total: float,
) -> LayerTime:
    """Sum up a row."""
    others: dict[str, None] = {}
    counted = {row.layer.number: costs[row.layer.number]} if row.layer else {}
    for index, node in row.nodes.items():
        layer = layer_of.get(index)
        if layer is None:
            if node is not row.node:
                others[node.op] = None
        elif layer.number not in shown:
            others[layer.alias or layer.counted] = None
            counted[layer.number] = costs[layer.number]
    milliseconds = sum(kernel.milliseconds for kernel in row.kernels)
    macs = None if None in counted.values() else sum(filter(None, counted.values()))
    return LayerTime(
        number=row.layer.number if row.layer else None,
        layer=row.name,
        tensor=row.tensor,
        type=row.layer.op if row.layer else row.kernels[0].op,
        milliseconds=milliseconds,
        share=milliseconds / total if total else 0.0,
        multiply_adds=macs,
        gmacs=macs / milliseconds / 1e6 if macs and milliseconds else None,
        moved=sum(kernel.moved for kernel in row.kernels),
        provider=", ".join(dict.fromkeys(kernel.provider for kernel in row.kernels)),
        fused=tuple(others),
        kernels=tuple(
            op if count == 1 else f"{count} {op}"
            for op, count in Counter(kernel.op for kernel in row.kernels).items()
        ),
    )
