"""Downloads: mirrors, limits, and the hash before the file gets its name."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from cnntool.errors import DownloadError, OutputError, system_errors_as
from cnntool.nets.models import store
from cnntool.system import on_stop
from cnntool.threads import Prefetcher
from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from cnntool.nets.models.catalog import CatalogEntry


_SPARE = 16 << 20
"""Bytes of the disk that are left free."""

_MARK = "+"
"""Ends the name in the name of a working folder; no model's name has it."""

_REDIRECTS = 5
_PIECE = 1 << 14
"""Bytes that are waited for together: fewer in the time of a stall are taken for one."""

_AHEAD = 256
"""Pieces that may wait to be written."""

_POINTER = b"version https://git-lfs"
_PAGE = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_LATE = "not complete within the time allowed (`timeout`)"


class DownloadLimits(NamedTuple):
    """How long a download may take.

    Attributes
    ----------
    timeout : float
        Seconds for one network, all its mirrors together.
    stall : float
        Seconds without a byte after which a mirror is given up.
    """

    timeout: float = 3600.0
    stall: float = 30.0


class Listener(NamedTuple):
    """Hears how a download goes.

    Attributes
    ----------
    note : callable
        Takes one line about something that happened: a mirror that failed, waiting.
    progress : callable
        Takes the bytes that are here and the bytes to come in all.
    """

    note: Callable[[str], object] = lambda _text: None
    progress: Callable[[int, int], object] = lambda _done, _total: None


def pull(
    entry: CatalogEntry,
    *,
    limits: DownloadLimits = DownloadLimits(),  # noqa: B008 - a NamedTuple does not change
    listener: Listener = Listener(),  # noqa: B008 - nor does this
    offline: bool = False,
) -> bool:
    """Fetch a network's file, unless it is here and is what its manifest says.

    The mirrors are tried in turn. The file gets its name when its length and hash are right; until
    then it lies in a hidden folder beside, which is gone afterwards, whatever happens. If another
    process is fetching the same network, this one waits and finds the file.

    Returns
    -------
    bool
        Whether it was fetched.

    Raises
    ------
    DownloadError
        No mirror gave the file, or none is known, or it is not to be fetched (``offline``), or
        requests or filelock is not installed.
    OutputError
        The disk is full, or the folder cannot be written.
    """
    until = time.monotonic() + limits.timeout
    name = entry.spec.name
    if _is_good(entry):
        return False
    if not entry.spec.urls:
        raise DownloadError("no address is known to fetch it from", source=name)
    if offline:
        raise DownloadError(
            f"{'is damaged' if entry.present else 'is not here'}, and the tool is to stay offline",
            source=name,
        )
    for library in ("requests", "filelock"):
        if find_spec(library) is None:
            raise DownloadError(
                f"{library} is not installed, which fetching files needs",
                hint="pip install 'cnntool[cpu]'",
            )
    folder = store.make_folder()
    waiting = f"{name}: another process is fetching it; waiting for it"
    with _alone(folder / f".{name}.lock", until, lambda: listener.note(waiting)) as held:
        if _is_good(entry):
            return False
        if held:
            _sweep(folder, name)
        elif time.monotonic() >= until:
            raise DownloadError("another process is still fetching it", source=name)
        workplace = folder / f".{name}{_MARK}{os.urandom(8).hex()}"
        forget = on_stop(lambda: shutil.rmtree(workplace, ignore_errors=True))
        try:
            _make(workplace)
            _check_space(folder, entry)
            _try_mirrors(entry, workplace / "new", until, limits.stall, listener)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
            forget()
    return True


