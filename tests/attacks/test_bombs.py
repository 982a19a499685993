"""No input takes more than 1 GiB: it is worked on, or refused with the number that is too large."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import bombs
import held
import pytest
from corpus import some

from cnntool.errors import InputError
from cnntool.image.files import open_reader

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


@pytest.mark.full
@pytest.mark.parametrize(("verb", "name"), some(CASES, 5))
def test_pictures(folder, verb, name):
    PICTURES[name](folder / name)
    bounded(held.run_held(*COMMANDS[verb], name, cwd=folder))


@pytest.mark.parametrize("name", some(list(bombs.STREAMS), 2))
@pytest.mark.full
def test_streams_without_end(folder, name):
    done = held.run_held(*FILTER, "-", cwd=folder, stdin=bombs.endless(*bombs.STREAMS[name]))
    bounded(done)
    assert [path.name for path in folder.iterdir()] == ([] if done.code else ["out.npy"])


def wide_tiff(**tags: int) -> bytes:
    """Return a TIFF of 10,000 x 9,900 that has next to no data."""
    return bombs.tiff(bombs.plain(9900, 10000, t279=9, **tags), bytes(9))


@pytest.mark.parametrize(
    ("body", "mebibytes"),
    [
        (bombs.png(300, 300_000, depth=16, colour=6, interlaced=True), 1258),
        (bombs.png(9900, 10_000, depth=16, colour=6, interlaced=True), 0),
        (bombs.webp(8000, 8000), 0),
        (bombs.webp(9900, 10000), 1510),
        (bombs.resized_jpeg(9900, 10000), 0),
        (bombs.resized_jpeg(9900, 10000, "CMYK"), 1510),
        (wide_tiff(t258=64, t339=3), 0),
        (wide_tiff(t258=64, t339=3, t278=9), 0),
        (wide_tiff(t258=64, t339=3, t278=9, t274=6), 0),
        (wide_tiff(t258=64, t339=3, t274=6), 1510),
        (wide_tiff(t258=64, t339=3, t317=2), 2265),
        (wide_tiff(t258=64, t339=3, t317=3), 3776),
        (wide_tiff(t258=1, t259=4), 0),
    ],
)
def test_what_decoding_takes_is_known_from_the_header(body, mebibytes):
    if not mebibytes:
        open_reader(io.BytesIO(body), name="a picture").close()
        return
    with pytest.raises(InputError, match=f"takes {mebibytes} MiB, over the limit of 1024"):
        open_reader(io.BytesIO(body), name="a picture")
    open_reader(io.BytesIO(body), name="a picture", max_pixels=10**9).close()


def test_who_wants_all_of_a_picture_needs_room_for_it():
    body = bombs.png(9900, 10000, depth=16, colour=6)
    with (
        open_reader(io.BytesIO(body), name="a picture") as reader,
        pytest.raises(InputError, match="takes 1510 MiB, over the limit of 1024"),
    ):
        reader.read()
