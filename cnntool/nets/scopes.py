"""Scopes: the modules that nodes lie in, as exporters write them down.

PyTorch's newer exporter notes the modules with every node; the older one and the converter of
TensorFlow's networks put them into the paths of names. All of them become one list of modules.
What leaves a module is found out in `cnntool.nets.calls`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from .flow import operand, result
from .following import NOTE, folds_norm, kernel_of
from .names import (
    is_inserted,
    noted_scopes,
    owner,
    path_scopes,
    split_count,
    torch_modules,
)
from .operators import BIAS, QUANTISING, is_activation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .flow import Flow
    from .graph import Graph, Node
    from .rows import Layer

_MERGED = "merged_input"
"""What tf2onnx calls the kernel of a convolution that it has put a batch norm into."""

Number = tuple[int, ...]
"""Tells the calls of a module apart; the smaller one came first."""


class Place(NamedTuple):
    """Where a node lies.

    Parameters
    ----------
    modules : tuple of str
        The modules around it by their whole names, outermost first; none around what belongs to
        the network itself.
    calls : tuple of Number or None
        In which call of each of them it was made, where the exporter tells.
    """

    modules: tuple[str, ...]
    calls: tuple[Number | None, ...]


class Scope(NamedTuple):
    """A module that was called.

    Parameters
    ----------
    name : str
        Its whole name: ``layer1.0.conv1``, ``vgg16/block4_conv2``.
    depth : int
        How many modules are around it.
    nodes : list of int
        Indices of the nodes in it, and in the modules in it, in their order.
    calls : list of Number or None
        In which call of it each of them was made, where the exporter tells.
    """

    name: str
    depth: int
    nodes: list[int]
    calls: list[Number | None]


class Found(NamedTuple):
    """A module that a name means, and which call of it if the name says so."""

    scope: Scope
    call: Number | None = None


class _Names:
    """Modules by name."""

    def __init__(self) -> None:
        self._whole: dict[str, list[Found]] = {}
        self._last: dict[str, list[tuple[str, Found]]] = {}

    def add(self, name: str, found: Found) -> None:
        self._whole.setdefault(name, []).append(found)
        self._last.setdefault(name.rpartition("/")[2], []).append((f"/{name}", found))

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def whole(self, name: str) -> list[Found]:
        return self._whole.get(name, [])

    def is_common(self, last: str) -> bool:
        return len(self._last[last]) > 1

    def ending(self, query: str) -> list[Found]:
        """Find the modules whose names end with whole parts of a path."""
        last = self._last.get(query.rpartition("/")[2], ())
        return [found for name, found in last if name.endswith(f"/{query}")]


class Scopes:
    """Every module of a network, by name.

    Parameters
    ----------
    graph, flow : Graph, Flow
        The network.
    rows : sequence of Layer
        Its layers.

    Attributes
    ----------
    places : list of Place or None
        Where each node lies; None for what an exporter put in between.
    torch : bool
        Whether the modules are PyTorch's, which have one whole name each. Layers of Keras are
        known by the last part of theirs.
    renamed : bool
        Whether Keras 3 has put a number behind every name; they stand here without.
    """

    def __init__(self, graph: Graph, flow: Flow, rows: Sequence[Layer]) -> None:
        reader = _Reader(graph, flow)
        self.places, self.torch, self.renamed = reader.places, reader.torch, reader.renamed
        for row in rows:  # an activation that the exporter made up belongs to what it ends
            if self.places[row.last] is None:
                self.places[row.last] = self.places[row.members[0]]
        self._scopes: dict[str, Scope] = {}
        for index, place in enumerate(self.places):
            if flow.data.isdisjoint(graph.nodes[index].outputs):
                continue
            for depth, (name, call) in enumerate(zip(*place, strict=True) if place else ()):
                self._enter(index, depth, name, call)
            for also in reader.merged.get(index, ()):
                for depth, (name, call) in enumerate(zip(*also, strict=True)):
                    if place is None or name not in place.modules:
                        self._enter(index, depth, name, call)
        self._known, self._written = _Names(), _Names()
        for name, scope in self._scopes.items():
            self._known.add(name, Found(scope))
        for name, module, call in reader.written:
            if module in self._scopes:
                self._written.add(name, Found(self._scopes[module], call))
        tops = {scope.name for scope in self._scopes.values() if not scope.depth}
        self._around = f"{tops.pop()}{'.' if self.torch else '/'}" if len(tops) == 1 else ""

    def _enter(self, index: int, depth: int, name: str, call: Number | None) -> None:
        scope = self._scopes.setdefault(name, Scope(name, depth, [], []))
        scope.nodes.append(index)
        scope.calls.append(call)

    def __iter__(self) -> Iterator[Scope]:
        return iter(self._scopes.values())

    def modules_of(self, name: str) -> tuple[str, ...]:
        """Name the layers of Keras that the path of a tensor's name leads through."""
        parts = path_scopes(name)
        return _paths([split_count(part)[0] for part in parts] if self.renamed else parts)

    def complete(self, query: str) -> list[Found]:
        """Find the module of PyTorch with just this name, or this path in the file."""
        if not self.torch:
            return []
        return self._known.whole(query) or self._written.whole(query.strip("/"))

    def find(self, query: str) -> list[Found]:
        """Find the modules that a name may mean.

        The whole name counts first, then the whole name within the one module that all others are
        in, then, of Keras' layers, the last parts of names. Where Keras 3 has renamed everything
        the names that it was given count before those in the file. Where that is not clear both
        count.
        """
        query = query.strip("/")
        known, written = self._search(self._known, query), self._search(self._written, query)
        if self.torch or self.renamed:
            return known or written
        return known + [found for found in written if found not in known]

    def _search(self, names: _Names, query: str) -> list[Found]:
        found = names.whole(query) or (self._around and names.whole(self._around + query)) or []
        return found or ([] if self.torch else names.ending(query))

    def short(self, scope: Scope) -> str:
        """Return the name to ask for a module by: the last part if that means only this one."""
        last = scope.name.rpartition("/")[2]
        return scope.name if self.torch or self._known.is_common(last) else last


