"""Kernels, pooling and resizing on pictures, matrices and stacks of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cnntool.api import arguments, rendering
from cnntool.api.kernels import read_kernel
from cnntool.api.pictures import load, opened, to_array
from cnntool.api.rendering import Style
from cnntool.errors import ArgumentTypeError, UsageError
from cnntool.filters import pipeline as pipelines
from cnntool.filters.assemble import make_pipeline
from cnntool.filters.plan import Border, Method, Mode, Op
from cnntool.system import usable_cpus
from cnntool.views.scale import RANGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.kernel import Filter
    from cnntool.filters.operation import Operation
    from cnntool.filters.pipeline import Options, Pipeline
    from cnntool.image.types import ImageInfo
    from cnntool.shapes.windows import Pair


def arithmetic(
    *,
    bank: bool = False,
    mode: str = "same",
    op: str = "correlate",
    border: str | None = None,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    channels: str | None = None,
    mix: Any = None,
    bias: Any = None,
    relu: bool = False,
    linear: bool = False,
    method: str = "auto",
) -> Options:
    """Check the arithmetic of `filter`, and put it into the pipeline's own words.

    Raises
    ------
    UsageError
        What makes no sense by itself.
    """
    if channels is not None:
        channels = arguments.one_of("channels", channels, ("each", "luma"))
    return pipelines.Options(
        mode=Mode(arguments.one_of("mode", mode, Mode)),
        op=Op(arguments.one_of("op", op, Op)),
        border=None if border is None else Border(arguments.one_of("border", border, Border)),
        stride=arguments.pair("stride", stride),
        dilation=arguments.pair("dilation", dilation),
        method=Method(arguments.one_of("method", method, [m for m in Method if m != "gemm"])),
        channels=cast("pipelines.Channels | None", channels),
        mix=None if mix is None else _mix(mix),
        linear=arguments.flag("linear", linear),
        bank=arguments.flag("bank", bank),
        bias=None if bias is None else _bias(bias),
        relu=arguments.flag("relu", relu),
    )


def _bias(bias: Any) -> NDArray[np.float64]:
    from cnntool.filters.spec import parse_vector

    if isinstance(bias, str):
        try:
            return parse_vector(bias)
        except UsageError as error:
            raise UsageError(error.message, source=f"`bias={bias}`", hint=error.hint) from None
    array = arguments.numbers("bias", bias)
    if array.ndim > 1 or not np.isfinite(array).all():
        raise UsageError("finite numbers are expected, one for each kernel", source="`bias`")
    return np.atleast_1d(array)


def _mix(mix: Any) -> NDArray[np.float64]:
    from cnntool.filters.kernel import Kernel
    from cnntool.filters.spec import parse_matrix

    array = None if isinstance(mix, str) else arguments.numbers("mix", mix)
    try:
        return Kernel(parse_matrix(mix) if array is None else array).weights
    except UsageError as error:
        raise UsageError(error.message, source="`mix`", hint=error.hint) from None


def style(range: str = "auto", depth: str | int | None = None) -> Style:
    """Check what was asked of a result's numbers.

    Raises
    ------
    UsageError
        A range or a depth that there is none of.
    """
    word = arguments.one_of("range", range, ("auto", *RANGES))
    if depth is not None:
        known = rendering.DEPTHS
        depth = str(depth) if str(depth) in known else arguments.one_of("depth", depth, known)
    return Style(word, depth)  # type: ignore[arg-type]  # it is one of them


def plan_filter(
    info: ImageInfo,
    kernels: Sequence[Filter | ConvLayer | Operation],
    options: Options,
) -> Pipeline:
    """Plan kernels over a picture, before any pixel is read.

    Raises
    ------
    UsageError
        See `cnntool.filters.assemble.make_pipeline`.
    """
    source = pipelines.Source(
        info.height,
        info.width,
        info.channels,
        np.dtype(info.dtype),
        alpha=info.alpha,
        peak=info.peak,
        raw=info.matrix,
    )
    return make_pipeline(source, kernels, options)


def filter(
    image: ImageLike,
    *kernels: KernelLike,
    bank: bool = False,
    mode: str = "same",
    op: str = "correlate",
    border: str | None = None,
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    channels: str | None = None,
    mix: Any = None,
    bias: Any = None,
    relu: bool = False,
    linear: bool = False,
    method: str = "auto",
    range: str = "auto",
    depth: str | int | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """Apply kernels to a picture, a matrix or a stack of maps.

    Computed on the scale 0..1 in float32, of float64 input and integers in float64; nothing wraps.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray (H, W) or (H, W, C)
        See `read_image`.
    *kernels : str or array_like
        Applied in order: a name, perhaps with parameters (``"gaussian:sigma=2"``, ``"median:5"``),
        a matrix as text or array, ``"@FILE"``, ``"vgg16-mini:block1_conv1[12]"``, or an array
        (maps, channels, rows, columns) whose kernels add up over all channels.
    bank : bool
        Apply every kernel to the input and stack the maps.
    mode : {'same', 'valid', 'full'}
        Where the kernel may lie: centred on every pixel, inside, or anywhere it touches.
    op : {'correlate', 'convolve'}
        Take the kernel as it is (deep learning), or flip it.
    border : {'zero', 'reflect', 'symmetric', 'replicate', 'wrap'}, optional
        What lies outside, in numpy's words. By default zero, symmetric for non-linear filters.
    stride, dilation : int or (rows, columns)
        Keep every Nth result; spread the taps N apart.
    channels : {'each', 'luma'}, optional
        Filter each colour or the luma (ITU-R BT.601); by default luma for derivatives.
    mix : array_like (maps, channels) or str, optional
        Mix the colour channels into maps first.
    bias : array_like (kernels,) or str, optional
        Added to the result.
    relu : bool
        Make 0 of what is negative then.
    linear : bool
        Filter in linear light instead of sRGB values.
    method : {'auto', 'direct', 'separable', 'banded', 'banded-separable', 'fft'}
        How to compute it; all agree, "auto" takes the fastest.
    range : {'auto', 'clip', 'abs', 'center', 'minmax', 'raw'}
        How results become brightness. "auto" centres zero-sum kernels on mid-grey and clips the
        others where the input is of whole numbers, and keeps the numbers of others; "raw" gives
        the numbers.
    depth : {8, 16, 'float'}, optional
        Of the result; by default that of the input.
    threads : int, optional
        The result does not depend on it; by default as many as there are usable CPUs.

    Returns
    -------
    ndarray, (H, W), (H, W, C) or, of a bank and of layers' kernels, (maps, H, W)
        What ``cnntool filter`` writes: uint8 of uint8, uint16 of uint16; floats of floats, of plain
        numbers, of stacks of maps and of ``range="raw"``. Alpha, which is last, is carried along.

    Raises
    ------
    UsageError
        A kernel or a combination that makes no sense.
    InputError
        A picture or a kernel file that cannot be read.

    Examples
    --------
    >>> cnntool.filter("samples/cat.png", "gaussian:sigma=2", "sobel", border="replicate").shape
    (300, 451)
    >>> cnntool.filter(np.arange(9).reshape(3, 3), [[0, 1], [2, 3]], mode="valid")
    array([[19., 25.],
           [37., 43.]])
    """
    options = arithmetic(
        bank=bank, mode=mode, op=op, border=border, stride=stride, dilation=dilation,
        channels=channels, mix=mix, bias=bias, relu=relu, linear=linear, method=method,
    )  # fmt: skip
    chosen = style(range, depth)
    lanes = usable_cpus() if threads is None else arguments.whole("threads", threads, 1, 1024)
    if not kernels:
        raise ArgumentTypeError("at least one kernel is expected", source="`kernels`")
    filters = [read_kernel(kernel) for kernel in kernels]
    with opened(image) as (info, rows):
        pipeline = plan_filter(info, filters, options)
        name = rendering.ARRAY if pipeline.stacked else rendering.as_array(info, chosen)
        plan = rendering.plan_filtering(pipeline, info, name, chosen)
        arguments.check_size(plan.info.shape[:2], plan.info.samples, arguments.MOST_PIXELS)
        result = np.empty(plan.info.shape, plan.info.dtype)
        row = 0
        for strip in rendering.render(pipeline, plan, rows, lambda strip: strip, threads=lanes):
            result[row : row + len(strip)] = strip
            row += len(strip)
    return to_array(plan.info, result)


def convolve(
    image: ImageLike,
    kernel: KernelLike,
    *,
    mode: str = "same",
    op: str = "correlate",
    border: str = "zero",
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    method: str = "auto",
) -> NDArray[Any]:
    """Convolve numbers as they are: no scale, no luma, no range; each channel by itself.

    Parameters
    ----------
    image, mode, op, border, stride, dilation, method
        As for `filter`; alpha counts as a channel.
    kernel : str or array_like
        As for `filter`; no non-linear one.

    Returns
    -------
    ndarray (H, W), (H, W, C), or of a layer's kernels (maps, H, W)
        float32 for uint8, uint16, float16 and float32, else float64.

    Raises
    ------
    UsageError
        A kernel that is no convolution, or does not fit.

    Examples
    --------
    >>> cnntool.convolve(np.array([[0, 100, 200]], np.uint8), [[-1, 0, 1]], mode="valid")
    array([[200.]], dtype=float32)
    """
    from cnntool.filters import convolve as engine
    from cnntool.filters.conv_layer import ConvLayer
    from cnntool.filters.operation import Operation

    options = arithmetic(
        mode=mode, op=op, border=border, stride=stride, dilation=dilation, method=method
    )
    item = read_kernel(kernel, "kernel")
    if isinstance(item, Operation):
        raise UsageError(f"{item.name} is no convolution", hint="`filter` applies it")
    picture = load(image)
    result = engine.convolve(
        picture.values,
        item,
        mode=options.mode,
        border=options.border or Border.ZERO,
        op=options.op,
        stride=options.stride,
        dilation=options.dilation,
        method=options.method,
    )
    layer = isinstance(item, ConvLayer)
    return to_array(picture.info._replace(layout="chw") if layer else picture.info, result)
