"""Many pictures: whole folders, beside scripts with two threads that one would write by hand.

    python bench/batches.py [--runs N] [--python WITH_PEERS] > table.md

1,000 JPEGs of 500x375 and 40 of 4000x3000, made of the samples with noise, are filtered into
PNGs and classified. Every program runs in turn; figures are medians, a ratio is the program's
time over that of the first one, "cpu" the seconds that all its processes have computed, which other
programs disturb little. Peers that are not installed there are left out. cnntool works on as many
inputs at once as there are processors; the scripts have as many threads.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from activations import ROOT, Program

from cnntool.system import usable_cpus

MAKE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
samples, folder = map(Path, sys.argv[1:3])
count, width, height = map(int, sys.argv[3:])
rng = np.random.default_rng(0)
folder.mkdir()
views = [
    Image.open(samples / name).convert("RGB").resize((width + 40, height + 40))
    for name in ("cat.png", "rocket.jpg")
]
noise = rng.normal(0, 4, (height, width, 3)).astype(np.int16)
for number in range(count):
    left, top = rng.integers(0, 40, 2).tolist()
    view = views[number % 2].crop((left, top, left + width, top + height))
    pixels = np.asarray(view).astype(np.int16) + np.roll(noise, number * 7, 1)
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    picture.save(folder / f"{number:04}.jpg", quality=90)
"""

OPENCV = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import cv2
source, target, kernel, threads = sys.argv[1:]
cv2.setNumThreads(1)
Path(target).mkdir(exist_ok=True)
def one(path):
    if kernel == "sobel":
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        dx, dy = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
        result = cv2.convertScaleAbs(cv2.magnitude(dx, dy))
    else:
        result = cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 3)
    cv2.imwrite(f"{target}/{path.stem}.png", result)
with ThreadPoolExecutor(int(threads)) as pool:
    list(pool.map(one, sorted(Path(source).iterdir())))
"""

CLASSIFY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
import onnxruntime
from PIL import Image
source, model, threads = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
def ready(path):
    image = Image.open(path).convert("RGB")
    scale = 144 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BILINEAR)
    left, top = (image.width - 144) // 2, (image.height - 144) // 2
    pixels = np.asarray(image.crop((left, top, left + 144, top + 144)), np.float32) / 255
    return ((pixels - mean) / deviation).transpose(2, 0, 1)[None]
with ThreadPoolExecutor(int(threads)) as pool:
    for path, feed in zip(paths := sorted(Path(source).iterdir()), pool.map(ready, paths)):
        scores = session.run(None, {name: feed})[0][0]
        print(path, *np.argsort(-scores)[:5], sep="\\t")
"""

TOOL = str(Path(sys.executable).with_name("cnntool"))


def filters(folder: Path, kernel: str, peers: str) -> list[Program]:
    cpus = str(usable_cpus())
    spec = {"sobel": "sobel", "gaussian": "gaussian:sigma=3"}[kernel]
    call = [TOOL, "filter", "-k", spec, str(folder), "--overwrite"]
    alone = ["--jobs", "1", "--threads", "1"]
    found = [
        Program("cnntool", [*call, "-o", f"{folder}-out/"]),
        Program("cnntool, 1 job, 1 thread", [*call, *alone, "-o", f"{folder}-out-1/"]),
        Program(f"{cpus} of these, a part of the pictures each", parts(folder, spec, alone)),
        Program("cnntool, with a log", [*call, "--log", f"{folder}.jsonl", "-o", f"{folder}-log/"]),
    ]
    if has(peers, "cv2"):
        script = [peers, "-c", OPENCV, str(folder), f"{folder}-cv", kernel]
        found.append(Program(f"opencv, {cpus} threads", [*script, cpus]))
    return found


def parts(folder: Path, spec: str, alone: list[str]) -> list[str]:
    """Return a command that shares the pictures out to processes that know nothing of each other.

    That is what the machine allows: processors share its memory and their caches.
    """
    names, count = sorted(folder.iterdir()), usable_cpus()
    for part in range(count):
        lines = "".join(f"{name}\n" for name in names[part::count])
        folder.with_name(f"{folder.name}-part-{part}").write_text(lines)
    call = shlex.join([TOOL, "filter", "-k", spec, "--overwrite", *alone])
    one = f"{call} --files-from {folder}-part-{{}} -o {folder}-out-2/"
    return ["sh", "-c", " & ".join([*map(one.format, range(count)), "wait"])]


def classifiers(folder: Path, peers: str) -> list[Program]:
    cpus = str(usable_cpus())
    found = [
        Program("cnntool", [TOOL, "classify", str(folder)]),
        Program("cnntool, 1 job, 1 thread",
                [TOOL, "classify", str(folder), "--jobs", "1", "--threads", "1"]),
    ]  # fmt: skip
    if has(peers, "onnxruntime"):
        model = str(ROOT / "models" / "vgg16-mini.onnx")
        script = [peers, "-c", CLASSIFY, str(folder), model, cpus]
        found.append(Program(f"onnxruntime, pool of {cpus} threads", script))
    return found


def measure(title: str, programs: list[Program], runs: int) -> None:
    for turn in range(runs + 1):  # the first of them reads the disk, and is watched
        for program in programs:
            program.run() if turn else program.watch()
    first = statistics.median(programs[0].walls)
    print(f"\n## {title}\n\n| program | s | ratio | cpu | peak MiB |\n|---|---:|---:|---:|---:|")
    for program in programs:
        wall, cpu = statistics.median(program.walls), statistics.median(program.cpus)
        row = f"| {program.name} | {wall:.2f} | {wall / first:.2f} | {cpu:.2f} |"
        print(f"{row} {program.peak:.0f} |", flush=True)


def has(peers: str, module: str) -> bool:
    call = [peers, "-c", f"import {module}"]
    return not subprocess.run(call, capture_output=True, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python", default=sys.executable, help="one that has the peers")
    arguments = parser.parse_args()
    compileall.compile_dir(ROOT / "cnntool", quiet=1)  # as it is where it has been installed
    scratch = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_DIR")))
    try:
        for count, width, height in ((1000, 500, 375), (40, 4000, 3000)):
            folder = scratch / f"{width}x{height}"
            sizes = map(str, (count, width, height))
            make = [sys.executable, "-c", MAKE, str(ROOT / "samples"), str(folder), *sizes]
            subprocess.run(make, check=True)
            what = f"{count:,} JPEGs of {width}x{height}"
            for kernel in ("sobel", "gaussian"):
                title = f"{what}, {kernel}"
                measure(title, filters(folder, kernel, arguments.python), arguments.runs)
            measure(f"{what}, classify", classifiers(folder, arguments.python), arguments.runs)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
