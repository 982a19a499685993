"""What must hold whatever a file contains: one case, held against the tool's word.

The current folder is the case's. All runs within this process: a reader of the library, then a
command.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from oracles import disagrees
from PIL import Image

from cnntool.cli import console
from cnntool.cli.main import run
from cnntool.errors import CnntoolError, InputError, ModelError
from cnntool.image.files import open_reader, read_image
from cnntool.nets.file.graph import read_graph

PIXELS = 1_000_000
LINE = re.compile(r"cnntool: (error|hint|note|warning): .*")

PICTURE = "picture.png"
FOR_PICTURES = [
    ["filter", "-k", "box", "{}", "-o", "out.npy"],
    ["filter", "-k", "median", "--depth", "16", "{}", "-o", "out.tif"],
    ["filter", "-k", "sobel", "--range", "minmax", "{}", "-o", "out.png"],
    ["filter", "-k", "box", "--mode", "full", "--format", "npy", "{}", "-o", "-"],
    ["pool", "--max", "2", "--ceil", "{}", "-o", "out.npy"],
    ["resize", "--size", "5,7", "{}", "-o", "out.npy"],
    ["im2col", "--kernel-size", "1", "{}", "-o", "out.npy"],
    ["trace", "-k", "box", "--at", "0,0", "--mode", "same", "{}"],
]
FOR_NETWORKS = [
    ["layers", "{}"],
    ["layers", "--json", "{}"],
    ["weights", "--stats-only", "{}"],
    ["weights", "{}", "-o", "out"],
    ["models", "info", "{}"],
]
LOOKING = [["classify", "{}"]]
RUNNING = [
    ["summary", "{}"],
    ["summary", "--json", "--input-size", "32x32", "{}"],
    ["classify", "-m", "{}", "--preprocess", "unit", "--timeout", "10", PICTURE],
    ["activations", "-m", "{}", "--all", "--stats-only", "--timeout", "10", PICTURE],
    ["explain", "-m", "{}", "--timeout", "10", PICTURE, "-o", "out.png"],
    ["features", "-m", "{}", "--timeout", "10", PICTURE, "-o", "out.npz"],
    ["run", "-m", "{}", "--timeout", "10", PICTURE, "-o", "out.npy"],
]
"""These start a process, and so come seldom."""


class BrokenError(Exception):
    """The tool did not keep its word."""


def demand(held: object, reason: str) -> None:
    """Raise unless something holds."""
    if not held:
        raise BrokenError(reason)


class Stage:
    """The current folder, with stdout and stderr of the whole process caught in files."""

    def __init__(self) -> None:
        self._caught = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        for number, file in enumerate(self._caught, 1):
            os.dup2(file.fileno(), number)
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(PICTURE)

    def heard(self) -> list[bytes]:
        """Return what was printed since the last call, on stdout and on stderr."""
        sys.stdout.flush()
        sys.stderr.flush()
        found = []
        for file in self._caught:
            file.seek(0)
            found.append(file.read())
            file.seek(0)
            file.truncate()
        return found

    def left(self, *, beside: str = "") -> set[str]:
        """Return the names of what was written beside the case, and remove it."""
        paths = [path for path in Path().iterdir() if path.name not in {PICTURE, beside}]
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return {path.name for path in paths}


def check(stage: Stage, kind: str, body: bytes, *, whole: bool = False) -> str:
    """Run one case.

    Parameters
    ----------
    stage : Stage
    kind : str
        ``"onnx"``, or what the picture was before it was damaged.
    body : bytes
        The file.
    whole : bool
        Whether to run all commands, and not one that the bytes choose.

    Returns
    -------
    str
        What the library made of it: nothing, as it is refused; ``"read"``; or ``"compared"``, with
        what another library reads.
    """
    name = f"case.{kind}"
    Path(name).write_bytes(body)
    network = kind == "onnx"
    accepted = _graph(name) if network else _picture(name, body)
    demand(stage.heard() == [b"", b""], "a reader of the library prints")
    demand(not stage.left(beside=name), "a reader of the library leaves a file")
    quick, slow = (FOR_NETWORKS, RUNNING) if network else (FOR_PICTURES, LOOKING)
    draw, seldom = divmod(zlib.crc32(body), 10 if network else 40)
    commands = slow if accepted and seldom == 0 else quick
    for command in quick + slow if whole else [commands[draw % len(commands)]]:
        arguments = [word.format(name) for word in command]
        if not network:
            arguments += ["--max-pixels", str(PIXELS)]
        try:
            _command(stage, arguments, name, accepted=bool(accepted))
        except BrokenError as error:
            raise BrokenError(f"{error}  [cnntool {' '.join(arguments)}]") from error
    return accepted


def _picture(name: str, body: bytes) -> str:
    """Read a picture twice, and let another library read it."""
    try:
        pixels, info = read_image(name, name=name, max_pixels=PIXELS)
    except InputError as error:
        _sane(error, name)
        return ""
    demand((pixels.shape, pixels.dtype) == (info.shape, info.dtype), "the picture is not its info")
    demand(min(info.shape) > 0, "an empty picture was accepted")
    demand(info.height * info.width <= PIXELS, "too large a picture was accepted")
    demand(np.isfinite(pixels).all(), "NaN was accepted")
    with open_reader(io.BytesIO(body), name=name, max_pixels=PIXELS) as reader:
        reader.start(3)
        strips = np.concatenate(list(reader.strips(3)))
    demand(np.array_equal(pixels, strips), "the picture is another when read in strips")
    difference = disagrees(body, pixels, info)
    demand(not difference, f"{info.format}: {difference}")
    return "read" if difference is None else "compared"


def _graph(name: str) -> str:
    """Read a network as the tool does, and all of its attributes and weights."""
    try:
        graph = read_graph(Path(name))
    except ModelError as error:
        _sane(error, name)
        return ""
    try:
        for node in graph.nodes:
            for attribute in node.attributes:
                node.attribute(attribute)
        for weight in graph.weights.values():
            demand(weight.read().shape == weight.shape, "a weight has another shape than it says")
    except ModelError as error:  # most commands never look there
        _sane(error, name)
    return "read"


def _sane(error: CnntoolError, name: str) -> None:
    demand(error.source == name, f"an error names {error.source!r}")
    demand(error.message and "\n" not in error.message, "an error is not one line")
    demand("not enough memory" not in error.message, f"without bound: {error.message}")


def _command(stage: Stage, arguments: list[str], name: str, *, accepted: bool) -> None:
    """Run the command line, and look at all that it says and leaves."""
    console._said.clear()
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    code = run(arguments)
    out, err = stage.heard()
    left = stage.left(beside=name)
    lines = err.decode(errors="replace").splitlines()
    words = [line.split(": ")[1] for line in lines if LINE.fullmatch(line)]
    said = f"exit code {code}: {err[:600]!r}"
    demand(len(words) == len(lines), f"stderr holds other lines: {said}")
    demand("unexpected" not in said and "Traceback" not in said, f"a defect: {said}")
    demand("not enough memory" not in said, f"without bound: {said}")
    target = arguments[arguments.index("-o") + 1] if "-o" in arguments else None
    if code == 0:
        demand("error" not in words, f"an error without a code: {said}")
        demand(accepted, f"the command takes what the library refuses: {said}")
        demand(left == {target} - {None, "-"}, f"left: {left}; {said}")
        return
    network = name.endswith("onnx")
    # What is assumed of a network is said before the network answers.
    verdict = [word for word in words if word != "note"] if network else words
    demand(verdict in (["error"], ["error", "hint"]), f"not one error: {said}")
    demand(out == b"" or target == "-", f"stdout after a failure: {said}")
    demand(not left, f"left after a failure: {left}; {said}")
    allowed = {4} if network else {3}
    if accepted and not network:
        allowed.add(2)  # too small for what is asked
    if target in {"out.png", "out.tif"}:
        allowed.add(6)  # what they cannot hold is known before all numbers are read
    demand(code in allowed, f"another {said}")


def attempt(stage: Stage, kind: str, body: bytes, *, whole: bool = False) -> tuple[str, str]:
    """Return what `check` does, and why the tool broke its word: nothing if it kept it."""
    try:
        return check(stage, kind, body, whole=whole), ""
    except BrokenError as error:
        return "broken", str(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it should not be
        frame = error.__traceback__
        while frame and frame.tb_next:
            frame = frame.tb_next
        where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
        return "broken", f"{type(error).__name__}: {error}  [{where}]"
    finally:
        with suppress(OSError):
            stage.heard()
            stage.left()
