"""``cnntool filter`` as a user meets it: what goes where, and what the numbers are."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from scipy import ndimage

import cnntool as library
from cnntool.cli.main import run as run_here
from cnntool.image.convert import from_linear, to_linear

RNG = np.random.default_rng(0)


@pytest.fixture
def grey(tmp_path):
    pixels = RNG.integers(0, 256, (40, 60), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    return pixels


@pytest.fixture
def colour(tmp_path):
    pixels = RNG.integers(0, 256, (30, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    return pixels


def opened(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def clear(tmp_path):
    pixels = RNG.integers(0, 256, (12, 17, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    return pixels


@pytest.fixture
def record(here):
    """Run the tool and return its record."""

    def call(*arguments):
        done = here("filter", "--json", *arguments)
        assert done.err == ""
        return json.loads(done.text)

    return call


# Where results go


def test_a_result_without_output_lies_in_the_working_directory(cnntool, samples, tmp_path):
    done = cnntool("filter", "--kernel", "sobel", samples / "cat.png")
    assert done.text == "cat.sobel.png\n"
    assert done.err == ""
    assert opened(tmp_path / "cat.sobel.png").shape == (300, 451)


def test_names_tell_the_chain(cnntool, grey):
    assert (
        cnntool("filter", "-k", "box:3", "-k", "sobel-x", "grey.png").text
        == "grey.box.sobel-x.png\n"
    )
    assert cnntool("filter", "-k", "1,2;3,4", "grey.png").text == "grey.custom.png\n"
    assert (
        cnntool("filter", "--bank", "-k", "box", "-k", "sobel", "grey.png").text
        == "grey.bank.png\n"
    )


def test_several_inputs_write_one_each(cnntool, grey, colour, tmp_path):
    done = cnntool("filter", "-k", "box", "grey.png", "colour.png")
    assert done.text.splitlines() == ["grey.box.png", "colour.box.png"]
    assert opened(tmp_path / "colour.box.png").shape == (30, 50, 3)


def test_a_folder_keeps_its_tree(cnntool, grey, tmp_path):
    for place in ("in/a.png", "in/deep/er/b.png", "in/deep/.hidden.png", "in/notes.md"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes((tmp_path / "grey.png").read_bytes())
    done = cnntool("filter", "-k", "box", "-r", "in", "-o", "out")
    assert done.text.splitlines() == ["out/a.png", "out/deep/er/b.png"]
    done = cnntool("filter", "-k", "box", "in", "-o", "flat")
    assert done.text.splitlines() == ["flat/a.png"]


def test_a_folder_is_read_in_order_and_its_hidden_folders_are_not(here, grey, tmp_path):
    names = ["h", "b", "f", "a", "e", "c", "g", "d"]
    for place in (*(f"in/{name}.png" for name in names), "in/.git/x.png", "in/z/y.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes((tmp_path / "grey.png").read_bytes())
    done = here("filter", "-k", "box", "-r", "in", "-o", "out")
    assert done.text.splitlines() == [*(f"out/{name}.png" for name in sorted(names)), "out/z/y.png"]


def test_an_empty_folder_says_what_may_help(here, tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    assert "--recursive looks" in here("filter", "-k", "box", "empty", "-o", "o", code=3).err
    assert "--recursive" not in here("filter", "-k", "box", "-r", "empty", "-o", "o", code=3).err


def test_an_output_folder_among_the_inputs_is_not_read(here, grey, tmp_path):
    for _ in range(2):
        done = here("filter", "-k", "box", "-r", ".", "-o", "out", "--overwrite")
        assert done.text.splitlines() == ["out/grey.png"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["grey.png", "grey.png", "out"]


def test_two_formats_of_one_name_in_one_folder(here, colour, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(colour).save(tmp_path / "in/y.jpg")
    Image.fromarray(colour).save(tmp_path / "in/y.png")
    done = here("filter", "-k", "identity", "in/y.png", "in/y.jpg", "-o", "out")
    assert done.text.splitlines() == ["out/y.png", "out/y.jpg.png"]
    np.testing.assert_array_equal(opened(tmp_path / "out/y.png"), colour)
    assert here("filter", "-k", "box", "in", "-o", "sorted").text.splitlines() == [
        "sorted/y.png",
        "sorted/y.png.png",
    ]


def test_an_existing_folder_is_one_without_a_slash_too(here, grey, tmp_path):
    (tmp_path / "there").mkdir()
    assert here("filter", "-k", "box", "grey.png", "-o", "there").text == "there/grey.png\n"


def test_what_makes_no_sense_for_one_of_several_names_it(here, grey, tmp_path):
    (tmp_path / "m.csv").write_text("1,2\n")
    done = here("filter", "--bank", "-k", "box", "m.csv", "grey.png", "-o", "out", code=1)
    assert done.text == "out/grey.png\n"
    assert done.err.startswith("cnntool: error: m.csv: a stack of maps is no table\n")


def test_a_name_that_was_given_is_not_repeated(here, grey):
    assert here("filter", "-k", "box", "grey.png", "-o", "x.png").text == ""


def test_several_results_cannot_share_stdout(here, grey, colour, tmp_path):
    done = here("filter", "-k", "box", "grey.png", "colour.png", "-o", "-", code=2)
    assert done.out == b""
    assert "several results cannot share stdout" in done.err
    piped = (tmp_path / "colour.png").read_bytes()
    done = here("filter", "-k", "box", "grey.png", "-", stdin=piped, code=1)
    assert done.text == "grey.box.png\n"
    assert "several results cannot share stdout" in done.err


def test_json_and_the_result_cannot_share_stdout(here, samples):
    matrix = samples / "matrix.csv"
    assert "stdout" in here("filter", "-k", "box", "--json", matrix, code=2).err
    # That is seen before any input is.
    assert "stdout" in here("filter", "-k", "box", "--json", "-o", "-", "none.png", code=2).err
    assert "stdout" in here("filter", "-k", "box", "--json", "--explain", matrix, code=2).err


def test_one_input_into_a_folder(cnntool, grey, tmp_path):
    assert cnntool("filter", "-k", "box", "grey.png", "-o", "new/").text == "new/grey.png\n"
    assert (tmp_path / "new/grey.png").exists()


def test_two_inputs_of_one_name_do_not_share_a_result(cnntool, grey, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes((tmp_path / "grey.png").read_bytes())
    done = cnntool("filter", "-k", "box", "a/x.png", "b/x.png", "-o", "out", check=False)
    assert done.code == 6
    assert "b/x.png: its result would have the name of that of a/x.png" in done.err
    assert not (tmp_path / "out").exists()


def test_an_existing_file_is_kept_unless_told_otherwise(cnntool, fails, grey, tmp_path):
    (tmp_path / "out.png").write_bytes(b"precious")
    error = fails(6, "filter", "-k", "box", "grey.png", "-o", "out.png")
    assert "out.png" in error
    assert "--overwrite" in error
    assert (tmp_path / "out.png").read_bytes() == b"precious"
    cnntool("filter", "-k", "box", "grey.png", "-o", "out.png", "--overwrite")
    assert opened(tmp_path / "out.png").shape == (40, 60)


def test_output_may_equal_input(cnntool, grey, tmp_path):
    expected = cnntool("filter", "-k", "gaussian:2", "grey.png", "-o", "-").out
    cnntool("filter", "-k", "gaussian:2", "grey.png", "-o", "grey.png", "--overwrite")
    assert (tmp_path / "grey.png").read_bytes() == expected


def test_a_pipeline_of_two(cnntool, samples, tmp_path):
    photo = (samples / "rocket.jpg").read_bytes()
    blurred = cnntool("filter", "-k", "gaussian:sigma=2", "-o", "-", stdin=photo).out
    assert blurred.startswith(b"\x89PNG")
    cnntool("filter", "-k", "sobel", "-o", "edges.png", stdin=blurred)
    assert opened(tmp_path / "edges.png").shape == (427, 640)
    # Without --output, what comes from stdin goes to stdout.
    assert cnntool("filter", "-k", "gaussian:sigma=2", stdin=photo).out == blurred
    assert cnntool("filter", "-k", "gaussian:sigma=2", "-", stdin=photo).out == blurred


def test_matrices_are_printed(cnntool, samples):
    done = cnntool("filter", "-k", "1,0;0,1", "--mode", "valid", samples / "matrix.csv")
    assert done.text == "3,4,5,2\n1,2,3,6\n3,1,4,4\n2,0,0,3\n"
    piped = cnntool("filter", "-k", "1/2", stdin=b"1,2;3,4")
    assert piped.text == "0.5,1\n1.5,2\n"
    spaces = cnntool("filter", "-k", "1", stdin=b"1 2\n3 4\n")
    assert spaces.text.split() == ["1", "2", "3", "4"]


def test_matrices_go_into_files_too(cnntool, samples, tmp_path):
    cnntool("filter", "-k", "1", samples / "matrix.csv", "-o", "copy.csv")
    assert (tmp_path / "copy.csv").read_text() == (samples / "matrix.csv").read_text()
    cnntool("filter", "-k", "1", "copy.csv", "-o", "copy.npy")
    array = np.load(tmp_path / "copy.npy")
    assert (array.dtype, array.shape) == (np.float64, (5, 5))
    assert cnntool("filter", "-k", "box", "copy.npy").text == "copy.box.npy\n"


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_a_terminal_is_never_waited_for_nor_written_to(cnntool, samples, tmp_path):
    master, slave = os.openpty()
    try:
        command = [sys.executable, "-m", "cnntool", "filter", "-k", "box"]
        done = subprocess.run(
            command, stdin=slave, capture_output=True, timeout=30, cwd=tmp_path, check=False
        )
        assert done.returncode == 2
        assert b"no input" in done.stderr
        done = subprocess.run(
            [*command, "-"], stdin=slave, capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 2
        done = subprocess.run(
            [*command, samples / "cat.png", "-o", "-"],
            stdout=slave,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert b"--output FILE" in done.stderr
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_a_terminal_gets_no_control_codes_in_names(cnntool, grey, tmp_path):
    (tmp_path / "grey.png").rename(tmp_path / "evil\x1b[31m.png")
    arguments = ["filter", "-k", "box", "evil\x1b[31m.png"]
    assert cnntool(*arguments).out == b"evil\x1b[31m.box.png\n"
    master, slave = os.openpty()
    try:
        command = [sys.executable, "-m", "cnntool", *arguments, "--overwrite"]
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=slave, timeout=30, cwd=tmp_path, check=True
        )
        assert os.read(master, 1000) == b"evil\\x1b[31m.box.png\r\n"
    finally:
        os.close(master)
        os.close(slave)


# Range, depth, colour


@pytest.mark.parametrize(
    ("kernels", "policy"),
    [
        (["box"], "clip"),
        (["sobel"], "clip"),
        (["kirsch"], "clip"),
        (["sobel-x"], "center"),
        (["sobel-x", "box"], "center"),
        (["sobel-x", "otsu"], "clip"),
        (["sobel-x", "median"], "center"),
        (["sobel-x", "canny"], "clip"),
    ],
)
def test_the_range_is_a_fact_of_the_kernels(record, grey, kernels, policy):
    arguments = [word for kernel in kernels for word in ("-k", kernel)]
    assert record(*arguments, "grey.png", "-o", "o.png")["range"] == [policy]


def test_a_mix_that_cancels_out_is_signed(record, colour, tmp_path):
    assert record("-k", "identity", "--mix", "1,-1,0", "colour.png", "-o", "x.png")["range"] == [
        "center"
    ]
    difference = colour[:, :, 0] / 255 - colour[:, :, 1] / 255
    expected = np.rint(255 * (0.5 + difference / 2))
    assert np.abs(opened(tmp_path / "x.png") - expected).max() <= 1
    mixes = ["--mix", "0.2,0.7,0.1;-1,2,-1"]
    assert record("-k", "box", *mixes, "colour.png", "-o", "y.png")["range"] == ["clip", "center"]
    assert record("-k", "sobel", "--mix", "1,-1,0", "colour.png", "-o", "z.png")["range"] == [
        "clip"
    ]


def test_sobel_is_scipys(cnntool, grey, tmp_path):
    cnntool("filter", "-k", "sobel", "grey.png", "-o", "edges.png")
    cnntool("filter", "-k", "sobel", "grey.png", "-o", "edges.npy")
    x = grey / 255
    magnitude = np.hypot(ndimage.sobel(x, 0, mode="constant"), ndimage.sobel(x, 1, mode="constant"))
    # scipy's gradient pads once for each pass, so only the inside compares.
    inside = np.s_[1:-1, 1:-1]
    np.testing.assert_allclose(
        np.load(tmp_path / "edges.npy")[inside], magnitude[inside], atol=2e-6
    )
    expected = np.rint(magnitude.clip(0, 1) * 255)
    assert np.abs(opened(tmp_path / "edges.png")[inside] - expected[inside]).max() <= 1


def test_ranges(cnntool, grey, tmp_path):
    x = np.pad(grey / 255, 1)
    raw = (x[:-2] - x[2:])[:, 1:-1]  # 1;0;-1
    expected = {
        "auto": 0.5 + raw / 2,
        "center": 0.5 + raw / 2,
        "clip": raw.clip(0, 1),
        "abs": abs(raw),
        "minmax": ((raw - raw[1:-1].min()) / np.ptp(raw[1:-1])).clip(0, 1),
    }
    for policy, values in expected.items():
        cnntool("filter", "-k", "1;0;-1", "--range", policy, "grey.png", "-o", f"{policy}.png")
        difference = opened(tmp_path / f"{policy}.png") - np.rint(values * 255)
        assert np.abs(difference).max() <= 1, policy
    cnntool("filter", "-k", "1;0;-1", "grey.png", "-o", "raw.npy")
    np.testing.assert_allclose(np.load(tmp_path / "raw.npy"), raw, atol=1e-6)


FRAMED = np.full((7, 9), 200, np.uint8)
"""A bright picture, a step of 20 inside: at its edge zeros make ten times as much."""
FRAMED[:, 5:] = 220


@pytest.mark.parametrize("policy", ["minmax", "percentile", "signed"])
def test_the_frame_of_zeros_sets_a_range_only_if_asked(here, tmp_path, policy):
    Image.fromarray(FRAMED).save(tmp_path / "framed.png")
    here("filter", "-k", "-1,1", "--range", policy, "framed.png", "-o", "o.npy")
    inside = np.load(tmp_path / "o.npy")[:, :-1]  # the extra zero of an even kernel is after
    # 0 and 20 / 255 are all there is; signed and percentile are symmetric
    nought = 0 if policy == "minmax" else 0.5
    np.testing.assert_allclose(inside[:, 4], 1, atol=1e-6)
    np.testing.assert_allclose(np.delete(inside, 4, axis=1), nought, atol=1e-6)
    asked = ("--border", "zero", "--range", policy)
    here("filter", "-k", "-1,1", *asked, "framed.png", "-o", "asked.npy")
    step = {"minmax": 240 / 220, "percentile": 0.5 + 10 / 220, "signed": 0.5 + 10 / 220}[policy]
    found = np.load(tmp_path / "asked.npy")
    np.testing.assert_allclose(found[:, 4], min(step, 1), atol=1e-6)
    np.testing.assert_allclose(found[:, -1], 0, atol=1e-6)


def test_derivatives_in_colours(here, grey, tmp_path):
    here("filter", "-k", "0,1,-1", "grey.png", "--border", "wrap", "-o", "raw.npy")
    raw = np.load(tmp_path / "raw.npy")
    for depth in ("8", "16"):
        options = ("--border", "wrap", "--range", "signed", "--depth", depth)
        here("filter", "-k", "0,1,-1", "grey.png", *options, "-o", f"{depth}.png")
        shown = library.read_image(tmp_path / f"{depth}.png")
        red, blue = shown[:, :, 0].astype(int), shown[:, :, 2].astype(int)
        peak = 255 if depth == "8" else 65535
        limit = np.abs(raw).max()
        assert (blue - red)[raw < -limit / 50].min() > 0
        assert (red - blue)[raw > limit / 50].min() > 0
        np.testing.assert_array_equal(shown[raw == 0], 0xF3 * peak // 255)
        end = np.unravel_index(np.abs(raw).argmax(), raw.shape)
        expected = (0x91, 0x1E, 0x27) if raw[end] > 0 else (0x0A, 0x4E, 0x82)
        np.testing.assert_array_equal(shown[end], np.array(expected) * (peak // 255))


def test_a_bank_colours_only_what_is_signed(here, grey, tmp_path):
    bank = ("--bank", "-k", "box", "-k", "sobel-x", "-k", "sobel", "-k", "laplacian")
    here("filter", *bank, "--range", "percentile", "grey.png", "-o", "o.png")
    sheet = opened(tmp_path / "o.png").astype(int)
    height, width = grey.shape
    tiles = (sheet[:height, :width], sheet[:height, width + 2 :],
             sheet[height + 2 :, :width], sheet[height + 2 :, width + 2 :])  # fmt: skip
    assert [bool(np.ptp(tile, axis=2).any()) for tile in tiles] == [False, True, False, True]
    here("filter", *bank, "--range", "percentile", "grey.png", "-o", "o.npy")
    assert np.load(tmp_path / "o.npy").shape == (4, height, width)


def test_colours_keep_alpha_and_colours_stay_three(here, clear, colour, tmp_path):
    signed = ("-k", "sobel-x", "--range", "signed")
    here("filter", *signed, "clear.png", "-o", "o.png")
    made = opened(tmp_path / "o.png")
    assert made.shape == clear.shape
    np.testing.assert_array_equal(made[:, :, 3], clear[:, :, 3])
    here("filter", *signed, "--channels", "each", "colour.png", "-o", "each.png")
    here("filter", *signed, "--channels", "each", "colour.png", "-o", "each.npy")
    unit = np.load(tmp_path / "each.npy")
    np.testing.assert_array_equal(opened(tmp_path / "each.png"), np.rint(unit.clip(0, 1) * 255))


def test_what_auto_did_is_said_where_it_hides_something(here, samples):
    camera = samples / "camera.png"
    assert here("filter", "-k", "laplacian", camera, "-o", "1.png").err.count("mid-grey") == 1
    for options in (("-k", "laplacian", "--range", "center"), ("-k", "emboss"), ("-k", "sobel")):
        assert here("filter", "--overwrite", *options, camera, "-o", "2.png").err == ""
    told = here("filter", "-k", "sobel", "--range", "signed", camera, "-o", "3.png").err
    assert "never negative" in told


def test_raw_numbers_do_not_fit_into_bytes(fails, grey):
    assert "--depth float" in fails(2, "filter", "-k", "sobel", "--range", "raw", "grey.png")


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_stay_sixteen(cnntool, tmp_path, channels):
    pixels = RNG.integers(0, 65536, (20, 31, channels), np.uint16).squeeze()
    tifffile.imwrite(tmp_path / "deep.tif", pixels)
    cnntool("filter", "-k", "identity", "deep.tif", "-o", "deep.png")
    cnntool("filter", "-k", "identity", "deep.png", "-o", "back.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "back.tif"), pixels)
    cnntool("filter", "-k", "gaussian:1", "deep.png", "--border", "reflect", "-o", "soft.tif")
    sigmas = (1, 1, 0)[: pixels.ndim]
    expected = ndimage.gaussian_filter(pixels.astype(float), sigmas, mode="mirror", truncate=3)
    difference = tifffile.imread(tmp_path / "soft.tif") - expected
    assert np.abs(difference).max() <= 0.6


def test_depth_can_be_chosen(cnntool, grey, tmp_path):
    cnntool("filter", "-k", "box:3", "grey.png", "--depth", "16", "-o", "deep.png")
    assert opened(tmp_path / "deep.png").dtype == np.uint16
    cnntool("filter", "-k", "sobel-x", "grey.png", "--depth", "float", "-o", "float.tif")
    values = tifffile.imread(tmp_path / "float.tif")
    assert values.dtype == np.float32
    assert values.min() < -1


def test_a_format_that_holds_less_is_told(here, tmp_path):
    tifffile.imwrite(tmp_path / "deep.tif", RNG.integers(0, 65536, (9, 9), np.uint16))
    done = here("filter", "-k", "box", "deep.tif", "-o", "o.jpg")
    assert done.err == "cnntool: note: jpeg holds uint8 at most, the input has uint16\n"
    assert here("filter", "-k", "box", "deep.tif", "-o", "o.png").err == ""


def test_clipped_tells_what_was_cut_off(record, grey, colour, tmp_path):
    flat = np.zeros((10, 10, 3), np.uint8)
    flat[:, :, 0] = 200  # twice as bright, one value of three leaves the range
    Image.fromarray(flat).save(tmp_path / "flat.png")
    twice = ("-k", "2", "flat.png")
    assert record(*twice, "-o", "o.png")["clipped"] == pytest.approx(1 / 3)
    assert record(*twice, "--depth", "float", "-o", "o.tif")["clipped"] is None
    assert tifffile.imread(tmp_path / "o.tif").max() == pytest.approx(400 / 255)
    options = ("--depth", "float", "--range", "clip", "--overwrite")
    assert record(*twice, *options, "-o", "o.tif")["clipped"] == pytest.approx(1 / 3)
    assert tifffile.imread(tmp_path / "o.tif").max() == 1


def test_verbose_tells_the_share_that_was_clipped(here, tmp_path):
    Image.fromarray(np.array([[200, 100, 100, 100]], np.uint8)).save(tmp_path / "row.png")
    done = here("filter", "-k", "2", "row.png", "-o", "o.png", "-v")
    assert done.err == "cnntool: info: row.png: 25.00% of the values were clipped\n"
    assert here("filter", "-k", "2", "row.png", "-o", "o.png", "--overwrite").err == ""


def test_colour_is_blurred_by_channel_and_derived_on_luma(cnntool, colour, tmp_path):
    cnntool("filter", "-k", "box:3", "--border", "wrap", "colour.png", "-o", "blur.png")
    expected = ndimage.uniform_filter(colour.astype(float), (3, 3, 1), mode="wrap")
    assert np.abs(opened(tmp_path / "blur.png") - expected).max() <= 0.5 + 1e-4
    cnntool("filter", "-k", "0,1,-1", "colour.png", "-o", "luma.npy")
    luma = colour @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(
        np.load(tmp_path / "luma.npy"), luma - np.pad(luma, ((0, 0), (0, 1)))[:, 1:], atol=1e-6
    )
    cnntool("filter", "-k", "sobel", "--channels", "each", "colour.png", "-o", "each.png")
    assert opened(tmp_path / "each.png").shape == colour.shape
    cnntool("filter", "-k", "box", "--channels", "luma", "colour.png", "-o", "grey.png")
    assert opened(tmp_path / "grey.png").ndim == 2


@pytest.mark.parametrize("mode", ["same", "valid", "full"])
def test_alpha_is_carried(cnntool, tmp_path, mode):
    pixels = RNG.integers(0, 256, (12, 17, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    cnntool("filter", "-k", "box:3", "--mode", mode, "clear.png", "-o", "out.png")
    alpha = opened(tmp_path / "out.png")[:, :, 3]
    expected = {
        "same": pixels[:, :, 3],
        "valid": pixels[1:-1, 1:-1, 3],
        "full": np.pad(pixels[:, :, 3], 1, mode="edge"),
    }
    np.testing.assert_array_equal(alpha, expected[mode])


def test_alpha_survives_strides_and_luma(cnntool, tmp_path):
    pixels = RNG.integers(0, 256, (12, 17, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    cnntool("filter", "-k", "sobel", "--stride", "2,3", "clear.png", "-o", "out.png")
    np.testing.assert_array_equal(opened(tmp_path / "out.png")[:, :, 1], pixels[::2, ::3, 3])


@pytest.mark.parametrize(("depth", "white"), [("8", 255), ("16", 65535), ("float", 1)])
def test_alpha_changes_its_depth_with_the_colours(here, clear, tmp_path, depth, white):
    here("filter", "-k", "identity", "clear.png", "--depth", depth, "-o", "o.tif")
    pixels = tifffile.imread(tmp_path / "o.tif")
    np.testing.assert_allclose(pixels, clear / 255 * white, rtol=1e-6)


def test_alpha_survives_a_range_of_the_data(here, clear, tmp_path):
    here("filter", "-k", "identity", "clear.png", "--range", "minmax", "-o", "o.png")
    result, low, high = opened(tmp_path / "o.png"), clear[:, :, :3].min(), clear[:, :, :3].max()
    np.testing.assert_array_equal(result[:, :, 3], clear[:, :, 3])
    expected = (clear[:, :, :3].astype(float) - low) / (high - low) * 255
    assert np.abs(result[:, :, :3] - expected).max() <= 0.51


@pytest.mark.parametrize("suffix", ["webp", "tif"])
def test_a_format_that_holds_alpha_is_kept(here, clear, tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(clear).save(tmp_path / f"c.{suffix}", **options)
    assert here("filter", "-k", "identity", f"c.{suffix}").text == f"c.identity.{suffix}\n"
    assert opened(tmp_path / f"c.identity.{suffix}").shape == clear.shape


def test_a_format_that_cannot_hold_alpha_gives_way_to_png(here, clear, tmp_path):
    height, width = clear.shape[:2]
    body = clear[::-1, :, [2, 1, 0, 3]].tobytes()
    header = struct.pack(
        "<IiiHHI20xIIII52x", 108, width, height, 1, 32, 3, 0xFF0000, 0xFF00, 0xFF, 0xFF000000
    )
    start = struct.pack("<2sI4xI", b"BM", 122 + len(body), 122)
    (tmp_path / "c.bmp").write_bytes(start + header + body)
    assert here("filter", "-k", "identity", "c.bmp").text == "c.identity.png\n"
    np.testing.assert_array_equal(opened(tmp_path / "c.identity.png"), clear)


def test_a_profile_stays_as_long_as_its_colours_do(here, colour, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(colour).save(tmp_path / "c.png", icc_profile=profile)
    for kernel, expected in (("box", profile), ("sobel", None)):
        here("filter", "-k", kernel, "c.png", "-o", f"{kernel}.png")
        with Image.open(tmp_path / f"{kernel}.png") as picture:
            assert picture.info.get("icc_profile") == expected, kernel


def test_arrays_keep_their_axes(here, tmp_path):
    array = RNG.random((20, 30, 3))
    np.save(tmp_path / "hwc.npy", array)
    np.save(tmp_path / "chw.npy", array.transpose(2, 0, 1))
    here("filter", "-k", "identity", "hwc.npy", "-o", "o.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), array)
    here("filter", "-k", "identity", "chw.npy", "-o", "p.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), array.transpose(2, 0, 1))
    np.save(tmp_path / "hw.npy", array[:, :, 0])
    here("filter", "-k", "identity", "hw.npy", "-o", "q.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "q.npy"), array[:, :, 0])


def test_numbers_are_no_colours(here, tmp_path):
    np.save(tmp_path / "maps.npy", RNG.random((20, 30, 3)))
    here("filter", "-k", "sobel-x", "maps.npy", "-o", "o.npy")
    assert np.load(tmp_path / "o.npy").shape == (20, 30, 3)
    for option, reason in ((["--linear"], "--linear"), (["--channels", "luma"], "luma")):
        assert reason in here("filter", "-k", "box", *option, "maps.npy", code=2).err


@pytest.mark.parametrize("policy", ["clip", "abs", "minmax"])
def test_linear_light_is_encoded_again(here, colour, tmp_path, policy):
    colour[0, 0], colour[1, 1] = 0, 255
    Image.fromarray(colour).save(tmp_path / "full.png")
    here("filter", "-k", "identity", "--linear", "--range", policy, "full.png", "-o", "o.png")
    np.testing.assert_array_equal(opened(tmp_path / "o.png"), colour)


def test_linear_light(cnntool, colour, tmp_path):
    cnntool("filter", "-k", "box:3", "--linear", "--border", "wrap", "colour.png", "-o", "o.png")
    light = ndimage.uniform_filter(to_linear(colour).astype(float), (3, 3, 1), mode="wrap")
    expected = from_linear(light.astype(np.float32)) * 255
    assert np.abs(opened(tmp_path / "o.png") - expected).max() <= 0.51


def test_a_bank_is_tiled_or_stacked(cnntool, colour, tmp_path):
    kernels = ["-k", "box:3", "-k", "sobel-x", "-k", "sobel"]
    cnntool("filter", "--bank", *kernels, "colour.png", "-o", "maps.npy")
    maps = np.load(tmp_path / "maps.npy")
    assert maps.shape == (3, 30, 50)
    for index, kernel in enumerate(["box:3", "sobel-x", "sobel"]):
        cnntool("filter", "-k", kernel, "--channels", "luma", "colour.png", "-o", f"{index}.npy")
        np.testing.assert_array_equal(maps[index], np.load(tmp_path / f"{index}.npy"))
    cnntool("filter", "--bank", *kernels, "colour.png", "-o", "maps.png")
    sheet = opened(tmp_path / "maps.png")
    assert sheet.shape == (2 * 30 + 2, 2 * 50 + 2)
    expected = np.rint(np.clip(0.5 + maps[1] / 2, 0, 1) * 255)
    np.testing.assert_array_equal(sheet[:30, 52:], expected)


def test_a_bank_is_of_the_luma(here, colour, tmp_path):
    here("filter", "--bank", "-k", "box:3", "-k", "box:5", "colour.png", "-o", "maps.npy")
    assert np.load(tmp_path / "maps.npy").shape == (2, 30, 50)


def test_a_bank_of_colours_has_white_gaps(here, colour, tmp_path):
    kernels = ["box:3", "sobel", "sharpen"]
    arguments = [word for kernel in kernels for word in ("-k", kernel)]
    here("filter", "--bank", *arguments, "--channels", "each", "colour.png", "-o", "o.png")
    sheet = opened(tmp_path / "o.png").copy()
    assert sheet.shape == (62, 102, 3)
    for index, kernel in enumerate(kernels):
        name = f"{index}.png"
        here("filter", "-k", kernel, "--channels", "each", "colour.png", "-o", name)
        top, left = 32 * (index // 2), 52 * (index % 2)
        tile = sheet[top : top + 30, left : left + 50]
        assert np.abs(tile.astype(int) - opened(tmp_path / name)).max() <= 1  # one rounding more
        tile[:] = 255
    assert (sheet == 255).all()


def test_a_bank_of_one_has_no_alpha(here, clear, tmp_path):
    here("filter", "--bank", "-k", "identity", "clear.png", "-o", "o.npy")
    assert np.load(tmp_path / "o.npy").shape == (1, 12, 17)
    here("filter", "--bank", "-k", "identity", "--channels", "each", "clear.png", "-o", "o.png")
    np.testing.assert_array_equal(opened(tmp_path / "o.png"), clear[:, :, :3])


def test_each_tile_has_its_own_range(here, grey, tmp_path):
    kernels = ["-k", "0.1", "-k", "-3", "-k", "box:9"]
    here("filter", "--bank", *kernels, "--range", "minmax", "grey.png", "-o", "o.png")
    sheet = opened(tmp_path / "o.png")
    for tile in (sheet[:40, :60], sheet[:40, 62:], sheet[42:, :60]):
        assert (tile.min(), tile.max()) == (0, 255)


def test_a_stack_of_maps_is_no_table(here, samples):
    bank = ["--bank", "-k", "box", "-k", "sobel"]
    assert ".npy" in here("filter", *bank, samples / "matrix.csv", code=2).err


def test_a_banks_maps_must_be_of_one_size(fails, grey):
    bank = ["--bank", "-k", "box:3", "-k", "box:5", "--mode", "valid"]
    assert "different sizes" in fails(2, "filter", *bank, "grey.png")


# What it says


def test_json_records(cnntool, colour, tmp_path):
    done = cnntool(
        "filter", "-k", "sobel-x", "--mode", "valid", "colour.png", "-o", "o.png", "--json"
    )
    record = json.loads(done.text)
    assert record.pop("milliseconds") > 0
    clipped = record.pop("clipped")
    gx = np.abs(ndimage.sobel(colour @ [0.299, 0.587, 0.114] / 255, 1)[1:-1, 1:-1])
    assert clipped == pytest.approx((gx > 1 + 1 / 255).mean(), abs=1e-3)  # beyond rounding
    assert record == {
        "input": "colour.png",
        "read": {
            "format": "png", "height": 30, "width": 50, "channels": 3, "alpha": False,
            "dtype": "uint8",
        },
        "kernels": ["sobel-x"],
        "bank": False,
        "mode": "valid",
        "op": "correlate",
        "border": None,
        "stride": [1, 1],
        "dilation": [1, 1],
        "methods": record["methods"],
        "channels": "luma",
        "linear": False,
        "bias": None,
        "relu": False,
        "range": ["center"],
        "output": "o.png",
        "written": {
            "format": "png", "height": 28, "width": 48, "channels": 1, "alpha": False,
            "dtype": "uint8",
        },
    }  # fmt: skip


def test_explain_does_nothing(cnntool, samples, tmp_path):
    done = cnntool(
        "filter",
        "-k",
        "gaussian:3",
        "--mode",
        "valid",
        "--stride",
        "2",
        "--explain",
        samples / "camera.png",
    )
    for text in ("512 rows x 512 columns", "kernel 19x19, separable", "valid, stride 2",
                 "512x512 -> 247x247", "padding 0,0,0,0", "method ", "38 multiplies",
                 "range   clip"):  # fmt: skip
        assert text in done.text, text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kernel", "lines"),
    [
        ("median", ["filter  median: non-linear, 30 rows a strip", "range   clip"]),
        ("sobel", ["colour  reduced to luma"]),
        ("canny", ["colour  reduced to luma", "filter  canny: non-linear, on whole maps"]),
    ],
)
def test_explain_tells_the_road(here, colour, kernel, lines):
    found = here("filter", "-k", kernel, "colour.png", "--explain").text.splitlines()
    for line in lines:
        assert [True for text in found if text.startswith(line)], (line, found)
    assert ("colour  reduced to luma" in found) == (kernel in {"sobel", "canny"})


@pytest.mark.parametrize(("kernel", "numbers"), [("box:9", "int16"), ("box:15", "uint16")])
def test_bytes_are_added_up_as_whole_numbers(here, colour, kernel, numbers):
    arguments = ["-k", kernel, "--method", "separable", "colour.png", "--explain"]
    assert f" separable in {numbers}, " in here("filter", *arguments).text
    assert " in float32, " in here("filter", *arguments, "--linear").text


@pytest.mark.full
def test_threads_change_no_byte(cnntool, samples, tmp_path):
    big = Image.open(samples / "cat.png").resize((1500, 1400))
    big.save(tmp_path / "big.png")
    arguments = ("filter", "-k", "gaussian:3", "-k", "sharpen", "big.png", "-o", "-")
    results = {
        cnntool(
            "filter", "-k", "gaussian:3", "-k", "sharpen", "big.png", "-o", "-", "--threads", n
        ).out
        for n in ("1", "2", "5")
    }
    assert len(results) == 1
    environment = {**os.environ, "CNNTOOL_THREADS": "3"}
    arguments = ("filter", "-k", "gaussian:3", "-k", "sharpen", "big.png", "-o", "-")
    assert {cnntool(*arguments, env=environment).out} == results


@pytest.mark.parametrize("method", ["direct", "separable", "banded", "banded-separable", "fft"])
def test_every_method_answers_the_same(cnntool, grey, tmp_path, method):
    kernel = "1,2,1;2,4,2;1,2,1"
    cnntool("filter", "-k", kernel, "grey.png", "-o", "auto.npy")
    cnntool("filter", "-k", kernel, "--method", method, "grey.png", "-o", "m.npy")
    np.testing.assert_allclose(
        np.load(tmp_path / "m.npy"), np.load(tmp_path / "auto.npy"), atol=16 * 5e-6
    )


def test_methods_offered_are_the_engines():
    from cnntool.cli.commands.filter import command
    from cnntool.filters.conv.method import Method
    from cnntool.filters.conv.plan import Border, Mode, Op

    offered = {p.name: tuple(getattr(p.type, "choices", ())) for p in command.params}
    assert set(offered["method"]) == {m.value for m in Method} - {"gemm"}
    assert set(offered["mode"]) == {m.value for m in Mode}
    assert set(offered["op"]) == {m.value for m in Op}
    assert set(offered["border"]) == {m.value for m in Border}


def test_ranges_offered_are_the_views():
    from cnntool.cli.commands.filter import command
    from cnntool.views.scale import RANGES

    policy = next(p for p in command.params if p.name == "policy")
    assert set(policy.type.choices) == {"auto", *RANGES}


# Non-linear filters


@pytest.mark.parametrize("border", [None, "zero", "reflect", "symmetric", "replicate", "wrap"])
def test_median_is_scipys(cnntool, grey, tmp_path, border):
    words = {None: "reflect", "zero": "constant", "reflect": "mirror", "symmetric": "reflect",
             "replicate": "nearest", "wrap": "wrap"}  # fmt: skip
    options = ["--border", border] if border else []
    cnntool("filter", "-k", "median:5", *options, "grey.png", "-o", "o.png")
    expected = ndimage.median_filter(grey, 5, mode=words[border])
    np.testing.assert_array_equal(opened(tmp_path / "o.png"), expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [("erode", "grey_erosion"), ("dilate", "grey_dilation"), ("open", "grey_opening"),
     ("close", "grey_closing"), ("min", "minimum_filter"), ("max", "maximum_filter")],
)  # fmt: skip
def test_morphology_is_scipys(cnntool, grey, tmp_path, name, function):
    cnntool("filter", "-k", f"{name}:5,square", "grey.png", "-o", "o.png")
    expected = getattr(ndimage, function)(grey, size=(5, 5))
    np.testing.assert_array_equal(opened(tmp_path / "o.png"), expected)
    cnntool("filter", "-k", f"{name}:3,cross", "grey.png", "-o", "cross.png")
    cross = ndimage.generate_binary_structure(2, 1)
    expected = getattr(ndimage, function)(grey, footprint=cross)
    np.testing.assert_array_equal(opened(tmp_path / "cross.png"), expected)


def test_otsu_and_canny_are_scikit_images(cnntool, samples, tmp_path):
    from skimage.feature import canny
    from skimage.filters import threshold_otsu

    photo = opened(samples / "camera.png")
    cnntool("filter", "-k", "otsu", samples / "camera.png", "-o", "o.png")
    np.testing.assert_array_equal(
        opened(tmp_path / "o.png"), np.where(photo > threshold_otsu(photo), 255, 0)
    )
    cnntool("filter", "-k", "canny:2", samples / "camera.png", "-o", "c.png")
    expected = canny((photo / np.float32(255)).astype(np.float32), 2)
    assert (opened(tmp_path / "c.png") != expected * 255).mean() < 1e-3


def test_bilateral_keeps_edges_and_smooths_the_rest(cnntool, tmp_path):
    step = np.full((40, 40), 60.0)
    step[:, 20:] = 180
    noisy = step + RNG.normal(0, 4, step.shape)
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(tmp_path / "step.png")
    cnntool("filter", "-k", "bilateral:3,0.15", "step.png", "-o", "o.png")
    result = opened(tmp_path / "o.png").astype(float)
    assert result[:, 21:].std() < 2
    assert (result[:, 20] - result[:, 19]).min() > 100


@pytest.mark.parametrize(
    "name", ["median", "min", "max", "bilateral", "canny", "otsu", "erode", "open"]
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8)])
def test_non_linear_filters_take_flat_and_tiny_pictures(tmp_path, monkeypatch, name, shape):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full(shape, 99, np.uint8)).save("flat.png")
    assert run_here(["filter", "-k", name, "flat.png", "-o", "o.png"]) == 0
    values = set(opened("o.png").ravel().tolist())
    assert values == ({0} if name in {"canny", "otsu"} else {99})


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--mode", "valid"], "median"),
        (["--stride", "2"], "erode"),
        (["--dilation", "2"], "canny"),
        (["--op", "convolve"], "otsu"),
        (["--method", "fft"], "bilateral"),
        (["--border", "zero"], "canny"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(fails, grey, options, name):
    error = fails(2, "filter", "-k", name, *options, "grey.png")
    assert f"{options[0]} makes no sense for {name}" in error


def texts(path):
    root = ET.fromstring(path.read_bytes())
    return [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_figure_has_the_input_the_results_their_kernels_and_colour_bars(here, colour, tmp_path):
    kernels = ("-k", "sobel-x", "-k", "gaussian:sigma=2")
    here("filter", "colour.png", *kernels, "--bank", "--figure", "-o", "f.svg")
    said = texts(tmp_path / "f.svg")
    assert said[:2] == ["colour.png", "30 rows x 50 columns"]
    assert said[2:4] == ["sobel-x", "range center"]
    assert {"brightness", "-1", "0", "1", "gaussian:sigma=2", "range clip"} <= set(said)
    here("filter", "colour.png", "-k", "laplacian", "--range", "signed", "--figure",
         "-o", "f.png", "--width", "640")  # fmt: skip
    figure = opened(tmp_path / "f.png")
    assert figure.shape[1:] == (640, 3)
    assert any((figure == shade).all(axis=2).any() for shade in colour.reshape(-1, 3))


def test_the_plan_of_a_figure_is_told_and_nothing_is_drawn(here, grey, tmp_path):
    done = here("filter", "grey.png", "-k", "box", "--figure", "--explain", "-o", "f.svg")
    assert "result  png: " in done.text
    assert not (tmp_path / "f.svg").exists()


def test_a_figure_of_a_matrix_and_of_a_folder(here, grey, colour, tmp_path):
    (tmp_path / "m.csv").write_text("1,2,3\n4,5,6\n")
    here("filter", "m.csv", "-k", "1,-1", "--mode", "valid", "--figure", "-o", "m.svg")
    assert {"m.csv", "2 rows x 3 columns", "1,-1", "value"} <= set(texts(tmp_path / "m.svg"))
    done = here("filter", "grey.png", "colour.png", "-k", "box", "--figure", "--format", "svg",
                "-o", "out", "--json")  # fmt: skip
    assert [json.loads(line)["output"] for line in done.text.splitlines()] == [
        str(Path("out", name)) for name in ("grey.svg", "colour.svg")
    ]
    assert texts(tmp_path / "out" / "grey.svg")[0] == "grey.png"


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("o.svg: SVG is for drawn figures, and this is a picture of pixels", ["-o", "o.svg"]),
        ("SVG is for drawn figures", ["--format", "svg"]),
        ("--width is of a figure", ["--width", "99"]),
        ("a figure has 8 bits", ["--figure", "--depth", "16"]),
        ("`range=raw`", ["--figure", "--range", "raw"]),
    ],
)
def test_what_only_a_figure_has_and_what_it_has_not(here, grey, reason, arguments):
    done = here("filter", "grey.png", "-k", "box", *arguments, code=None)
    assert done.code in {2, 6}
    assert reason.replace("`range=raw`", "--range raw") in done.err
