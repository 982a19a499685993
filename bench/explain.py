"""Explaining photos: gradients beside a plain forward pass, and whole commands beside `classify`.

    python bench/explain.py [--rounds N] [--runs N] [MODEL.onnx ...] > table.md

**In process**: seconds of onnxruntime alone, as its worker takes them, on numbers drawn at random.
A plain pass is that of `cnntool classify`; Grad-CAM is a forward pass and one back to the last
activation that has maps, the input gradient one all the way back. They take turns; figures are
the fastest of all rounds. Where torch and pytorch-grad-cam are installed, the same is done with
the built-in network's layers there.

**Whole commands**: processes of their own, started in turn; medians, and memory as in
`activations.py`. The network of 553 MB is generated with random weights ($BENCH_DIR).
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from activations import BUILT_IN, PHOTO, ROOT, Program, python, table

from cnntool.nets.attribution.targets import last_maps, score_tensor
from cnntool.nets.inference.presets import Overrides
from cnntool.nets.layers.receptive_field import fields_of
from cnntool.nets.network import Network
from cnntool.nets.runtime.providers import SessionSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnntool.nets.gradients.differentiate import Pass

SIDE = 224
"""Of the picture, for networks that take any."""

GENERATE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vgg import vgg16
vgg16(Path(sys.argv[2]))
"""
PEER = """
import sys, time
import numpy as np, torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
widths, side, classes, photo, target, rounds = sys.argv[1:]
layers, channels = [], 3
for word in widths.split():
    if word == "M":
        layers.append(torch.nn.MaxPool2d(2))
    else:
        layers += [torch.nn.Conv2d(channels, int(word), 3, padding=1), torch.nn.ReLU()]
        channels = int(word)
model = torch.nn.Sequential(
    torch.nn.Sequential(*layers), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
    torch.nn.Linear(channels, int(classes)),
).eval()
side = int(side)
picture = Image.open(photo).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
pixels = np.asarray(picture, np.float32) / 255
x = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
x = torch.from_numpy(x.transpose(2, 0, 1)[None]).float()
explainer = GradCAM(model, [layers[-2]])
def plain():
    with torch.inference_mode():
        return model(x)
def gradcam():
    return explainer(x, [ClassifierOutputTarget(0)])[0]
def saliency():
    given = x.clone().requires_grad_()
    return torch.autograd.grad(model(given)[0, 0], given)
ways = (plain, gradcam, saliency)
best = [float("inf")] * 3
for _ in range(int(rounds)):
    for place, way in enumerate(ways):
        start = time.perf_counter()
        way()
        best[place] = min(best[place], time.perf_counter() - start)
print(*best)
if target:
    Image.fromarray(show_cam_on_image(pixels, gradcam(), use_rgb=True)).save(target)
"""
"""With random weights, which take as long; the layers and the size are the built-in network's."""


def fastest(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Let all take turns, and return the least seconds of each."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            best[name] = min(best[name], way())
    return best


def in_process(path: Path, rounds: int) -> str:
    """Measure one network."""
    with Network(str(path), Overrides(), SessionSettings()).read() as model:
        plan = model.plan()
        entry, graph = plan.input, model.graph
        sides = entry.size or (SIDE, SIDE)
        planar = entry.layout == "NCHW"
        tensor = (entry.channels, *sides) if planar else (*sides, entry.channels)
        shape = (entry.batch or 1, *tensor)
        dtype = np.dtype(entry.dtype)
        rng = np.random.default_rng(0)
        feed = rng.integers(0, 256, shape) if dtype.kind in "iu" else rng.normal(size=shape)
        feed = feed.astype(dtype)
        made = model.differentiator(shape)
        score = score_tensor(graph, plan)
        flow = model.read_layers().flow
        fields = fields_of(graph, flow, entry.name, shape)
        layer, _ = next(last_maps(flow, score, made.shapes, fields, picture=sides, batch=shape[0]))
        plain = model.session(plan.taps)

        def forward() -> float:
            plain.run({entry.name: feed}, plan.taps)
            return plain.seconds

        def there_and_back(way: Pass) -> float:
            seed = np.zeros_like(way.forward(feed, *way.also)[score], np.float32)
            seed.flat[0] = 1
            way.backward(seed)
            return way.forward_session.seconds + way.backward_session.seconds

        cam, whole = made.open(score, [layer], [layer]), made.open(score, [entry.name])
        best = fastest(
            {
                "plain": forward,
                "Grad-CAM": lambda: there_and_back(cam),
                "input": lambda: there_and_back(whole),
            },
            rounds,
        )
    return row(path.stem, *best.values())


def row(name: str, plain: float, cam: float, whole: float) -> str:
    return (
        f"| {name} | {plain * 1e3:.1f} | {cam * 1e3:.1f} | {cam / plain:.2f}"
        f" | {whole * 1e3:.1f} | {whole / plain:.2f} |"
    )


def peer(target: str, rounds: int) -> list[str]:
    """Return the command that does the same for the built-in network's layers."""
    with Network(str(BUILT_IN), Overrides(), SessionSettings()).read() as model:
        weights = model.graph.weights
        words = []
        for node in model.graph.nodes:
            if node.op == "Conv":
                words.append(str(weights[node.inputs[2]].shape[0]))
            elif node.op == "MaxPool":
                words.append("M")
        classes = weights[model.graph.nodes[-2].inputs[2]].shape[0]
        side = (model.plan().input.size or (SIDE, SIDE))[0]
    return python(PEER, " ".join(words), side, classes, PHOTO, target, rounds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40, help="in process")
    parser.add_argument("--runs", type=int, default=11, help="of whole commands")
    parser.add_argument("models", nargs="*", type=Path)
    given = parser.parse_args()
    has_peer = all(map(importlib.util.find_spec, ("torch", "pytorch_grad_cam")))
    print("| network | plain ms | Grad-CAM ms | ratio | input gradient ms | ratio |")
    print("|---|---|---|---|---|---|")
    for path in [BUILT_IN, *given.models]:
        print(in_process(path, given.rounds), flush=True)
    if has_peer:
        said = subprocess.run(peer("", given.rounds), check=True, capture_output=True, text=True)
        print(row("its layers in PyTorch, pytorch-grad-cam", *map(float, said.stdout.split())))

    def command(verb: str, *words: str) -> list[str]:
        return [str(Path(sys.executable).with_name("cnntool")), verb, "-q", *words, str(PHOTO)]

    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        target = ["--overwrite", "-o", str(folder / "x.png")]
        saliency = ["--method", "saliency"]

        def programs(*model: str) -> list[Program]:
            return [
                Program("`classify`", command("classify", *model)),
                Program("`explain`", command("explain", *model, *target)),
                Program("`... --method saliency`", command("explain", *model, *saliency, *target)),
            ]

        peers = [Program("pytorch-grad-cam", peer(str(folder / "y.png"), 0))] if has_peer else []
        table("Explaining with the built-in network", programs() + peers, given.runs)
        large = folder / "vgg16.onnx"
        subprocess.run(python(GENERATE, ROOT / "tests" / "nets", large), check=True)
        table("Explaining with a network of 553 MB", programs("-m", str(large)), given.runs)


if __name__ == "__main__":
    main()
