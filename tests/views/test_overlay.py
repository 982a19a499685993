import numpy as np
import pytest

from cnntool.errors import UsageError
from cnntool.views import styles
from cnntool.views.colormaps import MARK, MARK_COLOUR, TOP, palette
from cnntool.views.styles import blend

GREY = np.full((6, 8, 3), 100, np.uint8)


def test_a_dark_map_shows_the_photo_and_a_bright_one_covers_it():
    levels = np.array([[[0, 0]], [[TOP, TOP]]], np.uint8)
    dark, bright = blend(levels, GREY)
    assert (dark == 80).all()  # the photo with a fifth less light
    expected = 0.9 * palette("magma")[TOP] + 0.1 * 80
    assert np.abs(bright - expected).max() <= 2


def test_the_photo_loses_most_of_its_colour():
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    (shown,) = blend(np.zeros((1, 1, 1), np.uint8), red)
    luma = 0.299 * 255
    expected = 0.8 * np.array([0.25 * 255 + 0.75 * luma, 0.75 * luma, 0.75 * luma])
    assert np.abs(shown - expected).max() <= 1


def test_maps_are_stretched_smoothly():
    (shown,) = blend(np.array([[[0, 200]]], np.uint8), np.zeros((1, 64, 3), np.uint8))
    steps = np.diff(shown[0].astype(int).sum(axis=1))
    assert steps.min() >= -1
    assert steps.max() < 40
    assert shown[0, -1].sum() > 300


def test_signed_maps_show_the_photo_at_zero_and_both_signs_beside_it():
    levels = np.array([[[127]], [[0]], [[TOP]]], np.uint8)
    zero, below, above = blend(levels, GREY, signed=True)[:, 0, 0].astype(int)
    assert zero.tolist() == [80, 80, 80]
    assert below[2] > below[0] + 60
    assert above[0] > above[2] + 60


def test_a_mark_keeps_its_edges():
    levels = np.array([[[MARK, 0]]], np.uint8)
    (shown,) = blend(levels, GREY)
    assert (shown[:, :4] == MARK_COLOUR).all()
    assert (shown[:, 4:] == 80).all()


def test_every_sum_stays_in_its_byte():
    levels = np.arange(256, dtype=np.uint8)[:255, None, None]
    white = blend(levels, np.full((1, 1, 3), 255, np.uint8))
    black = blend(levels, np.zeros((1, 1, 3), np.uint8))
    assert (white >= black).all()


def test_without_a_photo():
    with pytest.raises(UsageError, match="needs the photo"):
        styles.overlay(np.zeros((1, 1, 1), np.uint8), styles.Backdrop())
