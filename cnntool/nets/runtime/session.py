"""Sessions: an onnxruntime session in a process of its own, its start, messages and end."""

from __future__ import annotations

import os
import signal
import sys
from _thread import start_new_thread
from contextlib import suppress
from io import FileIO
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cnntool.errors import CnntoolError, ModelError, UsageError
from cnntool.nets.runtime import providers
from cnntool.nets.runtime.protocol import END_OF_ATTEMPT, END_OF_CHATTER, Message, receive, send
from cnntool.nets.runtime.shared_file import SharedFile, Stored
from cnntool.system import on_stop, usable_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.file.subgraph import Skeleton
    from cnntool.nets.runtime.failures import Diagnosis
    from cnntool.nets.runtime.providers import SessionSettings


_GRACE = 0.1
"""Seconds."""

_KEPT = 1 << 16
"""Bytes that are kept of what a worker prints, the last ones."""


# The worker imports the very package that starts it, installed or not; -P keeps out whatever lies
# in the working folder.
_BOOT = (
    "import sys; house = sys.modules['cnntool'] = type(sys)('cnntool'); "
    "house.__path__ = sys.argv[1:]; from cnntool.nets.runtime import worker; worker.main()"
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

_PIPE = 1 << 20
"""Bytes that a pipe should hold: a picture of 224 x 224 in one piece."""


class LateError(Exception):
    """The worker did not answer in time; it has been killed."""


class GoneError(Exception):
    """The worker has ended.

    Attributes
    ----------
    exit_code : int
        Its exit code, or minus the signal that ended it.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Child:
    """A worker, with threads that keep its pipes flowing, so that neither side waits for the other.

    Parameters
    ----------
    environment : dict of str
        Added to its environment.

    Attributes
    ----------
    limit : int or None
        Bytes that one answer may have.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.limit: int | None = None
        self._owner = os.getpid()
        self._process: Any = None
        self._forget = on_stop(self.kill)
        self._process = _start(environment)
        # The worker is on its way: what is imported from here on costs no time.
        from queue import SimpleQueue
        from threading import Event

        self._printed = b""
        self._explained, self._silent = Event(), Event()
        self._requests: SimpleQueue[Message | None] = SimpleQueue()
        self._answers: SimpleQueue[Message | Exception] = SimpleQueue()
        # `threading.Thread` would wait until each of them runs, behind whatever else starts up.
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._threads = 3
        for work in (self._write, self._read, self._listen):
            start_new_thread(self._run, (work,))

    def put(self, message: Message) -> None:
        """Send a message; this does not wait.

        Raises
        ------
        UsageError
            This is a copy (``fork``) of the process that started it, and has none of its threads.
        """
        if not self._is_ours():
            raise UsageError("a network works in the process that opened it: open one in each")
        self._requests.put(message)

    def get(self, seconds: float) -> Message:
        """Wait for the next answer.

        Raises
        ------
        LateError
            It did not come within so many seconds.
        GoneError
            It will never come.
        MemoryError
            It has more bytes than it may have.
        """
        from queue import Empty
        from threading import TIMEOUT_MAX

        # Stopped by Ctrl-Z and woken up, it finds its time over before it has looked: look again.
        for patience in (max(0.0, min(seconds, TIMEOUT_MAX)), _GRACE):
            with suppress(Empty):
                answer = self._answers.get(timeout=patience)
                break
        else:
            self.kill()
            raise LateError
        if isinstance(answer, Exception):
            self._answers.put(answer)  # nothing else will ever come
            raise answer
        return answer

    def chatter(self) -> list[str]:
        """Return the last of what it printed, divided by its attempts to open the network."""
        self._explained.wait(1)
        printed = self._printed.replace(END_OF_CHATTER, b"").split(END_OF_ATTEMPT)
        return [part.decode(errors="replace") for part in printed]

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._is_ours():
            self._process.kill()

    def close(self, *, wait: bool = True) -> None:
        """End it and leave nothing behind: no process, no thread, no open file.

        Parameters
        ----------
        wait : bool
            Whether to wait for that. The garbage collector must not: it may run on any thread,
            these here included.
        """
        if not self._is_ours():
            return
        self.kill()
        self._requests.put(None)
        while wait and self._threads:
            self._threads -= 1
            self._ended.get()
        self._forget()

    def _is_ours(self) -> bool:
        return self._owner == os.getpid()

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._ended.put(None)

    def _write(self) -> None:
        with self._process.stdin as stream, suppress(OSError):  # gone: the reader says so
            while message := self._requests.get():
                send(stream, message)

    def _read(self) -> None:
        with self._process.stdout as stream:
            try:
                while True:
                    self._answers.put(receive(stream, self.limit))
            except MemoryError as error:
                self._process.kill()
                self._answers.put(error)
            except Exception as error:  # noqa: BLE001 - the end of the pipe, or what no worker writes
                self._silent.wait(1)  # for its last words
                self._process.kill()
                gone = GoneError(self._process.wait())
                gone.__cause__ = error  # told by --debug: this, not its end, came first
                self._answers.put(gone)

    def _listen(self) -> None:
        with self._process.stderr as stream:
            while data := stream.read(_KEPT):
                self._printed = (self._printed + data)[-_KEPT:]
                if END_OF_CHATTER in data:
                    self._explained.set()
        self._explained.set()
        self._silent.set()


class _Spawned:
    """As much of ``subprocess.Popen`` as is needed, by the system's own call: no import for it."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        self.stdin, self.stdout = FileIO(pipes[0][1], "w"), FileIO(pipes[1][0])
        self.stderr = FileIO(pipes[2][0])
        self._exit: int | None = None
        actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(theirs)]
        try:
            self.pid = os.posix_spawn(
                command[0], command, environment, file_actions=actions, setpgroup=0
            )
        finally:
            for end in theirs:
                os.close(end)

    def kill(self) -> None:
        """End it at once; it may be gone already."""
        if self._exit is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end and return its exit code, or minus the signal that ended it."""
        if self._exit is None:
            self._exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._exit


def _start(environment: dict[str, str]) -> Any:
    """Start the worker with three pipes, in a group of its own: Ctrl-C reaches its parent only."""
    command = [sys.executable, "-P", "-c", _BOOT, _PACKAGE]
    environment = {**os.environ, **environment}
    if hasattr(os, "posix_spawn"):
        process: Any = _Spawned(command, environment)
    else:
        from subprocess import PIPE, Popen

        group = 0x200 if os.name == "nt" else 0  # CREATE_NEW_PROCESS_GROUP
        process = Popen(  # noqa: S603 - our own interpreter
            command, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0,
            creationflags=group,
        )  # fmt: skip
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        for pipe in (process.stdin, process.stdout):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    return process


_TYPES = {"float": "float32", "double": "float64"}
"""What onnxruntime calls differently from numpy."""


def start(**environment: str) -> Child:
    """Start a process that makes ready to open a network, before it is known which.

    Give it to `Session`; until then it is the caller's to close.
    """
    return Child({"OPENBLAS_NUM_THREADS": "1", **environment})


class Session:
    """A network in a child process, which opens it while the caller goes on.

    The first use waits until it is open. Several runs may be under way, so that the caller can
    prepare the next picture while one is computed. Leave it by `close` or as a context manager.

    Parameters
    ----------
    model : Path or Skeleton
        The file, or a graph whose weights lie in files of a folder.
    settings : SessionSettings
        How to run it.
    name : str
        What errors call it.
    child : Child, optional
        A process of `start` that serves no other session.
    beside : Session, optional
        One whose process this network is opened in, too, at once; they take turns, and all end
        with that one. Results can stay there for the other, see `run`.

    Raises
    ------
    UsageError
        An unknown device. What is wrong with the network or its device comes up at first use.
    """

    def __init__(
        self,
        model: Path | Skeleton,
        settings: SessionSettings,
        *,
        name: str,
        child: Child | None = None,
        beside: Session | None = None,
    ) -> None:
        attempts = providers.attempts(settings.device)
        self._settings = settings
        self._name = name
        self._facts: dict[str, Any] | None = None
        self._failure: CnntoolError | None = None
        self._pending: list[float] = []
        self._broken = False
        self.seconds = 0.0
        self._beside = beside is not None
        self._number = 0
        self._opened = 1
        if beside is None:
            self._child = child or start()
            self._child.limit = settings.max_memory
        else:
            self._child, self._number = beside._child, beside._opened  # noqa: SLF001
            beside._opened += 1  # noqa: SLF001
        self._since = monotonic()
        self._child.put(_request(model, settings, attempts))
        if beside is not None:
            self._open()  # answers come in the order of requests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def placement(self) -> providers.Placement:
        """Where it runs; waits until it is open.

        Raises
        ------
        ModelError, DeviceError
            It cannot be opened.
        """
        facts = self._open()
        return providers.Placement(
            self._settings.device, facts["device"], facts["provider"], facts["note"]
        )

    @property
    def runtime(self) -> tuple[str, tuple[str, ...]]:
        """The version of onnxruntime and the providers that are in it, working or not."""
        facts = self._open()
        return facts["version"], tuple(facts["available"])

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What it must be fed; waits until it is open."""
        inputs: tuple[TensorInfo, ...] = self._open()["inputs"]
        return inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What it can be asked for; waits until it is open."""
        outputs: tuple[TensorInfo, ...] = self._open()["outputs"]
        return outputs

    @property
    def lanes(self) -> int:
        """How many runs are computed at once: to keep it busy, submit some more than that."""
        return self._settings.lanes

    @property
    def idle(self) -> bool:
        """Whether it can be given a run: it did not break, and every run was collected."""
        return not (self._broken or self._failure or self._pending)

    @property
    def chatter(self) -> str:
        """What onnxruntime and its providers have printed so far, the last 64 KiB of it."""
        return "".join(self._child.chatter())

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        keep: Sequence[str] = (),
        kept: Mapping[str, str] = MappingProxyType({}),
    ) -> list[NDArray[Any]]:
        """Run the network once.

        Parameters
        ----------
        feeds : mapping of str to ndarray
            An array for every input, of its type and shape.
        outputs : sequence of str, optional
            The outputs to compute; all of them by default.
        keep : sequence of str
            Outputs that stay in the process, for a session beside this one, until others do.
        kept : mapping of str to str
            Inputs, and the outputs that a session beside this one has kept for them.

        Returns
        -------
        list of ndarray
            In the order of ``outputs``.

        Raises
        ------
        ModelError
            Feeds that do not fit, outputs that it does not have, and whatever fails in the run.
        """
        self.submit(feeds, outputs, keep=keep, kept=kept)
        return self.collect()

    def submit(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str] | None = None,
        *,
        keep: Sequence[str] = (),
        kept: Mapping[str, str] = MappingProxyType({}),
        stored: Mapping[str, Stored] = MappingProxyType({}),
        source: SharedFile | None = None,
        target: SharedFile | None = None,
    ) -> None:
        """Start a run, see `run`; `collect` gives the results, in the order of submission.

        Parameters
        ----------
        feeds, outputs, keep, kept
            See `run`.
        stored : mapping of str to Stored
            Inputs that lie in a file.
        source : SharedFile, optional
            That file.
        target : SharedFile, optional
            The file behind whose arrays the results are to be written. `collect_into` gives them,
            and must do so before another run gets this file.
        """
        if source is not None and not source.path:
            feeds = {**feeds, **dict(zip(stored, source.get([*stored.values()]), strict=True))}
            stored = {}
        known = [info.name for info in self.outputs]
        wanted = list(known if outputs is None else outputs)
        for name in (*wanted, *keep):
            if name not in known:
                self._refuse(f"it has no output {name!r}", hint=providers.nearest(name, known))
        inputs = [i for i in self.inputs if i.name not in kept and i.name not in stored]
        for info in inputs:
            if info.name not in feeds:
                self._refuse(f"its input {info.name!r} was not given")
            if fault := _misfit(info, feeds[info.name]):
                self._refuse(fault)
        names = [info.name for info in inputs]
        if unknown := set(feeds).difference(names):
            name = min(unknown)
            self._refuse(f"it has no input {name!r}", hint=providers.nearest(name, names))
        arrays = [
            array.astype(array.dtype.newbyteorder("="), copy=False)
            for array in (feeds[name] for name in names)
        ]
        batch = max((array.shape[0] for array in arrays if array.ndim == 4), default=1)
        if not self._pending:
            self._since = monotonic()
        self._pending.append(self._settings.timeout * max(1, batch) * self.lanes)
        facts = {
            "session": self._number,
            "feeds": names,
            "kept": dict(kept),
            "outputs": wanted,
            "keep": list(keep),
            "stored": dict(stored),
            "source": source.path if source else "",
            "target": target.path if target else "",
            "offset": target.end if target else 0,
        }
        self._child.put(Message("run", facts, arrays))

    def collect(self) -> list[NDArray[Any]]:
        """Wait for the results of the earliest run that was not collected yet.

        ``seconds`` then tells how long that run took onnxruntime.
        """
        return list(self._collect().parts)  # type: ignore[arg-type]  # arrays, as they were sent

    def collect_into(self, target: SharedFile) -> list[Stored]:
        """Wait for the earliest run that was not collected yet, whose results go into a file.

        Raises
        ------
        OutputError
            The file cannot be read or written.
        """
        answer = self._collect()
        if not target.path:
            return target.put(*answer.parts)  # type: ignore[arg-type]  # arrays
        return target.note(
            [Stored(offset, dtype, tuple(shape)) for offset, dtype, shape in answer.facts["stored"]]
        )

    def _collect(self) -> Message:
        seconds = self._pending.pop(0)
        answer = self._wait(seconds, f"it did not finish within {seconds:g} s")
        self._since = monotonic()
        if answer.kind == "failed":
            raise self._diagnosis().failed(answer.facts["reason"])
        if answer.kind == "unshared":
            with SharedFile.writing():
                raise OSError(answer.facts["number"], answer.facts["reason"])
        self.seconds = answer.facts["seconds"]
        return answer

    def end_profile(self) -> str:
        """Return the file with the times of all runs, of a session that writes a profile."""
        self._since, seconds = monotonic(), self._settings.timeout
        self._child.put(Message("profile", {"session": self._number}))
        answer = self._wait(seconds, f"its profile was not written within {seconds:g} s")
        return str(answer.facts["file"])

    def free(self) -> None:
        """Let go of the network. Its process stays, for those that are opened beside it."""
        self._child.put(Message("close", {"session": self._number}))

    def close(self, *, wait: bool = True) -> None:
        """End the process; runs that were not collected are lost.

        Of a network that stands beside another one, only the memory is freed.
        """
        if self._beside:
            self.free()
        else:
            self._child.close(wait=wait)

    def _open(self) -> dict[str, Any]:
        """Wait until it is open, once; return what is known of it."""
        if self._failure is not None:
            raise self._failure
        if self._facts is None:
            try:
                self._facts = self._wait_until_open()
            except CnntoolError as error:
                self._failure = error
                raise
        return self._facts

    def _wait_until_open(self) -> dict[str, Any]:
        seconds = self._settings.timeout
        answer = self._wait(seconds, f"it did not open within {seconds:g} s")
        if answer.kind != "opened":
            raise self._diagnosis().unopened(answer, self._child.chatter())
        facts = answer.facts
        facts["note"] = ""
        if facts["refused"]:
            from cnntool.nets.runtime.failures import refusals

            refused = refusals(answer, self._child.chatter())
            notes = [f"{device} does not start: {reason}" for device, reason in refused]
            facts["note"] = "; ".join([*notes, f"using {facts['device']}"])
        return facts | {key: _tensors(facts[key]) for key in ("inputs", "outputs")}

    def _wait(self, seconds: float, late: str) -> Message:
        broken, self._broken = self._broken, True
        try:
            answer = self._child.get(self._since + seconds - monotonic())
        except LateError:
            raise self._diagnosis().late(late) from None
        except MemoryError:
            raise self._diagnosis().too_large() from None
        except GoneError as gone:
            raise self._diagnosis().ended(gone.exit_code, self.chatter) from gone
        self._broken = broken
        return answer

    def _diagnosis(self) -> Diagnosis:
        from cnntool.nets.runtime.failures import Diagnosis

        granted = self._facts["device"] if self._facts else ""
        return Diagnosis(self._name, self._settings.device, self._settings.max_memory, granted)

    def _refuse(self, message: str, hint: str = "") -> NoReturn:
        raise ModelError(message, source=self._name, hint=hint)


