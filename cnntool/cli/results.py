"""A result of a verb that works by hand: its range, its format, its file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console
from cnntool.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cnntool.cli.arrays import Stack
    from cnntool.cli.paths import Naming
    from cnntool.views.scale import Range


class Result(NamedTuple):
    """What a verb made of a stack.

    Parameters
    ----------
    values : ndarray (H, W, samples)
        On the scale of the stack's values.
    sign : {'smooth', 'signed'}
        What they mean, see ``AUTOMATIC`` in `cnntool.views.scale`.
    alpha : bool
        Whether alpha is among the samples.
    """

    values: NDArray[Any]
    sign: str = "smooth"
    alpha: bool = False


def write(
    stack: Stack, result: Result, settings: dict[str, Any], naming: Naming, policy: Range | None
) -> dict[str, Any]:
    """Bring a result into range, write it and describe it.

    Parameters
    ----------
    stack : Stack
        What it was made of.
    result : Result
    settings : dict
        The options of `inputs_and_result`.
    naming : Naming
        Where it goes.
    policy : Range or None
        See `run`.

    Returns
    -------
    dict
        A record, ready for JSON.

    Raises
    ------
    UsageError
        A range that the depth cannot hold, or stdout wanted twice.
    OutputError
        See `cnntool.image.files.open_writer`.
    """
    from cnntool.cli import outcome, report
    from cnntool.image.files import FORMATS, write_image
    from cnntool.views import scale

    format_name = outcome.choose_format(stack.info, settings["format_name"], naming.named)
    row = FORMATS[format_name]
    dtype = outcome.result_dtype(stack.info, format_name, settings["depth"])
    exact = dtype.startswith("float")
    if policy == "raw" and not exact:
        raise UsageError(
            "--range raw needs a format that keeps numbers",
            hint="write .npy, .csv or a TIFF with --depth float",
        )
    policy = policy or ("raw" if exact else scale.AUTOMATIC[result.sign])
    values = result.values
    if format_name in outcome.TEXT and stack.info.matrix and values.shape[2] > 1:
        rows = values.shape[0]
        console.note(f"{stack.item.name}: the maps stand one under another, {rows} rows each")
        values = _under_another(values)
    height, width, samples = values.shape
    channels = samples - result.alpha
    info = stack.info._replace(
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        alpha=result.alpha,
        format=format_name,
        icc=stack.info.icc if channels == stack.info.channels else None,
        layout=stack.info.layout if stack.info.matrix else "hw" if samples == 1 else "hwc",
    )
    values, clipped = _finished(values, stack.info.peak, dtype, policy)
    target = naming.place(
        stack.item, row.suffixes[0], text=not row.binary, as_json=settings["as_json"]
    )
    write_image(
        target or sys.stdout.buffer,
        values,
        info,
        name=str(target or "<stdout>"),
        compression=settings["compression"],
        quality=settings["quality"],
        overwrite=settings["overwrite"],
    )
    if clipped:
        console.detail(f"{stack.item.name}: {clipped:.2%} of the values were clipped")
    if target is not None and naming.chosen and not settings["as_json"]:
        console.result(str(target))
    return {
        "input": stack.item.name,
        "read": report.facts(stack.info),
        "output": str(target),
        "written": report.facts(info),
        "range": policy,
        "clipped": clipped,
    }


def _under_another(values: NDArray[Any]) -> NDArray[Any]:
    """Turn maps (H, W, C) into one matrix (C * H, W, 1)."""
    import numpy as np

    return np.moveaxis(values, 2, 0).reshape(-1, values.shape[1], 1)


def _finished(
    values: NDArray[Any], peak: float, dtype: str, policy: Range
) -> tuple[NDArray[Any], float | None]:
    """Bring numbers into range and to the result's type; return the share that was clipped, too."""
    import numpy as np

    from cnntool.image import convert
    from cnntool.views import scale

    if values.dtype == dtype and values.dtype.kind == "u":
        return values, 0.0
    unit: NDArray[Any] = values.astype(np.float64 if values.dtype == np.float64 else np.float32)
    np.divide(unit, peak, out=unit)
    unit = scale.to_unit(unit, policy, scale.extremes(unit))
    exact = dtype.startswith("float")
    if exact and policy != "clip":
        return unit.astype(dtype, copy=False), None
    clipped = convert.count_clipped(unit, dtype) / unit.size
    if exact:
        return unit.clip(0, 1).astype(dtype, copy=False), clipped
    return convert.quantize(unit, dtype, scratch=unit), clipped
