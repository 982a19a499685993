import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from cnntool.views import text as caption


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("block1_conv1/Relu:0", "block1_conv1/Relu:0"),
        ("56 \N{MULTIPLICATION SIGN} 56, \N{MINUS SIGN}3", "56 x 56, -3"),
        ("café", "cafe"),
        ("a\x1b[31m\nb\u202e中", "a\\x1b[31m\\nb\\u202e\\u4e2d"),
    ],
)
def test_letters_that_the_font_lacks(text, expected):
    assert caption.plain(text) == expected


@given(st.text(max_size=60), st.integers(0, 300))
def test_a_shortened_text_fits(text, room):
    short = caption.fitted(text, 12, room)
    assert caption.width(short, 12) <= room
    if caption.width(text, 12) <= room:
        assert short == caption.plain(text)


def test_shortening_keeps_both_ends():
    short = caption.fitted("features/stage_four/block4_conv2/Relu_output", 12, 150)
    assert short.startswith("features")
    assert short.endswith("output")
    assert "..." in short


def test_ink_lies_where_it_was_asked_for():
    canvas = np.full((40, 60, 3), 255, np.uint8)
    ink = caption.mask("Hi", 12)
    assert ink.max() > 200
    caption.stamp(canvas, ink, 10, 20, (200, 0, 0))
    inside = np.s_[10 : 10 + ink.shape[0], 20 : 20 + ink.shape[1]]
    darkest = canvas[inside].reshape(-1, 3).min(axis=0)
    assert darkest[0] >= 200
    assert darkest[1] < 60
    canvas[inside] = 255
    assert (canvas == 255).all()


@pytest.mark.parametrize("place", [(-0, 50), (35, 0), (100, 100)])
def test_what_lies_outside_is_cut_off(place):
    canvas = np.full((40, 60, 1), 255, np.uint8)
    caption.stamp(canvas, caption.mask("word", 12), *place)
    assert canvas.shape == (40, 60, 1)


def test_full_ink_is_the_colour_itself():
    canvas = np.array([[[250], [10], [77]]], np.uint8)
    caption.stamp(canvas, np.array([[255, 255, 0]], np.uint8), 0, 0, (38, 38, 42))
    assert canvas.ravel().tolist() == [38, 38, 77]


def test_numbers_are_drawn_as_text_is():
    masks = caption.number_masks([7, 40, 128], 10)
    assert masks.shape[0] == 3
    for mask, text in zip(masks, ["7", "40", "128"], strict=True):
        drawn = caption.mask(text, 10)
        # kerning may move a digit by a pixel, ink it keeps
        assert mask.sum() == pytest.approx(drawn.sum(), rel=0.1)
    seven = caption.mask("7", 10)
    assert (masks[0, :, : seven.shape[1]] == seven).all()
    assert not masks[0, :, seven.shape[1] :].any()


def test_a_pillow_without_freetype_still_writes(monkeypatch):
    if not hasattr(ImageFont, "load_default_imagefont"):
        pytest.skip("this Pillow hides its bitmap font")
    bitmap = ImageFont.load_default_imagefont()

    def load(size=None):
        if size is not None:
            raise ImportError("The _imagingft C module is not installed")
        return bitmap

    monkeypatch.setattr(ImageFont, "load_default", load)
    caches = (caption.font, caption.line_height, caption.width, caption.mask, caption._digits)
    for cache in caches:
        cache.cache_clear()
    try:
        assert caption.mask("block1", 17).max() == 255
        assert caption.number_masks([3, 15], 10).any(axis=(1, 2)).all()
        assert caption.width(caption.fitted("block1_conv1", 17, 40), 17) <= 40
    finally:
        for cache in caches:
            cache.cache_clear()
