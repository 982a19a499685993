"""The trained network as an ONNX graph with VGG's layer names, weights in float16.

Written node by node: an exporter would choose the names.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from network import DEPTHS
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

Layers = dict[str, tuple[Tensor, Tensor]]

OPSET = 17
IR_VERSION = 8


def rounded(layers: Layers) -> Layers:
    """Return `layers` with the weights rounded to float16 (and held as float32)."""
    return {name: (weight.half().float(), bias) for name, (weight, bias) in layers.items()}


def between(layers: Layers, others: Layers, share: float) -> Layers:
    """Return the mean of two networks' layers, of which `others` has the `share` 0..1."""
    return {
        name: (torch.lerp(weight, others[name][0], share), torch.lerp(bias, others[name][1], share))
        for name, (weight, bias) in layers.items()
    }


def probabilities(layers: Layers, x: Tensor) -> Tensor:
    """Return the softmax (N, classes) of the plain network: convolution, ReLU, pooling."""
    for number, depth in enumerate(DEPTHS, start=1):
        for index in range(1, depth + 1):
            weight, bias = layers[f"block{number}_conv{index}"]
            x = torch.relu(functional.conv2d(x, weight, bias, padding=1))
        x = functional.max_pool2d(x, 2)
    weight, bias = layers["predictions"]
    return torch.softmax(functional.linear(x.mean(dim=(2, 3)), weight, bias), dim=1)


class Graph:
    """An ONNX graph that grows at its end; a node and its output tensor have the same name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.end = "input"

    def add(self, operator: str, name: str, *constants: str, **attributes: object) -> None:
        """Append a node that takes the end of the graph and `constants`."""
        inputs = [self.end, *constants]
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        self.end = name

    def half(self, name: str, values: Tensor) -> str:
        """Store `values` as float16; return the name of the tensor that has them as float32."""
        self.constants.append(_constant(name, values.half()))
        cast = f"{name}/Cast"
        self.nodes.append(helper.make_node("Cast", [name], [cast], cast, to=TensorProto.FLOAT))
        return cast

    def single(self, name: str, values: Tensor) -> str:
        """Store `values` as float32 and return `name`."""
        self.constants.append(_constant(name, values))
        return name


def _constant(name: str, values: Tensor) -> onnx.TensorProto:
    return numpy_helper.from_array(values.cpu().contiguous().numpy(), name)


def write(layers: Layers, path: Path) -> None:
    """Write `layers` as an ONNX model with free batch, height and width."""
    graph = Graph()
    for number, depth in enumerate(DEPTHS, start=1):
        for index in range(1, depth + 1):
            name = f"block{number}_conv{index}"
            weight, bias = layers[name]
            constants = graph.half(f"{name}/kernel", weight), graph.single(f"{name}/bias", bias)
            graph.add("Conv", name, *constants, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
            graph.add("Relu", f"{name}/Relu")
        graph.add("MaxPool", f"block{number}_pool", kernel_shape=[2, 2], strides=[2, 2])
    graph.add("GlobalAveragePool", "global_average_pooling2d")
    graph.add("Flatten", "flatten")
    weight, bias = layers["predictions"]
    constants = graph.half("predictions/kernel", weight), graph.single("predictions/bias", bias)
    graph.add("Gemm", "predictions", *constants, transB=1)
    graph.add("Softmax", "predictions/Softmax", axis=1)
    picture = ["batch", 3, "height", "width"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            path.stem,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, picture)],
            [helper.make_tensor_value_info(graph.end, TensorProto.FLOAT, ["batch", len(bias)])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnntool",
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def read(path: Path) -> Layers:
    """Return the layers of a file that `write` wrote."""
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    return {
        name.removesuffix("/kernel"): (
            torch.tensor(values.astype(np.float32)),
            torch.tensor(held[name.replace("/kernel", "/bias")]),
        )
        for name, values in held.items()
        if name.endswith("/kernel")
    }


def difference(layers: Layers, path: Path, photos: NDArray[np.float32]) -> float:
    """Return the largest difference of a probability between PyTorch and the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": photos})
    plain = {name: (weight.cpu(), bias.cpu()) for name, (weight, bias) in layers.items()}
    with torch.inference_mode():
        expected = probabilities(plain, torch.from_numpy(photos).cpu())
    return float(np.abs(found - expected.numpy()).max())
