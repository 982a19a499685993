"""What arrays mean, and pictures that show themselves."""

import io
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

import cnntool
from cnntool.errors import InputError, OutputError, UsageError


@pytest.mark.parametrize(
    ("dtype", "white"),
    [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("float32", 1), ("f8", 1)],
)
def test_white_stays_white(dtype, white):
    found = cnntool.filter(np.full((5, 6), white, dtype), "box", border="replicate")
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    assert (found == white).all()


def test_plain_numbers_stay_numbers():
    for dtype in ("int8", "int64", "uint32", "bool"):
        found = cnntool.filter(np.ones((3, 3), dtype), "1")
        assert (found.dtype, found.min(), found.max()) == (np.float64, 1, 1)
    half = cnntool.filter(np.full((3, 3), 0.5, np.float16), "1")
    assert (half.dtype, half[0, 0]) == (np.float32, 0.5)
    with pytest.raises(UsageError, match="lose digits"):
        cnntool.filter(np.array([[2**53 + 1]]), "1")


def test_channels_by_their_number():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (6, 7, 4), np.uint8)
    found = cnntool.filter(pixels, "sobel")
    assert found.shape == (6, 7, 2)  # luma, and alpha as it was
    np.testing.assert_array_equal(found[:, :, 1], pixels[:, :, 3])
    many = random.random((6, 7, 9))
    for layout, axes in (("auto", many), ("chw", many), ("hwc", np.moveaxis(many, 2, 0))):
        found = cnntool.filter(many, "box", layout=layout)
        expected = [cnntool.filter(one, "box") for one in axes]
        found = found if layout != "hwc" else np.moveaxis(found, 2, 0)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert cnntool.filter(random.random((3, 9, 4)), "box").shape == (3, 9, 4)  # three maps
    assert cnntool.filter(np.zeros((3, 9, 4), "u1"), "sobel").shape == (3, 9, 2)  # and a picture
    with pytest.raises(UsageError, match="`channels=luma`"):
        cnntool.filter(random.random((6, 7, 9)), "sobel", channels="luma")


def test_maps_are_handed_on_as_maps(samples):
    maps = cnntool.filter(samples / "cat.png", "sobel-x", "sobel-y", bank=True)
    assert maps.shape == (2, 300, 451)
    small, where = cnntool.pool(maps, max=2, switches=True)
    assert small.shape == where.shape == (2, 150, 225)
    np.testing.assert_array_equal(small[1], cnntool.pool(maps[1], max=2))
    back = cnntool.unpool(small, where, maps.shape[1:])
    np.testing.assert_array_equal(back[back != 0], maps[back != 0])
    np.testing.assert_array_equal(cnntool.pool(back, max=2), small.clip(0))
    np.testing.assert_array_equal(cnntool.resize(maps, size=7)[0], cnntool.resize(maps[0], size=7))
    np.testing.assert_array_equal(
        cnntool.deconv(maps, "box", stride=2)[1], cnntool.deconv(maps[1], "box", stride=2)
    )
    assert cnntool.im2col(maps[:, :9, :9], kernel_size=3).shape == (1, 2, 9, 9)
    assert len(cnntool.trace(maps, "box", (0, 0)).values) == 2


def test_raw_gives_the_numbers():
    pixels = np.array([[0, 255, 0]], np.uint8)
    found = cnntool.filter(pixels, "1,0,-1", range="raw")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-1, 0, 1]])
    assert cnntool.filter(pixels, "1,0,-1").tolist() == [[0, 128, 255]]
    assert cnntool.convolve(pixels, "1,0,-1").tolist() == [[-255, 0, 255]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I"])
def test_pil_images_in_every_mode(mode):
    image = Image.new("L", (4, 3), 255).convert(mode if mode != "I;16" else "L")
    if mode == "I;16":
        image = Image.fromarray(np.full((3, 4), 65535, np.uint16))
    found = cnntool.read_image(image)
    assert found.shape[:2] == (3, 4)
    assert found.dtype == {"I;16": np.uint16, "F": np.float32, "I": np.float64}.get(mode, np.uint8)


def test_a_pil_image_that_cannot_be_read_is_an_error_of_the_tree(samples):
    broken = Image.open(io.BytesIO((samples / "rocket.jpg").read_bytes()[:9000]))
    closed = Image.new("L", (2, 2))
    closed.close()
    for image in (broken, closed):
        with pytest.raises(InputError, match="<image>: "):
            cnntool.filter(image, "box")


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "bmp", "ppm", "npy"])
def test_arrays_are_written_however_they_lie_in_memory(suffix, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 255, (11, 24, 6), np.uint8)[:, ::-2, ::2]
    cnntool.write_image(tmp_path / f"a.{suffix}", pixels)
    cnntool.write_image(tmp_path / f"b.{suffix}", np.ascontiguousarray(pixels))
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    read = cnntool.read_image(tmp_path / f"a.{suffix}")
    assert read.shape == pixels.shape
    if suffix not in {"jpg", "webp"}:
        np.testing.assert_array_equal(read, pixels)


