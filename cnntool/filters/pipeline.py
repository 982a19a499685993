"""Pipelines: a chain or a bank of filters as one plan over strips of rows.

A `Pipeline` is made from shapes alone. It knows, for any rows of the result, which rows of the
input they need, and computes them from just those: that is how a picture of any size passes
through in a little memory, on several threads, with the same bytes each time.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.conv.executor import convolve_rows
from cnntool.filters.conv.method import Method
from cnntool.filters.conv.plan import STRIP_VALUES, Border, ConvPlan, Mode, Op, make_plan
from cnntool.filters.kernels.kernel import ConvLayer, Filter, Sign
from cnntool.filters.kernels.library import Operation
from cnntool.image import convert
from cnntool.shapes.text import counted
from cnntool.threads import apart, ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.filters.conv.executor import Finish
    from cnntool.image.source import ImageInfo

    Given = tuple[NDArray[Any], int, float]
    """Rows, the number of the first, and the scale that is still to be applied."""

    Rows = Callable[[int, int], NDArray[Any]] | Iterable[NDArray[Any]]

R = TypeVar("R")

Channels = Literal["each", "luma"]


class Options(NamedTuple):
    """How to convolve: the options that all kernels of one command share.

    ``bias`` has a number for each kernel; it is added to the result, and ``relu`` then makes 0 of
    what is negative.
    """

    mode: Mode = Mode.SAME
    op: Op = Op.CORRELATE
    border: Border | None = None
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    method: Method = Method.AUTO
    channels: Channels | None = None
    mix: NDArray[np.float64] | None = None
    linear: bool = False
    bank: bool = False
    bias: NDArray[np.float64] | None = None
    relu: bool = False


class RowWindow(NamedTuple):
    """What a piece of the result is computed from.

    ``pixels`` (n, W, C, alpha last if there is one) are rows [lo, lo + n) of the input;
    [start, stop) are the rows of the result that they are for.
    """

    pixels: NDArray[Any]
    lo: int
    start: int
    stop: int


class Step(NamedTuple):
    """One filter of a chain: the dtype it takes, its plan unless it is non-linear, its maps.

    A step without a plan looks at ``reach`` rows above and below, or at all if that is None.
    """

    filter: Filter | ConvLayer | Operation
    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    plan: ConvPlan | None
    reach: int | None

    @property
    def out_shape(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        return self.plan.out_shape if self.plan else (self.height, self.width)

    @property
    def streams(self) -> bool:
        """Whether rows of the result need only rows of the input around them."""
        return self.plan.border is not Border.WRAP if self.plan else self.reach is not None

    @property
    def strip_rows(self) -> int:
        """Rows of the result to compute at once, if it is the last step."""
        if self.plan:
            return self.plan.strip_rows
        return min(self.height, max(1, STRIP_VALUES // (self.width * self.channels)))

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows on which rows [start, stop) of the result depend."""
        if self.plan:
            return self.plan.needs(start, stop)
        if self.reach is None:
            return 0, self.height
        return max(0, start - self.reach), min(self.height, stop + self.reach)


