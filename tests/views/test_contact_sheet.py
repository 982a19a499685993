import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.errors import UsageError
from cnntool.views import contact_sheet as boards
from cnntool.views.contact_sheet import MARGIN, PAPER, Caption, ContactSheet


def test_by_hand():
    board = ContactSheet(3, (2, 4, 1), columns=2, gap=1)
    board.place(0, np.array([[[[1], [2]]], [[[3], [4]]], [[[5], [6]]]], np.uint8))
    inside = board.pixels[MARGIN:-MARGIN, MARGIN:-MARGIN, 0]
    w = PAPER
    assert inside.tolist() == [
        [1, 1, 2, 2, w, 3, 3, 4, 4],
        [1, 1, 2, 2, w, 3, 3, 4, 4],
        [w, w, w, w, w, w, w, w, w],
        [5, 5, 6, 6, w, w, w, w, w],
        [5, 5, 6, 6, w, w, w, w, w],
    ]
    assert (board.pixels[:MARGIN] == w).all()


SHEETS = st.tuples(
    st.integers(1, 60),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 4),
    st.none() | st.integers(1, 70),
    st.booleans(),
    st.sampled_from(["", "conv1", "a title that is much longer than its sheet " * 3]),
)


@given(SHEETS)
def test_no_tile_is_lost(drawn):
    count, height, width, factor, gap, columns, numbered, title = drawn
    board = ContactSheet(
        count,
        (height * factor, width * factor, 3),
        gap=gap,
        columns=columns,
        numbers=range(100, 100 + count) if numbered else None,
        caption=Caption(title, "some facts"),
    )
    tiles = np.zeros((count, height, width, 3), np.uint8)
    tiles[..., 0] = np.arange(count)[:, None, None]
    tiles[..., 1] = 200  # nothing else on the sheet has 0 in blue
    start = board.columns * min(1, board.rows - 1)  # two calls, as a caller with little memory
    board.place(0, tiles[:start])
    board.place(start // board.columns, tiles[start:])
    mine = (board.pixels[..., 1] == 200) & (board.pixels[..., 2] == 0)
    found = np.bincount(board.pixels[mine][:, 0], minlength=count)
    assert found.tolist() == [height * width * factor**2] * count
    # in reading order
    where = [np.argwhere(mine & (board.pixels[..., 0] == n))[0].tolist() for n in range(count)]
    assert where == sorted(where)


def test_a_number_stands_above_its_tile():
    plain = ContactSheet(1, (30, 30, 1), numbers=None)
    board = ContactSheet(1, (30, 30, 1), numbers=[8])
    above = board.pixels.shape[0] - plain.pixels.shape[0]
    assert above > 8
    board.place(0, np.zeros((1, 30, 30, 1), np.uint8))
    assert board.pixels[MARGIN : MARGIN + above].min() < 160
    assert (board.pixels[MARGIN + above : -MARGIN, MARGIN:-MARGIN] == 0).all()


def test_numbers_that_are_wider_than_tiles_are_left_out():
    assert (
        ContactSheet(1, (9, 9, 1), numbers=[1234]).pixels.shape
        == ContactSheet(1, (9, 9, 1)).pixels.shape
    )


def test_a_caption_stands_above_and_may_widen_the_sheet():
    bare = ContactSheet(1, (30, 30, 3))
    board = ContactSheet(1, (30, 30, 3), caption=Caption("block4_conv2", "192 maps"))
    assert board.pixels.shape[0] > bare.pixels.shape[0] + 15
    assert bare.pixels.shape[1] < board.pixels.shape[1] <= 240 + 2 * MARGIN
    assert board.pixels[MARGIN : MARGIN + 15, MARGIN : MARGIN + 80].min() < 100


def test_a_detail_without_room_beside_the_title_goes_below_it():
    short = ContactSheet(1, (9, 9, 1), caption=Caption("fc1", "4096 values"))
    long = ContactSheet(
        1, (9, 9, 1), caption=Caption("a/long/name/of/a/layer", "4096 values, 84 % zeros")
    )
    assert long.pixels.shape[0] > short.pixels.shape[0] + 8


def test_sheets_have_a_largest_size():
    with pytest.raises(UsageError, match=r"would have \d+ x \d+ pixels"):
        ContactSheet(100, (2000, 2000, 3))
    with pytest.raises(UsageError, match="gap"):
        ContactSheet(1, (2, 2, 3), gap=-1)


@given(st.integers(1, 600), st.integers(1, 300))
def test_pooled_maps_are_not_drawn_larger_than_those_that_they_pool(count, side):
    pooled = side * boards.enlargement(count, side, side)
    assert pooled <= 2 * side * boards.enlargement(count, 2 * side, 2 * side)


def test_letters_grow_with_a_large_sheet():
    usual, large = (
        ContactSheet(4, (side, side, 1), numbers=range(4), caption=Caption("conv1", "facts"))
        for side in (600, 1800)
    )
    sizes = [[item.size for item in board.drawing.items] for board in (usual, large)]
    assert sizes[0] == [17, 12]
    assert sizes[1] == [round(17 * 3606 / 1360), round(12 * 3606 / 1360)]


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        ((24, 224, 224), 1),
        ((192, 14, 14), 4),
        ((512, 7, 7), 5),
        ((1, 14, 14), 18),
        ((9, 1000, 1000), 1),
    ],
)
def test_small_tiles_grow(maps, expected):
    assert boards.enlargement(*maps) == expected


@pytest.mark.parametrize(
    ("maps", "expected"), [((64, 224, 224), 1), ((64, 1024, 1024), 2), ((1, 9000, 10), 3)]
)
def test_large_tiles_shrink(maps, expected):
    assert boards.reduction(*maps) == expected