def test_a_written_picture_comes_back(tmp_path):
    pixels = np.arange(60, dtype=np.uint16).reshape(4, 5, 3)
    cnntool.write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(cnntool.read_image(tmp_path / "a.png"), pixels)
    with pytest.raises(OutputError, match="exists"):
        cnntool.write_image(tmp_path / "a.png", pixels)
    cnntool.write_image(str(tmp_path / "a.png"), pixels[:1], overwrite=True)
    assert cnntool.read_image(tmp_path / "a.png").shape == (1, 5, 3)
    maps = np.zeros((2, 3, 4))
    np.save(tmp_path / "maps.npy", maps)
    assert cnntool.read_image(tmp_path / "maps.npy").shape == maps.shape


def test_damage_is_an_error_or_told(tmp_path, samples):
    data = (samples / "rocket.jpg").read_bytes()
    data = data[:9000] + bytes(200) + data[9200:]
    with pytest.raises(InputError):
        cnntool.read_image(data)
    told = []
    cnntool.read_image(data, strict=False, notes=told.append)
    assert len(told) == 1


def test_closed_and_odd_files_are_errors_of_the_tree(tmp_path):
    closed = io.BytesIO(b"1,2")
    closed.close()
    with pytest.raises(InputError, match="<file>: not a usable"):
        cnntool.read_image(closed)
    with pytest.raises(OutputError):
        cnntool.write_image(closed, np.eye(2), format="csv")
    for call in (
        lambda: cnntool.read_image(io.StringIO("1,2")),
        lambda: cnntool.write_image(io.StringIO(), np.eye(2), format="csv"),
        lambda: cnntool.read_image(type("Odd", (), {"read": lambda self, n: b""})()),
    ):
        with pytest.raises(cnntool.errors.ArgumentTypeError, match="binary"):
            call()
    with pytest.raises(InputError, match="this is a folder"):
        cnntool.read_image(tmp_path)


def test_figures_show_themselves(tmp_path):
    figures = [
        cnntool.contact_sheet(np.eye(8)[None], style="viridis"),
        cnntool.trace(np.eye(5), "sobel-x", (1, 1)).figure(),
        cnntool.im2col(np.eye(4), kernel_size=2).figure(),
        cnntool.convolution_matrix("sobel-x", 4).figure(),
    ]
    for figure in figures:
        shown = Image.open(io.BytesIO(figure._repr_png_()))
        np.testing.assert_array_equal(np.asarray(shown), figure.pixels)
        figure.save(tmp_path / "figure.png", overwrite=True)
        np.testing.assert_array_equal(cnntool.read_image(tmp_path / "figure.png"), figure)
    small, large = cnntool.convolution_matrix("1,2", 4), cnntool.im2col(np.eye(50), kernel_size=3)
    assert small._repr_png_() == small.figure().png()
    assert large._repr_png_() is None
    assert "<pre>" in cnntool.trace(np.eye(5), "sobel-x", (1, 1))._repr_html_()
    assert "<td>gaussian</td>" in cnntool.kernels()._repr_html_()


def test_figures_are_saved_as_svg_and_in_any_width(tmp_path):
    figure = cnntool.contact_sheet(np.eye(8)[None], title="a < b")
    figure.save(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_bytes() == figure.svg()
    assert b">a &lt; b</text>" in figure.svg()
    with pytest.raises(OutputError, match="exists already"):
        figure.save(tmp_path / "figure.svg")
    figure.save(tmp_path / "figure.png", width=100)
    assert cnntool.read_image(tmp_path / "figure.png").shape[1] == 100
    body = io.BytesIO()
    figure.save(body, format="svg", width=100)
    assert b'width="100"' in body.getvalue()
    assert figure.encoded("x.SVG", 100) == body.getvalue()
    with pytest.raises(OutputError, match="nothing tells the format"):
        figure.save(body)
    with pytest.raises(OutputError, match="SVG is for drawn figures"):
        cnntool.write_image(tmp_path / "x.svg", np.eye(4))


def test_threads_may_share_everything(samples):
    """Pictures are filtered on several threads, each on several of its own."""
    expected = cnntool.filter(samples / "cat.png", "gaussian:3", "sobel")
    found = []

    def work():
        found.append(cnntool.filter(samples / "cat.png", "gaussian:3", "sobel", threads=2))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for one in found:
        np.testing.assert_array_equal(one, expected)


def test_a_spawned_process(samples):
    with get_context("spawn").Pool(1) as pool:
        (found,) = pool.map(cnntool.read_image, [samples / "cat.png"])
    np.testing.assert_array_equal(found, cnntool.read_image(samples / "cat.png"))
