"""Modules: the name of one means the tensor that leaves it, whoever exported the network."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper
from tiny import build, weight

from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers

NOTE, CLASSES, CALL = (
    f"pkg.torch.onnx.{key}" for key in ("name_scopes", "class_hierarchy", "fx_node")
)
KERNEL = weight("w", 2, 2, 1, 1)


def node(op, inputs, outputs, name="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name, **attributes)


def noted(op, inputs, output, modules, *, kind="", call=""):
    """Write a node as PyTorch's newer exporter does."""
    made = node(op, inputs, output, f"node_{output}")
    parts = modules.split(".") if modules else []
    scopes = ["", *(".".join(parts[: end + 1]) for end in range(len(parts))), output]
    for key, value in ((NOTE, str(scopes)), (CLASSES, str([kind, "aten"]) if kind else ""),
                       (CALL, call)):  # fmt: skip
        if value:
            made.metadata_props.add(key=key, value=value)
    return made


def scripted(op, inputs, path):
    """Write a node as PyTorch's older exporter does; its result has its name."""
    return node(op, inputs, path, path)


@pytest.fixture
def layers(tmp_path):
    """Write a graph and read its layers."""

    def make(nodes, weights=(KERNEL,), **settings):
        used = {name for n in nodes for name in n.input}
        last = [name for n in nodes for name in n.output if name not in used]
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        model = build(nodes, weights, outputs=settings.pop("outputs", last), **settings)
        path.write_bytes(model.SerializeToString())
        return Layers(read_graph(path, name="net.onnx"))

    return make


def meant(found, query, at="post"):
    (one,) = found.resolve(query, at=at)
    return one.tensor


def refusal(found, query):
    with pytest.raises(ModelError) as raised:
        found.resolve(query)
    return f"{raised.value}; {raised.value.hint}"


# --- what leaves a module


def residual(write, prefix=""):
    """Write a block that adds what comes in, within modules."""
    p = prefix
    return [
        write("Conv", "x w", f"{p}conv1"),
        write("Relu", f"{p}conv1", f"{p}relu"),
        write("Conv", f"{p}relu w", f"{p}layer1.0.conv1"),
        write("Relu", f"{p}layer1.0.conv1", f"{p}layer1.0.relu"),
        write("Conv", f"{p}layer1.0.relu w", f"{p}layer1.0.conv2"),
        write("Conv", f"{p}relu w", f"{p}layer1.0.downsample.0"),
        write("Add", f"{p}layer1.0.conv2 {p}layer1.0.downsample.0", f"{p}layer1.0+Add"),
        write("Relu", f"{p}layer1.0+Add", f"{p}layer1.0.relu#2"),
        write("GlobalAveragePool", f"{p}layer1.0.relu#2", f"{p}avgpool"),
    ]


def as_noted(op, inputs, module):
    modules = module.partition("+")[0].partition("#")[0]
    return noted(op, inputs, module, modules)


def as_scripted(op, inputs, module):
    def spelt(name):
        if name in {"x", "w"}:
            return name
        modules, _, own = name.partition("+")
        modules, _, call = modules.partition("#")
        parts, path, last = modules.split("."), "", ""
        for part in parts:
            last = f"{last}.{part}" if part.isdecimal() else part
            path += f"/{last}"
        op_of = {"relu": "Relu", "avgpool": "GlobalAveragePool"}.get(parts[-1], "Conv")
        return f"{path}{'_1' if call else ''}/{own or op_of}"

    return node(op, " ".join(map(spelt, inputs.split())), spelt(module), spelt(module))


ANSWERS = {
    "conv1": "conv1",
    "relu": "relu",
    "layer1.0.conv1": "layer1.0.conv1",
    "layer1.0.relu": "layer1.0.relu",
    "layer1.0.relu#2": "layer1.0.relu#2",
    "layer1.0.downsample": "layer1.0.downsample.0",
    "layer1.0.downsample.0": "layer1.0.downsample.0",
    "layer1.0": "layer1.0.relu#2",
    "layer1": "layer1.0.relu#2",
    "avgpool": "avgpool",
}


@pytest.mark.parametrize("write", [as_noted, as_scripted])
@pytest.mark.parametrize("prefix", ["", "model.", "module.net."])
def test_a_modules_output_is_what_leaves_it(layers, write, prefix):
    nodes = residual(write, prefix)
    tensors = [write("Relu", "x", f"{prefix}{name}").output[0] for name in ANSWERS.values()]
    found = layers(nodes)
    assert [meant(found, f"{prefix}{name}") for name in ANSWERS] == tensors
    assert meant(found, "conv1") == tensors[0]  # complete, but for what wraps the whole network
    if prefix:
        assert meant(found, prefix.rstrip(".")) == tensors[-1]


