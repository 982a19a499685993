"""Whole pictures, matrices and stacks of maps in, the same out: for the verbs that work by hand.

`filter` streams strips of rows; the verbs of this module's users are for numbers that one looks at.
What a result is called, which format and depth it has: all of that is as with `filter`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cnntool.api.sources import Item, expand, is_folder
from cnntool.cli import console, options, results
from cnntool.cli.paths import Naming, inputs_or_stdin, is_several
from cnntool.cli.reading import Ahead
from cnntool.errors import InputError, UsageError
from cnntool.image.types import oversize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.cli.reading import Opened
    from cnntool.image.types import ImageInfo
    from cnntool.views.scale import Range

F = TypeVar("F", bound="Callable[..., Any]")


class Stack(NamedTuple):
    """One input, read whole.

    Parameters
    ----------
    item : Item
        Where it came from; ``item.name`` is for messages.
    info : ImageInfo
        Its shape and nature; ``info.matrix`` tells numbers from pictures.
    values : ndarray (H, W, samples)
        Of type ``info.dtype``, in the input's own numbers: 0..255 for an 8-bit picture. Samples are
        the channels or maps, and alpha last if ``info.alpha``.
    """

    item: Item
    info: ImageInfo
    values: NDArray[Any]

    def numbers(self) -> NDArray[Any]:
        """Return what arithmetic works on: pictures as float32 in 0..1, other numbers as they are.

        Returns
        -------
        ndarray (H, W, samples) of float32 or float64
        """
        if self.info.dtype.startswith("float"):
            return self.values
        import numpy as np

        return self.values / np.float32(self.info.peak)


def inputs_and_result(command: F) -> F:
    """Add the inputs and all that is said of results: what `run` needs."""
    return options.inputs(result(command))


def result(command: F) -> F:
    """Add all that is said of results, and of how the input is read."""
    for add in (
        options.talk,
        options.json_lines,
        options.limits,
        options.encoding,
        options.output,
        options.layout,
    ):
        command = add(command)
    return command


def read(
    path: Path,
    *,
    layout: str = "auto",
    max_pixels: int = 100_000_000,
    allow_nan: bool = False,
    strict: bool = False,
) -> Stack:
    """Read one picture, matrix or stack of maps.

    Parameters
    ----------
    path : Path
        A file; ``-`` is stdin.
    layout : {'auto', 'chw', 'hwc'}
        See `cnntool.image.files.open_reader`.
    max_pixels, allow_nan, strict
        See `cnntool.image.files.open_reader`.

    Raises
    ------
    InputError
        A folder, and see `cnntool.image.files.open_reader`.
    """
    if is_folder(path):
        raise InputError("this is a folder, one file is needed", source=str(path))
    (item,) = expand([path], recursive=False)
    limits: dict[str, Any] = {"max_pixels": max_pixels, "allow_nan": allow_nan, "strict": strict}
    with Ahead([item], **limits, layout=layout) as readers:
        return _whole(next(iter(readers)))


def run(
    work: Callable[[Stack], results.Result],
    settings: dict[str, Any],
    *,
    label: str,
    doing: str,
    facts: dict[str, Any],
    policy: Range | None = None,
) -> int:
    """Do a verb's work on every input and write the results.

    Parameters
    ----------
    work : callable
        Makes a result of a stack.
    settings : dict
        The options of `inputs_and_result`.
    label : str
        Goes into names that the tool chooses.
    doing : str
        What the progress line says.
    facts : dict
        What the verb adds to its JSON records.
    policy : Range, optional
        How numbers become brightness; by default what the result's sign asks for, and the numbers
        as they are where the format keeps them.

    Returns
    -------
    int
        The exit code.
    """
    paths = inputs_or_stdin(settings["inputs"])
    several = is_several(paths)
    if settings["as_json"] and settings["output"] == "-":
        raise UsageError("--json and -o - both want stdout")
    naming = Naming(settings["output"], label, several=several)

    def one(opened: Opened) -> None:
        start = time.perf_counter()
        stack = _whole(opened)
        try:
            result = work(stack)
        except UsageError as error:
            source = error.source or stack.item.name
            raise UsageError(error.message, source=source, hint=error.hint) from None
        record = results.write(stack, result, settings, naming, policy)
        if settings["as_json"]:
            import json

            milliseconds = (time.perf_counter() - start) * 1e3
            console.result(json.dumps({**record, **facts, "milliseconds": milliseconds}))

    with Ahead(
        expand(paths, recursive=settings["recursive"], results=naming.folder),
        max_pixels=settings["max_pixels"],
        allow_nan=settings["allow_nan"],
        layout=settings["layout"],
        strict=settings["strict"],
    ) as readers:
        return readers.each(one, doing)


def only_input(inputs: tuple[Path, ...], why: str) -> None:
    """Refuse several inputs where something is of one input.

    Raises
    ------
    UsageError
        More than one input, or a folder.
    """
    if len(inputs) > 1 or any(map(is_folder, inputs)):
        raise UsageError(f"{why} is of one input")


def check_size(shape: tuple[int, int], samples: int, max_pixels: int) -> None:
    """Refuse to make what would not be read.

    Raises
    ------
    UsageError
        A result of more than `max_pixels`, see `cnntool.image.types.oversize`.
    """
    if reason := oversize(*shape, samples, max_pixels):
        raise UsageError(f"a result of {reason}", hint="--max-pixels raises the limit")


def _whole(opened: Opened) -> Stack:
    """Read an opened input to its end."""
    with opened.reader() as reader:
        values, info = reader.read(), reader.info  # damage is known by now
    console.notes(opened.item.name, info.notes)
    return Stack(opened.item, info, values)
