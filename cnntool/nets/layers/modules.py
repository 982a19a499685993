"""Which modules the nodes of a network lie in, as exporters write it down.

PyTorch's newer exporter notes the modules with every node; the older one and the converter of
TensorFlow's networks put them into the paths of names.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.layers.dataflow import (
    ARRANGING,
    BIAS,
    FACTORS,
    KERNEL,
    QUANTISING,
    is_activation,
    operand,
    result,
)
from cnntool.nets.layers.layer_list import NOTE, folds_norm, kernel_of
from cnntool.nets.layers.names import (
    is_inserted,
    noted_scopes,
    owner,
    path_scopes,
    split_count,
    torch_modules,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer

_MERGED = "merged_input"
"""What tf2onnx calls the kernel of a convolution that it has put a batch norm into."""

_COMPUTES = re.compile(
    r"/(Conv\w*|depthwise\w*|convolution\w*|separable_conv2d\w*|BiasAdd|FusedBatchNorm\w*|MatMul"
    r"|(add|mul|sub|Add|Mul|Sub)(V2)?(_\d+)?)(:0)?\Z"
)
"""Ends of names that say what a node does last, not what is done before it, as padding is."""

Number = tuple[int, ...]
"""Tells the calls of a module apart; the smaller one came first."""


class ModulePlace(NamedTuple):
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
    graph, flow : Graph, Dataflow
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

    def __init__(self, graph: Graph, flow: Dataflow) -> None:
        self._graph, self._flow = graph, flow
        self.places: list[ModulePlace | None] = [None] * len(graph.nodes)
        self.written: dict[tuple[str, str, Number | None], None] = {}
        self.merged: dict[int, list[ModulePlace]] = {}
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
            self.places[index] = ModulePlace((), ())

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
            self.places[index] = ModulePlace(modules, numbers)
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

    def _place_path(self, parts: tuple[str, ...], *, numbered: bool) -> ModulePlace:
        pairs = [split_count(part) for part in parts]
        bare = tuple(name for name, _ in pairs)
        modules = modules_around(bare if self.renamed else parts)
        numbers = tuple(count for _, count in pairs) if self.renamed else (0,) * len(parts)
        calls = tuple(numbers[:end] for end in range(1, len(parts) + 1))
        written = modules_around(parts if self.renamed else bare) if numbered else modules
        for name, module, call in zip(written, modules, calls, strict=True):
            if name != module:
                self.written[name, module, call] = None
        return ModulePlace(modules, calls)


def _unnumbered(modules: tuple[str, ...]) -> ModulePlace:
    return ModulePlace(modules, (None,) * len(modules))


def modules_around(parts: Sequence[str]) -> tuple[str, ...]:
    """Name the scopes that a path leads through, outermost first."""
    return tuple("/".join(parts[:end]) for end in range(1, len(parts) + 1))


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


class FoundScope(NamedTuple):
    """A module that a name means, and which call of it if the name says so."""

    scope: Scope
    call: Number | None = None


class _Names:
    """Modules by name."""

    def __init__(self) -> None:
        self._whole: dict[str, list[FoundScope]] = {}
        self._last: dict[str, list[tuple[str, FoundScope]]] = {}

    def add(self, name: str, found: FoundScope) -> None:
        self._whole.setdefault(name, []).append(found)
        self._last.setdefault(name.rpartition("/")[2], []).append((f"/{name}", found))

    def whole(self, name: str) -> list[FoundScope]:
        return self._whole.get(name, [])

    def is_common(self, last: str) -> bool:
        return len(self._last[last]) > 1

    def ending(self, query: str) -> list[FoundScope]:
        """Find the modules whose names end with whole parts of a path."""
        last = self._last.get(query.rpartition("/")[2], ())
        return [found for name, found in last if name.endswith(f"/{query}")]


class Scopes:
    """Every module of a network, by name.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
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
    noted : bool
        Whether the exporter noted the modules, instead of putting them into names.
    renamed : bool
        Whether Keras 3 has put a number behind every name; they stand here without.
    """

    def __init__(self, graph: Graph, flow: Dataflow, rows: Sequence[Layer]) -> None:
        placed = Placed(graph, flow)
        self.places, self.noted = placed.places, placed.noted
        self.torch, self.renamed = placed.torch, placed.renamed
        for row in rows:  # an activation that the exporter made up belongs to what it ends
            if self.places[row.last] is None:
                self.places[row.last] = self.places[row.members[0]]
        self._scopes: dict[str, Scope] = {}
        for index, place in enumerate(self.places):
            if not flow.data.isdisjoint(graph.nodes[index].outputs):
                self._enter(index, [place, *placed.merged.get(index, ())])
        self._known, self._written = _Names(), _Names()
        for name, scope in self._scopes.items():
            self._known.add(name, FoundScope(scope))
        for name, module, call in placed.written:
            if module in self._scopes:
                self._written.add(name, FoundScope(self._scopes[module], call))
        self._around = self._wrapping()

    def _wrapping(self) -> list[str]:
        """List the modules that all others are in, each with the end of a path."""
        levels: dict[int, list[str]] = {}
        for scope in self._scopes.values():
            levels.setdefault(scope.depth, []).append(scope.name)
        around = []
        for depth in sorted(levels):
            if len(levels[depth]) > 1:
                break
            around.append(levels[depth][0] + ("." if self.torch else "/"))
        return around

    def _enter(self, index: int, places: Sequence[ModulePlace | None]) -> None:
        """Put a node into all modules around it."""
        known: set[str] = set()
        for place in filter(None, places):
            for depth, (name, call) in enumerate(zip(*place, strict=True)):
                if name not in known:
                    scope = self._scopes.setdefault(name, Scope(name, depth, [], []))
                    scope.nodes.append(index)
                    scope.calls.append(call)
            known.update(place.modules)

    def __iter__(self) -> Iterator[Scope]:
        return iter(self._scopes.values())

    def modules_of(self, name: str) -> tuple[str, ...]:
        """Name the layers of Keras that the path of a tensor's name leads through."""
        parts = path_scopes(name)
        return modules_around([split_count(part)[0] for part in parts] if self.renamed else parts)

    def complete(self, query: str) -> list[FoundScope]:
        """Find the module of PyTorch with just this name, or this path in the file."""
        if not self.torch:
            return []
        return self._known.whole(query) or self._written.whole(query.strip("/"))

    def find(self, query: str) -> list[FoundScope]:
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

    def _search(self, names: _Names, query: str) -> list[FoundScope]:
        for before in ("", *self._around):
            if found := names.whole(before + query):
                return found
        return [] if self.torch else names.ending(query)

    def short(self, scope: Scope) -> str:
        """Return the name to ask for a module by: the last part if that means only this one."""
        last = scope.name.rpartition("/")[2]
        return scope.name if self.torch or self._known.is_common(last) else last


