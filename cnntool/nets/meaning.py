"""What a network's output means: class scores, a picture or a map; with which labels."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from cnntool.errors import ModelError
from cnntool.nets.labels import LabelSet, read_labels
from cnntool.nets.places import shipped_models
from cnntool.nets.spec import OutputSpec

if TYPE_CHECKING:
    from cnntool.nets.graph import Graph, TensorInfo
    from cnntool.nets.spec import ModelSpec

PASSING = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast", "Transpose",
           "QuantizeLinear", "DequantizeLinear", "Dropout"}  # fmt: skip
"""Operators that hand numbers on without changing what they mean."""


def known(side: int | str | None) -> int | None:
    """Return the length of an axis, or None where the graph leaves it open."""
    return side if isinstance(side, int) and side > 0 else None


def find_output(graph: Graph, spec: ModelSpec | None, name: str, assumed: list[str]) -> OutputSpec:
    """Find the tensor that answers, and what it means."""
    if not graph.outputs:
        raise ModelError("it has no output", source=name)
    tensor = graph.outputs[0]
    if spec:
        return spec.output._replace(name=spec.output.name or tensor.name)
    if len(graph.outputs) > 1:
        flat = [t for t in graph.outputs if t.shape is not None and len(t.shape) == 2]
        tensor = (flat or list(graph.outputs))[0]
        assumed.append(f"output {tensor.name}, of {len(graph.outputs)}")
    shape = tensor.shape or ()
    node, behind = graph.producer_of.get(tensor.name), tensor.name
    while node is not None and node.op in PASSING and node.inputs:
        behind = node.inputs[0]
        node = graph.producer_of.get(behind)
    op = node.op if node is not None else ""
    if op == "ArgMax" or (len(shape) == 3 and tensor.dtype in {"int64", "int32", "uint8"}):
        return OutputSpec(tensor.name, "map")
    if len(shape) == 4 and sum(known(side) != 1 for side in shape[1:]) > 1:
        return _picture_output(tensor, assumed)
    if op == "Softmax" and node is not None:
        return OutputSpec(tensor.name, "probabilities", logits=node.inputs[0])
    if op in {"Sigmoid", "QLinearSoftmax", "QLinearSigmoid"}:
        return OutputSpec(tensor.name, "probabilities")
    return OutputSpec(tensor.name, "logits")


def _picture_output(tensor: TensorInfo, assumed: list[str]) -> OutputSpec:
    """Four dimensions with sides: a picture where there are colours, else scores by pixel."""
    shape = tensor.shape or ()
    colours = 3 in shape[1:] or 1 in (shape[1], shape[3])
    if colours:
        assumed.append("a picture as output, white 255")
        return OutputSpec(tensor.name, "image", white=255.0)
    return OutputSpec(tensor.name, "map")


def classes_of(graph: Graph, output: OutputSpec) -> int | None:
    """Return how many classes an output scores, as far as the graph says."""
    for tensor in graph.outputs:
        if tensor.name == output.name and tensor.shape:
            sides = [known(side) for side in tensor.shape[1:]]
            return None if None in sides else prod(side for side in sides if side)
    return None


def guess_labels(
    graph: Graph, output: OutputSpec, assumed: list[str]
) -> tuple[LabelSet | None, bool]:
    """Return the labels that the number of classes suggests, and whether class 0 is background."""
    classes = classes_of(graph, output)
    if classes in {1000, 1001}:
        assumed.append("ImageNet labels" + (" after a background class" if classes == 1001 else ""))
        return read_labels(shipped_models() / "labels" / "imagenet-1k.tsv"), classes == 1001
    return None, False


def quantised(graph: Graph, name: str) -> tuple[float, float]:
    """Return scale and zero point of an output that a QuantizeLinear makes."""
    node = graph.producer_of.get(name)
    if node is None or node.op != "QuantizeLinear":
        return 1.0, 0.0
    numbers = [float(graph.weights[key].read().reshape(-1)[0]) if key in graph.weights else 0.0
               for key in node.inputs[1:3]]  # fmt: skip
    return numbers[0] or 1.0, numbers[1] if len(numbers) > 1 else 0.0
