"""Which modules the nodes of a network lie in, as exporters write it down.

PyTorch's newer exporter notes the modules with every node; the older one and the converter of
TensorFlow's networks put them into the paths of names.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.flow import operand, result
from cnntool.nets.following import NOTE, folds_norm, kernel_of
from cnntool.nets.names import (
    is_inserted,
    noted_scopes,
    owner,
    path_scopes,
    split_count,
    torch_modules,
)
from cnntool.nets.operators import BIAS, QUANTISING, is_activation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Graph, Node

_MERGED = "merged_input"
"""What tf2onnx calls the kernel of a convolution that it has put a batch norm into."""

_COMPUTES = re.compile(
    r"/(Conv\w*|depthwise\w*|convolution\w*|separable_conv2d\w*|BiasAdd|FusedBatchNorm\w*|MatMul"
    r"|(add|mul|sub|Add|Mul|Sub)(V2)?(_\d+)?)(:0)?\Z"
)
"""Ends of names that say what a node does last, not what is done before it, as padding is."""

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


class Placed:
    """Reads from names, and from what is noted, where nodes lie.

    Parameters
    ----------
    graph, flow : Graph, Flow
        The network.

    Attributes
    ----------
    places : list of Place or None
        Where each node lies; None for what an exporter put in between.
    merged : dict of int to list of Place
        Where nodes lie, too, that do the work of several layers in one.
    written : iterable of (str, str, Number or None)
        Names of modules as they stand in the file, where these are not their names; the modules'
        names; and which call of them that is.
    torch : bool
        Whether the modules are PyTorch's.
    noted : bool
        Whether they are noted with the nodes.
    renamed : bool
        Whether Keras 3 has put a number behind every name.
    """

    def __init__(self, graph: Graph, flow: Flow) -> None:
        self._graph, self._flow = graph, flow
        self.places: list[Place | None] = [None] * len(graph.nodes)
        self.written: dict[tuple[str, str, Number | None], None] = {}
        self.merged: dict[int, list[Place]] = {}
        scripted: dict[int, tuple[str, ...]] = {}
        bare: list[int] = []
        paths: dict[int, tuple[str, ...]] = {}
        for node in graph.nodes:
            note = node.metadata.get(NOTE)
            name = next((n for n in (node.name, result(node)) if "/" in n), "")
            if node.op in QUANTISING:
                continue
            if note is not None:
                self.places[node.index] = _unnumbered(noted_scopes(note))
            elif name:
                (scripted if name.startswith("/") else paths)[node.index] = path_scopes(name)
            elif not is_inserted(node.name or result(node)):
                bare.append(node.index)
            elif path := self._of_weights(node):
                paths[node.index] = path
        self.noted = any(self.places)
        self._place_bare(bare)
        self.torch = bool(scripted) or any(place and place.modules for place in self.places)
        self.renamed = False
        self._place_scripted(scripted)
        self._place_paths(paths)

    def _place_bare(self, bare: Sequence[int]) -> None:
        """Place nodes without a path: where others have notes, they have lost theirs."""
        if self.noted:
            self._merge_noted()
            return
        for index in bare:
            self.places[index] = Place((), ())

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
            made = path_scopes(result(self._graph.nodes[index]))
            if made and made not in own:  # a quantiser removed a ReLU, and left its result's name
                self.merged[index] = [_unnumbered(torch_modules(made))]
            if count:
                self.written[torch_modules(parts)[-1], modules[-1], (count,)] = None

    def _alike(self, first: Sequence[Node], other: Sequence[Node], path: Sequence[str]) -> bool:
        """Tell whether nodes can be another call of a module: the same work by the same weights."""
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
            made = result(nodes[index]).partition(";")[0]  # called after a norm that is folded in
            for name in filter(_COMPUTES.search, (*others.split(";"), made)):
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
        modules = modules_around(bare if self.renamed else parts)
        numbers = tuple(count for _, count in pairs) if self.renamed else (0,) * len(parts)
        calls = tuple(numbers[:end] for end in range(1, len(parts) + 1))
        written = modules_around(parts if self.renamed else bare) if numbered else modules
        for name, module, call in zip(written, modules, calls, strict=True):
            if name != module:
                self.written[name, module, call] = None
        return Place(modules, calls)


def _unnumbered(modules: tuple[str, ...]) -> Place:
    return Place(modules, (None,) * len(modules))


def modules_around(parts: Sequence[str]) -> tuple[str, ...]:
    """Name the scopes that a path leads through, outermost first."""
    return tuple("/".join(parts[:end]) for end in range(1, len(parts) + 1))
