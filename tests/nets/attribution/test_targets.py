"""Which tensor is explained, which layer is looked at, and how its maps lie."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from small import attending, chain, halves, weighing, windowed

import cnntool
from cnntool.nets.attribution.targets import (
    Grid,
    convolved,
    grid_of,
    last_maps,
    of_one,
    score_tensor,
)
from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.layers.receptive_field import ReceptiveField, fields_of


@pytest.mark.parametrize(
    ("shape", "picture", "expected"),
    [
        ((512, 7, 7), (224, 224), Grid(7, 7, "CHW")),
        ((7, 7, 512), (224, 224), Grid(7, 7, "HWC")),
        ((8, 8, 8), (64, 64), Grid(8, 8, "CHW")),
        ((10, 20, 5), (100, 50), Grid(20, 5, "CHW")),
        ((10, 5, 20), (100, 50), Grid(10, 5, "HWC")),
        ((512, 1, 1), (224, 224), None),
        ((1, 1, 512), (224, 224), None),
        ((512,), (224, 224), None),
        ((), (224, 224), None),
        ((196, 768), (224, 224), Grid(14, 14, "TC")),
        ((8, 768), (32, 64), Grid(2, 4, "TC")),
        ((4, 768), (224, 224), Grid(2, 2, "TC")),
        ((3, 768), (224, 224), None),
        ((1, 768), (224, 224), None),
        ((197, 768), (224, 224), None),
    ],
)
def test_the_grid_of_a_tensor(shape, picture, expected):
    assert grid_of(shape, picture) == expected


@pytest.mark.parametrize(
    ("tokens", "known", "expected"),
    [
        (196, {(14, 14)}, Grid(14, 14, "TC")),
        (197, {(14, 14)}, Grid(14, 14, "TC")),
        (201, {(28, 28), (14, 14)}, Grid(14, 14, "TC")),
        (211, {(14, 14)}, Grid(14, 14, "TC")),
        (212, {(14, 14)}, None),
        # Patches that are known count more than a square that happens to fit.
        (25, {(4, 4)}, Grid(4, 4, "TC")),
        (25, {(5, 5), (4, 4)}, Grid(5, 5, "TC")),
        (25, {(2, 8)}, Grid(5, 5, "TC")),
        (4, {(1, 1)}, Grid(2, 2, "TC")),
    ],
)
def test_tokens_before_those_of_the_picture_are_known_by_the_patches(tokens, known, expected):
    assert grid_of((tokens, 768), (224, 224), known) == expected


def test_a_tensor_without_its_batch():
    assert of_one((4, 16, 8), 4) == (16, 8)
    assert of_one((4, 16, 8), 1) is None
    assert of_one((), 1) is None
    assert of_one(None, 1) is None


def found_in(path):
    """Return the layers to look at, and the rows and columns of what convolutions make."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    shapes = {}
    for one in (*model.graph.value_info, *model.graph.input):
        made = one.type.tensor_type
        dtype = str(onnx.helper.tensor_dtype_to_np_dtype(made.elem_type))
        shape = tuple(n.dim_value for n in made.shape.dim)
        shapes[one.name] = TensorInfo(one.name, dtype, shape)
    with cnntool.load_model(path) as net:
        flow = net.read_layers().flow
        fields = fields_of(net.graph, flow, "input", (1, 3, 8, 8))
        found = last_maps(flow, "scores", shapes, fields, picture=(8, 8), batch=1)
        return list(found), convolved(net.graph, shapes)


def test_in_a_transformer_norms_of_the_whole_picture_count(tmp_path):
    found, known = found_in(windowed(tmp_path / "net.onnx"))
    assert found == [("outer", Grid(8, 8, "TC"))]
    assert known == {(8, 8)}


def test_a_softmax_over_channels_makes_no_transformer(tmp_path):
    found, _ = found_in(weighing(tmp_path / "net.onnx"))
    assert [tensor for tensor, _ in found] == ["weighed", "maps", "conv"]
    assert {grid for _, grid in found} == {Grid(8, 8, "CHW")}


def test_in_a_convolutional_network_the_last_activation_comes_first(tmp_path):
    found, _ = found_in(halves(tmp_path / "net.onnx", batch=1))
    assert [tensor for tensor, _ in found] == ["maps", "conv"]


