"""Execution providers of onnxruntime, the words of ``--device``, and how to run a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from cnntool.errors import DeviceError, UsageError
from cnntool.system import available_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

INSTALL = "pip install 'cnntool[cpu]' or, for NVIDIA cards, 'cnntool[gpu]'"
CPU = "CPUExecutionProvider"


class ProviderRow(NamedTuple):
    """One device that a network may run on.

    Attributes
    ----------
    provider : str
        What onnxruntime calls it.
    hint : str
        What to do where it cannot be had.
    numbered : bool
        Whether ``:N`` may choose one of several.
    automatic : bool
        Whether ``auto`` tries it. Not those that compile the network first, for up to minutes.
    beneath : tuple of str
        Words of the devices that take what it leaves, before the CPU does.
    """

    provider: str
    hint: str
    numbered: bool = False
    automatic: bool = False
    beneath: tuple[str, ...] = ()


class Placement(NamedTuple):
    """Where a network runs.

    Attributes
    ----------
    requested : str
        As --device had it.
    granted : str
        ``cpu``, ``cuda:0``.
    provider : str
        onnxruntime's name for it.
    note : str
        Why ``auto`` did not get what it would have preferred; empty if there is nothing to say.
    """

    requested: str
    granted: str
    provider: str
    note: str


_NVIDIA = (
    "it takes an NVIDIA card, its driver and: pip uninstall onnxruntime; "
    "pip install 'cnntool[gpu]' 'onnxruntime-gpu[cuda,cudnn]'"
)
_AMD = "it takes an AMD card, ROCm, and the onnxruntime wheel that AMD publishes for it"

PROVIDERS = {
    "cuda": ProviderRow("CUDAExecutionProvider", _NVIDIA, numbered=True, automatic=True),
    "tensorrt": ProviderRow(
        "TensorrtExecutionProvider",
        "it takes what cuda takes and: pip install tensorrt",
        numbered=True,
        beneath=("cuda",),
    ),
    "rocm": ProviderRow("ROCMExecutionProvider", _AMD, numbered=True, automatic=True),
    "migraphx": ProviderRow("MIGraphXExecutionProvider", _AMD, numbered=True, automatic=True),
    "directml": ProviderRow(
        "DmlExecutionProvider",
        "it takes Windows and: pip uninstall onnxruntime; pip install onnxruntime-directml",
        numbered=True,
        automatic=True,
    ),
    "openvino": ProviderRow(
        "OpenVINOExecutionProvider",
        "it takes an Intel chip and: pip uninstall onnxruntime; pip install onnxruntime-openvino",
        automatic=True,
    ),
    "coreml": ProviderRow(
        "CoreMLExecutionProvider", "it takes macOS and: pip install 'cnntool[cpu]'"
    ),
    "cpu": ProviderRow(CPU, "pip install 'cnntool[cpu]'"),
}
"""Each word of --device, in the order in which ``auto`` tries them."""

AUTO = "auto"
DEVICES = ", ".join(
    [AUTO, *(f"{word}[:N]" if row.numbered else word for word, row in PROVIDERS.items())]
)
"""What --device takes."""

TIMEOUT = 30.0

_WHEELS = tuple(
    f"onnxruntime{flavour}"
    for flavour in ("", "-gpu", "-directml", "-openvino", "-rocm", "-migraphx")
)

Providers = list[tuple[str, dict[str, str]]]


class SessionSettings(NamedTuple):
    """How networks are run.

    Attributes
    ----------
    device : str
        ``auto``, or a word of `PROVIDERS` with or without ``:N``.
    threads : int or None
        Threads to compute on; None for the processors that this process may use.
    lanes : int
        Runs that are computed at once, each on its share of the threads: for many pictures.
    timeout : float
        Seconds that a network may take to open, and then to run for each picture of a batch.
    max_memory : int or None
        Bytes of memory that the network's process may take; None for no limit.
    optimise : bool or "basic"
        Whether onnxruntime may fuse and reorder nodes; "basic" for what changes no number.
    profile : Path or None
        A folder that onnxruntime writes into what it runs and how long each part takes.
    """

    device: str = AUTO
    threads: int | None = None
    lanes: int = 1
    timeout: float = TIMEOUT
    max_memory: int | None = available_memory()
    optimise: bool | Literal["basic"] = True
    profile: Path | None = None


class Attempt(NamedTuple):
    """One way to open a network.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda:0``.
    providers : list of (str, dict)
        For onnxruntime, the wanted one first, with their options.
    """

    device: str
    providers: Providers


def attempts(device: str) -> list[Attempt]:
    """Return what to try for a --device, in order.

    Parameters
    ----------
    device : str
        ``auto``, or a word of `PROVIDERS` with or without ``:N``.

    Raises
    ------
    UsageError
        An unknown device, or a number where there is nothing to choose.
    """
    word, colon, number = device.strip().lower().partition(":")
    if word == AUTO and not colon:
        return [_attempt(w, 0) for w, row in PROVIDERS.items() if row.automatic or w == "cpu"]
    row = PROVIDERS.get(word)
    if row is None:
        cards = [name for name, row in PROVIDERS.items() if row.numbered]
        hint = f"say which: {', '.join(cards)}" if word == "gpu" else ""
        hint = hint or nearest(word, [AUTO, *PROVIDERS])
        raise UsageError(f"no device is called {device!r}", hint=hint)
    if colon and not row.numbered:
        raise UsageError(f"{word} takes no number", hint=f"`device={word}`")
    if colon and not (number.isascii() and number.isdecimal() and len(number) < 4):
        raise UsageError(f"{device!r} has no device number after the colon", hint=f"{word}:0")
    return [_attempt(word, int(number or 0))]


def _attempt(word: str, number: int) -> Attempt:
    row = PROVIDERS[word]
    chain: Providers = []
    for each in (row, *(PROVIDERS[beneath] for beneath in row.beneath)):
        chain.append((each.provider, {"device_id": str(number)} if each.numbered else {}))
    if word != "cpu":
        chain.append((CPU, {}))
    return Attempt(f"{word}:{number}" if row.numbered else word, chain)


def word_of(device: str) -> str:
    """Return a device without its number."""
    return device.strip().lower().partition(":")[0]


def device_error(message: str, device: str) -> DeviceError:
    """Make the error for a device that cannot be had, with the remedy as its hint."""
    several = wheels()
    hint = PROVIDERS[word_of(device)].hint
    if len(several) > 1:
        hint = f"{overwritten(several)}: pip uninstall {' '.join(several)}, then install one"
    return DeviceError(message, source=device, hint=hint)


def absent(device: str) -> str:
    """Say that the installed onnxruntime was built without a device."""
    return f"not in the installed onnxruntime (no {PROVIDERS[word_of(device)].provider})"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the three known words which are most like an unknown one."""
    from difflib import SequenceMatcher

    def likeness(name: str) -> float:
        return SequenceMatcher(None, name, word).ratio()

    return "nearest: " + ", ".join(sorted(known, key=likeness, reverse=True)[:3])


def wheels() -> list[str]:
    """Return the installed wheels that bring onnxruntime; there should be one."""
    from importlib.metadata import PackageNotFoundError, distribution

    found = []
    for name in _WHEELS:
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def overwritten(several: Sequence[str]) -> str:
    """Say what is wrong with several wheels."""
    return f"{' and '.join(several)} are installed and overwrite each other"
