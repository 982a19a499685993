"""Pictures of layers on the page: how large they are beside what they were made of."""

from itertools import pairwise

import numpy as np
import pytest

from cnntool.api.page_pictures import LayerPictures
from cnntool.views.drawing import Drawing
from cnntool.views.page.render import View
from cnntool.views.page.tiles import tiles


def layers(*shapes, look=Drawing()):  # noqa: B008 - it cannot change
    rng = np.random.default_rng(0)
    maps = {(at, 0): tiles(rng.random(shape), look) for at, shape in enumerate(shapes)}
    parents = [(at - 1,) if at else () for at in range(len(shapes))]
    return LayerPictures([np.zeros((8, 8, 3), np.uint8)], maps, {}, parents, look)


def shown(picture, wide):
    """Return how many pixels a map takes where a page is so wide."""
    share = View((), picture.picture, room=picture.room).share
    factor = min(picture.picture.width, wide * share / 100) / picture.picture.width
    return max(picture.spots["tile"]) * picture.spots["factor"] * factor


@pytest.mark.parametrize("wide", [200, 330, 640, 1040])
@pytest.mark.parametrize(
    "shapes",
    [
        ((16, 144, 144), (3, 140, 140)),  # few of them, beside a row of many
        ((16, 60, 60), (16, 30, 30), (4, 15, 15)),
        ((64, 40, 40), (1, 20, 20)),
        ((2, 30, 90), (9, 15, 45)),
    ],
)
def test_what_was_pooled_is_shown_no_larger_on_a_page_of_any_width(shapes, wide):
    made = layers(*shapes).fitted(10**9)
    sizes = [shown(made[at, 0], wide) for at in range(len(shapes))]
    for source, pooled in pairwise(sizes):
        assert pooled <= source + 1e-6


def test_what_is_made_of_nothing_larger_shrinks_when_it_must():
    made = layers((4, 20, 20), (4, 20, 20)).fitted(10**9)
    assert [View((), one.picture, room=one.room).share for one in made.values()] == [100, 100]


def test_for_want_of_room_the_largest_shrink_first():
    pictures = layers((8, 64, 64), (2, 16, 16))
    before = pictures.fitted(10**9)
    small = before[1, 0].size
    after = pictures.fitted(before[0, 0].size // 2)
    assert after[0, 0].words
    assert after[1, 0].size == small
    assert sum(one.size for one in after.values()) <= before[0, 0].size // 2 + small
