"""Temporary files of processes that were killed: what is nobody's any more is removed.

A process holds a lock (``flock``) on each temporary file for as long as it has a use for it, and
the system frees the locks of whoever dies. A lock is asked for only on files of this machine, which
their names tell: on some network disks no lock reaches another machine. Where there are no locks
nothing is removed.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from pathlib import Path

_swept: set[Path] = set()


def new_name(folder: Path) -> Path:
    """Choose a name for a temporary file."""
    return folder / f"{_prefix()}{os.urandom(8).hex()}.tmp"


def hold(stream: int) -> int | None:
    """Lock an open file; return what `free` frees, also when the file has been closed.

    Another process may have taken a file that is not locked yet for a dead one's: it has no name
    then (``os.fstat(stream).st_nlink`` is 0).
    """
    try:
        import fcntl
    except ImportError:
        return None
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX)
        return os.dup(stream)
    return None


def free(lock: int | None) -> None:
    """Free what `hold` returned."""
    if lock is not None:
        os.close(lock)


def sweep(folder: Path) -> None:
    """Remove the temporary files of dead processes from a folder, once in a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(ImportError, OSError):
        import fcntl  # noqa: F401 - nothing can be known without locks

        prefix = _prefix()
        with os.scandir(folder) as entries:
            found = [
                e.path for e in entries if e.name.startswith(prefix) and e.name.endswith(".tmp")
            ]
        for path in found:
            with suppress(OSError):
                _remove_if_dead(path)


def _remove_if_dead(path: str) -> None:
    import fcntl

    stream = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(stream).st_mode):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # noqa: PTH108
    finally:
        os.close(stream)


def _prefix() -> str:
    """Return how temporary files of this machine are called."""
    machine = os.uname().nodename if hasattr(os, "uname") else ""
    return f".cnntool-{crc32(os.fsencode(machine)):08x}-"
