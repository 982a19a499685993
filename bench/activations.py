"""Looking at layers: one of a large network, and all grids of the built-in one.

    python bench/activations.py [--runs N] > table.md

**One layer**: the tensor of block3_conv3 of a network as large as the published VGG-16 (553 MB,
generated with random weights) for one photo, written as ``.npy``. The peers read the photo with
Pillow and do the same arithmetic. ``extract_model`` is what the documentation of onnx advises;
``all outputs`` opens a file to whose graph all 16 tensors were added as outputs beforehand, which
is not counted.

**All grids**: the 13 convolutions of the built-in network as 13 PNG files. ``inference + encoding``
is no peer but a floor: a script that runs the network once without any taps, and writes 13 pictures
that are in memory already with Pillow at its fastest compression, in one thread.

Every program is a process of its own, started in turn, round after round; figures are medians.
Memory is the largest sum over a program's processes (PSS: what two share counts once), looked at
every few milliseconds in rounds of their own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "samples" / "cat.png"
BUILT_IN = ROOT / "models" / "vgg16-mini.onnx"

PREPARE = """
import sys, numpy as np, onnxruntime as ort
from PIL import Image
def prepare(photo, resize, size):
    picture = Image.open(photo).convert("RGB")
    short = min(picture.size)
    shape = (int(picture.width * resize / short), int(picture.height * resize / short))
    picture = picture.resize(shape, Image.Resampling.BILINEAR)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    x = np.asarray(picture.crop((left, top, left + size, top + size)), np.float32) / 255
    x = (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32)
def open_session(model):
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])
"""
EXTRACT = (
    PREPARE
    + """
import os, onnx.utils
model, tensor, photo, target = sys.argv[1:]
part = target + ".onnx"
onnx.utils.extract_model(model, part, ["data"], [tensor])
(values,) = open_session(part).run([tensor], {"data": prepare(photo, 256, 224)})
np.save(target, values[0])
os.unlink(part)
"""
)
ALL_OUTPUTS = (
    PREPARE
    + """
model, tensor, photo, target = sys.argv[1:]
session = open_session(model)
names = [output.name for output in session.get_outputs()]
found = dict(zip(names, session.run(None, {"data": prepare(photo, 256, 224)})))
np.save(target, found[tensor][0])
"""
)
FLOOR = (
    PREPARE
    + """
import pathlib
model, photo, grids, target = sys.argv[1:]
open_session(model).run(None, {"input": prepare(photo, 144, 144)})
for grid in sorted(pathlib.Path(grids).glob("*.npy")):
    Image.fromarray(np.load(grid)).save(f"{target}/{grid.stem}.png", compress_level=1)
"""
)
# In processes of their own: what they import and hold is not to count for anybody.
GENERATE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vgg import vgg16
names = vgg16(Path(sys.argv[2]))
import onnx
model = onnx.load(sys.argv[2])
tensors = [name for layer, name in names.items() if "conv" in layer or layer.startswith("fc")]
model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
onnx.save(model, sys.argv[3])
print(names["block3_conv3"])
"""
DECODE = """
import sys, numpy as np
from pathlib import Path
from PIL import Image
for path in Path(sys.argv[1]).glob("*.png"):
    np.save(Path(sys.argv[2]) / f"{path.stem}.npy", np.asarray(Image.open(path)))
"""


@dataclass
class Program:
    name: str
    command: list[str]
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    peak: float = 0.0

    def run(self) -> None:
        start, used = time.perf_counter(), sum(os.times()[2:4])
        subprocess.run(self.command, stdout=subprocess.DEVNULL, check=True)
        self.walls.append(time.perf_counter() - start)
        self.cpus.append(sum(os.times()[2:4]) - used)

    def watch(self) -> None:
        with subprocess.Popen(self.command, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                used = sum(map(proportional, family(process.pid)))
                self.peak = max(self.peak, used / 1024)
                time.sleep(0.003)
        if process.returncode:
            sys.exit(f"{self.name} failed")


def family(pid: int) -> list[int]:
    """List a process and those that it has started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [pid, *(one for child in text.split() for one in family(int(child)))]


def proportional(pid: int) -> int:
    """Return the KiB that a process has in memory, its part of what it shares."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def table(title: str, programs: list[Program], runs: int) -> None:
    for _ in range(3):  # and whatever is read from the disk is in memory then
        for program in programs:
            program.watch()
    for _ in range(runs):
        for program in programs:
            program.run()
    first = statistics.median(programs[0].walls)
    print(f"\n## {title}\n\n| program | ms | ratio | peak MiB | ratio |\n|---|---|---|---|---|")
    for program in programs:
        wall, peak = statistics.median(program.walls), program.peak
        print(
            f"| {program.name} | {wall * 1e3:.0f} | {wall / first:.2f}"
            f" | {peak:.0f} | {peak / programs[0].peak:.2f} |",
            flush=True,
        )


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", script, *map(str, arguments)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    cnntool = [str(Path(sys.executable).with_name("cnntool")), "activations", "--device", "cpu",
               "-q", "--overwrite", str(PHOTO)]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        whole, tapped = folder / "vgg16.onnx", folder / "all.onnx"
        generate = python(GENERATE, ROOT / "tests" / "nets", whole, tapped)
        tensor = subprocess.run(generate, check=True, capture_output=True, text=True).stdout.strip()
        target = folder / "x.npy"
        one = [*cnntool, "-m", str(whole), "-l", "block3_conv3", "-o", str(target)]
        programs = [
            Program("cnntool", one),
            Program("extract_model", python(EXTRACT, whole, tensor, PHOTO, target)),
            Program("all outputs", python(ALL_OUTPUTS, tapped, tensor, PHOTO, target)),
        ]
        table("One layer of 553 MB", programs, runs)
        grids, decoded, written = (folder / part for part in ("grids", "decoded", "written"))
        decoded.mkdir()
        written.mkdir()
        convolutions = [word for block, count in enumerate((2, 2, 3, 3, 3), 1)
                        for number in range(1, count + 1)
                        for word in ("-l", f"block{block}_conv{number}")]  # fmt: skip
        every = [*cnntool, *convolutions, "-o", str(grids)]
        subprocess.run(every, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(python(DECODE, grids, decoded), check=True)
        programs = [
            Program("cnntool", every),
            Program("inference + encoding", python(FLOOR, BUILT_IN, PHOTO, decoded, written)),
        ]
        table("All 13 grids of the built-in network", programs, runs)


if __name__ == "__main__":
    main()
