"""Networks that ask for more than there is, or for what is not theirs. All are made here."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cnntool.nets.file.wire import chunk_field, number_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from onnx import NodeProto

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64
HUGE = 1 << 40


def value(name: str, shape: Sequence[int | str] | None, kind: int = FLOAT) -> object:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[NodeProto],
    weights: Sequence[TensorProto] = (),
    *,
    shape: Sequence[int | str] = (1, 3, 8, 8),
    out: Sequence[int | str] | None = None,
) -> bytes:
    graph = helper.make_graph(nodes, "net", [value("x", shape)], [value("y", out)], list(weights))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


def node(op: str, inputs: str = "x", outputs: str = "y", **attributes: object) -> NodeProto:
    return helper.make_node(op, inputs.split(" "), outputs.split(" "), **attributes)


def numbers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def number(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.int64), name)


def lying(name: str, dims: Iterable[int], raw: bytes = bytes(4), kind: int = FLOAT) -> TensorProto:
    """Make a weight whose dims are not those of its numbers."""
    return TensorProto(name=name, dims=dims, raw_data=raw, data_type=kind)


def outside(location: str, *, offset: str = "0", length: str = "4") -> bytes:
    """Make a network whose weight lies in another file."""
    weight = TensorProto(name="w", dims=[1], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, word in (("location", location), ("offset", offset), ("length", length)):
        weight.external_data.add(key=key, value=word)
    return model([node("Add", "x w")], [weight])


def raw_node(inputs: Sequence[str], output: str, op: str) -> bytes:
    body = b"".join(chunk_field(1, name.encode()) for name in inputs)
    return chunk_field(1, body + chunk_field(2, output.encode()) + chunk_field(4, op.encode()))


def raw_model(nodes: Iterable[bytes], last: str, more: bytes = b"") -> bytes:
    """Frame nodes that the onnx package would take long to make."""
    ends = chunk_field(11, value("x", (1, 3, 8, 8)).SerializeToString())
    ends += chunk_field(12, value(last, None).SerializeToString())
    graph = chunk_field(7, b"".join(nodes) + chunk_field(2, b"net") + more + ends)
    return number_field(1, 8) + graph + chunk_field(8, number_field(2, 17))


def chain(length: int) -> bytes:
    return raw_model(
        (raw_node([f"t{i}" if i else "x"], f"t{i + 1}", "Relu") for i in range(length)),
        f"t{length}",
    )


def doubling(length: int) -> bytes:
    """Each sum adds the one before to itself: as many paths as two to the power of the length."""
    names = ["x", *(f"t{i}" for i in range(length))]
    return raw_model((raw_node([a, a], b, "Add") for a, b in pairwise(names)), names[-1])


def ladder(length: int) -> bytes:
    """Each sum adds the two before."""
    names = ["x", "x", *(f"t{i}" for i in range(length))]
    triples = zip(names, names[1:], names[2:], strict=False)
    return raw_model((raw_node([a, b], c, "Add") for a, b, c in triples), names[-1])


def blocks(length: int) -> bytes:
    """Convolutions with a shortcut around each two, as in a residual network without end."""
    w = chunk_field(
        5, numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w").SerializeToString()
    )
    nodes, last = [], "x"
    for i in range(length):
        nodes += [
            raw_node([last, "w"], f"c{i}", "Conv"),
            raw_node([f"c{i}"], f"r{i}", "Relu"),
            raw_node([f"r{i}", "w"], f"d{i}", "Conv"),
            raw_node([f"d{i}", last], f"s{i}", "Add"),
        ]
        last = f"s{i}"
    return raw_model(nodes, last, w)


def nested(depth: int) -> bytes:
    """Make an If in an If in an If."""
    body = helper.make_graph([node("Identity")], "b", [], [value("y", None)]).SerializeToString()
    for _ in range(depth):
        attribute = chunk_field(1, b"then_branch") + chunk_field(6, body) + number_field(20, 5)
        other = attribute.replace(b"then_branch", b"else_branch")
        inner = chunk_field(1, b"f") + chunk_field(2, b"y") + chunk_field(4, b"If")
        branch = chunk_field(5, attribute) + (chunk_field(5, other) if depth < 12 else b"")
        body = chunk_field(1, inner + branch) + chunk_field(2, b"b")
        body += chunk_field(12, chunk_field(1, b"y"))
    true = numpy_helper.from_array(np.ones((), bool), "f").SerializeToString()
    ends = chunk_field(5, true) + chunk_field(11, value("x", (1, 3, 8, 8)).SerializeToString())
    return number_field(1, 8) + chunk_field(7, body + ends) + chunk_field(8, number_field(2, 17))


def loop(times: int) -> bytes:
    body = helper.make_graph(
        [node("Identity", "go", "on"), node("Relu", "a", "b")], "body",
        [value("i", [], INT), value("go", [], TensorProto.BOOL), value("a", None)],
        [value("on", [], TensorProto.BOOL), value("b", None)],
    )  # fmt: skip
    true = numpy_helper.from_array(np.ones((), bool), "go0")
    turns = number("times", times)
    return model([node("Loop", "times go0 x", body=body)], [true, turns])


def framed(graph: bytes) -> bytes:
    return number_field(1, 8) + chunk_field(7, graph) + chunk_field(8, number_field(2, 17))


W = numpy_helper.from_array(np.ones((3, 3, 3, 3), np.float32), "w")
NETWORKS: dict[str, Callable[[], bytes]] = {
    "chain": lambda: chain(200_000),
    "doubling": lambda: doubling(2000),
    "ladder": lambda: ladder(20_000),
    "blocks": lambda: blocks(5000),
    "nested 10": lambda: nested(10),
    "nested 90": lambda: nested(90),
    "nested 5000": lambda: nested(5000),
    "many inputs": lambda: raw_model([raw_node(["x"] * 200_000, "y", "Sum")], "y"),
    "many weights": lambda: raw_model(
        [raw_node(["x"], "y", "Relu")], "y",
        b"".join(chunk_field(5, number_field(1, 1) + number_field(2, 1) + chunk_field(8, b"w%d" % i)
                             + chunk_field(9, bytes(4))) for i in range(150_000)),
    ),
    "one name": lambda: raw_model([raw_node(["x"], "y", "Relu")] * 100_000, "y"),
    "circle": lambda: model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")]),
    "attribute": lambda: model([node("Conv", "x w", pads=[0] * 1_000_000)], [W]),
    "input 2^31": lambda: model([node("Relu")], shape=(1, 3, 1 << 31, 1 << 31)),
    "input 2^62": lambda: model([node("Relu")], shape=(1, 3, 1 << 62, 1 << 62)),
    "input of 60 axes": lambda: model([node("Relu")], shape=[2] * 60),
    "no axis": lambda: model([node("Relu")], shape=()),
    "negative axis": lambda: model([node("Relu")], shape=(1, 3, -8, 8)),
    "zeros": lambda: model([node("ConstantOfShape", "s")], [numbers("s", 1, 3, 1 << 20, 1 << 20)]),
    "expand": lambda: model([node("Expand", "x s")], [numbers("s", 1 << 20, 3, 1 << 11, 8)]),
    "tile": lambda: model([node("Tile", "x s")], [numbers("s", 1, 1, 1 << 20, 1 << 20)]),
    "pad": lambda: model([node("Pad", "x s")], [numbers("s", 0, 0, HUGE, HUGE, 0, 0, 0, 0)]),
    "resize": lambda: model([node("Resize", "x  s")],
                            [numpy_helper.from_array(np.array([1, 1, 1e6, 1e6], np.float32), "s")]),
    "range": lambda: model(
        [node("Range", "a b c")], [number("a", 0), number("b", HUGE), number("c", 1)]
    ),
    "pads": lambda: model([node("Conv", "x w", pads=[HUGE] * 4)], [W]),
    "minus pads": lambda: model([node("Conv", "x w", pads=[-HUGE] * 4)], [W]),
    "strides 0": lambda: model([node("Conv", "x w", strides=[0, 0])], [W]),
    "dilations": lambda: model([node("Conv", "x w", dilations=[1 << 62] * 2)], [W]),
    "group 0": lambda: model([node("Conv", "x w", group=0)], [W]),
    "kernel": lambda: model([node("MaxPool", kernel_shape=[1 << 31, 1 << 31], pads=[1 << 30] * 4)]),
    "kernel 0": lambda: model([node("MaxPool", kernel_shape=[0, 0])]),
    "transposed": lambda: model([node("ConvTranspose", "x w", strides=[1 << 31] * 2)], [W]),
    "loop": lambda: loop(1 << 62),
    "weight 2^62": lambda: model([node("Conv", "x v")], [lying("v", [1 << 31, 1 << 31])]),
    "weight 2^64": lambda: model([node("Conv", "x v")], [lying("v", [1 << 32, 1 << 32])]),
    "weight -1": lambda: model([node("Conv", "x v")], [lying("v", [-1, 3, 1, 1])]),
    "weight 0": lambda: model([node("Conv", "x v")], [lying("v", [0, 3, 1, 1], b"")]),
    "weight empty": lambda: model([node("Conv", "x v")], [lying("v", [1 << 15, 3, 99, 99], b"")]),
    "weight of 70 axes": lambda: model([node("Add", "x v")], [lying("v", [1] * 70)]),
    "weight of no type": lambda: model([node("Add", "x v")], [lying("v", [1], kind=999)]),
    "out, up": lambda: outside("../secret"),
    "out, by folders": lambda: outside("a/b/../../../secret"),
    "out, from the root": lambda: outside("/etc/hostname"),
    "out, by a drive": lambda: outside("C:\\secret"),
    "out, by a link": lambda: outside("link"),
    "outside, absent": lambda: outside("absent"),
    "outside, a folder": lambda: outside("."),
    "outside, a pipe": lambda: outside("pipe"),
    "outside, itself": lambda: outside("net.onnx"),
    "outside, long": lambda: outside("beside", length=str(HUGE)),
    "outside, far": lambda: outside("beside", offset=str(HUGE)),
    "outside, back": lambda: outside("beside", offset="-4"),
    "outside, letters": lambda: outside("beside", offset="a"),
    "outside, digits": lambda: outside("beside", length="9" * 5000),
    "outside, no name": lambda: outside(""),
    "long name": lambda: model([node("Relu", "x", "y", name="n" * (1 << 21))]),
    "control codes": lambda: model([node("Relu", "x", "y", name="\x1b[2J\x07\nerror\r")]),
    "length 2^63": lambda: number_field(1, 8) + b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "length too long": lambda: number_field(1, 8) + b"\x3a\x7f" + chain(1),
    "a group": lambda: b"\x0b" * 100_000,
    "fields": lambda: framed(b"\x08\x01" * 1_500_000),
    "two graphs": lambda: chain(1) + chain(1),
    "no graph": lambda: number_field(1, 8) + chunk_field(8, number_field(2, 17)),
    "sparse": lambda: with_sparse((1 << 31, 1 << 31)),
    "functions": lambda: calling(60),
}  # fmt: skip


def with_sparse(dims: tuple[int, ...]) -> bytes:
    made = ModelProto.FromString(model([node("Add", "x s")]))
    weight = made.graph.sparse_initializer.add(dims=dims)
    weight.values.CopyFrom(lying("s", [1]))
    weight.indices.CopyFrom(numbers("", 0))
    return made.SerializeToString()


def calling(depth: int) -> bytes:
    """Make functions that call the one before twice: two to the power of the depth in all."""
    made = ModelProto.FromString(
        model([helper.make_node(f"f{depth - 1}", ["x"], ["y"], domain="d")])
    )
    made.opset_import.append(helper.make_opsetid("d", 1))
    for number in range(depth):
        inner = {"op_type": f"f{number - 1}", "domain": "d"} if number else {"op_type": "Relu"}
        calls = [helper.make_node(inputs=[a], outputs=[b], **inner) for a, b in ("ab", "bc")]
        made.functions.append(helper.make_function("d", f"f{number}", ["a"], ["c"], calls,
                                                   list(made.opset_import)))  # fmt: skip
    return made.SerializeToString()
