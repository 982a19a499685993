"""Memory of batches: folders of tiny pictures, filtered, classified and made vectors of.

    python bench/memory.py [COUNT]... > table.md

Each folder has COUNT PNGs of 8x8 pixels (1,000, 10,000 and 100,000), links to one file. The net
is one of the tests, of three classes: what it takes does not depend on the pictures. All keep
a log; each command runs again with ``--resume`` when it is done. The figure is the largest resident
set of any process of a command, as the system counts it, which other programs do not disturb.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
TOOL = [sys.executable, "-m", "cnntool"]
NET = ["-m", "net.onnx", "--preprocess", "unit"]
COMMANDS = {
    "filter": ["-k", "sobel", "in", "-o", "out/"],
    "classify": ["in", *NET],
    "features": ["in", *NET, "-l", "means", "-o", "out.npy"],
}
MAKE = "import sys; sys.path.insert(0, sys.argv[1]); import small; small.colours('net.onnx')"


def make(folder: Path, count: int) -> None:
    folder.mkdir()
    source = folder / "0000000.png"
    for number in range(count):
        target = folder / f"{number:07}.png"
        try:
            os.link(source, target)
        except OSError:  # it has as many names as the file system allows, or none yet
            source = target
            Image.new("RGB", (8, 8), (200, 30, 60)).save(target)


def peak(folder: Path, verb: str, *more: str) -> float:
    """Run a command; return its peak in MiB."""
    call = [*TOOL, verb, *COMMANDS[verb], "--log", f"{verb}.jsonl", "-q", *more]
    with subprocess.Popen(call, cwd=folder, stdout=subprocess.DEVNULL) as run:
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0
    return used.ru_maxrss / 1024


def main() -> None:
    counts = [int(count) for count in sys.argv[1:]] or [1_000, 10_000, 100_000]
    table: dict[str, list[float]] = {}
    for count in counts:
        folder = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
        try:
            make(folder / "in", count)
            call = [sys.executable, "-c", MAKE, str(ROOT / "tests" / "nets")]
            subprocess.run(call, cwd=folder, check=True)
            for verb in COMMANDS:
                table.setdefault(verb, []).append(peak(folder, verb))
                table.setdefault(f"{verb} --resume", []).append(peak(folder, verb, "--resume"))
        finally:
            shutil.rmtree(folder)
    print("| | " + " | ".join(f"{count:,}" for count in counts) + " |")
    print("|---" + "|---:" * len(counts) + "|")
    for name, figures in table.items():
        print(f"| {name} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |")


if __name__ == "__main__":
    main()
