"""Logs of batches: a line for each input, by which a second run knows what is left to do.

Runs append to the log. Each begins with a line of what it was asked for; only runs that were asked
for the same count. Before a result can appear its name is logged, so that what a killed run left
half known may be replaced, and nothing else. A run that comes to its end leaves its own lines only.
"""

from __future__ import annotations

import os
import re
import time
from array import array
from bisect import bisect_right
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from cnntool.cli import console, options, param_types
from cnntool.cli.output import json_text
from cnntool.errors import CnntoolError, OutputError, UsageError, system_errors_as
from cnntool.image.files import STDIO
from cnntool.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cnntool.image.files import Item
    from cnntool.nets.models.catalog import FoundModel
    from cnntool.nets.network import Network

    Fits = Callable[[Item, dict[str, Any]], bool]

_ASIDE = frozenset({"inputs", "files_from", "files0_from", "recursive", "jobs", "threads", "log",
                    "resume", "overwrite", "as_json", "scheduler", "photos", "within",
                    "confusion", "min_top1"})  # fmt: skip
"""Options that change no result."""

_FILE = re.compile(r"@(.+)|(.+\.onnx)(?::.*)?", re.DOTALL)
"""Options whose value is in a file."""

_BEGINNING = b'{"cnntool"'
"""Of each log."""

_SILENT = b', "notes": [], "hint": ""}'
"""How the line of a worker ends that had nothing to say."""

Stamp = list[int]
"""Bytes of a file, and when it was changed last, in nanoseconds."""


