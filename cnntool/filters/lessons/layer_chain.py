"""Layer arithmetic: shapes, parameters, multiply-adds and receptive fields of a chain of layers.

A chain is written as a person does, ``224x224x3 conv:11,s4,f96 pool:3,s2 flatten``: a word is a
layer, ``[NAME=]KIND[:ARGUMENT,...]``; the first one is the shape of the input.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import UsageError
from cnntool.shapes.receptive_field import Fields
from cnntool.shapes.text import times
from cnntool.shapes.windows import PADDINGS, Padding, Pair, Window, parse_padding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from cnntool.shapes.windows import AxisWindow

Shape = tuple[int, ...]
"""(rows, columns, channels), or (units,) of a vector."""

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu", "softmax", "dropout")
"""Layers that change neither shape nor cost, by name."""

_WINDOW = "K or KHxKW, sN, pN, valid, same, full, dN"
_TAKES = {
    "conv": _WINDOW + ", fN, gN, dw, nobias, xN",
    "deconv": _WINDOW + ", fN, opN, gN, nobias, xN",
    "pool": _WINDOW + ", ceil, xN",
    "avgpool": _WINDOW + ", ceil, xN",
    "globalpool": "nothing",
    "bn": "nothing",
    "activation": "nothing",
    "flatten": "nothing",
    "dense": "N, nobias, xN",
    "concat": "names",
    "add": "names",
}
"""The arguments of each kind, as errors and help name them."""

_WORDS: dict[str, dict[str, Any]] = {
    "dw": {"groups": 0},
    "nobias": {"bias": False},
    "ceil": {"ceil": True},
    **{word: {"padding": word} for word in PADDINGS},
}
_PAIRS = {"": "kernel", "s": "stride", "d": "dilation", "op": "output_padding"}
_SINGLE = {"f": "maps", "g": "groups", "x": "count"}
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_ARGUMENT = re.compile(r"(?P<key>op|[fgsdpx]|)(?P<value>\d+(?:x\d+)*)")
_LARGEST = 10**9


class Layer(NamedTuple):
    """One layer as it was written; None where the chain decides.

    Parameters
    ----------
    text : str
        As written, without a repeat, and with the ``from:`` before it.
    kind : str
        A key of ``_TAKES``.
    name : str
        As given, or the kind and a running number: ``conv3``.
    start : str
        The layer that this one follows, if that is not the one before.
    kernel : (rows, columns), optional
    maps : int, optional
        Filters of a convolution, units of a dense layer.
    stride, dilation : (rows, columns)
    padding : Padding
    output_padding : (rows, columns)
    groups : int
        0 is as many as there are channels (depthwise).
    bias, ceil : bool
    joined : tuple of str
        What ``concat`` and ``add`` join; a single name is joined with the layer before.
    """

    text: str
    kind: str
    name: str
    start: str = ""
    kernel: Pair | None = None
    maps: int | None = None
    stride: Pair | None = None
    dilation: Pair = (1, 1)
    padding: Padding = "valid"
    output_padding: Pair = (0, 0)
    groups: int = 1
    bias: bool = True
    ceil: bool = False
    joined: tuple[str, ...] = ()


def parse_chain(words: Sequence[str]) -> tuple[Shape, list[Layer]]:
    """Read a chain of layers.

    Parameters
    ----------
    words : sequence of str
        Each may hold several words with spaces between.

    Returns
    -------
    shape : tuple of int
        Of the input.
    layers : list of Layer
        In order; names are unique.

    Raises
    ------
    UsageError
        A word that is not understood, which the error names.
    """
    tokens = " ".join(words).split()
    if not tokens:
        raise UsageError("no layers", hint="begin with the input's shape, 224x224x3")
    shape = _input_shape(tokens[0])
    layers: list[Layer] = []
    names, start, prefix = {"input"}, "", ""
    for token in tokens[1:]:
        if token.startswith("from:"):
            if start:
                raise UsageError("a layer must follow", source=f"from:{start}")
            start, prefix = token.removeprefix("from:"), f"{token} "
            if not start:
                raise UsageError("the layer's name is missing", source=token, hint="from:input")
            continue
        layer, count = _layer(token)
        for repeat in range(count):
            last = repeat == count - 1
            name = layer.name if last and layer.name else _number(layer.kind, token, names)
            if name in names:
                raise UsageError(f"two layers are called {name!r}", source=token)
            names.add(name)
            layers.append(layer._replace(name=name, start=start, text=prefix + layer.text))
            start = prefix = ""
    if start:
        raise UsageError("a layer must follow", source=f"from:{start}")
    return shape, layers


def _input_shape(token: str) -> Shape:
    if not re.fullmatch(r"\d+(x\d+){0,2}", token):
        raise UsageError(
            f"{token!r} is no shape",
            hint="the first word is the input: 224x224x3 (rows, columns, channels), 28x28 or 784",
        )
    sizes = tuple(map(_whole, token.split("x")))
    if not all(1 <= size <= _LARGEST for size in sizes):
        raise UsageError(f"a size must be 1 or more, and at most {_LARGEST}", source=token)
    return (*sizes, 1) if len(sizes) == 2 else sizes


def _number(kind: str, token: str, names: set[str]) -> str:
    """Return the next free name of a kind: conv1, conv2, ..."""
    stem = token if kind == "activation" else kind
    number = 1
    while f"{stem}{number}" in names:
        number += 1
    return f"{stem}{number}"


def _layer(token: str) -> tuple[Layer, int]:
    """Read one layer, and how often it stands there."""
    name, equals, text = token.rpartition("=")
    word, _, rest = text.partition(":")
    if equals and not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name", source=token, hint="letters, digits, '_', '-', '.'"
        )
    kind = _kind(word, token)
    arguments = [part for part in rest.split(",") if part] if rest else []
    layer = Layer(text=text, kind=kind, name=name)
    if kind in {"concat", "add"}:
        if not arguments:
            raise UsageError("it joins layers by their names", source=token, hint="concat:a,b")
        return layer._replace(joined=tuple(arguments)), 1
    changes: dict[str, Any] = {}
    for argument in arguments:
        change = _change(kind, argument, token)
        if changes.keys() & change.keys():
            raise UsageError(
                f"{argument!r} repeats or contradicts an argument before it",
                source=token,
                hint="a size is N or ROWSxCOLUMNS",
            )
        changes |= change
    count = changes.pop("count", 1)
    if not 1 <= count <= 1000:
        raise UsageError("a layer is repeated 1 to 1000 times", source=token)
    layer = layer._replace(**changes)
    if layer.kernel is None and kind in {"conv", "deconv", "pool", "avgpool"}:
        raise UsageError("the kernel's size is missing", source=token, hint=f"{word}:3")
    if layer.maps is None and (kind == "dense" or (kind in {"conv", "deconv"} and layer.groups)):
        what, example = ("units", "10") if kind == "dense" else ("filters", "f64")
        hint = f"{word}:{','.join([*arguments, example])}"
        raise UsageError(f"the number of {what} is missing", source=token, hint=hint)
    if count > 1:
        kept = ",".join(part for part in arguments if not re.fullmatch(r"x\d+", part))
        layer = layer._replace(text=f"{word}:{kept}")
    return layer, count


def _kind(word: str, token: str) -> str:
    if word in ACTIVATIONS:
        return "activation"
    if word in _TAKES and word != "activation":
        return word
    from difflib import get_close_matches

    known = [kind for kind in _TAKES if kind != "activation"] + list(ACTIVATIONS)
    near = get_close_matches(word.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "known: " + ", ".join(known)
    raise UsageError(f"no layer is called {word!r}", source=token, hint=hint)


def _change(kind: str, argument: str, token: str) -> dict[str, Any]:
    """Return what an argument says of a layer; ``count`` is how often it stands there."""
    takes = _TAKES[kind].split(", ")
    if argument in takes and argument in _WORDS:
        return _WORDS[argument]
    match = _ARGUMENT.fullmatch(argument)
    key = match["key"] if match else "?"
    wanted = f"{key}N" if key else "N" if kind == "dense" else "K or KHxKW"
    if match is None or wanted not in takes:
        raise UsageError(
            f"{argument!r} is not understood", source=token, hint="it takes " + ", ".join(takes)
        )
    if key == "p":
        try:
            return {"padding": parse_padding(match["value"], separator="x")}
        except UsageError as error:
            raise UsageError(error.message, source=token) from None
    single = _SINGLE.get(key, "maps" if kind == "dense" else "")
    least = int(key not in {"op", "x"})
    pair = _numbers(match["value"], token, most=1 if single else 2, least=least)
    return {single: pair[0]} if single else {_PAIRS[key]: pair}


def _numbers(text: str, token: str, *, most: int, least: int) -> Pair:
    """Read a number or two, ``3`` or ``3x5``."""
    numbers = [_whole(part) for part in text.split("x")]
    if len(numbers) > most:
        raise UsageError(f"{text!r} is more than one number", source=token)
    if not all(least <= number <= _LARGEST for number in numbers):
        raise UsageError(f"{text!r} must be {least} to {_LARGEST}", source=token)
    return numbers[0], numbers[-1]


def _whole(text: str) -> int:
    """Return a whole number; of a huge one the first 20 digits, which are too many anyway."""
    return int(text.lstrip("0")[:20] or 0)


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

    def record(self) -> dict[str, int]:
        """Describe it in stable keys, ready for JSON."""
        keys = ("parameters", "weights", "biases", "multiply_adds")
        return {key: getattr(self, key) for key in keys}


class ChainRow(NamedTuple):
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

    def record(self, *, compare_dense: bool) -> dict[str, Any]:
        """Describe the layer in stable keys, ready for JSON."""
        window, fields = self.window, self.fields
        record: dict[str, Any] = {
            "layer": self.name,
            "kind": self.kind,
            "written": self.text,
            "inputs": [list(shape) for shape in self.shapes],
            "output": list(self.shape),
            "kernel": list(window.kernel) if window else None,
            "stride": list(window.stride) if window else None,
            "padding": list(window.pads) if window else None,
            "dilation": list(window.dilation) if window else None,
            **self.cost.record(),
            "formula": self.cost.formula or None,
            "receptive_field": list(fields.size) if fields else None,
            "jump": (
                [_plain(fields.rows.jump), _plain(fields.columns.jump)]
                if fields and self.spatial
                else None
            ),
        }
        if compare_dense:
            record["dense"] = self.dense.record() if self.dense else None
        return record


class Chain(NamedTuple):
    """A chain, computed: the input's row and one for each layer, and what is worth telling."""

    rows: list[ChainRow]
    notes: list[str]

    @property
    def total(self) -> Cost:
        """The sum over all layers."""
        return _sum([row.cost for row in self.rows])

    @property
    def dense_total(self) -> Cost:
        """The same with a dense layer in the place of each convolution."""
        return _sum([row.dense or row.cost for row in self.rows])

    def records(self, *, compare_dense: bool = False) -> list[dict[str, Any]]:
        """Describe every layer and the total in stable keys, ready for JSON.

        Parameters
        ----------
        compare_dense : bool
            Whether to say what a dense layer in the place of each convolution would cost.
        """
        total: dict[str, Any] = {"layer": "total", "kind": "total", **self.total.record()}
        if compare_dense:
            total["dense"] = self.dense_total.record()
        return [*(row.record(compare_dense=compare_dense) for row in self.rows), total]


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)


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
        See `parse_chain`.

    Raises
    ------
    UsageError
        A layer that cannot follow: a kernel larger than its input, groups that do not divide the
        channels, shapes that cannot be joined, a name that is not there.
    """
    fields = Fields() if len(shape) == 3 else None
    known = {"input": ChainRow("input", "input", times(shape), (), shape, Cost(), fields, None)}
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
            told = _advice(layer, last.window, size)
            notes += [f"{layer.name} ({layer.text}): {text}" for text in told]
    notes += [
        f"{name} ({row.text}) leads nowhere"
        for name, row in known.items()
        if name not in used and row is not last
    ]
    return Chain(list(known.values()), notes)


def _named(name: str, known: dict[str, ChainRow]) -> ChainRow:
    if name not in known:
        raise UsageError(
            f"no layer before it is called {name!r}", hint="there are " + ", ".join(known)
        )
    return known[name]


def _row(layer: Layer, inputs: list[ChainRow]) -> ChainRow:
    shapes = tuple(row.shape for row in inputs)
    window = _window(layer, shapes[0]) if layer.kind in _SLIDING else None
    return ChainRow(
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


def _fields(layer: Layer, inputs: list[ChainRow], window: Window | None) -> Fields | None:
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
        return found.each(lambda field, axis: field.through_transpose(window.along(axis)))
    return found.each(lambda field, axis: field.through(window.along(axis)))


def _advice(layer: Layer, window: Window, shape: Pair) -> list[str]:
    """Tell, in a line each, where a slide about a layer would go wrong, computable or not."""
    told = []
    top, bottom, left, right = window.pads
    if layer.padding == "same" and (top != bottom or left != right):
        told.append(
            f"an even window has no middle: same pads {top} above and {bottom} below,"
            f" {left} left and {right} right"
        )
    larger = any(size > room for size, room in zip(window.extent, shape, strict=True))
    if larger and layer.kind != "deconv":
        told.append(
            f"a window of {times(window.extent)} is larger than its input of {times(shape)}:"
            " part of it always sees padding"
        )
    if layer.kind in {"conv", "pool", "avgpool"} and layer.padding != "same" and not window.ceil:
        odd = [_remainder(window.along(axis), shape[axis], layer.kind) for axis in (0, 1)]
        if odd[0] == odd[1]:
            told += odd[:1] if odd[0] else []
        else:
            told += [
                f"{axis}: {text}"
                for axis, text in zip(("rows", "columns"), odd, strict=True)
                if text
            ]
    return told


def _remainder(window: AxisWindow, size: int, kind: str) -> str:
    """Tell that a stride does not divide, and what would; empty where it does."""
    room, stride, extent = window.room(size), window.stride, window.extent
    if room % stride == 0:
        return ""
    before, after = window.before, window.after
    count = window.outputs(size)
    missing = stride - room % stride
    padded = f"{size} + {before + after}" if before + after else str(size)
    ways = [str(size + missing)]
    wider = before + (missing + 1) // 2
    if before == after and (kind == "conv" or wider < extent):
        ways.append(f"padding {wider}")
    if kind != "conv" and window._replace(ceil=True).outputs(size) > count:
        ways.append("ceil")
    return (
        f"({padded} - {extent})/{stride} + 1 = {_decimal(room / stride + 1)}, taken as {count};"
        f" {count + 1} needs {' or '.join(ways)}"
    )


def _decimal(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
