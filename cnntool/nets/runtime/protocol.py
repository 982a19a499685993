"""Messages between two processes: a head of plain values, then arrays as they lie in memory.

On the wire: the length of the head (8 bytes, little endian), the head as JSON in ASCII, then the
bytes of each part. The head names the type and shape of every part, and nothing in a message is
ever executed.

It is JSON because several threads may read at once: `ast.literal_eval` fails there now and then
before Python 3.11.8, when another thread parses while a collection of garbage interrupts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

    from numpy.typing import NDArray

END_OF_ATTEMPT, END_OF_CHATTER = b"\x1f", b"\x1e"
"""The worker writes them to stderr: after each way to open a network that failed, and before the
answer that tells of it, whose reasons may have been printed there."""

_LENGTH = 8
_LONGEST_HEAD = 64 << 20


class Message(NamedTuple):
    """What one process tells the other.

    Attributes
    ----------
    kind : str
        The first word.
    facts : dict
        Strings, numbers, None, and lists and dicts of them; a tuple arrives as a list.
    parts : list of ndarray or bytes
        Raw data.
    """

    kind: str
    facts: dict[str, Any]
    parts: Sequence[NDArray[Any] | bytes] = ()


class TooLargeError(MemoryError):
    """A message whose parts need more memory than the receiver grants."""


def send(stream: FileIO, message: Message) -> None:
    """Write a message; it may have to wait for the reader.

    Raises
    ------
    OSError
        The other side is gone.
    """
    import json

    kind, facts, parts = message
    described = [
        ("", (len(part),)) if isinstance(part, bytes) else (part.dtype.str, part.shape)
        for part in parts
    ]
    head = json.dumps((kind, facts, described)).encode("ascii")
    write(stream, memoryview(len(head).to_bytes(_LENGTH, "little") + head))
    for part in parts:
        if isinstance(part, bytes):
            write(stream, memoryview(part))
        elif part.size:
            write(stream, _flat(part).data.cast("B"))


def receive(stream: FileIO, limit: int | None = None) -> Message:
    """Wait for a message.

    Parameters
    ----------
    stream : FileIO
        To read from.
    limit : int, optional
        Bytes that the parts may take together.

    Raises
    ------
    EOFError
        The other side is gone.
    TooLargeError
        The parts exceed ``limit``. What follows in the stream is of no use.
    """
    import json

    length = int.from_bytes(_read(stream, bytearray(_LENGTH)), "little")
    if length > _LONGEST_HEAD:
        raise TooLargeError
    head = _read(stream, bytearray(length))
    kind, facts, described = json.loads(head.decode("ascii"))
    parts: list[NDArray[Any] | bytes] = []
    for dtype, shape in described:
        if not dtype:
            parts.append(bytes(_read(stream, bytearray(shape[0]))))
            continue
        import numpy as np

        size = np.dtype(dtype).itemsize
        for extent in shape:
            size *= extent
        limit = None if limit is None else limit - size
        if limit is not None and limit < 0:
            raise TooLargeError
        part: NDArray[Any] = np.empty(shape, dtype)
        if size:
            _read(stream, _flat(part).data.cast("B"))
        parts.append(part)
    return Message(kind, facts, parts)


def _flat(part: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers in one row, the last axis running fastest."""
    import numpy as np

    return np.ascontiguousarray(part).reshape(-1)


def write(stream: FileIO, data: memoryview) -> None:
    """Write all of some bytes."""
    while data:
        data = data[stream.write(data) :]


def _read(stream: FileIO, room: Any) -> Any:
    left = memoryview(room)
    while left:
        count = stream.readinto(left)
        if not count:
            raise EOFError
        left = left[count:]
    return room
