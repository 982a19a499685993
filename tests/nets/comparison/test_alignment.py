"""Who is whose partner in two networks."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import EXPORTS, FIXTURES, Runtime, build, weight

from cnntool.errors import ModelError
from cnntool.nets.comparison.alignment import Side, align
from cnntool.nets.file.graph import read_graph
from cnntool.nets.layers.lookup import Layers

FOLDERS = count()


def side(folder, model):
    """Open one of two networks, with the shapes that the ``onnx`` package finds."""
    if not isinstance(model, onnx.ModelProto):
        model = onnx.load(model)
    path = folder / f"{next(FOLDERS)}.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    graph = read_graph(path)
    infos = (*graph.inputs, *graph.outputs, *graph.value_info.values())
    return Side(graph, Layers(graph), {info.name: info for info in infos})


def names(found):
    return [(pair.tensor_a, pair.tensor_b) for pair in found.pairs]


def kinds(rows):
    return [row.kind for row in rows]


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name=output, **attributes)


def values(graph, tensors, picture):
    """Run a network as it stands, without any optimisation."""
    model = onnx.load(graph.path)
    known = {info.name for info in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in known)
    runtime = Runtime(model.SerializeToString(), optimise="NONE")
    return runtime.run(dict.fromkeys(runtime.inputs, picture))


def assert_same(a, b, found, *, picture=None, bound=1e-5):
    """Compare the tensors of all pairs: they mean the same values."""
    shape = [n if isinstance(n, int) else 1 for n in a.graph.inputs[0].shape]
    picture = np.random.default_rng(5).random(shape, np.float32) if picture is None else picture
    one = values(a.graph, [pair.tensor_a for pair in found.pairs], picture)
    other = values(b.graph, [pair.tensor_b for pair in found.pairs], picture)
    for pair in found.pairs:
        left, right = one[pair.tensor_a], other[pair.tensor_b]
        right = right if pair.order is None else right.transpose(pair.order)
        error = np.abs(left - right.reshape(left.shape)).max()
        assert error <= bound * np.abs(left).max(), (pair.tensor_a, pair.tensor_b)


class Conv(NamedTuple):
    """A layer of a chain: its name is the same in both networks, but nothing looks at it."""

    name: str
    out: int
    seed: int
    relu: bool = True
    pool: bool = False
    skip: bool = False


def chain(layers, *, other=0):
    """Write a network of 3 x 3 convolutions; `other` gives it other weights."""
    nodes, weights, tensor, channels = [], [], "x", 2
    for layer in layers:
        weights.append(
            weight(f"w {layer.name}", layer.out, channels, 3, 3, seed=layer.seed + other)
        )
        made = layer.name
        nodes.append(helper.make_node("Conv", [tensor, f"w {made}"], [made], pads=[1, 1, 1, 1]))
        for wanted, op, more in (
            (layer.relu, "Relu", []),
            (layer.skip and layer.out == channels, "Add", [tensor]),
            (layer.pool, "MaxPool", []),
        ):
            if wanted:
                window = {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]} if op == "MaxPool" else {}
                nodes.append(helper.make_node(op, [made, *more], [f"{made} {op}"], **window))
                made += f" {op}"
        tensor, channels = made, layer.out
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["y"]))
    return build(nodes, weights)


def random_chain(rng, *, alike):
    """Draw layers: all of one shape, or of several."""
    layers = []
    for number in range(int(rng.integers(3, 9))):
        out = 4 if alike else int(rng.choice([3, 4, 6]))
        flags = rng.random(3) < (0.7, 0.2, 0.4)
        layers.append(Conv(f"layer{number}", out, 100 + number, *map(bool, flags)))
    return layers


def inserted(rng, layers):
    """Put in a layer that leaves the number of channels as it is."""
    place = int(rng.integers(0, len(layers) + 1))
    channels = layers[place - 1].out if place else 2
    new = Conv("new", channels, 999, bool(rng.random() < 0.5))
    return [*layers[:place], new, *layers[place:]]


def removed(rng, layers):
    """Take out a layer without which the rest still fits, if there is one."""
    fitting = [
        place
        for place, layer in enumerate(layers)
        if layer.out == (layers[place - 1].out if place else 2) and not (layer.pool or layer.skip)
    ]
    place = int(rng.choice(fitting)) if fitting else len(layers)
    return layers[:place] + layers[place + 1 :]


def assert_no_false_pair(found):
    for a, b in names(found):
        assert a.split()[0] == b.split()[0]


drawn = pytest.mark.parametrize(
    "seeds", [range(4), pytest.param(range(4, 200), marks=pytest.mark.full)], ids=["few", "many"]
)
"""Networks that are drawn at random."""


@drawn
@pytest.mark.parametrize("alike", [False, True])
def test_one_layer_inserted_and_one_removed(tmp_path, alike, seeds):
    """No false pair, and no layer lost."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        layers = random_chain(rng, alike=alike)
        changed = inserted(rng, removed(rng, layers))
        found = align(side(tmp_path, chain(layers)), side(tmp_path, chain(changed)))
        assert_no_false_pair(found)
        kept = {layer.name for layer in layers} & {layer.name for layer in changed}
        assert kept <= {pair.tensor_a.split()[0] for pair in found.pairs}, seed


