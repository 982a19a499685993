"""The wire format: against the ``onnx`` package's protobuf, and against damage of every kind."""

import gzip
import io
import pickle
import random
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from tiny import KINDS, build, chain, opened, real_networks, save

from cnntool.errors import ModelError
from cnntool.nets.file import wire
from cnntool.nets.file.graph import read_graph
from cnntool.nets.file.subgraph import shape_probe, skeleton
from cnntool.nets.file.wire import Wire, chunk_field, encode_varint, number_field, signed

whole = st.integers(-(2**63), 2**63 - 1)


def opened_wire(folder, body):
    path = folder / "wire"
    path.write_bytes(body)
    return Wire(path, "wire")


@given(whole)
def test_numbers_are_written_as_protobuf_writes_them(value):
    expected = AttributeProto(i=value).SerializeToString()
    assert number_field(3, value) == expected


@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_fields_come_back(tmp_path_factory, number, payload):
    body = chunk_field(number, payload) + number_field(number, -5)
    opened = opened_wire(tmp_path_factory.getbasetemp(), b"\x08\x01" + body)
    one, chunk, last = opened.fields(0, len(opened.data))
    assert one == (8, 1, 2)
    assert chunk[0] == number << 3 | 2
    assert opened.data[chunk[1] : chunk[2]] == payload
    assert last[0] == number << 3
    assert signed(last[1]) == -5
    assert last[2] == len(opened.data)


def test_fixed_numbers_and_long_varints(tmp_path):
    body = b"\x08\x01" + b"\x15" + struct.pack("<f", 2.5) + b"\x19" + bytes(8) + b"\x20\x81\x00"
    opened = opened_wire(tmp_path, body)
    fields = list(opened.fields(0, len(body)))
    assert fields == [(8, 1, 2), (21, 3, 7), (25, 8, 16), (32, 1, 19)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x0a\x05abc", "ends too early"),
        (b"\x08", "makes no sense near byte 1"),
        (b"\x08\xff", "makes no sense"),
        (b"\x08" + b"\xff" * 11, "makes no sense"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "ends too early"),
        (b"\x0b\x01", "makes no sense"),
        (b"\x0c\x01", "makes no sense"),
        (b"\x0e\x01", "makes no sense"),
        (b"\x00\x01", "makes no sense"),
        (b"\x02\x00", "makes no sense"),
        (b"\x15\x01\x01", "ends too early"),
        (b"\xff\xff\xff\xff\xff\x08", "makes no sense"),
    ],
)
def test_what_cannot_be_a_message(tmp_path, body, reason):
    opened = opened_wire(tmp_path, body)
    with pytest.raises(ModelError, match=reason):
        list(opened.fields(0, len(body)))


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", "b")
    return stream.getvalue()


