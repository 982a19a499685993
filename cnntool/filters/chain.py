"""Shapes and costs of a chain of layers: what a slide about a network prints."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import UsageError
from cnntool.filters.advice import advice
from cnntool.filters.arithmetic import Window, times
from cnntool.filters.field import Fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.filters.layer_spec import Layer, Shape


class Cost(NamedTuple):
    """What a layer learns and computes.

    Parameters
    ----------
    weights, biases : int
        Numbers learned; for batch norm the scales and the shifts.
    formula : str
        How they are counted: ``(5*5*3+1)*10``; empty where nothing is learned.
    multiply_adds : int
        For one picture; additions of biases are not counted.
    """

    weights: int = 0
    biases: int = 0
    formula: str = ""
    multiply_adds: int = 0

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


class Row(NamedTuple):
    """One layer of a chain.

    Parameters
    ----------
    name, kind, text : str
        See `Layer`.
    shapes : tuple of Shape
        Of its inputs.
    shape : Shape
        Of its output.
    cost : Cost
    fields : Fields or None
        None where the input is a vector, and where transpose convolutions make too many.
    window : Window or None
        Of layers that slide one.
    """

    name: str
    kind: str
    text: str
    shapes: tuple[Shape, ...]
    shape: Shape
    cost: Cost
    fields: Fields | None
    window: Window | None

    @property
    def spatial(self) -> bool:
        """Whether the output has rows and columns, so that one can speak of a jump."""
        return len(self.shape) == 3 and self.fields is not None

    @property
    def dense(self) -> Cost | None:
        """What a dense layer between the same input and output would cost; of convolutions."""
        if self.kind not in {"conv", "deconv"}:
            return None
        ins, outs = prod(self.shapes[0]), prod(self.shape)
        return Cost(ins * outs, outs, f"({ins}+1)*{outs}", ins * outs)


class Chain(NamedTuple):
    """A chain, computed: the input's row and one for each layer, and what is worth telling."""

    rows: list[Row]
    notes: list[str]

    @property
    def total(self) -> Cost:
        """The sum over all layers."""
        return _sum([row.cost for row in self.rows])

    @property
    def dense_total(self) -> Cost:
        """The same with a dense layer in the place of each convolution."""
        return _sum([row.dense or row.cost for row in self.rows])


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        sum(cost.weights for cost in costs),
        sum(cost.biases for cost in costs),
        "",
        sum(cost.multiply_adds for cost in costs),
    )


def walk(shape: Shape, layers: Sequence[Layer]) -> Chain:
    """Compute shapes, costs and receptive fields of a chain.

    Parameters
    ----------
    shape : Shape
        Of the input.
    layers : sequence of Layer
        See `cnntool.filters.layer_spec.parse_chain`.

    Returns
    -------
    Chain

    Raises
    ------
    UsageError
        A layer that cannot follow: a kernel larger than its input, groups that do not divide the
        channels, shapes that cannot be joined, a name that is not there.
    """
    fields = Fields() if len(shape) == 3 else None
    known = {"input": Row("input", "input", times(shape), (), shape, Cost(), fields, None)}
    notes: list[str] = []
    used: set[str] = set()
    last = known["input"]
    for layer in layers:
        try:
            before = _named(layer.start, known) if layer.start else last
            inputs = [_named(name, known) for name in layer.joined] or [before]
            if len(layer.joined) == 1:
                inputs.insert(0, before)
            last = known[layer.name] = _row(layer, inputs)
        except UsageError as error:
            source = f"{layer.name} ({layer.text})"
            raise UsageError(error.message, source=source, hint=error.hint) from None
        used.update(row.name for row in inputs)
        if last.window is not None:
            size = inputs[0].shape[0], inputs[0].shape[1]
            told = advice(layer, last.window, size)
            notes += [f"{layer.name} ({layer.text}): {text}" for text in told]
    notes += [
        f"{name} ({row.text}) leads nowhere"
        for name, row in known.items()
        if name not in used and row is not last
    ]
    return Chain(list(known.values()), notes)


def _named(name: str, known: dict[str, Row]) -> Row:
    if name not in known:
        raise UsageError(
            f"no layer before it is called {name!r}", hint="there are " + ", ".join(known)
        )
    return known[name]


