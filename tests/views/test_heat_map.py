import numpy as np
import pytest
from drawn import drawn

from cnntool.errors import UsageError
from cnntool.views import heat_map
from cnntool.views.captioned import LEAST, MARGIN, WIDTH
from cnntool.views.colormaps import TOP, palette
from cnntool.views.heat_map import Tile, averaged, paint, sheet

sheet = drawn(sheet)

GREY = np.full((30, 40, 3), 100, np.uint8)


def tile(values, photo=GREY, **more):
    usual = {"method": "Grad-CAM", "label": "cat", "probability": 0.87}
    return Tile(photo, np.asarray(values, np.float32), **{**usual, **more})


def ramp(height=30, width=40):
    return np.tile(np.linspace(0, 2, width, dtype=np.float32), (height, 1))


@pytest.mark.parametrize("style", heat_map.STYLES)
def test_zero_shows_the_photo_and_the_largest_value_the_last_colour(style):
    picture = paint(tile(ramp()), GREY, style).picture.astype(int)
    if style == "overlay":
        assert picture[:, 0].tolist() == [[80, 80, 80]] * 30  # the photo with a fifth less light
        expected = 0.72 * palette("magma")[TOP] + 0.28 * 80
        assert np.abs(picture[0, -1] - expected).max() <= 2
    else:
        assert (picture[:, 0] == palette("magma")[0]).all()
        assert (picture[:, -1] == palette("magma")[TOP]).all()


def test_signed_maps_are_scaled_equally_far_to_both_sides():
    values = ramp() - 1.5  # from -1.5 to 0.5
    cell = paint(tile(values, signed=True), GREY, "heat")
    table = palette("diverging")
    zero = np.abs(values[0]).argmin()
    assert cell.bar.numbers == ("-1.5", "0", "1.5")
    assert (cell.picture[0, 0] == table[0]).all()
    assert np.abs(cell.picture[0, zero].astype(int) - table[127]).max() <= 6
    assert np.abs(cell.picture[0, -1].astype(int) - table[round(127 * 4 / 3)]).max() <= 6


def test_what_is_negative_in_a_map_that_is_not_signed_is_zero():
    cell = paint(tile(ramp() - 1), GREY, "heat")
    assert cell.bar.numbers == ("0", "1")
    assert (cell.picture[:, :19] == palette("magma")[0]).all()


def test_a_map_whose_zero_means_nothing_begins_at_its_smallest_value():
    cell = paint(tile(ramp() + 5, from_zero=False), GREY, "heat")
    assert cell.bar.numbers == ("5", "7")
    assert (cell.picture[:, 0] == palette("magma")[0]).all()
    flat = paint(tile(ramp() * 0 + 5, from_zero=False), GREY, "overlay")
    assert flat.bar.numbers == ("5", "5")
    assert (flat.picture == 80).all()  # no place differs from another


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("style", heat_map.STYLES)
def test_what_was_not_seen_is_striped_and_looks_like_no_value(style, signed):
    values = np.zeros((30, 40), np.float32)
    values[:, 20:] = np.nan
    cell = paint(tile(values, signed=signed), GREY, style)
    zero, unseen = cell.picture[:, :20], cell.picture[:, 20:]
    assert cell.hatched
    assert len(np.unique(zero.reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(unseen.reshape(-1, 3), axis=0)) == 2
    assert np.abs(unseen.astype(int).mean((0, 1)) - zero.mean((0, 1))).max() > 20
    assert (unseen[1:, :-1] == unseen[:-1, 1:]).all()  # along the diagonals
    assert not paint(tile(ramp()), GREY, style).hatched


def test_a_few_huge_values_do_not_darken_the_rest():
    values = np.ones((100, 100), np.float32)
    values[:, 50:] = 2
    values[0, 0] = 1000
    photo = np.zeros((100, 100, 3), np.uint8)
    cell = paint(tile(values, photo), photo, "heat")
    assert cell.bar.numbers == ("0", "> 2")
    assert (cell.picture[0, 0] == cell.picture[0, -1]).all()
    assert (cell.picture[1, 0] == palette("magma")[127]).all()
    signed = paint(tile(values, photo, signed=True), photo, "heat")
    assert signed.bar.numbers == ("< -2", "0", "> 2")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("value", "said"), [(0.0, "0 everywhere"), (np.nan, "")])