def test_a_pattern_finds_the_same_layers_in_both_exports_of_pytorch(layers):
    both = [layers(residual(write)) for write in (as_noted, as_scripted)]
    for pattern in ("layer1.*", "*conv*", "*.relu", "*relu#2", "l*", "[cr]*"):
        places = []
        for found in both:
            order = list(found.flow.graph.producer_of)
            try:
                places.append([order.index(one.tensor) for one in found.resolve(pattern)])
            except ModelError as error:
                places.append(str(error))
        assert places[0] == places[1]
    assert len(both[0].resolve("layer1.*")) == 5
    assert len(both[0].resolve("*relu#2")) == 1


def test_a_module_that_is_called_twice_says_which_call_is_meant(layers):
    for write in (as_noted, as_scripted):
        found = layers(residual(write))
        (first,), (second,) = found.resolve("layer1.0.relu"), found.resolve("layer1.0.relu#2")
        assert (first.words, second.words) == ("relu 2, call 1 of 2", "relu 3, call 2 of 2")
        assert meant(found, "layer1.0.relu#1") == first.tensor
        assert "'layer1.0.relu' is called 2 times" in refusal(found, "layer1.0.relu#3")
        assert "'layer1.0' is called once" in refusal(found, "layer1.0#2")
        assert "no layer is called" in refusal(found, "layer1.0.relu#0")


def test_a_module_that_takes_several_results_in_is_not_what_it_takes(layers):
    found = layers(
        [
            scripted("Conv", "x w", "/features/conv0/Conv"),
            scripted("Concat", "/features/conv0/Conv x", "/features/denselayer1/Concat"),
            scripted("Relu", "/features/denselayer1/Concat", "/features/denselayer1/relu1/Relu"),
            scripted(
                "Conv", "/features/denselayer1/relu1/Relu v", "/features/denselayer1/conv1/Conv"
            ),
            scripted(
                "Concat",
                "/features/conv0/Conv /features/denselayer1/conv1/Conv",
                "/features/Concat",
            ),
        ],
        [KERNEL, weight("v", 2, 4, 1, 1)],
    )
    assert meant(found, "features.denselayer1") == "/features/denselayer1/conv1/Conv"
    assert meant(found, "features") == "/features/Concat"


def test_a_module_that_gives_several_results_is_refused_with_all_of_them(layers):
    found = layers(
        [
            scripted("Conv", "x w", "/two/a/Conv"),
            scripted("Relu", "/two/a/Conv", "/two/Relu"),
            scripted("Add", "/two/a/Conv /two/Relu", "/Add"),
        ]
    )
    assert "'two' may mean 2 tensors: /two/a/Conv, /two/Relu" in refusal(found, "two")
    assert [one.tensor for one in found.resolve("tw*o")] == ["/two/a/Conv", "/two/Relu"]


def test_a_loop_within_a_module_is_not_taken_for_calls_of_it(layers):
    nodes, before = [], "x"
    for turn in range(4):
        nodes.append(noted("Conv", f"{before} w", f"c{turn}", "body.conv"))
        nodes.append(noted("Relu", f"c{turn}", f"r{turn}", "body.act"))
        before = f"r{turn}"
    found = layers(nodes)
    assert "'body' may mean 4 tensors: r0, r1, r2, r3" in refusal(found, "body")
    assert meant(found, "body.conv#3") == "c2"
    (one,) = found.resolve("body.conv")
    assert one.words == "conv 1, before ReLU, call 1 of 4"


def test_a_sequential_has_no_loops_and_nor_have_pytorchs_own_modules(layers):
    kind = "torch.nn.modules.activation.ReLU"
    nodes = [
        noted("Conv", "x w", "c0", "block.0"),
        noted("Relu", "c0", "r0", "block.1"),
        noted("Conv", "r0 w", "c1", "block.0"),
        noted("Relu", "c1", "r1", "block.1"),
        noted("Relu", "r1", "a0", "act", kind=kind),
        noted("Relu", "a0", "a1", "act", kind=kind),
        noted("Relu", "a1", "y0", "own", kind="__main__.Own"),
        noted("Relu", "y0", "y1", "own", kind="__main__.Own"),
    ]
    found = layers(nodes)
    assert [meant(found, name) for name in ("block", "block#2", "act", "act#2")] == [
        "r0",
        "r1",
        "a0",
        "a1",
    ]
    assert "'own' may mean 2 tensors" in refusal(found, "own")