class Index:
    """Where in a log names stand: 16 bytes each, however long they are; the last place counts."""

    def __init__(self) -> None:
        self._keys, self._places = array("q"), array("q")

    def add(self, name: str, place: int) -> None:
        """Note where a name stands."""
        self._keys.append(hash(name))
        self._places.append(place)

    def sort(self) -> None:
        """Make ready for `find`."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        self._keys = array("q", (self._keys[one] for one in order))
        self._places = array("q", (self._places[one] for one in order))

    def find(self, name: str) -> int | None:
        """Return where it may stand; another name there means that it stands nowhere."""
        key = hash(name)
        place = bisect_right(self._keys, key) - 1
        return self._places[place] if place >= 0 and self._keys[place] == key else None


class BatchLog:
    """The log of a run.

    Parameters
    ----------
    path : Path
        The file.
    model : list of str or None
        What the network is known by, if there is one.
    resume : bool
        Whether to go on from what is in it.
    overwrite : bool
        Whether to begin it anew where it exists.
    fits : callable, optional
        Tells of an input and the record of its result whether that still holds, beyond its file.

    Raises
    ------
    OutputError
        It exists already, another run is writing it, or it cannot be written.
    UsageError
        It is no log, or that of another command.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: list[str] | None,
        resume: bool,
        overwrite: bool,
        fits: Fits | None = None,
    ) -> None:
        self._path = path
        self._fits = fits
        self._lock = Lock()
        self._past, self._own = Index(), Index()
        self._since = time.monotonic()
        self._done = self._skipped = self._failed = 0
        header = self._header(model)
        with system_errors_as(OutputError, path):
            if path.exists() and not (resume or overwrite):
                hint = "--resume goes on from it, --overwrite begins it anew"
                raise OutputError("it exists already", source=str(path), hint=hint)
            with ExitStack() as failed:
                self._file = failed.enter_context(path.open("ab", buffering=0))
                self._before = failed.enter_context(path.open("rb"))
                if not _claim(self._file.fileno()):
                    raise OutputError("another run is writing it", source=str(path))
                if not _BEGINNING.startswith(self._before.read(len(_BEGINNING))):
                    raise UsageError("this is no log of a batch", source=str(path))
                if resume:
                    gather(path, self._file)
                self._file.truncate(self._read(header) if resume else 0)
                failed.pop_all()
            self._start = self._file.seek(0, os.SEEK_END)
            self._put(header)

    def _header(self, model: list[str] | None) -> dict[str, Any]:
        """Return the line that tells what was asked for."""
        return {"cnntool": __version__, **_asked(threads=model is not None), "model": model}

    def expect(self, items: Iterable[Item]) -> Iterable[Item]:
        """Return the inputs that are to be worked on, of those that were named."""
        return items

    def fault(self, item: Item) -> CnntoolError | None:  # noqa: ARG002
        """Return what is known to be wrong with an input."""
        return None

    def past(self, item: Item) -> dict[str, Any] | None:
        """Return the line of an input with which an earlier run is done, if nothing has changed."""
        line = self.line(item)
        if not line.get("result") or line["stamp"] != stamp(item.path):
            return None
        if self._fits and not self._fits(item, line["result"]):
            return None
        output = line["output"]
        if output is None:  # the record is the result, unless that was printed
            return None if "output" in line["result"] else line
        return line if _stamps(output) == line["written"] else None

    def line(self, item: Item) -> dict[str, Any]:
        """Return the line of an input with which an earlier run is done; empty if none is."""
        line = self._line(self._past.find(item.name))
        return line if line.get("input") == item.name else {}

    def _line(self, place: int | None) -> dict[str, Any]:
        """Read a line of an earlier run: they stay on the disk."""
        if place is None:
            return {}
        with self._lock, system_errors_as(OutputError, self._path):
            self._before.seek(place)
            return parsed(self._before.readline())

    def left(self) -> Iterator[tuple[str, Stamp | None]]:
        """Yield the files of earlier runs with their stamps, None if they were only begun."""
        for record in map(parsed, self._lines()):
            yield from outputs_of(record).items()

    def _left_in_line(self, name: str) -> dict[str, Stamp | None]:
        """Return the files that an earlier run told of when it told of this one last."""
        return outputs_of(self._line(self._own.find(name)))

    def begin(self, target: Path) -> bool:
        """Note that a result is about to appear; tell whether it may replace what is there."""
        name = str(target)
        there = stamp(target)
        left = self._left_in_line(name)
        may = name in left and left[name] in (None, there)
        if there is None or may:
            self._put({"begin": name})
        return may

    def add(
        self, item: Item, read: Stamp | None, code: int, error: str, result: dict[str, Any] | None
    ) -> None:
        """Note what became of an input.

        Parameters
        ----------
        item : Item
            Which one.
        read : list of int or None
            Its `stamp` from before it was read.
        code : int
            The exit code that it deserves.
        error : str
            What is wrong with it; empty if nothing is.
        result : dict or None
            The record of its result.
        """
        self._done += code == 0
        self._failed += code > 0
        output = _output(result or {})
        self._put(
            {
                "input": item.name,
                "code": code,
                "error": error or None,
                "stamp": read,
                "output": output,
                "written": output and _stamps(output),
                "result": result,
            }
        )

    def wrote(self, target: Path) -> None:
        """Note the one result of all inputs, so that a run that goes on may replace it."""
        self._put({"output": str(target), "written": stamp(target)})

    def again(self, line: dict[str, Any]) -> None:
        """Note an input with which an earlier run was done."""
        self._skipped += 1
        self._put(line)

    def _put(self, record: dict[str, Any]) -> None:
        self._write(f"{json_text(record)}\n".encode())

    def _write(self, line: bytes) -> None:
        with self._lock, system_errors_as(OutputError, self._path):
            self._file.write(line)

    def _read(self, header: dict[str, Any]) -> int:
        """Read what earlier runs have done; return where the last line ends that was finished."""
        counts, sound, start = False, 0, 0
        for line in self._lines():
            start, sound = sound, sound + len(line)
            record = parsed(line)
            if "cnntool" in record:
                if (command := record.get("command")) != header["command"]:
                    hint = "--overwrite without --resume begins it anew"
                    reason = f"this is the log of 'cnntool {command}'"
                    raise UsageError(reason, source=str(self._path), hint=hint)
                counts = record == header
            else:
                for name in outputs_of(record):
                    self._own.add(name, start)
                if counts and record.get("code") == 0:
                    self._past.add(record["input"], start)
        self._past.sort()
        self._own.sort()
        if sound and not counts:
            console.note(f"{self._path}: asked for otherwise than now: everything is done again")
            self._past = Index()
        return sound

    def _lines(self) -> Iterator[bytes]:
        self._before.seek(0)  # a file that is opened twice and closed once is no longer claimed
        for line in self._before:
            if line.endswith(b"\n"):
                yield line

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._before.close()

    def finish(self) -> None:
        """Keep the lines of this run, without what was only begun, and sum up."""
        from cnntool.image.atomic import Output

        with Output(self._path, overwrite=True) as output:
            with self._path.open("rb") as file:
                file.seek(self._start)
                for line in file:
                    if not line.startswith(b'{"begin"'):
                        output.write(line)
            output.commit()
        sum_up(self._done, self._skipped, self._failed, since=self._since)


