"""``cnntool im2col``: the lecture's sizes, and the product that is the convolution."""

import json

import numpy as np
import pytest
from PIL import Image

N11 = b"0,1,2;3,4,5;6,7,8"
VALID = ("--mode", "valid")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def images(tmp_path):
    """Four images of 4x4 with 3 channels, as stacks of maps."""
    found = np.random.default_rng(0).integers(-9, 10, (4, 3, 4, 4)).astype(float)
    for number, image in enumerate(found):
        np.save(tmp_path / f"{number}.npy", image)
    return found


@pytest.fixture
def record(here):
    def call(*arguments, **options):
        return json.loads(here("im2col", *arguments, *VALID, "--json", **options).text)

    return call


def windows(image):
    """Yield the 2x2 windows of all channels, each as one long row."""
    for row in range(3):
        for column in range(3):
            yield image[:, row : row + 2, column : column + 2].ravel().tolist()


def test_n14_an_image_of_three_channels(record, here, images):
    found = record("0.npy", "--kernel-size", "2")
    assert found["shape"] == [12, 9]
    assert np.transpose(found["columns"]).tolist() == list(windows(images[0]))
    assert found["kernel"] is found["product"] is None
    text = here("im2col", "0.npy", "--kernel-size", "2", *VALID).text
    assert [[float(v) for v in line.split(",")] for line in text.splitlines()] == found["columns"]


def test_n14_a_kernel_is_a_row_and_so_is_its_result(record, images):
    found = record("0.npy", "-k", "1,2;3,4")
    assert found["kernel"] == [[1, 2, 3, 4] * 3]
    assert np.shape(found["product"]) == (1, 9)
    assert found["result"] == [1, 1, 3, 3]
    kernel = np.array([[1, 2], [3, 4]])
    expected = [(images[0][:, r : r + 2, c : c + 2] * kernel).sum() for r, c in np.ndindex(3, 3)]
    assert found["product"] == [expected]


def test_n14_four_filters_and_a_batch_of_four_images(record, images):
    filters = ["1,2;3,4", "0,1;1,0", "1,1;1,1", "-1,0;0,1"]
    options = [word for spec in filters for word in ("-k", spec)]
    names = [f"{number}.npy" for number in range(4)]
    found = record(*names, *options)
    assert np.shape(found["kernel"]) == (4, 12)
    assert found["shape"] == [12, 36]
    assert np.shape(found["product"]) == (4, 36)
    assert found["input"] == [4, 3, 4, 4]
    assert found["result"] == [4, 4, 3, 3]
    assert found["inputs"] == names
    columns = [column for image in images for column in windows(image)]
    assert np.transpose(found["columns"]).tolist() == columns


@pytest.mark.parametrize("op", ["correlate", "convolve"])
def test_n14_four_filters_with_weights_for_each_channel(record, images, tmp_path, op):
    filters = np.random.default_rng(1).integers(-3, 4, (4, 3, 2, 2))
    np.save(tmp_path / "filters.npy", filters)
    np.save(tmp_path / "first.npy", filters[0])
    found = record("0.npy", "-k", "@filters.npy", "-k", "@first.npy", "-k", "1,2;3,4", "--op", op)
    laid = filters if op == "correlate" else filters[:, :, ::-1, ::-1]
    plain = [1, 2, 3, 4] if op == "correlate" else [4, 3, 2, 1]
    rows = [*laid.reshape(4, 12).tolist(), laid[0].ravel().tolist(), plain * 3]
    assert found["kernel"] == rows
    assert found["result"] == [1, 6, 3, 3]
    assert found["product"] == [
        [float(np.dot(row, window)) for window in windows(images[0])] for row in rows
    ]


def test_n11_as_a_product(here):
    arguments = ["im2col", "-k", "0,1;2,3", *VALID]
    assert here(*arguments, stdin=N11).text == "0,1,3,4\n1,2,4,5\n3,4,6,7\n4,5,7,8\n"
    assert here(*arguments, "--part", "kernel", stdin=N11).text == "0,1,2,3\n"
    assert here(*arguments, "--part", "product", stdin=N11).text == "19,25,37,43\n"
    flipped = here(*arguments, "--part", "product", "--op", "convolve", stdin=N11).text
    assert flipped == "5,11,23,29\n"