@drawn
@pytest.mark.parametrize("alike", [False, True])
def test_other_weights_and_one_layer_more(tmp_path, alike, seeds):
    """What cannot be told has no partner."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        layers = random_chain(rng, alike=alike)
        changed = inserted(rng, layers)
        found = align(side(tmp_path, chain(layers)), side(tmp_path, chain(changed, other=500)))
        assert_no_false_pair(found)


@drawn
def test_other_weights(tmp_path, seeds):
    for seed in seeds:
        layers = random_chain(np.random.default_rng(seed), alike=bool(seed % 2))
        a, b = side(tmp_path, chain(layers)), side(tmp_path, chain(layers, other=500))
        found = align(a, b)
        assert {pair.why for pair in found.pairs} == {"structure"}
        assert [pair.b for pair in found.pairs] == [pair.a for pair in found.pairs]
        assert {layer.name for layer in layers} <= {one.split()[0] for one, _ in names(found)}
        assert (found.only_a, found.only_b) == ((), ())


def test_a_layer_with_other_weights_in_the_same_place_is_another(tmp_path):
    layers = [Conv(f"layer{n}", 4, n) for n in range(5)]
    changed = [*layers[:2], Conv("new", 4, 9), *layers[3:]]
    found = align(side(tmp_path, chain(layers)), side(tmp_path, chain(changed)))
    assert [a for a, _ in names(found)] == [f"layer{n} Relu" for n in (0, 1, 3, 4)] + ["y"]
    assert [row.pre for row in found.only_a] == ["layer2"]
    assert [row.pre for row in found.only_b] == ["new"]


@pytest.mark.parametrize("change", ["noise", "channel"])
def test_a_layer_whose_weights_have_changed_is_the_same(tmp_path, change):
    layers = [Conv(f"layer{n}", 4, n) for n in range(5)]
    a, b = chain(layers), chain(layers)
    numbers = numpy_helper.to_array(b.graph.initializer[2]).copy()
    if change == "noise":
        numbers += np.random.default_rng(1).normal(size=numbers.shape)
    else:
        numbers[1] *= -1.5
    b.graph.initializer[2].raw_data = numbers.astype(np.float32).tobytes()
    found = align(side(tmp_path, a), side(tmp_path, b))
    assert len(found.pairs) == 6
    assert (found.only_a, found.only_b) == ((), ())


def inception(order, *, seed=0):
    """Write four branches, of which two have equal shapes, in a given order of their nodes."""
    branches = (
        [node("Conv", "s w1", "one"), node("Relu", "one", "one r")],
        [
            node("Conv", "s w2", "two"),
            node("Relu", "two", "tworelu"),
            node("Conv", "tworelu w3", "three", pads=[1, 1, 1, 1]),
        ],
        [
            node("Conv", "s w4", "four"),
            node("Relu", "four", "fourrelu"),
            node("Conv", "fourrelu w5", "five", pads=[1, 1, 1, 1]),
        ],
        [
            node("MaxPool", "s", "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Conv", "pool w6", "six"),
        ],
    )
    return build(
        [
            node("Conv", "x w0", "s"),
            *(one for number in order for one in branches[number]),
            helper.make_node("Concat", ["one r", "three", "five", "six"], ["cat"], axis=1),
            node("Conv", "cat w7", "y"),
        ],
        [
            weight("w0", 4, 2, 3, 3, seed=seed),
            *(weight(f"w{n}", 5, 4, 1, 1, seed=seed + n) for n in (1, 2, 4, 6)),
            *(weight(f"w{n}", 5, 5, 3, 3, seed=seed + n) for n in (3, 5)),
            weight("w7", 3, 20, 1, 1, seed=seed + 7),
        ],
    )


@pytest.mark.parametrize("seed", [0, 50])
def test_branches_in_another_order(tmp_path, seed):
    """Equal weights or others: branches of equal shapes are told apart by where they are joined."""
    first = side(tmp_path, inception((0, 1, 2, 3)))
    for order in ((3, 2, 1, 0), (2, 0, 3, 1)):
        found = align(first, side(tmp_path, inception(order, seed=seed)))
        assert len(found.pairs) == 10
        assert all(a == b for a, b in names(found))
        assert (found.only_a, found.only_b) == ((), ())


def test_channels_that_are_joined_in_another_order_are_no_pair(tmp_path):
    other = inception((0, 1, 2, 3))
    joined = next(one for one in other.graph.node if one.op_type == "Concat")
    joined.input[:] = [joined.input[n] for n in (0, 2, 1, 3)]
    found = align(side(tmp_path, inception((0, 1, 2, 3))), side(tmp_path, other))
    assert kinds(found.only_a) == ["concat"] == kinds(found.only_b)


def residual(fused):
    """Write a convolution, a branch that is added, and a ReLU; or the one that does all of it."""
    weights = [weight("w1", 2, 2, 3, 3), weight("w2", 2, 2, 3, 3, seed=2), weight("b", 2)]
    same = {"pads": [1, 1, 1, 1]}
    if fused:
        more = {"domain": "com.microsoft", "activation": "Relu", **same}
        nodes = [
            node("FusedConv", "x w1", "r1", **more),
            node("FusedConv", "r1 w2 b x", "r2", **more),
        ]
    else:
        nodes = [
            node("Conv", "x w1", "c1", **same),
            node("Relu", "c1", "r1"),
            node("Conv", "r1 w2 b", "c2", **same),
            node("Add", "x c2", "a2"),
            node("Relu", "a2", "r2"),
        ]
    model = build([*nodes, node("GlobalAveragePool", "r2", "y")], weights)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    if fused:
        model.graph.value_info.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2, 6, 6))
            for name in ("r1", "r2")
        )
    return model


def test_fused_convolutions(tmp_path):
    a, b = side(tmp_path, residual(fused=False)), side(tmp_path, residual(fused=True))
    for one, other in ((a, b), (b, a)):
        found = align(one, other)
        assert names(found) == [("r1", "r1"), ("r2", "r2"), ("y", "y")]
        assert (found.only_a, found.only_b) == ((), ())
        assert_same(one, other, found)


def normed(how, *, pool=False):
    """Write a convolution with a batch norm, one into which it is folded, or one without."""
    rng = np.random.default_rng(3)
    scale, shift, mean, var = rng.normal(size=(4, 3)).astype(np.float32)
    var = np.abs(var) + np.float32(0.5)
    kernel = rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    bias = rng.normal(size=3).astype(np.float32)
    factor = scale / np.sqrt(var + np.float32(1e-5))
    made = "b" if how == "norm" else "c"
    nodes = [node("Conv", "x w bias", "c")]
    if how == "norm":
        nodes.append(node("BatchNormalization", "c scale shift mean var", "b"))
    elif how == "folded":
        kernel, bias = kernel * factor[:, None, None, None], (bias - mean) * factor + shift
    nodes += [node("Relu", made, "r"), node("Conv", "r w2", "y")]
    stated = {"w": kernel, "bias": bias, "scale": scale, "shift": shift, "mean": mean, "var": var}
    weights = [numpy_helper.from_array(value, name) for name, value in stated.items()]
    return build(nodes, [*weights, weight("w2", 3, 3, 3, 3)])


def test_a_folded_batch_norm(tmp_path):
    a, b = side(tmp_path, normed("norm")), side(tmp_path, normed("folded"))
    for one, other in ((a, b), (b, a)):
        found = align(one, other)
        assert names(found) == [("r", "r"), ("y", "y")]
        assert (found.only_a, found.only_b) == ((), ())
        assert_same(one, other, found)


def test_a_batch_norm_that_one_network_lacks(tmp_path):
    a, b = side(tmp_path, normed("norm")), side(tmp_path, normed("none"))
    found = align(a, b)
    assert names(found) == [("c", "c"), ("y", "y")]
    assert kinds(found.only_a) == ["norm"]
    assert found.only_b == ()


def test_an_activation_that_one_network_lacks(tmp_path):
    weights = [weight("w", 3, 2, 3, 3), weight("w2", 3, 3, 3, 3, seed=2)]
    a = build(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Conv", "r w2", "y")], weights
    )
    b = build([node("Conv", "x w", "c"), node("Conv", "c w2", "y")], weights)
    found = align(side(tmp_path, a), side(tmp_path, b))
    assert names(found) == [("c", "c"), ("y", "y")]
    assert kinds(found.only_a) == ["relu"]


def quantised(kind):
    """Write a convolution with ReLU6 in float32, with 8 bits around it, or as one of 8 bits."""
    rng = np.random.default_rng(7)
    whole = rng.integers(-127, 128, (8, 2, 3, 3), np.int8)
    real = whole * np.float32(0.01)
    names = {"sx": 1 / 255, "zx": 0, "sw": 0.01, "sc": 6 / 255, "zc": 0}
    numbers = [
        numpy_helper.from_array(np.float32(n) if name[0] == "s" else np.uint8(n), name)
        for name, n in names.items()
    ]
    numbers.append(numpy_helper.from_array(np.int8(0), "zw"))
    enter = [node("QuantizeLinear", "x sx zx", "q"), node("DequantizeLinear", "q sx zx", "d")]
    leave = [node("DequantizeLinear", "cq sc zc", "e"), node("GlobalAveragePool", "e", "y")]
    if kind == "float":
        clip = [numpy_helper.from_array(np.float32(n), f"limit {n}") for n in (0, 6)]
        nodes = [
            node("Conv", "x w", "c"),
            helper.make_node("Clip", ["c", "limit 0", "limit 6"], ["r"]),
            node("GlobalAveragePool", "r", "y"),
        ]
        return build(nodes, [numpy_helper.from_array(real, "w"), *clip])
    weights = [numpy_helper.from_array(whole, "w"), *numbers]
    if kind == "qdq":
        return build(
            [
                *enter,
                node("DequantizeLinear", "w sw zw", "dw"),
                node("Conv", "d dw", "c"),
                node("QuantizeLinear", "c sc zc", "cq"),
                *leave,
            ],
            weights,
        )
    return build([enter[0], node("QLinearConv", "q sx zx w sw zw sc zc", "cq"), *leave], weights)


@pytest.mark.parametrize("a", ["float", "qdq", "qlinear"])
@pytest.mark.parametrize("b", ["float", "qdq", "qlinear"])
def test_networks_of_8_bits(tmp_path, a, b):
    """The ReLU6 is in the quantisation; what is compared are real numbers."""
    one, other = side(tmp_path, quantised(a)), side(tmp_path, quantised(b))
    found = align(one, other)
    ends = {"float": "r", "qdq": "e", "qlinear": "e"}
    assert names(found) == [(ends[a], ends[b]), ("y", "y")]
    assert (found.only_a, found.only_b) == ((), ())
    assert_same(one, other, found, bound=0.02)


@pytest.mark.parametrize("op", ["Add", "BatchNormalization"])
def test_a_relu_in_the_quantisation_of_other_layers(tmp_path, op):
    """What is quantised without values below 0 is compared with what a ReLU leaves."""
    numbers = {"s": np.float32(0.1), "z": np.uint8(0)}
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    weights.append(weight("w", 2, 2, 3, 3))
    if op == "Add":
        made = node("Add", "x c", "n")
    else:
        made = node("BatchNormalization", "r0 one none none one", "n")
        for name, value in (("one", 1), ("none", 0)):
            weights.append(numpy_helper.from_array(np.full(2, value, np.float32), name))
    start = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r0"), made]
    a = build([*start, node("Relu", "n", "r"), node("GlobalMaxPool", "r", "y")], weights)
    ends = [node("QuantizeLinear", "n s z", "q"), node("DequantizeLinear", "q s z", "d")]
    b = build([*start, *ends, node("GlobalMaxPool", "d", "y")], weights)
    one, other = side(tmp_path, a), side(tmp_path, b)
    found = align(one, other)
    assert ("r", "d") in names(found)
    assert ("n", "d") not in names(found)
    assert (found.only_a, found.only_b) == ((), ())
    assert_same(one, other, found, bound=0.05)


def channels_last(folder):
    """Write the same network for pictures whose channels come last, with sums over rows."""
    weights = [weight("w", 4, 3, 3, 3), weight("w2", 5, 4, seed=2)]
    if not folder:
        picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))
        weights[1] = numpy_helper.from_array(
            numpy_helper.to_array(weights[1])[:, :, None, None], "w2"
        )
        nodes = [
            node("Conv", "x w", "c"),
            node("Conv", "c w2", "d"),
            node("Relu", "d", "r"),
            node("GlobalAveragePool", "r", "y"),
        ]
        return build(nodes, weights, inputs=[picture])
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8, 8, 3))
    weights[1] = numpy_helper.from_array(numpy_helper.to_array(weights[1]).T.copy(), "w2")
    nodes = [
        node("Transpose", "x", "xt", perm=[0, 3, 1, 2]),
        node("Conv", "xt w", "c"),
        node("Transpose", "c", "ct", perm=[0, 2, 3, 1]),
        node("MatMul", "ct w2", "d"),
        node("Relu", "d", "r"),
        node("ReduceMean", "r", "y", axes=[1, 2], keepdims=0),
    ]
    return build(nodes, weights, inputs=[picture])


def test_channels_last_beside_channels_first(tmp_path):
    a, b = side(tmp_path, channels_last(folder=False)), side(tmp_path, channels_last(folder=True))
    found = align(a, b)
    assert [pair[2:5] for pair in found.pairs] == [
        ("c", "c", None),
        ("r", "r", (0, 3, 1, 2)),
        ("y", "y", None),
    ]
    assert (found.only_a, found.only_b) == ((), ())
    picture = np.random.default_rng(1).random((1, 3, 8, 8), np.float32)
    one = values(a.graph, ["r", "y"], picture)
    other = values(b.graph, ["r", "y"], picture.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(one["r"], other["r"].transpose(0, 3, 1, 2), atol=1e-5)
    np.testing.assert_allclose(one["y"].ravel(), other["y"].ravel(), atol=1e-5)


def gelu(spelt):
    """Write GELU as one operator, spelt out, or without the half that went into the next kernel."""
    numbers = {"root": np.sqrt(np.float32(2)), "one": np.float32(1), "half": np.float32(0.5)}
    weights = [numpy_helper.from_array(value, name) for name, value in numbers.items()]
    parts = [
        node("Div", "c root", "g1"),
        node("Erf", "g1", "g2"),
        node("Add", "g2 one", "g3"),
        node("Mul", "c g3", "g4"),
    ]
    if spelt == "half":
        parts.append(node("Mul", "g4 half", "g"))
    elif spelt == "one":
        parts = [node("Gelu", "c", "g")]
    last = parts[-1].output[0]
    second = numpy_helper.to_array(weight("w2", 3, 3, 3, 3, seed=2)) * (0.5 if last == "g4" else 1)
    weights += [weight("w", 3, 2, 3, 3), numpy_helper.from_array(second.astype(np.float32), "w2")]
    nodes = [node("Conv", "x w", "c"), *parts, node("Conv", f"{last} w2", "y")]
    return build(nodes, weights, opset=20)


@pytest.mark.parametrize(("other", "tensors"), [("one", ("g", "g")), ("none", ("c", "c"))])
def test_an_activation_that_is_spelt_out(tmp_path, other, tensors):
    a, b = side(tmp_path, gelu("half")), side(tmp_path, gelu(other))
    found = align(a, b)
    assert names(found) == [tensors, ("y", "y")]
    assert (found.only_a, found.only_b) == ((), ())
    assert_same(a, b, found)


def test_equal_networks_give_every_layer_with_itself(tmp_path):
    model = build(
        [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("GlobalMaxPool", "r", "y")],
        [weight("w", 3, 2, 3, 3)],
    )
    one = side(tmp_path, model)
    for found in (align(one, one), align(one, side(tmp_path, model))):
        assert names(found) == [("r", "r"), ("y", "y")]
        assert [pair.a.kind for pair in found.pairs] == ["conv", "pool"]
        assert (found.only_a, found.only_b) == ((), ())


@pytest.mark.parametrize("first", range(3))
def test_one_network_by_three_exporters(tmp_path, first):
    a, b = (side(tmp_path, EXPORTS[(first + place) % 3]) for place in (0, 1))
    found = align(a, b)
    works = [pair for pair in found.pairs if pair.a.kind in {"conv", "dense"}]
    assert len(works) == 16
    assert all(pair.a.counted == pair.b.counted for pair in works)
    assert set(kinds((*found.only_a, *found.only_b))) <= {"softmax"}


TINY = ["dense", "mobile", "residual", "shared", "transformer", "wrapped"]


@pytest.mark.parametrize("name", TINY)
def test_two_exporters_of_one_module(tmp_path, name):
    files = (FIXTURES / f"tiny.{name}.{by}.onnx" for by in ("dynamo", "torchscript"))
    a, b = (side(tmp_path, file) for file in files)
    found = align(a, b)
    partners = {pair.a.number for pair in found.pairs}
    assert all(row.number in partners for row in a.layers.rows if row.kind in {"conv", "dense"})
    assert {pair.a.kind for pair in found.pairs if pair.a.kind != pair.b.kind} == set()
    assert set(kinds((*found.only_a, *found.only_b))) <= {"concat"}
    assert_same(a, b, found)


def test_names_by_hand_win(tmp_path):
    weights = [weight("w1", 2, 2, 3, 3, seed=1), weight("w2", 2, 2, 3, 3, seed=2)]
    a = build([node("Conv", "x w1", "c1"), node("Conv", "c1 w2", "y")], weights)
    b = build(a.graph.node, weights, outputs=("y", "c1"))
    sides = side(tmp_path, a), side(tmp_path, b)
    found = align(*sides, {"y": "c1", "conv:1": "y"})
    assert names(found) == [("c1", "y"), ("y", "c1")]
    assert {pair.why for pair in found.pairs} == {"map"}
    with pytest.raises(ModelError, match="no layer is called 'c9'"):
        align(*sides, {"c1": "c9"})
    with pytest.raises(ModelError, match="'x' is no layer: nothing makes it"):
        align(*sides, {"x": "c1"})
    with pytest.raises(ModelError, match="'conv:2' is given two partners"):
        align(*sides, {"c1": "y", "y": "conv:2"})
    with pytest.raises(ModelError, match="means 2 layers, and one is wanted"):
        align(*sides, {"c1": "*"})


def blocked():
    """Write a convolution as onnxruntime puts it: channels in blocks, weights in that order too."""
    kernel = numpy_helper.to_array(weight("w", 8, 2, 3, 3)).reshape(1, 8, 2, 3, 3)
    order = numpy_helper.from_array(kernel.transpose(0, 2, 3, 4, 1).reshape(8, 2, 3, 3), "w")
    nodes = [
        node("Conv", "x w", "c", domain="com.microsoft.nchwc", activation="Relu"),
        node("ReorderOutput", "c", "r", domain="com.microsoft.nchwc", channels=8),
        node("GlobalAveragePool", "r", "p"),
        node("Conv", "p w2", "y"),
    ]
    model = build(nodes, [order, weight("w2", 30, 8, 1, 1)])
    model.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    return model


def test_channels_in_blocks(tmp_path):
    """Only what is back in order is compared."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Conv", "p w2", "y"),
    ]
    a = build(nodes, [weight("w", 8, 2, 3, 3), weight("w2", 30, 8, 1, 1)])
    found = align(side(tmp_path, a), side(tmp_path, blocked()))
    assert names(found) == [("r", "r"), ("p", "p"), ("y", "y")]
    assert (found.only_a, found.only_b) == ((), ())


