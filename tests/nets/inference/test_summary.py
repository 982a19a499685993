"""The table of layers against figures that the lectures give, and shapes of every origin."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from spellings import EXACT, QUANTISED, spell
from tiny import build, real_networks, weight
from vgg import DEPTHS, WIDTHS

from cnntool.errors import DeviceError, ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.summary import summarise, wanted_tensors
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.layers.shapes import choose_inputs, find_shapes, lengths
from cnntool.nets.runtime import session


def node(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


def picture(*shape, name="x"):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def zeros(name, *shape):
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def write(folder, nodes, weights=(), shape=(1, 3, 32, 32), **settings):
    path = folder / "net.onnx"
    path.write_bytes(
        build(nodes, weights, inputs=[picture(*shape)], **settings).SerializeToString()
    )
    return path


def describe(path, size=()):
    graph = read_graph(path)
    layers = Layers(graph)
    wanted = wanted_tensors(graph, layers)
    return summarise(graph, layers, find_shapes(graph, choose_inputs(graph, None, size), wanted))


def by_name(summary):
    return {line.layer.alias: line for line in summary.lines if line.layer.alias}


# --- figures of the lectures


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """VGG-16 with its real shapes; its weights are a hole in a file."""
    folder = tmp_path_factory.mktemp("vgg")
    model = ModelProto(ir_version=8)
    model.opset_import.add(version=17)
    graph = model.graph
    graph.name = "vgg16"
    graph.input.append(picture(1, 3, 224, 224))
    offset = 0

    def hole(name, *shape):
        nonlocal offset
        tensor = graph.initializer.add(name=name, dims=shape, data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        size = 4 * int(np.prod(shape))
        for key, value in (("location", "holes"), ("offset", offset), ("length", size)):
            tensor.external_data.add(key=key, value=str(value))
        offset += size

    def layer(op, name, *shape, **attributes):
        inputs = [tensor]
        if shape:
            inputs += [f"{name}.w", f"{name}.b"]
            hole(inputs[1], *shape)
            hole(inputs[2], shape[0])
        graph.node.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    tensor, channels = "x", 3
    for block, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True), 1):
        for number in range(1, depth + 1):
            tensor = layer("Conv", f"c{block}{number}", width, channels, 3, 3, pads=[1] * 4)
            tensor = layer("Relu", f"r{block}{number}")
            channels = width
        tensor = layer("MaxPool", f"p{block}", kernel_shape=[2, 2], strides=[2, 2])
    tensor = layer("Flatten", "f")
    for number, (width, size) in enumerate(((4096, 25088), (4096, 4096), (1000, 4096)), 1):
        tensor = layer("Gemm", f"d{number}", width, size, transB=1)
        tensor = layer("Relu" if number < 3 else "Softmax", f"a{number}")
    graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, (1, 1000)))
    with (folder / "holes").open("wb") as file:
        file.truncate(offset)
    (folder / "vgg16.onnx").write_bytes(model.SerializeToString())
    return describe(folder / "vgg16.onnx")


PARAMETERS = {
    "block1_conv1": 1_792,
    "block1_conv2": 36_928,
    "block2_conv1": 73_856,
    "block2_conv2": 147_584,
    "block3_conv1": 295_168,
    "block3_conv2": 590_080,
    "block3_conv3": 590_080,
    "block4_conv1": 1_180_160,
    **{f"block{b}_conv{c}": 2_359_808 for b, c in ((4, 2), (4, 3), (5, 1), (5, 2), (5, 3))},
    "fc1": 102_764_544,
    "fc2": 16_781_312,
    "predictions": 4_097_000,
}


def test_vgg16(vgg):
    layers = by_name(vgg)
    held = {line.layer.alias: line.parameters for line in vgg.lines if line.parameters}
    assert held == PARAMETERS
    assert vgg.parameters == 138_357_544
    assert vgg.multiply_adds == 15_470_264_320
    assert layers["block1_conv1"].info.shape == (1, 64, 224, 224)
    assert layers["block1_conv1"].memory == 64 * 224 * 224 * 4
    assert layers["block1_pool"].info.shape == (1, 64, 112, 112)
    assert layers["flatten"].info.shape == (1, 25088)
    assert layers["predictions"].info.shape == (1, 1000)
    assert vgg.memory == sum(4 * int(np.prod(line.info.shape)) for line in vgg.lines)


def test_receptive_fields_of_vgg16(vgg):
    lines = [line for line in vgg.lines if line.layer.kind in {"conv", "pool"}]
    fields = [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]
    assert [line.receptive_field for line in lines] == [(n, n) for n in fields]
    assert not any(line.whole for line in lines)
    assert by_name(vgg)["block4_conv2"].receptive_field == (76, 76)
    assert [line.stride for line in lines if line.layer.kind == "pool"] == [
        (2, 2), (4, 4), (8, 8), (16, 16), (32, 32)
    ]  # fmt: skip
    assert by_name(vgg)["fc1"].whole
    assert by_name(vgg)["fc1"].stride is None


def test_the_small_cifar_network(tmp_path):
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        node("Conv", "x w1 b1", "c1"),
        node("Relu", "c1", "r1"),
        node("MaxPool", "r1", "p1", **pool),
        node("Conv", "p1 w2 b2", "c2"),
        node("Relu", "c2", "r2"),
        node("MaxPool", "r2", "p2", **pool),
        node("Flatten", "p2", "f"),
        node("MatMul", "f w3", "m3"),
        node("Add", "m3 b3", "d3"),
        node("Relu", "d3", "r3"),
        node("Gemm", "r3 w4 b4", "y"),
    ]
    shapes = {"w1": (32, 3, 3, 3), "w2": (32, 32, 3, 3), "w3": (1152, 512), "w4": (512, 10)}
    biases = {"b1": 32, "b2": 32, "b3": 512, "b4": 10}
    weights = [zeros(n, *s) for n, s in shapes.items()] + [zeros(n, s) for n, s in biases.items()]
    found = describe(write(tmp_path, nodes, weights))
    assert [line.parameters for line in found.lines if line.parameters] == [
        896, 9_248, 590_336, 5_130
    ]  # fmt: skip
    assert found.parameters == 605_610


@pytest.mark.full
@pytest.mark.parametrize(
    ("shape", "kernel", "attributes", "expected"),
    [
        ((1, 1, 512, 512), (2, 1, 3, 3), {}, ((1, 2, 510, 510), 20)),
        ((1, 3, 368, 487), (4, 3, 9, 9), {}, ((1, 4, 360, 479), 976)),
        ((1, 1, 28, 28), (25, 1, 3, 3), {}, ((1, 25, 26, 26), 250)),
        ((1, 3, 32, 32), (10, 3, 5, 5), {"pads": [2] * 4}, ((1, 10, 32, 32), 760)),
        ((1, 96, 55, 55), (256, 96, 5, 5), {"pads": [2] * 4}, ((1, 256, 55, 55), 614_656)),
        ((1, 3, 227, 227), (96, 3, 11, 11), {"strides": [4, 4]}, ((1, 96, 55, 55), 34_944)),
    ],
)
def test_single_layers(tmp_path, shape, kernel, attributes, expected):
    nodes = [node("Conv", "x w b", "y", **attributes)]
    found = describe(write(tmp_path, nodes, [zeros("w", *kernel), zeros("b", kernel[0])], shape))
    (line,) = found.lines
    assert (line.info.shape, line.parameters) == expected


def test_depthwise_separable_layers_cost_less(tmp_path):
    nodes = [node("Conv", "x d", "c", group=3), node("Conv", "c p", "y")]
    found = describe(write(tmp_path, nodes, [zeros("d", 3, 1, 3, 3), zeros("p", 5, 3, 1, 1)]))
    assert found.parameters == 42
    assert [line.multiply_adds for line in found.lines] == [27 * 30 * 30, 15 * 30 * 30]


# --- parameters


def test_what_layers_share_counts_once_in_the_total(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Conv", "c w", "y")]
    found = describe(write(tmp_path, nodes, [zeros("w", 3, 3, 1, 1)]))
    assert [line.parameters for line in found.lines] == [9, 9]
    assert found.parameters == 9


def test_running_statistics_count_and_are_told(tmp_path):
    nodes = [node("BatchNormalization", "x s b m v", "y")]
    found = describe(write(tmp_path, nodes, [zeros(name, 3) for name in "sbmv"]))
    assert (found.parameters, found.statistics) == (12, 6)


def test_constants_that_are_no_parameters(tmp_path):
    numbers = {"low": 0.0, "high": 6.0, "two": 2.0}
    nodes = [
        node("Clip", "x low high", "c"),
        node("Mul", "c two", "m"),
        node("Resize", "m none scales", "r"),
        node("Pad", "r pads two", "p"),
        node("PRelu", "p slope", "q"),
        node("Reshape", "q shape", "y"),
    ]
    weights = [
        *(numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()),
        numpy_helper.from_array(np.float32([]), "none"),
        numpy_helper.from_array(np.float32([1, 1, 2, 2]), "scales"),
        numpy_helper.from_array(np.array([0, 0, 1, 1] * 2), "pads"),
        numpy_helper.from_array(np.array([1, -1]), "shape"),
        zeros("slope", 1),
    ]
    found = describe(write(tmp_path, nodes, weights))
    assert [line.parameters for line in found.lines] == [0, 0, 0, 1, 0]
    assert found.parameters == 1


def test_a_bias_of_one_channel(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Add", "c b", "y")]
    found = describe(write(tmp_path, nodes, [zeros("w", 1, 3, 3, 3), zeros("b", 1, 1, 1)]))
    assert [line.parameters for line in found.lines] == [28]


def test_weights_that_are_computed(tmp_path):
    nodes = [
        node("Div", "v norm", "unit"),
        node("Mul", "unit gain", "w"),
        node("Conv", "x w", "y"),
    ]
    weights = [zeros("v", 4, 3, 3, 3), zeros("gain", 4, 1, 1, 1), zeros("norm", 4, 1, 1, 1)]
    found = describe(write(tmp_path, nodes, weights))
    assert found.parameters == 108 + 4 + 4
    assert found.multiply_adds == 4 * 30 * 30 * 27
    many = [zeros(f"w{i}", 1, 3, 3, 3) for i in range(20)]
    nodes = [node("Concat", " ".join(w.name for w in many), "w", axis=0), nodes[-1]]
    found = describe(write(tmp_path, nodes, many))
    assert found.lines[0].parameters is None
    assert found.parameters is None


@pytest.mark.full
def test_every_spelling_has_the_same_figures(tmp_path):
    found = {name: describe(spell(tmp_path, name).path) for name in (*EXACT, *QUANTISED)}
    plain = found["gluon"]
    for name, summary in found.items():
        extra = 4 * sum(w * d for w, d in zip((2, 3, 3, 4, 4), DEPTHS, strict=True))
        norms = extra if "batch norm" in name else 0
        assert summary.parameters == plain.parameters + norms, name
        assert summary.statistics == norms // 2, name
        assert summary.multiply_adds == plain.multiply_adds, name
        for alias, line in by_name(plain).items():
            if alias not in {"flatten", "fc1", "fc2", "predictions"}:
                other = by_name(summary)[alias]
                assert (other.receptive_field, other.stride, other.info.shape) == (
                    line.receptive_field, line.stride, line.info.shape
                ), name  # fmt: skip


def test_quantised_operators_count_like_others(tmp_path):
    scales = [
        numpy_helper.from_array(np.float32(1), "s"),
        numpy_helper.from_array(np.uint8(0), "z"),
    ]
    codes = {"w": (4, 3, 3, 3), "m": (3600, 5)}
    weights = [numpy_helper.from_array(np.zeros(s, np.uint8), n) for n, s in codes.items()]
    bias = numpy_helper.from_array(np.zeros(4, np.int32), "b")
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w s z s z b", "c"),
        node("Flatten", "c", "f"),
        node("QLinearMatMul", "f s z m s z s z", "d"),
        node("DequantizeLinear", "d s z", "y"),
    ]
    found = describe(write(tmp_path, nodes, [*scales, *weights, bias]))
    assert [line.parameters for line in found.lines] == [112, 0, 18000]
    assert [line.multiply_adds for line in found.lines] == [4 * 900 * 27, 0, 18000]
    assert [line.memory for line in found.lines] == [3600, 3600, 5]
    nodes = [
        node("DynamicQuantizeLinear", "x", "q qs qz"),
        node("ConvInteger", "q w qz", "c"),
        node("Cast", "c", "f", to=1),
        node("Mul", "f qs", "g"),
        node("Add", "g b4", "y"),
    ]
    found = describe(write(tmp_path, nodes, [weights[0], zeros("b4", 1, 4, 1, 1)]))
    assert [line.parameters for line in found.lines] == [112]
    assert found.multiply_adds == 4 * 900 * 27
    assert found.lines[0].info.dtype == "float32"


# --- shapes


def test_nothing_is_guessed(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    found = describe(write(tmp_path, nodes, [zeros("w", 5, 3, 3, 3)], ("N", 3, "H", "W")))
    (line, _) = found.lines
    assert line.info.shape[1] == 5
    assert lengths(line.info) is None
    assert (line.parameters, line.multiply_adds, line.memory) == (135, None, None)
    assert (line.receptive_field, line.stride) == ((3, 3), (1, 1))
    assert (found.parameters, found.multiply_adds, found.memory) == (135, None, None)


def test_a_kernel_that_is_larger_than_its_map(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    found = describe(write(tmp_path, nodes, [zeros("w", 5, 3, 12, 12)], (1, 3, 8, 8)))
    assert [line.info.shape for line in found.lines] == [(1, 5, None, None)] * 2
    assert (found.multiply_adds, found.memory) == (None, None)


def test_operators_that_are_not_known_are_not_counted(tmp_path):
    nodes = [node("LSTM", "x w r", "y", hidden_size=2)]
    weights = [weight("w", 1, 8, 3), weight("r", 1, 8, 2)]
    found = describe(write(tmp_path, nodes, weights, (4, 1, 3)))
    assert found.parameters == 40
    assert found.multiply_adds is None


@pytest.mark.full
def test_the_wanted_size(tmp_path):
    nodes = [node("Conv", "x w", "y")]
    path = write(tmp_path, nodes, [zeros("w", 5, 3, 3, 3)], ("N", 3, "H", "W"))
    assert describe(path, (10, 20)).lines[0].info.shape == (1, 5, 8, 18)
    assert describe(path, (2, 3, 10, 20)).lines[0].info.shape == (2, 5, 8, 18)
    path = write(tmp_path, nodes, [zeros("w", 5, 3, 3, 3)])
    assert describe(path, (10, 20)).lines[0].info.shape == (1, 5, 8, 18)
    with pytest.raises(ModelError, match="an input of 1x3x2x2 is too small: nothing is left at y"):
        describe(path, (2, 2))


def spec(layout="NCHW", size=(9, 11)):
    return SimpleNamespace(input=SimpleNamespace(name="x", layout=layout, size=size))


@pytest.mark.parametrize(
    ("shape", "manifest", "size", "chosen"),
    [
        ((1, 3, 8, 8), None, (), {}),
        ((1, 3, 8, 8), spec(), (), {}),
        ((1, 3, 8, 8), None, (8, 8), {}),
        (("N", 3, 8, 8), None, (), {"x": (1, 3, 8, 8)}),
        (("N", 3, "H", 8), None, (), {}),
        (("N", 3, "H", 8), spec(), (), {"x": (1, 3, 9, 8)}),
        (("N", "H", "W", 3), None, (5, 6), {"x": (1, 5, 6, 3)}),
        (("N", "H", "W", 3), spec("NHWC"), (), {"x": (1, 9, 11, 3)}),
        ((2, 3, "H", "W"), spec(), (5, 6), {"x": (2, 3, 5, 6)}),
        ((1, 3, 8, 8), None, (7, 3, 5, 6), {"x": (7, 3, 5, 6)}),
        ((1, 3, 8), None, (1, 3, 9), {"x": (1, 3, 9)}),
        (("N", 7), None, (), {}),
        (None, None, (), {}),
        (None, None, (1, 3, 5, 6), {"x": (1, 3, 5, 6)}),
    ],
)
def test_shapes_of_the_input(tmp_path, shape, manifest, size, chosen):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    path = tmp_path / "net.onnx"
    path.write_bytes(build([node("Relu", "x", "y")], inputs=[value]).SerializeToString())
    graph = read_graph(path)
    assert choose_inputs(graph, manifest, size) == chosen


def test_a_size_that_has_no_place(tmp_path):
    path = write(tmp_path, [node("Relu", "x", "y")])
    for size, reason in {(5, 6, 7): "4 axes, not 3", (1, 4, 9, 9): "3 channels, not 4"}.items():
        with pytest.raises(ModelError, match=f"its input has {reason}"):
            choose_inputs(read_graph(path), None, size)
    two = [picture(1, 3, 8, 8), picture(1, 3, 8, 8, name="z")]
    path.write_bytes(build([node("Add", "x z", "y")], inputs=two).SerializeToString())
    with pytest.raises(ModelError, match="has 2 inputs, of which 2 are pictures") as raised:
        choose_inputs(read_graph(path), None, (5, 6))
    assert raised.value.hint
    assert choose_inputs(read_graph(path)) == {}


def test_what_the_file_says_needs_no_runtime(tmp_path, monkeypatch):
    class Nothing:
        def __init__(self, *_args, **_settings):
            raise DeviceError("onnxruntime is not installed")

    model = build([node("Conv", "x w", "c"), node("Relu", "c", "y")], [weight("w", 2, 2, 3, 3)])
    path = tmp_path / "net.onnx"
    monkeypatch.setattr(session, "Session", Nothing)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(DeviceError):
        describe(path)
    for name in ("c", "y"):
        model.graph.value_info.append(picture(1, 2, 4, 4, name=name))
    path.write_bytes(model.SerializeToString())
    assert describe(path).multiply_adds == 16 * 2 * 18
    with pytest.raises(DeviceError):  # of another size the file says nothing
        describe(path, (9, 9))


@pytest.mark.full
@real_networks
def test_real_networks(path):
    found = describe(path, (144, 144) if path.stem == "vgg16-mini" else ())
    known = {
        "squeezenet1.0-fp16": (1_235_496, None),
        "mnist-cntk": (5_994, 786_560),
        "vgg16-mini": (3_482_309, 931_643_968),
    }
    assert found.parameters
    assert found.multiply_adds
    assert found.memory
    parameters, products = known.get(path.stem, (None, None))
    assert parameters in {None, found.parameters}
    assert products in {None, found.multiply_adds}
    graph = read_graph(path)
    largest = max(weight.nbytes for weight in graph.weights.values())
    assert all(line.parameters is not None for line in found.lines)
    assert found.parameters * 4 >= largest
