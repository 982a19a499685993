"""Taps: every tensor next to an unoptimised run of the whole network, in chunks of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny import (
    REAL,
    Runtime,
    build,
    chain,
    constants,
    half,
    opened,
    quantised,
    real_networks,
    results,
    weight,
    with_outputs,
)
from vgg import vgg16

from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.file.subgraph import skeleton
from cnntool.nets.inference import layer_outputs
from cnntool.nets.inference.layer_outputs import Taps, chunks, exactly, largest
from cnntool.nets.layers.dataflow import Dataflow
from cnntool.nets.layers.shapes import find_shapes, lengths
from cnntool.nets.models.manifest import InputSpec
from cnntool.nets.runtime.providers import SessionSettings
from cnntool.nets.runtime.session import Session

pytest.importorskip("onnxruntime")

CPU = SessionSettings(device="cpu", threads=2, timeout=60)


def entry_of(graph, **changes):
    info = graph.inputs[0]
    batch = info.shape[0] if isinstance(info.shape[0], int) else None
    last = info.shape[3] in {1, 3} and info.shape[1] not in {1, 3}
    layout = "NHWC" if last else "NCHW"
    spec = InputSpec(info.name, layout=layout, dtype=info.dtype, batch=batch, fit="none")
    return spec._replace(**changes)


def picture_for(graph, seed=0, side=64):
    """Make one picture, without a batch, of the kind that a network takes."""
    rng = np.random.default_rng(seed)
    shape = [n if isinstance(n, int) else side for n in graph.inputs[0].shape[1:]]
    if graph.inputs[0].dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.normal(size=shape).astype(graph.inputs[0].dtype)


def tapped(graph, tensors, pictures, **settings):
    """Return the tensors of each picture, and which chunks they were computed in."""
    taps = Taps(graph, tensors, entry_of(graph), CPU, name="net", **settings)
    with Session(skeleton(graph, taps.first), taps.settings, name="net") as session:
        found = [
            (key, dict(of_picture)) for key, of_picture in taps.stream(session, enumerate(pictures))
        ]
    assert [key for key, _ in found] == list(range(len(pictures)))
    return [values for _, values in found]


def unoptimised(path, tensors, picture):
    graph = read_graph(path)
    runtime = Runtime(with_outputs(path, tensors), path.parent, optimise="NONE")
    return runtime.run({graph.inputs[0].name: picture[None]})


def close(found, expected, tolerance=1e-5):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    room = tolerance * float(np.abs(expected.astype(np.float64)).max(initial=0))
    assert np.abs(found.astype(np.float64) - expected).max(initial=0) <= room


LOOKED_AT = {"Conv", "Relu", "MaxPool", "Gemm", "Softmax", "Clip", "DequantizeLinear", "Add"}


@real_networks
@pytest.mark.full
def test_tensors_equal_an_unoptimised_run(path):
    graph = read_graph(path)
    data = Dataflow(graph).data
    made = [t for t in results(graph) if t in data and graph.producer_of[t].op in LOOKED_AT]
    tensors = made[::5]
    picture = picture_for(graph)
    (found,) = tapped(graph, tensors, [picture])
    assert list(found) == tensors
    expected = unoptimised(path, tensors, picture)
    for tensor in tensors:
        close(found[tensor], expected[tensor][0])


@pytest.mark.full
@pytest.mark.parametrize("make", [chain, half, quantised])
def test_tiny_networks_of_every_precision(make, tmp_path):
    graph = opened(tmp_path, make())
    tensors = [t for t in results(graph) if t != "dw"]
    picture = picture_for(graph)
    (found,) = tapped(graph, tensors, [picture])
    expected = unoptimised(tmp_path / "m.onnx", tensors, picture)
    for tensor in tensors:
        close(found[tensor], expected[tensor][0])


@pytest.fixture(scope="module")
def tiny_vgg(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg.onnx"
    names = vgg16(path, widths=(4, 4, 8, 8, 8), fc=16, classes=10, size=32)
    return path, [tensor for layer, tensor in names.items() if layer != "flatten"]


@pytest.mark.parametrize(("budget", "count"), [(1, 1), (20_000, 3), (1 << 30, 3)])
@pytest.mark.full
def test_chunks_change_nothing(tiny_vgg, budget, count):
    path, tensors = tiny_vgg
    tensors = tensors if budget > 1 else tensors[::5]  # each in a session of its own
    graph = read_graph(path)
    pictures = [picture_for(graph, seed) for seed in range(count)]
    found = tapped(graph, tensors, pictures, budget=budget)
    for picture, values in zip(pictures, found, strict=True):
        expected = unoptimised(path, tensors, picture)
        assert list(values) == tensors
        for tensor in tensors:
            close(values[tensor], expected[tensor][0])


@pytest.mark.full
def test_chunks_keep_to_the_budget(tiny_vgg, monkeypatch):
    path, tensors = tiny_vgg
    graph = read_graph(path)
    asked = []

    class Spy(Session):
        def submit(self, feeds, outputs=None, **kept):
            asked.append(tuple(outputs))
            super().submit(feeds, outputs, **kept)

    monkeypatch.setattr(layer_outputs, "Session", Spy)
    budget = 20_000
    taps = Taps(graph, tensors, entry_of(graph), CPU, name="net", budget=budget)
    with Spy(skeleton(graph, taps.first), taps.settings, name="net") as session:
        for _, of_picture in taps.stream(session, [(0, picture_for(graph))]):
            sizes = {tensor: values.nbytes for tensor, values in of_picture}
    assert [tensor for chunk in asked for tensor in chunk] == tensors
    assert len(asked) > 3
    assert max(sizes.values()) < budget
    assert all(sum(sizes[tensor] for tensor in chunk) <= budget for chunk in asked)


def test_tensors_come_in_the_order_of_the_network_and_once(tmp_path):
    graph = opened(tmp_path, chain())
    (found,) = tapped(graph, ["y", "x", "c1", "y"], [picture_for(graph)])
    assert list(found) == ["x", "c1", "y"]


def test_inputs_and_constants_can_be_looked_at(tmp_path):
    graph = opened(tmp_path, constants())
    picture = picture_for(graph)
    (found,) = tapped(graph, ["x"], [picture])
    assert (found["x"] == picture).all()
    (found,) = tapped(graph, ["flat"], [picture])  # it depends on no input
    assert found["flat"].shape[-1] == 2 * 2 * 24 * 24


@pytest.mark.full
def test_pictures_of_many_sizes(tmp_path):
    model = build(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])],
        [weight("w", 3, 2, 3, 3)],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 2, "h", "w"))],
    )
    graph = opened(tmp_path, model)
    sizes = [9, 5, 40, 5]
    pictures = [picture_for(graph, side=side) for side in sizes]
    for budget in (1 << 20, 2000):  # of which the third picture needs more
        found = tapped(graph, ["c", "y"], pictures, budget=budget)
        assert [values["y"].shape for values in found] == [(3, s - 2, s - 2) for s in sizes]
        for values in found:
            assert (np.maximum(values["c"], 0) == values["y"]).all()


def test_a_fixed_batch_is_filled(tmp_path):
    model = build(
        [helper.make_node("Relu", ["x"], ["y"])],
        inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, 2, 4, 4))],
    )
    graph = opened(tmp_path, model)
    picture = picture_for(graph)
    (found,) = tapped(graph, ["y"], [picture])
    assert (found["y"] == np.maximum(picture, 0)).all()


def test_how_far_networks_are_optimised(tmp_path):
    assert exactly(opened(tmp_path, chain())) == "basic"
    assert exactly(opened(tmp_path, half())) is False
    assert exactly(opened(tmp_path, quantised())) is False
    inside = build(
        [
            helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
            helper.make_node("Relu", ["h"], ["y"]),
        ]
    )
    assert exactly(opened(tmp_path, inside)) is False


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
@pytest.mark.full
def test_no_tensor_is_larger_than_the_bound(path):
    graph = read_graph(path)
    shape = (1, *picture_for(graph).shape)
    inputs = {} if shape == graph.inputs[0].shape else {graph.inputs[0].name: shape}
    bound = largest(graph, entry_of(graph), shape)
    for info in find_shapes(graph, inputs, results(graph)).values():
        known = lengths(info)
        if known is not None and info.dtype == "float32":
            assert 4 * int(np.prod(known)) <= bound, info


@given(st.lists(st.integers(0, 50)), st.integers(1, 100))
def test_chunks_hold_all_and_no_more_than_they_may(sizes, budget):
    names = [f"t{number}" for number in range(len(sizes))]
    size = dict(zip(names, sizes, strict=True))
    found = chunks(names, sizes, budget)
    assert [name for chunk in found for name in chunk] == names
    totals = [sum(size[name] for name in chunk) for chunk in found]
    for chunk, total in zip(found, totals, strict=True):
        assert total <= budget or len(chunk) == 1
    for number in range(len(found) - 1):  # none could have taken the next one, too
        assert totals[number] + size[found[number + 1][0]] > budget


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float32", 24), ("bfloat16", 12), ("string", None), ("float8e4m3fn", None), ("", None)],
)
def test_bytes_of_a_tensor(dtype, size):
    assert layer_outputs.byte_size(TensorInfo("x", dtype, (2, 3))) == size
