"""One address to one file, within limits of time and size."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cnntool.errors import DownloadError, OutputError
from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REDIRECTS = 5
_PIECE = 1 << 14
"""Bytes that are waited for together: fewer in the time of a stall are taken for one."""

_AHEAD = 256
"""Pieces that may wait to be written."""

_POINTER = b"version https://git-lfs"
_PAGE = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_SNIFFED = 64
_LATE = "not complete within the time allowed (--timeout)"


def host(url: str) -> str:
    """Return the server's name in an address, for messages."""
    return urlsplit(url).netloc.rpartition("@")[2]


def fetch(
    url: str,
    target: Path,
    size: int,
    *,
    until: float,
    stall: float,
    on_progress: Callable[[int, int], object],
) -> None:
    """Write what an address holds into a file.

    The network has a thread of its own: whatever that hangs in (a name that is not resolved, a
    header that drips), this one keeps the time.

    Parameters
    ----------
    url : str
        http or https; redirections to anything else are refused.
    target : Path
        Is replaced.
    size : int
        Bytes that the file must have: not one more is taken.
    until : float
        The time (`time.monotonic`) when it must be done.
    stall : float
        The longest wait for the next bytes, in seconds.
    on_progress : callable
        Takes the bytes that are here and ``size``.

    Raises
    ------
    DownloadError
        It is not there, not complete, not this file, or too late.
    OutputError
        It cannot be written.
    """
    source = _Source(url, stall)
    done = 0
    try:
        target.unlink(missing_ok=True)  # the new one is as readable as the user's other files
        with target.open("xb") as stream:
            for piece in source.pieces(until):
                if not done:
                    _check_start(piece, source.length, size)
                done += len(piece)
                if done > size:
                    raise DownloadError(f"more comes than the {size:,} bytes of the file")
                stream.write(piece)
                on_progress(done, size)
    except OSError as error:
        reason = (error.strerror or "cannot be written").lower()
        raise OutputError(reason, source=str(target.parent.parent)) from None
    finally:
        source.stop()
    if done < size:
        raise DownloadError(f"only {done:,} of {size:,} bytes came")


def _check_start(piece: bytes, length: int | None, size: int) -> None:
    start = piece[:_SNIFFED].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_POINTER):
        raise DownloadError("a Git LFS pointer came, which names the file and is not the file")
    if start.startswith(_PAGE):
        raise DownloadError("a web page came instead of the file")
    if length is not None and length != size:
        raise DownloadError(f"it offers {length:,} bytes, the file has {size:,}")


class _Source:
    """The bytes of an address, read by a thread."""

    def __init__(self, url: str, stall: float) -> None:
        self.length: int | None = None
        self._url = url
        self._stall = stall
        self._pieces: queue.Queue[bytes | DownloadError | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()

    def pieces(self, until: float) -> Any:
        """Yield what comes, until it is complete."""
        threading.Thread(target=self._run, daemon=True).start()
        while True:
            left = until - time.monotonic()
            try:
                piece = self._pieces.get(timeout=max(0.0, min(self._stall, left)))
            except queue.Empty:
                if left <= self._stall:
                    raise DownloadError(_LATE) from None
                raise DownloadError(f"it stalled for {self._stall:g} seconds") from None
            if piece is None:
                return
            if isinstance(piece, DownloadError):
                raise piece
            if time.monotonic() >= until:
                raise DownloadError(_LATE)
            yield piece

    def stop(self) -> None:
        """Have the thread end as soon as it notices."""
        self._stopped.set()

    def _put(self, piece: bytes | DownloadError | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._pieces.put(piece, timeout=0.5)
            except queue.Full:
                continue
            return True
        return False

    def _run(self) -> None:
        try:
            self._read()
            self._put(None)
        except DownloadError as error:
            self._put(error)
        except Exception as error:  # noqa: BLE001 - whatever it is must reach the other thread
            self._put(DownloadError(_reason(error)))

    def _read(self) -> None:
        from http.client import responses

        import requests

        with requests.Session() as session:
            session.max_redirects = REDIRECTS
            # The bytes as they are: a compressed answer would be another file.
            headers = {"Accept-Encoding": "identity", "User-Agent": f"cnntool/{__version__}"}
            # By then the one that waits has given up: this only ends the thread.
            with session.get(
                self._url, headers=headers, stream=True, timeout=2 * self._stall
            ) as response:
                if response.status_code != requests.codes.ok:
                    code = response.status_code
                    raise DownloadError(f"the server says {code} {responses.get(code, '')}".strip())
                length = response.headers.get("Content-Length", "")
                self.length = int(length) if length.isdecimal() and len(length) < 20 else None
                while piece := response.raw.read(_PIECE):
                    if not self._put(piece):
                        return


def _reason(error: Exception) -> str:
    """Return one short line for what requests, urllib3 or the system raise."""
    import requests.exceptions as known
    import urllib3.exceptions as below

    if isinstance(error, known.ConnectionError) and error.args:
        cause = getattr(error.args[0], "reason", error.args[0])
        if isinstance(cause, below.NewConnectionError):
            return "no connection"
    for kinds, text in (
        (known.TooManyRedirects, f"it redirects more than {REDIRECTS} times"),
        ((known.InvalidSchema, known.MissingSchema), "it redirects to what is not http or https"),
        ((ValueError, below.LocationParseError), "no usable address"),
        (known.SSLError, "its certificate cannot be trusted"),
        (known.ProxyError, "the proxy does not answer"),
        ((known.RequestException, below.HTTPError, OSError), "the connection broke"),
    ):
        if isinstance(error, kinds):
            return text
    return f"unexpected {type(error).__name__}"
