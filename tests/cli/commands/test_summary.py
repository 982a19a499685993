"""``cnntool summary``: the table of layers, for people and for pipes."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


@pytest.fixture
def net(tmp_path):
    """A convolution of unequal sides, a batch norm and a pool; it takes any size."""
    sizes = {"w": (4, 3, 3, 5), **dict.fromkeys("sbmv", (4,))}
    weights = [
        numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in sizes.items()
    ]
    nodes = [
        node("Conv", "x w", "c", strides=[1, 2]),
        node("BatchNormalization", "c s b m v", "n"),
        node("GlobalAveragePool", "n", "y"),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, "H", "W"))
    graph = helper.make_graph(nodes, "net", [value], [onnx.ValueInfoProto(name="y")], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


LINES = [
    "1\tblock1_conv1\tc\tConv\t1x4x8x8\t180\t11520\t3x5\t1x2\t1024",
    "2\tnorm:1\tn\tBatchNormalization\t1x4x8x8\t16\t0\t3x5\t1x2\t1024",
    "3\tpredictions\ty\tGlobalAveragePool\t1x4x1x1\t0\t0\tall\t-\t16",
    "\ttotal\t\t\t\t196\t11520\t\t\t2064",
]


def test_lines_in_a_pipe(here, net):
    done = here("summary", net, "--input-size", "10x19")
    assert done.text.splitlines() == LINES
    assert done.err == ""
    assert here("summary", net, "--input-size", "1,3,10,19").text == done.text


def test_what_is_not_known_is_a_dash(here, net):
    done = here("summary", net)
    assert done.text.splitlines()[0] == "1\tblock1_conv1\tc\tConv\t?x4x?x?\t180\t-\t3x5\t1x2\t-"
    assert done.text.splitlines()[-1] == "\ttotal\t\t\t\t196\t-\t\t\t-"
    assert (
        done.err == f"cnntool: note: {net} takes more than one size: --input-size HxW settles it\n"
    )


def test_csv(here, net):
    rows = list(csv.reader(here("summary", net, "--csv", "-q").text.splitlines()))
    assert rows[0][:6] == ["number", "layer", "tensor", "type", "shape", "parameters"]
    assert rows[1][1:] == ["block1_conv1", "c", "Conv", "?x4x?x?", "180", "", "3x5", "1x2", ""]
    assert len(rows) == 4


@pytest.mark.full
def test_columns(here, net):
    columns = ["--columns", "Parameters, layer,parameters"]
    assert here("summary", net, *columns, "-q").text.splitlines() == [
        "180\tblock1_conv1",
        "16\tnorm:1",
        "0\tpredictions",
        "196\ttotal",
    ]
    assert here("summary", net, *columns, "--csv", "-q").text.splitlines()[0] == "parameters,layer"


def test_the_record(here, net):
    record = json.loads(here("summary", net, "--json", "--input-size", "10x19").text)
    assert record["model"] == str(net)
    assert record["inputs"] == [{"name": "x", "dtype": "float32", "shape": [1, 3, 10, 19]}]
    assert (record["parameters"], record["statistics"]) == (196, 8)
    assert (record["multiply_adds"], record["memory"]) == (11520, 2064)
    assert [layer["number"] for layer in record["layers"]] == [1, 2, 3]
    first, _, last = record["layers"]
    assert first["shape"] == [1, 4, 8, 8]
    assert first["parameters"] == 180
    assert first["multiply_adds"] == 11520
    assert (first["receptive_field"], first["sees_all"]) == ([3, 5], False)
    assert (first["stride"], first["memory"]) == ([1, 2], 1024)
    assert (last["sees_all"], last["stride"]) == (True, None)
    unknown = json.loads(here("summary", net, "--json", "-q").text)
    assert unknown["inputs"][0]["shape"] == [None, 3, None, None]
    assert unknown["multiply_adds"] is None


def test_the_built_in_network(here):
    record = json.loads(here("summary", "--json").text)
    assert record["model"] == "vgg16-mini"
    assert record["inputs"][0]["shape"] == [1, 3, 144, 144]
    layers = {layer["alias"]: layer for layer in record["layers"]}
    assert layers["block4_conv2"]["receptive_field"] == [76, 76]
    assert (record["parameters"], record["multiply_adds"]) == (3_482_309, 931_643_968)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--input-size", "9by9"], 2, "'9by9' is no size"),
        (["--input-size", "0x9"], 2, "'0x9' is no size"),
        (["--input-size", "99999999999"], 2, "is no size"),
        (["--input-size", "1x3x9"], 4, "its input has 4 axes, not 3"),
        (["--input-size", "2"], 4, "an input of 1x3x2x2 is too small: nothing is left at"),
        (["--columns", "layer,colour"], 2, "'colour' is no column"),
        (["--json", "--csv"], 2, "--json tells all"),
        (["--json", "--columns", "layer"], 2, "--json tells all"),
    ],
)
def test_errors(here, net, arguments, code, reason):
    done = here("summary", net, *arguments, code=code)
    assert reason in done.err
    assert done.out == b""


def test_a_table_on_a_terminal(here, net, monkeypatch):
    for name, value in {"TERM": "dumb", "COLUMNS": "140", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    lines = here("summary", net, "--input-size", "10x19").text.splitlines()
    assert lines[1].split() == [
        "number", "layer", "tensor", "type", "shape", "parameters", "adds", "field", "stride",
        "memory",
    ]  # fmt: skip
    assert lines[3].split() == [
        "1", "block1_conv1", "c", "Conv", "1x4x8x8", "180", "11,520", "3x5", "1x2", "1,024"
    ]  # fmt: skip
    assert [" ".join(line.split()) for line in lines[-5:]] == [
        "input x 1x3x10x19 float32",
        "layers 3",
        "parameters 196 (188 learned, 8 running statistics)",
        "multiply-adds 11,520",
        "memory 2,064 bytes for all outputs",
    ]
    monkeypatch.setenv("COLUMNS", "80")
    heading = here("summary", net, "--input-size", "10x19").text.splitlines()[1].split()
    assert "tensor" not in heading
    assert {"layer", "shape", "parameters", "field"} <= set(heading)


# The network's name


@pytest.mark.full
@pytest.mark.parametrize("verb", ["summary", "layers", "weights"])
@pytest.mark.parametrize("option", ["-m", "--model"])
def test_model_is_an_option_too(here, monkeypatch, verb, option):
    quiet = ("--stats-only",) if verb == "weights" else ()
    monkeypatch.setenv("CNNTOOL_MODEL", "absent")
    named = here(verb, option, "vgg16-mini", *quiet)
    assert named.text
    assert named.text == here(verb, "vgg16-mini", *quiet).text
    assert named.text == here(verb, "vgg16-mini", option, "vgg16-mini", *quiet).text


@pytest.mark.parametrize("verb", ["summary", "layers", "weights"])
def test_two_networks_contradict_each_other(here, verb):
    done = here(verb, "vgg16-mini", "-m", "vgg19", code=2)
    assert done.err.splitlines() == [
        "cnntool: error: MODEL 'vgg16-mini' and --model 'vgg19' disagree",
        "cnntool: hint: name one network",
    ]
    assert "absent" in here(verb, "-m", "absent", code=4).err
