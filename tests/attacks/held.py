"""Run the tool with a hard limit of memory and of time, and measure what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GIB = 1 << 30
HARD = 2 * GIB
"""Where the system steps in, for the sake of whoever works on the same machine."""

# A process inherits the peak of whoever started it: so a small one stands between.
_BETWEEN = """
import json, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
done = subprocess.run(sys.argv[2:], capture_output=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
peak *= 1 if sys.platform == "darwin" else 1024
print(json.dumps([done.returncode, done.stdout[:9999].decode("latin-1"),
                  done.stderr[:9999].decode(errors="replace"), peak]))
"""


class Held(NamedTuple):
    """A finished command."""

    code: int
    out: str
    err: str
    peak: int
    """Bytes of memory."""


def run_held(
    *arguments: str, cwd: Path, stdin: Iterable[bytes] | None = None, seconds: float = 300
) -> Held:
    """Run the tool in a folder; what an endless stdin holds is written until nobody reads it."""
    process = subprocess.Popen(
        [sys.executable, "-ISc", _BETWEEN, str(HARD), sys.executable, "-m", "cnntool", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def feed() -> None:
        with suppress(OSError), process.stdin as pipe:
            for piece in stdin or ():
                pipe.write(piece)

    if stdin is not None:
        threading.Thread(target=feed, daemon=True).start()
    timer = threading.Timer(seconds, _end, [process])
    timer.start()
    try:
        answer = process.stdout.read()
        process.wait()
    finally:
        timer.cancel()
        process.stdout.close()
    assert answer, f"not done after {seconds} seconds: {arguments}"
    return Held(*json.loads(answer))


def _end(process: subprocess.Popen) -> None:
    import os
    import signal

    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
