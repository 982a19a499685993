"""Pooling and its undoing, the transpose of a convolution, and other sizes.

Nothing heavy is imported before it is used: a picture may be decoded meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

from cnntool.api import arguments
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.api.rendering import Result
    from cnntool.filters.kernels.kernel import Filter
    from cnntool.filters.kernels.library import Operation
    from cnntool.filters.resize import Method
    from cnntool.shapes.windows import Padding, Pair, Window

    Work = Callable[[Picture], Result]
    """What a verb does to a picture."""

    Array = NDArray[Any]

LONGEST = 2**20
"""Rows or columns of a window."""

LARGEST_SCALE = 1_000_000_000


class Pooling(NamedTuple):
    """How `pool` works, see there."""

    max: Pair | str | None = None
    avg: Pair | str | None = None
    stride: Pair | None = None
    padding: Padding = "valid"
    dilation: Pair = (1, 1)
    ceil: bool = False
    count_padding: bool = False


def pooling(
    how: Pooling, *, switches: bool = False, max_pixels: int = arguments.MOST_PIXELS
) -> Work:
    """Return what `pool` does to a picture.

    Raises
    ------
    UsageError
        A combination that makes no sense.
    """
    if (how.max is None) == (how.avg is None):
        raise UsageError("give either `max` or `avg`", hint="'`max=2`' is the usual pool")
    if how.count_padding and how.avg is None:
        raise UsageError("`count_padding` is of `avg`: padding is never the largest")
    if switches and how.max is None:
        raise UsageError("`switches` is of `max`: an average stood nowhere")

    def work(picture: Picture) -> Result:
        from cnntool.api.rendering import Result
        from cnntool.filters import pooling as pools
        from cnntool.shapes.windows import Window

        height, width, samples = picture.values.shape
        side: Any = how.avg if how.max is None else how.max
        kernel: Any = (height, width) if side == "all" else side
        window = Window(kernel, how.stride or kernel, how.dilation, ceil=how.ceil)
        window = window.padded(how.padding)
        arguments.check_size(window.out_shape((height, width)), samples, max_pixels)
        places = None
        if how.max is None:
            values = pools.average_pool(picture.values, window, count_padding=how.count_padding)
        elif switches:
            values, places = pools.max_pool_switches(picture.values, window)
        else:
            values = pools.max_pool(picture.values, window)
        return Result(values, alpha=picture.info.alpha, switches=places)

    return work


@overload
def pool(image: ImageLike, *, switches: Literal[True], **how: Any) -> tuple[Array, Array]: ...


@overload
def pool(image: ImageLike, *, switches: Literal[False] = ..., **how: Any) -> Array: ...


def pool(  # type: ignore[misc]  # the overloads need not list what does not matter to the type
    image: ImageLike,
    *,
    max: int | Pair | str | None = None,
    avg: int | Pair | str | None = None,
    stride: int | Pair | None = None,
    padding: str | int | Sequence[int] = "valid",
    dilation: int | Pair = 1,
    ceil: bool = False,
    count_padding: bool = False,
    switches: bool = False,
    layout: str = "auto",
) -> Array | tuple[Array, Array]:
    """Take the largest or the average value under a sliding window, in each channel or map.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        See `read_image`.
    max, avg : int, (rows, columns) or 'all'
        The window, one of the two: what is taken of it.
    stride : int or (rows, columns), optional
        From window to window; by default the window's size.
    padding : {'valid', 'same', 'full'}, int, (rows, columns) or (top, bottom, left, right)
        It holds no values.
    dilation : int or (rows, columns)
        Spread the taps N apart.
    ceil : bool
        Let a last window hang over the end.
    count_padding : bool
        Let padding count as zeros in an average (PyTorch's default).
    switches : bool
        Return where each largest value stood, too: ``row * width + column`` within its channel,
        for `unpool`.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    ndarray, or (ndarray, ndarray of int64) with switches
        With the axes and the depth of the image.

    Raises
    ------
    UsageError
        A window that does not fit, or a combination that makes no sense.

    Examples
    --------
    >>> cnntool.pool(np.arange(16).reshape(4, 4), max=2)
    array([[ 5.,  7.],
           [13., 15.]])
    """
    how = Pooling(
        side_of("max", max),
        side_of("avg", avg),
        None if stride is None else arguments.pair("stride", stride),
        padding_of(padding),
        arguments.pair("dilation", dilation),
        arguments.flag("ceil", ceil),
        arguments.flag("count_padding", count_padding),
    )
    work = pooling(how, switches=arguments.flag("switches", switches))
    values, places = _applied(image, work, layout)
    return values if places is None else (values, places)


def side_of(name: str, side: Any) -> Pair | str | None:
    """Check a pool's window.

    Raises
    ------
    UsageError
    """
    if side is None:
        return None
    if isinstance(side, str):
        return arguments.one_of(name, side, ["all"])
    return arguments.pair(name, side, most=LONGEST)


def padding_of(padding: Any) -> Padding:
    """Check padding: a word, or one, two or four whole numbers.

    Raises
    ------
    UsageError
    """
    from cnntool.shapes.windows import PADDINGS

    if isinstance(padding, str):
        return cast("Padding", arguments.one_of("padding", padding, PADDINGS))
    if isinstance(padding, (tuple, list)) and len(padding) == 4:
        top, bottom, left, right = (arguments.whole("padding", n, 0) for n in padding)
        return top, bottom, left, right
    rows, columns = arguments.pair("padding", padding, 0)
    return rows, rows, columns, columns


def _applied(
    image: ImageLike,
    work: Work,
    layout: str,
    range: str = "auto",
    depth: str | int | None = None,
) -> tuple[Array, Array | None]:
    """Return a result as an array, as the command would write it; switches too, if there are."""
    from cnntool.api import rendering
    from cnntool.api.pictures import load, to_array

    chosen = rendering.style(range, depth)
    picture = load(image, layout=layout)
    result = work(picture)
    name = rendering.as_array(picture.info, chosen)
    if name in rendering.TEXT:  # whose maps would stand one under another
        name = rendering.ARRAY
    plan, values, _ = rendering.finish(picture.info, result, name, chosen)
    places = None if result.switches is None else to_array(plan.info, result.switches)
    return to_array(plan.info, values), places


def unpooling(
    places: Callable[[Picture], Array],
    size: Pair,
    *,
    name: str = "`switches`",
    max_pixels: int = arguments.MOST_PIXELS,
) -> Work:
    """Return what `unpool` does to a picture.

    Parameters
    ----------
    places : callable
        Gives the switches (H, W, samples) of a picture.
    size : (rows, columns)
    name : str
        What errors call the switches.
    max_pixels : int
    """

    def work(picture: Picture) -> Result:
        from cnntool.api.rendering import Result
        from cnntool.filters import pooling as pools

        arguments.check_size(size, picture.values.shape[2], max_pixels)
        where = places(picture)
        try:
            return Result(pools.unpool(picture.values, where, size), alpha=picture.info.alpha)
        except UsageError as error:
            raise UsageError(error.message, source=name) from None

    return work


def unpool(
    image: ImageLike,
    switches: Array,
    size: int | Pair,
    *,
    layout: str = "auto",
) -> Array:
    """Put pooled values back to where they stood, zeros elsewhere (Zeiler and Fergus, 2014).

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        The pooled values, see `read_image`.
    switches : ndarray of whole numbers
        From `pool`, with the same axes.
    size : int or (rows, columns)
        Of what was pooled.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    ndarray
        With the axes and the depth of the image. Where several windows remember one place, it holds
        the last one's value.

    Raises
    ------
    UsageError
        Switches of another shape, or that are no places of an input of that size.

    Examples
    --------
    >>> maps = np.array([[1.0, 2.0], [4.0, 3.0]])
    >>> pooled, where = cnntool.pool(maps, max=2, switches=True)
    >>> cnntool.unpool(pooled, where, 2)
    array([[0., 0.],
           [4., 0.]])
    """
    size = arguments.pair("size", size)
    given = arguments.numbers("switches", switches)
    if given.ndim not in {2, 3}:
        raise UsageError(f"two or three axes are expected, not {given.ndim}", source="`switches`")

    def places(picture: Picture) -> Array:
        stacked = given.ndim == 3 and picture.info.layout == "chw"
        found = given.transpose(1, 2, 0) if stacked else given
        return found[:, :, None] if found.ndim == 2 else found

    return _applied(image, unpooling(places, size), layout)[0]


class Transposing(NamedTuple):
    """How `deconv` works, see there."""

    stride: Pair = (1, 1)
    padding: Padding = "valid"
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    op: str = "correlate"


def transposing(
    kernel: Filter | Operation, how: Transposing, *, max_pixels: int = arguments.MOST_PIXELS
) -> tuple[Work, Window]:
    """Return what `deconv` does to a picture, and the window of what is transposed.

    Raises
    ------
    UsageError
        A filter that has no transpose.
    """
    from cnntool.filters.transpose import linear_kernel, transpose_convolve
    from cnntool.shapes.windows import NO_PADS, Window

    weights = linear_kernel(kernel)
    window = Window(weights.shape, how.stride, how.dilation).padded(how.padding)
    whole = window._replace(pads=NO_PADS)  # what the padding cuts off is computed, too

    def work(picture: Picture) -> Result:
        from cnntool.api.rendering import Result

        height, width, samples = picture.info.shape
        shape = whole.transposed_shape((height, width), how.output_padding)
        arguments.check_size(shape, samples, max_pixels)
        colours = picture.values[:, :, : picture.info.channels]
        values = transpose_convolve(
            colours, weights, window, output_padding=how.output_padding, op=how.op
        )
        return Result(values, sign="signed" if weights.is_zero_sum else "smooth")

    return work, window


def deconv(
    image: ImageLike,
    kernel: KernelLike,
    *,
    stride: int | Pair = 1,
    padding: str | int | Sequence[int] = "valid",
    output_padding: int | Pair = 0,
    dilation: int | Pair = 1,
    op: str = "correlate",
    range: str = "auto",
    depth: str | int | None = None,
    layout: str = "auto",
) -> Array:
    """Apply the transpose of a convolution: each value lays the kernel down.

    It undoes the shape of ``filter(..., mode="valid")``, not its values. Networks enlarge maps with
    it ("deconvolution"). Each channel or map on its own; alpha is left out.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        See `read_image`.
    kernel : str or array_like
        One kernel, as `filter` takes it.
    stride, dilation : int or (rows, columns)
        Of the convolution that is transposed.
    padding : {'valid', 'same', 'full'}, int, (rows, columns) or (top, bottom, left, right)
        Of the convolution that is transposed: it is cut off here.
    output_padding : int or (rows, columns)
        Rows and columns to add at the bottom and at the right.
    op : {'correlate', 'convolve'}
        Which one is transposed.
    range, depth
        As for `filter`.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    ndarray
        With the axes of the image.

    Raises
    ------
    UsageError
        A filter that has no transpose, or a result that would be empty.

    Examples
    --------
    >>> cnntool.deconv(np.array([[1.0, 2.0]]), [[1, 1]], stride=2)
    array([[1., 1., 2., 2.]])
    """
    from cnntool.api.kernels import read_filter
    from cnntool.filters.conv.plan import Op

    item = read_filter(kernel, "kernel")
    how = Transposing(
        arguments.pair("stride", stride),
        padding_of(padding),
        arguments.pair("output_padding", output_padding, 0),
        arguments.pair("dilation", dilation),
        arguments.one_of("op", op, Op),
    )
    return _applied(image, transposing(item, how)[0], layout, range, depth)[0]


class Resizing(NamedTuple):
    """How `resize` works, see there."""

    size: Pair | None = None
    scale: tuple[float, float] | None = None
    method: str = "bilinear"
    antialias: bool = True


def resizing(how: Resizing, *, max_pixels: int = arguments.MOST_PIXELS) -> Work:
    """Return what `resize` does to a picture.

    Raises
    ------
    UsageError
        Neither a size nor a scale, or both.
    """
    if (how.size is None) == (how.scale is None):
        raise UsageError("give either `size` or `scale`", hint="'`scale=1/2`' halves a picture")

    def work(picture: Picture) -> Result:
        import numpy as np

        from cnntool.api.rendering import Result
        from cnntool.filters import resize as sizes

        values, info = picture.values, picture.info
        shape = how.size or sizes.scaled_shape(info.shape[:2], how.scale or (1, 1))
        arguments.check_size(shape, info.samples, max_pixels)
        blends = info.alpha and how.method != "nearest"
        if blends:  # hidden colours must not shine through
            dtype = np.float64 if values.dtype == np.float64 else np.float32
            values = values.astype(dtype)
            values[:, :, :-1] *= values[:, :, -1:] / info.peak
        method = cast("Method", how.method)
        values = sizes.resize(values, shape, method=method, antialias=how.antialias)
        if blends:  # where alpha is 0 they are black
            alpha = values[:, :, -1:] / info.peak
            np.divide(values[:, :, :-1], alpha, out=values[:, :, :-1], where=alpha > 0)
        return Result(values, alpha=info.alpha)

    return work


def resize(
    image: ImageLike,
    *,
    size: int | Pair | None = None,
    scale: float | tuple[float, float] | None = None,
    method: str = "bilinear",
    antialias: bool = True,
    layout: str = "auto",
) -> Array:
    """Bring a picture, a matrix or a stack of maps to another size.

    Pixels have half-pixel centres (PyTorch's ``align_corners=False``, ONNX's ``half_pixel``,
    Pillow). Bicubic is Keys' (1981) with a = -0.5. Colours under alpha count by their alpha.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray
        See `read_image`.
    size : int or (rows, columns)
        Of the result.
    scale : float or (rows, columns)
        Instead of a size: times the input's.
    method : {'bilinear', 'nearest', 'bicubic'}
        Of which inputs an output is made: 2 x 2, the nearest, or 4 x 4.
    antialias : bool
        When shrinking, let every input count, as Pillow does.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    ndarray
        With the axes and the depth of the image.

    Raises
    ------
    UsageError
        Neither a size nor a scale, or both; a result beyond a hundred million pixels.

    Examples
    --------
    >>> cnntool.resize(np.array([[0.0, 1.0]]), size=(1, 4)).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    how = Resizing(
        None if size is None else arguments.pair("size", size),
        None if scale is None else _factors(scale),
        arguments.one_of("method", method, ("nearest", "bilinear", "bicubic")),
        arguments.flag("antialias", antialias),
    )
    return _applied(image, resizing(how), layout)[0]


def _factors(scale: Any) -> tuple[float, float]:
    values = [*scale] if isinstance(scale, (tuple, list)) else [scale, scale]
    factors = [arguments.number("scale", value) for value in values]
    if len(factors) != 2 or not all(0 < factor <= LARGEST_SCALE for factor in factors):
        raise UsageError(
            f"one positive number or two (rows, columns) are expected, not {scale!r}",
            source="`scale`",
        )
    return factors[0], factors[1]
