"""Scopes: the modules of a network by name, each with the nodes that lie in it.

What leaves a module is found out in `cnntool.nets.calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.modules import Placed, modules_around
from cnntool.nets.names import path_scopes, split_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Graph
    from cnntool.nets.modules import Number, Place
    from cnntool.nets.rows import Layer


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
    noted : bool
        Whether the exporter noted the modules, instead of putting them into names.
    renamed : bool
        Whether Keras 3 has put a number behind every name; they stand here without.
    """

    def __init__(self, graph: Graph, flow: Flow, rows: Sequence[Layer]) -> None:
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
            self._known.add(name, Found(scope))
        for name, module, call in placed.written:
            if module in self._scopes:
                self._written.add(name, Found(self._scopes[module], call))
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

    def _enter(self, index: int, places: Sequence[Place | None]) -> None:
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
        for before in ("", *self._around):
            if found := names.whole(before + query):
                return found
        return [] if self.torch else names.ending(query)

    def short(self, scope: Scope) -> str:
        """Return the name to ask for a module by: the last part if that means only this one."""
        last = scope.name.rpartition("/")[2]
        return scope.name if self.torch or self._known.is_common(last) else last
