"""Shards: parts of a batch that are worked on elsewhere, by the very command, in a process apart.

A worker of the cluster hands a shard to a process that it keeps for that (`main`): there the
command runs as it does on one machine, but for its inputs, which a file lists, its log, which is
one for the shard, and its stdout, which nobody reads. What became of each input stands in that log,
and what is to be said of it. A picture that kills the process is tried once more, alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

from cnntool.cli import batch_log, console, network_options, spool
from cnntool.cli.batch_log import BatchLog, outputs_of, parsed
from cnntool.errors import CnntoolError, DeviceError, InputError, ModelError, UsageError
from cnntool.image.atomic import free, hold
from cnntool.image.files import Item, Listed
from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SAME = "workers need the same cnntool, onnxruntime and network as where the command is given"

SEEN = "inputs, results and the log lie in folders that all workers see"

ALONE = 16
"""Inputs that are tried one by one after a process has died: what it may have had in hand."""


class Answer(NamedTuple):
    """What a process says when it is done: nothing, or the error that ended the command."""

    code: int = 0
    error: str = ""
    hint: str = ""


class Job(NamedTuple):
    """A shard, and what is to be done with it.

    Attributes
    ----------
    command : str
        The verb.
    values : dict
        What its options were read as.
    folder : Path
        The working directory.
    header : dict
        What the log begins with.
    facts : Facts
        What the worker must have.
    run : str
        Tells this run of the command from others with the same log.
    inputs, log, own : Path
        The file of the inputs, the log of the shard, and what earlier runs have written.
    only : str
        The name of the one input to work on; empty for all that are left.
    """

    command: str
    values: dict[str, Any]
    folder: Path
    header: dict[str, Any]
    facts: Facts
    run: str
    inputs: Path
    log: Path
    own: Path
    only: str = ""

    def items(self) -> list[Item]:
        """Read the inputs."""
        return spool.listed(self.inputs)

    def finished(self) -> dict[str, int]:
        """Return the exit code of each input that is done with, by its name."""
        if not self.log.exists():
            return {}
        return {line["input"]: line["code"] for line, _ in told(self.log)}

    def give_up(self, name: str, how: str) -> None:
        """Note that an input has killed what worked on it, alone too."""
        error = InputError(f"{how}, and again when it was tried alone: left out", source=name)
        log = _Notes(self)
        try:
            log.add(Item(None, name, Path()), None, error.exit_code, str(error), None)
        finally:
            log.close()


def told(log: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield what a log tells of inputs, with the lines as they stand there."""
    for line in log.read_bytes().splitlines():
        if line.startswith(_INPUT) and (record := parsed(line)):
            yield record, line


_INPUT = b'{"input"'
"""What the line of an input begins with."""


class PartLog(BatchLog):
    """The log of a shard: a line for each input, with what is to be said of it.

    Parameters
    ----------
    job : Job
        The shard.
    model : list of str or None
        What the network is known by here, if there is one.

    Raises
    ------
    ModelError
        It is another one than where the command was given.
    """

    def __init__(self, job: Job, model: list[str] | None) -> None:
        if model != job.header["model"]:
            raise ModelError(
                "the worker has another file or manifest of this name",
                source=str(job.values.get("model")),
            )
        self._job = job
        self._lock_file = job.log.open("ab")
        self._held = hold(self._lock_file.fileno())  # until a process that was given up has ended
        super().__init__(job.log, model=model, resume=True, overwrite=False)
        self._left: dict[str, Any] = {}
        if job.own.exists():
            for line in job.own.read_bytes().splitlines():
                self._left |= outputs_of(parsed(line))

    def _header(self, model: list[str] | None) -> dict[str, Any]:  # noqa: ARG002
        return self._job.header

    def _left_in_line(self, name: str) -> dict[str, Any]:
        found = super()._left_in_line(name)
        return found if name in found else self._left

    def expect(self, items: Iterable[Item]) -> Iterable[Item]:  # noqa: ARG002
        """Return the inputs of the shard that are not done with, and those that went well.

        What went well has its name taken already.
        """
        job, codes = self._job, self._job.finished()
        return [
            item
            for item in job.items()
            if (not job.only or item.name == job.only or item.name in codes)
            and not codes.get(item.name)
        ]

    def _put(self, record: dict[str, Any]) -> None:
        if "code" in record:
            heard = console.heard()
            record = {
                **record,
                "notes": [text for kind, text in heard if kind == "note"],
                "hint": next((text for kind, text in reversed(heard) if kind == "hint"), ""),
            }
        super()._put(record)

    def add(self, item: Item, read: Any, code: int, error: str, result: Any) -> None:
        """Note what became of an input; what was printed only is lost."""
        if code == 0 and (result is None or result.get("output") == str(None)):
            fault = UsageError("what is printed on stdout comes from no cluster", source=item.name)
            console.heard()
            console.error("", "--output FOLDER takes files")
            code, error, result = fault.exit_code, str(fault), None
        super().add(item, read, code, error, result)

    def again(self, line: dict[str, Any]) -> None:
        """Leave the line of an input that is done with where it is."""

    def finish(self) -> None:
        """Leave the log to who reads it."""

    def close(self) -> None:
        """Close the file."""
        super().close()
        free(self._held)
        self._lock_file.close()


