import numpy as np
import pytest
from scipy import ndimage
from skimage import filters as sk

from cnntool.api.kernels import parse
from cnntool.errors import UsageError
from cnntool.filters.conv.executor import convolve
from cnntool.filters.kernels.kernel import Filter
from cnntool.filters.kernels.library import ENTRIES, format_value, register

KERNELS = [name for name, entry in ENTRIES.items() if entry.kind != "non-linear"]


def weights(spec):
    (kernel,) = parse(spec).kernels
    return kernel.weights


def test_the_kernels_that_people_expect_are_there():
    expected = (
        "box gaussian sobel sobel-x sobel-y prewitt prewitt-x prewitt-y scharr scharr-x scharr-y"
        " roberts laplacian log sharpen unsharp emboss motion kirsch identity gabor dog"
        " median min max bilateral canny otsu erode dilate open close"
    )
    assert set(ENTRIES) >= set(expected.split())


@pytest.mark.parametrize("name", KERNELS)
def test_sums_are_what_the_group_promises(name):
    item = parse(name)
    assert isinstance(item, Filter)
    sums = [kernel.weights.sum() for kernel in item.kernels]
    if name == "gabor":
        return  # a wave under an envelope: its even part keeps a small sum
    expected = 0 if ENTRIES[name].kind == "derivative" else 1
    assert sums == pytest.approx([expected] * len(sums), abs=1e-12)
    wanted = {"derivative": {"signed", "magnitude"}}.get(ENTRIES[name].kind, {"smooth"})
    assert item.sign in wanted


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_documented_in_one_line(name):
    assert ENTRIES[name].summary.endswith(".")
    assert len(ENTRIES[name].summary) < 100


def test_the_lectures_sobel():
    assert weights("sobel-x").tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert weights("sobel-y").tolist() == [[1, 2, 1], [0, 0, 0], [-1, -2, -1]]
    gx, gy = parse("sobel").kernels
    assert gx.weights.tolist() == weights("sobel-x").tolist()
    assert gy.weights.tolist() == weights("sobel-y").tolist()


