"""Which layers a command line asks for, and what they are called in files and captions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import click

from cnntool.cli import console
from cnntool.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnntool.cli.options import F
    from cnntool.nets.layers import Layers, Resolved
    from cnntool.nets.rows import Layer

_LONGEST = 40
"""Letters of a name that may stand for a layer that has none by its place."""

_LONGEST_FILE = 80
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def layer_option(command: F) -> F:
    """Add --layer and --at."""
    command = click.option(
        "--at",
        type=click.Choice(["post", "pre"]),
        default="post",
        show_default=True,
        help="A layer's result after the norm and activation that follow it, or before.",
    )(command)
    return click.option(
        "-l",
        "--layer",
        "queries",
        multiple=True,
        metavar="NAME",
        help="A layer: its name, conv:9, '#42' or a pattern such as 'block4_*'; may be repeated."
        " 'cnntool layers' lists the names.",
    )(command)


class Wanted(NamedTuple):
    """A layer that was asked for.

    Attributes
    ----------
    number : int
        Its place among those that were asked for, from 1.
    title : str
        What people call it.
    tensor : str
        What is looked at.
    layer : Layer or None
        None for what is no layer, such as the input.
    words : str
        What it is: ``conv 9, after ReLU``.
    names : tuple of str
        What it was asked for by: what records and archives call it. Its title where that was a
        pattern, or nothing.
    """

    number: int
    title: str
    tensor: str
    layer: Layer | None
    words: str
    names: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``conv``, ``pool``, ``dense``...; empty for what is no layer."""
        return self.layer.kind if self.layer else ""


def choose(layers: Layers, queries: Sequence[str], *, everything: bool, at: str) -> list[Wanted]:
    """Find the layers that were asked for, and say what names mean.

    Parameters
    ----------
    layers : Layers
        Those of the network.
    queries : sequence of str
        As given with --layer.
    everything : bool
        Whether all are wanted. Without it and without queries, those are that have a name by
        their place in the network.
    at : {'post', 'pre'}

    Returns
    -------
    list of Wanted
        In the order of the network, each tensor once.

    Raises
    ------
    UsageError
        Both queries and everything.
    ModelError
        A name that means nothing, or several things.
    """
    if queries and everything:
        raise UsageError("--all and --layer exclude each other")
    graph = layers.flow.graph
    meant = _resolved(layers, queries, at)
    found = {one.tensor: one.layer for one in meant}
    if not queries:
        for row in layers.rows if everything else _main(layers):
            found.setdefault(row.at(at), row)
        if not found:
            raise ModelError(
                "no layer of it has a name by its place",
                source=graph.wire.name,
                hint="--all takes every layer",
            )
        if not everything:
            console.note(f"no --layer: the {len(found)} that have a name by their place")
    place = {tensor: node.index for tensor, node in graph.producer_of.items()}
    tensors = sorted(found, key=lambda tensor: place.get(tensor, -1))
    return [
        _wanted(number, tensor, found[tensor], [one for one in meant if one.tensor == tensor])
        for number, tensor in enumerate(tensors, 1)
    ]


def _main(layers: Layers) -> list[Layer]:
    named = [row for row in layers.rows if row.alias and row.kind != "reshape"]
    return named or [row for row in layers.rows if row.kind in {"conv", "dense"}]


def _resolved(layers: Layers, queries: Iterable[str], at: str) -> list[Resolved]:
    found: list[Resolved] = []
    for query in queries:
        meant = layers.resolve(query, at=at)
        found += meant
        console.note(meant[0].text if len(meant) == 1 else f"{query} -> {len(meant)} layers")
    return found


def _wanted(number: int, tensor: str, layer: Layer | None, meant: Sequence[Resolved]) -> Wanted:
    from cnntool.nets.layers import describe

    title = title_of(tensor, layer)
    words = meant[0].words if meant else describe(layer, tensor) if layer else ""
    return Wanted(number, title, tensor, layer, words, names_of(meant) or (title,))


def names_of(meant: Iterable[Resolved]) -> tuple[str, ...]:
    """List the names among queries, without the patterns."""
    return tuple(dict.fromkeys(one.query for one in meant if one.is_name))


def title_of(tensor: str, layer: Layer | None) -> str:
    """Return a short name for a tensor: the one that its layer can be asked for by, as a rule."""
    from cnntool.cli.layers import short_name
    from cnntool.nets.names import plain

    if layer is None or tensor not in {layer.pre, layer.post}:
        return plain(tensor)
    name = short_name(layer)
    if len(name) > _LONGEST:
        name = f"{layer.kind}:{layer.ordinal}"
    return name if tensor == layer.post else f"{name}-pre"


def safe(title: str) -> str:
    """Turn a name into one that every file system takes: letters, digits, ``.``, ``_``, ``-``."""
    name = _UNSAFE.sub("_", title)[:_LONGEST_FILE].strip("._")
    return name or "layer"
