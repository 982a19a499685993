"""A convolution as a matrix product: the input unrolled (im2col), or the kernel (Toeplitz)."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cnntool.api import arguments
from cnntool.api.arguments import WindowOptions
from cnntool.api.kernels import laid_on, only_kernel, read_kernel, read_layer
from cnntool.api.pictures import Figure, check_drawable, load
from cnntool.errors import ArgumentTypeError, UsageError
from cnntool.filters.conv.plan import make_plan
from cnntool.filters.kernels.kernel import LARGEST_SIDE, ConvLayer, Filter, Kernel
from cnntool.filters.lessons.im2col import check_size, toeplitz
from cnntool.filters.lessons.im2col import im2col as unroll
from cnntool.filters.sliding import Sliding, of_plan
from cnntool.shapes.text import counted, times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike, Picture
    from cnntool.shapes.windows import Pair
    from cnntool.views.display_list import DisplayList

PARTS = ("columns", "kernel", "product")


class Unrolled(NamedTuple):
    """A batch whose windows are columns, and the kernels as rows.

    Attributes
    ----------
    shape : (N, C, H, W)
        Of the batch.
    sliding : Sliding
        How the window slides.
    columns : (C * kH * kW, N * H_out * W_out) float64
        Down a column: channel, kernel row, kernel column. From column to column: input, result
        row, result column.
    kernel : (F, C * kH * kW) float64
        The kernels, as they are laid on.
    laid_on : bool
        Whether kernels were given, and not their size alone.
    """

    shape: tuple[int, ...]
    sliding: Sliding
    columns: NDArray[np.float64]
    kernel: NDArray[np.float64]
    laid_on: bool = True

    @property
    def product(self) -> NDArray[np.float64]:
        """A row for each kernel, a column for each place of each input: the convolution."""
        check_size(len(self.kernel), self.columns.shape[1])
        product: NDArray[np.float64] = self.kernel @ self.columns
        return product

    def figure(self, part: str = "columns") -> Figure:
        """Draw the columns, the kernel or the product.

        Raises
        ------
        UsageError
            A matrix that is too large to draw, or that holds NaN or infinity.
        """
        from cnntool.views.matrix import Drawn, picture

        matrix = getattr(self, arguments.one_of("part", part, PARTS))
        check_drawable(matrix)
        taps, places = prod(self.sliding.kernel_shape), prod(self.sliding.out_shape)
        rows, columns = matrix.shape
        titles = {
            "columns": "im2col: every window is a column",
            "kernel": "every kernel is a row",
            "product": "kernels times columns: every result is a row",
        }
        sizes = [*map(times, self.sliding[:2])]
        channels = self.shape[1]
        note = (
            f"{rows} x {columns}: input {sizes[0]}, {counted(channels, 'channel')},"
            f" kernel {sizes[1]}"
        )
        blocks = {"columns": (taps, places), "kernel": (1, taps), "product": (1, places)}[part]
        if part == "columns" and (drawn := self._equation(note)):
            return Figure(drawn)
        return Figure(picture(matrix, Drawn(titles[part], note, blocks)))

    def _equation(self, note: str) -> DisplayList | None:
        """Draw kernels times columns, windows and taps with their places; None if too large."""
        from cnntool.views.matrix import Factor, equation

        count, channels = self.shape[:2]
        sliding = self.sliding
        taps, places = prod(sliding.kernel_shape), prod(sliding.out_shape)
        if self.columns.shape[1] > WIDEST:
            return None
        windows = [f"{row},{column}" for row, column in np.ndindex(*sliding.out_shape)] * count
        sides = [
            f"{channel}: {row},{column}" if channels > 1 else f"{row},{column}"
            for channel in range(channels)
            for row, column in np.ndindex(*sliding.kernel_shape)
        ]
        columns = Factor(self.columns, "windows, each a column", (taps, places), windows, sides)
        if not self.laid_on:
            return equation([columns], "im2col: every window is a column", note)
        factors = [
            Factor(self.kernel, "kernel", (1, taps)),
            columns,
            Factor(self.product, "result", (1, places), windows),
        ]
        return equation(factors, "im2col: kernel x columns = result", note)

    def _repr_png_(self) -> bytes | None:
        return _shown(self)


def read_weights(
    kernels: Sequence[KernelLike], kernel_size: Pair | None, op: str
) -> list[NDArray[np.float64]]:
    """Return kernels as they are laid on.

    Returns
    -------
    list of ndarray
        (kH, kW), which is the same for all channels, or (F, C, kH, kW).

    Raises
    ------
    UsageError
        Kernels and a size, or none of them; kernels of different sizes; several where one is
        needed.
    """
    if bool(kernels) == (kernel_size is not None):
        raise UsageError("one of `kernels` and `kernel_size` is needed")
    if kernel_size is not None:
        if max(kernel_size) > LARGEST_SIDE:
            rows, columns = kernel_size
            raise UsageError(f"a kernel of {rows}x{columns} is larger than {LARGEST_SIDE} a side")
        return [np.ones(kernel_size)]
    filters = []
    for kernel in kernels:
        item = read_layer(kernel) if isinstance(kernel, str) else read_kernel(kernel)
        if isinstance(item, ConvLayer):
            filters.append(item.weights[:, :, ::-1, ::-1] if op == "convolve" else item.weights)
        else:
            filters.append(laid_on(only_kernel(item or kernel, "there is nothing to unroll"), op))
    sizes = {weights.shape[-2:] for weights in filters}
    if len(sizes) > 1:
        raise UsageError(
            "the kernels differ in size: " + ", ".join(f"{h}x{w}" for h, w in sorted(sizes))
        )
    return filters


def batch(pictures: Iterable[Picture]) -> tuple[list[str], NDArray[np.float64]]:
    """Stack pictures of one shape as (N, C, H, W), on the scale that `filter` computes with.

    Returns
    -------
    names : list of str
    batch : ndarray (N, C, H, W)

    Raises
    ------
    UsageError
        Pictures of different shapes.
    """
    names: list[str] = []
    maps: list[NDArray[np.float64]] = []
    for picture in pictures:
        names.append(picture.name)
        maps.append(picture.maps())
        if maps[-1].shape != maps[0].shape:
            shapes = [times(found.shape) for found in (maps[-1], maps[0])]
            raise UsageError(
                f"{shapes[0]} (channels x rows x columns), but {names[0]} is {shapes[1]}",
                source=names[-1],
                hint="a batch has inputs of one size",
            )
    return names, np.stack(maps)


WIDEST = 64
"""Windows up to which the whole equation is drawn."""


def unrolled(
    images: NDArray[np.float64],
    weights: Sequence[NDArray[np.float64]],
    how: WindowOptions,
) -> Unrolled:
    """Unroll a batch (N, C, H, W), and lay kernels as `read_weights` gives them out as rows.

    Raises
    ------
    UsageError
        A kernel that does not fit, or for another number of channels; too large a matrix.
    """
    item = Filter((Kernel(np.ones(weights[0].shape[-2:])),))  # its size alone counts
    slide = of_plan(make_plan(images.shape[2:], item, dtype=np.float64, **how._asdict()))
    columns = unroll(images, slide)
    rows = [_rows(each, images.shape[1]) for each in weights]
    return Unrolled(images.shape, slide, columns, np.concatenate(rows))


def _rows(weights: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """Lay kernels out as rows, (F, C * kH * kW)."""
    if weights.ndim == 2:
        return np.tile(weights.ravel(), (1, channels))
    if weights.shape[1] != channels:
        shape = times(weights.shape[1:])
        raise UsageError(
            f"the kernel is {shape} (channels x rows x columns), channels of the input: {channels}"
        )
    return weights.reshape(len(weights), -1)


def im2col(
    images: ImageLike | Sequence[ImageLike],
    *kernels: KernelLike,
    kernel_size: int | Pair | None = None,
    mode: str = "same",
    op: str = "correlate",
    border: str = "zero",
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    layout: str = "auto",
) -> Unrolled:
    """Lay every window of the input out as a column: a convolution is one matrix product then.

    Parameters
    ----------
    images : an image, or a list of images of one size
        See `read_image`.
    *kernels : str or array_like
        As `filter` takes them, the same for all channels; or arrays (channels, rows, columns) or
        (filters, channels, rows, columns).
    kernel_size : int or (rows, columns)
        Instead of kernels.
    mode, op, border, stride, dilation
        As for `filter`.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

    Returns
    -------
    Unrolled
        Its ``columns``, ``kernel`` and their ``product``.

    Raises
    ------
    UsageError
        Kernels that do not fit the images or each other.

    Examples
    --------
    >>> found = cnntool.im2col(np.arange(9).reshape(3, 3), [[0, 1], [2, 3]], mode="valid")
    >>> found.columns
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    >>> found.product
    array([[19., 25., 37., 43.]])
    """
    size = None if kernel_size is None else arguments.pair("kernel_size", kernel_size)
    how = WindowOptions(mode, op, border, stride, dilation).checked()
    weights = read_weights(kernels, size, how.op)
    several = arguments.several(images)
    if not several:
        raise ArgumentTypeError("at least one image is expected", source="`images`")
    _, stacked = batch(load(image, parameter="images", layout=layout) for image in several)
    return unrolled(stacked, weights, how)._replace(laid_on=kernel_size is None)


class ConvolutionMatrix(NamedTuple):
    """A convolution of one map as a matrix.

    Attributes
    ----------
    matrix : (H_out * W_out, H * W) float64, or its transpose
    weights : (kH, kW)
        The kernel, as it is laid on.
    sliding : Sliding
        How the window slides.
    transpose : bool
    """

    matrix: NDArray[np.float64]
    weights: NDArray[np.float64]
    sliding: Sliding
    transpose: bool

    @property
    def filled(self) -> int:
        """How many entries are not zero."""
        return int(np.count_nonzero(self.matrix))

    @property
    def distinct(self) -> int:
        """How many numbers other than zero there are."""
        return int(np.unique(self.matrix[self.matrix != 0]).size)

    def figure(self) -> Figure:
        """Draw the matrix, and the kernel beside.

        Raises
        ------
        UsageError
            A matrix that is too large to draw.
        """
        from cnntool.views.matrix import Drawn, picture

        (rows, columns), slide = self.matrix.shape, self.sliding
        pairs = self.weights.shape, slide.input_shape, slide.out_shape
        kernel, given, made = map(times, pairs)
        of = f"kernel {kernel}, input {given}, result {made}"
        note = (
            f"{rows} x {columns}, {self.filled} of {self.matrix.size} entries filled,"
            f" {counted(self.distinct, 'distinct weight')}"
        )
        blocks = slide.out_shape[1], slide.input_shape[1]
        if self.transpose:
            of = f"transpose convolution: kernel {kernel}, input {made}, result {given}"
            blocks = blocks[::-1]
        return Figure(picture(self.matrix, Drawn(of, note, blocks, self.weights)))

    def _repr_png_(self) -> bytes | None:
        return _shown(self)


def _shown(found: Unrolled | ConvolutionMatrix) -> bytes | None:
    """Return the figure as a PNG file; None of what cannot be drawn."""
    try:
        return found.figure().png()
    except UsageError:
        return None


def convolution_matrix(
    kernel: KernelLike,
    input_size: int | Pair,
    *,
    mode: str = "same",
    op: str = "correlate",
    border: str = "zero",
    stride: int | Pair = 1,
    dilation: int | Pair = 1,
    transpose: bool = False,
) -> ConvolutionMatrix:
    """Write a convolution of one map as a matrix.

    It has a row for each value of the result and a column for each value of the input, both in
    reading order. With zeros outside it is a Toeplitz matrix of Toeplitz blocks.

    Parameters
    ----------
    kernel : str or array_like
        One kernel, as `filter` takes it.
    input_size : int or (rows, columns)
    mode, op, border, stride, dilation
        As for `filter`.
    transpose : bool
        Return the transpose: the transpose convolution.

    Returns
    -------
    ConvolutionMatrix

    Raises
    ------
    UsageError
        A kernel that does not fit, or too large a matrix.

    Examples
    --------
    >>> cnntool.convolution_matrix([[1, 2]], (1, 3), mode="valid").matrix
    array([[1., 2., 0.],
           [0., 1., 2.]])
    """
    size = arguments.pair("input_size", input_size)
    how = WindowOptions(mode, op, border, stride, dilation).checked()
    return matrix_of(kernel, size, how, transpose=arguments.flag("transpose", transpose))


def matrix_of(
    kernel: KernelLike,
    size: Pair,
    how: WindowOptions,
    *,
    transpose: bool,
    drawable: bool = False,
) -> ConvolutionMatrix:
    """Make the matrix of `convolution_matrix`; if it is to be drawable, only if it can be."""
    one = only_kernel(kernel, "there is nothing to write as a matrix")
    weights = laid_on(one, how.op)
    slide = of_plan(make_plan(size, Filter((one,)), dtype=np.float64, **how._asdict()))
    if drawable:
        from cnntool.views.matrix import check_size as check_drawn

        check_drawn(prod(slide.out_shape), prod(size))
    matrix = toeplitz(weights, slide)
    return ConvolutionMatrix(matrix.T if transpose else matrix, weights, slide, transpose)