def sum_up(done: int, skipped: int, failed: int, *, since: float) -> None:
    """Say what became of the inputs of a batch, which began at that time of the monotonic clock."""
    pace = done / max(time.monotonic() - since, 1e-9)
    console.note(f"{done:,} done, {skipped:,} skipped, {failed:,} failed, {pace:.1f} a second")


def _claim(stream: int) -> bool:
    """Lock an open file for this process, but not for its copies; tell whether nobody else has."""
    with suppress(ImportError, OSError):  # no locks here
        import fcntl

        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
    return True


def known_by(found: FoundModel, sha256: str | None = None) -> list[str]:
    """Return the hash of a network's file, and that of its manifest."""
    import hashlib

    if sha256 is None:
        with found.file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return [sha256, hashlib.sha256(repr(found.spec).encode()).hexdigest()]


def parts_of(log: Path) -> Path:
    """Return the folder of what workers of a cluster need, and of what they have done."""
    return log.with_name(f"{log.name}.parts")


def gather(log: Path, file: IO[bytes]) -> None:
    """Append to a log what workers of a cluster have done since their run was stopped."""
    import shutil

    folder = parts_of(log)
    if not folder.exists():
        return
    file.write(b"\n" * (file.seek(0, os.SEEK_END) > 0))  # what may be torn ends here
    for part in sorted(folder.glob("*.jsonl")):
        for line in part.read_bytes().splitlines():
            if parsed(line):
                file.write(plain(line))
    shutil.rmtree(folder)


def plain(line: bytes) -> bytes:
    """Return a worker's line as a run on one machine writes it: without what was to be said."""
    if line.endswith(_SILENT):  # as most do
        return line[: -len(_SILENT)] + b"}\n"
    told = {key: value for key, value in parsed(line).items() if key not in {"notes", "hint"}}
    return f"{json_text(told)}\n".encode()


def _asked(*, threads: bool) -> dict[str, Any]:
    """Return what decides the results: the command, its options, and the files behind them.

    Threads do where networks add up floating-point numbers.
    """
    import json

    context = click.get_current_context()
    aside = _ASIDE - {"threads"} if threads else _ASIDE
    values = {key: value for key, value in sorted(context.params.items()) if key not in aside}
    files = {}
    for value in values.values():
        for text in value if isinstance(value, tuple) else [value]:
            found = _FILE.fullmatch(text) if isinstance(text, str) else None
            name = found[1] or found[2] if found else text if isinstance(text, Path) else None
            if name is not None:
                files[str(name)] = stamp(Path(name))
    asked = {"command": context.info_name, "options": values, "files": files}
    told: dict[str, Any] = json.loads(json.dumps(asked, default=str))
    return told


def parsed(line: bytes) -> dict[str, Any]:
    """Return the record of a line; an empty one where that is torn, or was cut by hand."""
    import json

    try:
        record = json.loads(line.decode())
    except ValueError:
        return {}
    whole = isinstance(record, dict) and ("input" not in record or record.keys() >= _OF_INPUT)
    return record if whole else {}


