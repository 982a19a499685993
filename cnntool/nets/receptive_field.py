"""Receptive fields: what of the picture the values of each tensor see, and where.

Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019, https://doi.org/10.23915/distill.00021: a window of a convolution or a pool begins
``before`` zeros earlier than what it slides over, in steps of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.nets.flow import result
from cnntool.nets.graph import TensorInfo
from cnntool.nets.receptive_rules import Field, Place, read_window, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnntool.nets.flow import Flow
    from cnntool.nets.graph import Graph
    from cnntool.nets.receptive_rules import Number, Shape

Box = tuple[int, int, int, int]
"""First row, first column, and the row and the column behind the last."""

_TOO_FAR = 1 << 40
"""Receptive fields and strides beyond this are no network's: nothing more is said of them."""

_UNSTATED = frozenset({"Crop", "Slice", "Split", "Resize", "Upsample", "DepthToSpace"})
"""Operators that do not tell how many places they put before the first one."""


def trace(
    graph: Graph,
    flow: Flow,
    shapes: Mapping[str, TensorInfo] | None = None,
    *,
    picture: str = "",
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
    picture : str
        The input on which the fields are to be placed; without it they have no start.

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
            place = Place(flow, node, shape)
            field = rule(place, seen)
            if field is None or not _is_sane(field):
                continue
            if shape is not None and len(shape) == field.rank:
                field = field._replace(size=tuple(shape[axis] for axis in field.axes))
            if origin is not None:
                field = field._replace(start=_start(place, field, seen, origin))
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


def _is_sane(field: Field) -> bool:
    """Tell whether a field can be one; files that are made to confuse have others."""
    numbers = (*field.extent, *field.jump)
    return (
        all(number.numerator < _TOO_FAR > number.denominator for number in numbers)
        and all(0 <= axis < field.rank for axis in field.axes)
        and field.rank > 0
        and len(field.extent) == len(field.axes or field.extent)
    )


def _start(
    place: Place, field: Field, sources: Sequence[Field], picture: Field
) -> tuple[Number | float, Number | float] | None:
    """Return where the first value begins to see; None where it is not known, and of vectors."""
    if len(field.axes) != 2 or len(picture.axes) != 2:
        return None
    source = max(sources, key=lambda one: one.extent)
    before = _before(place, source)
    if before is None:
        return _centred(field, picture)
    if source.start is None:
        return None
    (top, left), (down, across) = source.start, source.jump
    return top - before[0] * down, left - before[1] * across


def _before(place: Place, field: Field) -> tuple[int, int] | None:
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


def _centred(field: Field, picture: Field) -> tuple[float, float] | None:
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


def fields_of(graph: Graph, flow: Flow, name: str, shape: Sequence[int]) -> dict[str, Field]:
    """Follow the receptive field from a picture of known size to every tensor.

    Parameters
    ----------
    graph, flow : Graph, Flow
        The network.
    name : str
        Its input.
    shape : sequence of int
        Of what goes in.
    """
    dtype = next(info.dtype for info in graph.inputs if info.name == name)
    return trace(graph, flow, {name: TensorInfo(name, dtype, tuple(shape))}, picture=name)


def sight(field: Field | None) -> Sight | None:
    """Find out what the values of a tensor see of the picture; None where it is not known.

    Where maps were enlarged on the way, their middle is taken to be the picture's.

    Parameters
    ----------
    field : Field or None
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
