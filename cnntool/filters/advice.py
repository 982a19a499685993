"""Where a slide about a layer would go wrong, although the layer can be computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntool.filters.arithmetic import times

if TYPE_CHECKING:
    from cnntool.filters.arithmetic import Pair, Window
    from cnntool.filters.layer_spec import Layer

_AXES = ("rows", "columns")


def advice(layer: Layer, window: Window, shape: Pair) -> list[str]:
    """Tell what is odd about a layer that slides a window.

    Parameters
    ----------
    layer : Layer
    window : Window
        With the padding that the layer's word stands for.
    shape : (rows, columns)
        Of its input.

    Returns
    -------
    list of str
        One line each.
    """
    told = []
    top, bottom, left, right = window.pads
    if layer.padding == "same" and (top != bottom or left != right):
        told.append(
            f"an even window has no middle: same pads {top} above and {bottom} below,"
            f" {left} left and {right} right"
        )
    larger = any(size > room for size, room in zip(window.extent, shape, strict=True))
    if larger and layer.kind != "deconv":
        told.append(
            f"a window of {times(window.extent)} is larger than its input of {times(shape)}:"
            " part of it always sees padding"
        )
    if layer.kind in {"conv", "pool", "avgpool"} and layer.padding != "same" and not window.ceil:
        odd = [_remainder(window, axis, shape[axis], layer.kind) for axis in (0, 1)]
        if odd[0] == odd[1]:
            told += odd[:1] if odd[0] else []
        else:
            told += [f"{axis}: {text}" for axis, text in zip(_AXES, odd, strict=True) if text]
    return told


def _remainder(window: Window, axis: int, size: int, kind: str) -> str:
    """Tell that a stride does not divide, and what would; empty where it does."""
    room, stride, extent = window.room(axis, size), window.stride[axis], window.extent[axis]
    if room % stride == 0:
        return ""
    before, after = window.pads[2 * axis : 2 * axis + 2]
    count = window.outputs(axis, size)
    missing = stride - room % stride
    padded = f"{size} + {before + after}" if before + after else str(size)
    ways = [str(size + missing)]
    wider = before + (missing + 1) // 2
    if before == after and (kind == "conv" or wider < extent):
        ways.append(f"padding {wider}")
    if kind != "conv" and window._replace(ceil=True).outputs(axis, size) > count:
        ways.append("ceil")
    return (
        f"({padded} - {extent})/{stride} + 1 = {_decimal(room / stride + 1)}, taken as {count};"
        f" {count + 1} needs {' or '.join(ways)}"
    )


def _decimal(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
