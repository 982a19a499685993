"""What other systems lack, taken away from this one."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time

import numpy as np
import pytest

from cnntool import system
from cnntool.nets.models.download import _alone
from cnntool.nets.runtime.failures import Diagnosis
from cnntool.nets.runtime.providers import SessionSettings

HERE = SessionSettings(device="cpu", max_memory=1 << 30)


@pytest.fixture
def windows(monkeypatch):
    """Take away what Windows does not have, as far as the tool could meet it."""
    monkeypatch.setattr(sys, "platform", "win32")
    for module, names in {
        os: ("posix_spawn", "posix_fallocate", "sched_getaffinity", "sysconf"),
        signal: ("SIGKILL", "SIGHUP", "SIGPIPE"),
    }.items():
        for name in names:
            monkeypatch.delattr(module, name, raising=False)
    for name in ("fcntl", "resource", "termios", "tty"):
        monkeypatch.setitem(sys.modules, name, None)


def test_how_a_worker_ended_is_told_without_signals(windows):
    ended = Diagnosis("net", HERE.device, HERE.max_memory, "cpu").ended
    assert "exit code 1" in str(ended(1, ""))
    assert "exit code 3221225477" in str(ended(3221225477, ""))  # an access violation
    assert "killed" in str(ended(-9, ""))
    assert "signal 250" in str(ended(-250, ""))


def test_memory_that_nobody_limits_is_not_said_to_be_limited(windows):
    assert system.inherited_memory() is None
    system.hold_memory(1 << 30)
    error = Diagnosis("net", HERE.device, HERE.max_memory, "cpu").too_large()
    assert str(error) == "net: there is not enough memory for it"
    assert error.hint == ""


def test_the_machine_is_looked_at_with_what_there_is(windows):
    assert system.usable_cpus() >= 1
    assert system.available_memory() is None or system.available_memory() > 0


def test_where_there_are_no_locks_nobody_waits_for_one(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="the disk is made to refuse what Unix asks for")

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    until = time.monotonic() + 60
    with _alone(tmp_path / "lock", until=until, on_wait=pytest.fail) as held:
        assert not held


@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_limit_without_effect_says_so(windows, here, samples, monkeypatch, source):
    monkeypatch.setattr(signal, "SIGKILL", 9, raising=False)  # for this system's subprocess
    option = ["--max-memory", "2G"] if source == "option" else []
    if source == "environment":
        monkeypatch.setenv("CNNTOOL_MAX_MEMORY", "2G")
    done = here("classify", samples / "cat.png", *option)
    assert done.err == (
        "cnntool: note: --max-memory has no effect: this system does not limit a process's memory\n"
    )
    assert len(done.text.splitlines()) == 5


def test_a_limit_that_holds_is_not_talked_about(here, samples):
    assert here("classify", samples / "cat.png", "--max-memory", "2G").err == ""


def test_pictures_are_filtered_and_replaced(windows, here, tmp_path):
    np.save(tmp_path / "m.npy", np.arange(12.0).reshape(3, 4))
    for arguments in ((), ("--overwrite",)):
        here("filter", "-k", "box", "m.npy", "-o", "o.npy", *arguments)
    assert np.load(tmp_path / "o.npy").shape == (3, 4)
    assert "exists" in here("filter", "-k", "box", "m.npy", "-o", "o.npy", code=6).err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.npy", "o.npy"]
