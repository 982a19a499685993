"""Direct and separable convolution: shifted views of a tile, added up; and how work is recorded.

What is done with a tile is recorded once, to be played for every tile of that shape: between two
of numpy's operations a thread holds the interpreter, and another one that wants it waits for much
longer than the operation takes. With views and buffers made before, a tile costs little more than
the calls themselves.

Every step is one numpy operation on a whole tile, so each output is rounded alike wherever it
lies. Taps of equal size are added before they are multiplied, zeros are skipped, runs of equal
taps are summed by doubling.
"""

from __future__ import annotations

import threading
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray

    Last = Callable[[NDArray[Any]], None]
    """What remains to be done when the place of the result is known: writes it there."""

Place = tuple[int, int]

_LINE = 64
# Untouched memory costs nothing; tiles that need more get arrays of their own.
_RESERVE = 2**25


class _Memory(threading.local):
    """Memory of one thread, which all its recordings share: only one plays at a time."""

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


class Group(NamedTuple):
    """Taps of one size: where it is added and where it is subtracted."""

    weight: float
    plus: tuple[Place, ...]
    minus: tuple[Place, ...]

    @property
    def passes(self) -> int:
        """Operations on the whole tile."""
        return len(self.plus) + len(self.minus) + (self.weight != 1)


def group(taps: NDArray[np.float64]) -> tuple[Group, ...]:
    """Group the taps of a matrix by size, zeros left out.

    Parameters
    ----------
    taps : (kH, kW) float64

    Returns
    -------
    tuple of Group
        Each adds at least one place: taps that are only subtracted get a negative weight.
    """
    places: dict[float, tuple[list[Place], list[Place]]] = {}
    for i, j in np.argwhere(taps).tolist():
        weight = float(taps[i, j])
        places.setdefault(abs(weight), ([], []))[weight < 0].append((i, j))
    return tuple(
        Group(size, tuple(plus), tuple(minus)) if plus else Group(-size, tuple(minus), ())
        for size, (plus, minus) in sorted(places.items())
    )


def record_groups(
    recording: Recording,
    groups: tuple[Group, ...],
    view: Callable[[Place], NDArray[Any]],
    target: NDArray[Any],
) -> None:
    """Record adding up the groups' taps.

    Parameters
    ----------
    recording : Recording
    groups : tuple of Group
    view : callable
        Gives the values under a tap, shaped like `target`.
    target : ndarray
        Overwritten with the sum.
    """
    if not groups:
        recording(np.copyto, target, target.dtype.type(0))
    mark = recording.mark()
    term = recording.take(target.shape, target.dtype) if len(groups) > 1 else target
    for number, each in enumerate(groups):
        plus, minus = [view(at) for at in each.plus], [view(at) for at in each.minus]
        if number and each.weight == 1:
            _record_sum(recording, plus, minus, target)
            continue
        weight, into = target.dtype.type(each.weight), term if number else target
        first = plus.pop(0)
        if plus or minus:
            operation, second = (np.add, plus.pop(0)) if plus else (np.subtract, minus.pop(0))
            recording(operation, first, second, into)
            _record_sum(recording, plus, minus, into)
            if each.weight != 1:
                recording(np.multiply, into, weight, into)
        elif each.weight == 1:
            recording(np.copyto, into, first)
        else:
            recording(np.multiply, first, weight, into)
        if number:
            recording(np.add, target, term, target)
    recording.release(mark)


def _record_sum(
    recording: Recording, plus: list[NDArray[Any]], minus: list[NDArray[Any]], into: NDArray[Any]
) -> None:
    for term in plus:
        recording(np.add, into, term, into)
    for term in minus:
        recording(np.subtract, into, term, into)


class Line(NamedTuple):
    """A column or a row of taps as a sequence of operations.

    Attributes
    ----------
    size : int
        Taps.
    pairs : int
        How often neighbours are first added to each other: 1, 2, 1 is two times.
    run, weight : int, float
        Then, if `run` is not 0, so many neighbours are added up by doubling and multiplied.
    groups : tuple of Group
        Else, what is added then.
    """

    size: int
    pairs: int
    run: int
    groups: tuple[Group, ...]
    weight: float = 1.0

    @property
    def passes(self) -> int:
        """Operations on the whole tile."""
        if self.run:
            doubling = self.run.bit_length() + self.run.bit_count() - 2
            return max(1, self.pairs + doubling + (self.weight != 1))
        return self.pairs + sum(each.passes for each in self.groups)


def make_line(taps: NDArray[np.float64], *, stride: int) -> Line:
    """Find a short sequence of operations for a line of taps.

    Parameters
    ----------
    taps : (k,) float64
    stride : int
        Sums of neighbours are shared between outputs only where it is 1.
    """
    size, pairs = taps.size, 0
    if stride == 1 and (taps != 0).all():
        while (
            taps.size > 1 and (taps != taps[0]).any() and (rest := _without_pair(taps)) is not None
        ):
            taps, pairs = rest, pairs + 1
        if (taps == taps[0]).all():
            return Line(size, pairs, taps.size, (), float(taps[0]))
    return Line(size, pairs, 0, group(taps[:, None]))


def _without_pair(taps: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Divide whole taps by (1, 1); None if there is a rest or a tap that is not positive."""
    if (taps != np.rint(taps)).any():
        return None
    rest = np.zeros(taps.size - 1)
    carry = 0.0
    for i in range(rest.size):
        rest[i] = carry = taps[i] - carry
    return rest if carry == taps[-1] and (rest > 0).all() else None


def record_line(
    recording: Recording,
    line: Line,
    values: NDArray[Any],
    target: NDArray[Any],
    *,
    stride: int,
    dilation: int,
) -> None:
    """Record correlating along the first axis with a line of taps.

    Parameters
    ----------
    recording : Recording
    line : Line
    values : (n, ...)
    target : (n', ...)
        Overwritten.
    stride, dilation : int
        Along the axis.
    """
    count = len(target)

    def shifted(source: NDArray[Any], taps: int, length: int) -> NDArray[Any]:
        begin = taps * dilation
        return source[begin : begin + (length - 1) * stride + 1 : stride]

    mark = recording.mark()
    left = line.size - 1  # steps of the dilation by which values still reach beyond the outputs
    for number in range(line.pairs):
        left -= 1
        length = count + left * dilation
        last = number == line.pairs - 1 and line.run == 1 and line.weight == 1
        into = target if last else recording.take((length, *values.shape[1:]), values.dtype)
        recording(np.add, shifted(values, 0, length), shifted(values, 1, length), into)
        values = into
    if line.run:
        total = _record_run(recording, line.run, values, target, dilation)
        if line.weight != 1:
            recording(np.multiply, total[:count], target.dtype.type(line.weight), target)
        elif total is not target:
            recording(np.copyto, target, total[:count])
    else:
        record_groups(recording, line.groups, lambda at: shifted(values, at[0], count), target)
    recording.release(mark)


def _record_run(
    recording: Recording, run: int, values: NDArray[Any], target: NDArray[Any], dilation: int
) -> NDArray[Any]:
    """Record adding up `run` neighbours by doubling; the sum is in the array returned."""
    total, have = values, 1
    for bit in f"{run:b}"[1:]:
        half, have = have, 2 * have + int(bit)
        length = len(target) + (run - have) * dilation
        into = target if have == run else recording.take((length, *values.shape[1:]), values.dtype)
        recording(np.add, total[:length], total[half * dilation : half * dilation + length], into)
        if bit == "1":
            begin = (have - 1) * dilation
            recording(np.add, into, values[begin : begin + length], into)
        total = into
    return total
