"""The worker's process: its start, the messages to and fro, what it printed, and its end."""

from __future__ import annotations

import os
import signal
import sys
from _thread import start_new_thread
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, Any

from cnntool.nets.channel import END_OF_ATTEMPT, END_OF_CHATTER, Message, receive, send
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE = 0.1
"""Seconds."""

_KEPT = 1 << 16
"""Bytes that are kept of what a worker prints, the last ones."""


# The worker imports the very package that starts it, installed or not; -P keeps out whatever lies
# in the working folder.
_BOOT = (
    "import sys; house = sys.modules['cnntool'] = type(sys)('cnntool'); "
    "house.__path__ = sys.argv[1:]; from cnntool.nets import worker; worker.main()"
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

_PIPE = 1 << 20
"""Bytes that a pipe should hold: a picture of 224 x 224 in one piece."""


class LateError(Exception):
    """The worker did not answer in time; it has been killed."""


class GoneError(Exception):
    """The worker has ended.

    Attributes
    ----------
    exit_code : int
        Its exit code, or minus the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Child:
    """A worker, with threads that keep its pipes flowing, so that neither side waits for the other.

    Parameters
    ----------
    environment : dict of str
        Added to its environment.

    Attributes
    ----------
    limit : int or None
        Bytes that one answer may have.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.limit: int | None = None
        self._process: Any = None
        self._forget = on_stop(self.kill)
        self._process = _start(environment)
        # The worker is on its way: what is imported from here on costs no time.
        from queue import SimpleQueue
        from threading import Event

        self._printed = b""
        self._explained, self._silent = Event(), Event()
        self._requests: SimpleQueue[Message | None] = SimpleQueue()
        self._answers: SimpleQueue[Message | Exception] = SimpleQueue()
        # `threading.Thread` would wait until each of them runs, behind whatever else starts up.
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._threads = 3
        for work in (self._write, self._read, self._listen):
            start_new_thread(self._run, (work,))

    def put(self, message: Message) -> None:
        """Send a message; this does not wait."""
        self._requests.put(message)

    def get(self, seconds: float) -> Message:
        """Wait for the next answer.

        Raises
        ------
        LateError
            It did not come within so many seconds.
        GoneError
            It will never come.
        MemoryError
            It has more bytes than it may have.
        """
        from queue import Empty
        from threading import TIMEOUT_MAX

        # Stopped by Ctrl-Z and woken up, it finds its time over before it has looked: look again.
        for patience in (max(0.0, min(seconds, TIMEOUT_MAX)), _GRACE):
            with suppress(Empty):
                answer = self._answers.get(timeout=patience)
                break
        else:
            self.kill()
            raise LateError
        if isinstance(answer, Exception):
            self._answers.put(answer)  # nothing else will ever come
            raise answer
        return answer

    def chatter(self) -> list[str]:
        """Return the last of what it printed, divided by its attempts to open the network."""
        self._explained.wait(1)
        printed = self._printed.replace(END_OF_CHATTER, b"").split(END_OF_ATTEMPT)
        return [part.decode(errors="replace") for part in printed]

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def close(self, *, wait: bool = True) -> None:
        """End it and leave nothing behind: no process, no thread, no open file.

        Parameters
        ----------
        wait : bool
            Whether to wait for that. The garbage collector must not: it may run on any thread,
            these here included.
        """
        self.kill()
        self._requests.put(None)
        while wait and self._threads:
            self._threads -= 1
            self._ended.get()
        self._forget()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._ended.put(None)

    def _write(self) -> None:
        with self._process.stdin as stream, suppress(OSError):  # gone: the reader says so
            while message := self._requests.get():
                send(stream, message)

    def _read(self) -> None:
        with self._process.stdout as stream:
            try:
                while True:
                    self._answers.put(receive(stream, self.limit))
            except MemoryError as error:
                self._process.kill()
                self._answers.put(error)
            except Exception as error:  # noqa: BLE001 - the end of the pipe, or what no worker writes
                self._silent.wait(1)  # for its last words
                self._process.kill()
                gone = GoneError(self._process.wait())
                gone.__cause__ = error  # told by --debug: this, not its end, came first
                self._answers.put(gone)

    def _listen(self) -> None:
        with self._process.stderr as stream:
            while data := stream.read(_KEPT):
                self._printed = (self._printed + data)[-_KEPT:]
                if END_OF_CHATTER in data:
                    self._explained.set()
        self._explained.set()
        self._silent.set()


class _Spawned:
    """As much of ``subprocess.Popen`` as is needed, by the system's own call: no import for it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        self.stdin, self.stdout = FileIO(pipes[0][1], "w"), FileIO(pipes[1][0])
        self.stderr = FileIO(pipes[2][0])
        self._exit: int | None = None
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(theirs)]
        try:
            self.pid = os.posix_spawn(
                command[0], command, environment, file_actions=actions, setpgroup=0
            )
        finally:
            for end in theirs:
                os.close(end)

    def kill(self) -> None:
        """End it at once; it may be gone already."""
        if self._exit is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end and return its exit code, or minus the signal that ended it."""
        if self._exit is None:
            self._exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit


def _start(environment: dict[str, str]) -> Any:
    """Start the worker with three pipes, in a group of its own: Ctrl-C reaches its parent only."""
    command = [sys.executable, "-P", "-c", _BOOT, _PACKAGE]
    environment = {**os.environ, **environment}
    if hasattr(os, "posix_spawn"):
        process: Any = _Spawned(command, environment)
    else:
        from subprocess import PIPE, Popen

        group = 0x200 if os.name == "nt" else 0  # CREATE_NEW_PROCESS_GROUP
        process = Popen(  # noqa: S603 - our own interpreter
            command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0,
            creationflags=group,
        )  # fmt: skip
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in (process.stdin, process.stdout):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    return process
