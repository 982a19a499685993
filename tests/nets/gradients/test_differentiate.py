"""Gradients of whole networks, in their process."""

from types import SimpleNamespace

import numpy as np
import pytest
from onnx import TensorProto, helper
from small import save

import cnntool
from cnntool.errors import ModelError
from cnntool.nets.gradients.differentiate import Differentiator, Pass
from cnntool.nets.runtime.providers import Placement
from cnntool.nets.runtime.session import Session


@pytest.fixture(scope="module")
def ready():
    with cnntool.load_model() as net:
        plan = net.plan()
        rng = np.random.default_rng(1)
        feed = rng.normal(size=(1, 3, 48, 64)).astype(np.float32)
        flow = net.read_layers().flow
        made = Differentiator(
            net.graph, flow, plan.input.name, feed.shape, net.settings, name=net.name
        )
        yield made, plan, feed
        made.close()


def test_a_small_step_changes_the_score_by_the_gradient(ready):
    made, plan, feed = ready
    way = made.open(plan.output.logits, [plan.input.name])
    scores = way.forward(feed)[way.score]
    seed = np.zeros(scores.shape, np.float32)
    seed[0, 7] = 1
    (gradient,) = way.backward(seed)
    assert gradient.shape == feed.shape
    step = 1e-3 * gradient / np.abs(gradient).max()
    ends = [way.forward(feed + sign * step)[way.score][0, 7] for sign in (1, -1)]
    expected = 2 * float((gradient.astype(np.float64) * step).sum())
    assert ends[0] - ends[1] == pytest.approx(expected, rel=0.05)


def test_layers_come_out_beside_the_scores(ready):
    made, plan, feed = ready
    way = made.open(plan.output.logits, ["block5_conv3/Relu", "block5_pool"], ["block5_pool"])
    scores, pooled = way.forward(feed, "block5_pool").values()
    seed = np.ones(scores.shape, np.float32)
    by_maps, by_pool = way.backward(seed)
    assert pooled.shape == by_pool.shape
    assert by_maps.shape[2:] == (3, 4)
    # Of each window only the largest value counts.
    assert by_maps.sum() == pytest.approx(by_pool.sum(), rel=1e-3)
    assert np.count_nonzero(by_maps) <= np.count_nonzero(by_pool)


def test_a_tensor_that_the_score_does_not_depend_on(ready):
    made, plan, _ = ready
    with pytest.raises(ModelError, match="do not depend on 'predictions/Softmax'"):
        made.open(plan.output.logits, ["predictions/Softmax"])


def test_a_number_that_the_network_computes(tmp_path):
    nodes = [
        helper.make_node("Pow", ["two", "three"], ["eight"]),
        helper.make_node("Mul", ["x", "eight"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 2, 2)) for name in ("x", "y")
    ]
    weights = [("two", np.array(2, np.float32)), ("three", np.array(3, np.float32))]
    file = save(tmp_path / "net.onnx", nodes, ends[:1], ends[1:], weights)
    with cnntool.load_model(file) as net:
        flow = net.read_layers().flow
        feed = np.ones((1, 3, 2, 2), np.float32)
        made = Differentiator(net.graph, flow, "x", feed.shape, net.settings, name=net.name)
        assert made.placement.provider.endswith("ExecutionProvider")  # of what tells shapes
        way = made.open("y", ["x"])
        way.forward(feed)
        np.testing.assert_array_equal(way.backward(feed)[0], feed * 8)
        made.close()


CARD = Placement("auto", "cuda:0", "CUDAExecutionProvider", "")
PROCESSOR = Placement("auto", "cpu", "CPUExecutionProvider", "cuda:0 has no room; using cpu")


@pytest.mark.parametrize(
    ("there", "back", "note"),
    [
        (CARD, CARD, ""),
        (PROCESSOR, PROCESSOR, PROCESSOR.note),
        (
            CARD,
            PROCESSOR,
            "gradients run on cpu, the network on cuda:0; cuda:0 has no room; using cpu",
        ),
        (
            PROCESSOR,
            CARD,
            "cuda:0 has no room; using cpu; gradients run on cuda:0, the network on cpu",
        ),
    ],
)
def test_it_is_told_where_both_ways_run(there, back, note):
    sessions = (SimpleNamespace(placement=one) for one in (there, back))
    way = Pass(*sessions, "x", "y", (), None)
    assert way.placement == there._replace(note=note)


def test_it_runs_where_the_last_opened_way_does(ready, monkeypatch):
    made, plan, _ = ready
    ways = [made.open(plan.output.logits, [name]) for name in ("block5_pool", plan.input.name)]
    for way, where in zip(ways, (CARD, PROCESSOR), strict=True):
        for session in way[:2]:
            monkeypatch.setattr(type(session), "placement", property(lambda one: one.where))
            session.where = where
    assert made.placement == PROCESSOR
    made.open(plan.output.logits, ["block5_pool"])
    assert made.placement == CARD


def test_only_the_last_ways_stay_open(ready, monkeypatch):
    made, plan, _ = ready
    closed = []

    def close(session):
        closed.append(session)

    monkeypatch.setattr(Session, "close", close)
    ways = [
        made.open(plan.output.logits, [name])
        for name in ("block4_pool", "block5_pool", "block4_pool", plan.input.name)
    ]
    assert ways[2] is ways[0]
    assert [*ways[1][:2]] == closed[-2:]  # the one that was asked for longest ago


def test_it_is_broken_where_one_of_its_ways_is(ready, monkeypatch):
    made, plan, _ = ready
    way = made.open(plan.output.logits, [plan.input.name])
    assert made.idle
    monkeypatch.setattr(way.backward_session, "_broken", True)
    assert not made.idle


def test_an_axis_that_the_network_takes_of_a_shape(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["axis"]),
        helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4, 5)),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    file = save(tmp_path / "net.onnx", nodes, ends[:1], ends[1:], [("first", np.array([0]))])
    with cnntool.load_model(file) as net:
        flow = net.read_layers().flow
        feed = np.ones((1, 3, 4, 5), np.float32)
        made = Differentiator(net.graph, flow, "x", feed.shape, net.settings, name=net.name)
        way = made.open("y", ["x"])
        seed = np.arange(20, dtype=np.float32).reshape(1, 4, 5)
        way.forward(feed)
        np.testing.assert_array_equal(way.backward(seed)[0], feed * seed)
        made.close()
