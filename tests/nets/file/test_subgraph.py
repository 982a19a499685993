"""Skeletons and shape probes, run next to the whole network."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny import (
    KINDS,
    Runtime,
    branches,
    build,
    chain,
    constants,
    every_kind,
    feeds,
    function,
    half,
    loop,
    old,
    opened,
    quantised,
    real_networks,
    results,
    save,
    scan,
    untyped,
    with_outputs,
)
from vgg import SPELLINGS, vgg16

from cnntool.errors import ModelError
from cnntool.nets.file.graph import TensorInfo, read_graph
from cnntool.nets.file.subgraph import own_name, read_shapes, shape_probe, skeleton


def cut(graph, tensors, given, optimise="ALL"):
    made = skeleton(graph, tensors)
    return Runtime(made.model, made.folder, optimise=optimise).run(given)


def close(found, expected, tolerance=1e-5):
    """Compare to so many parts of the largest number."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if np.array_equal(found, expected):
        return
    room = tolerance * float(np.abs(expected).max())
    assert float(np.abs(found - expected).max()) <= room


def whole(path, tensors, given):
    return Runtime(with_outputs(path, tensors), path.parent, optimise="NONE").run(given)


@pytest.mark.full
@every_kind
def test_every_tensor_is_that_of_the_whole_network(make, tmp_path):
    path = save(tmp_path, make())
    graph = read_graph(path)
    tensors, given = results(graph), feeds(graph)
    expected = whole(path, tensors, given)
    found = cut(graph, tensors, given, "NONE")
    assert list(found) == tensors
    for tensor in tensors:
        close(found[tensor], expected[tensor], 0)
        alone = cut(graph, [tensor], given, "NONE")
        assert list(alone) == [tensor]
        if make is not half:
            close(alone[tensor], expected[tensor], 0)
        if make not in {half, quantised}:
            close(cut(graph, [tensor], given)[tensor], expected[tensor])


def test_float16_equals_a_run_with_the_same_outputs(tmp_path):
    """Onnxruntime computes float16 in float32 from one output to the next."""
    path = save(tmp_path, half())
    graph = read_graph(path)
    for tensor in results(graph):
        expected = whole(path, [tensor], feeds(graph))[tensor]
        close(cut(graph, [tensor], feeds(graph), "NONE")[tensor], expected, 0)


def test_quantised_networks_are_exact_with_basic_optimisation(tmp_path):
    path = save(tmp_path, quantised())
    graph = read_graph(path)
    expected = whole(path, results(graph), feeds(graph))
    for tensor in results(graph):
        close(cut(graph, [tensor], feeds(graph), "BASIC")[tensor], expected[tensor], 0)


