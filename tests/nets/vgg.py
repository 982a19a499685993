"""VGG-16 of any width in the spelling of any exporter, written without holding its weights.

The five blocks of 2, 2, 3, 3 and 3 convolutions and three dense layers of Simonyan and
Zisserman (2015), https://arxiv.org/abs/1409.1556. With the widths as they are the file takes
553 MB, as the published ones do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnx import NodeProto

DEPTHS = (2, 2, 3, 3, 3)
WIDTHS = (64, 128, 256, 512, 512)
_KERAS_OPS = {
    "conv": "BiasAdd",
    "relu": "Relu",
    "pool": "MaxPool",
    "flatten": "Reshape",
    "dense": "BiasAdd",
    "softmax": "Softmax",
}
_ONNX_OPS = {
    "conv": "Conv",
    "relu": "Relu",
    "pool": "MaxPool",
    "flatten": "Flatten",
    "dense": "Gemm",
    "softmax": "Softmax",
}
_CNTK = {
    "conv": "Convolution",
    "relu": "ReLU",
    "pool": "Pooling",
    "flatten": "Reshape",
    "dense": "Times",
    "softmax": "Softmax",
}
_DYNAMO = {
    "conv": "conv2d",
    "relu": "relu",
    "pool": "max_pool2d",
    "flatten": "view",
    "dense": "linear",
    "softmax": "softmax",
}


class Layer(NamedTuple):
    """An operator of the network before it has a name.

    `kind` is a key of the tables above, `keras` the name that Keras gives its layer, `module`
    the path that torchvision gives it, `caffe` the one of the Caffe model; `of_kind` counts
    layers of its kind and `step` all, both from 0.
    """

    kind: str
    keras: str
    module: str
    caffe: str
    of_kind: int
    step: int


class Spelt(NamedTuple):
    """What an exporter calls a layer: its node, its tensor, its weights, its scopes."""

    node: str
    tensor: str
    weights: tuple[str, str]
    scopes: str = ""


def _count(number: int) -> str:
    return f"_{number}" if number else ""


def _keras(layer: Layer, model: str = "vgg16/", suffix: str = "") -> Spelt:
    op = _KERAS_OPS[layer.kind]
    if suffix:
        op = {"conv": "convolution", "dense": "add", "pool": "MaxPool2d"}.get(layer.kind, op)
    scope = f"{model}{layer.keras}{suffix}"
    parts = (f"{scope}/{part}/ReadVariableOp:0" for part in ("Conv2D", "BiasAdd"))
    return Spelt(f"{scope}/{op}", f"{scope}/{op}:0", (next(parts), next(parts)))


def _tflite(layer: Layer) -> Spelt:
    scope = f"vgg16/{layer.keras}"
    if layer.kind == "relu":
        return Spelt(f"Relu__{layer.step}", f"Relu__{layer.step}:0", ("", ""))
    if layer.kind not in {"conv", "dense"}:
        op = _KERAS_OPS[layer.kind]
        return Spelt(f"{scope}/{op}", f"{scope}/{op}", ("", ""))
    parts = (f"{scope}/{part}" for part in ("Relu", "BiasAdd", "Conv2D", "BiasAdd/ReadVariableOp"))
    name = ";".join(parts)
    return Spelt(name, name, (f"const_fold_opt__{layer.step}", f"{scope}/bias"))


def _torchscript(layer: Layer) -> Spelt:
    path = "/".join(["", *_prefixes(layer.module)])
    node = f"{path}/{_ONNX_OPS[layer.kind]}"
    return Spelt(node, f"{node}_output_0", _module_weights(layer))


def _torch_old(layer: Layer) -> Spelt:
    node = f"{_ONNX_OPS[layer.kind]}_{layer.step}"
    return Spelt(node, str(33 + layer.step), _module_weights(layer))


def _dynamo(layer: Layer) -> Spelt:
    tensor = _DYNAMO[layer.kind] + _count(layer.of_kind)
    scopes = str(["", *_prefixes(layer.module), tensor])
    return Spelt(f"node_{tensor}", tensor, _module_weights(layer), scopes)


def _prefixes(module: str) -> list[str]:
    """List a module and those around it: features, features.19."""
    parts = module.split(".") if module else []
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _module_weights(layer: Layer) -> tuple[str, str]:
    return f"{layer.module}.weight", f"{layer.module}.bias"


def _gluon(layer: Layer) -> Spelt:
    if layer.kind == "relu" and layer.keras.startswith("fc"):
        name = f"vgg0_dense{int(layer.keras[2:]) - 1}_relu_fwd"
    else:
        name = f"vgg0_{layer.kind}{layer.of_kind}_fwd"
    weights = (f"vgg0_{layer.kind}{layer.of_kind}_{part}" for part in ("weight", "bias"))
    return Spelt(name, name, (next(weights), next(weights)))


def _caffe(layer: Layer) -> Spelt:
    part = {"relu": 2}.get(layer.kind, 1)
    return Spelt("", f"{layer.caffe}_{part}", (f"{layer.caffe}_w_0", f"{layer.caffe}_b_0"))


def _cntk(layer: Layer) -> Spelt:
    name = f"{_CNTK[layer.kind]}{28 + 4 * layer.step}"
    return Spelt(name, f"{name}_Output_0", (f"Parameter{4 * layer.step}", f"Bias{layer.step}"))


SPELLINGS = {
    "keras": _keras,
    "saved-model": lambda layer: _keras(layer, "StatefulPartitionedCall/vgg16/"),
    "keras3": lambda layer: _keras(layer, "vgg16_1/", "_1"),
    "tflite": _tflite,
    "torchscript": _torchscript,
    "torch-old": _torch_old,
    "dynamo": _dynamo,
    "gluon": _gluon,
    "caffe2": _caffe,
    "cntk": _cntk,
}
"""How exporters call things, by a name for each."""


def _layers() -> list[Layer]:
    """List the network in order."""
    layers: list[Layer] = []

    def add(kind: str, keras: str, module: str, caffe: str) -> None:
        of_kind = sum(layer.kind == kind for layer in layers)
        layers.append(Layer(kind, keras, module, caffe, of_kind, len(layers)))

    slot = 0
    for block, depth in enumerate(DEPTHS, 1):
        for number in range(1, depth + 1):
            names = f"block{block}_conv{number}", f"conv{block}_{number}"
            add("conv", names[0], f"features.{slot}", names[1])
            add("relu", names[0], f"features.{slot + 1}", names[1])
            slot += 2
        add("pool", f"block{block}_pool", f"features.{slot}", f"pool{block}")
        slot += 1
    add("flatten", "flatten", "", "flatten")
    for number, slot in enumerate((0, 3, 6)):
        keras = ("fc1", "fc2", "predictions")[number]
        add("dense", keras, f"classifier.{slot}", f"fc{number + 6}")
        if number < 2:
            add("relu", keras, f"classifier.{slot + 1}", f"fc{number + 6}")
    add("softmax", "predictions", "", "prob")
    return layers


def vgg16(
    path: Path,
    *,
    widths: Sequence[int] = WIDTHS,
    fc: int = 4096,
    classes: int = 1000,
    size: int = 224,
    spelling: str = "gluon",
    seed: int = 0,
) -> dict[str, str]:
    """Write the network, with random weights that neither fade nor explode.

    Parameters
    ----------
    path : Path
        The file to write. Memory for the largest weight is enough.
    widths : sequence of int
        Channels of the five blocks.
    fc, classes : int
        Width of the hidden dense layers and of the last.
    size : int
        Rows and columns of the input ``data`` (1, 3, size, size), a multiple of 32.
    spelling : str
        A key of `SPELLINGS`. Only names differ.
    seed : int
        Of the weights.

    Returns
    -------
    dict of str to str
        The tensor of each of Keras' layers, after its ReLU or softmax where there is one.
    """
    nodes: list[NodeProto] = []
    shapes: list[tuple[str, tuple[int, ...]]] = []
    tensors = {}
    tensor, channels = "data", 3
    blocks = [width for width, depth in zip(widths, DEPTHS, strict=True) for _ in range(depth)]
    for layer in _layers():
        spelt = SPELLINGS[spelling](layer)
        inputs = [tensor]
        attributes: dict[str, object] = {}
        if layer.kind == "conv":
            attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
            shape: tuple[int, ...] = (blocks[layer.of_kind], channels, 3, 3)
        elif layer.kind == "pool":
            attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
        elif layer.kind == "flatten":
            channels *= (size // 32) ** 2
        elif layer.kind == "dense":
            attributes = {"transB": 1}
            shape = ((fc, fc, classes)[layer.of_kind], channels)
        if layer.kind in {"conv", "dense"}:
            inputs += spelt.weights
            shapes += zip(spelt.weights, (shape, shape[:1]), strict=True)
            channels = shape[0]
        op = _ONNX_OPS[layer.kind]
        tensor = spelt.tensor
        node = helper.make_node(op, inputs, [tensor], name=spelt.node, **attributes)
        if spelt.scopes:
            note = node.metadata_props.add()
            note.key, note.value = "pkg.torch.onnx.name_scopes", spelt.scopes
        nodes.append(node)
        tensors[layer.keras] = tensor
    graph = helper.make_graph(
        nodes,
        "vgg16",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, (1, 3, size, size))],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, (1, classes))],
    )
    _write(path, graph, shapes, np.random.default_rng(seed))
    return tensors


def _write(
    path: Path,
    graph: GraphProto,
    shapes: Sequence[tuple[str, tuple[int, ...]]],
    rng: np.random.Generator,
) -> None:
    """Write a model whose weights follow the rest, one after the other."""
    model = ModelProto(ir_version=8, producer_name="cnntool-test")
    model.opset_import.add(version=17)
    heads = []
    for name, shape in shapes:
        head = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT).SerializeToString()
        nbytes = 4 * int(np.prod(shape))
        head += _tag(9) + _varint(nbytes)
        heads.append((_tag(5) + _varint(len(head) + nbytes) + head, nbytes))
    body = graph.SerializeToString()
    length = len(body) + sum(len(head) + nbytes for head, nbytes in heads)
    with path.open("wb") as file:
        file.write(model.SerializeToString() + _tag(7) + _varint(length) + body)
        for (head, _), (_, shape) in zip(heads, shapes, strict=True):
            scale = np.float32(np.sqrt(2 / np.prod(shape[1:]))) if len(shape) > 1 else 0.1
            file.write(head)
            file.write((rng.standard_normal(shape, np.float32) * scale).tobytes())


def _tag(number: int) -> bytes:
    return _varint(number << 3 | 2)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
