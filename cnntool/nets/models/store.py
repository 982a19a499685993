"""The user's networks: added, checked, removed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cnntool.errors import DownloadError, ModelError, OutputError, UsageError, system_errors_as
from cnntool.image.atomic import Output
from cnntool.nets.models import catalog
from cnntool.nets.models.manifest import (
    NAME,
    manifest_text,
    read_manifest,
    shipped_models,
    user_models,
)
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnntool.nets.models.catalog import CatalogEntry
    from cnntool.nets.models.manifest import ModelSpec

PIECE = 1 << 20
T = TypeVar("T")


class Digest(NamedTuple):
    """A file's hash (SHA-256, hexadecimal) and length in bytes."""

    sha256: str
    size: int


def digest(path: Path, *, each: Callable[[bytes], object] | None = None) -> Digest:
    """Read a file once and return its hash and size; ``each`` gets the pieces.

    Raises
    ------
    ModelError
        It cannot be read.
    """
    sha256, size = hashlib.sha256(), 0
    with system_errors_as(ModelError, path), path.open("rb") as stream:
        while piece := stream.read(PIECE):
            sha256.update(piece)
            size += len(piece)
            if each:
                each(piece)
    return Digest(sha256.hexdigest(), size)


def make_folder() -> Path:
    """Make the folder of the user's networks.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    folder = user_models()
    with system_errors_as(OutputError, folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_name(name: str, *, source: str) -> None:
    """See that a new network may have this name.

    Raises
    ------
    UsageError
        It is no name, or taken.
    """
    if not NAME.fullmatch(name) or catalog.is_path(name):
        reason = f"{name!r} is no name: a-z, 0-9, '.', '_' and '-', and no .onnx at the end"
        raise UsageError(reason, source=source, hint="`name` gives it one")
    if os.path.lexists(shipped_models() / f"{name}.toml"):
        raise UsageError(
            f"{name!r} is the name of a model that the tool knows", source=source,
            hint="`name` gives it another",
        )  # fmt: skip
    if os.path.lexists(user_models() / f"{name}.toml"):
        raise UsageError(
            f"there is a model called {name!r} already", source=source,
            hint=f"'cnntool models remove {name}' removes it, `name` gives the new one another",
        )  # fmt: skip


def add(path: Path, spec: ModelSpec, *, link: bool = False) -> CatalogEntry:
    """Take a network into the user's folder.

    Parameters
    ----------
    path : Path
        The file.
    spec : ModelSpec
        What is known of it; ``file``, ``sha256`` and ``size`` are filled in here.
    link : bool
        Leave the file where it is and make a symbolic link to it.

    Raises
    ------
    UsageError
        The name cannot be taken.
    ModelError
        The file cannot be read.
    OutputError
        The folder cannot be written.
    """
    check_name(spec.name, source=str(path))
    folder = make_folder()
    target = folder / f"{spec.name}{catalog.SUFFIX}"
    if os.path.lexists(target):
        raise OutputError("it exists already", source=str(target), hint="`name` gives another name")
    manifest = folder / f"{spec.name}.toml"

    def undo() -> None:
        for one in (manifest, target):
            one.unlink(missing_ok=True)

    forget = on_stop(undo)
    try:
        if link:
            found = _link(path, target)
        else:
            found = _write(target, lambda output: digest(path, each=output.write))
        spec = spec._replace(file=target.name, sha256=found.sha256, size=found.size)
        try:
            _write(manifest, lambda output: output.write(manifest_text(spec).encode()))
            read_manifest(manifest)
        except BaseException:
            undo()
            raise
    finally:
        forget()
    return catalog.entry(spec.name)


def _link(path: Path, target: Path) -> Digest:
    found = digest(path)
    with system_errors_as(OutputError, target, hint="leave `link` out to copy"):
        target.symlink_to(path.resolve())
    return found


def _write(target: Path, fill: Callable[[Output], T]) -> T:
    with Output(target, overwrite=False) as output:
        result = fill(output)
        output.commit()
    return result


def verify(entry: CatalogEntry) -> str | None:
    """Compare a network's file with its manifest.

    Returns
    -------
    str or None
        What is wrong with it.
    """
    spec = entry.spec
    try:
        found = digest(entry.file)
    except ModelError as error:
        return error.message
    if spec.size is not None and found.size != spec.size:
        return f"has {found.size:,} bytes, not {spec.size:,}"
    if spec.sha256 is not None and found.sha256 != spec.sha256:
        return f"has the sha256 {found.sha256}, not {spec.sha256}"
    return None


def remove(entry: CatalogEntry) -> list[Path]:
    """Remove a network's file; of one that the user added, the manifest too.

    Returns
    -------
    list of Path
        What was removed.

    Raises
    ------
    UsageError
        It ships with the tool.
    ModelError
        It is not here.
    OutputError
        It cannot be removed.
    """
    if entry.bundled:
        raise UsageError("ships with the tool and stays", source=entry.spec.name)
    paths = [entry.file] if os.path.lexists(entry.file) else []
    if not entry.shipped and entry.spec.manifest is not None:
        paths.append(entry.spec.manifest)
    if not paths:
        raise ModelError("is not here", source=entry.spec.name)
    for path in paths:
        with system_errors_as(OutputError, path):
            path.unlink()
    return paths


def bad(entry: CatalogEntry, reason: str) -> DownloadError:
    """Return the error for a file that is not what its manifest says."""
    remedy = f"cnntool models pull {entry.spec.name}" if entry.spec.urls else ""
    return DownloadError(reason, source=str(entry.file), hint=remedy)
