"""Fetching from a server on this machine that misbehaves: no bad file ever gets into the store."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("requests", reason="networks are fetched with requests")
pytest.importorskip("filelock", reason="one process at a time fetches a network")

from mischief import CONTENT, SHA256, serving

from cnntool.errors import DownloadError, OutputError
from cnntool.nets.models import catalog, download
from cnntool.nets.models.download import DownloadLimits, pull
from cnntool.nets.models.manifest import InputSpec, ModelSpec, OutputSpec, manifest_text

CALM = DownloadLimits(timeout=60, stall=20)
IMPATIENT = DownloadLimits(timeout=60, stall=0.4)


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def store(tmp_path, monkeypatch, server):
    folder = tmp_path / "store"
    folder.mkdir()
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(folder))
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("CNNTOOL_OFFLINE", raising=False)
    server.asked.clear()
    return folder


@pytest.fixture
def known(store, server):
    """Write the manifest of a network with these addresses; paths are the server's."""

    def write(*paths, name="net", **fields):
        urls = tuple(path if ":" in path else server.url(path) for path in paths)
        spec = ModelSpec(
            name=name, title="A net", file=f"{name}-1.onnx", sha256=SHA256, size=len(CONTENT),
            urls=urls, licence="unknown", source="a test", output=OutputSpec("y", "logits"),
            input=InputSpec("x", size=(4, 4)),
        )._replace(**fields)  # fmt: skip
        (store / f"{name}.toml").write_text(manifest_text(spec))
        return catalog.entry(name)

    return write


class Notes:
    def __init__(self):
        self.lines, self.steps = [], []

    def note(self, text):
        self.lines.append(text)

    def progress(self, done, total):
        self.steps.append((done, total))


def left(store):
    return sorted(path.name for path in store.iterdir() if path.suffix != ".toml")


def failure(entry, limits=CALM):
    listener = Notes()
    with pytest.raises(DownloadError) as caught:
        pull(entry, limits=limits, listener=listener)
    assert caught.value.exit_code == 8
    assert caught.value.source == entry.spec.name
    assert "\n" not in caught.value.message
    return caught.value.message, listener.lines


GOOD = ["good", "silent-about-its-length", "chunked", "redirects"]


@pytest.mark.parametrize("path", GOOD)
def test_a_good_file_gets_its_name(known, store, path, server):
    entry, listener = known(path), Notes()
    assert not entry.present
    assert pull(entry, limits=CALM, listener=listener)
    assert left(store) == ["net.onnx"]
    assert (store / "net.onnx").read_bytes() == CONTENT
    assert listener.lines == []
    assert listener.steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in listener.steps] == sorted(done for done, _ in listener.steps)
    assert catalog.find("net").file == (store / "net.onnx").resolve()


def test_it_is_as_readable_as_other_files(known, store):
    other = store / "other.toml"
    other.touch()
    pull(known("good"), limits=CALM)
    assert (store / "net.onnx").stat().st_mode == other.stat().st_mode


BAD = {
    "missing": "the server says 404 Not Found",
    "broken": "the server says 500 Internal Server Error",
    "no-content": "the server says 204 No Content",
    "empty": "only 0 of 76,800 bytes came",
    "nothing": "only 0 of 76,800 bytes came",
    "short": "it offers 76,790 bytes, the file has 76,800",
    "promises-more": "it offers 76,810 bytes, the file has 76,800",
    "breaks-off": "the connection broke",
    "long": "more comes than the 76,800 bytes of the file",
    "endless": "more comes than the 76,800 bytes of the file",
    "wrong-bytes": "not the file: its sha256 is another",
    "one-bit": "not the file: its sha256 is another",
    "page": "a web page came instead of the file",
    "pointer": "a Git LFS pointer came, which names the file and is not the file",
    "resets": "the connection broke",
    "resets-at-once": "the connection broke",
    "gibberish": "the connection broke",
    "loops": "it redirects more than 5 times",
    "to-a-file": "it redirects to what is not http or https",
    "to-ftp": "it redirects to what is not http or https",
    "to-nowhere": "no usable address",
    "stalls": "it stalled for 0.4 seconds",
    "silent": "it stalled for 0.4 seconds",
    "drips": "it stalled for 0.4 seconds",
    "drips-headers": "it stalled for 0.4 seconds",
}


