"""How much memory a network may take."""

from __future__ import annotations

import sys
from contextlib import suppress

MIB = 1 << 20


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