@pytest.mark.full
@real_networks
def test_real_networks_give_the_same_tensors(path):
    graph = read_graph(path)
    tensors, given = results(graph), feeds(graph)
    expected = whole(path, tensors, given)
    exact = "float16" in graph.inputs[0].dtype
    for tensor, found in cut(graph, tensors, given, "NONE" if exact else "BASIC").items():
        close(found, expected[tensor])
    middle = tensors[len(tensors) // 3]
    if not exact:
        close(cut(graph, [middle], given, "BASIC")[middle], expected[middle])


@every_kind
def test_skeletons_are_models_that_the_onnx_package_accepts(make, tmp_path):
    graph = opened(tmp_path, make())
    made = skeleton(graph, results(graph))
    model = onnx.load_model_from_string(made.model)
    assert model.ir_version == graph.ir_version
    assert {o.domain: o.version for o in model.opset_import} == graph.opset
    for output in model.graph.output:
        output.type.tensor_type.elem_type = output.type.tensor_type.elem_type or 1
        output.type.tensor_type.shape.SetInParent()  # the checker wants it, onnxruntime does not
    if make is not old:  # an operator from before the standard
        onnx.save(model, tmp_path / "cut.onnx")
        onnx.checker.check_model(str(tmp_path / "cut.onnx"))


def test_only_ancestors_are_kept(tmp_path):
    graph = opened(tmp_path, chain())
    made = onnx.load_model_from_string(skeleton(graph, ["r1"]).model)
    original = onnx.load(tmp_path / "m.onnx")
    assert list(made.graph.node) == list(original.graph.node)[:2]
    assert [t.name for t in made.graph.initializer] == ["w1", "b1"]
    assert [v.name for v in made.graph.value_info] == ["c1"]
    assert [v.name for v in made.graph.output] == ["r1"]
    assert list(made.graph.input) == list(original.graph.input)


def test_large_weights_stay_in_the_file(tmp_path):
    graph = opened(tmp_path, chain())
    made = skeleton(graph, ["y"])
    model = onnx.load_model_from_string(made.model)
    stored = {t.name: t for t in model.graph.initializer}
    assert not stored["w2"].raw_data
    place = {entry.key: entry.value for entry in stored["w2"].external_data}
    assert place == {
        "location": "m.onnx", "offset": str(graph.weights["w2"].offset), "length": "4320",
    }  # fmt: skip
    assert len(stored["w1"].raw_data) == 216
    assert made.folder == tmp_path.resolve()
    assert len(made.model) < 1500


def test_outputs_are_asked_for_once_and_in_order(tmp_path):
    graph = opened(tmp_path, chain())
    given = feeds(graph)
    found = cut(graph, ["r1", "y", "r1", "c1", "y"], given)
    assert list(found) == ["r1", "y", "c1"]


def test_weights_and_inputs_are_handed_through(tmp_path):
    graph = opened(tmp_path, chain())
    given = feeds(graph)
    found = cut(graph, ["x", "w2", "b1", "c1"], given)
    np.testing.assert_array_equal(found["x"], given["x"])
    np.testing.assert_array_equal(found["w2"], graph.weights["w2"].read())
    np.testing.assert_array_equal(found["b1"], graph.weights["b1"].read())
    assert Runtime(*skeleton(graph, ["w2"])).inputs == []
    assert cut(graph, ["x"], given)["x"].shape == (1, 2, 6, 6)


def test_constants_are_handed_through(tmp_path):
    graph = opened(tmp_path, constants())
    names = ["tensor", "one", "list", "shape", "whole", "text", "texts"]
    for name, found in cut(graph, names, {}).items():
        np.testing.assert_array_equal(found, graph.weights[name].read())


def test_inputs_that_are_not_needed_are_left_out(tmp_path):
    second = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 2, 6, 6))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 2, 6, 6))
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Add", ["a", "z"], ["y"])]
    graph = opened(tmp_path, build(nodes, inputs=[x, second]))
    assert Runtime(*skeleton(graph, ["a"])).inputs == ["x"]
    assert Runtime(*skeleton(graph, ["y"])).inputs == ["x", "z"]


def test_what_is_given_is_an_input_and_computed_if_it_is_wanted(tmp_path):
    graph = opened(tmp_path, chain())
    info = TensorInfo("r1", "float32", (None, 3, 6, "columns"))
    made = skeleton(graph, ["y", "r1", "c1"], [info])
    runtime = Runtime(made.model, made.folder, optimise="ALL")
    assert runtime.inputs == ["x", "r1"]
    given = feeds(graph)
    ones = np.ones((1, 3, 6, 6), np.float32)
    found = runtime.run(given | {"r1": ones})
    assert list(found) == ["y", own_name("r1"), "c1"]
    plain = whole(tmp_path / "m.onnx", ["r1", "c1"], given)
    close(found["c1"], plain["c1"])
    close(found[own_name("r1")], plain["r1"])
    whole_window = float(graph.weights["w2"].read()[0].sum())
    expected = max(whole_window, whole_window / 4)
    np.testing.assert_allclose(found["y"][0, 0, 1, 1], expected, rtol=1e-5)
    assert Runtime(*skeleton(graph, ["y"], [info])).inputs == ["r1"]