class _Reader:
    """Reads from names, and from what is noted, where nodes lie."""

    def __init__(self, graph: Graph, flow: Flow) -> None:
        self._graph, self._flow = graph, flow
        self.places: list[Place | None] = [None] * len(graph.nodes)
        self.written: dict[tuple[str, str, Number | None], None] = {}
        self.merged: dict[int, list[Place]] = {}
        scripted: dict[int, tuple[str, ...]] = {}
        bare: list[int] = []
        paths: dict[int, tuple[str, ...]] = {}
        for node in graph.nodes:
            if node.op in QUANTISING:
                continue
            note = node.metadata.get(NOTE)
            if note is not None:
                modules = noted_scopes(note)
                self.places[node.index] = _unnumbered(modules)
                continue
            name = next((n for n in (node.name, result(node)) if "/" in n), "")
            if name.startswith("/"):
                scripted[node.index] = path_scopes(name)
            elif name:
                paths[node.index] = path_scopes(name)
            elif is_inserted(node.name or result(node)):
                path = self._of_weights(node)
                if path:
                    paths[node.index] = path
            else:
                bare.append(node.index)
        noted = any(self.places)
        if noted:
            self._merge_noted()
        for index in () if noted else bare:  # where others have notes, one without lost its own
            self.places[index] = Place((), ())
        self.torch = bool(scripted) or any(place and place.modules for place in self.places)
        self.renamed = False
        self._place_scripted(scripted)
        self._place_paths(paths)

    def _of_weights(self, node: Node) -> tuple[str, ...]:
        """Find out from its weights to which layer a node belongs that has lost its name."""
        kernel = kernel_of(node)
        bias = operand(node, BIAS[node.op]) if kernel and node.op in BIAS else ""
        own, added = path_scopes(kernel), path_scopes(bias)
        alone = len(self._graph.consumers.get(bias, ())) == 1
        return added if added and alone and (_MERGED in kernel or not own) else own

    def _merge_noted(self) -> None:
        """Let convolutions that a batch norm took along lie in their own modules, too."""
        called = {module for place in self.places if place for module in place.modules}
        for node in self._graph.nodes:
            place = self.places[node.index]
            kernel = kernel_of(node) if place and NOTE in node.metadata else ""
            own = owner(kernel) if kernel and folds_norm(node) else ""
            if own:
                parts = own.split(".")
                around = (".".join(parts[:end]) for end in range(1, len(parts)))
                modules = (*(module for module in around if module in called), own)
                self.merged[node.index] = [_unnumbered(modules)]

    def _place_scripted(self, scripted: dict[int, tuple[str, ...]]) -> None:
        """Read the paths of TorchScript: a second call of ``relu`` stands there as ``relu_1``."""
        own: dict[tuple[str, ...], list[Node]] = {}
        for index, parts in scripted.items():
            node = self._graph.nodes[index]
            if not self._flow.data.isdisjoint(node.outputs):
                own.setdefault(parts, []).append(node)
        around = {parts[:end] for parts in own for end in range(1, len(parts))}
        calls: dict[tuple[str, ...], tuple[tuple[str, ...], int]] = {}
        for parts in sorted(own, key=lambda parts: split_count(parts[-1])[1] if parts else 0):
            calls[parts] = parts, 0
            name, count = split_count(parts[-1]) if parts else ("", 0)
            if not count or parts in around:
                continue
            base = (*parts[:-1], name)
            before = (*parts[:-1], f"{name}_{count - 1}") if count > 1 else base
            if calls.get(before) == (base, count - 1) and self._alike(own[base], own[parts], parts):
                calls[parts] = base, count
        for index, parts in scripted.items():
            base, count = calls.get(parts, (parts, 0))
            modules = torch_modules(base)
            numbers = (*(None for _ in modules[:-1]), (count,))[: len(modules)]
            self.places[index] = Place(modules, numbers)
            for end, module in enumerate(modules, 1):
                call = (count,) if count and end == len(modules) else None
                self.written["/".join(parts[:end]), module, call] = None
            if count:
                self.written[torch_modules(parts)[-1], modules[-1], (count,)] = None

    def _alike(self, first: Sequence[Node], other: Sequence[Node], path: Sequence[str]) -> bool:
        """Tell whether nodes can be another call of a module: they do the same, by the same weights."""
        module = torch_modules(path)[-1]
        return [node.op for node in first] == [node.op for node in other] and all(
            self._same_weight(weight, another, module)
            for one, two in zip(first, other, strict=True)
            for weight, another in zip(one.inputs, two.inputs, strict=False)
        )

    def _same_weight(self, tensor: str, other: str, module: str) -> bool:
        if tensor == other or tensor in self._flow.data or other in self._flow.data:
            return True
        if owner(other) == module:
            return False
        weight, another = self._flow.weight(tensor), self._flow.weight(other)
        if weight is None or another is None or prod(weight.shape) == 1:
            return True
        if weight.shape != another.shape or weight.dtype != another.dtype:
            return False
        return bool((weight.read() == another.read()).all())

    def _place_paths(self, paths: dict[int, tuple[str, ...]]) -> None:
        """Read the paths of TensorFlow's names.

        Keras 3 calls every layer within a name of its own, which TensorFlow has to make unique:
        ``conv2d`` becomes ``conv2d_1`` or, if that is taken, ``conv2d_2``; the next call of it gets
        the next free number. So where the model and all its layers have one, the names are those
        without, and the numbers tell the calls.
        """
        nodes = self._graph.nodes
        named = [parts for i, parts in paths.items() if parts and not is_inserted(nodes[i].name)]
        numbered = bool(named) and all(split_count(parts[0])[1] for parts in named)
        inner = {parts[1] for parts in named if len(parts) > 1}
        self.renamed = numbered and all(split_count(part)[1] for part in inner)
        for index, parts in paths.items():
            self.places[index] = self._place_path(parts, numbered=numbered)
            kernel = kernel_of(nodes[index])
            if _MERGED in kernel:
                place = self._place_path(path_scopes(kernel), numbered=numbered)
                self.merged.setdefault(index, []).append(place)
        self._merge_joined(paths, numbered=numbered)

    def _merge_joined(self, paths: dict[int, tuple[str, ...]], *, numbered: bool) -> None:
        """Read the names of layers that TFLite made one, joined by ``;``, the last layer's first.

        A name that several nodes have came with a constant that they share. An activation that
        was part of the node is one of its own here, without a name.
        """
        nodes = self._graph.nodes
        claims: dict[tuple[str, ...], set[int]] = {}
        for index, parts in paths.items():
            claims.setdefault(parts, set()).add(index)
        joined: dict[int, list[tuple[str, ...]]] = {}
        for index in paths:
            *_, others = (nodes[index].name or result(nodes[index])).partition(";")
            for name in filter(None, others.split(";")):
                parts = path_scopes(name)
                joined.setdefault(index, []).append(parts)
                claims.setdefault(parts, set()).add(index)
        for index, several in joined.items():
            self.merged.setdefault(index, []).extend(
                self._place_path(parts, numbered=numbered)
                for parts in dict.fromkeys(several)
                if parts and claims[parts] == {index}
            )
            follower = self._flow.follower(result(nodes[index]))
            if follower and self.places[follower.index] is None and is_activation(follower):
                self.places[follower.index] = self.places[index]

    def _place_path(self, parts: tuple[str, ...], *, numbered: bool) -> Place:
        pairs = [split_count(part) for part in parts]
        bare = tuple(name for name, _ in pairs)
        modules = _paths(bare if self.renamed else parts)
        numbers = tuple(count for _, count in pairs) if self.renamed else (0,) * len(parts)
        calls = tuple(numbers[:end] for end in range(1, len(parts) + 1))
        written = _paths(parts if self.renamed else bare) if numbered else modules
        for name, module, call in zip(written, modules, calls, strict=True):
            if name != module:
                self.written[name, module, call] = None
        return Place(modules, calls)


def _unnumbered(modules: tuple[str, ...]) -> Place:
    return Place(modules, (None,) * len(modules))


def _paths(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple("/".join(parts[:end]) for end in range(1, len(parts) + 1))
