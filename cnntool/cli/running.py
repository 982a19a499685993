"""The options of every command that runs a network: device, threads, time and memory."""

from __future__ import annotations

from math import isnan
from typing import Any

import click

from cnntool.cli import config, console
from cnntool.cli.options import gathered
from cnntool.errors import UsageError
from cnntool.nets.limits import are_kept
from cnntool.nets.providers import AUTO, PROVIDERS, attempts
from cnntool.nets.session import TIMEOUT, Settings

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_LEAST_MEMORY, _MOST_MEMORY = 64 << 20, 1 << 50
DEVICES = ", ".join(
    [AUTO, *(f"{word}[:N]" if row.numbered else word for word, row in PROVIDERS.items())]
)
"""What --device takes."""


class Device(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A device, ``cpu`` or ``cuda:1``."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the text."""
        try:
            attempts(value)
        except UsageError as error:
            self.fail(f"{error.message} ({error.hint})", param, ctx)
        return str(value)


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A number of bytes, ``512M`` or ``1.5G``; K, M, G and T are powers of 1024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        number = str(value).strip().upper().removesuffix("B").removesuffix("I")
        unit = number[-1:] if number[-1:] in _UNITS else ""
        digits = number.removesuffix(unit)
        if digits.count(".") > 1 or not digits.replace(".", "").isdecimal():
            self.fail(f"{value!r} is no size, such as 512M or 1.5G", param, ctx)
        if len(digits) > 18 or float(digits) * _UNITS[unit] > _MOST_MEMORY:
            self.fail(f"{value!r} is more than any machine has", param, ctx)
        size = int(float(digits) * _UNITS[unit])
        if size < _LEAST_MEMORY:
            self.fail(f"{value!r} is less than onnxruntime itself takes (64M)", param, ctx)
        return size


class Seconds(click.FloatRange):
    """More than no time at all."""

    name = "number of seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the text."""
        seconds = float(super().convert(value, param, ctx))
        if isnan(seconds):
            self.fail(f"{value!r} is no number", param, ctx)
        return seconds


timeout = click.option(
    "--timeout",
    type=Seconds(min=0, min_open=True),
    metavar="SECONDS",
    default=TIMEOUT,
    show_default=True,
    envvar="CNNTOOL_TIMEOUT",
    show_envvar=True,
    callback=config.fill,
    help="Time that a network may take to open, and then for each picture.",
)
_OPTIONS = (
    click.option(
        "--max-memory",
        type=Size(),
        envvar="CNNTOOL_MAX_MEMORY",
        show_envvar=True,
        callback=config.fill,
        help="Memory that the network may take, such as 4G, where the system sees to that (Linux)."
        "  [default: what is available]",
    ),
    timeout,
    click.option(
        "--threads",
        type=click.IntRange(min=1, max=1024),
        envvar="CNNTOOL_THREADS",
        show_envvar=True,
        callback=config.fill,
        help="Threads to compute on.  [default: usable CPUs]",
    ),
    click.option(
        "--device",
        type=Device(),
        metavar="NAME",
        default=AUTO,
        show_default=True,
        envvar="CNNTOOL_DEVICE",
        show_envvar=True,
        callback=config.fill,
        help=f"Where the network runs: {DEVICES}. 'cnntool devices' says what works here.",
    ),
)


def _settings(*, max_memory: int | None, **values: Any) -> Settings:
    settings = Settings(**values)
    if max_memory is None:
        return settings
    if not are_kept():
        console.note("--max-memory has no effect: this system does not limit a process's memory")
    return settings._replace(max_memory=max_memory)


running = gathered("settings", _settings, *_OPTIONS)
"""Adds --device, --threads, --timeout and --max-memory; together: ``settings``."""
