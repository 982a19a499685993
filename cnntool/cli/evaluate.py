"""``cnntool evaluate``: how often a network is right."""

from __future__ import annotations

import sys
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any, Self

import click

from cnntool.cli import console, options
from cnntool.cli.choosing import model as model_option
from cnntool.cli.preprocessing import labels as labels_option
from cnntool.cli.preprocessing import output_name, preprocessing, wishes
from cnntool.cli.running import running, session_settings
from cnntool.cli.truths import read_truths
from cnntool.errors import FigureError, InputError, ModelError, UsageError
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.cli.network import Network
    from cnntool.nets.assume import Plan
    from cnntool.nets.classify import Scores
    from cnntool.nets.evaluate import Share, Tally


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
@click.argument("photos", metavar="DIR|CSV", type=options.FileName())
@model_option
@click.option("--min-top1", type=ShareType(), help="Exit with 7 if the top-1 accuracy is lower.")
@click.option(
    "--confusion",
    type=options.FileName(),
    metavar="FILE",
    help="Write what was taken for what: a table (.csv) or a picture (.png).",
)
@options.overwrite
@output_name
@labels_option
@preprocessing
@options.batch
@options.fail_fast
@options.reading
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
    strict: bool,
    as_json: bool,
    **settings: Any,
) -> int:
    """Measure how often a network is right.

    DIR has a folder for each class, named by its label, its index or its WordNet id; the folder
    'other' is the class 'something else', where a network has it. CSV has a picture and its class
    in each line; paths are relative to the file.
    """
    from cnntool.cli.classify import answers
    from cnntool.cli.network import Network
    from cnntool.cli.pictures import Pictures
    from cnntool.nets.preprocess import prepare
    from cnntool.nets.spec import CLASSES

    with (
        _Confusion(confusion, overwrite=overwrite) as matrix,
        Network(
            model, wishes(settings), session_settings(settings), many=True, suits=CLASSES
        ) as network,
    ):
        network.open()
        truths = read_truths(photos, network.plan)
        pictures = Pictures(
            truths,
            partial(prepare, spec=network.plan.input),
            threads=usable_cpus(),
            max_pixels=max_pixels,
            strict=strict,
            fail_fast=fail_fast,
        )
        tally: Tally | None = None
        for loaded, scores in answers(network, pictures, batch=batch):
            tally = tally or _tally(network.plan, scores, max(truths.values()), str(photos))
            tally.add(truths[loaded.item] + network.plan.output.background, scores.probabilities)
        if tally is None:
            if pictures.code > 1:  # there was but one, and what is wrong with it was said
                return pictures.code
            if pictures.last == ModelError.exit_code:
                raise ModelError(f"it has no scores for any picture of {photos}", source=model)
            raise InputError("no picture could be read", source=str(photos))
        _report(network, tally, as_json=as_json)
        matrix.write(tally, network.plan)
        found = tally.total.accuracy1
        if min_top1 is not None and found < min_top1:
            raise FigureError(f"top-1 accuracy is {found:.2%}, and {min_top1:.2%} was demanded")
        return pictures.code


def _tally(plan: Plan, scores: Scores, highest: int, source: str) -> Tally:
    """Begin to count; where no labels are known, the first answer tells how many classes are."""
    from cnntool.nets.evaluate import Tally

    classes = len(scores.probabilities)
    if highest + plan.output.background >= classes:
        raise ModelError(
            f"there is no class {highest}: the network tells {classes} apart, from 0", source=source
        )
    rest = plan.labels.rest if plan.labels else None
    return Tally(classes, None if rest is None else rest + plan.output.background)


