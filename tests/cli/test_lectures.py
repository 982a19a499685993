"""The lectures' worked examples, recomputed through the command line."""

import numpy as np
import pytest
from PIL import Image

N1 = "1,1,1,0,0; 0,1,1,1,0; 0,0,1,1,1; 0,0,1,1,0; 0,1,1,0,0"
N2 = "1,0,0,0,0,1; 0,1,0,0,1,0; 0,0,1,1,0,0; 1,0,0,0,1,0; 0,1,0,0,1,0; 0,0,1,0,1,0"
DIAGONAL = "1,-1,-1;-1,1,-1;-1,-1,1"
VERTICAL = "-1,1,-1;-1,1,-1;-1,1,-1"
N7 = "3,3,2,1,0; 0,0,1,3,1; 3,1,2,2,3; 2,0,0,2,2; 2,0,0,0,1"
K7 = "0,1,2;2,2,0;0,1,2"


def rows(text):
    return [[float(v) for v in row.split(",")] for row in text.split(";")]


@pytest.mark.parametrize(
    ("matrix", "kernel", "options", "expected"),
    [
        (N1, "1,0,1;0,1,0;1,0,1", ["--mode", "valid"], "4,3,4; 2,4,3; 2,3,4"),
        (N2, DIAGONAL, ["--mode", "valid"], "3,-1,-3,-1; -3,1,0,-3; -3,-3,0,1; 3,-2,-2,-1"),
        (N2, DIAGONAL, ["--mode", "valid", "--stride", "2"], "3,-3; -3,0"),
        (
            N2,
            VERTICAL,
            ["--mode", "valid"],
            "-1,-1,-1,-1; -1,-1,-2,1; -1,-1,-2,1; -1,0,-4,3",
        ),
        (N7, K7, ["--mode", "valid"], "12,12,17; 10,17,19; 9,6,14"),
        (N7, K7, ["--mode", "valid", "--op", "convolve"], "18,20,19; 10,9,17; 11,8,14"),
        (
            N7,
            K7,
            [],
            "6,14,17,11,3; 14,12,12,17,11; 8,10,17,19,13; 11,9,6,14,12; 6,4,4,6,4",
        ),
        ("0,1,2;3,4,5;6,7,8", "0,1;2,3", ["--mode", "valid"], "19,25;37,43"),
        ("0,1,2;3,4,5;6,7,8", "0,1;2,3", ["--mode", "valid", "--op", "convolve"], "5,11;23,29"),
        # Average pooling, the one kind that is a convolution.
        (
            "2,3,4,0; 1,5,3,2; 0,4,2,3; 1,0,6,1",
            "box:2",
            ["--mode", "valid", "--stride", "2"],
            "2.75,2.25;1.25,3.0",
        ),
        (
            "12,20,30,0; 8,12,2,0; 34,70,37,4; 112,100,25,12",
            "box:2",
            ["--mode", "valid", "--stride", "2"],
            "13,8;79,19.5",
        ),
    ],
)
def test_matrices(filtered, matrix, kernel, options, expected):
    assert filtered(matrix, "-k", kernel, *options) == rows(expected)


def test_full_is_seven_by_seven(filtered):
    full = filtered(N7, "-k", K7, "--mode", "full")
    assert len(full) == 7
    assert full[0] == [6, 9, 7, 4, 1, 0, 0]
    same = filtered(N7, "-k", K7)
    assert [row[1:-1] for row in full[1:-1]] == same


def test_box_of_a_photo_in_three_modes(cnntool, samples, tmp_path):
    """N18: a 9x9 box on 512x512 in full, same and valid."""
    shapes, corners = {}, {}
    for mode in ("full", "same", "valid"):
        cnntool(
            "filter", samples / "camera.png", "-k", "box:9", "--mode", mode, "-o", f"{mode}.png"
        )
        picture = np.asarray(Image.open(tmp_path / f"{mode}.png"))
        shapes[mode], corners[mode] = picture.shape, picture[0, 0] / picture[20, 20]
    assert shapes == {"full": (520, 520), "same": (512, 512), "valid": (504, 504)}
    # The zero padding shows as a dark border.
    assert corners["full"] < 0.05 < corners["same"] < 0.4
    assert corners["valid"] > 0.8


def test_sobel_pair_of_a_photo(cnntool, samples, tmp_path):
    """N19: the Sobel pair, valid."""
    cnntool("filter", samples / "camera.png", "-k", "sobel", "--mode", "valid", "-o", "edges.npy")
    assert np.load(tmp_path / "edges.npy").shape == (510, 510)
    flat = np.full((20, 20), 77, np.uint8)
    Image.fromarray(flat).save(tmp_path / "flat.png")
    cnntool("filter", "flat.png", "-k", "sobel", "--mode", "valid", "-o", "flat.npy")
    assert not np.load(tmp_path / "flat.npy").any()


MIX = "1,-.5,-.5; -.5,1,-.5; -.5,-.5,1; .5,-1,.5"


def test_colour_bank(cnntool, samples, tmp_path):
    """N22: a bank that mixes blurred colours."""
    blur = ["-k", "gaussian:sigma=2,size=9", "--mix", MIX]
    cnntool("filter", samples / "cat.png", *blur, "-o", "maps.npy")
    maps = np.load(tmp_path / "maps.npy")
    assert maps.shape == (4, 300, 451)
    # W[i,j,k,l] = G[i,j] C[l,k]: mixing the blurred channels is the same.
    cnntool("filter", samples / "cat.png", *blur[:2], "-o", "blurred.npy")
    mix = np.array(rows(MIX))
    expected = np.moveaxis(np.load(tmp_path / "blurred.npy").astype(float) @ mix.T, 2, 0)
    np.testing.assert_allclose(maps, expected, atol=1e-6)
    grey = np.random.default_rng(0).integers(0, 256, (30, 40, 1), np.uint8).repeat(3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    cnntool("filter", "grey.png", *blur, "-o", "zero.npy")
    np.testing.assert_allclose(np.load(tmp_path / "zero.npy"), 0, atol=1e-6)


def test_a_corner_is_found_where_it_is(filtered):
    """N23: one corner, found at (30, 110)."""
    picture = np.zeros((128, 128), int)
    picture[32:96, 16:112] = 1
    text = "\n".join(",".join(map(str, row)) for row in picture)
    kernel = "-1,-1,-1,-1;-1,-1,-1,-1;3,3,-1,-1;3,3,-1,-1"
    found = np.array(filtered(text, "-k", kernel, "--mode", "valid"))
    assert found.max() == 12
    assert np.argwhere(found == 12).tolist() == [[30, 110]]


def test_sobel_is_separable(cnntool):
    """N24: rank 1, nine multiplies become six."""
    text = cnntool("kernels", "show", "sobel-x").text
    assert "rank       1 (singular values 3.464, " in text
    assert "column     1, 2, 1" in text
    assert "row        1, 0, -1" in text
    assert "9 a pixel direct, 6 as" in text
