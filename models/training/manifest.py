"""The manifest: everything that a program needs to be told about the network, as TOML."""

import datetime as dt
import hashlib
import json
from pathlib import Path

from augment import DEVIATION, MEAN
from figures import Figures
from labels import WORDNET
from measure import Preprocessing
from network import DEPTHS
from recipe import Recipe


def layers() -> dict[str, str]:
    """Return the tensor that each Keras name stands for: after the ReLU, as in Keras."""
    found = {"input": "input"}
    for number, depth in enumerate(DEPTHS, start=1):
        for index in range(1, depth + 1):
            found[f"block{number}_conv{index}"] = f"block{number}_conv{index}/Relu"
        found[f"block{number}_pool"] = f"block{number}_pool"
    names = ("global_average_pooling2d", "predictions/Softmax")
    return found | {"global_average_pooling2d": names[0], "predictions": names[1]}


def text(  # noqa: PLR0917
    model: Path,
    labels: tuple[str, ...],
    way: Preprocessing,
    recipe: Recipe,
    result: Figures,
    photos: int,
) -> str:
    """Return the manifest of the file `model`, measured on so many `photos` of known classes."""
    content = model.read_bytes()
    named = "\n".join(f"{name} = {json.dumps(tensor)}" for name, tensor in layers().items())
    rest = (
        f"{100 * result.found:.1f} % of the photos of no class found, {100 * result.mistaken:.1f} %"
        f" of the others called so, area under the ROC curve {result.area:.3f}"
    )
    stages = ", ".join(f"{stage.epochs} at {stage.size}" for stage in recipe.stages)
    today = dt.datetime.now(tz=dt.UTC).date()
    return f"""\
schema = 1
name = "{model.stem}"
title = "VGG-16, narrow, {len(labels) - 1} everyday things"
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
names = {json.dumps(labels)}
wordnet = {json.dumps([WORDNET.get(label, "") for label in labels])}

[layers]
{named}

[accuracy]
top1 = {result.top1:.4f}
top5 = {result.top5:.4f}
photos = {photos}
dataset = "photos of {len(labels) - 1} classes (160 pixels): val, mean over the classes"
measured = "onnxruntime, float16 weights, the preprocessing above"

[training]
something_else = "{rest}"
program = "models/training"
photos = "train of the same sets, {100 * recipe.aside:.0f} % of them kept aside for choices"
epochs = {recipe.epochs}
stages = "{stages} pixels"
start = "{100 * recipe.started:.0f} % of the weights are those of the network that it went on from"
seed = {recipe.seed}
"""
