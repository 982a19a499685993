"""One unit of a layer taken apart: the numbers behind it, and what the network made of them."""

from __future__ import annotations

from math import inf, prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import ModelError, UsageError
from cnntool.nets.inference.layer_outputs import dequantised, quantisation
from cnntool.nets.layers.dataflow import BIAS, FACTORS, KERNEL, operand, result
from cnntool.nets.layers.layer_list import constant_operand
from cnntool.nets.layers.receptive_field import NodeWindow, read_window
from cnntool.shapes.text import counted, times
from cnntool.shapes.windows import AxisWindow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow
    from cnntool.nets.layers.layer_list import Layer
    from cnntool.shapes.windows import Pads, Pair

    Values = NDArray[np.float64]


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


def formula(graph: Graph, flow: Dataflow, layer: Layer) -> Formula:
    """Find out how a layer's result is computed.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    layer : Layer
        One of its layers, whose weights `cnntool.nets.inference.weights.learned` can read.

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
        bias="" if whole else _bias_operand(graph, flow, layer),
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


def _bias_operand(graph: Graph, flow: Dataflow, layer: Layer) -> str:
    """Name the bias: an input of the operator, or what a node of its own adds."""
    node = graph.nodes[layer.members[0]]
    own = operand(node, BIAS[node.op]) if node.op in BIAS else ""
    if own or len(layer.members) == 1:
        return own
    return constant_operand(flow, graph.nodes[layer.members[-1]])


def _fault(node: Node, flow: Dataflow) -> str:
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


ROUNDINGS = 8
"""Last digits by which sums in another order may differ, of the sum of the products' sizes."""


class LayerArithmetic(NamedTuple):
    """How the units of a layer are computed and stored.

    Parameters
    ----------
    stride, dilation : (rows, columns)
        How the window slides.
    pads : (top, bottom, left, right)
        Zeros around the maps; below 0 where some of the maps is left out.
    spread : (rows, columns)
        1, or how far apart a transposed convolution lays its inputs.
    limits : (float, float)
        The least and the most that a value can be, where it is stored in few bits.
    step : float
        How far apart such values are; 0 for real numbers.
    precision : float
        How far the network's value may be from the exact one by rounding, as a share of the sum
        of the products' sizes.
    """

    stride: Pair
    dilation: Pair
    pads: Pads
    spread: Pair
    limits: tuple[float, float]
    step: float
    precision: float


class Operands(NamedTuple):
    """What all units of a layer are computed from, and what the network made of it.

    Parameters
    ----------
    maps : ndarray of float64, shape (I, H, W)
        All that goes in, dequantised; that of a transposed convolution is spread out, with zeros
        between.
    weights : ndarray of float, shape (O, I / groups, kH, kW)
        As they are laid on the maps, to be multiplied by ``factor``.
    factor : float
        What a dense layer multiplies its products by.
    bias : ndarray of float64, shape (O,)
        What is added.
    groups : int
        Into how many parts inputs and outputs are divided.
    made : ndarray of float64, shape (O, h, w)
        The network's own values, before the norm and the activation that follow.
    after : ndarray of float64, shape (O, h, w), or None
        Those after them; None where these are not value by value.
    how : LayerArithmetic
    """

    maps: Values
    weights: NDArray[Any]
    factor: float
    bias: Values
    groups: int
    made: Values
    after: Values | None
    how: LayerArithmetic


class Unit(NamedTuple):
    """What a unit is computed from, and what the network made of it.

    Parameters
    ----------
    at : (channel, row, column)
        Its place in the layer's result; row and column are 0 in a vector.
    shape : (channels, rows, columns)
        Of that result.
    maps : ndarray of float64, shape (I, H, W)
        The maps that it looks at.
    first : int
        The number of the first of them among all that go into the layer.
    weights : ndarray of float64, shape (I, kH, kW)
        As they are laid on the maps.
    bias : float
        What is added.
    network : float
        The network's own value, before the norm and the activation that follow.
    after : float or None
        Its value after norm and activation; None where these are not value by value.
    how : LayerArithmetic
    """

    at: tuple[int, int, int]
    shape: tuple[int, int, int]
    maps: Values
    first: int
    weights: Values
    bias: float
    network: float
    after: float | None
    how: LayerArithmetic


