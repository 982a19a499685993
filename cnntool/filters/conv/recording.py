"""Recorded operations: what is done with a tile, to be played for every tile of that shape.

Between two of numpy's operations a thread holds the interpreter, and another one that wants it
waits for much longer than the operation takes. So views and buffers are made once, and a tile
costs little more than the calls themselves.
"""

from __future__ import annotations

import threading
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    Last = Callable[[NDArray[Any]], None]
    """What remains to be done when the place of the result is known: writes it there."""

_LINE = 64
# Untouched memory costs nothing; tiles that need more get arrays of their own.
_RESERVE = 2**25


class _Memory(threading.local):
    """Memory of one thread, which all its tapes share: only one plays at a time."""

    def __init__(self) -> None:
        self.bytes = np.empty(_RESERVE + _LINE, dtype=np.uint8)
        self.start = -self.bytes.ctypes.data % _LINE


_memory = _Memory()


class Recording:
    """Operations on buffers of the current thread, in order."""

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._used = 0

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Record a call."""
        self._steps.append((function, arguments))

    def __len__(self) -> int:
        """Return how many calls are recorded."""
        return len(self._steps)

    def play(self, count: int | None = None) -> None:
        """Do what was recorded, or the first `count` calls of it."""
        for function, arguments in islice(self._steps, count):
            function(*arguments)

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an uninitialised array, contiguous and aligned to a cache line.

        Parameters
        ----------
        shape : tuple of int
        dtype : dtype

        Returns
        -------
        ndarray
            Its values last until another recording of the thread is played.
        """
        dtype = np.dtype(dtype)
        size = -(-prod(shape) * dtype.itemsize // _LINE) * _LINE
        begin, self._used = self._used, self._used + size
        if self._used > _RESERVE:
            return np.empty(shape, dtype=dtype)
        return np.ndarray(shape, dtype, _memory.bytes, _memory.start + begin)

    def mark(self) -> int:
        """Return how much memory is taken, for `release`."""
        return self._used

    def release(self, mark: int) -> None:
        """Let what is recorded from here on use the memory taken since `mark` again."""
        self._used = mark
