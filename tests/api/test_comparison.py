"""Two networks beside each other: what differs, since when, and through whom."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pairs import WIDTHS, chain, channels_last, coarse, quantised, scaled
from tiny import build

import cnntool
from cnntool.errors import ArgumentTypeError, InputError, ModelError, UsageError
from cnntool.image.source import ImageInfo
from cnntool.nets.comparison import runs
from cnntool.nets.comparison.steps import has_blocks
from cnntool.nets.file.graph import read_graph

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("inside")


PHOTO = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
OTHER = np.random.default_rng(6).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_equal_networks_do_not_differ(tmp_path):
    a = chain(tmp_path / "a.onnx")
    b = chain(tmp_path / "b.onnx")
    found = cnntool.compare(a, b, PHOTO)
    assert found.equal
    assert found.first is None
    assert [row.name_a for row in found.layers] == [row.name_b for row in found.layers]
    assert [row.kind for row in found.layers][:6] == ["input", *["conv"] * 4, "pool"]
    assert found.outputs[:4] == (1, float("inf"), 0.0, 0.0)
    assert (found.outputs.agreement, found.outputs.largest_change) == (1.0, 0.0)
    assert (found.precision, found.tolerance, found.nodes_to_exclude) == ("float32", 0.001, ())


def nothing(path, op, **attributes):
    """Write one operator from a picture to an output."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    graph = helper.make_graph([node], "net", [value], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_networks_without_layers(tmp_path):
    a, b = nothing(tmp_path / "a.onnx", "Identity"), nothing(tmp_path / "b.onnx", "Identity")
    b.write_bytes(b.read_bytes().replace(b"net", b"set"))  # the same in another file
    for found in (cnntool.compare(a, a, PHOTO), cnntool.compare(a, b, PHOTO)):
        assert found.equal
        assert (len(found.layers), found.outputs.error) == (1, 0)
        assert found.worst.number == 0
    assert cnntool.compare_weights(a, b).equal
    other = nothing(tmp_path / "c.onnx", "Relu")
    for compared in (
        lambda: cnntool.compare(a, other, PHOTO),
        lambda: cnntool.compare_weights(a, other),
    ):
        with pytest.raises(ModelError, match="no layer of one has a partner"):
            compared()


def written(path, nodes, weights, outputs):
    """Write a network of a picture ``x``."""
    held = [numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "net", [value], results, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def looping(path, factor):
    """Write a loop between a convolution and a mean; nobody infers the shapes behind it."""
    rng = np.random.default_rng(2)
    weights = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "f": np.float32(factor),
        "three": np.int64(3),
        "go": np.bool_(True),  # noqa: FBT003 - the condition of a loop
    }
    condition, maps = (
        [helper.make_tensor_value_info(name, kind, shape) for name in names]
        for kind, shape, names in (
            (TensorProto.BOOL, (), ("before", "after")),
            (TensorProto.FLOAT, None, ("into", "out")),
        )
    )
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["before"], ["after"]),
            helper.make_node("Mul", ["into", "f"], ["out"]),
        ],
        "body",
        [helper.make_tensor_value_info("n", TensorProto.INT64, ()), condition[0], maps[0]],
        [condition[1], maps[1]],
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Loop", ["three", "go", "c"], ["l"], body=body),
        helper.make_node("GlobalAveragePool", ["l"], ["y"]),
    ]
    return written(path, nodes, weights, ["y"])


def test_a_loop_is_blamed_itself(tmp_path):
    found = cnntool.compare(looping(tmp_path / "a.onnx", 1), looping(tmp_path / "b.onnx", 2), PHOTO)
    assert [row.diverges for row in found.layers] == [False, False, True, False]
    assert found.first.name_a == "l"
    assert found.first.own_error == pytest.approx(7)  # three times twice as much
    assert found.layers[3].own_error == 0


def test_all_outputs_of_a_network_without_classes_count(tmp_path):
    def heads(path, factor):
        rng = np.random.default_rng(3)
        w, v = (rng.normal(size=(n, 3, 1, 1)).astype(np.float32) for n in (4, 5))
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["boxes"]),
            helper.make_node("Conv", ["x", "v"], ["scores"]),
        ]
        return written(path, nodes, {"w": w * factor, "v": v}, ["scores", "boxes"])

    a, b = heads(tmp_path / "a.onnx", 1), heads(tmp_path / "b.onnx", 1.5)
    assert cnntool.compare(a, b, PHOTO).outputs.error == pytest.approx(0.5)
    assert cnntool.compare(a, a, PHOTO).outputs.error == 0


