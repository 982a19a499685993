"""Where NaN and infinity come from: by hand, and put into a network at random places."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from small import save
from tiny import Runtime, build, every_kind, feeds, opened, weight, with_outputs
from tiny import save as save_model

import cnntool
from cnntool.errors import ModelError
from cnntool.nets.file.graph import read_graph
from cnntool.nets.inference.layer_outputs import range_ends
from cnntool.nets.inference.numerics import find_fault, measure
from cnntool.nets.layers.lookup import Layers

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([-1, 2.5], "from -1 to 2.5"),
        ([-0.0, 0.0], "= 0"),
        ([NAN, 3, INF, 4], "with 1 NaN and 1 infinite, else from 3 to 4"),
        ([-INF, 3], "with 1 infinite, else = 3"),
        ([NAN, NAN], "with 2 NaN"),
        ([], "without a value"),
    ],
)
def test_ranges_in_words(values, words):
    assert measure("x", np.array(values, np.float32)).words == words


def test_whole_numbers_have_a_range():
    found = measure("x", np.array([[3, 250]], np.uint8))
    assert found == ("x", "uint8", 3, 250, 0, 0)


def network(folder, *nodes, **constants):
    made = [helper.make_node(*node) for node in nodes]
    weights = (np.array(values, np.float32) for values in constants.values())
    return opened(folder, build(made, list(map(numpy_helper.from_array, weights, constants))))


def fault_of(graph, results):
    arrays = ((name, np.array(values, np.float32)) for name, values in results.items())
    return find_fault(graph, arrays, ["y"], lambda tensor: graph.weights[tensor].read())


def test_nothing_is_wrong(tmp_path):
    graph = network(tmp_path, ("Relu", ["x"], ["y"]))
    assert fault_of(graph, {"x": [-1], "y": [0]}) is None


def test_what_only_hands_it_on_is_not_blamed(tmp_path):
    graph = network(
        tmp_path, ("Neg", ["x"], ["n"]), ("Sqrt", ["n"], ["s"]), ("Add", ["s", "x"], ["y"])
    )
    found = fault_of(graph, {"x": [1, 2], "n": [-1, -2], "s": [NAN, NAN], "y": [NAN, NAN]})
    assert (found.node.op, found.answers) == ("Sqrt", True)
    assert found.words([]) == "Sqrt 's', which gets values from -2 to -1"
    assert found.note([]) == f"NaN or infinity comes from {found.words([])}"
    record = found.record([])
    assert (record["op"], record["tensor"], record["layer"]) == ("Sqrt", "s", None)
    assert record["inputs"][0]["minimum"] == -2


def test_an_infinity_that_is_taken_away_again_is_not_blamed(tmp_path):
    """The logarithm of 0 is harmless below an exponential; the root is what reaches the answer."""
    graph = network(
        tmp_path,
        ("Log", ["x"], ["l"]),
        ("Exp", ["l"], ["e"]),
        ("Sqrt", ["m"], ["s"]),
        ("Neg", ["x"], ["m"]),
        ("Mul", ["e", "s"], ["y"]),
    )
    results = {"x": [0, 1], "l": [-INF, 0], "m": [0, -1], "e": [0, 1], "s": [0, NAN]}
    assert fault_of(graph, results | {"y": [0, NAN]}).node.op == "Sqrt"
    harmless = fault_of(graph, results | {"m": [0, 1], "s": [0, 1], "y": [0, 1]})
    assert (harmless.node.op, harmless.answers) == ("Log", False)
    assert harmless.note([]).endswith("; the answer is finite all the same")
    both = {"l": [-INF, NAN], "e": [0, NAN], "y": [0, NAN]}
    assert fault_of(graph, results | both).node.op == "Log"  # of two, the first


def test_a_mask_of_infinity_is_no_fault(tmp_path):
    graph = network(
        tmp_path,
        ("Where", ["flag", "x", "hidden"], ["w"]),
        ("Add", ["w", "mask"], ["a"]),
        ("Softmax", ["a"], ["y"]),
        flag=[0, 1, 1],
        hidden=[-INF],
        mask=[0, -INF, 0],
    )
    seen = {"x": [1, 2, 3], "w": [-INF, 2, 3], "a": [-INF, -INF, 3], "y": [0, 0, 1]}
    assert fault_of(graph, seen) is None
    all_hidden = seen | {"a": [-INF] * 3, "y": [NAN] * 3}
    found = fault_of(graph, all_hidden)
    assert found.words([]) == "Softmax 'y', which gets values with 3 infinite"
    wrong = seen | {"a": [INF, -INF, 3], "y": [NAN] * 3}
    assert fault_of(graph, wrong).node.op == "Add"


def test_nan_that_a_maximum_loses_is_blamed_for_what_follows(tmp_path):
    """Of nothing but NaN, onnxruntime's MaxPool makes the lowest number; products overflow then."""
    graph = network(
        tmp_path,
        ("Sqrt", ["x"], ["s"]),
        ("MaxPool", ["s"], ["p"]),
        ("Neg", ["p"], ["n"]),
        ("Mul", ["n", "n"], ["y"]),
    )
    results = {"x": [-1], "s": [NAN], "p": [-3.4e38], "n": [3.4e38], "y": [INF]}
    assert fault_of(graph, results).node.op == "Sqrt"
    graph = network(
        tmp_path,
        ("Sqrt", ["x"], ["s"]),
        ("IsNaN", ["s"], ["p"]),
        ("Where", ["p", "x", "s"], ["n"]),
        ("Mul", ["n", "n"], ["y"]),
    )
    results |= {"p": [1], "n": [3.4e38]}
    assert fault_of(graph, results).node.op == "Mul"  # the network has dealt with the root


