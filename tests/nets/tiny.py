"""Small graphs of every kind, made with the ``onnx`` package, and a bare runtime for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cnntool.nets.graph import TensorInfo, read_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import GraphProto, NodeProto

    from cnntool.nets.graph import Graph

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
FIXTURES = ROOT / "tests" / "exporters" / "fixtures"
EXPORTS = sorted(FIXTURES.glob("vgg16-tiny.*.onnx"))
"""One network by three exporters."""

PUBLIC = sorted((SHARED / "models").glob("*.onnx")) or [
    pytest.param(SHARED, marks=pytest.mark.skip(reason="the public networks are not here"))
]
REAL = [
    *PUBLIC,
    *EXPORTS,
    *sorted(FIXTURES.glob("*.mobile.*.onnx")),
    *sorted(FIXTURES.glob("*.transformer.*.onnx")),
    ROOT / "models/vgg16-mini.onnx",
]
"""Networks as they are found: real exporters' spelling, old formats, quantised ones."""

real_networks = pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)

INPUT = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 6, 6))
_INT, _FLAG = TensorProto.INT64, TensorProto.BOOL


def untyped(name: str) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=name)


def weight(name: str, *shape: int, seed: int = 1, dtype: str = "float32") -> TensorProto:
    values = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return numpy_helper.from_array(values, name)


def build(
    nodes: Sequence[NodeProto],
    weights: Sequence[TensorProto] = (),
    *,
    inputs: Sequence[onnx.ValueInfoProto] = (INPUT,),
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    ir_version: int = 8,
    **fields: Any,
) -> ModelProto:
    graph = helper.make_graph(
        nodes, "tiny", inputs, [untyped(name) for name in outputs], list(weights)
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, **fields
    )


def chain() -> ModelProto:
    """Two convolutions with what usually follows them, and two outputs."""
    model = build(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
            helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], auto_pad="SAME_UPPER"),
            helper.make_node("LeakyRelu", ["c2"], ["y"], alpha=0.25, doc_string="a note"),
        ],
        [weight("w1", 3, 2, 3, 3), weight("b1", 3), weight("w2", 40, 3, 3, 3)],
        outputs=("y", "r1"),
        producer_name="tiny",
        producer_version="1.5",
    )
    note = model.graph.node[1].metadata_props.add()
    note.key, note.value = "scope", "features.1"
    helper.set_model_props(model, {"author": "näme"})
    model.graph.value_info.append(
        helper.make_tensor_value_info("c1", TensorProto.FLOAT, (1, 3, 6, 6))
    )
    return model


def fed(nodes: Sequence[NodeProto], *weights: TensorProto, outputs: Sequence[str]) -> GraphProto:
    """Make the body of an If."""
    return helper.make_graph(nodes, "body", [], [untyped(n) for n in outputs], list(weights))


def branches() -> ModelProto:
    """An If whose branches use a result, a weight and an input of the outer graph."""
    then = fed([helper.make_node("Mul", ["r", "outer"], ["t"])], outputs=["t"])
    inner = fed([helper.make_node("Sub", ["r", "x"], ["e2"])], outputs=["e2"])
    otherwise = fed(
        [helper.make_node("If", ["flag"], ["e"], then_branch=inner, else_branch=inner)],
        weight("inner", 1),
        outputs=["e"],
    )
    return build(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Sigmoid", ["x"], ["unused"]),
            helper.make_node("ReduceSum", ["r"], ["sum"], keepdims=0),
            helper.make_node("Less", ["sum", "limit"], ["flag"]),
            helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise),
        ],
        [weight("outer", 1, 2, 6, 6), numpy_helper.from_array(np.float32(3), "limit")],
    )


def loop() -> ModelProto:
    """A Loop that adds an outer tensor to itself, with outputs that are gathered."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "r"], ["next"]),
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Mul", ["next", "scale"], ["row"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", _INT, ()),
            helper.make_tensor_value_info("going", _FLAG, ()),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, (1, 2, 6, 6)),
        ],
        [untyped("still"), untyped("next"), untyped("row")],
    )
    return build(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("Loop", ["turns", "", "x"], ["last", "rows"], body=body),
            helper.make_node("Neg", ["rows"], ["y"]),
        ],
        [numpy_helper.from_array(np.int64(3), "turns"), weight("scale", 1)],
    )


def scan() -> ModelProto:
    """A Scan over the first axis of an input."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "row"], ["sum"]),
            helper.make_node("Mul", ["sum", "k"], ["out"]),
        ],
        "body",
        [untyped("state"), untyped("row")],
        [untyped("sum"), untyped("out")],
    )
    return build(
        [
            helper.make_node("Squeeze", ["x", "axis"], ["rows"]),
            helper.make_node("Scan", ["start", "rows"], ["end", "y"], body=body, num_scan_inputs=1),
        ],
        [
            numpy_helper.from_array(np.array([0]), "axis"),
            weight("start", 6, 6),
            weight("k", 6, 6),
        ],
    )


