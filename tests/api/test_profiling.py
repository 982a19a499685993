"""Profiles from Python: rows of layers, their sums, and what goes in."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import cnntool
from cnntool.errors import CnntoolError, InputError, ModelError
from cnntool.nets.inference.profile import Kernel, Measured
from cnntool.nets.runtime.providers import Placement


@pytest.fixture
def tokens(tmp_path):
    """A network that takes no picture: an embedding and a dense layer, of an open batch."""
    weights = {"e": np.ones((9, 4), np.float32), "w": np.ones((4, 2), np.float32)}
    nodes = [
        helper.make_node("Gather", ["e", "x"], ["g"]),
        helper.make_node("MatMul", ["g", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ("N", 5))],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(v, n) for n, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "tokens.onnx")
    return tmp_path / "tokens.onnx"


def test_rows_are_all_that_ran():
    with cnntool.load_model(device="cpu", threads=1) as net:
        found = net.profile("samples/cat.png", runs=2)
        summary = {row.number: row for row in net.summary().layers}
    rows = found.layers
    assert found.runs == 2
    assert found.input == {"input": (1, 3, 144, 144)}
    assert found.total == pytest.approx(sum(row.milliseconds for row in rows))
    assert sum(row.share for row in rows) == pytest.approx(1)
    inserted = [row for row in rows if row.layer.startswith("inserted: ")]
    assert found.inserted == pytest.approx(sum(row.milliseconds for row in inserted))
    assert {row.number for row in inserted} <= {None}
    first = rows[0]
    assert (first.number, first.layer, first.type) == (1, "block1_conv1", "Conv")
    assert first.fused == ("relu:1",)
    assert first.multiply_adds == summary[1].multiply_adds
    assert first.gmacs == pytest.approx(first.multiply_adds / first.milliseconds / 1e6)
    # 3 channels in, 16 out, of 144 x 144; 16 kernels of 3 x 3 x 3 and their biases, all of 4 bytes
    assert first.moved == 4 * (19 * 144**2 + 16 * 27 + 16)
    fused = {name for row in rows for name in row.fused}
    for row in summary.values():
        assert row.number in {one.number for one in rows} or f"{row.type}:{row.ordinal}" in fused
    assert found.record()["layers"][0]["fused"] == ("relu:1",)


@pytest.mark.full
def test_another_size_and_a_batch():
    with cnntool.load_model(device="cpu") as net:
        found = net.profile(size=(2, 3, 64, 80), runs=1)
    assert found.input == {"input": (2, 3, 64, 80)}
    assert found.layers[0].multiply_adds == 2 * 64 * 80 * 16 * 27
    assert net.notes == ["no picture was given: timed on the sample cat.png"]


def test_a_network_that_takes_no_picture_is_timed_on_noise(tokens):
    with cnntool.load_model(tokens, device="cpu") as net:
        found = net.profile(runs=1)
        assert found.input == {"x": (1, 5)}
        assert net.notes[0].endswith("it is timed on noise")
        assert [row.type for row in found.layers if row.number] == ["Gather", "MatMul"]
        with pytest.raises(ModelError):
            net.profile("samples/cat.png")


def test_a_picture_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with cnntool.load_model() as net, pytest.raises(InputError, match="bad"):
        net.profile(tmp_path / "bad.png")


def test_an_operator_that_is_computed_in_two_steps(tmp_path):
    """Onnxruntime has no kernel for HardSwish, and puts two in its place that have no names."""
    weight = numpy_helper.from_array(np.ones((5, 4), np.float32), "w")
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["g"]),
        helper.make_node("HardSwish", ["g"], ["y"]),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 5))
    graph = helper.make_graph(nodes, "net", [value], [onnx.ValueInfoProto(name="y")], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    with cnntool.load_model(tmp_path / "net.onnx", device="cpu") as net:
        rows = net.profile(runs=1).layers
    assert [(row.number, row.type, row.kernels) for row in rows] == [
        (1, "Gemm", ("Gemm",)),
        (2, "HardSwish", ("HardSigmoid", "Mul")),
    ]


def test_what_is_inserted_names_what_it_converts(tokens, monkeypatch):
    """Tensors of onnxruntime's own lead back to the kernel that made them."""
    kernels = [
        Kernel("g", "Gather", "", (1.0,), 0, ("x",), ("own_1",)),
        Kernel("a", "Reshape", "", (1.0,), 0, ("own_1",), ("own_2",)),
        Kernel("b", "Reshape", "", (1.0,), 0, ("own_2",), ("own_3",)),
        Kernel("y", "MatMul", "", (1.0,), 0, ("own_3",), ("y",)),
    ]
    made = Measured(kernels, (4.0,), (4.0,), Placement("cpu", "cpu", "", ""))
    monkeypatch.setattr("cnntool.nets.inference.profile.measure", lambda *_, **__: made)
    with cnntool.load_model(tokens, device="cpu") as net:
        rows = net.profile(runs=1).layers
    assert [(row.layer, row.tensor) for row in rows[1:3]] == [("inserted: Reshape", "g")] * 2
    assert rows[3].number == 2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"runs": 0}, "runs"),
        ({"runs": "many"}, "runs"),
        ({"size": (0, 3)}, "size"),
        ({"size": (3, 32, 32)}, "its input has 4 axes, not 3"),
        ({"size": (1, 5, 64, 64)}, "its input has 3 channels, not 5"),
    ],
)
def test_wrong_arguments(given, says):
    with cnntool.load_model(device="cpu") as net, pytest.raises(CnntoolError, match=says):
        net.profile("samples/cat.png", **given)
