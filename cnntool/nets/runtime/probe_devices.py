"""Probing devices: a tiny network is run on each."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from cnntool.errors import CnntoolError, DeviceError
from cnntool.nets.file.messages import new_model, node_message
from cnntool.nets.file.subgraph import INPUT, NODE, OUTPUT, Skeleton, value_message
from cnntool.nets.file.wire import chunk_field
from cnntool.nets.runtime.providers import PROVIDERS, SessionSettings, absent, word_of
from cnntool.nets.runtime.session import Session

_SIDE = 8


class DeviceProbe(NamedTuple):
    """What became of a device.

    Attributes
    ----------
    device : str
        As --device takes it.
    provider : str
        What onnxruntime calls it.
    seconds : float or None
        From nothing to the first result, where there was one.
    error : CnntoolError or None
        Why it does not work.
    version : str
        Of onnxruntime, where the device works.
    installed : bool
        Whether the installed onnxruntime has it.
    """

    device: str
    provider: str
    seconds: float | None = None
    error: CnntoolError | None = None
    version: str = ""
    installed: bool = True


class _Run(NamedTuple):
    """A device that is being tried."""

    device: str
    start: float
    session: Session


def try_device(device: str, settings: SessionSettings) -> DeviceProbe:
    """Run a tiny network on a device.

    Parameters
    ----------
    device : str
        As --device takes it.
    settings : SessionSettings
        How to run it; its device does not matter.

    Raises
    ------
    UsageError
        An unknown device.
    """
    return _finish(_begin(device, settings))


def try_all(settings: SessionSettings) -> list[DeviceProbe]:
    """Run a tiny network on every device, each in a process of its own, side by side."""
    run = _begin("cpu", settings)
    cpu = _finish(run)
    if cpu.error is not None:
        return [cpu]
    _, built_in = run.session.runtime
    runs = {
        word: _begin(word, settings)
        for word, row in PROVIDERS.items()
        if row.provider in built_in and word != "cpu"
    }
    found = {"cpu": cpu, **{word: _finish(run) for word, run in runs.items()}}
    return [found.get(word) or _absent(word) for word in PROVIDERS]


def _absent(word: str) -> DeviceProbe:
    row = PROVIDERS[word]
    error = DeviceError(absent(word), source=word, hint=row.hint)
    return DeviceProbe(word, row.provider, error=error, installed=False)


def tiny_network() -> bytes:
    """Write a model of one convolution, of its inputs ``picture`` and ``kernel``."""
    values = (
        (INPUT, "picture", (1, 1, _SIDE, _SIDE)),
        (INPUT, "kernel", (1, 1, 3, 3)),
        (OUTPUT, "map", (1, 1, _SIDE - 2, _SIDE - 2)),
    )
    fields = [chunk_field(NODE, node_message("Conv", ("picture", "kernel"), ("map",), {}))]
    fields += (chunk_field(end, value_message(name, "float32", size)) for end, name, size in values)
    return new_model(13, fields)


def _begin(device: str, settings: SessionSettings) -> _Run:
    start = perf_counter()
    model = Skeleton(tiny_network(), Path(os.sep))
    session = Session(model, settings._replace(device=device), name="the trial network")
    return _Run(device, start, session)


def _finish(run: _Run) -> DeviceProbe:
    """Wait for a device, and check its numbers: the kernel cuts out the middle of the picture."""
    import numpy as np

    trial = DeviceProbe(run.device, PROVIDERS[word_of(run.device)].provider)
    picture = np.arange(_SIDE**2, dtype=np.float32).reshape(1, 1, _SIDE, _SIDE)
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 1, 1] = 1
    with run.session:
        try:
            (result,) = run.session.run({"picture": picture, "kernel": kernel})
        except CnntoolError as error:
            return trial._replace(error=error)
        seconds = perf_counter() - run.start
        version, _ = run.session.runtime
    if not np.array_equal(result, picture[:, :, 1:-1, 1:-1]):
        return trial._replace(error=DeviceError("computes wrongly", source=run.device))
    return trial._replace(seconds=seconds, version=version)
