"""Operators that onnx's reference has wrong, by their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx.reference.op_run import OpRun

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ConvTranspose(OpRun):
    """The reference's own mixes up the channels of groups, and pads for ``output_shape``."""

    def _run(self, x, w, bias=None, **how: Any) -> tuple[NDArray[Any]]:
        axes, kernel, group = x.ndim - 2, w.shape[2:], how["group"] or 1
        strides, dilations = (how[key] or [1] * axes for key in ("strides", "dilations"))
        extra = how["output_padding"] or [0] * axes
        full = [
            (n - 1) * s + (k - 1) * d + 1 + e
            for n, s, k, d, e in zip(x.shape[2:], strides, kernel, dilations, extra, strict=True)
        ]
        automatic = how["auto_pad"] or "NOTSET"
        shape = how["output_shape"]
        if shape is None and automatic.startswith("SAME"):
            shape = [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        pads = [] if automatic == "VALID" else how["pads"]
        before, after = (pads or [0] * 2 * axes)[:axes], (pads or [0] * 2 * axes)[axes:]
        if shape is not None:
            total = [max(f - n, 0) for f, n in zip(full, shape, strict=True)]
            before = [(n + (automatic != "SAME_UPPER")) // 2 for n in total]
            after = [n - b for n, b in zip(total, before, strict=True)]
        made = np.zeros((len(x), w.shape[1] * group, *full), x.dtype)
        parts = np.split(x, group, 1), np.split(w, group), np.split(made, group, 1)
        for given, weights, part in zip(*parts, strict=True):
            for place in np.ndindex(*kernel):
                at = tuple(
                    slice(p * d, p * d + (n - 1) * s + 1, s)
                    for p, d, n, s in zip(place, dilations, x.shape[2:], strides, strict=True)
                )
                part[:, :, *at] += np.einsum("ni...,io->no...", given, weights[:, :, *place])
        inside = (slice(b, f - a) for b, f, a in zip(before, full, after, strict=True))
        made = made[:, :, *inside]
        return (made if bias is None else made + bias.reshape(-1, *[1] * axes),)


def windows(x: NDArray[Any], how: dict[str, Any], fill: float = np.nan) -> NDArray[Any]:
    """Lay out all windows of a pooling, flat on the last axis; NaN is outside.

    The reference shifts windows where ``ceil_mode`` adds two places or more.
    """
    axes, kernel = x.ndim - 2, how["kernel_shape"]
    strides, dilations = (how.get(key) or [1] * axes for key in ("strides", "dilations"))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    automatic = how["auto_pad"] or "NOTSET"
    pads = how["pads"] if automatic == "NOTSET" else None
    before, after = (pads or [0] * 2 * axes)[:axes], (pads or [0] * 2 * axes)[axes:]
    sides = x.shape[2:]
    if automatic.startswith("SAME"):
        total = [
            max(-(n // -s) * s - s + r - n, 0)
            for n, s, r in zip(sides, strides, reach, strict=True)
        ]
        before = [(n + (automatic == "SAME_LOWER")) // 2 for n in total]
        after = [n - b for n, b in zip(total, before, strict=True)]
    edges = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    x = np.pad(x, edges, constant_values=fill)
    if how.get("ceil_mode"):
        more = [
            (n - r) % -s * -1 if n - r - (n - r) % -s < b + side else 0
            for n, r, s, b, side in zip(x.shape[2:], reach, strides, before, sides, strict=True)
        ]
        x = np.pad(x, [(0, 0), (0, 0), *((0, m) for m in more)], constant_values=np.nan)
    x = sliding_window_view(x, reach, tuple(range(2, x.ndim)))
    x = x[
        :, :, *(slice(None, None, s) for s in strides), *(slice(None, None, d) for d in dilations)
    ]
    return x.reshape(*x.shape[: 2 + axes], -1)


class AveragePool(OpRun):
    def _run(self, x, **how: Any) -> tuple[NDArray[Any]]:
        fill = 0.0 if how["count_include_pad"] else np.nan
        return (np.nanmean(windows(x, how, fill), axis=-1),)


class LpPool(OpRun):
    def _run(self, x, **how: Any) -> tuple[NDArray[Any]]:
        p = how["p"]
        return (np.nansum(np.abs(windows(x, how)) ** p, axis=-1) ** (1 / p),)


class MaxPool(OpRun):
    """It says places too; the reference refuses some windows that have them."""

    def _run(self, x, **how: Any) -> tuple[NDArray[Any], ...]:
        seen = windows(x, how)
        first = np.nanargmax(seen, axis=-1)[..., None]
        places = windows(np.arange(x.size, dtype=float).reshape(x.shape), how)
        found = [np.take_along_axis(a, first, -1)[..., 0] for a in (seen, places)]
        return (found[0], found[1].astype(np.int64))[: len(self.onnx_node.output)]


class MaxUnpool(OpRun):
    """The reference counts places in a map without what ``output_shape`` adds."""

    def _run(self, x, places, shape, **how: Any) -> tuple[NDArray[Any]]:
        made = np.zeros(shape, x.dtype)
        made.flat[places.ravel()] = x.ravel()
        return (made,)


class LRN(OpRun):
    """The reference takes the number of pictures for that of channels."""

    def _run(self, x, *, alpha, beta, bias, size) -> tuple[NDArray[Any]]:
        first = (size - 1) // 2
        edges = [(0, 0), (first, size - 1 - first), *[(0, 0)] * (x.ndim - 2)]
        total = sliding_window_view(np.pad(x**2, edges), size, axis=1).sum(axis=-1)
        return (x / (bias + alpha / size * total) ** beta,)


class BatchNormalization(OpRun):
    """The reference takes old versions to be in training, and one number a channel."""

    def _run(self, x, scale, bias, mean, variance, *, epsilon, **how: Any) -> tuple[NDArray[Any]]:
        if scale.ndim == 1:
            each = (-1, *[1] * (x.ndim - 2))
            scale, bias, mean, variance = (a.reshape(each) for a in (scale, bias, mean, variance))
        return (scale * (x - mean) / np.sqrt(variance + epsilon) + bias,)


class LpNormalization(OpRun):
    """The reference forgets that a length is of absolute numbers."""

    def _run(self, x, *, axis, p) -> tuple[NDArray[Any]]:
        length = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        return (x / np.where(length == 0, 1, length),)


class MeanVarianceNormalization(OpRun):
    """The reference wants float32."""

    def _run(self, x, *, axes) -> tuple[NDArray[Any]]:
        apart = x - x.mean(axis=tuple(axes), keepdims=True)
        return (apart / x.std(axis=tuple(axes), keepdims=True),)


class GlobalMaxPool(OpRun):
    """The reference takes maps to have rows and columns."""

    def _run(self, x) -> tuple[NDArray[Any]]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(OpRun):
    """The reference has none."""

    def _run(self, x, *, p) -> tuple[NDArray[Any]]:
        total = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return (total ** (1 / p),)


REPAIRED = (
    AveragePool,
    BatchNormalization,
    ConvTranspose,
    GlobalLpPool,
    GlobalMaxPool,
    LRN,
    LpNormalization,
    LpPool,
    MaxPool,
    MaxUnpool,
    MeanVarianceNormalization,
)
