"""Layers of many pictures together: their average."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.api.sources import Item
from cnntool.cli import console
from cnntool.cli.layer_table import shape_text
from cnntool.cli.pictures import Loaded
from cnntool.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from cnntool.cli.layer_work import Work
    from cnntool.cli.pictures import Pictures


class _Mean(NamedTuple):
    """Stands where a picture stands that was fed: of all of them, the first one's tensor."""

    tensor: NDArray[Any]


def average(work: Work, pictures: Pictures) -> int:
    """Average the layers over all pictures, then treat the means as one picture's layers.

    Raises
    ------
    InputError
        When no picture could be read, or maps have different sizes.
    """
    import numpy as np

    sums: dict[str, NDArray[Any]] = {}
    count, first = 0, None
    with console.Progress("averaging") as progress:
        for loaded, tensors in progress.track(work.stream(pictures)):
            first = first or loaded
            for tensor, values in _dequantised(work, tensors):
                total = sums.setdefault(tensor, np.zeros(values.shape))
                if total.shape != values.shape:
                    raise InputError(
                        f"its maps are {shape_text(values.shape)}, those before are"
                        f" {shape_text(total.shape)}: there is no average",
                        source=loaded.item.name,
                        hint="--crop cuts all pictures to one size",
                    )
                total += values
            count += 1
    if first is None:
        raise InputError("no picture could be read")
    item = Item(Path("mean"), f"mean of {count} pictures", Path("mean"))
    means = ((tensor, (sums.pop(tensor) / count).astype(np.float32)) for tensor in list(sums))
    whole = Loaded(item, first.info, _Mean(first.made.tensor))
    work.look(whole, means, iter)
    return pictures.code


def _dequantised(
    work: Work, tensors: Iterable[tuple[str, NDArray[Any]]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Undo the quantisation of tensors, of which an average has none."""
    from cnntool.nets.shown import dequantised

    for tensor, values in tensors:
        yield tensor, dequantised(work.network.graph, tensor, values)[0]
