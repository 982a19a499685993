"""Putting a pipeline together from an input's shape, filters and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters.conv_layer import ConvLayer
from cnntool.filters.operation import Operation
from cnntool.filters.pipeline import Options, Pipeline, Step, kernels_of
from cnntool.filters.plan import Border, make_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.filters.kernel import Filter
    from cnntool.filters.pipeline import Source


def make_pipeline(
    source: Source, filters: Sequence[Filter | ConvLayer | Operation], options: Options
) -> Pipeline:
    """Plan filters over an input without touching its pixels.

    Parameters
    ----------
    source : Source
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
    colour = source.channels == 3 and not source.raw
    if options.mix is not None and options.mix.shape[1] != source.channels:
        raise UsageError(
            f"`mix` has {options.mix.shape[1]} columns, channels of the input: {source.channels}"
        )
    if options.channels == "luma" and (source.raw or options.mix is not None):
        raise UsageError("`channels=luma` is for colour pictures, and not beside `mix`")
    if options.linear and source.raw:
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
        numbers = f"{len(options.bias)} number{'' if len(options.bias) == 1 else 's'}"
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
    source: Source,
    chain: Sequence[Filter | ConvLayer | Operation],
    options: Options,
    channels: int,
    *,
    luma: bool,
) -> tuple[Step, ...]:
    height, width = source.height, source.width
    arithmetic = np.dtype(np.float64 if source.dtype == np.float64 else np.float32)
    plain = not luma and not options.linear and options.mix is None
    dtype = source.dtype if plain else arithmetic
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
