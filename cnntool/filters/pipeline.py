"""A chain or a bank of filters as one plan over strips of rows.

A `Pipeline` is made from shapes alone. It knows, for any rows of the result, which rows of the
input they need, and computes them from just those: that is how a picture of any size passes
through in a little memory, on several threads, with the same bytes each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.convolve import convolve_rows
from cnntool.filters.kernel import Filter, Sign
from cnntool.filters.plan import Border, ConvPlan, Method, Mode, Op, make_plan
from cnntool.image import convert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.filters.nonlinear import Operation

Channels = Literal["each", "luma"]


class Options(NamedTuple):
    """How to convolve: the options that all kernels of one command share."""

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


class Source(NamedTuple):
    """What a pipeline must know of its input: shape, dtype, and what its numbers mean.

    ``peak`` is the value of white (255, 65535, 1); arithmetic is on the scale 0..1. ``raw``
    marks plain numbers, which are neither scaled nor reduced to luma.
    """

    height: int
    width: int
    channels: int
    dtype: np.dtype[Any]
    alpha: bool = False
    peak: float = 1.0
    raw: bool = False


class Step(NamedTuple):
    """One filter of a chain, and its plan unless it is non-linear."""

    filter: Filter | Operation
    height: int
    width: int
    channels: int
    plan: ConvPlan | None

    @property
    def out_shape(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        return self.plan.out_shape if self.plan else (self.height, self.width)


class Pipeline(NamedTuple):
    """Branches of steps over one input; a chain has one branch, a bank one for each kernel.

    Attributes
    ----------
    source : Source
        The input.
    options : Options
        The arithmetic.
    luma : bool
        Whether colour is reduced to luma before the first step.
    branches : tuple of tuple of Step
        What is applied; the branches' maps are stacked along the channels.
    """

    source: Source
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
        return tuple(_sign(branch) for branch in self.branches)

    @property
    def streams(self) -> bool:
        """Whether strips suffice: every step is a convolution that looks only around itself."""
        plans = [step.plan for branch in self.branches for step in branch]
        far = any(plan is not None and plan.border is Border.WRAP for plan in plans)
        return None not in plans and not far

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the arithmetic: float64 for float64 input, else float32."""
        return np.dtype(np.float64 if self.source.dtype == np.float64 else np.float32)

    @property
    def strip_rows(self) -> int:
        """Rows of result that are computed at once; a fact of the plan, not of the threads."""
        if not self.streams:
            return max(self.out_shape[0], 1)
        return max(branch[-1].plan.strip_rows for branch in self.branches if branch[-1].plan)

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows [lo, hi) on which rows [start, stop) of the result depend."""
        spans = [_spans(branch, start, stop)[0] for branch in self.branches]
        return min(lo for lo, _ in spans), max(hi for _, hi in spans)

    def rows(
        self, window: NDArray[Any], lo: int, start: int, stop: int
    ) -> NDArray[np.floating[Any]]:
        """Compute rows [start, stop) of the result.

        Parameters
        ----------
        window : ndarray (n, W, C) or (n, W, C + 1) with alpha
            Rows [lo, lo + n) of the input, at least those that ``needs`` names.
        lo, start, stop : int
            Row numbers, see above.

        Returns
        -------
        ndarray (stop - start, W_out, maps)
            On the scale 0..1 for pictures, plain numbers otherwise.
        """
        image, scale = self._prepare(window)
        parts = [
            self._branch(branch, (image, lo, scale), (start, stop)) for branch in self.branches
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def alpha(self, window: NDArray[Any], lo: int, start: int, stop: int) -> NDArray[Any] | None:
        """Carry the alpha channel: each output pixel has that of the input pixel at its anchor."""
        if not self.source.alpha or len(self.branches) > 1:
            return None
        rows, columns = np.arange(start, stop), np.arange(self.out_shape[1])
        for step in reversed(self.branches[0]):
            if step.plan is not None:
                rows, columns = step.plan.anchors(rows, columns)
        plane: NDArray[Any] = window[:, :, -1]
        return plane[rows - lo][:, columns]

    def _prepare(self, window: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Drop alpha, undo the transfer curve, reduce or mix colours; return the scale left."""
        image = window[:, :, : self.source.channels]
        scale = 1.0 if self.source.raw else 1.0 / self.source.peak
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
        given: tuple[NDArray[Any], int, float],
        wanted: tuple[int, int],
    ) -> NDArray[np.floating[Any]]:
        """Pass rows, the number of the first and the scale to apply through a branch's steps."""
        image, lo, scale = given
        spans = [*_spans(branch, *wanted), wanted]
        for step, span in zip(branch, spans[1:], strict=True):
            if step.plan is not None:
                image = _convolve(step.plan, (image, lo, scale), span)
                lo, scale = span[0], 1.0
            else:
                image, scale = self._whole(step, image, scale)
        if scale != 1.0 or image.dtype != self.dtype:
            image = np.multiply(image, self.dtype.type(scale), dtype=self.dtype)
        return image

    def _whole(self, step: Step, image: NDArray[Any], scale: float) -> tuple[NDArray[Any], float]:
        """Apply a non-linear step to each whole map."""
        operation = step.filter
        assert not isinstance(operation, Filter)  # noqa: S101
        if operation.unit and (scale != 1.0 or image.dtype.kind != "f"):
            image, scale = np.multiply(image, self.dtype.type(scale), dtype=self.dtype), 1.0
        border = (self.options.border or Border.SYMMETRIC).value
        maps = [operation.apply(image[:, :, c], border) for c in range(image.shape[2])]
        result = np.stack(maps, axis=2)
        if result.dtype == np.bool_:
            return result.astype(self.dtype), 1.0
        return result, scale