@every_kind
def test_given_what_it_would_compute_itself_every_node_makes_the_same(make, tmp_path):
    path = save(tmp_path, make())
    graph = read_graph(path)
    tensors, given = results(graph), feeds(graph)
    plain = whole(path, tensors, given)
    infos = [
        TensorInfo(name, plain[name].dtype.name, plain[name].shape)
        for name in tensors
        if name not in graph.weights and not plain[name].dtype.hasobject
    ]
    made = skeleton(graph, [info.name for info in infos], infos)
    runtime = Runtime(made.model, made.folder, optimise="NONE")
    found = runtime.run({name: (given | plain)[name] for name in runtime.inputs})
    for info in infos:
        close(found[own_name(info.name)], plain[info.name], 0)


@pytest.mark.parametrize("name", ["x", "w2", "nothing"])
def test_what_no_node_makes_cannot_be_given(name, tmp_path):
    graph = opened(tmp_path, chain())
    with pytest.raises(ModelError, match=rf"no node makes the tensor '{name}'"):
        skeleton(graph, ["y"], [TensorInfo(name, "float32", None)])


@pytest.mark.parametrize("make", [branches, loop, scan])
def test_bodies_keep_what_they_use(make, tmp_path):
    graph = opened(tmp_path, make())
    made = onnx.load_model_from_string(skeleton(graph, ["y"]).model)
    assert "unused" not in {t for n in made.graph.node for t in n.output}
    assert {n.op_type for n in made.graph.node} >= {"If", "Loop", "Scan"} & {
        n.op for n in graph.nodes
    }


def test_functions_are_kept(tmp_path):
    graph = opened(tmp_path, function())
    made = onnx.load_model_from_string(skeleton(graph, ["y"]).model)
    assert [f.name for f in made.functions] == ["Twice"]


def test_old_formats_list_their_weights(tmp_path):
    graph = opened(tmp_path, old())
    assert [info.name for info in graph.inputs] == ["x"]
    made = onnx.load_model_from_string(skeleton(graph, ["y"]).model)
    assert [value.name for value in made.graph.input] == ["x", "w", "s"]


def test_what_is_only_for_reading_is_left_out(tmp_path):
    model = chain()
    model.doc_string = "d" * 10_000
    model.training_info.add()
    helper.set_model_props(model, {"labels": "l" * 10_000})
    graph = opened(tmp_path, model)
    assert len(skeleton(graph, ["y"]).model) < 1500


def test_an_unknown_tensor_is_an_error(tmp_path):
    graph = opened(tmp_path, chain())
    with pytest.raises(ModelError, match="no tensor 'none'"):
        skeleton(graph, ["y", "none"])
    with pytest.raises(ModelError, match="no tensor ''"):
        skeleton(graph, [""])
    with pytest.raises(ModelError, match="no input 'y'"):
        shape_probe(graph, {"y": (1,)})