def test_what_is_in_front_and_behind_may_contradict_each_other(tmp_path):
    """Which of two ReLUs is the one that was there cannot be told."""
    weights = [weight("w", 3, 2, 3, 3), weight("w2", 3, 3, 3, 3, seed=2)]
    start = [node("Conv", "x w", "c"), node("Add", "c c", "a"), node("Relu", "a", "r")]
    a = build([*start, node("Conv", "r w2", "y")], weights)
    b = build([*start, node("Relu", "r", "r2"), node("Conv", "r2 w2", "y")], weights)
    found = align(side(tmp_path, a), side(tmp_path, b))
    assert names(found) == [("c", "c"), ("a", "a"), ("y", "y")]
    assert [row.pre for row in found.only_a] == ["r"]
    assert [row.pre for row in found.only_b] == ["r", "r2"]


def test_a_norm_has_weights_of_its_own(tmp_path):
    """It is not the first one that is given the same values."""
    numbers = {f"n{place}": np.random.default_rng(place).random(2) + 1 for place in range(8)}
    weights = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in numbers.items()
    ]
    weights.append(weight("w", 3, 2, 3, 3))
    first = node("BatchNormalization", "x n0 n1 n2 n3", "first")
    ends = [node("Relu", "norm", "r"), node("Conv", "r w", "y")]
    a = build([node("BatchNormalization", "x n4 n5 n6 n7", "norm"), *ends], weights)
    b = build([first, node("BatchNormalization", "first n4 n5 n6 n7", "norm"), *ends], weights)
    found = align(side(tmp_path, a), side(tmp_path, b))
    assert_no_false_pair(found)
    assert ("y", "y") in names(found)


