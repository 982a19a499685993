"""The user's defaults: ``$XDG_CONFIG_HOME/cnntool/config.toml``.

They come after options and environment variables, and before the tool's own. ``CNNTOOL_CONFIG``
names another file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnntool.errors import UsageError

if TYPE_CHECKING:
    from cnntool.nets.table import Table

VARIABLE = "CNNTOOL_CONFIG"


def place() -> Path:
    """Return where the file is, or would be; the same on every system."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):  # noqa: PTH117 - XDG's rule: such a path counts as none
        folder = os.path.expanduser("~/.config")  # noqa: PTH111 - Path's fails without a home
    return Path(folder, "cnntool", "config.toml")


def read() -> dict[str, Any]:
    """Return the user's defaults, as far as the file states any.

    The keys are ``model``, ``device``, ``threads``, ``timeout`` (seconds), ``max_memory`` (bytes,
    or a text such as ``2G``), ``offline`` and ``overwrite``.

    Raises
    ------
    UsageError
        The file cannot be read, is no TOML, has an unknown key or a value of the wrong type; or
        ``CNNTOOL_CONFIG`` names a file that does not exist.
    """
    path = place()
    if not os.path.exists(path):  # noqa: PTH110 - Path's fails where a folder is closed to us
        if os.environ.get(VARIABLE):
            raise UsageError("no such file", source=str(path), hint=f"{VARIABLE} names it")
        return {}
    from cnntool.nets.table import read_table

    table = read_table(path, error=UsageError)
    found = {
        "model": _model(table),
        "device": table.text("device", None),
        "threads": table.whole("threads", None, high=1024),
        "timeout": table.number("timeout", None, low=0.0),
        "max_memory": _size(table),
        "offline": table.flag("offline", None),
        "overwrite": table.flag("overwrite", None),
    }
    table.close()
    return {key: value for key, value in found.items() if value is not None}


def _model(table: Table) -> str | None:
    """Return a name as it is, and a path from the folder of the file that states it."""
    from cnntool.nets.catalog import is_path

    text: str | None = table.text("model", None)
    if text is None or not is_path(text):
        return text
    return str(Path(table.source).parent / Path(text).expanduser())


def _size(table: Table) -> Any:
    """Return bytes, or a text such as ``2G`` for the option to read."""
    written = isinstance(table.raw("max_memory", None), str)
    return table.text("max_memory") if written else table.whole("max_memory", None)


def fill(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Fill in the user's default for an option; to be the option's ``callback``.

    The key is the option's name, with ``_`` for ``-``. The file is read only if neither the command
    line nor the environment says anything.
    """
    name = param.name or ""
    if ctx.resilient_parsing or ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
        return value
    found = read().get(name)
    if found is None:
        return value
    try:
        return param.type_cast_value(ctx, found)
    except click.BadParameter as error:
        raise UsageError(f"{name}: {error.message}", source=str(place())) from None
