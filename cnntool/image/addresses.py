"""Pictures behind addresses, ``https://``, ``s3://`` and their kin: fsspec reads them.

Only a list of inputs may name them. They are read once, from their beginning, as a pipe is.
"""

from __future__ import annotations

import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, urlsplit

from cnntool.errors import InputError

if TYPE_CHECKING:
    import os

_SCHEMES = re.compile(r"(https?|s3|gs)://", re.IGNORECASE)

_DRIVERS = {"s3": "s3fs", "gs": "gcsfs"}
"""What fsspec reads other schemes than http with."""

_STALLED = 30
"""Seconds without a byte from a server of http."""

_LONGEST = 600
"""Seconds that one of its answers may take."""


def is_address(name: str) -> bool:
    """Return whether a name of a list is an address."""
    return _SCHEMES.match(name) is not None


class Address:
    """Where a picture lies that is no file here.

    Its text is what may be shown: without user, password, query and fragment.

    Parameters
    ----------
    url : str
        The address.

    Attributes
    ----------
    url : str
        As it was given, secrets and all.
    place : str
        Its path, without what leads out of a folder: by that results are called.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            parts = urlsplit(url)
            host, path = parts.netloc.rpartition("@")[2], parts.path
        except ValueError:  # brackets that enclose no address
            host, path = "", ""
        self._shown = f"{url.partition(':')[0].lower()}://{host}{path}"
        names = (name for name in unquote(path).replace("\\", "/").replace("\0", "").split("/"))
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
            It cannot be had.
        """
        return _Stream(self)

    def fail(self, error: Exception) -> NoReturn:
        """Raise what a library says, without its words: they hold the address.

        Raises
        ------
        InputError
        """
        hint = ""
        status = getattr(error, "status", None)
        if isinstance(error, ImportError):
            scheme = self.url.partition(":")[0].lower()
            driver = _DRIVERS.get(scheme, "fsspec[http]")
            reason, hint = f"what reads {scheme}:// is not installed", f"pip install '{driver}'"
        elif "Credentials" in type(error).__name__:
            reason = "no credentials are found for it"
        elif isinstance(error, FileNotFoundError):
            reason = "no such file"
        elif isinstance(error, PermissionError):
            reason = "permission denied"
        elif isinstance(error, TimeoutError):
            reason = "it does not come in time"
        elif isinstance(status, int):
            reason = f"the server says {status}"
        else:
            reason = f"it cannot be had ({type(error).__name__})"
        raise InputError(reason, source=str(self), hint=hint) from None


@cache
def _hush() -> None:
    """Keep drivers from writing on stderr what nobody has asked for: it may hold addresses."""
    import logging

    for name in ("fsspec", "aiobotocore", "botocore", "google", *_DRIVERS.values()):
        logging.getLogger(name).addHandler(logging.NullHandler())


class _Stream(io.RawIOBase):
    """What comes from an address, piece by piece."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._file: Any = None
        _hush()
        settings: dict[str, Any] = {}
        how: dict[str, Any] = {}
        try:
            import fsspec

            if address.url.lower().startswith("http"):
                import aiohttp

                limits = aiohttp.ClientTimeout(_LONGEST, sock_connect=_STALLED, sock_read=_STALLED)
                settings = {"client_kwargs": {"timeout": limits}}
                how = {"block_size": 0, "size": 1}  # it is asked for once, and not for its size
            files, path = fsspec.url_to_fs(address.url, **settings)
            self._file = files.open(path, "rb", **how)
        except Exception as error:  # noqa: BLE001 - of whatever driver
            address.fail(error)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes; fewer only at the end."""
        try:
            data: bytes = self._file.read(size)
        except Exception as error:  # noqa: BLE001 - of whatever driver
            self._address.fail(error)
        return data

    def close(self) -> None:
        """Let go of the connection."""
        if self._file is not None:
            self._file.close()
        super().close()
