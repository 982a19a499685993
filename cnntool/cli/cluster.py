"""A cluster of Dask's: shards are sent out, and what became of them is told in order.

The command runs where it was given, too: it finds that all inputs are done with, by the log
(`ClusterLog`), which waits for the shards. So records, lines, errors, tables and the log come to be
as on one machine. What workers do is in `cnntool.cli.shards`.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections import Counter, deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import click

from cnntool.cli import console, shards
from cnntool.cli.batch_log import BatchLog, Index, outputs_of, parts_of, plain, stamp
from cnntool.cli.output import json_text
from cnntool.cli.shards import SAME, Answer, Facts, Job
from cnntool.cli.spool import DONE, LEFT, Spool, Spooled
from cnntool.errors import (
    CnntoolError,
    DeviceError,
    DownloadError,
    FigureError,
    InputError,
    ModelError,
    OutputError,
    UsageError,
    system_errors_as,
)
from cnntool.nets.runtime.providers import PROVIDERS, word_of
from cnntool.system import on_stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cnntool.image.files import Item

SHARD = 64, 1024
"""Inputs of a shard, at least and at most."""

SHARDS = 64
"""Into so many a batch is cut within these bounds."""

AHEAD = 4
"""Shards that are sent out ahead, for each that can be worked on at once."""

_PATIENCE = 15.0
"""Seconds until a scheduler has answered, and one of its workers."""

_LONELY = 60.0
"""Seconds for which there may be no worker."""

_SEEN = 60.0
"""Seconds until what a worker has written is seen here, where file systems remember names."""

_GRACE = 1.0
"""Seconds for the workers to hear that the command was stopped."""

_QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
}
"""What Dask does many times a second else: it takes a tenth of a processor for each worker."""

_ERRORS = {
    kind.exit_code: kind
    for kind in (
        CnntoolError, UsageError, InputError, ModelError, DeviceError, OutputError, FigureError,
        DownloadError,
    )
}  # fmt: skip


def opener(address: str) -> Any:
    """Return what opens a log whose inputs are worked on by a cluster.

    Parameters
    ----------
    address : str
        ``tcp://HOST:PORT`` of a scheduler, or ``local:N`` for processes of this machine.
    """
    return partial(ClusterLog, address=address)


class Task:
    """A shard that was sent out.

    Attributes
    ----------
    job : Job
        The shard.
    future : Future
        Dask's, of what becomes of it.
    bound : set of str
        The workers that may have it, where not all may.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.future: Any = None
        self.bound: set[str] = set()


