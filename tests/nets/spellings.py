"""One tiny VGG-16 as each exporter would spell it: the same numbers under other names.

`vgg.py` has the names; here are the spellings in which the nodes differ, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from vgg import DEPTHS, SPELLINGS, vgg16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONVOLUTIONS = [f"block{b}_conv{c}" for b, n in enumerate(DEPTHS, 1) for c in range(1, n + 1)]
POOLS = [f"block{b}_pool" for b in range(1, 6)]
DENSE = ["fc1", "fc2", "predictions"]
KERAS = [*CONVOLUTIONS, *POOLS, *DENSE]
"""Keras' names of all that a picture goes through."""

SIDE = 64


class Spelt(NamedTuple):
    """A file, and what Keras' layers are called in it.

    Parameters
    ----------
    path : Path
        The model.
    post : dict of str to str
        The tensor after the activation.
    pre : dict of str to str
        The operator's own, with its bias.
    """

    path: Path
    post: dict[str, str]
    pre: dict[str, str]


def spell(folder: Path, spelling: str) -> Spelt:
    """Write the network in a spelling."""
    names, _, change = spelling.partition(" + ")
    path = folder / f"{spelling}.onnx"
    post = vgg16(path, widths=(2, 3, 3, 4, 4), fc=6, classes=5, size=SIDE, spelling=names)
    model = onnx.load(path)
    pre = {name: tensor for name, tensor in post.items() if name in POOLS}
    made = {node.output[0]: node for node in model.graph.node}
    for name in (*CONVOLUTIONS, *DENSE):
        node = made[post[name]]
        pre[name] = node.input[0] if node.op_type in {"Relu", "Softmax"} else node.output[0]
    if change:
        _CHANGES[change](model, pre, post)
        onnx.save(model, path)
    return Spelt(path, post, pre)


