"""``activations --report``: the page, from what a command line names."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cnntool.cli.inputs import Pictures
from cnntool.cli.top_patches import look_through
from cnntool.image.files import expand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cnntool.api.activations import LayerOutputs
    from cnntool.api.page import PageWriter
    from cnntool.cli.inputs import Reading
    from cnntool.cli.layer_files import Purpose
    from cnntool.image.atomic import Output


def write_page(
    page: PageWriter, file: Output, outputs: LayerOutputs, purpose: Purpose, reading: Reading
) -> None:
    """Write the page about the pictures that were added.

    Raises
    ------
    InputError
        There is no picture in the folder of patches.
    OutputError
        The file cannot be written.
    """
    if page.empty:
        return
    if purpose.patches is not None:
        _find_patches(page, outputs, purpose, reading)
    file.write(page.html())
    file.commit()


def _find_patches(
    page: PageWriter, outputs: LayerOutputs, purpose: Purpose, reading: Reading
) -> None:
    """Find what excites maps most in a folder; its pictures are read twice."""
    from cnntool.api.page_numbers import PatchNumbers
    from cnntool.nets.inference.preprocess import seen

    assert purpose.patches is not None  # noqa: S101 - see above
    entry = outputs.plan.input
    items = expand([purpose.patches], recursive=True, matrices=False)
    best, read, _ = look_through(outputs, items, reading, str(purpose.patches))

    def photos(numbers: Sequence[int]) -> Iterator[tuple[int, str, NDArray[Any]]]:
        places = {id(read[number]): number for number in numbers}
        wanted = [read[number] for number in numbers]
        for loaded in Pictures(wanted, partial(seen, entry=entry), reading):
            yield places[id(loaded.item)], str(loaded.item.relative), loaded.made

    page.patches = PatchNumbers(outputs, best, len(read), photos)
