"""Receptive fields against what really changes when a pixel does; counts against what is added."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnxruntime
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from tiny import build

from cnntool.errors import ModelError
from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.inference.summary import multiply_adds, summarise
from cnntool.nets.layers.dataflow import HELPING, KIND_OF, Dataflow
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.layers.receptive_field import read_window, trace

SIDE = 25


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def ones(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def whole(name, *numbers):
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def picture(*shape):
    return helper.make_tensor_value_info("x", 1, shape)


def write(folder, nodes, weights, shape=("N", 1, SIDE, SIDE), **fields):
    path = folder / "net.onnx"
    path.write_bytes(build(nodes, weights, inputs=[picture(*shape)], **fields).SerializeToString())
    return path


def fields_of(path):
    graph = read_graph(path)
    return trace(graph, Dataflow(graph))


def run(path, values):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values.astype(np.float32)})[0]


def seen(path):
    """Find out by trying: how many rows and columns a value sees, and the step between values."""
    maps = run(path, np.eye(SIDE**2).reshape(-1, 1, SIDE, SIDE)).max(axis=1) > 0
    maps = maps.reshape(SIDE, SIDE, *maps.shape[1:])
    extents, steps = [], []
    for axis in (0, 1):
        lines = maps.any(axis=(1 - axis, 3 - axis))  # pixel by place
        first, last = lines.argmax(0), SIDE - 1 - lines[::-1].argmax(0)
        found = last - first + 1
        inner = (first > 0) & (last < SIDE - 1)  # what the border does not cut
        extents.append(found[inner].max())
        places = np.flatnonzero(inner & (found == extents[-1]))
        moved = first[places[-1]] - first[places[0]]
        steps.append(Fraction(int(moved), int(np.ptp(places)) or 1))
    return tuple(extents), tuple(steps)


WINDOWS = st.fixed_dictionaries(
    {"kernel": st.tuples(*[st.integers(1, 3)] * 2), "stride": st.tuples(*[st.integers(1, 2)] * 2)}
)
STEPS = st.one_of(
    st.tuples(st.just("Conv"), WINDOWS, st.integers(1, 2)),
    st.tuples(st.just("MaxPool"), WINDOWS, st.integers(1, 2)),
    st.tuples(st.just("AveragePool"), WINDOWS, st.just(1)),
)


def step(source, target, one):
    op, window, dilation = one
    name = f"w of {target}"
    attributes = {"kernel_shape": window["kernel"], "strides": window["stride"]}
    attributes["pads"] = [k // 2 for k in window["kernel"]] * 2
    if dilation > 1:
        attributes["dilations"] = [dilation] * 2
    weights = [ones(name, 1, 1, *window["kernel"])] if op == "Conv" else []
    inputs = [source, *(weight.name for weight in weights)]
    return helper.make_node(op, inputs, [target], **attributes), weights


@given(st.lists(STEPS, min_size=1, max_size=3))
@examples(60)
def test_chains_see_what_really_changes_them(tmp_path_factory, steps):
    nodes, weights, tensor = [], [], "x"
    for number, one in enumerate(steps):
        made, more = step(tensor, f"t{number}", one)
        nodes.append(made)
        weights += more
        tensor = f"t{number}"
    folder = tmp_path_factory.getbasetemp()
    path = write(folder, nodes, weights, outputs=(tensor,))
    field = fields_of(path)[tensor]
    assert run(path, np.zeros((1, 1, SIDE, SIDE))).shape[2:] == field.size
    if max(field.extent) < SIDE // 2 and min(field.size) > 4:
        extent, jump = seen(path)
        assert field.extent == extent
        assert field.jump == jump


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(3, 2, 1), (4, 2, 1), (2, 2, 1), (5, 3, 1), (3, 2, 2), (3, 3, 2)],
)
def test_transposed_convolutions(tmp_path, kernel, stride, dilation):
    sizes = {"strides": [stride] * 2, "dilations": [dilation] * 2, "output_padding": [1, 1]}
    nodes = [
        node("Conv", "x a", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("ConvTranspose", "c b", "y", pads=[1, 0, 0, 1], **sizes),
    ]
    path = write(tmp_path, nodes, [ones("a", 1, 1, 3, 3), ones("b", 1, 1, kernel, kernel)])
    field = fields_of(path)["y"]
    extent, _ = seen(path)
    assert field.extent == extent
    assert field.jump == (Fraction(2, stride),) * 2
    assert field.size == run(path, np.zeros((1, 1, SIDE, SIDE))).shape[2:]


def test_the_size_that_a_transposed_convolution_states(tmp_path):
    made = node("ConvTranspose", "x b", "y", strides=[2, 2], output_shape=[50, 49])
    path = write(tmp_path, [made], [ones("b", 1, 1, 3, 3)])
    assert fields_of(path)["y"].size == (50, 49)
    assert fields_of(path)["y"].extent == (2, 2)


BRANCH = [
    node("Conv", "x a", "wide", pads=[2, 2, 2, 2]),
    node("Conv", "x b", "narrow"),
]
BRANCH_WEIGHTS = [ones("a", 1, 1, 5, 5), ones("b", 1, 1, 1, 1)]


@pytest.mark.parametrize("op", ["Add", "Concat", "Sum"])
def test_of_branches_the_largest_counts(tmp_path, op):
    attributes = {"axis": 1} if op == "Concat" else {}
    path = write(tmp_path, [*BRANCH, node(op, "narrow wide", "y", **attributes)], BRANCH_WEIGHTS)
    assert fields_of(path)["y"].extent == (5, 5) == seen(path)[0]


def test_branches_of_different_steps_are_not_known(tmp_path):
    nodes = [
        node("Conv", "x b", "half", strides=[2, 2]),
        node("Conv", "x b", "full"),
        node("Resize", "half none scales", "up", mode="nearest"),
        node("Concat", "full half", "y", axis=1),
    ]
    scales = numpy_helper.from_array(np.float32([1, 1, 2, 2]), "scales")
    none = numpy_helper.from_array(np.float32([]), "none")
    found = fields_of(write(tmp_path, nodes, [*BRANCH_WEIGHTS, scales, none]))
    assert found["up"].jump == (1, 1)
    assert "y" not in found


def test_a_global_pool_sees_everything_and_a_gate_sees_nothing(tmp_path):
    nodes = [
        *BRANCH,
        node("GlobalAveragePool", "wide", "g"),
        node("Mul", "narrow g", "scaled"),
        node("Resize", "g none none sizes", "up", mode="nearest"),
        node("Concat", "up wide", "y", axis=1),
    ]
    none = numpy_helper.from_array(np.float32([]), "none")
    found = fields_of(write(tmp_path, nodes, [*BRANCH_WEIGHTS, none, whole("sizes", 1, 1, 25, 25)]))
    assert found["g"].whole
    assert found["g"].size == (1, 1)
    assert not found["scaled"].whole
    assert found["scaled"].extent == (1, 1)
    assert found["y"].whole
    assert found["y"].jump == (1, 1)


def test_a_pool_over_the_whole_map_sees_everything(tmp_path):
    path = write(tmp_path, [node("AveragePool", "x", "y", kernel_shape=[SIDE, SIDE])], [])
    assert fields_of(path)["y"].whole
    path = write(tmp_path, [node("AveragePool", "x", "y", kernel_shape=[SIDE, 5])], [])
    assert not fields_of(path)["y"].whole


@pytest.mark.parametrize(
    ("mode", "extent"), [("nearest", (3, 3)), ("linear", (4, 4)), ("cubic", (6, 6))]
)
def test_resizing(tmp_path, mode, extent):
    nodes = [
        node("Conv", "x a", "c", pads=[1, 1, 1, 1]),
        node("Resize", "c none scales", "y", mode=mode),
    ]
    scales = numpy_helper.from_array(np.float32([1, 1, 2, 3]), "scales")
    none = numpy_helper.from_array(np.float32([]), "none")
    field = fields_of(write(tmp_path, nodes, [ones("a", 1, 1, 3, 3), scales, none]))["y"]
    assert field.extent == extent
    assert field.jump == (Fraction(1, 2), Fraction(1, 3))


def test_moving_maps_about(tmp_path):
    shape = (1, 3, 8, 12)
    nodes = [
        node("Conv", "x a", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("MatMul", "t m", "p"),
        node("Transpose", "p", "u", perm=[0, 3, 1, 2]),
        node("Reshape", "u groups", "g"),
        node("Transpose", "g", "h", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "h back", "b"),
        node("Unsqueeze", "b last", "z"),
        node("Squeeze", "z last", "s"),
        node("Slice", "s starts ends axes steps", "every"),
        node("Split", "s", "left right", axis=1),
        node("SpaceToDepth", "s", "deep", blocksize=2),
        node("DepthToSpace", "deep", "flat", blocksize=2),
        node("Pad", "s pads", "padded"),
        node("ArgMax", "s", "best", axis=1, keepdims=0),
        node("Flatten", "s", "y"),
    ]
    weights = [
        ones("a", 4, 3, 3, 3),
        ones("m", 4, 4),
        whole("groups", 1, 2, 2, 4, 6),
        whole("back", 1, 4, 4, 6),
        whole("last", 4),
        whole("starts", 0),
        whole("ends", 99),
        whole("axes", 3),
        whole("steps", 3),
        whole("pads", 0, 0, 1, 2, 0, 0, 3, 4),
    ]
    graph = read_graph(write(tmp_path, nodes, weights, shape))
    known = {"left": (1, 2, 4, 6), "right": (1, 2, 4, 6)}
    shapes = {name: TensorInfo(name, "float32", shape) for name, shape in known.items()}
    found = trace(graph, Dataflow(graph), shapes)

    def of(tensor):
        field = found[tensor]
        return field.axes, field.size, field.extent, field.jump

    assert of("c") == of("u") == of("b") == of("s") == ((2, 3), (4, 6), (3, 3), (2, 2))
    assert of("t") == of("p") == ((1, 2), (4, 6), (3, 3), (2, 2))
    assert of("g") == of("h") == ((3, 4), (4, 6), (3, 3), (2, 2))
    assert found["z"].rank == 5
    assert of("every") == ((2, 3), (4, None), (3, 3), (2, 6))
    assert of("left") == of("right") == of("c")
    assert of("deep") == ((2, 3), (2, 3), (5, 5), (4, 4))
    assert of("flat") == ((2, 3), (4, 6), (5, 5), (2, 2))
    assert of("padded") == ((2, 3), (8, 12), (3, 3), (2, 2))
    assert of("best") == ((1, 2), (4, 6), (3, 3), (2, 2))
    assert of("y") == ((), (), (3, 3), ())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (node("Transpose", "x", "y"), ((1, 0), (6, 8))),
        (node("Transpose", "x", "y", perm=[0, 0, 1, 2]), None),
        (node("Transpose", "x", "y", perm=["a", "b"]), None),
        (node("Squeeze", "x", "y"), None),
        (node("Squeeze", "x nine", "y"), None),
        (node("Unsqueeze", "x x", "y"), None),
        (node("Unsqueeze", "x twice", "y"), None),
        (node("Reshape", "x mixed", "y"), None),
        (node("Reshape", "x rows", "y"), None),
        (node("Reshape", "x open", "y"), ((), ())),
        (node("Reshape", "x measured", "y"), None),
        (node("Slice", "x measured measured", "y"), None),
        (node("Slice", "x one one two none", "y"), None),
        (node("Slice", "x one one two", "y"), ((2, 3), (None, 8))),
        (node("Slice", "x one one", "y"), ((2, 3), (6, 8))),
        (node("Crop", "x", "y", border=[1, 2, 3, 1]), ((2, 3), (3, 4))),
        (node("Crop", "x", "y", border=[9, 9, 9, 9]), ((2, 3), (None, None))),
        (node("Pad", "x measured", "y"), ((2, 3), (None, None))),
        (node("ArgMax", "x", "y", axis=2), None),
        (node("ArgMax", "x", "y", axis=1), ((2, 3), (6, 8))),
        (node("DepthToSpace", "x", "y", blocksize=0), None),
        (node("Concat", "x x", "y", axis=2), None),
        (node("ReduceMean", "x", "y", axes=[2]), None),
        (node("ReduceMean", "x", "y"), None),
        (node("ReduceMean", "x", "y", axes=[1], keepdims=0), ((1, 2), (6, 8))),
        (node("ReduceMean", "x", "y", axes=[2, 3], keepdims=0), ((), ())),
        (node("Resize", "x none scales", "y", mode="magic"), None),
        (node("Resize", "x none scales", "y", antialias=1), None),
        (node("Resize", "x none none", "y"), None),
        (node("Resize", "x none never", "y"), None),
        (node("MatMul", "x square", "y"), None),
        (node("MatMul", "x x", "y"), None),
        (node("Add", "x turned", "y"), None),
        (node("Expand", "x one", "y"), None),
    ],
)
def test_what_is_known_of_a_map_that_was_moved(tmp_path, made, expected):
    before = [
        node("Shape", "x", "measured"),
        node("Transpose", "x", "turned", perm=[0, 1, 3, 2]),
    ]
    weights = [
        whole("nine", 9),
        whole("one", 1),
        whole("two", 2),
        whole("none", 0),
        whole("twice", 4, 4),
        whole("mixed", 1, 4, 2, 3, 8),
        whole("rows", 1, 2, -1, 8),
        whole("open", 1, -1),
        numpy_helper.from_array(np.float32([1, 1, 2, 2]), "scales"),
        numpy_helper.from_array(np.float32([1, 1, 0, np.nan]), "never"),
        ones("square", 8, 8),
    ]
    field = fields_of(write(tmp_path, [*before, made], weights, (1, 2, 6, 8))).get("y")
    assert (field and (field.axes, field.size)) == expected


def test_the_corners_of_a_map_that_is_resized(tmp_path):
    modes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    weights = [whole("s", 1, 1, 49, 73), numpy_helper.from_array(np.float32([]), "n")]
    graph = read_graph(write(tmp_path, [node("Resize", "x n n s", "y", **modes)], weights))
    shapes = {"y": TensorInfo("y", "float32", (1, 1, 49, 73))}
    field = trace(graph, Dataflow(graph), shapes)["y"]
    assert field.jump == (Fraction(1, 2), Fraction(1, 3))
    assert (field.extent, field.size) == ((2, 2), (49, 73))


def test_kernels_behind_conversions(tmp_path):
    nodes = [
        node("DequantizeLinear", "codes scale", "real"),
        node("Cast", "real", "w", to=1),
        node("Conv", "x w", "y"),
    ]
    codes = numpy_helper.from_array(np.ones((1, 1, 3, 5), np.int8), "codes")
    path = write(tmp_path, nodes, [codes, numpy_helper.from_array(np.float32(1), "scale")])
    assert fields_of(path)["y"].extent == (3, 5)


def test_other_numbers_of_axes(tmp_path):
    path = write(
        tmp_path, [node("Conv", "x a", "y", strides=[3])], [ones("a", 1, 2, 5)], (1, 2, 99)
    )
    assert fields_of(path)["y"][:5] == ((2,), 3, (32,), (5,), (3,))
    made = node("MaxPool", "x", "y", kernel_shape=[2, 3, 4])
    path = write(tmp_path, [made], [], (1, 2, 9, 9, 9))
    assert fields_of(path)["y"].extent == (2, 3, 4)


def test_channels_last(tmp_path):
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t a", "y")]
    path = write(tmp_path, nodes, [ones("a", 1, 3, 3, 3)], ("N", "H", 16, 3))
    assert fields_of(path)["y"][:5] == ((2, 3), 4, (None, 14), (3, 3), (1, 1))


def test_dense_layers_see_everything(tmp_path):
    nodes = [*BRANCH[:1], node("Flatten", "wide", "f"), node("MatMul", "f m", "y")]
    found = fields_of(write(tmp_path, nodes, [*BRANCH_WEIGHTS, ones("m", SIDE**2, 2)]))
    assert (found["f"].whole, found["y"].whole) == (False, True)


# --- windows


@pytest.mark.parametrize("size", range(4, 20))
@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [3], "pads": [1, 1], "ceil_mode": 1},
        {"strides": [2], "pads": [0, 1]},
        {"strides": [2], "auto_pad": "SAME_UPPER"},
        {"strides": [2], "auto_pad": "SAME_LOWER"},
        {"strides": [2], "auto_pad": "VALID", "pads": [0, 0]},
        {"strides": [3], "dilations": [2], "pads": [1, 0]},
    ],
)
def test_the_size_of_what_a_window_makes(tmp_path, size, attributes):
    if attributes.get("auto_pad") == "VALID":
        attributes = {key: value for key, value in attributes.items() if key != "pads"}
    made = node("MaxPool", "x", "y", kernel_shape=[2], **attributes)
    path = write(tmp_path, [made], [], (1, 1, size))
    assert fields_of(path)["y"].size == run(path, np.zeros((1, 1, size))).shape[2:]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"kernel_shape": [0, 3]},
        {"kernel_shape": [2, 2], "strides": [0, 1]},
        {"kernel_shape": [2, 2], "strides": [1]},
        {"kernel_shape": [2, 2], "pads": [1, 1]},
        {"kernel_shape": [2, 2], "dilations": "no"},
        {"kernel_shape": 3},
        {"kernel_shape": [1.5, 2.5]},
    ],
)
def test_nonsense_is_not_known(tmp_path, attributes):
    graph = read_graph(write(tmp_path, [node("MaxPool", "x", "y", **attributes)], []))
    assert read_window(Dataflow(graph), graph.nodes[0]) is None
    assert "y" not in trace(graph, Dataflow(graph))


# --- multiply-adds


def counted(path):
    """Count by the tool and by trying: on ones, each multiplication adds one to the result."""
    graph = read_graph(path)
    layers = Layers(graph)
    shapes = {info.name: info.shape for info in graph.inputs}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = np.ones(shapes["x"], np.float32)
    (made,) = session.run(None, {"x": feed})
    shapes["y"] = made.shape
    shapes |= {name: weight.shape for name, weight in graph.weights.items()}
    (row,) = layers.rows
    return multiply_adds(graph.nodes[0], row.kind, shapes.get), made.sum()


@pytest.mark.parametrize(
    ("made", "kernel", "shape"),
    [
        (node("Conv", "x w", "y"), (5, 3, 3, 2), (1, 3, 8, 9)),
        (node("Conv", "x w", "y", group=3, strides=[2, 1]), (6, 1, 3, 3), (2, 3, 8, 9)),
        (node("Conv", "x w", "y", dilations=[2, 2]), (4, 2, 3, 3), (1, 2, 9, 9)),
        (node("Conv", "x w", "y"), (4, 2, 5), (1, 2, 19)),
        (node("ConvTranspose", "x w", "y", strides=[2, 2]), (3, 5, 3, 3), (1, 3, 6, 7)),
        (node("ConvTranspose", "x w", "y", group=2), (4, 3, 2, 2), (1, 4, 6, 7)),
        (node("Gemm", "x w", "y"), (7, 5), (2, 7)),
        (node("Gemm", "x w", "y", transB=1), (5, 7), (2, 7)),
        (node("Gemm", "x w", "y", transA=1), (7, 5), (7, 3)),
        (node("MatMul", "x w", "y"), (7, 5), (2, 3, 7)),
        (node("MatMul", "w x", "y"), (4, 7), (2, 7, 3)),
    ],
)
def test_multiply_adds_are_counted_as_they_are_done(tmp_path, made, kernel, shape):
    tool, tried = counted(write(tmp_path, [made], [ones("w", *kernel)], shape))
    assert tool == tried


def test_what_is_not_known_is_not_counted(tmp_path):
    graph = read_graph(write(tmp_path, [node("Conv", "x w", "y")], [ones("w", 1, 1, 3, 3)]))
    assert multiply_adds(graph.nodes[0], "conv", lambda _: None) is None
    assert multiply_adds(graph.nodes[0], "other", {"y": (1,)}.get) is None
    graph = read_graph(write(tmp_path, [node("Relu", "x", "y")], []))
    assert multiply_adds(graph.nodes[0], "relu", lambda _: None) == 0


# --- what is made to confuse

VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=32),
    st.sampled_from(["nearest", "SAME_UPPER", "linear", ""]),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
    st.lists(st.integers(-3, 9), min_size=1, max_size=8),
    st.lists(st.floats(width=32), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4),
    st.just(ones("t", 2)),
    st.just([ones("t", 2), ones("u", 1)]),
)
KEYS = """
    kernel_shape strides dilations pads auto_pad output_padding output_shape ceil_mode axes axis
    keepdims perm blocksize scales mode border group transA transB min max antialias shape starts
    ends steps
