"""What a result will be, decided before any pixel is read: format, depth, range, shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from cnntool.cli.console import note
from cnntool.errors import UsageError
from cnntool.image.files import FORMATS, format_of
from cnntool.image.types import ITEM_SIZES
from cnntool.views import grid, scale

if TYPE_CHECKING:
    from cnntool.filters.pipeline import Pipeline
    from cnntool.image.types import ImageInfo

DEPTHS = {"8": "uint8", "16": "uint16", "float": "float32"}
LOSSLESS, TEXT, ARRAY = "png", ("csv", "txt"), "npy"


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
    def clips(self) -> bool:
        """Whether values outside of 0..1 are cut off."""
        return not self.exact or "clip" in self.policies

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


def plan_rendering(
    pipeline: Pipeline, source: ImageInfo, format_name: str, style: Style
) -> Rendering:
    """Decide the result's shape, depth and range, before any pixel is read.

    Raises
    ------
    UsageError
        A range that the depth cannot hold.
    """
    dtype = result_dtype(source, format_name, style.depth)
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
    alpha = source.alpha and not pipeline.options.bank and pipeline.options.mix is None
    info = source._replace(
        height=height,
        width=width,
        channels=channels,
        dtype=dtype,
        alpha=alpha,
        format=format_name,
        icc=source.icc if channels == source.channels else None,
        layout="hw" if channels == 1 and not alpha else source.layout if source.matrix else "hwc",
    )
    rendering = Rendering(pipeline, info, policies, style)
    if not rendering.sheet:
        return rendering
    if format_name in TEXT:
        raise UsageError("a stack of maps is no table", hint="--output FILE.npy holds it")
    if format_name == ARRAY:
        return rendering._replace(info=info._replace(layout="chw"))
    tiles = tile_channels(pipeline)
    rows, columns = grid.grid_shape(len(tiles))
    sheet = info._replace(
        height=rows * (height + grid.GAP) - grid.GAP,
        width=columns * (width + grid.GAP) - grid.GAP,
        channels=max(tiles),
    )
    return rendering._replace(info=sheet)


def result_dtype(source: ImageInfo, format_name: str, depth: str | None) -> str:
    """Return the result's sample type: what was asked for, else what keeps the input's numbers.

    Parameters
    ----------
    source : ImageInfo
        The input.
    format_name : str
        A key of ``FORMATS``.
    depth : str or None
        A key of `DEPTHS`.

    Raises
    ------
    UsageError
        A depth that the format cannot hold.
    """
    held = FORMATS[format_name].dtypes
    if depth is not None:
        dtype = DEPTHS[depth]
        if dtype not in held:
            raise UsageError(f"{format_name} cannot hold --depth {depth}")
        return dtype
    if format_name in (*TEXT, ARRAY):
        return "float64" if source.dtype == "float64" else "float32"
    if source.dtype in held:
        return source.dtype
    if source.matrix and "uint8" in held:
        return "uint8"
    best = max(held, key=ITEM_SIZES.__getitem__)
    if best == "float32" and source.dtype != "float64":  # it holds all of them
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


def tile_channels(pipeline: Pipeline) -> list[int]:
    """Return how many channels each tile of a sheet has."""
    if pipeline.options.mix is not None:
        return [1] * pipeline.out_shape[2]
    return [branch[-1].channels for branch in pipeline.branches]
