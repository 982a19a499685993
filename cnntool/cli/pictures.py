"""Pictures decoded and prepared ahead on threads of their own, in order; bad ones are reported."""

from __future__ import annotations

import sys
from operator import length_hint
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import console, options
from cnntool.errors import CnntoolError
from cnntool.system import collect_garbage, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cnntool.api.sources import Item
    from cnntool.image.types import ImageInfo

    Prepare = Callable[[Any, ImageInfo], Any]


class Loaded(NamedTuple):
    """A picture that was read: which one it is, what it is, and what was made of it."""

    item: Item
    info: ImageInfo
    made: Any


class Reading(NamedTuple):
    """How pictures are read.

    Attributes
    ----------
    max_pixels : int
        Larger pictures are refused.
    strict : bool
        Whether damage that a decoder can get over is an error.
    fail_fast : bool
        Whether a bad one ends the command; else it is reported and the others go on.
    """

    max_pixels: int
    strict: bool
    fail_fast: bool


reading = options.gathered("reading", Reading, options.reading, options.fail_fast)
"""Adds --fail-fast, --max-pixels and --strict; together: ``reading``."""


class Pictures:
    """The pictures of a command line, ready to be fed to a network.

    Parameters
    ----------
    items : iterable of Item
        What to read.
    prepare : callable
        Makes what is wanted of a picture, see `cnntool.image.reader.Reader.picture`, and of what is
        known of it.
    reading : Reading
        How to read it.

    Attributes
    ----------
    code : int
        The exit code so far: 0, that of the error of an only picture, or 1 if some failed.
    last : int
        The exit code of the last failure; 0 without one.
    """

    def __init__(
        self,
        items: Iterable[Item],
        prepare: Prepare,
        reading: Reading,
    ) -> None:
        self._items = items
        self._prepare = prepare
        self._reading = reading
        self._seen = 0
        self._failed = 0
        self.last = 0

    @property
    def code(self) -> int:
        """The exit code that the pictures deserve so far."""
        return self.last if self._seen == 1 else int(self._failed > 0)

    def __length_hint__(self) -> int:
        return length_hint(self._items)

    def __iter__(self) -> Iterator[Loaded]:
        from cnntool.threads import ordered_map

        collect_garbage()  # there may be 100,000 pictures
        for result in ordered_map(self._load, self._items, usable_cpus()):
            self._seen += 1
            if isinstance(result, Loaded):
                console.notes(result.item.name, result.info.notes)
                yield result
            else:
                self.fail(result)

    def fail(self, error: CnntoolError, *, of: str = "") -> None:
        """Report a bad picture; with ``fail_fast`` end the command with its exit code.

        Parameters
        ----------
        error : CnntoolError
            What is wrong.
        of : str
            The picture, where the error speaks of something else.
        """
        if of:
            error.source = f"{of}: {error.source}"
        if self._reading.fail_fast:
            raise error
        self._failed += 1
        self.last = error.exit_code
        console.error(str(error), error.hint)

    def _load(self, item: Item) -> Loaded | CnntoolError:
        from cnntool.image.files import open_reader

        if item.error is not None:
            return item.error
        source = sys.stdin.buffer if item.path is None else item.path
        most, strict = self._reading.max_pixels, self._reading.strict
        try:
            with open_reader(source, name=item.name, max_pixels=most, strict=strict) as reader:
                made = self._prepare(reader.picture(), reader.info)
                return Loaded(item, reader.info, made)
        except CnntoolError as error:
            error.source = error.source or item.name
            if "`allow_nan`" in error.hint:  # which no command that reads pictures has
                error.hint = ""
            return error
        except MemoryError:
            return CnntoolError("not enough memory", source=item.name)
