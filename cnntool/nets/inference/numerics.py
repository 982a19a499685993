"""Where numbers go wrong: the operator from which NaN or infinity comes, and what goes into it.

Results are looked at in the order in which they are computed. One that is not finite, made of
what is finite, is where it begins; from there it is followed to the answer, so that an infinity
that a later operator takes away again (``exp(-inf) = 0``) is not blamed for what goes wrong
elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.nets.file.nodes import needs
from cnntool.nets.layers.dataflow import ARRANGING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.layer_list import Layer

_MASKING = ARRANGING | {"Add", "Concat", "Expand", "Gather", "Pad", "Slice", "Where"}
"""Operators by which a mask of minus infinity, a constant, reaches the scores that it hides."""

_CHOOSING = frozenset(
    {"Where", "IsNaN", "IsInf", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
)
"""Operators by which a network deals with NaN. Others may lose it, too: of nothing but NaN a
MaxPool of onnxruntime makes the lowest number there is."""

_MOST = 6
"""Operands that are told of."""

_PICTURE = -1
"""Stands for the place of an operator where what goes in is not finite already."""


class Range(NamedTuple):
    """What lies in a tensor.

    Parameters
    ----------
    tensor : str
        Its name.
    dtype : str
        numpy's name of its type.
    minimum, maximum : float
        Of the finite values; NaN where there is none.
    nan, infinite : int
        How many values are that.
    """

    tensor: str
    dtype: str
    minimum: float
    maximum: float
    nan: int
    infinite: int

    @property
    def is_finite(self) -> bool:
        """Whether every value is."""
        return not (self.nan or self.infinite)

    @property
    def words(self) -> str:
        """For a sentence: ``from -0.3 to 2``, ``= 0``, ``with 3 NaN, else from 0 to 1``."""
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"))
        odd = " and ".join(f"{count:,} {word}" for count, word in counts if count)
        if self.minimum != self.minimum:
            return f"with {odd}" if odd else "without a value"
        same = self.minimum == self.maximum
        span = f"= {self.minimum:.3g}" if same else f"from {self.minimum:.3g} to {self.maximum:.3g}"
        return f"with {odd}, else {span}" if odd else span


def measure(tensor: str, values: NDArray[Any]) -> Range:
    """Find the range of a tensor's numbers."""
    nan = infinite = 0
    finite = values.reshape(-1)
    if values.dtype.kind == "f":
        good = np.isfinite(finite)
        if not good.all():
            nan = int(np.isnan(finite).sum())
            infinite = finite.size - nan - int(good.sum())
            finite = finite[good]
    low, high = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
    return Range(tensor, values.dtype.name, float(low) + 0.0, float(high) + 0.0, nan, infinite)


class Fault(NamedTuple):
    """An operator whose result is not finite, made of what is.

    Parameters
    ----------
    node : Node or None
        The operator; None where what goes in is not finite already.
    result : Range
        What it makes.
    operands : tuple of Range
        What goes into it, weights included.
    answers : bool
        Whether it reaches the answer of the network.
    """

    node: Node | None
    result: Range
    operands: tuple[Range, ...]
    answers: bool

    def words(self, rows: Iterable[Layer]) -> str:
        """Say where it is, and what goes in: ``Sqrt 'y', which gets values from -0.7 to -0.3``.

        Parameters
        ----------
        rows : iterable of Layer
            The layers, one of which the operator may be.
        """
        if self.node is None:
            return f"what goes in, {self.result.tensor!r} {self.result.words}"
        where = f"{self.node.op} {self.node.label}"
        row = self._row(rows)
        if row is not None:
            where = f"{row.alias or row.counted} ({where})"
        told = [f"{one.tensor!r} {one.words}" for one in self.operands[:_MOST]]
        if len(self.operands) == 1:
            told = [f"values {self.operands[0].words}"]
        elif len(self.operands) > _MOST:
            told.append(f"{len(self.operands) - _MOST} more")
        given = " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
        return f"{where}, which gets {given}" if given else where

    @property
    def overflows(self) -> bool:
        """Whether it only passes what float16 holds, and what follows brings that back."""
        return not (self.answers or self.result.nan) and self.result.dtype == "float16"

    def note(self, rows: Iterable[Layer]) -> str:
        """Say of a network that is looked at what is wrong, see `words`."""
        words = self.words(rows)
        if self.answers:
            return f"NaN or infinity comes from {words}"
        if self.overflows:
            return (
                f"would overflow in float16 where nothing is fused: {words}; the answer is finite"
            )
        return f"NaN or infinity comes from {words}; the answer is finite all the same"

    def record(self, rows: Iterable[Layer]) -> dict[str, Any]:
        """Make a record of it, ready for JSON."""
        node, row = self.node, self._row(rows)
        return {
            "layer": (row.alias or row.counted) if row else None,
            "op": node.op if node else None,
            "node": node.name if node else None,
            "tensor": self.result.tensor,
            "nan": self.result.nan,
            "infinite": self.result.infinite,
            "inputs": [one._asdict() for one in self.operands],
            "answers": self.answers,
            "overflows": self.overflows,
        }

    def _row(self, rows: Iterable[Layer]) -> Layer | None:
        node = self.node
        return next((row for row in rows if node and node.index in row.members), None)


