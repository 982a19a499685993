"""The parent's side of the worker: messages to and fro, what it printed, and its end."""

from __future__ import annotations

from _thread import LockType, allocate_lock, start_new_thread
from contextlib import suppress
from typing import TYPE_CHECKING

from cnntool.nets.channel import END_OF_ATTEMPT, END_OF_CHATTER, Message, receive, send
from cnntool.nets.spawn import Process
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE = 0.1
"""Seconds."""

_KEPT = 1 << 16
"""Bytes that are kept of what a worker prints, the last ones."""


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
        self._process: Process | None = None
        self._forget = on_stop(self.kill)
        self._process = Process(environment)
        # The worker is on its way: what is imported from here on costs no time.
        from queue import SimpleQueue
        from threading import Event

        self._printed = b""
        self._explained, self._silent = Event(), Event()
        self._requests: SimpleQueue[Message | None] = SimpleQueue()
        self._answers: SimpleQueue[Message | Exception] = SimpleQueue()
        self._threads = [
            _start(target, self._process) for target in (self._write, self._read, self._listen)
        ]

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

    def close(self) -> None:
        """End it and leave nothing behind: no process, no thread, no open file."""
        self.kill()
        self._requests.put(None)
        while self._threads:
            self._threads.pop().acquire()
        self._forget()

    def _write(self, process: Process) -> None:
        with process.stdin as stream, suppress(OSError):  # gone: the reader says so
            while message := self._requests.get():
                send(stream, message)

    def _read(self, process: Process) -> None:
        with process.stdout as stream:
            try:
                while True:
                    self._answers.put(receive(stream, self.limit))
            except MemoryError as error:
                process.kill()
                self._answers.put(error)
            except Exception as error:  # noqa: BLE001 - the end of the pipe, or what no worker writes
                self._silent.wait(1)  # for its last words
                process.kill()
                gone = GoneError(process.wait())
                gone.__cause__ = error  # told by --debug: this, not its end, came first
                self._answers.put(gone)

    def _listen(self, process: Process) -> None:
        with process.stderr as stream:
            while data := stream.read(_KEPT):
                self._printed = (self._printed + data)[-_KEPT:]
                if END_OF_CHATTER in data:
                    self._explained.set()
        self._explained.set()
        self._silent.set()


def _start(work: Callable[[Process], None], process: Process) -> LockType:
    """Start a thread and return a lock that is free when it has ended.

    `threading.Thread` would wait until the thread runs, behind whatever else is starting up.
    """
    ended = allocate_lock()
    ended.acquire()

    def run() -> None:
        try:
            work(process)
        finally:
            ended.release()

    start_new_thread(run, ())
    return ended
