"""What killed processes leave is removed by the next one that writes there, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cnntool.image import atomic
from cnntool.image.atomic import Output

fcntl = pytest.importorskip("fcntl")

WRITER = """
import sys
from pathlib import Path
from cnntool.image.atomic import Output
output = Output(sys.argv[1], name="x", overwrite=False)
output.write(b"half")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Let every test be a process that has swept nothing yet."""
    monkeypatch.setattr(atomic, "_swept", set())


@pytest.fixture
def writer(tmp_path):
    """Another process in the middle of a result."""
    command = [sys.executable, "-c", WRITER, os.fspath(tmp_path / "theirs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path):
    output = Output(path, name="x", overwrite=True)
    output.write(b"whole")
    output.commit()


def test_those_of_the_living_stay_and_those_of_the_dead_go(tmp_path, writer, monkeypatch):
    (theirs,) = names(tmp_path)
    write(tmp_path / "ours")
    assert names(tmp_path) == [theirs, "ours"]
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    assert names(tmp_path) == [theirs, "ours"]
    monkeypatch.setattr(atomic, "_swept", set())
    write(tmp_path / "ours")
    assert names(tmp_path) == ["ours"]


def test_a_folder_is_looked_through_once(tmp_path, writer):
    write(tmp_path / "ours")
    writer.kill()
    writer.wait(30)
    write(tmp_path / "ours")
    assert len(names(tmp_path)) == 2


def test_only_files_of_this_machine_are_ours_to_judge(tmp_path, monkeypatch):
    others = [
        ".cnntool-0011223344556677.tmp",
        ".cnntool-00000000-0011223344556677.tmp",
        atomic.new_name(tmp_path).name + ".keep",
        "cnntool.tmp",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    folder = atomic.new_name(tmp_path)
    folder.mkdir()
    link = atomic.new_name(tmp_path)
    link.symlink_to("cnntool.tmp")
    write(tmp_path / "ours")
    assert names(tmp_path) == sorted([*others, folder.name, link.name, "ours"])


def test_no_locks_no_sweeping(tmp_path, monkeypatch):
    left = atomic.new_name(tmp_path)
    left.write_bytes(b"")

    def refuse(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "ours")
    assert names(tmp_path) == sorted([left.name, "ours"])


def test_a_file_that_was_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock = fcntl.flock
    swept = []

    def late(stream, how):
        if not swept:
            swept.extend(tmp_path.iterdir())
            swept[0].unlink()
        lock(stream, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write(tmp_path / "ours")
    assert swept[0].name.startswith(".cnntool-")
    assert (tmp_path / "ours").read_bytes() == b"whole"
    assert names(tmp_path) == ["ours"]


def test_no_descriptor_is_left_open(tmp_path):
    before = len(list(Path("/dev/fd").iterdir()))
    for end in ("commit", "discard"):
        output = Output(tmp_path / end, name="x", overwrite=True)
        getattr(output, end)()
    assert len(list(Path("/dev/fd").iterdir())) == before
