"""Atomic writing: a result appears whole or not at all; what killed processes left is removed."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from zlib import crc32

from cnntool.errors import OutputError
from cnntool.system import is_left, on_stop

if TYPE_CHECKING:
    from collections.abc import Iterator

_swept: set[Path] = set()


def new_name(folder: Path) -> Path:
    """Choose a name for a temporary file."""
    return folder / f"{_prefix()}{os.urandom(8).hex()}.tmp"


def hold(stream: int) -> int | None:
    """Lock an open file; return what `free` frees, also when the file has been closed.

    Another process may have taken a file that is not locked yet for a dead one's: it has no name
    then (``os.fstat(stream).st_nlink`` is 0).
    """
    try:
        import fcntl
    except ImportError:
        return None
    with suppress(OSError):
        fcntl.flock(stream, fcntl.LOCK_EX)
        return os.dup(stream)
    return None


def free(lock: int | None) -> None:
    """Free what `hold` returned."""
    if lock is not None:
        os.close(lock)


def sweep(folder: Path) -> None:
    """Remove the temporary files of dead processes from a folder, once in a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(ImportError, OSError):
        import fcntl  # noqa: F401 - nothing can be known without locks

        prefix = _prefix()
        with os.scandir(folder) as entries:
            found = [
                e.path for e in entries if e.name.startswith(prefix) and e.name.endswith(".tmp")
            ]
        for path in found:
            with suppress(OSError):
                _remove_if_dead(path)


def _remove_if_dead(path: str) -> None:
    import fcntl

    stream = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(stream).st_mode):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)  # noqa: PTH108
    finally:
        os.close(stream)


@cache
def _prefix() -> str:
    """Return how temporary files of this machine are called."""
    machine = os.uname().nodename if hasattr(os, "uname") else ""
    return f".cnntool-{crc32(os.fsencode(machine)):08x}-"


_REASONS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is exhausted",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the disk is read-only",
    errno.ENOENT: "no such folder",
    errno.ENOTDIR: "no such folder",
    errno.EISDIR: "this is a folder",
    errno.ENAMETOOLONG: "the file name is too long",
    errno.EFBIG: "the file would be too large",
    errno.ELOOP: "too many symbolic links",
    errno.EBADF: "it is closed",
}
_EXISTS = "it exists already"
_HINT = "`overwrite` replaces it, CNNTOOL_OVERWRITE=1 always does"

_LARGE = 1 << 23
"""Bytes from which it pays to reserve room."""


