"""Shapes of all tensors for one size of input: from the file, or by onnxruntime's inference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnntool.errors import ModelError
from cnntool.nets.file.subgraph import read_shapes, shape_probe
from cnntool.shapes.text import counted, times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnntool.nets.file.graph import Graph, TensorInfo
    from cnntool.nets.models.manifest import ModelSpec


def choose_inputs(
    graph: Graph, spec: ModelSpec | None = None, size: Sequence[int] = ()
) -> dict[str, tuple[int, ...]]:
    """Settle the shapes of the inputs that the file leaves open.

    Parameters
    ----------
    graph : Graph
        The network.
    spec : ModelSpec, optional
        Its manifest, whose size stands in for one that was not given.
    size : sequence of int
        What the user wants: rows and columns of the picture, or its whole shape with batch and
        channels.

    Returns
    -------
    dict of str to tuple of int
        Inputs that are to have another shape than the file says. A batch that is open is 1. Rows
        and columns that nobody states stay open.

    Raises
    ------
    ModelError
        When the network does not take one picture, or one of other axes.
    """
    pictures = [info for info in graph.inputs if info.shape is not None and len(info.shape) == 4]
    if len(size) in {0, 2} and len(pictures) == 1:
        info = pictures[0]
        shape = list(info.shape or ())
        rows = 1 if _is_channels_last(info, spec) else 2
        if size:
            shape[rows : rows + 2] = size
        elif spec and spec.input.name == info.name and spec.input.size:
            stated = zip(shape[rows : rows + 2], spec.input.size, strict=True)
            shape[rows : rows + 2] = [s if isinstance(s, int) else want for s, want in stated]
    elif size and len(graph.inputs) == 1:
        info, shape = graph.inputs[0], list(size)
        _compare(graph, info, size)
    elif size:
        some = "is a picture" if len(pictures) == 1 else "are pictures"
        raise ModelError(
            f"it has {len(graph.inputs)} inputs, of which {len(pictures)} {some}",
            source=graph.wire.name,
            hint="`input_size` is for networks that take one picture",
        )
    else:
        return {}
    if not isinstance(shape[0], int):
        shape[0] = 1
    settled = tuple(length for length in shape if isinstance(length, int))
    if len(settled) < len(shape) or settled == info.shape:
        return {}
    return {info.name: settled}


def _is_channels_last(info: TensorInfo, spec: ModelSpec | None) -> bool:
    if spec and spec.input.name == info.name:
        return spec.input.layout == "NHWC"
    shape = info.shape or ()
    return shape[3] in {1, 3, 4} and shape[1] not in {1, 3, 4}


def _compare(graph: Graph, info: TensorInfo, size: Sequence[int]) -> None:
    """See that a whole shape has the axes and the channels that the input has."""
    if info.shape is None:
        return
    source = graph.wire.name
    if len(size) != len(info.shape):
        axes = counted(len(info.shape), "axis")
        raise ModelError(f"its input has {axes}, not {len(size)}", source=source)
    if len(size) == 4:
        axis = 3 if _is_channels_last(info, None) else 1
        found = info.shape[axis]
        if isinstance(found, int) and found != size[axis]:
            channels = counted(found, "channel")
            raise ModelError(f"its input has {channels}, not {size[axis]}", source=source)


def find_shapes(
    graph: Graph,
    inputs: Mapping[str, tuple[int, ...]],
    wanted: Collection[str],
    *,
    timeout: float | None = None,
) -> dict[str, TensorInfo]:
    """Find the shapes of tensors, without reading a weight.

    Parameters
    ----------
    graph : Graph
        The network.
    inputs : mapping of str to tuple of int
        Shapes that replace those of the file, see `choose_inputs`.
    wanted : collection of str
        Tensors that must be known. If the file says their shapes for this size of input,
        onnxruntime is not needed.
    timeout : float, optional
        Seconds that onnxruntime may take; by default those of a session.

    Returns
    -------
    dict of str to TensorInfo
        The inputs, and as many other tensors as are known. A length that depends on an open one is
        no number.

    Raises
    ------
    ModelError
        When such inputs do not go through the network, or leave nothing of a map.
    DeviceError
        When onnxruntime is needed and not installed.
    """
    given = {
        info.name: info._replace(shape=inputs.get(info.name, info.shape)) for info in graph.inputs
    }
    stated = (*graph.outputs, *graph.value_info.values())
    said = {info.name: info for info in stated if info.shape is not None} | given
    if not inputs and all(lengths(said.get(tensor)) is not None for tensor in wanted):
        return said
    from cnntool.nets.file.subgraph import Skeleton
    from cnntool.nets.runtime.providers import SessionSettings
    from cnntool.nets.runtime.session import Session

    probe = Skeleton(shape_probe(graph, inputs), Path())
    settings = SessionSettings(device="cpu", threads=1)
    if timeout is not None:
        settings = settings._replace(timeout=timeout)
    with Session(probe, settings, name=graph.wire.name) as session:
        found = read_shapes(session.outputs)
    for tensor in wanted if inputs else ():
        info = found.get(tensor)
        if info and info.shape and any(isinstance(n, int) and n < 1 for n in info.shape):
            size = ", ".join(map(times, inputs.values()))
            raise ModelError(
                f"an input of {size} is too small: nothing is left at {tensor}",
                source=graph.wire.name,
            )
    return {name: _possible(info) for name, info in found.items() if info.shape is not None} | given


def _possible(info: TensorInfo) -> TensorInfo:
    """Take lengths below zero for unknown: a kernel is larger than its map, and nothing runs."""
    shape = info.shape or ()
    return info._replace(shape=tuple(None if isinstance(n, int) and n < 0 else n for n in shape))


def lengths(info: TensorInfo | None) -> tuple[int, ...] | None:
    """Return a shape if all of it is known."""
    if info is None or info.shape is None:
        return None
    known = tuple(length for length in info.shape if isinstance(length, int))
    return known if len(known) == len(info.shape) else None
