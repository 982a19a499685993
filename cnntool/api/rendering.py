"""From numbers to a result: format, depth, range and profile, for files and arrays alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from cnntool.api import arguments
from cnntool.errors import UsageError
from cnntool.image import convert
from cnntool.image.files import FORMATS, format_of
from cnntool.image.source import ITEM_SIZES
from cnntool.shapes.text import counted
from cnntool.views import scale
from cnntool.views.colormaps import shades

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.image.source import ImageInfo

DEPTHS = {"8": "uint8", "16": "uint16", "float": "float32"}
LOSSLESS, TEXT, ARRAY = "png", ("csv", "txt"), "npy"


class Style(NamedTuple):
    """What was asked of a result's numbers; "auto" or None where the tool decides."""

    range: str = "auto"
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
    symmetric : tuple of bool
        Whether the scale of the result, or of each tile, is symmetric about 0.
    automatic : bool
        Whether the ranges are the tool's own choice.
    """

    info: ImageInfo
    ranges: tuple[scale.Range, ...]
    linear: bool = False
    notes: tuple[str, ...] = ()
    symmetric: tuple[bool, ...] = (False,)
    automatic: bool = False

    @property
    def exact(self) -> bool:
        """Whether the numbers are kept, as opposed to becoming whole-number brightness."""
        return self.info.dtype.startswith("float")

    @property
    def clips(self) -> bool:
        """Whether values outside of 0..1 are cut off."""
        return not self.exact or "clip" in self.ranges

    def samples(self, channels: int, tile: int = 0) -> int:
        """Return how many channels a result, or a tile, gets that has so many: 3 for colours."""
        coloured = self.symmetric[tile] and channels == 1 and not self.exact
        return 3 if coloured else channels

    def convert(
        self,
        numbers: NDArray[Any],
        out: NDArray[Any],
        outside: list[int] | None,
        *,
        tile: int = 0,
        limits: tuple[float, float] = (0.0, 1.0),
        white: float = 1.0,
    ) -> None:
        """Bring numbers into range, in place, and write them at the result's depth.

        Parameters
        ----------
        numbers : ndarray (h, w, C) of float
            They may have more columns than ``out``, which count for nothing.
        out : ndarray (h, W, C or 3) of ``info.dtype``
            Three channels of one number are colours.
        outside : list of int, optional
            Gets the count of the values that are clipped.
        tile : int
            Which one it is.
        limits : (float, float)
            The numbers that become 0 and 1, for the ranges that depend on the data.
        white : float
            The value of white; other than 1 only where nothing but clipping is to be done.
        """
        range = self.ranges[tile]
        if range not in {"clip", "raw"}:  # which leave the numbers where they are
            numbers = scale.to_unit(numbers, range, limits)
        inside = numbers[:, : out.shape[1]]
        if outside is not None:
            outside.append(convert.count_clipped(inside, self.info.dtype, white=white))
        if self.exact:
            np.copyto(out, inside.clip(0, 1) if range == "clip" else inside, casting="same_kind")
            return
        if out.shape[2] > inside.shape[2]:
            numbers = shades("diverging", inside[:, :, 0])
        elif self.linear and range != "center" and not self.symmetric[tile]:
            numbers = convert.from_linear(inside)
        convert.quantize(numbers, self.info.dtype, out, white=white, scratch=numbers)


def style(range: str = "auto", depth: str | int | None = None) -> Style:
    """Check what was asked of a result's numbers.

    Raises
    ------
    UsageError
        A range or a depth that there is none of.
    """
    word = arguments.one_of("range", range, ("auto", *scale.RANGES))
    if depth is not None:
        known = DEPTHS
        depth = str(depth) if str(depth) in known else arguments.one_of("depth", depth, known)
    return Style(word, depth)


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
    automatic = style.range == "auto"
    asked = cast("scale.Range", "raw" if automatic else style.range)
    ranges = [scale.AUTOMATIC[sign] if automatic and not exact else asked for sign in signs]
    symmetric = tuple(map(scale.is_symmetric, ranges, signs))
    if style.range == "signed" and "magnitude" in signs:
        told = "what is never negative needs one half of the colours of `range=signed`"
        notes = (*notes, f"{told}; `range=percentile` or `range=minmax` uses all shades")
    rendering = Rendering(info, tuple(ranges), linear, notes, symmetric, automatic)
    if len(signs) == 1 and rendering.samples(channels) > channels:
        return rendering._replace(info=info._replace(channels=3, icc=None, layout="hwc"))
    return rendering


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
        notes = (f"{name}: the maps stand one under another, {counted(len(values), 'row')} each",)
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
    samples_out = np.empty(rendering.info.shape, rendering.info.dtype)
    limits = scale.range_limits(unit, rendering.ranges[0], symmetric=rendering.symmetric[0])
    rendering.convert(unit, samples_out, outside, limits=limits)
    return rendering, samples_out, None if outside is None else sum(outside) / values.size
