"""Receptive fields: what of the picture the values of each tensor see, and where.

Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019, https://doi.org/10.23915/distill.00021: a window of a convolution or a pool begins
``before`` zeros earlier than what it slides over, in steps of that.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.layers.dataflow import DOMAINS, FACTORS, KERNEL, KIND_OF, PASSING, operand, result
from cnntool.shapes.windows import AxisWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from fractions import Fraction

    from cnntool.nets.file.graph import Graph, Node
    from cnntool.nets.layers.dataflow import Dataflow

    Number = int | Fraction
    Shape = tuple[int | None, ...]
    Rule = Callable[["NodeContext", "ReceptiveField"], "ReceptiveField | None"]


Box = tuple[int, int, int, int]
"""First row, first column, and the row and the column behind the last."""

_TOO_FAR = 1 << 40
"""Receptive fields and strides beyond this are no network's: nothing more is said of them."""

_UNSTATED = frozenset({"Crop", "Slice", "Split", "Resize", "Upsample", "DepthToSpace"})
"""Operators that do not tell how many places they put before the first one."""


def trace(
    graph: Graph,
    flow: Dataflow,
    shapes: Mapping[str, TensorInfo] | None = None,
    *,
    picture: str = "",
) -> dict[str, ReceptiveField]:
    """Follow the receptive field from the picture to every tensor.

    Parameters
    ----------
    graph : Graph
        The network.
    flow : Dataflow
        What depends on what in it.
    shapes : mapping of str to TensorInfo, optional
        Shapes of its tensors, inputs included. Without them, lengths are computed as far as the
        file tells.
    picture : str
        The input on which the fields are to be placed; without it they have no start.

    Returns
    -------
    dict of str to Field
        A tensor that is missing has no field, or an unknown one.
    """
    known = shapes or {}
    fields: dict[str, ReceptiveField] = {}
    for info in graph.inputs:
        shape = _lengths(known.get(info.name, info))
        if shape is not None and len(shape) > 2:
            start = (0, 0) if info.name == picture else None
            fields[info.name] = _picture(shape)._replace(start=start)
    origin = fields.get(picture)
    for node in graph.nodes:
        inputs = flow.data_inputs(node)
        seen = [fields[tensor] for tensor in inputs if tensor in fields]
        rule = rule_of(node)
        if rule is None or not seen or len(seen) < len(inputs):
            continue
        for tensor in node.outputs if node.op == "Split" else (result(node),):
            shape = _lengths(known.get(tensor))
            place = NodeContext(flow, node, shape, seen)
            field = rule(place, seen[0])
            if field is None or not _is_sane(field):
                continue
            if shape is not None and len(shape) == field.rank:
                field = field._replace(size=tuple(shape[axis] for axis in field.axes))
            if origin is not None:
                field = field._replace(start=_start(place, field, origin))
            fields[tensor] = field
    return fields


def _lengths(info: TensorInfo | None) -> Shape | None:
    if info is None or info.shape is None:
        return None
    return tuple(length if isinstance(length, int) else None for length in info.shape)


def _picture(shape: Shape) -> ReceptiveField:
    """Find the spatial axes of an input: channels are few, and last or behind the batch."""
    last = len(shape) == 4 and shape[3] in {1, 3, 4} and shape[1] not in {1, 3, 4}
    axes = (1, 2) if last else tuple(range(2, len(shape)))
    ones = (1,) * len(axes)
    return ReceptiveField(axes, len(shape), tuple(shape[axis] for axis in axes), ones, ones)


def _is_sane(field: ReceptiveField) -> bool:
    """Tell whether a field can be one; files that are made to confuse have others."""
    numbers = (*field.extent, *field.jump)
    return (
        all(number.numerator < _TOO_FAR > number.denominator for number in numbers)
        and all(0 <= axis < field.rank for axis in field.axes)
        and field.rank > 0
        and len(field.extent) == len(field.axes or field.extent)
    )


