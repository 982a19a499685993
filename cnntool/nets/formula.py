"""How a layer's result is computed: which tensors go into the sum of products.

Sources: Conv, ConvTranspose, Gemm, MatMul and the quantised operators in
https://onnx.ai/onnx/operators/ and, for the domain ``com.microsoft``,
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError
from cnntool.nets.flow import operand, result
from cnntool.nets.following import constant_operand
from cnntool.nets.operators import BIAS, FACTORS, KERNEL
from cnntool.nets.receptive_rules import NodeWindow, read_window
from cnntool.shapes.windows import AxisWindow

if TYPE_CHECKING:
    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Graph, Node
    from cnntool.nets.rows import Layer

_WHOLE = frozenset({"ConvInteger", "MatMulInteger"})
"""Compute with whole numbers, which later nodes scale."""

_POINT = NodeWindow((AxisWindow(1), AxisWindow(1)))


class Formula(NamedTuple):
    """The rule and the tensors behind a convolution or a dense layer.

    Parameters
    ----------
    graph : Graph
        The network.
    node : Node
        The layer's operator.
    what : str
        What errors call the layer.
    source, pre, post : str
        What goes in, what comes out before the norm and the activation that follow, and behind
        them.
    bias : str
        What is added; empty for nothing.
    zero, scale, weight_scale : str
        What whole numbers stand for, in a quantised operator; else empty.
    window : NodeWindow
        Of a convolution, on rows and columns; a dense layer has one place.
    after : str
        What lies between `pre` and `post`; empty if nothing does.
    """

    graph: Graph
    node: Node
    what: str
    source: str
    pre: str
    post: str
    bias: str
    zero: str
    scale: str
    weight_scale: str
    window: NodeWindow
    after: str

    @property
    def is_dense(self) -> bool:
        """Whether its result is a vector."""
        return self.node.op in FACTORS

    @property
    def tensors(self) -> tuple[str, ...]:
        """All tensors that must be known to take a unit apart, the weights not among them."""
        post = self.post if self.after else ""
        named = (self.source, self.pre, post, self.bias, self.zero, self.scale, self.weight_scale)
        return tuple(dict.fromkeys(filter(None, named)))

    def refused(self, reason: str) -> ModelError:
        """Make the error for a layer that cannot be taken apart."""
        return ModelError(
            f"{self.what!r} cannot be taken apart: {reason}", source=self.graph.wire.name
        )


def formula(graph: Graph, flow: Flow, layer: Layer) -> Formula:
    """Find out how a layer's result is computed.

    Parameters
    ----------
    graph, flow : Graph, Flow
        The network.
    layer : Layer
        One of its layers, whose weights `cnntool.nets.learned.learned` can read.

    Raises
    ------
    ModelError
        When it is more than a sum of products and a bias.
    """
    node = graph.nodes[layer.members[0]]
    whole = node.op in _WHOLE
    pre = result(node) if whole else layer.pre
    after = layer.after
    if whole and layer.pre != pre:
        after = "scaling" + (f", {after}" if after else "")
    scaled = node.op.startswith("QLinear") or node.op == "QGemm"
    window = read_window(flow, node) if node.op in KERNEL else _POINT
    found = Formula(
        graph=graph,
        node=node,
        what=layer.alias or layer.node or layer.pre,
        source=operand(node, 0),
        pre=pre,
        post=layer.post,
        bias="" if whole else _bias(graph, flow, layer),
        zero=operand(node, 2) if whole or scaled else "",
        scale=operand(node, 1) if scaled else "",
        weight_scale=operand(node, 4) if scaled else "",
        window=_on_rows(window or _POINT),
        after=after,
    )
    fault = _fault(node, flow) or ("" if window else "its attributes make no sense")
    if fault:
        raise found.refused(fault)
    return found


def _on_rows(window: NodeWindow) -> NodeWindow:
    """Give the window of a one-dimensional convolution one row."""
    if len(window.axes) != 1:
        return window
    return window._replace(
        axes=(AxisWindow(1), *window.axes),
        extra=(0, *window.extra),
        stated=window.stated and (1, *window.stated),
    )


def _bias(graph: Graph, flow: Flow, layer: Layer) -> str:
    """Name the bias: an input of the operator, or what a node of its own adds."""
    node = graph.nodes[layer.members[0]]
    own = operand(node, BIAS[node.op]) if node.op in BIAS else ""
    if own or len(layer.members) == 1:
        return own
    return constant_operand(flow, graph.nodes[layer.members[-1]])


def _fault(node: Node, flow: Flow) -> str:
    """Say what makes a layer more than a sum of products; empty if it is none."""
    if node.op == "DeformConv":
        return "where its windows lie depends on the picture"
    if node.op == "FusedConv" and (node.attribute("activation") or operand(node, 3)):
        return "an activation or a sum is fused into it"
    if node.op in FACTORS:
        if operand(node, 0) not in flow.data:
            return "its weights stand on the left of the product"
        if any(node.attribute(name, 0) for name in ("transA", "transBatchA", "transBatchB")):
            return "its input is transposed"
    if node.attribute("channels_last", 0):
        return "its channels come last"
    return ""
