"""Alignment of two networks: which layer of one is which of the other.

Names and places in the file count for nothing. Layers with equal weights belong together, whatever
was done to their scale. From these, and from where the networks begin and end, pairs are found by
structure: layers that do the same with the results of partners, or whose results partners do the
same with. What is in front of a layer and what is behind it must not point to different partners.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.comparison.fingerprints import (
    Fingerprint,
    Ranked,
    are_others,
    fingerprint,
    is_scaled,
    is_unrelated,
    likeness,
    ranked,
)
from cnntool.nets.comparison.steps import LINEAR, Step, Steps, has_blocks
from cnntool.nets.layers.receptive_field import trace
from cnntool.nets.layers.shapes import lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.layers.lookup import Layers
    from cnntool.nets.layers.receptive_field import ReceptiveField

    Tokens = dict[int, int]
    Levels = tuple[list[Tokens], list[Tokens]]
    View = Callable[..., Tokens]

T = TypeVar("T", bound="Hashable")
P = TypeVar("P")

_ALIKE = 0.8
"""Mean cosine of kernels from which on they may be the same; of independent ones it is below 0.3,
of 3 x 3 values."""

_MARGIN = 0.05
"""By how much the best must be better than the second best."""

_SPEAK = 0.5
"""Where this share of the kernels has a partner, the two networks have their weights in common."""

_RADIUS = 8
"""So many steps around a layer are looked at where the rest of the networks differs."""

_NEAR = 2
"""So many steps around a convolution or a dense layer have to agree at least."""

_LEARNING = frozenset({"norm", "recurrent", "embedding", "other"})
"""Kinds of layers that may have weights, besides convolutions and dense layers."""

_END = frozenset({"activation", "Softmax", "LogSoftmax"})
"""What a convolution or a dense layer may end with."""


class Side(NamedTuple):
    """One of two networks.

    Parameters
    ----------
    graph : Graph
        The network.
    layers : Layers
        Its layers.
    shapes : mapping of str to TensorInfo
        Shapes of its tensors for the size of input that is run, as far as they are known.
    """

    graph: Graph
    layers: Layers
    shapes: Mapping[str, TensorInfo]


class Pair(NamedTuple):
    """A layer of one network and its partner in the other.

    Parameters
    ----------
    a, b : Layer
        The layers. They may be of different kinds where one network has fused more.
    tensor_a, tensor_b : str
        Tensors that mean the same values: at the end of the layers, or as far as both have done
        the same. They have the same number of values; their axes may differ, see `order`.
    order : tuple of int or None
        Axes of b's tensor, batch included, in the order that brings it into a's arrangement; None
        where that is the same, or differs in axes of length 1 only.
    why : {'weights', 'structure', 'map'}
        What settled it.
    """

    a: Layer
    b: Layer
    tensor_a: str
    tensor_b: str
    order: tuple[int, ...] | None
    why: str


class Alignment(NamedTuple):
    """Which layers of two networks belong together.

    Parameters
    ----------
    pairs : tuple of Pair
        In the order of the first network.
    only_a, only_b : tuple of Layer
        Layers without a partner. What is folded or fused into one that has a partner is not listed.
    """

    pairs: tuple[Pair, ...]
    only_a: tuple[Layer, ...]
    only_b: tuple[Layer, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there are layers, and no pair of them: two networks without any are equal."""
        return not self.pairs and bool(self.only_a or self.only_b)


def align(a: Side, b: Side, by_hand: Mapping[str, str] | None = None) -> Alignment:
    """Find which layers of two networks belong together.

    Parameters
    ----------
    a, b : Side
        The networks.
    by_hand : mapping of str to str, optional
        Names of layers of `a`, and what they are in `b`. They count before everything else.

    Returns
    -------
    Alignment
        Pairs, and layers without partner.

    Raises
    ------
    ModelError
        A name in `by_hand` means nothing, or something that is no layer.
    """
    if not by_hand and is_same(a.graph, b.graph):
        pairs: dict[str, Pair] = {}
        for row, twin in zip(a.layers.rows, b.layers.rows, strict=True):
            pair = Pair(row, twin, row.post, twin.post, None, "structure")
            pairs.setdefault(row.post, pair)
        return Alignment(tuple(pairs.values()), (), ())
    return _Aligner(a, b, by_hand or {}).result()


_CHUNK = 1 << 20


def is_same(a: Graph, b: Graph) -> bool:
    """Tell whether two files say the same."""
    if a is b or a.path == b.path:
        return True
    one, other = a.wire.data, b.wire.data
    places = range(0, len(one), _CHUNK)
    return len(one) == len(other) and all(
        one[at : at + _CHUNK] == other[at : at + _CHUNK] for at in places
    )


