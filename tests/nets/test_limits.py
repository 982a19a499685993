"""Reading a network takes time in proportion to its size, and no more than it is given."""

from __future__ import annotations

import gc
import sys
import time
from contextlib import suppress
from threading import Thread

import pytest
from onnx import TensorProto, helper

from cnntool.cli.opening import hold_time, read_model
from cnntool.errors import ModelError
from cnntool.nets import skeleton as probe
from cnntool.nets.graph import read_graph
from cnntool.nets.layers import Layers
from cnntool.nets.skeleton import shape_probe, skeleton
from cnntool.nets.summary import summarise


def chain(path, ops, count):
    """Write a network of operators in a row."""
    size = [1, 3, 8, 8]
    nodes = [
        helper.make_node(ops[i % len(ops)], [f"t{i}"], [f"t{i + 1}"], name=f"n{i}")
        for i in range(count)
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info(f"t{count}", TensorProto.FLOAT, size)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def calls(path):
    """Count the functions that are called, which is no matter of luck."""
    count = 0

    def step(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(step)
    try:
        graph = read_graph(path)
        layers = Layers(graph)
        summarise(graph, layers, {})
        shape_probe(graph, {})
        skeleton(graph, [graph.outputs[0].name])
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "ops", [["Relu"], ["Identity"], ["Flatten"], ["Relu", "Identity", "Sigmoid", "GlobalMaxPool"]]
)
@pytest.mark.full
def test_a_long_chain_is_read_in_proportion(tmp_path, ops):
    calls(chain(tmp_path / "first.onnx", ops, 10))  # imports
    small, large = (calls(chain(tmp_path / f"{n}.onnx", ops, n)) for n in (250, 1000))
    assert large < 4.4 * small


def test_too_many_tensors_are_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "_MOST", 9)
    graph = read_graph(chain(tmp_path / "x.onnx", ["Relu"], 10))
    with pytest.raises(ModelError, match="10 tensors are more than 9 to infer shapes of"):
        shape_probe(graph, {})


@pytest.fixture
def no_collections():
    """Collect no garbage, as the command does: hypothesis swallows what is raised then."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.usefixtures("no_collections")
def test_reading_is_held_to_its_time(tmp_path):
    path = chain(tmp_path / "long.onnx", ["Relu"], 5000)
    with pytest.raises(ModelError, match=r"it was not read within 0\.01 s") as caught:
        read_model(str(path), 0.01)
    assert (caught.value.source, "--timeout" in caught.value.hint) == (str(path), True)
    assert len(read_model(str(path), 60).read_layers().rows) == 5000


@pytest.mark.parametrize("arguments", [["summary"], ["layers"], ["activations", "-l", "#1", "-m"]])
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.usefixtures("no_collections")
def test_commands_hold_reading_to_timeout(tmp_path, here, samples, arguments):
    path = chain(tmp_path / "long.onnx", ["Relu"], 5000)
    more = [] if arguments[0] != "activations" else [samples / "cat.png", "-o", "x.png"]
    done = here(*arguments, path, "--timeout", "0.01", *more, code=4)
    assert f"cnntool: error: {path}: it was not read within 0.01 s\n" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.usefixtures("no_collections")
def test_who_swallows_the_end_of_the_time_meets_it_again():
    def work():
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pass

    def swallow():
        with suppress(ModelError):
            work()
        work()

    with pytest.raises(ModelError, match="not read within"), hold_time(0.01, "x"):
        swallow()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_the_hosts_alarm_comes_back():
    import signal

    before = signal.getsignal(signal.SIGALRM)
    with hold_time(1e300, "x"):
        assert signal.getsignal(signal.SIGALRM) is not before
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_in_other_threads_nothing_is_held():
    done = []

    def work():
        with hold_time(0.001, "x"):
            time.sleep(0.01)
        done.append(True)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done
