"""What the process may use of the machine, what it must undo when told to stop, and whose it is.

A signal may come at any instruction, so nothing is unwound: what would be left behind (a half
written file, a child process, a hidden cursor) registers its undoing here, and the handler runs
it and leaves at once. Only a process that is the command's own is treated so, see `take_over`.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED, TERMINATED = 130, 143

_undoings: dict[object, Callable[[], object]] = {}
_own = False
_owner: int | None = None


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


def take_over() -> None:
    """Make this process the command's own: answer Ctrl-C and SIGTERM, and collect no garbage.

    Who imports the package calls it never: signals, the garbage collector and the settings of
    other libraries are the host's then. A signal that the caller ignores stays ignored. Nothing
    that start-up creates is garbage, and looking for it takes a tenth of a small command.
    """
    global _own  # noqa: PLW0603 - a process has one owner
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    import gc

    gc.disable()
    _own = True


def is_own() -> bool:
    """Return whether the process is the command's own, so that `take_over` was called."""
    return _own


def collect_garbage() -> None:
    """Look for garbage from here on, where `take_over` ended that: it may become much."""
    if _own:
        import gc

        gc.freeze()
        gc.enable()


def obey() -> None:
    """Make a process that was copied from this one its servant, that ends when it is told to.

    It has nothing to undo yet. Ctrl-C is for who copied it, which tells it by SIGTERM.
    """
    global _owner  # noqa: PLW0603 - a process has one owner
    _owner = os.getppid()
    _undoings.clear()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)


def is_left() -> bool:
    """Return whether who copied this process was killed: another run may be at its work."""
    return _owner is not None and os.getppid() != _owner


def _stop(number: int, frame: Any) -> None:  # noqa: ARG001
    undo_all()
    if number == signal.SIGINT:
        with suppress(OSError):
            os.write(2, b"cnntool: error: interrupted\n")
        os._exit(INTERRUPTED)
    os._exit(TERMINATED)


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


def inherited_memory() -> int | None:
    """Return the bytes of address space that whoever started this process allows it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        return None if allowed == resource.RLIM_INFINITY else allowed
    return None


def keeps_memory() -> bool:
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
