"""Tracing: where a value of a result comes from, and a result step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from cnntool.api import arguments
from cnntool.api.arguments import FilterOptions, TraceOptions, WindowOptions
from cnntool.api.kernels import read_convolution, read_filter
from cnntool.api.pictures import load
from cnntool.api.resampling import Pooling, Transposing, padding_of, side_of
from cnntool.api.unrolling import read_weights
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.api.trace_filter import TracedValue
    from cnntool.api.trace_steps import TracedStep, Tracing
    from cnntool.shapes.windows import Pair


def tracing(picture: Picture, options: TraceOptions) -> Tracing:
    """Plan as the command that is traced does.

    Raises
    ------
    UsageError
        What that command refuses.
    """
    from cnntool.api import trace_windows
    from cnntool.api.trace_filter import FilterTracing

    asked = options.checked()
    stride, kernel = asked.stride or (1, 1), asked.kernel
    how = WindowOptions(asked.mode, asked.op, asked.border, stride, asked.dilation)
    if asked.of == "filter":
        item = read_convolution(kernel, "there is nothing to trace")
        return FilterTracing(picture, item, FilterOptions(*how, asked.channels).checked())
    if asked.of == "im2col":
        kernels = [] if kernel is None else [kernel]
        (weights,) = read_weights(kernels, asked.kernel_size, asked.op)
        if weights.ndim > 2:
            raise UsageError("one kernel of rows and columns is traced", source="`kernel`")
        sized = kernel is None
        return trace_windows.Im2colTracing(picture, weights, how.checked(), sized=sized)
    if asked.of == "deconv":
        lays = Transposing(stride, asked.padding, asked.output_padding, asked.dilation, asked.op)
        return trace_windows.DeconvTracing(picture, read_filter(kernel, "kernel"), lays)
    pools = Pooling(
        asked.max, asked.avg, asked.stride, asked.padding, asked.dilation, asked.ceil,
        asked.count_padding,
    )  # fmt: skip
    kind = trace_windows.PoolTracing if asked.of == "pool" else trace_windows.UnpoolTracing
    return kind(picture, pools)


@overload
def trace(
    image: ImageLike, kernel: KernelLike, at: Pair, *, of: None = ..., size: None = ..., **how: Any
) -> TracedValue: ...


@overload
def trace(
    image: ImageLike, kernel: KernelLike | None = ..., *, at: None = ..., size: None = ...,
    **how: Any,
) -> Tracing: ...  # fmt: skip


@overload
def trace(
    image: ImageLike, kernel: KernelLike | None = ..., at: Pair | None = ..., **how: Any
) -> TracedStep | Tracing: ...


def trace(  # type: ignore[misc]  # the overloads need not list what does not matter to the type
    image: ImageLike,
    kernel: KernelLike | None = None,
    at: Pair | None = None,
    *,
    of: str | None = None,
    size: int | Pair | None = None,
    mode: str = "same",
    op: str = "correlate",
    border: str = "zero",
    stride: int | Pair | None = None,
    dilation: int | Pair = 1,
    channels: str | None = None,
    max: int | Pair | str | None = None,
    avg: int | Pair | str | None = None,
    padding: str | int | Sequence[int] = "valid",
    ceil: bool = False,
    count_padding: bool = False,
    output_padding: int | Pair = 0,
    kernel_size: int | Pair | None = None,
    layout: str = "auto",
) -> TracedStep | Tracing:
    """Take one value of a result apart, or a result step by step.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        See `read_image`.
    kernel : str or array_like, optional
        As for `filter`; a convolution.
    at : (row, column), optional
        Of the value in the result, from 0; of `deconv` in the input, whose values lay the kernel
        down.
    of : {'filter', 'pool', 'unpool', 'deconv', 'im2col'}, optional
        What is traced; by default `pool` with `max` or `avg`, else `filter`. ``"unpool"`` pools,
        and puts back what it took.
    size : int or (rows, columns), optional
        Trace so many values from `at` on: a window of a photo.
    mode, op, border, stride, dilation, channels, max, avg, padding, ceil, count_padding,\
 output_padding, kernel_size
        As for the function that is traced.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    TracedValue or TracedStep
        With `at` and no `size`. Its text says what the value is made of, ``records()`` has the
        numbers and ``figure()`` draws it. ``values`` of a filter are those of `filter` with
        ``range="raw"``.
    Tracing
        Else: the steps one after the other, when it is iterated; ``save("slide.gif")`` animates
        them, as a `.webp`, too.

    Raises
    ------
    UsageError
        A place outside of the result, a kernel that is no convolution, or what makes no sense for
        what is traced.

    Examples
    --------
    >>> print(cnntool.trace(np.arange(9).reshape(3, 3), [[1, 0], [0, -1]], (0, 0), mode="valid"))
    result (0, 0) of 2x2: input rows 0 to 1, columns 0 to 1
    <BLANKLINE>
    window     kernel     products
    0  1    *   1   0  =   0   0
    3  4        0  -1      0  -4
    <BLANKLINE>
    sum  0 + 0 + 0 - 4 = -4
    >>> pooled = cnntool.trace(np.arange(16).reshape(4, 4), max=2)
    >>> [step.records()[0]["value"] for step in pooled]
    [5.0, 7.0, 13.0, 15.0]
    """
    asked = TraceOptions(
        of,
        kernel,
        mode,
        op,
        border,
        None if stride is None else arguments.pair("stride", stride),
        arguments.pair("dilation", dilation),
        channels,
        side_of("max", max),
        side_of("avg", avg),
        padding_of(padding),
        arguments.flag("ceil", ceil),
        arguments.flag("count_padding", count_padding),
        arguments.pair("output_padding", output_padding, 0),
        None if kernel_size is None else arguments.pair("kernel_size", kernel_size),
    )
    place = None if at is None else arguments.pair("at", at, 0)
    window = None if size is None else arguments.pair("size", size)
    if window and place is None:
        raise UsageError("`size` goes with `at`")
    found = tracing(load(image, layout=layout), asked)
    if place is None:
        return found
    if window is None:
        return found.at(place)
    found.window(place, window)
    return found
