"""The manifest: everything that a program needs to be told about the network, as TOML."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from augment import DEVIATION, MEAN
from measure import Preprocessing
from network import DEPTHS
from recipe import Recipe

WORDNET = {
    "English springer": "n02102040",
    "French horn": "n03394916",
    "cassette player": "n02979186",
    "cat": "n02121620",
    "chain saw": "n03000684",
    "church": "n03028079",
    "dog": "n02084071",
    "garbage truck": "n03417042",
    "gas pump": "n03425413",
    "golf ball": "n03445777",
    "parachute": "n03888257",
    "tench": "n01440764",
}


@dataclass(frozen=True)
class Result:
    """What was measured on ``val``: shares from 0 to 1, and the number of photos."""

    top1: float
    top5: float
    photos: int


def layers() -> dict[str, str]:
    """Return the tensor that each Keras name stands for: after the ReLU, as in Keras."""
    found = {"input": "input"}
    for number, depth in enumerate(DEPTHS, start=1):
        for index in range(1, depth + 1):
            found[f"block{number}_conv{index}"] = f"block{number}_conv{index}/Relu"
        found[f"block{number}_pool"] = f"block{number}_pool"
    names = ("global_average_pooling2d", "predictions/Softmax")
    return found | {"global_average_pooling2d": names[0], "predictions": names[1]}


def text(
    model: Path, labels: tuple[str, ...], way: Preprocessing, recipe: Recipe, result: Result
) -> str:
    """Return the manifest of the file `model`."""
    content = model.read_bytes()
    named = "\n".join(f"{name} = {json.dumps(tensor)}" for name, tensor in layers().items())
    stages = ", ".join(f"{stage.epochs} at {stage.size}" for stage in recipe.stages)
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"""\
schema = 1
name = "{model.stem}"
title = "VGG-16, narrow, twelve classes"
file = "{model.name}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
size = {len(content)}  # bytes
urls = []  # ships with the tool
licence = "MIT"
source = "models/training"
date = {today}

[input]
name = "input"
layout = "NCHW"
dtype = "float32"
channel_order = "RGB"
size = [{way.crop}, {way.crop}]  # rows, columns after the crop
dynamic = true  # the graph takes any size
minimum = [32, 32]  # five poolings
fit = "shorter"  # the shorter side is resized; "stretch" would give up the aspect
resize = {way.resize}
crop = [{way.crop}, {way.crop}]
interpolation = "bilinear"
white = 1.0  # value of white before mean and deviation
mean = {list(MEAN)}
deviation = {list(DEVIATION)}

[output]
name = "predictions/Softmax"
kind = "probabilities"
logits = "predictions"
background = false  # no class before the first label

[labels]
names = {json.dumps([label.replace("_", " ") for label in labels])}
wordnet = {json.dumps([WORDNET[label.replace("_", " ")] for label in labels])}

[layers]
{named}

[accuracy]
top1 = {result.top1:.4f}
top5 = {result.top5:.4f}
photos = {result.photos}
dataset = "Imagenette (160 pixels), cats and dogs: val"
measured = "onnxruntime, float16 weights, the preprocessing above"

[training]
program = "models/training"
photos = "train of the same sets, {100 * recipe.aside:.0f} % of them kept aside for choices"
epochs = {recipe.epochs}
stages = "{stages} pixels"
seed = {recipe.seed}
"""
