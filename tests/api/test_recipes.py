"""The library's answers are the commands': README's recipes as they stand, and options beside."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_readme import COMMANDS

import cnntool
from cnntool.api.catalog import record, summary
from cnntool.api.kernels import facts, read_convolution
from cnntool.cli.output import json_text
from cnntool.image.files import read_image
from cnntool.nets.models import catalog
from cnntool.views.contact_sheet import tile

SLOW = re.compile(
    "cnntool (activations|classify|devices|evaluate|explain|features|layers|models|run|summary)"
    "|cnntool (trace|weights)|vgg16-mini|median|response"
)
"""What starts a process more or imports much; all of these are run with ``--full``."""

ROOT = Path(__file__).parents[2]
CAT, MATRIX = (str(ROOT / "samples" / name) for name in ("cat.png", "matrix.csv"))
PHOTOS = camera, cat, rocket = [
    f"samples/{name}" for name in ("camera.png", "cat.png", "rocket.jpg")
]
matrix, LECTURE = "samples/matrix.csv", "0,1,2;2,2,0;0,1,2"


def written(path: Path) -> np.ndarray:
    """Read what a command wrote, with the axes that arrays have."""
    if path.suffix == ".npy":
        return np.load(path)
    pixels, info = read_image(path, name=str(path))
    return pixels[:, :, 0] if info.samples == 1 else pixels


def pooled_and_back(_):
    values, where = cnntool.pool(matrix, max=2, switches=True)
    return {"where.csv": where, "stdout": cnntool.unpool(values, where, 5)}


def lecture(net):
    weights = net.weights("block1_conv1")
    maps = cnntool.filter(cat, weights, relu=True)
    return {"w.npy": weights, "layer.npy": cnntool.pool(maps, max=2)}


def kernel(spec):
    item = read_convolution(spec, "")
    return {"kernel": spec, "combine": item.combine, "kernels": [*map(facts, item.kernels)]}


def classes(photo, found):
    predictions = [
        {"rank": rank, **one._asdict(), "wordnet": one.wordnet or None}
        for rank, one in enumerate(found, 1)
    ]
    return {"input": photo, "predictions": predictions}


def compared(found):
    """Tell what does not depend on the order in which threads add."""
    told = found.record()
    rows = [{key: row[key] for key in ("name_a", "name_b", "shape")} for row in told["layers"]]
    return {key: told[key] for key in ("photos", "precision", "first", "only_a")} | {"layers": rows}


def explained(net, *methods):
    return net.explain(cat, method=methods).figure(title="cat.png", detail=net.name)


def tiled(*kernels):
    maps = cnntool.filter(cat, *kernels, bank=True, depth=8)
    return tile([one[:, :, None] for one in maps], fill=255)[:, :, 0]


def figures(values):
    return {
        "shape": values.shape,
        "minimum": values.min().item(),
        "maximum": values.max().item(),
        "mean": values.mean(dtype=float),
        "deviation": values.std(dtype=float),
        "sparsity": np.mean(values == 0),
    }


def described(found):
    layers = [one._asdict() for one in found.layers]
    return {**found._asdict(), "layers": layers, "inputs": [one._asdict() for one in found.inputs]}


def sheets(net, query):
    tensors = {one.alias: one.post for one in net.layers()}
    for name, maps in net.activations(cat, query).items():
        detail = " x ".join(map(str, maps.shape)), tensors[name], "cat.png"
        yield name, cnntool.contact_sheet(maps, title=name, detail=", ".join(detail))


RECIPES = {
    "cnntool filter -k sobel samples/cat.png": lambda _: {
        "cat.sobel.png": cnntool.filter(cat, "sobel")
    },
    "cat samples/rocket.jpg | cnntool filter -k gaussian:sigma=2 -o -"
    " | cnntool filter -k sobel -o launch.png": lambda _: {
        "launch.png": cnntool.filter(cnntool.filter(rocket, "gaussian:sigma=2"), "sobel")
    },
    "cnntool filter -k gaussian:sigma=2 -k sobel samples/rocket.jpg": lambda _: {
        "rocket.gaussian.sobel.png": cnntool.filter(rocket, "gaussian:sigma=2", "sobel")
    },
    "echo '0,1,2;3,4,5;6,7,8' | cnntool filter -k '0,1;2,3' --mode valid": lambda _: {
        "stdout": cnntool.filter(b"0,1,2;3,4,5;6,7,8", "0,1;2,3", mode="valid")
    },
    f"cnntool filter -k '{LECTURE}' --op convolve samples/matrix.csv": lambda _: {
        "stdout": cnntool.filter(matrix, LECTURE, op="convolve")
    },
    "cnntool kernels show sobel-x": lambda _: {"records": [kernel("sobel-x")]},
    "cnntool kernels show gaussian:sigma=2": lambda _: {"records": [kernel("gaussian:sigma=2")]},
    "cnntool kernels show laplacian --response response.png": lambda _: {
        "response.png": cnntool.frequency_response("laplacian")
    },
    "cnntool filter --bank -k sobel-x -k sobel-y -k laplacian -k emboss samples/cat.png"
    " -o bank.png": lambda _: {"bank.png": tiled("sobel-x", "sobel-y", "laplacian", "emboss")},
    "cnntool filter --bank -k sobel-x -k sobel-y samples/cat.png -o maps.npy": lambda _: {
        "maps.npy": cnntool.filter(cat, "sobel-x", "sobel-y", bank=True)
    },
    "cnntool filter -k unsharp:sigma=2 --recursive samples -o sharper/ --json": lambda _: (
        {
            f"sharper/{name}": cnntool.filter(f"samples/{name}", "unsharp:sigma=2")
            for name in ("camera.png", "cat.png", "matrix.csv")
        }
        | {"sharper/rocket.png": cnntool.filter(rocket, "unsharp:sigma=2")}
    ),
    f"cnntool trace samples/matrix.csv -k '{LECTURE}' --at 1,2": lambda _: {
        "stdout": str(cnntool.trace(matrix, LECTURE, (1, 2)))
    },
    f"cnntool trace samples/matrix.csv -k '{LECTURE}' -o sliding.gif": lambda _: {
        "sliding.gif": cnntool.trace(matrix, LECTURE).animation()
    },
    "cnntool trace samples/matrix.csv --max 2 --all": lambda _: {
        "stdout": "\n\n".join(map(str, cnntool.trace(matrix, max=2)))
    },
    "cnntool trace samples/camera.png -k sobel-x --at 100,150 --size 2 -o window.gif": lambda _: {
        "window.gif": cnntool.trace(camera, "sobel-x", (100, 150), size=2).animation()
    },
    "cnntool im2col samples/matrix.csv --kernel-size 2 --mode valid": lambda _: {
        "stdout": cnntool.im2col(matrix, kernel_size=2, mode="valid").columns
    },
    "cnntool matrix -k '1,2;3,4' --input-size 3x3 --mode valid": lambda _: {
        "stdout": cnntool.convolution_matrix("1,2;3,4", 3, mode="valid").matrix
    },
    "cnntool matrix -k sobel-x --input-size 8 --picture toeplitz.png": lambda _: {
        "toeplitz.png": cnntool.convolution_matrix("sobel-x", 8).figure()
    },
    "cnntool filter --bank -k sobel-x -k sobel-y samples/cat.png --format npy -o -"
    " | cnntool pool --max 2 -o pooled.npy": lambda _: {
        "pooled.npy": cnntool.pool(cnntool.filter(cat, "sobel-x", "sobel-y", bank=True), max=2)
    },
    "cnntool pool --max 2 --switches where.csv samples/matrix.csv"
    " | cnntool unpool --switches where.csv --size 5": pooled_and_back,
    "echo '1,2;3,4' | cnntool deconv -k '1,1;1,1' --stride 2": lambda _: {
        "stdout": cnntool.deconv(b"1,2;3,4", "1,1;1,1", stride=2)
    },
    "cnntool resize --size 224 samples/cat.png": lambda _: {
        "cat.resize.png": cnntool.resize(cat, size=224)
    },
    "cnntool weights -q --raw npy --layer block1_conv1 -o w.npy"
    " && cnntool filter -k @w.npy --relu samples/cat.png --format npy -o -"
    " | cnntool pool --max 2 -o layer.npy": lecture,
    "cnntool classify samples/cat.png": lambda net: {"records": [classes(cat, net.classify(cat))]},
    "cnntool classify samples --json": lambda net: {
        "records": [*map(classes, PHOTOS, net.classify(PHOTOS))]
    },
    "cnntool features -q samples -o feats.npy": lambda net: {
        "feats.npy": net.features("samples").vectors
    },
    "cnntool explain -q samples/cat.png": lambda net: {
        "cat.explain.png": explained(net, "gradcam")
    },
    "cnntool explain -q --method gradcam --method smoothgrad --method occlusion samples/cat.png"
    " -o why.png": lambda net: {"why.png": explained(net, "gradcam", "smoothgrad", "occlusion")},
    "cnntool diff -q vgg16-mini --optimise none,all --min-sqnr 60 samples/cat.png": lambda net: {
        "records": [
            compared(cnntool.compare(net, photos="samples/cat.png", optimise=("none", "all")))
        ]
    },
    "cnntool diff -q -m vgg16-mini samples/cat.png samples/camera.png": lambda net: {
        "records": [
            compared(cnntool.compare(net, None, "samples/cat.png", against="samples/camera.png"))
        ]
    },
    "cnntool filter --figure --bank -k sobel-x -k gaussian:sigma=3 samples/cat.png"
    " -o edges.svg": lambda _: {
        "edges.svg": cnntool.filter_figure(cat, "sobel-x", "gaussian:sigma=3", bank=True).svg()
    },
    "cnntool activations -q --figure --width 1920 --layer block4_conv2 samples/cat.png"
    " -o slide.png": lambda net: {
        "slide.png": Image.open(io.BytesIO(net.figure(cat, "block4_conv2").png(width=1920)))
    },
    "cnntool weights vgg16-mini -q --layer block1_conv1 -o kernels.png": lambda net: {
        "kernels.png": net.weights_figure("block1_conv1")
    },
    "cnntool activations -q --layer block4_conv2 samples/cat.png -o maps.png": lambda net: {
        "maps.png": dict(sheets(net, "block4_conv2"))["block4_conv2"]
    },
    "cnntool activations -q --layer 'block*_conv*' samples/cat.png -o maps/": lambda net: {
        f"maps/{number:02}-{name}.png": sheet
        for number, (name, sheet) in enumerate(sheets(net, "block*_conv*"), 1)
    },
    "cnntool activations -q --report cat.html samples/cat.png": lambda net: {
        "cat.html": net.page(cat)
    },
    "cnntool activations -q --report why.html --units block1_conv1 --explain gradcam --patches"
    " samples samples/cat.png": lambda net: {
        "why.html": net.page(cat, units="block1_conv1", explain="gradcam", patches="samples")
    },
    "cnntool activations -q --all --stats-only samples/cat.png": lambda net: {
        "records": [
            {
                "layers": [
                    {"layer": name, **figures(values)}
                    for name, values in net.activations(cat, everything=True).items()
                ]
            }
        ]
    },
    "cnntool layers vgg16-mini --all": lambda net: {
        "records": [one._asdict() for one in net.layers(everything=True)]
    },
    "cnntool trace samples/cat.png -q --layer block3_conv1 --unit 3,17,20"
    " -o unit.png": lambda net: {"unit.png": net.trace(cat, "block3_conv1", (3, 17, 20)).figure()},
    "cnntool trace samples/cat.png -q --layer block3_conv1 --unit 3,17,20": lambda net: {
        "records": [net.trace(cat, "block3_conv1", (3, 17, 20)).record()]
    },
    "cnntool filter -k 'vgg16-mini:block1_conv1[5]' --range minmax samples/cat.png": lambda _: {
        "cat.block1_conv1-5.png": cnntool.filter(cat, "vgg16-mini:block1_conv1[5]", range="minmax")
    },
    "cnntool summary vgg16-mini": lambda net: {"records": [described(net.summary())]},
    "cnntool layers vgg16-mini --type conv": lambda net: {
        "records": [one._asdict() for one in net.layers() if one.type == "conv"]
    },
    r"printf 'path,class\nsamples/cat.png,cat\n' > truth.csv"
    " && cnntool evaluate truth.csv --min-top1 100%": lambda net: {
        "records": [net.evaluate("truth.csv").record()]
    },
    r"printf 'path,class\nsamples/cat.png,cat\n' > truth.csv"
    " && cnntool evaluate truth.csv -q --without 'block5_conv3[0,3,8-15]'": lambda net: {
        "records": [net.ablate("truth.csv", "block5_conv3[0,3,8-15]").record()]
    },
    r"printf 'path,class\nsamples/cat.png,cat\n' > truth.csv"
    " && cnntool evaluate truth.csv -q --without 'block5_conv3[0-15]' --each": lambda net: {
        "records": [net.ablate("truth.csv", "block5_conv3[0-15]", each=True).record()]
    },
    "cnntool models": lambda _: {
        "records": [summary(catalog.entry(name)) for name in catalog.names()]
    },
    "cnntool models info vgg16-mini": lambda _: {"records": [record(catalog.entry("vgg16-mini"))]},
    "cnntool models path vgg16-mini": lambda net: {"stdout": str(net.found.file)},
    "find samples -name '*.png' | cnntool filter -q -k sobel --files-from - -o edges/"
    " --log edges.jsonl": lambda _: {
        f"edges/{name}": cnntool.filter(f"samples/{name}", "sobel")
        for name in ("camera.png", "cat.png")
    },
    "cnntool conv 227x227x3 conv:11,s4,f96 pool:3,s2 conv:5,f256,same pool:3,s2 flatten"
    " dense:4096": lambda _: {
        "records": cnntool.layer_chain(
            "227x227x3 conv:11,s4,f96 pool:3,s2 conv:5,f256,same pool:3,s2 flatten dense:4096"
        ).records()
    },
    "cnntool diff -q vgg16-mini vgg16-mini --weights --min-sqnr inf": lambda net: {
        "records": [cnntool.compare_weights(net, net).record()]
    },
    "cnntool filter -k gaussian:sigma=3 --stride 2 --explain samples/camera.png": lambda _: {
        "stdout": cnntool.filter_plan(camera, "gaussian:sigma=3", stride=2)
    },
    "cnntool filter -k median:5 samples/camera.png -o clean.png": lambda _: {
        "clean.png": cnntool.filter(camera, "median:5")
    },
    "cnntool filter -k canny:sigma=2 samples/camera.png -o outline.png": lambda _: {
        "outline.png": cnntool.filter(camera, "canny:sigma=2")
    },
}
"""What the library, perhaps its opened network, gives where the command writes files, fills stdout,
or tells records with ``--json``."""

ALONE = {
    "cnntool summary vgg16-mini --time samples/cat.png --runs 5": "about the machine",
    "cnntool devices -q": "about the machine",
}
"""Recipes without a counterpart, and why."""


@pytest.fixture(scope="module")
def net():
    with cnntool.load_model() as model:
        yield model


def agree(expected, told):
    """Compare records by the keys that are expected."""
    if isinstance(expected, dict):
        return all(agree(value, told[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(told) and all(map(agree, expected, told))
    return expected == told


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.full] * bool(SLOW.search(command)))
        for command in COMMANDS
    ],
)
def test_a_recipe_of_the_readme_both_ways(command, net, here, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    tool = tmp_path / "bin" / "cnntool"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cnntool "$@"\n')
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    said = done.stderr.decode().splitlines()
    assert not [line for line in said if "the machine is busy" not in line]  # as it may be
    files = {
        path.relative_to(tmp_path).as_posix()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.parent.name not in {"bin", "samples"}
    }
    assert files or done.stdout
    if command in ALONE:
        return
    monkeypatch.chdir(tmp_path)
    library = RECIPES[command](net)
    assert files - {"truth.csv", "edges.jsonl"} == library.keys() - {"stdout", "records"}
    for name, expected in library.items():
        if name == "records":
            last = shlex.split(command.rpartition("cnntool ")[2])
            last += ["list"] * (last == ["models"])  # what it stands for
            out = done.stdout if "--json" in last else here(*last, "--json").out
            told = [json.loads(line) for line in out.decode().splitlines()]
            assert agree(json.loads(json_text(expected)), told)
        elif isinstance(expected, str):
            assert done.stdout.decode() == f"{expected}\n"
        elif isinstance(expected, bytes):
            assert (tmp_path / name).read_bytes() == expected
        elif name == "stdout":
            np.testing.assert_array_equal(
                np.loadtxt(io.BytesIO(done.stdout), delimiter=","), expected
            )
        else:
            found, array = written(Path(name)), np.asarray(expected)
            assert found.dtype == array.dtype or name.endswith(".csv")
            # A host's matrix products may run on several threads, which add in another order.
            near = 1e-6 if found.dtype == np.float32 else 0
            np.testing.assert_allclose(found, array, rtol=0, atol=near, err_msg=name)


def test_every_recipe_of_the_readme_is_known():
    assert [*RECIPES.keys() & ALONE] == []
    assert RECIPES.keys() | ALONE.keys() == {*COMMANDS}


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--border", "replicate"], {"border": "replicate"}),
        (["--stride", "2,3", "--dilation", "2"], {"stride": (2, 3), "dilation": 2}),
        (["--mode", "full", "--op", "convolve"], {"mode": "full", "op": "convolve"}),
        (["--range", "minmax"], {"range": "minmax"}),
        (["--range", "abs", "--depth", "16"], {"range": "abs", "depth": 16}),
        (["--linear", "--channels", "each"], {"linear": True, "channels": "each"}),
        (["--bias", "0.25", "--relu"], {"bias": [0.25], "relu": True}),
        (["--mix", "1,0,-1;0,1,0"], {"mix": [[1, 0, -1], [0, 1, 0]]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_and_parameters_mean_the_same(options, arguments, here, tmp_path):
    suffix = "npy" if "mix" in arguments else "png"
    here("filter", "-k", "laplacian", *options, CAT, "-o", tmp_path / f"o.{suffix}")
    found = cnntool.filter(CAT, "laplacian", **arguments)
    np.testing.assert_array_equal(found, written(tmp_path / f"o.{suffix}"))


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("rgba.png", (9, 8, 4), "u1"),
        ("grey.png", (9, 8), "u1"),
        ("deep.png", (9, 8), "u2"),
        ("float.tif", (9, 8), "f4"),
        ("maps.npy", (9, 8, 5), "f8"),
    ],
)
def test_pooling_and_the_like_both_ways(name, shape, dtype, here, tmp_path):
    white = 1 if dtype[0] == "f" else np.iinfo(dtype).max
    array = (np.random.default_rng(1).random(shape) * white).astype(dtype)
    source, target = tmp_path / name, tmp_path / f"o{Path(name).suffix}"
    if name == "maps.npy":
        np.save(source, np.moveaxis(array, 2, 0))
    else:
        cnntool.write_image(source, array)
    for words, call in (
        (["pool", "--max", "3", "--stride", "2"], lambda x: cnntool.pool(x, max=3, stride=2)),
        (["pool", "--avg", "2", "--padding", "1"], lambda x: cnntool.pool(x, avg=2, padding=1)),
        (["resize", "--scale", "1/2"], lambda x: cnntool.resize(x, scale=1 / 2)),
        (["resize", "--size", "5,20"], lambda x: cnntool.resize(x, size=(5, 20))),
        (
            ["deconv", "-k", "1,2;3,4", "--stride", "2"],
            lambda x: cnntool.deconv(x, [[1, 2], [3, 4]], stride=2),
        ),
    ):
        here(*words, source, "-o", target, "--overwrite")
        np.testing.assert_array_equal(call(source), written(target), err_msg=str(words))
        if name != "maps.npy":
            np.testing.assert_array_equal(call(array), written(target), err_msg=str(words))


def test_switches_both_ways(here, tmp_path):
    switches = tmp_path / "where.npy"
    here("pool", "--max", "2", "--switches", switches, MATRIX, "-o", tmp_path / "p.npy")
    values, where = cnntool.pool(MATRIX, max=2, switches=True)
    np.testing.assert_array_equal(where, np.load(switches))
    pooled, target = tmp_path / "p.npy", tmp_path / "u.npy"
    here("unpool", "--switches", switches, "--size", "5", pooled, "-o", target)
    np.testing.assert_array_equal(cnntool.unpool(values, where, 5), np.load(target))


def test_one_picture_in_every_form_gives_one_result():
    data = Path(CAT).read_bytes()
    image = Image.open(CAT)
    array = np.asarray(image)
    expected = cnntool.filter(CAT, "box")
    with Path(CAT).open("rb") as file:
        for form in (Path(CAT), data, bytearray(data), memoryview(data), file, image, array):
            np.testing.assert_array_equal(cnntool.filter(form, "box"), expected)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(cnntool.filter(array[:, ::-1], "box")[:, ::-1], expected)


def test_the_matrix_of_a_convolution_and_im2col_are_the_convolution():
    numbers = np.arange(30.0).reshape(5, 6)
    kernel = np.array([[1.0, 2.0], [3.0, -4.0]])
    for mode in ("valid", "same", "full"):
        expected = cnntool.convolve(numbers, kernel, mode=mode)
        found = cnntool.convolution_matrix(kernel, (5, 6), mode=mode)
        np.testing.assert_allclose(found.matrix @ numbers.ravel(), expected.ravel())
        assert found.matrix.any(axis=0).all() or mode == "valid"
        unrolled = cnntool.im2col(numbers, kernel, mode=mode)
        np.testing.assert_allclose(unrolled.product, expected.reshape(1, -1))
        for row, column in ((0, 0), (3, 2)):
            traced = cnntool.trace(numbers, kernel, (row, column), mode=mode)
            assert traced.values == pytest.approx([expected[row, column]])