@pytest.mark.parametrize("spelt", [False, True])
def test_norms_that_are_spelt_out(tmp_path, spelt):
    found, _ = found_in(attending(tmp_path / "net.onnx", spelt=spelt))
    assert found == [("last", Grid(8, 8, "TC")), ("first", Grid(8, 8, "TC"))]


def test_pools_and_what_is_only_handed_on_are_no_activations(tmp_path):
    steps = [
        ("Relu", ["conv"], "maps", {}),
        ("MaxPool", ["maps"], "pooled", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Identity", ["pooled"], "same", {}),
        ("GlobalAveragePool", ["same"], "means", {}),
        ("Flatten", ["means"], "scores", {}),
    ]
    found, _ = found_in(chain(tmp_path / "net.onnx", steps))
    assert [tensor for tensor, _ in found] == ["maps", "conv"]


def test_what_is_no_number_of_the_picture_is_no_map(tmp_path):
    steps = [
        ("Greater", ["conv", "zero"], "positive", {}),
        ("Where", ["positive", "conv", "zero"], "maps", {}),
        ("GlobalAveragePool", ["maps"], "means", {}),
        ("Flatten", ["means"], "scores", {}),
    ]
    found, _ = found_in(chain(tmp_path / "net.onnx", steps, [("zero", np.float32(0))]))
    assert [tensor for tensor, _ in found] == ["maps", "conv"]


LARGEST = ("ReduceMax", ["scores"], "largest", {"axes": [1]})
SHIFTED = ("Sub", ["scores", "largest"], "shifted", {})


def sum_of(source):
    return ("ReduceSum", [source, "one"], "sum", {})


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([("Softmax", ["scores"], "answer", {})], "scores"),
        ([("Sigmoid", ["scores"], "made", {}), ("Identity", ["made"], "answer", {})], "scores"),
        ([("Relu", ["scores"], "answer", {})], "answer"),
        ([("Div", ["scores", "scores"], "answer", {})], "answer"),
        (
            [
                LARGEST, SHIFTED, ("Exp", ["shifted"], "exp", {}), sum_of("exp"),
                ("Div", ["exp", "sum"], "answer", {}),
            ],
            "scores",
        ),
        (
            [
                ("Exp", ["scores"], "exp", {}), sum_of("exp"),
                ("Div", ["exp", "sum"], "made", {}), ("Identity", ["made"], "answer", {}),
            ],
            "scores",
        ),
        (  # what is subtracted may make a difference
            [
                ("Neg", ["scores"], "largest", {}), SHIFTED, ("Exp", ["shifted"], "exp", {}),
                sum_of("exp"), ("Div", ["exp", "sum"], "answer", {}),
            ],
            "shifted",
        ),
        (
            [
                ("Exp", ["scores"], "exp", {}), sum_of("scores"),
                ("Div", ["exp", "sum"], "answer", {}),
            ],
            "answer",
        ),
    ],
)  # fmt: skip
def test_the_scores_before_a_softmax(tmp_path, steps, expected):
    before = [("GlobalAveragePool", ["conv"], "means", {}), ("Flatten", ["means"], "scores", {})]
    path = chain(tmp_path / "net.onnx", [*before, *steps], [("one", np.array([1]))])
    graph = read_graph(path, name="net")
    plan = SimpleNamespace(output=SimpleNamespace(logits=None, name="answer"))
    assert score_tensor(graph, plan) == expected
    plan.output.logits = "means"
    assert score_tensor(graph, plan) == "means"


def test_maps_come_out_channels_first():
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert (Grid(3, 4, "CHW").maps(values) == values).all()
    assert (Grid(2, 3, "HWC").maps(values) == np.moveaxis(values, 2, 0)).all()
    tokens = np.arange(7 * 5).reshape(7, 5)
    maps = Grid(2, 3, "TC").maps(tokens)
    assert maps.shape == (5, 2, 3)
    assert (maps == tokens[1:].T.reshape(5, 2, 3)).all()


@pytest.mark.parametrize(("axes", "expected"), [((2, 3), "CHW"), ((1, 2), "HWC")])
def test_known_axes_count_more_than_proportions(axes, expected):
    field = ReceptiveField(axes, 4, (8, 5), (3, 3), (2, 2))
    assert grid_of((8, 5, 1), (16, 16)).axes == "HWC"
    assert grid_of((8, 5, 1), (16, 16), (), field).axes == expected
