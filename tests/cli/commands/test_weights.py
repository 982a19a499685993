"""``weights`` through the command line, and ``filter`` with kernels that networks learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from small import save

from cnntool.views.contact_sheet import Caption
from cnntool.views.feature_maps import sheet
from cnntool.views.kernels import kernel_sheet

RNG = np.random.default_rng(3)
FIRST = RNG.normal(scale=0.1, size=(4, 3, 3, 3)).astype(np.float32)
SECOND = RNG.normal(scale=0.1, size=(2, 4, 3, 3)).astype(np.float32)
DENSE = RNG.normal(size=(2, 5)).astype(np.float32)


@pytest.fixture
def net(tmp_path):
    """Write two convolutions and a dense layer; the first takes the mean of BGR pictures off."""
    for name, mean in (("net", (0.0, 0.0, 0.0)), ("bgr", (103.939, 116.779, 123.68))):
        save(
            tmp_path / f"{name}.onnx",
            [
                helper.make_node("Sub", ["input", "mean"], ["less"]),
                helper.make_node("Conv", ["less", "k1"], ["a"]),
                helper.make_node("Relu", ["a"], ["r"]),
                helper.make_node("Conv", ["r", "k2"], ["b"]),
                helper.make_node("GlobalAveragePool", ["b"], ["g"]),
                helper.make_node("Flatten", ["g"], ["f"]),
                helper.make_node("Gemm", ["f", "m"], ["y"]),
            ],
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 12, 12])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
            [
                ("mean", np.array(mean, np.float32)[None, :, None, None]),
                ("k1", FIRST),
                ("k2", SECOND),
                ("m", DENSE),
            ],
        )
    return ("weights", "net.onnx")


def picture(path):
    with Image.open(path) as opened:
        pixels = np.asarray(opened)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def cells(done):
    return [line.split("\t") for line in done.text.splitlines()]


def test_the_first_layer_in_colour(here, net, tmp_path):
    done = here(*net)
    (row,) = cells(done)
    assert row[:4] == ["net.onnx", "block1_conv1", "k1", "4x3x3x3"]
    figures = [FIRST.min(), FIRST.max(), FIRST.mean(), FIRST.std(), 0]
    assert [float(cell) for cell in row[4:9]] == pytest.approx(figures, rel=1e-5)
    assert row[12] == "net.block1_conv1.png"
    assert done.err.splitlines()[0] == (
        "cnntool: note: no --layer: the first convolution, conv:1 -> a (conv 1, before ReLU)"
    )
    expected = kernel_sheet(FIRST, caption=Caption("block1_conv1", "4 x 3 x 3 x 3, net.onnx"))
    assert (picture(tmp_path / row[12]) == expected).all()


def test_a_network_that_takes_blue_first(here, net, tmp_path):
    here("weights", "-q", "bgr.onnx", "-o", "a.png")
    here("weights", "-q", "net.onnx", "--channel-order", "bgr", "-o", "b.png")
    for name, model in (("a.png", "bgr.onnx"), ("b.png", "net.onnx")):
        caption = Caption("block1_conv1", f"4 x 3 x 3 x 3, {model}")
        expected = kernel_sheet(FIRST[:, ::-1], caption=caption)
        assert (picture(tmp_path / name) == expected).all()
    here("weights", "-q", "bgr.onnx", "-o", "c.npy")
    assert (np.load(tmp_path / "c.npy") == FIRST).all()  # numbers are as the network has them


@pytest.mark.parametrize(
    ("producer", "first", "other"), [("onnx-caffe2", "blue", "rgb"), ("pytorch", "red", "bgr")]
)
def test_an_order_that_is_a_guess_is_said(here, net, tmp_path, producer, first, other):  # noqa: PLR0917
    model = onnx.load(tmp_path / "net.onnx")
    model.producer_name = producer
    onnx.save(model, tmp_path / "net.onnx")
    done = here("weights", "net.onnx", "--layer", "conv:1", "-o", "a.png")
    assert f"{first} is taken to come first; --channel-order {other} swaps" in done.err
    done = here("weights", "net.onnx", "--layer", "conv:1", "--channel-order", other, "-o", "b.png")
    assert "come first" not in done.err
    assert not np.array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))


def test_deeper_layers_and_every_choice_of_the_drawing(here, net, tmp_path):
    options = ("--maps", "1,0", "--style", "gray", "--scale", "layer", "--cols", "1", "--gap", "9",
               "--upscale", "6", "--slices", "3")  # fmt: skip
    here(*net, "-q", "-l", "conv:2", *options, "-o", "d.png")
    expected = kernel_sheet(
        SECOND, chosen=[1, 0], style="gray", scale="layer", columns=1, gap=9, upscale=6, slices=3,
        caption=Caption("block1_conv2", "2 x 4 x 3 x 3, net.onnx"), unit="weight",
    )  # fmt: skip
    assert (picture(tmp_path / "d.png") == expected).all()


def test_a_dense_layer_is_one_map(here, net, tmp_path):
    here(*net, "-q", "-l", "predictions", "-o", "d.png")
    expected = sheet(
        DENSE.T[None], style="diverging", upscale=32, numbered=False,
        caption=Caption("predictions", "5 x 2, net.onnx"), unit="weight",
    )  # fmt: skip
    assert (picture(tmp_path / "d.png") == expected).all()


def test_a_large_dense_layer_is_no_noise(here, net, tmp_path, monkeypatch):
    monkeypatch.setattr("cnntool.api.figures.MATRIX", 9)
    done = here(*net, "-l", "predictions", "-o", "d.svg")
    assert "dense weights have no places" in done.err
    assert b"norm of each output" in (tmp_path / "d.svg").read_bytes()


def test_several_layers(here, net, tmp_path):
    done = here(*net, "--json", "-l", "block1_*", "-l", "predictions")
    record = json.loads(done.out)
    assert record["model"] == "net.onnx"
    names = ["01-block1_conv1.png", "02-block1_conv2.png", "03-predictions.png"]
    assert [one["output"] for one in record["layers"]] == [
        str(Path("net.weights", name)) for name in names
    ]
    assert [one["shape"] for one in record["layers"]] == [[4, 3, 3, 3], [2, 4, 3, 3], [5, 2]]
    assert sorted(p.name for p in (tmp_path / "net.weights").iterdir()) == names
    here(*net, "-q", "-l", "conv:1", "-l", "dense:1", "--raw", "npz")
    found = np.load(tmp_path / "net.weights.npz")
    assert sorted(found) == ["conv:1", "dense:1"]
    assert (found["conv:1"] == FIRST).all()


def test_the_96_kernels_of_alexnet(here, tmp_path):
    kernels = RNG.normal(size=(96, 3, 11, 11)).astype(np.float32)
    save(
        tmp_path / "alex.onnx",
        [helper.make_node("Conv", ["input", "k"], ["y"], strides=[4, 4])],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 227, 227])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 96, 55, 55])],
        [("k", kernels)],
    )
    (row,) = cells(here("weights", "-q", "alex.onnx", "-l", "y", "-o", "a.png"))
    assert row[3] == "96x3x11x11"
    caption = Caption("block1_conv1", "96 x 3 x 11 x 11, alex.onnx")
    assert (picture(tmp_path / "a.png") == kernel_sheet(kernels, caption=caption)).all()


def test_nothing_is_written_where_figures_are_enough(here, net, tmp_path):
    before = set(tmp_path.iterdir())
    assert len(cells(here(*net, "-q", "--stats-only", "-l", "block1_*"))) == 2
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (4, "no layer is called 'block9_conv1'", ["-l", "block9_conv1"]),
        (4, "has no kernel: it is of kind relu", ["-l", "relu:1"]),
        (4, "'input' is no layer: it has no weights", ["-l", "input"]),
        (2, "there is no map 4: the layer has 4", ["--maps", "4"]),
        (2, "--stats-only writes nothing", ["--stats-only", "-o", "x.png"]),
        (2, "'overlay' is not one of", ["--style", "overlay"]),
    ],
)
def test_errors(here, net, code, reason, arguments):
    done = here(*net, "-q", *arguments, code=code)
    assert reason in done.err
    assert "Traceback" not in done.err


def test_a_network_without_layers_to_name(here, tmp_path):
    info = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])]
    save(tmp_path / "none.onnx", [], info, info)
    done = here("weights", "none.onnx", code=4)
    assert "none.onnx: it has no convolution\n" in done.err
    assert "hint: it has no layers\n" in here("weights", "none.onnx", "-l", "a", code=4).err


def test_the_built_in_network(here, tmp_path):
    done = here("weights")
    assert cells(done)[0][:4] == ["vgg16-mini", "block1_conv1", "block1_conv1/kernel/Cast",
                                  "16x3x3x3"]  # fmt: skip
    assert (tmp_path / "vgg16-mini.block1_conv1.png").exists()


# A learned kernel as a filter for pictures.

PHOTO = np.random.default_rng(4).integers(0, 256, (9, 11, 3), np.uint8)


def correlated(planes, kernels):
    """Correlate planes (C, H, W) with kernels (C, 3, 3), zeros around; add up; numpy alone."""
    total = np.zeros(planes.shape[1:])
    for plane, kernel in zip(planes, kernels, strict=True):
        padded = np.pad(plane, 1)
        for row, column in np.ndindex(3, 3):
            rows = slice(row, row + plane.shape[0])
            total += kernel[row, column] * padded[rows, column : column + plane.shape[1]]
    return total


def filtered(here, tmp_path, spec, *options, photo=PHOTO):
    Image.fromarray(photo).save(tmp_path / "p.png")
    here("filter", "-k", spec, *options, "p.png", "-o", "f.npy", "--overwrite")
    found = np.load(tmp_path / "f.npy")
    return found[:, :, 0] if found.ndim == 3 else found


@pytest.mark.parametrize(("model", "swapped"), [("net.onnx", False), ("bgr.onnx", True)])
def test_each_colour_has_its_own_weights(here, net, tmp_path, model, swapped):
    found = filtered(here, tmp_path, f"{model}:block1_conv1[2]")
    kernel = FIRST[2, ::-1] if swapped else FIRST[2]
    assert found == pytest.approx(correlated(PHOTO.transpose(2, 0, 1) / 255, kernel), abs=1e-5)


def test_a_grey_picture_counts_as_three_equal_colours(here, net, tmp_path):
    grey = PHOTO[:, :, 0]
    found = filtered(here, tmp_path, "net.onnx:conv:1[0]", photo=grey)
    expected = correlated(np.stack([grey / 255] * 3), FIRST[0])
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "kernel"),
    [
        ("net.onnx:block1_conv2[1]", SECOND[1].mean(axis=0)),
        ("net.onnx:block1_conv2[1,3]", SECOND[1, 3]),
        ("net.onnx:conv:1[2, 1]", FIRST[2, 1]),
    ],
)
def test_one_plane_of_weights_on_the_luma(here, net, tmp_path, spec, kernel):
    found = filtered(here, tmp_path, spec)
    luma = PHOTO @ np.array([0.299, 0.587, 0.114]) / 255
    assert found == pytest.approx(correlated(luma[None], kernel[None]), abs=1e-5)


def test_results_are_centred_and_a_bank_keeps_the_colours(here, net, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    done = here("filter", "-k", "net.onnx:block1_conv1[2]", "p.png")
    assert done.text == "p.block1_conv1-2.png\n"
    expected = correlated(PHOTO.transpose(2, 0, 1) / 255, FIRST[2])
    found = picture(tmp_path / "p.block1_conv1-2.png")[:, :, 0]
    assert np.abs(found - (0.5 + expected / 2).clip(0, 1) * 255).max() < 0.51
    kernels = [option for n in (2, 3) for option in ("-k", f"net.onnx:block1_conv1[{n}]")]
    here("filter", "--bank", *kernels, "p.png", "-o", "b.npy")
    bank = np.load(tmp_path / "b.npy")
    assert bank.shape == (2, 9, 11)
    assert bank[0] == pytest.approx(expected, abs=1e-5)
    done = here("filter", "-k", "box", *kernels[:2], "--explain", "p.png")
    assert "filter  net.onnx:block1_conv1[2]: a kernel for each colour, added up" in done.text
    assert "colour" not in done.text.split("filter")[0]


@pytest.mark.parametrize(
    ("code", "reason", "spec"),
    [
        (4, "'block1_conv1' has no kernel 4: there are 4 (0 to 3)", "net.onnx:block1_conv1[4]"),
        (4, "has no input channel 3: there are 3 (0 to 2)", "net.onnx:block1_conv1[0,3]"),
        (4, "is a dense layer", "net.onnx:predictions[0]"),
        (4, "no layer is called", "net.onnx:block8_conv1[0]"),
        (4, "means 2 layers, and one is wanted", "net.onnx:block1_*[0]"),
        (4, "no model is called", "nowhere:conv:1[0]"),
        (4, "nowhere.onnx: no such file", "nowhere.onnx:conv:1[0]"),
        (2, "names no learned kernel", "net.onnx[0]"),
        (2, "names no learned kernel", "net.onnx:conv:1[0,1,2]"),
        (2, "names no learned kernel", "net.onnx:conv:1[]"),
    ],
)
def test_errors_of_learned_kernels(here, net, tmp_path, code, reason, spec):  # noqa: PLR0917
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    done = here("filter", "-k", spec, "p.png", "-o", "f.png", code=code)
    assert reason in done.err
    assert "Traceback" not in done.err


def test_two_channels_are_no_picture(here, net, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 9, 9), np.float32))
    done = here("filter", "-k", "net.onnx:conv:1[0]", "x.npy", "-o", "y.npy", code=2)
    assert "net.onnx:conv:1[0] is for pictures, and this has 2 channels" in done.err


@pytest.mark.parametrize("command", [("weights",), ("activations",)])
def test_a_suffix_of_no_format_is_said_of_the_file_before_anything_is_done(
    here, tmp_path, monkeypatch, command
):
    from cnntool.nets.runtime import session

    monkeypatch.setattr(session, "Session", None)  # a network that ran would fail otherwise
    done = here(*command, "-q", "-l", "block1_conv1", "-o", "maps.xyz", code=6)
    assert done.err.splitlines() == [
        "cnntool: error: maps.xyz: no format is known by the suffix '.xyz'",
        "cnntool: hint: FILE.png is a picture; FILE.npy and FILE.npz are numbers",
    ]


@pytest.mark.full
@pytest.mark.parametrize("verb", ["weights", "activations"])
def test_a_layer_without_outputs_has_figures_and_no_picture(here, tmp_path, verb):
    save(
        tmp_path / "empty.onnx",
        [helper.make_node("Conv", ["input", "none"], ["y"])],
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 0, 8, 8])],
        [("none", np.zeros((0, 3, 1, 1), np.float32))],
    )
    Image.new("RGB", (9, 9)).save(tmp_path / "p.png")
    command = {
        "weights": ("weights", "empty.onnx", "-q"),
        "activations": ("activations", "-m", "empty.onnx", "-l", "conv:1", "-q", "p.png"),
    }[verb]
    assert cells(here(*command, "--stats-only"))[0][4] == "nan"
    here(*command, "--raw", "npy", "-o", "raw")
    for drawing in (["-o", "out"], ["--report", "page.html"]):
        if verb == "activations" or drawing[0] == "-o":
            error = here(*command, *drawing, code=4).err
            assert error.startswith("cnntool: error: empty.onnx: 'block1_conv1' has no ")
    assert {path.name for path in tmp_path.iterdir()} == {"empty.onnx", "p.png", "raw"}
