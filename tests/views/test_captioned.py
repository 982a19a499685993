"""Captioned pictures: the sizes at which photos stand side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.views.captioned import GAP, MARGIN, SIDE, TALLEST, THIN, WIDTH, cell, table, tile_size

SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES, st.integers(1, 12))
def test_photos_have_room_and_keep_their_form(high, wide, across):
    rows, columns = tile_size((high, wide, 3), across)
    room = (WIDTH - 2 * MARGIN + GAP) / across - GAP
    assert THIN <= rows <= TALLEST
    assert THIN <= columns <= max(THIN, room + 1)
    if min(rows, columns) > THIN:
        assert rows * columns <= SIDE**2 + rows + columns
        assert rows / columns == pytest.approx(high / wide, rel=1 / min(rows, columns))
        assert rows < high or (rows % high, columns % wide) == (0, 0)


def test_letters_grow_with_a_page_that_is_wider_than_a_slide():
    def sizes(count):
        page = table([[cell(np.zeros((40, 400, 3), np.uint8), "title", "fact")] * count])
        return {item.text: item.size for item in page.items if hasattr(item, "text")}

    assert sizes(2) == {"title": 20, "fact": 15}
    assert sizes(8) == {"title": 42, "fact": 32}
