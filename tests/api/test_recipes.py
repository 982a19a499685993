"""The library's answers are the commands': README's recipes on pictures, both ways."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnntool
from cnntool.image.files import read_image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CAT, ROCKET, CAMERA, MATRIX = (
    str(ROOT / "samples" / name) for name in ("cat.png", "rocket.jpg", "camera.png", "matrix.csv")
)
LECTURE = "0,1,2;2,2,0;0,1,2"


def written(path: Path) -> np.ndarray:
    """Read what a command wrote, with the axes that arrays have."""
    if path.suffix == ".npy":
        return np.load(path)
    pixels, info = read_image(path, name=str(path))
    return pixels[:, :, 0] if info.samples == 1 else pixels


RECIPES = [
    ("filter -k sobel samples/cat.png", lambda: cnntool.filter(CAT, "sobel")),
    (
        "filter -k gaussian:sigma=2 -k sobel samples/rocket.jpg",
        lambda: cnntool.filter(ROCKET, "gaussian:sigma=2", "sobel"),
    ),
    (
        f"filter -k '{LECTURE}' --op convolve samples/matrix.csv",
        lambda: cnntool.filter(MATRIX, LECTURE, op="convolve"),
    ),
    (
        "filter --bank -k sobel-x -k sobel-y samples/cat.png -o maps.npy",
        lambda: cnntool.filter(CAT, "sobel-x", "sobel-y", bank=True),
    ),
    ("filter -k median:5 samples/camera.png", lambda: cnntool.filter(CAMERA, "median:5")),
    ("filter -k canny:sigma=2 samples/camera.png", lambda: cnntool.filter(CAMERA, "canny:sigma=2")),
    ("resize --size 224 samples/cat.png", lambda: cnntool.resize(CAT, size=224)),
    (
        "filter -k 'vgg16-mini:block1_conv1[5]' samples/cat.png",
        lambda: cnntool.filter(CAT, "vgg16-mini:block1_conv1[5]"),
    ),
]


@pytest.mark.parametrize(("line", "call"), RECIPES, ids=[line for line, _ in RECIPES])
def test_a_recipe_of_the_readme_both_ways(line, call, here, tmp_path):
    assert f"cnntool {line}" in README
    words = shlex.split(line.partition(" -o ")[0].replace("samples/", f"{ROOT}/samples/"))
    target = tmp_path / ("maps.npy" if "--bank" in words or "matrix" in line else "o.png")
    here(*words, "-o", target)
    found, expected = call(), written(target)
    assert found.dtype == expected.dtype or "matrix" in line
    np.testing.assert_array_equal(found, expected)


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
