"""What people see beside results: notes, errors, progress. All of it goes to stderr."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import click

from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType


class Talk:
    """How much the user wants to hear."""

    quiet = False
    verbose = False
    debug = False
    held: list[str] | None = None


TALK = Talk()
_said: set[str] = set()


def printable(text: str) -> str:
    """Escape what would break one line of a terminal: control codes and undecodable bytes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


OPTIONS = {"deviation": "--std", "columns": "--cols", "kernels": "--kernel", "path": "-o"}
"""Parameters whose option has another name."""

_PARAMETER = re.compile(r"(?<![^\s(])`([a-z][a-z0-9_]*)(?:=([^`]*))?`(?=[,:;.)']*(?:\s|$))")


def as_options(text: str) -> str:
    """Write the parameters of a text as options: `` `border=wrap` `` becomes ``--border wrap``."""

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        flag = OPTIONS.get(name) or "--" + name.replace("_", "-")
        return flag if value in (None, "True") else f"{flag} {value}"

    return _PARAMETER.sub(option, text)


def _say(kind: str, text: str) -> None:
    tell(f"cnntool: {kind}: {printable(as_options(text))}")


def tell(text: str) -> None:
    """Write on stderr; where that cannot be written, the work goes on and the exit code tells."""
    with suppress(OSError):
        click.echo(text, err=True)


def note(text: str) -> None:
    """Say something worth knowing, unless --quiet; the same note is said once."""
    if TALK.held is not None:
        TALK.held.append(text)
    elif not TALK.quiet and text not in _said:
        _said.add(text)
        _say("note", text)


def notes(name: str, texts: Iterable[str]) -> None:
    """Say what is worth knowing of a file."""
    for text in texts:
        note(f"{name}: {text}")


@contextmanager
def notes_on_success() -> Iterator[None]:
    """Hold notes back until the work is done: of an input that fails only its error is said."""
    held: list[str] = []
    TALK.held = held
    try:
        yield
    finally:
        TALK.held = None
    for text in held:
        note(text)


def detail(text: str) -> None:
    """Say something that only --verbose asks for."""
    if TALK.verbose:
        _say("info", text)


def error(text: str, hint: str = "") -> None:
    """Print the one line of an error, and a hint line if there is one; with --debug all of it."""
    if TALK.debug:
        import traceback

        tell(traceback.format_exc())
    _say("error", text)
    if hint:
        _say("hint", hint)


def result(text: str) -> None:
    """Print lines of result on stdout.

    File names that are not valid text keep their bytes; a terminal gets no control codes.
    """
    sys.stdout.flush()
    if sys.stdout.isatty():
        text = "\n".join(map(printable, text.split("\n")))
    try:
        data = os.fsencode(text)
    except UnicodeEncodeError:  # a locale of few letters
        data = text.encode(sys.getfilesystemencoding(), "backslashreplace")
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


class Progress:
    """A progress line on stderr: on a terminal only, and only after a second."""

    DELAY = 1.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._born = time.monotonic()
        self._wanted = sys.stderr.isatty() and not TALK.quiet
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._forget()

    def track(self, items: Iterable[Any], total: int | None = None) -> Iterator[Any]:
        """Yield the items and show how many are done, and how many there are if that is known."""
        task = None
        for done, item in enumerate(items):
            if self._wanted and time.monotonic() - self._born > self.DELAY:
                if self._bar is None:
                    self._bar = self._start(counted=total is not None)
                    task = self._bar.add_task(self._what, total=total)
                self._bar.update(task, completed=done)
            yield item

    def _start(self, *, counted: bool) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description} {task.completed}"),
            *([BarColumn(), TextColumn("{task.total}")] if counted else []),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._forget = on_stop(
            lambda: os.write(2, b"\r\x1b[K\x1b[?25h")
        )  # the line away, the cursor back
        bar.start()
        return bar