@pytest.mark.parametrize("path", BAD)
def test_a_bad_one_leaves_nothing_and_one_clear_line(known, store, path):
    start = time.monotonic()
    message, notes = failure(known(path), IMPATIENT if "stalled" in BAD[path] else CALM)
    assert message.partition(": ")[2] == BAD[path]
    assert message.startswith("127.0.0.1:")
    assert notes == []
    assert left(store) == []
    assert time.monotonic() - start < 5


def test_a_compressed_answer_is_another_file(known, store, server):
    failure(known("compressed"))
    assert left(store) == []


def test_no_server_at_all(known, store):
    message, _ = failure(known("http://127.0.0.1:9/net.onnx"))
    assert message == "127.0.0.1:9: no connection"
    assert left(store) == []


@pytest.mark.full
@pytest.mark.parametrize("path", ["drips", "drips-headers", "slow", "silent", "stalls"])
def test_the_deadline_holds_whatever_comes(known, store, path):
    start = time.monotonic()
    message, _ = failure(known(path), DownloadLimits(timeout=0.4, stall=20))
    assert message.endswith("not complete within the time allowed (`timeout`)")
    assert 0.3 < time.monotonic() - start < 5
    assert left(store) == []


def test_the_deadline_is_for_all_mirrors_together(known, server):
    message, notes = failure(known("silent", "good"), DownloadLimits(timeout=0.3, stall=20))
    assert "within the time allowed" in message
    assert len(notes) == 1
    assert server.asked == ["/silent"]


def test_nothing_is_taken_beyond_the_size(known, monkeypatch, server):
    taken = []
    original = Path.open

    def watched(self, mode="r", *rest, **more):
        stream = original(self, mode, *rest, **more)
        if mode == "xb":
            write = stream.write
            return _Wrapped(stream, lambda piece: taken.append(len(piece)) or write(piece))
        return stream

    monkeypatch.setattr(Path, "open", watched)
    failure(known("endless"))
    assert 0 < sum(taken) <= len(CONTENT)


class _Wrapped:
    def __init__(self, stream, write):
        self._stream, self.write = stream, write

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()


def test_mirrors_are_tried_in_turn_and_each_failure_is_said(known, store, server):
    listener = Notes()
    assert pull(known("missing", "page", "good", "broken"), limits=CALM, listener=listener)
    assert server.asked == ["/missing", "/page", "/good"]
    host = server.url("")[7:-1]
    assert listener.lines == [
        f"net: {host}: the server says 404 Not Found",
        f"net: {host}: a web page came instead of the file",
    ]
    assert left(store) == ["net.onnx"]


def test_when_no_mirror_has_it_the_error_says_why(known, store):
    message, notes = failure(known("missing", "wrong-bytes"))
    assert message.startswith("none of 2 mirrors gave it; 127.0.0.1:")
    assert message.endswith("its sha256 is another")
    assert len(notes) == 2
    assert left(store) == []


def test_what_is_here_is_not_fetched_again(known, server):
    entry = known("good")
    pull(entry, limits=CALM)
    assert not pull(entry, limits=CALM)
    assert server.asked == ["/good"]


def test_what_is_here_and_damaged_is_replaced(known, store):
    (store / "net.onnx").write_bytes(CONTENT[:-1] + b"?")
    assert pull(known("good"), limits=CALM)
    assert (store / "net.onnx").read_bytes() == CONTENT


def test_a_damaged_one_stays_while_there_is_no_better(known, store):
    (store / "net.onnx").write_bytes(b"damaged")
    failure(known("missing"))
    assert left(store) == ["net.onnx"]


def test_offline_asks_nobody(known, store, server):
    entry = known("good")
    with pytest.raises(DownloadError, match="is not here, and the tool is to stay offline"):
        pull(entry, offline=True)
    pull(entry, limits=CALM)
    server.asked.clear()
    assert not pull(entry, offline=True)
    (store / "net.onnx").write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="is damaged, and"):
        pull(entry, offline=True)
    assert server.asked == []


def test_without_an_address_there_is_nothing_to_do(known):
    with pytest.raises(DownloadError, match="no address"):
        pull(known())