VECTORS = {"BatchNormalization": 4, "InstanceNormalization": 2, "LayerNormalization": 1, "Mul": 1}
CHANGES = {
    "other": lambda values, rng: rng.permutation(values),
    "rounded": lambda values, rng: values.astype(np.float16).astype(np.float32),
    "8 bits": lambda values, rng: np.round(values * 99) / 99,
    "trained": lambda values, rng: values + rng.normal(size=values.shape) * values.std() / 3,
    "one": lambda values, rng: np.where(np.arange(len(values)) == 3, 1e9, values),
    "none": lambda values, rng: np.ones_like(values),
}


@pytest.mark.parametrize("op", VECTORS)
@pytest.mark.parametrize("change", CHANGES)
def test_norms_are_known_by_what_they_have_learned(tmp_path, op, change):
    """Another one in the same place is no partner; one that was rounded or trained further is."""
    rng, names_of = np.random.default_rng(7), [f"n{place}" for place in range(VECTORS[op])]
    kernels = [weight("v", 24, 2, 3, 3), weight("w", 3, 24, 3, 3, seed=2)]
    learned = [rng.normal(1, 0.2, 24).astype(np.float32) for _ in names_of]
    shape = (24, 1, 1) if op == "Mul" else (24,)

    def written(values):
        vectors = [
            numpy_helper.from_array(one.astype(np.float32).reshape(shape), name)
            for one, name in zip(values, names_of, strict=True)
        ]
        norm = node(op, " ".join(["r", *names_of]), "norm")
        nodes = [node("Conv", "x v", "c"), node("Relu", "c", "r"), norm, node("Relu", "norm", "s")]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 26, 26))
        nodes.append(node("Conv", "s w", "y"))
        return side(tmp_path, build(nodes, kernels + vectors, inputs=[x]))

    changed = [CHANGES[change](one, rng) for one in learned]
    found = align(written(learned), written(changed))
    assert ("y", "y") in names(found)
    assert (("norm", "norm") in names(found)) == (change != "other")


