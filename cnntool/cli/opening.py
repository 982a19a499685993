"""A network to be looked at: the argument that names it, and its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from cnntool.cli import config, console
from cnntool.errors import DeviceError, ModelError
from cnntool.nets.places import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.catalog import Found
    from cnntool.nets.graph import Graph, TensorInfo
    from cnntool.nets.layers import Layers

model = click.argument(
    "model", metavar="[MODEL]", default=BUILT_IN, envvar="CNNTOOL_MODEL", callback=config.fill
)


class Opened(NamedTuple):
    """A network's file, its graph and its layers."""

    found: Found
    graph: Graph
    layers: Layers


def open_layers(name: str, timeout: float | None = None) -> Opened:
    """Find a network by its name or file, and read its layers.

    Parameters
    ----------
    name : str
    timeout : float, optional
        Seconds that reading may take; by default those of a session.

    Raises
    ------
    ModelError
        There is no such network, or it cannot be read, or not in time.
    """
    from cnntool.nets.catalog import find
    from cnntool.nets.graph import read_graph
    from cnntool.nets.layers import Layers
    from cnntool.nets.limits import hold_time
    from cnntool.nets.session import TIMEOUT

    found = find(name)
    with hold_time(timeout or TIMEOUT, name):
        graph = read_graph(found.file, name=name)
        return Opened(found, graph, Layers(graph, found.spec))


def shapes_of(
    opened: Opened, size: Sequence[int] = (), timeout: float | None = None
) -> dict[str, TensorInfo]:
    """Find the shapes of its tensors; if they cannot be had, say why, and go on without.

    Raises
    ------
    ModelError
        When the network cannot be given an input of the size that the user wants.
    """
    from cnntool.nets.shapes import choose_inputs, find_shapes
    from cnntool.nets.summary import wanted_tensors

    graph, spec = opened.graph, opened.found.spec
    inputs = choose_inputs(graph, spec, size)
    try:
        wanted = wanted_tensors(graph, opened.layers)
        return find_shapes(graph, inputs, wanted, timeout=timeout)
    except (ModelError, DeviceError) as error:
        if size and isinstance(error, ModelError):
            raise
        hint = f" ({error.hint})" if error.hint else ""
        console.note(f"{opened.found.name}: the file's shapes are all that is known: "
                     f"{error.message}{hint}")  # fmt: skip
        return find_shapes(graph, {}, ())