_CALL = "pkg.torch.onnx.fx_node"
_NAMES = re.compile(r"%(\w+)")
_SHAPING = ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t_",
            "squeeze", "unsqueeze", "expand", "pad", "constant_pad", "slice")  # fmt: skip
"""How PyTorch's calls are named that a later one may have swallowed."""

_CLASSES = "pkg.torch.onnx.class_hierarchy"
_LIBRARY = "torch.nn.modules."


class ModuleOutput(NamedTuple):
    """What a call of a module gives.

    Parameters
    ----------
    tensors : tuple of str
        All that leaves it; more than one where it gives several, or where it cannot be told which
        of them is its output.
    number, total : int
        Which call it is of how many, from 1; 0 where that cannot be told.
    clear : bool
        Whether the exporter says of all nodes behind the tensors whose they are. If it does not,
        the module may go on beyond them.
    members : list of int
        Indices of the nodes of the call.
    """

    tensors: tuple[str, ...]
    number: int
    total: int
    clear: bool
    members: list[int]


class Calls:
    """Finds out what leaves the modules of a network.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    scopes : Scopes
        Its modules.
    """

    def __init__(self, graph: Graph, flow: Dataflow, scopes: Scopes) -> None:
        self._graph, self._flow, self._scopes = graph, flow, scopes
        self._places = scopes.places
        self._results = {info.name for info in graph.outputs}
        self._known: dict[str, tuple[ModuleOutput, ...]] = {}

    def of(self, scope: Scope) -> tuple[ModuleOutput, ...]:
        """List what each call of a module gives."""
        if scope.name not in self._known:
            parts = self._numbered(scope) or self._repeated(scope)
            outputs = [self._leaving(scope, part) for part in parts]
            told = len(self._told(scope))
            if told > len(parts) or (len(parts) > 1 and not self._apart(scope, outputs)):
                tensors = tuple(t for output in outputs for t in output.tensors)
                clear = told <= len(parts) and all(output.clear for output in outputs)
                self._known[scope.name] = (ModuleOutput(tensors, 0, 0, clear, scope.nodes),)
            else:
                self._known[scope.name] = tuple(
                    output._replace(number=number, total=len(parts))
                    for number, output in enumerate(outputs, 1)
                )
        return self._known[scope.name]

    def place_of(self, scope: Scope, call: Number) -> int:
        """Tell which call of a module a number of the exporter means, from 1; 0 if none."""
        numbers = sorted(self._told(scope))
        return numbers.index(call) + 1 if call in numbers else 0

    def _told(self, scope: Scope) -> set[Number]:
        return {number for number in scope.calls if number is not None}

    def _numbered(self, scope: Scope) -> list[list[int]]:
        """Sort the nodes of a module by its calls; empty where the exporter does not tell them."""
        calls: dict[Number, list[int]] = {}
        for index, number in zip(scope.nodes, scope.calls, strict=True):
            if number is None:
                return []
            calls.setdefault(number, []).append(index)
        return [calls[number] for number in sorted(calls)]

    def _repeated(self, scope: Scope) -> list[list[int]]:
        """Split the nodes of a module where they begin to do the same once more."""
        nodes = scope.nodes
        told = self._told(scope)
        if len(told) == 1:
            return [nodes]
        period = _period([self._trait(scope, index) for index in nodes])
        if told:
            period = (
                len(nodes) // len(told) if len(nodes) // period % len(told) == 0 else len(nodes)
            )
        return [nodes[start : start + period] for start in range(0, len(nodes), period)]

    def _trait(self, scope: Scope, index: int) -> Hashable:
        return self._graph.nodes[index].op, self._inner(scope, index)

    def _inner(self, scope: Scope, index: int) -> tuple[str, ...]:
        """Name the modules in a module that a node of it lies in."""
        place = self._places[index]
        within = place is not None and scope.name in place.modules
        return place.modules[scope.depth + 1 :] if place and within else ()

    def _apart(self, scope: Scope, outputs: Sequence[ModuleOutput]) -> bool:
        """Tell whether what is done again and again is done in a call each, not in a loop within.

        It is if the exporter counts the calls, if what is done once is used outside, and if the
        module is one of PyTorch's own, which have no loops.
        """
        told = self._told(scope)
        if told:
            return len(told) == len(outputs)
        if self._is_plain(scope):
            return True
        inside = {index for output in outputs for index in output.members}
        return all(
            self._fate(tensor, inside).leaves for output in outputs for tensor in output.tensors
        )

    def _is_plain(self, scope: Scope) -> bool:
        """Tell whether a module does each thing in it once: one without others, or a Sequential."""
        rest = [self._inner(scope, index) for index in scope.nodes]
        if all(rest):
            before = f"{scope.name}."
            return all(
                inner[0].startswith(before) and inner[0].removeprefix(before).isdecimal()
                for inner in rest
            )
        classes = self._graph.nodes[scope.nodes[0]].metadata.get(_CLASSES, "")
        kinds = [kind.strip(" '\"") for kind in classes.strip(" []").split(",")]
        return not any(rest) and len(kinds) > 1 and kinds[-2].startswith(_LIBRARY)

    def _leaving(self, scope: Scope, members: list[int]) -> ModuleOutput:
        inside = set(members)
        leaving: dict[str, bool] = {}
        entering: dict[str, bool] = {}
        unused: list[str] = []
        arranged: set[str] = set()
        for index in members:
            node = self._graph.nodes[index]
            enters = self._enters(node, inside, arranged)
            if enters:
                arranged.update(node.outputs)
            for tensor in node.outputs:
                if tensor in self._flow.data:
                    fate = self._fate(tensor, inside)
                    if fate.leaves:
                        (entering if enters else leaving)[tensor] = fate.clear
                    elif not fate.stays and tensor == result(node):
                        unused.append(tensor)
        found = leaving or entering or dict.fromkeys(unused, True)
        clear = all(found.values()) and not any(self._goes_on(scope, tensor) for tensor in found)
        return ModuleOutput(tuple(found), 1, 1, clear, members)

    def _goes_on(self, scope: Scope, tensor: str) -> bool:
        """Tell whether a node outside is given a tensor and a weight of the same module.

        Something that was done in the module is then done there, in one with what comes next.
        """
        inside = set(scope.nodes)
        for user in self._flow.users(tensor):
            for name in user.inputs if user.index not in inside else ():
                weighs = name not in self._flow.data and "/" in name
                if weighs and scope.name in self._scopes.modules_of(name):
                    users = self._graph.consumers.get(name, ())
                    if inside.isdisjoint(node.index for node in users):
                        return True
        return False

    def _enters(self, node: Node, inside: set[int], arranged: set[str]) -> bool:
        """Tell whether an exporter made up a node that only arranges what comes in from outside."""
        if node.op not in ARRANGING or not is_inserted(node.name):
            return False
        made = (
            (tensor, self._graph.producer_of.get(tensor)) for tensor in self._flow.data_inputs(node)
        )
        return all(
            tensor in arranged or maker is None or maker.index not in inside
            for tensor, maker in made
        )

    def _fate(self, tensor: str, inside: set[int]) -> _Fate:
        """Find out who uses a tensor, also behind nodes that an exporter put in between."""
        leaves, stays, clear = False, False, True
        ahead, seen = [(tensor, True)], {tensor}
        while ahead:
            tensor, sure = ahead.pop()
            if tensor in self._results:
                leaves, clear = True, clear and sure
            for user in self._flow.users(tensor):
                more = [t for t in user.outputs if t in self._flow.data and t not in seen]
                if user.index in inside:
                    stays = True
                elif self._places[user.index] is not None or self._is_layer(user):
                    leaves, clear = True, clear and sure and self._uses(user, tensor)
                else:  # what is made several things of was one thing in its module
                    known = user.op in ARRANGING or user.op in QUANTISING or len(more) > 1
                    seen.update(more)
                    ahead += [(t, sure and known) for t in more]
        return _Fate(leaves, stays, clear)

    def _uses(self, user: Node, tensor: str) -> bool:
        """Tell whether a node was given a tensor as it is, by PyTorch's note of the call.

        An exporter that joins two changes of shape leaves only the later one, and its module.
        """
        note = user.metadata.get(_CALL, "")
        arguments = _NAMES.findall(note.partition("args = ")[2])
        maker = self._graph.producer_of.get(tensor)
        made = _NAMES.findall(maker.metadata.get(_CALL, "") if maker else "")[:1]
        if tensor in arguments or not made or made[0] in arguments:
            return True
        return all(
            name in self._graph.producer_of or not name.startswith(_SHAPING) for name in arguments
        )

    def _is_layer(self, node: Node) -> bool:
        """Tell whether a node whose name is lost is a layer of its own: it has weights."""
        return (node.op in KERNEL or node.op in FACTORS) and len(self._flow.data_inputs(node)) == 1


class _Fate(NamedTuple):
    """Whether a tensor is used outside, whether inside, and whether it is clear who uses it."""

    leaves: bool
    stays: bool
    clear: bool


def _period(items: Sequence[Hashable]) -> int:
    """Return the length of the shortest piece that a sequence repeats (Knuth, Morris, Pratt)."""
    borders = [0] * len(items)
    length = 0
    for at in range(1, len(items)):
        while length and items[at] != items[length]:
            length = borders[length - 1]
        length += items[at] == items[length]
        borders[at] = length
    period = len(items) - length
    return period if len(items) % period == 0 else len(items)
