"""From a name to a layer: the steps of the resolution, each on its own."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from .flow import result
from .names import common_scopes, is_inserted, module_path, owner, plain, shortened, uncounted
from .operators import KINDS
from .rows import noted_modules
from .scopes import Ends, Scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from .flow import Flow
    from .graph import Graph, Node
    from .rows import Layer

_COUNTED = re.compile(r"(\w+):(-?\d{1,9})")
_NUMBERED = re.compile(r"#(-?\d{1,9})")


class Hit(NamedTuple):
    """A tensor that a name may mean, and the layer that it belongs to, if to one."""

    tensor: str
    row: Layer | None


class Index:
    """All names of a network's layers.

    Parameters
    ----------
    graph, flow : Graph, Flow
        The network.
    rows : sequence of Layer
        Its layers.
    stated : mapping of str to str
        Tensors that its manifest has names for.

    Attributes
    ----------
    aliases : dict of str to Layer
        Names by place, to be filled in.
    """

    def __init__(
        self, graph: Graph, flow: Flow, rows: Sequence[Layer], stated: Mapping[str, str]
    ) -> None:
        self._graph = graph
        self._rows = rows
        self._stated = stated
        self._inputs = {info.name for info in graph.inputs}
        self.aliases: dict[str, Layer] = {}
        self._by_node: dict[str, list[Node]] = {}
        self._by_plain: dict[str, list[Layer]] = {}
        self._by_uncounted: dict[str, list[Layer]] = {}
        self._by_module: dict[str, Ends] = {}
        self._by_weight: dict[str, list[Layer]] = {}
        self._by_owner: dict[str, list[Layer]] = {}
        self._by_kind: dict[str, list[Layer]] = {}
        self._scopes = Scopes()
        self._row_of: dict[int, Layer] = {}
        self._holder: dict[str, Layer] = {}
        self._enter_nodes()
        self._enter_names()
        self._enter_weights(flow)
        self.steps: tuple[Callable[[str, str], Iterable[Hit]], ...] = (
            self._manifest,
            self._tensor,
            self._node,
            self._normalised,
            self._scope,
            self._module,
            self._weight,
            self._ordinal,
        )

    def _enter_nodes(self) -> None:
        for node in self._graph.nodes:
            if node.name:
                self._by_node.setdefault(node.name, []).append(node)
        for row in self._rows:
            self._by_kind.setdefault(row.kind, []).append(row)
            if row.op.lower() not in KINDS:
                self._by_kind.setdefault(row.op.lower(), []).append(row)
            for index in row.members:
                self._row_of[index] = row
                self._holder[result(self._graph.nodes[index])] = row
        for row in self._rows:
            self._holder.setdefault(row.post, row)

    def _enter_names(self) -> None:
        names = [(plain(name), row) for row in self._rows for name in self._names(row)]
        prefix = common_scopes(name for name, row in names if row.kind in {"conv", "dense"})
        for name, row in names:
            for short in shortened(name, prefix):
                _enter(self._by_plain, short, row)
                _enter(self._by_uncounted, uncounted(short), row)
            self._scopes.add(name, row)
            self._enter_module(module_path(name), row)
        for row in self._rows:
            for module in noted_modules(self._graph.nodes[row.members[0]]):
                self._enter_module(module, row)

    def _enter_module(self, module: str, row: Layer) -> None:
        before = self._by_module.get(module)
        self._by_module[module] = before.then(row) if before else Ends(row, row)

    def _names(self, row: Layer) -> Iterator[str]:
        """Yield what the nodes of a layer are called, and what they make."""
        for index in row.members:
            node = self._graph.nodes[index]
            yield from dict.fromkeys(filter(None, (node.name, result(node))))

    def _enter_weights(self, flow: Flow) -> None:
        for row in self._rows:
            for index in row.members:
                for tensor in self._graph.nodes[index].inputs:
                    behind = () if tensor in flow.data else flow.weights_behind(tensor) or ()
                    for name in behind:
                        _enter(self._by_weight, name, row)
                        _enter(self._by_owner, owner(plain(name)), row)
        self._by_owner.pop("", None)
        self._by_module.pop("", None)

    def _manifest(self, query: str, at: str) -> Iterable[Hit]:
        tensor = self._stated.get(query)
        if tensor is None:
            return
        row = next((row for row in self._rows if row.post == tensor), self._holder.get(tensor))
        yield Hit(row.pre if row and at == "pre" else tensor, row)

    def _tensor(self, query: str, at: str) -> Iterable[Hit]:  # noqa: ARG002 - exact is exact
        made = query in self._graph.producer_of and query not in self._graph.weights
        if made or query in self._inputs:
            yield Hit(query, self._holder.get(query))

    def _node(self, query: str, at: str) -> Iterable[Hit]:
        for node in self._by_node.get(query, ()):
            row = self._row_of.get(node.index)
            if row is not None:
                yield Hit(row.at(at), row)
            elif result(node):
                yield Hit(result(node), None)

    def _normalised(self, query: str, at: str) -> Iterable[Hit]:
        counted = _COUNTED.fullmatch(query)
        if counted and int(counted[2]):  # relu:3 is no third output of something called relu
            return
        short = plain(query)
        for row in self._by_plain.get(short) or self._by_uncounted.get(short) or ():
            yield Hit(row.at(at), row)

    def _scope(self, query: str, at: str) -> Iterable[Hit]:
        for ends in self._scopes.find(query):
            yield self._end(ends, at)

    def _module(self, query: str, at: str) -> Iterable[Hit]:
        if query in self._by_module:
            yield self._end(self._by_module[query], at)

    def _end(self, ends: Ends, at: str) -> Hit:
        """Get the last tensor of a scope, or there the operator's own output.

        What follows the last layer belongs to the scope only if the exporter put it in no other.
        """
        row, operator = ends
        if at == "pre":
            return Hit(operator.pre, operator)
        if operator is not row and operator.after and operator.post == row.post:
            return Hit(row.post, operator)
        if row.post == row.pre or (row.after and not self._is_lost(row)):
            return Hit(row.pre, row)
        return Hit(row.post, row)

    def _is_lost(self, row: Layer) -> bool:
        """Tell whether the exporter made up the node that ends a layer."""
        return is_inserted(self._graph.nodes[row.last].name)

    def _weight(self, query: str, at: str) -> Iterable[Hit]:
        if query in self._by_weight:
            for row in self._by_weight[query]:
                yield Hit(row.at(at), row)
            return
        for row in self._by_owner.get(query, ()):  # a module's own output, as PyTorch has it
            yield Hit(row.pre, row)

    def _ordinal(self, query: str, at: str) -> Iterable[Hit]:
        numbered, counted = _NUMBERED.fullmatch(query), _COUNTED.fullmatch(query)
        rows: Sequence[Layer]
        if numbered:
            rows, number = self._rows, int(numbered[1])
        elif counted:
            rows, number = self._by_kind.get(counted[1].lower(), ()), int(counted[2])
        else:
            return
        if 0 < abs(number) <= len(rows):
            row = rows[number - (number > 0)]
            yield Hit(row.at(at), row)

    def alias(self, query: str, at: str) -> Iterable[Hit]:
        """Find a layer by its place; ``input`` is what the network is given."""
        if query in self.aliases:
            yield Hit(self.aliases[query].at(at), self.aliases[query])
        elif query == "input":
            for info in self._graph.inputs:
                yield Hit(info.name, None)

    def glob(self, pattern: str, at: str) -> list[Hit]:
        """Find all that a pattern matches: of names by place if it does, else of scopes, of names.

        Sorted as the network runs.
        """

        def matching(names: Iterable[str]) -> list[str]:
            return [name for name in names if fnmatchcase(name, pattern)]

        hits = [hit for name in matching(self._stated) for hit in self._manifest(name, at)]
        aliases = [name for name in matching(self.aliases) if name not in self._stated]
        hits += [Hit(self.aliases[name].at(at), self.aliases[name]) for name in aliases]
        groups: tuple[Callable[[], list[Hit]], ...] = (
            lambda: [self._end(self._by_module[name], at) for name in matching(self._by_module)],
            lambda: self._matching_scopes(pattern, at, leaves=False),
            lambda: [Hit(name, self._holder[name]) for name in matching(self._holder)],
            lambda: [hit for name in matching(self._by_node) for hit in self._node(name, at)],
            lambda: self._matching_scopes(pattern, at, leaves=True),
        )
        for group in groups:
            hits = hits or group()
        unique = {hit.tensor: hit for hit in reversed(hits)}
        return sorted(unique.values(), key=lambda hit: hit.row.number if hit.row else 0)

    def _matching_scopes(self, pattern: str, at: str, *, leaves: bool) -> list[Hit]:
        return [
            self._end(end, at)
            for name, ends in self._scopes.items(leaves=leaves)
            if fnmatchcase(name, pattern)
            for end in ends
        ]

    def clear_names(self) -> Iterator[str]:
        """Yield the names that mean one layer each."""
        yield from self.aliases
        yield from self._stated
        yield from self._by_module
        yield from self._holder
        yield from (name for name, rows in self._by_plain.items() if len(rows) == 1)
        yield from (name for name, ends in self._scopes.items() if len(ends) == 1)


def _enter(names: dict[str, list[Layer]], name: str, row: Layer) -> None:
    """Note that a name may mean a layer, once."""
    rows = names.setdefault(name, [])
    if not rows or rows[-1] is not row:
        rows.append(row)