class Output:
    """Where a result goes: a file that takes its place when complete, or a stream.

    A file is written under a hidden name next to its target and renamed by `commit`. Symbolic
    links are followed, the mode of a replaced file is kept. Devices and pipes are written directly.
    What a process that was killed left in the folder is removed, see `cnntool.image.atomic`.
    A context manager: leaving it without `commit` leaves nothing behind.

    Parameters
    ----------
    target : Path, str, bytes or binary stream
    name : str, optional
        How errors call it; by default as it is called.
    overwrite : bool
        Whether an existing file may be replaced.

    Attributes
    ----------
    seekable : bool
        Whether `write_at` may be used.

    Raises
    ------
    OutputError
        When it cannot be written. A broken pipe stays a `BrokenPipeError`.
    """

    def __init__(
        self, target: Path | str | bytes | BinaryIO, *, name: str | None = None, overwrite: bool
    ) -> None:
        self.name = str(target) if name is None else name
        self._overwrite = overwrite
        self._temporary: Path | None = None
        self._target: Path | None = None
        self._replaces = False
        if isinstance(target, (str, bytes, os.PathLike)):
            with self._writing():
                self._stream = self._open(os.fsdecode(target))
        else:
            self._stream = target
        self.seekable = self._temporary is not None

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with self._writing():
            self._stream.write(data)

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset; only where ``seekable``."""
        with self._writing():
            self._stream.seek(offset)
            self._stream.write(data)

    def reserve(self, size: int) -> None:
        """Have the disk set room aside for a large file of `size` bytes, if it replaces another.

        Some file systems (ext4) write a file out when it takes the name of another, which is done
        in a third of the time where its room is settled.
        """
        if self._replaces and size >= _LARGE and hasattr(os, "posix_fallocate"):
            with self._writing():
                try:
                    os.posix_fallocate(self._stream.fileno(), 0, size)
                except OSError as error:
                    if error.errno in _REASONS:
                        raise

    def commit(self) -> None:
        """Complete the output: only now does the target change."""
        with self._writing():
            self._stream.flush()
            if not self._target:
                return
            self._stream.close()
            if not self._temporary:
                return
            if is_left():
                raise OutputError("the run that wanted it was killed", source=self.name)
            if self._overwrite:
                self._temporary.replace(self._target)
            else:
                self._place(self._temporary, self._target)
            self._temporary = None
            self._leave()

    def discard(self) -> None:
        """Leave nothing behind. After `commit` this does nothing."""
        if self._target:
            with suppress(OSError):
                self._stream.close()
        if self._temporary:
            with suppress(OSError):
                self._temporary.unlink()
            self._temporary = None
            self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _leave(self) -> None:
        """Free the lock, and tell that there is nothing left to undo."""
        free(self._lock)
        self._forget()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except FileExistsError as error:
            raise OutputError(_EXISTS, source=self.name, hint=_HINT) from error
        except OSError as error:
            code = error.errno or 0
            reason = _REASONS.get(code) or os.strerror(code).lower()
            raise OutputError(reason, source=self.name) from error
        except ValueError as error:
            raise OutputError("not a usable file name", source=self.name) from error

    def _open(self, target: str) -> BinaryIO:
        path, mode = Path(target).absolute(), 0
        with suppress(FileNotFoundError):
            mode = path.stat().st_mode
        if path.is_symlink():
            path = Path(os.path.realpath(target))
        self._target = path
        if stat.S_ISDIR(mode) or target.endswith(tuple(filter(None, (os.sep, os.altsep)))):
            raise IsADirectoryError(errno.EISDIR, "")
        if mode and not stat.S_ISREG(mode):
            return Path(target).open("wb")
        if mode and not self._overwrite:
            raise FileExistsError(errno.EEXIST, "")
        if mode and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "")
        sweep(path.parent)
        stream = self._create(path.parent)
        while not os.fstat(stream.fileno()).st_nlink:  # swept away before it was locked
            stream.close()
            self._leave()
            stream = self._create(path.parent)
        self._replaces = bool(mode)
        if mode and self._temporary:
            with suppress(OSError):
                self._temporary.chmod(stat.S_IMODE(mode))
        return stream

    def _create(self, folder: Path) -> BinaryIO:
        """Make the temporary file and lock it."""
        temporary = new_name(folder)
        self._forget = on_stop(temporary.unlink)
        try:
            stream = temporary.open("xb", buffering=1 << 16)
        except OSError:
            self._forget()
            raise
        self._temporary = temporary
        self._lock = hold(stream.fileno())
        return stream

    @staticmethod
    def _place(temporary: Path, target: Path) -> None:
        """Rename, unless the target has come into being meanwhile."""
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:
            # Some file systems know no links: claim the name, then replace the claim.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            temporary.replace(target)
        else:
            temporary.unlink()


STDOUT = "<stdout>"
"""What errors and records call stdout."""


class Sink:
    """A file that appears when it is complete, as something that other libraries write to."""

    def __init__(self, path: Path | None, *, overwrite: bool) -> None:
        target = path or sys.stdout.buffer
        self._output: Output = Output(target, name=str(path or STDOUT), overwrite=overwrite)
        self._position = 0
        self._given_up = False

    def write(self, data: Any) -> int:
        """Append bytes; nothing once it was given up."""
        view = memoryview(data).cast("B")
        if not self._given_up:
            self._output.write(view)
        self._position += len(view)
        return len(view)

    def write_at(self, offset: int, data: bytes) -> None:
        """Write bytes at an offset; not on stdout."""
        self._output.write_at(offset, data)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._position

    @property
    def closed(self) -> bool:
        """Whether it takes no more bytes: it always seems to."""
        return False

    def flush(self) -> None:
        """Do nothing: all is flushed in the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._output.commit()
        finally:
            self.give_up()  # which does nothing after `commit`

    def give_up(self) -> None:
        """Leave nothing behind, whatever is still written."""
        self._given_up = True
        self._output.discard()
