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


def test_a_pillow_without_freetype_still_writes(monkeypatch):
    if not hasattr(ImageFont, "load_default_imagefont"):
        pytest.skip("this Pillow hides its bitmap font")
    bitmap = ImageFont.load_default_imagefont()

    def load(size=None):
        if size is not None:
            raise ImportError("The _imagingft C module is not installed")
        return bitmap

    monkeypatch.setattr(ImageFont, "load_default", load)
    caches = (caption.font, caption.line_height, caption.width, caption.mask, caption.metrics)
    for cache in caches:
        cache.cache_clear()
    try:
        assert caption.mask("block1", 17).max() == 255
        assert caption.width(caption.fitted("block1_conv1", 17, 40), 17) <= 40
    finally:
        for cache in caches:
            cache.cache_clear()