def test_small_kernels_by_hand():
    assert weights("box:2x3").tolist() == [[1 / 6] * 3] * 2
    assert weights("identity").tolist() == [[1]]
    assert weights("laplacian").tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert weights("laplacian:8").tolist() == [[1, 1, 1], [1, -8, 1], [1, 1, 1]]
    assert weights("sharpen").tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    assert weights("sharpen:0.5").tolist() == [[0, -0.5, 0], [-0.5, 3, -0.5], [0, -0.5, 0]]
    assert weights("emboss").tolist() == [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
    assert weights("scharr-x").tolist() == [[3, 0, -3], [10, 0, -10], [3, 0, -3]]
    assert weights("prewitt-y").tolist() == [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]
    assert [k.weights.tolist() for k in parse("roberts").kernels] == [
        [[1, 0], [0, -1]],
        [[0, 1], [-1, 0]],
    ]


def test_kirsch_is_eight_turns_of_one_compass_kernel():
    found = {tuple(k.weights.ravel().astype(int)) for k in parse("kirsch").kernels}
    north = np.array([[5, 5, 5], [-3, 0, -3], [-3, -3, -3]])
    north_west = np.array([[5, 5, -3], [5, 0, -3], [-3, -3, -3]])
    expected = {tuple(np.rot90(k, n).ravel()) for k in (north, north_west) for n in range(4)}
    assert found == expected


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 3.7])
def test_gaussian_agrees_with_scipy(sigma):
    size = 2 * int(np.ceil(3 * sigma)) + 1
    impulse = np.zeros((size, size))
    impulse[size // 2, size // 2] = 1
    expected = ndimage.gaussian_filter(
        impulse, sigma, truncate=(size // 2) / sigma, mode="constant"
    )
    np.testing.assert_allclose(weights(f"gaussian:{sigma}"), expected, atol=1e-15)


def test_gaussian_sizes():
    assert weights("gaussian:sigma=3").shape == (19, 19)
    assert weights("gaussian:sigma=2,size=9").shape == (9, 9)
    assert weights("gaussian:size=7x3").shape == (7, 3)
    np.testing.assert_array_equal(weights("gaussian:size=7"), weights("gaussian:sigma=1,size=7"))


def test_a_narrow_gaussian_of_even_size_is_the_mean_of_four():
    expected = np.zeros((8, 8))
    expected[3:5, 3:5] = 0.25
    np.testing.assert_array_equal(weights("gaussian:sigma=0.01,size=8"), expected)


def test_laplacian_of_gaussian_agrees_with_scipy():
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    expected = ndimage.gaussian_laplace(impulse, 2.0, truncate=10)[4:-4, 4:-4]
    np.testing.assert_allclose(weights("log:sigma=2,size=33"), expected, atol=2e-6)


def test_difference_of_gaussians_agrees_with_scikit_image():
    impulse = np.zeros((51, 51))
    impulse[25, 25] = 1
    expected = sk.difference_of_gaussians(impulse, 1.5, 3, mode="constant", truncate=8)
    kernel = weights("dog:1.5,3")
    edge = (51 - len(kernel)) // 2
    np.testing.assert_allclose(kernel, expected[edge:-edge, edge:-edge], atol=1e-5)


@pytest.mark.parametrize(("frequency", "angle"), [(0.2, 0), (0.1, 30), (0.35, 120)])
def test_gabor_agrees_with_scikit_image(frequency, angle):
    expected = sk.gabor_kernel(frequency, np.deg2rad(angle))
    real, imaginary = (k.weights for k in parse(f"gabor:{frequency},{angle}").kernels)

    def middle(array, like):
        cuts = (max(n - m, 0) // 2 for n, m in zip(array.shape, like.shape, strict=True))
        return array[tuple(slice(c, n - c) for c, n in zip(cuts, array.shape, strict=True))]

    np.testing.assert_allclose(middle(real, expected), middle(expected, real).real, atol=1e-12)
    np.testing.assert_allclose(middle(imaginary, expected), middle(expected, real).imag, atol=1e-12)
    np.testing.assert_array_equal(weights(f"gabor:{frequency},{angle},part=real"), real)


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr", "roberts"])
def test_gradients_are_scikit_images_up_to_its_scale(name):
    image = np.random.default_rng(1).random((20, 30))
    scale = {"sobel": 4, "prewitt": 3, "scharr": 16, "roberts": 1}[name] * np.sqrt(2)
    expected = getattr(sk, name)(image) * scale
    if name == "roberts":
        ours = convolve(image, parse(name), mode="valid")
        np.testing.assert_allclose(ours, expected[:-1, :-1], atol=1e-12)
    else:
        ours = convolve(image, parse(name), border="symmetric")
        np.testing.assert_allclose(ours[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-12)


def test_motion_is_a_line_of_equal_taps_when_level():
    kernel = weights("motion:5")
    assert kernel.shape == (5, 5)
    np.testing.assert_allclose(kernel[2], 0.2)
    np.testing.assert_allclose(weights("motion:5,90"), kernel.T, atol=1e-12)
    slanted = weights("motion:9,45")
    assert slanted[2, 6] > 0 == slanted[2, 2]  # from the lower left to the upper right


def test_unsharp_adds_what_blurring_removes():
    image = np.random.default_rng(2).random((15, 15))
    blurred = convolve(image, parse("gaussian:1.5"), border="reflect")
    expected = image + 0.7 * (image - blurred)
    ours = convolve(image, parse("unsharp:1.5,0.7"), border="reflect")
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "empty"),
        ("gausian", "no kernel is called 'gausian'"),
        ("gaussian:0", "sigma must be at least 0.001"),
        ("gaussian:1e-200", "sigma must be at least 0.001"),
        ("gaussian:999", "2997 pixels each way, 511 at most"),
        ("gaussian:sigma=x", "not a number"),
        ("gaussian:sgma=1", "no parameter 'sgma'"),
        ("gaussian:1,sigma=2", "'sigma' twice"),
        ("box:0", "1 to 1023"),
        ("box:5000", "1 to 1023"),
        ("box:3,4", "at most"),
        ("box:1.5", "a size such as"),
        ("laplacian:5", "one of 4, 8"),
        ("motion:x", "a whole number"),
        ("sobel:1", "takes no parameters"),
        ("unsharp:1,1,4", "odd"),
        ("dog:2,1", "high must be more than low"),
        ("dog:-1,1", "low must be at least 0.001"),
        ("gabor:0.9", "at most 0.5"),
        ("gabor:1e-300", "pixels each way"),
        ("gabor:bandwidth=1e-300", "bandwidth must be at least 0.001"),
        ("1,2;3", "differ in length"),
        ("1,a", "is not a number"),
        ("1,,2", "a weight is missing"),
        ("3x1: 1,,2,3", "a weight is missing"),
        (f"{'9' * 5000}x1: 1", "is not a number"),
        ("1/0", "is not a number"),
        ("3x3: 1,2", "9 weights"),
        ("3x3+0+0: 1,2,3,4,5,6,7,8,9", "not the middle"),
        ("1e999", "finite"),
        ("motion:5,inf", "finite"),
        ("gaussian:nan", "finite|sigma"),
        ("median:0", "1 to 255"),
        ("median:256", "1 to 255"),
        ("bilateral:0", "more than 0"),
        ("bilateral:1,0", "more than 0"),
        ("bilateral:nan", "finite|more than 0"),
        ("canny:-1", "at least 0"),
        ("canny:1,0.3,0.2", "low <= high"),
        ("canny:1,-0.1,0.2", "0 <= low"),
    ],
)
def test_a_bad_kernel_says_why(spec, reason):
    with pytest.raises(UsageError, match=reason):
        parse(spec)


def test_names_are_read_in_any_case():
    assert parse("SOBEL").name == "sobel"
    assert parse(" Median :5").name == "median"


def test_a_near_name_is_suggested():
    with pytest.raises(UsageError) as caught:
        parse("gausian")
    assert "gaussian" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "1,0,-1;2,0,-2;1,0,-1",
        "1 0 -1; 2 0 -2; 1 0 -1;",
        "3x3: 1,0,-1, 2,0,-2, 1,0,-1",
        "3: 1 0 -1 2 0 -2 1 0 -1",
        "3x3:\n 1, 0, -1,\n 2, 0, -2,\n 1, 0, -1,",
    ],
)
def test_matrices_in_text(text):
    assert weights(text).tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]