def test_layers_are_drawn_after_the_networks_were_closed(tmp_path):
    a = chain(tmp_path / "a.onnx")
    found = cnntool.compare(a, chain(tmp_path / "b.onnx", change=scaled(1, 0)), PHOTO)
    assert (found.worst.number, found.first) == (1, found.worst)
    worst, other = (np.asarray(found.figure(number)) for number in (None, 2))
    assert np.array_equal(worst, np.asarray(found.figure(1)))
    assert not np.array_equal(worst, other)


def test_weights_are_compared_by_paths_and_by_open_networks(tmp_path):
    a, b = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", change=scaled(1, 0))
    found = cnntool.compare_weights(a, b)
    assert not found.same_file
    changed = [one.parameter for one in found.parameters if one.sqnr < float("inf")]
    assert (changed, found.sqnr < 20) == (["weights", "bias"], True)
    with cnntool.load_model(a) as opened:
        assert cnntool.compare_weights(opened, b).record() == found.record()
        opened.summary()  # it stays open


def injection(tmp_path, number):
    """Scale one channel of one layer by 1.5, and return what is found first."""
    rng = np.random.default_rng(number)
    layer = int(rng.integers(1, len(WIDTHS)))
    channel = int(rng.integers(WIDTHS[layer]))
    a = chain(tmp_path / "a.onnx", seed=number)
    b = chain(tmp_path / "b.onnx", seed=number, change=scaled(layer, channel))
    found = cnntool.compare(a, b, PHOTO)
    assert found.first is not None, (layer, channel)
    return (layer, channel), found


def check(place, found):
    (layer, channel), first = place, found.first
    assert (first.number, first.kind) == (layer, "conv")
    assert [row.number for row in found.layers if row.diverges] == [layer]
    worst = found.channels(layer)[0]
    assert worst.channel == channel == first.where[0]
    assert worst.own_error == pytest.approx(0.5, rel=1e-5)
    assert found.layers[-1].error > 0  # accumulated, and none of its own doing
    assert found.layers[-1].own_error < 1e-5


@pytest.mark.parametrize("number", range(20))
def test_scaled_channels_are_found_wherever_they_are(number, tmp_path):
    check(*injection(tmp_path, number))


def test_own_and_accumulated_error_of_8_bits(tmp_path):
    a = chain(tmp_path / "a.onnx")
    b = quantised(tmp_path / "b.onnx", a)
    found = cnntool.compare(a, b, [PHOTO, OTHER])
    assert (found.precision, found.tolerance) == ("8 bits", 0.1)
    convs = [row for row in found.layers if row.kind == "conv"]
    assert len(convs) == 4
    assert convs[0].own_error == pytest.approx(convs[0].error, rel=1e-6)  # nothing before it
    assert all(0 < row.own_error < row.error for row in convs[1:])
    assert all(row.own_worst >= row.own_error for row in convs)
    worst = sorted(convs, key=lambda row: -row.own_error)
    assert found.nodes_to_exclude == tuple(f"conv_{row.number}" for row in worst)
    assert found.outputs.photos == 2
    coarse = cnntool.compare(a, quantised(tmp_path / "c.onnx", a, bits=3), PHOTO)
    assert coarse.first.number == 1


def test_nodes_without_names_cannot_be_excluded(tmp_path):
    a = chain(tmp_path / "a.onnx", named=False)
    found = cnntool.compare(a, quantised(tmp_path / "b.onnx", a), PHOTO)
    assert (found.nodes_to_exclude, found.nameless) == ((), 4)


def test_two_pictures(tmp_path):
    net = chain(tmp_path / "a.onnx")
    found = cnntool.compare(net, None, PHOTO, against=OTHER)
    assert found.first.number == 0  # what goes in
    assert all(row.error > 0 for row in found.layers)
    assert all(row.own_error == 0 for row in found.layers[1:])


def test_nan_on_one_side_is_a_divergence(tmp_path):
    a = chain(tmp_path / "a.onnx")

    def spoil(weights):
        weights["b3"][2] = np.nan

    found = cnntool.compare(a, chain(tmp_path / "b.onnx", change=spoil), PHOTO)
    assert (found.first.number, found.first.own_apart, found.first.shape) == (3, 64, (8, 8, 8))
    assert found.layers[4].apart
    assert found.layers[4].own_apart == 0
    assert found.record()["layers"][3]["worst"] is None


