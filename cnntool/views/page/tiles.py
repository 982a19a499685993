"""Maps on the page: levels that the script reads back out of the picture that all others see."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnntool.views.colormaps import MARK
from cnntool.views.contact_sheet import GAP, MARGIN, ContactSheet, arrange, enlargement
from cnntool.views.feature_maps import averaged, choose
from cnntool.views.page.render import Histogram
from cnntool.views.scale import ScaleLimits, limits, showable, to_levels
from cnntool.views.styles import Backdrop, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cnntool.views.drawing import Drawing

MOST = 2 << 20
"""Levels that are kept of one layer: on a screen a page shows no more."""

WIDE = 1040
"""Pixels that maps may take from left to right."""

BINS = 32


class Tiles(NamedTuple):
    """Maps of a layer as levels.

    Parameters
    ----------
    levels : ndarray of uint8, shape (n, h, w)
        0 to 254, and 255 for NaN.
    numbers : ndarray of int, shape (n,)
        Which maps these are.
    ends : ScaleLimits
        What the levels 0 and 254 of each map stand for.
    figures : ndarray of float64, shape (4, n)
        The mean, the smallest and the largest value, and the share of zeros of each.
    shape : tuple of int
        Of the layer: maps, rows and columns.
    """

    levels: NDArray[np.uint8]
    numbers: NDArray[np.intp]
    ends: ScaleLimits
    figures: NDArray[np.float64]
    shape: tuple[int, int, int]

    @property
    def side(self) -> int:
        """The longer side of a map of the layer."""
        return max(self.shape[1:])

    @property
    def reduction(self) -> int:
        """How many rows and columns of a map became one."""
        return round(self.side / max(map(int, self.levels.shape[1:])))

    def smaller(self) -> Tiles:
        """Keep half as many rows and columns, or of small maps the half with the largest means."""
        if max(self.levels.shape[1:]) < 2 * LEAST:
            return self.fewer(ceil(len(self.levels) / 2))
        values = self.levels.astype(np.float32)
        values[self.levels == MARK] = np.nan
        values = averaged(values, 2)
        marks = np.isnan(values)
        values[marks] = MARK
        return self._replace(levels=np.rint(values).astype(np.uint8))

    def fewer(self, count: int) -> Tiles:
        """Keep those maps with the largest means, in their order."""
        kept = np.sort(np.argsort(-self.figures[0], kind="stable")[:count])
        return self._replace(
            levels=self.levels[kept],
            numbers=self.numbers[kept],
            ends=self.ends.of(kept),
            figures=self.figures[:, kept],
        )

    @property
    def words(self) -> str:
        """What is not shown of the layer; empty where all of it is."""
        parts = []
        if len(self.levels) < self.shape[0]:
            parts.append(f"{len(self.levels)} of {self.shape[0]} maps")
        if self.levels.shape[1:] != self.shape[1:]:
            parts.append(f"at {self.levels.shape[1]} x {self.levels.shape[2]}")
        return ", ".join(parts)


LEAST = 16
"""Rows or columns that a map keeps."""


def tiles(maps: NDArray[Any], look: Drawing) -> Tiles:
    """Turn the maps of a layer into levels.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        Very large ones are averaged.
    look : Drawing
        Which of them, and by which scale.
    """
    maps = showable(maps, 3)
    some = bool(look.maps or look.sort)
    numbers = choose(maps, look.maps, look.sort) if some else np.arange(len(maps))
    ends = limits(maps, look.scale or find(look.style or "gray").scale).of(numbers)
    chosen = maps[numbers] if some else maps
    by = ceil(sqrt(chosen.size / MOST)) if chosen.size > MOST else 1
    levels = to_levels(averaged(chosen, by), ends)
    return Tiles(levels, numbers, ends, _figures(chosen), maps.shape)


def _figures(maps: NDArray[Any]) -> NDArray[np.float64]:
    """Describe each map: mean, smallest, largest, share of zeros; what is not finite is left out.

    A map without a finite value has zeros for all of them.
    """
    flat = maps.reshape(len(maps), -1).astype(np.float32, copy=False)
    known = np.isfinite(flat)
    found = (
        flat.sum(axis=1, where=known, dtype=np.float64) / np.maximum(known.sum(axis=1), 1),
        flat.min(axis=1, where=known, initial=np.inf),
        flat.max(axis=1, where=known, initial=-np.inf),
        1 - np.count_nonzero(flat, axis=1) / flat.shape[1],
    )
    return np.where(np.isfinite(found), found, 0.0)


def histogram(values: NDArray[Any]) -> Histogram | None:
    """Count values in equal steps from the smallest to the largest; None where none is finite."""
    known = values.ravel() if np.isfinite(values).all() else values[np.isfinite(values)]
    if not known.size:
        return None
    low, high = float(known.min()), float(known.max())
    if not high > low:
        return Histogram((known.size,), low, high)
    with np.errstate(over="ignore", invalid="ignore"):
        shares = (known.astype(np.float64) - low) * (BINS / (high - low))
    counts = np.bincount(np.minimum(shares.astype(np.intp), BINS - 1), minlength=BINS)
    return Histogram(tuple(counts.tolist()), low, high)


def factor(found: Tiles, look: Drawing, largest: int | None) -> int:
    """Return how many pixels each value gets both ways.

    Parameters
    ----------
    found : Tiles
    look : Drawing
    largest : int, optional
        The side that maps have at most: what was pooled is no larger than what it was made of.
    """
    count, height, width = found.levels.shape
    if look.upscale:
        return look.upscale
    grown = enlargement(count, height, width, _columns(found, look))
    return grown if largest is None else max(1, min(grown, largest // found.side))


def sheet(
    found: Tiles, look: Drawing, by: int, photo: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Draw maps as tiles of one picture.

    Parameters
    ----------
    found : Tiles
    look : Drawing
    by : int
        Pixels that each value gets both ways.
    photo : ndarray of uint8, shape (H, W, 3), optional
        What the network saw; needed by the style "overlay".

    Returns
    -------
    pixels : ndarray of uint8, shape (height, width, 1 or 3)
    spots : dict
        Where the levels are in it: ``tile`` (rows, columns), ``corner`` of the first tile,
        ``cell`` (rows and columns to the next one), ``columns`` of the grid, ``factor``.
    """
    row = find(look.style or "gray")
    count, height, width = found.levels.shape
    gap = GAP if look.gap is None else look.gap
    if row.on_photo and photo is not None:
        from PIL import Image

        size = width * by, height * by
        photo = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    scene = Backdrop((look.scale or row.scale) == "signed", found.ends.finite, photo)
    board = ContactSheet(
        count,
        (height * by, width * by, row.channels(scene)),
        columns=_columns(found, look),
        gap=gap,
        numbers=found.numbers.tolist(),
    )
    board.place(0, row.paint(found.levels, scene))
    margin = max(gap, MARGIN)
    down = (len(board.pixels) - 2 * margin + gap) // board.rows
    return board.pixels, {
        "tile": [height, width],
        "corner": [margin + down - gap - height * by, margin],
        "cell": [down, width * by + gap],
        "columns": board.columns,
        "factor": by,
    }


def _columns(found: Tiles, look: Drawing) -> int | None:
    """Return how many large maps stand in a row of a page, in rows that are nearly full.

    None for what fills a page by itself: many maps, and small ones, which grow.
    """
    if look.columns:
        return look.columns
    count, height, wide = map(int, found.levels.shape)
    fit = WIDE // (wide + GAP)
    across = arrange(count, height, wide)[1]
    if fit <= across or 2 * across * wide <= WIDE:
        return None
    return ceil(count / ceil(count / fit))


def scale_record(found: Tiles) -> dict[str, Any]:
    """Return what levels mean, and what each map is like, ready for JSON."""
    names = ("mean", "min", "max", "zeros")
    return {
        "shape": list(found.shape),
        "numbers": found.numbers.tolist(),
        "low": short_numbers(found.ends.low),
        "high": short_numbers(found.ends.high),
        **{name: short_numbers(row) for name, row in zip(names, found.figures, strict=True)},
    }


def short_numbers(values: Sequence[float] | NDArray[Any]) -> list[float]:
    """Round to five digits, for a page that is read by people."""
    return [float(f"{value:.5g}") for value in values]
