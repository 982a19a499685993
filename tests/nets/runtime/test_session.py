"""Sessions: what they compute, what they refuse, and that nothing outlives or outlasts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import build

from cnntool.errors import CnntoolError, ModelError, UsageError
from cnntool.nets.file.subgraph import Skeleton
from cnntool.nets.runtime import failures
from cnntool.nets.runtime.providers import SessionSettings
from cnntool.nets.runtime.session import Session, start
from cnntool.system import usable_cpus

VERSION = tuple(map(int, version("onnxruntime").split(".")[:2]))
VGG = Path(__file__).parents[3] / "models" / "vgg16-mini.onnx"
CPU = SessionSettings(device="cpu")
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
ONES = {"x": np.ones((1, 3), "f4")}
RELU = build([helper.make_node("Relu", ["x"], ["y"])], inputs=[X])


def skeleton(model: onnx.ModelProto | bytes, folder: Path = Path()) -> Skeleton:
    return Skeleton(model if isinstance(model, bytes) else model.SerializeToString(), folder)


def opened(model, settings: SessionSettings = CPU, name: str = "net.onnx") -> Session:
    return Session(model if isinstance(model, Path) else skeleton(model), settings, name=name)


def error_of(model, feeds=ONES, settings: SessionSettings = CPU, outputs=None) -> CnntoolError:
    """Return the error that using a network raises, which is one line in any case."""
    with opened(model, settings) as session, pytest.raises(CnntoolError) as caught:
        session.run(feeds, outputs)
    error = caught.value
    assert "\n" not in error.message
    assert error.message
    assert len(error.message) < 300
    return error


ROUNDS = helper.make_tensor_value_info("rounds", TensorProto.INT64, ())


def looping(weights=(), inputs=(X, ROUNDS)) -> onnx.ModelProto:
    """A Loop that adds its input x to itself."""
    flag, step = (
        helper.make_tensor_value_info(*of)
        for of in (("c", TensorProto.BOOL, ()), ("i", TensorProto.INT64, ()))
    )
    nodes = [
        helper.make_node("Identity", ["c"], ["c2"]),
        helper.make_node("Add", ["v", "v"], ["v2"]),
    ]
    given = [step, flag, helper.make_tensor_value_info("v", TensorProto.FLOAT, (1, 3))]
    back = [
        helper.make_tensor_value_info("c2", TensorProto.BOOL, ()),
        helper.make_tensor_value_info("v2", TensorProto.FLOAT, (1, 3)),
    ]
    body = helper.make_graph(nodes, "body", given, back)
    on = numpy_helper.from_array(np.bool_(1), "on")
    loop = helper.make_node("Loop", ["rounds", "on", "x"], ["y"], body=body)
    return build([loop], [on, *weights], inputs=inputs)


def endless() -> onnx.ModelProto:
    """A Loop of 2 ** 62 rounds."""
    return looping([numpy_helper.from_array(np.int64(2**62), "rounds")], [X])


def zeros(count: int) -> onnx.ModelProto:
    """As many zeros as asked for, of four bytes each."""
    size = numpy_helper.from_array(np.array([count]), "size")
    return build([helper.make_node("ConstantOfShape", ["size"], ["y"])], [size], inputs=[])


def state(pid: int) -> str:
    """Return a process's state as the system calls it; '' if there is none, 'Z' if it is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(true, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()


# ------------------------------------------------------------------ what they compute


