"""What is wrong when a session fails: errors made of answers, exit codes and chatter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnntool.errors import CnntoolError, DeviceError, ModelError
from cnntool.nets import providers, reasons
from cnntool.nets.limits import MIB, are_kept, inherited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnntool.nets.channel import Message
    from cnntool.nets.session import Settings


_KILLED = 9
"""SIGKILL, which Windows does not have."""


class Diagnosis(NamedTuple):
    """Makes the errors of one session.

    Attributes
    ----------
    name : str
        What errors call the network.
    settings : Settings
        How it is run.
    granted : str
        Its device; empty until it is open.
    """

    name: str
    settings: Settings
    granted: str

    def late(self, message: str) -> ModelError:
        """Make the error of a network that did not answer in time."""
        return self._error(message, hint="--timeout SECONDS allows more")

    def too_large(self, size: int | None = None) -> ModelError:
        """Make the error of one that needs more memory, perhaps so many bytes in one piece."""
        limit, outer = self.settings.max_memory, inherited()
        if self.granted not in {"", "cpu"}:
            message = f"it needs more memory than {self.granted} has"
            return self._error(message, hint="--device cpu, or smaller pictures")
        if outer is not None and (limit is None or outer < limit):
            message = f"it needs more than the {outer // MIB} MiB that cnntool may take"
            return self._error(message, hint="'ulimit -v' says how much, and changes it")
        if limit is None or not are_kept():
            return self._error("there is not enough memory for it")
        more = "" if size is None else f" ({size // MIB} MiB in one piece)"
        message = f"it needs more than {limit // MIB} MiB{more}"
        return self._error(message, hint="--max-memory SIZE allows more")

    def failed(self, reason: str) -> ModelError:
        """Make the error of one with which onnxruntime failed."""
        if reasons.is_memory(reason):
            return self.too_large(reasons.needed(reason))
        return self._error(reasons.explain(reason))

    def ended(self, exit_code: int, chatter: str) -> ModelError:
        """Make the error of one whose process is gone."""
        if reasons.is_memory(chatter):
            return self.too_large(reasons.needed(chatter))
        if exit_code == -_KILLED:
            hint = "the system may be short of memory"
            return self._error("its process was killed", hint=hint)
        words = reasons.overheard(chatter)
        return self._error(reasons.ended(exit_code) + (f": {words}" if words else ""))

    def unopened(self, answer: Message, chatter: Sequence[str]) -> CnntoolError:
        """Make the error of one that was not opened, for the reason that the worker gives."""
        device, facts = self.settings.device, answer.facts
        if answer.kind == "model":
            return self.failed(facts["reason"])
        if answer.kind == "missing":
            return DeviceError("onnxruntime is not installed", hint=providers.INSTALL)
        if answer.kind == "broken":
            line = reasons.explain(facts["reason"])
            return DeviceError(f"onnxruntime cannot be imported: {line}", hint=providers.INSTALL)
        for granted, reason in refusals(answer, chatter):
            return providers.device_error(f"does not start: {reason}", granted)
        return providers.device_error(providers.absent(device), device)

    def _error(self, message: str, hint: str = "") -> ModelError:
        return ModelError(message, source=self.name, hint=hint)


def refusals(answer: Message, chatter: Sequence[str]) -> list[tuple[str, str]]:
    """Say which devices were refused and why, by what they printed or by their exceptions."""
    refused = answer.facts["refused"]
    printed = chatter[-len(refused) - 1 :]
    return [
        (device, reasons.overheard(words, text))
        for (device, text), words in zip(refused, printed, strict=False)
    ]
