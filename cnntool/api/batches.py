"""Batches: many pictures, opened in their order, worked on side by side, handed back in order.

The pixels of all that are under way add up to what one picture may have, so that memory stays
bounded however many there are, and however large.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from cnntool.errors import CnntoolError
from cnntool.image.files import open_reader
from cnntool.processes import DiedError
from cnntool.threads import ordered_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cnntool.api.pictures import Picture
    from cnntool.image.codecs.codec import Reader
    from cnntool.processes import Copies

    Work = Callable[["Opened", Any, int], Any]

O = TypeVar("O", bound="Opened")  # noqa: E741 - what was opened

MANY = 16
"""Pictures from which it pays to copy this process."""


class Opened:
    """A picture whose header was read, or the error with which that failed.

    Sent to another process it is opened anew there.

    Parameters
    ----------
    source : path or binary stream
        None if it is not to be opened.
    name : str
        How errors call it.
    ahead : bool
        Whether its decoding begins at once, on a thread of its own.
    **limits
        See `cnntool.image.files.open_reader`.

    Attributes
    ----------
    error : CnntoolError, MemoryError or None
        What is wrong with it, or with what was to be made of it.
    notes : tuple of str
        What was worth telling before decoding began.
    pixels : int
        How many it has.
    """

    def __init__(self, source: Any, name: str, *, ahead: bool = False, **limits: Any) -> None:
        self.name = name
        self.error: CnntoolError | MemoryError | None = None
        self.notes: tuple[str, ...] = ()
        self.pixels = 0
        self._source, self._limits = source, limits
        self._reader: Reader | None = None
        if source is None:
            return
        try:
            reader = open_reader(source, name=name, **limits)
        except CnntoolError as error:
            self.error = error
            return
        self.notes = reader.info.notes
        self.pixels = reader.info.height * reader.info.width
        if ahead:
            reader.begin()
        self._reader = reader

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self._source, self.name, self._limits)

    @property
    def is_ready(self) -> bool:
        """Whether it can be worked on."""
        return self._reader is not None and self.error is None

    @property
    def is_file(self) -> bool:
        """Whether it may be opened more than once, as streams may not."""
        return isinstance(self._source, (str, os.PathLike))

    def reader(self) -> Reader:
        """Return the reader; raise what kept it from being opened."""
        if self._reader is None:
            assert self.error is not None  # noqa: S101
            raise self.error
        return self._reader

    def whole(self) -> Picture:
        """Read it to its end, and close it."""
        from cnntool.api.pictures import Picture

        with self.reader() as reader:
            values, info = reader.read(), reader.info  # damage is known by now
        return Picture(self.name, info, values)

    def close(self) -> None:
        """Stop decoding."""
        if self._reader is not None:
            self._reader.close()


def _opened(source: Any, name: str, limits: dict[str, Any]) -> Opened:
    return Opened(source, name, **limits)


def side_by_side(
    begun: Iterable[tuple[O, Any]],
    work: Work,
    *,
    jobs: int,
    threads: int,
    most: int,
    copies: Copies | None = None,
    in_turn: Callable[[O, Any], bool] = lambda *_: False,
) -> Iterator[tuple[O, Any, Any]]:
    """Work on pictures, and hand them back in their order.

    Parameters
    ----------
    begun : iterable of (Opened, job)
        Pictures, each with what is to be done with it. The calling thread goes through it, a few
        pictures in front.
    work : callable
        Given a picture, its job and the number of threads that it may use, makes its result. It is
        not asked for pictures that have an error already, and gives them the one it raises.
    jobs : int
        How many are worked on at once: on threads of their own, or in `copies` of this process.
    threads : int
        To compute on; all pictures together.
    most : int
        Pixels that all of them may have together, unless there is but one.
    copies : Copies, optional
        Of this process, for the same work: they do it on files, `jobs` threads wait for them.
    in_turn : callable
        Given a picture and its job: whether the calling thread does it when its turn has come.

    Yields
    ------
    (Opened, job, result)
        The result is None where the picture has an error.
    """

    def attempt(opened: O, job: Any, call: Work) -> Any:
        beside = min(jobs, max(1, most // max(1, opened.pixels)))
        try:
            return call(opened, job, max(1, threads // beside))
        except (CnntoolError, MemoryError) as error:
            opened.error = error
        except DiedError as death:
            reason = f"the process that worked on it has died ({death})"
            hint = "where memory runs out the system kills: `jobs=1` takes the least"
            opened.error = CnntoolError(reason, source=opened.name, hint=hint)
        finally:
            opened.close()
        return None

    def done(task: tuple[O, Any]) -> tuple[O, Any, Any]:
        opened, job = task
        call = work if copies is None or not opened.is_file else copies
        if opened.is_ready and in_turn(opened, job):
            return opened, job, None
        if call is copies or not opened.is_ready:
            opened.close()
        return opened, job, attempt(opened, job, call) if opened.is_ready else None

    tasks = ordered_map(done, begun, jobs, size=lambda task: task[0].pixels, most=most)
    for opened, job, result in tasks:
        late = opened.is_ready and in_turn(opened, job)
        yield opened, job, attempt(opened, job, work) if late else result
