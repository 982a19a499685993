"""A chain of layers as a person writes it: ``224x224x3 conv:11,s4,f96 pool:3,s2 flatten``.

A word is a layer, ``[NAME=]KIND[:ARGUMENT,...]``; the first one is the shape of the input.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnntool.errors import UsageError
from cnntool.filters.arithmetic import PADDINGS, Padding, Pair, parse_padding

if TYPE_CHECKING:
    from collections.abc import Sequence

Shape = tuple[int, ...]
"""(rows, columns, channels), or (units,) of a vector."""

Kind = Literal[
    "conv",
    "deconv",
    "pool",
    "avgpool",
    "globalpool",
    "bn",
    "activation",
    "flatten",
    "dense",
    "concat",
    "add",
]

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu", "softmax", "dropout")
"""Layers that change neither shape nor cost, by name."""

_WINDOW = "K or KHxKW, sN, pN, valid, same, full, dN"
_TAKES: dict[Kind, str] = {
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
    kind : Kind
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
    kind: Kind
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
    shape = _shape(tokens[0])
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


def _shape(token: str) -> Shape:
    if not re.fullmatch(r"\d+(x\d+){0,2}", token):
        raise UsageError(
            f"{token!r} is no shape",
            hint="the first word is the input: 224x224x3 (rows, columns, channels), 28x28 or 784",
        )
    sizes = tuple(map(_whole, token.split("x")))
    if not all(1 <= size <= _LARGEST for size in sizes):
        raise UsageError(f"a size must be 1 or more, and at most {_LARGEST}", source=token)
    return (*sizes, 1) if len(sizes) == 2 else sizes


def _number(kind: Kind, token: str, names: set[str]) -> str:
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


def _kind(word: str, token: str) -> Kind:
    if word in ACTIVATIONS:
        return "activation"
    for kind in _TAKES:
        if word == kind and kind != "activation":
            return kind
    from difflib import get_close_matches

    known = [kind for kind in _TAKES if kind != "activation"] + list(ACTIVATIONS)
    near = get_close_matches(word.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else "known: " + ", ".join(known)
    raise UsageError(f"no layer is called {word!r}", source=token, hint=hint)


def _change(kind: Kind, argument: str, token: str) -> dict[str, Any]:
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
