"""Kernels on pictures, matrices and stacks of maps, in strips of rows: plans, results, files."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

import numpy as np

from cnntool.api import arguments
from cnntool.api.arguments import FilterOptions, WindowOptions
from cnntool.api.kernels import read_kernel
from cnntool.api.pictures import load, opened, to_array
from cnntool.api.rendering import ARRAY, TEXT, as_array, plan, style
from cnntool.errors import ArgumentTypeError, UsageError
from cnntool.filters import pipeline as pipelines
from cnntool.filters.conv import executor as engine
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import Border, Mode, Op
from cnntool.filters.pipeline import make_pipeline
from cnntool.image import convert
from cnntool.image.codecs.codec import joined
from cnntool.image.files import open_writer
from cnntool.shapes.text import counted, size_text
from cnntool.system import usable_cpus
from cnntool.views import scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.api.kernels import KernelLike
    from cnntool.api.pictures import ImageLike
    from cnntool.api.rendering import Rendering, Style
    from cnntool.filters.kernels.kernel import ConvLayer, Filter, Sign
    from cnntool.filters.kernels.library import Operation
    from cnntool.filters.pipeline import Options, Pipeline, RowWindow, Step
    from cnntool.image.codecs.codec import Reader
    from cnntool.image.source import ImageInfo
    from cnntool.shapes.windows import Pair

T = TypeVar("T")

LIGHT = 64
"""Multiplications a value up to which decoding a picture takes longer than filtering it."""


NEAR, FEW = 1 / 8, 0.9
"""How close to mid-grey values are hard to see, and the share of such that is worth a word."""

FAINT = (
    "0 became mid-grey, -1 black and 1 white, and most values lie close to 0; `range=percentile`"
    " or `range=signed` spreads them, in colours"
)


def arithmetic(asked: FilterOptions) -> Options:
    """Put the arithmetic of `filter` into the pipeline's own words.

    Raises
    ------
    UsageError
        A mix or a bias that makes no sense.
    """
    return pipelines.Options(
        mode=Mode(asked.mode),
        op=Op(asked.op),
        border=None if asked.border is None else Border(asked.border),
        stride=asked.stride,
        dilation=asked.dilation,
        method=Method(asked.method),
        channels=asked.channels,
        mix=None if asked.mix is None else _mix(asked.mix),
        linear=asked.linear,
        bank=asked.bank,
        bias=None if asked.bias is None else _bias(asked.bias),
        relu=asked.relu,
    )


def _bias(bias: Any) -> NDArray[np.float64]:
    from cnntool.api.kernels import parse_vector

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
    from cnntool.api.kernels import parse_matrix
    from cnntool.filters.kernels.kernel import Kernel

    array = None if isinstance(mix, str) else arguments.numbers("mix", mix)
    try:
        return Kernel(parse_matrix(mix) if array is None else array).weights
    except UsageError as error:
        raise UsageError(error.message, source="`mix`", hint=error.hint) from None


class FilteredTile(NamedTuple):
    """A result as a picture, or a map of a stack.

    Attributes
    ----------
    pixels : ndarray, shape (h, w, samples)
    policy : Range
        How its numbers became brightness.
    limits : (float, float)
        The numbers that became black and white, for the ranges that depend on the data.
    symmetric : bool
        Whether its colours have 0 in the middle.
    single : bool
        Whether it has one channel.
    """

    pixels: NDArray[Any]
    policy: scale.Range
    limits: tuple[float, float]
    symmetric: bool
    single: bool


class Filtering(NamedTuple):
    """Kernels planned over a picture, and what their result will be; no pixel has been read.

    Attributes
    ----------
    pipeline : Pipeline
        What is computed, of which input.
    rendering : Rendering
        What is written.
    """

    pipeline: Pipeline
    rendering: Rendering

    def strips(
        self,
        rows: pipelines.Rows,
        encode: Callable[[NDArray[Any]], T],
        *,
        threads: int,
        outside: list[int] | None = None,
    ) -> Iterator[T]:
        """Compute the result in strips of rows.

        Parameters
        ----------
        rows : callable or iterable of ndarray (n, W, C)
            Of the input, see `cnntool.filters.pipeline.run`.
        encode : callable
            Given a strip (h, W, samples) of the result, on the thread that computed it; what it
            returns is yielded, in order.
        threads : int
            How many strips are computed at once.
        outside : list of int, optional
            Gets counts of the values that are clipped.
        """
        pipeline, rendering = self
        info = rendering.info
        if pipeline.stacked or rendering.ranges[0] in scale.MEASURED:
            pixels = self._whole(rows, outside, threads)
            for row in range(0, info.height, info.strip_rows):
                yield encode(pixels[row : row + info.strip_rows])
            return
        # The filters can compute on the result's own scale, 0 to 255, which saves a pass.
        early = rendering.ranges == ("clip",) and not (rendering.linear or rendering.exact)
        gain = info.peak if early and pipeline.streams else 1.0

        def work(window: RowWindow) -> T:
            pixels = np.empty((window.stop - window.start, info.width, info.samples), info.dtype)
            pipeline.rows(
                window,
                pixels[:, :, : info.channels],
                lambda maps, out: rendering.convert(maps, out, outside, white=gain),
                gain=gain,
            )
            self._set_alpha(pixels, pipeline.alpha(window))
            return encode(pixels)

        yield from pipelines.run(pipeline, rows, work, threads=threads)

    def write(
        self, reader: Reader, target: Path | BinaryIO, *, threads: int, count: bool, **how: Any
    ) -> tuple[float | None, list[str]]:
        """Compute the result and write it.

        Parameters
        ----------
        reader : Reader
            Of the input.
        target : Path or binary stream
        threads : int
            How many strips are computed at once.
        count : bool
            Whether to count the clipped values.
        **how
            See `cnntool.image.files.open_writer`.

        Returns
        -------
        clipped : float or None
            The share of values that were clipped, if counted and if the result can clip.
        notes : list of str
            What is worth knowing of the result.
        """
        rendering = self.rendering
        outside: list[int] | None = [] if count and rendering.clips else None
        centred = rendering.automatic and rendering.ranges == ("center",)
        faint: list[float] = []
        # Where computing is the smaller part of the work, one thread is left to the decoder.
        light = reader.window is None and self.pipeline.multiplies <= LIGHT
        threads = max(1, threads - light)
        with open_writer(target, rendering.info, **how) as writer:

            def encode(strip: NDArray[Any]) -> Any:
                if centred:
                    unit = strip[::4, ::4] / np.float32(rendering.info.peak)
                    faint.append(float(np.mean(np.abs(unit - 0.5) < NEAR)))
                return writer.encode(strip)

            for encoded in self.strips(reader.rows(), encode, threads=threads, outside=outside):
                writer.append(encoded)
                del encoded  # or it would lie about while the next one is made
        notes = [FAINT] if faint and np.mean(faint) > FEW else []
        return None if outside is None else sum(outside) / prod(self.pipeline.out_shape), notes

    def _whole(self, rows: pipelines.Rows, outside: list[int] | None, threads: int) -> NDArray[Any]:
        """Compute all maps first: for a stack of maps, and for ranges that depend on the data."""
        pipeline, info = self.pipeline, self.rendering.info
        maps, alpha = self._maps(rows, threads)
        if pipeline.stacked:
            return self._stack(maps, outside)
        pixels = np.empty(info.shape, info.dtype)
        limits = self._limits(maps, pipeline.branches[0])
        self.rendering.convert(maps, pixels[:, :, : info.channels], outside, limits=limits)
        self._set_alpha(pixels, alpha)
        return pixels

    def _maps(self, rows: pipelines.Rows, threads: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Compute all maps, and alpha if the result has any."""
        pipeline, info = self.pipeline, self.rendering.info
        maps = np.empty(pipeline.out_shape, pipeline.dtype)
        alpha = np.empty(maps.shape[:2], pipeline.source.dtype) if info.alpha else None

        def work(window: RowWindow) -> None:
            pipeline.rows(window, maps[window.start : window.stop], engine.keep)
            if alpha is not None:
                alpha[window.start : window.stop] = pipeline.alpha(window)

        for _ in pipelines.run(pipeline, rows, work, threads=threads):
            pass
        return maps, alpha

    def _limits(
        self, maps: NDArray[Any], branch: Sequence[Step], tile: int = 0
    ) -> tuple[float, float]:
        """Return the ends of the range of a branch's maps, or of one of its tiles."""
        policy, symmetric = self.rendering.ranges[tile], self.rendering.symmetric[tile]
        if policy not in scale.MEASURED:
            return 0.0, 1.0
        inside = maps[self.pipeline.interior(branch)]
        return scale.range_limits(inside, policy, symmetric=symmetric)

    def _stack(self, maps: NDArray[Any], outside: list[int] | None) -> NDArray[Any]:
        """Bring each map into its range and lay the tiles out, or stack them as an array."""
        info = self.rendering.info
        if info.format == ARRAY:
            stack = np.empty(maps.shape, info.dtype)
            for _ in self._rendered(maps, outside, stack):
                pass
            return stack
        from cnntool.views.contact_sheet import tile

        return tile([one.pixels for one in self._rendered(maps, outside)], fill=info.peak)

    def tiles(self, rows: pipelines.Rows, *, threads: int) -> Iterator[FilteredTile]:
        """Compute the result as pictures: one, or one for each map of a stack."""
        return self._rendered(self._maps(rows, threads)[0], None)

    def _rendered(
        self,
        maps: NDArray[Any],
        outside: list[int] | None,
        stack: NDArray[Any] | None = None,
    ) -> Iterator[FilteredTile]:
        """Bring maps into the ranges of their tiles, perhaps within a stack (h, w, maps)."""
        rendering = self.rendering
        first = at = 0
        for branch in self.pipeline.branches:
            for count in _tiles_of(self.pipeline, branch):
                part = maps[:, :, first : first + count]
                limits = self._limits(part, branch, at)
                if stack is None:
                    shape = (*part.shape[:2], rendering.samples(count, at))
                    pixels = np.empty(shape, rendering.info.dtype)
                else:
                    pixels = stack[:, :, first : first + count]
                rendering.convert(part, pixels, outside, tile=at, limits=limits)
                policy, symmetric = rendering.ranges[at], rendering.symmetric[at]
                yield FilteredTile(pixels, policy, limits, symmetric, single=count == 1)
                first, at = first + count, at + 1

    def names(self, kernels: Sequence[str]) -> list[str]:
        """Name the tiles by the kernels that made them."""
        names = []
        for number, branch in enumerate(self.pipeline.branches):
            name = kernels[number] if self.pipeline.options.bank else ", ".join(kernels)
            count = len(_tiles_of(self.pipeline, branch))
            names += [name] if count == 1 else [f"{name} [{tile}]" for tile in range(count)]
        return names

    def _set_alpha(self, pixels: NDArray[Any], alpha: NDArray[Any] | None) -> None:
        """Put alpha, brought to the result's depth, behind the colours."""
        if alpha is None or not self.rendering.info.alpha:
            return
        if alpha.dtype != pixels.dtype:
            unit = alpha.astype(np.float32) / np.float32(self.pipeline.source.peak)
            exact = self.rendering.exact
            alpha = unit if exact else convert.quantize(unit, self.rendering.info.dtype)
        pixels[:, :, -1] = alpha

    def record(self, kernels: Sequence[str]) -> dict[str, Any]:
        """Say what is done in stable keys, ready for JSON; the kernels are as they were given."""
        pipeline, options = self.pipeline, self.pipeline.options
        return {
            "read": pipeline.source.record(),
            "kernels": list(kernels),
            "bank": options.bank,
            "mode": options.mode.value,
            "op": options.op.value,
            "border": options.border.value if options.border else None,
            "stride": list(options.stride),
            "dilation": list(options.dilation),
            "methods": [
                step.plan.method.value if step.plan else None
                for branch in pipeline.branches
                for step in branch
            ],
            "channels": "luma" if pipeline.luma else "each",
            "linear": options.linear,
            "bias": None if options.bias is None else options.bias.tolist(),
            "relu": options.relu,
            "range": list(self.rendering.ranges),
        }

    def lines(self, name: str) -> list[str]:
        """Describe the plan: a line for the input, some for each kernel and the result."""
        pipeline, options, written = self.pipeline, self.pipeline.options, self.rendering.info
        lines = [f"input   {name}: {_picture(pipeline.source)}"]
        if pipeline.luma:
            lines.append("colour  reduced to luma")
        for branch in pipeline.branches:
            for step in branch:
                lines += _described(step, pipeline)
        after = ["bias"] * (options.bias is not None) + ["ReLU"] * options.relu
        if after:
            lines.append(f"then    {', '.join(after)}")
        lines.append(f"range   {', '.join(dict.fromkeys(self.rendering.ranges))}")
        return [*lines, f"result  {written.format}: {_picture(written)}"]


