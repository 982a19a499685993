"""One process at a time: the others wait for it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PAUSE = 0.1


@contextmanager
def alone(path: Path, *, until: float, on_wait: Callable[[], object]) -> Iterator[bool]:
    """Hold a lock for as long as the block runs.

    The system frees the lock of a process that dies. The file is removed at the end.

    Parameters
    ----------
    path : Path
        The lock's file, in a folder that exists.
    until : float
        The time (`time.monotonic`) when waiting ends.
    on_wait : callable
        Called once if another process holds the lock.

    Yields
    ------
    bool
        Whether it is held. It is not after ``until``, nor where there are no such locks (Windows,
        some network disks): whoever goes on then must do no harm beside others.
    """
    stream = _acquire(path, until=until, on_wait=on_wait)
    if stream is None:
        yield False
        return
    forget = on_stop(path.unlink)
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink()  # before it is freed: no other process can hold it now
        forget()
        os.close(stream)


def _acquire(path: Path, *, until: float, on_wait: Callable[[], object]) -> int | None:
    try:
        import fcntl
    except ImportError:
        return None
    waiting = False
    while True:
        try:
            stream = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, stream):
                return stream
            os.close(stream)  # the last holder removed the file that was opened: once more
            continue
        except BlockingIOError:
            os.close(stream)
        except OSError:
            os.close(stream)
            return None
        if time.monotonic() >= until:
            return None
        if not waiting:
            on_wait()
            waiting = True
        time.sleep(_PAUSE)


def _is(path: Path, stream: int) -> bool:
    """Return whether the open file is still the one that has the name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream))
    except OSError:
        return False
