import numpy as np
import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.views.colormaps import MARK_COLOUR, palette
from cnntool.views.contact_sheet import MARGIN, Caption
from cnntool.views.feature_maps import sheet
from cnntool.views.scale import SCALES
from cnntool.views.styles import STYLES

sheet = drawn(sheet)

PHOTO = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)


def tiles(picture):
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_by_hand():
    maps = np.array([[[0, 2]], [[5, 5]], [[-1, 0]]], np.float32)
    picture = sheet(maps, columns=2, upscale=1, gap=1, numbered=False)
    assert tiles(picture)[..., 0].tolist() == [
        [0, 255, 255, 0, 0],
        [255] * 5,
        [0, 255, 255, 255, 255],
    ]
    signed = sheet(maps, columns=3, upscale=2, gap=1, numbered=False, scale="signed")
    row = [128, 128, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 128, 128]
    assert tiles(signed)[..., 0].tolist() == [row, row]


def test_only_the_chosen_maps_in_their_order_on_the_scale_of_all():
    maps = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 1, 1), np.float32)
    picture = sheet(
        maps, chosen=[3, 0, 2], columns=3, upscale=1, gap=0, numbered=False, scale="layer"
    )
    assert tiles(picture).ravel().tolist() == palette("gray")[[191, 0, 127], 0].tolist()


@given(st.integers(1, 80), st.integers(1, 9), st.integers(1, 9), st.randoms(), st.booleans())
def test_no_tile_is_lost(count, height, width, random, numbered):
    maps = np.arange(count, dtype=np.float32)[:, None, None] + np.zeros(
        (1, height, width), np.float32
    )
    chosen = random.sample(range(count), random.randint(1, count))
    picture = sheet(
        maps, chosen=chosen, style="viridis", scale="layer", upscale=2, numbered=numbered
    ).reshape(-1, 3)
    step = 254.999 / (count - 1) if count > 1 else 0
    for index in chosen:
        colour = palette("viridis")[int(index * step)]
        assert (picture == colour).all(axis=1).sum() == 4 * height * width


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("scale", [None, *SCALES])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.uint8])
def test_every_style_with_every_scale(style, scale, dtype):
    maps = (np.random.default_rng(0).normal(size=(5, 6, 8)) * 9).astype(dtype)
    picture = sheet(maps, style=style, scale=scale, photo=PHOTO, caption=Caption("conv1", "5 maps"))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == (1 if style == "gray" else 3)
    assert len(np.unique(picture)) > 20


def test_diverging_is_signed_by_itself():
    maps = np.array([[[-1.0, 0.0, 0.5]]], np.float32)
    picture = sheet(maps, style="diverging", upscale=1, numbered=False)
    assert (tiles(picture)[0] == palette("diverging")[[0, 127, 191]]).all()


def test_nan_is_magenta_even_in_grey():
    maps = np.array([[[0, np.nan, 1, np.inf]]], np.float32)
    found = tiles(sheet(maps, upscale=1, numbered=False))[0].tolist()
    assert found == [[0, 0, 0], list(MARK_COLOUR), [255, 255, 255], [255, 255, 255]]


def test_a_dead_map_is_black():
    assert not tiles(sheet(np.zeros((1, 7, 7), np.float32), numbered=False)).any()


def test_tiny_maps_grow():
    picture = sheet(np.random.default_rng(0).normal(size=(512, 7, 7)))
    assert 900 < picture.shape[1] < 1200


def test_large_maps_are_averaged():
    maps = np.zeros((1, 6000, 30), np.float32)
    maps[:, ::2] = 1
    maps[:, 3000:] = 1
    picture = tiles(sheet(maps, numbered=False))
    assert picture.shape[:2] == (3000, 15)
    assert (picture[:1500] == 128).all()  # zeros and ones in equal parts
    assert (picture[1500:] == 255).all()


def test_an_array_in_another_order_gives_the_same_picture():
    maps = np.random.default_rng(0).normal(size=(9, 8, 30)).astype(np.float32)
    other = np.moveaxis(np.moveaxis(maps, 0, 2).copy(), 2, 0)
    assert not other.flags.c_contiguous
    assert (sheet(maps) == sheet(other)).all()


def test_maps_are_not_changed():
    maps = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    maps[0, 0, 0] = np.nan
    before = maps.copy()
    sheet(maps, style="overlay", photo=PHOTO)
    sheet(maps)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"style": "jet"}, "no style is called 'jet'"),
        ({"style": "overlay"}, "needs the photo"),
        ({"upscale": 0}, "at least one pixel"),
        ({"columns": 0}, "at least one column"),
        ({"chosen": []}, "no map"),
        ({"upscale": 5000}, "pixels"),
    ],
)
def test_refusals(wrong, reason):
    with pytest.raises(UsageError, match=reason):
        sheet(np.zeros((4, 3, 3), np.float32), **wrong)


@pytest.mark.parametrize("shape", [(3, 3), (0, 3, 3), (2, 0, 3), (1, 2, 3, 4)])
def test_what_is_no_stack_of_maps(shape):
    with pytest.raises(UsageError):
        sheet(np.zeros(shape, np.float32))


def test_over_a_photo_a_tile_has_its_proportions():
    maps = np.random.default_rng(0).normal(size=(1, 5, 5)).astype(np.float32)
    picture = tiles(sheet(maps, style="overlay", photo=PHOTO, numbered=False))
    assert picture.shape == (24, 32, 3)
    asked = tiles(sheet(maps, style="overlay", photo=PHOTO, numbered=False, upscale=4))
    assert asked.shape == (20, 20, 3)
