"""Matrices: text of many shapes, and numpy's files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from specimens import npy

from cnntool.errors import InputError
from cnntool.image.files import open_reader, read_image, write_image
from cnntool.image.source import ImageInfo


def read(body: bytes, **options):
    return read_image(io.BytesIO(body), name="test", **options)


@pytest.mark.parametrize(
    ("text", "want", "kind"),
    [
        ("1,2;3,4", [[1, 2], [3, 4]], "csv"),
        ("1,2;3,4;\n", [[1, 2], [3, 4]], "csv"),
        ("1 2\n3 4\n", [[1, 2], [3, 4]], "txt"),
        ("1, 2\r\n3 ,4\r\n", [[1, 2], [3, 4]], "csv"),
        ("  1\t2 \n\n\n 3  4\n", [[1, 2], [3, 4]], "txt"),
        ("# a comment\n1 2 # more\n3 4", [[1, 2], [3, 4]], "txt"),
        ("\ufeff1,2\n3,4", [[1, 2], [3, 4]], "csv"),
        ("-1.5e-3,+.5,5.,1E3", [[-0.0015, 0.5, 5, 1000]], "csv"),
        ("7", [[7]], "txt"),
        ("1;2;3", [[1], [2], [3]], "txt"),
        ("1\n2\n3", [[1], [2], [3]], "txt"),
        ("1 2;3 4\n5 6;7 8", [[1, 2], [3, 4], [5, 6], [7, 8]], "txt"),
    ],
)
def test_text(text, want, kind):
    got, info = read(text.encode())
    assert got.shape[2] == 1
    assert got[..., 0].tolist() == want
    assert got.dtype == np.float64
    assert (info.format, info.matrix, info.layout) == (kind, True, "hw")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2\n3", "row 2 has 1 number, row 1 has 2 numbers"),
        ("1 2\n\n3 4 5", "row 2 has 3 numbers, row 1 has 2 numbers"),
        ("1,2\n3,x4", "row 2, column 2: 'x4' is not a number"),
        ("1,,2", "row 1, column 2: is empty"),
        ("1,2,", "row 1, column 3: is empty"),
        ("1_000 2", "row 1, column 1: '1_000' is not a number"),
        ("0x10 2", "row 1, column 1: '0x10' is not a number"),
        ("1;2\n3;4", "ends a row here"),
        ("1,2\n3,nan", "NaN at row 1, column 1"),
        ("1,2\n-inf,4", "infinity at row 1, column 0"),
        ("1,1e999", "infinity at row 0, column 1"),
        ("# only\n# comments", "neither a picture nor a matrix"),
        ("1;;2", "row 2 is empty"),
        ("hello", "neither a picture nor a matrix"),
        ("a,b\n1,2", "neither a picture nor a matrix"),
        (" \n \n", "neither a picture nor a matrix"),
    ],
)
def test_text_that_is_no_matrix(text, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read(text.encode())
    assert "\n" not in caught.value.message


def test_a_heading_is_named_in_a_csv():
    with pytest.raises(InputError, match="row 1, column 1: 'a' is not a number"):
        read_image(io.BytesIO(b"a,b\n1,2"), name="table.CSV")


def test_nan_on_request():
    got, _ = read(b"-Infinity,nan;1,2", allow_nan=True)
    assert np.isneginf(got[0, 0, 0])
    assert np.isnan(got[0, 1, 0])


def test_too_many_numbers():
    with pytest.raises(InputError, match="3x4 is over the limit of 11 pixels"):
        read(b"1 2 3 4;1 2 3 4;1 2 3 4", max_pixels=11)


def test_text_that_turns_out_binary():
    for junk in (b"\xff\xfe", b"\x80", b"\0"):
        with pytest.raises(InputError):
            read(b"1 2 3\n" * 2000 + junk)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=FINITE))
def test_text_keeps_every_digit(matrix):
    for kind in ("csv", "txt"):
        body = io.BytesIO()
        info = ImageInfo(*matrix.shape, dtype="float64", matrix=True, layout="hw")
        write_image(body, matrix[..., np.newaxis], info, name="test", format=kind)
        body.seek(0)
        np.testing.assert_array_equal(read(body.getvalue())[0][..., 0], matrix)


def test_text_is_plain():
    def printed(values, dtype, kind):
        body = io.BytesIO()
        pixels = np.array(values, dtype)[..., np.newaxis]
        info = ImageInfo(*pixels.shape[:2], dtype=dtype, matrix=True)
        write_image(body, pixels, info, name="test", format=kind)
        return body.getvalue()

    assert printed([[1, -2], [0.1, 1e30]], "float64", "csv") == b"1,-2\n0.1,1e+30\n"
    assert printed([[1, -2], [0.1, 3.5]], "float32", "txt") == b"1 -2\n0.1 3.5\n"
    assert printed([[1, 255]], "uint8", "txt") == b"1 255\n"


@pytest.mark.parametrize("shape", [(4, 5), (5, 4, 1), (5, 2, 4), (3, 2, 4), (7, 4, 5), (4, 5, 4)])
@pytest.mark.parametrize("dtype", ["f4", ">f4", "f8", ">f8", "f2", "u1", "i2", ">u4", "i8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays(shape, dtype, order):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype).copy(order=order)
    channels_last = len(shape) == 2 or (shape[2] <= 4 < shape[0])
    want = array if channels_last else np.moveaxis(array, 0, 2)
    want = want.reshape(*want.shape[:2], -1)
    with open_reader(io.BytesIO(npy(array)), name="test") as reader:
        got = np.concatenate(list(reader.strips(2)))
        info = reader.info
    assert got.dtype == ("float32" if dtype.endswith("f4") else "float64")
    np.testing.assert_array_equal(got, want)
    assert info.shape == want.shape
    assert info.layout == ("hw" if len(shape) == 2 else "hwc" if channels_last else "chw")
    assert info.matrix


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 2), complex), "complex numbers"),
        (np.array([["a"]]), "text"),
        (np.zeros((2, 2), [("a", "f4")]), "real numbers are needed"),
        (np.zeros(3), "1 axis; 2 or 3"),
        (np.zeros((2, 2, 2, 2)), "4 axes; 2 or 3"),
        (np.float64(3), "0 axes"),
        (np.zeros((0, 3)), "empty"),
        (np.full((2, 2), 2**53 + 1), "beyond 2\\*\\*53"),
        (np.full((2, 2), -(2**60)), "beyond 2\\*\\*53"),
        (np.full((2, 2), 2**63, np.uint64), "beyond 2\\*\\*53"),
        (np.array([[1, np.nan]]), "NaN at row 0, column 1"),
        (np.zeros((40, 60, 70)), "40x60x70|60x70x40"),
    ],
)
def test_arrays_that_are_refused(array, reason):
    with pytest.raises(InputError, match=reason):
        read(npy(array), max_pixels=30_000)


def test_never_a_pickle():
    array = np.empty((2, 2), object)
    with pytest.raises(InputError, match="Python objects"):
        read(npy(array))


def array_file(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_of_the_header(version):
    got, _ = read(array_file(HEADER, struct.pack("<dd", 1.5, 2), version))
    assert got.tolist() == [[[1.5], [2.0]]]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (array_file(HEADER), "truncated"),
        (array_file(HEADER.replace("(1, 2)", "(10**9, 10**9)")), "makes no sense"),
        (array_file(HEADER.replace("(1, 2)", "(1000000000, 1000000000)")), "over the limit"),
        (array_file(HEADER.replace("(1, 2)", "(-1, -2)")), "makes no sense"),
        (array_file(HEADER.replace("(1, 2)", "(True, 2)")), "makes no sense"),
        (array_file(HEADER.replace("'<f8'", "'nonsense'")), "makes no sense"),
        (array_file(HEADER.replace("False", "0")), "makes no sense"),
        (array_file("[]"), "makes no sense"),
        (array_file("{"), "makes no sense"),
        (array_file("(" * 5000), "makes no sense"),
        (array_file("__import__('os')"), "makes no sense"),
        (array_file(HEADER, version=9), "makes no sense"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "makes no sense"),
        (b"\x93NUMPY", "makes no sense"),
    ],
)
def test_damaged_headers(body, reason):
    with pytest.raises(InputError, match=reason):
        read(body)


def by_hand(text: str) -> list[list[float]] | None:
    """Read a matrix the slow way; None where it is wrong."""
    rows = []
    for line in text.splitlines():
        content = line.partition("#")[0].strip().removesuffix(";")
        for part in content.split(";") if content else ():
            cells = [c.strip() for c in part.split(",")] if "," in part else part.split()
            try:
                rows.append([float(cell) for cell in cells])
            except ValueError:
                return None
            if not cells or any("_" in cell for cell in cells) or len(cells) != len(rows[0]):
                return None
    return rows or None


NUMBERS = st.sampled_from(["1", "-2.5", "+3e2", ".5", "1.", "1e400", "0x1", "1_0", "", "1 2", "a"])


@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=3), min_size=1, max_size=5),
    st.lists(st.sampled_from([",", " ", " , ", "\t", ";"]), min_size=1, max_size=3),
    st.lists(st.sampled_from(["\n", "\r\n", "\n\n", " \n", "# 1,2;3\n", ";\n"]), min_size=1),
)
def test_the_quick_way_reads_what_the_slow_one_does(rows, separators, ends):
    lines = [separators[i % len(separators)].join(row) for i, row in enumerate(rows)]
    text = "".join(line + ends[i % len(ends)] for i, line in enumerate(lines))
    expected = by_hand(text)
    found, reason = None, ""
    try:
        found = read_image(io.BytesIO(text.encode()), name="x.csv", allow_nan=True)[0]
    except InputError as error:
        reason = error.message
    assert (found is None) == (expected is None) or "ends a row" in reason
    if found is not None:
        np.testing.assert_array_equal(found[:, :, 0], expected)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_pieces_do_not_show(monkeypatch, rows):
    from cnntool.image.codecs import text

    monkeypatch.setattr(text, "_PIECE", 50)
    numbers = np.random.default_rng(0).random((700, 3))
    body = "\n".join(",".join(map(repr, row)) for row in numbers.tolist()).encode()
    with open_reader(io.BytesIO(body), name="x") as reader:
        strips = list(reader.strips(rows))
    assert {len(strip) for strip in strips[:-1]} <= {rows}
    np.testing.assert_array_equal(np.concatenate(strips)[:, :, 0], numbers)
    bad = body.replace(b"\n", b"\n1,2\n", 500).split(b"\n", 600)
    with pytest.raises(InputError, match="row 2 has 2 numbers, row 1 has 3"):
        read_image(io.BytesIO(b"\n".join(bad)), name="x")


def test_what_never_ends_is_refused_by_the_number_that_was_too_large():
    class Yes(io.RawIOBase):
        def readable(self):
            return True

        def read(self, size=-1):
            return (b"1,2,3\n" * (size // 6 + 1))[: size // 6 * 6]

    with pytest.raises(InputError, match=r"x3 is over the limit of 300000 pixels") as caught:
        open_reader(Yes(), name="x", max_pixels=300_000)
    assert "`max_pixels`" in caught.value.hint


def test_a_text_that_is_too_long(monkeypatch):
    from cnntool.image.codecs import text

    monkeypatch.setattr(text, "_PIECE", 16)
    monkeypatch.setattr(text, "_LINE_LIMIT", 100)
    with pytest.raises(InputError, match="a line of more than 100 bytes"):
        read_image(io.BytesIO(b"1,2\n" + b"1," * 99 + b"1"), name="x")
    monkeypatch.setattr(text, "_LIMIT", 1000)
    with pytest.raises(InputError, match="more than 1000 bytes"):
        read_image(io.BytesIO(b"1\n" * 4000), name="x")


def test_a_matrix_takes_little_more_than_its_numbers():
    import tracemalloc

    body = b"1.5,2.5,3.5,4.5\n" * 100_000
    tracemalloc.start()
    try:
        with open_reader(io.BytesIO(body), name="x") as reader:
            for strip in reader.strips(1000):
                assert strip.shape == (1000, 4, 1)
        assert tracemalloc.get_traced_memory()[1] < 100_000 * 4 * 8 + 12_000_000
    finally:
        tracemalloc.stop()