def test_what_goes_in_may_be_at_fault(tmp_path):
    graph = network(tmp_path, ("Relu", ["x"], ["y"]))
    found = fault_of(graph, {"x": [NAN, 1], "y": [NAN, 1]})
    assert found.words([]) == "what goes in, 'x' with 1 NaN, else = 1"
    assert found.record([])["op"] is None


def test_of_many_operands_some_are_told_of(tmp_path):
    constants = {f"c{number}": [3e38] for number in range(8)}
    graph = network(tmp_path, ("Sum", ["x", *constants], ["y"]), **constants)
    found = fault_of(graph, {"x": [1], "y": [INF]})
    assert found.words([]).startswith("Sum 'y', which gets 'x' = 1, 'c0' = 3e+38, 'c1' = 3e+38,")
    assert found.words([]).endswith(" 'c4' = 3e+38 and 3 more")


@pytest.mark.parametrize(
    ("kind", "zero", "expected"),
    [("uint8", 128, (-6.4, 6.35)), ("uint8", 0, (12.75,)), ("int8", 0, (-6.4, 6.35))],
)
def test_ends_of_8_bits_that_do_not_stand_for_0(tmp_path, kind, zero, expected):
    graph = opened(
        tmp_path,
        build(
            [
                helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
                helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"]),
            ],
            [
                numpy_helper.from_array(np.float32(0.05), "s"),
                numpy_helper.from_array(np.array(zero, kind), "z"),
            ],
        ),
    )
    for tensor, dtype in (("q", kind), ("p", kind), ("y", "float32")):
        assert range_ends(graph, tensor, np.dtype(dtype)) == pytest.approx(expected)
    assert range_ends(graph, "x", np.dtype(np.float32)) == ()


