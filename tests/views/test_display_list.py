"""One list, two back ends: what is drawn with Pillow, and what stands in the SVG."""

import base64
import io

import numpy as np
import pytest
from drawn import elements
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnntool.errors import UsageError
from cnntool.views import text as words
from cnntool.views.display_list import DisplayList

TILE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20


def test_a_box_by_hand():
    drawing = DisplayList(6, 5)
    drawing.rectangle((1, 1, 4, 3), (9, 9, 9), (200, 0, 0))
    pixels = drawing.pixels()
    assert pixels.shape == drawing.shape == (5, 6, 3)
    assert (pixels[1:4, 1:5] != 255).all()
    assert pixels[2, 2:4].tolist() == [[9, 9, 9]] * 2
    assert pixels[1, 1].tolist() == pixels[3, 4].tolist() == [200, 0, 0]
    box = elements(drawing)[1]
    assert [box.get(name) for name in ("x", "y", "width", "height")] == ["1.5", "1.5", "3", "2"]
    assert (box.get("fill"), box.get("stroke")) == ("#090909", "#c80000")


def test_a_picture_is_embedded_as_it_is_and_enlarged_without_blur():
    drawing = DisplayList(10, 10)
    drawing.picture((1, 2), TILE, (4, 8))
    pixels = drawing.pixels()
    assert (pixels[2:10, 1:5] == TILE.repeat(4, 0).repeat(2, 1)).all()
    assert (np.delete(pixels, np.s_[1:5], axis=1) == 255).all()
    image = elements(drawing)[1]
    data = base64.b64decode(image.get("{http://www.w3.org/1999/xlink}href").partition(",")[2])
    assert (np.asarray(Image.open(io.BytesIO(data))) == TILE).all()
    assert "pixelated" in image.get("style")
    assert image.get("width") == "4"


@pytest.mark.parametrize("anchor", ["la", "ls", "mm", "rm", "ra", "ma", "rs", "lm"])
def test_text_stands_in_the_svg_where_pillow_draws_it(anchor):
    drawing = DisplayList(200, 60)
    drawing.text((100, 30), "block1", 20, (0, 0, 0), anchor=anchor)
    rows, columns = np.nonzero(drawing.pixels()[..., 0] < 128)
    said = elements(drawing)[1]
    assert said.text == "block1"
    length = float(said.get("textLength"))
    left = float(said.get("x")) - {"start": 0, "middle": 0.5, "end": 1}[said.get("text-anchor")] * (
        length
    )
    assert columns.min() == pytest.approx(left, abs=3)
    assert columns.max() == pytest.approx(left + length, abs=5)
    # No letter reaches below the line that they stand on.
    assert rows.max() + 1 == pytest.approx(float(said.get("y")), abs=2)


@pytest.mark.parametrize("scale", [0.5, 2, 2.5])
def test_a_scale_is_of_the_whole(scale):
    drawing = DisplayList(120, 40)
    drawing.rectangle((10, 10, 19, 29), (200, 0, 0))
    drawing.picture((30, 10), np.zeros((4, 4), np.uint8), (20, 20))
    drawing.text((60, 10), "III", 20, anchor="la")
    drawing.line((0, 38, 119, 38), (0, 0, 250))
    pixels = drawing.pixels(scale)
    assert pixels.shape[:2] == (40 * scale, 120 * scale)
    red = (pixels == (200, 0, 0)).all(axis=2).sum()
    assert red == 200 * scale**2
    assert (pixels == 0).all(axis=2).sum() == pytest.approx(400 * scale**2, abs=2)
    once = (drawing.pixels()[:, 60:] < 128).any(axis=(1, 2)).sum()
    assert (pixels[:, round(60 * scale) :] < 128).any(axis=(1, 2)).sum() == pytest.approx(
        once * scale, abs=3
    )
    assert elements(drawing, scale).get("width") == f"{120 * scale:g}"


@pytest.mark.parametrize(("anchor", "middle"), [("mm", 100), ("rm", 136)])
def test_turned_text_runs_upwards(anchor, middle):
    drawing = DisplayList(60, 200)
    drawing.text((30, 100), "upwards", 20, (0, 0, 0), anchor=anchor, turned=True)
    rows, columns = np.nonzero(drawing.pixels()[..., 0] < 128)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(middle, abs=4)
    assert np.ptp(rows) > 3 * np.ptp(columns)
    assert elements(drawing)[1].get("transform") == "rotate(-90 30 100)"


def test_grey_figures_have_one_channel():
    drawing = DisplayList(30, 20, grey=True)
    drawing.text((2, 2), "7", 12, (118, 118, 124), anchor="la")
    drawing.picture((20, 2), np.full((4, 4, 1), 7, np.uint8))
    pixels = drawing.pixels()
    assert pixels.shape == (20, 30, 1)
    assert pixels[3, 21, 0] == 7
    assert 100 < pixels[:, :20].min() < 200


def test_a_list_within_a_list_is_moved():
    small = DisplayList(20, 20)
    small.rectangle((0, 0, 9, 9), (1, 2, 3), radius=2)
    small.line((0, 15, 19, 15), (200, 0, 0), 2)
    small.polygon([(12, 2), (18, 2), (15, 8)], (0, 0, 0))
    small.picture((10, 10), TILE)
    small.text((2, 2), "a", 10, (90, 90, 90), anchor="la")
    large = DisplayList(50, 40)
    large.place(small, 30, 20)
    assert (large.pixels()[20:, 30:] == small.pixels()).all()
    assert (large.pixels()[:20] == 255).all()
    assert len(elements(large)) == len(elements(small))
    other = small.copy()
    other.text((0, 0), "more", 10)
    assert len(other.items) == len(small.items) + 1


@given(st.text(max_size=40))
def test_hostile_names_stay_text(name):
    hostile = f'{name}</text><script href="http://x">&\x1b]0;\x00\ufffe\ud800'
    drawing = DisplayList(400, 40)
    drawing.text((10, 10), hostile, 12)
    root = elements(drawing)
    assert "".join(root.itertext()).strip("\n") == words.plain(hostile).strip("\n")
    assert words.plain(hostile).isprintable()
    assert drawing.pixels().min() < 255


def test_what_is_too_large():
    with pytest.raises(UsageError, match="would have 10000 x 20000 pixels"):
        DisplayList(2000, 1000).pixels(10)
