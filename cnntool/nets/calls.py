"""What leaves a module, call by call.

The output of a module is the tensor that is made in it and used outside: by another module, or
by whoever asked the network. A module that is called twice has two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.flow import result
from cnntool.nets.names import is_inserted
from cnntool.nets.operators import ARRANGING, FACTORS, KERNEL, QUANTISING

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Graph, Node
    from cnntool.nets.modules import Number
    from cnntool.nets.scopes import Scope, Scopes

_CALL = "pkg.torch.onnx.fx_node"
_NAMES = re.compile(r"%(\w+)")
_SHAPING = ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t_",
            "squeeze", "unsqueeze", "expand", "pad", "constant_pad", "slice")  # fmt: skip
"""How PyTorch's calls are named that a later one may have swallowed."""

_CLASSES = "pkg.torch.onnx.class_hierarchy"
_LIBRARY = "torch.nn.modules."


class Output(NamedTuple):
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
    graph, flow : Graph, Flow
        The network.
    scopes : Scopes
        Its modules.
    """

    def __init__(self, graph: Graph, flow: Flow, scopes: Scopes) -> None:
        self._graph, self._flow, self._scopes = graph, flow, scopes
        self._places = scopes.places
        self._results = {info.name for info in graph.outputs}
        self._known: dict[str, tuple[Output, ...]] = {}

    def of(self, scope: Scope) -> tuple[Output, ...]:
        """List what each call of a module gives."""
        if scope.name not in self._known:
            parts = self._numbered(scope) or self._repeated(scope)
            outputs = [self._leaving(scope, part) for part in parts]
            told = len(self._told(scope))
            if told > len(parts) or (len(parts) > 1 and not self._apart(scope, outputs)):
                tensors = tuple(t for output in outputs for t in output.tensors)
                clear = told <= len(parts) and all(output.clear for output in outputs)
                self._known[scope.name] = (Output(tensors, 0, 0, clear, scope.nodes),)
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

    def _apart(self, scope: Scope, outputs: Sequence[Output]) -> bool:
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

    def _leaving(self, scope: Scope, members: list[int]) -> Output:
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
        return Output(tuple(found), 1, 1, clear, members)

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