def test_padding_stride_and_dilation(here, filtered, samples):
    options = ["--mode", "full", "--stride", "2", "--dilation", "2,1", "--border", "reflect"]
    source = samples / "matrix.csv"
    expected = filtered(source.read_text(), "-k", "1,-2,3;0,1,1", *options)
    text = here("im2col", source, "-k", "1,-2,3;0,1,1", "--part", "product", *options).text
    assert [float(v) for v in text.split(",")] == [v for row in expected for v in row]


def test_a_picture_is_on_the_scale_of_the_filters(record, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    found = record("clear.png", "--kernel-size", "1x2")
    assert found["shape"] == [6, 2]
    expected = np.moveaxis(pixels[:, :, :3] / 255, 2, 0).transpose(0, 2, 1).reshape(6, 2)
    np.testing.assert_allclose(found["columns"], expected)


def test_results_as_files(here, tmp_path):
    arguments = ["im2col", "-k", "0,1;2,3", *VALID]
    here(*arguments, "-o", "m.npy", "--picture", "m.png", stdin=N11)
    assert np.load(tmp_path / "m.npy").tolist() == [
        [0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8],
    ]  # fmt: skip
    assert here(*arguments, "--picture", "p.png", "--part", "product", stdin=N11).text == ""
    with Image.open(tmp_path / "p.png") as product, Image.open(tmp_path / "m.png") as columns:
        assert product.height < columns.height


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("code", "reason", "arguments"),
    [
        (2, "one of --kernel and --kernel-size is needed", []),
        (2, "one of --kernel and --kernel-size", ["-k", "1", "--kernel-size", "1"]),
        (2, "--part product needs --kernel", ["--kernel-size", "2", "--part", "product"]),
        (2, "the kernels differ in size: 1x1, 2x2", ["-k", "1,2;3,4", "-k", "1"]),
        (2, "sobel is 2 kernels", ["-k", "sobel"]),
        (2, "'2x2x2' is not a size", ["--kernel-size", "2x2x2"]),
        (2, "a kernel of 5x5 does not fit", ["--kernel-size", "5", *VALID]),
        (2, "1x3x3 (channels x rows x columns), but 0.npy", ["0.npy", "m.csv", "-k", "1"]),
        (2, "on stdout both", ["-k", "1", "--json", "-o", "-"]),
        (3, "no such file", ["missing.csv", "-k", "1"]),
        (2, "30000x30000 is larger than 1023 a side", ["--kernel-size", "30000"]),
        (2, "p.jpg: a matrix is drawn as FILE.png", ["-k", "1", "--picture", "p.jpg"]),
        (6, "no such folder", ["-k", "1", "--picture", "p.png", "-o", "no/m.csv"]),
        (2, "is 3x4x4 (channels x rows x columns), channels of the input: 1", ["-k", "@0.npy"]),
        (3, "nan.npy: a kernel's weights must be finite", ["-k", "@nan.npy"]),
        (3, "none.npy: a kernel must be a matrix", ["-k", "@none.npy"]),
        (3, "cannot read the kernel: No such file", ["-k", "@missing.npy"]),
    ],
)
def test_what_makes_no_sense(here, tmp_path, code, reason, arguments):
    (tmp_path / "m.csv").write_bytes(N11)
    np.save(tmp_path / "nan.npy", np.full((1, 2, 2), np.nan))
    np.save(tmp_path / "none.npy", np.zeros((0, 1, 2, 2)))
    before = names_in(tmp_path)
    names = [] if arguments and arguments[0][-4:] in {".npy", ".csv"} else ["m.csv"]
    done = here("im2col", *names, *arguments, code=code)
    assert reason in done.err
    assert done.out == b""
    assert names_in(tmp_path) == before


def test_a_matrix_that_is_too_large_is_refused(here, samples):
    done = here("im2col", samples / "camera.png", "--kernel-size", "99", code=2)
    assert "the matrix would be 9801 x 262144, more than 67,108,864 numbers" in done.err
    assert "hint: take a smaller input, or a larger stride" in done.err


def test_nan_is_null_in_records_and_cannot_be_drawn(here, record):
    arguments = ["-k", "1,1", "--allow-nan"]
    found = record(*arguments, stdin=b"1,nan;2,3")
    assert found["columns"] == [[1, 2], [None, 3]]
    assert found["product"] == [[None, 5]]
    done = here("im2col", *arguments, "--picture", "a.png", stdin=b"1,nan;2,3", code=2)
    assert "NaN and infinity cannot be drawn" in done.err
