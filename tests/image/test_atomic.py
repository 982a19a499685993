"""An output appears whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from specimens import picture

from cnntool.errors import OutputError
from cnntool.image.atomic import Output, Sink
from cnntool.image.files import FORMATS, open_reader, open_writer, read_image, write_image
from cnntool.image.source import ImageInfo

INFO = ImageInfo(13, 9)
PIXELS = picture(1)


def write(path, **options):
    write_image(path, PIXELS, INFO, name="as given", **options)


def test_only_the_target_is_left(tmp_path):
    write(tmp_path / "out.png")
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_hidden_until_complete(tmp_path):
    path = tmp_path / "out.png"
    with open_writer(path, INFO, name="out") as writer:
        writer.write(PIXELS)
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".")
        assert not path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_left_after_an_exception(tmp_path, error, kind):
    path = tmp_path / "out"
    path.write_bytes(b"before")
    dtype = FORMATS[kind].dtypes[0]
    info = ImageInfo(13, 9, dtype=dtype, layout="hw")

    def interrupted() -> None:
        with open_writer(path, info, name="out", format=kind, overwrite=True) as writer:
            writer.write(PIXELS[:5].astype(dtype))
            raise error

    with pytest.raises(error):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert path.read_bytes() == b"before"


def test_overwrite_must_be_asked_for(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"before")
    with pytest.raises(OutputError) as caught:
        write(path)
    assert caught.value.message == "it exists already"
    assert "`overwrite`" in caught.value.hint
    assert caught.value.source == "as given"
    assert path.read_bytes() == b"before"
    write(path, overwrite=True)
    assert read_image(path, name="x")[1].format == "png"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.parametrize("links", [True, False])
def test_a_target_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
    path = tmp_path / "out.png"

    def race() -> None:
        with open_writer(path, INFO, name="out") as writer:
            writer.write(PIXELS)
            path.write_bytes(b"first")

    with pytest.raises(OutputError, match="exists already"):
        race()
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
    path.unlink()
    write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_nothing_is_replaced_for_a_run_that_was_killed(tmp_path, monkeypatch):
    target = tmp_path / "x"
    target.write_text("of another run")
    with Output(target, overwrite=True) as output:
        output.write(b"late")
        monkeypatch.setattr("cnntool.image.atomic.is_left", lambda: True)
        with pytest.raises(OutputError, match="the run that wanted it was killed"):
            output.commit()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["of another run"]


def test_a_sink_leaves_nothing_where_its_target_appears_meanwhile(tmp_path):
    def race() -> None:
        with Sink(tmp_path / "out.npy", overwrite=False) as sink:
            sink.write(b"second")
            (tmp_path / "out.npy").write_bytes(b"first")

    with pytest.raises(OutputError, match="exists already"):
        race()
    assert [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    assert (tmp_path / "out.npy").read_bytes() == b"first"


def test_modes(tmp_path):
    old = os.umask(0o027)
    try:
        write(tmp_path / "new.png")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == 0o640
    (tmp_path / "new.png").chmod(0o604)
    write(tmp_path / "new.png", overwrite=True)
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == 0o604


def test_links_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.png"
    link.symlink_to("real/out.png")
    write(link)
    assert link.is_symlink()
    write(link, overwrite=True)
    assert link.is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["out.png"]


def test_the_input_may_be_the_output(tmp_path):
    path = tmp_path / "same.png"
    large = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    info = ImageInfo(400, 300, 3)
    write_image(path, large, info, name="x")
    with (
        open_reader(path, name="x") as reader,
        open_writer(path, info, name="x", overwrite=True) as writer,
    ):
        for strip in reader.strips(7):
            writer.write(255 - strip)
    np.testing.assert_array_equal(read_image(path, name="x")[0], 255 - large)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.png", "no such folder"),
        ("file/out.png", "no such folder"),
        ("folder", "this is a folder"),
        ("new/", "this is a folder"),
        ("n" * 300 + ".png", "the file name is too long"),
        ("nul\0.png", "not a usable file name"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, name, reason):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        write(f"{tmp_path}/{name}", overwrite=True)
    assert (caught.value.message, caught.value.source) == (reason, "as given")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_permission(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"before")
    path.chmod(0o400)
    with pytest.raises(OutputError, match="permission denied"):
        write(path, overwrite=True)
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        write(tmp_path / "new.png")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "the disk quota is exhausted"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, "input/output error"),
    ],
)
@pytest.mark.parametrize("moment", ["write", "flush", "close"])
def test_a_disk_that_fails(tmp_path, code, reason, moment):
    path = tmp_path / "out.png"
    path.write_bytes(b"before")

    class Failing:
        def __init__(self, stream):
            self._stream = stream

        def __getattr__(self, name):
            if name == moment:
                return self._fail
            return getattr(self._stream, name)

        def _fail(self, *_):
            if moment == "close":
                self._stream.close()
            raise OSError(code, "")

    output = Output(path, name="as given", overwrite=True)
    output._stream = Failing(output._stream)

    def use() -> None:
        output.write(b"x")
        output.commit()

    try:
        with pytest.raises(OutputError, match=reason):
            use()
    finally:
        output.discard()
        output._stream._stream.close()
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_directly(tmp_path):
    write("/dev/null", format="png")
    with pytest.raises(OutputError, match="no space left on the disk"):
        write("/dev/full", format="png")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(path, format="png")
        assert os.read(reader, 4096).startswith(b"\x89PNG\r\n\x1a\n")
        for compression in (0, 5):
            write(path, format="tiff", compression=compression)
            body = os.read(reader, 4096)
            np.testing.assert_array_equal(read_image(io.BytesIO(body), name="x")[0], PIXELS)
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="needs /dev/stdout")
def test_the_device_of_standard_output(tmp_path):
    code = """
