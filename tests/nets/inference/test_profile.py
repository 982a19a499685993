"""Profiles: a trace read by hand, and which layers of the file the kernels compute."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import every_kind, feeds, opened

from cnntool.nets.file.graph import read_graph
from cnntool.nets.file.nodes import needs
from cnntool.nets.inference import profile
from cnntool.nets.inference.profile import Kernel, Measured, assign, measure, read_kernels
from cnntool.nets.layers.dataflow import Dataflow
from cnntool.nets.runtime.providers import Placement, SessionSettings

SETTINGS = SessionSettings(device="cpu", threads=1)
RANDOM = np.random.default_rng(0)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def write(path, nodes, weights, shape=(1, 3, 8, 8), kind=TensorProto.FLOAT):
    """Write a network from x to y."""
    held = [numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()]
    ends = [helper.make_tensor_value_info("x", kind, shape)], [onnx.ValueInfoProto(name="y")]
    graph = helper.make_graph(nodes, "net", *ends, held)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def kernel(rows=4, columns=3, dtype=np.float32):
    return RANDOM.standard_normal((rows, columns, 3, 3)).astype(dtype)


def folded(path):
    """A convolution, its norm and its ReLU, whose nodes have no names."""
    norm = {key: np.full(4, 1.5, np.float32) for key in "sbmv"}
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c s b m v", "n"),
        node("Relu", "n", "r"),
        node("GlobalAveragePool", "r", "y"),
    ]
    return write(path, nodes, {"w": kernel(), **norm})


def quantised(path):
    """Two convolutions between QuantizeLinear and DequantizeLinear, a ReLU behind the first."""
    zero, scale = np.uint8(0), np.float32(0.1)
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "w s i", "wd"),
        node("Conv", "xd wd", "c"),
        node("Relu", "c", "r"),
        node("QuantizeLinear", "r s z", "rq"),
        node("DequantizeLinear", "rq s z", "rd"),
        node("DequantizeLinear", "v s i", "vd"),
        node("Conv", "rd vd", "d"),
        node("QuantizeLinear", "d s z", "dq"),
        node("DequantizeLinear", "dq s z", "y"),
    ]
    whole = RANDOM.integers(-9, 9, (2, 4, 4, 3, 3), np.int8)
    weights = {"s": scale, "z": zero, "i": np.int8(0), "w": whole[0][:, :3], "v": whole[1]}
    return write(path, nodes, weights)


def half(path):
    """A convolution and a ReLU in float16, which a processor computes in float32."""
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    return write(path, nodes, {"w": kernel(dtype=np.float16)}, kind=TensorProto.FLOAT16)


def spelt_gelu(path):
    """A GELU between convolutions, spelt out: its kernel carries no name of the file."""
    numbers = {"two": 2**0.5, "one": 1.0, "half": 0.5}
    nodes = [
        node("Conv", "x w", "c"),
        node("Div", "c two", "d"),
        node("Erf", "d", "e"),
        node("Add", "e one", "a"),
        node("Mul", "c a", "m"),
        node("Mul", "m half", "g"),
        node("Conv", "g v", "y"),
    ]
    floats = {name: np.float32(value) for name, value in numbers.items()}
    return write(path, nodes, {"w": kernel(), "v": kernel(4, 4), **floats})


def found(path, dtype=np.float32, shape=(1, 3, 8, 8)):
    """Return of each kernel its operator, and the operators that it computes."""
    graph = read_graph(path)
    given = {"x": RANDOM.standard_normal(shape).astype(dtype)}
    kernels = measure(graph, given, SETTINGS, name="net", runs=2).kernels
    flow = Dataflow(graph)
    nodes = assign(graph, flow, kernels)
    indices = [one.index for several in nodes for one in several]
    alive = [one.index for one in graph.nodes if not flow.data.isdisjoint(one.outputs)]
    assert sorted(indices) == alive  # each belongs to one kernel
    assert all(len(one.times) == 2 and one.provider == "CPUExecutionProvider" for one in kernels)
    return [(one.op, *(n.op for n in several)) for one, several in zip(kernels, nodes, strict=True)]


def test_a_norm_and_an_activation_are_fused(tmp_path):
    kernels = found(folded(tmp_path / "net.onnx"))
    assert [k for k in kernels if k[1:]] == [
        ("Conv", "Conv", "BatchNormalization", "Relu"),
        ("GlobalAveragePool", "GlobalAveragePool"),
    ]
    assert {k[0] for k in kernels if not k[1:]} <= {"ReorderInput", "ReorderOutput"}


def test_quantised_convolutions(tmp_path):
    kernels = found(quantised(tmp_path / "net.onnx"))
    first, second = (k for k in kernels if k[0] == "QLinearConv")
    assert first[1:] == ("DequantizeLinear", "Conv", "Relu", "QuantizeLinear")
    assert second[1:3] == ("DequantizeLinear", "Conv")
    assert kernels[0] == ("QuantizeLinear", "QuantizeLinear")


def test_casts_of_float16_are_inserted(tmp_path):
    kernels = found(half(tmp_path / "net.onnx"), np.float16)
    assert ("Conv", "Conv", "Relu") in kernels
    assert [k[0] for k in kernels if not k[1:]].count("Cast") == 2


def test_a_kernel_without_a_name_of_the_file(tmp_path):
    kernels = found(spelt_gelu(tmp_path / "net.onnx"))
    assert [k for k in kernels if k[1:]] == [
        ("Conv", "Conv"),
        ("Gelu", "Div", "Erf", "Add", "Mul", "Mul"),
        ("Conv", "Conv"),
    ]


def test_without_the_optimised_graph_names_lead_back(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    kernels = found(folded(tmp_path / "net.onnx"))
    assert [k for k in kernels if k[1:]] == [
        ("Conv", "Conv", "BatchNormalization", "Relu"),
        ("GlobalAveragePool", "GlobalAveragePool"),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_on_the_disk(tmp_path, monkeypatch, fails):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(profile, "gettempdir", lambda: str(place))
    seen = []

    def read(events, path, *, skip):
        seen.extend(child.name.split("_")[0] for child in path.parent.iterdir())
        assert path.stat().st_size < 3000  # none of the weights
        if fails:
            raise MemoryError
        return []

    monkeypatch.setattr(profile, "read_kernels", read)
    path = write(tmp_path / "net.onnx", [node("Conv", "x w", "y")], {"w": kernel(512)})
    given = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    with pytest.raises(MemoryError) if fails else nullcontext():
        measure(read_graph(path), given, SETTINGS, name="net", runs=1)
    assert {"optimised.onnx", "trace"} <= {*seen}
    assert list(place.iterdir()) == []


def event(name, start, took, **facts):
    return {"cat": "Node", "name": name, "ts": start, "dur": took, "args": facts}


SIZES = {"activation_size": "100", "parameter_size": "30", "output_size": "7"}
CONV = {"op_name": "Conv", "provider": "CPUExecutionProvider", "node_index": "3", **SIZES}
LOOP = {**CONV, "op_name": "Loop", "node_index": "5"}
TRACE = [
    {"cat": "Session", "name": "model_run", "ts": 0, "dur": 900, "args": {}},
    event("c_kernel_time", 1000, 2000, **CONV),
    event("inner_kernel_time", 3600, 100, **CONV | {"node_index": "0"}),
    event("l_kernel_time", 3500, 500, **LOOP),
    event("c_kernel_time", 5000, 4000, **CONV),
    event("l_kernel_time", 9000, 700, **LOOP),
    event("c_fence_before", 9990, 1, op_name="Conv"),
    event("c_kernel_time", 10000, 1000, **CONV),
    event("l_kernel_time", 11000, 100, **LOOP),
]


def test_a_trace_by_hand(tmp_path):
    kernels = read_kernels(TRACE, tmp_path / "missing", skip=1)
    assert kernels == [
        Kernel("c", "Conv", "CPUExecutionProvider", (4.0, 1.0), 137),
        Kernel("l", "Loop", "CPUExecutionProvider", (0.7, 0.1), 137, inner=1),
    ]
    assert kernels[0].milliseconds == 2.5


def test_what_the_profiler_takes_goes_by_what_it_takes_between_kernels():
    chain = [event(f"{n % 2}_kernel_time", 10 * n, 4, op_name="Neg") for n in range(8)]
    between = 6  # microseconds, of 4 inside; below they are 9, but for one that is interrupted
    assert profile._profiler_time(chain[:1], chain) == 4e-3
    slower = [event(f"{n % 5}_kernel_time", 29 * n, 20, op_name="Conv") for n in range(10)]
    slower[3]["dur"] -= 15
    assert profile._profiler_time(slower, chain) == pytest.approx(4e-3 * 9 / between)


def test_what_the_profiler_takes_is_taken_off():
    kernels = [
        Kernel("c", "Conv", "", (0.5, 0.7), 0),
        Kernel("r", "Reshape", "", (0.01, 0.03), 0),
        Kernel("l", "Loop", "", (9.0, 9.2), 0, inner=100),
    ]
    net, taken = profile._without_profiler(kernels, 0.02, 3.0)
    assert [one.times[1] for one in net] == pytest.approx([0.68, 0.01, 2.515])
    assert net[1].times[0] == 0
    # The loop has what the others leave of a run: 3.0 less the medians 0.58 and 0.005.
    assert [one.milliseconds for one in net] == pytest.approx([0.58, 0.005, 2.415])
    assert taken == pytest.approx(0.02 + 0.015 + 9.1 - 2.415)
    assert profile._without_profiler([], 0.02, 3.0) == ([], 0)


def test_an_input_that_nothing_reads(tmp_path):
    net = onnx.load(write(tmp_path / "net.onnx", [node("Neg", "x", "y")], {}))
    net.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, (1,)))
    onnx.save(net, tmp_path / "net.onnx")
    given = {"x": np.ones((1, 3, 8, 8), np.float32), "unused": np.ones(1, np.float32)}
    made = measure(read_graph(tmp_path / "net.onnx"), given, SETTINGS, name="net", runs=1)
    assert [kernel.op for kernel in made.kernels] == ["Neg"]


def test_kernels_that_compute_next_to_nothing(tmp_path):
    """Most of what a trace says of them, two microseconds each, is the profiler's own work."""
    nodes = [node("Neg", "x", "0"), *(node("Neg", str(n), str(n + 1)) for n in range(30))]
    net = write(tmp_path / "net.onnx", [*nodes, node("Abs", "30", "y")], {}, shape=(1, 1))
    given = {"x": np.ones((1, 1), np.float32)}
    made = measure(read_graph(net), given, SETTINGS._replace(optimise=False), name="net")
    assert len(made.kernels) == 32
    assert made.profiler > 32 * 0.5e-3


