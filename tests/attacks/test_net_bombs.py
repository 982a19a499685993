"""No network takes more than 1 GiB, more than its time, or what is not beside it."""

from __future__ import annotations

import os
import sys

import bombs
import held
import net_bombs
import pytest
from corpus import some

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
pytest.importorskip("onnxruntime")

HELD = ("--timeout", "30", "--max-memory", "768MiB")
COMMANDS = {
    "summary": ("summary", "net.onnx"),
    "layers": ("layers", "net.onnx"),
    "weights": ("weights", "net.onnx", "--stats-only"),
    "classify": ("classify", "-m", "net.onnx", *HELD, "p.png"),
    "activations": ("activations", "-m", "net.onnx", "--all", "--stats-only", *HELD, "p.png"),
    "explain": ("explain", "-m", "net.onnx", *HELD, "p.png", "-o", "out.npy"),
    "run": ("run", "-m", "net.onnx", *HELD, "p.png", "-o", "out.npy"),
}
CASES = [(verb, name) for name in net_bombs.NETWORKS for verb in COMMANDS]


@pytest.mark.parametrize(("verb", "name"), some(CASES, 4))
@pytest.mark.full
def test_networks(tmp_path, verb, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"abcd")
    (folder / "beside").write_bytes(b"abcd")
    (folder / "link").symlink_to("../secret")
    os.mkfifo(folder / "pipe")
    (folder / "p.png").write_bytes(bombs.png(9, 9, colour=2))
    (folder / "net.onnx").write_bytes(net_bombs.NETWORKS[name]())
    before = {path.name for path in folder.iterdir()}
    done = held.run_held(*COMMANDS[verb], cwd=folder)
    assert done.peak <= held.GIB, f"{done.peak / held.GIB:.2f} GiB: {done}"
    assert "unexpected" not in done.err
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err
    assert "out, " not in name or done.code == 4
    if done.code:
        assert done.code == 4, done
        assert done.out == ""
        words = [line.split(": ")[1] for line in done.err.splitlines()]
        assert [word for word in words if word != "note"] in (["error"], ["error", "hint"])
    left = {path.name for path in folder.iterdir()} - before
    assert left == ({"out.npy"} if not done.code and verb in {"explain", "run"} else set())
