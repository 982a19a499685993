"""What a network may take of the machine: memory and processors."""

from __future__ import annotations

import os
from contextlib import suppress

MIB = 1 << 20


def usable_memory() -> int | None:
    """Return the bytes of memory that this process may use, or None where nobody says."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ValueError, OSError), open("/sys/fs/cgroup/memory.max", "rb") as file:  # noqa: PTH123
        found.append(int(file.read()))  # of the container, "max" where it has no limit
    return min(found, default=None)


def default_memory() -> int | None:
    """Return what a network may take unless told otherwise: three quarters of the memory."""
    usable = usable_memory()
    return None if usable is None else usable // 4 * 3


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hold_memory(limit: int) -> None:
    """Let this process take at most ``limit`` bytes, where the system can see to that.

    What counts is memory of its own that it can write to. Address space is no measure: the driver
    of a graphics card reserves more of it than the machine has memory.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
