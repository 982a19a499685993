import numpy as np
import pytest
from drawn import drawn

from cnntool.errors import UsageError
from cnntool.views.colormaps import MARK_COLOUR, palette
from cnntool.views.contact_sheet import MARGIN
from cnntool.views.kernels import kernel_sheet

kernel_sheet = drawn(kernel_sheet)


def tiles(picture):
    return picture[MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_three_channels_are_a_colour_picture_on_mid_grey():
    weights = np.zeros((2, 3, 1, 2), np.float32)
    weights[0, 0, 0, 0] = 4  # red
    weights[0, 2, 0, 1] = -4  # less blue
    weights[1, 1, 0, 0] = 0.001  # a weak kernel is as bright as a strong one
    picture = tiles(kernel_sheet(weights, upscale=1, gap=0, columns=2, numbered=False))
    assert picture[0].tolist() == [[255, 128, 128], [128, 128, 0], [128, 255, 128], [128, 128, 128]]


def test_a_weight_that_is_no_number():
    weights = np.ones((1, 3, 1, 2), np.float32)
    weights[0, 1, 0, 1] = np.nan
    picture = tiles(kernel_sheet(weights, upscale=1, numbered=False))
    assert picture[0].tolist() == [[255, 255, 255], list(MARK_COLOUR)]


def test_other_kernels_are_mosaics_of_their_first_slices():
    weights = np.zeros((2, 5, 1, 1), np.float32)
    weights[0, :, 0, 0] = [1, -1, 0.5, 0, 2]
    weights[1, :, 0, 0] = [-2, 0, 0, 0, 0]
    picture = tiles(kernel_sheet(weights, slices=4, upscale=1, gap=5, numbered=False, columns=2))
    table = palette("diverging").tolist()
    # slices on the scale of the whole kernel, which the fifth slice sets: -2 to 2
    first = picture[:5, :5]
    assert first[0, [0, -1]].tolist() == [table[191], table[63]]
    assert first[-1, [0, -1]].tolist() == [table[159], table[127]]
    second = picture[:5, 5 + 5 :]
    assert second[0, 0].tolist() == table[0]
    assert second[-1, -1].tolist() == table[127]


def test_depthwise_kernels_are_single_tiles():
    weights = np.random.default_rng(0).normal(size=(16, 1, 3, 3)).astype(np.float32)
    picture = kernel_sheet(weights, upscale=2, gap=1, numbered=False)
    assert tiles(picture).shape == (4 * 6 + 3, 4 * 6 + 3, 3)


def test_a_style_turns_colours_into_slices():
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3))
    assert kernel_sheet(weights, style="gray").shape[2] == 1
    assert kernel_sheet(weights, style="gray").shape != kernel_sheet(weights).shape


def test_chosen_kernels_in_their_order():
    weights = np.random.default_rng(0).normal(size=(6, 3, 4, 4))
    some = kernel_sheet(weights, chosen=[4, 1], numbered=False)
    assert (some == kernel_sheet(weights[[4, 1]], numbered=False)).all()
    assert (some != kernel_sheet(weights[[1, 4]], numbered=False)).any()


def test_alexnet_sized():
    picture = kernel_sheet(np.random.default_rng(0).normal(size=(96, 3, 11, 11)))
    assert picture.shape[2] == 3
    assert 700 < picture.shape[0] < picture.shape[1] < 1100


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (0, 3, 3, 3), (1, 1, 3, 3, 3)])
def test_what_is_no_kernel(shape):
    with pytest.raises(UsageError):
        kernel_sheet(np.zeros(shape, np.float32))


def test_a_kernel_has_no_photo():
    with pytest.raises(UsageError, match="photo"):
        kernel_sheet(np.zeros((1, 1, 3, 3)), style="overlay")
