"""Arrays that are kept in memory up to a budget, and in a temporary file beyond it."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cnntool.errors import OutputError, system_errors_as

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray


class Spill:
    """Keeps arrays by key. Leave it by `close` or as a context manager.

    The file has no name where the system allows that: whatever ends the process, nothing is left.

    Parameters
    ----------
    budget : int
        Bytes that are kept in memory.
    """

    def __init__(self, budget: int) -> None:
        self._room = budget
        self._kept: dict[Hashable, NDArray[Any]] = {}
        self._places: dict[Hashable, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
        self._file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, key: Hashable, array: NDArray[Any]) -> None:
        """Keep an array.

        Raises
        ------
        OutputError
            The temporary file cannot be written.
        """
        if array.nbytes <= self._room:
            self._room -= array.nbytes
            self._kept[key] = array
            return
        folder, hint = tempfile.gettempdir(), "TMPDIR names another folder"
        with system_errors_as(OutputError, folder, hint=hint):
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="cnntool-")  # noqa: SIM115 - see `close`
            self._places[key] = self._file.tell(), array.dtype, array.shape
            self._file.write(np.ascontiguousarray(array).data)

    def get(self, key: Hashable) -> NDArray[Any]:
        """Return an array that was kept."""
        if key in self._kept:
            return self._kept[key]
        start, dtype, shape = self._places[key]
        array = np.empty(shape, dtype)
        end = self._file.seek(0, 2)
        self._file.seek(start)
        self._file.readinto(array.reshape(-1).view(np.uint8))
        self._file.seek(end)
        return array

    def close(self) -> None:
        """Let go of all arrays."""
        self._kept.clear()
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