def _convolve(
    plan: ConvPlan, given: tuple[NDArray[Any], int, float], span: tuple[int, int]
) -> NDArray[Any]:
    """Compute the rows of a span in pieces that stay in the processor's cache."""
    image, lo, scale = given
    out = np.empty((span[1] - span[0], plan.out_shape[1], plan.channels), plan.dtype)
    for start in range(*span, plan.strip_rows):
        stop = min(start + plan.strip_rows, span[1])
        piece = out[start - span[0] : stop - span[0]]
        convolve_rows(plan, image, lo, start, stop, scale=scale, out=piece)
    return out


def _spans(branch: Sequence[Step], start: int, stop: int) -> list[tuple[int, int]]:
    """Return the rows that each step of a branch reads, from the first step to the last."""
    spans: list[tuple[int, int]] = []
    for step in reversed(branch):
        start, stop = step.plan.needs(start, stop) if step.plan else (0, step.height)
        spans.insert(0, (start, stop))
    return spans


def _sign(branch: Sequence[Step]) -> Sign:
    """Follow the range of values through a chain: blurring a signed map leaves it signed."""
    sign: Sign = "smooth"
    for step in branch:
        if isinstance(step.filter, Filter):
            if step.filter.sign != "smooth":
                sign = step.filter.sign
        elif not step.filter.borders:
            sign = "smooth"  # Canny and Otsu answer with black and white
    return sign


def make_pipeline(
    source: Source, filters: Sequence[Filter | Operation], options: Options
) -> Pipeline:
    """Plan filters over an input without touching its pixels.

    Parameters
    ----------
    source : Source
        The input's shape and meaning.
    filters : sequence of Filter or Operation
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
        if not isinstance(item, Filter):
            _refuse_senseless(item, options)
    colour = source.channels == 3 and not source.raw
    if options.mix is not None and options.mix.shape[1] != source.channels:
        raise UsageError(
            f"--mix has {options.mix.shape[1]} columns, the input {source.channels} channels"
        )
    if options.linear and source.raw:
        raise UsageError("--linear is for pictures, plain numbers have no transfer curve")
    luma = colour and options.mix is None and _wants_luma(filters, options)
    channels = 1 if luma else source.channels if options.mix is None else len(options.mix)
    chains = [[item] for item in filters] if options.bank else [list(filters)]
    branches = tuple(_plan_chain(source, chain, options, channels) for chain in chains)
    sizes = {branch[-1].out_shape for branch in branches}
    if len(sizes) > 1:
        raise UsageError(
            "the kernels of the bank give maps of different sizes: "
            + ", ".join(f"{h}x{w}" for h, w in sorted(sizes)),
            hint="--mode same gives all of them the input's size",
        )
    return Pipeline(source, options, luma, branches)


def _wants_luma(filters: Sequence[Filter | Operation], options: Options) -> bool:
    """Blurring works on each colour; a derivative, an edge or a bank on the luma."""
    if options.channels is not None:
        return options.channels == "luma"
    derivative = (f.sign != "smooth" if isinstance(f, Filter) else f.luma for f in filters)
    return options.bank or any(derivative)


def _refuse_senseless(operation: Operation, options: Options) -> None:
    """Refuse, rather than ignore, what means nothing to a non-linear filter."""
    default = Options()
    for option in ("mode", "op", "stride", "dilation", "method"):
        if getattr(options, option) != getattr(default, option):
            raise UsageError(f"--{option} makes no sense for {operation.name}")
    if options.border is not None and not operation.borders:
        raise UsageError(f"--border makes no sense for {operation.name}")


def _plan_chain(
    source: Source, chain: Sequence[Filter | Operation], options: Options, channels: int
) -> tuple[Step, ...]:
    height, width = source.height, source.width
    dtype = source.dtype
    steps: list[Step] = []
    for item in chain:
        plan = None
        if isinstance(item, Filter):
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
        step = Step(item, height, width, channels, plan)
        steps.append(step)
        height, width = step.out_shape
        dtype = np.dtype(np.float64 if source.dtype == np.float64 else np.float32)
    return tuple(steps)
