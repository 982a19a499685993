"""Names of layers in files that real exporters wrote of tiny networks, see README.md."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
from verdicts import judge

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers

FIXTURES = Path(__file__).with_name("fixtures")
RECORDS = sorted(FIXTURES.glob("*.json"))
TORCH = sorted({record.name.split(".")[1] for record in RECORDS if record.name.startswith("tiny.")})
VGG = sorted(FIXTURES.glob("vgg16-tiny.*.onnx"))

REFUSED = {
    ("keras2.separable.tflite", "dense"),  # its name is nowhere in the file
    ("keras2.mobile.tflite", "conv1"),  # three names in one tensor: its own is the last
}
"""What cannot be told, and is not guessed."""


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_module_means_the_tensor_that_holds_its_output(record: Path) -> None:
    bad = {verdict.name: verdict for verdict in judge(record) if verdict.is_bad}
    refused = {name for name, verdict in bad.items() if (record.stem, name) in REFUSED}
    assert {bad.pop(name).word for name in refused} <= {"refused", "unnamed"}
    assert not [verdict.text for verdict in bad.values()]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_the_notes_are_of_these_files(record: Path) -> None:
    graph = onnx.load(record.with_suffix(".onnx")).graph
    held = {name for node in graph.node for name in node.output} | {graph.input[0].name}
    entries = json.loads(record.read_text()).values()
    assert sum(entry["fate"] == "kept" for entry in entries) >= 4
    assert {name for entry in entries for call in entry["calls"] for name in call} <= held


def test_every_exporter_wrote_some() -> None:
    exporters = {tuple(record.stem.split(".")[::2]) for record in RECORDS}
    assert exporters == {
        ("tiny", "torchscript"),
        ("tiny", "dynamo"),
        ("keras", "keras3"),
        ("keras", "tf2onnx"),
        ("keras2", "tf2onnx"),
        ("keras2", "tflite"),
    }


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_what_is_called_twice_means_its_first_call(exporter: str) -> None:
    record = FIXTURES / f"tiny.shared.{exporter}.json"
    layers = Layers(read_graph(record.with_suffix(".onnx")))
    twice = {
        name: entry["calls"]
        for name, entry in json.loads(record.read_text()).items()
        if len(entry["calls"]) == 2
    }
    assert set(twice) == {"block", "block.0", "block.1", "pool"}
    for name, calls in twice.items():
        for number, tensors in enumerate(calls, 1):
            (found,) = layers.resolve(f"{name}#{number}")
            assert found.tensor in tensors
        (found,) = layers.resolve(name)
        assert found.tensor in calls[0]


@pytest.mark.parametrize("network", TORCH)
def test_what_one_exporter_of_pytorch_names_the_other_names(network: str) -> None:
    answers = []
    for exporter in ("torchscript", "dynamo"):
        verdicts = judge(FIXTURES / f"tiny.{network}.{exporter}.json")
        answers.append({v.name for v in verdicts if v.word == "right"})
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("network", "pattern", "count"),
    [
        ("residual", "layer1.*.conv?", 4),
        ("wrapped", "model.layer?", 2),
        ("dense", "features.denseblock?.denselayer1", 2),
        ("mobile", "features.*.conv.3", 2),
        ("transformer", "blocks.?.attn", 2),
        ("shared", "block.?", 2),
    ],
)
def test_a_pattern_finds_the_same_modules_in_both_exports(
    network: str, pattern: str, count: int
) -> None:
    found = []
    for exporter in ("torchscript", "dynamo"):
        record = FIXTURES / f"tiny.{network}.{exporter}.json"
        entries = json.loads(record.read_text())
        layers = Layers(read_graph(record.with_suffix(".onnx")))
        tensors = [hit.tensor for hit in layers.resolve(pattern)]
        found.append(
            {name for name in entries if {*_held(entries[name])} & {*tensors}},
        )
        assert len(tensors) == count
    assert found[0] == found[1]


def _held(entry: dict[str, Any]) -> list[str]:
    return entry["calls"][0] or entry.get("into", [])


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_name_without_the_wrapper_is_right_or_refused(exporter: str) -> None:
    record = FIXTURES / f"tiny.wrapped.{exporter}.json"
    layers = Layers(read_graph(record.with_suffix(".onnx")))
    answered = 0
    for name, entry in json.loads(record.read_text()).items():
        with suppress(ModelError):
            (found,) = layers.resolve(name.removeprefix("model."))
            assert found.tensor in _held(entry)
            answered += 1
    assert answered > 10


@pytest.mark.parametrize("path", VGG, ids=lambda path: path.stem)
def test_keras_names_of_vgg16_are_known_in_every_export(path: Path) -> None:
    """Its operators follow one another: the order alone tells which is which."""
    nodes = onnx.load(path).graph.node
    after = {name: node for node in nodes for name in node.input}
    layers = Layers(read_graph(path))
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    names = [f"block{b}_conv{c}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)]
    for name, node in zip(names, convolutions, strict=True):
        relu = after[node.output[0]]
        assert relu.op_type == "Relu"
        (found,) = layers.resolve(name)
        assert found.tensor == relu.output[0]
        (before,) = layers.resolve(name, at="pre")
        assert before.tensor == node.output[0]
    pools = [node for node in nodes if node.op_type == "MaxPool"]
    for number, node in enumerate(pools, 1):
        (found,) = layers.resolve(f"block{number}_pool")
        assert found.tensor == node.output[0]
    with pytest.raises(ModelError, match="no layer is called 'block6_conv1'"):
        layers.resolve("block6_conv1")
