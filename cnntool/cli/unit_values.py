"""A unit of a network taken apart by hand, beside what the network made of it."""

from __future__ import annotations

from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.filters.tracing import Trace
    from cnntool.nets.formula import Formula
    from cnntool.nets.receptive_field import Box
    from cnntool.nets.unit import Unit

Pair = tuple[int, int]


class Finding:
    """A unit taken apart, by hand and by the network.

    Parameters
    ----------
    title : str
        What people call the layer.
    meaning : str
        Which one it is: ``conv 3, before ReLU``.
    formula : Formula
        How it is computed.
    unit : Unit
        What the unit is computed from.
    one : Trace
        The unit, taken apart.
    names : sequence of str
        What the maps that go in are called, where they have names: colours.
    box : Box or None
        What it sees of the picture, where that is known.
    picture : (rows, columns)
        Of the picture, as the network gets it.
    """

    def __init__(
        self,
        title: str,
        meaning: str,
        formula: Formula,
        unit: Unit,
        one: Trace,
        *,
        names: Sequence[str],
        box: Box | None,
        picture: Pair,
    ) -> None:
        self.title = title
        self.meaning = meaning
        self.formula = formula
        self.unit = unit
        self.one = one
        self.names = names
        self.box = box
        self.picture = picture

    @cached_property
    def sums(self) -> NDArray[Any]:
        """The sum of the products for each map that goes in."""
        sums: NDArray[Any] = self.one.products.sum(axis=(1, 2))
        return sums

    @cached_property
    def strongest(self) -> list[int]:
        """The maps' places in the window, those that count most first."""
        import numpy as np

        order = np.argsort(-np.abs(np.nan_to_num(self.sums)), kind="stable")
        return [int(place) for place in order]

    @property
    def expected(self) -> float:
        """The value that the network should have: the total, as far as its numbers can hold it."""
        low, high = self.unit.limits
        return min(max(self.one.total, low), high)

    @property
    def is_cut(self) -> bool:
        """Whether the network's numbers cannot hold the total."""
        return self.one.total < self.unit.limits[0] or self.one.total > self.unit.limits[1]

    @property
    def difference(self) -> float:
        """By how much the network's value is larger."""
        same = self.unit.network == self.expected  # or both infinite
        return 0.0 if same else self.unit.network - self.expected

    def agrees(self, precision: float = 0.0) -> bool:
        """Tell whether the difference is one of rounding.

        Parameters
        ----------
        precision : float
            That of the device, where it is coarser than that of the numbers.
        """
        import numpy as np

        if isnan(self.unit.network) or isnan(self.one.total):
            return isnan(self.unit.network) and isnan(self.one.total)
        size = float(np.abs(self.one.products).sum()) + abs(self.unit.bias)
        allowed = self.unit.step * 0.51 + max(precision, self.unit.precision) * size
        return abs(self.difference) <= allowed

    def name(self, place: int) -> str:
        """Return what a map is called: its number, and its colour if it has one."""
        number = self.unit.first + place
        return f"{number} ({self.names[place]})" if self.names else str(number)

    @property
    def place(self) -> str:
        """The unit's place, as a person writes it."""
        at = self.unit.at[:1] if self.formula.is_dense else self.unit.at
        return ", ".join(map(str, at))

    def lines(self, axis: int) -> list[int | None]:
        """Return the rows (axis 0) or columns (1) of the maps under each tap.

        None where a transposed convolution has nothing.
        """
        step = self.unit.spread[axis]
        lines = (self.one.rows, self.one.columns)[axis].tolist()
        return [line // step if line % step == 0 else None for line in lines]

    def record(self, *, agrees: bool) -> dict[str, Any]:
        """Return all that is known, ready for JSON."""
        unit, one = self.unit, self.one
        rows, columns = (self.lines(axis) for axis in (0, 1))
        return {
            "layer": self.title,
            "tensor": self.formula.pre,
            "meaning": self.meaning,
            "unit": list(unit.at[:1] if self.formula.is_dense else unit.at),
            "shape": list(unit.shape[:1] if self.formula.is_dense else unit.shape),
            "sees": self._sees(),
            "channels": list(range(unit.first, unit.first + len(unit.maps))),
            "rows": rows,
            "columns": columns,
            "inside": one.inside.tolist(),
            "window": one.window.tolist(),
            "weights": one.weights.tolist(),
            "products": one.products.tolist(),
            "sums": self.sums.tolist(),
            "sum": float(one.products.sum()),
            "bias": unit.bias,
            "value": one.total,
            "network": unit.network,
            "difference": self.difference,
            "agrees": agrees,
            "after": self.formula.after or None,
            "activation": unit.after,
        }  # fmt: skip

    def _sees(self) -> dict[str, Any] | None:
        """Return the first and the last row and column that it sees; beyond the picture is zero."""
        if self.box is None:
            return None
        top, left, bottom, right = self.box
        return {
            "rows": [top, bottom - 1],
            "columns": [left, right - 1],
            "picture": list(self.picture),
        }

    @property
    def size(self) -> str:
        """The size of the layer's result."""
        shape = self.unit.shape[:1] if self.formula.is_dense else self.unit.shape
        return "x".join(map(str, shape))
