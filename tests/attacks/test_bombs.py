"""No input takes more than 1 GiB: it is worked on, or refused with the number that is too large."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import bombs
import held
import pytest
from corpus import some

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")

PICTURES = bombs.pictures()
FILTER = ("filter", "-k", "box", "-o", "out.npy")
COMMANDS = {
    "filter": FILTER,
    "resize": ("resize", "--size", "8,8", "-o", "out.npy"),
    "pool": ("pool", "--max", "all", "-o", "out.npy"),
    "classify": ("classify",),
}
CASES = [(verb, name) for name in PICTURES for verb in COMMANDS]


def bounded(done: held.Held, code: int = 3) -> None:
    lines = done.err.splitlines()
    assert done.peak <= held.GIB, f"{done.peak / held.GIB:.2f} GiB: {done.code} {lines}"
    assert "memory" not in done.err or re.search(r"memory.*\d", done.err), done.err
    if done.code:
        assert done.code == code, done
        assert done.out == ""
        assert [line.split(": ")[1] for line in lines] in (["error"], ["error", "hint"])


@pytest.fixture
def folder():
    """A folder that is gone after the test: its files are large."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize(("verb", "name"), some(CASES, 5))
def test_pictures(folder, verb, name):
    PICTURES[name](folder / name)
    bounded(held.run_held(*COMMANDS[verb], name, cwd=folder))


@pytest.mark.parametrize("name", some(list(bombs.STREAMS), 2))
def test_streams_without_end(folder, name):
    done = held.run_held(*FILTER, "-", cwd=folder, stdin=bombs.endless(*bombs.STREAMS[name]))
    bounded(done)
    assert [path.name for path in folder.iterdir()] == ([] if done.code else ["out.npy"])
