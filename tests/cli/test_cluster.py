"""A cluster, of processes on this machine: the same results, whatever happens to its workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from small import picture_net

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


@pytest.fixture
def another(tmp_path):
    """Start a scheduler with workers of its own, whose every process runs some code first."""
    pytest.importorskip("distributed")
    started = []

    def start(workers=2, code=""):
        place = tmp_path / f"dask{len(started)}"
        place.mkdir()
        (place / "sitecustomize.py").write_text(code)
        started.append(Dask(place, workers, PYTHONPATH=str(place)))
        return started[-1]

    yield start
    for cluster in started:
        cluster.close()


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler and two workers."""
    pytest.importorskip("distributed")
    cluster = Dask(tmp_path_factory.mktemp("dask"), 2)
    yield cluster
    cluster.close()


@pytest.fixture
def folder(tmp_path):
    """150 pictures, three of them bad, one a film, two of one name."""
    rng = np.random.default_rng(0)
    into = tmp_path / "photos" / "other"
    into.mkdir(parents=True)
    for number in range(150):
        pixels = rng.integers(0, 256, (20 + number % 7, 30, 3), np.uint8)
        Image.fromarray(pixels).save(into / f"{number:04}.png")
    for number in (0, 70, 140):
        (into / f"{number:04}.png").write_text("none")
    film = [Image.new("L", (40, 30), shade) for shade in (20, 200)]
    film[0].save(into / "0100.gif", save_all=True, append_images=film[1:])
    Image.new("L", (50, 50)).save(into / "0001.jpg")
    return into


def untimed(record):
    """A record without what every run has of its own: times, and when a result was written."""
    if isinstance(record, dict):
        return {
            key: sizes(value) if key == "written" and isinstance(value, list) else untimed(value)
            for key, value in record.items()
            if key != "milliseconds"
        }
    return [untimed(one) for one in record] if isinstance(record, list) else record


def sizes(written):
    """What a stamp, or those of several files, say of sizes."""
    return [one[0] for one in written] if isinstance(written[0], list) else written[0]


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
    "run": ["run", "-o", "out/", "--json"],
    "activations": ["activations", "-l", "block1_conv1", "-o", "out/"],
    "evaluate": ["evaluate", "--confusion", "confusion.csv"],
}
FEW = {"explain": 40, "run": 70, "activations": 70}
"""Inputs of commands that take their time."""


@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_makes_what_one_machine_makes(told, dask, folder, tmp_path, verb):
    for path in sorted(folder.iterdir())[FEW.get(verb, 200) :]:
        path.unlink()
    name, *options = VERBS[verb]
    if verb == "run":
        options += ["-m", picture_net(tmp_path / "net.onnx")]
    folder = folder.parent if verb == "evaluate" else folder
    plain = told("plain", name, folder, *options)
    spread = told("spread", name, folder, *options, "--scheduler", dask.address)
    assert plain == spread
    assert plain[0] == 1
    done, failed = {"names": (148, 4)}.get(verb, (149, 3))
    assert f"cnntool: note: {done} done, 0 skipped, {failed} failed" in plain[3] or verb in FEW


POISON = """
import os, sys
def hook(event, given):
    if event == "open" and str(given[0]).endswith(("0007.png", "0130.png")):
        {how}
sys.addaudithook(hook)
"""


@pytest.mark.parametrize(
    "how",
    ["os.kill(os.getpid(), 9)", "os.kill(os.getppid(), 9), os._exit(9)"],
    ids=["process", "worker"],
)
def test_a_picture_that_kills_is_left_out(told, another, folder, how):
    """What works on a shard is a child of Dask's worker: it dies alone, or with that."""
    cluster = another(0, POISON.format(how=how))
    for _ in range(2):
        cluster.start("worker", "--nanny", "--nthreads", "1", "--no-dashboard")
    name, *options = VERBS["filter"]
    code, records, talk, _, _, files = told("plain", name, folder, *options)
    found = told("spread", name, folder, *options, "--scheduler", cluster.address)
    poisoned = [line for line in talk if "0007.png" in line or "0130.png" in line]
    assert not poisoned
    assert found[0] == code == 1
    assert found[3] == ["cnntool: note: 147 done, 0 skipped, 5 failed"]
    bad = [line for line in found[4][1:] if line["code"] and line["input"].endswith("7.png")]
    (line,) = bad
    assert (line["code"], line["result"]) == (3, None)
    assert "killed" in line["error"] or "lost" in line["error"]
    assert [line for line in found[2] if "left out" not in line] == talk
    kept = [record for record in records if not record["input"].endswith(("0007.png", "0130.png"))]
    assert found[1] == kept
    assert found[5] == {
        name: data for name, data in files.items() if not name.endswith(("0007.png", "0130.png"))
    }


def test_a_worker_that_is_killed_is_replaced(told, another, folder, tmp_path):
    cluster = another(2)
    name, *options = VERBS["filter"]
    plain = told("plain", name, folder, *options)

    def kill():
        log = tmp_path / "spread" / "log.jsonl"
        waited_for(lambda: log.exists() and log.read_bytes().count(b"\n") > 20)
        cluster.workers[0].kill()

    thread = Thread(target=kill)
    thread.start()
    found = told("spread", name, folder, *options, "--scheduler", cluster.address)
    thread.join()
    assert cluster.workers[0].wait() == -9
    assert found == plain