def find_fault(
    graph: Graph,
    results: Iterable[tuple[str, NDArray[Any]]],
    answer: Sequence[str],
    constant: Callable[[str], NDArray[Any] | None],
) -> Fault | None:
    """Find the operator from which NaN and infinity come.

    Parameters
    ----------
    graph : Graph
        The network.
    results : iterable of (str, ndarray)
        What goes in and what every operator makes of it, in the order in which they run. Each is
        let go before the next one is asked for.
    answer : sequence of str
        The tensors that answer. Where NaN or infinity reaches them, what it comes from is found,
        the first of several; else the first of all operators that make some.
    constant : callable
        Reads a tensor that depends on no input; None for one that is not told of.

    Returns
    -------
    Fault or None
        None where everything is finite. Minus infinity that a constant brings in to hide values,
        as masks of attention do, is no fault.
    """
    search = _Search(graph, constant)
    for tensor, values in results:
        search.look(tensor, values)
    origins = search.origins
    if not origins:
        return None
    reached = [
        origins[one] for one in answer if one in origins and not search.ranges[one].is_finite
    ]
    place = min(reached or origins.values())
    node = None if place == _PICTURE else graph.nodes[place]
    operands = tuple(search.operands(node)) if node else ()
    return Fault(node, search.made[place], operands, bool(reached))


class _Search:
    """What has been seen of the results of operators.

    Attributes
    ----------
    ranges : dict of str to Range
        Of what was looked at.
    origins : dict of str to int
        Tensors that are not finite, or made of NaN all the same, and the place of the operator from
        which that comes.
    made : dict of int to Range
        What these operators make.
    """

    def __init__(self, graph: Graph, constant: Callable[[str], NDArray[Any] | None]) -> None:
        self._graph = graph
        self._constant = constant
        self.ranges: dict[str, Range] = {}
        self.origins: dict[str, int] = {}
        self.made: dict[int, Range] = {}
        self._lost: set[str] = set()

    def look(self, tensor: str, values: NDArray[Any]) -> None:
        """Take the next result into account."""
        found = self.ranges[tensor] = measure(tensor, values)
        node = self._graph.producer_of.get(tensor)
        if node is None:
            if not found.is_finite:
                self.origins[tensor] = _PICTURE
                self.made[_PICTURE] = found
            return
        before = [name for name in needs(node) if name in self.origins]
        if found.is_finite:
            lost = any(self.ranges[name].nan or name in self._lost for name in before)
            if not lost or node.op in _CHOOSING:
                return
            self._lost.add(tensor)
        elif self._hides(node, values):
            return
        origin = min((self.origins[name] for name in before), default=node.index)
        self.origins[tensor] = origin
        self.made.setdefault(origin, found)

    def operands(self, node: Node) -> list[Range]:
        """Find the ranges of what an operator uses."""
        tensors = dict.fromkeys(needs(node))
        for tensor in tensors.keys() - self.ranges.keys():
            values = self._constant(tensor)
            if values is not None:
                self.ranges[tensor] = measure(tensor, values)
        return [self.ranges[tensor] for tensor in tensors if tensor in self.ranges]

    def _hides(self, node: Node, values: NDArray[Any]) -> bool:
        """Tell whether an operator brings in a mask, or hands one on."""
        if node.op not in _MASKING or np.isnan(values).any() or np.isposinf(values).any():
            return False
        odd = [one.tensor for one in self.operands(node) if not one.is_finite]
        return bool(odd) and self.origins.keys().isdisjoint(odd)
