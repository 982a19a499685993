"""A cluster on this machine: one worker, two workers, and no cluster.

    python bench/cluster.py [--runs N] [--count N] > table.md

JPEGs of 500x375, made as `bench/batches.py` makes them, are filtered (Gaussian, sigma 3) and
classified with one job and one thread for each worker. Scheduler and workers run before the clock
starts, set up as `docs/cluster.md` says, and each worker has worked once; `local:N` starts its own.
Programs run in turn; figures are medians, a ratio is the time of one worker over the program's. Two
workers can be twice as fast only where two processors have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from activations import ROOT, Program
from batches import MAKE, TOOL

QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
}
DASK = str(Path(sys.executable).with_name("dask"))


def cluster(scratch: Path, workers: int, stack: ExitStack) -> str:
    """Start a scheduler and workers, which end with the stack; return the address."""
    file = scratch / f"scheduler-{workers}.json"
    calls = [["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]]
    calls += [["worker", "--no-nanny", "--nthreads", "1", "--no-dashboard"]] * workers
    for verb, *options in calls:
        process = subprocess.Popen(
            [DASK, verb, "--scheduler-file", str(file), *options],
            cwd=scratch,
            env={**os.environ, **QUIET},
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        while verb == "scheduler" and not (file.exists() and file.read_text().endswith("}")):
            time.sleep(0.1)
    time.sleep(5)  # workers join
    address: str = json.loads(file.read_text())["address"]
    return address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch)
        folder = scratch / "in"
        sizes = map(str, (arguments.count, 500, 375))
        make = [sys.executable, "-c", MAKE, str(ROOT / "samples"), str(folder), *sizes]
        subprocess.run(make, check=True)
        addresses = {
            "1 worker": cluster(scratch, 1, stack),
            "2 workers": cluster(scratch, 2, stack),
            **{f"local:{count}": f"local:{count}" for count in (1, 2)},
        }
        alone = ["--jobs", "1", "--threads", "1", "--overwrite"]
        calls = {
            "filter": ["filter", "-k", "gaussian:sigma=3", str(folder), "-o", f"{scratch}/out/"],
            "classify": ["classify", str(folder)],
        }
        for verb, call in calls.items():
            logged = [TOOL, *call, *alone, "--log", f"{scratch}/{verb}.jsonl"]
            programs = [
                Program(name, [*logged, "--scheduler", address])
                for name, address in addresses.items()
            ]
            programs.append(Program("no cluster", logged))
            for turn in range(arguments.runs + 1):
                for program in programs:
                    program.run() if turn else program.watch()
            first = statistics.median(programs[0].walls)
            print(f"\n## {arguments.count:,} JPEGs of 500x375, {verb}\n")
            print("| program | s | ratio |\n|---|---:|---:|")
            for program in programs:
                wall = statistics.median(program.walls)
                print(f"| {program.name} | {wall:.2f} | {first / wall:.2f} |", flush=True)


if __name__ == "__main__":
    main()
