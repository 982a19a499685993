"""``cnntool devices``: what networks can run on here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.network_options import timeout_option
from cnntool.cli.output import Column, emit, form_of
from cnntool.nets.runtime.providers import DEVICES
from cnntool.shapes.text import counted

if TYPE_CHECKING:
    from cnntool.nets.runtime.probe_devices import DeviceProbe


COLUMNS = (
    Column("device", gives="wrap"),
    Column("provider", people=False),
    Column("state", "", gives="wrap"),
    Column("milliseconds", "ms", right=True),
    Column("why", gives="wrap"),
)


@click.command("devices")
@click.option(
    "--device",
    type=param_types.DEVICE,
    help=f"Try only this one, and exit with 5 if it fails: {DEVICES}.",
)
@timeout_option
@options.json_lines
@options.talk
def command(*, device: str | None, timeout: float, as_json: bool) -> None:
    """Run a tiny network on every device, and say which work.

    What the installed onnxruntime was built without is not installed; what fails should work. Lines
    in a pipe hold the device, onnxruntime's name for it, 'works' or 'fails', the milliseconds
    from nothing to the first result, and why it fails.
    """
    from cnntool.nets.runtime.probe_devices import try_all, try_device
    from cnntool.nets.runtime.providers import SessionSettings, overwritten, wheels
    from cnntool.system import usable_cpus

    settings = SessionSettings(timeout=timeout)
    trials = try_all(settings) if device in {None, "auto"} else [try_device(device, settings)]
    error = trials[0].error
    if len(trials) == 1 and error is not None:
        raise error
    version = next(trial.version for trial in trials if trial.version)
    cpus = usable_cpus()
    console.note(f"onnxruntime {version}, {counted(cpus, 'usable CPU')}")
    if len(found := wheels()) > 1:
        console.note(f"{overwritten(found)}: uninstall all, install one")
    records = [_record(trial, version, cpus) for trial in trials]
    form = form_of(as_json=as_json)
    if form == "table":
        rows = [
            _shown(trial, _cells(record)) for trial, record in zip(trials, records, strict=True)
        ]
        emit(COLUMNS, rows, form)
    else:
        emit(COLUMNS, records if form == "jsonl" else [*map(_cells, records)], form)


def _record(trial: DeviceProbe, version: str, cpus: int) -> dict[str, Any]:
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


def _shown(trial: DeviceProbe, cells: list[str]) -> list[str]:
    """Write a row for people: nothing is wrong with what nobody installed."""
    if trial.installed or trial.error is None:
        return cells
    return [*cells[:2], "not installed", "", trial.error.hint]


def _cells(record: dict[str, Any]) -> list[str]:
    time = record["milliseconds"]
    return [
        record["device"],
        record["provider"],
        "works" if record["works"] else "fails",
        "" if time is None else f"{time:.0f}",
        "; ".join(filter(None, (record["reason"], record["hint"]))),
    ]
