"""Names: whoever exported a network, a name finds its tensor, and says what it found."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from spellings import CONVOLUTIONS, EXACT, KERAS, POOLS, QUANTISED, numbers, spell
from tiny import EXPORTS, build, real_networks, weight

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers
from cnntool.nets.layers.names import owner, plain


def node(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


@pytest.fixture
def layers(tmp_path):
    """Write a graph and read its layers."""

    def make(nodes, weights=(), spec=None, **settings):
        path = tmp_path / "net.onnx"
        path.write_bytes(build(nodes, weights, **settings).SerializeToString())
        return Layers(read_graph(path, name="net.onnx"), spec)

    return make


def meant(found, query, at="post"):
    (one,) = found.resolve(query, at=at)
    return one.tensor


# --- every exporter's spelling


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What every layer gives, after and before its activation, by Keras' names."""
    spelt = spell(tmp_path_factory.mktemp("reference"), "keras")
    return [
        dict(zip(KERAS, numbers(spelt, [names[key] for key in KERAS]), strict=True))
        for names in (spelt.post, spelt.pre)
    ]


@pytest.mark.parametrize("spelling", EXACT)
def test_keras_names_reach_the_same_numbers_in_every_spelling(tmp_path, spelling, reference):
    spelt = spell(tmp_path, spelling)
    found = Layers(read_graph(spelt.path))
    wanted = zip(("post", "pre"), (spelt.post, spelt.pre), reference, strict=True)
    for at, tensors, expected in wanted:
        reached = [meant(found, name, at) for name in KERAS]
        assert reached == [tensors[name] for name in KERAS]
        for name, values in zip(KERAS, numbers(spelt, reached), strict=True):
            np.testing.assert_allclose(values.ravel(), expected[name].ravel(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("spelling", EXACT)
def test_flatten_and_input(tmp_path, spelling):
    spelt = spell(tmp_path, spelling)
    found = Layers(read_graph(spelt.path))
    assert found.resolve("input")[0].text == "input -> data (the input)"
    if "flatten" in spelt.post:
        assert meant(found, "flatten") == spelt.post["flatten"]
    else:
        with pytest.raises(ModelError, match="no layer is called 'flatten'"):
            found.resolve("flatten")


@pytest.mark.parametrize("spelling", QUANTISED)
def test_quantised_networks_give_dequantised_tensors_and_say_so(tmp_path, spelling, reference):
    spelt = spell(tmp_path, spelling)
    found = Layers(read_graph(spelt.path))
    for name in (*CONVOLUTIONS, *POOLS, "fc1", "fc2"):
        (after,) = found.resolve(name)
        assert after.tensor == spelt.post[name]
        assert after.tensor.endswith("_DequantizeLinear_Output")
        assert after.words.endswith(", dequantised")
        assert "dequantised" not in found.resolve(name, at="pre")[0].words
    for name in CONVOLUTIONS:
        assert meant(found, name, "pre") == spelt.pre[name]
    values = numbers(spelt, [spelt.post["block1_conv1"]])[0]
    assert not np.array_equal(values, reference[0]["block1_conv1"])
    np.testing.assert_allclose(values, reference[0]["block1_conv1"], atol=1e-3)


@pytest.mark.parametrize("spelling", EXACT)
def test_convolutions_by_number_and_by_exact_name(tmp_path, spelling):
    spelt = spell(tmp_path, spelling)
    found = Layers(read_graph(spelt.path))
    for number, name in enumerate(CONVOLUTIONS, 1):
        assert meant(found, f"conv:{number}") == meant(found, f"Conv:{number}") == spelt.post[name]
        row = found.resolve(f"conv:{number}")[0].layer
        assert row.alias == name
        assert meant(found, f"#{row.number}", "pre") == spelt.pre[name]
        for tensor in (spelt.pre[name], spelt.post[name]):
            assert meant(found, tensor) == meant(found, tensor, "pre") == tensor
    assert meant(found, "pool:-1") == spelt.post["block5_pool"]
    assert meant(found, "pool:-5") == spelt.post["block1_pool"]
    assert meant(found, "softmax:1") == meant(found, "#-1") == spelt.post["predictions"]


def test_what_is_said(tmp_path):
    def text(spelling, query, at="post"):
        (one,) = Layers(read_graph(spell(tmp_path, spelling).path)).resolve(query, at=at)
        return one.text

    said = "block4_conv2 -> vgg0_relu8_fwd (conv 9, after ReLU)"
    assert text("gluon", "block4_conv2") == said
    assert text("gluon", "conv:9", "pre") == "conv:9 -> vgg0_conv8_fwd (conv 9, before ReLU)"
    assert text("gluon", "vgg0_relu8_fwd") == "vgg0_relu8_fwd -> vgg0_relu8_fwd (relu 9)"
    assert text("gluon", "block4_pool") == "block4_pool -> vgg0_pool3_fwd (pool 4)"
    said = "block1_conv1 -> 34 (conv 1, after batch norm and ReLU)"
    assert text("torch-old + batch norm", "block1_conv1") == said
    said = "predictions -> vgg16/predictions/Softmax:0 (dense 3, after softmax)"
    assert text("keras", "predictions") == said
    split = text("gluon + biases apart", "vgg0_conv0_fwd/Conv")
    assert split == "vgg0_conv0_fwd/Conv -> vgg0_conv0_fwd/Conv (conv 1, without its bias)"


# --- the order of resolution


def test_a_torchvision_module_is_its_own_output_whatever_the_exporter(tmp_path):
    for spelling in ("torchscript", "torch-old", "dynamo"):
        spelt = spell(tmp_path, spelling)
        found = Layers(read_graph(spelt.path))
        assert meant(found, "features.19") == spelt.pre["block4_conv2"]
        assert meant(found, "classifier.0") == spelt.pre["fc1"]
        assert meant(found, "features.19.weight") == spelt.post["block4_conv2"]
        assert meant(found, "features.19.weight", "pre") == spelt.pre["block4_conv2"]
    for spelling in ("torchscript", "dynamo"):
        spelt = spell(tmp_path, spelling)
        assert meant(Layers(read_graph(spelt.path)), "features") == spelt.post["block5_pool"]


@pytest.mark.parametrize(
    ("spelling", "query"),
    [
        ("keras", "block4_conv2/Relu"),
        ("keras", "vgg16/block4_conv2/Relu:0"),
        ("keras", "vgg16/block4_conv2"),
        ("saved-model", "vgg16/block4_conv2/Relu"),
        ("saved-model", "block4_conv2/BiasAdd"),
        ("keras3", "block4_conv2/Relu"),
        ("keras3", "vgg16/block4_conv2"),
        ("keras3", "vgg16_1/block4_conv2_1"),
        ("tflite", "vgg16/block4_conv2/Relu"),
        ("tflite", "vgg16/block4_conv2"),
        ("torchscript", "features.20"),
        ("torchscript", "features/features.20/Relu"),
        ("torchscript", "/features/features.19/Conv"),
        ("torch-old", "Conv_19"),
        ("torch-old", "features.19.bias"),
        ("dynamo", "node_conv2d_8"),
        ("dynamo", "features.20"),
        ("gluon", "vgg0_conv8"),
        ("gluon", "vgg0_conv8_weight"),
        ("caffe2", "conv4_2"),
        ("caffe2", "conv4_2_w_0"),
        ("cntk", "Convolution104"),
        ("cntk", "ReLU108"),
        ("gluon + quantised", "vgg0_conv8"),
        ("gluon + quantised", "vgg0_relu8"),
    ],
)
def test_an_exporters_own_names(tmp_path, spelling, query):
    spelt = spell(tmp_path, spelling)
    assert meant(Layers(read_graph(spelt.path)), query) == spelt.post["block4_conv2"]


CHAIN = [
    node("Conv", "x w", "c", "a/conv/Conv"),
    node("Relu", "c", "r", "a/conv/Relu"),
    node("Conv", "r v", "d", "b/conv_1/Conv"),
    node("Relu", "d", "y", "b/conv_1/Relu"),
]
WEIGHTS = [weight("w", 3, 2, 1, 1), weight("v", 3, 3, 1, 1)]


def manifest(**names):
    return SimpleNamespace(layers=names)


def test_earlier_steps_win(layers):
    # Every name below could be that of the second convolution by its place.
    name = "block1_conv2"
    assert meant(layers(CHAIN, WEIGHTS), name) == "y"
    assert meant(layers(CHAIN, WEIGHTS), name, "pre") == "d"
    by_weight = [weight(f"{name}.weight", 3, 2, 1, 1), WEIGHTS[1]]
    nodes = [node("Conv", f"x {name}.weight", "c"), *CHAIN[1:]]
    assert meant(layers(nodes, by_weight), name) == "c"
    assert layers(nodes, by_weight).rows[2].alias == ""
    by_scope = [*CHAIN[:1], node("Relu", "c", "r", f"{name}/Relu"), *CHAIN[2:]]
    assert meant(layers(by_scope, WEIGHTS), name) == "r"
    by_node = [node("Conv", "x w", "c", name), *CHAIN[1:]]
    assert meant(layers(by_node, WEIGHTS), name) == "r"
    assert meant(layers(by_node, WEIGHTS), name, "pre") == "c"
    by_tensor = [node("Conv", "x w", name), node("Relu", name, "r"), *CHAIN[2:]]
    assert meant(layers(by_tensor, WEIGHTS), name) == name
    stated = layers(by_tensor, WEIGHTS, manifest(**{name: "r"}))
    assert (meant(stated, name), meant(stated, name, "pre")) == ("r", name)
    assert [row.alias for row in stated.rows] == [name, "", "", ""]


def test_names_of_a_manifest(layers):
    found = layers(CHAIN, WEIGHTS, manifest(first="c", last="y", given="x"))
    assert meant(found, "first") == "c"
    assert meant(found, "last", "pre") == "d"
    assert found.resolve("last")[0].words == "conv 2, after ReLU"
    assert meant(found, "given") == "x"
    assert [row.alias for row in found.rows] == ["first", "", "last", ""]
    with pytest.raises(ModelError, match="its manifest calls a tensor 'z' 'wrong'"):
        layers(CHAIN, WEIGHTS, manifest(wrong="z"))


def test_the_built_in_network_after_its_manifest():
    from cnntool.nets.models.catalog import find

    found = find("vgg16-mini")
    known = Layers(read_graph(found.file), found.spec)
    for name, tensor in found.spec.layers.items():
        assert meant(known, name) == tensor
    assert meant(known, "block4_conv2") == "block4_conv2/Relu"
    assert meant(known, "block4_conv2", "pre") == "block4_conv2"


def test_patterns(layers):
    found = layers(CHAIN, WEIGHTS)

    def tensors(pattern, at="post"):
        return [one.tensor for one in found.resolve(pattern, at=at)]

    assert tensors("block1_*") == ["r", "y"]
    assert tensors("block1_*", "pre") == ["c", "d"]
    assert tensors("block1_conv[2-9]") == ["y"]
    assert tensors("conv*") == ["r", "y"]
    assert tensors("?") == ["r", "y"]  # the scopes a and b
    assert tensors("[cd]") == ["c", "d"]  # tensors are literal
    assert tensors("a/*/Conv") == ["r"]
    assert found.resolve("block1_*")[1].text == "block1_* -> y (conv 2, after ReLU)"
    with pytest.raises(ModelError, match=r"no layer is called 'block9_\*'"):
        found.resolve("block9_*")


def test_a_pattern_prefers_the_manifest(layers):
    found = layers(CHAIN, WEIGHTS, manifest(block1_all="d"))
    assert [one.tensor for one in found.resolve("block1_*")] == ["r", "d"]


def test_several_things_are_listed_never_guessed(layers):
    with pytest.raises(ModelError) as raised:
        layers(CHAIN, WEIGHTS).resolve("Conv", at="pre")
    assert str(raised.value) == "net.onnx: 'Conv' may mean 2 tensors: c, d"
    assert raised.value.hint == "name one of them exactly; see 'cnntool layers net.onnx'"
    nodes = [node("Relu", "x", f"r{i}", "same") for i in range(9)]
    with pytest.raises(ModelError, match="9 tensors: r0, r1, r2, r3, r4, r5 and 3 more"):
        layers([*nodes, node("Sum", " ".join(f"r{i}" for i in range(9)), "y")]).resolve("same")


def test_shared_weights_mean_several_layers(layers):
    nodes = [node("Conv", "x w", "c"), node("Conv", "c w", "y")]
    with pytest.raises(ModelError, match="'w' may mean 2 tensors: c, y"):
        layers(nodes, [weight("w", 2, 2, 1, 1)]).resolve("w")


@pytest.mark.parametrize("query", ["block1_conv3", "#5", "#-5", "elu:1", ""])
def test_nothing_is_called_so(layers, query):
    with pytest.raises(ModelError) as raised:
        layers(CHAIN, WEIGHTS).resolve(query)
    assert str(raised.value) == f"net.onnx: no layer is called {query!r}"
    near, _, see = raised.value.hint.partition("; ")
    assert near.startswith("the nearest: ")
    assert len(near.split(", ")) == 3
    assert see == "see 'cnntool layers net.onnx'"


@pytest.mark.parametrize("query", ["conv:0", "conv:3", "Conv:40"])
def test_a_number_that_is_too_large_is_told_how_many_there_are(layers, query):
    with pytest.raises(ModelError, match=f"no layer is called '{query}'") as raised:
        layers(CHAIN, WEIGHTS).resolve(query)
    assert raised.value.hint == "it has conv:1 to conv:2"


def test_who_asks_for_fc1_is_told_the_dense_layers_that_there_are():
    from cnntool.nets.models.catalog import find

    found = find("vgg16-mini")
    known = Layers(read_graph(found.file), found.spec)
    for query in ("fc1", "fc2", "dense_1"):
        with pytest.raises(ModelError) as raised:
            known.resolve(query)
        assert raised.value.hint.startswith("its dense layer is predictions; see")


def test_the_nearest_names(layers):
    with pytest.raises(ModelError) as raised:
        layers(CHAIN, WEIGHTS).resolve("blokc1_conv2")
    assert raised.value.hint.startswith("the nearest: block1_conv2, block1_conv1, ")


def test_names_of_several_things_are_not_offered(layers):
    nodes = [
        node("Conv", "x w", "c", "first/same/Conv"),
        node("Relu", "c", "r", "second/same/Relu"),
        node("Conv", "r v", "y", "only/Conv"),
    ]
    with pytest.raises(ModelError) as raised:
        layers(nodes, WEIGHTS).resolve("same_")
    nearest = raised.value.hint.removeprefix("the nearest: ").partition(";")[0]
    assert nearest.split(", ")[:2] == ["first/same", "second/same"]
    assert "same" not in nearest.split(", ")
    with pytest.raises(ModelError) as raised:
        layers(nodes, WEIGHTS).resolve("onlyy")
    assert raised.value.hint.startswith("the nearest: only, ")


# --- what is a layer


def kinds(found):
    return [f"{row.kind} {row.op}" for row in found.rows]


def test_what_only_moves_measures_or_converts_is_no_layer(layers):
    found = layers(
        [
            node("Identity", "x", "i"),
            node("Shape", "x", "s"),
            node("Gather", "s one", "n"),
            node("Concat", "n rest", "shape", axis=0),
            node("Cast", "i", "c", to=1),
            node("Mul", "c half", "m"),
            node("Transpose", "m", "t", perm=[0, 2, 3, 1]),
            node("Add", "t channels", "a"),
            node("Reshape", "a shape", "r"),
            node("Cast", "w8", "w", to=1),
            node("MatMul", "r w", "p"),
            node("Add", "p r", "y"),
        ],
        [
            numpy_helper.from_array(np.array([0]), "one"),
            numpy_helper.from_array(np.array([-1]), "rest"),
            numpy_helper.from_array(np.float32(0.5), "half"),
            weight("channels", 2),
            weight("w8", 72, 72, dtype="float16"),
        ],
    )
    assert kinds(found) == ["scale Add", "reshape Reshape", "dense MatMul", "add Add"]


def test_kinds(layers):
    scalars = {"zero": 0, "six": 6, "half": 0.5}
    found = layers(
        [
            node("Clip", "x zero six", "a"),
            node("Clip", "a half six", "b"),
            node("Min", "b six", "c"),
            node("Mul", "c x", "d"),
            node("Sub", "d x", "e"),
            node("ReduceMean", "e", "f", axes=[2, 3]),
            node("ReduceMean", "f", "g", axes=[1]),
            node("MatMul", "x g", "h"),
            node("ArgMax", "h", "j"),
            node("Gather", "table j", "k"),
            node("LSTM", "k w w", "l"),
            node("NonMaxSuppression", "l l", "y"),
        ],
        [
            *(numpy_helper.from_array(np.float32(v), name) for name, v in scalars.items()),
            weight("w", 1, 1, 1),
            weight("table", 3, 2),
        ],
    )
    assert kinds(found) == [
        "relu Clip",
        "activation Clip",
        "relu Min",
        "multiply Mul",
        "add Sub",
        "pool ReduceMean",
        "matmul MatMul",
        "embedding Gather",
        "recurrent LSTM",
        "other NonMaxSuppression",
    ]


def test_operators_of_unknown_domains_are_layers_of_unknown_kind(tmp_path):
    model = build([node("Conv", "x", "y", domain="my.own")])
    model.opset_import.add(domain="my.own", version=1)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    assert [(row.kind, row.alias) for row in Layers(read_graph(path)).rows] == [("other", "")]


ACTIVATIONS = {
    "SiLU": [node("Sigmoid", "c", "s"), node("Mul", "c s", "y")],
    "hard swish": [
        node("Add", "c three", "p"),
        node("Clip", "p zero six", "q"),
        node("Mul", "c q", "m"),
        node("Div", "m six", "y"),
    ],
    "GELU": [
        node("Div", "c root", "p"),
        node("Erf", "p", "q"),
        node("Add", "q one", "s"),
        node("Mul", "c s", "m"),
        node("Mul", "m half", "y"),
    ],
    "Mish": [node("Softplus", "c", "p"), node("Tanh", "p", "q"), node("Mul", "q c", "y")],
    "clip": [node("Clip", "c one six", "y")],
    "ReLU6": [node("Clip", "c zero six", "y")],
    "leaky ReLU": [node("LeakyRelu", "c", "y")],
}
NUMBERS = {"zero": 0, "one": 1, "three": 3, "six": 6, "half": 0.5, "root": 2**0.5}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_that_are_spelt_out(layers, name):
    weights = [numpy_helper.from_array(np.float32(v), key) for key, v in NUMBERS.items()]
    found = layers(
        [node("Conv", "x w", "c", "conv"), *ACTIVATIONS[name]], [*weights, weight("w", 3, 2, 1, 1)]
    )
    assert found.resolve("conv:1")[0].text == f"conv:1 -> y (conv 1, after {name})"
    assert found.resolve("conv:1", at="pre")[0].tensor == "c"
    assert len(found.rows) == 2
    assert found.rows[1].pre == "y"


@pytest.mark.parametrize(
    ("conv", "bias", "kernel", "joined"),
    [
        (node("Conv", "x w", "c"), (3, 1, 1), (3, 2, 1, 1), True),
        (node("Conv", "x w", "c"), (1, 3, 1, 1), (3, 2, 1, 1), True),
        (node("Conv", "x w", "c"), (2, 1, 1), (3, 2, 1, 1), False),
        (node("Conv", "x w", "c"), (1, 3, 6, 6), (3, 2, 1, 1), False),
        (node("Conv", "x w", "c"), (6,), (3, 2, 1, 1), False),
        (node("Conv", "x w w", "c"), (3, 1, 1), (3, 2, 1, 1), False),
        (node("ConvTranspose", "x w", "c", group=2), (6, 1, 1), (2, 3, 1, 1), True),
        (node("ConvTranspose", "x w", "c"), (2, 1, 1), (2, 3, 1, 1), False),
        (node("MatMul", "x w", "c"), (3,), (6, 3), True),
        (node("MatMul", "x w", "c"), (3, 1), (6, 3), False),
        (node("Gemm", "x w", "c", transB=1), (3,), (3, 6), True),
        (node("Gemm", "x w w", "c"), (3,), (6, 3), False),
    ],
)
def test_what_is_a_bias(layers, conv, bias, kernel, joined):
    nodes = [conv, node("Add", "b c", "a"), node("Relu", "a", "y")]
    found = layers(nodes, [weight("w", *kernel), weight("b", *bias)])
    assert len(found.rows) == 3 - joined
    assert found.rows[0].pre == ("a" if joined else "c")
    assert found.rows[0].after == ("ReLU" if joined else "scale and ReLU")


def test_a_gate_over_whole_maps_is_no_activation(layers):
    found = layers(
        [
            node("Conv", "x w", "c"),
            node("GlobalAveragePool", "c", "g"),
            node("Sigmoid", "g", "s"),
            node("Mul", "c s", "y"),
        ],
        [weight("w", 3, 2, 1, 1)],
    )
    assert meant(found, "conv:1") == "c"
    assert [row.kind for row in found.rows] == ["conv", "pool", "activation", "multiply"]


def test_the_norm_and_the_activation_that_follow(layers):
    norm = [weight(name, 3) for name in "klmn"]
    found = layers(
        [
            node("Conv", "x w", "c"),
            node("BatchNormalization", "c k l m n", "b"),
            node("Mul", "b column", "s"),
            node("Relu", "s", "r"),
            node("BatchNormalization", "r k l m n", "y"),
        ],
        [weight("w", 3, 2, 1, 1), weight("column", 3, 1, 1), *norm],
    )
    said = "conv:1 -> r (conv 1, after batch norm, scale and ReLU)"
    assert found.resolve("conv:1")[0].text == said


def test_a_result_that_is_used_twice_ends_the_layer(layers):
    found = layers(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "c r", "y")],
        [weight("w", 3, 2, 1, 1)],
    )
    assert meant(found, "conv:1") == "c"