def classifier():
    """Return the nodes of a small network with a branch, and its weights."""
    nodes = [
        helper.make_node("Conv", ["input", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c2"], ["s2"]),
        helper.make_node("Add", ["r1", "s2"], ["a"]),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w3"], ["c3"]),
        helper.make_node("Relu", ["c3"], ["r3"]),
        helper.make_node("GlobalAveragePool", ["r3"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("MatMul", ["f", "w4"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    shapes = {"w1": (4, 3, 3, 3), "w2": (4, 4, 3, 3), "w3": (6, 4, 1, 1), "w4": (6, 3)}
    made = (weight(name, *shape, seed=seed) for seed, (name, shape) in enumerate(shapes.items()))
    return nodes, [(one.name, numpy_helper.to_array(one) / 3) for one in made]


KINDS = {
    "Sqrt": lambda t: [("Sub", [t, "hundred"], ["low"]), ("Sqrt", ["low"], ["new"])],
    "Log": lambda t: [("Sub", [t, "hundred"], ["low"]), ("Log", ["low"], ["new"])],
    "Div": lambda t: [("Mul", [t, "nought"], ["low"]), ("Div", ["low", "nought"], ["new"])],
    "Cast": lambda t: [("Add", [t, "million"], ["high"]), ("Cast", ["high"], ["half"])],
}
CONSTANTS = {"hundred": 100, "nought": 0, "million": 1e6}


def spoil(path, kind, place):
    """Put an operator that goes wrong behind one of the network's."""
    nodes, weights = classifier()
    tensor = nodes[place].output[0]
    wrong = [
        helper.make_node(op, ins, outs, **({"to": TensorProto.FLOAT16} if op == "Cast" else {}))
        for op, ins, outs in KINDS[kind](tensor)
    ]
    wrong[-1].name = "wrong"
    if kind == "Cast":
        wrong.append(helper.make_node("Cast", ["half"], ["new"], to=TensorProto.FLOAT))
    for node in nodes[place + 1 :]:
        node.input[:] = ["new" if name == tensor else name for name in node.input]
    last = "new" if place == len(nodes) - 1 else "scores"
    return save(
        path,
        [*nodes[: place + 1], *wrong, *nodes[place + 1 :]],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 3])],
        [*weights, *((name, np.float32(number)) for name, number in CONSTANTS.items())],
    )


def cases():
    draw = np.random.default_rng(14)
    for number in range(20):
        kind = list(KINDS)[number % 4]
        marks = () if number < 4 else pytest.mark.full
        yield pytest.param(kind, int(draw.integers(12)), marks=marks)


PHOTO = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(("kind", "place"), list(cases()))
def test_what_goes_wrong_is_named(tmp_path, kind, place, request):
    pytest.importorskip("onnxruntime")
    path = spoil(tmp_path / "net.onnx", kind, place)
    with cnntool.load_model(path, preprocess="unit") as net:
        with pytest.raises(ModelError, match="scores are NaN or infinite: the first") as caught:
            net.classify(PHOTO)
        assert f" comes from {kind} 'wrong', which gets " in str(caught.value)
        if request.config.getoption("--full"):
            with pytest.raises(ModelError, match=f" comes from {kind} 'wrong', which gets "):
                net.explain(PHOTO, method="occlusion")
            net.activations(PHOTO, everything=True)
            assert f"NaN or infinity comes from {kind} 'wrong'" in net.notes[-1]


def test_evaluating_names_the_photo(tmp_path):
    pytest.importorskip("onnxruntime")
    path = spoil(tmp_path / "net.onnx", "Log", 0)
    for name in ("0", "1"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        cnntool.write_image(tmp_path / "photos" / name / "p.png", PHOTO)
    with cnntool.load_model(path, preprocess="unit") as net:
        with pytest.raises(ModelError) as caught:
            net.evaluate(tmp_path / "photos")
        assert caught.value.source == f"{tmp_path / 'photos' / '0' / 'p.png'}: {net.name}"
        assert "the first comes from Log 'wrong'" in caught.value.message


@every_kind
def test_every_operator_of_a_graph_can_be_looked_at(tmp_path, make):
    pytest.importorskip("onnxruntime")
    path = save_model(tmp_path, make())
    graph = read_graph(path)
    tensors = [row.post for row in Layers(graph).operators]
    found = Runtime(with_outputs(path, tensors), tmp_path, optimise="NONE").run(feeds(graph))
    arrays = ((tensor, np.asarray(found[tensor])) for tensor in tensors)
    assert find_fault(graph, arrays, list(found), lambda _: None) is None


@pytest.mark.full
def test_what_float16_would_not_hold_is_no_error(tmp_path):
    """A tensor that is looked at is rounded; the whole network goes on in more digits."""
    pytest.importorskip("onnxruntime")
    path = save(
        tmp_path / "net.onnx",
        [
            helper.make_node("Mul", ["input", "much"], ["m"], name="over"),
            helper.make_node("Mul", ["m", "little"], ["b"]),
            helper.make_node("GlobalAveragePool", ["b"], ["g"]),
            helper.make_node("Flatten", ["g"], ["scores"]),
        ],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT16, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT16, [1, 3])],
        [("much", np.float16(6e4)), ("little", np.float16(1e-3))],
    )
    with cnntool.load_model(path, preprocess="raw", device="cpu") as net:
        best = net.classify(np.full((8, 8, 3), 50, np.uint8))
        assert best[0].logit == pytest.approx(3000, rel=0.01)
        found = net.activations(np.full((8, 8, 3), 50, np.uint8), "m")
        assert np.isposinf(found["m"]).all()
    assert net.notes[-1].endswith(
        "would overflow in float16 where nothing is fused: Mul 'over',"
        " which gets 'input' = 50 and 'much' = 6e+04; the answer is finite"
    )
    with cnntool.load_model(path, preprocess="raw", device="cpu") as net:
        picture = np.full((3, 8, 8), 50, np.float16)
        fault = net.find_fault(net.plan(), picture, failed=True)  # its answer was not finite
    assert (fault.node.name, fault.answers, fault.overflows) == ("over", True, False)
    assert fault.note([]).startswith("NaN or infinity comes from Mul 'over'")
