"""The directory of plain TIFFs: whatever is read here must be what tifffile reads."""

from __future__ import annotations

import io
import struct
import sys

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from specimens import picture, saved, tiff

from cnntool.image.codecs.tiff.page import page_by_tifffile, plain_page, read_directory
from cnntool.image.files import open_reader, read_image, write_image
from cnntool.image.source import PROFILE_LIMIT, ImageInfo, Source

SHORT, LONG, UNDEFINED = 3, 4, 7
LAYOUTS = {1: "B", SHORT: "H", LONG: "I", UNDEFINED: "B"}


def handmade(tags, *, order="<", following=0, data=bytes(8)):
    """Lay out a TIFF: tags are (tag, kind, values), the data stand at byte 8."""
    start = 8 + len(data)
    after = start + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for tag, kind, values in tags:
        body = struct.pack(f"{order}{len(values)}{LAYOUTS[kind]}", *values)
        place = struct.pack(order + "I", after + len(rest)) if len(body) > 4 else body
        rest += body if len(body) > 4 else b""
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + place.ljust(4, b"\0")
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + struct.pack(order + "HI", 42, start)
    table = struct.pack(order + "H", len(tags)) + entries
    return head + data + table + struct.pack(order + "I", following) + rest


def plain(**changes):
    """Tags of a grey picture of 2 x 4 bytes, some of them changed or (None) left out."""
    tags = {
        256: (SHORT, [4]),
        257: (SHORT, [2]),
        258: (SHORT, [8]),
        259: (SHORT, [1]),
        262: (SHORT, [1]),
        273: (LONG, [8]),
        277: (SHORT, [1]),
        278: (SHORT, [2]),
        279: (LONG, [8]),
    } | {int(tag[1:]): value for tag, value in changes.items()}
    return [(tag, *value) for tag, value in sorted(tags.items()) if value]


def source(body):
    return Source(io.BytesIO(body), name="test", max_pixels=10**8, allow_nan=False)


def ours(body):
    directory = read_directory(source(body))
    return directory and plain_page(directory)


def agrees(body):
    """Tell whether a file is plain, and fail if tifffile reads it differently."""
    page = ours(body)
    if page is not None:
        assert page == page_by_tifffile(source(body))
    return page is not None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 5, 37])
def test_what_tifffile_writes(order, dtype, samples, rows):
    pixels = picture(samples, dtype, 37, 45)
    layout = {"photometric": "rgb" if samples > 2 else "minisblack"}
    if samples > 1:
        layout["planarconfig"] = "contig"
    if samples in (2, 4):
        layout["extrasamples"] = ["unassalpha"]
    body = tiff(
        pixels if samples > 1 else pixels[..., 0],
        byteorder=order,
        rowsperstrip=rows,
        metadata=None,
        **layout,
    )
    assert agrees(body)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "F"])