def constants() -> ModelProto:
    """Constant nodes in all their forms, a large one among them."""
    forms = {
        "tensor": {"value": weight("other name", 2, 2, 24, 24)},
        "one": {"value_float": 1.5},
        "list": {"value_floats": [0.5, -1.0]},
        "shape": {"value_ints": [1, -1]},
        "whole": {"value_int": 3},
        "text": {"value_string": "a"},
        "texts": {"value_strings": ["a", "ü"]},
    }
    nodes = [helper.make_node("Constant", [], [key], **form) for key, form in forms.items()]
    nodes += [
        helper.make_node("Reshape", ["tensor", "shape"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["x", "one"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["y"]),
    ]
    return build(nodes)


def function() -> ModelProto:
    """A function of the model's own."""
    body = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    model = build(
        [
            helper.make_node("Twice", ["x"], ["t"], domain="local"),
            helper.make_node("Conv", ["t", "w"], ["y"]),
        ],
        [weight("w", 50, 2, 3, 3)],
        functions=[body],
    )
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


def old() -> ModelProto:
    """Version 3 of the format: weights are inputs too; an operator from before the standard."""
    w, s, x = weight("w", 3, 2, 3, 3), np.array([1, -1]), INPUT
    listed = [helper.make_tensor_value_info("w", TensorProto.FLOAT, (3, 2, 3, 3))]
    listed.append(helper.make_tensor_value_info("s", _INT, (2,)))
    return build(
        [
            helper.make_node("ImageScaler", ["x"], ["i"], scale=0.5, bias=[0.1, 0.2]),
            helper.make_node("Conv", ["i", "w"], ["c"], kernel_shape=[3, 3]),
            helper.make_node("Crop", ["c"], ["k"], border=[1, 0, 0, 2]),
            helper.make_node("Dropout", ["k"], ["d", "mask"]),
            helper.make_node("Reshape", ["d", "s"], ["y"]),
        ],
        [w, numpy_helper.from_array(s, "s")],
        inputs=[listed[0], x, listed[1]],
        opset=7,
        ir_version=3,
    )


def half() -> ModelProto:
    """A network in float16."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT16, (1, 2, 6, 6))
    return build(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])],
        [weight("w", 200, 2, 3, 3, dtype="float16")],
        inputs=[x],
    )


def quantised() -> ModelProto:
    """8-bit weights and activations with QuantizeLinear and DequantizeLinear."""
    w = np.random.default_rng(3).integers(-127, 128, (300, 2, 3, 3), np.int8)
    scales = [numpy_helper.from_array(np.float32(v), n) for n, v in (("sx", 0.05), ("sw", 0.01))]
    zeros = [numpy_helper.from_array(v, n) for n, v in (("zx", np.uint8(99)), ("zw", np.int8(0)))]
    return build(
        [
            helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"]),
            helper.make_node("Conv", ["d", "dw"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "sx", "zx"], ["cq"]),
            helper.make_node("DequantizeLinear", ["cq", "sx", "zx"], ["y"]),
        ],
        [numpy_helper.from_array(w, "w"), *scales, *zeros],
    )


def computed_shape() -> ModelProto:
    """A Reshape to a shape that the network computes, and a Resize by a factor."""
    return build(
        [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "first"], ["n"]),
            helper.make_node("Concat", ["n", "rest"], ["to"], axis=0),
            helper.make_node("Resize", ["x", "", "factors"], ["big"], mode="nearest"),
            helper.make_node("Reshape", ["big", "to"], ["y"]),
        ],
        [
            numpy_helper.from_array(np.array([0]), "first"),
            numpy_helper.from_array(np.array([-1]), "rest"),
            numpy_helper.from_array(np.array([1, 1, 2, 3], np.float32), "factors"),
        ],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 2, "h", "w"))],
    )


KINDS: dict[str, Callable[[], ModelProto]] = {
    make.__name__: make
    for make in (
        chain, branches, loop, scan, constants, function, old, half, quantised, computed_shape,
    )
}  # fmt: skip
"""One graph of every kind."""

every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def save(folder: Path, model: ModelProto | bytes, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def opened(folder: Path, model: ModelProto | bytes) -> Graph:
    return read_graph(save(folder, model))


def feeds(graph: Graph, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random input; free axes are the batch, of 1, or 64 long."""
    rng = np.random.default_rng(seed)
    made = {}
    for info in graph.inputs:
        axes = enumerate(info.shape or ())
        shape = [n if isinstance(n, int) else 64 if axis > 1 else 1 for axis, n in axes]
        numbers = rng.normal(size=shape) if info.dtype != "uint8" else rng.integers(0, 256, shape)
        made[info.name] = numbers.astype(info.dtype)
    return made


class Runtime:
    """onnxruntime as a user has it, without a word."""

    def __init__(self, model: bytes, folder: Path | None = None, *, optimise: str = "ALL") -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = getattr(
            levels, {"NONE": "ORT_DISABLE_ALL"}.get(optimise, f"ORT_ENABLE_{optimise}")
        )
        if folder is not None:
            key = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(key, str(folder))
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    @property
    def outputs(self) -> list[TensorInfo]:
        return [TensorInfo(o.name, "", tuple(o.shape)) for o in self._session.get_outputs()]

    @property
    def inputs(self) -> list[str]:
        return [i.name for i in self._session.get_inputs()]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        given = {name: feeds[name] for name in self.inputs}
        names = [info.name for info in self.outputs]
        return dict(zip(names, self._session.run(None, given), strict=True))


def results(graph: Graph) -> list[str]:
    """List the tensors that nodes make."""
    return [t for node in graph.nodes for t in node.outputs if t and t not in graph.weights]


def with_outputs(path: Path, tensors: Sequence[str]) -> bytes:
    """Add outputs to a whole model, as anyone would."""
    model = onnx.load(path)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(untyped(t) for t in tensors if t not in known)
    return model.SerializeToString()
