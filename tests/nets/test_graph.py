"""What `read_graph` says of a file, next to what the ``onnx`` package says."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from tiny import (
    branches,
    build,
    chain,
    constants,
    every_kind,
    loop,
    opened,
    real_networks,
    save,
    weight,
)

from cnntool.errors import ModelError
from cnntool.nets.graph import Weight, read_graph
from cnntool.nets.tensors import ELEMENTS


def described(value: onnx.ValueInfoProto):
    """Say what the onnx package knows of a tensor, in our words."""
    if not value.type.HasField("tensor_type"):
        return value.name, "", None
    tensor = value.type.tensor_type
    element = ELEMENTS.get(tensor.elem_type)
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            (d.dim_value if d.dim_value >= 0 else None)
            if d.HasField("dim_value")
            else (d.dim_param or None)
            for d in tensor.shape.dim
        )
    return value.name, element.name if element else "", shape


def same_numbers(ours: Weight, theirs: TensorProto, folder: str = ""):
    expected = numpy_helper.to_array(theirs, folder)
    found = ours.read()
    assert ours.shape == expected.shape == found.shape
    if ours.dtype == "string":
        assert found.tolist() == [s.decode() if isinstance(s, bytes) else s for s in expected]
        return
    assert ours.nbytes == -(-expected.size * ELEMENTS[theirs.data_type].bits // 8)
    small = expected.dtype.name in {"bfloat16", "int4", "uint4", "int2", "uint2"}
    if small:
        expected = expected.astype(found.dtype)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def same_attribute(node, theirs: AttributeProto):
    value = node.attribute(theirs.name)
    if theirs.type in {AttributeProto.GRAPH, AttributeProto.GRAPHS}:
        graphs = theirs.graphs or [theirs.g]
        for body, graph in zip(node.bodies(theirs.name), graphs, strict=True):
            same_nodes(body.nodes, graph.node)
            assert list(body.outputs) == [output.name for output in graph.output]
        return
    expected = helper.get_attribute_value(theirs)
    if isinstance(expected, TensorProto):
        same_numbers(value, expected)
    elif isinstance(expected, bytes):
        assert value == expected.decode()
    elif isinstance(expected, int | float):
        assert value == expected
        assert type(value) is type(expected)
    else:
        assert list(value) == [e.decode() if isinstance(e, bytes) else e for e in expected]


def same_nodes(ours, theirs):
    for node, expected in zip(ours, theirs, strict=True):
        domain = "" if expected.domain == "ai.onnx" else expected.domain
        assert (node.name, node.op, node.domain) == (expected.name, expected.op_type, domain)
        assert node.inputs == tuple(expected.input)
        assert node.outputs == tuple(expected.output)
        assert node.attributes == tuple(a.name for a in expected.attribute)
        assert node.metadata == {p.key: p.value for p in expected.metadata_props}
        for attribute in expected.attribute:
            same_attribute(node, attribute)


def same(path):
    """Compare a graph with the onnx package's reading, all of it."""
    graph, model = read_graph(path), onnx.load(path)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    assert graph.ir_version == model.ir_version
    assert graph.opset == {
        "" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import
    }
    assert graph.producer == f"{model.producer_name} {model.producer_version}".strip()
    assert graph.metadata == {p.key: p.value for p in model.metadata_props}
    inputs = [described(value) for value in model.graph.input if value.name not in weights]
    assert list(graph.inputs) == inputs
    assert list(graph.outputs) == [described(value) for value in model.graph.output]
    assert list(graph.value_info.values()) == [described(v) for v in model.graph.value_info]
    same_nodes(graph.nodes, model.graph.node)
    assert [node.index for node in graph.nodes] == list(range(len(graph.nodes)))
    stated = {name for name in graph.weights if name in graph.producer_of}
    assert graph.weights.keys() - stated == weights.keys()
    for name, tensor in weights.items():
        same_numbers(graph.weights[name], tensor, str(path.parent))
    for name in stated:
        node = graph.producer_of[name]
        assert node.op == "Constant"
        expected = model.graph.node[node.index].attribute[0]
        if expected.name == "value":
            same_numbers(graph.weights[name], expected.t)
    return graph


@every_kind
def test_graphs_of_every_kind_read_as_the_onnx_package_reads_them(make, tmp_path):
    same(save(tmp_path, make()))


@real_networks
def test_real_networks_read_as_the_onnx_package_reads_them(path):
    same(path)


