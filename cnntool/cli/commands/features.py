"""``cnntool features``: a table of what a layer makes of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import batch_log, console, options
from cnntool.cli.inputs import Pictures, inputs_or_stdin, reading
from cnntool.cli.network_job import NetworkJob, network_job
from cnntool.cli.network_options import (
    begin,
    layer_option,
    model_option,
    preprocessing,
    running,
    say_where,
)
from cnntool.errors import InputError, ModelError, UsageError
from cnntool.image.files import STDIO
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cnntool.api.feature_files import Row, Table
    from cnntool.cli.inputs import Loaded

    Stream = Iterator[tuple[Loaded, NDArray[Any] | ModelError]]

FORMS = ("parquet", "npz", "npy", "csv")
"""The keys of `cnntool.api.feature_files.FORMS`, which would load numpy."""


@click.command("features")
@options.inputs
@model_option
@layer_option(
    help="The layer; 'cnntool layers' lists the names.  [default: what the last layer with weights"
    " gets]",
)
@click.option(
    "--pool",
    type=click.Choice(["mean", "max", "none"]),
    default="mean",
    show_default=True,
    help="What becomes of a map's places, or of a transformer's tokens; 'none' keeps them all.",
)
@options.output
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    help="Format, whatever the suffix says.  [default: csv on stdout]",
)
@preprocessing()
@reading
@running
@batch_log.logging
@options.talk
@network_job
def command(*, job: NetworkJob, layer: str | None, pool: str, form: str | None) -> int:
    """Make a table of what a layer makes of pictures, a vector each.

    INPUT is a file, a folder, or '-' for stdin, which is also read when something is piped in.
    Each picture has a row with its path, its label, the SHA-256 of its file and its vector; the
    label is the name of the folder that it lies in, below the folder or list that was named. Rows
    come in the order of the inputs; a bad picture is reported and left out.

    Parquet (it takes pyarrow: pip install 'cnntool[parquet]') has the columns path, label, sha256
    and features; .npz the arrays paths, labels, sha256 and features; both say from which network,
    layer and version they come. .npy is the matrix alone, .csv a column for each value. Vectors
    are float32. With --log, they stand in the log, too: that is what --resume goes on from.
    """
    job = job._replace(inputs=inputs_or_stdin(job.inputs))
    target = None if job.output in (None, STDIO) else Path(str(job.output))
    with job.opened() as (network, plan):
        from cnntool.api.feature_extraction import FeatureExtractor
        from cnntool.api.feature_files import form_of, open_table
        from cnntool.nets.inference.preprocess import prepare

        form = form or (form_of(target) if target else "csv")
        if target is None and form != "csv":
            raise UsageError(f"{form} is no format for stdout", hint="give --output FILE")
        with job.hold_time():
            extractor = FeatureExtractor(network, layer, pool)
        begin(network, plan)
        with job.logged(network) as log:
            replace = batch_log.begin(log, target) or job.overwrite
            with open_table(target, form, extractor.about(), overwrite=replace) as table:
                pictures = job.pictures(
                    partial(prepare, spec=plan.input),
                    log,
                    lambda _, line: table.add(_row(line["result"])),
                )
                fed = ((loaded, loaded.made) for loaded in pictures)
                found = extractor.stream(fed, many=job.several)
                _fill(table, found, pictures, logged=log is not None)
            if not table.rows:
                if pictures.code > 1:  # there was but one, and what is wrong with it was said
                    return pictures.code
                raise InputError("no picture could be read")
            if log and target:
                log.wrote(target)
        say_where(network)
        where = f" in {target}" if target else ""
        console.note(f"{counted(table.rows, 'vector', ',')} of {table.length:,}{where}")
        return pictures.finish()


def _fill(table: Table, stream: Stream, pictures: Pictures, *, logged: bool) -> None:
    """Add a row for every picture; one without a vector is reported, and the others go on."""
    from cnntool.api.feature_extraction import row_of

    with console.Progress("looking") as progress:
        for loaded, found in progress.track(stream, of=pictures):
            try:
                row = row_of(loaded.item, found)
                table.add(row)
            except (InputError, ModelError) as error:
                pictures.fail(loaded.item, error)
            else:
                pictures.done(loaded, _record(row) if logged else None)


def _record(row: Row) -> dict[str, Any]:
    """Return a row for the log, from which `_row` makes the same again."""
    from base64 import b64encode

    data = row.vector.astype("<f4", copy=False).tobytes()
    return {**row._asdict(), "vector": b64encode(data).decode()}


def _row(record: dict[str, Any]) -> Row:
    from base64 import b64decode

    import numpy as np

    from cnntool.api.feature_files import Row

    vector = np.frombuffer(b64decode(record["vector"]), "<f4")
    return Row(**{**record, "vector": vector})
