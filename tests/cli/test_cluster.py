"""A cluster, of processes on this machine: the same results, whatever happens to its workers."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import colours, picture_net

pytestmark = pytest.mark.full
DASK = Path(sys.executable).with_name("dask")


def waited_for(what, seconds=60.0):
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


HOOK = """
import os, sys, time
def hook(event, given):
    name = str(given[0]) if event == "open" else ""
    if name.endswith("kills.png"):
        os.kill(os.getpid(), 9)
    elif name.endswith("takes along.png"):
        os.kill(os.getppid(), 9), os._exit(9)
    elif name.endswith("waits.png"):
        open(name + ".held", "w").close()
        while not os.path.exists(name + ".go"):
            time.sleep(0.01)
sys.addaudithook(hook)
"""
"""What works on a shard is a child of Dask's worker: it dies alone, or with that; or it waits."""


class Dask:
    """A scheduler and two workers, each of one thread, that are replaced when they die."""

    def __init__(self, folder):
        from distributed import Client

        self.file, self.models = folder / "scheduler.json", folder / "models"
        self.processes = []
        self.start(HOOK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        for _ in range(2):
            self.start(HOOK, *WORKER, "--nanny")
        waited_for(lambda: self.file.exists() and self.file.read_text().endswith("}"))
        self.address = json.loads(self.file.read_text())["address"]
        self.client = Client(self.address, set_as_default=False)

    def start(self, code, *command):
        """Start a process, which runs some code first, as its children do."""
        place = self.file.parent / f"site{len(self.processes)}"
        place.mkdir()
        (place / "sitecustomize.py").write_text(code)
        process = subprocess.Popen(
            [DASK, *command, "--scheduler-file", self.file],
            env={
                **os.environ,
                "CNNTOOL_MODELS_DIR": str(self.models),
                "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
                "PYTHONPATH": str(place),
            },
            cwd=self.file.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    @contextmanager
    def joined(self, code):
        """Have one more worker for a while; give its address."""
        known = set(self.client.nthreads())
        process = self.start(code, *WORKER, "--no-nanny")
        try:
            (address,) = waited_for(lambda: set(self.client.nthreads()) - known)
            yield address
        finally:
            process.kill()
            process.wait()
            waited_for(lambda: address not in self.client.nthreads())

    def kill(self, *addresses):
        """Kill a worker, of those that are named if there are any."""
        address, number = next(iter(self.client.run(os.getpid, workers=addresses or None).items()))
        os.kill(number, signal.SIGKILL)
        waited_for(lambda: address not in self.client.nthreads())

    def close(self):
        workers = self.client.run(os.getpid).values()
        self.client.close()
        for process in self.processes:
            process.kill()
            process.wait()
        for number in workers:
            os.kill(number, signal.SIGKILL)


WORKER = ["worker", "--nthreads", "1", "--no-dashboard"]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    pytest.importorskip("distributed")
    cluster = Dask(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


@pytest.fixture
def dask(started):
    """A scheduler and two workers, both of which are there."""
    waited_for(lambda: len(started.client.nthreads()) == 2)
    return started


@pytest.fixture
def folder(tmp_path_factory):
    """40 pictures, three of them bad, one a film, two of one name."""
    rng = np.random.default_rng(0)
    into = tmp_path_factory.mktemp("photos") / "other"
    into.mkdir()
    for number in range(40):
        pixels = rng.integers(0, 256, (20 + number % 7, 30, 3), np.uint8)
        Image.fromarray(pixels).save(into / f"{number:04}.png")
    for number in (0, 17, 35):
        (into / f"{number:04}.png").write_text("none")
    film = [Image.new("L", (40, 30), shade) for shade in (20, 200)]
    film[0].save(into / "0020.gif", save_all=True, append_images=film[1:])
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
def small(monkeypatch):
    """Cut few inputs into several shards."""
    monkeypatch.setattr("cnntool.cli.cluster.SHARD", (12, 1024))


@pytest.fixture
def told(here, tmp_path, small):
    """Run a command; return its code, records, talk, log and files, which are then removed."""

    def call(*arguments):
        done = here(*arguments, "--log", "log.jsonl", code=None)
        files = kept(tmp_path)
        for path in tmp_path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return made(done, arguments, files)

    return call


def made(done, arguments, files):
    talk = done.err.splitlines()
    pace = [line.rpartition(",")[0] for line in talk if line.endswith("a second")]
    lines = lines_of(files.pop("log.jsonl"))
    assert not any(".parts" in file for file in files)
    told = done.out
    if "--json" in arguments:
        told = lines_of(done.out)
    elif "json" in arguments:
        told = untimed(json.loads(done.out))
    talk = [line for line in talk if not line.endswith("a second")]
    return done.code, told, talk, pace, lines, files


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


@pytest.mark.parametrize("verb", VERBS)
def test_a_cluster_makes_what_one_machine_makes(told, dask, folder, tmp_path_factory, verb):
    name, *options = VERBS[verb]
    if verb == "run":
        options += ["-m", picture_net(tmp_path_factory.mktemp("net") / "net.onnx")]
    folder = folder.parent if verb == "evaluate" else folder
    plain = told(name, folder, *options)
    spread = told(name, folder, *options, "--scheduler", dask.address)
    assert plain == spread
    assert plain[0] == 1
    done, failed = {"names": (38, 4), "run": (38, 4)}.get(verb, (39, 3))
    assert f"cnntool: note: {done} done, 0 skipped, {failed} failed" in plain[3]


@pytest.mark.parametrize("how", ["kills", "takes along"])
def test_a_picture_that_kills_is_left_out(told, dask, folder, how):
    poison = [folder / f"{number} {how}.png" for number in ("0007", "0030")]
    for path in poison:
        (folder / f"{path.name[:4]}.png").rename(path)
    name, *options = VERBS["filter"]
    code, records, talk, _, _, files = told(name, folder, *options)
    found = told(name, folder, *options, "--scheduler", dask.address)
    assert not [line for line in talk if how in line]
    assert found[0] == code == 1
    assert found[3] == ["cnntool: note: 37 done, 0 skipped, 5 failed"]
    bad = [line for line in found[4][1:] if how in line["input"]]
    assert [line["input"] for line in bad] == list(map(str, poison))
    for line in bad:
        assert (line["code"], line["result"]) == (3, None)
        assert "killed" in line["error"] or "lost" in line["error"]
    assert [line for line in found[2] if "left out" not in line] == talk
    assert found[1] == [record for record in records if how not in record["input"]]
    assert found[5] == {name: data for name, data in files.items() if how not in name}


BEGIN = """
from cnntool.cli import cluster
cluster.SHARD = 2, 1024
from cnntool.__main__ import main
main()
"""


class Run:
    """A run in a process of its own, whose inputs are cut into many shards."""

    def __init__(self, where, *command):
        self.log, self._out, self._said = where / "log.jsonl", where / "out", where / "said"
        self._before, self._count = self.content(), self.results()
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", BEGIN, *command, "--log", "log.jsonl"],
                cwd=where,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    def content(self):
        return self.log.read_bytes() if self.log.exists() else b""

    def results(self):
        return len(list(self._out.glob("*.png")))

    def said(self):
        return self._said.read_text().splitlines()

    def wait_for(self, more, most=30):
        """Wait until there are so many more results; or, with 0, until it writes its log."""
        if more:
            waited_for(lambda: self.results() >= min(self._count + more, most))
        else:
            waited_for(lambda: self.content() != self._before)

    def end(self, signal=None):
        """Wait for its end, after a signal if there is one; return its code and stdout."""
        if signal:
            self.process.send_signal(signal)
        with self.process as process:
            out = process.stdout.read()
        return process.returncode, out


def test_what_is_killed_is_resumed(told, dask, folder, tmp_path):
    """The command 20 times, and five times a worker before it, after some result or in between."""
    name, *options = VERBS["filter"]
    command = [name, folder, *options]
    plain = told(*command)
    command += ["--scheduler", dask.address]
    rng = np.random.default_rng()
    for number in range(20):
        run = Run(tmp_path, *command, *["--resume"] * (number % 4 > 0))
        run.wait_for(rng.integers(0, 5))
        if number % 4 == 3:
            dask.kill()
        assert run.end(signal.SIGKILL)[0] == -signal.SIGKILL
        if number % 4 == 3:
            (tmp_path / "said").unlink()
            found = told(*command, "--resume")
            assert found[:2] == plain[:2]
            talk = [[line for line in one[2] if "note:" not in line] for one in (found, plain)]
            assert talk[0] == talk[1]  # notes may have been said by a run that was killed
            assert found[4:] == plain[4:]


def settled(where):
    """Wait until nobody works on a shard, nor begins one; return how many results there are."""

    def is_free(part):
        with part.open("ab") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True

    found = None
    while found != (found := kept(where)):
        for part in where.glob("log.jsonl.parts/*.jsonl"):
            waited_for(lambda: is_free(part))  # noqa: B023
        time.sleep(1)
    return len(kept(where / "out"))


def test_one_machine_goes_on_from_a_cluster(told, dask, folder, tmp_path):
    name, *options = VERBS["filter"]
    plain = told(name, folder, *options)
    run = Run(tmp_path, name, folder, *options, "--scheduler", dask.address)
    run.wait_for(10)
    run.end(signal.SIGKILL)
    assert (tmp_path / "log.jsonl.parts").exists()
    (tmp_path / "said").unlink()
    settled(tmp_path)  # nobody stops the workers but a command that has the same scheduler
    code, records, _, pace, lines, files = told(name, folder, *options, "--resume")
    assert (code, records, lines, files) == (plain[0], plain[1], *plain[4:])
    assert " 0 skipped" not in pace[0]


def test_processes_of_this_machine(process, folder, tmp_path):
    pytest.importorskip("distributed")
    for number in range(40, 150):
        os.link(folder / "0002.png", folder / f"{number:04}.png")
    found = []
    for place in ([], ["--scheduler", "local:2"]):
        command = ["classify", folder, "--log", "log.jsonl", *place]
        done = process(*command, check=False)
        found.append(made(done, command, kept(tmp_path)))
        (tmp_path / "log.jsonl").unlink()
    assert found[0] == found[1]
    assert found[0][3] == ["cnntool: note: 149 done, 0 skipped, 3 failed"]


@pytest.fixture
def network(here, dask, monkeypatch):
    """A network that all workers have; elsewhere is another one of that name."""
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(dask.models))
    if not dask.models.exists():
        file = colours(dask.file.parent / "net.onnx")
        here("models", "add", file, "--name", "other", "--preprocess", "unit")
        other = shutil.copytree(dask.models, f"{dask.models}2")
        colours(next(Path(other).rglob("*.onnx")), side=9)
    return "other"


STRANGERS = {
    "version": ("import cnntool.version as v; v.__version__ = '0.0.1'", "cnntool is 0.0.1 there, "),
    "missing": ("import sys; sys.modules['cnntool.cli.shards'] = None", "no such cnntool"),
    "runtime": (
        "import importlib.metadata as m; of = m.version; "  # noqa: ISC004
        "m.version = lambda name: '9.9' if 'onnx' in name else of(name)",
        "onnxruntime is 9.9 there, ",
    ),
    "network": ("import os; os.environ['CNNTOOL_MODELS_DIR'] = '/nowhere'", "no such network"),
    "hash": ("import os; os.environ['CNNTOOL_MODELS_DIR'] += '2'", "the network is "),
}


@pytest.fixture
def busy(folder, dask, tmp_path):
    """Begin a run, and wait until both workers wait for a picture: more shards are left."""
    poison = [folder / f"{number} waits.png" for number in ("0003", "0005")]
    for path in poison:
        (folder / f"{path.name[:4]}.png").rename(path)
    started = []

    def start(*command):
        run = Run(tmp_path, *command, "--scheduler", dask.address)
        started.append(run)
        waited_for(lambda: len(list(folder.glob("*.held"))) == 2)
        return run

    def go():
        for path in poison:
            path.with_name(f"{path.name}.go").touch()

    start.go, start.folder, start.dask = go, folder, dask
    yield start
    go()
    for run in started:
        run.process.kill()
        run.process.wait()


def test_a_worker_that_is_killed_is_replaced(told, busy, tmp_path):
    name, *options = VERBS["filter"]
    plain = told(name, busy.folder, *options)
    run = busy(name, busy.folder, *options)
    busy.dask.kill()
    busy.go()
    code, out = run.end()
    assert (code, lines_of(out)) == plain[:2]
    assert {f"out/{name}": data for name, data in kept(tmp_path / "out").items()} == plain[5]


def test_ctrl_c_stops_the_workers(busy, tmp_path):
    run = busy(*VERBS["filter"], busy.folder)
    assert run.end(signal.SIGINT)[0] == 130
    assert run.said() == ["cnntool: error: interrupted"]
    count = run.results()
    assert settled(tmp_path) == count < 39


def test_ctrl_c_stops_processes_of_this_machine(folder, tmp_path):
    pytest.importorskip("distributed")
    run = Run(tmp_path, *VERBS["filter"], folder, "--scheduler", "local:2")
    run.wait_for(0)
    assert run.end(signal.SIGINT)[0] == 130
    assert run.said() == ["cnntool: error: interrupted"]


IMPORTS = """
import sys
def hook(event, given):
    if event == "import" and given[0] == "distributed":
        open("begun", "w").close()
sys.addaudithook(hook)
"""


def test_ctrl_c_is_answered_in_one_line_while_a_cluster_starts(folder, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    begun = tmp_path / "begun"
    (tmp_path / "sitecustomize.py").write_text(IMPORTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [*VERBS["filter"], folder, "--log", "log.jsonl", "--overwrite"]
    for number in range(8):
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "cnntool", *command, "--scheduler", "local:2"],
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            waited_for(begun.exists)
            time.sleep(number * 0.05)
            os.killpg(process.pid, signal.SIGINT)
            said = process.stderr.read()
        assert (process.returncode, said) == (130, b"cnntool: error: interrupted\n")
        begun.unlink()


@pytest.mark.parametrize("worker", STRANGERS)
def test_workers_have_what_is_here(told, here, network, busy, worker):
    """Who joins late and has something else is left out; no run begins while it is there."""
    code, says = STRANGERS[worker]
    dask = busy.dask
    command = ["classify", "-m", network, busy.folder]
    plain = told(*command)
    run = busy(*command)
    with dask.joined(code) as address:
        (left_out,) = waited_for(lambda: [line for line in run.said() if "left out" in line])
        done = here(*command, "--log", "new.jsonl", "--scheduler", dask.address, code=5)
        busy.go()
        assert run.end() == plain[:2]
    assert left_out.startswith(f"cnntool: note: {address}: ")
    assert says in left_out
    assert [line for line in run.said()[:-1] if line != left_out] == plain[2]
    fault, hint = done.err.splitlines()
    assert fault.startswith(f"cnntool: error: {address}: ")
    assert says in fault
    assert "workers need the same cnntool" in hint
    assert done.out == b""
    assert not Path("new.jsonl").exists()


def test_who_joins_goes_on_when_all_others_are_lost(told, busy):
    name, *options = VERBS["filter"]
    plain = told(name, busy.folder, *options)
    known = list(busy.dask.client.nthreads())
    run = busy(name, busy.folder, *options)
    with busy.dask.joined(STRANGERS["version"][0]):  # from then on, shards are for who was met
        waited_for(lambda: [line for line in run.said() if "left out" in line])
        for address in known:
            busy.dask.kill(address)
        busy.go()
        code, out = run.end()
    assert (code, lines_of(out)) == plain[:2]


def test_who_joins_late_takes_part(told, dask, busy):
    name, *options = VERBS["filter"]
    plain = told(name, busy.folder, *options)
    run = busy(name, busy.folder, *options)
    with dask.joined(HOOK) as address:
        busy.go()
        code, out = run.end()
        found = dask.client.run(
            lambda: len(sys.modules["cnntool.cli.shards"]._idle), workers=[address]
        )
    assert (code, lines_of(out)) == plain[:2]
    assert found == {address: 1}, "it has worked on no shard"


BLIND = {
    "inputs": (
        "def hook(event, given):\n"  # noqa: ISC004
        "    if event == 'open' and 'photos' in str(given[0]):\n"
        "        raise FileNotFoundError(2, 'No such file or directory')\n"
        "import sys; sys.addaudithook(hook)",
        ("/0000.png: ", "a worker does not see it"),
    ),
    "results": (
        "import os, tempfile; os.chdir = lambda place, go=os.chdir: go(tempfile.mkdtemp())",
        ("out/", "a worker has written it, and it is not seen here"),
    ),
}


@pytest.mark.filterwarnings("ignore")  # of Dask: a slow disk is no fault
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("what", BLIND)
def test_folders_are_seen_by_all(here, folder, tmp_path_factory, monkeypatch, what):
    pytest.importorskip("distributed")
    code, says = BLIND[what]
    place = tmp_path_factory.mktemp("site")
    (place / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setattr("cnntool.cli.cluster._SEEN", 0.5)
    name, *options = VERBS["filter"]
    done = here(name, folder, *options, "--log", "log.jsonl", "--scheduler", "local:1", code=5)
    fault, hint = done.err.splitlines()[-2:]
    assert all(text in fault for text in says)
    assert "folders that all workers see" in hint


@pytest.mark.usefixtures("small")
def test_a_worker_that_sees_no_shards_is_named(here, dask, folder):
    blind = (
        "import pathlib; of = pathlib.Path.exists\n"
        "pathlib.Path.exists = lambda path: 'parts' not in str(path) and of(path)"
    )
    name, *options = VERBS["filter"]
    command = [name, folder, *options, "--log", "log.jsonl", "--scheduler", dask.address]
    with dask.joined(blind) as address:
        fault, hint = here(*command, code=5).err.splitlines()[-2:]
    assert fault.startswith(f"cnntool: error: {address}: the worker does not see ")
    assert "folders that all workers see" in hint


def test_who_does_not_answer_is_named(here, folder, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("cnntool.cli.cluster._PATIENCE", 0.5)
    where = ["filter", "-k", "sobel", folder, "-o", "out/", "--log", "log.jsonl", "--scheduler"]
    assert "no scheduler" in here(*where, "tcp://127.0.0.1:1", code=5).err
    assert "is no scheduler" in here(*where, "127.0.0.1:8786", code=2).err
    assert "is no scheduler" in here(*where, "local:0", code=2).err
    assert "takes a log" in here(*where[:6], *where[-1:], "local:1", code=2).err


def test_what_it_takes_is_named(here, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    where = ["-o", "out/", "--log", "log.jsonl", "--scheduler", "local:1"]
    said = here("filter", "-k", "sobel", folder, *where, code=2).err
    assert "pip install 'cnntool[cluster]'" in said
