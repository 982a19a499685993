"""Pooling and its undoing: the largest or the average value under a sliding window.

A window is pooled along its columns first, then along its rows: both kinds allow it, and it costs
``kH + kW`` passes in place of ``kH * kW``. Padding holds no value: it can neither be the largest,
nor does it count in an average unless that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.shapes.windows import AxisWindow, Pair, Window


_MANY = 1024
"""Numbers of which a sum in float32 loses more than its last digits."""


class _Axis(NamedTuple):
    """One axis of a pool: sizes, and the window that slides along it."""

    size: int
    outputs: int
    window: AxisWindow

    def spans(self) -> Iterator[tuple[slice, slice]]:
        """Yield for each tap the outputs under which it lies on the input, and where it lies."""
        taps, stride, dilation, before, *_ = self.window
        for tap in range(taps):
            offset = tap * dilation - before
            first = max(0, -(offset // stride))
            last = min(self.outputs, (self.size - 1 - offset) // stride + 1)
            if first < last:
                start = first * stride + offset
                stop = (last - 1) * stride + offset + 1
                yield slice(first, last), slice(start, stop, stride)

    def windows(self) -> Iterator[slice]:
        """Yield for each output the places on the input that it sees."""
        window = self.window
        for output, first in enumerate(_first_places(self)):
            end = output * window.stride - window.before + window.extent
            yield slice(int(first), min(end, self.size), window.dilation)

    def counts(self, *, padding: bool) -> NDArray[np.intp]:
        """Count the taps on the input, and on the padding if asked, for each output."""
        taps, stride, dilation, before, after, _ = self.window
        low, high = (-before, self.size + after) if padding else (0, self.size)
        starts = np.arange(self.outputs, dtype=np.intp) * stride - before
        first = np.maximum(0, -((starts - low) // dilation))
        last = np.minimum(taps - 1, (high - 1 - starts) // dilation)
        counts: NDArray[np.intp] = np.maximum(0, last - first + 1)
        return counts


def _axes(shape: Pair, window: Window) -> tuple[_Axis, _Axis]:
    """Lay a window out over both axes.

    Raises
    ------
    UsageError
        A window that does not fit, or one that would see padding alone.
    """
    outputs = window.out_shape(shape)
    rows, columns = (_Axis(shape[axis], outputs[axis], window.along(axis)) for axis in (0, 1))
    if not (rows.counts(padding=False).all() and columns.counts(padding=False).all()):
        raise UsageError(
            "a window would see nothing but padding", hint="pad by less than the window's size"
        )
    return rows, columns


def max_pool(maps: NDArray[Any], window: Window) -> NDArray[Any]:
    """Take the largest value under a sliding window, in each channel.

    Parameters
    ----------
    maps : (H, W, C)
        Any real numbers.
    window : Window

    Returns
    -------
    (H_out, W_out, C) of the type of `maps`
        NaN where the window holds one.

    Raises
    ------
    UsageError
        A window that does not fit, or one that would see padding alone.
    """
    rows, columns = _axes(maps.shape[:2], window)
    return _largest(_largest(maps.swapaxes(0, 1), columns).swapaxes(0, 1), rows)


def _largest(values: NDArray[Any], axis: _Axis) -> NDArray[Any]:
    """Pool along the first axis."""
    if axis.outputs < axis.window.kernel:
        return np.stack([values[places].max(axis=0) for places in axis.windows()])
    found = _first(values, axis)
    for outputs, places in axis.spans():
        np.maximum(found[outputs], values[places], out=found[outputs])
    return found


def _first(values: NDArray[Any], axis: _Axis) -> NDArray[Any]:
    """Return the first value on the input that each output sees."""
    return values[_first_places(axis)]


def _first_places(axis: _Axis) -> NDArray[np.intp]:
    window = axis.window
    starts = np.arange(axis.outputs, dtype=np.intp) * window.stride - window.before
    missing = np.maximum(0, -(starts // window.dilation))  # taps on the padding before
    places: NDArray[np.intp] = starts + missing * window.dilation
    return places


def max_pool_switches(maps: NDArray[Any], window: Window) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Take the largest value under a sliding window, and remember where it stood.

    Parameters
    ----------
    maps, window
        As for `max_pool`.

    Returns
    -------
    values : (H_out, W_out, C)
        As from `max_pool`.
    switches : (H_out, W_out, C) int64
        ``row * W + column`` of the input, within its channel. Of equal values the first in reading
        order counts; a NaN counts as largest.
    """
    rows, columns = _axes(maps.shape[:2], window)
    across, column = _largest_places(maps.swapaxes(0, 1), columns)
    values, row = _largest_places(across.swapaxes(0, 1), rows)
    column = np.take_along_axis(column.swapaxes(0, 1), row, axis=0)
    return values, row * maps.shape[1] + column


