"""Pictures whose classes are known: a folder for each class, or a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cnntool.api.sources import Item, expand, is_folder
from cnntool.errors import InputError, ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.nets.assume import Plan

HEADINGS = {"path", "file", "filename", "image", "picture", "photo", "name"}
"""First cells by which the heading of a table is told from its first picture."""

LARGEST = 64 << 20
"""Bytes of the largest table that is read: about a million pictures."""


def read_truths(photos: Path, plan: Plan) -> dict[Item, int]:
    """Return every picture with the index of its class.

    Parameters
    ----------
    photos : Path
        A folder of folders, each named as a class, or a CSV of pictures and classes; its paths are
        relative to it, and its first row may be a heading.
    plan : Plan
        Knows the classes.

    Raises
    ------
    InputError
        It cannot be read, or names no picture.
    ModelError
        A class that the network does not have.
    UsageError
        A picture of two classes.
    """
    named = list(_folders(photos) if is_folder(photos) else _table(photos))
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
        if text.isdecimal() and len(text) < 9:
            return int(text)
        raise ModelError(
            f"nothing tells which class {text!r} is", source=source, hint="give --labels FILE"
        )
    try:
        return plan.labels.find(text)
    except ModelError as error:
        raise ModelError(error.message, source=source, hint=error.hint) from None


def _folders(photos: Path) -> Iterator[tuple[Item, str, str]]:
    try:
        inside = sorted(photos.iterdir())
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(reason, source=str(photos)) from None
    folders = [path for path in inside if is_folder(path) and not path.name.startswith(".")]
    if not folders:
        raise InputError(
            "no folders in it", source=str(photos), hint="each class has a folder of its name"
        )
    for folder in folders:
        for item in expand([folder], recursive=True, matrices=False):
            yield item, folder.name, str(folder)


def _table(photos: Path) -> Iterator[tuple[Item, str, str]]:
    import csv
    import io

    rows: list[list[str]] = []
    try:
        for row in filter(None, csv.reader(io.StringIO(_text(photos), newline=""))):
            if len(row) != 2:
                raise InputError(
                    f"row {len(rows) + 1} has {len(row)} cells; a picture and its class are wanted",
                    source=str(photos),
                )
            rows.append(row)
    except csv.Error as error:
        raise InputError(str(error).lower(), source=str(photos)) from None
    if rows and rows[0][0].strip().lower() in HEADINGS:
        del rows[0]
    if not rows:
        raise InputError("no pictures are named in it", source=str(photos))
    for row in rows:
        path = photos.parent / row[0].strip()
        yield Item(path, str(path), Path(path.name)), row[1].strip(), str(photos)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(reason, source=str(path)) from None
    if len(content) > LARGEST:
        raise InputError(f"is larger than {LARGEST >> 20} MB", source=str(path))
    if b"\0" in content[:512]:
        raise InputError("this is no table of pictures and their classes", source=str(path))
    return content.decode("utf-8-sig", errors="surrogateescape")
