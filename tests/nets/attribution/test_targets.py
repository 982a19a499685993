"""Which tensor is explained, which layer is looked at, and how its maps lie."""

import numpy as np
import pytest

from cnntool.nets.attribution.targets import Grid, grid_of
from cnntool.nets.file.graph import TensorInfo
from cnntool.nets.layers.receptive_field import ReceptiveField


def info(*shape):
    return TensorInfo("t", "float32", shape)


@pytest.mark.parametrize(
    ("shape", "picture", "expected"),
    [
        ((1, 512, 7, 7), (224, 224), Grid(7, 7, "CHW")),
        ((1, 7, 7, 512), (224, 224), Grid(7, 7, "HWC")),
        ((1, 8, 8, 8), (64, 64), Grid(8, 8, "CHW")),
        ((1, 10, 20, 5), (100, 50), Grid(20, 5, "CHW")),
        ((1, 10, 5, 20), (100, 50), Grid(10, 5, "HWC")),
        ((1, 512, 1, 1), (224, 224), None),
        ((1, 1, 1, 512), (224, 224), None),
        ((1, 512), (224, 224), None),
        ((1, 196, 768), (224, 224), Grid(14, 14, "TC")),
        ((1, 8, 768), (32, 64), Grid(2, 4, "TC")),
        ((1, 3, 768), (224, 224), None),
    ],
)
def test_the_grid_of_a_tensor(shape, picture, expected):
    assert grid_of(shape, picture, {}) == expected


def test_tokens_before_those_of_the_picture_are_known_by_the_patches():
    patches = {"embedding": info(1, 768, 14, 14)}
    assert grid_of((1, 197, 768), (224, 224), patches) == Grid(14, 14, "TC")
    assert grid_of((1, 201, 768), (224, 224), patches) == Grid(14, 14, "TC")
    assert grid_of((1, 197, 768), (224, 224), {}) is None


def test_maps_come_out_channels_first():
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert (Grid(3, 4, "CHW").maps(values) == values).all()
    assert (Grid(2, 3, "HWC").maps(values) == np.moveaxis(values, 2, 0)).all()
    tokens = np.arange(7 * 5).reshape(7, 5)
    maps = Grid(2, 3, "TC").maps(tokens)
    assert maps.shape == (5, 2, 3)
    assert maps[4, 1, 2] == tokens[6, 4]
    assert maps[0, 0, 0] == tokens[1, 0]


@pytest.mark.parametrize(("axes", "expected"), [((2, 3), "CHW"), ((1, 2), "HWC")])
def test_known_axes_count_more_than_proportions(axes, expected):
    field = ReceptiveField(axes, 4, (8, 5), (3, 3), (2, 2))
    assert grid_of((1, 8, 5, 1), (16, 16), {}).axes == "HWC"
    assert grid_of((1, 8, 5, 1), (16, 16), {}, field).axes == expected
