"""What the process may use, and how it ends: what must be undone is, with the documented code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from cnntool.system import available_memory

GIB = 1 << 30
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")

UNDOING = """
import os, signal
from cnntool import system
system.take_over()
def fail():
    raise FileNotFoundError
system.on_stop(lambda: os.write(1, b"first "))
system.on_stop(fail)
forget = system.on_stop(lambda: os.write(1, b"forgotten "))
system.on_stop(lambda: os.write(1, b"last "))
forget()
forget()
try:
    os.kill(os.getpid(), signal.{name})
    os.write(1, b"went on")
finally:
    os.write(1, b"unwound")
"""


@needs_signals
@pytest.mark.parametrize(
    ("name", "code", "err"),
    [("SIGINT", 130, b"cnntool: error: interrupted\n"), ("SIGTERM", 143, b"")],
)
def test_what_is_registered_is_undone_and_nothing_is_unwound(name, code, err):
    done = subprocess.run(
        [sys.executable, "-c", UNDOING.format(name=name)], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, b"last first ", err)


@needs_signals
def test_a_signal_that_the_caller_ignores_stays_ignored():
    done = subprocess.run(
        [sys.executable, "-c", UNDOING.format(name="SIGINT")],
        capture_output=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout) == (0, b"went onunwound")


@needs_signals
@pytest.mark.parametrize("delay", [0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.3, 0.5])
@pytest.mark.full
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


@needs_signals
@pytest.mark.parametrize(
    ("module", "err"),
    [
        ("cnntool.system", b""),  # the first that is imported at all
        ("cnntool.cli.main", b"cnntool: error: interrupted\n"),
        ("click", b"cnntool: error: interrupted\n"),
    ],
)
def test_ctrl_c_while_it_is_being_imported(module, err):
    assert interrupted_at(module) == (130, b"", err)


@needs_signals
def test_ctrl_c_that_the_caller_ignores_is_ignored_from_the_first_line_on():
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code, out, err = interrupted_at("cnntool.system", ignoring)
    assert (code, out[:8], err) == (0, b"cnntool ", b"")


@needs_signals
def test_who_imports_the_package_keeps_its_handlers():
    code = """
import signal
import cnntool, cnntool.__main__, cnntool.system, cnntool.cli.main
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def files_of(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return os.fspath(root)


MEMINFO = {"proc/meminfo": "MemTotal: 25000000 kB\nMemAvailable: 524288 kB\nHugePages: x\n"}


@pytest.mark.parametrize(
    ("files", "available"),
    [
        (MEMINFO, GIB // 2),
        (  # version 2: half of the use is files that can be let go
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/box/memory.max": "max\n",
                "sys/fs/cgroup/pod/box/memory.current": "50000000\n",
                "sys/fs/cgroup/pod/memory.max": "400000000\n",
                "sys/fs/cgroup/pod/memory.current": "300000000\n",
                "sys/fs/cgroup/pod/memory.stat": "inactive_file 100000000\nactive_file 50000000\n",
            },
            250_000_000,
        ),
        (  # version 1, whose path is that of the host: the container sees its own at the top
            {
                "proc/self/cgroup": "3:cpu:/docker/ab\n4:memory:/docker/ab\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "300000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "200000000\n",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 7\ninactive_file 9\n",
            },
            100_000_007,
        ),
        (  # over its limit for a moment
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "100\n",
                "sys/fs/cgroup/memory.current": "200\n",
                "sys/fs/cgroup/memory.stat": "anon 200\n",
            },
            0,
        ),
    ],
)
def test_available_memory(tmp_path, files, available):
    assert available_memory(files_of(tmp_path, MEMINFO | files)) == available


@pytest.mark.skipif(sys.platform == "win32", reason="needs sysconf")
def test_a_system_that_says_nothing_has_what_it_has(tmp_path):
    assert available_memory(files_of(tmp_path, {})) == os.sysconf("SC_PAGE_SIZE") * os.sysconf(
        "SC_PHYS_PAGES"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_this_very_system():
    everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory() < everything
