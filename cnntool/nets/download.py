"""Files from the network: mirrors, limits, and the hash before the file gets its name."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.errors import DownloadError, OutputError
from cnntool.nets import store, transfer
from cnntool.nets.lock import alone
from cnntool.system import on_stop

if TYPE_CHECKING:
    from cnntool.nets.catalog import Entry

_SPARE = 16 << 20
"""Bytes of the disk that are left free."""


_MARK = "+"
"""Ends the name in the name of a working folder; no model's name has it."""


class Limits(NamedTuple):
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


class Listener:
    """Hears how a download goes; every method may be left as it is."""

    def note(self, text: str) -> None:
        """Take one line about something that happened: a mirror that failed, waiting."""

    def progress(self, done: int, total: int) -> None:
        """Take the bytes that are here and the bytes to come in all."""


def pull(
    entry: Entry,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a NamedTuple does not change
    listener: Listener | None = None,
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
        pooch is not installed.
    OutputError
        The disk is full, or the folder cannot be written.
    """
    listener = listener or Listener()
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
    if find_spec("pooch") is None:
        raise DownloadError(
            "pooch is not installed, which fetches files", hint="pip install 'cnntool[cpu]'"
        )
    folder = store.make_folder()
    with alone(
        folder / f".{name}.lock",
        until=until,
        on_wait=lambda: listener.note(f"{name}: another process is fetching it; waiting for it"),
    ) as held:
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
            _try_mirrors(entry, workplace, until=until, stall=limits.stall, listener=listener)
        finally:
            shutil.rmtree(workplace, ignore_errors=True)
            forget()
    return True


def _is_good(entry: Entry) -> bool:
    return entry.present and store.verify(entry) is None


def _sweep(folder: Path, name: str) -> None:
    """Remove what a process left that was killed while it held the lock."""
    for left in folder.glob(f".{name}{_MARK}*"):
        shutil.rmtree(left, ignore_errors=True)


def _make(workplace: Path) -> None:
    try:
        workplace.mkdir(mode=0o700)
    except OSError as error:
        raise _unwritable(workplace.parent, error) from None


def _check_space(folder: Path, entry: Entry) -> None:
    free, size = shutil.disk_usage(folder).free, entry.spec.size or 0
    if free < size + _SPARE:
        reason = f"{size / 1e6:,.0f} MB are to come, {free / 1e6:,.0f} MB are free on the disk"
        raise OutputError(reason, source=str(folder))


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError((error.strerror or "cannot be written").lower(), source=str(path))


def _try_mirrors(
    entry: Entry, workplace: Path, *, until: float, stall: float, listener: Listener
) -> None:
    failures: list[str] = []
    for url in entry.spec.urls:
        if failures and time.monotonic() >= until:
            break
        try:
            file = _retrieve(entry, url, workplace, until=until, stall=stall, listener=listener)
            file.replace(entry.file)
        except DownloadError as error:
            failures.append(f"{transfer.host(url)}: {error.message}")
        except OSError as error:
            raise _unwritable(entry.file, error) from None
        else:
            return
        if len(entry.spec.urls) > 1:
            listener.note(f"{entry.spec.name}: {failures[-1]}")
    count = len(failures)
    reason = failures[-1] if count == 1 else f"none of {count} mirrors gave it; {failures[-1]}"
    raise DownloadError(reason, source=entry.spec.name)


def _retrieve(
    entry: Entry, url: str, workplace: Path, *, until: float, stall: float, listener: Listener
) -> Path:
    """Fetch one address with pooch, which compares the hash and then renames the file."""
    import pooch

    pooch.get_logger().setLevel("CRITICAL")  # we speak for ourselves
    size = entry.spec.size or 0

    def download(url: str, target: Any, _: Any) -> None:
        transfer.fetch(
            url, Path(target), size, until=until, stall=stall, on_progress=listener.progress
        )

    try:
        found = pooch.retrieve(
            url,
            known_hash=f"sha256:{entry.spec.sha256}",
            fname=entry.spec.file,
            path=workplace,
            downloader=download,
        )
    except ValueError:
        raise DownloadError("not the file: its sha256 is another") from None
    return Path(found)