def _largest_places(values: NDArray[Any], axis: _Axis) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Pool along the first axis; return where along it each value stood, too."""
    found = _first(values, axis)
    places = np.empty(found.shape, np.int64)
    places[...] = _first_places(axis)[:, None, None]
    for outputs, inputs in axis.spans():
        candidates = values[inputs]
        better = (candidates > found[outputs]) | (candidates != candidates)  # noqa: PLR0124  NaN
        np.copyto(found[outputs], candidates, where=better)
        here = np.arange(inputs.start, inputs.stop, inputs.step)[:, None, None]
        np.copyto(places[outputs], here, where=better)
    return found, places


def average_pool(
    maps: NDArray[Any], window: Window, *, count_padding: bool = False
) -> NDArray[Any]:
    """Take the average under a sliding window, in each channel.

    Parameters
    ----------
    maps : (H, W, C)
    window : Window
    count_padding : bool
        Divide by all taps on the padded input, not by those on the input alone. What hangs over
        the end (``ceil``) never counts.

    Returns
    -------
    (H_out, W_out, C)
        float32 for uint8, uint16, float16 and float32, else float64.

    Raises
    ------
    UsageError
        A window that does not fit, or one that would see padding alone.
    """
    rows, columns = _axes(maps.shape[:2], window)
    small = maps.dtype.name in {"uint8", "uint16", "float16", "float32"}
    dtype = np.dtype(np.float32 if small else np.float64)
    across = _sum(maps.swapaxes(0, 1), columns, dtype).swapaxes(0, 1)
    total = _sum(across, rows, dtype)
    counts = [axis.counts(padding=count_padding) for axis in (rows, columns)]
    total /= np.multiply.outer(*counts)[:, :, None].astype(dtype)
    return total


def _sum(values: NDArray[Any], axis: _Axis, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Add up along the first axis."""
    total = np.zeros((axis.outputs, *values.shape[1:]), dtype)
    if axis.outputs < axis.window.kernel > _MANY:
        for output, places in enumerate(axis.windows()):
            total[output] = values[places].sum(axis=0, dtype=np.float64)
        return total
    for outputs, places in axis.spans():
        total[outputs] += values[places]
    return total


def unpool(values: NDArray[Any], switches: NDArray[Any], shape: Pair) -> NDArray[Any]:
    """Put pooled values back to where they stood, zeros elsewhere (Zeiler and Fergus, 2014).

    Parameters
    ----------
    values : (h, w, C)
    switches : (h, w, C)
        From `max_pool_switches`.
    shape : (H, W)
        Rows and columns of the input that was pooled.

    Returns
    -------
    (H, W, C) of the type of `values`
        Where several windows remember one place, it holds the last one's value.

    Raises
    ------
    UsageError
        Switches of another shape, or that are no places of an input of that shape.
    """
    if switches.shape != values.shape:
        raise UsageError(
            f"the switches are for {_size(switches)}, the pooled values are {_size(values)}"
        )
    with np.errstate(invalid="ignore"):  # NaN is found below
        places = switches.astype(np.int64)
    size = shape[0] * shape[1]
    if (places != switches).any() or places.min() < 0 or places.max() >= size:
        raise UsageError(
            f"a switch is no place in {shape[0]}x{shape[1]}: they go from 0 to {size - 1}"
        )
    channels = values.shape[2]
    flat = np.zeros((size, channels), values.dtype)
    flat[places.reshape(-1, channels), np.arange(channels)] = values.reshape(-1, channels)
    return flat.reshape(*shape, channels)


def _size(maps: NDArray[Any]) -> str:
    height, width, channels = maps.shape
    return f"{height}x{width}" + (f" in {channels} maps" if channels > 1 else "")