def _start(
    place: NodeContext,
    field: ReceptiveField,
    picture: ReceptiveField,
) -> tuple[Number | float, Number | float] | None:
    """Return where the first value begins to see; None where it is not known, and of vectors."""
    if len(field.axes) != 2 or len(picture.axes) != 2:
        return None
    source = max(place.fields, key=lambda one: one.extent)
    before = _before(place, source)
    if before is None:
        return _centred(field, picture)
    if source.start is None:
        return None
    (top, left), (down, across) = source.start, source.jump
    return top - before[0] * down, left - before[1] * across


def _before(place: NodeContext, field: ReceptiveField) -> tuple[int, int] | None:
    """Return how many places a node puts before the first one; None if it is not known."""
    if place.node.op == "Pad":
        pads = place.numbers("pads", 1)
        if pads is None or len(pads) != 2 * field.rank:
            return None
        return pads[field.axes[0]], pads[field.axes[1]]
    if place.node.op in _UNSTATED:
        return None
    window = read_window(place.flow, place.node)
    if window is None or len(window.axes) != 2:
        return 0, 0
    rows, columns = field.size
    if window.up or (window.auto and (rows is None or columns is None)):
        return None
    return window.along(0, rows or 0).before, window.along(1, columns or 0).before


def _centred(field: ReceptiveField, picture: ReceptiveField) -> tuple[float, float] | None:
    """Return where the first value begins to see if the map lies in the middle of the picture."""
    start = []
    for size, rows, extent, jump in zip(
        field.size, picture.size, field.extent, field.jump, strict=True
    ):
        if size is None or rows is None:
            return None
        start.append((rows - float(extent) - (size - 1) * float(jump)) / 2)
    return start[0], start[1]


class Sight(NamedTuple):
    """What the values of a map see of the picture.

    Parameters
    ----------
    extent : (float, float)
        Rows and columns that one value sees.
    jump : (float, float)
        Rows and columns from one value to the next.
    start : (float, float)
        First row and column that the first value sees; below 0 where that is padding.
    whole : bool
        Whether every value sees the whole picture.
    """

    extent: tuple[float, float]
    jump: tuple[float, float]
    start: tuple[float, float]
    whole: bool

    def box(self, row: int, column: int, picture: tuple[int, int]) -> Box:
        """Return what a value sees.

        Parameters
        ----------
        row, column : int
            Its place in the map.
        picture : (int, int)
            Rows and columns of the picture.
        """
        if self.whole:
            return 0, 0, *picture
        top, left = (
            round(start + place * jump)
            for start, place, jump in zip(self.start, (row, column), self.jump, strict=True)
        )
        return top, left, top + round(self.extent[0]), left + round(self.extent[1])


def fields_of(
    graph: Graph, flow: Dataflow, name: str, shape: Sequence[int]
) -> dict[str, ReceptiveField]:
    """Follow the receptive field from a picture of known size to every tensor.

    Parameters
    ----------
    graph, flow : Graph, Dataflow
        The network.
    name : str
        Its input.
    shape : sequence of int
        Of what goes in.
    """
    dtype = next(info.dtype for info in graph.inputs if info.name == name)
    return trace(graph, flow, {name: TensorInfo(name, dtype, tuple(shape))}, picture=name)


def sight(field: ReceptiveField | None) -> Sight | None:
    """Find out what the values of a tensor see of the picture; None where it is not known.

    Where maps were enlarged on the way, their middle is taken to be the picture's.

    Parameters
    ----------
    field : ReceptiveField or None
        Of the tensor, see `fields_of`.
    """
    if field is None or len(field.extent) != 2:
        return None
    extent = _pair(field.extent)
    if field.whole:
        return Sight(extent, (1.0, 1.0), (0.0, 0.0), whole=True)
    if field.start is None or len(field.jump) != 2:
        return None
    return Sight(extent, _pair(field.jump), _pair(field.start), whole=False)


def _pair(numbers: Iterable[float | Number]) -> tuple[float, float]:
    first, second = map(float, numbers)
    return first, second


_LARGEST, _PARTS = 1 << 20, 1 << 16
"""Of the factors of a Resize: the largest, and into how many parts 1 is divided."""


