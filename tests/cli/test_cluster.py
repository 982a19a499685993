"""A cluster, of processes on this machine: the same results, whatever happens to its workers."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.full
ROOT = Path(__file__).parents[2]
DASK = Path(sys.executable).with_name("dask")


def waited_for(what, seconds=60.0):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


class Dask:
    """A scheduler and its workers, each of one thread."""

    def __init__(self, folder, workers, **environment):
        self.file = folder / "scheduler.json"
        self.environment = {
            **os.environ,
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            **environment,
        }
        self.processes = []
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        waited_for(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [self.worker() for _ in range(workers)]

    def start(self, verb, *arguments):
        command = [DASK, verb, "--scheduler-file", self.file, *arguments]
        self.processes.append(
            subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.file.parent,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return self.processes[-1]

    def worker(self, *arguments):
        return self.start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard", *arguments)

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler and two workers."""
    pytest.importorskip("distributed")
    cluster = Dask(tmp_path_factory.mktemp("dask"), 2)
    yield cluster
    cluster.close()


@pytest.fixture
def folder(tmp_path):
    """300 pictures, three of them bad, one a film, two of one name."""
    rng = np.random.default_rng(0)
    into = tmp_path / "in"
    into.mkdir()
    for number in range(300):
        pixels = rng.integers(0, 256, (20 + number % 7, 30, 3), np.uint8)
        Image.fromarray(pixels).save(into / f"{number:04}.png")
    for number in (0, 100, 250):
        (into / f"{number:04}.png").write_text("none")
    film = [Image.new("L", (40, 30), shade) for shade in (20, 200)]
    film[0].save(into / "0200.gif", save_all=True, append_images=film[1:])
    Image.new("L", (50, 50)).save(into / "0001.jpg")
    return into


def untimed(record):
    """A record without what every run has of its own: times, and when a result was written."""
    if isinstance(record, dict):
        return {
            key: value[0] if key == "written" and isinstance(value, list) else untimed(value)
            for key, value in record.items()
            if key != "milliseconds"
        }
    return [untimed(one) for one in record] if isinstance(record, list) else record


def lines_of(data):
    return [untimed(json.loads(line)) for line in data.splitlines()]


def kept(folder):
    """The files of a folder and of those below, by their names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def told(process, tmp_path):
    """Run a command in a folder of its own; return its code, records, talk, log and files."""

    def call(name, *arguments, log="log.jsonl"):
        where = tmp_path / name
        where.mkdir(exist_ok=True)
        done = process(*arguments, "--log", log, check=False, cwd=where)
        talk = done.err.splitlines()
        pace = [line.rpartition(",")[0] for line in talk if line.endswith("a second")]
        files = kept(where)
        lines = lines_of(files.pop(log))
        assert not any(".parts" in file for file in files)
        told = done.out
        if "--json" in arguments:
            told = lines_of(done.out)
        elif "json" in arguments:
            told = untimed(json.loads(done.out))
        talk = [line for line in talk if not line.endswith("a second")]
        return done.code, told, talk, pace, lines, files

    return call


VERBS = {
    "filter": ["filter", "-k", "gaussian:sigma=1", "-k", "sobel", "-o", "out/", "--json"],
    "names": ["filter", "-k", "box"],
    "resize": ["resize", "--scale", "1/2", "-o", "out/", "--json"],
    "pool": ["pool", "--max", "2", "-o", "out/"],
    "deconv": ["deconv", "-k", "1,1;1,1", "-o", "out/", "--json"],
    "classify": ["classify"],
    "records": ["classify", "--format", "json"],
    "csv": ["classify", "--format", "csv", "--batch", "4"],
    "features": ["features", "-o", "out.npz"],
    "explain": ["explain", "--method", "gradcam", "-o", "out/", "--json"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_makes_what_one_machine_makes(told, dask, folder, verb):
    if verb == "explain":
        for path in sorted(folder.iterdir())[40:]:
            path.unlink()
    name, *options = VERBS[verb]
    plain = told("plain", name, folder, *options)
    spread = told("spread", name, folder, *options, "--scheduler", dask.address)
    assert plain == spread
    assert plain[0] == 1
    done, failed = {"names": (298, 4), "explain": (39, 1)}.get(verb, (299, 3))
    assert f"cnntool: note: {done} done, 0 skipped, {failed} failed" in plain[3]