def test_the_numbers_are_onnxruntimes():
    import onnxruntime

    oracle = onnxruntime.InferenceSession(VGG, providers=["CPUExecutionProvider"])
    feeds = {"input": np.random.default_rng(1).normal(size=(2, 3, 40, 48)).astype("f4")}
    (wanted,) = oracle.run(None, feeds)
    with opened(VGG, SessionSettings()) as session:
        assert session.placement == ("auto", "cpu", "CPUExecutionProvider", "")
        assert session.inputs == (("input", "float32", ("batch", 3, "height", "width")),)
        assert session.outputs == (("predictions/Softmax", "float32", ("batch", 53)),)
        (found,) = session.run(feeds)
        assert 0 < session.seconds < 5
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bool"]
)
def test_every_type_goes_in_and_comes_out(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info("x", kind, ("rows", 3))]
    array = (np.arange(6).reshape(2, 3) % 4).astype(dtype)
    with opened(build([helper.make_node("Identity", ["x"], ["y"])], inputs=inputs)) as session:
        assert session.inputs == (("x", dtype, ("rows", 3)),)
        assert session.outputs[0].dtype == dtype
        for feed in (array, np.asfortranarray(array), array[::-1], array[:0]):
            (found,) = session.run({"x": feed})
            assert found.dtype == dtype
            assert np.array_equal(found, feed)
        swapped = array.astype(array.dtype.newbyteorder(">"))
        assert np.array_equal(session.run({"x": swapped})[0], array)


@pytest.mark.parametrize("shape", [(), None])
def test_single_numbers_and_unknown_shapes(shape):
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    with opened(build([helper.make_node("Neg", ["x"], ["y"])], inputs=inputs)) as session:
        assert session.inputs[0].shape is None
        assert session.run({"x": np.array(2, "f4")})[0] == -2


def test_outputs_come_in_the_order_asked_for():
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    with opened(build(nodes, inputs=[X], outputs=["a", "b"])) as session:
        b, a = session.run(ONES, ["b", "a"])
        assert (a.tolist(), b.tolist()) == ([[-1, -1, -1]], [[1, 1, 1]])
        assert len(session.run(ONES)) == 2
        assert session.run(ONES, ["b"])[0].tolist() == [[1, 1, 1]]


def test_runs_are_collected_in_order_while_more_are_submitted():
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n",))]
    size = 1 << 20  # more than the pipes hold, both ways
    with opened(build(nodes, inputs=inputs)) as session:
        for number in range(6):
            session.submit({"x": np.full(size, number, "f4")})
        for number in range(6):
            (found,) = session.collect()
            assert found.shape == (size,)
            assert (found == 2 * number).all()


@pytest.mark.parametrize("lanes", [1, 2, 3])
@pytest.mark.full
def test_a_quick_run_does_not_overtake_a_slow_one(lanes):
    rounds = [100_000, 3, 1, 50_000, 2, 0, 4]
    settings = CPU._replace(lanes=lanes, threads=3)
    with Session(skeleton(looping()), settings, name="net.onnx") as session:
        assert session.lanes == lanes
        for number in rounds:
            session.submit({"x": ONES["x"], "rounds": np.array(number)})
        found = [session.collect()[0][0, 0] for _ in rounds]
    assert found == [np.float32(2) ** number if number < 100 else np.inf for number in rounds]


def test_lanes_share_the_threads(fake_runtime):
    for threads, lanes, each in ((6, 2, 3), (2, 4, 1)):
        with opened(RELU, CPU._replace(threads=threads, lanes=lanes)) as session:
            assert session.inputs
            assert f"threads={each}\n" in session.chatter


def test_a_run_that_fails_keeps_its_place_in_line(fake_runtime, monkeypatch):
    monkeypatch.setenv("FAKE_RUN", "text")
    with opened(RELU, CPU._replace(lanes=3)) as session:
        for _ in range(5):
            session.submit({"x": np.ones(3, "f4")})
        for _ in range(5):
            with pytest.raises(ModelError, match="output 'y' is no array of numbers"):
                session.collect()


def test_weights_beside_the_model(tmp_path):
    weights = np.array([[1, 2, 3]], "f4")
    (tmp_path / "weights").write_bytes(b"skip" + weights.tobytes())
    stored = TensorProto(name="w", dims=(1, 3), data_type=1, data_location=1)
    for key, value in (("location", "weights"), ("offset", "4"), ("length", "12")):
        stored.external_data.add(key=key, value=value)
    model = build([helper.make_node("Add", ["x", "w"], ["y"])], [stored], inputs=[X])
    with Session(skeleton(model, tmp_path), CPU, name="cut") as session:
        assert session.run(ONES)[0].tolist() == [[2, 3, 4]]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with opened(tmp_path / "net.onnx") as session:
        assert session.run(ONES)[0].tolist() == [[2, 3, 4]]


