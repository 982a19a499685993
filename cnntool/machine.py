"""What this process may use of the machine."""

from __future__ import annotations

import os
from contextlib import suppress


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_memory() -> int | None:
    """Return the bytes of memory that this process may use, or None where nobody says."""
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(ValueError, OSError), open("/sys/fs/cgroup/memory.max", "rb") as file:  # noqa: PTH123
        found.append(int(file.read()))  # of the container, "max" where it has no limit
    return min(found, default=None)