def test_weights_in_files_of_their_own_are_found_from_anywhere(tmp_path, monkeypatch):
    model = chain()
    expected = save(tmp_path, model, "plain.onnx")
    (tmp_path / "there/deep").mkdir(parents=True)
    split = tmp_path / "there/split.onnx"
    onnx.save(model, split, save_as_external_data=True, location="deep/weights", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    graph = read_graph(split.relative_to(tmp_path))
    given = feeds(graph)
    monkeypatch.chdir("/")
    made = skeleton(graph, ["y"])
    assert made.folder == (tmp_path / "there").resolve()
    want = whole(expected, ["c2"], given)
    for tensor, found in cut(graph, ["y", "c2"], given).items():
        close(found, want[tensor])


def test_a_model_behind_a_link(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "names").mkdir()
    onnx.save(
        chain(), tmp_path / "names/m.onnx", save_as_external_data=True, location="m.data",
        size_threshold=1000,
    )  # fmt: skip
    for number, name in enumerate(("m.onnx", "m.data")):
        link = tmp_path / "names" / name
        link.rename(tmp_path / f"blobs/{number}")
        link.symlink_to(f"../blobs/{number}")
    graph = read_graph(tmp_path / "names/m.onnx")
    want = whole(save(tmp_path, chain()), [], feeds(graph))
    close(cut(graph, ["y"], feeds(graph))["y"], want["y"])


def test_weights_that_are_spelt_one_by_one_are_copied(tmp_path):
    values = np.random.default_rng(4).normal(size=(100, 2, 3, 3)).astype(np.float16)
    bits = values.view(np.uint16).ravel().tolist()
    typed = TensorProto(name="w", dims=values.shape, data_type=10, int32_data=bits)
    model = half()
    model.graph.initializer[0].CopyFrom(typed)
    graph = opened(tmp_path, model)
    assert graph.weights["w"].offset is None
    np.testing.assert_array_equal(cut(graph, ["w"], {})["w"], values)


def sparse_files(folder):
    """Tell whether holes in files cost nothing here."""
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 24)
    return (folder / "hole").stat().st_blocks * 512 < 1 << 20


