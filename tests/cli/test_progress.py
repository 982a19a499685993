"""The progress line on a terminal: a pseudo-terminal shows what somebody sees."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminals import pieces

from cnntool.cli import console

pty = pytest.importorskip("pty")

RUN = """
import sys
from cnntool import system
from cnntool.cli import console
from cnntool.cli.main import run
system.take_over()
console.Progress.DELAY = 0.0
"""
WAIT = """
import time
from pathlib import Path
with console.Progress("filtering") as progress:
    for _ in progress.track(range(2)):
        print("begun", flush=True)
        time.sleep(30)
"""


def on_terminal(code, cwd, *, interrupt_at=None):
    """Run code with stdout and stderr on one terminal; return its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", RUN + code],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=cwd,
        env={**os.environ, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(theirs)
        written = b""
        for piece in pieces(ours):
            written += piece
            if interrupt_at is not None and re.search(interrupt_at, written):
                process.send_signal(signal.SIGINT)
                interrupt_at = None
    return process.returncode, written.decode()


def screen(written):
    """Return the lines that somebody sees in the end."""
    rows, column = [""], 0
    for piece in re.findall(r"\x1b\[K|[^\x1b]", written):
        if piece == "\n":
            rows.append("")
        elif piece == "\x1b[K":
            rows[-1] = rows[-1][:column]
        elif piece != "\r":
            rows[-1] = rows[-1][:column] + piece + rows[-1][column + 1 :]
        column = 0 if piece in "\r\n" else column + len(piece) * (piece != "\x1b[K")
    return rows


@pytest.mark.full
def test_results_and_notes_stand_on_lines_of_their_own(tmp_path, samples):
    names = [f"p{number}.png" for number in range(4)]
    for name in names:
        (tmp_path / name).symlink_to(samples / "camera.png")
    (tmp_path / "p1.png").unlink()
    (tmp_path / "p1.png").write_bytes(b"no picture")
    code = f"sys.exit(run(['filter', '-k', 'bilateral:1', '-o', 'out', *{names}, 'm.csv']))"
    (tmp_path / "m.csv").write_text("1,2\n3,4\n")
    status, written = on_terminal(code, tmp_path)
    assert status == 1
    assert "filtering" in written
    assert "of 5" in written
    seen = screen(written)
    results = [str(Path("out", name)) for name in ("p0.png", "p2.png", "p3.png", "m.csv")]
    assert [line for line in seen if not line.startswith("cnntool: error: p1.png: ")] == [
        *results, "",
    ]  # fmt: skip
    assert len(seen) == 6


@pytest.mark.full
def test_a_matrix_is_not_torn(tmp_path):
    code = """
import time
from pathlib import Path
with console.Progress("filtering") as progress:
    for _ in progress.track([1]):
        for piece in (b"1,2", b",3\\n4,", b"5,6\\n"):
            time.sleep(0.25)
            sys.stdout.buffer.write(piece)
        time.sleep(0.25)
"""
    status, written = on_terminal(code, tmp_path)
    assert (status, screen(written)) == (0, ["1,2,3", "4,5,6", ""])
    assert "filtering" in written.partition("1,2")[0]
    assert "filtering" not in written.partition("1,2")[2].partition("5,6")[0]
    assert "filtering" in written.partition("5,6")[2]


def test_interrupted_it_leaves_a_clean_line(tmp_path):
    status, written = on_terminal(WAIT, tmp_path, interrupt_at=b"begun\r\n.*filtering")
    assert status == 130
    assert screen(written) == ["begun", "cnntool: error: interrupted", ""]
    assert "\x1b[?25l" not in written, "the cursor is never hidden"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch, delay=0.0):
    """Make stderr a terminal, on which progress shows after so many seconds."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(console.Progress, "DELAY", delay)
    return terminal


def test_it_shows_within_a_second_that_one_long_item_is_worked_on(monkeypatch):
    shown = terminal(monkeypatch, console.Progress.DELAY)
    with console.Progress("filtering") as progress:
        for _ in progress.track(iter([1])):
            end = time.monotonic() + 1.0
            while not shown.getvalue() and time.monotonic() < end:
                time.sleep(0.02)
            assert "filtering" in shown.getvalue()
    assert screen(shown.getvalue()) == [""]
    assert sys.stderr is shown


@pytest.mark.parametrize("items", [[1, 2, 3], iter([1, 2, 3]), (n for n in (1, 2, 3))])
def test_the_total_is_shown_where_it_is_known(monkeypatch, items):
    stream = terminal(monkeypatch)
    monkeypatch.setattr(console.Progress, "_STEP", 0.001)
    known = hasattr(items, "__length_hint__") or hasattr(items, "__len__")
    with console.Progress("reading") as progress:
        for _ in progress.track(items):
            time.sleep(0.01)
    shown = re.findall(r"[|/+-] reading  [^\r]*", stream.getvalue())
    expected = r"\[#{13}-{7}\]  2 of 3  0:00" if known else r"2  0:00"
    assert any(re.fullmatch(rf". reading  {expected}", line) for line in shown), shown


def test_one_item_has_no_bar(monkeypatch):
    stream = terminal(monkeypatch)
    with console.Progress("reading") as progress:
        list(progress.track([1]))
    assert "reading  0:00" in stream.getvalue()


def test_bytes(monkeypatch):
    shown = terminal(monkeypatch)
    with console.Progress("net", megabytes=True) as progress:
        progress.reach(5_000_000, 20_000_000)
    assert "net  [#####---------------]  5.0 of 20.0 MB, " in shown.getvalue()
    assert re.search(r"\d MB/s  0:00\r", shown.getvalue())


def test_a_narrow_terminal_is_not_overrun(monkeypatch):
    shown = terminal(monkeypatch)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((30, 20)))
    monkeypatch.setattr(shown, "fileno", lambda: 2, raising=False)
    with console.Progress("x" * 50) as progress:
        progress.reach(1)
    assert max(map(len, re.findall(r"[^\r\x1b]+(?=\r|$)", shown.getvalue()))) <= 31  # [K, too


@pytest.mark.parametrize("quiet", [False, True])
def test_neither_quiet_nor_in_a_pipe(monkeypatch, quiet):
    stream = Terminal() if quiet else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(console.TALK, "quiet", quiet)
    monkeypatch.setattr(console.Progress, "DELAY", 0.0)
    with console.Progress("filtering") as progress:
        assert list(progress.track([1, 2])) == [1, 2]
    assert stream.getvalue() == ""
