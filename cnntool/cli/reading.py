"""Inputs opened one ahead of their use, so that decoding goes on beside computing."""

from __future__ import annotations

import sys
from collections import deque
from operator import length_hint
from typing import TYPE_CHECKING, Self

from cnntool.cli import console
from cnntool.errors import CnntoolError
from cnntool.image.files import open_reader
from cnntool.system import collect_garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cnntool.api.sources import Item
    from cnntool.cli.options import Reading
    from cnntool.image.reader import Reader


class Opened:
    """An input whose decoding has begun, or the error with which that failed.

    Attributes
    ----------
    notes : tuple of str
        What was worth telling before decoding began.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, item: Item, reading: Reading) -> None:
        self.item = item
        self._reader: Reader | None = None
        self._error: CnntoolError | None = item.error
        if item.error is not None:
            return
        source = sys.stdin.buffer if item.path is None else item.path
        try:
            reader = open_reader(source, name=item.name, **reading._asdict())
        except CnntoolError as error:
            self._error = error
            return
        self.notes = reader.info.notes
        reader.begin()
        self._reader = reader

    def reader(self) -> Reader:
        """Return the reader; raise what kept it from being opened."""
        if self._reader is None:
            assert self._error is not None  # noqa: S101
            raise self._error
        return self._reader

    def close(self) -> None:
        """Stop decoding."""
        if self._reader is not None:
            self._reader.close()


class Ahead:
    """Iterates over opened inputs and keeps the next one decoding.

    Parameters
    ----------
    items : iterable of Item
        What to open.
    reading : Reading
        How.
    """

    def __init__(self, items: Iterable[Item], reading: Reading) -> None:
        self._count = length_hint(items)
        self._items = iter(items)
        self._reading = reading
        self._open: deque[Opened] = deque()
        self._fill()

    def _fill(self) -> None:
        item = next(self._items, None)
        if item is not None:
            self._open.append(Opened(item, self._reading))

    def __length_hint__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Opened]:
        while self._open:
            self._fill()
            opened = self._open.popleft()
            yield opened
            opened.close()

    def each(self, work: Callable[[Opened], None], doing: str) -> int:
        """Do the work on every input; a bad one is reported and the others go on.

        Parameters
        ----------
        work : callable
        doing : str
            What the progress line says.

        Returns
        -------
        int
            0, the exit code of the error of an only input, or 1 if some of several failed.
        """
        collect_garbage()  # what is garbage from here on may be much: there may be 100,000 pictures
        codes = []
        with console.Progress(doing) as progress:
            for opened in progress.track(self):
                try:
                    with console.notes_on_success():
                        work(opened)
                    codes.append(0)
                except CnntoolError as error:
                    error.source = error.source or opened.item.name
                    console.error(str(error), error.hint)
                    codes.append(error.exit_code)
                except MemoryError:
                    console.error(f"{opened.item.name}: not enough memory")
                    codes.append(CnntoolError.exit_code)
        return codes[0] if len(codes) == 1 else int(any(codes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.popleft().close()