def test_dynamic_quantisation_counts_like_a_convolution(layers):
    codes = [numpy_helper.from_array(np.zeros((3, 2, 3, 3), np.uint8), "w")]
    found = layers(
        [
            node("DynamicQuantizeLinear", "x", "q s z"),
            node("ConvInteger", "q w z", "i"),
            node("Cast", "i", "f", to=1),
            node("Mul", "s ws", "scale"),
            node("Mul", "f scale", "m"),
            node("Add", "m bias", "a"),
            node("Relu", "a", "y"),
        ],
        [*codes, numpy_helper.from_array(np.float32(1), "ws"), weight("bias", 1, 3, 1, 1)],
    )
    assert kinds(found) == ["conv ConvInteger", "relu Relu"]
    assert found.resolve("conv:1", at="pre")[0].text == "conv:1 -> a (conv 1, before ReLU)"
    assert meant(found, "conv:1") == "y"


def test_quantised_operators(layers):
    scales = [
        numpy_helper.from_array(np.float32(1), "s"),
        numpy_helper.from_array(np.uint8(0), "z"),
    ]
    codes = [numpy_helper.from_array(np.zeros((3, 2, 3, 3), np.uint8), "w")]
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w s z s z", "c", "conv_quant"),
        node("QLinearConv", "c s z w2 s z s z", "d"),
        node("DequantizeLinear", "d s z", "y"),
    ]
    more = numpy_helper.from_array(np.zeros((3, 3, 1, 1), np.uint8), "w2")
    found = layers(nodes, [*scales, *codes, more])
    cut = "after the ReLU in its quantisation"  # the smallest number stands for 0
    assert found.resolve("conv")[0].text == f"conv -> c (conv 1, {cut}, quantised)"
    assert found.resolve("conv:2")[0].text == f"conv:2 -> y (conv 2, {cut}, dequantised)"
    scales[1] = numpy_helper.from_array(np.uint8(3), "z")
    found = layers(nodes, [*scales, *codes, more])
    assert found.resolve("conv")[0].text == "conv -> c (conv 1, quantised)"
    assert found.resolve("conv:2")[0].text == "conv:2 -> y (conv 2, dequantised)"


