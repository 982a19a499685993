"""From numbers to a result: format, depth, range, alpha and profile, for files and arrays alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, TypeVar

import numpy as np

from cnntool.errors import UsageError
from cnntool.filters import strips
from cnntool.filters.pipeline import joined
from cnntool.image import convert
from cnntool.image.files import FORMATS, format_of, open_writer
from cnntool.image.types import ITEM_SIZES
from cnntool.views import grid, scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.filters.kernel import Sign
    from cnntool.filters.pipeline import Pipeline, Step, Window
    from cnntool.image.types import ImageInfo

T = TypeVar("T")

DEPTHS = {"8": "uint8", "16": "uint16", "float": "float32"}
LOSSLESS, TEXT, ARRAY = "png", ("csv", "txt"), "npy"


class Style(NamedTuple):
    """What was asked of a result's numbers; "auto" or None where the tool decides."""

    range: scale.Range | Literal["auto"] = "auto"
    depth: str | None = None


class Rendering(NamedTuple):
    """How the numbers of one result become samples.

    Attributes
    ----------
    info : ImageInfo
        What will be written.
    ranges : tuple of Range
        Of the result, or of each tile of a stack of maps.
    linear : bool
        Whether the numbers are linear light.
    notes : tuple of str
        What is worth knowing.
    """

    info: ImageInfo
    ranges: tuple[scale.Range, ...]
    linear: bool = False
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the numbers are kept, as opposed to becoming whole-number brightness."""
        return self.info.dtype.startswith("float")

    @property
    def clips(self) -> bool:
        """Whether values outside of 0..1 are cut off."""
        return not self.exact or "clip" in self.ranges

    def convert(
        self,
        numbers: NDArray[Any],
        out: NDArray[Any],
        outside: list[int] | None,
        *,
        range: scale.Range | None = None,
        limits: tuple[float, float] = (0.0, 1.0),
        white: float = 1.0,
    ) -> None:
        """Bring numbers into range, in place, and write them at the result's depth.

        Parameters
        ----------
        numbers : ndarray (h, w, C) of float
            They may have more columns than ``out``, which count for nothing.
        out : ndarray (h, W, C) of ``info.dtype``
        outside : list of int, optional
            Gets the count of the values that are clipped.
        range : Range, optional
            By default that of the only tile.
        limits : (float, float)
            The smallest and the largest number, for "minmax".
        white : float
            The value of white; other than 1 only where nothing but clipping is to be done.
        """
        range = range or self.ranges[0]
        numbers = scale.to_unit(numbers, range, limits)
        inside = numbers[:, : out.shape[1]]
        if outside is not None:
            outside.append(convert.count_clipped(inside, self.info.dtype, white=white))
        if self.exact:
            np.copyto(out, inside.clip(0, 1) if range == "clip" else inside, casting="same_kind")
            return
        if self.linear and range != "center":
            numbers = convert.from_linear(inside)
        convert.quantize(numbers, self.info.dtype, out, white=white, scratch=numbers)


def choose_format(info: ImageInfo, wanted: str | None, output: str | None) -> str:
    """Name the result's format: what was asked for, else the input's if nothing is lost, else PNG.

    Parameters
    ----------
    info : ImageInfo
        The input.
    wanted : str or None
        A key of ``FORMATS`` that was asked for.
    output : str or None
        The file that the user named, if that has a suffix.

    Raises
    ------
    OutputError
        An unknown suffix.
    """
    if wanted is not None:
        return wanted
    if output:
        return format_of(output).name
    row = FORMATS[info.format]
    holds_colours = row.channels is None or info.channels in row.channels
    holds_alpha = row.alpha or not info.alpha
    if row.lossless and info.dtype in row.dtypes and holds_colours and holds_alpha:
        return info.format
    return LOSSLESS


def as_array(info: ImageInfo, style: Style) -> str:
    """Name the format whose numbers an array gets: the input's, unless others are asked for."""
    asked = style.depth is not None or style.range == "raw"
    return ARRAY if asked else choose_format(info, None, None)


