"""``cnntool evaluate``: how often a network is right."""

from __future__ import annotations

import sys
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any, Self

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.opening import begin, facts_of, model_option, opened
from cnntool.cli.pictures import Pictures, Reading, reading
from cnntool.cli.preprocessing import labels, output_name, preprocessing
from cnntool.cli.running import running
from cnntool.errors import FigureError, InputError, ModelError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from cnntool.api.evaluation import Evaluation
    from cnntool.nets.evaluate import Share
    from cnntool.nets.recipes import Overrides
    from cnntool.nets.session import Settings


@click.command("evaluate")
@click.argument("photos", metavar="DIR|CSV", type=param_types.FILE)
@model_option
@click.option(
    "--min-top1", type=param_types.SHARE, help="Exit with 7 if the top-1 accuracy is lower."
)
@click.option(
    "--confusion",
    type=param_types.FILE,
    metavar="FILE",
    help="Write what was taken for what: a table (.csv) or a picture (.png).",
)
@options.overwrite
@preprocessing(output_name, labels)
@options.batch
@reading
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
    reading: Reading,
    as_json: bool,
    overrides: Overrides,
    settings: Settings,
) -> int:
    """Measure how often a network is right.

    DIR has a folder for each class, named by its label, its index or its WordNet id; the folder
    'other' is the class 'something else', where a network has it. CSV has a picture and its class
    in each line; paths are relative to the file.
    """
    from cnntool.api.evaluation import evaluate, read_truths
    from cnntool.cli.classify import answers
    from cnntool.nets.preprocess import prepare
    from cnntool.nets.spec import CLASSES

    with (
        _Confusion(confusion, overwrite=overwrite) as matrix,
        opened(model, overrides, settings, CLASSES) as (network, plan),
    ):
        begin(network, plan)
        truths = read_truths(photos, plan)
        pictures = Pictures(truths, partial(prepare, spec=plan.input), reading)
        found = evaluate(
            plan,
            truths,
            (
                (loaded.item, scores)
                for loaded, scores in answers(network, plan, pictures, batch=batch, many=True)
            ),
            str(photos),
        )
        if found is None:
            if pictures.code > 1:  # there was but one, and what is wrong with it was said
                return pictures.code
            if pictures.last == ModelError.exit_code:
                raise ModelError(f"it has no scores for any picture of {photos}", source=model)
            raise InputError("no picture could be read", source=str(photos))
        if as_json:
            _print_record(found, facts_of(network, plan))
        elif sys.stdout.isatty():
            _print_table(found)
        else:
            _print_lines(found)
        matrix.write(found)
        top1 = found.total.accuracy1
        if min_top1 is not None and top1 < min_top1:
            raise FigureError(f"top-1 accuracy is {top1:.2%}, and {min_top1:.2%} was demanded")
        return pictures.code


def _print_record(found: Evaluation, facts: dict[str, Any]) -> None:
    import json

    mean1, mean5 = found.class_mean
    rest = found.rest and {key: _number(share) for key, share in found.rest._asdict().items()}
    record = {
        **facts,
        **_facts(found.total),
        "class_mean": {"top1": _number(mean1), "top5": _number(mean5)},
        "rest": rest,
        "classes": [{"label": label, **_facts(share)} for label, share in found.classes],
    }
    console.result(json.dumps(record))


Line = tuple[str, int, float, float]
"""A label, how many pictures or classes, top-1 and top-5 accuracy."""


def _lines(found: Evaluation) -> list[Line]:
    from cnntool.nets.labels import REST

    shares = [(label, one.pictures, one.accuracy1, one.accuracy5) for label, one in found.classes]
    counted = sum(label != REST for label, _ in found.classes)
    total = found.total
    return [
        *shares,
        ("mean over classes", counted, *found.class_mean),
        ("all", total.pictures, total.accuracy1, total.accuracy5),
    ]


def _print_lines(evaluation: Evaluation) -> None:
    from cnntool.nets.labels import REST

    if evaluation.rest:
        found, mistaken, area = evaluation.rest
        for name, share in (("found", found), ("mistaken", mistaken), ("ROC area", area)):
            console.result(f"{REST}, {name}\t\t{share:.6g}\t\t\t")
    for label, count, *shares in _lines(evaluation):
        numbers = (*shares, *(1 - share for share in shares))
        console.result("\t".join([label, str(count), *(f"{number:.6g}" for number in numbers)]))


def _print_table(evaluation: Evaluation) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cnntool.nets.labels import REST

    table = Table(box=box.SIMPLE)
    for heading in ("class", "pictures", "top-1", "top-5", "top-1 error", "top-5 error"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for label, count, *shares in _lines(evaluation):
        if label == "mean over classes":
            table.add_section()
        texts = (f"{share:.2%}" for share in (*shares, *(1 - share for share in shares)))
        table.add_row(Text(console.printable(label)), str(count), *texts)
    Console().print(table)
    if evaluation.rest:
        found, mistaken, area = evaluation.rest
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

    def write(self, found: Evaluation) -> None:
        """Write and complete it."""
        if self._output is None:
            return
        labels = list(found.labels)
        if self._suffix == ".csv":
            data = _csv(found.confusion.tolist(), labels)
        else:
            from cnntool.views.confusion import draw

            data = draw(found.confusion, labels)
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
