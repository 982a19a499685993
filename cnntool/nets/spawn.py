"""Start the worker's process with three pipes, and stop it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Started = tuple[int, Any, Sequence[FileIO]]

# The worker imports the very package that starts it, installed or not; -P keeps out whatever lies
# in the working folder.
_BOOT = (
    "import sys; house = sys.modules['cnntool'] = type(sys)('cnntool'); "
    "house.__path__ = sys.argv[1:]; from cnntool.nets import worker; worker.main()"
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

_PIPE = 1 << 20
"""Bytes that a pipe should hold: a picture of 224 x 224 in one piece."""


class Process:
    """A process that runs ``cnntool.nets.worker``.

    It has a process group of its own, so that Ctrl-C reaches its parent only.

    Parameters
    ----------
    environment : dict of str
        Added to the parent's.

    Attributes
    ----------
    pid : int
    stdin, stdout, stderr : FileIO
        Our ends of its pipes.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, "-P", "-c", _BOOT, _PACKAGE]
        start = _spawn if hasattr(os, "posix_spawn") else _popen
        self._exit: int | None = None
        self.pid, self._handle, pipes = start(command, {**os.environ, **environment})
        self.stdin, self.stdout, self.stderr = pipes
        _widen(pipes)

    def kill(self) -> None:
        """End it at once; it may be gone already."""
        if self._exit is not None:
            return
        if self._handle is not None:
            self._handle.kill()
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end and return its exit code, or minus the signal that ended it."""
        if self._exit is None:
            if self._handle is None:
                self._exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            else:
                self._exit = self._handle.wait()
        return self._exit


def _spawn(command: list[str], environment: dict[str, str]) -> Started:
    """Start it by the system's own call, which spares the import of ``subprocess``."""
    pipes = [os.pipe() for _ in range(3)]
    theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
    ours = [FileIO(pipes[0][1], "w"), FileIO(pipes[1][0]), FileIO(pipes[2][0])]
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(theirs)]
    try:
        pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    finally:
        for end in theirs:
            os.close(end)
    return pid, None, ours


def _popen(command: list[str], environment: dict[str, str]) -> Started:
    from subprocess import PIPE, Popen

    group = 0x200 if os.name == "nt" else 0  # CREATE_NEW_PROCESS_GROUP
    process: Any = Popen(  # noqa: S603 - our own interpreter
        command,
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        bufsize=0,
        creationflags=group,
    )
    return process.pid, process, [process.stdin, process.stdout, process.stderr]


def _widen(pipes: Sequence[FileIO]) -> None:
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in pipes[:2]:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
