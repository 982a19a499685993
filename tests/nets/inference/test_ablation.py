"""Silenced maps: against graphs in which they are multiplied away, run by another runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from small import save

from cnntool.api.model import load_model
from cnntool.errors import ModelError
from cnntool.nets.inference.ablation import cut_at, frontiers, is_along_last, maps_axis
from cnntool.nets.layers.receptive_field import ReceptiveField
from cnntool.nets.models.manifest import CLASSES

pytest.importorskip("onnxruntime")
SAMPLES = Path(__file__).parents[3] / "samples"
PHOTOS = np.random.default_rng(7).random((3, 3, 8, 8), np.float32)


def conv(source, to, kernel, **attributes):
    return [
        helper.make_node(
            "Conv", [source, f"{kernel} w", f"{kernel} b"], [f"{to} raw"], **attributes
        ),
        helper.make_node("Relu", [f"{to} raw"], [to]),
    ]


def network(path, *, batch="N", flat="measured"):
    """Write a network with a residual connection, a concatenation and a measured shape."""
    draw = np.random.default_rng(8)
    weights = {
        "1 w": draw.normal(size=(4, 3, 1, 1)),
        "2 w": draw.normal(size=(4, 4, 3, 3)),
        "3 w": draw.normal(size=(2, 4, 1, 1)),
        "matrix": draw.normal(size=(6, 3)),
        **{
            f"{name} b": abs(draw.normal(size=size))
            for name, size in (("1", 4), ("2", 4), ("3", 2))
        },
    }
    whole = {"first": [0], "six": [6], "fixed": [1, 6]}
    nodes = [
        *conv("input", "a", "1"),
        *conv("a", "b", "2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        *conv("c", "d", "3"),
        helper.make_node("Concat", ["c", "d"], ["e"], axis=1),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Concat", ["count", "six"], ["measured"], axis=0),
        helper.make_node("Reshape", ["f", flat], ["g"]),
        helper.make_node("MatMul", ["g", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
        helper.make_node("Neg", ["a"], ["aside"]),
    ]
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])],
        [
            *((name, (values / 3).astype(np.float32)) for name, values in weights.items()),
            *((name, np.array(values, np.int64)) for name, values in whole.items()),
        ],
    )


def multiplied(path, silenced):
    """Run the network with masks put into its graph."""
    model = onnx.load(path)
    for tensor, units in silenced.items():
        mask = np.ones((1, {"a": 4, "b": 4, "c": 4, "d": 2, "e": 6, "input": 3}[tensor], 1, 1))
        mask[:, units] = 0
        model.graph.initializer.append(
            numpy_helper.from_array(mask.astype(np.float32), f"{tensor} mask")
        )
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == tensor and node.op_type != "Shape":
                    node.input[place] = f"{tensor} masked"
        made = [place for place, node in enumerate(model.graph.node) if tensor in node.output]
        model.graph.node.insert(
            made[0] + 1 if made else 0,
            helper.make_node("Mul", [tensor, f"{tensor} mask"], [f"{tensor} masked"]),
        )
    return ReferenceEvaluator(model).run(["scores"], {"input": PHOTOS})[0]


def answers(net, cuts, sets, *, fill=None, **options):
    """Return the probabilities, (photos, sets + 1, classes)."""
    with net.ablated(net.plan(CLASSES), cuts) as ablated:
        ablated.fill = fill or {}
        found = list(ablated.answers(enumerate(PHOTOS), sets, **options))
    assert [key for key, _ in found] == [0, 1, 2]
    return np.array([[one.probabilities for one in scores] for _, scores in found])


def units(**named):
    return {name: np.array(numbers, int) for name, numbers in named.items()}


def test_what_is_handed_on(tmp_path):
    with load_model(network(tmp_path / "net.onnx")) as net:
        assert frontiers(net.read_layers().flow, ["d"], "scores") == [
            ("input", "c", "d"),
            ("scores",),
        ]
        assert frontiers(net.read_layers().flow, ["d", "a"], "scores") == [
            ("input", "a"),
            ("input", "c", "d"),
            ("scores",),
        ]
        assert frontiers(net.read_layers().flow, ["scores"], "scores") == [("scores",), ("scores",)]


SETS = {
    "across a residual connection": ["b"],
    "across a concatenation": ["d"],
    "what a residual connection starts from": ["a"],
    "what goes in": ["input"],
    "one behind the other": ["d", "a"],
    "three": ["a", "b", "e"],
}


@pytest.mark.parametrize(
    "cuts",
    [
        pytest.param(cuts, id=name, marks=[] if len(cuts) == 2 else [pytest.mark.full])
        for name, cuts in SETS.items()
    ],
)
def test_parts_give_what_the_whole_gives(tmp_path, cuts):
    path = network(tmp_path / "net.onnx")
    sets = [{cut: np.array([1]) for cut in cuts}, {cut: np.array([0, 1]) for cut in cuts}]
    with load_model(path) as net:
        found = answers(net, cuts, sets * 9)  # in all 57: more than go through at once
    assert found[:, 0] == pytest.approx(multiplied(path, {}), abs=1e-6)
    for place, one in enumerate(sets, 1):
        known = multiplied(path, one)
        for again in range(place, 19, 2):
            assert found[:, again] == pytest.approx(known, abs=1e-6)
        assert abs(found[:, place] - found[:, 0]).max() > 1e-3


@pytest.mark.parametrize(
    "options", [{"batch": 4}, pytest.param({"batch": 1, "flat": "fixed"}, marks=pytest.mark.full)]
)
@pytest.mark.full
def test_a_batch_of_the_files_own(tmp_path, options):
    path = network(tmp_path / "net.onnx", **options)
    with load_model(path) as net:
        found = answers(net, ["d", "a"], [units(d=[1]), units(a=[0, 2], d=[0])])
    free = network(tmp_path / "free.onnx")
    model, other = onnx.load(path), onnx.load(free)
    del other.graph.initializer[:]
    other.graph.initializer.extend(model.graph.initializer)
    onnx.save(other, free)
    for place, one in enumerate(({}, units(d=[1]), units(a=[0, 2], d=[0]))):
        assert found[:, place] == pytest.approx(multiplied(free, one), abs=1e-6)


@pytest.mark.full
def test_a_shape_that_is_fixed_inside_takes_one_at_a_time(tmp_path):
    """The input says that its batch is free, a Reshape in the middle knows better."""
    path = network(tmp_path / "net.onnx", flat="fixed")
    with load_model(path) as net:
        found = answers(net, ["b"], [units(b=[k]) for k in range(4)])
        assert np.array_equal(found[:, 2], answers(net, ["b"], [units(b=[1])])[:, 1])
    assert abs(found[:, 2] - found[:, 0]).max() > 1e-3


@pytest.mark.full
def test_sets_do_not_depend_on_those_beside_them(tmp_path):
    with load_model(network(tmp_path / "net.onnx")) as net:
        sets = [units(c=[k]) for k in range(4)]
        found = answers(net, ["c"], sets * 5)  # 21 of a photo: more than go through at once
        assert np.array_equal(found, answers(net, ["c"], sets * 5, batch=2))
        for place, one in enumerate(sets, 1):
            assert np.array_equal(found[:, place], answers(net, ["c"], [one])[:, 1])


@pytest.mark.full
def test_maps_that_are_dead_anyway_change_nothing(tmp_path):
    path = network(tmp_path / "net.onnx")
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if weight.name == "1 b":
            weight.CopyFrom(
                numpy_helper.from_array(np.array([1, -99, 1, -99], np.float32), weight.name)
            )
    onnx.save(model, path)
    with load_model(path) as net:
        found = answers(net, ["a"], [units(a=[1, 3]), units(a=[]), units(a=[0, 1])])
        assert np.array_equal(found[:, 0], found[:, 1])
        assert np.array_equal(found[:, 0], found[:, 2])
        assert not np.array_equal(found[:, 0], found[:, 3])
        known = net.scores(net.plan(CLASSES), enumerate(PHOTOS))
        plain = np.array([one.probabilities for _, one in known])
    assert found[:, 0] == pytest.approx(plain, abs=1e-6)


@pytest.mark.full
def test_means(tmp_path):
    path = network(tmp_path / "net.onnx")
    with load_model(path) as net:
        plan = net.plan(CLASSES)
        with net.ablated(plan, ["a", "d"]) as ablated:
            fill = ablated.means(iter(PHOTOS))
        found = answers(net, ["a"], [units(a=[2])], fill=fill)
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    maps = ReferenceEvaluator(model).run(["a"], {"input": PHOTOS})[0]
    assert fill["a"] == pytest.approx(maps.mean(axis=(0, 2, 3)), rel=1e-6)
    assert fill["d"].shape == (2,)
    # By hand: the second half of the network, on maps of which one is its mean.
    maps[:, 2] = maps[:, 2].mean()
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    slid = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    second = np.einsum("nchwij,ocij->nohw", slid, weights["2 w"]) + weights["2 b"][:, None, None]
    c = maps + np.maximum(second, 0)
    d = np.einsum("nchw,oc->nohw", c, weights["3 w"][:, :, 0, 0]) + weights["3 b"][:, None, None]
    logits = np.concatenate([c, np.maximum(d, 0)], axis=1).mean(axis=(2, 3)) @ weights["matrix"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert found[:, 1] == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-5)


def quantised(path):
    """Write a network of 8 bits: zero of its maps is 3; two DequantizeLinear read them."""
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["real"]),
        helper.make_node("QuantizeLinear", ["real", "scale", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["maps"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["again"]),
        helper.make_node("Add", ["maps", "again"], ["twice"]),
        helper.make_node("GlobalAveragePool", ["twice"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    return save(
        path,
        nodes,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])],
        [
            ("kernel", np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) - 0.25),
            ("scale", np.float32(0.01)),
            ("zero", np.uint8(3)),
        ],
    )


@pytest.mark.full
def test_in_8_bits_zero_is_what_stands_for_it(tmp_path):
    with load_model(quantised(tmp_path / "net.onnx")) as net:
        assert cut_at(net.graph, "maps") == cut_at(net.graph, "again") == "bytes"
        found = answers(net, ["bytes"], [units(bytes=[1])])
        filled = answers(net, ["bytes"], [units(bytes=[1])], fill={"bytes": np.array([0, 0.2, 0])})
        with net.ablated(net.plan(CLASSES), ["bytes"]) as ablated:
            ((_, layers),) = ablated.layers([(0, PHOTOS[0])])
    kernel = np.eye(3) - 0.25
    real = np.einsum("nchw,oc->nohw", PHOTOS, kernel)
    maps = ((np.rint(real / 0.01) + 3).clip(0, 255) - 3) * 0.01
    assert layers["bytes"][:, 0] == pytest.approx(maps[0], abs=0.0101)  # halves may fall either way
    for values, value in ((found, 0), (filled, 0.2)):
        maps[:, 1] = value
        powers = np.exp(2 * maps.mean(axis=(2, 3)))
        assert values[:, 1] == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-3)


def test_scores_that_do_not_depend_on_a_layer(tmp_path):
    with load_model(network(tmp_path / "net.onnx")) as net:
        for cut in ("aside", "measured"):
            with pytest.raises(ModelError, match=f"do not depend on '{cut}'"):
                net.ablated(net.plan(CLASSES), ["a", cut])


@pytest.mark.parametrize(
    ("rank", "axes", "last", "expected"),
    [
        (4, (2, 3), False, 1),
        (4, (2, 3), True, 1),
        (4, (1, 2), False, 3),
        (4, None, False, 1),
        (4, None, True, 3),
        (3, None, False, 2),
        (3, (2,), False, 1),
        (2, (), False, 1),
        (2, None, True, 1),
        (5, (2, 3, 4), False, 1),
    ],
)
def test_the_axis_that_counts_maps(rank, axes, last, expected):
    field = None
    if axes is not None:
        ones = (1,) * len(axes)
        field = ReceptiveField(axes, rank, ones, ones, ones)
    assert maps_axis(rank, field, last=last) == expected


def test_channels_of_windows_are_last(tmp_path):
    """As in Swin: no receptive field is known behind the windows, and rows are no maps."""
    nodes = [
        helper.make_node("Transpose", ["input"], ["rows"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["rows", "windows"], ["cut"]),
        helper.make_node("MatMul", ["cut", "matrix"], ["product"]),
        helper.make_node("Gelu", ["product"], ["gate"], domain="com.microsoft"),
        helper.make_node("Add", ["cut", "gate"], ["stream"]),
        helper.make_node("MatMul", ["stream", "stream"], ["attention"]),
        helper.make_node("ReduceMean", ["stream"], ["scores"], axes=[1, 2], keepdims=0),
    ]
    model = onnx.load(
        save(
            tmp_path / "net.onnx",
            nodes,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["M", 3])],
            [
                ("windows", np.array([-1, 4, 4, 3], np.int64)),
                ("matrix", np.eye(3, dtype=np.float32)),
            ],
        )
    )
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "net.onnx")
    with load_model(tmp_path / "net.onnx") as net:
        flow = net.read_layers().flow
        for tensor, expected in (("product", True), ("stream", True), ("attention", False)):
            assert is_along_last(flow, tensor) == expected
        assert not is_along_last(flow, "cut")


@pytest.mark.full
def test_against_a_file_in_which_the_kernel_is_zero(tmp_path):
    """No norm follows: without its kernel and its bias a map of a ReLU is zero everywhere."""
    with load_model() as net:
        plan = net.plan(CLASSES)
        photos = [net._tensor(SAMPLES / name, plan) for name in ("cat.png", "rocket.jpg")]
        cut = net.read_layers().resolve("block5_conv2")[0].tensor
        file = net.found.file
        with net.ablated(plan, [cut]) as ablated:
            answers = ablated.answers(enumerate(photos), [{cut: np.array([2, 7, 11])}])
            found = [scores[1].probabilities for _, scores in answers]
            plain = [one.probabilities for _, one in net.scores(plan, enumerate(photos))]
    model = onnx.load(file)
    for weight in model.graph.initializer:
        if weight.name in {"block5_conv2/kernel", "block5_conv2/bias"}:
            values = numpy_helper.to_array(weight).copy()
            values[[2, 7, 11]] = 0
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "net.onnx")
    with load_model(tmp_path / "net.onnx") as net:
        known = [one.probabilities for _, one in net.scores(plan, enumerate(photos))]
    assert np.array(found) == pytest.approx(np.array(known), abs=1e-6)
    assert abs(np.array(found) - plain).max() > 1e-5