def unit(
    formula: Formula,
    weights: NDArray[Any],
    arrays: Mapping[str, NDArray[Any]],
    at: Sequence[int],
    *,
    batch: int = 1,
) -> Unit:
    """Pick out what one unit of a layer is computed from.

    Parameters
    ----------
    formula : Formula
        Of the layer.
    weights : ndarray of shape (O, I, kH, kW) or (O, I)
        Of the layer, see `cnntool.nets.inference.weights.LayerWeights`.
    arrays : mapping of str to ndarray
        The tensors that `formula` names, as the network gives them.
    at : sequence of int
        Channel, row and column of the unit; of a vector, and of maps of one place, the channel
        alone will do.
    batch : int
        How many pictures went in; the first one counts.

    Raises
    ------
    UsageError
        A unit that the layer has not.
    ModelError
        When the layer does not work on the picture's maps or on one vector of it.
    """
    found = operands(formula, weights, arrays, batch=batch)
    shape = (found.made.shape[0], found.made.shape[1], found.made.shape[2])
    place = _place(formula, at, shape)
    inputs = found.weights.shape[1]
    first = place[0] // (len(found.made) // found.groups) * inputs
    return Unit(
        at=place,
        shape=shape,
        maps=found.maps[first : first + inputs],
        first=first,
        weights=found.weights[place[0]].astype(np.float64) * found.factor,
        bias=float(found.bias[place[0]]),
        network=float(found.made[place]),
        after=None if found.after is None else float(found.after[place]),
        how=found.how,
    )


