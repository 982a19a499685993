"""The user's defaults: ``$XDG_CONFIG_HOME/cnntool/config.toml``.

They come after options and environment variables, and before the tool's own. ``CNNTOOL_CONFIG``
names another file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cnntool.errors import UsageError

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
    or a text such as ``2G``), ``offline`` and ``overwrite``. A path of a model counts from the
    folder of the file.

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
    from cnntool.nets.table import fields, flag, line, number, read_toml, whole

    rules = {
        "model": line,
        "device": line,
        "threads": whole(high=1024),
        "timeout": number(low=0.0),
        "max_memory": lambda value: (line if isinstance(value, str) else whole())(value),
        "offline": flag,
        "overwrite": flag,
    }
    found: dict[str, Any] = read_toml(
        path, lambda values: fields(values, {}, rules), error=UsageError
    )
    if "model" in found:
        from cnntool.nets.catalog import is_path

        if is_path(found["model"]):
            found["model"] = str(path.parent / Path(found["model"]).expanduser())
    return found


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
