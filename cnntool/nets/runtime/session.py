"""Sessions: an onnxruntime session in a process of its own."""

from __future__ import annotations

import os
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from cnntool.errors import CnntoolError, ModelError
from cnntool.nets.runtime import providers
from cnntool.nets.runtime.process import Child, GoneError, LateError
from cnntool.nets.runtime.protocol import Message
from cnntool.system import usable_cpus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from cnntool.nets.file.graph import TensorInfo
    from cnntool.nets.file.subgraph import Skeleton
    from cnntool.nets.runtime.failures import Diagnosis
    from cnntool.nets.runtime.providers import SessionSettings

_TYPES = {"float": "float32", "double": "float64"}
"""What onnxruntime calls differently from numpy."""


def start() -> Child:
    """Start a process that makes ready to open a network, before it is known which.

    Give it to `Session`; until then it is the caller's to close.
    """
    return Child({"OPENBLAS_NUM_THREADS": "1"})


class Session:
    """A network in a child process, which opens it while the caller goes on.

    The first use waits until it is open. Several runs may be under way, so that the caller can
    prepare the next picture while one is computed. Leave it by `close` or as a context manager.

    Parameters
    ----------
    model : Path or Skeleton
        The file, or a graph whose weights lie in files of a folder.
    settings : Settings
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        """How many runs are computed at once: to keep it busy, submit one more than that."""
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
    ) -> None:
        """Start a run, see `run`; `collect` gives the results, in the order of submission."""
        known = [info.name for info in self.outputs]
        wanted = list(known if outputs is None else outputs)
        for name in (*wanted, *keep):
            if name not in known:
                self._refuse(f"it has no output {name!r}", hint=providers.nearest(name, known))
        inputs = [info for info in self.inputs if info.name not in kept]
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
        }
        self._child.put(Message("run", facts, arrays))

    def collect(self) -> list[NDArray[Any]]:
        """Wait for the results of the earliest run that was not collected yet.

        ``seconds`` then tells how long that run took onnxruntime.
        """
        seconds = self._pending.pop(0)
        answer = self._wait(seconds, f"it did not finish within {seconds:g} s")
        self._since = monotonic()
        if answer.kind == "failed":
            raise self._diagnosis().failed(answer.facts["reason"])
        self.seconds = answer.facts["seconds"]
        return list(answer.parts)  # type: ignore[arg-type]  # arrays, as they were sent

    def close(self, *, wait: bool = True) -> None:
        """End the process; runs that were not collected are lost.

        Of a network that stands beside another one, only the memory is freed.
        """
        if self._beside:
            self._child.put(Message("close", {"session": self._number}))
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