def operands(
    formula: Formula,
    weights: NDArray[Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    batch: int = 1,
) -> Operands:
    """Gather what the units of a layer are computed from.

    Parameters
    ----------
    formula, weights, arrays, batch
        See `unit`.

    Raises
    ------
    ModelError
        When the layer does not work on the picture's maps or on one vector of it.
    """
    if formula.is_dense:
        weights = weights[:, :, None, None]
    given = _maps(formula, arrays[formula.source], batch)
    made = _maps(formula, arrays[formula.pre], batch)
    groups = len(given) // max(1, weights.shape[1])
    if not groups or len(given) != groups * weights.shape[1] or len(made) != len(weights):
        raise formula.refused(f"{counted(len(given), 'map')} in, {len(made)} out")
    zero, scale = _number(arrays, formula.zero, 0), _number(arrays, formula.scale, 1)
    maps = (given.astype(np.float64) - zero) * scale
    factor = formula.node.attribute("alpha", 1.0) if formula.is_dense else 1.0
    pads, spread = _pads(formula, given.shape[1:], made.shape[1:]), (1, 1)
    rows, columns = formula.window.axes
    stride = rows.stride, columns.stride
    if formula.window.up:
        spread, stride = stride, spread
        maps, weights = _spread(maps, spread), weights[:, :, ::-1, ::-1]
    values, limits, step = _results(formula, made)
    return Operands(
        maps=maps,
        weights=weights,
        factor=float(factor),
        bias=_biases(formula, arrays, len(made)),
        groups=groups,
        made=values,
        after=_after(formula, arrays, made.shape, batch),
        how=LayerArithmetic(
            stride=stride,
            dilation=(rows.dilation, columns.dilation),
            pads=pads,
            spread=spread,
            limits=limits,
            step=step,
            precision=ROUNDINGS * _last_digit(made, given),
        ),
    )


def _maps(formula: Formula, values: NDArray[Any], batch: int) -> NDArray[Any]:
    """Return the first picture's values as maps (C, H, W); a vector has maps of one place."""
    if values.ndim < 2 or len(values) != batch:
        raise formula.refused("it does not work on one picture at a time")
    own: NDArray[Any] = values[0]
    if formula.is_dense:
        if own.size != own.shape[-1]:
            raise formula.refused(f"it works on {own.size // own.shape[-1]} vectors of a picture")
        own = own.reshape(-1, 1, 1)
    return own[:, None] if own.ndim == 2 else own


def _place(formula: Formula, at: Sequence[int], shape: Sequence[int]) -> tuple[int, int, int]:
    """Check a unit's place; where there is only one row and column, they may be left out."""
    size = times(shape[:1] if formula.is_dense else shape)
    if len(at) == 1 and prod(shape[1:]) == 1:
        at = (*at, 0, 0)
    if len(at) != 3 or (formula.is_dense and any(at[1:])):
        one = "one number" if formula.is_dense else "C,ROW,COLUMN"
        raise UsageError(f"a unit of {formula.what!r}, which is {size}, is {one}", source="`unit`")
    channel, row, column = at
    if any(not 0 <= number < length for number, length in zip(at, shape, strict=True)):
        text = channel if formula.is_dense else f"{channel},{row},{column}"
        raise UsageError(
            f"{text} lies outside of {formula.what!r}, which is {size}",
            source="`unit`",
            hint="channels, rows and columns count from 0",
        )
    return channel, row, column


def _number(arrays: Mapping[str, NDArray[Any]], tensor: str, default: float) -> float:
    return float(arrays[tensor].reshape(-1)[0]) if tensor else default


def _pads(formula: Formula, given: Sequence[int], made: Sequence[int]) -> Pads:
    """Return the zeros around the maps, which those of a transposed convolution are when spread."""
    window, found = formula.window, []
    for axis, (size, length) in enumerate(zip(given, made, strict=True)):
        one = window.along(axis, size)
        before, reach = one.before, one.extent
        if window.up:
            if window.auto or window.stated:
                free = one._replace(before=0, after=0)
                total = max(0, free.transposed(size, window.extra[axis]) - length)
                before = (total + (window.auto != "SAME_UPPER")) // 2
            before = reach - 1 - before
            found += [before, length + reach - 1 - (size - 1) * one.stride - 1 - before]
        else:
            found += [before, max(0, (length - 1) * one.stride + reach - size - before)]
    top, bottom, left, right = found
    return top, bottom, left, right


def _spread(maps: Values, steps: Pair) -> Values:
    """Put zeros between the rows and columns of maps."""
    channels, rows, columns = maps.shape
    wide = np.zeros((channels, (rows - 1) * steps[0] + 1, (columns - 1) * steps[1] + 1))
    wide[:, :: steps[0], :: steps[1]] = maps
    return wide


def _biases(formula: Formula, arrays: Mapping[str, NDArray[Any]], channels: int) -> Values:
    """Return what is added to each map, in real numbers."""
    if not formula.bias:
        return np.zeros(channels)
    bias = arrays[formula.bias].reshape(-1).astype(np.float64)
    if formula.scale:  # it is stored in steps of the products
        bias = bias * _number(arrays, formula.scale, 1) * arrays[formula.weight_scale].reshape(-1)
    elif formula.is_dense:
        bias = bias * float(formula.node.attribute("beta", 1.0))
    return np.broadcast_to(bias, (channels,))


def _results(formula: Formula, made: NDArray[Any]) -> tuple[Values, tuple[float, float], float]:
    """Return the network's values, the limits of such values, and how far apart they are."""
    scaled = quantisation(formula.graph, formula.pre) if formula.scale else None
    values = made.astype(np.float64)
    if scaled is None or made.dtype.kind not in "iu":
        return values, (-inf, inf), 0.0
    scale, zero = scaled
    held = np.iinfo(made.dtype)
    low, high = ((float(number) - zero) * scale for number in (held.min, held.max))
    return (values - zero) * scale, (low, high), scale


def _last_digit(made: NDArray[Any], given: NDArray[Any]) -> float:
    """Return the precision of the coarser of two types of numbers, float32 at best."""
    types = [array.dtype for array in (made, given) if array.dtype.kind == "f"]
    return max(float(np.finfo(dtype).eps) for dtype in (*types, np.dtype(np.float32)))


def _after(
    formula: Formula, arrays: Mapping[str, NDArray[Any]], shape: Sequence[int], batch: int
) -> Values | None:
    """Return the units' values after what follows the layer's operator."""
    values = arrays[formula.post] if formula.after else np.zeros(0)
    if values.ndim < 2 or len(values) != batch:
        return None
    own, _ = dequantised(formula.graph, formula.post, values[0])
    # A softmax often stands behind a change of shape that drops axes of one place.
    if [n for n in own.shape if n > 1] != [n for n in shape if n > 1]:
        return None
    return own.reshape(shape).astype(np.float64)