def test_relative_paths_stay_what_they_were(tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(RELU.SerializeToString())
    monkeypatch.chdir(tmp_path)
    child = start()
    with Session(Path("net.onnx"), CPU, name="net", child=child) as session:
        monkeypatch.chdir("/")
        assert session.run(ONES)[0].tolist() == [[1, 1, 1]]


def test_a_process_started_before_the_network_is_known():
    child = start()
    with Session(skeleton(RELU), CPU, name="net", child=child) as session:
        assert session.run(ONES)[0].tolist() == [[1, 1, 1]]


@pytest.mark.full
def test_a_system_without_posix_spawn(monkeypatch):
    monkeypatch.delattr(os, "posix_spawn")
    with opened(RELU) as session:
        assert session.run(ONES)[0].tolist() == [[1, 1, 1]]
    assert error_of(endless(), settings=CPU._replace(timeout=0.5)).exit_code == 4


# ------------------------------------------------------------------ what they refuse


@pytest.mark.full
@pytest.mark.parametrize(
    ("feeds", "outputs", "message", "hint"),
    [
        ({}, None, "its input 'x' was not given", ""),
        ({"x": np.ones((1, 3))}, None,
         "its input 'x' takes float32 (1, 3), not float64 (1, 3)", ""),
        ({"x": np.ones((2, 3), "f4")}, None,
         "its input 'x' takes float32 (1, 3), not float32 (2, 3)", ""),
        ({"x": np.ones(3, "f4")}, None, "its input 'x' takes float32 (1, 3), not float32 (3)", ""),
        (ONES | {"\x1b[2J": np.ones(1)}, None, "it has no input '\\x1b[2J'", "nearest: x"),
        (ONES, ["conv1"], "it has no output 'conv1'", "nearest: conv, conv2, fc"),
    ],
)  # fmt: skip
def test_feeds_and_outputs_that_do_not_fit(feeds, outputs, message, hint):
    names = ["y", "conv", "conv2", "fc"]
    model = build([helper.make_node("Relu", ["x"], [n]) for n in names], inputs=[X], outputs=names)
    with opened(model) as session:
        with pytest.raises(ModelError) as caught:
            session.run(feeds, outputs)
        assert (str(caught.value), caught.value.hint) == (f"net.onnx: {message}", hint)
        assert len(session.run(ONES)) == 4  # it is none the worse


def node(*arguments, **attributes) -> onnx.ModelProto:
    fields = {key: attributes.pop(key) for key in ("opset", "ir_version") if key in attributes}
    return build([helper.make_node(*arguments, **attributes)], inputs=[X], **fields)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "no ONNX file, or a damaged one"),
        (b"<html>", "no ONNX file, or a damaged one"),
        (RELU.SerializeToString()[:-20], "no ONNX file, or a damaged one"),
        (build([helper.make_node("Relu", [a], [b]) for a, b in ("ay", "ya")], inputs=[X]),
         "its graph has a cycle"),
        (node("Relu", ["x"], ["y"], opset=9999),
         "it needs opset 9999, which this onnxruntime does not have"),
        (node("Relu", ["x"], ["y"], ir_version=9999), "it is written in format version 9999, "),
        (node("Conv2D\x1b[31m", ["x"], ["y"]), "this onnxruntime has no operator Conv2D\x1b[31m"),
        (node("Relu", ["x"], ["y"], domain="made.up"),
         "this onnxruntime has no operator made.up"),
        (node("Relu", ["no\n\x1bwhere"], ["y"]), "Invalid model. Node input 'no \x1bwhere' is not"),
        (node("Relu", ["x", "x"], ["y"]), "input"),
        (node("Cast", ["x"], ["y"], to=TensorProto.STRING), "output 'y' is no array of numbers"),
        (node("SequenceConstruct", ["x"], ["y"]), "output 'y' is no array of numbers"),
        (node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16),
         "it gives numbers of a type that numpy does not have"),
        (node("Flatten", ["x"], ["y"], axis=7), "axis"),
        (zeros(2**62), "overflow"),
    ],
)  # fmt: skip
@pytest.mark.full
def test_broken_and_hostile_models(model, message):
    error = error_of(model, {} if "size" in str(model) else ONES)
    assert message in error.message
    assert (error.source, error.exit_code) == ("net.onnx", 4)
    assert "onnxruntime::" not in error.message