class Pipeline(NamedTuple):
    """Branches of steps over one input; a chain has one branch, a bank one for each kernel.

    Attributes
    ----------
    source : ImageInfo
        The input.
    options : Options
        The arithmetic.
    luma : bool
        Whether colour is reduced to luma before the first step.
    branches : tuple of tuple of Step
        What is applied; the branches' maps are stacked along the channels.
    """

    source: ImageInfo
    options: Options
    luma: bool
    branches: tuple[tuple[Step, ...], ...]

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Rows, columns and maps of the result."""
        lasts = [branch[-1] for branch in self.branches]
        return (*lasts[0].out_shape, sum(step.channels for step in lasts))

    @property
    def signs(self) -> tuple[Sign, ...]:
        """What the values of each branch's result are, a fact of its kernels."""
        if self.options.relu:
            return tuple("magnitude" for _ in self.branches)
        return tuple(_sign(branch) for branch in self.branches)

    @property
    def stacked(self) -> bool:
        """Whether the result is a stack of maps, as opposed to one picture."""
        several = any(joined(branch) and branch[-1].channels > 1 for branch in self.branches)
        return self.options.bank or self.options.mix is not None or several

    @property
    def streams(self) -> bool:
        """Whether strips suffice: every step looks only around itself."""
        return all(step.streams for branch in self.branches for step in branch)

    @property
    def multiplies(self) -> float:
        """Multiplications per output value as a textbook counts them; infinite if non-linear."""
        plans = [step.plan for branch in self.branches for step in branch]
        return sum(plan.multiplies if plan is not None else float("inf") for plan in plans)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic: float64 for float64 input, else float32."""
        return np.dtype("float64" if self.source.dtype == "float64" else "float32")

    @property
    def strip_rows(self) -> int:
        """Rows of result that are computed at once; a fact of the plan, not of the threads."""
        if not self.streams:
            return max(self.out_shape[0], 1)
        rows = max(branch[-1].strip_rows for branch in self.branches)
        reach = max(sum(step.reach or 0 for step in branch) for branch in self.branches)
        if reach:  # what strips have in common is computed twice: a quarter at most
            rows = min(rows * ceil(8 * reach / rows), self.out_shape[0])
        return rows

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows [lo, hi) on which rows [start, stop) of the result depend."""
        spans = [_spans(branch, start, stop)[0] for branch in self.branches]
        return min(lo for lo, _ in spans), max(hi for _, hi in spans)

    def interior(self, branch: Sequence[Step]) -> tuple[slice, slice]:
        """Return the rows and columns of a branch's result that no zeros around the input reach.

        All of them where the border was asked for, be it by the mode full, and where zeros reach
        everywhere.
        """
        if self.options.border is not None or self.options.mode is Mode.FULL:
            return slice(None), slice(None)
        rows, columns = (_untouched(branch, axis) for axis in (0, 1))
        return rows, columns

    def rows(
        self, window: RowWindow, out: NDArray[Any], finish: Finish, *, gain: float = 1.0
    ) -> None:
        """Compute the rows of the result that a window is for.

        Parameters
        ----------
        window : RowWindow
            The input that ``needs`` names.
        out : ndarray (stop - start, W_out, maps), of any dtype
            Where the result goes.
        finish : callable
            Given a piece of the result, which it may change, and the part of ``out`` to fill from
            it. Pieces are float, on the scale 0..1 for pictures, plain numbers otherwise; they
            are small where they can be, so that they are still in the processor's cache. A piece
            may have more columns than its part: these are rubbish.
        gain : float
            The result is multiplied by it, at no cost, if the pipeline ``streams``: convolutions,
            magnitudes, maxima and medians all pass a positive factor on, and biases are multiplied.
            Otherwise it must be 1.
        """
        image, scale = self._prepare(window.pixels)
        scale *= gain
        first = kernel = 0
        for branch in self.branches:
            channels, kernels = branch[-1].channels, kernels_of(branch)
            part = out[:, :, first : first + channels]
            end = self._activation(slice(kernel, kernel + kernels), gain, finish)
            self._branch(branch, (image, window.lo, scale), window, part, end)
            first += channels
            kernel += kernels

    def alpha(self, window: RowWindow) -> NDArray[Any] | None:
        """Carry the alpha channel: each output pixel has that of the input pixel at its anchor."""
        if not self.source.alpha or len(self.branches) > 1:
            return None
        rows, columns = np.arange(window.start, window.stop), np.arange(self.out_shape[1])
        for step in reversed(self.branches[0]):
            if step.plan is not None:
                rows, columns = step.plan.anchors(rows, columns)
        plane: NDArray[Any] = window.pixels[:, :, -1]
        return plane[rows - window.lo][:, columns]

    def _prepare(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Drop alpha, undo the transfer curve, reduce or mix colours; return the scale left."""
        image = pixels[:, :, : self.source.channels]
        scale = 1.0 if self.source.matrix else 1.0 / self.source.peak
        if self.options.linear:
            image, scale = convert.to_linear(image), 1.0
        if self.luma:
            image = convert.luma(image, linear=self.options.linear)
        elif self.options.mix is not None:
            image = image.astype(self.dtype) @ self.options.mix.T.astype(self.dtype)
        return image, scale

    def _branch(
        self,
        branch: Sequence[Step],
        given: Given,
        window: RowWindow,
        out: NDArray[Any],
        finish: Finish,
    ) -> None:
        """Pass rows, the number of the first and the scale left through a branch's steps."""
        wanted = window.start, window.stop
        for step, span in zip(branch, [*_spans(branch, *wanted)[1:], wanted], strict=True):
            if step.plan is None:
                given = self._apply(step, given, span)
                continue
            if given[0].dtype != step.dtype:
                given = self._scaled(given)
            image, lo, scale = given
            if step is branch[-1]:
                convolve_rows(step.plan, image, lo, *span, scale=scale, out=out, finish=finish)
                return
            given = convolve_rows(step.plan, image, lo, *span, scale=scale), span[0], 1.0
        finish(self._scaled(given)[0], out)

    def _activation(self, kernels: slice, gain: float, finish: Finish) -> Finish:
        """Return what adds the kernels' biases and rectifies before it finishes."""
        bias, relu = self.options.bias, self.options.relu
        if bias is None and not relu:
            return finish
        added = None if bias is None else (bias[kernels] * gain).astype(self.dtype)

        def then(maps: NDArray[Any], out: NDArray[Any]) -> None:
            if added is not None:
                maps += added
            if relu:
                np.maximum(maps, 0, out=maps)
            finish(maps, out)

        return then

    def _scaled(self, given: Given) -> Given:
        """Bring numbers to the scale and the dtype of the arithmetic."""
        image, lo, scale = given
        return np.multiply(image, self.dtype.type(scale), dtype=self.dtype), lo, 1.0

    def _apply(self, step: Step, given: Given, span: tuple[int, int]) -> Given:
        """Apply a non-linear step to each map, or to all channels together; keep rows `span`."""
        operation = step.filter
        assert isinstance(operation, Operation)  # noqa: S101
        if operation.unit:
            given = self._scaled(given)
        image, lo, scale = given
        default = Border.ZERO if operation.joins else Border.SYMMETRIC
        border = (self.options.border or default).value
        parts = [image] if operation.joins else [image[:, :, c] for c in range(image.shape[2])]
        maps = [operation.apply(part, border)[span[0] - lo : span[1] - lo] for part in parts]
        result = np.stack(maps, axis=2)
        if result.dtype == np.bool_:
            return result.astype(self.dtype), span[0], 1.0
        return result, span[0], scale


def joined(branch: Sequence[Step]) -> bool:
    """Return whether a branch's maps come from all channels together, as those of layers do."""
    return any(isinstance(step.filter, ConvLayer) for step in branch)


def kernels_of(branch: Sequence[Step]) -> int:
    """Return how many biases the result of a branch takes."""
    return branch[-1].channels if joined(branch) else 1


def _spans(branch: Sequence[Step], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the rows that each step of a branch reads, from the first step to the last."""
    spans: list[tuple[int, int]] = []
    for step in reversed(branch):
        start, stop = step.needs(start, stop)
        spans.insert(0, (start, stop))
    return spans


def _untouched(branch: Sequence[Step], axis: int) -> slice:
    """Return the rows (or columns) of a branch's result that the zeros of no step reach."""
    size = branch[0].height if axis == 0 else branch[0].width
    start, stop = 0, size
    for step in branch:
        if step.plan is not None:
            stride, before = step.plan.stride[axis], step.plan.pads[2 * axis]
            start = -(-(start + before) // stride)
            stop = (stop + before - step.plan.extent[axis]) // stride + 1
            size = step.out_shape[axis]
            stop = min(stop, size)
        elif isinstance(step.filter, Operation) and step.reach is not None:
            zeros = step.filter.joins  # others repeat their edge, which spreads what is dark there
            start += step.reach if zeros or start > 0 else 0
            stop -= step.reach if zeros or stop < size else 0
    return slice(start, stop) if start < stop else slice(None)


def _sign(branch: Sequence[Step]) -> Sign:
    """Follow the range of values through a chain: blurring a signed map leaves it signed."""
    sign: Sign = "smooth"
    for step in branch:
        if isinstance(step.filter, ConvLayer):
            sign = "signed"
        elif isinstance(step.filter, Filter):
            if step.filter.sign != "smooth":
                sign = step.filter.sign
        elif step.filter.joins:
            sign = "signed"
        elif not step.filter.borders:
            sign = "smooth"  # Canny and Otsu answer with black and white
    return sign


def make_pipeline(
    source: ImageInfo, filters: Sequence[Filter | ConvLayer | Operation], options: Options
) -> Pipeline:
    """Plan filters over an input without touching its pixels.

    Parameters
    ----------
    source : ImageInfo
        The input's shape and meaning.
    filters : sequence of Filter, ConvLayer or Operation
        Applied in order, or side by side for a bank.
    options : Options
        The arithmetic.

    Returns
    -------
    Pipeline
        Ready to compute rows.

    Raises
    ------
    UsageError
        A kernel that does not fit, or an option that makes no sense for one of the filters.
    """
    for item in filters:
        if isinstance(item, Operation):
            _refuse_senseless(item, options)
    if len(filters) > 1 and not options.bank and (options.bias is not None or options.relu):
        raise UsageError(
            "`bias` and `relu` are of one kernel, or of a bank, not of a chain",
            hint="a pipe applies one layer after the other",
        )
    colour = source.channels == 3 and not source.matrix
    if options.mix is not None and options.mix.shape[1] != source.channels:
        raise UsageError(
            f"`mix` has {options.mix.shape[1]} columns, channels of the input: {source.channels}"
        )
    if options.channels == "luma" and (source.matrix or options.mix is not None):
        raise UsageError("`channels=luma` is for colour pictures, and not beside `mix`")
    if options.linear and source.matrix:
        raise UsageError("`linear` is for pictures, plain numbers have no transfer curve")
    luma = colour and options.mix is None and _wants_luma(filters, options)
    channels = 1 if luma else source.channels if options.mix is None else len(options.mix)
    chains = [[item] for item in filters] if options.bank else [list(filters)]
    branches = tuple(_plan_chain(source, chain, options, channels, luma=luma) for chain in chains)
    sizes = {branch[-1].out_shape for branch in branches}
    if len(sizes) > 1:
        raise UsageError(
            "the kernels of the bank give maps of different sizes: "
            + ", ".join(f"{h}x{w}" for h, w in sorted(sizes)),
            hint="`mode=same` gives all of them the input's size",
        )
    kernels = sum(map(kernels_of, branches))
    if options.bias is not None and len(options.bias) != kernels:
        numbers = counted(len(options.bias), "number")
        raise UsageError(f"it has {numbers}, kernels: {kernels}", source="`bias`")
    return Pipeline(source, options, luma, branches)


def _wants_luma(filters: Sequence[Filter | ConvLayer | Operation], options: Options) -> bool:
    """Blurring works on each colour; a derivative, an edge or a bank on the luma.

    A filter that joins the colours needs them.
    """
    if options.channels is not None:
        return options.channels == "luma"
    joins = [isinstance(item, ConvLayer) or getattr(item, "joins", False) for item in filters]
    if options.bank:
        return not all(joins)
    first = joins.index(True) if True in joins else len(joins)
    return any(item.luma for item in filters[:first] if not isinstance(item, ConvLayer))


def _refuse_senseless(operation: Operation, options: Options) -> None:
    """Refuse, rather than ignore, what means nothing to a non-linear filter."""
    default = Options()
    words = ["mode", "op", "stride", "dilation", "method"]
    for option in words if operation.joins else [*words, "bias", "relu"]:
        if getattr(options, option) != getattr(default, option):
            raise UsageError(f"`{option}` makes no sense for {operation.name}")
    if options.border is not None and not operation.borders:
        raise UsageError(f"`border` makes no sense for {operation.name}")


def _plan_chain(
    source: ImageInfo,
    chain: Sequence[Filter | ConvLayer | Operation],
    options: Options,
    channels: int,
    *,
    luma: bool,
) -> tuple[Step, ...]:
    height, width = source.height, source.width
    arithmetic = np.dtype("float64" if source.dtype == "float64" else "float32")
    plain = not luma and not options.linear and options.mix is None
    dtype = np.dtype(source.dtype) if plain else arithmetic
    steps: list[Step] = []
    for item in chain:
        plan = reach = None
        if isinstance(item, Operation):
            channels = 1 if item.joins else channels
            reach = None if options.border is Border.WRAP else item.reach
        else:
            plan = make_plan(
                (height, width),
                item,
                mode=options.mode,
                border=options.border or Border.ZERO,
                op=options.op,
                stride=options.stride,
                dilation=options.dilation,
                dtype=dtype,
                channels=channels,
                method=options.method,
            )
            channels = plan.maps
        step = Step(item, height, width, channels, dtype, plan, reach)
        steps.append(step)
        height, width = step.out_shape
        dtype = arithmetic
    return tuple(steps)


_VALUES_AT_ONCE = 1 << 26
"""Numbers in the windows of all threads together: very wide rows are worked on one by one."""


def run(
    pipeline: Pipeline, source: Rows, work: Callable[[RowWindow], R], *, threads: int
) -> Iterator[R]:
    """Cut an input into windows and work on them, each on some thread, in order.

    Parameters
    ----------
    pipeline : Pipeline
        What is to be computed.
    source : callable or iterable
        Given lo and hi, returns rows [lo, hi) of the input (n, W, C [+ 1]), in any order and on any
        thread; or yields successive strips of it.
    work : callable
        Given the window for ``pipeline.strip_rows`` rows of the result, fewer at the end; what it
        returns is yielded. It calls ``pipeline.rows``.
    threads : int
        How many windows are worked on at once, fewer if they are very large. The results do not
        depend on it.
    """
    if not pipeline.streams:
        work = apart(work)
    height, rows = pipeline.out_shape[0], pipeline.strip_rows
    values = rows * pipeline.source.width * max(pipeline.source.channels, pipeline.out_shape[2])
    threads = max(1, min(threads, _VALUES_AT_ONCE // max(values, 1)))
    spans = [(start, min(start + rows, height)) for start in range(0, height, rows)]
    if not callable(source):
        yield from ordered_map(work, _windows(pipeline, spans, source), threads)
        return

    def fetch(span: tuple[int, int]) -> R:
        lo, hi = pipeline.needs(*span)
        return work(RowWindow(source(lo, hi), lo, *span))

    yield from ordered_map(fetch, spans, threads)


def _windows(
    pipeline: Pipeline, spans: list[tuple[int, int]], strips: Iterable[NDArray[Any]]
) -> Iterator[RowWindow]:
    """Collect successive strips of the input into the windows that spans of the result need."""
    needs = [pipeline.needs(*span) for span in spans]
    # A border may send a later strip back to earlier rows: keep all that is still to be asked for.
    keep = np.minimum.accumulate([lo for lo, _ in needs][::-1])[::-1].tolist()
    picture, source = pipeline.source, iter(strips)
    later = [*keep[1:], picture.height]
    held: deque[tuple[int, NDArray[Any]]] = deque()
    end = 0
    for (start, stop), (lo, hi), oldest in zip(spans, needs, later, strict=True):
        pixels = np.empty((hi - lo, picture.width, picture.samples), picture.dtype)
        # A strip is let go as soon as it has been copied, unless it is needed again.
        waiting, held = held, deque()
        while waiting or end < hi:
            first, strip = waiting.popleft() if waiting else (end, next(source))
            bottom = first + len(strip)
            end = max(end, bottom)
            pixels[max(first - lo, 0) : max(bottom - lo, 0)] = strip[
                max(lo - first, 0) : max(hi - first, 0)
            ]
            if bottom > oldest:
                held.append((first, strip))
            del strip
        yield RowWindow(pixels, lo, start, stop)