def test_links(tmp_path):
    graph = opened(tmp_path, chain())
    assert [n.op for n in graph.nodes] == ["Conv", "Relu", "Conv", "LeakyRelu"]
    assert graph.producer_of["r1"].op == "Relu"
    assert {t: [n.op for n in users] for t, users in graph.consumers.items()} == {
        "x": ["Conv"], "w1": ["Conv"], "b1": ["Conv"], "c1": ["Relu"], "r1": ["Conv"],
        "w2": ["Conv"], "c2": ["LeakyRelu"],
    }  # fmt: skip
    assert graph.producer == "tiny 1.5"
    assert graph.metadata == {"author": "näme"}
    assert graph.nodes[1].metadata == {"scope": "features.1"}
    conv = graph.nodes[2]
    assert (conv.attribute("strides"), conv.attribute("auto_pad")) == ((2, 2), "SAME_UPPER")
    assert conv.attribute("group", 1) == 1
    assert conv.attribute("dilations") is None
    assert repr(conv) == "<2: Conv '' -> c2>"


def test_bodies_use_outer_tensors(tmp_path):
    graph = opened(tmp_path, branches())
    node = graph.producer_of["y"]
    assert node.captures == {"r", "x", "outer", "flag"}
    assert [n.op for n in graph.consumers["outer"]] == ["If"]
    assert [n.op for n in graph.consumers["r"]] == ["ReduceSum", "If"]
    (otherwise,) = node.bodies("else_branch")
    assert list(otherwise.weights) == ["inner"]
    assert otherwise.nodes[0].captures == {"r", "x"}
    assert node.attribute("else_branch") is None
    assert node.bodies("nothing") == ()
    assert opened(tmp_path, loop()).producer_of["rows"].captures == {"r", "scale"}


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("kind", sorted(set(ELEMENTS) - {8}), ids=lambda k: ELEMENTS[k].name)
@pytest.mark.parametrize("shape", [(3, 5), (), (0, 7)], ids=str)
def test_numbers_of_every_type(tmp_path, kind, raw, shape):
    rng = np.random.default_rng(kind)
    values = rng.integers(-8, 8, shape)
    numpy_type = helper.tensor_dtype_to_np_dtype(kind)
    if kind in {14, 15}:
        values = values + 1j * rng.integers(-8, 8, shape)
    if ELEMENTS[kind].name.startswith("u"):
        values = abs(values)
    if ELEMENTS[kind].name[-1] == "2":
        values = values % 2
    tensor = helper.make_tensor(
        "w",
        kind,
        shape,
        numpy_helper.from_array(values.astype(numpy_type)).raw_data if raw
        else values.astype(numpy_type).ravel().tolist(),
        raw=raw,
    )  # fmt: skip
    graph = opened(tmp_path, build([helper.make_node("Relu", ["x"], ["y"])], [tensor]))
    weight = graph.weights["w"]
    if ELEMENTS[kind].name.startswith(("float8", "float4")):
        assert weight.shape == shape
        if weight.nbytes:
            with pytest.raises(ModelError, match=f"type {weight.dtype}, which is not read"):
                weight.read()
    else:
        same_numbers(weight, tensor)


def test_texts(tmp_path):
    tensor = helper.make_tensor("w", TensorProto.STRING, (2, 2), [b"a", "ü".encode(), b"", b"\xff"])
    graph = opened(tmp_path, build([helper.make_node("Relu", ["x"], ["y"])], [tensor]))
    weight = graph.weights["w"]
    assert weight.read().tolist() == [["a", "ü"], ["", "\ufffd"]]
    assert (weight.dtype, weight.shape, weight.nbytes, weight.offset) == ("string", (2, 2), 4, None)


def test_constant_nodes_are_weights(tmp_path):
    graph = opened(tmp_path, constants())
    read = {name: weight.read() for name, weight in graph.weights.items()}
    assert {n: (v.shape, graph.weights[n].dtype) for n, v in read.items()} == {
        "tensor": ((2, 2, 24, 24), "float32"), "one": ((), "float32"), "list": ((2,), "float32"),
        "shape": ((2,), "int64"), "whole": ((), "int64"), "text": ((), "string"),
        "texts": ((2,), "string"),
    }  # fmt: skip
    assert read["list"].tolist() == [0.5, -1.0]
    assert read["texts"].tolist() == ["a", "ü"]
    assert (read["whole"], read["text"]) == (3, "a")