def _described(step: Step, pipeline: Pipeline) -> list[str]:
    """Describe one filter of a plan."""
    if step.plan is None:
        joins = getattr(step.filter, "joins", False)
        how = "a kernel for each colour, added up" if joins else "non-linear"
        whole = step.reach is None or not pipeline.streams
        rows = "on whole maps" if whole else f"{counted(pipeline.strip_rows, 'row')} a strip"
        return [f"filter  {step.filter.name}: {how}, {rows}"]
    first, *others = step.plan.lines()
    return [f"filter  {step.filter.name}: {first}", *(f"        {line}" for line in others)]


def _picture(info: ImageInfo) -> str:
    alpha = " and alpha" if info.alpha else ""
    channels = counted(info.channels, "channel")
    return f"{size_text(info.height, info.width)}, {channels}{alpha}, {info.dtype}"


def plan_filtering(
    source: ImageInfo,
    kernels: Sequence[Filter | ConvLayer | Operation],
    options: Options,
    style: Style,
    *,
    format_name: str | None = None,
    max_pixels: int = arguments.MOST_PIXELS,
) -> Filtering:
    """Plan kernels over a picture, and decide what the result will be, before any pixel is read.

    Without a format, the result is an array.

    Raises
    ------
    UsageError
        What `cnntool.filters.pipeline.make_pipeline` and `plan` refuse, a stack of maps for a
        table, or one that is too large.
    """
    pipeline = make_pipeline(source, kernels, options)
    if format_name is None:
        format_name = ARRAY if pipeline.stacked else as_array(source, style)
    height, width, channels = pipeline.out_shape
    alpha = source.alpha and not pipeline.stacked
    flat = channels == 1 and not alpha
    rendering = plan(
        source,
        pipeline.out_shape,
        _signs(pipeline),
        format_name,
        style,
        alpha=alpha,
        layout="hw" if flat else source.layout if source.matrix else "hwc",
        linear=options.linear,
    )
    info = rendering.info
    if pipeline.stacked:
        arguments.check_size((height, width), channels, max_pixels)
    if pipeline.stacked and format_name in TEXT:
        raise UsageError("a stack of maps is no table", hint="`output=FILE.npy` holds it")
    if pipeline.stacked and format_name == ARRAY:
        info = info._replace(layout="chw")
    elif pipeline.stacked:
        from cnntool.views.contact_sheet import TILE_GAP, grid_shape

        tiles = _tiles(pipeline)
        rows, columns = grid_shape(len(tiles))
        info = info._replace(
            height=rows * (height + TILE_GAP) - TILE_GAP,
            width=columns * (width + TILE_GAP) - TILE_GAP,
            channels=max(rendering.samples(count, at) for at, count in enumerate(tiles)),
        )
    return Filtering(pipeline, rendering._replace(info=info))


