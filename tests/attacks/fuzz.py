"""Throw damaged pictures and networks at the tool, and see that it keeps its word.

    python tests/attacks/fuzz.py --seconds 60       # new cases each time; --seed N repeats
    python tests/attacks/fuzz.py FILE...            # what was saved, by every command

Each case runs within a process: a reader of the library, then a command. README.md here says what
must hold. A case that breaks it is saved under build/fuzz.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
for folder in ("attacks", "image", "nets"):  # as pytest is told in pyproject.toml
    sys.path.insert(0, str(HERE.parent / folder))

import numpy as np  # noqa: E402
from mutations import mutated  # noqa: E402
from oracles import disagrees  # noqa: E402

from cnntool.cli import console  # noqa: E402
from cnntool.cli.main import run  # noqa: E402
from cnntool.errors import CnntoolError, InputError, ModelError  # noqa: E402
from cnntool.image.files import open_reader, read_image  # noqa: E402

MEMORY = 1 << 30
"""Bytes that a process may take while it works on a case."""

PATIENCE = 60
"""Seconds for a case, on a machine that does much else."""

PIXELS = 1_000_000
LINE = re.compile(r"cnntool: (error|hint|note|warning): .*")

PICTURE = "picture.png"
FOR_PICTURES = [
    ["filter", "-k", "box", "{}", "-o", "out.npy"],
    ["filter", "-k", "median", "--depth", "16", "{}", "-o", "out.tif"],
    ["filter", "-k", "sobel", "--range", "minmax", "{}", "-o", "out.png"],
    ["filter", "-k", "emboss", "--mode", "full", "--stride", "2", "{}", "-o", "-", "--format", "npy"],
    ["pool", "--max", "2", "--ceil", "{}", "-o", "out.npy"],
    ["resize", "--size", "5,7", "{}", "-o", "out.npy"],
    ["im2col", "--kernel-size", "1", "{}", "-o", "out.npy"],
    ["trace", "-k", "box", "--at", "0,0", "--mode", "same", "{}"],
]  # fmt: skip
FOR_NETWORKS = [
    ["summary", "{}"],
    ["summary", "--json", "--input-size", "32x32", "{}"],
    ["layers", "{}"],
    ["layers", "--json", "{}"],
    ["weights", "--stats-only", "{}"],
    ["weights", "{}", "-o", "out"],
    ["models", "info", "{}"],
]
BY_RUNNING = [
    ["classify", "-m", "{}", "--preprocess", "unit", "--timeout", "10", PICTURE],
    ["activations", "-m", "{}", "--all", "--stats-only", "--timeout", "10", PICTURE],
    ["run", "-m", "{}", "--timeout", "10", PICTURE, "-o", "out.npy"],
]
"""These start a process, and so come seldom."""


class BrokenError(Exception):
    """The tool did not keep its word."""


@cache
def seeds() -> dict[str, bytes]:
    """Return whole files by a name whose first word is their kind."""
    import small
    import specimens
    import tiny

    found = dict(specimens.every())
    found |= {f"onnx {name}": make().SerializeToString() for name, make in tiny.KINDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        for make in (small.colours, small.picture_net, small.map_net):
            found[f"onnx {make.__name__}"] = make(Path(folder, "net.onnx")).read_bytes()
    return found


def case(seed: int, number: int) -> tuple[str, bytes]:
    """Return one case: the kind of its file, and its bytes."""
    rng = random.Random(f"{seed}:{number}")
    name, other = rng.choices(list(seeds()), k=2)
    kind = name.split()[0]
    return kind, mutated(rng, kind, seeds()[name], seeds()[other])


def demand(held: object, reason: str) -> None:
    if not held:
        raise BrokenError(reason)


class Stage:
    """The current folder, with stdout and stderr of the whole process caught in files."""

    def __init__(self) -> None:
        self.talk = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
        for number, file in enumerate(self.talk, 1):
            os.dup2(file.fileno(), number)
        self.empty = set(os.listdir())

    def heard(self) -> list[bytes]:
        """Return what was printed since the last call."""
        sys.stdout.flush()
        sys.stderr.flush()
        found = []
        for file in self.talk:
            file.seek(0)
            found.append(file.read())
            file.seek(0)
            file.truncate()
        return found

    def left(self) -> set[str]:
        """Return the names of what was written, and remove it."""
        names = set(os.listdir()) - self.empty
        for name in names:
            with suppress(NotADirectoryError):
                shutil.rmtree(name)
                continue
            Path(name).unlink()
        return names


def check(stage: Stage, kind: str, body: bytes, *, whole: bool = False) -> str:
    """Run one case; say what became of it, or raise."""
    name = f"case.{kind}"
    Path(name).write_bytes(body)
    stage.empty = {PICTURE, name}
    if kind == "onnx":
        accepted = by_graph(name)
        commands, extra = FOR_NETWORKS, BY_RUNNING
    else:
        accepted = by_reader(name, body)
        commands, extra = FOR_PICTURES, [["classify", "{}"]]
    demand(stage.heard() == [b"", b""], "a reader of the library prints")
    demand(not stage.left(), "a reader of the library leaves a file")
    draw = zlib.crc32(body)
    if draw % 40 == 0 and accepted:
        commands = extra
    commands = [*commands, *extra] if whole else [commands[draw // 40 % len(commands)]]
    for command in commands:
        arguments = [word.format(name) for word in command]
        if kind != "onnx" and "classify" not in command:
            arguments += ["--max-pixels", str(PIXELS)]
        try:
            by_command(stage, arguments, kind, accepted=bool(accepted))
        except BrokenError as error:
            raise BrokenError(f"{error}  [cnntool {' '.join(arguments)}]") from error.__cause__
    Path(name).unlink()
    return accepted


def by_reader(name: str, body: bytes) -> str:
    """Read a picture; return what became of it, empty if it was refused."""
    try:
        pixels, info = read_image(name, name=name, max_pixels=PIXELS)
    except InputError as error:
        sane(error, name)
        return ""
    demand(pixels.shape == info.shape and pixels.dtype == info.dtype, "the picture is not its info")
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


def by_graph(name: str) -> str:
    """Read a network as the tool does; return what became of it, empty if it was refused."""
    from cnntool.nets.graph import read_graph

    try:
        graph = read_graph(Path(name))
    except ModelError as error:
        sane(error, name)
        return ""
    try:
        for node in graph.nodes:
            for attribute in node.attributes:
                node.attribute(attribute)
        for weight in graph.weights.values():
            demand(weight.read().shape == weight.shape, "a weight has another shape than it says")
    except ModelError as error:  # most commands never look there
        sane(error, name)
    return "read"


def sane(error: CnntoolError, name: str) -> None:
    """Look at an error of the library."""
    demand(error.source == name, f"an error names {error.source!r}")
    demand(error.message and "\n" not in error.message, "an error is not one line")
    demand("memory" not in error.message, f"without bound: {error.message}")


def by_command(stage: Stage, arguments: list[str], kind: str, *, accepted: bool) -> None:
    """Run the command line and look at all that it says and leaves."""
    console._said.clear()
    sys.stdin = io.TextIOWrapper(io.BytesIO())
    code = run(arguments)
    out, err = stage.heard()
    left = stage.left()
    lines = err.decode(errors="replace").splitlines()
    words = [line.split(": ")[1] for line in lines if LINE.fullmatch(line)]
    said = f"exit code {code}: {err[:600]!r}"
    demand(len(words) == len(lines), f"stderr holds other lines: {said}")
    demand("unexpected" not in said and "Traceback" not in said, f"a defect: {said}")
    demand("memory" not in said, f"without bound: {said}")
    if code == 0:
        demand("error" not in words, f"an error without a code: {said}")
        demand(accepted, f"the command takes what the library refuses: {said}")
        demand(left <= {word for word in arguments if word.startswith("out")}, f"left: {left}")
        demand(left or "-o" not in arguments or "-" in arguments, f"no result: {said}")
        return
    # What was assumed of a network is said before the network answers.
    verdict = [word for word in words if word != "note"] if kind == "onnx" else words
    demand(verdict in (["error"], ["error", "hint"]), f"not one error: {said}")
    demand(out == b"" or "-" in arguments, f"stdout after a failure: {said}")
    demand(not left, f"left after a failure: {left}; {said}")
    allowed = {"onnx": {4, 3} if "classify" in arguments else {4}}.get(kind, {2, 3, 6} if accepted else {3})
    demand(code in allowed, f"another {said}")


def hold_memory() -> None:
    with suppress(ImportError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def attempt(stage: Stage, kind: str, body: bytes, *, whole: bool = False) -> tuple[str, str]:
    """Return what became of a case, and why it breaks the tool's word."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        return check(stage, kind, body, whole=whole), ""
    except BrokenError as error:
        return "broken", str(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it should not be
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "broken", f"{type(error).__name__}: {error}  [{Path(where.filename).name}:{where.lineno}]"
    finally:
        faulthandler.cancel_dump_traceback_later()
        stage.heard()
        stage.left()
        for name in set(os.listdir()) - {PICTURE}:
            Path(name).unlink()


def work(seed: int, first: int, step: int, seconds: float) -> None:
    """Run cases until the time is over; tell of each on stdout as it is now."""
    until = time.monotonic() + seconds
    report = os.fdopen(os.dup(1), "w", buffering=1)
    prepare()
    stage = Stage()
    number = first
    while time.monotonic() < until:
        kind, body = case(seed, number)
        print(json.dumps([number, None, None]), file=report)
        print(json.dumps([number, *attempt(stage, kind, body)]), file=report)
        number += step
        if number // step % 200 == 0:
            gc.unfreeze()  # commands freeze what they find: in a process that lives on it would pile up
            gc.collect()
    report.flush()
    os._exit(0)


def prepare() -> None:
    """Make this process ready for cases: quiet, held, with a picture at hand."""
    from PIL import Image

    warnings.simplefilter("ignore")
    seeds()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(PICTURE)
    hold_memory()


def supervise(seed: int, seconds: float, jobs: int, save: Path) -> int:
    """Share the cases out to processes, start those anew that died, and sum up."""
    import threading

    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    broken: dict[str, list[int]] = {}

    def tell(number: int, reason: str) -> None:
        key = re.sub(r"\d+|case\.\w+", "N", reason.partition("  [")[0])[:200]
        broken.setdefault(key, []).append(number)
        if len(broken[key]) > 1:
            return
        kind, body = case(seed, number)
        save.mkdir(parents=True, exist_ok=True)
        path = save / f"{seed}-{number}.{kind}"
        path.write_bytes(body)
        print(f"\n{reason}\n  replay: {sys.executable} {HERE / 'fuzz.py'} {path}", flush=True)

    def job(first: int) -> None:
        following = first
        while time.monotonic() < until:
            command = [sys.executable, __file__, "--worker", f"{seed},{following},{jobs},{until - time.monotonic()}"]
            with tempfile.TemporaryDirectory() as folder, subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
            ) as process:
                result: str | None = "none"
                for line in process.stdout or ():
                    number, result, reason = json.loads(line)
                    following = number + jobs
                    if result is not None:
                        counts["cases"] += 1
                        counts[result or "refused"] += 1
                        if reason:
                            tell(number, reason)
                if process.wait():
                    if result is not None:
                        raise RuntimeError("a worker died between cases")
                    counts["broken"] += 1
                    tell(following - jobs, f"the process ended with {process.returncode}: a hang, or a crash")

    print(f"seed {seed}", flush=True)
    threads = [threading.Thread(target=job, args=(first,)) for first in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    for key, numbers in broken.items():
        print(f"{len(numbers)} x {key[:150]}")
    return int(bool(broken) or not counts["compared"])


def replay(files: list[Path]) -> int:
    """Run every command on files."""
    report = os.fdopen(os.dup(1), "w", buffering=1)
    files = [file.resolve() for file in files]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        stage = Stage()
        for file in files:
            result, reason = attempt(stage, file.suffix[1:], file.read_bytes(), whole=True)
            print(f"{file}: {reason or result or 'refused'}", file=report)
            bad += bool(reason)
        os.chdir("/")
    return int(bool(bad))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="saved cases to run again")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        seed, first, step, seconds = options.worker.split(",")
        work(int(seed), int(first), int(step), float(seconds))
    if options.files:
        return replay(options.files)
    return supervise(options.seed, options.seconds, options.jobs, options.save)


if __name__ == "__main__":
    sys.exit(main())