@contextmanager
def _alone(path: Path, until: float, on_wait: Callable[[], object]) -> Iterator[bool]:
    """Hold a lock for as long as the block runs, and yield whether it is held.

    It is not after ``until``, nor on disks that have no locks: whoever goes on then must do no harm
    beside others. The system frees the lock of a process that dies; the file goes at the end.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, poll_interval=0.1)
    held = True
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait()
            lock.acquire(timeout=max(0.0, until - time.monotonic()))
    except (Timeout, OSError, NotImplementedError):
        held = False
    forget = on_stop(path.unlink) if held else lambda: None
    try:
        yield held
    finally:
        if held:
            with suppress(OSError):
                path.unlink()  # before it is freed: no other process can hold it now
            forget()
            lock.release()


def _is_good(entry: CatalogEntry) -> bool:
    return entry.present and store.verify(entry) is None


def _sweep(folder: Path, name: str) -> None:
    """Remove what a process left that was killed while it held the lock."""
    for left in folder.glob(f".{name}{_MARK}*"):
        shutil.rmtree(left, ignore_errors=True)


def _make(workplace: Path) -> None:
    with system_errors_as(OutputError, workplace.parent):
        workplace.mkdir(mode=0o700)


def _check_space(folder: Path, entry: CatalogEntry) -> None:
    free, size = shutil.disk_usage(folder).free, entry.spec.size or 0
    if free < size + _SPARE:
        reason = f"{size / 1e6:,.0f} MB are to come, {free / 1e6:,.0f} MB are free on the disk"
        raise OutputError(reason, source=str(folder))


def _try_mirrors(
    entry: CatalogEntry, new: Path, until: float, stall: float, listener: Listener
) -> None:
    failures: list[str] = []
    for url in entry.spec.urls:
        if failures and time.monotonic() >= until:
            break
        try:
            with closing(_pieces(url, entry.spec.size or 0, until, stall)) as pieces:
                _write(entry, new, pieces, listener)
            with system_errors_as(OutputError, entry.file):
                new.replace(entry.file)
        except DownloadError as error:
            host = urlsplit(url).netloc.rpartition("@")[2]
            failures.append(f"{host}: {error.message}")
        else:
            return
        if len(entry.spec.urls) > 1:
            listener.note(f"{entry.spec.name}: {failures[-1]}")
    count = len(failures)
    reason = failures[-1] if count == 1 else f"none of {count} mirrors gave it; {failures[-1]}"
    raise DownloadError(reason, source=entry.spec.name)


def _write(entry: CatalogEntry, new: Path, pieces: Iterator[bytes], listener: Listener) -> None:
    """Write what comes into a file, and see that it is the one that the manifest names."""
    sha256, done, size = hashlib.sha256(), 0, entry.spec.size or 0
    with system_errors_as(OutputError, entry.file.parent):
        new.unlink(missing_ok=True)
        with new.open("xb") as stream:
            for piece in pieces:
                done += len(piece)
                if done > size:
                    raise DownloadError(f"more comes than the {size:,} bytes of the file")
                stream.write(piece)
                sha256.update(piece)
                listener.progress(done, size)
    if done < size:
        raise DownloadError(f"only {done:,} of {size:,} bytes came")
    if sha256.hexdigest() != entry.spec.sha256:
        raise DownloadError("not the file: its sha256 is another")


def _pieces(url: str, size: int, until: float, stall: float) -> Generator[bytes]:
    """Yield what an address holds, within limits of time.

    The network has a thread of its own: whatever that hangs in (a name that is not resolved, a
    header that drips), this one keeps the time.
    """
    ahead = Prefetcher(_answer(url, size, stall), _AHEAD)
    try:
        while piece := _next(ahead, until, stall):
            yield piece
    finally:
        ahead.stop(wait=False)


def _next(ahead: Prefetcher[bytes], until: float, stall: float) -> bytes:
    left = until - time.monotonic()
    try:
        piece = ahead.take(max(0.0, min(stall, left)))
    except StopIteration:
        return b""
    except TimeoutError:
        late = left <= stall
        raise DownloadError(_LATE if late else f"it stalled for {stall:g} seconds") from None
    except DownloadError:
        raise
    except Exception as error:
        raise DownloadError(_reason(error)) from error
    if time.monotonic() >= until:
        raise DownloadError(_LATE)
    return piece


def _answer(url: str, size: int, stall: float) -> Iterator[bytes]:
    """Yield what a server answers; http and https alone, wherever it redirects to."""
    from http.client import responses

    import requests

    with requests.Session() as session:
        session.max_redirects = _REDIRECTS
        # The bytes as they are: a compressed answer would be another file.
        headers = {"Accept-Encoding": "identity", "User-Agent": f"cnntool/{__version__}"}
        # By then the one that waits has given up: this only ends the thread.
        with session.get(url, headers=headers, stream=True, timeout=2 * stall) as response:
            code = response.status_code
            if code != requests.codes.ok:
                raise DownloadError(f"the server says {code} {responses.get(code, '')}".strip())
            piece = response.raw.read(_PIECE)
            _check_start(piece, response.headers.get("Content-Length", ""), size)
            while piece:
                yield piece
                piece = response.raw.read(_PIECE)


def _check_start(piece: bytes, length: str, size: int) -> None:
    start = piece.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    if start.startswith(_POINTER):
        raise DownloadError("a Git LFS pointer came, which names the file and is not the file")
    if start.startswith(_PAGE):
        raise DownloadError("a web page came instead of the file")
    if piece and length.isdecimal() and len(length) < 20 and int(length) != size:
        raise DownloadError(f"it offers {int(length):,} bytes, the file has {size:,}")


def _reason(error: Exception) -> str:
    """Return one short line for what requests, urllib3 or the system raise."""
    import requests.exceptions as known
    import urllib3.exceptions as below

    if isinstance(error, known.ConnectionError) and error.args:
        cause = getattr(error.args[0], "reason", error.args[0])
        if isinstance(cause, below.NewConnectionError):
            return "no connection"
    for kinds, text in (
        (known.TooManyRedirects, f"it redirects more than {_REDIRECTS} times"),
        ((known.InvalidSchema, known.MissingSchema), "it redirects to what is not http or https"),
        ((ValueError, below.LocationParseError), "no usable address"),
        (known.SSLError, "its certificate cannot be trusted"),
        (known.ProxyError, "the proxy does not answer"),
        ((known.RequestException, below.HTTPError, OSError), "the connection broke"),
    ):
        if isinstance(error, kinds):
            return text
    return f"unexpected {type(error).__name__}"