def _signs(pipeline: Pipeline) -> list[Sign]:
    """Return what the numbers of each tile mean; a mix whose weights sum to 0 is signed."""
    mix = pipeline.options.mix
    signs: list[Sign] = []
    for branch, sign in zip(pipeline.branches, pipeline.signs, strict=True):
        if mix is None or pipelines.joined(branch):
            signs += [sign] * len(_tiles_of(pipeline, branch))
        else:
            zero = np.abs(mix.sum(axis=1)) <= 1e-9 * np.abs(mix).sum(axis=1)
            signs += ["signed" if nought and sign == "smooth" else sign for nought in zero]
    return signs


def _tiles(pipeline: Pipeline) -> list[int]:
    """Return how many channels each tile of a stack of maps has."""
    return [count for branch in pipeline.branches for count in _tiles_of(pipeline, branch)]


def _tiles_of(pipeline: Pipeline, branch: Sequence[Step]) -> list[int]:
    """Return the same for one branch: maps are tiles of their own, colours are one."""
    channels = branch[-1].channels
    apart = pipeline.options.mix is not None or pipelines.joined(branch)
    return [1] * channels if apart else [channels]


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
    layout: str = "auto",
    threads: int | None = None,
) -> NDArray[Any]:
    """Apply kernels to a picture, a matrix or a stack of maps.

    Computed on the scale 0..1 in float32, of float64 input and integers in float64; nothing wraps.

    Parameters
    ----------
    image : path, bytes, binary file, PIL image or ndarray (H, W), (H, W, C) or (C, H, W)
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
    range : {'auto', 'clip', 'abs', 'center', 'minmax', 'percentile', 'signed', 'raw'}
        How results become brightness. "auto" centres zero-sum kernels on mid-grey and clips the
        others where the input is of whole numbers, and keeps the numbers of others; "raw" gives
        the numbers. "signed", and "percentile" of derivatives, are symmetric about 0 and make
        colours of one channel, where the result is of whole numbers. What the default's zero
        border darkens does not set a range that depends on the data; ``border="zero"`` and
        ``mode="full"`` count it, too.
    depth : {8, 16, 'float'}, optional
        Of the result; by default that of the input.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.
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
    asked = FilterOptions(
        mode, op, border, stride, dilation, channels, mix, bias, relu, linear, bank, method
    )
    options, chosen = arithmetic(asked.checked()), style(range, depth)
    lanes, filters = lanes_of(threads), read_kernels(kernels)
    with opened(image, layout) as (info, rows):
        found = plan_filtering(info, filters, options, chosen)
        written = found.rendering.info
        arguments.check_size(written.shape[:2], written.samples, arguments.MOST_PIXELS)
        strips = found.strips(rows, lambda strip: strip, threads=lanes)
        return to_array(written, joined(strips, written))


def filter_plan(
    image: ImageLike,
    *kernels: KernelLike,
    range: str = "auto",
    depth: str | int | None = None,
    layout: str = "auto",
    **options: Any,
) -> str:
    """Say in words what `filter` would do, and how: shapes, padding, methods, range.

    Parameters
    ----------
    image, *kernels, range, depth, layout, **options
        See `filter`.

    Returns
    -------
    str
        What ``cnntool filter --explain`` prints.

    Raises
    ------
    UsageError
        A kernel or a combination that makes no sense.

    Examples
    --------
    >>> print(cnntool.filter_plan(np.zeros((5, 5)), "box", mode="valid"))  # doctest: +ELLIPSIS
    input   <array>: 5 rows x 5 columns, 1 channel, float64
    filter  box: kernel 3x3, separable, single
            correlate, valid, stride 1, dilation 1: 5x5 -> 3x3
    ...
    """
    asked, chosen = arithmetic(FilterOptions(**options).checked()), style(range, depth)
    filters, picture = read_kernels(kernels), load(image, layout=layout)
    return "\n".join(plan_filtering(picture.info, filters, asked, chosen).lines(picture.name))


def lanes_of(threads: int | None) -> int:
    """Check how many strips are computed at once."""
    return usable_cpus() if threads is None else arguments.whole("threads", threads, 1, 1024)


def read_kernels(kernels: Sequence[KernelLike]) -> list[Filter | ConvLayer | Operation]:
    """Read what a picture is filtered with; see `read_kernel`.

    Raises
    ------
    ArgumentTypeError
        Nothing.
    """
    if not kernels:
        raise ArgumentTypeError("at least one kernel is expected", source="`kernels`")
    return [read_kernel(kernel) for kernel in kernels]


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
    layout: str = "auto",
) -> NDArray[Any]:
    """Convolve numbers as they are: no scale, no luma, no range; each channel by itself.

    Parameters
    ----------
    image, mode, op, border, stride, dilation, method
        As for `filter`; alpha counts as a channel.
    kernel : str or array_like
        As for `filter`; no non-linear one.
    layout : {'auto', 'hwc', 'chw'}
        Axes of an array that has three, see `read_image`.

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
    from cnntool.filters.kernels.kernel import ConvLayer
    from cnntool.filters.kernels.library import Operation

    how = WindowOptions(mode, op, border, stride, dilation).checked()
    method = arguments.one_of("method", method, arguments.methods())
    item = read_kernel(kernel, "kernel")
    if isinstance(item, Operation):
        raise UsageError(f"{item.name} is no convolution", hint="`filter` applies it")
    picture = load(image, layout=layout)
    result = engine.convolve(picture.values, item, **how._asdict(), method=method)
    layer = isinstance(item, ConvLayer)
    return to_array(picture.info._replace(layout="chw") if layer else picture.info, result)
