"""Throw damaged pictures and networks at the tool, and see that it keeps its word.

    python tests/attacks/fuzz.py --seconds 60       # new cases each time; --seed N repeats them
    python tests/attacks/fuzz.py FILE...            # saved cases, by every command

What broke the tool's word is saved under build/fuzz.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
for folder in ("attacks", "image", "nets"):  # as pyproject.toml tells pytest
    sys.path.insert(0, str(HERE.parent / folder))

import bombs  # noqa: E402
import numpy as np  # noqa: E402
import png_maker  # noqa: E402
import small  # noqa: E402
import specimens  # noqa: E402
import tiffs  # noqa: E402
import tiny  # noqa: E402
from contract import Stage, attempt  # noqa: E402
from mutations import mutated  # noqa: E402

from cnntool import system  # noqa: E402
from cnntool.system import usable_cpus  # noqa: E402

MEMORY = 1 << 30
"""Bytes that a process may take while it works on cases."""

PATIENCE = 60
"""Seconds for a case, on a machine that has much else to do."""


WEIGHTS = {"png": 3, "tiff": 4, "onnx": 4, "jpeg": 2}
"""How often a kind of file is drawn; 1 for all others."""


@cache
def seeds() -> dict[str, bytes]:
    """Return whole files by a name whose first word is their kind."""
    found = dict(specimens.every())
    found |= {f"png {name}": png_maker.make(pixels, **how) for name, pixels, how in _pngs()}
    for way in random.Random(1).sample(tiffs.ways(), 30):
        pixels = specimens.picture(way.samples, "uint8").astype(way.dtype)
        found[f"tiff {way}"], _ = tiffs.encoded(pixels, way)
    found["jpeg turned"] = bombs.pillow("RGB", 9, 7, "jpeg", exif=bombs.exif(6))
    found["jpeg restarts"] = bombs.pillow("L", 40, 30, "jpeg", restart_marker_rows=1)
    found["ppm 16"] = b"P6 2 2 65535\n" + bytes(range(24))
    found["pbm plain"] = b"P1 # a note\n3 2\n101 010\n"
    found["text matrix"] = b"# a note\n1 2;3 4\n\n5 -6\n"
    found |= {f"onnx {name}": make().SerializeToString() for name, make in tiny.KINDS.items()}
    with tempfile.TemporaryDirectory() as folder:
        for make in (small.colours, small.picture_net, small.map_net):
            found[f"onnx {make.__name__}"] = make(Path(folder, "net.onnx")).read_bytes()
    return found


def _pngs() -> Iterator[tuple[str, np.ndarray, dict]]:
    """Yield what other libraries do not write: interlaced ones, few bits, transparent colours."""
    rng = np.random.default_rng(2)
    for colour, depth in ((0, 1), (0, 16), (2, 8), (3, 2), (4, 8), (6, 16)):
        for interlaced in (False, True):
            pixels = rng.integers(0, 1 << depth, (7, 9, png_maker.SAMPLES[colour]))
            before = png_maker.chunk(b"PLTE", bytes(range(12))) if colour == 3 else b""
            if colour in {0, 2}:
                before += png_maker.chunk(b"tRNS", bytes(2 * png_maker.SAMPLES[colour]))
            how = {"depth": depth, "colour": colour, "interlaced": interlaced, "before": before}
            how["kinds"] = [0, 1, 2, 3, 4]
            yield f"{colour} {depth} {interlaced}", pixels, how


@cache
def _names() -> dict[str, list[str]]:
    """Return the names of the seeds by their kinds."""
    kinds: dict[str, list[str]] = {}
    for name in seeds():
        kinds.setdefault(name.split()[0], []).append(name)
    return kinds


def case(seed: int, number: int) -> tuple[str, bytes]:
    """Return one case: the kind of its file, and its bytes."""
    rng = random.Random(f"{seed}:{number}")
    kinds = list(_names())
    kind, other = rng.choices(kinds, [WEIGHTS.get(kind, 1) for kind in kinds], k=2)
    body, splice = (seeds()[rng.choice(_names()[drawn])] for drawn in (kind, other))
    return kind, mutated(rng, kind, body, splice)


def prepare() -> Stage:
    """Make this process ready for cases, in the current folder."""
    warnings.simplefilter("ignore")
    seeds()
    with suppress(ImportError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    return Stage()


def work(seed: int, first: int, step: int, seconds: float) -> NoReturn:
    """Run cases until the time is over; tell of each on stdout, before it and after it."""
    until = time.monotonic() + seconds
    report = os.fdopen(os.dup(1), "w", buffering=1)
    stage = prepare()
    number = first
    while time.monotonic() < until:
        kind, body = case(seed, number)
        print(json.dumps([number, None, ""]), file=report)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        answer = attempt(stage, kind, body)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps([number, *answer]), file=report)
        number += step
        if number // step % 200 == 0:
            gc.unfreeze()  # a command freezes what it finds: it does not expect a next one
            gc.collect()
    os._exit(0)


class Supervisor:
    """Shares the cases out to processes, starts those anew that died, and sums up.

    Parameters
    ----------
    seed : int
    seconds : float
    jobs : int
        Processes.
    save : Path
        Folder for the cases that broke the tool's word.
    """

    def __init__(self, seed: int, seconds: float, jobs: int, save: Path) -> None:
        self._seed, self._jobs, self._save = seed, jobs, save
        self._until = time.monotonic() + seconds
        self._counts: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()

    def run(self) -> int:
        """Return the exit code."""
        threads = [threading.Thread(target=self._job, args=(n,)) for n in range(self._jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(", ".join(f"{count} {what}" for what, count in sorted(self._counts.items())))
        for reason, count in self._broken.most_common():
            print(f"{count} x {reason[:150]}")
        return int(bool(self._broken) or not self._counts["compared"])

    def _job(self, first: int) -> None:
        """Keep one process working on every n-th case."""
        following = first
        while (left := self._until - time.monotonic()) > 0:
            share = f"{self._seed},{following},{self._jobs},{left}"
            command = [sys.executable, str(HERE / "fuzz.py"), "--share", share]
            with (
                tempfile.TemporaryDirectory() as folder,
                subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process,
            ):  # fmt: skip
                following = self._listen(process, following)

    def _listen(self, process: subprocess.Popen, following: int) -> int:
        """Take the answers of a process; return the number of the case after its last."""
        result = None
        for line in process.stdout:
            number, result, reason = json.loads(line)
            following = number + self._jobs
            if result is not None:
                self._counts["cases"] += 1
                self._counts[result or "refused"] += 1
            if reason:
                self._tell(number, reason)
        words = process.stderr.read().decode(errors="replace")
        if process.wait():
            self._counts["broken"] += 1
            reason = f"the process ended with {process.returncode}: {words[-2000:]}"
            self._tell(following - self._jobs, reason)
        return following

    def _tell(self, number: int, reason: str) -> None:
        """Save the first case of each kind of trouble."""
        kind_of_trouble = re.sub(r"\d+|case\.\w+", "N", reason.partition("  [")[0])[:200]
        self._broken[kind_of_trouble] += 1
        if self._broken[kind_of_trouble] > 1:
            return
        kind, body = case(self._seed, number)
        self._save.mkdir(parents=True, exist_ok=True)
        path = self._save / f"{self._seed}-{number}.{kind}"
        path.write_bytes(body)
        print(f"{reason}\n  python tests/attacks/fuzz.py {path}", flush=True)


def replay(files: list[Path]) -> int:
    """Run every command on files; return the exit code."""
    report = os.fdopen(os.dup(1), "w", buffering=1)
    bodies = {file: file.read_bytes() for file in files}
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        stage = prepare()
        for file, body in bodies.items():
            result, reason = attempt(stage, file.suffix[1:], body, whole=True)
            print(f"{file}: {reason or result or 'refused'}", file=report)
            broken += bool(reason)
        os.chdir(HERE)
    return int(broken > 0)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="saved cases, to run again")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=usable_cpus())
    parser.add_argument("--save", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--share", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share:
        *numbers, seconds = options.share.split(",")
        work(*map(int, numbers), float(seconds))
    if options.files:
        return replay(options.files)
    print(f"seed {options.seed}", flush=True)
    return Supervisor(options.seed, options.seconds, options.jobs, options.save).run()


if __name__ == "__main__":
    system._own = True  # as in the command's own process, what libtiff says is kept from stderr
    sys.exit(main())