def test_a_run_that_the_trace_breaks_off_is_not_summed():
    kernels = [
        Kernel(name, "Conv", "", times, 0) for name, times in {"a": (1, 2), "b": (3,)}.items()
    ]
    where = Placement("cpu", "cpu", "", "")
    assert Measured(kernels, (5, 6), (5, 6), where).summed == [4]
    assert Measured([], (5, 6), (5, 6), where).summed == [0]


def test_the_optimised_graph_tells_tensors_and_weights(tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, (2, 5), b"\0" * 40, raw=True)
    onnx.external_data_helper.set_external_data(weight, "weights", length=40)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    conv = helper.make_node("Conv", ["x", "w", ""], ["reorder"], name="c")
    graph = helper.make_graph([conv], "net", [], [], [weight])
    (tmp_path / "net.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    first, second = read_kernels(TRACE, tmp_path / "net.onnx")
    assert first.inputs == ("x",)
    assert first.outputs == ("reorder",)
    assert first.moved == 147  # what the graph says of weights counts, not the trace
    assert (second.inputs, second.moved) == ((), 137)


def made(op, name, inputs="", outputs=""):
    return Kernel(name, op, "", (1.0,), 0, tuple(inputs.split()), tuple(outputs.split()))


def test_names_that_onnxruntime_makes(tmp_path):
    path = folded(tmp_path / "net.onnx")
    graph = read_graph(path)
    kernels = [
        made("Cast", "InsertedCast_x", "x", "InsertedCast_x"),
        made("Conv", "InsertedPrecisionFreeCast_r_nchwc", "InsertedCast_x", "reorder_token_7"),
        made("ReorderOutput", "ReorderOutput_token_12", "reorder_token_7", "r_token_4"),
        made("GlobalAveragePool", "y_token_9_token_2", "r_token_4", "y"),
    ]
    given = assign(graph, Dataflow(graph), kernels)
    assert [[n.op for n in nodes] for nodes in given] == [
        [],
        ["Conv", "BatchNormalization", "Relu"],
        [],
        ["GlobalAveragePool"],
    ]


FIXTURES = sorted((Path(__file__).parents[2] / "exporters" / "fixtures").glob("*.onnx"))


@pytest.mark.full
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_every_kernel_is_known_whoever_wrote_the_file(path):
    graph = read_graph(path)
    flow = Dataflow(graph)
    kernels = measure(graph, feeds(graph), SETTINGS, name="net", runs=1).kernels
    nodes = assign(graph, flow, kernels)
    assert [
        one.name for one, own in zip(kernels, nodes, strict=True) if not (own or one.moves)
    ] == []
    indices = [one.index for several in nodes for one in several]
    assert len(indices) == len(set(indices))
    alive = {one.index for one in graph.nodes if not flow.data.isdisjoint(one.outputs)}
    assert alive <= {*indices}


@pytest.mark.full
@every_kind
def test_every_operator_of_every_kind_of_graph_is_in_a_kernel(make, tmp_path):
    graph = opened(tmp_path, make())
    flow = Dataflow(graph)
    kernels = measure(graph, feeds(graph), SETTINGS, name="net", runs=1).kernels
    nodes = assign(graph, flow, kernels)
    assert all(own or one.moves for one, own in zip(kernels, nodes, strict=True))
    needed = {info.name for info in graph.outputs}
    for one in reversed(graph.nodes):
        if not needed.isdisjoint(one.outputs):
            needed.update(needs(one))
    alive = [
        one.index for one in graph.nodes
        if needed.intersection(one.outputs) & flow.data
    ]  # fmt: skip
    assert set(alive) <= {one.index for several in nodes for one in several}
