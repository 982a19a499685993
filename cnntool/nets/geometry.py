"""Receptive fields, strides and multiply-adds of all layers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .field import Field, Place, joined, multiplied, pooled, resized, slid, together
from .flow import operand, result
from .moves import (
    padded,
    picked,
    rearranged,
    reshaped,
    sliced,
    split,
    squeezed,
    turned,
    unsqueezed,
)
from .operators import DOMAINS, FACTORS, KERNEL, KIND_OF, PASSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .field import Shape
    from .flow import Flow
    from .graph import Graph, Node, TensorInfo

    _Rule = Callable[[Place, Sequence[Field]], Field | None]

_TOO_FAR = 1 << 40
"""Receptive fields and strides beyond this are no network's: nothing more is said of them."""


def trace(
    graph: Graph, flow: Flow, shapes: Mapping[str, TensorInfo] | None = None
) -> dict[str, Field]:
    """Follow the receptive field from the picture to every tensor.

    Parameters
    ----------
    graph : Graph
        The network.
    flow : Flow
        What depends on what in it.
    shapes : mapping of str to TensorInfo, optional
        Shapes of its tensors, inputs included. Without them, lengths are computed as far as the
        file tells.

    Returns
    -------
    dict of str to Field
        A tensor that is missing has no field, or an unknown one.
    """
    known = shapes or {}
    fields: dict[str, Field] = {}
    for info in graph.inputs:
        shape = _lengths(known.get(info.name, info))
        if shape is not None and len(shape) > 2:
            fields[info.name] = _picture(shape)
    for node in graph.nodes:
        inputs = flow.data_inputs(node)
        seen = [fields[tensor] for tensor in inputs if tensor in fields]
        rule = _rule(node)
        if rule is None or not seen or len(seen) < len(inputs):
            continue
        for tensor in node.outputs if node.op == "Split" else (result(node),):
            shape = _lengths(known.get(tensor))
            field = rule(Place(flow, node, shape), seen)
            if field is None or not _is_sane(field):
                continue
            if shape is not None and len(shape) == field.rank:
                field = field._replace(size=tuple(shape[axis] for axis in field.axes))
            fields[tensor] = field
    return fields


def _lengths(info: TensorInfo | None) -> Shape | None:
    if info is None or info.shape is None:
        return None
    return tuple(length if isinstance(length, int) else None for length in info.shape)


def _picture(shape: Shape) -> Field:
    """Find the spatial axes of an input: channels are few, and last or behind the batch."""
    last = len(shape) == 4 and shape[3] in {1, 3, 4} and shape[1] not in {1, 3, 4}
    axes = (1, 2) if last else tuple(range(2, len(shape)))
    ones = (1,) * len(axes)
    return Field(axes, len(shape), tuple(shape[axis] for axis in axes), ones, ones)


def _rule(node: Node) -> _Rule | None:
    if node.domain not in DOMAINS:
        return None
    rule = _RULES.get(node.op)
    return _RULES_BY_KIND.get(KIND_OF.get(node.op, "")) if rule is None else rule


def _is_sane(field: Field) -> bool:
    """Tell whether a field can be one; files that are made to confuse have others."""
    numbers = (*field.extent, *field.jump)
    return (
        all(number.numerator < _TOO_FAR > number.denominator for number in numbers)
        and all(0 <= axis < field.rank for axis in field.axes)
        and field.rank > 0
        and len(field.extent) == len(field.axes or field.extent)
    )


_RULES_BY_KIND: Mapping[str, _Rule] = {
    "conv": slid,
    "dense": multiplied,
    "pool": slid,
    "concat": joined,
    "reshape": reshaped,
    **dict.fromkeys(
        ("relu", "activation", "softmax", "norm", "add", "multiply", "scale"), together
    ),
}
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(PASSING, together),
    **dict.fromkeys(
        ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "QLinearGlobalAveragePool"), pooled
    ),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2"), pooled),
    **dict.fromkeys(("Abs", "Neg", "Exp", "Log", "Sqrt", "Pow", "Erf", "Min", "Max"), together),
    **dict.fromkeys(("ArgMax", "ArgMin"), picked),
    **dict.fromkeys(("Resize", "Upsample"), resized),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), rearranged),
    **dict.fromkeys(("Pad", "Crop"), padded),
    "DeformConv": lambda _place, _fields: None,
    "Transpose": turned,
    "Squeeze": squeezed,
    "Unsqueeze": unsqueezed,
    "Slice": sliced,
    "Split": split,
}


def multiply_adds(
    node: Node, kind: str, shape_of: Callable[[str], tuple[int, ...] | None]
) -> int | None:
    """Count the multiplications of an operator, each with its addition.

    Convolutions and matrix products count; what works value by value, and pools, do not.

    Parameters
    ----------
    node : Node
        The operator.
    kind : str
        The kind of layer that it is.
    shape_of : callable
        Gives the shape of a tensor, or None where it is not known.

    Returns
    -------
    int or None
        For all pictures of a batch together; None where it is not known.
    """
    if node.domain not in DOMAINS or kind in {"other", "recurrent"}:
        return None
    factors = FACTORS.get(node.op)
    if node.op in KERNEL:
        position = KERNEL[node.op]
        swept = operand(node, 0) if node.op == "ConvTranspose" else result(node)
        map_, kernel = shape_of(swept), shape_of(operand(node, position))
        return None if map_ is None or kernel is None else prod(map_) * prod(kernel[1:])
    if factors is not None:
        left, made = shape_of(operand(node, factors[0])), shape_of(result(node))
        if not left or made is None:
            return None
        summed = left[0] if node.attribute("transA", 0) == 1 and len(left) > 1 else left[-1]
        return prod(made) * summed
    return 0
