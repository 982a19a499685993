"""Folders of manifests and networks."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER_VARIABLE = "CNNTOOL_MODELS_DIR"
BUILT_IN = "vgg16-mini"
"""The network that ships with the tool."""


def shipped_models() -> Path:
    """Return the folder of the manifests that ship with the tool, and of the built-in network.

    It lies in the installed package; in a checkout, beside it.
    """
    return _shipped("models")


def shipped_sample() -> Path:
    """Return the photo that ships with the tool, to be looked at when no other is given."""
    return _shipped("samples") / "cat.png"


def _shipped(folder: str) -> Path:
    package = Path(__file__).parents[2]
    installed = package / folder
    return installed if installed.is_dir() else package.parent / folder


def user_models() -> Path:
    """Return the folder where networks are put, which may not exist yet.

    ``$CNNTOOL_MODELS_DIR``, else ``cnntool/models`` in the user's data folder
    (``$XDG_DATA_HOME`` or ``~/.local/share`` on Linux).
    """
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_data_path("cnntool", appauthor=False) / "models"