@pytest.mark.parametrize("kind", range(15))
@pytest.mark.parametrize("key", ["value", "value_float", "value_ints", "value_string"])
def test_constants_of_another_type_than_their_name_says(tmp_path, key, kind):
    attribute = AttributeProto(
        name=key, type=kind, f=0.5, i=1, s=b"a", floats=[1], ints=[2, 3], strings=[b"b"]
    )
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.append(attribute)
    path = save(tmp_path, build([node]))
    fitting = {"value_float": {1, 6}, "value_ints": {2, 7}, "value_string": {0, 3, 8}}
    if key == "value":
        assert not read_graph(path).weights
    elif kind in fitting[key] | {9}:
        values = read_graph(path).weights["y"].read().tolist()
        assert values in (0.5, [1], 1, [2, 3], "a", ["b"], [])
    else:
        with pytest.raises(ModelError, match=f"{key} of node 'y' is of another type"):
            read_graph(path)


def test_flat_weights_are_mapped_and_not_copied(tmp_path):
    typed = helper.make_tensor("t", TensorProto.FLOAT, (4,), [1.0, 2.0, 3.0, 4.0])
    graph = opened(
        tmp_path, build([helper.make_node("Relu", ["x"], ["y"])], [weight("w", 9), typed])
    )
    for name in ("w", "t"):
        found = graph.weights[name]
        body = (tmp_path / "m.onnx").read_bytes()
        at = found.offset
        assert found.read().tobytes() == body[at : at + found.nbytes]
        assert not found.read().flags.writeable
        assert not found.read().flags.owndata


def test_unsorted_nodes_are_sorted_stably(tmp_path):
    model = chain()
    order = [3, 1, 2, 0]
    nodes = [model.graph.node[i] for i in order]
    shuffled = onnx.ModelProto()
    shuffled.CopyFrom(model)
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(nodes)
    graph = opened(tmp_path, shuffled)
    assert [n.outputs[0] for n in graph.nodes] == ["c1", "r1", "c2", "y"]
    assert [n.index for n in graph.nodes] == [0, 1, 2, 3]


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
shapes = st.lists(st.integers(0, 4), max_size=3)
attributes = st.dictionaries(
    names,
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(width=32, allow_nan=False),
        st.text(max_size=5),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
        st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4),
        st.lists(st.text(max_size=3), min_size=1, max_size=3),
    ),
    max_size=3,
)
axes = st.lists(st.one_of(st.integers(0, 9), names, st.none()), max_size=4)


@st.composite
def models(draw):
    """Any graph whatever, of operators that nobody knows."""
    tensors = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    count = draw(st.integers(1, len(tensors) - 1))
    sources, made = tensors[:count], tensors[count:]
    weights, inputs = [], []
    for name in sources:
        if draw(st.booleans()):
            values = np.zeros(draw(shapes), draw(st.sampled_from(["f4", "i8", "f2", "u1", "?"])))
            weights.append(numpy_helper.from_array(values, name))
        else:
            kind = draw(st.sampled_from([1, 2, 10, 16]))
            inputs.append(helper.make_tensor_value_info(name, kind, draw(st.none() | axes)))
    nodes = []
    for index, name in enumerate(made):
        before = tensors[: count + index]
        node = helper.make_node(
            draw(names), draw(st.lists(st.sampled_from(before), max_size=3)), [name],
            name=draw(st.text(max_size=4)), domain=draw(st.sampled_from(["", "ai.onnx", "d"])),
        )  # fmt: skip
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in draw(attributes).items()
        )
        if node.op_type == "Constant":
            node.op_type = "Other"
        nodes.append(node)
    model = build(nodes, weights, inputs=inputs, outputs=[made[-1]])
    model.opset_import.append(helper.make_opsetid("d", draw(st.integers(1, 999))))
    model.ir_version = draw(st.integers(1, 20))
    model.producer_name = draw(st.text(max_size=3).map(str.strip))
    return model


@given(models())
@examples(150)
def test_any_graph_reads_as_the_onnx_package_reads_it(tmp_path_factory, model):
    same(save(tmp_path_factory.getbasetemp(), model))


def external(name, shape, location, offset=None, length=None, *, kind=TensorProto.FLOAT):
    tensor = TensorProto(name=name, dims=shape, data_type=kind)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=str(value))
    return tensor


def outside(*tensors):
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return build(nodes, tensors)


def test_weights_in_files_of_their_own(tmp_path):
    first = np.arange(6, dtype=np.float32)
    (tmp_path / "sub").mkdir()
    (tmp_path / "one.bin").write_bytes(b"1234" + first.tobytes())
    (tmp_path / "sub/two.bin").write_bytes(np.arange(5).tobytes())
    graph = same(
        save(
            tmp_path,
            outside(
                external("a", (2, 3), "one.bin", 4, 24),
                external("b", (3,), "one.bin", 16),
                external("c", (5,), "sub/two.bin", kind=TensorProto.INT64),
                external("d", (0, 3), "one.bin", 28, 0),
            ),
        )
    )
    assert graph.weights["a"].file == (tmp_path / "one.bin").resolve()
    assert graph.weights["a"].offset == 4


