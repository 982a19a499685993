"""Scopes: the folders, so to speak, in the paths that layers have for names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .names import components, plain, uncounted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .rows import Layer

_TOP = -1


class Ends(NamedTuple):
    """What a scope ends with.

    Parameters
    ----------
    last : Layer
        Its last layer.
    operator : Layer
        Its last convolution or dense layer; `last` where it has none.
    """

    last: Layer
    operator: Layer

    def then(self, row: Layer) -> Ends:
        """Go on to a later layer."""
        works = row.kind in {"conv", "dense"} or self.operator.kind not in {"conv", "dense"}
        return Ends(row, row if works else self.operator)


class Scopes:
    """Every scope in the names of layers, as a tree."""

    def __init__(self) -> None:
        self._children: dict[tuple[int, str], int] = {}
        self._nodes: list[tuple[int, str]] = []
        self._ends: list[Ends] = []
        self._named: dict[str, list[int]] = {}
        self._uncounted: dict[str, list[int]] = {}

    def add(self, name: str, row: Layer) -> None:
        """Enter a name of a layer; layers come in their order."""
        scope = _TOP
        for part in components(plain(name)):
            scope = self._enter(scope, part, row)

    def _enter(self, parent: int, part: str, row: Layer) -> int:
        scope = self._children.setdefault((parent, part), len(self._nodes))
        if scope == len(self._nodes):
            self._nodes.append((parent, part))
            self._ends.append(Ends(row, row))
            self._named.setdefault(part, []).append(scope)
            if (short := uncounted(part)) != part:
                self._uncounted.setdefault(short, []).append(scope)
        elif self._ends[scope].last is not row:
            self._ends[scope] = self._ends[scope].then(row)
        return scope

    def find(self, query: str) -> list[Ends]:
        """Find the scopes that a query names: whole parts of a path, from any place on.

        As they are written; if there are none, without the ``_1`` that Keras 3 adds.
        """
        *before, last = query.strip("/").split("/")
        for named in (self._named, self._uncounted):
            found = [s for s in named.get(last, ()) if self._lies_in(s, before)]
            if found:
                return [self._ends[scope] for scope in found]
        return []

    def _lies_in(self, scope: int, path: Sequence[str]) -> bool:
        for part in reversed(path):
            scope = self._nodes[scope][0]
            if scope == _TOP or part not in (
                self._nodes[scope][1],
                uncounted(self._nodes[scope][1]),
            ):
                return False
        return True

    def items(self, *, leaves: bool = False) -> Iterator[tuple[str, list[Ends]]]:
        """Yield the name of every scope, without what is around it, and what it ends with.

        With `leaves` the last parts of names, too, in which there is nothing.
        """
        full = {parent for parent, _ in self._nodes}
        for named in (self._named, self._uncounted):
            for part, found in named.items():
                yield part, [self._ends[scope] for scope in found if leaves or scope in full]