@pytest.mark.full
@pytest.mark.skipif(
    VERSION < (1, 24), reason="this onnxruntime reads weights from anywhere; read_graph does not"
)
@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "its weights lie outside of its folder"),
        ("/etc/hostname", "its weights lie outside of its folder"),
        ("link", "its weights lie outside of its folder"),
        ("nowhere", "its weights are missing: "),
        ("short", "out of bounds"),
    ],
)
def test_weights_that_are_elsewhere(tmp_path, location, message):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(12))
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "short").write_bytes(b"1234")
    stored = TensorProto(name="w", dims=(1, 3), data_type=1, data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        stored.external_data.add(key=key, value=value)
    model = build([helper.make_node("Add", ["x", "w"], ["y"])], [stored], inputs=[X])
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    assert message in error_of(folder / "net.onnx").message


def test_a_file_that_is_not_there(tmp_path):
    assert error_of(tmp_path / "net.onnx").message == "no such file"


def test_a_failure_is_told_again():
    with opened(b"<html>") as session:
        for _ in range(3):
            with pytest.raises(ModelError, match="no ONNX file"):
                _ = session.inputs


def test_a_run_that_fails_does_no_harm_to_the_next():
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ("n",))]
    table = numpy_helper.from_array(np.array([5, 6, 7]), "table")
    model = build([helper.make_node("Gather", ["table", "x"], ["y"])], [table], inputs=inputs)
    with opened(model) as session:
        session.submit({"x": np.array([3])})
        session.submit({"x": np.array([2])})
        with pytest.raises(ModelError, match="in Gather: indices element out of data bounds"):
            session.collect()
        assert session.collect()[0].tolist() == [7]


# ------------------------------------------------------------------ time and memory


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads, from Python 3.12 on
def test_a_copy_of_the_process_neither_uses_nor_ends_it():
    with opened(RELU) as session:
        session.run(ONES)
        copy = os.fork()
        if not copy:
            code = 1
            try:
                session.run(ONES)
            except UsageError:
                session.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(copy, 0)[1] == 0
        assert np.array_equal(session.run(ONES)[0], ONES["x"])


@pytest.mark.full
def test_a_network_that_never_finishes():
    born = time.monotonic()
    error = error_of(endless(), settings=CPU._replace(timeout=0.7))
    assert error.message == "it did not finish within 0.7 s"
    assert error.hint == "`timeout` SECONDS allows more"
    assert time.monotonic() - born < 5


def test_a_network_that_never_opens(tmp_path):
    os.mkfifo(tmp_path / "net.onnx")
    error = error_of(tmp_path / "net.onnx", settings=CPU._replace(timeout=0.5))
    assert error.message == "it did not open within 0.5 s"


def test_a_tool_that_slept_too_long_still_takes_the_answer():
    with opened(RELU) as session:
        session.submit(ONES)
        assert wait_until(lambda: not session._child._answers.empty())
        session._since -= 1000
        assert session.collect()[0].tolist() == [[1, 1, 1]]


