"""Grad-CAM and LayerCAM, by hand."""

import numpy as np
import pytest
from subjects import subject

from cnntool.errors import ModelError
from cnntool.nets.attribution.methods import load

MAPS = [[[1, 2], [3, 4]], [[1, 0], [0, 2]]]
GRADIENTS = [[[1, -1], [2, 2]], [[-4, 0], [0, -4]]]
PICTURE = np.zeros((3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # mean gradients 1 and -2: 1-2, 2, 3, 4-4
        ("gradcam", [[0, 2], [3, 0]]),
        # positive gradients 1, 0, 2, 2 by 1, 2, 3, 4; none in the second map
        ("layercam", [[1, 0], [6, 8]]),
    ],
)
def test_by_hand(method, expected):
    found = load(method)(subject(PICTURE, layer=(MAPS, GRADIENTS)))
    assert found.map.dtype == np.float32
    np.testing.assert_array_equal(found.map, expected)


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_what_speaks_against_the_class_is_cut_off(method):
    found = load(method)(subject(PICTURE, layer=(MAPS, -np.abs(GRADIENTS))))
    assert not found.map.any()


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
def test_a_gradient_that_is_nan_is_told(method):
    broken = np.array(GRADIENTS, float)
    broken[0, 1, 1] = np.nan
    with pytest.raises(ModelError, match="the gradient is NaN or infinite in 1 of 8 places"):
        load(method)(subject(PICTURE, layer=(MAPS, broken)))
