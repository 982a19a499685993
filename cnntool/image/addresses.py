"""Pictures behind addresses, ``https://``, ``s3://`` and their kin: fsspec reads them.

Only a list of inputs may name them. They are read once, from their beginning, as a pipe is.
"""

from __future__ import annotations

import io
import os
import re
import time
from functools import cache
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from cnntool.errors import InputError

_SCHEMES = re.compile(r"(https?|s3|gs)://", re.IGNORECASE)

_DRIVERS = {"s3": "s3fs", "gs": "gcsfs"}
"""What fsspec reads other schemes than http with."""

_CONNECT, _STALLED, _LONGEST = 10, 30, 600
"""Seconds to be connected, to the next byte, and for a whole answer."""

_LOST, _PAUSE = 3, 30
"""Pictures that a server may keep one waiting for, and seconds until it is asked again."""

_PIECE = 1 << 23
"""Bytes of an object that are asked for at once."""

_waits: dict[str, tuple[int, float]] = {}
"""Of servers, how many pictures in a row were waited for in vain, and until when the last was."""


def is_address(name: str) -> bool:
    """Return whether a name of a list is an address."""
    return _SCHEMES.match(name) is not None


class Address:
    """Where a picture lies that is no file here.

    Its text is what may be shown: without user and password and, of the web, without query and
    fragment. Keys of buckets are taken as they are.

    Parameters
    ----------
    url : str
        The address.
    apart : bool
        Whether another one differs from it in nothing but the query: a hash of that tells them
        apart.

    Attributes
    ----------
    url : str
        As it was given, secrets and all.
    place : str
        Its path, without what leads out of a folder: by that results are called.
    """

    def __init__(self, url: str, *, apart: bool = False) -> None:
        self.url = url
        scheme, _, rest = url.partition("://")
        self.scheme = scheme.lower()
        if self.scheme in _DRIVERS:
            host, slash, key = rest.partition("/")
            path = place = slash + key
        else:
            try:
                parts = urlsplit(url)
            except ValueError:  # brackets that enclose no address
                parts = urlsplit("")
            host, path, place = parts.netloc, parts.path, unquote(parts.path)
            if apart:
                from hashlib import sha256

                mark = sha256(parts.query.encode(errors="replace")).hexdigest()[:8]
                stem, suffix = os.path.splitext(place)  # noqa: PTH122
                path, place = f"{path}?{mark}", f"{stem}-{mark}{suffix}"
        self.server = f"{self.scheme}://{host.rpartition('@')[2]}"
        self._shown = self.server + path
        names = place.replace("\\", "/").replace("\0", "").split("/")
        self.place = "/".join(name for name in names if name not in {"", ".", ".."}) or "picture"

    def __str__(self) -> str:
        return self._shown

    __repr__ = __str__

    def stat(self) -> os.stat_result:
        """Tell nothing: a server need not know when a picture has changed."""
        raise FileNotFoundError

    def open(self) -> io.RawIOBase:
        """Begin to read it.

        Raises
        ------
        InputError
            It cannot be had; whoever reads it says what it is called.
        """
        lost, until = _waits.get(self.server, (0, 0.0))
        if lost >= _LOST and time.monotonic() < until:
            hint = f"it is asked again {_PAUSE} seconds after it was given up"
            raise InputError("its server does not answer", hint=hint)
        return _Stream(self)


class _Stream(io.RawIOBase):
    """What comes from an address, piece by piece."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._since = time.monotonic()
        self._file: Any = None
        _hush()
        try:
            self._file = _opened(address)
        except Exception as error:  # noqa: BLE001 - of whatever driver
            self._fail(error)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes; fewer only at the end."""
        self._since = time.monotonic()
        try:
            data: bytes = self._file.read(size)
        except Exception as error:  # noqa: BLE001 - of whatever driver
            self._fail(error)
        _waits.pop(self._address.server, None)
        return data

    def close(self) -> None:
        """Let go of the connection."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _fail(self, error: Exception) -> NoReturn:
        """Raise what a library says, without its words: they hold the address."""
        scheme, server = self._address.scheme, self._address.server
        status = getattr(error, "status", None)
        hint = ""
        if isinstance(error, ImportError):
            driver = _DRIVERS.get(scheme, "fsspec[http]")
            reason, hint = f"what reads {scheme}:// is not installed", f"pip install '{driver}'"
        elif isinstance(error, FileNotFoundError):
            reason = "no such file"
        elif isinstance(error, PermissionError):
            reason = "permission denied"
        elif isinstance(status, int):
            reason = f"the server says {status}"
        else:
            if "Credentials" in type(error).__name__:
                reason = "no credentials are found for it"
            elif isinstance(error, TimeoutError):
                reason = "it does not come in time"
            else:
                reason = f"it cannot be had ({type(error).__name__})"
            now = time.monotonic()
            if now - self._since > 1:  # to be refused at once costs nothing
                _waits[server] = _waits.get(server, (0, 0.0))[0] + 1, now + _PAUSE
        raise InputError(reason, hint=hint) from None


@cache
def _hush() -> None:
    """Keep drivers from writing on stderr what nobody has asked for: it may hold addresses."""
    import logging

    for name in ("fsspec", "aiobotocore", "botocore", "google", *_DRIVERS.values()):
        logging.getLogger(name).addHandler(logging.NullHandler())


def _opened(address: Address) -> Any:
    """Have a driver begin to read; `_STALLED` bounds all that it tries to get a first answer."""
    import aiohttp
    import fsspec
    from fsspec.config import conf
    from fsspec.core import strip_protocol

    limits = aiohttp.ClientTimeout(_LONGEST, sock_connect=_CONNECT, sock_read=_STALLED)
    proxies = {"trust_env": True}
    settings: dict[str, Any] = {
        "s3": {"config_kwargs": {"connect_timeout": _CONNECT, "read_timeout": _STALLED}},
        "gs": {"requests_timeout": limits, "session_kwargs": proxies},
    }.get(address.scheme, {"client_kwargs": {"timeout": limits, **proxies}})
    for key, value in conf.get(address.scheme, {}).items():  # which these would replace whole
        ours = settings.get(key)
        settings[key] = {**ours, **value} if isinstance(ours, dict) else value
    url = address.scheme + address.url[len(address.scheme) :]
    files, _ = fsspec.url_to_fs(url.replace("::", ""), **settings)  # which means one in another
    path = strip_protocol(url)
    if address.scheme in _DRIVERS:
        size = files.info(path, timeout=_STALLED)["size"]
        return io.BufferedReader(_Object(files, path, size), _PIECE)
    return files.open(path, "rb", block_size=0, size=1)  # asked for once, and not for its size


class _Object(io.RawIOBase):
    """An object of a bucket."""

    def __init__(self, files: Any, path: str, size: int) -> None:
        self._files, self._path, self._size = files, path, size
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Ask for the next bytes."""
        end = min(self._at + len(buffer), self._size)
        if self._at == end:
            return 0
        piece = self._files.cat_file(self._path, start=self._at, end=end, timeout=_LONGEST)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