# --- real networks


@real_networks
def test_all_convolutions_of_real_networks_by_every_name(path):
    graph = read_graph(path)
    found = Layers(graph)
    convolutions = [row for row in found.rows if row.kind == "conv"]
    assert len(convolutions) == sum(n.op in {"Conv", "ConvTranspose"} for n in graph.nodes)
    for number, row in enumerate(convolutions, 1):
        assert row.alias
        assert found.resolve(row.pre) == found.resolve(row.pre, at="pre")
        assert meant(found, row.pre) == row.pre
        for at in ("post", "pre"):
            assert meant(found, f"conv:{number}", at) == row.at(at)
            assert meant(found, f"#{row.number}", at) == row.at(at)
            literal = row.alias in graph.producer_of  # an exact tensor is what it is
            assert meant(found, row.alias, at) == (row.alias if literal else row.at(at))
        if row.node:
            reached = {one.tensor for one in found.resolve(row.node)}
            assert reached == {row.node if row.node in graph.producer_of else row.post}


def test_keras_names_on_three_real_exports():
    own = {"keras3-tf2onnx": ("vgg16_1/{}_1/Relu:0", "vgg16_1/{}_1/MaxPool2d:0")}
    for path in EXPORTS:
        graph = read_graph(path)
        found = Layers(graph)
        ops = [n for n in graph.nodes if n.op in {"Relu", "MaxPool"}]
        by_op = {op: [n.outputs[0] for n in ops if n.op == op] for op in ("Relu", "MaxPool")}
        for name, tensor in zip(CONVOLUTIONS, by_op["Relu"], strict=False):
            assert meant(found, name) == tensor
        assert [meant(found, name) for name in POOLS] == by_op["MaxPool"]
        assert [meant(found, name) for name in ("fc1", "fc2")] == by_op["Relu"][-2:]
        assert meant(found, "predictions") == graph.outputs[0].name
        assert found.resolve("flatten")[0].layer.op in {"Reshape", "Flatten"}
        for form in own.get(path.stem.partition(".")[2], ())[:1]:
            assert meant(found, "block4_conv2") == form.format("block4_conv2")