@pytest.mark.full
def test_time_is_granted_for_each_picture_of_a_batch():
    model = endless()
    del model.graph.input[:]
    model.graph.input.append(
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 1, 1, 3))
    )
    feeds = {"x": np.ones((4, 1, 1, 3), "f4")}
    error = error_of(model, feeds, settings=CPU._replace(timeout=1))
    assert error.message == "it did not finish within 4 s"


@pytest.mark.parametrize(
    ("count", "limit"),
    [(25_000_000_000, SessionSettings().max_memory), (300_000_000, 1 << 30)],
    ids=["more than is available", "more than is allowed"],
)
def test_a_network_that_wants_too_much_memory(count, limit):
    error = error_of(zeros(count), {}, settings=CPU._replace(max_memory=limit))
    message = f"it needs more than {limit >> 20} MiB"
    assert error.message in {message, f"{message} ({4 * count >> 20} MiB in one piece)"}
    assert error.hint == "`max_memory` SIZE allows more"


def test_memory_that_the_shell_withholds_is_not_blamed_on_the_option(monkeypatch):
    monkeypatch.setattr(failures, "inherited_memory", lambda: 1 << 29)
    error = error_of(zeros(300_000_000), {}, settings=CPU._replace(max_memory=1 << 30))
    assert error.message == "it needs more than the 512 MiB that cnntool may take"
    assert "ulimit -v" in error.hint


@pytest.mark.full
@pytest.mark.parametrize("size", [32, 80, 128])
def test_a_limit_that_hardly_anything_fits(size):
    feeds = {"input": np.zeros((1, 3, 1024, 1024), "f4")}
    error = error_of(VGG, feeds, settings=CPU._replace(max_memory=size << 20))
    assert error.message.startswith(f"it needs more than {size} MiB")


def test_an_answer_larger_than_the_limit_is_not_taken():
    for limit in (4000, 3999):
        with opened(zeros(1000)) as session:
            session._child.limit = limit
            if limit == 4000:
                assert session.run({})[0].shape == (1000,)
            else:
                with pytest.raises(ModelError, match="it needs more than"):
                    session.run({})


# ------------------------------------------------------------------ an ill-bred runtime


def test_nothing_that_is_printed_on_stdout_gets_there(fake_runtime, capfd):
    with opened(RELU) as session:
        session.run({"x": np.ones(3, "f4")})
        chatter = session.chatter
    assert capfd.readouterr() == ("", "")
    assert "import chatter\nnative chatter on stdout\nsession " in chatter


@pytest.mark.full
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("segv", "it crashed the runtime (signal 11, SIGSEGV): about to fall"),
        ("kill", "its process was killed"),
        ("exit", "it ended the runtime (exit code 3): enough of this"),
        ("abort", f"it needs more than {CPU.max_memory >> 20} MiB"),
        ("text", "output 'y' is no array of numbers"),
    ],
    ids=["segv", "kill", "exit", "abort", "text"],
)
def test_a_runtime_that_dies(fake_runtime, monkeypatch, how, message):
    monkeypatch.setenv("FAKE_RUN", how)
    error = error_of(RELU, {"x": np.ones(3, "f4")})
    assert (error.message, error.exit_code) == (message, 4)


@pytest.mark.full
@pytest.mark.parametrize(
    ("optimise", "level"), [(True, "all"), ("basic", "basic"), (False, "none")]
)
def test_optimisation(fake_runtime, optimise, level):
    with opened(RELU, CPU._replace(optimise=optimise)) as session:
        assert session.inputs
        assert f"level={level} " in session.chatter