OTHERS = {
    "empty": (b"", "an empty file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "Git LFS pointer"),
    "page": (b"\n<!DOCTYPE HTML><html>\n<body>", "an HTML page"),
    "xml": (b"\xef\xbb\xbf<?xml version='1.0'?>\n<html/>", "an HTML page"),
    "text": ("Ünsinn, not a model\n".encode(), "a text file"),
    "json": (b'{"a": 1}', "a text file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(9), "a PNG picture"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(9), "a JPEG picture"),
    "zip": (zipped(), "a ZIP archive"),
    "gzip": (gzip.compress(b"abc"), "a gzip archive"),
    "pickle": (pickle.dumps([1], 2), "a Python pickle"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(9), "an HDF5 file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(9), "a TensorFlow Lite model"),
    "ort": (b"\x1c\0\0\0ORTM" + bytes(9), "onnxruntime's own format"),
    "zeros": (bytes(99), "makes no sense"),
    "tensor": (TensorProto(dims=[2], name="w").SerializeToString(), "there is no graph"),
    "two graphs": (chain().SerializeToString() * 2, "two graphs"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_files_that_are_something_else(tmp_path, case):
    body, reason = OTHERS[case]
    with pytest.raises(ModelError, match=reason):
        read_graph(save(tmp_path, body))


def test_names_must_be_text(tmp_path):
    body = chain().SerializeToString().replace(b"relu1", b"re\xff\xfe1")
    with pytest.raises(ModelError, match=r"the name at byte \d+ is not UTF-8 text"):
        read_graph(save(tmp_path, body))


def message(number, *parts):
    return chunk_field(number, b"".join(parts))


def framed(*graph):
    """Put fields of a graph into a model."""
    return number_field(1, 8) + message(8, number_field(2, 17)) + message(7, *graph)


def one_by_one(number, kind, *payloads):
    return b"".join(encode_varint(number << 3 | kind) + payload for payload in payloads)


UNPACKED = {
    "float32": (1, one_by_one(4, 5, *(struct.pack("<f", v) for v in (0, 1, -2.5)))),
    "float64": (11, one_by_one(10, 1, *(struct.pack("<d", v) for v in (0, 1, -2.5)))),
    "complex64": (14, one_by_one(4, 5, *(struct.pack("<f", v) for v in (0, 0, 1, 0, -2.5, 0)))),
    "int64": (7, one_by_one(7, 0, *map(encode_varint, (0, 1, -(2**63))))),
    "uint64": (13, one_by_one(11, 0, *map(encode_varint, (0, 1, 2**64 - 1)))),
    "int8": (3, one_by_one(5, 0, *map(encode_varint, (0, 1, -128)))),
    "float16": (10, one_by_one(5, 0, *map(encode_varint, (0, 0x3C00, 0xC100)))),
    "in pieces": (1, message(4, struct.pack("<2f", 0, 1)) + message(4, struct.pack("<f", -2.5))),
    "mixed": (7, message(7, encode_varint(0), encode_varint(1)) + b"\x38" + encode_varint(-2)),
}


@pytest.mark.parametrize("case", UNPACKED)
def test_numbers_spelt_one_by_one_or_in_pieces(tmp_path, case):
    kind, field = UNPACKED[case]
    tensor = message(5, number_field(1, 3), number_field(2, kind), message(8, b"w"), field)
    relu = helper.make_node("Relu", ["w"], ["y"]).SerializeToString()
    body = framed(chunk_field(1, relu), tensor, message(12, message(1, b"y")))
    found = read_graph(save(tmp_path, body)).weights["w"]
    oracle = TensorProto.FromString(b"".join([number_field(2, kind), number_field(1, 3), field]))
    np.testing.assert_array_equal(found.read(), numpy_helper.to_array(oracle))
    assert found.offset is None


def test_many_packed_varints_of_all_lengths(tmp_path):
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 64, 400_000)
    values = (rng.integers(-(2**62), 2**62, bits.size) >> bits).tolist()
    tensor = TensorProto(name="w", dims=[len(values)], data_type=7, int64_data=values)
    graph = opened(tmp_path, build([helper.make_node("Relu", ["x"], ["y"])], [tensor]))
    assert graph.weights["w"].read().tolist() == values


@pytest.mark.parametrize("tail", [b"\xff", b"\xff" * 12 + b"\x01"])
def test_packed_varints_that_make_no_sense(tmp_path, tail):
    packed = message(7, encode_varint(5), tail)
    tensor = message(5, number_field(1, 2), number_field(2, 7), message(8, b"w"), packed)
    relu = helper.make_node("Relu", ["w"], ["y"]).SerializeToString()
    body = framed(chunk_field(1, relu), tensor, message(12, message(1, b"y")))
    with pytest.raises(ModelError, match="makes no sense"):
        read_graph(save(tmp_path, body)).weights["w"].read()


def nested(depth):
    """Put an If into a branch of an If and so on."""
    graph = b""
    for _ in range(depth):
        attribute = message(5, message(1, b"then_branch"), message(6, graph))
        graph = message(1, message(4, b"If"), attribute)
    return graph


FLOAT = one_by_one(4, 5, bytes(4))
LIMIT = 20_000
MANY = "more than 20,000 fields"


def wide():
    """An input with as many axes as will fit."""
    tensor = message(1, message(2, message(1) * 9000))
    relu = message(1, message(4, b"Relu"), message(1, b"x"), message(2, b"y"))
    return framed(relu, message(11, message(1, b"x"), message(2, tensor)), message(12, b"\x0a\1y"))


BOMBS = {
    "nodes": (lambda: framed(message(1, message(4, b"A")) * LIMIT), MANY),
    "fields": (lambda: number_field(99, 1) * 2 * LIMIT, MANY),
    "attributes": (
        lambda: framed(message(1, message(4, b"A"), message(5, message(1, b"a")) * LIMIT)),
        MANY,
    ),
    "metadata": (lambda: framed(message(1, message(9) * LIMIT)), MANY),
    "dims": (
        lambda: framed(message(5, message(1, b"\1" * 50_000_000))),
        "a list of 50,000,000 bytes",
    ),
    "single dims": (
        lambda: framed(message(5, number_field(1, 1) * 9000, number_field(2, 1))),
        "shape that makes no sense",
    ),
    "floats": (
        lambda: framed(message(5, number_field(2, 1), number_field(1, 7), FLOAT * LIMIT)),
        MANY,
    ),
    "axes": (wide, "a tensor of 9,000 axes"),
    "name": (lambda: framed(message(1, message(4, b"A" * 50_000_000))), "a name of 50,000,000"),
    "depth": (lambda: framed(nested(40)), "nested more than 30 deep"),
    "great depth": (lambda: framed(nested(3000)), "nested more than 30 deep"),
    "inputs": (
        lambda: framed(message(1, message(4, b"A"), message(1, b"x") * 9000)),
        "which nothing makes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.full
def test_bombs_are_refused_early(tmp_path, monkeypatch, case):
    make, reason = BOMBS[case]
    path = save(tmp_path, make())
    monkeypatch.setattr(wire, "_FIELD_LIMIT", LIMIT)
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=reason):
            read_graph(path)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 5


def use(path):
    """Ask everything of a graph that can be asked."""
    graph = read_graph(path)
    graph.metadata.items()
    for node in graph.nodes:
        node.metadata.items()
        repr(node)
        for name in node.attributes:
            node.attribute(name)
            for body in node.bodies(name):
                for weight in body.weights.values():
                    used(weight)
    for weight in graph.weights.values():
        used(weight)
    skeleton(graph, [info.name for info in graph.outputs])
    shape_probe(graph, {})


def used(weight):
    assert weight.read().shape == weight.shape


def survives(path):
    """Tell whether a file can be used; if not, exactly one error says so."""
    try:
        use(path)
    except ModelError as error:
        refused = error
    else:
        return True
    assert refused.source == str(path)
    assert "\n" not in refused.message
    return False


SEEDS = [make().SerializeToString() for make in KINDS.values()]


@given(st.sampled_from(SEEDS), st.data())
@examples(250)
def test_damaged_models_are_refused_or_read(tmp_path_factory, seed, data):
    body = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1)) if body else 0
        match data.draw(st.sampled_from(["flip", "set", "cut", "drop", "double", "insert"])):
            case "flip" | "set" if not body:
                pass
            case "flip":
                body[at] ^= 1 << data.draw(st.integers(0, 7))
            case "set":
                body[at] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255]))
            case "cut":
                del body[at + 1 :]
            case "drop":
                del body[at : at + data.draw(st.integers(1, 9))]
            case "double":
                body[at:at] = body[at : at + data.draw(st.integers(1, 99))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=9))
    survives(save(tmp_path_factory.getbasetemp(), bytes(body)))


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(tmp_path_factory, body):
    survives(save(tmp_path_factory.getbasetemp(), body))
    survives(save(tmp_path_factory.getbasetemp(), framed(body)))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(len(SEEDS)), ids=KINDS)
def test_every_truncation_is_refused_or_read(tmp_path, seed):
    body = SEEDS[seed]
    path = tmp_path / "m.onnx"
    refused = 0
    for end in range(0, len(body), max(1, len(body) // 300)):
        path.write_bytes(body[:end])
        refused += not survives(path)
    assert refused > 100


@pytest.mark.full
@real_networks
def test_flipped_bytes_in_real_networks(tmp_path, path):
    """Most of a file is weights: aim at what lies between them too."""
    body = path.read_bytes()
    head = np.flatnonzero(np.frombuffer(body, np.uint8) < 128)[:3000]
    rng = random.Random(7)
    target = tmp_path / path.name
    for _ in range(12):
        broken = bytearray(body)
        for _ in range(3):
            at = int(rng.choice(head)) if rng.random() < 0.7 else rng.randrange(len(body))
            broken[at] ^= 1 << rng.randrange(8)
        target.write_bytes(broken)
        survives(target)