def test_fractions_and_missing_taps():
    assert weights("1/4,1/2,1/4").tolist() == [[0.25, 0.5, 0.25]]
    assert weights("3x1: -,1,nan").tolist() == [[0, 1, 0]]


def test_kernel_files(tmp_path):
    cases = {
        "plain.csv": b"1,2\n3,4\n",
        "comment.txt": b"# a kernel\n1 2\n3 4\n",
        "vips.mat": b"2 2\n1 2\n3 4\n",
        "scaled.mat": b"2 2 0.5 0\n0.5 1\n1.5 2\n",
        "LOUD.MAT": b"2 2\n1 2\n3 4\n",
        "long.csv": b"1,2\n" + b"\n" * 200_000 + b"3,4\n",
        "magick.txt": b"2x2: 1,2,3,4",
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert weights(f"@{path}").tolist() == [[1, 2], [3, 4]], name
    np.save(tmp_path / "array.npy", np.array([[1, 2], [3, 4]]))
    assert weights(f"@{tmp_path / 'array.npy'}").tolist() == [[1, 2], [3, 4]]


def _npy(descr, shape, data=b""):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("missing.csv", None, "No such file"),
        ("picture.png", b"\x89PNG\r\n\x1a\n", "not a kernel"),
        ("ragged.csv", b"1,2\n3\n", "differ in length"),
        ("offset.mat", b"1 1 1 128\n5\n", "offset"),
        ("short.mat", b"2 2\n1 2\n", "4 weights|2x2 weights"),
        ("endless.mat", b"1e400 2\n1\n", "begins with"),
        ("broken.npy", b"\x93NUMPY\x01\x00", "not an array"),
        ("vast.npy", _npy("<f8", (10**12, 9)), "not an array"),
        ("complex.npy", _npy("<c16", (1, 1), b"\0" * 16), "real numbers"),
        ("empty.csv", b"", "differ in length|empty|weight"),
    ],
)
def test_a_bad_kernel_file_is_named(tmp_path, name, data, reason):
    from cnntool.errors import InputError

    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        parse(f"@{path}")
    assert caught.value.source == str(path)


def test_a_kernel_file_names_the_filter(tmp_path):
    (tmp_path / "k.csv").write_text("1,2\n")
    assert parse(f"@{tmp_path / 'k.csv'}").name == "k"


