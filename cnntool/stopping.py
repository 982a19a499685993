"""What must be undone when the process is told to stop. It imports nothing of the project.

A signal may come at any instruction, so nothing is unwound: what would be left behind (a half
written file, a child process, a hidden cursor) registers its undoing here, and the handler runs
it and leaves at once.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED, TERMINATED = 130, 143

_undoings: dict[object, Callable[[], object]] = {}


def on_stop(undo: Callable[[], object]) -> Callable[[], None]:
    """Have ``undo`` called if the process is told to stop.

    Parameters
    ----------
    undo : callable
        Takes nothing and must not wait. Register it before there is anything to undo: it must do
        no harm then, or twice. An `OSError` of its own is ignored.

    Returns
    -------
    callable
        Forgets ``undo``; it may be called more than once.
    """
    key = object()
    _undoings[key] = undo

    def forget() -> None:
        _undoings.pop(key, None)

    return forget


def undo_all() -> None:
    """Undo all that is registered, the latest first."""
    for undo in reversed(list(_undoings.values())):
        with suppress(OSError):
            undo()


def install() -> None:
    """Answer Ctrl-C and SIGTERM from now on; a signal that the caller ignores stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: Any) -> None:  # noqa: ARG001
    undo_all()
    if number == signal.SIGINT:
        with suppress(OSError):
            os.write(2, b"cnntool: error: interrupted\n")
        os._exit(INTERRUPTED)
    os._exit(TERMINATED)