@pytest.mark.parametrize("library", ["requests", "filelock"])
def test_without_a_library_it_says_what_to_install(known, store, monkeypatch, library):
    monkeypatch.setattr(download, "find_spec", lambda name: None if name == library else name)
    with pytest.raises(DownloadError, match=f"{library} is not installed") as caught:
        pull(known("good"))
    assert caught.value.hint == "pip install 'cnntool[cpu]'"
    assert left(store) == []


def test_it_says_who_asks(known, server):
    from cnntool.version import __version__

    server.agents.clear()
    pull(known("good"), limits=CALM)
    assert server.agents == {f"cnntool/{__version__}"}


def test_a_full_disk_is_said_before_anything_is_fetched(known, store, server):
    with pytest.raises(OutputError, match="MB are free on the disk"):
        pull(known("good", size=1 << 49), limits=CALM)
    assert server.asked == []
    assert left(store) == []


def test_a_disk_that_gets_full(known, store, monkeypatch):
    import errno

    def full(self, mode="r", *rest, **more):
        stream = original(self, mode, *rest, **more)
        return _Wrapped(stream, _no_space) if mode == "xb" else stream

    def _no_space(piece):
        raise OSError(errno.ENOSPC, "No space left on device")

    original = Path.open
    entry = known("good", "good")
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="no space left on device"):
        pull(entry, limits=CALM)
    assert left(store) == []


def test_a_folder_that_cannot_be_written(known, store, monkeypatch):
    entry = known("good")
    monkeypatch.setenv("CNNTOOL_MODELS_DIR", str(store / "net.toml" / "below"))
    with pytest.raises(OutputError):
        pull(entry, limits=CALM)


PROGRAM = """
import sys
from cnntool import system
system.take_over()
from cnntool.nets.models import catalog; from cnntool.nets.models import download
say = download.Listener(
    lambda text: print(text, flush=True), lambda done, total: print(done, flush=True)
)
limits = download.DownloadLimits(60, 20)
fetched = download.pull(catalog.entry("net"), limits=limits, listener=say)
print("fetched" if fetched else "found")
"""


def process():
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.full
def test_ten_processes_leave_one_good_file(known, store, server):
    known("slow")
    running = [process() for _ in range(10)]
    ends = [one.communicate(timeout=60) for one in running]
    assert [one.returncode for one in running] == [0] * 10, ends
    assert (store / "net.onnx").read_bytes() == CONTENT
    assert left(store) == ["net.onnx"]
    ends = [out.splitlines()[-1] for out, _ in ends]
    assert sorted(ends) == ["fetched"] + ["found"] * 9
    assert server.asked == ["/slow"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_one_leaves_nothing(known, store, number, code):
    known("slow")
    with process() as running:
        assert running.stdout.readline().strip().isdecimal()
        assert len(left(store)) == 2  # the lock and the working folder
        running.send_signal(number)
        running.wait(timeout=20)
    assert running.returncode == code
    assert left(store) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.full
def test_what_a_killed_one_leaves_is_swept_away(known, store):
    entry = known("slow")
    with process() as running:
        running.stdout.readline()
        running.kill()
    other = store / ".network+left"
    other.mkdir()
    assert len(left(store)) == 3
    assert pull(entry, limits=CALM)
    assert left(store) == [".network+left", "net.onnx"]


def test_the_one_that_waits_does_not_wait_for_ever(known, store):
    entry, listener = known("good"), Notes()
    held, done = threading.Event(), threading.Event()

    def hold():
        with download._alone(store / ".net.lock", until=0, on_wait=lambda: None):
            held.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(DownloadError, match="another process is still fetching it"):
        pull(entry, limits=DownloadLimits(0.3, 1), listener=listener)
    done.set()
    holder.join()
    assert listener.lines == ["net: another process is fetching it; waiting for it"]
    assert left(store) == []


def test_a_file_that_came_meanwhile_is_taken(known, store, monkeypatch, server):
    entry = known("good")
    answers = iter([False, True])
    monkeypatch.setattr(download, "_is_good", lambda entry: next(answers))
    assert not pull(entry, limits=CALM)
    assert server.asked == []


def test_hash_of_the_contents():
    assert hashlib.sha256(CONTENT).hexdigest() == SHA256
