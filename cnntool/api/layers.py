"""Descriptions of a network's layers: names, shapes, parameters and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.api.records import Records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.nets.network import Network


class LayerInfo(NamedTuple):
    """A layer of a network. None stands for what it has not, or what is not known.

    Attributes
    ----------
    number : int or None
        Its place among all layers, from 1; None for an operator that is no layer.
    alias : str or None
        Its name by its place in the network, such as ``block4_conv2``.
    type : str or None
        ``conv``, ``dense``, ``pool``...
    ordinal : int or None
        Its place among those of its type, from 1: it is ``conv:9``, too.
    op : str
        Its operator.
    node : str
        The name of its node, often empty.
    pre, post : str
        Its tensors before and after the batch norm and activation that follow it.
    after : str or None
        What lies between the two: ``"batch norm and ReLU"``.
    dequantised : bool
        Whether `post` is a dequantised tensor.
    scopes : tuple of str
        The modules that it is in, outermost first.
    dtype : str or None
        Of its numbers.
    shape : tuple or None
        Of its output with the batch first; None for a length that is not known.
    """

    number: int | None
    alias: str | None
    type: str | None
    ordinal: int | None
    op: str
    node: str
    pre: str
    post: str
    after: str | None
    dequantised: bool
    scopes: tuple[str, ...]
    dtype: str | None
    shape: tuple[int | None, ...] | None


class LayerSummary(NamedTuple):
    """What a layer is, has and costs. None stands for what it has not, or what is not known.

    Attributes
    ----------
    number, alias, type, ordinal, op, node, pre, post, after, dequantised, scopes, dtype, shape
        As those of `LayerInfo`.
    parameters : int or None
        Weights, biases, scales and statistics.
    multiply_adds : int or None
        Of convolutions and matrix products.
    receptive_field : tuple of int or None
        Rows and columns of the input that one value sees.
    sees_all : bool
        Whether it sees the whole input.
    stride : tuple of float or None
        Rows and columns of the input between one value and the next.
    memory : int or None
        Bytes of its output.
    """

    number: int | None
    alias: str | None
    type: str | None
    ordinal: int | None
    op: str
    node: str
    pre: str
    post: str
    after: str | None
    dequantised: bool
    scopes: tuple[str, ...]
    dtype: str | None
    shape: tuple[int | None, ...] | None
    parameters: int | None
    multiply_adds: int | None
    receptive_field: tuple[int, ...] | None
    sees_all: bool
    stride: tuple[float, ...] | None
    memory: int | None


class ModelSummary(NamedTuple):
    """All layers of a network, and what they come to. None stands for what is not known.

    Attributes
    ----------
    inputs : tuple of TensorInfo
        What goes in: ``name``, ``dtype`` and ``shape``.
    layers : Records of LayerSummary
        One by one.
    parameters : int or None
        Of all layers, each number counted once.
    statistics : int
        How many of them are running statistics, which Keras calls non-trainable.
    multiply_adds, memory : int or None
        Sums over the layers.
    """

    inputs: tuple[TensorInfo, ...]
    layers: Records[LayerSummary]
    parameters: int | None
    statistics: int
    multiply_adds: int | None
    memory: int | None

    def _repr_html_(self) -> str:
        return self.layers._repr_html_()


def layer_info(layer: Layer, info: TensorInfo | None) -> LayerInfo:
    """Describe a layer, with the type and the shape of its output where these are known."""
    return LayerInfo(
        number=layer.number or None,
        alias=layer.alias or None,
        type=layer.kind or None,
        ordinal=layer.ordinal or None,
        op=layer.op,
        node=layer.node,
        pre=layer.pre,
        post=layer.post,
        after=layer.after or None,
        dequantised=layer.dequantised,
        scopes=layer.scopes,
        dtype=(info.dtype if info else "") or None,
        shape=lengths(info),
    )


def lengths(info: TensorInfo | None) -> tuple[int | None, ...] | None:
    """Return a tensor's shape with None for what is not known."""
    if info is None or info.shape is None:
        return None
    return tuple(length if isinstance(length, int) else None for length in info.shape)


def summarise(model: Network, size: Sequence[int] = ()) -> ModelSummary:
    """Describe every layer for one size of input: `cnntool.nets.inference.summary.summarise`."""
    from cnntool.nets.inference.summary import summarise as of_graph

    found = of_graph(model.graph, model.read_layers(), model.shapes(size))
    layers = [LayerSummary(*layer_info(line.layer, line.info), *line[2:]) for line in found.lines]
    return ModelSummary(found.inputs, Records(layers), *found[2:])