# --- names as such


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("StatefulPartitionedCall/vgg16/block1_conv1/Relu:0", "vgg16/block1_conv1/Relu"),
        ("a/Relu6;a/add_fold;b/Conv2D_prequant", "a/Relu6"),
        ("/features/features.19/Conv_output_0", "features/features.19/Conv"),
        ("Convolution28_Output_0", "Convolution28"),
        ("vgg0_conv8_fwd", "vgg0_conv8"),
        ("Relu6__5:0", "Relu6"),
        ("conv1_quant", "conv1"),
        ("conv1_quantized", "conv1"),
        ("relu_QuantizeLinear", "relu"),
        ("relu_DequantizeLinear_Output", "relu"),
        ("Logits/AvgPool_prequant", "Logits/AvgPool"),
        ("input.4", "input.4"),
        ("65", "65"),
        (":0", ":0"),
    ],
)
def test_decoration(name, left):
    assert plain(name) == left


@pytest.mark.parametrize(
    ("weight_name", "module"),
    [
        ("features.19.weight", "features.19"),
        ("layer1.0.bn1.running_mean", "layer1.0.bn1"),
        ("vgg0_conv8_weight", "vgg0_conv8"),
        ("conv4_2_w_0", "conv4_2"),
        ("block1_conv1/kernel", "block1_conv1"),
        ("onnx::Conv_497", ""),
    ],
)
def test_owners_of_weights(weight_name, module):
    assert owner(weight_name) == module