def _replace(model: ModelProto, rewrite: Callable[[NodeProto], Iterator[NodeProto]]) -> None:
    nodes = [new for node in model.graph.node for new in rewrite(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _weights(model: ModelProto) -> dict[str, TensorProto]:
    return {weight.name: weight for weight in model.graph.initializer}


def _add(model: ModelProto, name: str, values: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _split_biases(model: ModelProto, pre: dict[str, str], _post: dict[str, str]) -> None:
    """Add biases by nodes of their own, as TensorFlow and CNTK do; Gemm becomes MatMul."""
    weights = _weights(model)

    def rewrite(node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type not in {"Conv", "Gemm"}:
            yield node
            return
        tensor, (data, kernel, bias) = node.output[0], node.input
        op = node.op_type
        if op == "Gemm":
            op = "MatMul"
            matrix = numpy_helper.to_array(weights[kernel]).T.copy()
            weights[kernel].CopyFrom(numpy_helper.from_array(matrix, kernel))
        else:
            column = numpy_helper.to_array(weights[bias]).reshape(-1, 1, 1)
            weights[bias].CopyFrom(numpy_helper.from_array(column, bias))
        product = NodeProto(op_type=op, name=node.name, input=[data, kernel])
        product.output.append(f"{tensor}/{op}")
        product.attribute.extend(a for a in node.attribute if a.name != "transB")
        yield product
        yield helper.make_node("Add", [product.output[0], bias], [tensor], name=f"{node.name}/Add")

    _replace(model, rewrite)


def _normalise(model: ModelProto, pre: dict[str, str], _post: dict[str, str]) -> None:
    """Put a batch norm that changes nothing behind each convolution."""

    def rewrite(node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type != "Conv":
            yield node
            return
        tensor = node.output[0]
        node.output[0] = f"{tensor}.own"
        pre.update({name: node.output[0] for name, was in pre.items() if was == tensor})
        count = next(w.dims[0] for w in model.graph.initializer if w.name == node.input[1])
        ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
        parts = zip(
            ("scale", "offset", "mean", "variance"), (ones, zeros, zeros, ones), strict=True
        )
        names = [_add(model, f"{tensor}.{part}", values) for part, values in parts]
        yield node
        yield helper.make_node(
            "BatchNormalization",
            [node.output[0], *names],
            [tensor],
            f"{node.name}.norm",
            epsilon=0.0,
        )

    _replace(model, rewrite)


def _make_dense_convolutions(model: ModelProto, pre: dict[str, str], post: dict[str, str]) -> None:
    """Write dense layers as convolutions of 2x2 and 1x1; the flattening goes."""
    weights = _weights(model)
    flat = post.pop("flatten")
    before = next(node.input[0] for node in model.graph.node if node.output[0] == flat)

    def rewrite(node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type == "Flatten":
            return
        if node.op_type == "Gemm":
            matrix = numpy_helper.to_array(weights[node.input[1]])
            first = node.input[0] == flat
            kernel = matrix.reshape(len(matrix), -1, *((2, 2) if first else (1, 1)))
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(kernel, node.input[1]))
            node.op_type = "Conv"
            del node.attribute[:]
            node.input[0] = before if first else node.input[0]
        elif node.op_type == "Softmax":
            node.attribute.append(helper.make_attribute("axis", 1))
        yield node

    _replace(model, rewrite)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    for length in (1, 5, 1, 1):
        model.graph.output[0].type.tensor_type.shape.dim.add(dim_value=length)


def _hand_on(model: ModelProto, _pre: dict[str, str], _post: dict[str, str]) -> None:
    """Scatter what does nothing between the layers, and measure shapes on the way."""

    def rewrite(node: NodeProto) -> Iterator[NodeProto]:
        if node.op_type in {"Relu", "MaxPool"}:
            tensor = node.input[0]
            yield helper.make_node("Identity", [tensor], [f"{tensor}.i"])
            yield helper.make_node("Cast", [f"{tensor}.i"], [f"{tensor}.c"], to=TensorProto.FLOAT)
            yield helper.make_node("Dropout", [f"{tensor}.c"], [f"{tensor}.d"])
            yield helper.make_node("Shape", [tensor], [f"{tensor}.s"])
            yield helper.make_node("Concat", [f"{tensor}.s"], [f"{tensor}.n"], axis=0)
            node.input[0] = f"{tensor}.d"
        yield node

    _replace(model, rewrite)


def _quantise(model: ModelProto, pre: dict[str, str], post: dict[str, str]) -> None:
    """Quantise what activations and pools make, finely, as QDQ does."""
    model.opset_import[0].version = 21  # quantises to 16 bits
    scale, zero = _add(model, "scale", np.float32(1e-3)), _add(model, "zero", np.uint16(30000))
    renamed = {}
    for name, tensor in post.items():
        if name != "predictions":
            renamed[tensor] = post[name] = f"{tensor}_DequantizeLinear_Output"
            pre.update({name: post[name]} if name in POOLS else {})
    model.graph.value_info.clear()

    def rewrite(node: NodeProto) -> Iterator[NodeProto]:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        yield node
        tensor = node.output[0]
        if tensor in renamed:
            code = f"{tensor}_QuantizeLinear_Output"
            yield helper.make_node(
                "QuantizeLinear", [tensor, scale, zero], [code], f"{tensor}_QuantizeLinear"
            )
            yield helper.make_node(
                "DequantizeLinear",
                [code, scale, zero],
                [renamed[tensor]],
                f"{tensor}_DequantizeLinear",
            )

    _replace(model, rewrite)


_CHANGES = {
    "biases apart": _split_biases,
    "batch norm": _normalise,
    "dense as convolutions": _make_dense_convolutions,
    "nodes that do nothing": _hand_on,
    "quantised": _quantise,
}

EXACT = [
    *SPELLINGS,
    "gluon + biases apart",
    "keras + biases apart",
    "torch-old + batch norm",
    "dynamo + batch norm",
    "caffe2 + dense as convolutions",
    "cntk + nodes that do nothing",
]
"""Spellings in which all layers give the same numbers."""

QUANTISED = ["gluon + quantised", "torchscript + quantised", "tflite + quantised"]


def numbers(spelt: Spelt, tensors: list[str]) -> list[np.ndarray]:
    """Run a spelling with onnxruntime and return tensors."""
    import onnxruntime

    model = onnx.load(spelt.path)
    del model.graph.output[:]
    names = dict.fromkeys(tensors)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    picture = np.random.default_rng(1).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    found = dict(zip(names, session.run(None, {"data": picture}), strict=True))
    return [found[name] for name in tensors]