class ReceptiveField(NamedTuple):
    """What the values of a tensor see of the picture.

    Parameters
    ----------
    axes : tuple of int
        The tensor's spatial axes, rows before columns; none once it is a vector.
    rank : int
        How many axes it has.
    size : tuple of int or None
        Its length along each spatial axis.
    extent : tuple of number
        Rows and columns of the picture that one value sees.
    jump : tuple of number
        Rows and columns of the picture between one value and the next: the stride.
    whole : bool
        Whether every value sees the whole picture.
    start : (number, number) or None
        First row and column that the first value sees, below 0 where that is padding; None where
        it is not known or not asked for.
    """

    axes: tuple[int, ...]
    rank: int
    size: Shape
    extent: tuple[Number, ...]
    jump: tuple[Number, ...]
    whole: bool = False
    start: tuple[Number | float, Number | float] | None = None

    @property
    def is_point(self) -> bool:
        """Whether there is one place only."""
        return all(length == 1 for length in self.size)

    def sized(self, change: Callable[[int, int], int | None]) -> ReceptiveField:
        """Return it with other lengths where they are known, by axis and length."""
        pairs = zip(self.axes, self.size, strict=True)
        return self._replace(size=tuple(n if n is None else change(axis, n) for axis, n in pairs))


class NodeContext(NamedTuple):
    """A node with what is known around it.

    Parameters
    ----------
    flow : Dataflow
    node : Node
    shape : tuple or None
        Of its result.
    fields : sequence of ReceptiveField
        Of what goes in.
    """

    flow: Dataflow
    node: Node
    shape: Shape | None
    fields: Sequence[ReceptiveField]

    def numbers(self, name: str, position: int | None = None) -> tuple[int, ...] | None:
        """Get whole numbers that are an attribute or, as some are in new files, an input."""
        found = self.node.attribute(name)
        if found is None and position is not None:
            found = self.flow.numbers(operand(self.node, position))
        if not isinstance(found, tuple) or not all(isinstance(v, int) for v in found):
            return None
        return found

    def whole(self, name: str, default: int) -> int:
        """Get an attribute that is a whole number."""
        found = self.node.attribute(name, default)
        return found if isinstance(found, int) else default


_GATES = frozenset({"Mul", "Div", "QLinearMul"})


def together(place: NodeContext, _: ReceptiveField) -> ReceptiveField | None:
    """Combine branches value by value: the largest receptive field counts."""
    fields = place.fields
    maps = [one for one in fields if not one.is_point]
    if place.node.op in _GATES:  # they scale maps, they do not see for them
        fields = maps or fields
    steps = [one for one in maps if not one.whole] or maps or fields
    first = steps[0]
    kinds = {(one.axes, one.rank, len(one.extent)) for one in fields}
    if len(kinds) > 1 or any(one.jump != first.jump for one in steps):
        return None
    extents = zip(*(one.extent for one in fields), strict=True)
    return first._replace(
        extent=tuple(max(numbers) for numbers in extents),
        whole=any(one.whole for one in fields),
    )


