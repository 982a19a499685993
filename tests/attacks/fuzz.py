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
from typing import NoReturn

HERE = Path(__file__).parent
for folder in ("attacks", "image", "nets"):  # as pyproject.toml tells pytest
    sys.path.insert(0, str(HERE.parent / folder))

import small  # noqa: E402
import specimens  # noqa: E402
import tiny  # noqa: E402
from contract import Stage, attempt  # noqa: E402
from mutations import mutated  # noqa: E402

from cnntool.machine import usable_cpus  # noqa: E402

MEMORY = 1 << 30
"""Bytes that a process may take while it works on cases."""

PATIENCE = 60
"""Seconds for a case, on a machine that has much else to do."""


@cache
def seeds() -> dict[str, bytes]:
    """Return whole files by a name whose first word is their kind."""
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
    sys.exit(main())
