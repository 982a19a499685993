"""Notes, errors and progress: what people see beside results, all of it on stderr."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import contextmanager, suppress
from operator import length_hint
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

import click

from cnntool.errors import UsageError
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Talk:
    """How much the user wants to hear."""

    quiet = False
    verbose = False
    debug = False
    held: list[str] | None = None
    heard: list[tuple[str, str]] | None = None


TALK = Talk()
_said: set[str] = set()


def printable(text: str) -> str:
    """Escape what would break one line of a terminal: control codes and undecodable bytes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


OPTIONS = {"deviation": "--std", "columns": "--cols", "kernels": "--kernel", "path": "-o",
           "layers": "--layer", "everything": "--all", "target": "--class"}  # fmt: skip
"""Parameters whose option has another name."""

_PARAMETER = re.compile(r"(?<![^\s('])`([a-z][a-z0-9_]*)(?:=([^`]*))?`(?=[,:;.)']*(?:\s|$))")


def as_options(text: str) -> str:
    """Write the parameters of a text as options: `` `border=wrap` `` becomes ``--border wrap``."""

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        flag = OPTIONS.get(name) or "--" + name.replace("_", "-")
        return flag if value in (None, "True") else f"{flag} {value}"

    return _PARAMETER.sub(option, text)


def begin_to_hear() -> None:
    """Keep what is said as (kind, text) in ``TALK.heard``, and begin anew to say a note once."""
    _said.clear()
    TALK.heard = []


def heard() -> list[tuple[str, str]]:
    """Return what was said since this was asked last, where that is kept."""
    if TALK.heard is None:
        return []
    found, TALK.heard = TALK.heard, []
    return found


def _say(kind: str, text: str) -> None:
    if TALK.heard is not None:
        TALK.heard.append((kind, text))
        return
    if kind == "hint":  # of a thousand errors it is the same one
        if text in _said:
            return
        _said.add(text)
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
    """Print the one line of an error, and its hint unless it was said; with --debug all of it."""
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


def check_no_terminal() -> None:
    """Refuse to print what is no text where people read.

    Raises
    ------
    UsageError
        Stdout is a terminal.
    """
    if sys.stdout.isatty():
        raise UsageError(
            "the result is no text for a terminal", hint="give --output FILE, or pipe it on"
        )


class _Aside:
    """A stream on a terminal, before which the progress line makes way for what is written."""

    def __init__(self, stream: Any, line: Progress) -> None:
        self._stream = stream
        self._line = line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> _Aside:
        """The bytes underneath."""
        return _Aside(self._stream.buffer, self._line)

    def write(self, data: Any) -> Any:
        """Write to the terminal at once."""
        with self._line.away():
            written = self._stream.write(data)
            self._stream.flush()
            self._line.may_return = data[-1:] in ("\n", b"\n")
        return written


class Progress:
    """A line on stderr that says how far the work is: on a terminal only, and after a moment.

    A thread keeps it moving however long one item takes; what is written on the terminal meanwhile
    pushes it away.

    Parameters
    ----------
    what : str
        What is being done.
    megabytes : bool
        Whether bytes are counted, not items.

    Attributes
    ----------
    may_return : bool
        Whether what was written last ended its line.
    """

    DELAY = 0.5
    _STEP = 0.1
    _BAR = 20

    def __init__(self, what: str, *, megabytes: bool = False) -> None:
        self._what = printable(what)
        self._megabytes = megabytes
        self._born = time.monotonic()
        self._due = self._born + self.DELAY
        self._done, self._total = 0, 0
        self._shown = False
        self.may_return = True
        self._lock = RLock()
        self._ended = Event()
        self._stream: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not TALK.quiet:
            self._streams = sys.stdout, sys.stderr
            self._stream = sys.stderr
            self._forget = on_stop(self._vanish)
            sys.stdout, sys.stderr = (
                cast("TextIO", _Aside(stream, self)) if stream.isatty() else stream
                for stream in self._streams
            )
            self._clock = Thread(target=self._run, daemon=True)
            self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._ended.set()
            self._clock.join()
            self._erase()
            self._stream = None
            sys.stdout, sys.stderr = self._streams
            self._forget()

    def track(self, items: Iterable[Any], of: Any = None) -> Iterator[Any]:
        """Yield the items and show how many are done.

        How many there are is shown if they tell (``len`` or ``__length_hint__``), or else ``of``.
        """
        total = length_hint(items) or length_hint(of)
        self.reach(0, total)
        for done, item in enumerate(items):
            self.reach(done, total)
            yield item

    def reach(self, done: int, total: int = 0, what: str = "") -> None:
        """Show how much is done, and of what; ``total`` is 0 where it is not known."""
        self._done, self._total = done, total
        self._what = printable(what) or self._what
        self._draw()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the line away while something is written."""
        with self._lock:
            self._erase()
            yield

    def _run(self) -> None:
        while not self._ended.wait(self._STEP):
            self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        with self._lock:
            if self._stream is None or now < self._due or not self.may_return:
                return
            self._due = now + self._STEP
            self._shown = True
            self._put(f"\r\x1b[K{self._text(now - self._born)[: self._width() - 1]}")

    def _erase(self) -> None:
        if self._shown:
            self._shown = False
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()

    def _vanish(self) -> None:
        """Leave a clean line behind, for good: the lock is kept."""
        self._lock.acquire(timeout=self._STEP)
        if self._shown:
            os.write(2, b"\r\x1b[K")

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _text(self, seconds: float) -> str:
        parts = [f"{'|/-+'[int(seconds / self._STEP) % 4]} {self._what}"]
        done, total, unit = f"{self._done:,}", f"{self._total:,}", ""
        if self._megabytes:
            done, total = (f"{count / 1e6:.1f}" for count in (self._done, self._total))
            unit = f" MB, {self._done / 1e6 / seconds:.1f} MB/s"
        if self._total > 1:
            filled = self._BAR * min(self._done, self._total) // self._total
            parts += [f"[{'#' * filled:-<{self._BAR}}]", f"{done} of {total}{unit}"]
        elif self._done:
            parts.append(done)
        minutes, rest = divmod(int(seconds), 60)
        return "  ".join([*parts, f"{minutes}:{rest:02}"])
