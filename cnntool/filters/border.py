"""What lies beyond the edge: filling a tile of the padded picture from rows of the real one."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]


class Border(StrEnum):
    """Values beyond the edge, in numpy's words.

    ``zero``: 0; ``reflect``: mirrored without repeating the edge pixel (scipy's ``mirror``);
    ``symmetric``: mirrored with it (scipy's ``reflect``); ``replicate``: the edge pixel;
    ``wrap``: the opposite side.
    """

    ZERO = "zero"
    REFLECT = "reflect"
    SYMMETRIC = "symmetric"
    REPLICATE = "replicate"
    WRAP = "wrap"


def source_index(first: int, count: int, pad: int, size: int, border: Border) -> Index:
    """Map successive rows (or columns) of the padded picture to those of the real one.

    Parameters
    ----------
    first, count : int
        The padded rows [first, first + count).
    pad : int
        Padded rows before row 0.
    size : int
        Real rows, 1 or more.
    border : Border

    Returns
    -------
    (count,) intp
        Row numbers in [0, size), -1 where the value is zero. As ``np.pad`` fills, pads larger
        than the picture included.
    """
    index = np.arange(first - pad, first - pad + count, dtype=np.intp)
    if count and (index[0] < 0 or index[-1] >= size):
        if border is Border.ZERO:
            index[(index < 0) | (index >= size)] = -1
        elif border is Border.REPLICATE or (border is Border.REFLECT and size == 1):
            np.clip(index, 0, size - 1, out=index)
        elif border is Border.WRAP:
            index %= size
        elif border is Border.SYMMETRIC:
            index %= 2 * size
            np.minimum(index, 2 * size - 1 - index, out=index)
        else:
            index %= 2 * size - 2
            np.minimum(index, 2 * size - 2 - index, out=index)
    return index


class Span(NamedTuple):
    """Successive rows (or columns) of a padded tile, and where their values come from.

    Attributes
    ----------
    size : int
        Of the tile.
    start, stop, source : int
        The tile's [start, stop) are the picture's from `source` on.
    zeros : (z,) intp
        Those of the tile that are zero.
    places, sources : (m,) intp
        The others of the tile, and those of the picture that they repeat.
    """

    size: int
    start: int
    stop: int
    source: int
    zeros: Index
    places: Index
    sources: Index


_NONE: Index = np.zeros(0, dtype=np.intp)


def inner_span(size: int, source: int) -> Span:
    """Return the span of `size` rows that all lie in the picture, from `source` on."""
    return Span(size, 0, size, source, _NONE, _NONE, _NONE)


def make_span(index: Index, size: int, inside: int) -> Span:
    """Sort a map to the picture's rows by how they are copied.

    Parameters
    ----------
    index : (count,) intp
        As `source_index` gives it.
    size : int
        Of the tile, at least `count`; the rest is zero.
    inside : int
        Where a run without a border begins.

    Returns
    -------
    Span
    """
    rest = index[inside:]
    breaks = np.flatnonzero(rest[1:] != rest[:-1] + 1)
    run = 0 if not rest.size or rest[0] < 0 else int(breaks[0]) + 1 if breaks.size else rest.size
    source = int(rest[0]) if run else 0
    outside = np.delete(np.arange(index.size), slice(inside, inside + run))
    zero = index[outside] < 0
    zeros = np.concatenate([outside[zero], np.arange(index.size, size)])
    places = outside[~zero]
    return Span(size, inside, inside + run, source, zeros, places, index[places])


def fill(tile: NDArray[Any], window: NDArray[Any], lo: int, rows: Span, columns: Span) -> None:
    """Copy a tile of the padded picture, converting its numbers.

    Parameters
    ----------
    tile : (rows.size, columns.size, C)
        Filled.
    window, lo : (N, W, C), int
        Rows of the picture from row `lo` on.
    rows, columns : Span
    """
    inside = tile[rows.start : rows.stop]
    source = window[rows.source - lo : rows.source - lo + rows.stop - rows.start]
    width = columns.stop - columns.start
    np.copyto(
        inside[:, columns.start : columns.stop],
        source[:, columns.source : columns.source + width],
        "unsafe",
    )
    if columns.places.size:
        inside[:, columns.places] = source[:, columns.sources]
    if columns.zeros.size:
        inside[:, columns.zeros] = 0
    if rows.zeros.size:
        tile[rows.zeros] = 0
    for place, row in zip(rows.places.tolist(), rows.sources.tolist(), strict=True):
        tile[place, columns.start : columns.stop] = window[
            row - lo, columns.source : columns.source + width
        ]
        tile[place, columns.places] = window[row - lo, columns.sources]
        tile[place, columns.zeros] = 0
