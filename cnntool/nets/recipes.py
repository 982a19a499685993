"""Normalisation presets: how colours become numbers; and what a user overrides of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's photos on the scale 0..1, as torchvision states them."""

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of their blue, green and red on the scale 0..255, as the VGG authors state them."""

RECIPES: Mapping[str, dict[str, Any]] = {
    "imagenet": {"channel_order": "RGB", "white": 1.0, "mean": MEAN, "deviation": DEVIATION},
    "torch": {"channel_order": "RGB", "white": 1.0, "mean": MEAN, "deviation": DEVIATION},
    "caffe": {"channel_order": "BGR", "white": 255.0, "mean": CAFFE_MEAN, "deviation": (1.0,) * 3},
    "tf": {"channel_order": "RGB", "white": 1.0, "mean": (0.5,) * 3, "deviation": (0.5,) * 3},
    "unit": {"channel_order": "RGB", "white": 1.0, "mean": (0.0,) * 3, "deviation": (1.0,) * 3},
    "raw": {"channel_order": "RGB", "white": 255.0, "mean": (0.0,) * 3, "deviation": (1.0,) * 3},
}
"""What --preprocess may say: how colours become numbers. ``torch`` and ``imagenet`` are one."""


class Overrides(NamedTuple):
    """What the user said; None where he said nothing. See `InputSpec` for the meaning."""

    preprocess: str | None = None
    channel_order: str | None = None
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None
    resize: int | None = None
    crop: tuple[int, int] | None = None
    labels: Path | None = None
    output: str | None = None
    white: float | None = None


def fields(recipe: str, *, grey: bool) -> dict[str, Any]:
    """Return what a recipe says of an `InputSpec`; of one channel the mean of the three."""
    found = dict(RECIPES[recipe])
    if grey:
        means = [sum(found[key]) / 3 for key in ("mean", "deviation")]
        found.update(channel_order="L", mean=(means[0],), deviation=(means[1],))
    return found
