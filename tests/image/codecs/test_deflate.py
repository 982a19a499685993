"""Deflate: equal data are packed alike."""

import zlib

import numpy as np
import pytest

from cnntool.image.codecs import deflate
from cnntool.image.codecs.deflate import FASTEST, PIECE, deflater

ROWS = np.random.default_rng(0).integers(0, 9, (6, 600), np.uint8)


def packed(engine, data, *sizes):
    parts = []
    for size in (*sizes, len(data)):
        parts.append(engine.compress(memoryview(data[:size])))
        data = data[size:]
    return b"".join(parts) + engine.flush(PIECE)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_packing_does_not_depend_on_where_the_stream_lies(row):
    pytest.importorskip("isal")
    one, other = deflater(FASTEST, memoryview(b"")), deflater(FASTEST, memoryview(b""))
    # What igzip itself takes for the third byte and those behind it.
    address = (id(one._engine) >> 16 & 0xFFFFFFFF).to_bytes(4, "little")
    values = ROWS[row].tobytes()
    data = values[:2] + address + values[:200] + address + values[200:]
    assert packed(one, data) == packed(other, data)


@pytest.mark.parametrize("size", [0, 1, 288, 289, 290, 600])
def test_pieces_are_one_stream(size):
    data = bytes(ROWS[0])[:size]
    for sizes in ((), (1,), (100, 188), (100, 189, 5), (289,)):
        stream = packed(deflater(FASTEST, memoryview(data)), data, *sizes) + b"\x03\x00"
        assert zlib.decompress(stream, -15) == data


def test_without_igzip_zlib_packs(monkeypatch):
    monkeypatch.setattr(deflate, "_fast", zlib)
    data = bytes(ROWS[1])
    stream = packed(deflater(FASTEST, memoryview(data)), data) + b"\x03\x00"
    assert zlib.decompress(stream, -15) == data
