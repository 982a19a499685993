"""Pager: one text after another on a terminal; a key, or a pause, brings the next."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cnntool.cli import console
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PROMPT = "any key: next   q: quit"
END = ("q", "Q", "\x1b", "\x03", "\x04", "")
"""Keys that end it: q, Escape, Ctrl-C where it is no signal, Ctrl-D, and no more keys."""


def interactive() -> bool:
    """Whether somebody looks on and may press a key."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def show(texts: Iterable[str], delay: float | None) -> None:
    """Show one text at a time, each in place of the one before.

    Parameters
    ----------
    texts : iterable of str
    delay : float, optional
        Seconds that each stays; without it, a key brings the next, and ``q`` ends.
    """
    with unechoed():
        for text in texts:
            click.clear()
            console.result(text)
            if delay is not None:
                time.sleep(delay)
                continue
            click.echo(f"\n{PROMPT}", err=True, nl=False)
            key = _key()
            click.echo(f"\r{' ' * len(PROMPT)}\r", err=True, nl=False)
            if key in END:
                return


@contextmanager
def unechoed() -> Iterator[None]:
    """Have keys come one at a time and unseen; Ctrl-C remains a signal."""
    if sys.platform == "win32":
        yield
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def restore() -> None:
        termios.tcsetattr(terminal, termios.TCSANOW, before)

    forget = on_stop(restore)
    try:
        tty.setcbreak(terminal, termios.TCSANOW)
        yield
    finally:
        restore()
        forget()


def _key() -> str:
    """Wait for a key; nothing if the terminal went away."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch()
    return os.read(sys.stdin.fileno(), 16).decode(errors="replace")