def test_what_torchscript_counts_is_a_call_only_if_it_does_the_same_work(layers):
    weights = [KERNEL, weight("conv.weight", 2, 2, 1, 1), weight("conv_1.weight", 2, 2, 1, 1)]
    other = weight("onnx::Conv_9", 2, 2, 1, 1, seed=3)
    same = numpy_helper.from_array(numpy_helper.to_array(KERNEL), "onnx::Conv_10")
    for named, calls in (
        ("conv_1.weight", 1),
        ("onnx::Conv_9", 1),
        ("onnx::Conv_10", 2),
        ("conv.weight", 2),
    ):
        first = "conv.weight" if "weight" in named else "w"
        found = layers(
            [
                scripted("Conv", f"x {first}", "/conv/Conv"),
                scripted("Conv", f"/conv/Conv {named}", "/conv_1/Conv"),
                scripted("Relu", "/conv_1/Conv", "/relu/Relu"),
                scripted("Relu", "/relu/Relu", "/relu_1/Relu"),
                scripted("Sigmoid", "/relu_1/Relu", "/relu_1/Sigmoid"),
            ],
            [*weights, other, same],
        )
        assert meant(found, "conv") == "/conv/Conv"
        assert meant(found, "conv_1") == "/conv_1/Conv"
        assert ("call 1 of 2" in found.resolve("conv")[0].text) == (calls == 2)
        assert "relu" in refusal(found, "relu#2")


def test_a_module_wins_over_a_tensor_of_its_name_and_says_so(layers):
    nodes = [
        noted("Softmax", "x", "permute", "features.1"),
        noted("Relu", "permute", "relu", "act"),
        noted("Transpose", "relu", "permute_1", "permute"),
        noted("Relu", "permute_1", "y", ""),
    ]
    found = layers(nodes)
    (one,) = found.resolve("permute")
    assert (one.tensor, one.words) == ("permute_1", "not the tensor permute")
    assert meant(found, "node_permute") == "permute"
    assert meant(found, "relu") == "relu"  # no module has this name
    assert [row.short_name for row in found.rows] == ["softmax:1", "relu", "y"]
    # An output's name is somebody's choice: he may mean either.
    found = layers([*nodes[:3], noted("Relu", "permute_1", "act", "")])
    assert "'act' may mean 2 tensors: relu, act" in refusal(found, "act")


def test_the_end_of_a_path_is_no_module_of_pytorch(layers):
    found = layers(
        [
            scripted("Conv", "x w", "/stem/Conv"),
            scripted("Relu", "/stem/Conv", "/patch_embed/norm/Relu"),
        ]
    )
    # A norm of the whole network that does nothing leaves no trace.
    assert "no layer is called 'norm'; the nearest: patch_embed.norm" in refusal(found, "norm")


def test_changes_of_shape_that_became_one_are_no_output(layers):
    def joined(call):
        return layers(
            [
                noted("Conv", "x w", "conv2d", "stem", call="%conv2d : [x]"),
                noted(
                    "Transpose",
                    "conv2d",
                    "permute",
                    "last",
                    call="%permute : [x](args = (%conv2d,))",
                ),
                noted(
                    "Reshape",
                    "permute s",
                    "view_2",
                    "next",
                    call=f"%view_2 : (args = ({call}, [1]))",
                ),
            ],
            [KERNEL, numpy_helper.from_array(np.array([1, -1]), "s")],
        )

    assert meant(joined("%permute"), "last") == "permute"
    assert meant(joined("%clone_1"), "last") == "permute"
    assert "what 'last' gives cannot be told" in refusal(joined("%view_1"), "last")


# --- batch norms that are folded in


