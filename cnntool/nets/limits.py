"""How much memory and time a network may take."""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cnntool.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20

_LONGEST = 1e8
"""Seconds that a timer of the system can count."""

_AGAIN = 0.05
"""Seconds until the timer speaks again: a finaliser, say, swallows what it raises."""


def inherited() -> int | None:
    """Return the bytes of address space that whoever started this process allows it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if allowed == resource.RLIM_INFINITY else allowed
    return None


def are_kept() -> bool:
    """Return whether this system keeps a process within `hold_memory`.

    Linux does. Windows knows no such limit, and macOS takes no notice of it.
    """
    return sys.platform.startswith("linux")


def hold_memory(limit: int) -> None:
    """Let this process take at most ``limit`` bytes, where the system can see to that.

    What counts is memory of its own that it can write to. Address space is no measure: the driver
    of a graphics card reserves more of it than the machine has memory.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


@contextmanager
def hold_time(seconds: float, name: str) -> Iterator[None]:
    """Let the reading of a network take so many seconds, where the system can see to that.

    It is interrupted by a signal, which only the main thread receives; elsewhere, and on Windows,
    what bounds it is the size of the file and the number of its fields.

    Parameters
    ----------
    seconds : float
        For all that the block does.
    name : str
        What errors call the network.

    Raises
    ------
    ModelError
        It takes longer.
    """
    import signal
    from threading import current_thread, main_thread

    if not hasattr(signal, "setitimer") or current_thread() is not main_thread():
        yield
        return

    def late(*_: Any) -> None:
        raise ModelError(
            f"it was not read within {seconds:g} s",
            source=name,
            hint="`timeout` SECONDS allows more",
        )

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST), _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