def test_maps_as_high_as_they_are_deep(tmp_path):
    """Lengths do not tell axes apart; what the axes see of the picture does."""
    sides = []
    for last in (False, True):
        nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r")]
        if last:
            nodes[1:] = [node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Relu", "t", "r")]
        nodes.append(node("Sigmoid", "r", "y"))
        sides.append(side(tmp_path, build(nodes, [weight("w", 4, 2, 3, 3)])))
    found = align(*sides)
    assert names(found) == [("r", "r"), ("y", "y")]
    assert {pair.order for pair in found.pairs} == {(0, 3, 1, 2)}
    assert_same(*sides, found)


@pytest.mark.parametrize("stated", [False, True])
def test_parts_that_are_cut_out(tmp_path, stated):
    """Two halves by one Split, or by two Slices; the second one is changed."""
    numbers = {"zero": [0], "one": [1], "two": [2], "four": [4], "halves": [2, 2]}
    weights = [numpy_helper.from_array(np.array(value), name) for name, value in numbers.items()]
    weights += [weight("w", 4, 2, 3, 3), weight("w2", 2, 2, 1, 1), weight("w3", 30, 4, 1, 1)]
    split = helper.make_node("Split", ["c", "halves"] if stated else ["c"], ["l", "r"], axis=1)
    slices = [node("Slice", "c zero two one", "l"), node("Slice", "c two four one", "r")]
    ends = [
        node("Conv", "r w2", "k"),
        helper.make_node("Concat", ["l", "k"], ["cat"], axis=1),
        node("Conv", "cat w3", "y"),
    ]
    start = node("Conv", "x w", "c")
    a, b = (side(tmp_path, build([start, *cut, *ends], weights)) for cut in ([split], slices))
    found = align(a, b)
    assert names(found) == [("c", "c"), ("k", "k"), ("cat", "cat"), ("y", "y")]
    assert_same(a, b, found)