def test_a_batch_norm_in_a_convolution_is_told_of(layers):
    said = "conv 1 with its batch norm, before ReLU"
    bias = [weight("b", 2), weight("onnx::Conv_3", 2, 2, 1, 1), weight("onnx::Conv_4", 2)]
    folded = layers(
        [
            scripted("Conv", "x onnx::Conv_3 onnx::Conv_4", "/conv1/Conv"),
            scripted("Relu", "/conv1/Conv", "/relu/Relu"),
        ],
        bias,
    )
    assert folded.resolve("conv1")[0].words == said
    plain = layers(
        [
            scripted("Conv", "x onnx::Conv_3 b", "/conv1/Conv"),
            scripted("Relu", "/conv1/Conv", "/relu/Relu"),
        ],
        bias,
    )
    assert plain.resolve("conv1")[0].words == "conv 1, before ReLU"
    assert "no layer is called 'bn1'" in refusal(folded, "bn1")
    taken = node("Conv", "x layer.conv1.weight b", "getitem", "node_Conv_1")
    scopes = "['', 'layer', 'layer.bn1', '_native_batch_norm_legit_no_training']"
    taken.metadata_props.add(key=NOTE, value=scopes)
    found = layers(
        [noted("Relu", "x", "r", "layer.relu"), taken, noted("Relu", "getitem", "y", "act")],
        [weight("layer.conv1.weight", 2, 2, 1, 1), weight("b", 2)],
    ) if taken.input.__setitem__(0, "r") is None else None  # fmt: skip
    assert {meant(found, name) for name in ("layer.conv1", "layer.bn1", "layer")} == {"getitem"}
    assert found.resolve("layer.conv1")[0].words == said


# --- Keras 3


def keras(*calls):
    """Write convolutions one after another, in the scopes given, each with its ReLU."""
    nodes, before = [], "x"
    for scope in calls:
        nodes.append(node("Conv", f"{before} w", f"{scope}/BiasAdd:0", f"{scope}/BiasAdd"))
        nodes.append(node("Relu", f"{scope}/BiasAdd:0", f"{scope}/Relu:0", f"{scope}/Relu"))
        before = f"{scope}/Relu:0"
    return nodes


@pytest.mark.parametrize("around", ["sequential_1/", "", "StatefulPartitionedCall/functional_3_1/"])
def test_where_all_names_got_a_number_they_count_without(layers, around):
    found = layers(keras(f"{around}conv2d_1", f"{around}conv2d_1_2", f"{around}conv2d_2_1"))
    for name, scope in (
        ("conv2d", "conv2d_1"),
        ("conv2d_1", "conv2d_1_2"),
        ("conv2d_2", "conv2d_2_1"),
    ):
        assert meant(found, name) == f"{around}{scope}/Relu:0"
        assert meant(found, name, "pre") == f"{around}{scope}/BiasAdd:0"
        if around:  # else it is the full name of a node
            assert meant(found, f"{name}/BiasAdd") == f"{around}{scope}/Relu:0"
        assert meant(found, f"{around}{scope}/Relu:0") == f"{around}{scope}/Relu:0"
        assert meant(found, f"{around}{scope}/BiasAdd", "pre") == f"{around}{scope}/BiasAdd:0"
    assert meant(found, "conv2d_2_1") == f"{around}conv2d_2_1/Relu:0"  # means nothing else
    assert [one.tensor for one in found.resolve("conv2d_*")] == [
        f"{around}{scope}/Relu:0" for scope in ("conv2d_1_2", "conv2d_2_1")
    ]
    assert "no layer is called 'conv2d_3'" in refusal(found, "conv2d_3")


def test_the_number_may_be_larger_and_counts_the_calls(layers):
    # conv2d_1 came first; then TensorFlow had no conv2d_1 left for conv2d.
    found = layers(keras("m_1/conv2d_1_1", "m_1/conv2d_2", "m_1/conv2d_4", "m_1/conv2d_2_2"))
    assert [meant(found, name) for name in ("conv2d_1", "conv2d", "conv2d#2", "conv2d_2")] == [
        f"m_1/{scope}/Relu:0" for scope in ("conv2d_1_1", "conv2d_2", "conv2d_4", "conv2d_2_2")
    ]
    assert found.resolve("conv2d")[0].words == "conv 2, after ReLU, call 1 of 2"


def test_a_name_in_both_readings_is_refused_with_both(layers):
    found = layers(keras("m_1/conv_1", "m_1/conv_1_1", "m_1/stem"))
    assert "'conv_1' may mean 2 tensors: m_1/conv_1/Relu:0, m_1/conv_1_1/Relu:0" in refusal(
        found, "conv_1"
    )
    assert meant(found, "stem") == "m_1/stem/Relu:0"
    assert meant(found, "conv") == "m_1/conv_1/Relu:0"
    # Where the model itself has no number, nothing was renamed.
    found = layers(keras("m/conv_1", "m/conv_1_1"))
    assert meant(found, "conv_1") == "m/conv_1/Relu:0"
    assert "no layer is called 'conv'" in refusal(found, "conv")