def _row(layer: Layer, inputs: list[Row]) -> Row:
    shapes = tuple(row.shape for row in inputs)
    window = _window(layer, shapes[0]) if layer.kind in _SLIDING else None
    return Row(
        layer.name,
        layer.kind,
        layer.text,
        shapes,
        shape := _shape(layer, shapes, window),
        _cost(layer, shapes[0], shape),
        _fields(layer, inputs, window),
        window,
    )


_SLIDING = {"conv", "deconv", "pool", "avgpool", "globalpool"}


def _window(layer: Layer, shape: Shape) -> Window:
    if len(shape) != 3:
        raise UsageError(f"it needs rows and columns, not a vector of {shape[0]}")
    kernel = layer.kernel or (shape[0], shape[1])
    pools = layer.kind in {"pool", "avgpool"}
    stride = layer.stride or (kernel if pools else (1, 1))
    window = Window(kernel, stride, layer.dilation, ceil=layer.ceil).padded(layer.padding)
    rows, columns = window.extent
    top, bottom, left, right = window.pads
    if pools and (max(top, bottom) >= rows or max(left, right) >= columns):
        raise UsageError("a pool's padding must be smaller than its window")
    return window


def _shape(layer: Layer, shapes: tuple[Shape, ...], window: Window | None) -> Shape:
    """Return the output's shape."""
    first = shapes[0]
    if window is not None:
        size = first[0], first[1]
        if layer.kind == "deconv":
            found = window.transposed_shape(size, layer.output_padding)
        else:
            found = window.out_shape(size)
        return (*found, _maps(layer, first[2]))
    if layer.kind == "flatten":
        return (prod(first),)
    if layer.kind == "dense":
        if len(first) != 1:
            raise UsageError(f"it needs a vector, not {times(first)}", hint="put flatten before it")
        return (layer.maps or 0,)
    if layer.kind == "add" and len(set(shapes)) > 1:
        raise UsageError("only equal shapes can be added: " + ", ".join(map(times, shapes)))
    if layer.kind == "concat":
        if len({shape[:-1] for shape in shapes}) > 1:
            raise UsageError(
                "rows and columns must be equal to stack channels: " + ", ".join(map(times, shapes))
            )
        return (*first[:-1], sum(shape[-1] for shape in shapes))
    return first


def _maps(layer: Layer, channels: int) -> int:
    """Return the channels behind a sliding window."""
    if layer.kind not in {"conv", "deconv"}:
        return channels
    maps, groups = layer.maps or channels, layer.groups or channels
    if channels % groups or maps % groups:
        raise UsageError(f"{groups} groups do not divide {channels} channels and {maps} filters")
    return maps


def _cost(layer: Layer, before: Shape, after: Shape) -> Cost:
    """Count what is learned and multiplied."""
    if layer.kind == "bn":
        channels = before[-1]
        return Cost(channels, channels, f"2*{channels}", prod(before))
    if layer.kind in {"conv", "deconv"} and layer.kernel is not None:
        channels, maps = before[2], after[2]
        each: Shape = (*layer.kernel, channels // (layer.groups or channels))
        # A transpose convolution multiplies once for each of its inputs and each tap it has.
        places = before if layer.kind == "deconv" else after
        count = prod(places[:2]) * prod(each) * maps
    elif layer.kind == "dense":
        each, maps = before, after[0]
        count = before[0] * maps
    else:
        return Cost()
    taps = "*".join(map(str, each))
    formula = f"({taps}+1)*{maps}" if layer.bias else f"{taps}*{maps}"
    return Cost(prod(each) * maps, maps * layer.bias, formula, count)


def _fields(layer: Layer, inputs: list[Row], window: Window | None) -> Fields | None:
    """Return what of the input an output sees."""
    found, shape = inputs[0].fields, inputs[0].shape
    for other in inputs[1:]:
        found = found.joined(other.fields) if found and other.fields else None
    if found is None:
        return None
    if layer.kind == "flatten" and len(shape) == 3:
        return found._replace(places=shape[:2])
    if layer.kind in {"globalpool", "dense"}:
        places = shape if layer.kind == "globalpool" else found.places
        return found.each(lambda field, axis: field.everywhere(places[axis]))
    if window is None:
        return found
    if layer.kind == "deconv":
        return found.each(lambda field, axis: field.through_transpose(window, axis))
    return found.each(lambda field, axis: field.through(window, axis))
