"""How a download shows itself: lines on stderr, and a bar on a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Self

from cnntool.cli import console
from cnntool.nets.download import Listener
from cnntool.system import on_stop

DELAY = 1.0
"""Seconds before the bar shows."""


class Bar(Listener):
    """Shows one download, on a terminal only and only if it takes longer than a second."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._born = time.monotonic()
        self._wanted = sys.stderr.isatty() and not console.TALK.quiet
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def note(self, text: str) -> None:
        """Say a line; the bar makes room for it."""
        self._close()
        console.note(text)

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if not self._wanted or time.monotonic() - self._born < DELAY:
            return
        if self._bar is None:
            self._open(total)
        self._bar.update(self._task, completed=done)

    def _open(self, total: int) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        # The line away, the cursor back.
        self._forget = on_stop(lambda: os.write(2, b"\r\x1b[K\x1b[?25h"))
        self._bar.start()
        self._task = self._bar.add_task(self._name, total=total)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._forget()
            self._bar = None
