"""What the verbs by hand share: reading one input whole."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntool.cli.arrays import read
from cnntool.cli.options import Reading
from cnntool.errors import InputError


def test_pictures_are_read_as_they_are_and_computed_with_from_0_to_1(tmp_path):
    pixels = np.array([[0, 51, 255]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    stack = read(tmp_path / "p.png", Reading())
    assert stack.values.dtype == np.uint8
    np.testing.assert_array_equal(stack.values[:, :, 0], pixels)
    np.testing.assert_allclose(stack.maps(), [[[0, 0.2, 1]]], rtol=1e-15)
    assert not stack.info.matrix


def test_numbers_stay_what_they_are(tmp_path):
    for dtype in (np.float32, np.float64):
        np.save(tmp_path / "m.npy", np.array([[1, 300.5]], dtype))
        stack = read(tmp_path / "m.npy", Reading())
        assert stack.maps().tolist() == [[[1, 300.5]]]
        assert stack.values.dtype == dtype
        assert stack.values.shape == (1, 2, 1)
        assert stack.info.matrix


def test_stdin(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1,2;3,4")))
    stack = read(Path("-"), Reading())
    assert stack.name == "<stdin>"
    assert stack.values[:, :, 0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("shape", "layout", "taken"),
    [
        ((3, 5, 6), "auto", (5, 6, 3)),
        ((5, 6, 3), "auto", (5, 6, 3)),
        ((3, 5, 6), "hwc", (3, 5, 6)),
        ((5, 6, 3), "chw", (6, 3, 5)),
        ((3, 5, 6), "chw", (5, 6, 3)),
        ((5, 6), "chw", (5, 6, 1)),
    ],
)
def test_layouts(tmp_path, shape, layout, taken):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    stack = read(tmp_path / "a.npy", Reading(layout))
    assert stack.values.shape == stack.info.shape == taken
    first = array[1, 2] if array.ndim == 2 else array[:, 1, 2]
    expected = first if stack.info.layout != "hwc" else array[1, 2]
    assert stack.values[1, 2].tolist() == np.atleast_1d(expected).tolist()


def test_a_guess_that_may_be_wrong_is_told(tmp_path, capsys):
    for shape, told in (((8, 4, 4), True), ((40, 40, 3), False), ((3, 4, 4), False)):
        np.save(tmp_path / "a.npy", np.zeros(shape))
        read(tmp_path / "a.npy", Reading())
        assert ("--layout chw takes it as" in capsys.readouterr().err) == told


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="one file is needed"):
        read(tmp_path, Reading())
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.png", Reading())


def test_limits(tmp_path):
    (tmp_path / "m.csv").write_text("1,nan")
    with pytest.raises(InputError, match="NaN at row 0, column 1"):
        read(tmp_path / "m.csv", Reading())
    assert np.isnan(read(tmp_path / "m.csv", Reading(allow_nan=True)).values).sum() == 1
    with pytest.raises(InputError, match="over the limit"):
        read(tmp_path / "m.csv", Reading(allow_nan=True, max_pixels=1))


@pytest.mark.parametrize("verb", ["conv", "pool", "unpool", "deconv", "resize"])
def test_help_loads_click_alone(verb):
    code = (
        f"import sys, importlib; verb = importlib.import_module('cnntool.cli.{verb}');"
        " verb.command.get_help(verb.command.make_context('x', [], resilient_parsing=True));"
        " print({name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout
    assert "'click'" in loaded
    assert not [name for name in ("numpy", "PIL", "scipy", "rich", "json") if f"'{name}'" in loaded]


@pytest.mark.parametrize(
    "arguments",
    [
        ("filter", "-k", "box"),
        ("pool", "--max", "2"),
        ("trace", "-k", "box", "--at", "0,0"),
        ("im2col", "-k", "box"),
        ("classify",),
        ("activations",),
    ],
)
@pytest.mark.parametrize("address", ["https://example.com/a.png", "FTP://x/y", "file:///a.png"])
def test_an_address_is_not_fetched_and_kept_as_it_was_written(here, arguments, address):
    done = here(*arguments, address, code=2)
    assert done.err.splitlines()[0] == (
        f"cnntool: error: {address}: files are not fetched over the network"
    )