def test_networks_that_answer_nan_do_not_agree(tmp_path):
    def spoil(weights):
        weights["b4"][:] = np.nan

    bad, good = chain(tmp_path / "a.onnx", change=spoil), chain(tmp_path / "b.onnx")
    for a, b in ((bad, bad), (bad, good), (good, bad)):
        outputs = cnntool.compare(a, b, [PHOTO, OTHER]).outputs
        assert (outputs.agreement, outputs.mean_change, outputs.unanswered) == (0, None, 2)
    outputs = cnntool.compare(good, good, PHOTO).outputs
    assert (outputs.agreement, outputs.mean_change, outputs.unanswered) == (1, 0, 0)


def test_weights_that_have_more_axes_than_a_picture(tmp_path):
    def cubes(name, *, last):
        values = np.arange(24, dtype=np.float32).reshape(2, 1, 3, 2, 2)
        values[-1, -1, -1, -1, -1] = last
        nodes = [
            helper.make_node("Unsqueeze", ["x", "axis"], ["deep"]),
            helper.make_node("Conv", ["deep", "w"], ["y"]),
        ]
        weights = [numpy_helper.from_array(values, "w")]
        weights.append(numpy_helper.from_array(np.array([1]), "axis"))
        onnx.save(build(nodes, weights), tmp_path / name)
        return tmp_path / name

    a, b = cubes("a.onnx", last=23), cubes("b.onnx", last=25)
    (row,) = cnntool.compare_weights(a, b).parameters
    assert (row.shape_a, row.largest, row.where) == ((2, 1, 3, 2, 2), 2, (1, 0, 2, 1, 1))
    assert cnntool.compare_weights(a, a).equal


def test_another_settings_rounding_does_not_diverge(tmp_path):
    net = chain(tmp_path / "a.onnx")
    found = cnntool.compare(net, None, PHOTO, optimise=("none", "all"))
    assert found.first is None
    assert not found.only_a + found.only_b


def test_chunks_and_spilled_arrays_change_nothing(tmp_path, monkeypatch):
    a = chain(tmp_path / "a.onnx")
    b = chain(tmp_path / "b.onnx", change=scaled(2, 1))
    whole = cnntool.compare(a, b, [PHOTO, OTHER, PHOTO])
    monkeypatch.setattr(runs, "BUDGET", 4000)
    monkeypatch.setattr(runs, "GIVEN_BUDGET", 1000)
    monkeypatch.setattr(runs, "ROUND", 12000)
    assert cnntool.compare(a, b, [PHOTO, OTHER, PHOTO]).record() == whole.record()


def test_channels_in_blocks_are_told_of(tmp_path):
    import onnxruntime

    a, b = chain(tmp_path / "a.onnx", widths=(3, 16, 16)), tmp_path / "b.onnx"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(b)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(a, options, providers=["CPUExecutionProvider"])
    if not has_blocks(read_graph(b)):
        pytest.skip("onnxruntime leaves channels in order on this processor")
    with cnntool.load_model(a) as ours, cnntool.load_model(b) as theirs:
        found = cnntool.compare(ours, theirs, PHOTO)
        assert (found.first, len(found.layers) < 4) == (None, True)
        assert any("has put its channels into blocks" in note for note in theirs.notes)
    with cnntool.load_model(b) as same:
        assert cnntool.compare(same, b, PHOTO).equal
        assert not any("blocks" in note for note in same.notes)


def test_partners_by_hand(tmp_path):
    a = chain(tmp_path / "a.onnx")
    found = cnntool.compare(a, chain(tmp_path / "b.onnx"), PHOTO, by_hand={"conv_3": "conv_3"})
    assert [row.why for row in found.layers if row.number == 3] == ["map"]


def test_progress_counts_photos(tmp_path):
    seen = []
    net = chain(tmp_path / "a.onnx")
    cnntool.compare(net, None, [PHOTO, OTHER], progress=seen.append)
    assert seen == [1, 2]