def joined(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Concat: as `together`, along an axis that is not spatial."""
    axis = place.whole("axis", 1)
    return None if axis % field.rank in field.axes else together(place, field)


def slid(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Convolutions and pools."""
    window = read_window(place.flow, place.node)
    axes = tuple(range(2, field.rank))
    if window is None or field.axes != axes or len(window.axes) != len(axes):
        return None
    extent, jump = list(field.extent), list(field.jump)
    for at, one in enumerate(window.axes):
        if window.up:
            extent[at] += _written(one) * jump[at]
            jump[at] = ratio(jump[at], one.stride)
        else:
            extent[at] += (one.extent - 1) * jump[at]
            jump[at] *= one.stride
    pairs = zip(field.size, window.axes, strict=True)
    over = all(n is not None and one.extent >= n for n, one in pairs)
    covers = over and not window.up and not window.padded
    covers = covers and any(one.kernel > 1 for one in window.axes)
    size = window.slid(field.size)
    return ReceptiveField(axes, field.rank, size, tuple(extent), tuple(jump), field.whole or covers)


def _written(window: AxisWindow) -> int:
    """How far apart the inputs are that one output of a transposed convolution is made of."""
    step = window.stride // gcd(window.stride, window.dilation)
    return (window.kernel - 1) // step * step * window.dilation // window.stride


def ratio(number: Number, divisor: Number) -> Number:
    """Divide exactly."""
    from fractions import Fraction

    ratio = Fraction(number) / Fraction(divisor)
    return ratio.numerator if ratio.denominator == 1 else ratio


def pooled(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Global pools, and reductions of whole maps or of channels."""
    axes = None
    if "Global" not in place.node.op:
        axes = place.numbers("axes", 1)
        if not axes:
            return None
    gone = set(field.axes) if axes is None else {axis % field.rank for axis in axes}
    if not gone.isdisjoint(field.axes):
        if not gone.issuperset(field.axes):
            return None
        field = field._replace(size=(1,) * len(field.axes), whole=True)
    return field if axes is None or place.whole("keepdims", 1) else without(field, gone)


def without(field: ReceptiveField, gone: set[int]) -> ReceptiveField:
    """Drop axes; the spatial ones among them have one place."""
    keep = [at for at, axis in enumerate(field.axes) if axis not in gone]
    return ReceptiveField(
        tuple(field.axes[at] - sum(axis < field.axes[at] for axis in gone) for at in keep),
        field.rank - len(gone),
        tuple(field.size[at] for at in keep),
        field.extent,
        tuple(field.jump[at] for at in keep),
        field.whole,
    )


def multiplied(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Products with weights: of a vector with all it holds, of maps along their channels."""
    node = place.node
    if len(place.fields) > 1:
        return None
    if not field.axes or node.op in {"Gemm", "QGemm"}:
        return as_vector(field, field.rank)._replace(whole=True)
    last = field.rank - 1
    left = operand(node, FACTORS[node.op][0]) in place.flow.data
    return field if left and last not in field.axes else None


def resized(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Resize and Upsample."""
    node = place.node
    unsized = field.sized(lambda *_: None)
    if field.whole and field.is_point:
        return unsized
    mode = node.attribute("mode", "nearest")
    taps = {"nearest": 0, "linear": 1, "bilinear": 1, "cubic": 3}.get(mode)
    factors = _factors(place, field)
    if taps is None or factors is None or node.attribute("antialias", 0):
        return None
    moved = [factor != 1 for factor in factors]
    return unsized._replace(
        extent=tuple(
            extent + taps * jump * move
            for extent, jump, move in zip(field.extent, field.jump, moved, strict=True)
        ),
        jump=tuple(ratio(j, f) for j, f in zip(field.jump, factors, strict=True)),
    )


def _factors(place: NodeContext, field: ReceptiveField) -> list[Number] | None:
    """By how much a Resize enlarges, from the shapes or from the scales that it states."""
    node = place.node
    if place.shape is not None and len(place.shape) == field.rank:
        corners = node.attribute("coordinate_transformation_mode") == "align_corners"
        pairs = [
            (None if new is None else new - corners, None if old is None else old - corners)
            for new, old in zip((place.shape[axis] for axis in field.axes), field.size, strict=True)
        ]
        if all(new and old for new, old in pairs):
            return [ratio(new or 1, old or 1) for new, old in pairs]
    stated = node.attribute("scales")
    for tensor in node.inputs[1:3]:
        stated = stated or place.flow.numbers(tensor)
    if not isinstance(stated, tuple) or len(stated) != field.rank:
        return None
    factors = [stated[axis] for axis in field.axes]
    if not all(isinstance(f, (int, float)) and 0 < f < _LARGEST for f in factors):
        return None
    return [ratio(round(factor * _PARTS) or 1, _PARTS) for factor in factors]


def as_vector(field: ReceptiveField, rank: int) -> ReceptiveField:
    """Forget where the values of a tensor stand; what each sees stays the same."""
    return ReceptiveField((), rank, (), field.extent, (), field.whole)


def turned(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Transpose."""
    order = place.numbers("perm")
    if "perm" not in place.node.attributes:
        order = tuple(reversed(range(field.rank)))
    if order is None or sorted(order) != list(range(field.rank)):
        return None
    return field._replace(axes=tuple(order.index(axis) for axis in field.axes))


def squeezed(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Squeeze, where it says which axes go."""
    axes = place.numbers("axes", 1)
    if axes is None or not all(-field.rank <= axis < field.rank for axis in axes):
        return None
    return without(field, {axis % field.rank for axis in axes})


def unsqueezed(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Unsqueeze."""
    axes = place.numbers("axes", 1)
    if axes is None:
        return None
    rank = field.rank + len(axes)
    added = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in added]
    if len(kept) != field.rank:
        return None
    return field._replace(axes=tuple(kept[axis] for axis in field.axes), rank=rank)


def reshaped(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Reshape and Flatten: maps stay maps where their axes are last and keep their lengths."""
    if place.node.op == "Flatten":
        return as_vector(field, 2)
    shape: Shape | None = place.shape or place.numbers("shape", 1)
    if shape is None:
        return None
    if len(shape) < 3 or not field.axes:
        return as_vector(field, len(shape))
    count = len(field.axes)
    trailing = field.axes == tuple(range(field.rank - count, field.rank))
    kept = None not in field.size and shape[-count:] == field.size and len(shape) > count
    if not trailing or not kept:
        return None
    return field._replace(axes=tuple(range(len(shape) - count, len(shape))), rank=len(shape))


def rearranged(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """DepthToSpace and SpaceToDepth."""
    block = place.whole("blocksize", 0)
    if field.axes != (2, 3) or block < 1:
        return None
    if place.node.op == "DepthToSpace":
        larger = field.sized(lambda _, n: n * block)
        return larger._replace(jump=tuple(ratio(j, block) for j in field.jump))
    return field.sized(lambda _, n: n // block)._replace(
        extent=tuple(e + (block - 1) * j for e, j in zip(field.extent, field.jump, strict=True)),
        jump=tuple(j * block for j in field.jump),
    )


def padded(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Pad and Crop."""
    rank = field.rank
    pads = place.numbers("pads", 1)
    border = place.numbers("border") or ()
    if place.node.op == "Crop" and len(border) == 4:
        left, top, right, bottom = border
        pads = (0, 0, -top, -left, 0, 0, -bottom, -right)
    if pads is None or len(pads) != 2 * rank:
        return field.sized(lambda *_: None)
    around = [before + after for before, after in zip(pads[:rank], pads[rank:], strict=True)]
    return field.sized(lambda axis, n: n + around[axis] if n + around[axis] > 0 else None)


def sliced(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Slice: the stride grows where places are skipped."""
    node = place.node
    starts, axes = place.numbers("starts", 1), place.numbers("axes", 3)
    if axes is None and len(node.inputs) < 4:
        axes = None if starts is None else tuple(range(len(starts)))
    steps = place.numbers("steps", 4) if len(node.inputs) > 4 else (1,) * len(axes or ())
    if axes is None or steps is None or len(steps) != len(axes) or not all(steps):
        return None
    step = {axis % field.rank: abs(n) for axis, n in zip(axes, steps, strict=True)}
    return field.sized(lambda axis, n: None if axis in step else n)._replace(
        jump=tuple(j * step.get(axis, 1) for axis, j in zip(field.axes, field.jump, strict=True)),
    )


def split(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """Split."""
    cut = place.whole("axis", 0) % field.rank
    return field.sized(lambda axis, n: None if axis == cut else n)


def picked(place: NodeContext, field: ReceptiveField) -> ReceptiveField | None:
    """ArgMax and ArgMin over the channels."""
    axis = place.whole("axis", 0) % field.rank
    if axis in field.axes:
        return None
    return field if place.whole("keepdims", 1) else without(field, {axis})


_BY_KIND: Mapping[str, Rule] = {
    "conv": slid,
    "dense": multiplied,
    "pool": slid,
    "concat": joined,
    "reshape": reshaped,
    **dict.fromkeys(
        ("relu", "activation", "softmax", "norm", "add", "multiply", "scale"), together
    ),
}
_RULES: Mapping[str, Rule] = {
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
    "DeformConv": lambda _place, _field: None,
    "Transpose": turned,
    "Squeeze": squeezed,
    "Unsqueeze": unsqueezed,
    "Slice": sliced,
    "Split": split,
}


def rule_of(node: Node) -> Rule | None:
    """Return the rule of an operator; None where it is not known."""
    if node.domain not in DOMAINS:
        return None
    rule = _RULES.get(node.op)
    return _BY_KIND.get(KIND_OF.get(node.op, "")) if rule is None else rule


_LARGEST = 1 << 31


class NodeWindow(NamedTuple):
    """What a convolution or a pool slides over a map.

    Parameters
    ----------
    axes : tuple of AxisWindow
        For every spatial axis.
    auto : str
        ``SAME_UPPER`` or ``SAME_LOWER`` where padding follows from the size of the input, so that
        the result has its size divided by the stride; else empty.
    up : bool
        Whether a window writes where others read: a transposed convolution.
    extra : tuple of int
        Rows and columns that a transposed convolution adds at the end.
    stated : tuple of int
        The size of its result, where the file says it.
    """

    axes: tuple[AxisWindow, ...]
    auto: str = ""
    up: bool = False
    extra: tuple[int, ...] = ()
    stated: tuple[int, ...] = ()

    @property
    def stride(self) -> tuple[int, ...]:
        """Step between windows along every axis."""
        return tuple(one.stride for one in self.axes)

    @property
    def padded(self) -> bool:
        """Whether it reads beyond the map."""
        if self.auto:
            return any(one.extent > 1 for one in self.axes)
        return any(one.before or one.after for one in self.axes)

    def along(self, axis: int, size: int) -> AxisWindow:
        """Return the window along an axis, with the padding that an input of a size has."""
        one = self.axes[axis]
        return one.same(size, lower=self.auto == "SAME_LOWER") if self.auto else one

    def slid(self, size: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the size of the result; None where it is not known."""
        return self.stated or tuple(self._length(axis, n) for axis, n in enumerate(size))

    def _length(self, axis: int, length: int | None) -> int | None:
        if length is None:
            return None
        if not self.up:
            found = self.along(axis, length).outputs(length)
        elif self.auto:
            found = length * self.axes[axis].stride
        else:
            found = self.axes[axis].transposed(length, self.extra[axis])
        return found if found > 0 else None


def read_window(flow: Dataflow, node: Node) -> NodeWindow | None:
    """Read the window of a convolution or a pool; None where the file does not tell, or nonsense.

    Sources: Conv, ConvTranspose, MaxPool and AveragePool in https://onnx.ai/onnx/operators/
    """
    kernel = node.attribute("kernel_shape")
    if kernel is None and node.op in KERNEL:
        weight = flow.weight(operand(node, KERNEL[node.op]))
        kernel = weight.shape[2:] if weight else None
    if not _whole(kernel, 1):
        return None
    axes = len(kernel)
    auto = node.attribute("auto_pad", "NOTSET")
    up = node.op == "ConvTranspose"

    def numbers(name: str, default: int, low: int, count: int = axes) -> Any:
        found = node.attribute(name, (default,) * count)
        return found if _whole(found, low) and len(found) == count else None

    stride, dilation = numbers("strides", 1, 1), numbers("dilations", 1, 1)
    extra = numbers("output_padding", 0, 0)
    pads = numbers("pads", 0, -_LARGEST, 2 * axes) if auto == "NOTSET" else (0,) * (2 * axes)
    stated = node.attribute("output_shape", ()) if up else ()
    if stated and not (_whole(stated, 1) and len(stated) >= axes):
        return None
    if None in {stride, dilation, extra, pads}:
        return None
    ceil = auto not in _SAME and node.attribute("ceil_mode", 0) == 1
    each = zip(kernel, stride, dilation, pads[:axes], pads[axes:], (ceil,) * axes, strict=True)
    return NodeWindow(
        tuple(AxisWindow(*one) for one in each),
        auto if auto in _SAME else "",
        up,
        extra,
        stated[-axes:],
    )


_SAME = frozenset({"SAME_UPPER", "SAME_LOWER"})


def _whole(values: object, low: int) -> bool:
    """Tell whether an attribute is a list of whole numbers in range."""
    if not isinstance(values, tuple) or not values:
        return False
    return all(isinstance(value, int) and low <= value < _LARGEST for value in values)