def plan(
    source: ImageInfo,
    shape: tuple[int, int, int],
    signs: Sequence[str],
    format_name: str,
    style: Style,
    *,
    alpha: bool,
    layout: str,
    linear: bool = False,
) -> Rendering:
    """Decide depth and range of a result.

    Parameters
    ----------
    source : ImageInfo
        What it is made of.
    shape : (height, width, channels)
        Of the result, alpha not counted.
    signs : sequence of {'smooth', 'magnitude', 'signed'}
        What the numbers mean, see ``AUTOMATIC`` in `cnntool.views.scale`; of each tile.
    format_name : str
        A key of ``FORMATS``.
    style : Style
    alpha : bool
        Whether the result has alpha.
    layout : str
        Its axes, see `ImageInfo`.
    linear : bool
        Whether the numbers are linear light.

    Raises
    ------
    UsageError
        A depth that the format cannot hold, or a range that the depth cannot.
    """
    dtype, notes = _dtype(source, format_name, style.depth)
    exact = dtype.startswith("float")
    if style.range == "raw" and not exact:
        raise UsageError(
            "`range=raw` needs a format that keeps numbers",
            hint="write .npy, .csv or a TIFF with `depth=float`",
        )
    height, width, channels = shape
    info = source._replace(
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        alpha=alpha,
        format=format_name,
        icc=source.icc if channels == source.channels else None,
        layout=layout,
    )
    return Rendering(
        info,
        tuple(
            style.range if style.range != "auto" else "raw" if exact else scale.AUTOMATIC[sign]
            for sign in signs
        ),
        linear,
        notes,
    )


