"""Ordered work on threads: results come in the order of the jobs, in bounded memory.

Made of plain threads: the standard library's pool takes a tenth of a small command's time to
import.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Outbox = SimpleQueue[tuple[Any, BaseException | None]]

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(
    work: Callable[[T], R],
    jobs: Iterable[T],
    threads: int,
    *,
    size: Callable[[T], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[R]:
    """Apply ``work`` to each job on ``threads`` threads and yield the results in order.

    At most ``threads + 1`` jobs are under way, and of all but one their sizes add up to ``most``,
    so memory stays bounded however many there are, and however large. The first exception of a
    job is raised where its result was due. With one thread, or one job, no thread is started.
    """
    jobs = iter(jobs)
    first = list(islice(jobs, 2 if threads > 1 else 0))
    jobs = chain(first, jobs)
    if len(first) < 2:
        yield from map(work, jobs)
        return
    inbox: SimpleQueue[tuple[T, Outbox] | None] = SimpleQueue()
    workers = [Thread(target=_serve, args=(work, inbox), daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    waiting: deque[tuple[int, Outbox]] = deque()
    try:
        for job in jobs:
            own = size(job)
            while waiting and own + sum(held for held, _ in waiting) > most:
                yield _answer(waiting.popleft()[1])
            waiting.append((own, SimpleQueue()))
            inbox.put((job, waiting[-1][1]))
            if len(waiting) > threads:
                yield _answer(waiting.popleft()[1])
        while waiting:
            yield _answer(waiting.popleft()[1])
    finally:
        for _ in workers:
            inbox.put(None)
        for worker in workers:
            worker.join()


def _serve(work: Callable[[Any], Any], inbox: SimpleQueue[tuple[Any, Outbox] | None]) -> None:
    while (item := inbox.get()) is not None:
        job, outbox = item
        try:
            outbox.put((work(job), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            outbox.put((None, error))


def _answer(outbox: Outbox) -> Any:
    result, error = outbox.get()
    if error is not None:
        raise error
    return result


class Prefetcher(Generic[T]):
    """An iterator that runs on a thread of its own, a few items in front of whom it serves.

    Parameters
    ----------
    items : iterator
        Its exception is raised where the next item was due.
    ahead : int
        How many items may wait to be taken.
    """

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items = items
        self._free = Semaphore(ahead)
        self._outbox: Outbox = SimpleQueue()
        self._stopped = False
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        end: BaseException = StopIteration()
        try:
            for item in self._items:
                self._free.acquire()
                if self._stopped:
                    return
                self._outbox.put((item, None))
        except BaseException as error:  # noqa: BLE001 - raised where the item is wanted
            end = error
        self._outbox.put((None, end))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return self.take()

    def take(self, seconds: float | None = None) -> T:
        """Return the next item.

        Parameters
        ----------
        seconds : float, optional
            How long to wait for it; without, as long as it takes.

        Raises
        ------
        TimeoutError
            It is not there in time.
        StopIteration
            There is none; what the items raised in place of it is raised likewise.
        """
        try:
            item, end = self._outbox.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        if end is not None:
            self._outbox.put((None, end))  # nothing else will ever come
            raise end
        self._free.release()
        return cast("T", item)

    def stop(self, *, wait: bool = True) -> None:
        """End the thread as soon as it has made an item, and wait for that if wanted."""
        self._stopped = True
        self._free.release()
        if wait:
            self._thread.join()


def apart(work: Callable[[T], R]) -> Callable[[T], R]:
    """Have each job done on a thread of its own.

    One call may take many seconds, in which the main thread would be deaf to signals.
    """

    def call(job: T) -> R:
        alone = Prefetcher(map(work, (job,)), 1)
        try:
            return alone.take()
        finally:
            alone.stop()

    return call
