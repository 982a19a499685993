"""Weights that lie in files of their own beside the model: which files may be read.

A model comes from anywhere, so it may name no file outside its own folder: no absolute
path, no way upwards, no link that leads out.
"""

from __future__ import annotations

import stat
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnntool.nets.wire import Wire


class Place(NamedTuple):
    """Where bytes lie: a file without links in its path, and how long it is."""

    file: Path
    size: int


class Neighbours:
    """The files beside a model.

    A model that is reached by a link has two folders: the link's and its own. A file in
    either is beside it, as in the caches of model hubs.

    Parameters
    ----------
    wire : Wire
        The model.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known: dict[str, Place] = {}

    def find(self, location: str, *, weight: str) -> Place:
        """Find the file that a model names.

        Parameters
        ----------
        location : str
            A path relative to the model's folder.
        weight : str
            The tensor that needs it.

        Raises
        ------
        ModelError
            When the file is not there, or lies outside the model's folder.
        """
        if location not in self._known:
            self._known[location] = self._look(location, weight)
        return self._known[location]

    def _look(self, location: str, weight: str) -> Place:
        wire = self._wire
        foreign = PureWindowsPath(location)
        if not location or "\0" in location:
            raise wire.error(f"weight {weight!r} lies in a file without a name")
        if location.startswith("/") or foreign.drive or foreign.root or ".." in foreign.parts:
            raise wire.error(f"weight {weight!r} lies outside the model's folder: {location!r}")
        try:
            file = (wire.path.parent / location).resolve()
            folders = {wire.path.parent.resolve(), wire.path.resolve().parent}
            if not any(file.is_relative_to(folder) for folder in folders):
                raise wire.error(f"weight {weight!r} lies outside the model's folder: {location!r}")
            found = file.stat()
        except FileNotFoundError:
            raise wire.error(
                f"the file with its weights is missing: {location!r}",
                hint="keep it in the same folder as the model",
            ) from None
        except (OSError, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a usable path"
            raise wire.error(f"the file with its weights, {location!r}: {reason}") from error
        if not stat.S_ISREG(found.st_mode):
            raise wire.error(f"the file with its weights is not a regular file: {location!r}")
        return Place(file, found.st_size)
