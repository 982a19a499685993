"""The options of every command that runs a network: device, threads, time and memory."""

from __future__ import annotations

from typing import Any

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.options import gathered
from cnntool.nets.providers import AUTO, PROVIDERS
from cnntool.nets.session import TIMEOUT, Settings
from cnntool.system import keeps_memory

DEVICES = ", ".join(
    [AUTO, *(f"{word}[:N]" if row.numbered else word for word, row in PROVIDERS.items())]
)
"""What --device takes."""


timeout = options.setting(
    "--timeout",
    type=param_types.SECONDS,
    metavar="SECONDS",
    default=TIMEOUT,
    show_default=True,
    help="Time that a network may take to open, and then for each picture.",
)
_OPTIONS = (
    options.setting(
        "--max-memory",
        type=param_types.MEMORY,
        help="Memory that the network may take, such as 4G, where the system sees to that (Linux)."
        "  [default: what is available]",
    ),
    timeout,
    options.setting(
        "--threads",
        type=click.IntRange(min=1, max=1024),
        help="Threads to compute on.  [default: usable CPUs]",
    ),
    options.setting(
        "--device",
        type=param_types.DEVICE,
        default=AUTO,
        show_default=True,
        help=f"Where the network runs: {DEVICES}. 'cnntool devices' says what works here.",
    ),
)


def _settings(*, max_memory: int | None, **values: Any) -> Settings:
    settings = Settings(**values)
    if max_memory is None:
        return settings
    if not keeps_memory():
        console.note("--max-memory has no effect: this system does not limit a process's memory")
    return settings._replace(max_memory=max_memory)


running = gathered("settings", _settings, *_OPTIONS)
"""Adds --device, --threads, --timeout and --max-memory; together: ``settings``."""