class Cluster:
    """A connection to a scheduler.

    Parameters
    ----------
    address : str
        See `opener`.

    Attributes
    ----------
    share : dict of str to int
        By how many the processors of a worker's machine are shared, by its address.

    Raises
    ------
    UsageError
        It is no address, or what it takes is not installed.
    DeviceError
        Nobody answers.
    """

    def __init__(self, address: str) -> None:
        kind, _, count = address.partition(":")
        local = kind == "local" and count.isascii() and count.isdecimal() and 0 < int(count) < 1025
        if not local and "://" not in address:
            hint = "tcp://HOST:PORT of a Dask scheduler, or local:N"
            raise UsageError(f"{address!r} is no scheduler", source="--scheduler", hint=hint)
        try:
            import dask
            import distributed
        except ImportError:
            hint = "pip install 'cnntool[cluster]'"
            reason = "a cluster takes Dask distributed, which is not installed"
            raise UsageError(reason, source="--scheduler", hint=hint) from None
        for name in list(logging.root.manager.loggerDict):
            if name.partition(".")[0] == "distributed":  # what is said on stderr is ours
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._dask = distributed
        self._own: Any = None
        self.client: Any = None
        self.resources: dict[str, int] | None = None
        self._address = address
        try:
            if local:
                dask.config.set(_QUIET)
                self._own = distributed.LocalCluster(
                    n_workers=int(count), threads_per_worker=1, processes=False,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    memory_limit=None, silence_logs=logging.CRITICAL,
                )  # fmt: skip
            self.client = distributed.Client(
                self._own or address, timeout=_PATIENCE, set_as_default=False
            )
            self.client.wait_for_workers(int(count) if local else 1, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            self.close()
            raise self._lost(str(error)) from None
        self._workers: dict[str, int] = self.client.nthreads()
        self._refused: set[str] = set()
        self._tasks: list[Task] = []

    @property
    def slots(self) -> int:
        """Shards that can be worked on at once."""
        return sum(self._workers.values())

    @property
    def share(self) -> dict[str, int]:
        """By how many the processors of a worker's machine are shared, by its address."""
        slots: Counter[str] = Counter()
        for address, threads in self._workers.items():
            slots[address.rpartition(":")[0]] += threads
        return {address: slots[address.rpartition(":")[0]] for address in self._workers}

    def greet(self, expected: Facts, values: dict[str, Any], parts: Path, run: str) -> None:
        """See that all workers have what is here, and that none works on these shards any more.

        Raises
        ------
        DeviceError
            One has something else.
        """
        model = values["model"] if expected.model else None
        self._greeting = partial(self.client.run, shards.greet, model, Path.cwd(), parts, run)
        self._expected = expected
        for address, fault in self._differ(self._workers):
            raise DeviceError(fault, source=address, hint=SAME)
        device = word_of(str(values.get("device", "")))
        if device in PROVIDERS and PROVIDERS[device].numbered and self._with_gpu():
            self.resources = {"GPU": 1}

    def _differ(self, workers: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Greet workers; yield those that have something else than is here, and what."""
        found = self._greeting(workers=list(workers), on_error="return")
        for address, one in sorted(found.items()):
            if isinstance(one, OSError):
                continue  # it is gone again
            if isinstance(one, Exception):
                yield address, f"the worker has no such cnntool: {one}".splitlines()[0]
            elif fault := self._expected.differ(one):
                yield address, fault

    def _meet(self) -> None:
        """Greet workers that have joined; who has something else than is here gets no shards."""
        now = self.client.nthreads()
        joined = now.keys() - self._workers.keys() - self._refused
        for address, fault in self._differ(joined) if joined else ():
            console.note(f"{address}: {fault}: this worker is left out")
            self._refused.add(address)
        self._workers = {name: count for name, count in now.items() if name not in self._refused}

    def _with_gpu(self) -> bool:
        """Tell whether workers say that they have graphics cards."""
        return any(self.client.run(shards.cards).values())

    def send(self, job: Job) -> Task:
        """Send a shard out."""
        task = Task(job)
        self._submit(task)
        self._tasks.append(task)
        return task

    def _submit(self, task: Task) -> None:
        """Let a worker have a shard; of those that were met, once one was refused."""
        task.bound = set(self._workers) if self._refused else set()

        def work(packed: bytes) -> Answer:  # a worker that cannot import what it is given dies
            from cnntool.cli import shards

            return shards.work(*pickle.loads(packed))  # noqa: S301 - as all that Dask sends

        task.future = self.client.submit(
            work, pickle.dumps((task.job, self.share)), pure=False, resources=self.resources,
            workers=[*task.bound] or None,
        )  # fmt: skip

    def _send_again(self) -> None:
        """Send out what refused workers have sent back, and what only lost ones may have."""
        for task in self._tasks if self._refused else ():
            status = "pending" if task.bound else "error"
            waits = task.future.status == status and task.bound.isdisjoint(self._workers)
            if waits and self._workers:
                self._submit(task)

    def answer(self, task: Task) -> Answer | str:
        """Wait for what became of a shard; how its worker was lost if it was.

        Raises
        ------
        DeviceError
            The scheduler or all workers are gone.
        """
        from concurrent.futures import CancelledError

        late = monotonic() + _LONELY
        answer: Answer | str = ""
        while not answer:
            try:
                answer = task.future.result(timeout=1.0)
            except TimeoutError:
                if not task.future.done():
                    late = self._look_around(late)
            except self._dask.KilledWorker:
                answer = "the worker that had it was lost"
            except (OSError, CancelledError) as error:
                raise self._lost(str(error)) from None
            except Exception:
                late = self._look_around(late)
                if task.bound or not self._refused:
                    raise
                sleep(0.0 if self._workers else 1.0)
            self._send_again()
        self._tasks.remove(task)
        return answer

    def _look_around(self, late: float) -> float:
        """See who is there, which must be somebody before it is late; return when that is now."""
        if self.client.status != "running":
            raise self._lost("it is gone")
        self._meet()
        if self._workers:
            return monotonic() + _LONELY
        if monotonic() > late:
            raise self._lost("it has no workers any more")
        return late

    def _lost(self, why: str) -> DeviceError:
        reason = f"no scheduler or no worker answers: {why.splitlines()[0] if why else 'nothing'}"
        hint = "'dask scheduler' starts one, 'dask worker tcp://HOST:PORT' a worker"
        return DeviceError(reason, source=self._address, hint=hint)

    def stop(self, parts: Path) -> None:
        """End what workers do, where they hear of it in time."""

        def tell() -> None:
            with suppress(Exception):
                self.client.run(shards.stop, parts)

        caller = Thread(target=tell, daemon=True)
        caller.start()
        caller.join(_GRACE)

    def close(self) -> None:
        """Let go of the scheduler."""
        for one in (self.client, self._own):
            if one is not None:
                one.close()
        if self._own is not None:
            shards.close_idle()


class ClusterLog(BatchLog):
    """The log of a run whose inputs are worked on by a cluster.

    Parameters
    ----------
    path, model, resume, overwrite
        See `cnntool.cli.batch_log.BatchLog`.
    address : str
        See `opener`.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: list[str] | None,
        resume: bool,
        overwrite: bool,
        address: str,
        **more: Any,
    ) -> None:
        self._parts = parts_of(path).absolute()
        context = click.get_current_context()
        self._command, self._values = str(context.info_name), dict(context.params)
        self._run = os.urandom(8).hex()
        self._told: dict[int, dict[str, deque[tuple[dict[str, Any], bytes]]]] = {}
        self._left: Counter[int] = Counter()
        self._sent: deque[Task] = deque()
        self._shards = self._fetched = self._submitted = 0
        self._fetching = Lock()
        self._cluster = Cluster(address)
        try:
            self._facts = shards.facts(self._values.get("model") if model else None)
            self._cluster.greet(self._facts, self._values, self._parts, self._run)
            super().__init__(path, model=model, resume=resume, overwrite=overwrite, **more)
            with system_errors_as(OutputError, self._parts):
                shutil.rmtree(self._parts, ignore_errors=True)
                self._parts.mkdir(mode=0o700)  # addresses may hold secrets
                self._spool = Spool(self._parts / "inputs")
        except BaseException:
            self._cluster.close()
            raise
        self._forget = on_stop(partial(self._cluster.stop, self._parts))

    def _header(self, model: list[str] | None) -> dict[str, Any]:
        self._head = super()._header(model)
        return self._head

    def expect(self, items: Iterable[Item]) -> Iterable[Item]:
        """Cut what is missing into shards; inputs whose results may want one name share one."""
        done = Index()
        with system_errors_as(OutputError, self._parts):
            for item in items:
                line = None if item.error else super().past(item)
                self._spool.add(item, self._stem(item), done=line is not None)
                for output in outputs_of(line or {}):
                    done.add(output, 0)
            self._shards = self._spool.cut(SHARDS, *SHARD)
            done.sort()
            with self._own_file.open("w") as file:
                for name, written in self.left():
                    if done.find(name) is None:
                        file.write(f"{json_text({'output': name, 'written': written})}\n")
        return self._spool

    @property
    def _own_file(self) -> Path:
        return self._parts / "own"

    def _stem(self, item: Item) -> str:
        """Return what the name of an input's result is made of."""
        place = item.relative if self._values.get("output") else item.relative.name
        return os.path.splitext(place)[0]  # noqa: PTH122 - of a text, too

    def fault(self, item: Item) -> CnntoolError | None:
        """Return what a worker found wrong with an input."""
        line = self._line_of(item)
        if line is None or line["code"] == 0:
            return None
        source, _, reason = line["error"].partition(": ")
        return _ERRORS[line["code"]](reason, source=source, hint=line["hint"])

    def past(self, item: Item) -> dict[str, Any] | None:
        """Return the line of an input that a worker or an earlier run is done with."""
        return self.line(item) or None

    def line(self, item: Item) -> dict[str, Any]:
        """Return the same; empty if there is none."""
        return self._line_of(item) or super().line(item)

    def again(self, line: dict[str, Any]) -> None:
        """Note an input that a worker or an earlier run is done with."""
        if "shard" not in line:
            super().again(line)
            return
        self._done += 1
        self._write(plain(self._told[line["shard"]][line["input"]][0][1]))
        self._tell(line)

    def add(self, item: Item, *what: Any) -> None:
        """Note an input with which something is wrong."""
        super().add(item, *what)
        line = self._line_of(item)
        if line is not None:
            self._tell(line)

    def _tell(self, line: dict[str, Any]) -> None:
        """Say what is to be said of an input, and forget it; its shard, if that is the last one."""
        for note in line["notes"]:
            console.note(note)
        number = line["shard"]
        same = self._told[number][line["input"]]
        if len(same) > 1:  # it was named so often
            same.popleft()
        self._left[number] -= 1
        if not self._left[number]:
            del self._told[number]
            for file in self._parts.glob(f"{number:08}.*"):
                file.unlink(missing_ok=True)

    def _line_of(self, item: Item) -> dict[str, Any] | None:
        """Return the line that a worker has written; wait for it."""
        if not isinstance(item, Spooled) or item.state != LEFT:
            return None
        with self._fetching:
            while self._fetched <= item.shard:
                self._fetch()
        return self._told[item.shard][item.name][0][0]

    def _fetch(self) -> None:
        """Wait for the next shard, while some more are under way."""
        ahead = self._fetched + 1 + AHEAD * self._cluster.slots
        while self._submitted < min(ahead, self._shards):
            self._sent.append(self._cluster.send(self._job(self._submitted)))
            self._submitted += 1
        first = [self._sent.popleft()]
        job = first[0].job

        def ask(job: Job) -> Answer | str:
            return self._cluster.answer(first.pop() if first else self._cluster.send(job))

        answer = shards.see_through(job, ask)
        if answer.code:
            source, _, reason = answer.error.rpartition(": ")
            raise _ERRORS[answer.code](reason, source=source, hint=answer.hint)
        lines = self._told.setdefault(self._fetched, {})
        missing: set[str] = set()
        written: dict[str, Any] = {}
        for line, raw in shards.told(job.log):
            if "notes" in line:
                line["shard"] = self._fetched
                lines.setdefault(line["input"], deque()).append((line, raw))
                if line["error"] == f"{line['input']}: no such file":
                    missing.add(line["input"])
                written = outputs_of(line) or written
        for item in self._spool.shard(self._fetched, LEFT) if missing else ():
            if item.name in missing and stamp(item.path):
                raise DeviceError("a worker does not see it", source=item.name, hint=shards.SEEN)
        self._left[self._fetched] = self._spool.count(self._fetched, LEFT)
        for result in written:
            self._await(Path(result))
        self._fetched += 1

    def _await(self, result: Path) -> None:
        """See that a result of a worker's is seen here, which may take a network its time."""
        late = monotonic() + _SEEN
        while not result.exists():
            if monotonic() > late:
                reason = "a worker has written it, and it is not seen here"
                raise DeviceError(reason, source=str(result), hint=shards.SEEN)
            sleep(_SEEN / 100)

    def _job(self, number: int) -> Job:
        """Write down what a worker needs for a shard."""
        file = self._parts / f"{number:08}.json"
        log = file.with_suffix(".jsonl")
        here = {key: value for key, value in _HERE.items() if key in self._values}
        values = {**self._values, **here, "log": log, "resume": True}
        if "form" in values:  # a table, whose rows stand in the log, too
            values |= {"output": str(file.with_suffix(".npy")), "form": "npy"}
        with system_errors_as(OutputError, self._parts):
            self._spool.write_shard(number, file)
            if self._spool.count(number, DONE):
                lines = [self._head, *map(super().line, self._spool.shard(number, DONE))]
                log.write_text("".join(f"{json_text(line)}\n" for line in lines))
        own = self._own_file
        return Job(
            self._command, values, Path.cwd(), self._head, self._facts, self._run, file, log, own
        )  # fmt: skip

    def finish(self) -> None:
        """Keep the lines of this run, and sum up."""
        super().finish()
        shutil.rmtree(self._parts, ignore_errors=True)

    def close(self) -> None:
        """Close the file, and let go of the scheduler."""
        super().close()
        self._spool.close()
        self._forget()
        if self._parts.exists():  # it came to no end
            self._cluster.stop(self._parts)
        self._cluster.close()


_HERE = {
    "inputs": (), "files_from": None, "files0_from": None, "fail_fast": False,
    "confusion": None, "min_top1": None,
}  # fmt: skip
"""What is settled where the command is given."""
