"""From a pipeline's numbers to a written result: range, depth, tiles, file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from cnntool.cli.console import note
from cnntool.errors import UsageError
from cnntool.filters import strips
from cnntool.image import convert
from cnntool.image.files import FORMATS, format_of, open_writer
from cnntool.views import grid, scale

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.filters.pipeline import Pipeline
    from cnntool.image.types import ImageInfo

DEPTHS = {"8": "uint8", "16": "uint16", "float": "float32"}
LOSSLESS_PICTURE, LOSSLESS_FLOAT, TEXT, ARRAY = "png", "tiff", ("csv", "txt"), "npy"


class Style(NamedTuple):
    """What the user asked of the result; None or "auto" where the tool decides."""

    policy: scale.Range | Literal["auto"] = "auto"
    depth: str | None = None
    compression: int | None = None
    quality: int = 95
    overwrite: bool = False
    threads: int = 1


class Rendering(NamedTuple):
    """How one result is written: its pipeline, its format and the range of each branch."""

    pipeline: Pipeline
    info: ImageInfo
    policies: tuple[scale.Range, ...]
    style: Style

    @property
    def sheet(self) -> bool:
        """Whether the result is a stack of maps rather than one picture."""
        return self.pipeline.options.bank or self.pipeline.options.mix is not None

    @property
    def exact(self) -> bool:
        """Whether the numbers are kept, as opposed to becoming whole-number brightness."""
        return self.info.dtype.startswith("float")


def choose_format(info: ImageInfo, wanted: str | None, output: str | None) -> str:
    """Name the result's format: what was asked for, else the input's if nothing is lost, else PNG.

    Parameters
    ----------
    info : ImageInfo
        The input.
    wanted : str or None
        A format's name or suffix, as the user gave it.
    output : str or None
        The file that the user named, if that has a suffix.

    Raises
    ------
    UsageError
        An unknown format.
    OutputError
        An unknown suffix.
    """
    if wanted is not None:
        for name, row in FORMATS.items():
            if wanted.lower() in (name, *(suffix[1:] for suffix in row.suffixes)):
                return name
        raise UsageError(f"no format is called {wanted!r}", hint="known: " + ", ".join(FORMATS))
    if output:
        return format_of(output).name
    row = FORMATS[info.format]
    holds_colours = row.channels is None or info.channels in row.channels
    holds_alpha = row.alpha or not info.alpha
    if row.lossless and info.dtype in row.dtypes and holds_colours and holds_alpha:
        return info.format
    return LOSSLESS_FLOAT if info.dtype.startswith("float") else LOSSLESS_PICTURE


def plan_rendering(
    pipeline: Pipeline, source: ImageInfo, format_name: str, style: Style
) -> Rendering:
    """Decide the result's shape, depth and range, before any pixel is read.

    Raises
    ------
    UsageError
        A range that the depth cannot hold.
    """
    dtype = _depth(source, format_name, style)
    exact = dtype.startswith("float")
    if style.policy == "raw" and not exact:
        raise UsageError(
            "--range raw needs a format that keeps numbers",
            hint="write .npy, .csv or a TIFF with --depth float",
        )
    policies = tuple(
        style.policy if style.policy != "auto" else "raw" if exact else scale.AUTOMATIC[sign]
        for sign in _signs(pipeline)
    )
    height, width, channels = pipeline.out_shape
    alpha = source.alpha and len(pipeline.branches) == 1 and pipeline.options.mix is None
    info = replace(
        source,
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        alpha=alpha,
        format=format_name,
        icc=source.icc if channels == source.channels else None,
        frames=1,
        notes=(),
        layout="hw" if channels == 1 and not alpha else source.layout if source.matrix else "hwc",
    )
    rendering = Rendering(pipeline, info, policies, style)
    if not rendering.sheet:
        return rendering
    if format_name == ARRAY:
        return rendering._replace(info=replace(info, layout="chw"))
    tiles = _tile_channels(pipeline)
    rows, columns = grid.grid_shape(len(tiles))
    sheet = replace(
        info,
        height=rows * (height + grid.GAP) - grid.GAP,
        width=columns * (width + grid.GAP) - grid.GAP,
        channels=max(tiles),
    )
    return rendering._replace(info=sheet)


def _depth(source: ImageInfo, format_name: str, style: Style) -> str:
    held = FORMATS[format_name].dtypes
    if style.depth is not None:
        dtype = DEPTHS[style.depth]
        if dtype not in held:
            raise UsageError(f"{format_name} cannot hold --depth {style.depth}")
        return dtype
    if format_name in (*TEXT, ARRAY):
        return "float64" if source.dtype == "float64" else "float32"
    if source.dtype in held:
        return source.dtype
    best = next(d for d in ("float32", "uint16", "uint8") if d in held)
    if source.matrix and "uint8" in held:
        return "uint8"
    if source.dtype == "uint8":
        return best
    note(f"{format_name} holds {best} at most, the input has {source.dtype}")
    return best


def _signs(pipeline: Pipeline) -> tuple[str, ...]:
    """Return what the numbers of each tile mean; a mix whose weights sum to 0 is signed."""
    mix = pipeline.options.mix
    if mix is None:
        return pipeline.signs
    zero = np.abs(mix.sum(axis=1)) <= 1e-9 * np.abs(mix).sum(axis=1)
    return tuple(
        "signed" if nought and sign == "smooth" else sign
        for sign in pipeline.signs
        for nought in zero
    )


def _tile_channels(pipeline: Pipeline) -> list[int]:
    """Return how many channels each tile of a sheet has."""
    if pipeline.options.mix is not None:
        return [1] * pipeline.out_shape[2]
    return [branch[-1].channels for branch in pipeline.branches]


def render(
    rendering: Rendering,
    source: Iterable[NDArray[Any]],
    target: Path | BinaryIO,
    *,
    name: str,
    count: bool,
) -> float | None:
    """Compute a result and write it.

    Parameters
    ----------
    rendering : Rendering
        The plan.
    source : iterable of ndarray (n, W, C)
        Strips of the input.
    target : Path or binary stream
        Where to.
    name : str
        What errors call the target.
    count : bool
        Whether to count the clipped values.

    Returns
    -------
    float or None
        The share of values that were clipped, if counted and if the result can clip.
    """
    style, pipeline = rendering.style, rendering.pipeline
    outside: list[int] = []
    with open_writer(
        target,
        rendering.info,
        name=name,
        compression=style.compression,
        quality=style.quality,
        overwrite=style.overwrite,
    ) as writer:
        if rendering.sheet or "minmax" in rendering.policies:
            maps = list(strips.run(pipeline, source, _keep, threads=style.threads))
            pixels = _compose(rendering, np.concatenate([m for m, _ in maps]), outside, count=count)
            if rendering.info.alpha:
                alpha = np.concatenate([a for _, a in maps if a is not None])
                pixels = _with_alpha(rendering, pixels, alpha)
            step = max(1, pipeline.strip_rows)
            for row in range(0, len(pixels), step):
                writer.append(writer.encode(pixels[row : row + step]))
        else:

            def finish(maps: NDArray[Any], alpha: NDArray[Any] | None) -> Any:
                pixels = _to_pixels(rendering, maps, rendering.policies[0], outside, count=count)
                return writer.encode(_with_alpha(rendering, pixels, alpha))

            for encoded in strips.run(pipeline, source, finish, threads=style.threads):
                writer.append(encoded)
    if not count or rendering.exact:
        return None
    height, width, channels = pipeline.out_shape
    return sum(outside) / (height * width * channels)


def _keep(
    maps: NDArray[Any], alpha: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    return maps, alpha


def _compose(
    rendering: Rendering, maps: NDArray[Any], outside: list[int], *, count: bool
) -> NDArray[Any]:
    """Bring whole maps into range, each tile by itself, and lay the tiles of a sheet out."""
    channels = _tile_channels(rendering.pipeline) if rendering.sheet else [maps.shape[2]]
    ends = np.cumsum(channels)
    tiles = [
        _to_pixels(rendering, maps[:, :, end - n : end], policy, outside, count=count)
        for n, end, policy in zip(channels, ends, rendering.policies, strict=True)
    ]
    if not rendering.sheet:
        return tiles[0]
    if rendering.info.format == ARRAY:
        return np.concatenate(tiles, axis=2)
    widest = max(channels)
    tiles = [tile if tile.shape[2] == widest else tile.repeat(widest, axis=2) for tile in tiles]
    return grid.tile(tiles, fill=rendering.info.peak)


def _to_pixels(
    rendering: Rendering,
    maps: NDArray[Any],
    policy: scale.Range,
    outside: list[int],
    *,
    count: bool,
) -> NDArray[Any]:
    limits = scale.extremes(maps) if policy == "minmax" else (0.0, 1.0)
    maps = scale.to_unit(maps, policy, limits)
    if rendering.exact:
        if policy == "clip":
            maps.clip(0, 1, out=maps)
        return maps.astype(rendering.info.dtype, copy=False)
    if count:
        outside.append(scale.count_outside(maps))
    if rendering.pipeline.options.linear and policy == "clip":
        maps = convert.from_linear(maps)
    return convert.quantize(maps, rendering.info.dtype)


def _with_alpha(
    rendering: Rendering, pixels: NDArray[Any], alpha: NDArray[Any] | None
) -> NDArray[Any]:
    """Put alpha, brought to the result's depth, behind the colours."""
    if alpha is None or not rendering.info.alpha:
        return pixels
    plane = alpha
    if alpha.dtype != pixels.dtype:
        unit = alpha.astype(np.float32) / np.float32(rendering.pipeline.source.peak)
        plane = unit if rendering.exact else convert.quantize(unit, rendering.info.dtype)
    return np.concatenate([pixels, plane[:, :, None].astype(pixels.dtype)], axis=2)
