"""Classifying photos, side by side with a bare loop: images per second and wall time.

    python bench/networks.py [--rounds N] [--photos N] [--folder DIR] [MODEL.onnx ...] > table.md

The bare loop decodes with Pillow and calls onnxruntime with the same tensors in the same process,
with as many threads: there is nothing in it that could be left out. Both take turns; figures
are medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
COMMAND = str(Path(PYTHON).with_name("cnntool"))

LOOP = """
import os, sys
import numpy as np, onnxruntime
from PIL import Image
model, recipe, *paths = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = len(os.sched_getaffinity(0))
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
side, cut = (144, 144) if recipe == "mini" else (256, 224)
for path in paths:
    picture = Image.open(path).convert("RGB")
    scale = side / min(picture.size)
    picture = picture.resize([int(s * scale + 1e-6) for s in picture.size], Image.BILINEAR)
    left, top = (round((s - cut) / 2) for s in picture.size)
    pixels = np.asarray(picture.crop((left, top, left + cut, top + cut)))
    if recipe == "mini":
        pixels = (pixels / np.float32(255) - np.float32([.485, .456, .406])) / np.float32([.229, .224, .225])
        pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    elif recipe == "caffe":
        pixels = (pixels[..., ::-1] - np.array([104., 117., 123.])).transpose(2, 0, 1).astype(np.float16)
    scores = session.run(None, {name: pixels[None]})[0].ravel()
    print(path, np.argsort(-scores)[:5])
"""  # noqa: E501

PHOTOS = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
samples, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
pictures = [Image.open(samples / name).convert("RGB") for name in ("cat.png", "rocket.jpg")]
for number in range(count):
    picture = pictures[number % 2].resize((500, 375), Image.Resampling.LANCZOS)
    noise = rng.normal(0, 4, (375, 500, 3))
    pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:04}.jpg", quality=90)
"""

RECIPES = {"mini": [], "caffe": ["--preprocess", "caffe", "--mean", "104,117,123"], "raw": []}


def recipe_of(model: Path) -> str:
    if "squeezenet" in model.name:
        return "caffe"
    return "raw" if "u8" in model.name else "mini"


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def compare(model: Path, photos: list[str], rounds: int) -> tuple[float, float]:
    """Return the median seconds of cnntool and of the bare loop."""
    recipe = recipe_of(model)
    ours = [COMMAND, "classify", "-q", "-m", str(model), *RECIPES[recipe], *photos]
    bare = [PYTHON, "-c", LOOP, str(model), recipe, *photos]
    walls: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for command, wall in zip((ours, bare), walls, strict=True):
            wall.append(timed(command))
    return statistics.median(walls[0]), statistics.median(walls[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="photos to take instead of generated ones")
    arguments = parser.parse_args()
    models = arguments.models or [ROOT / "models" / "vgg16-mini.onnx"]
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "bench-pycache")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.folder:
            photos = sorted(map(str, arguments.folder.glob("*.jpg")))
        else:
            command = [PYTHON, "-c", PHOTOS, str(ROOT / "samples"), folder, str(arguments.photos)]
            subprocess.run(command, check=True)
            photos = sorted(map(str, Path(folder).glob("*.jpg")))
        print("| network | one photo: cnntool ms | bare loop ms | difference ms |"
              f" {len(photos)} photos: cnntool /s | bare loop /s | ratio |")  # fmt: skip
        print("|---|---|---|---|---|---|---|")
        for model in models:
            one, bare_one = compare(model, photos[:1], arguments.rounds)
            many, bare_many = compare(model, photos, max(3, arguments.rounds // 2))
            print(f"| {model.stem} | {one * 1e3:.0f} | {bare_one * 1e3:.0f} |"
                  f" {(one - bare_one) * 1e3:+.0f} | {len(photos) / many:.0f} |"
                  f" {len(photos) / bare_many:.0f} | {bare_many / many:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()