"""
OPS = st.sampled_from(sorted(set(KIND_OF) | HELPING))


@given(
    st.lists(
        st.tuples(
            OPS,
            st.dictionaries(st.sampled_from(KEYS.split()), VALUES, max_size=4),
            st.integers(0, 3),
        ),
        max_size=5,
    ),
    st.tuples(st.integers(1, 2**40), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)
@examples(150)
def test_any_attributes_are_understood_or_not_known(tmp_path_factory, steps, shape):
    nodes, tensor = [], "x"
    for number, (op, attributes, constants) in enumerate(steps):
        inputs = f"{tensor} {' '.join('wnd'[:constants])}"
        nodes.append(node(op, inputs.strip(), f"t{number}", **attributes))
        tensor = f"t{number}"
    weights = [ones("w", 2, 2, 3, 3), whole("n", 1, -1, 0, 5), ones("d", 3)]
    path = write(tmp_path_factory.getbasetemp(), nodes, weights, shape, outputs=(tensor,))
    try:
        graph = read_graph(path)
        layers = Layers(graph)
        summarise(graph, layers, {info.name: info for info in graph.inputs})
    except ModelError:
        return
    assert all(row.number for row in layers.rows)


def test_strides_and_fractions_without_end(tmp_path):
    up = {"kernel_shape": [2, 2], "strides": [2, 2]}
    kernel = ones("w", 1, 1, 3, 3)
    for attributes in ({"strides": [2, 2]}, {"strides": [3, 3]}):
        nodes = [node("Conv", f"t{i} w", f"t{i + 1}", **attributes) for i in range(400)]
        path = write(tmp_path, [node("Relu", "x", "t0"), *nodes], [kernel], outputs=("t400",))
        assert "t400" not in fields_of(path)
    nodes = [node("Relu", "x", "t0")]
    for i in range(400):
        nodes += [
            node("ConvTranspose", f"t{i} w", f"u{i}", strides=[3, 3]),
            node("MaxPool", f"u{i}", f"t{i + 1}", **up),
        ]
    path = write(tmp_path, nodes, [kernel], outputs=("t400",))
    assert "t400" not in fields_of(path)
