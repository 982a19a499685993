"""Make one clear line of what onnxruntime, the system or a driver say of a failure."""

from __future__ import annotations

import re
import signal

_LONGEST = 240

_OPERATOR = "this onnxruntime has no operator {0}"
_KNOWN = (
    (
        r"Protobuf parsing failed|protobuf parsing failed|No graph was found",
        "no ONNX file, or a damaged one",
    ),
    (r"the graph is not acyclic", "its graph has a cycle"),
    (
        r"Opset (\d+) is under development",
        "it needs opset {0}, which this onnxruntime does not have",
    ),
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "it is written in format version {0}, this onnxruntime reads up to {1}",
    ),
    (r"No Op registered for (\S+)", _OPERATOR),
    (r"No opset import for domain (\S+)", _OPERATOR),
    (r"(\S+) is not a registered function", _OPERATOR),
    (
        r"escapes (?:both )?model directory|Absolute paths? not allowed",
        "its weights lie outside of its folder",
    ),
    (r"External data path does not exist: \"?([^\"]+)", "its weights are missing: {0}"),
    (r"cannot get file size: No such file or directory \[([^\]]+)", "its weights are missing: {0}"),
    (r"File doesn't exist", "no such file"),
    (r"(lib[\w.+-]+): cannot open shared object file", "{0} is missing"),
    (r"depends on \"([^\"]+)\" which is missing", "{0} is missing"),
    (r"CUDA failure \d+: ([^;]+?) ;", "{0}"),
    (r"No corresponding Numpy type", "it gives numbers of a type that numpy does not have"),
    (r"codec can't decode", "it has names that are not UTF-8"),
)
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
_LOCATION = re.compile(r"[\w./\\-]+\.(?:cc|cpp|h|hpp|cu|cuh):\d+ ")
_SIGNATURE = re.compile(r"(?:[\w:<>{}*&~,]+ )*[\w:<>{}*&~]+(?=\()")
_FUNCTION = re.compile(r"\w+ ")
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
    for pattern, line in _KNOWN:
        if found := re.search(pattern, text):
            return line.format(*(group.strip("'\"") for group in found.groups() if group))
    operator = _NODE.search(text)
    text = _NODE.sub("", text)
    text = _without_locations(_PREFIX.sub("", text))
    text = _PREFIX.sub("", text)
    line = " ".join(text.split()) or "it cannot be used"
    if operator:
        line = f"in {operator[1]}: {line}"
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def overheard(chatter: str, raised: str = "") -> str:
    """Return the one line that tells most of a failure; empty if there is none.

    That is the first error that onnxruntime logged, else what was raised, else the last line with a
    word in it.

    Parameters
    ----------
    chatter : str
        All that the process printed.
    raised : str
        The exception, if there was one.
    """
    lines = [line for line in _COLOUR.sub("", chatter).splitlines() if any(map(str.isalpha, line))]
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


def _without_locations(text: str) -> str:
    """Cut out ``file.cc:46 void name::of(its, arguments)``."""
    while found := _LOCATION.search(text):
        rest = text[found.end() :]
        if signature := _SIGNATURE.match(rest):
            rest = rest[_closing(rest, signature.end()) :].removeprefix(" const")
        elif function := _FUNCTION.match(rest):
            rest = rest[function.end() :]
        text = text[: found.start()] + rest.lstrip()
    return text


def _closing(text: str, start: int) -> int:
    """Return where the parentheses that open at ``start`` are closed, and those after them."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0 and text[place + 1 : place + 2] != "(":
            return place + 1
    return len(text)