def test_modules_within_modules(layers):
    nodes = [
        node("Conv", "x w", "c", "/layer1/layer1.0/conv1/Conv"),
        node("Relu", "c", "r", "/layer1/layer1.0/relu/Relu"),
        node("Conv", "r v", "d", "/layer1/layer1.0/downsample/downsample.0/Conv"),
        node("Add", "d r", "y", "/layer1/layer1.0/Add"),
    ]
    found = layers(nodes, WEIGHTS)
    assert meant(found, "layer1.0.conv1") == "c"
    assert meant(found, "layer1.0.downsample.0") == "d"
    assert meant(found, "layer1.0") == meant(found, "layer1") == "y"
    assert meant(found, "layer1.0", "pre") == "d"


# --- what is made to confuse


@pytest.mark.full
def test_deep_and_wide_graphs_are_walked_in_time(layers):
    deep = [node("Conv", "x w", "t0")]
    for i in range(3000):
        deep += [node("Identity", f"t{i}", f"i{i}"), node("Conv", f"i{i} w", f"t{i + 1}", "same")]
    found = layers(deep, [weight("w", 2, 2, 1, 1)], outputs=("t3000",))
    assert found.resolve("conv:-1")[0].layer.alias == "block1_conv3001"
    wide = [node("Sigmoid", "x", f"s{i}") for i in range(3000)]
    wide += [node("Mul", f"s{i} x", f"m{i}") for i in range(3000)]
    found = layers(wide, outputs=("m1",))
    assert len(found.rows) == 6000


@given(st.text(max_size=40))
def test_any_query_finds_something_or_fails_in_one_way(tmp_path_factory, query):
    path = tmp_path_factory.getbasetemp() / "query.onnx"
    if not path.exists():
        path.write_bytes(build(CHAIN, WEIGHTS).SerializeToString())
    found = Layers(read_graph(path))
    try:
        reached = found.resolve(query)
    except ModelError as error:
        near, _, see = error.hint.partition("; ")
        nearest = near.removeprefix("the nearest: ").split(", ")
        reached = [found.resolve(name)[0] for name in nearest if "may mean" not in str(error)]
        assert see.startswith("see 'cnntool layers ")
    assert {one.tensor for one in reached} <= {*"xcrdy"}
