"""Whole commands side by side: wall time, peak memory and size of the result, with ratios.

    python bench/commands.py [--runs N] [--only TEXT] > table.md

Every program of a task runs in turn, round after round, so that a machine whose speed drifts
drifts for all of them. Figures are medians; a ratio is the peer's time over cnntool's (above 1:
cnntool is faster). Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(__file__).parent.parent / "samples"
PYTHON = sys.executable

OPENCV = """
import sys, cv2
source, target, kernel, level = sys.argv[1:]
if kernel == "sobel":
    image = cv2.imread(source, cv2.IMREAD_GRAYSCALE)
    dx, dy = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
    result = cv2.convertScaleAbs(cv2.magnitude(dx, dy))
else:
    result = cv2.GaussianBlur(cv2.imread(source, cv2.IMREAD_UNCHANGED), (0, 0), 3)
cv2.imwrite(target, result, [] if level == "-" else [cv2.IMWRITE_PNG_COMPRESSION, int(level)])
"""
SCIPY = """
import sys, numpy as np
from PIL import Image
from scipy import ndimage
Image.MAX_IMAGE_PIXELS = None
source, target, kernel, level = sys.argv[1:]
image = Image.open(source)
if kernel == "sobel":
    x = np.asarray(image.convert("L"), np.float32)
    y = np.hypot(ndimage.sobel(x, 0), ndimage.sobel(x, 1))
else:
    x = np.asarray(image, np.float32)
    y = ndimage.gaussian_filter(x, (3, 3, 0)[: x.ndim])
y = np.clip(np.rint(y), 0, 255).astype(np.uint8)
Image.fromarray(y).save(target, **({} if level == "-" else {"compress_level": int(level)}))
"""
SKIMAGE = """
import sys
from skimage import filters, io, util
source, target, kernel, level = sys.argv[1:]
if kernel == "sobel":
    result = filters.sobel(io.imread(source, as_gray=True))
else:
    image = io.imread(source)
    result = filters.gaussian(image, 3, channel_axis=-1 if image.ndim == 3 else None)
io.imsave(target, util.img_as_ubyte(result.clip(0, 1)), check_contrast=False)
"""


# A process of its own: a child's peak memory is never counted below that of its parent.
INPUTS = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
samples, folder = map(Path, sys.argv[1:])
rng = np.random.default_rng(0)
def photo(name, size, mode, target):
    picture = Image.open(samples / name).convert(mode).resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(picture).astype(np.int16)
    noise = rng.normal(0, 3, size[::-1]).astype(np.int16)
    pixels += noise if pixels.ndim == 2 else noise[:, :, None]
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / target)
photo("camera.png", (512, 512), "L", "small.png")
photo("camera.png", (3840, 2160), "L", "grey.png")
photo("cat.png", (3840, 2160), "RGB", "rgb.png")
photo("cat.png", (3840, 2160), "RGB", "rgb.jpg")
photo("camera.png", (10000, 10000), "L", "large.tif")
"""
TASKS = {
    "512 grey png": "small.png",
    "4K grey png": "grey.png",
    "4K rgb png": "rgb.png",
    "4K rgb jpeg": "rgb.jpg",
    "100 Mpx grey tiff": "large.tif",
}


@dataclass
class Program:
    name: str
    command: list[str]
    walls: list[float] = field(default_factory=list)
    peak: float = 0.0
    size: int = 0


def programs(source: Path, folder: Path, kernel: str) -> Iterator[Program]:
    """Yield the peers that are installed; at their defaults, then at their fastest PNG setting."""
    tiff = source.suffix == ".tif"
    suffix = ".tif" if tiff else ".png"

    def out(name: str) -> str:
        return str(folder / f"out-{name.replace(' ', '-').replace('=', '')}{suffix}")

    spec = {"sobel": "sobel", "gaussian": "gaussian:sigma=3"}[kernel]
    cnntool = [str(Path(PYTHON).with_name("cnntool")), "filter", "--overwrite", "-k", spec]
    yield Program("cnntool", [*cnntool, str(source), "-o", out("cnntool")])
    for name, script in (("opencv", OPENCV), ("pillow + scipy", SCIPY), ("scikit-image", SKIMAGE)):
        if tiff and name != "opencv":
            continue
        yield Program(name, [PYTHON, "-c", script, str(source), out(name), kernel, "-"])
        if not tiff and name != "scikit-image":
            fastest = f"{name}, level 1"
            yield Program(fastest, [PYTHON, "-c", script, str(source), out(fastest), kernel, "1"])
    if magick := shutil.which("magick") or shutil.which("convert"):
        how = {"sobel": ["-morphology", "Convolve", "Sobel"], "gaussian": ["-blur", "0x3"]}[kernel]
        if not tiff:
            yield Program("imagemagick", [magick, str(source), *how, out("imagemagick")])
            fast = [magick, str(source), *how, "-quality", "10", out("imagemagick q10")]
            yield Program("imagemagick, quality 10", fast)
    if vips := shutil.which("vips"):
        verb, more = {"sobel": ("sobel", []), "gaussian": ("gaussblur", ["3"])}[kernel]
        yield Program("vips", [vips, verb, str(source), out("vips"), *more])
        if not tiff:
            target = out("vips fast")
            fast = [vips, verb, str(source), f"{target}[compression=1]", *more]
            yield Program("vips, compression=1", fast)


def run_once(program: Program, *, counted: bool) -> None:
    start = time.perf_counter()
    files = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(program.command[0], program.command, os.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{program.name} failed: {' '.join(program.command)}")
    if counted:
        program.walls.append(wall)
        program.peak = max(program.peak, usage.ru_maxrss / 1024)
    target = next(a for a in reversed(program.command) if "out-" in a).partition("[")[0]
    program.size = Path(target).stat().st_size
    if program.size > 50e6:
        Path(target).unlink()  # so that no run waits for another's pages to be written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", default="", help="tasks whose name has this text")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print("| task | program | ms | ratio | peak MiB | MB written |\n|---|---|---|---|---|---|")
        subprocess.run([PYTHON, "-c", INPUTS, SAMPLES, folder], check=True)
        for task, name in TASKS.items():
            source = folder / name
            for kernel in ("sobel", "gaussian"):
                if arguments.only not in f"{task} {kernel}":
                    continue
                peers = list(programs(source, folder, kernel))
                slow = {p.name for p in peers if "magick" in p.name or "sci" in p.name}
                for turn in range(arguments.runs + 1):
                    for program in peers:
                        if turn <= 3 or program.name not in slow:
                            run_once(program, counted=turn > 0)
                ours = statistics.median(peers[0].walls)
                for program in peers:
                    wall = statistics.median(program.walls)
                    print(
                        f"| {task} {kernel} | {program.name} | {wall * 1e3:.0f} "
                        f"| {wall / ours:.2f} | {program.peak:.0f} | {program.size / 1e6:.1f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