class _Aligner:
    """Finds the partners of steps, and what that means for layers."""

    def __init__(self, a: Side, b: Side, by_hand: Mapping[str, str]) -> None:
        self._a, self._b = a, b
        in_blocks = any(has_blocks(side.graph) for side in (a, b))
        self._steps = Steps(*a, in_blocks=in_blocks), Steps(*b, in_blocks=in_blocks)
        self._partner: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._why: dict[int, str] = {}
        self._tokens: dict[Hashable, int] = {}
        self._added: tuple[list[Layer], list[Layer]] = ([], [])
        self._what = self._describe()
        self._manual = self._read_all(by_hand)
        self._pair_by_hand()
        self._pair_inputs()
        self._pair_by_weights()
        while self._pair_by_structure() or self._pair_results() or self._pair_nearby():
            pass

    # What is known before any layer has a partner

    def _describe(self) -> tuple[dict[int, int], dict[int, int]]:
        """Give what steps do a number; sizes of maps count if both see pictures of one size."""
        sizes = [
            {s.index: steps.size(s) for s in steps.all if s.kind in {"input", "pool", LINEAR}}
            for steps in self._steps
        ]
        inputs = [
            {size[step.index] for step in steps.all if step.kind == "input"}
            for steps, size in zip(self._steps, sizes, strict=True)
        ]
        sized = inputs[0] == inputs[1] and not any(None in size.values() for size in sizes)
        first, second = (
            {s.index: self._token(s.what, size.get(s.index) if sized else None) for s in steps.all}
            for steps, size in zip(self._steps, sizes, strict=True)
        )
        return first, second

    def _token(self, *words: Hashable) -> int:
        return self._tokens.setdefault(words, len(self._tokens))

    def _join(self, u: int, v: int, why: str) -> None:
        self._partner[0][u], self._partner[1][v] = v, u
        self._why[u] = why

    def _join_all(self, pairs: Iterable[tuple[int, int]]) -> bool:
        """Join steps by structure, and tell whether there were any."""
        before = len(self._why)
        for u, v in pairs:
            self._join(u, v, "structure")
        return len(self._why) > before

    def _read_all(self, by_hand: Mapping[str, str]) -> dict[int, Pair]:
        """Find out what is given by hand, by the numbers of a's layers."""
        pairs: dict[int, Pair] = {}
        taken: set[int] = set()
        for name, other in by_hand.items():
            pair = self._read(name, other)
            if pair.a.number in pairs or pair.b.number in taken:
                double, side = (name, self._a) if pair.a.number in pairs else (other, self._b)
                raise ModelError(f"{double!r} is given two partners", source=side.graph.wire.name)
            pairs[pair.a.number] = pair
            taken.add(pair.b.number)
        return pairs

    def _read(self, name: str, other: str) -> Pair:
        """Find out what a pair that is given by hand means."""
        first, second = self._a.layers.one(name), self._b.layers.one(other)
        if first.layer is None or second.layer is None:
            lost, side = (name, self._a) if first.layer is None else (other, self._b)
            raise ModelError(f"{lost!r} is no layer: nothing makes it", source=side.graph.wire.name)
        order = self._order(first.tensor, second.tensor)
        return Pair(first.layer, second.layer, first.tensor, second.tensor, order, "map")

    def _pair_by_hand(self) -> None:
        places = [{s.row.number: s.index for s in steps.all if s.row} for steps in self._steps]
        for pair in self._manual.values():
            u, v = places[0].get(pair.a.number), places[1].get(pair.b.number)
            if u is not None and v is not None:
                self._join(u, v, "map")

    def _pair_inputs(self) -> None:
        us, vs = ([s for s in steps.all if s.kind == "input"] for steps in self._steps)
        alone = len(us) == len(vs) == 1
        for u in us:
            same = [v for v in vs if alone or self._what[0][u.index] == self._what[1][v.index]]
            if len(same) == 1 and same[0].index not in self._partner[1]:
                self._join(u.index, same[0].index, "structure")

    # Weights

    def _pair_by_weights(self) -> None:
        """Join layers with equal weights; where several are equal, tell them from all others."""
        prints = self._fingerprints(0), self._fingerprints(1)
        shapes = [
            self._free(
                side, {u: (self._what[side][u], one.channels.shape) for u, one in found.items()}
            )
            for side, found in enumerate(prints)
        ]
        joined = 0
        for shape in shapes[0].keys() & shapes[1].keys():
            us, vs = shapes[0][shape], shapes[1][shape]
            alike = likeness([prints[0][u] for u in us], [prints[1][v] for v in vs])
            for rows, columns in _groups(alike):
                joined += min(len(rows), len(columns))
                if len(rows) == len(columns) == 1:
                    self._join(us[rows[0]], vs[columns[0]], "weights")
                else:
                    token = self._token("weights", us[rows[0]])
                    self._what[0].update((us[row], token) for row in rows)
                    self._what[1].update((vs[column], token) for column in columns)
        if joined and joined >= _SPEAK * min(map(len, prints)):
            self._part_unrelated(prints, is_unrelated)
            self._part_unrelated((self._ranked(0), self._ranked(1)), are_others)
        for u, v in self._partner[0].items():
            if u in prints[0] and v in prints[1] and not is_scaled(prints[0][u], prints[1][v]):
                self._part(u, v)

    def _part_unrelated(
        self, prints: tuple[dict[int, P], dict[int, P]], unrelated: Callable[[P, P], bool]
    ) -> None:
        """See to it that a layer has no partner whose weights have nothing to do with its own.

        Where two networks have their weights in common, it is another layer in the same place.
        """
        for side, (mine, theirs) in enumerate((prints, prints[::-1])):
            rivals = self._free(1 - side, self._what[1 - side])
            for u in mine.keys() - self._partner[side].keys():
                found = rivals.get(self._what[side][u], [])
                if all(v in theirs and unrelated(mine[u], theirs[v]) for v in found):
                    self._what[side][u] = self._token("alone", side, u)

    def _part(self, u: int, v: int) -> None:
        """Take off a norm that one network alone has behind a kernel that is the same in both."""
        steps = self._steps[0].all[u], self._steps[1].all[v]
        if bool(steps[0].scales) != bool(steps[1].scales):
            for side, step in enumerate(steps):
                step.tensor = step.own
                self._added[side].extend(step.scales)

    def _fingerprints(self, side: int) -> dict[int, Fingerprint]:
        """Read what the kernels are known by, of steps that have no partner yet."""
        steps = self._steps[side]
        found = {}
        for step in steps.all:
            if step.kind != LINEAR or step.node is None or step.index in self._partner[side]:
                continue
            one = fingerprint(steps.graph, steps.flow, step.node)
            if one is not None:
                found[step.index] = one
        return found

    def _ranked(self, side: int) -> dict[int, list[Ranked]]:
        """Read what norms and scales are known by, of steps that have no partner yet."""
        steps = self._steps[side]
        return {
            step.index: ranked(steps.graph, steps.flow, step.node)
            for step in steps.all
            if step.node is not None and _learns(step) and step.index not in self._partner[side]
        }

    # Structure

    def _pair_by_structure(self) -> bool:
        """Join steps with the same before and behind them, the only ones of their network."""
        us, vs = (
            self._free(side, {u: (before, behind[u]) for u, before in self._forward(side).items()})
            for side, behind in enumerate(self._backward(side) for side in (0, 1))
        )
        same = [(us[seen], vs[seen]) for seen in us.keys() & vs.keys()]
        return self._join_all((u[0], v[0]) for u, v in same if len(u) == len(v) == 1)

    def _pair_results(self) -> bool:
        """Join steps that do the same with the same values, unless what is behind contradicts."""
        us, vs = (self._free(side, self._forward(side)) for side in (0, 1))
        behind = self._backward(0), self._backward(1)
        left = [self._free(side, seen) for side, seen in enumerate(behind)]
        same = [(us[seen][0], vs[seen]) for seen in us.keys() & vs.keys() if len(us[seen]) == 1]
        return self._join_all(
            (u, v)
            for u, (v, *others) in same
            if not others
            and self._is_determined(0, u)
            and (
                behind[0][u] == behind[1][v]
                or (behind[0][u] not in left[1] and behind[1][v] not in left[0])
            )
        )

    def _is_determined(self, side: int, u: int) -> bool:
        """Tell whether what a step makes follows from results of partners alone."""
        step = self._steps[side].all[u]
        known = all(source in self._partner[side] for source in step.sources)
        return known and bool(step.sources) and step.kind != LINEAR and not _learns(step)

    def _pair_nearby(self) -> bool:
        """Join steps that are each other's best match both from the front and from behind.

        The best match is what agrees with a step up to the largest distance.
        """
        for steps, done in zip(self._steps, self._partner, strict=True):
            if all(step.index in done for step in steps.all if step.row):
                return False
        best: list[dict[int, set[int]]] = [{}, {}]
        views = []
        for view in (self._forward, self._backward):
            levels = self._levels(0, view), self._levels(1, view)
            views.append(levels)
            for side, mine in enumerate(levels):
                tables = [self._free(1 - side, level) for level in levels[1 - side]]
                for u in self._what[side].keys() - self._partner[side].keys():
                    hits = (t.get(level[u], ()) for t, level in zip(tables, mine, strict=True))
                    nearest = set(next(filter(None, hits), ()))
                    best[side][u] = best[side].get(u, nearest) & nearest
        return self._join_all(
            (u, v)
            for u, hits in best[0].items()
            for v in hits
            if hits == {v} and best[1][v] == {u} and self._is_likely(u, v, views)
        )

    def _is_likely(self, u: int, v: int, views: Sequence[Levels]) -> bool:
        """Tell whether there is enough around two steps that is the same.

        The same operator may stand anywhere: without weights all in front of it or all behind it
        has to agree. What is made of other results is something else.
        """
        near = [
            sum(one[u] == other[v] for one, other in zip(mine, others, strict=True)) - 1
            for mine, others in views
        ]
        if self._steps[0].all[u].kind == LINEAR:
            return sum(near) >= _NEAR
        return max(near) > _RADIUS and not (self._is_determined(0, u) and self._is_determined(1, v))

    def _levels(self, side: int, view: View) -> list[dict[int, int]]:
        """Look at all that is in front or behind, then at less and less of it."""
        levels = [self._what[side]]
        for _ in range(_RADIUS):
            levels.append(view(side, levels[-1]))
        return [view(side), *reversed(levels)]

    def _free(self, side: int, tokens: Mapping[int, T]) -> dict[T, list[int]]:
        """Group the steps that have no partner yet."""
        groups: dict[T, list[int]] = defaultdict(list)
        for index in tokens.keys() - self._partner[side].keys():
            groups[tokens[index]].append(index)
        return {token: sorted(group) for token, group in groups.items()}

    def _forward(self, side: int, last: Mapping[int, int] | None = None) -> dict[int, int]:
        """Give what leads to each step a number; where that is the same, it is the same.

        Parameters
        ----------
        side : {0, 1}
            The network.
        last : mapping of int to int, optional
            Numbers of the sources; by default those that are being found.
        """
        found: dict[int, int] = {}
        for step in self._steps[side].all:
            sources = [(last or found)[source] for source in step.sources]
            sources = sources if step.is_ordered else sorted(sources)
            found[step.index] = self._number(side, step, "from", tuple(sources))
        return found

    def _backward(self, side: int, last: Mapping[int, int] | None = None) -> dict[int, int]:
        """Give what each step leads to a number, as `_forward` does."""
        steps = self._steps[side]
        found: dict[int, int] = {}
        for step in reversed(steps.all):
            users = sorted(
                ((last or found)[user], place if steps.all[user].is_ordered else -1)
                for user, place in step.users
            )
            found[step.index] = self._number(side, step, step.index in steps.ends, tuple(users))
        return found

    def _number(self, side: int, step: Step, *around: Hashable) -> int:
        partner = self._partner[side].get(step.index)
        if partner is not None:
            return self._token("pair", partner if side else step.index)
        return self._token(self._what[side][step.index], *around)

    # From steps to layers

    def result(self) -> Alignment:
        """List the pairs of layers, and what has no partner."""
        pairs = dict(self._manual)
        for u, v in sorted(self._partner[0].items()):
            pair = self._pair(u, v)
            if pair is not None and pair.a.number not in pairs:
                pairs[pair.a.number] = pair
        ordered = tuple(pairs[number] for number in sorted(pairs))
        return Alignment(ordered, self._alone(0), self._alone(1))

    def _pair(self, u: int, v: int) -> Pair | None:
        one, other = self._steps[0].all[u], self._steps[1].all[v]
        if one.row is None or other.row is None:
            return None
        if self._is_end(0, one) or self._is_end(1, other):
            return None
        tensors = self._common(one, other)
        if tensors is None:
            return None
        return Pair(one.row, other.row, *tensors, self._order(*tensors), self._why[u])

    def _only_user(self, side: int, step: Step) -> Step | None:
        users = {user for user, _ in step.users}
        return self._steps[side].all[users.pop()] if len(users) == 1 else None

    def _is_end(self, side: int, step: Step) -> bool:
        """Tell whether a step is the activation that a convolution or a dense layer ends with."""
        if step.kind not in _END or not step.sources:
            return False
        source = self._steps[side].all[step.sources[0]]
        return source.kind == LINEAR and self._only_user(side, source) is step

    def _common(self, one: Step, other: Step) -> tuple[str, str] | None:
        """Name the last tensors of two layers up to which both have done the same."""
        found = None
        while True:
            tensors = self._steps[0].shown(one), self._steps[1].shown(other)
            ahead = self._ahead(one, other)
            inside = ahead and (ahead[0].node is one.node or ahead[1].node is other.node)
            if all(tensors) and not inside:
                found = tensors
            if not ahead or not (inside or self._is_end(0, ahead[0]) or self._is_end(1, ahead[1])):
                return found
            one, other = ahead

    def _ahead(self, one: Step, other: Step) -> tuple[Step, Step] | None:
        """Return what alone goes on with the results of partners, if these are partners, too."""
        after, behind = self._only_user(0, one), self._only_user(1, other)
        parted = any(step.scales and step.tensor == step.own for step in (one, other))
        if after is None or behind is None or parted:
            return None
        joined = self._partner[0].get(after.index) == behind.index
        return (after, behind) if joined else None

    def _alone(self, side: int) -> tuple[Layer, ...]:
        """List the layers without partner."""
        named = {(p.b if side else p.a).number for p in self._manual.values()}
        alone = [
            step.row
            for step in self._steps[side].all
            if step.row is not None
            and step.index not in self._partner[side]
            and not (self._is_end(side, step) and step.sources[0] not in self._partner[side])
        ]
        left = [row for row in (*alone, *self._added[side]) if row.number not in named]
        return tuple(sorted(left, key=lambda row: row.number))

    def _order(self, tensor_a: str, tensor_b: str) -> tuple[int, ...] | None:
        """Find the order of axes that brings a tensor into the arrangement of its partner."""
        shape_a = lengths(self._a.shapes.get(tensor_a))
        shape_b = lengths(self._b.shapes.get(tensor_b))
        if shape_a and shape_b and (len(shape_a) != len(shape_b) or len(shape_a) < 3):
            return None
        if shape_a and shape_b and len(set(shape_a[1:])) > 1:
            layouts = (order for order in _LAYOUTS if len(order) == len(shape_b))
            fitting = (o for o in layouts if tuple(shape_b[axis] for axis in o) == shape_a)
            return None if shape_a == shape_b else next(fitting, None)
        field_a, field_b = self._fields[0].get(tensor_a), self._fields[1].get(tensor_b)
        if not (field_a and field_b and field_a.rank == field_b.rank):
            return None
        if len(field_a.axes) != len(field_b.axes):
            return None
        order = _moved(field_a, field_b)
        return None if order == tuple(range(len(order))) else order

    @cached_property
    def _fields(self) -> tuple[dict[str, ReceptiveField], dict[str, ReceptiveField]]:
        """Where rows and columns lie: where the lengths of the axes do not tell them apart."""
        first, second = (trace(s.graph, s.layers.flow, s.shapes) for s in (self._a, self._b))
        return first, second


