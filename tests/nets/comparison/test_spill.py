"""Arrays in memory and in a file: the same come back, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from cnntool.errors import OutputError
from cnntool.nets.comparison import spill
from cnntool.nets.comparison.spill import Spill


@pytest.mark.parametrize("budget", [0, 100, 1 << 20])
def test_what_is_kept_comes_back(budget):
    rng = np.random.default_rng(0)
    arrays = {
        ("a", 1): rng.normal(size=(2, 3, 4)).astype(np.float32),
        ("a", 2): rng.integers(0, 9, (5, 1)).astype(np.uint8),
        ("b", 1): np.asfortranarray(rng.normal(size=(4, 6))).astype(np.float16)[:, ::2],
        ("b", 2): np.zeros((0, 3), np.float32),
        ("c", 1): np.float32(7).reshape(()),
    }
    with Spill(budget) as kept:
        for key, values in arrays.items():
            kept.put(key, values)
            np.testing.assert_array_equal(kept.get(("a", 1)), arrays["a", 1])
        for key, values in arrays.items():
            found = kept.get(key)
            assert (found.dtype, found.shape) == (values.dtype, values.shape)
            np.testing.assert_array_equal(found, values)


def test_a_full_disk_is_one_line(monkeypatch):
    class Full:
        def tell(self):
            return 0

        def write(self, _):
            raise OSError(28, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(spill.tempfile, "TemporaryFile", lambda **_: Full())
    with Spill(0) as kept, pytest.raises(OutputError, match="no space left on device") as error:
        kept.put("a", np.ones(3))
    assert "TMPDIR" in error.value.hint


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals of this kind")
def test_nothing_is_left_whatever_ends_it(tmp_path):
    code = (
        "import os, signal, numpy\n"
        "from cnntool.nets.comparison.spill import Spill\n"
        "kept = Spill(0); kept.put('a', numpy.ones(1000))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