def test_operators_of_tensorflow_are_no_layers_of_keras(layers):
    nodes = keras("m_1/conv2d_1")
    nodes.append(node("Add", "m_1/conv2d_1/Relu:0 x", "m_1/add_1:0", "m_1/add_1"))
    nodes.append(node("Add", "m_1/add_1:0 x", "m_1/add_1_2/Add:0", "m_1/add_1_2/Add"))
    found = layers(nodes)
    assert meant(found, "add_1") == "m_1/add_1_2/Add:0"
    found = layers(nodes[:-1])
    assert "no layer is called 'add_1'" in refusal(found, "add_1")
    assert meant(found, "m_1/add_1") == "m_1/add_1:0"


def test_a_separable_convolution_is_its_pointwise_half(layers):
    found = layers(
        [
            node(
                "Conv",
                "x d",
                "m_1/sep_1/separable_conv2d/depthwise:0",
                "m_1/sep_1/separable_conv2d/depthwise",
                group=2,
            ),
            node(
                "Conv",
                "m_1/sep_1/separable_conv2d/depthwise:0 w",
                "m_1/sep_1/separable_conv2d:0",
                "m_1/sep_1/separable_conv2d",
            ),
            node("Relu", "m_1/sep_1/separable_conv2d:0", "m_1/act_1/Relu:0", "m_1/act_1/Relu"),
        ],
        [weight("d", 2, 1, 1, 1), KERNEL],
    )
    assert meant(found, "sep") == meant(found, "sep", "pre") == "m_1/sep_1/separable_conv2d:0"


def test_a_convolution_that_lost_its_name_is_known_by_its_weights(layers):
    kernel, bias = (
        "m_1/conv_pw_1_1/convolution/merged_input:0",
        "m_1/conv_pw_1_bn_1/batchnorm/sub:0",
    )
    other, added = "m_1/conv_dw_2_1/depthwise/ReadVariableOp:0", "m_1/conv_dw_2_1/Squeeze:0"
    found = layers(
        [
            node("Transpose", "x", "m_1/stem_1/Conv__3:0", "m_1/stem_1/Conv__3", perm=[0, 1, 2, 3]),
            node("Conv", "m_1/stem_1/Conv__3:0 w", "m_1/stem_1/Conv:0", "m_1/stem_1/Conv"),
            node("Conv", f"m_1/stem_1/Conv:0 {kernel} {bias}", "Conv__41:0", "Conv__41"),
            node("Relu", "Conv__41:0", "m_1/relu_1/Relu:0", "m_1/relu_1/Relu"),
            node("Conv", f"m_1/relu_1/Relu:0 {other} {added}", "Conv__43:0", "Conv__43"),
            node("Conv", "m_1/stem_1/Conv__3:0 w", "m_1/side_1/Conv:0", "m_1/side_1/Conv"),
            node("Add", "Conv__43:0 m_1/side_1/Conv:0", "Identity:0", "m_1/add_1/Add"),
        ],
        [
            KERNEL,
            *(weight(name, 2, 2, 1, 1) for name in (kernel, other)),
            weight(bias, 2),
            weight(added, 2),
        ],
    )
    said = "conv 2 with its batch norm, before ReLU"
    for name in ("conv_pw_1", "conv_pw_1_bn"):
        (one,) = found.resolve(name)
        assert (one.tensor, one.words) == ("Conv__41:0", said)
    (one,) = found.resolve("conv_dw_2")
    assert (one.tensor, one.words) == ("Conv__43:0", "conv 3")
    assert meant(found, "stem") == "m_1/stem_1/Conv:0"  # not what it is given, turned
    assert meant(found, "add") == "Identity:0"


def test_what_goes_on_in_the_next_layer_is_no_output(layers):
    offset = "m_1/rescaling_1/add:0"
    nodes = [
        node("Mul", "x half", "m_1/rescaling_1/mul:0", "m_1/rescaling_1/mul"),
        node(
            "Add",
            f"m_1/rescaling_1/mul:0 {offset}",
            "m_1/normalization_1/Sub:0",
            "m_1/normalization_1/Sub",
        ),
    ]
    half = numpy_helper.from_array(np.float32(0.5), "half")
    found = layers(nodes, [half, weight(offset, 1, 2, 1, 1)])
    assert "what 'rescaling' gives cannot be told" in refusal(found, "rescaling")
    assert meant(found, "normalization") == "m_1/normalization_1/Sub:0"