def _dtype(source: ImageInfo, format_name: str, depth: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the result's sample type, and what is lost by it.

    It is what was asked for, else what keeps the input's numbers.
    """
    held = FORMATS[format_name].dtypes
    if depth is not None:
        if DEPTHS[depth] not in held:
            raise UsageError(f"{format_name} cannot hold `depth={depth}`")
        return DEPTHS[depth], ()
    if format_name in (*TEXT, ARRAY):
        return "float64" if source.dtype == "float64" else "float32", ()
    if source.dtype in held:
        return source.dtype, ()
    if source.matrix and "uint8" in held:
        return "uint8", ()
    best = max(held, key=ITEM_SIZES.__getitem__)
    if best == "float32" and source.dtype != "float64":  # it holds all of them
        return best, ()
    return best, (f"{format_name} holds {best} at most, the input has {source.dtype}",)


class Result(NamedTuple):
    """What was made of a whole picture or a stack of maps.

    Parameters
    ----------
    values : ndarray (H, W, samples)
        On the scale of the input's values.
    sign : {'smooth', 'signed'}
        What they mean, see ``AUTOMATIC`` in `cnntool.views.scale`.
    alpha : bool
        Whether alpha is among the samples.
    switches : ndarray (H, W, samples) of int64, optional
        Where each value stood, if it was asked for.
    """

    values: NDArray[Any]
    sign: str = "smooth"
    alpha: bool = False
    switches: NDArray[Any] | None = None


def finish(
    source: ImageInfo, result: Result, format_name: str, style: Style, *, name: str = ""
) -> tuple[Rendering, NDArray[Any], float | None]:
    """Bring a result into range and to its depth.

    Parameters
    ----------
    source : ImageInfo
        What it was made of.
    result : Result
    format_name : str
        A key of ``FORMATS``.
    style : Style
    name : str
        What notes call the input.

    Returns
    -------
    rendering : Rendering
    samples : ndarray of ``rendering.info.shape``
    clipped : float or None
        The share of values that were clipped; None where nothing can clip.

    Raises
    ------
    UsageError
        A depth that the format cannot hold, or a range that the depth cannot.
    """
    values = result.values
    notes: tuple[str, ...] = ()
    if format_name in TEXT and source.matrix and values.shape[2] > 1:
        notes = (f"{name}: the maps stand one under another, {len(values)} rows each",)
        values = np.moveaxis(values, 2, 0).reshape(-1, values.shape[1], 1)
    height, width, samples = values.shape
    rendering = plan(
        source,
        (height, width, samples - result.alpha),
        [result.sign],
        format_name,
        style,
        alpha=result.alpha,
        layout=source.layout if source.matrix else "hw" if samples == 1 else "hwc",
    )
    rendering = rendering._replace(notes=rendering.notes + notes)
    if values.dtype == rendering.info.dtype and values.dtype.kind == "u":
        return rendering, values, 0.0
    unit: NDArray[Any] = values.astype(np.float64 if values.dtype == np.float64 else np.float32)
    np.divide(unit, source.peak, out=unit)
    outside: list[int] | None = [] if rendering.clips else None
    samples_out = np.empty(values.shape, rendering.info.dtype)
    rendering.convert(unit, samples_out, outside, limits=scale.extremes(unit))
    return rendering, samples_out, None if outside is None else sum(outside) / values.size


def plan_filtering(
    pipeline: Pipeline, source: ImageInfo, format_name: str, style: Style
) -> Rendering:
    """Decide what a pipeline's result will be, before any pixel is read.

    Raises
    ------
    UsageError
        What `plan` refuses, and a stack of maps for a table.
    """
    height, width, channels = pipeline.out_shape
    alpha = source.alpha and not pipeline.stacked
    flat = channels == 1 and not alpha
    rendering = plan(
        source,
        pipeline.out_shape,
        _signs(pipeline),
        format_name,
        style,
        alpha=alpha,
        layout="hw" if flat else source.layout if source.matrix else "hwc",
        linear=pipeline.options.linear,
    )
    if not pipeline.stacked:
        return rendering
    if format_name in TEXT:
        raise UsageError("a stack of maps is no table", hint="`output=FILE.npy` holds it")
    if format_name == ARRAY:
        return rendering._replace(info=rendering.info._replace(layout="chw"))
    tiles = tile_channels(pipeline)
    rows, columns = grid.grid_shape(len(tiles))
    sheet = rendering.info._replace(
        height=rows * (height + grid.GAP) - grid.GAP,
        width=columns * (width + grid.GAP) - grid.GAP,
        channels=max(tiles),
    )
    return rendering._replace(info=sheet)


def _signs(pipeline: Pipeline) -> list[Sign]:
    """Return what the numbers of each tile mean; a mix whose weights sum to 0 is signed."""
    mix = pipeline.options.mix
    signs: list[Sign] = []
    for branch, sign in zip(pipeline.branches, pipeline.signs, strict=True):
        if mix is None or joined(branch):
            signs += [sign] * len(_tiles(pipeline, branch))
        else:
            zero = np.abs(mix.sum(axis=1)) <= 1e-9 * np.abs(mix).sum(axis=1)
            signs += ["signed" if nought and sign == "smooth" else sign for nought in zero]
    return signs


def tile_channels(pipeline: Pipeline) -> list[int]:
    """Return how many channels each tile of a stack of maps has."""
    return [count for branch in pipeline.branches for count in _tiles(pipeline, branch)]


def _tiles(pipeline: Pipeline, branch: Sequence[Step]) -> list[int]:
    """Return the same for one branch: maps are tiles of their own, colours are one."""
    channels = branch[-1].channels
    apart = pipeline.options.mix is not None or joined(branch)
    return [1] * channels if apart else [channels]


def render(
    pipeline: Pipeline,
    rendering: Rendering,
    source: strips.Rows,
    encode: Callable[[NDArray[Any]], T],
    *,
    threads: int,
    outside: list[int] | None = None,
) -> Iterator[T]:
    """Compute a pipeline's result in strips of rows.

    Parameters
    ----------
    pipeline : Pipeline
        What is computed.
    rendering : Rendering
        See `plan_filtering`.
    source : callable or iterable of ndarray (n, W, C)
        Rows of the input, see `cnntool.filters.strips.run`.
    encode : callable
        Given a strip (h, W, samples) of the result, on the thread that computed it; what it
        returns is yielded, in order.
    threads : int
        How many strips are computed at once.
    outside : list of int, optional
        Gets counts of the values that are clipped.
    """
    info = rendering.info
    if pipeline.stacked or "minmax" in rendering.ranges:
        pixels = _whole(pipeline, rendering, source, outside, threads)
        for row in range(0, info.height, info.strip_rows):
            yield encode(pixels[row : row + info.strip_rows])
        return
    # The filters can compute on the result's own scale, 0 to 255, which saves a pass.
    early = rendering.ranges == ("clip",) and not (rendering.linear or rendering.exact)
    gain = info.peak if early and pipeline.streams else 1.0

    def work(window: Window) -> T:
        pixels = np.empty((window.stop - window.start, info.width, info.samples), info.dtype)
        pipeline.rows(
            window,
            pixels[:, :, : info.channels],
            lambda maps, out: rendering.convert(maps, out, outside, white=gain),
            gain=gain,
        )
        _set_alpha(pipeline, rendering, pixels, pipeline.alpha(window))
        return encode(pixels)

    yield from strips.run(pipeline, source, work, threads=threads)


def write(
    pipeline: Pipeline,
    rendering: Rendering,
    source: strips.Rows,
    target: Path | BinaryIO,
    *,
    name: str,
    threads: int,
    count: bool,
    compression: int | None = None,
    quality: int = 95,
    overwrite: bool = False,
) -> float | None:
    """Compute a pipeline's result and write it.

    Parameters
    ----------
    pipeline, rendering, source, threads
        See `render`.
    target, name, compression, quality, overwrite
        See `cnntool.image.files.open_writer`.
    count : bool
        Whether to count the clipped values.

    Returns
    -------
    float or None
        The share of values that were clipped, if counted and if the result can clip.
    """
    outside: list[int] | None = [] if count and rendering.clips else None
    with open_writer(
        target,
        rendering.info,
        name=name,
        compression=compression,
        quality=quality,
        overwrite=overwrite,
    ) as writer:
        for encoded in render(
            pipeline, rendering, source, writer.encode, threads=threads, outside=outside
        ):
            writer.append(encoded)
            del encoded  # or it would lie about while the next one is made
    return None if outside is None else sum(outside) / np.prod(pipeline.out_shape).item()


def _whole(
    pipeline: Pipeline,
    rendering: Rendering,
    source: strips.Rows,
    outside: list[int] | None,
    threads: int,
) -> NDArray[Any]:
    """Compute all maps first: for a stack of maps, and for ranges that depend on the data."""
    info = rendering.info
    maps = np.empty(pipeline.out_shape, pipeline.dtype)
    alpha = np.empty(maps.shape[:2], pipeline.source.dtype) if info.alpha else None

    def work(window: Window) -> None:
        pipeline.rows(window, maps[window.start : window.stop], _keep)
        if alpha is not None:
            alpha[window.start : window.stop] = pipeline.alpha(window)

    for _ in strips.run(pipeline, source, work, threads=threads):
        pass
    if pipeline.stacked:
        return _stack(pipeline, rendering, maps, outside)
    pixels = np.empty(info.shape, info.dtype)
    limits = scale.extremes(maps)
    rendering.convert(maps, pixels[:, :, : info.channels], outside, limits=limits)
    _set_alpha(pipeline, rendering, pixels, alpha)
    return pixels


def _keep(maps: NDArray[Any], out: NDArray[Any]) -> None:
    np.copyto(out, maps[:, : out.shape[1]])


def _stack(
    pipeline: Pipeline, rendering: Rendering, maps: NDArray[Any], outside: list[int] | None
) -> NDArray[Any]:
    """Bring each map into its range and lay the tiles out, or stack them as an array."""
    stack = np.empty(maps.shape, rendering.info.dtype)
    tiles, first = [], 0
    for count, range_ in zip(tile_channels(pipeline), rendering.ranges, strict=True):
        part = np.s_[:, :, first : first + count]
        limits = scale.extremes(maps[part])
        rendering.convert(maps[part], stack[part], outside, range=range_, limits=limits)
        tiles.append(stack[part])
        first += count
    return stack if rendering.info.format == ARRAY else grid.tile(tiles, fill=rendering.info.peak)


def _set_alpha(
    pipeline: Pipeline, rendering: Rendering, pixels: NDArray[Any], alpha: NDArray[Any] | None
) -> None:
    """Put alpha, brought to the result's depth, behind the colours."""
    if alpha is None or not rendering.info.alpha:
        return
    if alpha.dtype != pixels.dtype:
        unit = alpha.astype(np.float32) / np.float32(pipeline.source.peak)
        alpha = unit if rendering.exact else convert.quantize(unit, rendering.info.dtype)
    pixels[:, :, -1] = alpha