_OF_INPUT = {"input", "code", "error", "stamp", "output", "written", "result"}
"""What a line of an input holds."""


def stamp(path: Path | None) -> Stamp | None:
    """Return by what it is seen that a file has not changed; None where there is none."""
    try:
        found = path and path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns] if found else None


def _stamps(output: str | list[str]) -> Any:
    """Return the stamp of a result's file, or those of its files."""
    return [*map(_stamps, output)] if isinstance(output, list) else stamp(Path(output))


def outputs_of(line: dict[str, Any]) -> dict[str, Stamp | None]:
    """Return the files that a line tells of with their stamps, None if they were only begun."""
    if "begin" in line:
        return {line["begin"]: None}
    output = line.get("output")
    if isinstance(output, list):
        return dict(zip(output, line["written"], strict=True))
    return {} if output is None else {output: line["written"]}


def _output(result: dict[str, Any]) -> str | list[str] | None:
    """Return the file that a record names, or those of its layers; None where it was printed."""
    if "layers" in result:
        return [*dict.fromkeys(one["output"] for one in result["layers"] if one["output"])]
    output: str | None = result.get("output")
    return None if output == str(None) else output


class Logging(NamedTuple):
    """Whether and where a log is kept, whether to go on from it, and who works for it."""

    log: Path | None = None
    resume: bool = False
    scheduler: Any = None

    @contextmanager
    def opened(
        self,
        inputs: Sequence[Path],
        output: str | None,
        *,
        overwrite: bool,
        network: Network | None = None,
        fits: Fits | None = None,
    ) -> Iterator[BatchLog | None]:
        """Open the log, if any; what comes to its end leaves its own lines only.

        Parameters
        ----------
        inputs : sequence of Path
            What is read.
        output : str or None
            Where the results go.
        overwrite : bool
            Whether a log may be begun anew.
        network : Network, optional
            What answers: another file or another manifest is another one.
        fits : callable, optional
            See `BatchLog`.

        Raises
        ------
        UsageError
            There is none to resume, it is a result, or what is read or written is a stream.
        """
        if self.log is None:
            if self.resume:
                hint = "--log FILE names one"
                raise UsageError("there is no log to go on from", source="--resume", hint=hint)
            if self.scheduler is not None:
                hint = "--log FILE names one, in a folder that all workers see"
                raise UsageError("a cluster takes a log", source="--scheduler", hint=hint)
            yield None
            return
        if output == STDIO or Path(STDIO) in inputs:
            raise UsageError("a log is of files, not of streams", source="--log")
        if output is not None and Path(output) == self.log:
            raise UsageError("the log and the result are one file", source="--log")
        model = known_by(network.found, network.sha256) if network else None
        opener: Callable[..., BatchLog] = BatchLog
        if self.scheduler is not None:  # which is built on this module
            opener = self.scheduler
            if isinstance(opener, str):
                opener = import_module("cnntool.cli.cluster").opener(self.scheduler)
        log = opener(self.log, model=model, resume=self.resume, overwrite=overwrite, fits=fits)
        try:
            yield log
            log.finish()
        finally:
            log.close()


logging = options.gathered(
    "logging",
    Logging,
    click.option(
        "--scheduler",
        metavar="tcp://HOST:PORT|local:N",
        help="Have a Dask cluster do it, or N processes here: docs/cluster.md. It takes --log.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Go on from the log: do what is missing, was wrong, or has changed since.",
    ),
    click.option(
        "--log",
        type=param_types.FILE,
        metavar="FILE.jsonl",
        help="Write a line of JSON for each input: its result, or what is wrong with it.",
    ),
)
"""Adds --log, --resume and --scheduler; together: ``logging``."""


def begin(log: BatchLog | None, target: Path | None) -> bool:
    """Note that a result is about to appear; tell whether it may replace what is there."""
    return log is not None and target is not None and log.begin(target)