def test_a_map_of_nothing_can_be_drawn(value, said, signed):
    cell = paint(tile(np.full((30, 40), value), signed=signed), GREY, "overlay")
    assert cell.bar.numbers == (said, "")
    assert cell.picture.shape == GREY.shape


def test_means_of_what_is_known():
    values = np.array([[1, 3, np.nan, np.nan], [5, np.nan, np.nan, 8]], np.float32)
    found = averaged(values, (1, 2))
    assert found[0, 0] == pytest.approx(3)
    assert np.isnan(found[0, 1])
    assert averaged(values[:, :1], (4, 2)).tolist() == [[1, 1], [1, 1], [5, 5], [5, 5]]


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((1, 1), (400, 400)),
        ((10, 10), (400, 400)),
        ((300, 451), (300, 451)),
        ((4000, 300), (1000, 75)),
        ((600, 800), (346, 462)),
        ((3, 9000), (8, 1560)),
        ((9000, 3), (1000, 8)),
    ],
)
def test_photos_of_every_size(size, inside):
    photo = np.zeros((*size, 3), np.uint8)
    found = sheet([tile(np.zeros(size), photo)])
    assert found.shape[1] <= WIDTH
    dark = (found < 5).all(axis=2)  # the photo, once
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    first = dark[rows[0] :, MARGIN:]
    assert rows[-1] - rows[0] >= inside[0] - 1
    assert dark[:, MARGIN].sum() >= inside[0]
    assert first[:, : inside[1]].any(0).all()
    assert columns[0] == MARGIN


def test_captions_are_never_cut():
    photo = np.zeros((600, 30, 3), np.uint8)
    label = (
        "Staffordshire bullterrier, Staffordshire bull terrier, Donaudampfschifffahrtsgesellschaft"
    )
    tiles = [tile(np.zeros((600, 30)), photo, label=f"{label} {n}") for n in range(4)]
    cell = paint(tiles[0], photo, "heat")
    assert "".join(line for line, _ in cell.lines()[1:]).replace(" ", "") == (
        f"{label} 0, 87.0%".replace(" ", "")
    )
    found = sheet(tiles, title="a_file_with_a_rather_long_name_without_any_spaces.jpeg")
    edges = found[:MARGIN], found[-MARGIN + 4 :], found[:, :MARGIN], found[:, -MARGIN + 2 :]
    assert all((edge == 255).all() for edge in edges)
    between = found[:, MARGIN + LEAST + 1 : MARGIN + LEAST + 17]
    assert (between == 255).all()


def test_small_probabilities_are_not_none():
    lines = paint(tile(ramp(), probability=2e-5, notes=["conv5"]), GREY, "heat").lines()
    assert [line for line, _ in lines] == ["Grad-CAM", "cat, <0.1%", "conv5"]


def test_methods_are_columns_and_classes_are_rows():
    photo = np.full((100, 100, 3), 77, np.uint8)
    kinds = [(m, c) for c in ("cat", "dog") for m in ("A", "B", "C")]
    tiles = [tile(np.ones((100, 100)), photo, method=m, label=c) for m, c in kinds]
    found = sheet(tiles)
    assert found.shape[1] == 2 * MARGIN + 4 * (300 + 18) - 18
    assert ((found == 77).all(axis=2)).sum() == 300 * 300  # the photo, once
    alone = sheet(tiles, "heat")
    assert not (alone == 77).all(axis=2).any()
    assert alone.shape[1] == 2 * MARGIN + 3 * (400 + 18) - 18


def test_many_classes_of_one_method_fill_rows():
    photo = np.zeros((10, 10, 3), np.uint8)
    tiles = [tile(np.zeros((10, 10)), photo, label=str(n)) for n in range(8)]
    wide = sheet(tiles).shape[1]
    assert wide == sheet(tiles[:4]).shape[1]  # four and four
    with pytest.raises(UsageError, match="pixels"):
        sheet(tiles * 1000)
    with pytest.raises(UsageError, match="no heat map"):
        sheet([])
