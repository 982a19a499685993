"""What this process may use of the machine."""

from __future__ import annotations

import os
from contextlib import suppress


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(root: str = "/") -> int | None:
    """Return the bytes of memory that the system says can be had now, or None where nobody says.

    Files that are kept in memory for speed count as available. A container has what its own limit
    and those around it leave, if that is less.

    Parameters
    ----------
    root : str
        Where ``proc`` and ``sys`` are.
    """
    found = []
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(KeyError, OSError):
        found.append(_table(f"{root}/proc/meminfo")["MemAvailable"] << 10)
    for folder in _control_groups(root):
        for limit, used in _CONTROL_FILES:
            with suppress(ValueError, OSError):  # a limit may be "max"
                free = _number(f"{folder}/{limit}") - _number(f"{folder}/{used}")
                table = _table(f"{folder}/memory.stat")
                found.append(max(0, free + sum(table.get(key, 0) for key in _REGAINED[limit])))
    return min(found, default=None)


_CONTROL_FILES = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)
"""Limit and use of a control group, in version 2 and 1 of Linux's cgroups."""

_REGAINED = {
    "memory.max": ("inactive_file", "active_file"),
    "memory.limit_in_bytes": ("total_inactive_file", "total_active_file"),
}
"""What of the use is files kept for speed."""


def _control_groups(root: str) -> list[str]:
    """List the folders of the control groups that this process is in, the outermost first."""
    groups: list[str] = []
    lines: list[str] = []
    with suppress(OSError), open(f"{root}/proc/self/cgroup") as file:  # noqa: PTH123
        lines = file.read().splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        folder = f"{root}/sys/fs/cgroup" + ("/memory" if controllers else "")
        groups.append(folder)
        for name in filter(None, path.split("/")):
            folder += f"/{name}"
            groups.append(folder)
    return groups


def _number(path: str) -> int:
    with open(path, "rb") as file:  # noqa: PTH123
        return int(file.read())


def _table(path: str) -> dict[str, int]:
    """Read lines of a name and a number."""
    with open(path) as file:  # noqa: PTH123
        rows = [line.split() for line in file]
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}
