"""Arrays in a file that two processes see: the same come back, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny import build

from cnntool.errors import OutputError
from cnntool.nets.file.subgraph import Skeleton
from cnntool.nets.runtime.providers import SessionSettings
from cnntool.nets.runtime.session import Session
from cnntool.nets.runtime.shared_file import SharedFile

TWICE = build(
    [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Shape", ["x"], ["z"])],
    inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3))],
    outputs=["y", "z"],
)


def opened(beside=None) -> Session:
    part = Skeleton(TWICE.SerializeToString(), Path())
    return Session(part, SessionSettings(device="cpu"), name="net.onnx", beside=beside)


@pytest.fixture(scope="module")
def session():
    with opened() as one:
        yield one


def test_nothing_but_empty_arrays_comes_back():
    with SharedFile() as file:
        (found,) = file.get(file.put(np.zeros((0, 3), np.float32)))
    assert (found.dtype, found.shape) == (np.float32, (0, 3))


def test_what_is_kept_comes_back():
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=(2, 3, 4)).astype(np.float32),
        rng.integers(0, 9, (5, 1)).astype(np.uint8),
        np.asfortranarray(rng.normal(size=(4, 6))).astype(np.float16)[:, ::2],
        np.zeros((0, 3), np.float32),
        np.float32(7).reshape(()),
        rng.normal(size=5000),
    ]
    with SharedFile() as file:
        places = [place for array in arrays for place in file.put(array)]
        for chosen in (places, places[1:3], places[3:4], places[4:], places[::-1]):
            for place, found in zip(chosen, file.get(chosen), strict=True):
                values = arrays[places.index(place)]
                assert (found.dtype, found.shape) == (values.dtype, values.shape)
                assert not found.flags.writeable
                np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("shared", [True, False])
def test_runs_read_from_files_and_write_to_them(session, shared):
    """Where no other process can open the file, its arrays go through pipes."""
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    with SharedFile() as kept, SharedFile() as target:
        if not shared:
            kept.path = target.path = ""
        kept.put(np.ones(5))
        (place,) = kept.put(x)
        for _ in range(2):  # the second behind the first
            session.submit({}, stored={"x": place}, source=kept, target=target)
            places = session.collect_into(target)
        assert places[0].offset >= x.nbytes + 16
        y, z = target.get(places)
        np.testing.assert_array_equal(y, 2 * x)
        assert z.tolist() == [4, 3]
        before = places[0].offset
        target.clear()
        session.submit({"x": x[:1]}, target=target)
        places = session.collect_into(target)
        assert places[0].offset < before
        assert target.get(places)[1].tolist() == [1, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
def test_a_full_disk_is_one_line(session, monkeypatch):
    x = np.ones((1, 3), np.float32)
    with SharedFile() as file:
        file.path = "/dev/full"
        session.submit({"x": x}, target=file)
        with pytest.raises(OutputError, match="no space left on device") as error:
            session.collect_into(file)
        assert "TMPDIR" in error.value.hint
        file.path = "/dev/gone"
        session.submit({"x": x}, target=file)
        with pytest.raises(OutputError, match="no such file"):
            session.collect_into(file)
    assert session.run({"x": x})[0].tolist() == [[2, 2, 2]]


def test_a_network_is_let_go_of_and_the_process_stays():
    x = np.ones((1, 3), np.float32)
    with opened() as first:
        number = first.run({"x": x})[0]
        first.free()
        for _ in range(2):
            second = opened(first)
            np.testing.assert_array_equal(second.run({"x": x})[0], number)
            second.free()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals of this kind")
def test_nothing_is_left_whatever_ends_it(tmp_path):
    code = (
        "import os, signal, numpy\n"
        "from cnntool.nets.runtime.shared_file import SharedFile\n"
        "file = SharedFile(); file.put(numpy.ones(1000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no account of memory")
def test_what_is_let_go_of_takes_no_memory():
    weight = numpy_helper.from_array(np.ones((3, 10_000_000), np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"])]
    nodes += [helper.make_node("ReduceMean", ["m"], ["y"], keepdims=0)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
    large = Skeleton(build(nodes, [weight], inputs=[x]).SerializeToString(), Path())

    def held(session):
        session.run({"x": np.ones((1, 3), np.float32)})
        pages = Path(f"/proc/{session._child._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    settings = SessionSettings(device="cpu")
    with Session(large, settings, name="net.onnx") as first:
        most = held(first)
        first.free()
        assert held(opened(first)) < most - weight.ByteSize()