@pytest.mark.parametrize("free", [0, 1])
def test_a_network_that_takes_any_size_gets_what_the_other_one_wants(tmp_path, free):
    pair = [chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx")]
    model = onnx.load(pair[free])
    for place, axis in enumerate(model.graph.input[0].type.tensor_type.shape.dim):
        if place > 1:
            axis.dim_param = f"side {place}"
    del model.graph.value_info[:]
    onnx.save(model, pair[free])
    found = cnntool.compare(*pair, PHOTO)
    assert found.equal
    assert found.layers[0].shape == (3, 8, 8)


def test_what_cannot_be_compared(tmp_path):
    a = chain(tmp_path / "a.onnx")
    wide = chain(tmp_path / "b.onnx", side=16)
    with pytest.raises(ModelError, match="their inputs differ: 3 x 8 x 8 and 3 x 16 x 16"):
        cnntool.compare(a, wide, PHOTO)
    with pytest.raises(UsageError, match="2 pictures for 1"):
        cnntool.compare(a, None, PHOTO, against=[PHOTO, OTHER])
    with pytest.raises(InputError, match="no picture"):
        cnntool.compare(a, None, [])
    with pytest.raises(UsageError, match="one of none, basic, all"):
        cnntool.compare(a, None, PHOTO, optimise=("none", "most"))
    for tolerance in (-1, float("nan")):
        with pytest.raises(UsageError, match="a number from 0 up is expected"):
            cnntool.compare(a, None, PHOTO, tolerance=tolerance)


TYPED = ["a", "b", "photos", "against", "optimise", "tolerance", "by_hand"]


@pytest.mark.parametrize("name", TYPED)
def test_arguments_of_another_type(name, tmp_path):
    net = chain(tmp_path / "a.onnx")
    with pytest.raises(ArgumentTypeError, match="object"):
        cnntool.compare(**{"a": net, "photos": PHOTO, name: object()})


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_the_list_of_nodes_to_exclude_beats_chance(tmp_path):
    """Quantise a network by onnxruntime, with the list's first five in float, or any five."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    from cnntool.nets.inference.preprocess import prepare

    bad = [2, 4, 7, 9, 11]
    a = chain(tmp_path / "a.onnx", widths=(3, *[12] * 13), side=16, change=coarse(bad))
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(4)]
    with cnntool.load_model(a) as net:
        entry = net.plan().input
        tensors = [prepare(p, ImageInfo(16, 16, 3), entry)[None] for p in photos]

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self):
            self._feeds = ({"input": tensor} for tensor in tensors)

        def get_next(self):
            return next(self._feeds, None)

    def compared(exclude):
        target = tmp_path / "q.onnx"
        quantization.quantize_static(a, target, Calibration(), nodes_to_exclude=list(exclude))
        return cnntool.compare(a, target, photos)

    found = compared([])
    assert len(found.nodes_to_exclude) >= 13
    best = compared(found.nodes_to_exclude[:5]).outputs.sqnr
    draws = [
        compared(rng.choice(found.nodes_to_exclude, 5, replace=False)).outputs.sqnr
        for _ in range(8)
    ]

    assert best > max(draws)
    assert best > found.outputs.sqnr + 3


@pytest.mark.parametrize("swapped", [False, True])
def test_channels_first_and_last(swapped, tmp_path):
    a = chain(tmp_path / "a.onnx", change=scaled(3, 2))
    b = channels_last(tmp_path / "b.onnx", chain(tmp_path / "plain.onnx"))
    found = cnntool.compare(*((b, a) if swapped else (a, b)), PHOTO)
    assert [row.number for row in found.layers if row.diverges] == [3]
    assert [row.error > 0 for row in found.layers] == [False] * 3 + [True] * 3
    assert max(row.own_error for row in found.layers if row.number not in {0, 3}) < 1e-6
    assert found.channels(3)[0].channel == 2
    assert not found.only_a + found.only_b


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_layers_of_whole_numbers_are_given_whole_numbers(tmp_path):
    """Beside QDQ the operators of 8 bits, whose tensors are uint8: nearly the same own errors."""
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(0)
            self._feeds = ({"input": rng.random((1, 3, 8, 8), np.float32)} for _ in range(3))

        def get_next(self):
            return next(self._feeds, None)

    a = chain(tmp_path / "a.onnx")
    found = []
    for form in ("QDQ", "QOperator"):
        target = tmp_path / f"{form}.onnx"
        how = getattr(quantization.QuantFormat, form)
        quantization.quantize_static(a, target, Calibration(), quant_format=how)
        with cnntool.load_model(a, preprocess="unit") as ours:
            found.append(cnntool.compare(ours, target, PHOTO))
    for one in found:
        convs = [row for row in one.layers if row.kind == "conv"]
        assert len(convs) == 4
        assert all(0.001 < row.own_error < 0.05 for row in convs)
        assert sorted(one.nodes_to_exclude)[:4] == [f"conv_{number}" for number in range(1, 5)]
