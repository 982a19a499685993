"""Which maps of a layer are shown, and in which order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sort = Literal["mean", "max", "sparsity"]

SORTS: dict[Sort, str] = {
    "mean": "largest mean first",
    "max": "largest maximum first",
    "sparsity": "largest share of zeros first",
}

_HINT = "say 0-15, 3,7,20-, or top:16"


def choose(maps: NDArray[Any], selection: str = "", sort: Sort | None = None) -> NDArray[np.intp]:
    """Choose maps of a layer and put them in order.

    Parameters
    ----------
    maps : ndarray of shape (C, H, W)
        The layer. NaN and infinities do not count.
    selection : str
        Numbers from 0 and ranges, ``3,7``, ``0-15``, ``8-``; a range may reach past the end, but
        not begin there. ``top:16`` takes the first sixteen after sorting (by mean, if nothing else
        is said). Nothing means all maps. A map that is named twice is shown once.
    sort : {"mean", "max", "sparsity"}, optional
        See ``SORTS``; equal maps keep their order, maps without a finite value come last. By
        default the maps stay as they were named.

    Returns
    -------
    ndarray of intp, shape (n,)
        Indices of maps, at least one if the layer has one.

    Raises
    ------
    UsageError
        When the selection cannot be read, or names a map that the layer does not have.
    """
    top = re.fullmatch(r"\s*top:\s*(\d{1,9})\s*", selection, re.ASCII)
    if top:
        count = int(top[1])
        if count == 0:
            raise UsageError("top:0 leaves nothing to show", source="`maps`", hint=_HINT)
        return rank(maps, sort or "mean")[:count]
    indices = _named(selection, len(maps))
    return indices if sort is None else indices[rank(maps[indices], sort)]


def _named(selection: str, count: int) -> NDArray[np.intp]:
    """Read numbers and ranges."""
    if not selection.strip():
        return np.arange(count)
    found: dict[int, None] = {}
    for part in selection.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:(-)\s*(\d{0,9})\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"no choice of maps: {part!r}", source="`maps`", hint=_HINT)
        first = int(match[1])
        last = first if not match[2] else int(match[3]) if match[3] else max(first, count - 1)
        if last < first:
            raise UsageError(f"the range {part.strip()} is empty", source="`maps`", hint=_HINT)
        if first >= count:
            reason = f"there is no map {first}: the layer has {count} (0 to {count - 1})"
            raise UsageError(reason, source="`maps`")
        found.update(dict.fromkeys(range(first, min(last + 1, count))))
    return np.array(list(found), np.intp)


def rank(maps: NDArray[Any], sort: Sort) -> NDArray[np.intp]:
    """Return all indices of maps (C, H, W), ordered as ``SORTS`` says."""
    values = maps.astype(np.float32, copy=False)
    usable = np.isfinite(values)
    every = bool(usable.all())
    where: Any = True if every else usable
    axes = (1, 2)
    if sort == "max":
        figure = values.max(axis=axes, where=where, initial=-np.inf).astype(np.float64)
    else:
        chosen = values if sort == "mean" else values == 0
        total = chosen.sum(axis=axes, where=where, dtype=np.float64)
        size = np.full(len(values), values[0].size) if every else usable.sum(axis=axes)
        figure = np.divide(total, size, out=np.full(len(values), -np.inf), where=size > 0)
    return np.argsort(-figure, kind="stable")