def test_a_model_hub_keeps_models_behind_links(tmp_path):
    for folder in ("blobs", "snapshot"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blobs/beef").write_bytes(np.arange(3, dtype="f4").tobytes())
    save(tmp_path / "blobs", outside(external("a", (3,), "m.data")), "cafe")
    try:
        (tmp_path / "snapshot/m.onnx").symlink_to("../blobs/cafe")
        (tmp_path / "snapshot/m.data").symlink_to("../blobs/beef")
    except OSError:
        pytest.skip("no symbolic links here")
    graph = read_graph(tmp_path / "snapshot/m.onnx")
    assert graph.weights["a"].read().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/etc/hostname", "outside the model's folder"),
        ("../secret", "outside the model's folder"),
        ("a/../../secret", "outside the model's folder"),
        ("..\\secret", "outside the model's folder"),
        ("C:\\secret", "outside the model's folder"),
        ("link", "outside the model's folder"),
        ("linked/secret", "outside the model's folder"),
        ("*/_ORT_MEM_ADDR_/*", "is missing"),
        ("none.bin", "is missing"),
        ("", "without a name"),
        ("a\0b", "without a name"),
        (".", "not a regular file"),
        ("x" * 5000, "weights, 'xxx"),
        ("self", "not a usable path|Too many levels"),
    ],
)
def test_weights_outside_the_models_folder_are_refused(tmp_path, location, reason):
    (tmp_path / "secret").write_bytes(bytes(40))
    inside = tmp_path / "models"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "self").symlink_to(inside / "self")
    path = save(inside, outside(external("w", (3,), location)))
    with pytest.raises(ModelError, match=reason) as caught:
        read_graph(path)
    assert caught.value.source == str(path)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"offset": 30}, "past the end of 'w.bin'"),
        ({"offset": 2**62}, "past the end"),
        ({"offset": -4}, "the offset of weight .w. is no number"),
        ({"offset": "1e3"}, "the offset of weight .w. is no number"),
        ({"offset": "٣"}, "the offset of weight .w. is no number"),
        ({"offset": "9" * 5000}, "the offset of weight .w. is no number"),
        ({"length": 11}, "needs 12 bytes, the model names 11"),
        ({"length": -1}, "the length of weight .w. is no number"),
        ({"kind": TensorProto.STRING}, "texts in a file of its own"),
    ],
)
def test_places_outside_that_make_no_sense(tmp_path, entries, reason):
    (tmp_path / "w.bin").write_bytes(bytes(40))
    with pytest.raises(ModelError, match=reason):
        opened(tmp_path, outside(external("w", (3,), "w.bin", **entries)))


def test_a_file_that_changed_is_noticed(tmp_path):
    (tmp_path / "w.bin").write_bytes(bytes(40))
    weight = opened(tmp_path, outside(external("w", (3,), "w.bin"))).weights["w"]
    for body in (bytes(8), b""):
        (tmp_path / "w.bin").write_bytes(body)
        with pytest.raises(ModelError, match=r"'w.bin' has changed"):
            weight.read()
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"'w.bin' has changed"):
        weight.read()


def relu(source, result):
    return helper.make_node("Relu", [source], [result])


def without(field):
    model = chain()
    model.ClearField(field)
    return model


def changed(change):
    model = chain()
    change(model)
    return model


def dims(*shape):
    def change(model):
        model.graph.initializer[0].dims[:] = shape

    return change


