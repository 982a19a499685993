"""Stepping through texts on a terminal: a pseudo-terminal plays the one who looks on."""

import os
import select
import signal
import subprocess
import sys
import time

import pytest

pty = pytest.importorskip("pty")

SCRIPT = """
from cnntool import system
from cnntool.cli import stepping
system.take_over()
assert stepping.interactive()
stepping.show(["first", "second", "third"], {delay})
print("done")
"""


@pytest.fixture
def terminal():
    """Run the script on a terminal; return what to read from, what to press, and the process."""
    opened = []

    def start(delay=None):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(delay=delay)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        )
        opened.append((ours, theirs, process))
        return ours, theirs, process

    yield start
    for ours, theirs, process in opened:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def until(ours, text):
    """Read until a text has come."""
    seen, end = "", time.monotonic() + 30
    while text not in seen:
        assert time.monotonic() < end, seen
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 4096).decode()
    return seen


def flags(theirs):
    import termios

    return termios.tcgetattr(theirs)[3]


def test_a_key_brings_the_next(terminal):
    ours, theirs, process = terminal()
    before = flags(theirs)
    seen = until(ours, "q: quit")
    assert "first" in seen
    assert "second" not in seen
    assert flags(theirs) != before
    os.write(ours, b" ")
    assert "second" in until(ours, "q: quit")
    os.write(ours, b"\x1b[C")
    seen = until(ours, "q: quit")
    assert "third" in seen
    assert "^[[C" not in seen
    os.write(ours, b"n")
    until(ours, "done")
    assert process.wait(30) == 0
    assert flags(theirs) == before


@pytest.mark.parametrize("key", [b"q", b"\x1b", b"\x04"])
def test_it_can_be_left(terminal, key):
    ours, theirs, process = terminal()
    before = flags(theirs)
    until(ours, "q: quit")
    os.write(ours, key)
    assert "second" not in until(ours, "done")
    assert process.wait(30) == 0
    assert flags(theirs) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_terminal_is_restored_when_it_is_stopped(terminal, number, code):
    ours, theirs, process = terminal()
    before = flags(theirs)
    until(ours, "q: quit")
    process.send_signal(number)
    assert process.wait(30) == code
    assert flags(theirs) == before


def test_with_a_delay_nobody_has_to_press_anything(terminal):
    ours, _, process = terminal(0.05)
    seen = until(ours, "done")
    assert seen.index("first") < seen.index("second") < seen.index("third")
    assert "q: quit" not in seen
    assert process.wait(30) == 0