def test_threads_are_the_usable_processors_unless_told_otherwise(fake_runtime):
    with opened(RELU, CPU._replace(threads=5)) as session:
        assert session.inputs
        assert "threads=5\n" in session.chatter
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cpus() == 1
        with opened(RELU) as session:
            assert session.inputs
            assert "threads=1\n" in session.chatter
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.full
@pytest.mark.parametrize("name", ["numpy.py", "onnxruntime.py", "cnntool.py", "ast.py"])
def test_modules_in_the_working_folder_are_not_imported(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("import os; os.abort()")
    monkeypatch.chdir(tmp_path)
    with opened(RELU) as session:
        assert session.run(ONES)[0].tolist() == [[1, 1, 1]]


def test_chatter_is_kept_in_bounds(fake_runtime, monkeypatch):
    monkeypatch.setenv("FAKE_RUN", "loud")
    with opened(RELU) as session:
        session.run({"x": np.ones(3, "f4")})
        assert wait_until(lambda: session.chatter.endswith("the last words\n"))
        assert len(session.chatter) == 1 << 16


# ------------------------------------------------------------------ ends


def test_a_process_that_is_killed_from_outside():
    with opened(endless()) as session:
        assert session.inputs
        pid = session._child._process.pid
        session.submit(ONES)
        os.kill(pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(ModelError, match="its process was killed") as caught:
                session.collect() if session._pending else session.run(ONES)
            assert isinstance(caught.value.__cause__.__cause__, EOFError)  # what --debug tells
    assert state(pid) == ""


@pytest.mark.full
def test_many_sessions_leave_nothing_behind():
    def counts() -> tuple[int, int]:
        return tuple(len(list(Path("/proc/self", what).iterdir())) for what in ("fd", "task"))

    before, pids = counts(), []
    for number in range(12):
        with opened(RELU) as session:
            pids.append(session._child._process.pid)
            if number % 3:
                session.submit(ONES)
            if number % 2:
                assert session.inputs
    assert wait_until(lambda: all(now <= was for now, was in zip(counts(), before, strict=True)))
    assert [state(pid) for pid in pids] == [""] * 12


def test_closing_twice_does_no_harm():
    session = opened(RELU)
    session.close()
    session.close()


SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
from cnntool import system
system.take_over()
import numpy as np
from pathlib import Path
from cnntool.nets.runtime.session import Session
from cnntool.nets.runtime.providers import SessionSettings
session = Session(Path({model!r}), SessionSettings(device="cpu", timeout=60), name="net")
print(session._child._process.pid, flush=True)
if {run}:
    session.inputs
    print("open", flush=True)
session.run({{"x": np.ones((1, 3), "f4")}})
"""


@pytest.mark.parametrize("run", [True, False], ids=["in a run", "while opening"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
@pytest.mark.full
def test_the_parent_may_be_stopped_at_any_moment(tmp_path, number, code, run):
    model = tmp_path / "net.onnx"
    if run:
        model.write_bytes(endless().SerializeToString())
    else:
        os.mkfifo(model)
    root = str(Path(__file__).parents[3])
    script = SCRIPT.format(root=root, model=str(model), run=run)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        child = int(parent.stdout.readline())
        if run:
            assert parent.stdout.readline() == b"open\n"
        time.sleep(0.3)
        assert state(child) not in {"", "Z"}
        sent = time.monotonic()
        parent.send_signal(number)
        assert parent.wait(5) == code
        assert time.monotonic() - sent < 1
    assert wait_until(lambda: state(child) in {"", "Z"})


def test_a_checkout_that_is_not_installed(tmp_path):
    """Run it from its folder by an interpreter that knows of no installed one."""
    (tmp_path / "site").mkdir()
    (tmp_path / "net.onnx").write_bytes(RELU.SerializeToString())
    root = Path(__file__).parents[3]
    (tmp_path / "elsewhere").symlink_to(root / "cnntool")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "cnntool").symlink_to(root / "cnntool")
    script = (
        "from pathlib import Path; import numpy as np; import cnntool;"
        "from cnntool.nets.runtime.session import Session;"
        "from cnntool.nets.runtime.providers import SessionSettings;"
        "s = Session(Path('../net.onnx'), SessionSettings(), name='net');"
        "print(s.run({'x': np.ones((1, 3), 'f4')})[0].tolist(), cnntool.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "checkout",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"[[1.0, 1.0, 1.0]] {tmp_path}/checkout/cnntool/__init__.py\n", done