def test_what_is_killed_is_resumed(told, another, folder, tmp_path):
    """The command or a worker, 20 times, at moments that chance chooses."""
    cluster = another(2)
    name, *options = VERBS["filter"]
    options += ["--kernel", "box:15", "--kernel", "median:9"]
    plain = told("plain", name, folder, *options)
    where = tmp_path / "spread"
    where.mkdir()
    command = [sys.executable, "-m", "cnntool", name, folder, *options]
    command += ["--log", "log.jsonl", "--scheduler", cluster.address]
    rng = np.random.default_rng()
    killed = 0
    while killed < 20:
        goes_on = ["--resume"] * (where / "log.jsonl").exists()
        run = subprocess.Popen(
            [*command, *goes_on], cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(0.8, 2.5))
        if killed % 4 == 3:
            cluster.workers.pop(0).kill()
            cluster.workers.append(cluster.worker())
            time.sleep(rng.uniform(0, 0.5))
        run.kill()
        if run.wait() < 0:
            killed += 1
        else:  # it came to its end before that
            assert kept(where / "out") == kept(tmp_path / "plain" / "out")
            shutil.rmtree(where / "out")
            (where / "log.jsonl").unlink()
    found = told("spread", *command[3:-4], "--scheduler", cluster.address, "--resume")
    assert found[0] == plain[0]
    assert found[1] == plain[1]
    talk = [[line for line in one[2] if "note:" not in line] for one in (found, plain)]
    assert talk[0] == talk[1]  # notes may have been said by a run that was killed
    assert found[4:] == plain[4:]


SLOW = ["filter", "-k", "median:21", "-o", "out/", "--json"]


def begun(where, command):
    """Start a run, and wait until it has written some results."""
    run = subprocess.Popen(command, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    waited_for(lambda: len(list(where.glob("out/*.png"))) > 10)
    return run


def settled(where):
    """Wait until no more results come."""
    found, count = -1, 0
    while found != count:
        found, count = count, len(kept(where))
        time.sleep(2)


def test_one_machine_goes_on_from_a_cluster(told, dask, folder, tmp_path):
    name, *options = SLOW
    plain = told("plain", name, folder, *options)
    where = tmp_path / "spread"
    where.mkdir()
    command = [sys.executable, "-m", "cnntool", name, folder, *options, "--log", "log.jsonl"]
    run = begun(where, [*command, "--scheduler", dask.address])
    run.kill()
    run.communicate()
    assert (where / "log.jsonl.parts").exists()
    settled(where)  # nobody stops the workers but a command that has the same scheduler
    code, records, _, pace, lines, files = told("spread", name, folder, *options, "--resume")
    assert (code, records, lines, files) == (plain[0], plain[1], *plain[4:])
    assert " 0 skipped" not in pace[0]


def test_ctrl_c_stops_the_workers(dask, folder, tmp_path):
    name, *options = SLOW
    command = [sys.executable, "-m", "cnntool", name, folder, *options, "--log", "log.jsonl"]
    run = begun(tmp_path, [*command, "--scheduler", dask.address])
    run.send_signal(signal.SIGINT)
    assert run.communicate()[1].endswith(b"cnntool: error: interrupted\n")
    assert run.returncode == 130
    count = len(kept(tmp_path / "out"))
    time.sleep(1)
    assert len(kept(tmp_path / "out")) == count < 145


def test_processes_of_this_machine(told, folder):
    pytest.importorskip("distributed")
    name, *options = VERBS["classify"]
    plain = told("plain", name, folder, *options)
    assert told("spread", name, folder, *options, "--scheduler", "local:2") == plain


@pytest.mark.parametrize(
    "worker",
    [
        ("import cnntool.version as v; v.__version__ = '0.0.1'", "cnntool is 0.0.1 there, "),
        ("import sys; sys.modules['cnntool.cli.shards'] = None", "no such cnntool"),
        ("import os; os.environ['CNNTOOL_MODELS_DIR'] = '/nowhere'", "no such network"),
    ],
    ids=["version", "missing", "network"],
)
def test_workers_have_what_is_here(process, another, folder, tmp_path, worker):
    code, says = worker
    models = tmp_path / "models"
    environment = {**os.environ, "CNNTOOL_MODELS_DIR": str(models)}
    process(
        "models", "add", ROOT / "models" / "vgg16-mini.onnx", "--name", "other", env=environment
    )
    cluster = another(1, code)
    waited_for(lambda: cluster.workers[0].poll() is None)
    where = ["--log", "log.jsonl", "--scheduler", cluster.address]
    done = process("classify", "-m", "other", folder, *where, check=False, env=environment)
    assert (done.code, done.out) == (5, b"")
    assert says in done.err.splitlines()[0]
    assert "tcp://127.0.0.1" in done.err
    assert len(done.err.splitlines()) == 2
    assert not (tmp_path / "log.jsonl").exists()


def test_who_does_not_answer_is_named(fails, folder):
    pytest.importorskip("distributed")
    where = ["filter", "-k", "sobel", folder, "-o", "out/", "--log", "log.jsonl", "--scheduler"]
    assert "no scheduler" in fails(5, *where, "tcp://127.0.0.1:1")
    assert "is no scheduler" in fails(2, *where, "127.0.0.1:8786")
    assert "is no scheduler" in fails(2, *where, "local:0")
    assert "takes a log" in fails(2, *where[:6], *where[-1:], "local:1")


def test_what_it_takes_is_named(fails, folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['distributed'] = None")
    where = ["-o", "out/", "--log", "log.jsonl", "--scheduler", "local:1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = fails(2, "filter", "-k", "sobel", folder, *where, env=environment)
    assert "pip install 'cnntool[cluster]'" in said
