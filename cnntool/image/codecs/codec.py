"""Readers and writers: what those of all formats have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from cnntool.image.source import upright
from cnntool.threads import Prefetcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from numpy.typing import NDArray
    from PIL.Image import Image

    from cnntool.image.atomic import Output
    from cnntool.image.source import ImageInfo, Source


class Reader(ABC):
    """A picture or a matrix that is read once, from top to bottom, in strips.

    Decoding has two halves: `_decode` turns the file into blocks of samples and needs no numpy,
    so that `start` may run it in a thread while numpy is being imported; `_arrays` turns
    those blocks into arrays.

    Parameters
    ----------
    source : Source
        Closed together with the reader.
    info : ImageInfo
        Of the picture as it is stored.
    orientation : int
        How to turn it (see `cnntool.image.source`). Turning needs the whole picture in memory.

    Attributes
    ----------
    info : ImageInfo
        Of the picture as it is handed out, the right way up. Decoding may add to its notes.
    window : callable or None
        Where the rows simply lie in the file: returns rows [lo, hi), any number of times and from
        any thread. There is nothing to decode then, and `start` would not pay.
    """

    def __init__(self, source: Source, info: ImageInfo, orientation: int = 1) -> None:
        self.info = info
        if orientation >= 5:
            self.info = info._replace(height=info.width, width=info.height)
            source.check_size(info.width, info.height)
        self._stored = info
        self._orientation = orientation
        self._source = source
        self._ahead: Prefetcher[Any] | None = None
        self.window: Callable[[int, int], NDArray[Any]] | None = None

    @abstractmethod
    def _decode(self, rows: int) -> Iterator[Any]:
        """Yield decoded blocks, without numpy."""

    def _array(self, block: Any) -> NDArray[Any]:
        """Turn a decoded block into an array; here it is one."""
        array: NDArray[Any] = block
        return array

    def _arrays(self, blocks: Iterator[Any], rows: int) -> Iterator[NDArray[Any]]:  # noqa: ARG002
        """Turn blocks into strips of `rows` rows; here each block is a strip already."""
        return map(self._array, blocks)

    def start(self, rows: int, *, ahead: int = 6) -> None:
        """Begin to decode in a thread of its own.

        Parameters
        ----------
        rows : int
            Rows per strip; `strips` must then be called with the same number.
        ahead : int
            Strips that may wait to be fetched.
        """
        self._ahead = Prefetcher(self._decode(self._stored_rows(rows)), ahead)

    def begin(self) -> None:
        """Begin to decode what `rows` hands out, unless there is nothing to decode."""
        if self.window is None:
            self.start(max(1, self.info.strip_rows // 2), ahead=3)

    def rows(self) -> Callable[[int, int], NDArray[Any]] | Iterator[NDArray[Any]]:
        """Return the rows: any at any time, or strips from the top, which can be had once."""
        rows = self.info.strip_rows
        return self.window or self.strips(max(1, rows // 2) if self._ahead else rows)

    def strips(self, rows: int) -> Iterator[NDArray[Any]]:
        """Hand out the picture in strips from the top. This can be done once.

        Parameters
        ----------
        rows : int
            Rows per strip, at least 1.

        Yields
        ------
        ndarray of shape (h, width, samples)
            h is `rows` but for the last strip; samples are the colour channels and, if
            ``info.alpha``, alpha last. The type is ``info.dtype``. A strip may be read-only and
            stays valid when the next one is fetched.

        Raises
        ------
        InputError
            When the file is damaged, or holds NaN or infinities that are not allowed.
        """
        stored_rows = self._stored_rows(rows)
        blocks = iter(self._ahead) if self._ahead else self._decode(stored_rows)
        strips = self._arrays(blocks, stored_rows)
        if self._orientation > 1:
            strips = self._turned(strips, rows)
        row = 0
        for strip in strips:
            self._check_finite(strip, row)
            row += len(strip)
            if row == self.info.height:
                for _ in strips:  # what comes behind the last row may still say that it is damaged
                    pass
            yield strip

    def read(self) -> NDArray[Any]:
        """Return the whole picture: (height, width, samples). This can be done once."""
        info = self.info
        # Whoever wants all of it makes something of it, which takes as much again.
        self._source.check_memory(2 * info.height * info.row_bytes)
        return joined(self.strips(info.strip_rows), info)

    def picture(self) -> NDArray[Any] | Image:
        """Return the whole picture in the cheapest form. This can be done once.

        Returns
        -------
        Pillow image or ndarray of shape (height, width, samples)
            An image where Pillow decoded it, has it in mode L or RGB and so need not hand it over.
        """
        return self.read()

    def close(self) -> None:
        """Stop reading and close the file."""
        if self._ahead:
            self._ahead.stop()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stored_rows(self, rows: int) -> int:
        """Rows to decode at a time for strips of `rows` rows."""
        return rows if self._orientation == 1 else self._stored.strip_rows

    def _turned(self, strips: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        pixels = upright(joined(strips, self._stored), self._orientation)
        for top in range(0, self.info.height, rows):
            yield np.ascontiguousarray(pixels[top : top + rows])

    def report_damage(self, reason: str) -> None:
        """Note damage that the decoder got over; if the source is strict, refuse it.

        Raises
        ------
        InputError
            When damage is an error.
        """
        if self._source.strict:
            raise self._source.error(reason)
        note = f"{reason}; what could be decoded is used, `strict` refuses it"
        if note not in self.info.notes:
            self.info = self.info._replace(notes=(*self.info.notes, note))

    def _check_finite(self, strip: NDArray[Any], first_row: int) -> None:
        """Refuse NaN and infinities, naming the first by row and column from 0."""
        if self._source.allow_nan or not self.info.dtype.startswith("float"):
            return
        import numpy as np

        finite = np.isfinite(strip)
        if finite.all():
            return
        row, column, sample = (int(i) for i in np.argwhere(~finite)[0])
        what = "NaN" if np.isnan(strip[row, column, sample]) else "infinity"
        where = f"row {first_row + row}, column {column}"
        if strip.shape[2] > 1:
            where += f", channel {sample}"
        raise self._source.error(
            f"{what} at {where} (counted from 0)", hint="`allow_nan` lets such numbers through"
        )


def joined(strips: Iterable[NDArray[Any]], info: ImageInfo) -> NDArray[Any]:
    """Lay successive strips (h, width, samples) out as the whole picture."""
    import numpy as np

    whole = np.empty(info.shape, info.dtype)
    row = 0
    for strip in strips:
        whole[row : row + len(strip)] = strip
        row += len(strip)
    return whole


def rechunked(blocks: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Cut successive blocks of any height into strips of `rows` rows; the last may have fewer."""
    import numpy as np

    parts: list[NDArray[Any]] = []
    missing = rows
    for block in blocks:
        while len(block):
            parts.append(block[:missing])
            block = block[missing:]  # noqa: PLW2901 - what is left of it
            missing -= len(parts[-1])
            if not missing:
                yield parts[0] if len(parts) == 1 else np.concatenate(parts)
                parts, missing = [], rows
    if parts:
        yield parts[0] if len(parts) == 1 else np.concatenate(parts)


