"""What a filter that is no convolution of each channel is to the rest of the room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Operation(NamedTuple):
    """A filter of one map, or of all channels together.

    Attributes
    ----------
    name : str
        As on the command line.
    apply : callable
        Takes the map (H, W) and a border's name; returns a map of the same shape, of the same
        dtype, float or bool.
    luma : bool
        Whether colour pictures are reduced to luma first.
    borders : bool
        Whether a border means anything to it.
    unit : bool
        Whether it needs values on the scale 0..1 rather than the file's own integers.
    joins : bool
        Whether it takes all channels (H, W, C) and makes one map of them, with signed values.
    reach : int or None
        How many rows above and below a value it looks at; None where it needs the whole map.
        With a reach, ``apply`` must pass positive factors on: of twice the map, twice the result.
    """

    name: str
    apply: Callable[[NDArray[Any], str], NDArray[Any]]
    luma: bool = False
    borders: bool = True
    unit: bool = False
    joins: bool = False
    reach: int | None = None
