"""Keras names by place: ``block4_conv2`` is the second convolution after the third pooling.

The names are those of Keras' VGG. The main path leads from the picture to the scores through as
many convolutions as can be, and things are counted along it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.layers.dataflow import result
from cnntool.nets.layers.layer_list import is_global
from cnntool.nets.layers.receptive_field import read_window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.receptive_field import ReceptiveField

_BEHIND_SCORES = frozenset({"softmax", "activation", "relu", "reshape", "scale", "norm"})


class _Way(NamedTuple):
    """The way to a tensor through as many convolutions as can be.

    Parameters
    ----------
    node : Node or None
        What makes the tensor; None for an input.
    source : str
        The tensor before it on the way.
    convolutions : int
        On the way.
    pooled : bool
        Whether a global pool lies on it. No maps come from there: what joins maps again, as a
        squeeze and excitation does, is no main path.
    """

    node: Node | None
    source: str
    convolutions: int
    pooled: bool


def find_aliases(
    graph: Graph, flow: Dataflow, rows: Sequence[Layer], fields: Mapping[str, ReceptiveField]
) -> dict[int, str]:
    """Name layers by their place.

    ``blockN_convM`` is the M-th convolution of a block on the main path; the next block begins
    behind a pooling or, in nets without poolings, behind a convolution of stride 2.
    ``blockN_pool`` is the pooling that ends a block; ``flatten``, ``fc1``... and ``predictions``
    are what comes behind the last map. A convolution that makes one place of a whole map counts as
    a dense layer. One that is not on the main path is called after its place on the longest
    way to it, with a letter: ``block4_conv2b``.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    rows : sequence of Layer
        Its layers.
    fields : mapping of str to ReceptiveField
        What is known of its maps.

    Returns
    -------
    dict of int to str
        The names, by the numbers of the layers.
    """
    return _Naming(graph, flow, rows, fields).names()


class _Naming:
    """What has to be known to name the layers of a network."""

    def __init__(
        self,
        graph: Graph,
        flow: Dataflow,
        rows: Sequence[Layer],
        fields: Mapping[str, ReceptiveField],
    ) -> None:
        self._graph = graph
        self._flow = flow
        self._fields = fields
        self._rows = {row.members[0]: row for row in rows}
        self._ways = self._find_ways()
        self._path = self._follow_back()

    def names(self) -> dict[int, str]:
        """Name the layers."""
        head = self._find_head()
        by_pools = any(self._is_pooling(row) for row in self._path)
        main = {row.number for row in self._path}
        names = self._name_head(head)
        places = {info.name: (1, 0) for info in self._graph.inputs}
        used: Counter[str] = Counter()
        for tensor, way in self._ways.items():
            if way.node is None:
                continue
            block, count = places[way.source]
            row = self._rows.get(way.node.index)
            first = tensor == result(way.node)
            if row is not None and row.kind == "conv":
                count += 1
                if first and row.number not in names:
                    name = f"block{block}_conv{count}"
                    if row.number not in main:
                        used[name] += 1
                        name += _letter(used[name])
                    names[row.number] = name
                if not by_pools and self._strides(way.node):
                    block, count = block + 1, 0
            elif row is not None and by_pools and self._is_pooling(row):
                if first and row.number in main:
                    names[row.number] = f"block{block}_pool"
                block, count = block + 1, 0
            places[tensor] = block, count
        return names

    def _find_ways(self) -> dict[str, _Way]:
        ways = {info.name: _Way(None, "", 0, pooled=False) for info in self._graph.inputs}

        def merit(tensor: str) -> tuple[bool, int]:
            return not ways[tensor].pooled, ways[tensor].convolutions

        for node in self._graph.nodes:
            sources = [tensor for tensor in self._flow.data_inputs(node) if tensor in ways]
            if not sources:
                continue
            best = max(sources, key=merit)  # the first one of equals
            row = self._rows.get(node.index)
            count = ways[best].convolutions + (row is not None and row.kind == "conv")
            pooled = ways[best].pooled or (row is not None and self._is_global(row))
            for tensor in filter(None, node.outputs):
                ways[tensor] = _Way(node, best, count, pooled)
        return ways

    def _follow_back(self) -> list[Layer]:
        """List the layers of the main path; it leads to the output behind most convolutions."""
        ways = self._ways
        ends = [info.name for info in self._graph.outputs if info.name in ways]
        tensor = max(ends, key=lambda end: ways[end].convolutions, default="")
        path = []
        while tensor:
            node = ways[tensor].node
            if node is not None and node.index in self._rows:
                path.append(self._rows[node.index])
            tensor = ways[tensor].source
        return path[::-1]

    def _find_head(self) -> list[Layer]:
        """List what comes behind the last map: the dense layers at the end of the main path."""
        head = []
        for row in reversed(self._path):
            if row.kind == "dense" or (row.kind == "conv" and self._is_dense(row)):
                head.append(row)
            elif row.kind == "conv":
                break
        return head[::-1]

    def _name_head(self, head: list[Layer]) -> dict[int, str]:
        names: dict[int, str] = {}
        hidden = list(head)
        behind = self._path[self._path.index(head[-1]) + 1 :] if head else []
        if head and all(row.kind in _BEHIND_SCORES for row in behind):
            names[hidden.pop().number] = "predictions"
        elif not head and self._path and self._ways[self._path[-1].pre].pooled:
            names[self._path[-1].number] = "predictions"
        names |= {row.number: f"fc{number}" for number, row in enumerate(hidden, 1)}
        if head and head[0].kind == "dense":
            before = self._path[: self._path.index(head[0])]
            for row in _last_until(before, "reshape", stop="conv"):
                names[row.number] = "flatten"
        return names

    def _is_dense(self, row: Layer) -> bool:
        """Tell whether a convolution makes one place, of a whole map or of one place."""
        field = self._fields.get(row.pre)
        return field is not None and field.whole and field.is_point

    def _is_global(self, row: Layer) -> bool:
        if row.kind != "pool":
            return False
        node = self._graph.nodes[row.members[0]]
        field = self._fields.get(row.pre)
        return is_global(self._flow, node) or (field is not None and field.whole and field.is_point)

    def _is_pooling(self, row: Layer) -> bool:
        """Tell whether a layer is a pool that makes maps smaller, and leaves maps."""
        node = self._graph.nodes[row.members[0]]
        return row.kind == "pool" and not self._is_global(row) and self._strides(node)

    def _strides(self, node: Node) -> bool:
        window = read_window(self._flow, node)
        return window is not None and not window.up and max(window.stride) > 1


def _last_until(rows: Sequence[Layer], kind: str, *, stop: str) -> Iterable[Layer]:
    """Yield the last layer of a kind, unless another kind comes behind it."""
    for row in reversed(rows):
        if row.kind == kind:
            yield row
            return
        if row.kind == stop:
            return


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"_{number}"
