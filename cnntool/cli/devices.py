"""``cnntool devices``: what networks can run on here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.running import DEVICES, timeout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.trial import Trial


@click.command("devices")
@click.option(
    "--device",
    type=param_types.DEVICE,
    help=f"Try only this one, and exit with 5 if it fails: {DEVICES}.",
)
@timeout
@options.json_lines
@options.talk
def command(*, device: str | None, timeout: float, as_json: bool) -> None:
    """Run a tiny network on every device, and say which work.

    Lines in a pipe hold the device, onnxruntime's name for it, 'works' or 'fails', the milliseconds
    from nothing to the first result, and why it fails.
    """
    from cnntool.nets.providers import overwritten, wheels
    from cnntool.nets.session import Settings
    from cnntool.nets.trial import try_all, try_device
    from cnntool.system import usable_cpus

    settings = Settings(timeout=timeout)
    trials = try_all(settings) if device in {None, "auto"} else [try_device(device, settings)]
    error = trials[0].error
    if len(trials) == 1 and error is not None:
        raise error
    version = next(trial.version for trial in trials if trial.version)
    cpus = usable_cpus()
    console.note(f"onnxruntime {version}, {cpus} usable CPU{'s' if cpus > 1 else ''}")
    if len(found := wheels()) > 1:
        console.note(f"{overwritten(found)}: uninstall all, install one")
    records = [_record(trial, version, cpus) for trial in trials]
    if as_json:
        import json

        for record in records:
            console.result(json.dumps(record))
    elif sys.stdout.isatty():
        _table(records)
    else:
        for record in records:
            console.result("\t".join(_cells(record)))


def _record(trial: Trial, version: str, cpus: int) -> dict[str, Any]:
    return {
        "device": trial.device,
        "provider": trial.provider,
        "works": trial.error is None,
        "milliseconds": None if trial.seconds is None else 1000 * trial.seconds,
        "reason": trial.error.message if trial.error else None,
        "hint": trial.error.hint or None if trial.error else None,
        "onnxruntime": version,
        "cpus": cpus,
    }


def _cells(record: dict[str, Any]) -> list[str]:
    time = record["milliseconds"]
    return [
        record["device"],
        record["provider"],
        "works" if record["works"] else "fails",
        "" if time is None else f"{time:.0f}",
        "; ".join(filter(None, (record["reason"], record["hint"]))),
    ]


def _table(records: Sequence[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("device", "", box=box.SIMPLE)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for record in records:
        device, _, *cells = map(console.printable, _cells(record))
        table.add_row(*map(Text, (device, *cells)))
    Console().print(table)
