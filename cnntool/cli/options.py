"""The options that mean the same in every command, each written once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cnntool.cli.console import TALK

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def _talk(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001, FBT001
        setattr(TALK, name, value or getattr(TALK, name))  # the group's flag holds too

    return remember


def talk(command: F) -> F:
    """Add --quiet, --verbose and --debug."""
    for flags, text in (
        (("--debug",), "Show the traceback of an error."),
        (("-v", "--verbose"), "Say more on stderr."),
        (("-q", "--quiet"), "Say only errors on stderr."),
    ):
        name = flags[-1].removeprefix("--")
        option = click.option(
            *flags, is_flag=True, expose_value=False, is_eager=True, callback=_talk(name), help=text
        )
        command = option(command)
    return command


def inputs(command: F) -> F:
    """Add the positional inputs and --recursive."""
    command = click.option(
        "-r", "--recursive", is_flag=True, help="Look into the folders of a folder too."
    )(command)
    return click.argument(
        "inputs", nargs=-1, metavar="[INPUT]...", type=click.Path(path_type=Path, allow_dash=True)
    )(command)


def output(command: F) -> F:
    """Add --output and --overwrite."""
    command = click.option("--overwrite", is_flag=True, help="Replace existing files.")(command)
    return click.option(
        "-o",
        "--output",
        metavar="FILE|DIR|-",
        help="Where the result goes; '-' is stdout.",
    )(command)


def json_lines(command: F) -> F:
    """Add --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON record per result on stdout."
    )(command)


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


threads = click.option(
    "--threads",
    type=click.IntRange(min=1, max=1024),
    envvar="CNNTOOL_THREADS",
    show_envvar=True,
    help="Threads to compute on; the result does not depend on it.  [default: usable CPUs]",
)


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """One or two positive whole numbers, ``2`` or ``2,1`` (rows, columns)."""

    name = "N|ROWS,COLUMNS"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is not a positive number or two (rows,columns)", param, ctx)
        return int(parts[0]), int(parts[-1])
