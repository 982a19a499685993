"""Matrices: text of many shapes, and numpy's files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnntool.errors import InputError
from cnntool.image.files import open_reader, read_image, write_image
from cnntool.image.types import ImageInfo

from .specimens import npy


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
        (np.zeros(3), "1 axes; 2 or 3"),
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
