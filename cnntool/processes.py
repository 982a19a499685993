"""Work in copies of this process: what holds the interpreter is done side by side there.

A copy (``fork``) is there in a millisecond and knows all that this process does: nothing is
imported again, and only jobs and results pass through pipes. It is sound only in a process of our
own in which no other thread runs, see `can_copy`.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import sys
import time
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cnntool.system import is_left, is_own, obey, on_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_GRACE = 0.5
"""Seconds that a copy has to end when it is told to."""

_STOPS = (signal.SIGINT, signal.SIGTERM)


def can_copy() -> bool:
    """Return whether this process may be copied: nobody else's, on Linux, of one thread."""
    return sys.platform.startswith("linux") and is_own() and not _thread._count()  # noqa: SLF001


class DiedError(Exception):
    """A copy has ended before its work was done; the message says by what."""


Outcome = tuple[Any, BaseException | None]
"""What the function has returned, and what it has raised."""


class Copies:
    """Copies of this process: to call it is to have one of them call the function several times.

    As many threads may call it at once as there are copies. One that dies is replaced.

    Parameters
    ----------
    work : callable
        The function. What it is given, returns and raises must be such as `pickle` can send.
    count : int
        How many copies.
    """

    def __init__(self, work: Callable[..., Any], count: int) -> None:
        self._work = work
        self._lock = Lock()
        self._all: set[_Copy] = set()
        self._idle: SimpleQueue[_Copy] = SimpleQueue()
        self._forget = on_stop(self._end)
        for _ in range(count):
            self._add()

    def _add(self) -> None:
        with self._lock:  # or another copy would hold the pipes of this one open
            copy = _Copy(self._work)
            self._all.add(copy)
        self._idle.put(copy)

    def __call__(self, jobs: Sequence[tuple[Any, ...]]) -> list[Outcome]:
        """Have one of the copies call the function with the arguments of each job, in order.

        Returns
        -------
        list of (object, exception or None)
            Its result and its error for each job. A `DiedError` is that of the one job in which its
            copy has died: another one goes on with the next.
        """
        outcomes: list[Outcome] = []
        copy = self._idle.get()
        while len(outcomes) < len(jobs):
            try:
                for outcome in copy.ask(jobs[len(outcomes) :]):
                    outcomes.append(outcome)  # noqa: PERF402 - of one that dies the first count
            except (OSError, EOFError, pickle.UnpicklingError):
                with self._lock:
                    self._all.discard(copy)
                outcomes.append((None, DiedError(copy.close())))
                self._add()
                copy = self._idle.get()
        self._idle.put(copy)
        return outcomes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        for copy in self._all:
            copy.close()
        self._forget()

    def _end(self) -> None:
        """End all copies, which undo what they have begun; what does not end in time is killed."""
        copies = list(self._all)
        for copy in copies:
            copy.tell(signal.SIGTERM)
        late = time.monotonic() + _GRACE
        for copy in copies:
            while not copy.has_ended() and time.monotonic() < late:
                time.sleep(0.001)
            copy.tell(signal.SIGKILL)


class _Copy:
    """A copy of this process, and the pipes to it."""

    def __init__(self, work: Callable[..., Any]) -> None:
        inbox, to = os.pipe()
        answers, outbox = os.pipe()
        self._status: int | None = None
        # What this process does when it is stopped is not for the copy to do.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            self._id = os.fork()
            if not self._id:
                obey()
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                os.close(to)
                os.close(answers)
                _serve(work, inbox, outbox)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(inbox)
        os.close(outbox)
        self._to, self._answers = os.fdopen(to, "wb"), os.fdopen(answers, "rb")

    def ask(self, jobs: Sequence[tuple[Any, ...]]) -> Iterator[Outcome]:
        """Send what the function is to be given, and wait for each outcome."""
        pickle.dump(jobs, self._to)
        self._to.flush()
        for _ in jobs:
            yield pickle.load(self._answers)  # noqa: S301 - a copy of this very process

    def tell(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if not self.has_ended():
            with suppress(ProcessLookupError):
                os.kill(self._id, number)

    def has_ended(self) -> bool:
        """Tell whether it has ended."""
        if self._status is None:
            try:
                found, status = os.waitpid(self._id, os.WNOHANG)
            except ChildProcessError:  # another thread was told
                found, status = self._id, 0
            self._status = status if found else None
        return self._status is not None

    def close(self) -> str:
        """Close the pipes to a copy that ends; say by what it has ended."""
        with suppress(OSError):
            self._to.close()
        self._answers.close()
        while not self.has_ended():
            time.sleep(0.001)
        code = os.waitstatus_to_exitcode(self._status or 0)
        return f"signal {-code}, {signal.strsignal(-code)}" if code < 0 else f"exit code {code}"


def _serve(work: Callable[..., Any], inbox: int, outbox: int) -> NoReturn:
    """Call the function until nobody will ask again: the process that does has ended."""
    with suppress(BaseException), os.fdopen(inbox, "rb") as asked, os.fdopen(outbox, "wb") as told:
        while True:
            for arguments in pickle.load(asked):  # noqa: S301
                if is_left():
                    os._exit(0)
                outcome: Outcome
                try:
                    outcome = work(*arguments), None
                except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
                    outcome = None, error
                pickle.dump(outcome, told)
                told.flush()
    os._exit(0)
