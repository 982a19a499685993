"""A unit of a layer: computed again by hand, beside what the network made of it."""

from __future__ import annotations

from math import isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.trace_steps import WIDE, blocks, span, terms
from cnntool.shapes.text import counted, times
from cnntool.views.number_format import short

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from cnntool.api.pictures import Figure
    from cnntool.filters.lessons.trace import Trace
    from cnntool.nets.inference.infer_spec import InferredSpec
    from cnntool.nets.inference.preprocess import Prepared
    from cnntool.nets.inference.unit import Formula, LayerArithmetic, Operands, Unit
    from cnntool.nets.layers.receptive_field import Box
    from cnntool.nets.network import Network
    from cnntool.shapes.windows import Pair


TF32 = 2.0**-9
"""Precision of accelerators, which may multiply float32 with ten binary digits."""

COLOURS = {"R": "red", "G": "green", "B": "blue", "L": "grey", "Y": "grey"}


FEW = 3
"""Maps whose windows are written out; of more, the sums are."""

STRONGEST = 10
"""Maps whose sums are written out; those of the others are added up."""


class UnitTrace(NamedTuple):
    """A unit taken apart, by hand and by the network; its text says what it is made of.

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
    photo : ndarray of uint8, shape (H, W, 3)
        What the network sees.
    source : str
        What the picture is called.
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
    photo: NDArray[Any]
    source: str
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
        low, high = self.unit.how.limits
        return min(max(self.one.total, low), high)

    @property
    def is_cut(self) -> bool:
        """Whether the network's numbers cannot hold the total."""
        return self.one.total < self.unit.how.limits[0] or self.one.total > self.unit.how.limits[1]

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
        allowed = self.unit.how.step * 0.51 + self.unit.how.precision * size
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

    def taps(self, axis: int) -> list[int | None]:
        """Return the rows (axis 0) or columns (1) of the maps under each tap.

        None where a transposed convolution has nothing.
        """
        step = self.unit.how.spread[axis]
        lines = (self.one.rows, self.one.columns)[axis].tolist()
        return [line // step if line % step == 0 else None for line in lines]

    def record(self) -> dict[str, Any]:
        """Return all that is known, ready for JSON."""
        unit, one = self.unit, self.one
        rows, columns = (self.taps(axis) for axis in (0, 1))
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

    def lines(self, width: int = WIDE) -> list[str]:
        """Describe it in lines of text."""
        few = len(self.unit.maps) <= FEW
        parts = self._all_maps(width) if few else self._strongest_maps()
        head = f"{self.title}, unit ({self.place}) of {self.size}"
        if not self.formula.is_dense:
            head += f": input rows {self._span(0)}, columns {self._span(1)}"
        sees = [" ".join(self.sight())] if self.box else []
        return [head, *sees, "", *parts, "", *self._total()]

    def figure(self) -> Figure:
        """Draw what it sees, the windows that count most, and its sum."""
        from cnntool.api.pictures import Figure
        from cnntool.views.unit import Channel, UnitScene, draw_unit

        unit, one, products = self.unit, self.one, self.one.products
        network = PurePath(self.formula.graph.wire.name).name
        facts = [self.meaning, self.size.replace("x", " x "), network, self.source]
        head = f"{self.title}, unit"
        scene = UnitScene(
            title=f"{head} {self.place}: {self.label}" if self.label else f"{head} ({self.place})",
            detail=", ".join(facts),
            photo=self.photo,
            box=self.box,
            sees=self.sight(),
            channels=[
                Channel(self.name(place), one.window[place], one.weights[place], products[place])
                for place in self.strongest[:STRONGEST]
            ],
            maps=len(products),
            inside=one.inside,
            total=float(products.sum()),
            bias=unit.bias,
            after=None if unit.after is None else (self.formula.after, unit.after),
            note=self.verdict,
        )
        return Figure(draw_unit(scene))

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"

    @property
    def verdict(self) -> str:
        """What the network has, and by how much that differs, in words."""
        return f"in the network {_long(self.unit.network)} ({self._comparison()})"

    def sight(self) -> list[str]:
        """Say what it sees of the picture, in short lines; in none if that is not known."""
        if self.box is None:
            return []
        (rows, columns), (top, left, bottom, right) = self.picture, self.box
        size = f"of the picture of {rows}x{columns}"
        if top <= 0 and left <= 0 and bottom >= rows and right >= columns:
            return ["it sees the whole", size]
        if bottom <= 0 or right <= 0 or top >= rows or left >= columns:
            return ["it sees nothing", f"{size},", "only padding"]
        seen = [f"it sees rows {_within(top, bottom, rows)},"]
        seen.append(f"columns {_within(left, right, columns)}")
        if top < 0 or left < 0 or bottom > rows or right > columns:
            return [*seen, f"{size},", "and padding"]
        return [*seen, size]

    def _span(self, axis: int) -> str:
        lines = [line for line in self.taps(axis) if line is not None]
        spread = self.unit.how.spread[axis] > 1
        return span(lines, 1 if spread else self.unit.how.dilation[axis]) if lines else "none"

    def _all_maps(self, width: int) -> list[str]:
        """Write out every window with its kernel and products."""
        lines = []
        for place, total in enumerate(self.sums.tolist()):
            lines += ["", f"channel {self.name(place)}", *blocks(self.one, place, width=width)]
            lines.append(f"sum  {terms(self.one.products[place])} = {short(total, 6)}")
        if not self.one.inside.all():
            lines += ["", f"( ) lies {self._outside()}: zero"]
        return lines[1:]

    def _strongest_maps(self) -> list[str]:
        """List the maps that count most."""
        one = self.one
        point = one.inside.size == 1
        rows = [["channel", *(["value", "weight", "product"] if point else ["sum of products"])]]
        for place in self.strongest[:STRONGEST]:
            factors = [one.window[place].item(), one.weights[place].item()] if point else []
            numbers = [*factors, float(self.sums[place])]
            rows.append([self.name(place), *map(short, numbers)])
        others = self.strongest[STRONGEST:]
        if others:
            rest = short(float(self.sums[others].sum()))
            rows.append([counted(len(others), "other"), *([""] * (2 * point)), rest])
        lines = _table(rows)
        if not one.inside.all():
            count = one.inside.size - int(one.inside.sum())
            lines += ["", f"{count} of {one.inside.size} taps lie {self._outside()}: zero"]
        return lines

    def _outside(self) -> str:
        between = " or between its values" if max(self.unit.how.spread) > 1 else ""
        return f"outside of the input{between}"

    def _total(self) -> list[str]:
        unit, one = self.unit, self.one
        products = counted(one.products.size, "product")
        rows = [
            [f"sum of {products}", _long(float(one.products.sum())), ""],
            ["bias", _long(unit.bias), ""],
            ["result", _long(one.total), ""],
            ["in the network", _long(unit.network), f"({self._comparison()})"],
        ]
        if unit.after is not None:
            rows.append([f"after {self.formula.after}", _long(unit.after), ""])
        return _table(rows, left=(0, 2))

    def _comparison(self) -> str:
        notes = [f"differs by {self.difference:.2g}" if self.difference else "no difference"]
        if self.is_cut:
            low, high = map(short, self.unit.how.limits)
            notes.insert(0, f"it holds {low} to {high}")
        elif self.unit.how.step:
            notes.insert(0, f"in steps of {short(self.unit.how.step)}")
        return "; ".join(notes) + ("" if self.agrees else ", which is more than rounding")


def _within(first: int, behind: int, size: int) -> str:
    """Write a run of rows or columns, as far as there are any."""
    last = min(behind, size) - 1
    return span([max(first, 0), last], 1)


def _long(value: float) -> str:
    return short(value, 7)


def _table(rows: Sequence[Sequence[str]], *, left: Collection[int] = ()) -> list[str]:
    """Lay cells out in columns, to the right but for some columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


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

    def find(self, made: Prepared, at: tuple[int, ...], source: str) -> UnitTrace:
        """Run the network on a picture and take a unit apart.

        Parameters
        ----------
        made : Prepared
            The picture, with its photo.
        at : tuple of int
            Channel, row and column; in a dense layer one number.
        source : str
            What the picture is called.

        Raises
        ------
        UsageError
            There is no such unit.
        """
        from cnntool.nets.inference.unit import unit
        from cnntool.nets.layers.lookup import describe

        entry = self._plan.input
        assert made.photo is not None  # noqa: S101 - see above
        arrays = self._run(made.tensor)
        found = unit(self.formula, self._learned.values, arrays, at, batch=entry.batch or 1)
        found = found._replace(how=self._on_device(found.how))
        rows = 2 if entry.layout == "NCHW" else 1
        whole = (entry.batch or 1, *made.shape)
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
            made.photo,
            source,
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
        return found._replace(how=self._on_device(found.how))

    def _on_device(self, how: LayerArithmetic) -> LayerArithmetic:
        """Return the arithmetic with the precision of the device, where that is coarser."""
        coarse = 0.0 if self._granted == "cpu" else TF32
        return how._replace(precision=max(coarse, how.precision))

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
        self._granted = session.placement.granted
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
    how = found.how
    slide = Sliding((height, width), (rows, columns), how.stride, how.dilation, how.pads)
    one = trace(found.maps, found.weights, slide, found.at[1:], bias=found.bias)
    there = [
        line % step == 0 for line, step in zip((one.rows, one.columns), how.spread, strict=True)
    ]
    return one._replace(inside=one.inside & np.logical_and.outer(*there))
