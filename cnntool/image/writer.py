"""What every writer of pictures has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

    from cnntool.image.atomic import Output
    from cnntool.image.types import ImageInfo


class Settings(NamedTuple):
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
    settings : Settings
    """

    def __init__(self, output: Output, info: ImageInfo, settings: Settings) -> None:
        self.info = info
        self.settings = settings
        self._output = output
        self._rows = 0
        self._strip_rows = 0

    @abstractmethod
    def encode(self, strip: NDArray[Any]) -> Encoded:
        """Turn a strip of shape (h, width, samples) into bytes. Pure: any thread may call it."""

    @abstractmethod
    def _append(self, encoded: Encoded) -> None:
        """Write an encoded strip."""

    @abstractmethod
    def _finish(self) -> None:
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