BROKEN = {
    "cyclic": (build([relu("b", "a"), relu("a", "b"), relu("b", "y")]), "cyclic: node 'a'"),
    "cyclic with itself": (build([relu("y", "y")]), "cyclic: node 'y'"),
    "nothing makes it": (build([relu("z", "y")]), "node 'y' needs 'z', which nothing makes"),
    "output of nothing": (build([relu("x", "a")]), "output 'y' is made by nothing"),
    "made twice": (build([relu("x", "y"), relu("x", "y")]), "'y' is made twice"),
    "twice by one node": (build([helper.make_node("Split", ["x"], ["y", "y"])]), "made twice"),
    "made and given": (build([relu("x", "x"), relu("x", "y")]), "'x' is made twice"),
    "made and constant": (build([relu("x", "y")], [weight("y", 1)]), "'y' is made twice"),
    "stated and constant": (
        build([helper.make_node("Constant", [], ["y"], value_int=1)], [weight("y", 1)]),
        "'y' is made twice",
    ),
    "no outputs": (build([relu("x", "y")], outputs=()), "has no output"),
    "no graph": (without("graph"), "no graph in it"),
    "no opset": (without("opset_import"), "no version of the operators"),
    "no format": (without("ir_version"), "format version 0"),
    "format": (changed(lambda m: setattr(m, "ir_version", 10**6)), "format version 1000000"),
    "negative": (changed(lambda m: setattr(m, "ir_version", -1)), "format version -1"),
    "opset": (changed(lambda m: setattr(m.opset_import[0], "version", 2**40)), "cannot be"),
    "opset 0": (changed(lambda m: setattr(m.opset_import[0], "version", 0)), "cannot be"),
    "domain": (
        changed(lambda m: setattr(m.graph.node[0], "domain", "odd")),
        "no version is given for operators of 'odd': Conv",
    ),
    "no operator": (
        changed(lambda m: setattr(m.graph.node[0], "op_type", "")),
        "a node without an operator",
    ),
    "dims": (changed(dims(3, 2, 3, 4)), "needs 288 bytes, the file has 216"),
    "negative dims": (changed(dims(3, -2, 3, -3)), "shape that makes no sense"),
    "overflowing dims": (changed(dims(2**62, 2**62, 0)), "shape that makes no sense"),
    "rank": (changed(dims(*[1] * 500)), "shape that makes no sense"),
    "element type": (
        changed(lambda m: setattr(m.graph.initializer[0], "data_type", 99)),
        "'w1' has a type that is not known: 99",
    ),
    "typed": (
        build(
            [relu("x", "y")],
            [TensorProto(name="w", dims=[3], data_type=1, float_data=[1.0, 2.0])],
        ),
        "needs 3 elements, the file has 2",
    ),
    "typed integers": (
        build([relu("x", "y")], [TensorProto(name="w", dims=[9], data_type=7, int64_data=[300])]),
        "needs 9 elements, the file has 1",
    ),
    "wrong field": (
        build([relu("x", "y")], [TensorProto(name="w", dims=[1], data_type=7, float_data=[3])]),
        "needs 1 elements, the file has 0",
    ),
    "segments": (
        changed(lambda m: setattr(m.graph.initializer[0].segment, "begin", 1)),
        "in segments",
    ),
    "sparse": (
        changed(lambda m: m.graph.sparse_initializer.add(dims=[3])),
        "sparse weights",
    ),
    "axes": (
        build([relu("x", "y")], inputs=[helper.make_tensor_value_info("x", 1, [1] * 70)]),
        "a tensor of 70 axes",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_with_a_graph_is_said(tmp_path, case):
    model, reason = BROKEN[case]
    with pytest.raises(ModelError, match=reason) as caught:
        read_graph(save(tmp_path, model), name="given")
    assert caught.value.source == "given"
    assert len(caught.value.message) < 500
    assert "\n" not in caught.value.message


def test_control_codes_in_names_are_read_and_escaped_in_errors(tmp_path):
    odd = "\x1b[31mred\n"
    graph = opened(tmp_path, build([relu("x", odd), relu(odd, "y")]))
    assert graph.nodes[0].outputs == (odd,)
    with pytest.raises(ModelError) as caught:
        opened(tmp_path, build([relu(odd, "y")]))
    assert caught.value.message.isprintable()


def test_the_standard_operators_go_by_two_names(tmp_path):
    model = chain()
    model.opset_import[0].domain = "ai.onnx"
    assert opened(tmp_path, model).opset == {"": 17}


def test_sequences_have_no_shape(tmp_path):
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    x = helper.make_value_info("x", helper.make_sequence_type_proto(inner))
    nodes = [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)]
    assert opened(tmp_path, build(nodes, inputs=[x])).inputs == (("x", "", None),)


def test_reading_a_graph_loads_neither_the_runtime_nor_onnx():
    code = (
        "import sys, cnntool.nets.skeleton;"
        "print([m for m in ('onnxruntime', 'onnx', 'json', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


def test_a_graph_of_the_right_kind_is_needed(tmp_path):
    missing = tmp_path / "none.onnx"
    with pytest.raises(ModelError, match="no such file"):
        read_graph(missing)
    with pytest.raises(ModelError, match="a folder"):
        read_graph(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ModelError, match="not a regular file"):
            read_graph(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ModelError, match=r"cannot be read|no such file"):
        read_graph(tmp_path / "loop")
