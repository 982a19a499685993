"""Drawn figures beside the animation: matrices and frequency responses."""

import numpy as np
import pytest

from cnntool.errors import UsageError
from cnntool.views import frequency_response, text
from cnntool.views import matrix as matrix_picture
from cnntool.views.display_list import Text
from cnntool.views.matrix import Drawn


def middles(picture, matrix, left, top, cell):
    rows, columns = np.indices(matrix.shape)
    # A corner of each cell, away from the number in its middle.
    return np.asarray(picture)[top + rows * cell + 3, left + columns * cell + 3].astype(int)


def test_signs_and_sizes_have_colours():
    matrix = np.array([[0, 1.0, 2], [-1, -2, 0]])
    picture = matrix_picture.picture(matrix, Drawn("", "", (1, 3)))
    cell = matrix_picture.LARGEST_CELL
    colours = middles(picture, matrix, matrix_picture.MARGIN, 60, cell)
    assert (colours[matrix == 0] == 255).all()
    red, blue = colours[..., 0] - colours[..., 2], colours[..., 2] - colours[..., 0]
    assert 20 < red[0, 1] < red[0, 2]
    assert 20 < blue[1, 0] < blue[1, 1]


def test_the_smallest_weight_is_told_from_zero():
    matrix = np.array([[1.0, 1e-9, 0, -1e-9]])
    picture = matrix_picture.picture(matrix, Drawn("", "", (1, 4)))
    colours = middles(picture, matrix, matrix_picture.MARGIN, 60, matrix_picture.LARGEST_CELL)
    assert len({tuple(colour) for colour in colours[0].tolist()}) == 4


@pytest.mark.full
def test_a_large_matrix_has_a_pixel_for_each_entry():
    matrix = np.eye(1500)
    picture = np.asarray(matrix_picture.picture(matrix, Drawn("", "", (30, 30))))
    assert picture.shape[0] < 1700
    coloured = (picture.max(axis=2).astype(int) - picture.min(axis=2)) > 60
    assert coloured.sum() == 1500


def test_a_legend_stands_beside():
    bare = matrix_picture.picture(np.eye(3), Drawn("", "", (3, 3)))
    beside = matrix_picture.picture(np.eye(3), Drawn("", "", (3, 3), np.ones((2, 2))))
    assert beside.width > bare.width + 2 * matrix_picture.LARGEST_CELL
    # A legend may be higher than the matrix.
    assert matrix_picture.picture(np.ones((1, 4)), Drawn("", "", (1, 4), np.ones((4, 4)))).height


def test_long_words_widen_the_picture():
    words = "a title that is much wider than its matrix of one entry"
    picture = matrix_picture.picture(np.ones((1, 1)), Drawn(words, "", (1, 1)))
    assert picture.width >= text.width_of(words, 17)


def test_what_is_too_large_to_draw():
    with pytest.raises(UsageError, match="2049 x 1 is too large to draw: 2048 a side"):
        matrix_picture.picture(np.ones((2049, 1)), Drawn("", "", (1, 1)))


def test_a_matrix_of_zeros():
    assert matrix_picture.picture(np.zeros((2, 2)), Drawn("", "", (1, 1)))


def test_an_equation_names_its_columns_and_rows():
    columns = matrix_picture.Factor(np.eye(3), "columns", (3, 3), ["0,0", "0,1", "1,0"], "abc")
    kernel = matrix_picture.Factor(np.ones((1, 3)), "kernel", (1, 3))
    drawing = matrix_picture.equation([kernel, columns, kernel], "title", "note")
    said = [item.text for item in drawing.items if isinstance(item, Text)]
    assert [word for word in said if not word.isdigit()] == [
        *("title", "note", "kernel", "x", "columns"),
        *("0,0", "0,1", "1,0", "a", "b", "c", "=", "kernel"),
    ]
    alone = matrix_picture.equation([columns], "title", "note")
    assert alone.width < drawing.width
    wide = matrix_picture.Factor(np.ones((1, 200)), "too many", (1, 1))
    assert matrix_picture.equation([kernel, columns, wide], "", "") is None


def test_responses_share_one_scale():
    side = frequency_response.SIDE
    low, high = np.full((side, side), 1.0), np.full((side, side), 4.0)
    picture = np.asarray(frequency_response.picture([("low", low), ("high", high)]))
    width = picture.shape[1] // 2
    middle = frequency_response.HEAD + side // 2, frequency_response.LEFT + side // 2
    top = frequency_response.HEAD, frequency_response.LEFT + side + frequency_response.BAR_GAP + 2
    assert (picture[middle[0], middle[1] + width] == picture[top]).all()
    quarter = frequency_response.HEAD + round(0.75 * (side - 1))
    assert (picture[middle] == picture[quarter, top[1]]).all()


def test_a_response_of_nothing_is_drawn():
    nothing = np.zeros((frequency_response.SIDE,) * 2)
    assert frequency_response.picture([("zeros, \x1b and é", nothing)])


def test_text_that_fits():
    assert text.fitting_size(["0"], 40, 16) == 16
    assert 9 <= text.fitting_size(["123456"], 40, 16) < 16
    assert text.fitting_size(["0.123456789"], 40, 16) == 0
    assert text.fitting_size([], 40, 16) == 16
