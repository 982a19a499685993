"""Whole pictures, matrices and stacks of maps in, the same out: for the verbs that work by hand.

`filter` streams strips of rows; the verbs of this module's users are for numbers that one looks at.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cnntool.cli import batch_log, console, options
from cnntool.cli.inputs import Batch, Done, Naming, Place, inputs_or_stdin, is_several
from cnntool.errors import InputError, UsageError
from cnntool.image.files import expand, is_folder
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnntool.api.batches import Opened
    from cnntool.api.pictures import Picture
    from cnntool.api.rendering import Result
    from cnntool.cli.inputs import Input
    from cnntool.cli.options import ReadingOptions, Saving

F = TypeVar("F", bound="Callable[..., Any]")


class Job(NamedTuple):
    """What is read, how, and where the results go."""

    reading: ReadingOptions
    saving: Saving
    inputs: tuple[Path, ...] = ()
    recursive: bool = False
    jobs: int | None = None
    logging: batch_log.Logging = batch_log.Logging()


def inputs_and_result(command: F) -> F:
    """Add the inputs and all that is said of results: what `run` needs."""
    return options.inputs(batch_log.logging(options.jobs(result(command))))


def result(command: F) -> F:
    """Add all that is said of results, and of how the input is read."""
    for add in (
        options.gathered("job", Job),
        options.gathered("reading", options.ReadingOptions),
        options.gathered("saving", options.Saving),
        options.talk,
        options.json_lines,
        options.limits,
        options.encoding,
        options.output,
        options.layout,
    ):
        command = add(command)
    return command


def read(path: Path, reading: ReadingOptions) -> Picture:
    """Read one picture, matrix or stack of maps; ``-`` is stdin.

    Raises
    ------
    InputError
        A folder, and see `cnntool.image.files.open_reader`.
    """
    if is_folder(path):
        raise InputError("this is a folder, one file is needed", source=str(path))
    with Batch(expand([path], recursive=False), reading) as batch:
        picture = batch.first().whole()
    console.notes(picture.name, picture.info.notes)
    return picture


def run(
    work: Callable[[Picture], Result],
    job: Job,
    *,
    label: str,
    doing: str,
    facts: dict[str, Any],
    policy: str = "auto",
) -> int:
    """Do a verb's work on every input and write the results.

    Parameters
    ----------
    work : callable
        Makes a result of a picture.
    job : Job
        No inputs mean stdin.
    label : str
        Goes into names that the tool chooses.
    doing : str
        What the progress line says.
    facts : dict
        What the verb adds to its JSON records.
    policy : str
        How numbers become brightness.

    Returns
    -------
    int
        The exit code.
    """
    paths, saving = inputs_or_stdin(job.inputs), job.saving
    several = is_several(paths)
    if saving.as_json and saving.output == "-":
        raise UsageError("--json and -o - both want stdout")
    naming = Naming(saving.output, label, several=several)

    def begin(given: Input) -> Place:
        from cnntool.api import rendering

        info = given.reader().info
        name = rendering.choose_format(info, saving.format_name, naming.named)
        target = naming.of_format(given.item, name, as_json=saving.as_json)
        return Place(name, target, batch_log.begin(log, target))

    def one(opened: Opened, place: Place, lanes: int) -> Done:  # noqa: ARG001
        from cnntool.api import rendering
        from cnntool.image.files import write_image

        start = time.perf_counter()
        picture = opened.whole()
        source, result = picture.info, work(picture)
        style = rendering.Style(policy, saving.depth)
        plan, samples, clipped = rendering.finish(
            source, result, place.format_name, style, name=picture.name
        )
        write_image(pixels=samples, info=plan.info, **saving.writing(place.target, left=place.left))
        record = {
            "input": picture.name,
            "read": source.record(),
            "output": str(place.target),
            "written": plan.info.record(),
            "range": plan.ranges[0],
            "clipped": clipped,
            **facts,
            "milliseconds": (time.perf_counter() - start) * 1e3,
        }
        return Done(record, [*(f"{picture.name}: {note}" for note in source.notes), *plan.notes])

    items = naming.items(paths, recursive=job.recursive, format_name=saving.format_name)
    lanes = usable_cpus()
    with (
        job.logging.opened(paths, saving.output, overwrite=saving.overwrite) as log,
        Batch(items, job.reading, log) as batch,
    ):
        return batch.each(
            begin,
            one,
            naming,
            doing,
            threads=lanes,
            jobs=job.jobs or lanes,
            as_json=saving.as_json,
        )


def only_input(inputs: tuple[Path, ...]) -> None:
    """Refuse several inputs where switches are of one input.

    Raises
    ------
    UsageError
        More than one input, or a folder.
    """
    if len(inputs) > 1 or any(map(is_folder, inputs)):
        raise UsageError("--switches is of one input")