def _request(model: Path | Skeleton, settings: SessionSettings, attempts: list[Any]) -> Message:
    facts = {
        "attempts": [tuple(attempt) for attempt in attempts],
        "threads": settings.threads or usable_cpus(),
        "lanes": settings.lanes,
        "max_memory": settings.max_memory,
        "optimise": settings.optimise,
        "profile": os.fspath(settings.profile or ""),
    }
    if isinstance(model, os.PathLike):  # made absolute here: pathlib would keep '..'
        return Message("open", {"path": os.path.abspath(model), "folder": "", **facts})  # noqa: PTH100
    folder = os.path.abspath(model.folder)  # noqa: PTH100
    return Message("open", {"path": "", "folder": folder, **facts}, [model.model])


def _tensors(
    described: Sequence[tuple[str, str, list[int | str | None]]],
) -> tuple[TensorInfo, ...]:
    """Turn the worker's description of inputs or outputs into ours.

    Parameters
    ----------
    described : sequence of (name, type, shape)
        The type in onnxruntime's words, ``tensor(float)``; of what is no tensor, ours is empty.
    """
    from cnntool.nets.file.graph import TensorInfo

    infos = []
    for name, kind, shape in described:
        word = kind.removeprefix("tensor(").removesuffix(")") if kind.startswith("tensor(") else ""
        # onnxruntime tells no shape and the shape of a single number alike.
        extents = tuple(shape) if shape and word else None
        infos.append(TensorInfo(name, _TYPES.get(word, word), extents))
    return tuple(infos)


def _misfit(info: TensorInfo, array: NDArray[Any]) -> str:
    """Say how an array differs from what an input takes; empty if it does not."""
    shape = info.shape
    fits = shape is None or (
        len(shape) == array.ndim
        and all(not isinstance(w, int) or w == h for w, h in zip(shape, array.shape, strict=True))
    )
    if fits and info.dtype == array.dtype.name:
        return ""
    wanted = "" if shape is None else f" ({', '.join('?' if e is None else str(e) for e in shape)})"
    return (
        f"its input {info.name!r} takes {info.dtype or 'no array'}{wanted}, "
        f"not {array.dtype.name} ({', '.join(map(str, array.shape))})"
    )
