import numpy as np
import pytest
from skimage.color import rgb2lab

from cnntool.views.palettes import CONTROL_POINTS, MARK, MARK_COLOUR, TOP, palette


@pytest.mark.parametrize("name", CONTROL_POINTS)
def test_a_table_has_255_shades_and_a_mark_that_is_none_of_them(name):
    table = palette(name)
    assert table.shape == (256, 3)
    assert tuple(table[MARK]) == MARK_COLOUR
    distance = np.abs(table[: TOP + 1].astype(int) - MARK_COLOUR).sum(axis=1)
    assert distance.min() > 100


def test_gray_is_grey():
    table = palette("gray")[: TOP + 1]
    assert (table == table[:, :1]).all()
    assert table[[0, 127, TOP], 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("name", "expected"),  # matplotlib's colours at 0, 1/4, 1/2, 3/4 and 1
    [
        ("viridis", ["440154", "3b528b", "21918c", "5ec962", "fde725"]),
        ("magma", ["000004", "51127c", "b73779", "fc8961", "fcfdbf"]),
    ],
)
def test_known_colours(name, expected):
    found = palette(name)[[0, 64, 127, 190, TOP]].astype(int)
    wanted = np.array([list(bytes.fromhex(colour)) for colour in expected])
    assert np.abs(found - wanted).max() <= 3


def test_every_fifteenth_colour_of_matplotlib():
    known = {
        "viridis": "440154 481769 472a7a 433d84 3d4e8a 355e8d 2e6d8e 297b8e 23898e"
        " 1f978b 21a585 2eb37c 46c06f 65cb5e 89d548 b0dd2f d8e219 fde725",
        "magma": "000004 090720 1a1042 311165 4a1079 621980 792282 912b81 aa337d"
        " c23b75 d9466b ec5860 f7725c fc8e64 feaa74 fec68a fde2a3 fcfdbf",
    }
    for name, colours in known.items():
        expected = np.array([list(bytes.fromhex(colour)) for colour in colours.split()])
        where = np.linspace(0, TOP, len(expected))
        levels = np.arange(TOP + 1)
        found = [np.interp(where, levels, palette(name)[: TOP + 1, c]) for c in range(3)]
        assert np.abs(np.stack(found, axis=1) - expected).max() < 3.1


@pytest.mark.parametrize("name", ["viridis", "magma"])
def test_the_lightness_of_a_sequence_only_rises(name):
    lightness = rgb2lab(palette(name)[: TOP + 1] / 255)[:, 0]
    assert np.diff(lightness).min() > -0.05
    assert lightness[-1] - lightness[0] > 70


def test_diverging_is_neutral_in_the_middle_and_equally_dark_at_both_ends():
    lab = rgb2lab(palette("diverging")[: TOP + 1] / 255)
    lightness = lab[:, 0]
    assert np.abs(lab[127, 1:]).max() < 0.5
    assert lightness[127] == lightness.max() > 95
    assert np.abs(lightness - lightness[::-1]).max() < 0.5
    assert np.diff(lightness[:128]).min() > 0
    first, *_, last = palette("diverging")[: TOP + 1]
    assert first[2] > first[1] > first[0]
    assert last[0] > 3 * last[1]
    assert last[0] > 3 * last[2]


def test_nobody_can_spoil_a_table():
    with pytest.raises(ValueError, match="read-only"):
        palette("magma")[0] = 1