def test_what_pillow_writes(mode):
    image = Image.fromarray(picture(4)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = image.convert("I").convert("I;16")
    body = saved(image, "tiff", dpi=(300, 300), icc_profile=bytes(200), description="a picture")
    assert agrees(body)
    assert ours(body).profile == bytes(200)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize(("channels", "alpha"), [(1, False), (3, False), (1, True), (3, True)])
def test_what_we_write(dtype, channels, alpha):
    info = ImageInfo(300, 1000, channels=channels, dtype=dtype, alpha=alpha, format="tiff")
    body = io.BytesIO()
    write_image(body, picture(info.samples, dtype, 300, 1000), info, name="test")
    assert agrees(body.getvalue())


def test_reading_a_plain_file_needs_neither_tifffile_nor_pillow(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_bytes(handmade(plain(), data=bytes(range(8))))
    (tmp_path / "b.tif").write_bytes(handmade(plain(t266=(SHORT, [2])), data=bytes(range(8))))
    for name in ("tifffile", "PIL"):
        monkeypatch.setitem(sys.modules, name, None)
    pixels, _ = read_image(tmp_path / "a.tif", name="test")
    assert pixels.ravel().tolist() == list(range(8))
    with pytest.raises(ModuleNotFoundError), open_reader(tmp_path / "b.tif", name="test"):
        pass


UNUSUAL = {
    "tiles": plain(t322=(SHORT, [16]), t323=(SHORT, [16])),
    "deflate": plain(t259=(SHORT, [8])),
    "predictor": plain(t317=(SHORT, [2])),
    "planes": plain(t284=(SHORT, [2])),
    "one bit": plain(t258=(SHORT, [1])),
    "no bits": plain(t258=None),
    "complex": plain(t339=(SHORT, [6])),
    "mixed bits": plain(t277=(SHORT, [3]), t258=(SHORT, [8, 8, 16])),
    "too few bits": plain(t277=(SHORT, [3]), t258=(SHORT, [8, 8])),
    "palette": plain(t262=(SHORT, [3])),
    "no photometric": plain(t262=None),
    "no width": plain(t256=None),
    "two widths": plain(t256=(SHORT, [4, 4])),
    "width in a byte": plain(t256=(1, [4])),
    "no height": plain(t257=(SHORT, [0])),
    "no samples": plain(t277=(SHORT, [0])),
    "samples without end": plain(t277=(LONG, [2**32 - 1])),
    "no rows in a strip": plain(t278=(SHORT, [0])),
    "short strip": plain(t279=(LONG, [7])),
    "long strip": plain(t279=(LONG, [9])),
    "missing strip": plain(t278=(SHORT, [1])),
    "no offsets": plain(t273=None),
    "more offsets": plain(t273=(LONG, [8, 8])),
    "sub-directories": plain(t330=(LONG, [8])),
    "fill order": plain(t266=(SHORT, [2])),
    "a private tag": plain(t65000=(SHORT, [1])),
    "overlong profile": plain(t34675=(UNDEFINED, bytes(PROFILE_LIMIT + 1))),
    "no orientation": plain(t274=(SHORT, [0])),
    "twice": [plain()[0], *plain()],
    "out of order": plain()[::-1],
    "empty": [],
}


@pytest.mark.parametrize("tags", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_left_to_tifffile(tags):
    assert ours(handmade(plain())) is not None
    assert ours(handmade(tags)) is None


def test_other_files_are_left_to_tifffile():
    body = handmade(plain())
    assert ours(body) is not None
    assert ours(b"II\x2b\0" + body[4:]) is None
    assert ours(handmade(plain(), following=8)) is None
    assert ours(body[:4] + b"\xff\xff\xff\xff" + body[8:]) is None
    assert ours(handmade(plain(t277=(SHORT, [3]), t258=(SHORT, [8, 8, 8])))[:-1]) is None


def test_every_cut_is_left_to_tifffile():
    body = handmade(plain())
    for size in range(4, len(body)):
        assert ours(body[:size]) is None


NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 24, 32, 48, 64, 65535])
ENTRY = st.one_of(
    st.tuples(st.sampled_from([SHORT, LONG]), st.lists(NUMBERS, min_size=1, max_size=4)),
    st.tuples(st.just(1), st.lists(st.integers(0, 255), min_size=1, max_size=4)),
)
TAGS = [254, 256, 257, 258, 259, 262, 266, 269, 273, 274, 277, 278, 279, 284, 297, 317, 338, 339]


@st.composite
def directories(draw):
    """A plain directory of some size, a few of its tags spoiled."""
    height, rows, width = (draw(st.integers(1, 5)) for _ in range(3))
    samples = draw(st.sampled_from([1, 1, 2, 3, 4]))
    kinds = [(1, 8), (1, 16), (3, 16), (3, 32), (3, 64), (2, 8), (2, 32), (1, 32), (1, 12)]
    form, bits = draw(st.sampled_from(kinds))
    row = width * samples * bits // 8
    counts = [min(rows, height - top) * row for top in range(0, height, rows)]
    tags = {
        256: (SHORT, [width]),
        257: (SHORT, [height]),
        258: (SHORT, [bits] * samples),
        259: (SHORT, [1]),
        262: (SHORT, [draw(st.sampled_from([0, 1, 2]))]),
        273: (LONG, [8 + sum(counts[:n]) for n in range(len(counts))]),
        277: (SHORT, [samples]),
        278: (SHORT, [rows]),
        279: (LONG, counts),
        339: (SHORT, [form] * samples),
    }
    if samples in (2, 4):
        tags[338] = (SHORT, [draw(NUMBERS)])
    for tag in draw(st.lists(st.sampled_from(TAGS), max_size=3)):
        tags[tag] = draw(ENTRY)
    for tag in draw(st.lists(st.sampled_from(TAGS), max_size=2)):
        tags.pop(tag, None)
    if draw(st.booleans()):
        tags[34675] = (UNDEFINED, draw(st.binary(min_size=1, max_size=9)))
    entries = [(tag, *value) for tag, value in sorted(tags.items())]
    return handmade(entries, order=draw(st.sampled_from("<>")), data=bytes(sum(counts)))


@examples(600)
@given(directories())
def test_agrees_with_tifffile(body):
    agrees(body)


@pytest.mark.full
def test_the_random_directories_are_often_plain():
    """Else the test above would say nothing."""
    plain_ones = []

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(directories())
    def count(body):
        plain_ones.append(ours(body) is not None)

    count()
    assert sum(plain_ones) > 20
