"""Inputs that wait on the disk, cut into shards: there may be ten million of them.

In memory stand where each is in the file, and which shard it belongs to.
"""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntool.image.addresses import Address, is_address
from cnntool.image.files import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnntool.errors import InputError

_BAD, DONE, LEFT = range(3)
"""What can be with an input: it cannot be worked on, was done with before, or is to be done."""


class Spooled(Item):
    """An input that was read from the file.

    Attributes
    ----------
    shard : int
        That of its shard; -1 if it belongs to none.
    state : int
        `DONE`, `LEFT` or neither.
    """

    shard: int
    state: int


def _read(line: bytes, error: InputError | None = None) -> Spooled:
    path, name, relative = json.loads(line.decode())
    found: Any = Path(path) if path else None
    if is_address(path):
        found = Address(path)
        if str(found) != name:
            found = Address(path, apart=True)
    return Spooled(found, name, Path(relative), error)


def listed(file: Path) -> list[Item]:
    """Read what `Spool.write_shard` has written."""
    return [*map(_read, file.read_bytes().splitlines())]


class Spool:
    """Inputs in a file.

    Parameters
    ----------
    file : Path
        Is written anew.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("w+b")
        self._path = file
        self._names, self._ends = array("q"), array("q", [0])
        self._states = bytearray()
        self._faults: dict[int, InputError] = {}

    def add(self, item: Item, name: str, *, done: bool) -> None:
        """Write an input, of which the results may have a name."""
        path = "" if item.path is None else getattr(item.path, "url", str(item.path))
        line = f"{json.dumps([path, item.name, str(item.relative)])}\n".encode()
        self._file.write(line)
        self._ends.append(self._ends[-1] + len(line))
        self._names.append(hash(name))
        if item.error is not None:
            self._faults[len(self._states)] = item.error
        self._states.append(_BAD if item.error else DONE if done else LEFT)

    def cut(self, count: int, least: int, most: int) -> int:
        """Cut what is left into shards; inputs of one name share one, with those that are done.

        Parameters
        ----------
        count : int
            Into how many, where sizes allow that.
        least, most : int
            Inputs of a shard; those that share a name with one come on top.

        Returns
        -------
        int
            How many shards there are.
        """
        import numpy as np

        self._file.flush()
        names, self._names = np.frombuffer(self._names, np.int64), array("q")
        states = np.frombuffer(self._states, np.uint8)
        left, done = np.flatnonzero(states == LEFT), np.flatnonzero(states == DONE)
        known, first, which = np.unique(names[left], return_index=True, return_inverse=True)
        size = min(max(len(known) // count, least), most)
        shards = np.empty_like(first)
        shards[np.argsort(first)] = np.arange(len(first)) // size
        found = np.full(len(names), -1, np.int32)
        found[left] = shards[which]
        if len(known):
            near = np.searchsorted(known, names[done]).clip(max=len(known) - 1)
            same = known[near] == names[done]
            found[done[same]] = shards[near[same]]
        self._shards = found
        self._order = np.argsort(found, kind="stable").astype(np.int32)
        total = int(found.max(initial=-1)) + 1
        self._bounds = np.searchsorted(found[self._order], np.arange(total + 1)).tolist()
        return total

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[Spooled]:
        with self._path.open("rb") as file:
            for place, line in enumerate(file):
                yield self._item(place, line)

    def _item(self, place: int, line: bytes) -> Spooled:
        item = _read(line, self._faults.get(place))
        item.shard, item.state = int(self._shards[place]), self._states[place]
        return item

    def _places(self, number: int) -> list[int]:
        found: list[int] = self._order[self._bounds[number] : self._bounds[number + 1]].tolist()
        return found

    def _line(self, place: int) -> bytes:
        self._file.seek(self._ends[place])
        return self._file.readline()

    def count(self, number: int, state: int) -> int:
        """Return how many inputs of a shard are `DONE`, or `LEFT`."""
        return sum(self._states[place] == state for place in self._places(number))

    def shard(self, number: int, state: int) -> list[Spooled]:
        """Return those inputs, in order."""
        places = [place for place in self._places(number) if self._states[place] == state]
        return [self._item(place, self._line(place)) for place in places]

    def write_shard(self, number: int, file: Path) -> None:
        """Write all inputs of a shard into a file of their own, see `listed`."""
        file.write_bytes(b"".join(map(self._line, self._places(number))))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
