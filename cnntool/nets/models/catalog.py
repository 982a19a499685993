"""The catalogue: from what the user types to a manifest and a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import ModelError, system_errors_as
from cnntool.nets.models.manifest import NAME, read_manifest, shipped_models, user_models

if TYPE_CHECKING:
    from cnntool.nets.models.manifest import ModelSpec

SUFFIX = ".onnx"


class FoundModel(NamedTuple):
    """A network that is here.

    Attributes
    ----------
    name : str
        As typed, for messages.
    spec : ModelSpec or None
        None for a file without a manifest.
    file : Path
        An existing file.
    """

    name: str
    spec: ModelSpec | None
    file: Path


class CatalogEntry(NamedTuple):
    """A network that has a name, here or not.

    Attributes
    ----------
    spec : ModelSpec
    file : Path
        Where its file is, or would be.
    shipped : bool
        Whether its manifest ships with the tool; else the user added it.
    bundled : bool
        Whether its file does too.
    """

    spec: ModelSpec
    file: Path
    shipped: bool
    bundled: bool

    @property
    def present(self) -> bool:
        """Whether its file is here."""
        return _is_file(self.file)


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; of one that cannot be looked at, no."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where it may not look


def names() -> list[str]:
    """Return all names: what ships with the tool and what the user added, sorted."""
    return sorted(_manifests(shipped_models()) | _manifests(user_models()))


def _manifests(folder: Path) -> set[str]:
    try:
        return {
            name.removesuffix(".toml")
            for name in os.listdir(folder)  # noqa: PTH208 - Path.iterdir makes a Path of each
            if name.endswith(".toml") and not name.startswith(".")
        }
    except OSError:
        return set()


def entry(name: str) -> CatalogEntry:
    """Return what is known under a name.

    What ships with the tool comes before what the user added.

    Raises
    ------
    ModelError
        Nothing has this name; the three nearest names are in the hint. Or its manifest is bad.
    """
    if NAME.fullmatch(name):
        shipped = shipped_models()
        spec = _read(shipped, name)
        if spec and _is_file(shipped / spec.file):
            return CatalogEntry(spec, shipped / spec.file, shipped=True, bundled=True)
        user = user_models()
        found = spec or _read(user, name)
        if found:
            return CatalogEntry(found, user / f"{name}{SUFFIX}", shipped=bool(spec), bundled=False)
    raise ModelError(f"no model is called {name!r}", hint=_nearest(name))


def _read(folder: Path, name: str) -> ModelSpec | None:
    manifest = folder / f"{name}.toml"
    if not _is_file(manifest):
        return None
    spec = read_manifest(manifest)
    if spec.name != name:
        raise ModelError(f"name is {spec.name!r}, not {name!r}", source=str(manifest))
    return spec


def _nearest(name: str) -> str:
    from difflib import get_close_matches

    if os.path.isfile(name):  # noqa: PTH113 - says no to any text, where a Path raises
        from cnntool.image.files import FORMATS

        if name.lower().endswith(tuple(end for row in FORMATS.values() for end in row.suffixes)):
            return "the file of this name is a picture; 'cnntool models' lists networks"
        return f"for the file write '.{os.sep}{name}'"
    near = get_close_matches(name.lower(), names(), n=3, cutoff=0.4)
    known = "'cnntool models' lists the names"
    return f"the nearest: {', '.join(near)}; {known}" if near else known


def is_path(name_or_path: str) -> bool:
    """Return whether a text is a file's path rather than a model's name.

    It is if it ends in ``.onnx`` or has a separator in it.
    """
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return name_or_path.lower().endswith(SUFFIX) or any(s in name_or_path for s in separators)


def find(name_or_path: str) -> FoundModel:
    """Return the network that the user means.

    A path (see `is_path`) is that file, with the manifest of the same stem beside it if there is
    one. Anything else is a name.

    Raises
    ------
    ModelError
        No such name or file, a bad manifest, or a file that is not here yet or not what its
        manifest says. Only the size is compared; ``cnntool models verify`` compares the hash.
    """
    if is_path(name_or_path):
        return find_file(Path(name_or_path))
    found = entry(name_or_path)
    if not found.present:
        raise absent(found)
    _compare(found.file, found.spec, name_or_path, hint=_remedy(found))
    return FoundModel(name_or_path, found.spec, found.file.resolve())


def absent(found: CatalogEntry) -> ModelError:
    """Return the error that says that a network is not here."""
    hint = _remedy(found)
    return ModelError("is not here yet" if hint else "its file is gone", source=found.spec.name,
                      hint=hint or f"it was {found.file}")  # fmt: skip


def _remedy(found: CatalogEntry) -> str:
    return f"cnntool models pull {found.spec.name}" if found.spec.urls else ""


def find_file(path: Path) -> FoundModel:
    """Return a file as a network, with the manifest of the same stem beside it if there is one.

    Raises
    ------
    ModelError
        No regular file, a bad manifest, or one of another file.
    """
    name = str(path)
    with system_errors_as(ModelError, path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise ModelError(f"this is {kind}", source=name)
    manifest = path.with_suffix(".toml")
    if not _is_file(manifest):
        return FoundModel(name, None, path)
    spec = read_manifest(manifest)
    if spec.file != path.name:
        raise ModelError(f"file is {spec.file!r}, not {path.name!r}", source=str(manifest))
    _compare(path, spec, name, hint=f"correct sha256 and size in {manifest}")
    return FoundModel(name, spec, path)


def _compare(file: Path, spec: ModelSpec, name: str, *, hint: str) -> None:
    size = file.stat().st_size
    if spec.size is not None and size != spec.size:
        reason = f"the file has {size:,} bytes, its manifest says {spec.size:,}"
        raise ModelError(reason, source=name, hint=hint)