def test_a_kernel_file_is_no_picture_by_size(tmp_path):
    from cnntool.errors import InputError

    with (tmp_path / "huge.csv").open("wb") as file:
        file.write(b"1,2\n")
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(InputError, match="too large"):
        parse(f"@{tmp_path / 'huge.csv'}")


def test_a_name_cannot_be_taken_twice():
    with pytest.raises(RuntimeError, match="box"):
        register("box", "smoothing")(lambda: None)


def test_values_are_written_as_they_are_read():
    assert format_value((3, 5)) == "3x5"
    assert format_value((3, 3)) == "3"
    assert format_value(None) == "auto"
    assert format_value(1.0) == "1"


# Non-linear filters, on arrays


@pytest.mark.parametrize("size", [3, 5, 7, 9])
def test_disks_are_scikit_images(size):
    from skimage.morphology import disk

    speck = np.zeros((size + 2, size + 2))
    speck[size // 2 + 1, size // 2 + 1] = 1
    expected = np.pad(disk(size // 2), 1)
    np.testing.assert_array_equal(parse(f"dilate:{size}").apply(speck, "zero"), expected)
    np.testing.assert_array_equal(
        parse(f"erode:{size}").apply(1 - speck, "symmetric"), 1 - expected
    )


@pytest.mark.parametrize(
    ("border", "word"),
    [("zero", "constant"), ("replicate", "edge"), ("reflect", "reflect"),
     ("symmetric", "symmetric"), ("wrap", "wrap")],
)  # fmt: skip
def test_bilateral_is_scikit_images(border, word):
    from skimage.restoration import denoise_bilateral

    image = np.random.default_rng(3).random((12, 15))
    expected = denoise_bilateral(image, sigma_color=0.2, sigma_spatial=2, mode=word)
    np.testing.assert_allclose(parse("bilateral:2,0.2").apply(image, border), expected)


@pytest.mark.parametrize("spec", ["median:5", "min", "dilate:2", "open:2", "close:4x1",
                                  "bilateral", "canny", "otsu"])  # fmt: skip
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_non_linear_filters_of_a_row_a_column_and_a_pixel(spec, shape):
    image = np.linspace(0.2, 0.8, np.prod(shape)).reshape(shape)
    for border in ("symmetric", "zero"):
        result = parse(spec).apply(image, border)
        assert result.shape == shape
        assert np.isfinite(result).all()


def test_canny_takes_its_thresholds():
    from skimage.feature import canny

    image = ndimage.gaussian_filter(np.random.default_rng(4).random((60, 60)), 1) * 3
    ours = parse("canny:2,0.2,0.4").apply(image, "symmetric")
    np.testing.assert_array_equal(ours, canny(image, 2, 0.2, 0.4))
    assert ours.any()
    for other in ((2, 0.1, 0.4), (2, 0.2, 0.7), (1, 0.2, 0.4)):
        assert (canny(image, *other) != ours).any()


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("blur", "gaussian"),
        ("Blur", "gaussian"),
        ("bluring", "gaussian"),
        ("gaussian blur", "gaussian"),
        ("edges", "sobel"),
        ("edge detection", "sobel"),
        ("outline", "sobel"),
        ("sharp", "sharpen"),
        ("mean", "box"),
        ("threshold", "otsu"),
        ("noise", "median"),
        ("sobel_x", "sobel-x"),
        ("laplace", "laplacian"),
        ("gausian", "gaussian"),
    ],
)
def test_what_people_call_a_kernel_is_understood_in_the_hint(word, first):
    with pytest.raises(UsageError) as caught:
        parse(word)
    assert caught.value.hint.startswith(f"did you mean {first}")


def test_every_kernel_that_a_word_suggests_exists():
    from cnntool.api import kernels as spec

    assert {kernel for found in spec._WORDS.values() for kernel in found} <= set(spec.ENTRIES)
    assert not set(spec._WORDS) & set(spec.ENTRIES)


@pytest.mark.parametrize("name", ["sobel.csv", "kernels/sobel"])
def test_a_file_without_its_sign_is_recognised(name):
    with pytest.raises(UsageError) as caught:
        parse(name)
    assert caught.value.hint == f"a file is written @{name}"