class _Notes(PartLog):
    """The same, opened by who gives inputs up."""

    def __init__(self, job: Job) -> None:
        super().__init__(job, job.header["model"])


class Part(NamedTuple):
    """Stands for ``--scheduler`` where a shard is worked on: opens its log."""

    job: Job

    def __call__(self, path: Path, *, model: list[str] | None, **_: Any) -> BatchLog:  # noqa: ARG002
        """Open the log of the shard."""
        return PartLog(self.job, model)


class Facts(NamedTuple):
    """What must be the same everywhere.

    Attributes
    ----------
    cnntool : str
        Its version.
    onnxruntime : str
        Its version; empty where no network is used, or none is installed.
    model : tuple of str
        What the network is known by, see `cnntool.cli.batch_log.known_by`.
    """

    cnntool: str
    onnxruntime: str = ""
    model: tuple[str, ...] = ()

    def differ(self, there: Facts) -> str:
        """Return what a worker has that is not what is here; empty where all is the same."""
        for name, other, one in zip(("cnntool", "onnxruntime"), there, self, strict=False):
            if other != one:
                return f"{name} is {other or 'missing'} there, {one or 'missing'} here"
        if there.model == self.model:
            return ""
        if not there.model:
            return "the worker has no such network"
        texts = (f"{one[0][:12]} (manifest {one[1][:12]})" for one in (there.model, self.model))
        return "the network is {} there, {} here".format(*texts)


def facts(model: str | None, folder: Path | None = None) -> Facts:
    """Return the facts of this machine.

    Parameters
    ----------
    model : str or None
        A network, by its name.
    folder : Path, optional
        From which a file's name counts.
    """
    if model is None:
        return Facts(__version__)
    from importlib.metadata import version

    from cnntool.nets.models.catalog import find, is_path
    from cnntool.nets.runtime.providers import wheels

    runtime = "".join(version(name) for name in wheels()[:1])
    try:
        found = find(str(folder / model) if folder and is_path(model) else model)
        return Facts(__version__, runtime, tuple(batch_log.known_by(found)))
    except (CnntoolError, OSError):
        return Facts(__version__, runtime)