_LAYOUTS = ((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1))
"""Channels from last to first, from first to last, and either of one-dimensional maps."""


def _learns(step: Step) -> bool:
    """Tell whether a step that is no product may have weights."""
    return step.kind == "affine" or (step.row is not None and step.row.kind in _LEARNING)


def _moved(a: ReceptiveField, b: ReceptiveField) -> tuple[int, ...]:
    """Order b's axes so that its rows and columns lie where those of a do."""
    order = [-1] * a.rank
    for place, axis in zip(a.axes, b.axes, strict=True):
        order[place] = axis
    rest = iter(axis for axis in range(b.rank) if axis not in b.axes)
    return tuple(next(rest) if axis < 0 else axis for axis in order)


def _groups(alike: NDArray[Any]) -> Iterator[tuple[list[int], list[int]]]:
    """Find rows and columns of a table that are alike, and clearly more so than others."""
    best = np.maximum(alike.max(axis=1, keepdims=True), alike.max(axis=0, keepdims=True))
    linked = (alike >= _ALIKE) & (alike >= best - _MARGIN)
    left = set(np.flatnonzero(linked.any(axis=1)).tolist())
    while left:
        rows, columns = {left.pop()}, set[int]()
        while True:
            wider = set(np.flatnonzero(linked[sorted(rows)].any(axis=0)).tolist())
            taller = set(np.flatnonzero(linked[:, sorted(wider)].any(axis=1)).tolist())
            if wider == columns and taller == rows:
                break
            rows, columns = taller, wider
        left -= rows
        yield sorted(rows), sorted(columns)
