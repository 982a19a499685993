"""Which inputs a command reads, and what its results are called."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import InputError, OutputError, UsageError
from cnntool.image.files import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STDIO = "-"


class Item(NamedTuple):
    """One input: its path (None for stdin), its name for messages, its place under a folder."""

    path: Path | None
    name: str
    relative: Path


def inputs_or_stdin(inputs: Sequence[Path]) -> list[Path]:
    """Return the inputs, or stdin if there are none and something is piped in.

    Raises
    ------
    UsageError
        No inputs, and stdin is a terminal, on which nobody should wait; stdin named twice.
    """
    if not inputs:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("no input", hint="name files or folders, or pipe a picture in")
        return [Path(STDIO)]
    if sum(str(path) == STDIO for path in inputs) > 1:
        raise UsageError("stdin can be read only once")
    return list(inputs)


def expand(inputs: Sequence[Path], *, recursive: bool) -> Iterator[Item]:
    """Yield the files that the inputs stand for; folders give theirs in sorted order.

    Of a folder, the files with a known suffix are taken, hidden ones not; with ``recursive`` those
    of its folders too. Links to folders are not followed.

    Raises
    ------
    InputError
        A folder with no picture in it, or one that cannot be read.
    """
    for path in inputs:
        if str(path) == STDIO:
            yield Item(None, "<stdin>", Path("stdin"))
        elif not path.is_dir():
            yield Item(path, str(path), Path(path.name))
        else:
            yield from _walk(path, recursive=recursive)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Item]:
    suffixes = {suffix for row in FORMATS.values() for suffix in row.suffixes}

    def unreadable(error: OSError) -> None:
        raise InputError(error.strerror or "cannot be read", source=str(error.filename))

    found = False
    for root, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                found = True
                path = Path(root, name)
                yield Item(path, str(path), path.relative_to(folder))
    if not found:
        raise InputError(
            "no pictures or matrices in this folder",
            source=str(folder),
            hint="" if recursive else "--recursive looks into its folders too",
        )


class Naming:
    """Decides where each result goes, and keeps two results from taking one name.

    Parameters
    ----------
    output : str or None
        What the user gave for --output.
    label : str
        Goes into names that the tool chooses, ``img.LABEL.png``.
    several : bool
        Whether there may be more than one input, which makes ``output`` a folder.
    """

    def __init__(self, output: str | None, label: str, *, several: bool) -> None:
        self._output = output
        self._label = label
        self._taken: dict[Path, str] = {}
        separators = tuple(filter(None, (os.sep, os.altsep)))
        self.folder = (
            Path(output)
            if output not in (None, STDIO)
            and (several or output.endswith(separators) or Path(output).is_dir())
            else None
        )
        if several and output == STDIO:
            raise UsageError("several results cannot share stdout", hint="give --output a folder")
        if several and self.folder and not self.folder.is_dir() and self.folder.suffix:
            raise UsageError(
                f"several inputs need a folder to go to, not {output!r}",
                hint=f"write '{output}{os.sep}' if this is one",
            )

    def target(self, item: Item, suffix: str, *, to_stdout: bool) -> Path | None:
        """Return the file for a result, or None for stdout.

        Parameters
        ----------
        item : Item
            The input.
        suffix : str
            Of the result's format, with its dot; for names that the tool chooses.
        to_stdout : bool
            Whether stdout is where this result belongs when no --output says otherwise.
        """
        if self._output == STDIO or (self._output is None and to_stdout):
            return None
        if self.folder is not None:
            target = self.folder / item.relative.with_suffix(suffix)
            _make_folder(target.parent)
        elif self._output is not None:
            target = Path(self._output)
        else:
            target = Path(f"{item.relative.stem}.{self._label}{suffix}")
        before = self._taken.setdefault(target, item.name)
        if before != item.name:
            raise OutputError(
                f"already holds the result of {before}",
                source=str(target),
                hint="give inputs of one name different folders",
            )
        return target

    @property
    def named(self) -> str | None:
        """The file that the user named, if its suffix tells a format."""
        if self._output in (None, STDIO) or self.folder is not None:
            return None
        return self._output if Path(self._output).suffix else None

    @property
    def chosen(self) -> bool:
        """Whether the tool, not the user, chooses the results' names."""
        return self._output is None or self.folder is not None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(error.strerror or "cannot be made", source=str(folder)) from None
