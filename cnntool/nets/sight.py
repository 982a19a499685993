"""Where in the picture the values of a map look: receptive fields as boxes.

Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks",
Distill 2019, https://doi.org/10.23915/distill.00021: a window of a convolution or a pool begins
``before`` zeros earlier than what it slides over, in steps of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .geometry import trace
from .graph import TensorInfo
from .window import read_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .field import Field
    from .flow import Flow
    from .graph import Graph, Node

Box = tuple[int, int, int, int]
"""First row, first column, and the row and the column behind the last."""

_LONGEST = 10_000


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
        first = [
            round(start + place * jump)
            for start, place, jump in zip(self.start, (row, column), self.jump, strict=True)
        ]
        return (
            first[0],
            first[1],
            first[0] + round(self.extent[0]),
            first[1] + round(self.extent[1]),
        )


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
    return trace(graph, flow, {name: TensorInfo(name, dtype, tuple(shape))})


def sight(flow: Flow, fields: Mapping[str, Field], name: str, tensor: str) -> Sight | None:
    """Find out what the values of a tensor see of the picture; None where it is not known.

    Where maps were enlarged on the way, their middle is taken to be the picture's.

    Parameters
    ----------
    flow : Flow
        The network.
    fields : mapping of str to Field
        See `fields_of`.
    name : str
        The input.
    tensor : str
    """
    field = fields.get(tensor)
    if field is None or name not in fields or len(field.extent) != 2:
        return None
    extent = _pair(field.extent)
    if field.whole or len(field.jump) != 2:
        return Sight(extent, (1.0, 1.0), (0.0, 0.0), field.whole) if field.whole else None
    start = _start(flow, fields, name, tensor)
    return None if start is None else Sight(extent, _pair(field.jump), start, field.whole)


def _pair(numbers: Sequence[object]) -> tuple[float, float]:
    first, second = map(float, numbers)  # type: ignore[arg-type]  # whole numbers and fractions
    return first, second


def _start(
    flow: Flow, fields: Mapping[str, Field], name: str, tensor: str
) -> tuple[float, float] | None:
    """Walk back to the picture and add up how much earlier each window begins."""
    start = [0.0, 0.0]
    for _ in range(_LONGEST):
        if tensor == name:
            return start[0], start[1]
        node, field = flow.graph.producer_of.get(tensor), fields.get(tensor)
        if node is None or field is None:
            return None
        sources = [source for source in flow.data_inputs(node) if source in fields]
        if not sources:
            return None
        tensor = max(sources, key=lambda source: fields[source].extent)
        before = _before(flow, node, fields[tensor])
        if before is None:
            centred = _centred(field, fields[name])
            return None if centred is None else (start[0] + centred[0], start[1] + centred[1])
        for axis, jump in enumerate(fields[tensor].jump[:2]):
            start[axis] -= before[axis] * float(jump)
    return None


def _before(flow: Flow, node: Node, field: Field) -> tuple[int, int] | None:
    """Return how many places a node puts before the first one; None if it is not known."""
    if node.op in {"Pad", "Crop", "Slice", "Split", "Resize", "Upsample", "DepthToSpace"}:
        return _stated(flow, node, field) if node.op == "Pad" else None
    window = read_window(flow, node)
    if window is None or len(window.kernel) != 2:
        return 0, 0
    if window.up:
        return None
    if window.pads is not None:
        return window.pads[0][0], window.pads[1][0]
    before = []
    later = node.attribute("auto_pad") == "SAME_LOWER"
    for size, reach, stride in zip(field.size, window.reach, window.stride, strict=True):
        if size is None:
            return None
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before.append((total + later) // 2)
    return before[0], before[1]


def _stated(flow: Flow, node: Node, field: Field) -> tuple[int, int] | None:
    """Return what a Pad puts before the first row and column."""
    pads = node.attribute("pads")
    if pads is None and len(node.inputs) > 1:
        pads = flow.numbers(node.inputs[1])
    if not isinstance(pads, tuple) or len(pads) != 2 * field.rank or len(field.axes) != 2:
        return None
    return int(pads[field.axes[0]]), int(pads[field.axes[1]])


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