def _report(network: Network, tally: Tally, *, as_json: bool) -> None:
    from cnntool.nets.classify import name_of
    from cnntool.nets.labels import REST

    plan = network.plan
    rows: list[tuple[str, Share]] = []
    for place in tally.present:
        share = tally.of(place)
        if share.pictures:
            rows.append((name_of(plan, place - plan.output.background)[0], share))
    mean1, mean5 = tally.mean
    if as_json:
        import json

        classes = [{"label": label, **_facts(share)} for label, share in rows]
        mean = {"top1": _number(mean1), "top5": _number(mean5)}
        rest = tally.rest and {key: _number(share) for key, share in tally.rest._asdict().items()}
        record = {**network.facts, **_facts(tally.total), "class_mean": mean, "rest": rest}
        console.result(json.dumps({**record, "classes": classes}))
        return
    lines = [(label, share.pictures, share.accuracy1, share.accuracy5) for label, share in rows]
    counted = sum(label != REST for label, _ in rows)
    lines.append(("mean over classes", counted, mean1, mean5))
    lines.append(("all", tally.total.pictures, tally.total.accuracy1, tally.total.accuracy5))
    if not sys.stdout.isatty():
        _print_lines(lines, tally)
    else:
        _print_table(lines, tally)


Line = tuple[str, int, float, float]
"""A label, how many pictures or classes, top-1 and top-5 accuracy."""


def _print_lines(lines: list[Line], tally: Tally) -> None:
    from cnntool.nets.labels import REST

    if tally.rest:
        found, mistaken, area = tally.rest
        for name, share in (("found", found), ("mistaken", mistaken), ("ROC area", area)):
            console.result(f"{REST}, {name}\t\t{share:.6g}\t\t\t")
    for label, count, *shares in lines:
        numbers = (*shares, *(1 - share for share in shares))
        console.result("\t".join([label, str(count), *(f"{number:.6g}" for number in numbers)]))


def _print_table(lines: list[Line], tally: Tally) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cnntool.nets.labels import REST

    table = Table(box=box.SIMPLE)
    for heading in ("class", "pictures", "top-1", "top-5", "top-1 error", "top-5 error"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label, count, *shares in lines:
        if label == "mean over classes":
            table.add_section()
        texts = (f"{share:.2%}" for share in (*shares, *(1 - share for share in shares)))
        table.add_row(Text(console.printable(label)), str(count), *texts)
    Console().print(table)
    if tally.rest:
        found, mistaken, area = tally.rest
        console.result(
            f"{REST}: {found:.2%} of its pictures found, {mistaken:.2%} of the others called so,"
            f" area under the ROC curve {area:.3f}"
        )


def _facts(share: Share) -> dict[str, Any]:
    return {
        "pictures": share.pictures,
        "top1": share.accuracy1,
        "top5": share.accuracy5,
        "top1_error": 1 - share.accuracy1,
        "top5_error": 1 - share.accuracy5,
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return None if isnan(value) else value


class _Confusion:
    """The file of the confusion matrix, if one is wanted; begun before the long work.

    A context manager: leaving it without `write` leaves nothing behind.
    """

    def __init__(self, path: Path | None, *, overwrite: bool) -> None:
        from cnntool.image.atomic import Output

        self._suffix = path.suffix.lower() if path else ""
        if path and self._suffix not in {".csv", ".png"}:
            raise UsageError("a confusion matrix is a .csv or a .png", source="--confusion")
        self._output = Output(path, name=str(path), overwrite=overwrite) if path else None

    def write(self, tally: Tally, plan: Plan) -> None:
        """Write and complete it."""
        if self._output is None:
            return
        from cnntool.nets.classify import name_of

        places = tally.present
        labels = [name_of(plan, place - plan.output.background)[0] for place in places]
        counts = tally.confusion[places][:, places]
        if self._suffix == ".csv":
            data = _csv(counts.tolist(), labels)
        else:
            from cnntool.views.confusion import draw

            data = draw(counts, labels)
        self._output.write(data)
        self._output.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._output is not None:
            self._output.discard()


def _csv(counts: list[list[int]], labels: list[str]) -> bytes:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ answered", *labels])
    writer.writerows([label, *row] for label, row in zip(labels, counts, strict=True))
    return text.getvalue().encode(errors="backslashreplace")
