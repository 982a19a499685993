"""Told to stop, the process undoes what it must and leaves with the documented code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")

UNDOING = """
import os, signal
from cnntool import stopping
stopping.install()
def fail():
    raise FileNotFoundError
stopping.on_stop(lambda: os.write(1, b"first "))
stopping.on_stop(fail)
forget = stopping.on_stop(lambda: os.write(1, b"forgotten "))
stopping.on_stop(lambda: os.write(1, b"last "))
forget()
forget()
try:
    os.kill(os.getpid(), signal.{name})
    os.write(1, b"went on")
finally:
    os.write(1, b"unwound")
"""


@pytest.mark.parametrize(
    ("name", "code", "err"),
    [("SIGINT", 130, b"cnntool: error: interrupted\n"), ("SIGTERM", 143, b"")],
)
def test_what_is_registered_is_undone_and_nothing_is_unwound(name, code, err):
    done = subprocess.run(
        [sys.executable, "-c", UNDOING.format(name=name)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, b"last first ", err)


def test_a_signal_that_the_caller_ignores_stays_ignored():
    done = subprocess.run(
        [sys.executable, "-c", UNDOING.format(name="SIGINT")],
        capture_output=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout) == (0, b"went onunwound")


@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.3, 0.5])
def test_at_any_moment(tmp_path, samples, delay):
    arguments = ["-k", "kirsch", "-k", "gaussian:40", os.fspath(samples / "camera.png")]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnntool", "filter", *arguments, "-o", "out.tif"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=60)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert (code, left) in [(143, []), (-15, []), (0, ["out.tif"]), (143, ["out.tif"])]


AT_AN_IMPORT = """
import os, signal, sys
module = sys.argv.pop()
class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
{before}
from cnntool.__main__ import main
sys.argv.append("--version")
main()
"""


def interrupted_at(module: str, before: str = "") -> tuple[int, bytes, bytes]:
    """Start the tool and interrupt it when it imports a module."""
    command = [sys.executable, "-c", AT_AN_IMPORT.format(before=before), module]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "err"),
    [
        ("cnntool.stopping", b""),  # the first that is imported at all
        ("cnntool.cli.main", b"cnntool: error: interrupted\n"),
        ("click", b"cnntool: error: interrupted\n"),
    ],
)
def test_ctrl_c_while_it_is_being_imported(module, err):
    assert interrupted_at(module) == (130, b"", err)


def test_ctrl_c_that_the_caller_ignores_is_ignored_from_the_first_line_on():
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code, out, err = interrupted_at("cnntool.stopping", ignoring)
    assert (code, out[:8], err) == (0, b"cnntool ", b"")


def test_who_imports_the_package_keeps_its_handlers():
    code = """
import signal
import cnntool, cnntool.__main__, cnntool.stopping, cnntool.cli.main
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    subprocess.run([sys.executable, "-c", code], check=True)
