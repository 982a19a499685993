"""Where pictures come from: files, pipes, and what is neither."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from specimens import every, npy, picture

from cnntool.errors import InputError
from cnntool.image.codecs.codec import Reader
from cnntool.image.files import open_reader, read_image
from cnntool.image.source import ImageInfo, Source

SPECIMENS = every()


class Pipe(io.RawIOBase):
    """A stream that cannot seek and hands out a few bytes at a time."""

    def __init__(self, body: bytes, step: int = 100) -> None:
        self._rest = body
        self._step = step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(self._step, len(self._rest) if size < 0 else size)
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


@pytest.mark.parametrize("kind", SPECIMENS)
def test_file_pipe_and_memory_agree(tmp_path, kind):
    body = SPECIMENS[kind]
    path = tmp_path / "picture"
    path.write_bytes(body)
    want, info = read_image(io.BytesIO(body), name="test")
    for source in (path, str(path), os.fsencode(path), Pipe(body), Pipe(body, 100_000)):
        got, again = read_image(source, name="test")
        np.testing.assert_array_equal(got, want)
        assert again == info
    with open_reader(path, name="test") as reader:
        reader.start(3)
        np.testing.assert_array_equal(np.concatenate(list(reader.strips(3))), want)


def test_a_stream_that_was_begun_goes_on():
    stream = io.BytesIO(b"skip" + SPECIMENS["png rgb"])
    stream.read(4)
    got, _ = read_image(stream, name="test")
    np.testing.assert_array_equal(got, picture(3))


def test_who_opens_closes(tmp_path):
    stream = io.BytesIO(SPECIMENS["png rgb"])
    read_image(stream, name="test")
    assert not stream.closed
    path = tmp_path / "a.png"
    path.write_bytes(SPECIMENS["png rgb"])
    with open_reader(path, name="test") as reader:
        file = reader._source.file()
    assert file.closed


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        "-o",
        "new\nline",
        ".hidden",
        "näme",
        b"not \xff utf-8".decode("utf-8", "surrogateescape"),
    ],
)
def test_odd_names(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SPECIMENS["png grey"])
    got, _ = read_image(path, name=name)
    np.testing.assert_array_equal(got, picture(1))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "no such file"),
        ("", "this is a folder"),
        ("file/inside.png", "no such file"),
        ("n" * 300, "the file name is too long"),
        ("nul\0", "not a usable file name or stream"),
        ("loop", "too many symbolic links"),
    ],
)
def test_what_cannot_be_opened(tmp_path, name, reason):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError) as caught:
        open_reader(f"{tmp_path}/{name}", name="as given")
    assert (caught.value.message, caught.value.source) == (reason, "as given")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission(tmp_path):
    path = tmp_path / "closed.png"
    path.write_bytes(SPECIMENS["png rgb"])
    path.chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        open_reader(path, name="closed.png")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "x"), "permission denied"),
        (OSError(5, "x"), "input/output error"),
        (OSError("no number"), "cannot be read"),
        (ValueError("closed"), "not a usable file name or stream"),
    ],
)
def test_what_breaks_while_reading(error, reason):
    class Broken(Pipe):
        def read(self, size: int = -1) -> bytes:
            raise error

    with pytest.raises(InputError, match=reason):
        open_reader(Broken(b""), name="test")


@pytest.mark.full
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n <HTML>404", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"%PDF-1.7\n%\xff", "PDF"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"\0\0\0\x20ftypheic", "HEIF"),
        (b"\xff\x0a12", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"v/1\x01", "OpenEXR"),
        (b"PK\x03\x04", "archive"),
        (b"\x1f\x8b\x08", "archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\xff\xfe1\0 \0002\0", "UTF-16"),
        (b"Dear reader,\n", "text, neither"),
        (bytes(range(256)), "known format"),
        (b"1 2\0 3", "known format"),
    ],
)
def test_strangers(body, reason):
    with pytest.raises(InputError, match=reason) as caught:
        open_reader(io.BytesIO(body), name="photo.png")
    assert "\n" not in caught.value.message


def test_content_decides_not_the_name(tmp_path):
    path = tmp_path / "really.jpg"
    path.write_bytes(SPECIMENS["png rgb"])
    assert read_image(path, name="really.jpg")[1].format == "png"


def test_binary_is_not_decoded_as_text():
    class Endless(Pipe):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b"\1" * size

    stream = Endless(b"")
    with pytest.raises(InputError, match="known format"):
        open_reader(stream, name="test")
    assert stream.taken <= 4096


def test_an_endless_pipe_ends():
    class Endless(Pipe):
        def read(self, size: int = -1) -> bytes:
            return (b"\x89PNG\r\n\x1a\n" + bytes(size))[:size]

    with pytest.raises(InputError, match="the stream is over the limit of 67110464 bytes"):
        open_reader(Endless(b""), name="test", max_pixels=100)


def test_a_large_stack_counts_its_planes():
    stack = npy(np.zeros((9, 10, 10), np.uint8))
    assert read_image(io.BytesIO(stack), name="test", max_pixels=300)[1].channels == 9
    with pytest.raises(InputError, match="10x10x9 is over the limit of 299 pixels"):
        read_image(io.BytesIO(stack), name="test", max_pixels=299)


class Counting(Reader):
    """Yields rows of ones and notes how far it was asked to go."""

    made = 0
    fail_at = 10**9

    def _decode(self, rows):
        for top in range(0, self.info.height, rows):
            if top >= self.fail_at:
                raise self._source.error("broken here")
            self.made += 1
            yield min(rows, self.info.height - top)

    def _array(self, block):
        return np.ones((block, 1, 1), np.uint8)


def counting(height: int = 100) -> Counting:
    source = Source(io.BytesIO(b"x"), name="test", max_pixels=10**6, allow_nan=False)
    return Counting(source, ImageInfo(height, 1))


def test_decoding_ahead_is_bounded_and_stops():
    before = threading.active_count()
    with counting() as reader:
        reader.start(1, ahead=3)
        strips = reader.strips(1)
        next(strips)
        next(strips)
    assert reader.made <= 2 + 3 + 2
    assert threading.active_count() == before


def test_errors_arrive_where_the_strip_is_wanted():
    with counting() as reader:
        reader.fail_at = 4
        reader.start(2)
        strips = reader.strips(2)
        assert len(next(strips)) == 2
        assert len(next(strips)) == 2
        with pytest.raises(InputError, match="broken here"):
            next(strips)


def test_start_needs_no_numpy(tmp_path):
    """Decoding may begin while numpy is still being imported."""
    code = """
import sys, time
from cnntool.image.files import open_reader
reader = open_reader(sys.argv[1], name="x")
reader.start(4, ahead=99)
reader._ahead._thread.join()
print("numpy" in sys.modules, "PIL.Image" in sys.modules)
"""
    path = tmp_path / "a.png"
    path.write_bytes(SPECIMENS["png rgb"])
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
