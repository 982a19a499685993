"""Arrays in a temporary file that this process and its workers see: no pipe has to carry them."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from cnntool.nets.runtime.protocol import write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from io import FileIO

    from numpy.typing import NDArray

_ALIGNED = 64
"""Bytes: arrays begin where onnxruntime would let them begin."""


class Stored(NamedTuple):
    """Where an array lies in a file, the last axis running fastest.

    Parameters
    ----------
    offset : int
        Where it begins.
    dtype : str
        Its type in numpy's words.
    shape : tuple of int
        Its shape.
    """

    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """Where it ends."""
        import numpy as np

        size = np.dtype(self.dtype).itemsize
        for extent in self.shape:
            size *= extent
        return self.offset + size


def store(file: FileIO, offset: int, arrays: Iterable[NDArray[Any]]) -> list[Stored]:
    """Write arrays into a file, one behind the other, from an offset on.

    Raises
    ------
    OSError
        The disk is full.
    """
    import numpy as np

    places = []
    for array in arrays:
        place = Stored(-(-offset // _ALIGNED) * _ALIGNED, array.dtype.str, array.shape)
        file.seek(place.offset)
        write(file, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        offset = place.end
        places.append(place)
    return places


def mapped(file: FileIO, places: Sequence[Stored]) -> list[NDArray[Any]]:
    """Return arrays of a file as they lie there, not to be written to.

    Their pages are in memory when they are looked at; when the arrays are forgotten, they are not.
    """
    import numpy as np

    first = min((place.offset for place in places), default=0)
    first -= first % mmap.ALLOCATIONGRANULARITY
    length = max((place.end for place in places), default=0) - first
    if length <= 0:
        return [np.empty(place.shape, place.dtype) for place in places]
    pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=first)
    whole = np.frombuffer(pages, np.uint8)
    return [
        whole[place.offset - first : place.end - first].view(place.dtype).reshape(place.shape)
        for place in places
    ]


class SharedFile:
    """A temporary file of arrays. Leave it by `close` or as a context manager.

    It has no name where the system allows that: whatever ends the process, nothing is left.

    Attributes
    ----------
    end : int
        Where the next array may begin.
    path : str
        What other processes open; empty where they cannot, so that pipes have to do.

    Raises
    ------
    OutputError
        It cannot be made, or written.
    """

    def __init__(self) -> None:
        import tempfile

        self.end = 0
        with self.writing():
            self._file = tempfile.TemporaryFile(prefix="cnntool-", buffering=0)  # noqa: SIM115 - see `close`
        path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        self.path = path if os.path.exists(path) else ""  # noqa: PTH110 - pathlib takes time

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def writing() -> Any:
        """Raise what the system says of the file as an `OutputError`: a context manager."""
        import tempfile

        from cnntool.errors import OutputError, system_errors_as

        return system_errors_as(
            OutputError, tempfile.gettempdir(), hint="TMPDIR names another folder"
        )

    def put(self, *arrays: NDArray[Any]) -> list[Stored]:
        """Write arrays behind all others."""
        with self.writing():
            return self.note(store(self._file, self.end, arrays))

    def note(self, places: list[Stored]) -> list[Stored]:
        """Note what somebody else has written behind all others."""
        self.end = max((place.end for place in places), default=self.end)
        return places

    def get(self, places: Sequence[Stored]) -> list[NDArray[Any]]:
        """Return arrays as they lie in the file, see `mapped`."""
        return mapped(self._file, places)

    def clear(self) -> None:
        """Begin anew: what is in the file is overwritten."""
        self.end = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
