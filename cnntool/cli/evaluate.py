"""``cnntool evaluate``: how often a network is right."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import console, options
from cnntool.cli.choosing import model as model_option
from cnntool.cli.paths import Item, expand
from cnntool.cli.preprocessing import labels as labels_option
from cnntool.cli.preprocessing import preprocessing, wishes
from cnntool.cli.running import running, session_settings
from cnntool.errors import FigureError, InputError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.cli.network import Network
    from cnntool.nets.assume import Plan
    from cnntool.nets.evaluate import Share, Tally


HEADINGS = {"path", "file", "filename", "image", "picture", "photo", "name"}
"""First cells by which the heading of a table is told from its first picture."""


class ShareType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A share: ``0.9`` or ``90%``."""

    name = "SHARE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share: write 0.9 or 90%", param, ctx)
        return share


@click.command("evaluate")
@click.argument("photos", metavar="DIR|CSV", type=click.Path(path_type=Path))
@model_option
@click.option("--min-top1", type=ShareType(), help="Exit with 7 if the top-1 accuracy is lower.")
@click.option(
    "--confusion",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write what was taken for what: a table (.csv) or a picture (.png).",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@labels_option
@preprocessing
@click.option("--batch", type=click.IntRange(1, 4096), default=1, show_default=True,
              help="Pictures that go through the network at once.")  # fmt: skip
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad picture.")
@options.max_pixels
@options.json_lines
@running
@options.talk
def command(
    *,
    photos: Path,
    model: str,
    min_top1: float | None,
    confusion: Path | None,
    overwrite: bool,
    batch: int,
    fail_fast: bool,
    max_pixels: int,
    as_json: bool,
    **settings: Any,
) -> int:
    """Measure how often a network is right.

    DIR has a folder for each class, named by its label, its index or its WordNet id. CSV has a
    picture and its class in each line; paths are relative to the file.
    """
    if confusion and confusion.suffix.lower() not in {".csv", ".png"}:
        raise UsageError("a confusion matrix is a .csv or a .png", source="--confusion")
    from cnntool.cli.classify import answers, needs_classes
    from cnntool.cli.network import Network
    from cnntool.cli.pictures import Pictures
    from cnntool.nets.evaluate import Tally
    from cnntool.nets.preprocess import prepare

    with Network(
        model, wishes(settings), session_settings(settings), many=True, accepts=needs_classes
    ) as network:
        truths = _truths(photos, network.plan)
        pictures = Pictures(
            truths,
            partial(prepare, spec=network.plan.input),
            threads=options.usable_cpus(),
            max_pixels=max_pixels,
            fail_fast=fail_fast,
        )
        tally: Tally | None = None
        for loaded, scores in answers(network, pictures, batch=batch):
            tally = tally or Tally(len(scores.probabilities))
            tally.add(truths[loaded.item] + network.plan.output.background, scores.probabilities)
        if tally is None:
            raise InputError("no picture could be read", source=str(photos))
        if confusion:
            _write_confusion(tally, network.plan, confusion, overwrite=overwrite)
        _report(network, tally, as_json=as_json)
        found = tally.total.accuracy1
        if min_top1 is not None and found < min_top1:
            raise FigureError(f"top-1 accuracy is {found:.2%}, and {min_top1:.2%} was demanded")
        return pictures.code


def _truths(photos: Path, plan: Plan) -> dict[Item, int]:
    """Return every picture with the index of its class."""
    named = list(_folders(photos) if photos.is_dir() else _table(photos))
    classes: dict[str, int] = {}
    truths: dict[Item, int] = {}
    for item, text, source in named:
        if text not in classes:
            classes[text] = _class(text, plan, source)
        if truths.setdefault(item, classes[text]) != classes[text]:
            raise UsageError(f"{item.name} is named twice, with different classes", source=source)
    return truths


def _class(text: str, plan: Plan, source: str) -> int:
    if plan.labels is None:
        if text.isdecimal():
            return int(text)
        raise ModelError(
            f"nothing tells which class {text!r} is", source=source, hint="give --labels FILE"
        )
    try:
        return plan.labels.find(text)
    except ModelError as error:
        raise ModelError(error.message, source=source, hint=error.hint) from None


def _folders(photos: Path) -> Iterator[tuple[Item, str, str]]:
    folders = sorted(p for p in photos.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise InputError(
            "no folders in it", source=str(photos), hint="each class has a folder of its name"
        )
    for folder in folders:
        for item in expand([folder], recursive=True, matrices=False):
            yield item, folder.name, str(folder)


def _table(photos: Path) -> Iterator[tuple[Item, str, str]]:
    import csv

    try:
        with photos.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(reason.lower(), source=str(photos)) from None
    if rows and rows[0][0].strip().lower() in HEADINGS:
        del rows[0]
    if not rows:
        raise InputError("no pictures are named in it", source=str(photos))
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise InputError(
                f"row {number} has {len(row)} cells; a picture and its class are wanted",
                source=str(photos),
            )
        path = photos.parent / row[0].strip()
        yield Item(path, str(path), Path(path.name)), row[1].strip(), str(photos)


def _report(network: Network, tally: Tally, *, as_json: bool) -> None:
    from cnntool.nets.classify import name_of

    plan = network.plan
    rows: list[tuple[str, Share]] = []
    for place in tally.present:
        share = tally.of(place)
        if share.pictures:
            rows.append((name_of(plan, place - plan.output.background)[0], share))
    if as_json:
        import json

        classes = [{"label": label, **_facts(share)} for label, share in rows]
        record = {**network.facts, **_facts(tally.total), "classes": classes}
        console.result(json.dumps(record))
        return
    rows.append(("all", tally.total))
    if not sys.stdout.isatty():
        for label, share in rows:
            numbers = (share.accuracy1, share.accuracy5, 1 - share.accuracy1, 1 - share.accuracy5)
            cells = [label, str(share.pictures), *(f"{number:.6g}" for number in numbers)]
            console.result("\t".join(cells))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE)
    for heading in ("class", "pictures", "top-1", "top-5", "top-1 error", "top-5 error"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label, share in rows:
        if label == "all":
            table.add_section()
        table.add_row(
            Text(console.printable(label)),
            str(share.pictures),
            f"{share.accuracy1:.2%}",
            f"{share.accuracy5:.2%}",
            f"{1 - share.accuracy1:.2%}",
            f"{1 - share.accuracy5:.2%}",
        )
    Console().print(table)


def _facts(share: Share) -> dict[str, Any]:
    return {
        "pictures": share.pictures,
        "top1": share.accuracy1,
        "top5": share.accuracy5,
        "top1_error": 1 - share.accuracy1,
        "top5_error": 1 - share.accuracy5,
    }


def _write_confusion(tally: Tally, plan: Plan, path: Path, *, overwrite: bool) -> None:
    from cnntool.image.atomic import Output
    from cnntool.nets.classify import name_of

    places = tally.present
    labels = [name_of(plan, place - plan.output.background)[0] for place in places]
    counts = tally.confusion[places][:, places]
    if path.suffix.lower() == ".csv":
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["true \\ answered", *labels])
        writer.writerows([label, *row] for label, row in zip(labels, counts.tolist(), strict=True))
        data = text.getvalue().encode()
    else:
        from cnntool.views.confusion import draw

        data = draw(counts, labels)
    output = Output(path, name=str(path), overwrite=overwrite)
    try:
        output.write(data)
        output.commit()
    finally:
        output.discard()