import numpy as np
from cnntool.image.files import write_image
from cnntool.image.source import ImageInfo
write_image("/dev/stdout", np.zeros((2, 2, 1), np.uint8), ImageInfo(2, 2), name="x", format="png")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert read_image(io.BytesIO(done.stdout), name="x")[0].sum() == 0


def test_a_broken_pipe_stays_one():
    class Broken(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError(errno.EPIPE, "")

    with pytest.raises(BrokenPipeError):
        write(Broken(), format="png")


def test_streams_stay_open():
    body = io.BytesIO()
    write(body, format="png")
    assert not body.closed
    body.seek(0)
    np.testing.assert_array_equal(read_image(body, name="x")[0], PIXELS)


@pytest.mark.parametrize("name", ["two words.png", "-o.png", "new\nline.png", ".png", b"\xff.png"])
def test_odd_names(tmp_path, name):
    write(os.fsencode(tmp_path) + b"/" + os.fsencode(name), format="png")
    assert [p.name for p in tmp_path.iterdir()] == [os.fsdecode(name)]


def test_ctrl_c_in_earnest(tmp_path):
    code = """
import sys, time
import numpy as np
from cnntool.image.files import open_writer
from cnntool.image.source import ImageInfo
with open_writer(sys.argv[1], ImageInfo(10, 10), name="x", overwrite=True) as writer:
    writer.write(np.zeros((5, 10, 1), np.uint8))
    print("ready", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "out.png"
    path.write_bytes(b"before")
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system reserves no room")
def test_room_is_reserved_for_a_large_file_that_replaces_another(tmp_path, monkeypatch):
    reserved = []
    monkeypatch.setattr(
        os, "posix_fallocate", lambda _, start, size: reserved.append((start, size))
    )
    for name, size in (("new", 1 << 24), ("old", 1 << 20), ("old", 1 << 24)):
        if name == "old":
            (tmp_path / name).write_bytes(b"before")
        output = Output(tmp_path / name, name=name, overwrite=True)
        output.reserve(size)
        output.discard()
    assert reserved == [(0, 1 << 24)]

    def full(*_):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "posix_fallocate", full)
    output = Output(tmp_path / "old", name="old", overwrite=True)
    with pytest.raises(OutputError, match="no space left"):
        output.reserve(1 << 24)
    output.discard()
    assert (tmp_path / "old").read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old"]