class Process:
    """A process that works on shards, one after the other."""

    def __init__(self) -> None:
        self.stopped = False
        self._child: Any = subprocess.Popen(
            [sys.executable, "-P", "-m", "cnntool.cli.shards"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is answered by who gave the command
        )

    def ask(self, job: Job) -> Answer | str:
        """Have a shard worked on; return how the process died if it did."""
        with suppress(OSError, EOFError):
            pickle.dump(job, self._child.stdin)
            self._child.stdin.flush()
            answer: Answer = pickle.load(self._child.stdout)  # noqa: S301 - our own process
            return answer
        with self._child:
            code = self._child.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        return f"the process that worked on it {how}"

    def stop(self) -> None:
        """End it at once."""
        self.stopped = True
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """End it while it has nothing to do."""
        with self._child:
            self._child.kill()


def greet(model: str | None, folder: Path, parts: Path, run: str) -> Facts:
    """Stop what works for other runs on the same shards; return the facts of the worker.

    Parameters
    ----------
    model : str or None
        A network, by its name.
    folder : Path
        From which a file's name counts.
    parts : Path
        Where the shards are.
    run : str
        Which run asks.
    """
    stop(parts, run)
    _facts[run] = facts(model, folder)
    return _facts[run]


def cards(dask_worker: Any) -> bool:
    """Tell whether a worker says that it has graphics cards."""
    return "GPU" in dask_worker.state.total_resources


_idle: list[Process] = []
_busy: dict[Path, set[Process]] = {}
_runs: dict[Path, str] = {}
"""Which run may have the shards of a folder worked on here."""

_facts: dict[str, Facts] = {}
"""What was found here for a run."""

_lock = Lock()


def stop(folder: Path, run: str = "") -> None:
    """End what works on the shards of a folder here; no other run than this one may go on."""
    with _lock:
        if not run or _runs.get(folder) != run:
            for process in _busy.pop(folder, ()):
                process.stop()
        _runs[folder] = run


def close_idle() -> None:
    """End what has nothing to do here."""
    while _idle:
        _idle.pop().close()


def work(job: Job, share: dict[str, int]) -> Answer:
    """Work on a shard, in a process of this worker's.

    Parameters
    ----------
    job : Job
        The shard.
    share : dict of str to int
        By how many the processors of a worker's machine are shared, by its address.

    Raises
    ------
    DeviceError
        This worker joined late and has something else than where the command was given, or it
        does not see the shard.
    """
    from distributed import get_worker

    from cnntool.system import usable_cpus

    if job.run not in _facts:
        _facts[job.run] = facts(job.values["model"] if job.facts.model else None, job.folder)
    address = get_worker().address
    if fault := job.facts.differ(_facts[job.run]):
        raise DeviceError(fault, source=address, hint=SAME)
    if not job.inputs.exists():
        raise DeviceError(f"the worker does not see {job.inputs.parent}", source=address, hint=SEEN)
    lanes = max(1, usable_cpus() // share.get(address, 1))
    for name in ("jobs", "threads"):
        if name in job.values and job.values[name] is None:
            job.values[name] = lanes
    return see_through(job, _ask)


def _ask(job: Job) -> Answer | str:
    folder = job.log.parent
    with _lock:
        if _runs.setdefault(folder, job.run) != job.run:
            return Answer(CnntoolError.exit_code, "stopped")
        process = _idle.pop() if _idle else Process()
        _busy.setdefault(folder, set()).add(process)
    answer = process.ask(job)
    with _lock:
        _busy.get(folder, set()).discard(process)
        if process.stopped:
            return Answer(CnntoolError.exit_code, "stopped")
        if isinstance(answer, Answer):
            _idle.append(process)
    return answer


def see_through(job: Job, ask: Callable[[Job], Answer | str]) -> Answer:
    """Have a shard worked on until each of its inputs is done with.

    Parameters
    ----------
    job : Job
        The shard.
    ask : callable
        Has it worked on; returns how whoever did that died, if so.
    """
    tries = [job.only]
    while tries:
        answer = ask(job._replace(only=tries[0]))
        if isinstance(answer, Answer):
            if answer.code or not tries[0]:
                return answer
        elif tries[0]:
            job.give_up(tries[0], answer)
        else:
            done = job.finished()
            left = [item.name for item in job.items() if item.name not in done]
            tries += [*left[:ALONE], ""] if left else []
        tries = tries[1:]
    return Answer()


def _run(job: Job) -> Answer:
    """Run the command on a shard."""
    import click

    from cnntool.cli.main import cli, explain_error

    os.chdir(job.folder)
    console.begin_to_hear()
    found = click.Context(cli)
    command = cli.get_command(found, job.command)
    assert command is not None  # noqa: S101
    context = click.Context(command, info_name=job.command, parent=found)
    # A list that names none: the log knows which ones are meant.
    several = {"inputs": Listed(())} if "inputs" in job.values else {}
    context.params = {**job.values, **several, "scheduler": Part(job)}
    try:
        with context:
            command.invoke(context)
    except Exception as error:  # noqa: BLE001 - told where the command was given
        return Answer(*explain_error(error))
    return Answer()


def main() -> None:
    """Work on the shards that stdin brings, until it ends."""
    from queue import SimpleQueue

    from cnntool import system

    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    system.take_over()
    network_options.keep_open()
    jobs: SimpleQueue[Job] = SimpleQueue()

    def listen() -> None:
        with suppress(EOFError):
            while True:
                jobs.put(pickle.load(requests))  # noqa: S301 - from the worker that started this
        system.undo_all()  # it is gone: another one may have got the shard
        os._exit(0)

    Thread(target=listen, daemon=True).start()
    while True:
        pickle.dump(_run(jobs.get()), answers)
        answers.flush()


if __name__ == "__main__":
    # What is pickled is known by its module's name.
    from cnntool.cli.shards import main as begin

    begin()
