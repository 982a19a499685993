"""Gradients of resizing: every axis apart, by the matrix that resizes it, turned.

Source: Keys, Cubic convolution interpolation for digital image processing, 1981.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnntool.nets.gradients.backward import rule
from cnntool.nets.gradients.rules.products import along_axis
from cnntool.nets.layers.dataflow import operand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import Node
    from cnntool.nets.gradients.backward import Backward

_MODES_SINCE = 11
"""Before this version of the operators, places are multiples of the step, cut to whole ones."""


@rule("Resize", "Upsample")
def resize(b: Backward, node: Node, gradients: tuple[str | None, ...]) -> list[str | None]:
    """Give back to each place what was taken from it."""
    (gradient,) = gradients
    if gradient is None:
        return []
    given, made = b.shape(node.inputs[0]), list(b.shape(node.outputs[0]))
    modern = b.opset >= _MODES_SINCE
    for axis, scale in enumerate(_scales(b, node, given, made)):
        places = _places(b, node, given[axis], made[axis], scale, modern=modern)
        matrix = _matrix(b, node, places, given[axis], shrunk=not modern and scale < 1)
        if not np.array_equal(matrix, np.eye(made[axis])):
            gradient = along_axis(b, gradient, made, axis, matrix.T)
        made[axis] = given[axis]
    return [gradient]


def _scales(b: Backward, node: Node, given: Sequence[int], made: Sequence[int]) -> NDArray[Any]:
    """Return by how much each axis is stretched."""
    stated: Any = node.attribute("scales") or ()
    for position in (1, 2):
        tensor = operand(node, position)
        if tensor and not stated and (position == 2 or len(node.inputs) == 2):
            stated = b.numbers(tensor).ravel()
    axes = node.attribute("axes") or range(len(given))
    scales = np.ones(len(given), np.float32)
    if len(stated):
        scales[list(axes)] = stated
        return scales
    ratios = [made[axis] / given[axis] for axis in axes]
    sizes = b.numbers(node.inputs[3]).ravel()
    policy = node.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        chosen = min if policy == "not_larger" else max
        ratios = [chosen(size / given[axis] for size, axis in zip(sizes, axes, strict=True))] * len(
            sizes
        )
    scales[list(axes)] = ratios
    return scales


def _places(
    b: Backward, node: Node, given: int, made: int, scale: np.float32, *, modern: bool
) -> NDArray[np.float32]:
    """Return where each new place lies among the old ones, in the precision of onnxruntime."""
    at = np.arange(made, dtype=np.float32)
    half = np.float32(0.5)
    mode = node.attribute(
        "coordinate_transformation_mode", "half_pixel" if modern else "asymmetric"
    )
    if scale == 1:
        places = at
    elif mode == "asymmetric":
        places = at / scale
    elif mode == "align_corners":
        places = at * np.float32((given - 1) / max(made - 1, 1))
    elif mode == "tf_half_pixel_for_nn":
        places = (at + half) / scale
    elif mode == "pytorch_half_pixel" and made == 1:
        places = at
    elif mode in {"half_pixel", "pytorch_half_pixel"}:
        places = (at + half) / scale - half
    else:
        raise b.error(f"no gradient is known of {node.op} with {mode!r} (node {node.label})")
    return places


def _matrix(
    b: Backward, node: Node, places: NDArray[np.float32], given: int, *, shrunk: bool
) -> NDArray[np.float64]:
    """Return how much of each old place goes into each new one."""
    mode = node.attribute("mode", "nearest")
    if node.attribute("antialias", 0):
        raise b.error(f"no gradient is known of {node.op} with 'antialias' (node {node.label})")
    if mode == "nearest":
        rounding = node.attribute("nearest_mode", "round_prefer_floor")
        if b.opset < _MODES_SINCE:
            rounding = "ceil" if shrunk else "floor"
        half = np.float32(0.5)
        first = {
            "round_prefer_floor": np.ceil(places - half),
            "round_prefer_ceil": np.floor(places + half),
            "floor": np.floor(places),
            "ceil": np.ceil(places),
        }[rounding]
        weights = np.ones((len(places), 1))
    elif mode == "linear":
        places = places.clip(0, given - 1)
        first = np.floor(places)
        after = (places - first).astype(np.float64)
        weights = np.stack([1 - after, after], axis=1)
    else:
        first = np.floor(places) - 1
        distance = np.abs((places - first)[:, None].astype(np.float64) - np.arange(4))
        weights = _cubic(distance, node.attribute("cubic_coeff_a", -0.75))
    taken = first.astype(np.int64)[:, None] + np.arange(weights.shape[1])
    if mode == "cubic" and node.attribute("exclude_outside", 0):
        weights = np.where((taken >= 0) & (taken < given), weights, 0)
        weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(places), given))
    np.add.at(matrix, (np.arange(len(places))[:, None], taken.clip(0, given - 1)), weights)
    return matrix


def _cubic(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))
