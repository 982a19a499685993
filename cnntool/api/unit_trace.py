"""A unit of a layer: computed again by hand, beside what the network made of it."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.shapes.text import times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.filters.lessons.trace import Trace
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.unit import Formula, Operands, Unit
    from cnntool.nets.layers.receptive_field import Box
    from cnntool.nets.network import Network
    from cnntool.shapes.windows import Pair


TF32 = 2.0**-9
"""Precision of accelerators, which may multiply float32 with ten binary digits."""

COLOURS = {"R": "red", "G": "green", "B": "blue", "L": "grey", "Y": "grey"}


class UnitTrace(NamedTuple):
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
    precision : float
        That of the device, where it is coarser than that of the numbers.
    label : str
        Of the class whose score it is, if it is one.
    """

    title: str
    meaning: str
    formula: Formula
    unit: Unit
    one: Trace
    names: Sequence[str]
    box: Box | None
    picture: Pair
    precision: float = 0.0
    label: str = ""

    @property
    def sums(self) -> NDArray[Any]:
        """The sum of the products for each map that goes in."""
        sums: NDArray[Any] = self.one.products.sum(axis=(1, 2))
        return sums

    @property
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

    @property
    def agrees(self) -> bool:
        """Whether the difference is one of rounding."""
        import numpy as np

        if isnan(self.unit.network) or isnan(self.one.total):
            return isnan(self.unit.network) and isnan(self.one.total)
        size = float(np.abs(self.one.products).sum()) + abs(self.unit.bias)
        allowed = self.unit.step * 0.51 + max(self.precision, self.unit.precision) * size
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

    def record(self) -> dict[str, Any]:
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
            "agrees": self.agrees,
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
        return times(self.unit.shape[:1] if self.formula.is_dense else self.unit.shape)


class UnitTracer:
    """Takes units of a layer apart.

    Parameters
    ----------
    model : Network
        The network.
    query : str
        The layer's name.

    Attributes
    ----------
    layer : Layer
        The layer.
    formula : Formula
        How it is computed.

    Raises
    ------
    ModelError
        It is no layer that has weights.
    """

    def __init__(self, model: Network, query: str) -> None:
        from cnntool.nets.inference.unit import formula

        self._model = model
        self._plan: InferredSpec = model.plan()
        self.layer = model.layer(query, at="pre")
        self._learned = model.learned(self.layer)
        self.formula = formula(model.graph, model.read_layers().flow, self.layer)
        if self._learned.dequantised or self.formula.scale:
            model.note("the network is quantised: its numbers are shown dequantised")

    def find(self, tensor: NDArray[Any], at: tuple[int, ...]) -> UnitTrace:
        """Run the network on a picture and take a unit apart.

        Parameters
        ----------
        tensor : ndarray
            What goes in, without the batch.
        at : tuple of int
            Channel, row and column; in a dense layer one number.

        Raises
        ------
        UsageError
            There is no such unit.
        """
        from cnntool.nets.inference.unit import unit
        from cnntool.nets.layers.lookup import describe

        entry = self._plan.input
        arrays = self._run(tensor)
        found = unit(self.formula, self._learned.values, arrays, at, batch=entry.batch or 1)
        rows = 2 if entry.layout == "NCHW" else 1
        whole = (entry.batch or 1, *tensor.shape)
        picture = (whole[rows], whole[rows + 1])
        return UnitTrace(
            self.title,
            describe(self.layer, self.formula.pre),
            self.formula,
            found,
            take_apart(found),
            self._names(found),
            self._box(whole, found, picture),
            picture,
            precision=self._precision,
            label=self._label(found),
        )

    def operands(self, tensor: NDArray[Any]) -> Operands:
        """Run the network on a picture and gather what all units are computed from.

        Parameters
        ----------
        tensor : ndarray
            What goes in, without the batch.
        """
        from cnntool.nets.inference.unit import operands

        batch = self._plan.input.batch or 1
        found = operands(self.formula, self._learned.values, self._run(tensor), batch=batch)
        return found._replace(precision=max(self._precision, found.precision))

    @property
    def title(self) -> str:
        """What people call the layer."""
        from cnntool.api.activations import title_of

        return title_of(self.layer.post, self.layer)

    def _run(self, tensor: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run the network on a picture, and return the tensors that are needed."""
        import numpy as np

        from cnntool.nets.inference.layer_outputs import exactly

        entry, model = self._plan.input, self._model
        feed = np.stack([tensor] * (entry.batch or 1))
        taps = self.formula.tensors
        with model.lock:
            session = model.session(taps, optimise=exactly(model.graph))
            values = session.run({entry.name: feed}, taps)
        self._precision = 0.0 if session.placement.granted == "cpu" else TF32
        return dict(zip(taps, values, strict=True))

    def _names(self, found: Unit) -> list[str]:
        """Return the colours that the maps are, if they are colours."""
        if not self._learned.colours or len(found.maps) != 3:
            return []
        return [COLOURS[letter] for letter in self._plan.input.channel_order]

    def _label(self, found: Unit) -> str:
        """Return the class whose score a unit is, or nothing."""
        from cnntool.api.activations import class_names

        if not self.formula.is_dense:
            return ""
        names = class_names(self._plan, self.layer.post, self.title, found.shape[0])
        return names[found.at[0]] if names else ""

    def _box(self, shape: tuple[int, ...], found: Unit, picture: tuple[int, int]) -> Box | None:
        """Find out what the unit sees of the picture."""
        from cnntool.nets.layers.receptive_field import fields_of, sight

        graph, flow, name = self._model.graph, self._model.read_layers().flow, self._plan.input.name
        seen = sight(fields_of(graph, flow, name, shape).get(self.formula.pre))
        return seen and seen.box(found.at[1], found.at[2], picture)


def take_apart(found: Unit) -> Trace:
    """Take a unit apart; zeros that a transposed convolution puts in lie outside, too."""
    import numpy as np

    from cnntool.filters.lessons.trace import trace
    from cnntool.filters.sliding import Sliding

    _, height, width = found.maps.shape
    _, rows, columns = found.weights.shape
    slide = Sliding((height, width), (rows, columns), found.stride, found.dilation, found.pads)
    one = trace(found.maps, found.weights, slide, found.at[1:], bias=found.bias)
    there = [
        line % step == 0 for line, step in zip((one.rows, one.columns), found.spread, strict=True)
    ]
    return one._replace(inside=one.inside & np.logical_and.outer(*there))
