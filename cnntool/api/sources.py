"""Inputs: the files that names and folders stand for."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import InputError
from cnntool.image.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

STDIO = "-"


class Item(NamedTuple):
    """One input: its path (None for stdin), its name for messages, its place under a folder.

    An input that could not even be listed carries the ``error`` to report in its place.
    """

    path: Path | None
    name: str
    relative: Path
    error: InputError | None = None


def is_folder(path: Path | str) -> bool:
    """Return whether a path is a folder; of one that cannot be looked at, no."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where it may not look


def expand(
    inputs: Sequence[Path],
    *,
    recursive: bool,
    results: Path | None = None,
    matrices: bool = True,
) -> Iterable[Item]:
    """Return the files that the inputs stand for; folders give theirs in sorted order.

    Of a folder, the files with a known suffix are taken, hidden ones not; with ``recursive`` those
    of its folders too, but not ``results``, where the command writes; matrices only if wanted.
    Links to folders are not followed. A folder with no picture in it, or one that cannot be read,
    gives an item with an error; so does what is no file in it, such as a pipe, for which one might
    wait forever. How many there are is known, unless a tree of folders is walked through.
    """
    found = _each(inputs, recursive=recursive, results=results, matrices=matrices)
    return found if recursive else list(found)


def _each(
    inputs: Sequence[Path], *, recursive: bool, results: Path | None, matrices: bool
) -> Iterator[Item]:
    for path in inputs:
        if str(path) == STDIO:
            yield Item(None, "<stdin>", Path("stdin"))
        elif not is_folder(path):
            yield Item(path, str(path), Path(path.name))
        else:
            yield from _walk(path, recursive=recursive, results=results, matrices=matrices)


def _walk(folder: Path, *, recursive: bool, results: Path | None, matrices: bool) -> Iterator[Item]:
    rows = [row for row in FORMATS.values() if matrices or not row.matrix]
    suffixes = {suffix for row in rows for suffix in row.suffixes}
    skipped = results.resolve() if results else None
    unreadable: list[OSError] = []
    found = deeper = False
    for root, folders, files in os.walk(folder, onerror=unreadable.append):
        deeper |= bool(folders)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and Path(root, name).resolve() != skipped
        )
        for name in sorted(files):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                found = True
                path = Path(root, name)
                if _is_special(path):
                    yield _bad(path, "no regular file")
                else:
                    yield Item(path, str(path), path.relative_to(folder))
    for error in unreadable:
        yield _bad(Path(error.filename), (error.strerror or "cannot be read").lower())
    if not found and not unreadable:
        hint = "`recursive` looks into its folders too" if deeper and not recursive else ""
        what = "pictures or matrices" if matrices else "pictures"
        yield _bad(folder, f"no {what} in this folder", hint)


def _is_special(path: Path) -> bool:
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # the reader will say what is wrong
        return False


def _bad(folder: Path, reason: str, hint: str = "") -> Item:
    error = InputError(reason, source=str(folder), hint=hint)
    return Item(None, str(folder), Path(folder.name), error)


def files_of(folder: str | os.PathLike[str]) -> list[Path]:
    """List the pictures that a folder holds, or the one file.

    Raises
    ------
    InputError
        There are none, or the folder cannot be read.
    """
    found = []
    for item in expand([Path(folder)], recursive=False, matrices=False):
        if item.error is not None:
            raise item.error
        found.append(item.path or Path(item.name))
    return found