def test_tflite_joins_the_names_of_what_it_joined(layers):
    convolution = "m/act/Relu6;m/bn/FusedBatchNormV3;m/conv/Conv2D;m/pad/Pad;m/shared/add"
    addition = "m/last/Relu;m/add/add;m/shared/add"
    found = layers(
        [
            node("Conv", "x w", convolution, convolution),
            node("Clip", f"{convolution} zero six", "Relu6__5:0", "Relu6__5"),
            node("Add", "Relu6__5:0 x", addition, addition),
            node("Relu", addition, "Relu__7:0", "Relu__7"),
        ],
        [
            KERNEL,
            *(numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0), ("six", 6))),
        ],
    )
    assert [meant(found, name) for name in ("act", "bn", "conv", "add", "last")] == [
        "Relu6__5:0", convolution, convolution, addition, "Relu__7:0"
    ]  # fmt: skip
    assert found.resolve("conv")[0].words == "conv 1 with its batch norm, before ReLU6"
    for name in ("shared", "pad"):  # a constant of several nodes; what is done before
        assert f"no layer is called '{name}'" in refusal(found, name)


# --- quantised networks


def test_a_quantised_layer_says_if_its_relu_is_in_its_quantisation(layers):
    def quantised(zero):
        name = "/relu/Relu_output_0"
        return layers(
            [
                node("QuantizeLinear", "x s z", "q", "q"),
                node("DequantizeLinear", "q s z", "d", "d"),
                node("Conv", "d w", name, "/conv1/Conv"),
                node("QuantizeLinear", f"{name} s z", f"{name}_q", f"{name}_QuantizeLinear"),
                node("DequantizeLinear", f"{name}_q s z", f"{name}_d", f"{name}_DequantizeLinear"),
                node(
                    "GlobalAveragePool",
                    f"{name}_d",
                    "/pool/GlobalAveragePool",
                    "/pool/GlobalAveragePool",
                ),
            ],
            [
                KERNEL,
                numpy_helper.from_array(np.float32(1), "s"),
                numpy_helper.from_array(zero, "z"),
            ],
        )

    said = "conv 1, after the ReLU in its quantisation, dequantised"
    for zero in (np.uint8(0), np.int8(-128)):
        (one,) = quantised(zero).resolve("conv1")
        assert (one.tensor, one.words) == ("/relu/Relu_output_0_d", said)
        assert meant(quantised(zero), "relu") == one.tensor
        (own,) = quantised(zero).resolve("conv1", at="pre")
        assert own.words == "conv 1, before the ReLU in its quantisation"
    for zero in (np.uint8(3), np.int8(0)):
        assert quantised(zero).resolve("conv1")[0].words == "conv 1, dequantised"


# --- what is made to confuse


@pytest.mark.full
def test_many_modules_and_calls_take_no_time(layers):
    nodes, before = [], "x"
    for turn in range(4000):
        name = f"/block/act_{turn}/Relu" if turn else "/block/act/Relu"
        nodes.append(scripted("Relu", before, name))
        before = name
    found = layers(nodes)
    assert meant(found, "block.act#4000") == before
    assert "call 1 of 4000" in found.resolve("block.act")[0].text
    deep = [
        scripted("Relu", "x" if not turn else f"{'/a' * turn}/Relu", f"{'/a' * (turn + 1)}/Relu")
        for turn in range(300)
    ]
    assert "no layer is called 'b'" in refusal(layers(deep), "b")


def test_what_is_made_of_constants_alone_is_not_the_layer_that_takes_it(layers):
    table, kernel = weight("table", 4, 4), weight("attn.bias.weight", 4, 4)
    found = layers(
        [
            scripted("MatMul", "table attn.bias.weight", "/attn/bias/MatMul"),
            scripted("Sigmoid", "/attn/bias/MatMul", "/attn/Sigmoid"),
            scripted("Add", "x /attn/Sigmoid", "/attn/Add"),
            scripted("Relu", "/attn/Add", "/relu/Relu"),
        ],
        [table, kernel],
    )
    assert meant(found, "attn") == "/attn/Add"
    assert "'attn.bias' is made of constants alone" in refusal(found, "attn.bias")
    assert "no layer is called 'attn.bias.weight'" in refusal(found, "attn.bias.weight")
