"""``cnntool layers``: names for people and for pipes."""

from __future__ import annotations

import json
import sys

import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import real_networks

from cnntool.cli.commands.layers import shape_of
from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.layers.lookup import Layers


def node(op, inputs, outputs, name=""):
    return helper.make_node(op, inputs.split(), outputs.split(), name)


@pytest.fixture
def net(tmp_path):
    """Two convolutions; the second one has a name that no shell would take."""
    import numpy as np
    import onnx

    kernel = numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w")
    nodes = [
        node("Conv", "x w", "a/Conv:0", "a/Conv"),
        node("Relu", "a/Conv:0", "a/Relu:0", "a/Relu"),
        helper.make_node("Conv", ["a/Relu:0", "w"], ["wild 'card\n\x1b[31m"]),
        helper.make_node("Sigmoid", ["wild 'card\n\x1b[31m"], ["y"]),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 6, 5))
    graph = helper.make_graph(
        nodes, "net", [value], [onnx.ValueInfoProto(name="y")], initializer=[kernel]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_a_pipe_gets_names_and_nothing_else(here, net):
    assert here("layers", net).text.splitlines() == [
        "block1_conv1",
        "a/Relu:0",
        "block1_conv2",
        "y",
    ]


@pytest.mark.parametrize(
    ("types", "names"),
    [
        (["conv"], ["block1_conv1", "block1_conv2"]),
        (["relu", "activation"], ["a/Relu:0", "y"]),
        (["Sigmoid"], ["y"]),
        (["pool"], []),
        (["MaxPool"], []),
    ],
)
def test_types(here, net, types, names):
    options = [option for name in types for option in ("--type", name)]
    done = here("layers", net, *options)
    assert done.text.splitlines() == names
    assert done.err == ""


def test_every_name_that_is_printed_can_be_asked_for(here, net):
    for path in (net, "vgg16-mini"):
        for name in here("layers", path).text.splitlines():
            assert here("layers", path, "--resolve", name).text


def test_records(here, net):
    records = [json.loads(line) for line in here("layers", net, "--json").text.splitlines()]
    assert records[0] == {
        "number": 1,
        "alias": "block1_conv1",
        "type": "conv",
        "ordinal": 1,
        "op": "Conv",
        "node": "a/Conv",
        "pre": "a/Conv:0",
        "post": "a/Relu:0",
        "after": "ReLU",
        "dequantised": False,
        "scopes": ["a"],
        "dtype": "float32",
        "shape": [1, 2, 6, 5],
    }
    assert [record["number"] for record in records] == [1, 2, 3, 4]
    assert records[2]["pre"] == "wild 'card\n\x1b[31m"


def test_what_names_mean(here, net):
    done = here("layers", net, "--resolve", "block1_conv1", "--resolve", "input")
    assert done.text.splitlines() == [
        "block1_conv1\ta/Relu:0\tconv 1, after ReLU",
        "input\tx\tthe input",
    ]
    done = here("layers", net, "--resolve", "conv:2", "--at", "pre")
    assert done.text == "conv:2\twild 'card \x1b[31m\tconv 2, before sigmoid\n"
    done = here("layers", net, "--resolve", "block1_*", "--at", "pre", "--type", "conv", code=2)
    assert "--type has no meaning" in done.err
    done = here("layers", net, "--resolve", "block1_conv1", "--at", "pre", "--json")
    assert json.loads(done.text) == {
        "query": "block1_conv1",
        "tensor": "a/Conv:0",
        "number": 1,
        "alias": "block1_conv1",
        "meaning": "conv 1, before ReLU",
    }


def test_errors(here, net):
    done = here("layers", net, "--resolve", "blok1_conv1", code=4)
    lines = done.err.splitlines()
    assert done.out == b""
    assert lines[0] == f"cnntool: error: {net}: no layer is called 'blok1_conv1'"
    assert lines[1].startswith("cnntool: hint: the nearest: block1_conv1, ")
    assert lines[1].endswith(f"; see 'cnntool layers {net}'")
    done = here("layers", net, "--type", "cnov", code=2)
    assert "no layer is of type 'cnov'" in done.err
    assert "one of conv, dense, pool" in done.err
    assert "no such file" in here("layers", "absent.onnx", code=4).err
    assert "no model is called" in here("layers", "absent", code=4).err


def test_a_table_on_a_terminal(here, net, monkeypatch):
    for name, value in {"TERM": "dumb", "COLUMNS": "100", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    lines = here("layers", net).text.splitlines()
    assert lines[0].split() == ["#", "layer", "type", "operator", "tensor", "shape"]
    assert lines[2].split() == ["1", "block1_conv1", "conv:1", "Conv", "a/Relu:0", "1x2x6x5"]
    assert "\x1b[31m" not in "".join(lines)
    assert here("layers", net, "--resolve", "conv:1").text == (
        "conv:1 -> a/Relu:0 (conv 1, after ReLU)\n"
    )


@pytest.mark.parametrize(
    ("shape", "text"), [(None, "-"), ((), "scalar"), ((1, "N", None, 5), "1x?x?x5")]
)
def test_shapes(shape, text):
    assert shape_of(TensorInfo("x", "float32", shape)) == text
    assert shape_of(None) == "-"


def test_without_a_runtime_the_file_is_all_that_is_known(here, net, monkeypatch):
    from cnntool.errors import DeviceError
    from cnntool.nets.runtime import session

    class Nothing:
        def __init__(self, *_args, **_settings):
            raise DeviceError("onnxruntime is not installed", hint="pip install it")

    monkeypatch.setattr(session, "Session", Nothing)
    done = here("layers", net, "--json")
    assert [json.loads(line)["shape"] for line in done.text.splitlines()] == [None] * 4
    assert done.err == (
        f"cnntool: note: {net}: the file's shapes are all that is known:"
        " onnxruntime is not installed (pip install it)\n"
    )
    assert Layers(read_graph(net)).rows


@pytest.fixture
def rooted(tmp_path):
    """A convolution, a root and another convolution; a part of a shape that is measured."""
    import numpy as np
    import onnx

    kernel = numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w")
    nodes = [
        node("Conv", "x w", "c"),
        node("Neg", "c", "n", "minus"),
        helper.make_node("Sqrt", ["n"], ["the root"]),
        helper.make_node("Conv", ["the root", "w"], ["y"]),
        node("Shape", "y", "shape"),
        node("Cast", "y", "half"),
    ]
    nodes[-1].attribute.append(helper.make_attribute("to", TensorProto.FLOAT16))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 6, 5))
    graph = helper.make_graph(
        nodes, "net", [value], [onnx.ValueInfoProto(name="half")], initializer=[kernel]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_every_operator_is_listed_and_layers_keep_their_numbers(here, rooted):
    assert here("layers", rooted).text.splitlines() == ["block1_conv1", "block1_conv2"]
    names = ["block1_conv1", "n", "the root", "block1_conv2", "half"]
    assert here("layers", "--all", rooted).text.splitlines() == names
    assert here("layers", "--all", "--type", "sqrt", rooted).text == "the root\n"
    records = list(map(json.loads, here("layers", "--all", "--json", rooted).text.splitlines()))
    assert [one["number"] for one in records] == [1, None, None, 2, None]
    assert [one["type"] for one in records] == ["conv", None, None, "conv", None]
    assert [one["op"] for one in records] == ["Conv", "Neg", "Sqrt", "Conv", "Cast"]
    assert (records[1]["node"], records[1]["ordinal"], records[1]["alias"]) == ("minus", None, None)
    for query in ("the root", "n", "minus", "half"):
        assert here("layers", rooted, "--resolve", query).text.startswith(f"{query}\t")
    here("layers", "--all", rooted, "--resolve", "n", code=2)


def test_what_is_no_layer_has_a_shape(here, rooted):
    pytest.importorskip("onnxruntime")
    records = list(map(json.loads, here("layers", "--all", "--json", rooted).text.splitlines()))
    assert [one["dtype"] for one in records] == [*["float32"] * 4, "float16"]
    assert records[2]["shape"] == [1, 2, 6, 5]


@real_networks
def test_of_real_networks_every_operator_has_one_place(path):
    layers = Layers(read_graph(path))
    rows = [row for row in layers.operators if row.number]
    assert rows == list(layers.rows)
    alone = [row for row in layers.operators if not row.number]
    held = {index for row in rows for index in row.members}
    assert held.isdisjoint(index for row in alone for index in row.members)
    shown = [row.post for row in alone]
    assert len(set(shown)) == len(shown)
    assert set(shown).isdisjoint(row.post for row in rows)
    assert set(shown) <= layers.flow.data
