"""What the tool asks of a terminal, and what it never does."""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cnntool.cli import screen
from cnntool.views.drawing import Drawing

pty = pytest.importorskip("pty")


class Terminal:
    """A pseudo-terminal on stdin and stdout, with somebody at the other end."""

    def __init__(self, monkeypatch, answers):
        import fcntl
        import struct
        import termios

        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("4H", 30, 90, 90 * 9, 30 * 18))
        for name in ("stdin", "stdout"):
            mode = "r" if name == "stdin" else "w"
            stream = open(os.dup(self.theirs), mode, encoding="utf-8")  # noqa: PTH123, SIM115
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(screen, "PATIENCE", 0.3)
        self.heard = b""
        self._answers = answers
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        while True:
            try:
                self.heard += os.read(self.ours, 4096)
            except OSError:
                return
            for question in [*self._answers]:
                if question in self.heard:
                    os.write(self.ours, self._answers.pop(question))
            if b"END" in self.heard:
                return

    def close(self):
        os.write(self.theirs, b"END")
        self._thread.join()
        sys.stdin.close()
        sys.stdout.close()
        os.close(self.theirs)
        os.close(self.ours)
        return self.heard.removesuffix(b"END")


@pytest.fixture
def terminal(monkeypatch):
    for name in ("TMUX", "STY", "ZELLIJ", "SSH_CONNECTION", "NO_COLOR", "COLORTERM",
                 "KITTY_WINDOW_ID", "TERM_PROGRAM", "COLORFGBG", "WT_SESSION"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "90"), ("LINES", "30")):
        monkeypatch.setenv(name, value)
    made = []

    def make(attributes=b"", largest=b"", **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        answers = {b"\x1b[c": attributes, b"\x1b[?2;1;0S": largest}
        made.append(Terminal(monkeypatch, {key: text for key, text in answers.items() if text}))
        return made[-1]

    return make


def protocol_of(terminal):
    window = screen.Screen()._window
    return window.protocol, terminal.close()


SIXEL = b"\x1b[?62;4;22c"


def test_a_terminal_that_says_so_gets_sixels(terminal):
    assert protocol_of(terminal(SIXEL)) == ("sixel", b"\x1b[c\x1b[?2;1;0S")


def test_sixels_are_no_larger_than_the_terminal_takes(terminal):
    one = terminal(SIXEL, b"\x1b[?2;0;400;200S")
    window = screen.Screen()._window
    one.close()
    assert (window.columns, window.rows) == (400 // 9, 200 // 18)


@pytest.mark.parametrize("answer", [b"\x1b[?62;22c", b"\x1b[?4c", b"", b"no\x1b[?c"])
def test_another_gets_half_blocks(terminal, answer):
    assert protocol_of(terminal(answer))[0] == "256"


@pytest.mark.parametrize(
    "environment",
    [
        {"TMUX": "/tmp/t,1,0"},
        {"STY": "1.pts"},
        {"TERM": "screen-256color"},
        {"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"},
        {"ZELLIJ": "0"},
        {"SSH_CONNECTION": "1 2 3 4"},
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"TERM": "linux"},
        {"TERM": "xterm-kitty"},
    ],
)
def test_others_are_not_asked(terminal, environment):
    _, heard = protocol_of(terminal(SIXEL, **environment))
    assert heard == b""


def test_nobody_is_asked_through_a_pipe(terminal, monkeypatch):
    one = terminal(SIXEL)
    with open(os.devnull) as nothing, monkeypatch.context() as patch:  # noqa: PTH123
        patch.setattr(sys, "stdin", nothing)
        assert screen.Screen()._window.protocol == "256"
    assert one.close() == b""


def test_what_was_typed_ahead_is_kept(terminal):
    one = terminal(SIXEL)
    os.write(one.ours, b"ls\n")
    assert screen.Screen()._window.protocol == "256"
    assert sys.stdin.readline() == "ls\n"
    one.close()


def test_the_window_is_measured(terminal):
    one = terminal(TERM="xterm-kitty")
    window = screen.Screen()._window
    one.close()
    assert (window.cell, window.rows) == ((18, 9), 24)


def test_a_terminal_gets_maps_and_values(terminal):
    one = terminal(COLORTERM="truecolor", SSH_CONNECTION="1 2 3 4")
    made = screen.Screen()
    maps = made.draw(Drawing(maps="0-2"), np.zeros((9, 8, 8)), photo=None, labels=None)
    values = made.draw(Drawing(), np.arange(3.0), photo=None, labels=["a\x1b", "b", "c"])
    one.close()
    head = next(line for line in maps.split("\n") if line.isascii())
    assert head == (" " * 24).join("012")
    assert [line.split()[0] for line in values.splitlines()] == ["c", "b", "a\\x1b"]


@pytest.mark.full
@pytest.mark.skipif(not shutil.which("tmux"), reason="no tmux here")
def test_nothing_strange_is_left_in_tmux(samples, tmp_path):
    """Variables of the terminal outside are there as well."""
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", os.devnull]
    words = [sys.executable, "-m", "cnntool", "activations", "-q", "--show", "-l", "block1_conv1"]
    sized = "while test \"$(stty size)\" != '50 80'; do sleep 0.05; done"
    command = f"{sized}; {shlex.join([*words, str(samples / 'cat.png')])}; echo EN''D; sleep 60"
    outside = {**os.environ, "KITTY_WINDOW_ID": "1", "TERM_PROGRAM": "WezTerm", "TERM": "xterm"}
    for name in ("TMUX", "COLUMNS", "LINES"):  # the window's own size is meant
        outside.pop(name, None)
    outside["LC_ALL"] = "C.UTF-8"
    new = [*tmux, "new-session", "-d", "-x", "80", "-y", "50", command]
    subprocess.run(new, env=outside, check=True, timeout=20)
    try:
        for _ in range(100):
            time.sleep(0.3)
            seen = subprocess.check_output(
                [*tmux, "capture-pane", "-p", "-S", "-"], text=True, timeout=20
            )
            if "END" in seen:
                break
    finally:
        subprocess.run([*tmux, "kill-server"], check=True, timeout=20)
    lines = [line for line in seen.splitlines() if line]
    assert lines[0] == "block1_conv1  16 x 144 x 144"
    assert lines[-1] == "END"
    assert len(lines) <= 50  # all of it is on the screen at once, END in place of the prompt
    drawn = lines[1 : lines.index(str(samples / "cat.png"))]
    assert {sign for line in drawn for sign in line} <= set("▀▄ 0123456789")
    assert sum("▀" in line for line in drawn) > 20