class WriterSettings(NamedTuple):
    """How hard to compress.

    Parameters
    ----------
    compression : int, optional
        0 (none) to 9 (smallest); None for whatever is fastest.
    quality : int
        Of JPEG, 1 to 100.
    """

    compression: int | None = None
    quality: int = 95


class Encoded(NamedTuple):
    """A strip ready to be written: only the writer that made it understands it.

    Parameters
    ----------
    rows : int
        Rows of the strip.
    data : object
        Bytes of the file, or the strip itself where a format is written in one piece.
    length : int
        Bytes before compression.
    checksum : int
        Adler-32 of the bytes before compression.
    """

    rows: int
    data: Any
    length: int = 0
    checksum: int = 1


class Writer(ABC):
    """Writes a picture or a matrix once, from top to bottom, in strips.

    A context manager: leaving it normally completes the output, leaving it by any exception leaves
    nothing behind. All strips but the last must have the same height. The bytes written are
    a function of the pixels and of that height, not of the threads that `encode`.

    Parameters
    ----------
    output : Output
    info : ImageInfo
        What will be written.
    settings : WriterSettings
    """

    def __init__(self, output: Output, info: ImageInfo, settings: WriterSettings) -> None:
        self.info = info
        self.settings = settings
        self._output = output
        self._rows = 0
        self._strip_rows = 0

    @abstractmethod
    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Turn a strip of shape (h, width, samples) into bytes. Pure: any thread may call it."""

    def _append(self, encoded: Encoded) -> None:
        """Write an encoded strip."""
        self._output.write(encoded.data)

    def _finish(self) -> None:  # noqa: B027 - most formats end with the last strip
        """Write what comes after the last strip."""

    def append(self, encoded: Encoded) -> None:
        """Add the next strip from the top. One thread calls it, in order.

        Raises
        ------
        OutputError
            When it cannot be written.
        ValueError
            When strips differ in height before the last one, or are too many.
        """
        if self._rows % (self._strip_rows or 1) or self._rows + encoded.rows > self.info.height:
            raise ValueError("strips must be of one height and add up to the height of the picture")
        self._strip_rows = self._strip_rows or encoded.rows
        if encoded.rows > self._strip_rows:
            raise ValueError("no strip may be higher than the first")
        self._append(encoded)
        self._rows += encoded.rows

    def write(self, strip: NDArray[Any]) -> None:
        """Encode and append a strip of shape (h, width, samples)."""
        self.append(self.encode(strip))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                if self._rows != self.info.height:
                    raise ValueError("rows are missing")
                self._finish()
                self._output.commit()
        finally:
            self._output.discard()
