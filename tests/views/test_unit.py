"""The slide of a unit: where things stand, told by their colours."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import drawn

from cnntool.errors import UsageError
from cnntool.views.sliding_window import INPUT, KERNEL, RESULT
from cnntool.views.text import RULE, WHITE
from cnntool.views.unit import AGAINST, BELOW, CHANNELS, Channel, UnitScene, draw_unit

PHOTO = np.full((100, 100, 3), 60, np.uint8)
DIMMED = (142, 142, 142)


def scene(
    *, kernel=(3, 3), count=2, box=(20, 40, 50, 80), inside=None, after=("ReLU", 0.0), **fields
):
    """Make a scene whose products are 1, -2, 3, -4... in every channel."""
    ramp = np.arange(1.0, kernel[0] * kernel[1] + 1).reshape(kernel)
    weights = np.where(ramp % 2, 1.0, -1.0)
    channels = [Channel(str(n), ramp, weights, ramp * weights) for n in range(count)]
    shown = {
        "title": "a layer, unit (1, 2, 3)",
        "detail": "conv 1",
        "photo": PHOTO,
        "box": box,
        "sees": ["rows", "columns"],
        "channels": channels,
        "maps": count,
        "inside": np.ones(kernel, bool) if inside is None else inside,
        "total": count * float((ramp * weights).sum()),
        "bias": 0.5,
        "after": after,
        "note": "a note",
    }
    return UnitScene(**shown | fields)


def pixels(**options):
    picture = drawn(draw_unit)(scene(**options))
    assert picture.shape == (720, 1280, 3)
    return picture


def where(found, colour):
    """Return the rows and columns of a colour's pixels."""
    return np.nonzero((found == colour).all(axis=2))


def channels_only(found):
    left, top, right, bottom = CHANNELS
    return found[top:bottom, left:right]


def test_the_photo_is_clear_where_the_unit_looks():
    found = pixels()
    rows, columns = where(found, (60, 60, 60))
    photo = rows < 440  # the enlarged piece lies below
    assert (rows[photo].min(), rows[photo].max()) == pytest.approx((104 + 66, 104 + 165), abs=7)
    assert (columns[photo].min(), columns[photo].max()) == pytest.approx((172, 304), abs=7)
    assert len(where(found, DIMMED)[0]) > 60_000
    frame = where(found[:440, :400], KERNEL.title)
    assert (frame[1].min(), frame[1].max()) == pytest.approx((170, 305), abs=2)


def test_a_unit_that_sees_everything_has_no_piece_of_its_own():
    found = pixels(box=(-5, -5, 105, 105))
    assert not len(where(found, DIMMED)[0])
    assert where(found, (60, 60, 60))[0].max() < 104 + 330


def test_a_unit_of_which_nothing_is_known_has_no_frame():
    found = pixels(box=None, sees=[])
    assert not len(where(found[:440, :400], KERNEL.title)[0])
    assert not len(where(found, DIMMED)[0])


@pytest.mark.parametrize("box", [(-40, 0, -20, 20), (90, 90, 130, 130), (99, 0, 100, 1)])
def test_boxes_at_the_edge_and_beyond(box):
    assert len(where(pixels(box=box), DIMMED)[0]) > 90_000


def test_what_speaks_for_and_against_is_told_by_colours():
    found = channels_only(pixels(bias=-0.5))
    for colour in (KERNEL.strong, BELOW, RESULT.strong, AGAINST):
        assert len(where(found, colour)[0]) > 100
    found = channels_only(pixels(bias=-1.0, total=-1.0, channels=[
        Channel("0", *(np.full((1, 1), n) for n in (1.0, -1.0, -1.0)))
    ], maps=1, inside=np.ones((1, 1), bool)))  # fmt: skip
    assert not len(where(found, RESULT.strong)[0])
    assert len(where(found, AGAINST)[0]) > 1000


def test_what_lies_outside_is_dashed():
    inside = np.array([[False] * 3, [True] * 3, [True] * 3])
    plain, found = channels_only(pixels()), channels_only(pixels(inside=inside))
    assert not len(where(plain, RULE)[0])
    assert len(where(found, RULE)[0]) > 50
    strong = [len(where(picture, INPUT.strong)[0]) for picture in (plain, found)]
    assert strong[0] == strong[1] > 100  # the largest value, 9, lies inside


@pytest.mark.parametrize(
    ("kernel", "count", "rows"),
    [((3, 3), 1, 1), ((3, 3), 64, 3), ((1, 1), 64, 6), ((1, 1), 4, 4), ((2, 2), 64, 3)],
)
def test_the_strongest_channels_are_shown(kernel, count, rows):
    found = channels_only(pixels(kernel=kernel, count=count))
    found = found[where(found, INPUT.title)[0].min() + 20 :]  # without the title
    outline = where(found, INPUT.title)
    tops = np.unique(outline[0][outline[1] == np.bincount(outline[1]).argmax()])
    assert 1 + int((np.diff(tops) > 12).sum()) == rows


@pytest.mark.parametrize("kernel", [(1, 7), (7, 1), (11, 11), (31, 31)])
@pytest.mark.parametrize("count", [1, 3])
def test_kernels_of_every_shape_stay_in_their_room(kernel, count):
    found = pixels(kernel=kernel, count=count)
    left, top, right, bottom = CHANNELS
    assert (found[top:bottom, right:] == WHITE).all()
    assert (found[top:bottom, left - 30 : left - 1] == WHITE).all()


def test_a_kernel_too_large_to_be_seen():
    with pytest.raises(UsageError, match="a kernel of 400x2 is too large to draw"):
        draw_unit(scene(kernel=(400, 2)))


def test_what_is_not_a_number_is_grey():
    values = [np.array([[1.0, np.nan, np.inf]])] * 3
    found = channels_only(pixels(channels=[Channel("0", *values)], maps=1, total=np.nan,
                                 inside=np.ones((1, 3), bool)))  # fmt: skip
    assert len(where(found, RULE)[0]) > 1000


@pytest.mark.full
def test_names_with_odd_letters_and_no_end():
    found = pixels(title="\u6f22\x1b" * 90, detail="x" * 300, after=("y" * 99, 1.0))
    assert (found[:100, 1245:] == WHITE).all()
