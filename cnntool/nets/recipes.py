"""How colours become numbers: the usual recipes, and what the user overrides of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnntool.nets.spec import InputSpec

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's photos on the scale 0..1, as torchvision states them."""

CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Of their blue, green and red on the scale 0..255, as the VGG authors state them."""

DEVIATIONS, BYTES = 8, 100
"""How many times white a deviation may be, and the white from which on a scale is that of bytes."""

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


def wished(entry: InputSpec, overrides: Overrides) -> InputSpec:
    """Let the user override what the manifest or the graph says."""
    grey = entry.channels == 1
    if overrides.preprocess:
        entry = entry._replace(**fields(overrides.preprocess, grey=grey))
    if overrides.channel_order and not grey:
        if overrides.channel_order != entry.channel_order:
            # The recipe's numbers belong to the colours, wherever they go.
            entry = entry._replace(mean=entry.mean[::-1], deviation=entry.deviation[::-1])
        entry = entry._replace(channel_order=overrides.channel_order)
    for key in ("mean", "deviation"):
        values = getattr(overrides, key)
        if values is not None:
            if len(values) not in {1, entry.channels}:
                raise UsageError(
                    f"{len(values)} numbers for {entry.channels} channels", source=f"`{key}`"
                )
            _check_scale(values, entry.white, key)
            entry = entry._replace(**{key: values * (entry.channels // len(values))})
    if overrides.resize or overrides.crop:
        entry = _resized(entry, overrides)
    return entry


def _check_scale(values: tuple[float, ...], white: float, key: str) -> None:
    """Refuse a mean or a deviation that belongs to the other of the scales 0..1 and 0..255."""
    most = max(map(abs, values))
    if key == "mean":
        too_large, too_small = most > white, 0 < most <= 1
    else:
        too_large, too_small = most > DEVIATIONS * white, min(values) < 1
    if too_large or (too_small and white > BYTES):
        what = "the mean" if key == "mean" else "the deviation"
        raise UsageError(
            f"{', '.join(f'{value:g}' for value in values)} cannot be {what} of colours that go"
            f" from 0 to {white:g}",
            source=f"`{key}`",
            hint="`preprocess=raw` makes them 0..255 (caffe: blue first, too)"
            if too_large
            else "`preprocess=unit` makes them 0..1",
        )


def _resized(entry: InputSpec, overrides: Overrides) -> InputSpec:
    size = overrides.crop or entry.crop or entry.size
    if overrides.crop is None and overrides.resize and entry.dynamic:
        size = (overrides.resize, overrides.resize)
    resize = overrides.resize or (max(size) if size else None)
    if entry.size and not entry.dynamic and size != entry.size:
        raise UsageError(
            f"the network takes {entry.size[0]} x {entry.size[1]} pixels", source="`crop`"
        )
    if size and resize and resize < max(size):
        raise UsageError(
            f"{resize} pixels are too few to cut {size[0]} x {size[1]} from", source="`resize`"
        )
    return entry._replace(fit="shorter", resize=resize, crop=size, size=size)
