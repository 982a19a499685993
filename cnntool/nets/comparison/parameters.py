"""What layers of two networks have learned, side by side and without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError
from cnntool.nets.comparison.measures import Tally
from cnntool.nets.inference.weights import has_weights, learned, place_of, read_constants
from cnntool.nets.layers.dataflow import BIAS, OWNED, operand
from cnntool.nets.layers.layer_list import constant_operand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.comparison.alignment import Pair
    from cnntool.nets.comparison.measures import Figures
    from cnntool.nets.file.graph import Graph
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.runtime.providers import SessionSettings

_WORDS = {"BatchNormalization": ("", "scale", "bias", "mean", "variance")}
"""What the parameters of an operator are called, where it has several."""


class ParameterPair(NamedTuple):
    """A parameter of a layer, and that of its partner.

    Parameters
    ----------
    pair : Pair
        The layers.
    parameter : str
        ``weights``, ``bias``, ``mean``...
    shapes : (tuple or None, tuple or None)
        Of either; None where a layer has none.
    figures : Figures or None
        How much they differ; None where their shapes do.
    """

    pair: Pair
    parameter: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    figures: Figures | None


class Learned:
    """Reads the parameters of a network's layers as real numbers.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    layers : sequence of Layer
        Those whose parameters are wanted.
    settings : SessionSettings
        How to run the part of the network that makes the parameters, where some are computed.
    """

    def __init__(
        self, graph: Graph, flow: Dataflow, layers: Sequence[Layer], settings: SessionSettings
    ) -> None:
        self._graph, self._flow, self._settings = graph, flow, settings
        wanted = {tensor for layer in layers for tensor in self._operands(layer).values()}
        for layer in layers:
            node = graph.nodes[layer.members[0]]
            if node.op.startswith("QLinear") or node.op.endswith("Integer") or node.op == "QGemm":
                wanted.update(tensor for tensor in node.inputs if tensor not in flow.data)
        self._values = read_constants(graph, flow, sorted(wanted - {""}), settings=settings)

    def of(self, layer: Layer) -> dict[str, NDArray[Any]]:
        """Return the parameters of a layer by what they are called."""
        node = self._graph.nodes[layer.members[0]]
        read = self._values.__getitem__
        found = {}
        for word, tensor in self._operands(layer).items():
            if word == "weights":
                values = self._weights(layer, tensor)
            elif word == "bias" and node.op in {"QLinearConv", "QGemm"}:  # as products are scaled
                values = read(tensor) * (read(node.inputs[1]) * read(node.inputs[4]))
            else:
                values = read(tensor)
            if word == "bias":  # whatever axes of length 1 it is spread over
                values = values.reshape(-1)
            if values.dtype.kind == "f":
                found[word] = np.atleast_1d(values)
        return found

    def _weights(self, layer: Layer, tensor: str) -> NDArray[Any]:
        """Read a kernel; as it is stored where it has more axes than can be shown."""
        read = self._values.__getitem__
        try:
            return learned(self._graph, self._flow, layer, self._settings, read=read).values
        except ModelError:
            return read(tensor).astype(np.float32)

    def _operands(self, layer: Layer) -> dict[str, str]:
        """Name the tensors of a layer's parameters."""
        node = self._graph.nodes[layer.members[0]]
        if has_weights(self._graph, layer):
            bias = operand(node, BIAS[node.op]) if node.op in BIAS else ""
            if not bias and len(layer.members) > 1:
                bias = constant_operand(self._flow, self._graph.nodes[layer.members[-1]])
            found = {"weights": operand(node, place_of(self._flow, node)), "bias": bias}
        else:
            words = _WORDS.get(node.op, ())
            places = OWNED.get(node.op, range(len(node.inputs)))
            found = {
                words[place] if words else f"input {place}": operand(node, place)
                for place in places
            }
        return {
            word: tensor
            for word, tensor in found.items()
            if tensor and tensor not in self._flow.data
        }


def compare_parameters(a: Learned, b: Learned, pairs: Sequence[Pair]) -> Iterator[ParameterPair]:
    """Compare the parameters of partners, one by one."""
    for pair in pairs:
        ours, theirs = a.of(pair.a), b.of(pair.b)
        for word in dict.fromkeys([*ours, *theirs]):
            both = ours.get(word), theirs.get(word)
            shapes = tuple(None if one is None else one.shape for one in both)
            figures = None
            if both[0] is not None and both[1] is not None and shapes[0] == shapes[1]:
                tally = Tally()
                tally.add(0, both[0], both[1])
                figures = tally.figures
            yield ParameterPair(pair, word, (shapes[0], shapes[1]), figures)
