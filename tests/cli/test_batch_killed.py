"""Batches at three in the morning: thousands of pictures, bad ones, and kill -9 at any moment."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import colours

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc"),
]

MARK = "CNNTOOL_TEST_RUN"


def told_of(lines):
    """A log without what every run has of its own: times, and when a result was written."""
    found = [json.loads(line) for line in lines]
    for line in found:
        line["written"] = None
        if line.get("result"):
            line["result"].pop("milliseconds", None)
    return found


class Run:
    """Runs of a command in a folder; each is known by its environment, as its processes are."""

    def __init__(self, folder, *arguments):
        self.folder, self.log = folder, folder / "log.jsonl"
        self._command = [sys.executable, "-m", "cnntool", *arguments, "--log", "log.jsonl"]

    def begin(self, *more, pipe=subprocess.PIPE):
        self._name = uuid.uuid4().hex
        return subprocess.Popen(
            [*self._command, *more],
            cwd=self.folder,
            env={**os.environ, MARK: self._name},
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )

    def lines(self):
        return self.log.read_bytes().count(b"\n") if self.log.exists() else 0

    def kill(self, lines, *, group):
        """Kill a run, or the process alone that the user knows of, once the log has so many."""
        with self.begin(pipe=subprocess.DEVNULL) as run:
            while run.poll() is None and self.lines() < lines:
                time.sleep(0.001)
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(run.pid, signal.SIGKILL)

    def finish(self, *more, code=0):
        """Let a run come to its end; return its stdout and what it says last."""
        with self.begin(*more) as run:
            out, err = run.communicate(timeout=600)
        assert run.returncode == code, err.decode()
        return out, err.decode().splitlines()

    def alive(self):
        """The processes of the last run."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={self._name}".encode() in (process / "environ").read_bytes():
                    found.append(process.name)
        return found

    def await_end(self):
        late = time.monotonic() + 20
        while self.alive():
            assert time.monotonic() < late, "somebody goes on"
            time.sleep(0.01)

    def files(self):
        """All that the folder holds but inputs and the log."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        named = ((str(path.relative_to(self.folder)), path) for path in found)
        kept = {"log.jsonl", "net.onnx", "names.txt"}
        return {
            name: path.read_bytes()
            for name, path in named
            if not name.startswith("in/") and name not in kept
        }


@pytest.fixture
def photos(tmp_path):
    """A hundred photos of two classes, two of which are none."""
    rng = np.random.default_rng(1)
    for number in range(100):
        file = tmp_path / "in" / ("red", "green")[number % 2] / f"{number:03}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(file)
    for number in (20, 51):
        (file.parent.parent / ("red", "green")[number % 2] / f"{number:03}.jpg").write_bytes(b"")
    colours(tmp_path / "net.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    return tmp_path


NET = ["-m", "net.onnx", "--preprocess", "unit", "--jobs", "2"]


@pytest.mark.parametrize(
    "verb",
    [
        ["filter", "-k", "sobel", "-r", "in", "-o", "out/", "--jobs", "2"],
        ["features", *NET, "-l", "means", "-r", "in", "-o", "out.npz"],
        ["features", *NET, "-l", "means", "-r", "in", "-o", "out.parquet"],
        ["evaluate", *NET, "--labels", "names.txt", "in", "--json", "--confusion", "out.csv"],
        ["activations", *NET, "--all", "--raw", "npy", "-r", "in", "-o", "out/", "--json"],
    ],
    ids=["filter", "features", "parquet", "evaluate", "activations"],
)
def test_runs_killed_at_any_moment_end_as_an_undisturbed_one(photos, verb):
    """All processes of a run are killed, or only the one that the user knows of."""
    pytest.importorskip("pyarrow" if "out.parquet" in verb else "onnxruntime")
    run = Run(photos, *verb)
    out, said = run.finish(code=1)
    assert said[-1 - ("vectors of" in said[-1])].startswith("cnntool: note: 98 done, 0 skipped, 2 ")
    files, log, skipped = run.files(), told_of(run.log.read_bytes().splitlines()), set()
    moments = np.random.default_rng(0).integers(0, run.lines() * 2 - 2, 6)  # with those of begun
    for number, lines in enumerate(moments.tolist()):
        shutil.rmtree(photos / "out", ignore_errors=True)
        for name in ("out.npz", "out.parquet", "out.csv", "log.jsonl"):
            (photos / name).unlink(missing_ok=True)
        run.kill(lines if "out/" in verb else lines // 2, group=number % 2 == 0)
        if number % 4 > 1:  # else the next run may meet what outlives it for a moment
            run.await_end()
        told, said = run.finish("--resume", code=1)
        run.await_end()
        assert told == out
        assert run.files() == files
        assert told_of(run.log.read_bytes().splitlines()) == log
        skipped.update(line.split()[4] for line in said if " skipped, " in line)
    assert len(skipped) > 2, skipped  # they were killed at different moments


WAITS = """
import os, sys, time
first = os.getpid()
def hook(event, given):
    name = str(given[0]) if event == "open" else ""
    if name.endswith("011.jpg") and os.getpid() != first:
        open("held", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
sys.addaudithook(hook)
"""
"""A copy of the process waits with a picture in hand."""


def test_what_outlives_a_killed_run_replaces_nothing(photos, monkeypatch):
    (photos / "site").mkdir()
    (photos / "site" / "sitecustomize.py").write_text(WAITS)
    verb = ["filter", "-k", "sobel", "-r", "in", "-o", "out/", "--jobs", "2", "--overwrite"]
    killed, resumed = Run(photos, *verb), Run(photos, *verb)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(photos / "site"))
        with killed.begin(pipe=subprocess.DEVNULL) as run:
            while not (photos / "held").exists():
                time.sleep(0.001)
            run.kill()
    resumed.finish("--resume", code=1)
    files = {path: path.stat().st_ino for path in photos.rglob("out/*/*.png")}
    assert len(files) == 98
    (photos / "go").touch()
    killed.await_end()
    assert {path: path.stat().st_ino for path in photos.rglob("out/*/*.png")} == files
    assert not list(photos.rglob("*.tmp"))


def damaged(path, kind, whole):
    """Make one bad file."""
    if kind == "gone":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        middle = len(whole) // 2
        path.write_bytes({
            "empty": b"",
            "web": b"<!DOCTYPE html><title>404</title>",
            "cut": whole[:middle],
            "head": whole[:20],
            "bits": whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 9])
            + whole[middle + 9 :],
            "bomb": whole[:16] + b"\xff" * 8 + whole[24:],
        }[kind])  # fmt: skip


def test_ten_thousand_pictures_of_which_every_twentieth_is_bad(tmp_path):
    """All good ones are written, all bad ones are in the log; so when it is killed on the way."""
    rng = np.random.default_rng(2)
    (tmp_path / "in").mkdir()
    good = []
    for name, shape in (
        ("a.png", (8, 9, 3)),
        ("b.jpg", (16, 8, 3)),
        ("c.gif", (7, 5)),
        ("d.tif", (6, 6)),
    ):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
        good.append(tmp_path / name)
    whole = good[0].read_bytes()
    kinds = ("empty", "web", "cut", "head", "bits", "bomb", "gone", "pipe")
    bad = {}
    for number in range(10_000):
        if number % 20 == 7:
            kind = kinds[number // 20 % len(kinds)]
            bad[f"in/{number:05}.png"] = kind
            damaged(tmp_path / f"in/{number:05}.png", kind, whole)
        else:
            source = good[number % len(good)]
            os.link(source, tmp_path / f"in/{number:05}{source.suffix}")
    for source in good:
        source.unlink()
    run = Run(tmp_path, "filter", "-k", "gaussian:sigma=1", "in", "-o", "out/", "--jobs", "2")
    run.kill(8000, group=False)  # each has two lines: one when it is begun
    run.await_end()
    out, said = run.finish("--resume", code=1)
    assert len(out.splitlines()) == 9500
    done, skipped, failed = (int(said[-1].split()[place].replace(",", "")) for place in (2, 4, 6))
    assert (done + skipped, failed) == (9500, 500)
    assert min(done, skipped) > 500
    files, log = run.files(), told_of(run.log.read_bytes().splitlines())
    names = sorted(path.name for path in (tmp_path / "in").iterdir())
    assert [line["input"] for line in log[1:]] == [f"in/{name}" for name in names]
    expected = [Path(name).stem for name in names if f"in/{name}" not in bad]
    assert sorted(Path(name).stem for name in files) == expected
    assert len(set(files.values())) == len(good)
    found = {line["input"]: line for line in log[1:] if line["code"]}
    assert set(found) == set(bad)
    assert {line["code"] for line in found.values()} == {3}
    assert all(line["error"].startswith(f"{name}: ") for name, line in found.items())
    reasons = {kind: found[name]["error"].partition(": ")[2] for name, kind in bad.items()}
    assert len(set(reasons.values())) >= 6, reasons