def test_weights_beyond_two_gigabytes(tmp_path):
    if not sparse_files(tmp_path):
        pytest.skip("no sparse files here")
    far = np.random.default_rng(6).normal(size=(60, 2, 3, 3)).astype(np.float32)
    relu = [helper.make_node("Conv", ["x", "far"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    body = build(relu).graph.SerializeToString()
    hole = 2_200_000_000
    tensors = []
    for name, shape, size in (("hole", (hole // 4,), hole), ("far", far.shape, far.nbytes)):
        head = TensorProto(name=name, dims=shape, data_type=1).SerializeToString()
        head += b"\x4a" + varint(size)
        tensors.append((b"\x2a" + varint(len(head) + size) + head, size))
    length = len(body) + sum(len(head) + size for head, size in tensors)
    model = build(relu)
    model.ClearField("graph")
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(model.SerializeToString() + b"\x3a" + varint(length) + body)
        file.write(tensors[0][0])
        file.seek(hole, 1)
        file.write(tensors[1][0] + far.tobytes())
    graph = read_graph(path)
    assert graph.weights["far"].offset > 1 << 31
    np.testing.assert_array_equal(graph.weights["far"].read(), far)
    given = feeds(graph)
    want = whole(save(tmp_path, build(relu, [onnx.numpy_helper.from_array(far, "far")])), [], given)
    close(cut(graph, ["y"], given)["y"], want["y"])
    path.unlink()


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_more_than_a_model_can_hold_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("cnntool.nets.file.subgraph._MODEL_LIMIT", 500)
    with pytest.raises(ModelError, match="pass 2 GB"):
        skeleton(opened(tmp_path, chain()), ["y"])


def probed(graph, shapes, optimise="BASIC"):
    return read_shapes(Runtime(shape_probe(graph, shapes), optimise=optimise).outputs)


@every_kind
def test_shapes_are_those_of_a_run(make, tmp_path):
    path = save(tmp_path, make())
    graph = read_graph(path)
    given = feeds(graph)
    expected = whole(path, results(graph), given)
    found = probed(graph, {name: array.shape for name, array in given.items()})
    assert list(found) == results(graph)
    unknown = {name for name, info in found.items() if info.shape is None}
    assert unknown == {old: {"mask"}, loop: {"last"}}.get(make, set())
    loops = {"rows", "y"} if make is loop else set()
    for name, info in found.items():
        if name in loops:
            assert info.shape == (None, 1, 2, 6, 6)
        elif name not in unknown:
            assert info.shape == expected[name].shape


@pytest.mark.full
@real_networks
def test_shapes_of_real_networks_are_those_of_a_run(path):
    graph = read_graph(path)
    given = feeds(graph)
    expected = whole(path, results(graph), given)
    found = probed(graph, {name: array.shape for name, array in given.items()})
    known = {name: info.shape for name, info in found.items() if info.shape is not None}
    assert {name: expected[name].shape for name in known} == known
    unknown = found.keys() - known.keys()
    assert unknown <= {"_fire9/concat_mask_1"}


def test_a_probe_reads_no_weights(tmp_path):
    path = tmp_path / "v.onnx"
    tensors = vgg16(path, widths=(8, 8, 8, 8, 8), fc=64, classes=10, size=32)
    graph = read_graph(path)
    probe = shape_probe(graph, {})
    large = [w for w in graph.weights.values() if w.nbytes > 4096]
    assert len(large) == 1
    assert not [w for w in large if w.stored()[:64] in probe]
    found = probed(graph, {})
    assert found[tensors["block3_conv3"]].shape == (1, 8, 8, 8)
    assert found[tensors["flatten"]].shape == (1, 8)
    assert probed(graph, {"data": (2, 3, 32, 32)})[tensors["block3_conv3"]].shape == (2, 8, 8, 8)


def test_scalars_and_unknown_shapes_are_told_apart(tmp_path):
    graph = opened(tmp_path, KINDS["branches"]())
    found = probed(graph, {})
    assert found["sum"].shape == found["flag"].shape == ()
    x = untyped("x")
    x.type.tensor_type.elem_type = 1
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    assert probed(opened(tmp_path, build(nodes, inputs=[x])), {})["y"].shape is None


def test_free_axes_keep_their_names(tmp_path):
    graph = opened(tmp_path, KINDS["computed_shape"]())
    found = probed(graph, {})
    assert found["s"].shape == (4,)
    assert graph.inputs[0].shape == ("batch", 2, "h", "w")


def test_a_vgg16_in_every_spelling_is_the_same_network(tmp_path):
    outputs = []
    rng = np.random.default_rng(0)
    data = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    for spelling in SPELLINGS:
        path = tmp_path / f"{spelling}.onnx"
        tensors = vgg16(path, widths=(4, 5, 6, 7, 8), fc=9, classes=10, size=32, spelling=spelling)
        assert len(tensors) == len(set(tensors.values())) == 22
        graph = read_graph(path)
        onnx.checker.check_model(onnx.load(path))
        found = cut(graph, list(tensors.values()), {"data": data})
        outputs.append([found[tensor] for tensor in tensors.values()])
    for values in outputs[1:]:
        for value, expected in zip(values, outputs[0], strict=True):
            np.testing.assert_array_equal(value, expected)
    assert outputs[0][-1].sum() == pytest.approx(1)
    assert (outputs[0][0] >= 0).all()


def test_vgg16_has_the_published_shapes(tmp_path):
    """At a quarter of the widths, by hand: 448 + 2,320 + 4,640 + 9,248 and so on."""
    path = tmp_path / "v.onnx"
    vgg16(path, widths=(16, 32, 64, 128, 128), fc=64, classes=10, size=64)
    graph = read_graph(path)
    convolutions = sum(w.nbytes // 4 for w in graph.weights.values() if len(w.shape) != 2)
    dense = sum(w.nbytes // 4 for w in graph.weights.values() if len(w.shape) == 2)
    assert dense == 128 * 4 * 64 + 64 * 64 + 64 * 10
    assert convolutions == 920_784 + 138


def test_nodes_are_labelled_by_what_they_make(tmp_path):
    path = save(tmp_path, chain())
    graph = read_graph(path)
    outputs = [info.name for info in graph.outputs]
    plain, labelled = (
        onnx.load_from_string(skeleton(graph, outputs, labelled=on).model) for on in (False, True)
    )
    assert [node.name for node in labelled.graph.node] == [
        node.output[0] for node in plain.graph.node
    ]
    for node in (*plain.graph.node, *labelled.graph.node):
        node.name = ""
    assert labelled == plain
