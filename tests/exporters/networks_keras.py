"""Networks of Keras 3 and Keras 2, and the exporters that turn them into ONNX files.

A name begins with ``keras.`` or ``keras2.``; the two cannot work in one process.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from oracle import Call
from tiny_keras import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

APPLICATIONS = [
    "DenseNet121",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
]
OLD = ["MobileNetV2", "Xception"]
"""Of which Keras 2 makes files, too."""

SAVED = ["MobileNet", "MobileNetV2", "ResNet50V2", "Xception"]
"""Which go by way of a SavedModel, too; it says ``StatefulPartitionedCall`` before every name."""

SIDE = 96
LARGER = {"InceptionV3": 160}
"""Where that would leave maps of one value, which a batch norm of theirs makes too large."""


def names() -> list[str]:
    """List what `build` can make."""
    return [f"keras.{name}" for name in APPLICATIONS] + [f"keras2.{name}" for name in OLD]


def tiny() -> list[str]:
    """List those that are small enough for a test."""
    return [f"{keras}.{name}" for keras in ("keras", "keras2") for name in NETWORKS]


def _keras(name: str) -> ModuleType:
    if name.startswith("keras2."):
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        return importlib.import_module("tf_keras")
    return importlib.import_module("keras")


def build(name: str) -> tuple[Any, np.ndarray]:
    """Make a network with random weights, and a picture for it."""
    keras = _keras(name)
    keras.utils.set_random_seed(sum(map(ord, name)))
    rest = name.partition(".")[2]
    if rest in APPLICATIONS:
        side = LARGER.get(rest, SIDE)
        model = getattr(keras.applications, rest)(weights=None, input_shape=(side, side, 3))
    else:
        model = NETWORKS[rest](keras)
    picture = np.random.default_rng(0).normal(size=(1, *model.input_shape[1:])).astype("f4")
    randomise(model, picture, keras.layers.BatchNormalization)
    return model, picture


def randomise(model: Any, picture: np.ndarray, norm: Any) -> None:
    """Make all numbers random that stand at 0 or 1 before the training, and norms fit their input.

    Else a batch norm or a layer scale would hand on its input, and two layers be equal by chance.
    """
    random = np.random.default_rng(1)
    for weight in model.weights:
        value = np.asarray(weight)
        if value.size and value.dtype.kind == "f" and (value == value.flat[0]).all():
            zero = not value.flat[0]
            new = (
                random.normal(0, 0.2, value.shape)
                if zero
                else random.uniform(0.5, 1.5, value.shape)
            )
            weight.assign(new)
    call = norm.call

    def fit(self: Any, inputs: object, **options: object) -> object:
        given = np.asarray(inputs)
        power = np.square(given).mean(tuple(range(given.ndim - 1)))
        power += power.mean() / 10 + 1e-3
        self.moving_mean.assign(np.sqrt(power) * random.normal(size=power.shape) / 5)
        self.moving_variance.assign(power * random.uniform(0.5, 1.5, power.shape))
        return call(self, inputs, **options)

    with mock.patch.object(norm, "call", fit):
        model(picture)


def observe(model: Any, picture: np.ndarray) -> list[Call]:
    """Run a network and note what every layer makes."""
    nodes = [
        (layer, _first(node.input_tensors), _first(node.outputs))
        for layer in model.layers
        for node in layer._inbound_nodes
        if type(layer).__name__ != "InputLayer"
    ]
    tensors = {id(tensor): tensor for _, given, made in nodes for tensor in (given, made)}
    keras = importlib.import_module(type(model).__module__.partition(".")[0])
    outputs = keras.Model(model.inputs, list(tensors.values()))(picture)
    values = {key: np.asarray(value) for key, value in zip(tensors, outputs, strict=True)}
    calls = []
    for layer, given, made in nodes:
        if hasattr(layer, "layers"):
            calls += observe(layer, values[id(given)])
        calls.append(Call(layer.name, type(layer).__name__, values[id(given)], values[id(made)]))
    return calls


def _first(value: object) -> object:
    return value[0] if isinstance(value, (list, tuple)) else value


def exports(
    model: Any, picture: np.ndarray, folder: Path, name: str
) -> Iterator[tuple[Path, bool]]:
    """Write a network with each exporter; yield the files, and that layouts may differ."""
    write = _old_exports if name.startswith("keras2.") else _exports
    for path in write(model, folder, name):
        yield path, True


def _exports(model: Any, folder: Path, name: str) -> Iterator[Path]:
    path = folder / f"{name}.keras3.onnx"
    model.export(path, format="onnx", verbose=False)
    yield path
    if name.partition(".")[2] not in {*SAVED, *NETWORKS}:
        return
    path = folder / f"{name}.tf2onnx.onnx"
    with tempfile.TemporaryDirectory() as saved:
        model.export(saved, format="tf_saved_model", verbose=False)
        _convert("--saved-model", saved, path)
    yield path


def _old_exports(model: Any, folder: Path, name: str) -> Iterator[Path]:
    import tensorflow as tf
    import tf2onnx

    path = folder / f"{name}.tf2onnx.onnx"
    tf2onnx.convert.from_keras(model, output_path=str(path))
    yield path
    path = folder / f"{name}.tflite.onnx"
    with tempfile.TemporaryDirectory() as lite:
        file = Path(lite, "model.tflite")
        file.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        _convert("--tflite", str(file), path)
    yield path


def _convert(kind: str, source: str, path: Path) -> None:
    command = [sys.executable, "-m", "tf2onnx.convert", kind, source, "--output", path]
    subprocess.run(command, check=True, capture_output=True)
