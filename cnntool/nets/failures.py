"""Failures of the runtime: errors of one clear line, made of answers, exit codes and logs."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import CnntoolError, DeviceError, ModelError
from cnntool.nets import providers
from cnntool.system import inherited_memory, keeps_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.channel import Message

_LONGEST = 240
_MIB = 1 << 20
_KILLED = 9
"""SIGKILL, which Windows does not have."""

_OPERATOR = "this onnxruntime has no operator {0}"
_KNOWN = {
    r"Protobuf parsing failed|protobuf parsing failed|No graph was found":
        "no ONNX file, or a damaged one",
    r"the graph is not acyclic": "its graph has a cycle",
    r"Opset (\d+) is under development":
        "it needs opset {0}, which this onnxruntime does not have",
    r"Unsupported model IR version: (\d+), max supported IR version: (\d+)":
        "it is written in format version {0}, this onnxruntime reads up to {1}",
    r"No Op registered for (\S+)": _OPERATOR,
    r"No opset import for domain (\S+)": _OPERATOR,
    r"(\S+) is not a registered function": _OPERATOR,
    r"escapes (?:both )?model directory|Absolute paths? not allowed":
        "its weights lie outside of its folder",
    r"External data path does not exist: \"?([^\"]+)": "its weights are missing: {0}",
    r"cannot get file size: No such file or directory \[([^\]]+)": "its weights are missing: {0}",
    r"File doesn't exist": "no such file",
    r"(lib[\w.+-]+): cannot open shared object file": "{0} is missing",
    r"depends on \"([^\"]+)\" which is missing": "{0} is missing",
    r"CUDA failure \d+: ([^;]+?) ;": "{0}",
    r"No corresponding Numpy type": "it gives numbers of a type that numpy does not have",
    r"codec can't decode": "it has names that are not UTF-8",
}  # fmt: skip
"""What onnxruntime says, and what that means; the first that is found counts."""

_MEMORY = re.compile(
    r"Failed to allocate memory|bad_alloc|MemoryError|Unable to allocate|out of memory"
    r"|pthread_create failed"
)
_SIZE = re.compile(r"buffer of size (\d+)")
_NODE = re.compile(
    r"Non-zero status code returned while running (\S+) node.*?Status Message: ", re.DOTALL
)
_PREFIX = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .* failed:|This is an invalid model\. "
    r"|Exception during initialization: |^\w+(Error|Exception): "
)
_LOCATION = re.compile(
    r"[\w./\\-]+\.(?:cc|cpp|h|hpp|cu|cuh):\d+ "
    r"(?:(?:[\w:<>{}*&~,]+ )*[\w:<>{}*&~]+(?:\((?:[^()]|\([^()]*\))*\))+(?: const)?|\w+ )? *"
)
"""``file.cc:46 void name::of(its, arguments)``."""

_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_LOG = re.compile(r"^\S+ \S+ \[[EWF]:[^\]]*\] ")


def is_memory(text: str) -> bool:
    """Whether a failure is one of memory."""
    return _MEMORY.search(text) is not None


def needed(text: str) -> int | None:
    """Return the bytes that could not be had, where the text says how many."""
    found = _SIZE.search(text)
    return int(found[1]) if found else None


def explain(text: str) -> str:
    """Return the gist of an error of onnxruntime, one line.

    Parameters
    ----------
    text : str
        The exception, of any number of lines, with source locations and the like.
    """
    for pattern, line in _KNOWN.items():
        if found := re.search(pattern, text):
            return line.format(*(group.strip("'\"") for group in found.groups() if group))
    operator = _NODE.search(text)
    text = _NODE.sub("", text)
    text = _PREFIX.sub("", _LOCATION.sub("", _PREFIX.sub("", text)))
    line = " ".join(text.split()) or "it cannot be used"
    if operator:
        line = f"in {operator[1]}: {line}"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def overheard(log: str, raised: str = "") -> str:
    """Return the one line that tells most of a failure; empty if there is none.

    That is the first error that onnxruntime logged, else what was raised, else the last line with a
    word in it.

    Parameters
    ----------
    log : str
        All that the process printed.
    raised : str
        The exception, if there was one.
    """
    lines = [line for line in _COLOUR.sub("", log).splitlines() if any(map(str.isalpha, line))]
    for line in lines:
        if "[E:" in line:
            return explain(_LOG.sub("", line))
    told = raised or "".join(lines[-1:])
    return explain(told) if told else ""


def ended(exit_code: int) -> str:
    """Say how a process ended."""
    if exit_code >= 0:
        return f"it ended the runtime (exit code {exit_code})"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "unknown"
    return f"it crashed the runtime (signal {-exit_code}, {name})"


class Diagnosis(NamedTuple):
    """Makes the errors of one session.

    Attributes
    ----------
    name : str
        What errors call the network.
    device : str
        As asked for.
    limit : int or None
        Bytes of memory that it may take.
    granted : str
        Its device; empty until it is open.
    """

    name: str
    device: str
    limit: int | None
    granted: str

    def late(self, message: str) -> ModelError:
        """Make the error of a network that did not answer in time."""
        return self._error(message, hint="`timeout` SECONDS allows more")

    def too_large(self, size: int | None = None) -> ModelError:
        """Make the error of one that needs more memory, perhaps so many bytes in one piece."""
        limit, outer = self.limit, inherited_memory()
        if self.granted not in {"", "cpu"}:
            message = f"it needs more memory than {self.granted} has"
            return self._error(message, hint="`device=cpu`, or smaller pictures")
        if outer is not None and (limit is None or outer < limit):
            message = f"it needs more than the {outer // _MIB} MiB that cnntool may take"
            return self._error(message, hint="'ulimit -v' says how much, and changes it")
        if limit is None or not keeps_memory():
            return self._error("there is not enough memory for it")
        more = "" if size is None else f" ({size // _MIB} MiB in one piece)"
        message = f"it needs more than {limit // _MIB} MiB{more}"
        return self._error(message, hint="`max_memory` SIZE allows more")

    def failed(self, reason: str) -> ModelError:
        """Make the error of one with which onnxruntime failed."""
        if is_memory(reason):
            return self.too_large(needed(reason))
        return self._error(explain(reason))

    def ended(self, exit_code: int, log: str) -> ModelError:
        """Make the error of one whose process is gone."""
        if is_memory(log):
            return self.too_large(needed(log))
        if exit_code == -_KILLED:
            hint = "the system may be short of memory"
            return self._error("its process was killed", hint=hint)
        words = overheard(log)
        return self._error(ended(exit_code) + (f": {words}" if words else ""))

    def unopened(self, answer: Message, log: Sequence[str]) -> CnntoolError:
        """Make the error of one that was not opened, for the reason that the worker gives."""
        device, facts = self.device, answer.facts
        if answer.kind == "model":
            return self.failed(facts["reason"])
        if answer.kind == "missing":
            return DeviceError("onnxruntime is not installed", hint=providers.INSTALL)
        if answer.kind == "broken":
            line = explain(facts["reason"])
            return DeviceError(f"onnxruntime cannot be imported: {line}", hint=providers.INSTALL)
        for granted, reason in refusals(answer, log):
            return providers.device_error(f"does not start: {reason}", granted)
        return providers.device_error(providers.absent(device), device)

    def _error(self, message: str, hint: str = "") -> ModelError:
        return ModelError(message, source=self.name, hint=hint)


def refusals(answer: Message, log: Sequence[str]) -> list[tuple[str, str]]:
    """Say which devices were refused and why, by what they printed or by their exceptions."""
    refused = answer.facts["refused"]
    printed = log[-len(refused) - 1 :]
    return [
        (device, overheard(words, text))
        for (device, text), words in zip(refused, printed, strict=False)
    ]
