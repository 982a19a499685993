"""From a pipeline's numbers to a written result: range, tiles, alpha, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cnntool.cli.outcome import ARRAY, tile_channels
from cnntool.filters import strips
from cnntool.image import convert
from cnntool.image.files import open_writer
from cnntool.views import grid, scale

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.cli.outcome import Rendering
    from cnntool.filters.pipeline import Window
    from cnntool.image.files import Encoded


def render(
    rendering: Rendering,
    source: strips.Rows,
    target: Path | BinaryIO,
    *,
    name: str,
    threads: int,
    count: bool,
) -> float | None:
    """Compute a result and write it.

    Parameters
    ----------
    rendering : Rendering
        The plan.
    source : callable or iterable of ndarray (n, W, C)
        Rows of the input, see `strips.run`.
    target : Path or binary stream
        Where to.
    name : str
        What errors call the target.
    threads : int
        How many strips are computed at once.
    count : bool
        Whether to count the clipped values.

    Returns
    -------
    float or None
        The share of values that were clipped, if counted and if the result can clip.
    """
    style, pipeline, info = rendering.style, rendering.pipeline, rendering.info
    outside: list[int] | None = [] if count and rendering.clips else None
    with open_writer(
        target,
        info,
        name=name,
        compression=style.compression,
        quality=style.quality,
        overwrite=style.overwrite,
    ) as writer:
        if rendering.sheet or "minmax" in rendering.policies:
            pixels = _whole(rendering, source, outside, threads)
            for row in range(0, info.height, info.strip_rows):
                writer.append(writer.encode(pixels[row : row + info.strip_rows]))
        else:
            gain = info.peak if _scales_early(rendering) else 1.0

            def work(window: Window) -> Encoded:
                shape = (window.stop - window.start, info.width, info.samples)
                pixels = np.empty(shape, info.dtype)
                pipeline.rows(
                    window,
                    pixels[:, :, : info.channels],
                    lambda maps, out: _to_pixels(rendering, maps, out, outside, white=gain),
                    gain=gain,
                )
                _set_alpha(rendering, pixels, pipeline.alpha(window))
                return writer.encode(pixels)

            for encoded in strips.run(pipeline, source, work, threads=threads):
                writer.append(encoded)
                del encoded  # or it would lie about while the next one is made
    if outside is None:
        return None
    height, width, channels = pipeline.out_shape
    return sum(outside) / (height * width * channels)


def _scales_early(rendering: Rendering) -> bool:
    """Whether the filters can compute on the result's own scale, 0 to 255, which saves a pass."""
    plain = rendering.policies == ("clip",) and not rendering.pipeline.options.linear
    return plain and rendering.pipeline.streams and not rendering.exact


def _whole(
    rendering: Rendering, source: strips.Rows, outside: list[int] | None, threads: int
) -> NDArray[Any]:
    """Compute all maps first: for a sheet of tiles, and for ranges that depend on the data."""
    pipeline, info = rendering.pipeline, rendering.info
    maps = np.empty(pipeline.out_shape, pipeline.dtype)
    alpha = np.empty(maps.shape[:2], pipeline.source.dtype) if info.alpha else None

    def work(window: Window) -> None:
        pipeline.rows(window, maps[window.start : window.stop], _keep)
        if alpha is not None:
            alpha[window.start : window.stop] = pipeline.alpha(window)

    for _ in strips.run(pipeline, source, work, threads=threads):
        pass
    if rendering.sheet:
        return _sheet(rendering, maps, outside)
    pixels = np.empty(info.shape, info.dtype)
    limits = scale.extremes(maps)
    _to_pixels(rendering, maps, pixels[:, :, : info.channels], outside, limits=limits)
    _set_alpha(rendering, pixels, alpha)
    return pixels


def _keep(maps: NDArray[Any], out: NDArray[Any]) -> None:
    np.copyto(out, maps[:, : out.shape[1]])


def _sheet(rendering: Rendering, maps: NDArray[Any], outside: list[int] | None) -> NDArray[Any]:
    """Bring each map into its range and lay the tiles out, or stack them as an array."""
    stack = np.empty(maps.shape, rendering.info.dtype)
    channels = tile_channels(rendering.pipeline)
    tiles, first = [], 0
    for count, policy in zip(channels, rendering.policies, strict=True):
        part = np.s_[:, :, first : first + count]
        limits = scale.extremes(maps[part])
        _to_pixels(rendering, maps[part], stack[part], outside, policy=policy, limits=limits)
        tiles.append(stack[part])
        first += count
    if rendering.info.format == ARRAY:
        return stack
    return grid.tile(tiles, fill=rendering.info.peak)


def _to_pixels(
    rendering: Rendering,
    maps: NDArray[Any],
    out: NDArray[Any],
    outside: list[int] | None,
    *,
    policy: scale.Range | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    white: float = 1.0,
) -> None:
    """Bring numbers into range, in place, and write them at the result's depth.

    ``maps`` may have more columns than ``out``, which count for nothing. ``white`` is the value of
    white in ``maps``; other than 1 only where nothing but clipping is to be done.
    """
    policy = policy or rendering.policies[0]
    maps = scale.to_unit(maps, policy, limits)
    inside = maps[:, : out.shape[1]]
    if outside is not None:
        outside.append(convert.count_clipped(inside, rendering.info.dtype, white=white))
    if rendering.exact:
        np.copyto(out, inside.clip(0, 1) if policy == "clip" else inside, casting="same_kind")
        return
    if rendering.pipeline.options.linear and policy != "center":
        maps = convert.from_linear(inside)
    convert.quantize(maps, rendering.info.dtype, out, white=white, scratch=maps)


def _set_alpha(rendering: Rendering, pixels: NDArray[Any], alpha: NDArray[Any] | None) -> None:
    """Put alpha, brought to the result's depth, behind the colours."""
    if alpha is None or not rendering.info.alpha:
        return
    if alpha.dtype != pixels.dtype:
        unit = alpha.astype(np.float32) / np.float32(rendering.pipeline.source.peak)
        alpha = unit if rendering.exact else convert.quantize(unit, rendering.info.dtype)
    pixels[:, :, -1] = alpha
